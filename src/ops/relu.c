/* relu: max(x, 0), torch.nn.ReLU. A convolution or linear layer before it takes it in. */
#include "ops/ops.h"

static bool as_epilogue(const tr_node *node, tr_epilogue *out) {
    (void)node;
    *out = (tr_epilogue){.relu = true};
    return true;
}

static void forward(const tr_work *w) {
    int64_t size = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++) w->kernels->relu(size, tr_x(w, 0, i), tr_y(w, i));
}

static void backward(const tr_work *w) {
    int64_t size = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++)
        w->kernels->relu_dx(size, tr_y(w, i), tr_dy(w, i), tr_dx(w, 0, i));
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_map(out, request, true, forward, backward);
    if (request->need_dx[0]) tr_reads(out, TR_Y, 0);
}

const tr_op tr_op_relu = {
    .schema = {"relu", "Rectified linear unit, max(x, 0), as torch.nn.ReLU.", NULL, 0, 1,
               "torch.nn.ReLU"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .as_epilogue = as_epilogue,
    .plan = plan,
};
