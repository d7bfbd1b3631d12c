/* subsample: every stride-th pixel from the first on, x[:, :, ::stride, ::stride]. */
#include <string.h>

#include "ops/ops.h"

typedef struct subsample_args {
    tr_size2 stride;
} subsample_args;

static const tr_key keys[] = {
    {"stride", TR_KEY_SIZE2, offsetof(subsample_args, stride), NULL, 1, 1024, NULL,
     "step from one pixel that is kept to the next"},
};

static int shape(tr_node *node, tr_error *err) {
    const subsample_args *a = node->args;
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    tr_shape in = node->in[0];
    node->unfused = (tr_shape){false, (int)((in.h - 1) / a->stride.h + 1),
                               (int)((in.w - 1) / a->stride.w + 1), in.c};
    return TR_OK;
}

static void forward(const tr_work *w) {
    const subsample_args *a = w->node->args;
    tr_shape in = w->node->in[0], out = w->node->out;
    for (int i = 0; i < w->n; i++) {
        tr_real *y = tr_y(w, i);
        for (int h = 0; h < out.h; h++) {
            const tr_real *x = tr_x(w, 0, i) + h * a->stride.h * in.w * in.c;
            for (int v = 0; v < out.w; v++, y += in.c, x += a->stride.w * in.c)
                memcpy(y, x, (size_t)in.c * sizeof *y);
        }
    }
}

/* Pixels that were not kept have no gradient. */
static void backward(const tr_work *w) {
    const subsample_args *a = w->node->args;
    tr_shape in = w->node->in[0];
    size_t bytes = (size_t)in.c * sizeof(tr_real);
    for (int i = 0; i < w->n; i++) {
        const tr_real *dy = tr_dy(w, i);
        tr_real *dx = tr_dx(w, 0, i);
        for (int h = 0; h < in.h; h++) {
            bool kept = h % a->stride.h == 0;
            for (int v = 0; v < in.w; v++, dx += in.c) {
                if (!kept || v % a->stride.w) {
                    memset(dx, 0, bytes);
                } else {
                    memcpy(dx, dy, bytes);
                    dy += in.c;
                }
            }
        }
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_map(out, request, true, forward, backward);
}

const tr_op tr_op_subsample = {
    .schema = {"subsample",
               "Every stride-th row and column of an image, from the first on: "
               "x[:, :, ::stride, ::stride]. With pad_channels behind it, the parameter-free "
               "shortcut of residual networks.",
               keys, sizeof keys / sizeof *keys, sizeof(subsample_args), ""},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
