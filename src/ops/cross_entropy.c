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
    tr_real scale = (tr_real)1 / (tr_real)w->record->count;
    for (int i = 0; i < w->n; i++) {
        int best, at = w->first + i;
        w->loss[at] = w->kernels->cross_entropy(classes, tr_x(w, 0, i), w->labels[at], scale,
                                                tr_has_dx(w, 0) ? tr_dx(w, 0, i) : NULL, &best);
        w->best[at] = best;
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_phase(out, TR_FORWARD, "loss", TR_BY_SAMPLES, forward);
    tr_reads(out, TR_X, 0);
    if (request->need_dx[0]) tr_writes(out, TR_DX, 0);
}

const tr_op tr_op_cross_entropy = {
    .schema = {"cross_entropy",
               "Cross-entropy of softmax(logits) and the label, mean over the batch, as "
               "torch.nn.CrossEntropyLoss.",
               NULL, 0, 1, "torch.nn.CrossEntropyLoss"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
