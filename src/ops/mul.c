/* mul: the product of two or more values, torch.mul. A smaller one is broadcast (join.h): the map
 * of C x 1 x 1 by which squeeze-and-excitation weighs the channels of an image. */
#include "ops/join.h"

static void full(const tr_kernels *kernels, int64_t n, const tr_real *a, const tr_real *b,
                 tr_real *y) {
    kernels->mul(n, a, b, y);
}

static const tr_join_rule rule = {
    .full = full,
    .map_a = {TR_JOIN_ZERO, TR_JOIN_MAP, TR_JOIN_ZERO},
    .map_b = {TR_JOIN_ZERO, TR_JOIN_MAP, TR_JOIN_ZERO},
};

static void forward(const tr_work *w) {
    tr_join_forward(w, &rule);
}

/* dx of input j = dy times all the others. */
static void gradient(const tr_work *w, int j, int i) {
    const tr_node *node = w->node;
    const bool is_full = tr_join_is_full(node, j);
    if (!is_full && node->n_inputs == 2 && tr_join_is_full(node, 1 - j)) {
        tr_join_reduce(w, j, i, tr_dy(w, i), tr_x(w, 1 - j, i));
        return;
    }
    tr_real *to = is_full ? tr_dx(w, j, i) : tr_join_space(w);
    tr_operand product = tr_join_full(w, tr_dy(w, i));
    for (int k = 0; k < node->n_inputs; k++) {
        if (k == j) continue;
        tr_join_apply(w, &rule, product, tr_join_input(w, k, i), to);
        product = tr_join_full(w, to);
    }
    if (!is_full) tr_join_reduce(w, j, i, to, NULL);
}

static void backward(const tr_work *w) {
    for (int j = 0; j < w->node->n_inputs; j++)
        for (int i = 0; tr_has_dx(w, j) && i < w->n; i++) gradient(w, j, i);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    int needed = 0, last = 0;
    tr_join_plan(node, out, forward);
    for (int j = 0; j < node->n_inputs; j++)
        if (request->need_dx[j]) needed++, last = j;
    if (needed == 0) return;
    tr_plan_phase(out, TR_BACKWARD, "input gradients", TR_BY_SAMPLES, backward);
    tr_reads(out, TR_DY, 0);
    for (int j = 0; j < node->n_inputs; j++) {
        if (needed > 1 || j != last) tr_reads(out, TR_X, j);
        if (request->need_dx[j]) tr_writes(out, TR_DX, j);
    }
}

const tr_op tr_op_mul = {
    .schema = {"mul",
               "The product of the values named by from=a,b,..., as torch.mul. A value with 1 "
               "where the others have more (C x 1 x 1 beside an image: squeeze-and-excitation) is "
               "broadcast.",
               NULL, 0, 1, "torch.mul"},
    .min_inputs = 2,
    .shape = tr_join_shape,
    .plan = plan,
};
