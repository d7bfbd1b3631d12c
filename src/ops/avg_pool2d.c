/* avg_pool2d: the mean of each window, torch.nn.AvgPool2d. */
#include "ops/pool.h"

typedef struct avg_pool_args {
    tr_pool_args pool; /* dilation is always 1 */
    bool count_include_pad;
    int64_t divisor_override; /* -1: none */
} avg_pool_args;

static const tr_key keys[] = {
    {"kernel_size", TR_KEY_SIZE2, offsetof(avg_pool_args, pool.kernel_size), NULL, 1, 1024, NULL,
     "height and width of the window"},
    {"stride", TR_KEY_SIZE2, offsetof(avg_pool_args, pool.stride), "kernel_size", 1, 1024,
     "kernel_size", "step from one window to the next"},
    {"padding", TR_KEY_SIZE2, offsetof(avg_pool_args, pool.padding), "0", 0, 512, NULL,
     "zeros added on each side of the image, at most half of kernel_size"},
    {"ceil_mode", TR_KEY_BOOL, offsetof(avg_pool_args, pool.ceil_mode), "false", 0, 0, NULL,
     "keep a last window that reaches past the end but begins before it"},
    {"count_include_pad", TR_KEY_BOOL, offsetof(avg_pool_args, count_include_pad), "true", 0, 0,
     NULL, "divide by the window's pixels of the padding, too"},
    {"divisor_override", TR_KEY_INT, offsetof(avg_pool_args, divisor_override), "none", 1,
     INT32_MAX, "none", "what sums are divided by, in place of the number of pixels"},
};

static tr_pool_args window_of(const tr_node *node) {
    tr_pool_args args = ((const avg_pool_args *)node->args)->pool;
    args.dilation = (tr_size2){1, 1};
    return args;
}

static int shape(tr_node *node, tr_error *err) {
    tr_pool_args args = window_of(node);
    return tr_pool_shape(node, &args, err);
}

static tr_pool geometry(const tr_node *node) {
    const avg_pool_args *a = node->args;
    tr_pool_args args = window_of(node);
    tr_pool d = tr_pool_geometry(node, &args);
    d.count_padding = a->count_include_pad;
    d.divisor = a->divisor_override < 0 ? 0 : a->divisor_override;
    return d;
}

static void forward(const tr_work *w) {
    tr_pool d = geometry(w->node);
    tr_pool_average(w, &d);
}

static void backward(const tr_work *w) {
    tr_pool d = geometry(w->node);
    tr_pool_average_dx(w, &d);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_pool_plan_average(node, request, out, forward, backward);
}

const tr_op tr_op_avg_pool2d = {
    .schema = {"avg_pool2d", "Mean over windows of an image, as torch.nn.AvgPool2d.", keys,
               sizeof keys / sizeof *keys, sizeof(avg_pool_args), "torch.nn.AvgPool2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
