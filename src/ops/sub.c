/* sub: the first of two values minus the second, torch.sub. A smaller one is broadcast (join.h). */
#include "ops/join.h"

static void full(const tr_kernels *kernels, int64_t n, const tr_real *a, const tr_real *b,
                 tr_real *y) {
    kernels->sub(n, a, b, y);
}

static const tr_join_rule rule = {
    .full = full,
    .map_a = {TR_JOIN_ZERO, TR_JOIN_MINUS_ONE, TR_JOIN_MAP},
    .map_b = {TR_JOIN_MAP, TR_JOIN_ONE, TR_JOIN_ZERO},
};

static void forward(const tr_work *w) {
    tr_join_forward(w, &rule);
}

static void backward(const tr_work *w) {
    const tr_node *node = w->node;
    for (int j = 0; j < 2; j++) {
        const int64_t n = tr_shape_size(node->in[j]);
        for (int i = 0; tr_has_dx(w, j) && i < w->n; i++) {
            const tr_real *g = tr_dy(w, i);
            tr_real *dx = tr_dx(w, j, i);
            if (!tr_join_is_full(node, j)) {
                tr_join_reduce(w, j, i, g, NULL);
                g = dx;
            }
            if (j == 1) w->kernels->scale(n, -1, g, dx);
        }
    }
}

/* The gradient of a full first input is that of the difference. */
static bool is_made(const tr_node *node, const tr_request *request, int j) {
    return request->need_dx[j] && (j == 1 || !tr_join_is_full(node, j));
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_join_plan(node, out, forward);
    out->passes_gradient = true;
    if (!is_made(node, request, 0) && !is_made(node, request, 1)) return;
    tr_plan_phase(out, TR_BACKWARD, "input gradients", TR_BY_SAMPLES, backward);
    tr_reads(out, TR_DY, 0);
    for (int j = 0; j < 2; j++)
        if (is_made(node, request, j)) tr_writes(out, TR_DX, j);
}

const tr_op tr_op_sub = {
    .schema = {"sub",
               "The value a of from=a,b minus b, as torch.sub. A value with 1 where the other has "
               "more (C x 1 x 1 beside an image) is broadcast.",
               NULL, 0, 1, "torch.sub"},
    .min_inputs = 2,
    .max_inputs = 2,
    .shape = tr_join_shape,
    .plan = plan,
};
