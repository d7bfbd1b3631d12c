/* conv_transpose2d: the input gradient of a convolution as a layer, torch.nn.ConvTranspose2d. The
 * image of that convolution is the layer's output. */
#include "ops/conv.h"

typedef struct transpose_args {
    tr_conv_layer layer; /* first */
    int64_t in_channels, out_channels, groups;
    tr_size2 kernel_size, stride, padding, output_padding, dilation;
    bool bias;
    int padding_mode;
    tr_parameter_args parameters;
} transpose_args;

enum { LARGEST_SIDE = 1 << 15 }; /* that is computed with below */

static const tr_key keys[] = {
    {"in_channels", TR_KEY_INT, offsetof(transpose_args, in_channels), "input", 1, 65536, "input",
     "channels of the input, for the reader: another number is an error"},
    {"out_channels", TR_KEY_INT, offsetof(transpose_args, out_channels), NULL, 1, 65536, NULL,
     "channels of the output"},
    {"kernel_size", TR_KEY_SIZE2, offsetof(transpose_args, kernel_size), NULL, 1, 1024, NULL,
     "height and width of the kernel"},
    {"stride", TR_KEY_SIZE2, offsetof(transpose_args, stride), "1", 1, 1024, NULL,
     "step of the kernel over the output from one pixel of the input to the next"},
    {"padding", TR_KEY_SIZE2, offsetof(transpose_args, padding), "0", 0, 1024, NULL,
     "pixels that are taken off each side of the output"},
    {"output_padding", TR_KEY_SIZE2, offsetof(transpose_args, output_padding), "0", 0, 1023, NULL,
     "pixels that are added below and on the right of the output, fewer than the stride or the "
     "dilation"},
    {"groups", TR_KEY_INT, offsetof(transpose_args, groups), "1", 1, 65536, NULL,
     "parts of the channels that are convolved apart; it divides those of input and output"},
    {"bias", TR_KEY_BOOL, offsetof(transpose_args, bias), "true", 0, 0, NULL,
     "add a learnable number to each output channel"},
    {"dilation", TR_KEY_SIZE2, offsetof(transpose_args, dilation), "1", 1, 1024, NULL,
     "step from one tap of the kernel to the next"},
    {"padding_mode", TR_KEY_CHOICE, offsetof(transpose_args, padding_mode), "zeros", 0, 0, "zeros",
     "zeros, as in PyTorch, which has no other"},
    TR_PARAMETER_KEYS(transpose_args),
};

/* The side of the convolution: `in` is the layer's output, 0 or less where nothing is left. */
static tr_conv_side side_of(int in, int64_t kernel, int64_t stride, int64_t padding, int64_t more,
                            int64_t dilation) {
    const int64_t all = (in - 1) * stride + dilation * (kernel - 1) + 1 + more;
    return (tr_conv_side){.in = (int)tr_min(all - 2 * padding, INT32_MAX / 4),
                          .out = in,
                          .kernel = (int)kernel,
                          .stride = (int)stride,
                          .dilation = (int)dilation,
                          .before = (int)padding,
                          .after = (int)padding};
}

static int check_sizes(const tr_node *node, const tr_conv_spec *s, tr_error *err) {
    const transpose_args *a = node->args;
    char text[TR_SIZE_TEXT], most[TR_SIZE_TEXT], shape[64];
    const int64_t h = tr_max(a->stride.h, a->dilation.h), w = tr_max(a->stride.w, a->dilation.w);
    if (a->output_padding.h >= h || a->output_padding.w >= w)
        return tr_fail_at(err, tr_key_where(node, "output_padding"), node->name,
                          "output_padding=%s must be smaller than stride or dilation, allowed are "
                          "0 to %s",
                          tr_conv_size_text(a->output_padding.h, a->output_padding.w, text),
                          tr_conv_size_text(h - 1, w - 1, most));
    if (s->h.in < 1 || s->w.in < 1)
        return tr_fail_at(err, tr_key_where(node, "padding"), node->name,
                          "padding=%s leaves nothing of the output of an input of %s, allowed are "
                          "0 to %s",
                          tr_conv_size_text(a->padding.h, a->padding.w, text),
                          tr_shape_text(node->in[0], shape),
                          tr_conv_size_text((tr_conv_extent(&s->h) - 1) / 2,
                                            (tr_conv_extent(&s->w) - 1) / 2, most));
    return TR_OK;
}

static int shape(tr_node *node, tr_error *err) {
    transpose_args *a = node->args;
    const tr_shape in = node->in[0];
    int code = tr_want_image(node, 0, err);
    if (code == TR_OK)
        code = tr_conv_check_channels(node, a->in_channels, a->out_channels, a->groups, err);
    if (code) return code;
    const tr_conv_spec s = {.h = side_of(in.h, a->kernel_size.h, a->stride.h, a->padding.h,
                                         a->output_padding.h, a->dilation.h),
                            .w = side_of(in.w, a->kernel_size.w, a->stride.w, a->padding.w,
                                         a->output_padding.w, a->dilation.w),
                            .c = (int)a->out_channels,
                            .k = in.c,
                            .groups = (int)a->groups,
                            .mode = TR_PAD_ZEROS,
                            .pool = 1,
                            .relu = node->epilogue.relu};
    if ((code = check_sizes(node, &s, err))) return code;
    a->layer = (tr_conv_layer){.spec = s, .transposed = true};
    node->unfused = (tr_shape){false, s.h.in, s.w.in, s.c};
    if (s.h.in > LARGEST_SIDE || s.w.in > LARGEST_SIDE ||
        tr_shape_size(node->unfused) > TR_MAX_VALUE)
        return TR_OK; /* the graph refuses it */
    const int64_t dim[] = {s.k, s.c / s.groups, s.h.kernel, s.w.kernel};
    return tr_conv_add_parameters(node, &a->layer, dim, a->bias, err);
}

static bool fuse(tr_node *node, const tr_epilogue *e) {
    if (e->pool) return false;
    node->epilogue.relu |= e->relu;
    return true;
}

const tr_op tr_op_conv_transpose2d = {
    .schema = {"conv_transpose2d",
               "Transposed convolution over an image, as torch.nn.ConvTranspose2d. A relu after it "
               "is fused into it.",
               keys, sizeof keys / sizeof *keys, sizeof(transpose_args),
               "torch.nn.ConvTranspose2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .fuse = fuse,
    .plan = tr_conv_plan,
    .multiply_adds = tr_conv_multiply_adds,
    .algorithm = tr_conv_algorithm_name,
};
