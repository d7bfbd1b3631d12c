/* conv2d: cross-correlation over an image, torch.nn.Conv2d. The algorithms are in conv_*.c. */
#include "ops/conv.h"

typedef struct conv2d_args {
    tr_conv_layer layer; /* first */
    int64_t in_channels, out_channels, groups;
    tr_size2 kernel_size, stride, padding, dilation;
    bool bias;
    int padding_mode;
    tr_parameter_args parameters;
} conv2d_args;

/* Words of arguments. */
enum { SAME = -1, VALID = -2 };
#define MODES "zeros reflect replicate circular"
static const char *const modes[] = {"zeros", "reflect", "replicate", "circular"};

static const tr_key keys[] = {
    {"in_channels", TR_KEY_INT, offsetof(conv2d_args, in_channels), "input", 1, 65536, "input",
     "channels of the input, for the reader: another number is an error"},
    {"out_channels", TR_KEY_INT, offsetof(conv2d_args, out_channels), NULL, 1, 65536, NULL,
     "channels of the output"},
    {"kernel_size", TR_KEY_SIZE2, offsetof(conv2d_args, kernel_size), NULL, 1, 1024, NULL,
     "height and width of the kernel"},
    {"stride", TR_KEY_SIZE2, offsetof(conv2d_args, stride), "1", 1, 1024, NULL,
     "step of the kernel over the input"},
    {"padding", TR_KEY_SIZE2, offsetof(conv2d_args, padding), "0", 0, 1024, "same valid",
     "pixels added on each side of the input; same: so many that the output is as large (for "
     "stride 1; where their number is odd, one more below and on the right); valid: none"},
    {"dilation", TR_KEY_SIZE2, offsetof(conv2d_args, dilation), "1", 1, 1024, NULL,
     "step from one tap of the kernel to the next"},
    {"groups", TR_KEY_INT, offsetof(conv2d_args, groups), "1", 1, 65536, NULL,
     "parts of the channels that are convolved apart; it divides those of input and output"},
    {"bias", TR_KEY_BOOL, offsetof(conv2d_args, bias), "true", 0, 0, NULL,
     "add a learnable number to each output channel"},
    {"padding_mode", TR_KEY_CHOICE, offsetof(conv2d_args, padding_mode), "zeros", 0, 0, MODES,
     "what the added pixels are: zeros, mirrored at the edge pixel, copies of the edge pixel, "
     "those "
     "of the opposite side"},
    TR_PARAMETER_KEYS(conv2d_args),
};

/* ---- sizes ---- */

static tr_conv_side side_of(int in, int64_t kernel, int64_t stride, int64_t padding,
                            int64_t dilation) {
    const int span = (int)(dilation * (kernel - 1));
    tr_conv_side s = {.in = in,
                      .kernel = (int)kernel,
                      .stride = (int)stride,
                      .dilation = (int)dilation,
                      .before = (int)padding,
                      .after = (int)padding};
    if (padding == SAME) {
        s.before = span / 2;
        s.after = span - s.before;
    } else if (padding == VALID) {
        s.before = s.after = 0;
    }
    const int room = tr_conv_extent(&s) - span - 1;
    s.out = room < 0 ? 0 : room / s.stride + 1;
    return s;
}

static tr_conv_spec spec_of(const tr_node *node) {
    const conv2d_args *a = node->args;
    const tr_shape in = node->in[0];
    return (tr_conv_spec){
        .h = side_of(in.h, a->kernel_size.h, a->stride.h, a->padding.h, a->dilation.h),
        .w = side_of(in.w, a->kernel_size.w, a->stride.w, a->padding.w, a->dilation.w),
        .c = in.c,
        .k = (int)a->out_channels,
        .groups = (int)a->groups,
        .mode = (tr_padding_mode)a->padding_mode,
        .pool = node->epilogue.pool > 1 ? node->epilogue.pool : 1,
        .relu = node->epilogue.relu};
}

static int check_padding(const tr_node *node, const tr_conv_spec *s, tr_error *err) {
    const conv2d_args *a = node->args;
    char text[TR_SIZE_TEXT];
    if ((a->padding.h < 0 || a->padding.w < 0) && a->padding.h != a->padding.w)
        return tr_fail_at(err, tr_key_where(node, "padding"), node->name,
                          "padding mixes a word with another: write same or valid alone, or two "
                          "numbers");
    if (a->padding.h == SAME && (s->h.stride > 1 || s->w.stride > 1))
        return tr_fail_at(err, tr_key_where(node, "padding"), node->name,
                          "padding=same wants stride=1, not stride=%s",
                          tr_conv_size_text(s->h.stride, s->w.stride, text));
    if (s->mode != TR_PAD_REFLECT && s->mode != TR_PAD_CIRCULAR) return TR_OK;
    const int less = s->mode == TR_PAD_REFLECT; /* than the image */
    const int most_h = s->h.in - less, most_w = s->w.in - less;
    if (s->h.after <= most_h && s->w.after <= most_w) return TR_OK;
    char most[TR_SIZE_TEXT];
    return tr_fail_at(
        err, tr_key_where(node, "padding"), node->name,
        "padding=%s%s is too much for padding_mode=%s of an input of %d x %d, allowed "
        "are 0 to %s",
        a->padding.h == SAME ? "same, " : "", tr_conv_size_text(s->h.after, s->w.after, text),
        modes[s->mode], s->h.in, s->w.in, tr_conv_size_text(most_h, most_w, most));
}

static int64_t largest_kernel(const tr_conv_side *s) {
    return (tr_conv_extent(s) - 1) / s->dilation + 1;
}

static int check_kernel(const tr_node *node, const tr_conv_spec *s, tr_error *err) {
    if (s->h.out > 0 && s->w.out > 0) return TR_OK;
    char kernel[TR_SIZE_TEXT], dilation[TR_SIZE_TEXT], most[TR_SIZE_TEXT];
    const bool dilated = s->h.dilation > 1 || s->w.dilation > 1;
    int64_t h = largest_kernel(&s->h), w = largest_kernel(&s->w);
    if (s->h.kernel == s->w.kernel) h = w = tr_min(h, w);
    tr_conv_size_text(s->h.dilation, s->w.dilation, dilation);
    return tr_fail_at(
        err, tr_key_where(node, "kernel_size"), node->name,
        "kernel_size=%s%s%s is larger than the padded input of %d x %d, allowed are 1 to %s",
        tr_conv_size_text(s->h.kernel, s->w.kernel, kernel), dilated ? " with dilation=" : "",
        dilated ? dilation : "", tr_conv_extent(&s->h), tr_conv_extent(&s->w),
        tr_conv_size_text(h, w, most));
}

static int shape(tr_node *node, tr_error *err) {
    conv2d_args *a = node->args;
    int code = tr_want_image(node, 0, err);
    if (code == TR_OK)
        code = tr_conv_check_channels(node, a->in_channels, a->out_channels, a->groups, err);
    if (code) return code;
    const tr_conv_spec s = spec_of(node);
    if ((code = check_padding(node, &s, err)) || (code = check_kernel(node, &s, err))) return code;
    a->layer = (tr_conv_layer){.spec = s};
    node->unfused = (tr_shape){false, s.h.out, s.w.out, s.k};
    const int64_t dim[] = {s.k, s.c / s.groups, s.h.kernel, s.w.kernel};
    return tr_conv_add_parameters(node, &a->layer, dim, a->bias, err);
}

/* A pool is fused where the algorithm that would be chosen does it, too. */
static bool fuse(tr_node *node, const tr_epilogue *e) {
    if (e->pool) {
        tr_conv_spec s = spec_of(node);
        s.pool = e->pool;
        if (node->epilogue.pool || e->pool < 2 || e->pool > TR_LARGEST_POOL) return false;
        if (tr_conv_choose(&s) == NULL) return false;
        node->epilogue.pool = e->pool;
    }
    node->epilogue.relu |= e->relu;
    return true;
}

const tr_op tr_op_conv2d = {
    .schema = {"conv2d",
               "Convolution over an image, as torch.nn.Conv2d. A relu and a max_pool2d after it "
               "are fused into it.",
               keys, sizeof keys / sizeof *keys, sizeof(conv2d_args), "torch.nn.Conv2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .fuse = fuse,
    .plan = tr_conv_plan,
    .multiply_adds = tr_conv_multiply_adds,
    .algorithm = tr_conv_algorithm_name,
};
