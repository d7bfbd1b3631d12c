/* pad_channels: channels of zeros before and after those of an image,
 * torch.nn.functional.pad(x, (0, 0, 0, 0, before, after)). */
#include <string.h>

#include "ops/ops.h"

typedef struct pad_args {
    int64_t before, after;
} pad_args;

static const tr_key keys[] = {
    {"before", TR_KEY_INT, offsetof(pad_args, before), "0", 0, 65536, NULL,
     "channels of zeros in front of the first"},
    {"after", TR_KEY_INT, offsetof(pad_args, after), "0", 0, 65536, NULL,
     "channels of zeros behind the last"},
};

static int shape(tr_node *node, tr_error *err) {
    const pad_args *a = node->args;
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    node->unfused = node->in[0];
    node->unfused.c += (int)(a->before + a->after);
    return TR_OK;
}

static void forward(const tr_work *w) {
    const pad_args *a = w->node->args;
    tr_shape in = w->node->in[0];
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = tr_x(w, 0, i);
        tr_real *y = tr_y(w, i);
        for (int p = 0; p < in.h * in.w; p++, x += in.c) {
            memset(y, 0, (size_t)a->before * sizeof *y);
            y += a->before;
            memcpy(y, x, (size_t)in.c * sizeof *y);
            y += in.c;
            memset(y, 0, (size_t)a->after * sizeof *y);
            y += a->after;
        }
    }
}

static void backward(const tr_work *w) {
    const pad_args *a = w->node->args;
    tr_shape in = w->node->in[0], out = w->node->out;
    for (int i = 0; i < w->n; i++) {
        const tr_real *dy = tr_dy(w, i) + a->before;
        tr_real *dx = tr_dx(w, 0, i);
        for (int p = 0; p < in.h * in.w; p++, dx += in.c, dy += out.c)
            memcpy(dx, dy, (size_t)in.c * sizeof *dx);
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_map(out, request, true, forward, backward);
}

const tr_op tr_op_pad_channels = {
    .schema = {"pad_channels",
               "Channels of zeros before and after those of an image, as "
               "torch.nn.functional.pad(x, (0, 0, 0, 0, before, after)).",
               keys, sizeof keys / sizeof *keys, sizeof(pad_args), "torch.nn.functional.pad"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
