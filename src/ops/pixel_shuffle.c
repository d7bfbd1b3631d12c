/* pixel_shuffle: each pixel of c r^2 channels becomes r x r pixels of c channels,
 * torch.nn.PixelShuffle. */
#include "ops/ops.h"

typedef struct shuffle_args {
    int64_t factor;
} shuffle_args;

static const tr_key keys[] = {
    {"upscale_factor", TR_KEY_INT, offsetof(shuffle_args, factor), NULL, 1, 1024, NULL,
     "what height and width are multiplied by"},
};

static int factor_of(const tr_node *node) {
    return (int)((const shuffle_args *)node->args)->factor;
}

static int shape(tr_node *node, tr_error *err) {
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    const tr_shape in = node->in[0];
    const int r = factor_of(node);
    if (in.c % (r * r))
        return tr_fail_at(err, tr_key_where(node, "upscale_factor"), node->name,
                          "upscale_factor=%d needs a multiple of %d channels, not %d", r, r * r,
                          in.c);
    node->unfused = (tr_shape){false, in.h * r, in.w * r, in.c / (r * r)};
    return TR_OK;
}

/* Row i of the r that a row of the input becomes: r pixels of c channels for each of its pixels. */
static void forward(const tr_work *w) {
    const tr_shape in = w->node->in[0], out = w->node->out;
    const int r = factor_of(w->node), c = out.c;
    int32_t *at = w->scratch;
    for (int i = 0; i < r; i++) {
        for (int e = 0; e < r * c; e++) at[e] = (e % c * r + i) * r + e / c;
        for (int n = 0; n < w->n; n++)
            for (int h = 0; h < in.h; h++)
                w->kernels->pick(in.w, r * c, at, tr_x(w, 0, n) + (int64_t)h * in.w * in.c, in.c,
                                 tr_y(w, n) + ((int64_t)h * r + i) * out.w * c, r * c);
    }
}

static void backward(const tr_work *w) {
    const tr_shape in = w->node->in[0], out = w->node->out;
    const int r = factor_of(w->node), c = out.c, row = out.w * c;
    int32_t *at = w->scratch;
    for (int e = 0; e < in.c; e++) at[e] = e / r % r * row + e % r * c + e / (r * r);
    for (int n = 0; n < w->n; n++)
        for (int h = 0; h < in.h; h++)
            w->kernels->pick(in.w, in.c, at, tr_dy(w, n) + (int64_t)h * r * row, r * c,
                             tr_dx(w, 0, n) + (int64_t)h * in.w * in.c, in.c);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    out->scratch_bytes = node->in[0].c * (int64_t)sizeof(int32_t);
    tr_plan_map(out, request, true, forward, backward);
}

const tr_op tr_op_pixel_shuffle = {
    .schema = {"pixel_shuffle",
               "Channels of an image as pixels: c r^2 x h x w becomes c x h r x w r, as "
               "torch.nn.PixelShuffle.",
               keys, sizeof keys / sizeof *keys, sizeof(shuffle_args), "torch.nn.PixelShuffle"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
