/* dropout2d: in training each channel of an image is zero with probability p, else divided by
 * 1 - p, torch.nn.Dropout2d; in evaluation the value itself.
 *
 * What is dropped is a function of the channel and of what mask.h names.
 */
#include "ops/mask.h"

typedef struct dropout2d_args {
    double p;
} dropout2d_args;

static const tr_key keys[] = {
    {"p", TR_KEY_FLOAT, offsetof(dropout2d_args, p), "0.5", 0, 1, NULL,
     "probability that a channel is zero"},
};

static int shape(tr_node *node, tr_error *err) {
    node->unfused = node->in[0];
    return tr_want_image(node, 0, err);
}

static double p_of(const tr_node *node) {
    return ((const dropout2d_args *)node->args)->p;
}

static void forward(const tr_work *w) {
    const uint64_t key = tr_mask_key(w);
    for (int i = 0; i < w->n; i++) {
        tr_mask_factors(w, key, i, p_of(w->node), w->node->in[0].c, w->scratch);
        tr_mask_channels(w, tr_x(w, 0, i), w->scratch, tr_y(w, i));
    }
}

static void backward(const tr_work *w) {
    const uint64_t key = tr_mask_key(w);
    for (int i = 0; i < w->n; i++) {
        tr_mask_factors(w, key, i, p_of(w->node), w->node->in[0].c, w->scratch);
        tr_mask_channels(w, tr_dy(w, i), w->scratch, tr_dx(w, 0, i));
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_plan_mask(out, request, p_of(node), node->in[0].c, forward, backward);
}

const tr_op tr_op_dropout2d = {
    .schema = {"dropout2d",
               "Zero for random channels of an image in training, the others divided by 1 - p, as "
               "torch.nn.Dropout2d.",
               keys, sizeof keys / sizeof *keys, sizeof(dropout2d_args), "torch.nn.Dropout2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
