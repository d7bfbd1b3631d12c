/* dropout: in training each element is zero with probability p, else divided by 1 - p,
 * torch.nn.Dropout; in evaluation the value itself.
 *
 * What is dropped is a function of the element in PyTorch's order and of what mask.h names.
 */
#include "ops/mask.h"

typedef struct dropout_args {
    double p;
} dropout_args;

static const tr_key keys[] = {
    {"p", TR_KEY_FLOAT, offsetof(dropout_args, p), "0.5", 0, 1, NULL,
     "probability that an element is zero"},
};

static double p_of(const tr_node *node) {
    return ((const dropout_args *)node->args)->p;
}

/* y = x times the factors of sample i. */
static void apply(const tr_work *w, uint64_t key, int i, const tr_real *x, tr_real *y) {
    const tr_shape s = w->node->in[0];
    tr_mask_factors(w, key, i, p_of(w->node), tr_shape_size(s), w->scratch);
    w->kernels->multiply_planar(s.c, (int64_t)s.h * s.w, x, w->scratch, y);
}

static void forward(const tr_work *w) {
    const uint64_t key = tr_mask_key(w);
    for (int i = 0; i < w->n; i++) apply(w, key, i, tr_x(w, 0, i), tr_y(w, i));
}

static void backward(const tr_work *w) {
    const uint64_t key = tr_mask_key(w);
    for (int i = 0; i < w->n; i++) apply(w, key, i, tr_dy(w, i), tr_dx(w, 0, i));
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_plan_mask(out, request, p_of(node), tr_shape_size(node->out), forward, backward);
}

const tr_op tr_op_dropout = {
    .schema = {"dropout",
               "Zero for random elements in training, the others divided by 1 - p, as "
               "torch.nn.Dropout.",
               keys, sizeof keys / sizeof *keys, sizeof(dropout_args), "torch.nn.Dropout"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = plan,
};
