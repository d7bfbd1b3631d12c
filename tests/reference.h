/* Reference values from PyTorch: a reader of the text files in tests/reference.
 *
 * tools/torch_reference.py writes the files and explains their format. A tool of the tests: a file
 * that is missing or malformed, or a tensor that is not there, ends the process with a message.
 */
#ifndef TR_REFERENCE_H
#define TR_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TR_REFERENCE_DIMS = 4 };

typedef struct tr_reference_tensor {
    const char *name; /* "input", "conv1.weight", "grad.conv1.weight", ... */
    int n_dims;
    int64_t dim[TR_REFERENCE_DIMS];
    size_t n;        /* elements */
    const double *v; /* [n] row-major: images NCHW, parameters in PyTorch's shapes */
} tr_reference_tensor;

typedef struct tr_reference_case {
    const char *name;
    int n_layers;
    const char *const *layers; /* "conv1 = conv2d out_channels=6 kernel_size=5", one a line */
    bool eval;                 /* in the mode of evaluation */
    const char *optimizer;     /* "sgd lr=0.1 momentum=0.9", or NULL */
    int n_tensors;
    const tr_reference_tensor *tensors; /* in file order */
} tr_reference_case;

typedef struct tr_reference {
    int n_cases;
    const tr_reference_case *cases; /* in file order */
} tr_reference;

/* Read a file. `path` is relative to the folder tests ("reference/conv2d.txt"), which the
 * environment variable TR_TEST_ROOT names, or else the macro of that name given to the compiler. */
tr_reference *tr_reference_read(const char *path);
void tr_reference_free(tr_reference *reference);

/* The tensor of that name: NULL when there is none; the second ends the process then. */
const tr_reference_tensor *tr_reference_find(const tr_reference_case *c, const char *name);
const tr_reference_tensor *tr_reference_get(const tr_reference_case *c, const char *name);

#endif
