/* Operators of ONNX as layers: pointwise ones, norms, linear layers, losses. Those that move or
 * window pixels are in onnx_windows.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "onnx_import.h"
#include "onnx_windows.h"

/* ---- pointwise ---- */

/* `layer` of the first input, wherever its elements are. */
static bool pointwise(onnx_net *net, const Onnx__NodeProto *node, const char *layer) {
    const char *from;
    const onnx_tensor *like;
    if (!onnx_data(net, node, 0, &from, &like)) return false;
    if (like && !net->in.fixed) net->in = net->out = (onnx_view){.axis = like->n_dims > 1};
    onnx_result(net, node, 0, onnx_line_of(net, "", from, "%s", layer), like);
    return true;
}

static bool with_number(onnx_net *net, const Onnx__NodeProto *node, const char *layer,
                        double value) {
    char text[80];
    snprintf(text, sizeof text, "%s=%.9g", layer, value);
    return pointwise(net, node, text);
}

/* Attributes of float32 that a layer has built in. */
static bool is_about(double value, double wanted) {
    return fabs(value - wanted) <= 1e-6 * fabs(wanted);
}

static bool relu(onnx_net *net, const Onnx__NodeProto *node) {
    return pointwise(net, node, "relu");
}
static bool sigmoid(onnx_net *net, const Onnx__NodeProto *node) {
    return pointwise(net, node, "sigmoid");
}
static bool tanh_(onnx_net *net, const Onnx__NodeProto *node) {
    return pointwise(net, node, "tanh");
}
static bool softplus(onnx_net *net, const Onnx__NodeProto *node) {
    return pointwise(net, node, "softplus");
}
static bool softsign(onnx_net *net, const Onnx__NodeProto *node) {
    return pointwise(net, node, "softsign");
}
static bool hard_swish(onnx_net *net, const Onnx__NodeProto *node) {
    return pointwise(net, node, "hard_swish");
}
static bool identity(onnx_net *net, const Onnx__NodeProto *node) {
    return pointwise(net, node, "identity");
}
static bool leaky_relu(onnx_net *net, const Onnx__NodeProto *node) {
    return with_number(net, node, "leaky_relu negative_slope", onnx_float(node, "alpha", 0.01));
}
static bool elu(onnx_net *net, const Onnx__NodeProto *node) {
    return with_number(net, node, "elu alpha", onnx_float(node, "alpha", 1));
}
static bool celu(onnx_net *net, const Onnx__NodeProto *node) {
    return with_number(net, node, "celu alpha", onnx_float(node, "alpha", 1));
}
static bool thresholded_relu(onnx_net *net, const Onnx__NodeProto *node) {
    return with_number(net, node, "threshold value=0 threshold", onnx_float(node, "alpha", 1));
}

static bool selu(onnx_net *net, const Onnx__NodeProto *node) {
    const double alpha = 1.6732632423543772, scale = 1.0507009873554805;
    if (!is_about(onnx_float(node, "alpha", alpha), alpha) ||
        !is_about(onnx_float(node, "gamma", scale), scale))
        return onnx_refuse(net, "selu has no arguments in PyTorch");
    return pointwise(net, node, "selu");
}

static bool hard_sigmoid(onnx_net *net, const Onnx__NodeProto *node) {
    if (!is_about(onnx_float(node, "alpha", 0.2), 1.0 / 6) ||
        !is_about(onnx_float(node, "beta", 0.5), 0.5))
        return onnx_refuse(net, "hard_sigmoid has no arguments in PyTorch");
    return pointwise(net, node, "hard_sigmoid");
}

/* Bounds are attributes or inputs; one that is left out is past all numbers. */
static bool clip(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *low, *high;
    char text[120];
    if (!onnx_numbers(net, node, 1, &low) || !onnx_numbers(net, node, 2, &high)) return false;
    snprintf(text, sizeof text, "hard_tanh min_val=%.9g max_val=%.9g",
             low ? low->v[0] : onnx_float(node, "min", -1e30),
             high ? high->v[0] : onnx_float(node, "max", 1e30));
    return pointwise(net, node, text);
}

static bool dropout(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *ratio, *training;
    if (!onnx_numbers(net, node, 1, &ratio) || !onnx_numbers(net, node, 2, &training)) return false;
    double p = ratio ? ratio->v[0] : onnx_float(node, "ratio", 0.5);
    net->training = training && training->v[0] != 0;
    if (net->training && p > 0) return onnx_refuse(net, "random numbers of another generator");
    return with_number(net, node, "dropout p", p);
}

/* One slope, or one for each number along an axis: before opset 7 along the channels, then along
 * the last axis that is not 1. */
static bool prelu(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *slope, *like;
    const char *from;
    char text[80];
    if (!onnx_numbers(net, node, 1, &slope)) return false;
    like = onnx_given(net->model, onnx_input(node, 0));
    if (like == NULL || slope == NULL) return onnx_refuse(net, "sizes are computed");
    int axis = 1;
    if (net->model->opset >= 7 && slope->n > 1) {
        int d = slope->n_dims - 1;
        while (slope->dim[d] == 1) d--;
        axis = like->n_dims - slope->n_dims + d;
        if (slope->dim[d] != slope->n) return onnx_refuse(net, "slopes along several axes");
    }
    if (!onnx_see(net, ONNX_SAMPLES, axis)) return false;
    if (!onnx_data(net, node, 0, &from, NULL)) return false;
    snprintf(text, sizeof text, "prelu num_parameters=%lld", (long long)slope->n);
    const char *line = onnx_line_of(net, "", from, "%s", text);
    onnx_set_row(net, line, "weight", slope);
    onnx_result(net, node, 0, line, like);
    return true;
}

/* ---- joins ---- */

/* `small` with sizes of 1 for what it lacks, so that it has as many as `large`. `axis`: of its
 * first size (opset 6), or -1: the last are the last. */
static const onnx_tensor *aligned(onnx_net *net, const onnx_tensor *small, const onnx_tensor *large,
                                  int64_t axis) {
    int64_t dim[ONNX_DIMS];
    int before = axis >= 0 ? (int)axis : large->n_dims - small->n_dims;
    for (int d = 0; d < large->n_dims; d++)
        dim[d] = d >= before && d - before < small->n_dims ? small->dim[d - before] : 1;
    return onnx_reshaped(net, small, large->n_dims, dim);
}

static bool same_sizes(const onnx_tensor *a, const onnx_tensor *b) {
    return a->n_dims == b->n_dims &&
           memcmp(a->dim, b->dim, (size_t)a->n_dims * sizeof *a->dim) == 0;
}

/* A tensor that has 1 in some places: broadcast by the layer where it has one channel's number for
 * each pixel, else repeated here. */
static const onnx_tensor *repeated(onnx_net *net, const onnx_tensor *small,
                                   const onnx_tensor *large) {
    const onnx_tensor *out;
    double *v = onnx_new(net, large->n_dims, large->dim, &out);
    for (int64_t i = 0; i < out->n; i++) {
        int64_t rest = i, at = 0, step = 1;
        for (int d = large->n_dims - 1; d >= 0; d--) {
            int64_t k = rest % large->dim[d];
            rest /= large->dim[d];
            if (small->dim[d] > 1) at += k * step;
            step *= small->dim[d];
        }
        v[i] = small->v[at];
    }
    return out;
}

/* Two values that are given, of different sizes. */
static bool broadcast(onnx_net *net, const Onnx__NodeProto *node, const char *layer,
                      const onnx_tensor *a, const onnx_tensor *b) {
    const char *from, *second;
    int wide = 0, axis = 0;
    b = aligned(net, b, a, onnx_int(node, "axis", -1));
    for (int d = 0; d < b->n_dims; d++) {
        if (b->dim[d] == 1) continue;
        if (b->dim[d] != a->dim[d]) return onnx_refuse(net, "both are repeated");
        axis = d;
        wide++;
    }
    if (wide == 0) { /* one number */
        axis = a->n_dims > 1;
        int64_t dim[ONNX_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
        dim[axis] = a->dim[axis];
        const onnx_tensor *channels = onnx_reshaped(net, a, a->n_dims, dim);
        b = repeated(net, b, channels);
    } else if (wide > 1) {
        b = repeated(net, b, a);
    }
    if (!onnx_see(net, ONNX_ROWS, axis) || !onnx_data(net, node, 0, &from, NULL) ||
        !onnx_feed_line(net, b, &second))
        return false;
    const char *line = onnx_line_of(net, "", from, "%s", layer);
    onnx_also_from(net, second);
    onnx_result(net, node, 0, line, a);
    return true;
}

static bool join(onnx_net *net, const Onnx__NodeProto *node, const char *layer) {
    const onnx_tensor *a = onnx_given(net->model, onnx_input(node, 0)),
                      *b = onnx_given(net->model, onnx_input(node, 1)), *like;
    const char *from[4] = {0};
    if (node->n_input == 2 && a && b && !same_sizes(a, b)) return broadcast(net, node, layer, a, b);
    if (a && !net->in.fixed) net->in = net->out = (onnx_view){.axis = a->n_dims > 1};
    if (node->n_input > 4) return onnx_refuse(net, "more inputs than the test joins");
    for (size_t i = 0; i < node->n_input; i++)
        if (!onnx_data(net, node, i, &from[i], &like)) return false;
    const char *line = onnx_line_of(net, "", from[0], "%s", node->n_input > 1 ? layer : "identity");
    for (size_t i = 1; i < node->n_input; i++) onnx_also_from(net, from[i]);
    onnx_result(net, node, 0, line, like);
    return true;
}

static bool add(onnx_net *net, const Onnx__NodeProto *node) {
    return join(net, node, "add");
}
static bool sub(onnx_net *net, const Onnx__NodeProto *node) {
    return join(net, node, "sub");
}
static bool mul(onnx_net *net, const Onnx__NodeProto *node) {
    return join(net, node, "mul");
}

/* ---- along an axis ---- */

bool onnx_axis(onnx_net *net, const Onnx__NodeProto *node, int64_t fallback, int *axis) {
    const onnx_tensor *t = onnx_given(net->model, onnx_input(node, 0));
    *axis = 0;
    if (t == NULL) return onnx_refuse(net, "sizes are computed");
    *axis = (int)onnx_int(node, "axis", fallback);
    if (*axis < 0) *axis += t->n_dims;
    return true;
}

static bool softmax_of(onnx_net *net, const Onnx__NodeProto *node, const char *layer) {
    const onnx_tensor *t = onnx_given(net->model, onnx_input(node, 0));
    int axis;
    if (!onnx_axis(net, node, net->model->opset < 13 ? 1 : -1, &axis)) return false;
    /* Before opset 13 over all dimensions behind it. */
    if (net->model->opset < 13 && axis != t->n_dims - 1)
        return onnx_refuse(net, "over several dimensions");
    return onnx_see(net, ONNX_SAMPLES, axis) && pointwise(net, node, layer);
}

static bool softmax(onnx_net *net, const Onnx__NodeProto *node) {
    return softmax_of(net, node, "softmax");
}
static bool log_softmax(onnx_net *net, const Onnx__NodeProto *node) {
    return softmax_of(net, node, "log_softmax");
}

static bool flatten(onnx_net *net, const Onnx__NodeProto *node) {
    int axis;
    if (!onnx_axis(net, node, 1, &axis) || !onnx_see(net, ONNX_SAMPLES, axis)) return false;
    net->out = (onnx_view){.axis = 1};
    return pointwise(net, node, "flatten");
}

/* ---- norms ---- */

static bool set_rows(onnx_net *net, const Onnx__NodeProto *node, const char *line,
                     const char *const *suffixes) {
    const onnx_tensor *t;
    for (size_t i = 0; suffixes[i]; i++) {
        if (!onnx_numbers(net, node, i + 1, &t)) return false;
        if (t) onnx_set_row(net, line, suffixes[i], t);
    }
    return true;
}

/* What is behind a training step: ONNX keeps the variance of the batch, PyTorch that of what it is
 * a sample of, n / (n - 1) times as large. */
static bool running_statistics(onnx_net *net, const char *line, double keep, const onnx_tensor *x,
                               const onnx_tensor *var) {
    const onnx_tensor *mean_after = NULL, *var_after = NULL, *unbiased;
    if (net->model->n_outputs == 3) {
        mean_after = &net->model->outputs[1];
        var_after = &net->model->outputs[2];
    }
    if (mean_after == NULL) return true;
    double n = (double)x->n / (double)var->n, *v = onnx_new(net, 1, var->dim, &unbiased);
    for (int64_t i = 0; i < var->n; i++)
        v[i] = keep * var->v[i] + (var_after->v[i] - keep * var->v[i]) * n / (n - 1);
    snprintf(net->after[0].name, sizeof net->after[0].name, "%s.running_mean", line);
    snprintf(net->after[1].name, sizeof net->after[1].name, "%s.running_var", line);
    net->after[0].values = mean_after;
    net->after[1].values = unbiased;
    net->n_after = 2;
    return true;
}

static bool batch_norm(onnx_net *net, const Onnx__NodeProto *node) {
    static const char *const rows[] = {"weight", "bias", "running_mean", "running_var", NULL};
    const onnx_tensor *x, *var;
    const char *from;
    double keep = onnx_float(node, "momentum", 0.9);
    if (!onnx_see(net, ONNX_SAMPLES, 1) || !onnx_data(net, node, 0, &from, &x)) return false;
    if (!onnx_numbers(net, node, 4, &var)) return false;
    if (x == NULL || var == NULL) return onnx_refuse(net, "sizes are computed");
    bool features = x->n_dims == 2;
    if (features) from = onnx_line_of(net, "flat", from, "flatten");
    const char *line =
        onnx_line_of(net, "", from, "batch_norm%s eps=%.9g momentum=%.9g", features ? "1d" : "2d",
                     onnx_float(node, "epsilon", 1e-5), 1 - keep);
    net->training = onnx_int(node, "training_mode", 0) != 0;
    onnx_result(net, node, 0, line, x);
    return set_rows(net, node, line, rows) &&
           (!net->training || running_statistics(net, line, keep, x, var));
}

/* Over all but the channels, with the statistics of the batch: a batch norm that has no state. (To
 * the standard deviation 1e-9 is added here: of numbers that are not constant nothing is seen.) */
static bool mean_variance(onnx_net *net, const Onnx__NodeProto *node) {
    if (onnx_attribute(node, "axes")) return onnx_refuse(net, "along other axes");
    return onnx_see(net, ONNX_SAMPLES, 1) &&
           pointwise(net, node, "batch_norm2d affine=false track_running_stats=false eps=1e-12");
}

static const char *const weight_bias[] = {"weight", "bias", NULL};

static bool instance_norm(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *x;
    const char *from;
    if (!onnx_see(net, ONNX_SAMPLES, 1) || !onnx_data(net, node, 0, &from, &x)) return false;
    const char *line = onnx_line_of(net, "", from, "instance_norm2d affine=true eps=%.9g",
                                    onnx_float(node, "epsilon", 1e-5));
    onnx_result(net, node, 0, line, x);
    return set_rows(net, node, line, weight_bias);
}

static bool layer_norm(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *x;
    const char *from;
    int axis;
    if (!onnx_axis(net, node, -1, &axis) || !onnx_see(net, ONNX_SAMPLES, axis) ||
        !onnx_data(net, node, 0, &from, &x))
        return false;
    const char *line =
        onnx_line_of(net, "", from, "layer_norm eps=%.9g", onnx_float(node, "epsilon", 1e-5));
    onnx_result(net, node, 0, line, x);
    return set_rows(net, node, line, weight_bias);
}

static bool local_response_norm(onnx_net *net, const Onnx__NodeProto *node) {
    char text[160];
    snprintf(text, sizeof text, "local_response_norm size=%lld alpha=%.9g beta=%.9g k=%.9g",
             (long long)onnx_int(node, "size", 0), onnx_float(node, "alpha", 1e-4),
             onnx_float(node, "beta", 0.75), onnx_float(node, "bias", 1));
    return onnx_see(net, ONNX_SAMPLES, 1) && pointwise(net, node, text);
}

/* ---- linear layers ---- */

/* A number for each output of a linear layer; NULL where `t` is none. */
static const onnx_tensor *vector(onnx_net *net, const onnx_tensor *t, int64_t n) {
    const onnx_tensor *out;
    if (t->n != n && t->n != 1) return NULL;
    if (t->n == n && t->dim[t->n_dims - 1] != n) return NULL;
    double *v = onnx_new(net, 1, &n, &out);
    for (int64_t i = 0; i < n; i++) v[i] = t->v[t->n == 1 ? 0 : i];
    return out;
}

/* alpha * A * B + beta * C, of which alpha and beta are layers `scale`, and C is the bias or, where
 * it is a matrix or scaled, an input. */
static bool gemm_of(onnx_net *net, const Onnx__NodeProto *node, bool trans_b, bool trans_a) {
    const onnx_tensor *b, *c, *weight;
    const char *from;
    double alpha = onnx_float(node, "alpha", 1), beta = onnx_float(node, "beta", 1);
    if (!onnx_numbers(net, node, 1, &b) || !onnx_numbers(net, node, 2, &c)) return false;
    if (b == NULL || b->n_dims != 2) return onnx_refuse(net, "a matrix for each sample");
    if (!onnx_see(net, trans_a ? ONNX_PIXELS : ONNX_SAMPLES, trans_a ? 0 : 1)) return false;
    net->out = (onnx_view){.axis = 1};
    if (!onnx_data(net, node, 0, &from, NULL)) return false;
    int64_t out = b->dim[trans_b ? 0 : 1], in = b->dim[trans_b ? 1 : 0];
    double *v = onnx_new(net, 2, (int64_t[]){out, in}, &weight);
    for (int64_t i = 0; i < b->n; i++) v[i] = b->v[trans_b ? i : i % in * out + i / in];
    if (beta == 0) c = NULL;
    const onnx_tensor *bias = c ? vector(net, c, out) : NULL;
    bool is_bias = bias && alpha == 1 && beta == 1;
    const char *flat = onnx_line_of(net, "flat", from, "flatten");
    const char *line = onnx_line_of(net, "", flat, "linear out_features=%lld bias=%s",
                                    (long long)out, is_bias ? "true" : "false");
    onnx_set_row(net, line, "weight", weight);
    if (is_bias) onnx_set_row(net, line, "bias", bias);
    if (alpha != 1) line = onnx_line_of(net, "a", line, "scale factor=%.9g", alpha);
    if (c && !is_bias) {
        const onnx_tensor *x = onnx_given(net->model, onnx_input(node, 0));
        const char *other;
        if (x == NULL) return onnx_refuse(net, "sizes are computed");
        int64_t dim[2] = {x->dim[trans_a ? 1 : 0], out};
        const onnx_tensor *sizes = onnx_reshaped(net, x, 2, dim);
        onnx_view was = net->in;
        c = repeated(net, aligned(net, c, sizes, -1), sizes);
        net->in = net->out;
        if (!onnx_feed_line(net, c, &other)) return false;
        net->in = was;
        other = onnx_line_of(net, "cflat", other, "flatten");
        if (beta != 1) other = onnx_line_of(net, "b", other, "scale factor=%.9g", beta);
        line = onnx_line_of(net, "y", line, "add");
        onnx_also_from(net, other);
    }
    onnx_result(net, node, 0, line, NULL);
    return true;
}

static bool gemm(onnx_net *net, const Onnx__NodeProto *node) {
    return gemm_of(net, node, onnx_int(node, "transB", 0) != 0, onnx_int(node, "transA", 0) != 0);
}

static bool matmul(onnx_net *net, const Onnx__NodeProto *node) {
    return gemm_of(net, node, false, false);
}

/* ---- losses ---- */

/* Each pixel is a sample, as the mean over all pixels is what both mean. */
static bool cross_entropy(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *labels, *weight;
    const char *from;
    if (!onnx_numbers(net, node, 1, &labels) || !onnx_numbers(net, node, 2, &weight)) return false;
    if (weight || onnx_attribute(node, "ignore_index"))
        return onnx_refuse(net, "the loss has no weight and no ignore_index");
    if (onnx_attribute(node, "reduction") && !onnx_is(node, "reduction", "mean"))
        return onnx_refuse(net, "the loss is a mean");
    if (!onnx_see(net, ONNX_PIXELS, 1) || !onnx_data(net, node, 0, &from, NULL)) return false;
    const char *flat = onnx_line_of(net, "", from, "flatten");
    net->labels = labels;
    net->loss = node->output[0];
    onnx_result(net, node, 0, flat, NULL);
    if (node->n_output > 1)
        onnx_result(net, node, 1, onnx_line_of(net, "log", flat, "log_softmax"), NULL);
    return true;
}

/* Its value is given: onnx_given. */
static bool constant(onnx_net *net, const Onnx__NodeProto *node) {
    (void)net;
    (void)node;
    return true;
}

const onnx_operator onnx_operators[] = {
    {"Add", add},
    {"AveragePool", onnx_average_pool},
    {"BatchNormalization", batch_norm},
    {"Celu", celu},
    {"Clip", clip},
    {"Concat", onnx_concat},
    {"Constant", constant},
    {"Conv", onnx_conv},
    {"ConvTranspose", onnx_conv_transpose},
    {"DepthToSpace", onnx_depth_to_space},
    {"Dropout", dropout},
    {"Elu", elu},
    {"Flatten", flatten},
    {"Gemm", gemm},
    {"GlobalAveragePool", onnx_global_average},
    {"GlobalMaxPool", onnx_global_max},
    {"HardSigmoid", hard_sigmoid},
    {"HardSwish", hard_swish},
    {"Identity", identity},
    {"InstanceNormalization", instance_norm},
    {"LRN", local_response_norm},
    {"LayerNormalization", layer_norm},
    {"LeakyRelu", leaky_relu},
    {"LogSoftmax", log_softmax},
    {"MatMul", matmul},
    {"MaxPool", onnx_max_pool},
    {"MeanVarianceNormalization", mean_variance},
    {"Mul", mul},
    {"PRelu", prelu},
    {"Pad", onnx_pad},
    {"Relu", relu},
    {"Resize", onnx_resize},
    {"Selu", selu},
    {"Sigmoid", sigmoid},
    {"Slice", onnx_slice},
    {"Softmax", softmax},
    {"SoftmaxCrossEntropyLoss", cross_entropy},
    {"Softplus", softplus},
    {"Softsign", softsign},
    {"Split", onnx_split},
    {"Sub", sub},
    {"Sum", add},
    {"Tanh", tanh_},
    {"ThresholdedRelu", thresholded_relu},
    {"Upsample", onnx_resize},
};
const int onnx_n_operators = sizeof onnx_operators / sizeof *onnx_operators;
