/* The phases of activations: their kernels, sample by sample. */
#include "ops/activation.h"

static void forward(const tr_work *w) {
    const tr_activation_use use = w->node->op->activation(w->node->args);
    const int64_t size = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++)
        w->kernels->activation[use.kind].forward(size, use.numbers, tr_x(w, 0, i), tr_y(w, i));
}

static void backward(const tr_work *w) {
    const tr_activation_use use = w->node->op->activation(w->node->args);
    const int64_t size = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++)
        w->kernels->activation[use.kind].backward(size, use.numbers, tr_x(w, 0, i), tr_dy(w, i),
                                                  tr_dx(w, 0, i));
}

void tr_plan_activation(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_map(out, request, true, forward, backward);
    if (request->need_dx[0]) tr_reads(out, TR_X, 0);
}
