/* max_pool2d: the largest value of each window, torch.nn.MaxPool2d (the first of equals, rows
 * first).
 *
 * Windows that do not overlap are fused into the convolution before them, which then computes only
 * the pixels that the pool reads; this file's own phases do the others.
 */
#include "ops/ops.h"

typedef struct max_pool_args {
    int64_t kernel_size, stride;
} max_pool_args;

static const tr_key keys[] = {
    {"kernel_size", TR_KEY_INT, offsetof(max_pool_args, kernel_size), NULL, 1, 1024, NULL,
     "height and width of the window"},
    {"stride", TR_KEY_INT, offsetof(max_pool_args, stride), "kernel_size", 1, 1024, "kernel_size",
     "step from one window to the next"},
};

enum { WINNERS }; /* own: for each output the element of the input that it is */

static int stride_of(const tr_node *node) {
    const max_pool_args *a = node->args;
    return (int)(a->stride < 0 ? a->kernel_size : a->stride);
}

static int shape(tr_node *node, tr_error *err) {
    const max_pool_args *a = node->args;
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    tr_shape in = node->in[0];
    if (a->kernel_size > in.h || a->kernel_size > in.w) {
        char text[64];
        return tr_fail_at(err, tr_key_where(node, "kernel_size"), node->name,
                          "kernel_size=%d is larger than the input of %s, allowed are 1 to %d",
                          (int)a->kernel_size, tr_shape_text(in, text), in.h < in.w ? in.h : in.w);
    }
    node->unfused = (tr_shape){false, (int)((in.h - a->kernel_size) / stride_of(node) + 1),
                               (int)((in.w - a->kernel_size) / stride_of(node) + 1), in.c};
    return TR_OK;
}

static bool as_epilogue(const tr_node *node, tr_epilogue *out) {
    const max_pool_args *a = node->args;
    *out = (tr_epilogue){.pool = (int)a->kernel_size};
    return stride_of(node) == a->kernel_size;
}

static void forward(const tr_work *w) {
    const max_pool_args *a = w->node->args;
    tr_shape in = w->node->in[0], out = w->node->out;
    for (int i = 0; i < w->n; i++)
        w->kernels->max_pool(in.w, in.c, (int)a->kernel_size, stride_of(w->node), out.h, out.w,
                             tr_x(w, 0, i), tr_y(w, i), tr_own(w, WINNERS, i));
}

static void backward(const tr_work *w) {
    for (int i = 0; i < w->n; i++)
        w->kernels->max_pool_dx(tr_shape_size(w->node->out), tr_dy(w, i), tr_own(w, WINNERS, i),
                                tr_dx(w, 0, i), tr_shape_size(w->node->in[0]));
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_plan_sample_buffer(out, tr_shape_size(node->out) * (int64_t)sizeof(int32_t));
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_reads(out, TR_X, 0);
    tr_writes(out, TR_Y, 0);
    tr_writes(out, TR_OWN, WINNERS);
    if (!request->need_dx[0]) return;
    tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, backward);
    tr_reads(out, TR_DY, 0);
    tr_reads(out, TR_OWN, WINNERS);
    tr_writes(out, TR_DX, 0);
}

const tr_op tr_op_max_pool2d = {
    .schema = {"max_pool2d", "Maximum over windows of an image, as torch.nn.MaxPool2d.", keys,
               sizeof keys / sizeof *keys, sizeof(max_pool_args)},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .as_epilogue = as_epilogue,
    .plan = plan,
};
