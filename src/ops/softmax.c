/* softmax, log_softmax: e^x / sum of e^x over one dimension, torch.nn.Softmax, and its logarithm,
 * torch.nn.LogSoftmax.
 *
 * Backward reads the value, so that is kept, and x is not.
 */
#include <stdio.h>

#include "ops/ops.h"

typedef struct softmax_args {
    int64_t dim;
} softmax_args;

static const tr_key keys[] = {
    {"dim", TR_KEY_INT, offsetof(softmax_args, dim), "1", -3, 3, NULL,
     "dimension of the sum, counted with that of samples as PyTorch counts it: of an image 1 "
     "(channels), 2 (rows), 3 (columns), or from the end -3, -2, -1; of features 1 or -1"},
};

/* The dimension from 1 on; 0 or less: there is no such one. */
static int dimension(const tr_node *node) {
    const int64_t dim = ((const softmax_args *)node->args)->dim, n = node->in[0].flat ? 2 : 4;
    return (int)(dim >= n ? 0 : dim < 0 ? n + dim : dim);
}

static int shape(tr_node *node, tr_error *err) {
    const softmax_args *a = node->args;
    char name[256];
    snprintf(name, sizeof name, "%s.dim", node->name);
    if (dimension(node) > 0) return tr_shape_of_input(node, err);
    return tr_fail_at(err, tr_key_where(node, "dim"), name,
                      "%lld is no dimension of a sample of %s, allowed are %s", (long long)a->dim,
                      node->in[0].flat ? "features" : "an image",
                      node->in[0].flat ? "1 and -1" : "1 to 3 and -3 to -1");
}

static tr_softmax softmax_of(const tr_node *node, bool log) {
    const tr_shape s = node->in[0];
    if (s.flat) return (tr_softmax){1, tr_shape_size(s), 1, log};
    switch (dimension(node)) {
    case 1:
        return (tr_softmax){(int64_t)s.h * s.w, s.c, 1, log};
    case 2:
        return (tr_softmax){1, s.h, (int64_t)s.w * s.c, log};
    default:
        return (tr_softmax){s.h, s.w, s.c, log};
    }
}

static void run_forward(const tr_work *w, bool log) {
    const tr_softmax d = softmax_of(w->node, log);
    for (int i = 0; i < w->n; i++) w->kernels->softmax(&d, tr_x(w, 0, i), tr_y(w, i));
}
static void run_backward(const tr_work *w, bool log) {
    const tr_softmax d = softmax_of(w->node, log);
    for (int i = 0; i < w->n; i++)
        w->kernels->softmax_dx(&d, tr_y(w, i), tr_dy(w, i), tr_dx(w, 0, i));
}

static void forward(const tr_work *w) {
    run_forward(w, false);
}
static void backward(const tr_work *w) {
    run_backward(w, false);
}
static void log_forward(const tr_work *w) {
    run_forward(w, true);
}
static void log_backward(const tr_work *w) {
    run_backward(w, true);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_map(out, request, false, forward, backward);
    if (request->need_dx[0]) tr_reads(out, TR_Y, 0);
}
static void log_plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_map(out, request, false, log_forward, log_backward);
    if (request->need_dx[0]) tr_reads(out, TR_Y, 0);
}

const tr_op tr_op_softmax = {
    .schema = {"softmax",
               "exp(x) divided by its sum over one dimension, as torch.nn.Softmax. The loss "
               "cross_entropy has it inside: none is wanted before it.",
               keys, sizeof keys / sizeof *keys, sizeof(softmax_args), "torch.nn.Softmax"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};

const tr_op tr_op_log_softmax = {
    .schema = {"log_softmax",
               "The logarithm of softmax, as torch.nn.LogSoftmax. The loss cross_entropy has it "
               "inside: none is wanted before it.",
               keys, sizeof keys / sizeof *keys, sizeof(softmax_args), "torch.nn.LogSoftmax"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = log_plan,
};
