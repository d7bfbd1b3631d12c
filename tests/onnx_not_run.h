/* The models of libonnx-testdata that are not run, each with its reason. */
#ifndef TR_TEST_ONNX_NOT_RUN_H
#define TR_TEST_ONNX_NOT_RUN_H

#include <stdbool.h>

/* Why the model called so is not run, or NULL: it should be. `why` is what the import said, and
 * `unknown` the operator that is no layer here, or NULL. */
const char *onnx_reason(const char *model, const char *why, const char *unknown);
/* Does a layer here have no such output? */
bool onnx_is_by_product(const char *output);
/* Prints what in the list no call of onnx_reason has needed. Returns their number. */
int onnx_print_unneeded(void);

#endif
