/* concat: values one behind the other, channels of images or features, torch.cat(values, 1).
 *
 * Features that were flattened from images of one size stay in the order of the image, which is
 * that of a flattened concat. Others have PyTorch's order afterwards. */
#include "ops/ops.h"

/* Are the channels of each pixel joined? Else all features of one input follow those of another. */
static bool by_pixels(const tr_node *node) {
    for (int j = 1; j < node->n_inputs; j++)
        if (node->in[j].h != node->in[0].h || node->in[j].w != node->in[0].w) return false;
    return true;
}

static int shape(tr_node *node, tr_error *err) {
    const tr_shape first = node->in[0];
    int64_t channels = 0, features = 0;
    for (int j = 0; j < node->n_inputs; j++) {
        const tr_shape s = node->in[j];
        channels += s.c;
        features += tr_shape_size(s);
        if (s.flat == first.flat && (s.flat || (s.h == first.h && s.w == first.w))) continue;
        char a[64], b[64];
        tr_shape_text(first, a);
        tr_shape_text(s, b);
        if (s.flat != first.flat)
            return tr_fail_at(err, node->where, node->name,
                              "concat wants images or features, not both: %s and %s", a, b);
        return tr_fail_at(err, node->where, node->name,
                          "concat wants images of one height and width, not %s and %s", a, b);
    }
    if (features > TR_MAX_VALUE)
        return tr_fail_at(err, node->where, node->name,
                          "its output would be too large: %lld numbers, allowed are up to %d",
                          (long long)features, TR_MAX_VALUE);
    node->unfused = by_pixels(node) ? (tr_shape){first.flat, first.h, first.w, (int)channels}
                                    : (tr_shape){true, 1, 1, (int)features};
    return TR_OK;
}

static void forward(const tr_work *w) {
    const tr_node *node = w->node;
    const bool pixels = by_pixels(node);
    for (int i = 0; i < w->n; i++) {
        tr_real *y = tr_y(w, i);
        for (int j = 0; j < node->n_inputs; j++) {
            const tr_shape s = node->in[j];
            const tr_real *x = tr_x(w, j, i);
            if (pixels) {
                w->kernels->copy_rows((int64_t)s.h * s.w, s.c, x, s.c, y, node->out.c);
                y += s.c;
            } else {
                for (int64_t e = 0; e < tr_shape_size(s); e++) *y++ = x[tr_feature_at(s, e)];
            }
        }
    }
}

static void backward(const tr_work *w) {
    const tr_node *node = w->node;
    const bool pixels = by_pixels(node);
    for (int i = 0; i < w->n; i++) {
        const tr_real *dy = tr_dy(w, i);
        for (int j = 0; j < node->n_inputs; j++) {
            const tr_shape s = node->in[j];
            const int64_t size = tr_shape_size(s);
            if (tr_has_dx(w, j)) {
                tr_real *dx = tr_dx(w, j, i);
                if (pixels)
                    w->kernels->copy_rows((int64_t)s.h * s.w, s.c, dy, node->out.c, dx, s.c);
                else
                    for (int64_t e = 0; e < size; e++) dx[tr_feature_at(s, e)] = dy[e];
            }
            dy += pixels ? s.c : size;
        }
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    bool needed = false;
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_plan_pointwise(out);
    for (int j = 0; j < node->n_inputs; j++) {
        tr_reads(out, TR_X, j);
        needed |= request->need_dx[j];
    }
    tr_writes(out, TR_Y, 0);
    if (!needed) return;
    tr_plan_phase(out, TR_BACKWARD, "input gradients", TR_BY_SAMPLES, backward);
    tr_reads(out, TR_DY, 0);
    for (int j = 0; j < node->n_inputs; j++)
        if (request->need_dx[j]) tr_writes(out, TR_DX, j);
}

const tr_op tr_op_concat = {
    .schema = {"concat",
               "The channels (or features) of the values named by from=a,b,..., one value's behind "
               "the other's, as torch.cat(values, dim=1).",
               NULL, 0, 1, "torch.cat"},
    .min_inputs = 2,
    .shape = shape,
    .plan = plan,
};
