/* adaptive_max_pool2d: the largest value of each of output_size windows that divide the image
 * evenly, torch.nn.AdaptiveMaxPool2d. */
#include "ops/pool.h"

typedef struct adaptive_args {
    tr_size2 output_size; /* -1: none */
} adaptive_args;

static const tr_key keys[] = {
    {"output_size", TR_KEY_SIZE2, offsetof(adaptive_args, output_size), NULL, 1, 65536, "none",
     "height and width of the output, none: those of the input"},
};

static tr_pool geometry(const tr_node *node) {
    const adaptive_args *a = node->args;
    const tr_shape in = node->in[0];
    const tr_size2 out = a->output_size;
    return (tr_pool){
        .h = {.in = in.h, .out = out.h < 0 ? in.h : (int)out.h, .dilation = 1},
        .w = {.in = in.w, .out = out.w < 0 ? in.w : (int)out.w, .dilation = 1},
        .c = in.c,
    };
}

static int shape(tr_node *node, tr_error *err) {
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    const tr_pool d = geometry(node);
    node->unfused = (tr_shape){false, d.h.out, d.w.out, d.c};
    return TR_OK;
}

static void forward(const tr_work *w) {
    const tr_pool d = geometry(w->node);
    tr_pool_largest(w, &d);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_pool_plan_largest(node, request, out, forward);
}

const tr_op tr_op_adaptive_max_pool2d = {
    .schema = {"adaptive_max_pool2d",
               "Maximum over as many windows as the output has pixels, as "
               "torch.nn.AdaptiveMaxPool2d. output_size=1 is the maximum of each channel.",
               keys, sizeof keys / sizeof *keys, sizeof(adaptive_args),
               "torch.nn.AdaptiveMaxPool2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
