/* layer_norm: (x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions of each
 * sample, torch.nn.LayerNorm; all of them where none are named.
 *
 * In PyTorch's order a sample is one run, or, where channels or rows are left out, several that
 * share the weights (norm_runs.h).
 */
#include <stdio.h>
#include <string.h>

#include "ops/norm_runs.h"

typedef struct layer_norm_args {
    tr_runs runs; /* first, as norm_runs.h wants it */
    tr_floats normalized_shape;
    bool affine, bias;
    tr_parameter_args parameters;
} layer_norm_args;

static const tr_key keys[] = {
    {"normalized_shape", TR_KEY_FLOATS, offsetof(layer_norm_args, normalized_shape), "input", 1,
     TR_MAX_VALUE, "input",
     "last dimensions of the input, channels,height,width or fewer, that are normalised together"},
    {"eps", TR_KEY_FLOAT, offsetof(layer_norm_args, runs.eps), "1e-5", 0, 1e6, NULL,
     "added to the variance"},
    {"elementwise_affine", TR_KEY_BOOL, offsetof(layer_norm_args, affine), "true", 0, 0, NULL,
     "multiply each element by a learnable weight and add a learnable bias"},
    {"bias", TR_KEY_BOOL, offsetof(layer_norm_args, bias), "true", 0, 0, NULL,
     "add the bias, where there are weights"},
    TR_PARAMETER_KEYS(layer_norm_args),
};

/* The input as PyTorch counts its dimensions, without that of samples; how many. */
static int dimensions(tr_shape s, int64_t dim[3]) {
    if (s.flat) {
        dim[0] = tr_shape_size(s);
        return 1;
    }
    dim[0] = s.c, dim[1] = s.h, dim[2] = s.w;
    return 3;
}

/* Those of them that are normalised together: the last n. */
static int normalised(const tr_node *node, int n_dims, const int64_t *dim, int *n, tr_error *err) {
    const tr_floats *given = &((const layer_norm_args *)node->args)->normalized_shape;
    *n = n_dims;
    if (given->n == 1 && given->v[0] < 0) return TR_OK; /* "input" */
    bool fits = given->n <= n_dims;
    for (int i = 0; fits && i < given->n; i++)
        fits = given->v[i] == (double)dim[n_dims - given->n + i];
    *n = given->n;
    if (fits) return TR_OK;
    char shape[64], name[256];
    snprintf(name, sizeof name, "%s.normalized_shape", node->name);
    tr_where where = tr_key_where(node, "normalized_shape");
    tr_shape_text(node->in[0], shape);
    if (n_dims == 1)
        return tr_fail_at(err, where, name, "the input has %s features, allowed is %s", shape,
                          shape);
    return tr_fail_at(err, where, name,
                      "the input is %s, allowed are its last dimensions: %lld, or %lld,%lld, or "
                      "%lld,%lld,%lld",
                      shape, (long long)dim[2], (long long)dim[1], (long long)dim[2],
                      (long long)dim[0], (long long)dim[1], (long long)dim[2]);
}

static int shape(tr_node *node, tr_error *err) {
    layer_norm_args *a = node->args;
    int64_t dim[3], length = 1;
    int n_dims = dimensions(node->in[0], dim), n = 0;
    int code = normalised(node, n_dims, dim, &n, err);
    if (code) return code;
    for (int i = n_dims - n; i < n_dims; i++) length *= dim[i];
    tr_shape in = node->in[0];
    a->runs.length = a->runs.n_weights = length;
    a->runs.n = tr_shape_size(in) / length;
    a->runs.planar = a->runs.n > 1 && in.c > 1 && (int64_t)in.h * in.w > 1;
    node->unfused = in;
    tr_state weight = tr_runs_parameter(node, "weight", n, dim + n_dims - n);
    tr_state bias = tr_runs_parameter(node, "bias", n, dim + n_dims - n);
    weight.init_value = 1;
    if (a->affine && !tr_add_state(node, &weight, err)) return TR_ENOMEM;
    if (a->affine && a->bias && !tr_add_state(node, &bias, err)) return TR_ENOMEM;
    return TR_OK;
}

const tr_op tr_op_layer_norm = {
    .schema = {"layer_norm",
               "Normalisation of each sample, or of the last dimensions of it, as "
               "torch.nn.LayerNorm.",
               keys, sizeof keys / sizeof *keys, sizeof(layer_norm_args), "torch.nn.LayerNorm"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = tr_plan_runs,
};
