/* add: the sum of two or more values, torch.add; what joins the branches of a network. A smaller
 * one is broadcast (join.h). */
#include "ops/join.h"

static void full(const tr_kernels *kernels, int64_t n, const tr_real *a, const tr_real *b,
                 tr_real *y) {
    kernels->add(n, a, b, y);
}

static const tr_join_rule rule = {
    .full = full,
    .map_a = {TR_JOIN_ZERO, TR_JOIN_ONE, TR_JOIN_MAP},
    .map_b = {TR_JOIN_ZERO, TR_JOIN_ONE, TR_JOIN_MAP},
};

static void forward(const tr_work *w) {
    tr_join_forward(w, &rule);
}

static void backward(const tr_work *w) {
    for (int j = 0; j < w->node->n_inputs; j++)
        for (int i = 0; tr_has_dx(w, j) && i < w->n; i++)
            tr_join_reduce(w, j, i, tr_dy(w, i), NULL);
}

/* The gradient of each full input is that of the sum. */
static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_join_plan(node, out, forward);
    out->passes_gradient = true;
    bool reduces = false;
    for (int j = 0; j < node->n_inputs; j++)
        reduces |= request->need_dx[j] && !tr_join_is_full(node, j);
    if (!reduces) return;
    tr_plan_phase(out, TR_BACKWARD, "input gradients", TR_BY_SAMPLES, backward);
    tr_reads(out, TR_DY, 0);
    for (int j = 0; j < node->n_inputs; j++)
        if (request->need_dx[j] && !tr_join_is_full(node, j)) tr_writes(out, TR_DX, j);
}

const tr_op tr_op_add = {
    .schema = {"add",
               "The sum of the values named by from=a,b,..., as torch.add. A value with 1 where "
               "the others have more (C x 1 x 1 beside an image) is broadcast.",
               NULL, 0, 1, "torch.add"},
    .min_inputs = 2,
    .shape = tr_join_shape,
    .plan = plan,
};
