/* A model of ONNX with its test data: a folder of Debian's libonnx-testdata, which holds
 * model.onnx and test_data_set_0/{input,output}_N.pb.
 *
 * Messages are read by protobuf-c from the onnx.proto that libonnx-dev installs. Tensors of any
 * type of numbers become doubles, which float32 and all integers in the data are exactly. A file
 * that is missing or malformed ends the test; what is no tensor (a sequence, strings) is no error:
 * the model says so in `why`.
 */
#ifndef TR_TEST_ONNX_MODEL_H
#define TR_TEST_ONNX_MODEL_H

#include "base/base.h"
#include "onnx.pb-c.h"

enum { ONNX_DIMS = 8 };

typedef struct onnx_tensor {
    const char *name;
    int n_dims;
    int64_t dim[ONNX_DIMS];
    int64_t n;       /* elements */
    const double *v; /* [n], the last dimension is innermost */
} onnx_tensor;

typedef struct onnx_model {
    Onnx__ModelProto *proto;
    const Onnx__GraphProto *graph;
    int64_t opset;
    const char *why; /* NULL, or why its test data cannot be read as numbers */
    int n_given;     /* inputs of the test data, initializers, Constant nodes */
    onnx_tensor *given;
    int n_outputs;
    onnx_tensor *outputs; /* what is to come out, in the graph's order */
    tr_arena memory;
} onnx_model;

/* Check fails where it cannot be read. */
void onnx_read(const char *folder, onnx_model *out);
void onnx_free(onnx_model *model);

/* A tensor whose values are given, or NULL. */
const onnx_tensor *onnx_given(const onnx_model *model, const char *name);

/* Attributes of a node, or the fallback where it has none of that name. */
const Onnx__AttributeProto *onnx_attribute(const Onnx__NodeProto *node, const char *name);
int64_t onnx_int(const Onnx__NodeProto *node, const char *name, int64_t fallback);
double onnx_float(const Onnx__NodeProto *node, const char *name, double fallback);
/* Is the word `value`? */
bool onnx_is(const Onnx__NodeProto *node, const char *name, const char *value);
/* ints[index], or the fallback. */
int64_t onnx_nth(const Onnx__NodeProto *node, const char *name, size_t index, int64_t fallback);
/* Name of input number `index`; NULL where it was left out. */
const char *onnx_input(const Onnx__NodeProto *node, size_t index);

#endif
