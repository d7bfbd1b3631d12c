/* add: the sum of two or more values of one shape, torch.add; what joins the branches of a network.
 */
#include <string.h>

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
        tr_real *y = w->y + i * w->ys;
        w->kernels->add(size, w->x[0] + i * w->xs[0], w->x[1] + i * w->xs[1], y);
        for (int j = 2; j < w->node->n_inputs; j++)
            w->kernels->add(size, y, w->x[j] + i * w->xs[j], y);
    }
}

static void backward(const tr_work *w) {
    size_t bytes = (size_t)tr_shape_size(w->node->out) * sizeof(tr_real);
    for (int i = 0; i < w->n; i++) {
        for (int j = 0; j < w->node->n_inputs; j++) {
            if (w->dx[j]) memcpy(w->dx[j] + i * w->xs[j], w->dy + i * w->ys, bytes);
        }
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_node_plan *out) {
    bool any = false;
    for (int j = 0; j < node->n_inputs; j++) any |= request->need_dx[j];
    out->forward[out->n_forward++] =
        (tr_phase){"forward", TR_BY_SAMPLES, 0, TR_USE_X | TR_USE_Y, forward};
    if (any)
        out->backward[out->n_backward++] =
            (tr_phase){"input gradient", TR_BY_SAMPLES, 0, TR_USE_DY | TR_USE_DX, backward};
}

const tr_op tr_op_add = {
    .schema = {"add", "The sum of the values named by from=a,b,..., as torch.add.", NULL, 0, 1},
    .min_inputs = 2,
    .max_inputs = TR_MAX_INPUTS,
    .shape = shape,
    .plan = plan,
};
