/* relu: max(x, 0), torch.nn.ReLU. A convolution or linear layer before it takes it in. */
#include "ops/ops.h"

static int shape(tr_node *node, tr_error *err) {
    (void)err;
    node->unfused = node->in[0];
    return TR_OK;
}

static bool as_epilogue(const tr_node *node, tr_epilogue *out) {
    (void)node;
    *out = (tr_epilogue){.relu = true};
    return true;
}

static void forward(const tr_work *w) {
    for (int i = 0; i < w->n; i++) {
        w->kernels->relu(tr_shape_size(w->node->out), w->x[0] + i * w->xs[0], w->y + i * w->ys);
    }
}

static void backward(const tr_work *w) {
    for (int i = 0; i < w->n; i++) {
        w->kernels->relu_dx(tr_shape_size(w->node->out), w->y + i * w->ys, w->dy + i * w->ys,
                            w->dx[0] + i * w->xs[0]);
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_node_plan *out) {
    (void)node;
    out->forward[out->n_forward++] =
        (tr_phase){"forward", TR_BY_SAMPLES, 0, TR_USE_X | TR_USE_Y, forward};
    if (request->need_dx[0])
        out->backward[out->n_backward++] = (tr_phase){"input gradient", TR_BY_SAMPLES, 0,
                                                      TR_USE_Y | TR_USE_DY | TR_USE_DX, backward};
}

const tr_op tr_op_relu = {
    .schema = {"relu", "Rectified linear unit, max(x, 0), as torch.nn.ReLU.", NULL, 0, 1},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .as_epilogue = as_epilogue,
    .plan = plan,
};
