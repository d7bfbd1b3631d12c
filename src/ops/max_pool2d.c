/* max_pool2d: the largest value of each window, torch.nn.MaxPool2d (the first of equals, rows
 * first; padding never counts; NaN is larger than all).
 *
 * Square windows that do not overlap and lie in the image are fused into the convolution before
 * them, which then computes only the pixels that the pool reads; this file's own phases do the
 * others.
 */
#include "ops/pool.h"

static const tr_key keys[] = {
    {"kernel_size", TR_KEY_SIZE2, offsetof(tr_pool_args, kernel_size), NULL, 1, 1024, NULL,
     "height and width of the window"},
    {"stride", TR_KEY_SIZE2, offsetof(tr_pool_args, stride), "kernel_size", 1, 1024, "kernel_size",
     "step from one window to the next"},
    {"padding", TR_KEY_SIZE2, offsetof(tr_pool_args, padding), "0", 0, 512, NULL,
     "how far windows may reach over each side of the image, at most half of kernel_size"},
    {"dilation", TR_KEY_SIZE2, offsetof(tr_pool_args, dilation), "1", 1, 1024, NULL,
     "step from one pixel of a window to the next"},
    {"ceil_mode", TR_KEY_BOOL, offsetof(tr_pool_args, ceil_mode), "false", 0, 0, NULL,
     "keep a last window that reaches past the end but begins before it"},
};

static int shape(tr_node *node, tr_error *err) {
    return tr_pool_shape(node, node->args, err);
}

static bool is_epilogue(const tr_pool_side *s) {
    return s->stride == s->kernel && s->padding == 0 && (s->dilation == 1 || s->kernel == 1) &&
           s->out * s->kernel <= s->in;
}

static bool as_epilogue(const tr_node *node, tr_epilogue *out) {
    tr_pool d = tr_pool_geometry(node, node->args);
    *out = (tr_epilogue){.pool = d.h.kernel};
    return d.h.kernel == d.w.kernel && is_epilogue(&d.h) && is_epilogue(&d.w);
}

static void forward(const tr_work *w) {
    tr_pool d = tr_pool_geometry(w->node, w->node->args);
    tr_pool_largest(w, &d);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_pool_plan_largest(node, request, out, forward);
}

const tr_op tr_op_max_pool2d = {
    .schema =
        {"max_pool2d",
         "Maximum over windows of an image, as torch.nn.MaxPool2d. There is no return_indices: "
         "the places of the maxima are of use to a MaxUnpool2d only, which no classifier has.",
         keys, sizeof keys / sizeof *keys, sizeof(tr_pool_args), "torch.nn.MaxPool2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .as_epilogue = as_epilogue,
    .plan = plan,
};
