/* add: the sum of two or more values of one shape, torch.add; what joins the branches of a network.
 */
#include "ops/ops.h"

static int shape(tr_node *node, tr_error *err) {
    for (int i = 1; i < node->n_inputs; i++) {
        tr_shape a = node->in[0], b = node->in[i];
        if (a.flat == b.flat && a.h == b.h && a.w == b.w && a.c == b.c) continue;
        if (a.flat && b.flat && tr_shape_size(a) == tr_shape_size(b))
            return tr_fail_at(
                err, node->where, node->name,
                "add wants inputs whose features are in one order, not a flattened image and "
                "other features");
        char s[64], t[64];
        return tr_fail_at(err, node->where, node->name,
                          "add wants inputs of one shape, not %s and %s", tr_shape_text(a, s),
                          tr_shape_text(b, t));
    }
    node->unfused = node->in[0];
    return TR_OK;
}

static void forward(const tr_work *w) {
    int64_t size = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++) {
        tr_real *y = tr_y(w, i);
        w->kernels->add(size, tr_x(w, 0, i), tr_x(w, 1, i), y);
        for (int j = 2; j < w->node->n_inputs; j++) w->kernels->add(size, y, tr_x(w, j, i), y);
    }
}

/* The gradient of each input is that of the sum. */
static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)request;
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_plan_pointwise(out);
    for (int j = 0; j < node->n_inputs; j++) tr_reads(out, TR_X, j);
    tr_writes(out, TR_Y, 0);
    out->passes_gradient = true;
}

const tr_op tr_op_add = {
    .schema = {"add", "The sum of the values named by from=a,b,..., as torch.add.", NULL, 0, 1,
               "torch.add"},
    .min_inputs = 2,
    .shape = shape,
    .plan = plan,
};
