/* drop_path: stochastic depth. In training each sample is zero with probability p, else divided by
 * 1 - p, torchvision.ops.StochasticDepth with mode="row"; in evaluation the value itself. It stands
 * at the end of a branch, in front of the add that joins it.
 *
 * Which samples are dropped is a function of what mask.h names.
 */
#include "ops/mask.h"

typedef struct drop_path_args {
    double p;
} drop_path_args;

static const tr_key keys[] = {
    {"p", TR_KEY_FLOAT, offsetof(drop_path_args, p), NULL, 0, 1, NULL,
     "probability that a sample is zero"},
};

static int shape(tr_node *node, tr_error *err) {
    (void)err;
    node->unfused = node->in[0];
    return TR_OK;
}

static double p_of(const tr_node *node) {
    return ((const drop_path_args *)node->args)->p;
}

/* The factor of sample i for each of its channels. */
static const tr_real *factors(const tr_work *w, uint64_t key, int i) {
    tr_real *factor = w->scratch;
    tr_mask_factors(w, key, i, p_of(w->node), 1, factor);
    for (int k = 1; k < w->node->in[0].c; k++) factor[k] = factor[0];
    return factor;
}

static void forward(const tr_work *w) {
    const uint64_t key = tr_mask_key(w);
    for (int i = 0; i < w->n; i++)
        tr_mask_channels(w, tr_x(w, 0, i), factors(w, key, i), tr_y(w, i));
}

static void backward(const tr_work *w) {
    const uint64_t key = tr_mask_key(w);
    for (int i = 0; i < w->n; i++)
        tr_mask_channels(w, tr_dy(w, i), factors(w, key, i), tr_dx(w, 0, i));
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_plan_mask(out, request, p_of(node), node->in[0].c, forward, backward);
}

const tr_op tr_op_drop_path = {
    .schema =
        {"drop_path",
         "Stochastic depth: zero for random samples in training, the others divided by 1 - p, "
         "as torchvision.ops.StochasticDepth with mode=row.",
         keys, sizeof keys / sizeof *keys, sizeof(drop_path_args),
         "torchvision.ops.StochasticDepth"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
