/* subsample: every stride-th pixel from the first on, x[:, :, ::stride, ::stride]. */
#include "ops/resample.h"

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

static int taps(const tr_node *node, bool rows, int o, tr_tap out[TR_MOST_TAPS]) {
    const subsample_args *a = node->args;
    out[0] = (tr_tap){(int)(o * (rows ? a->stride.h : a->stride.w)), 1};
    return 1;
}

static void forward(const tr_work *w) {
    tr_resample(w, taps, false);
}

static void backward(const tr_work *w) {
    tr_resample_dx(w, taps, false);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_resample_plan(node, request, out, forward, backward);
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
