/* cross_entropy: -log softmax(logits)[label], torch.nn.CrossEntropyLoss with the mean over the
 * batch. Forward and the gradient of the logits are one phase. */
#include "ops/ops.h"

static int shape(tr_node *node, tr_error *err) {
    int code = tr_want_features(node, 0, err);
    if (code) return code;
    node->unfused = (tr_shape){true, 1, 1, 1};
    return TR_OK;
}

static void forward(const tr_work *w) {
    int classes = (int)tr_shape_size(w->node->in[0]);
    for (int i = 0; i < w->n; i++) {
        int best;
        w->loss[i] = w->kernels->cross_entropy(classes, w->x[0] + i * w->xs[0], w->labels[i],
                                               (tr_real)1 / (tr_real)w->batch,
                                               w->dx[0] ? w->dx[0] + i * w->xs[0] : NULL, &best);
        w->best[i] = best;
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_node_plan *out) {
    (void)node;
    unsigned dx = request->need_dx[0] ? TR_USE_DX : 0;
    out->forward[out->n_forward++] = (tr_phase){"loss", TR_BY_SAMPLES, 0, TR_USE_X | dx, forward};
}

const tr_op tr_op_cross_entropy = {
    .schema = {"cross_entropy",
               "Cross-entropy of softmax(logits) and the label, mean over the batch, as "
               "torch.nn.CrossEntropyLoss.",
               NULL, 0, 1},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
