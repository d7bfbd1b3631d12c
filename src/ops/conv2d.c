/* conv2d: cross-correlation over an image, torch.nn.Conv2d. The algorithms are in conv2d_*.c. */
#include "ops/conv2d.h"

#include <math.h>
#include <string.h>

static const tr_key keys[] = {
    {"out_channels", TR_KEY_INT, offsetof(tr_conv_args, out_channels), NULL, 1, 65536, NULL,
     "channels of the output"},
    {"kernel_size", TR_KEY_INT, offsetof(tr_conv_args, kernel_size), NULL, 1, 1024, NULL,
     "height and width of the kernel"},
    {"stride", TR_KEY_INT, offsetof(tr_conv_args, stride), "1", 1, 1024, NULL,
     "step of the kernel over the input"},
    {"padding", TR_KEY_INT, offsetof(tr_conv_args, padding), "0", 0, 1024, NULL,
     "zeros added on each side of the input"},
    {"bias", TR_KEY_BOOL, offsetof(tr_conv_args, bias), "true", 0, 0, NULL,
     "add a learnable number to each output channel"},
    TR_PARAMETER_KEYS(tr_conv_args),
};

enum {
    SMALLEST_BLOCK = 256, /* elements of the weights that are worth a thread's while */
};

static const tr_conv_algorithm *algorithm_of(const tr_node *node) {
    return node->epilogue.pool > 1 ? &tr_conv_gather : &tr_conv_dense;
}

/* ---- geometry ---- */

tr_shape tr_conv_padded(const tr_node *node) {
    const tr_conv_args *a = node->args;
    tr_shape s = node->in[0];
    s.h += 2 * (int)a->padding;
    s.w += 2 * (int)a->padding;
    return s;
}

int64_t tr_conv_copy_size(const tr_node *node) {
    const tr_conv_args *a = node->args;
    return a->padding ? tr_shape_size(tr_conv_padded(node)) : 0;
}

tr_shape tr_conv_spread(const tr_node *node) {
    const tr_conv_args *a = node->args;
    int padding = (int)a->kernel_size - 1;
    return (tr_shape){false, node->in[0].h + padding, node->in[0].w + padding,
                      (int)a->out_channels};
}

int64_t tr_conv_rotated_size(const tr_node *node) {
    const tr_conv_args *a = node->args;
    return a->kernel_size * a->kernel_size * a->out_channels *
           tr_round_up(node->in[0].c, TR_BLOCK8);
}

void tr_conv_surround(const tr_real *x, tr_shape in, int64_t border, tr_real *to) {
    const int64_t row = (int64_t)in.w * in.c, side = border * in.c, all = row + 2 * side;
    const size_t edge = (size_t)(border * all + side) * sizeof *x;
    memset(to, 0, edge);
    to += border * all + side;
    for (int h = 0; h < in.h; h++, to += all) {
        memcpy(to, x + h * row, (size_t)row * sizeof *x);
        if (h + 1 < in.h) memset(to + row, 0, (size_t)(2 * side) * sizeof *x);
    }
    memset(to - all + row, 0, edge);
}

const tr_real *tr_conv_pad(const tr_work *w, int i, tr_real *to) {
    const tr_conv_args *a = w->node->args;
    const tr_real *x = tr_x(w, 0, i);
    if (a->padding == 0) return x;
    tr_conv_surround(x, w->node->in[0], a->padding, to);
    return to;
}

tr_conv tr_conv_geometry(const tr_node *node) {
    const tr_conv_args *a = node->args;
    tr_shape in = tr_conv_padded(node), out = node->out;
    int pool = node->epilogue.pool > 1 ? node->epilogue.pool : 1;
    int64_t row = (int64_t)in.w * in.c;
    return (tr_conv){.c = in.c,
                     .k = (int)a->out_channels,
                     .kh = (int)a->kernel_size,
                     .run = (int)(a->kernel_size * in.c),
                     .row = row,
                     .step_w = a->stride * in.c,
                     .step_h = a->stride * row,
                     .oh = out.h * pool,
                     .ow = out.w * pool,
                     .pool = pool,
                     .relu = node->epilogue.relu};
}

/* ---- parameters ---- */

void tr_conv_each(const tr_node *node, int64_t first, int64_t n, int64_t *at,
                  int64_t (*place)(const tr_node *node, int64_t k, int64_t c, int64_t h,
                                   int64_t w)) {
    const tr_conv_args *a = node->args;
    int64_t s = a->kernel_size, channels = node->in[0].c;
    int64_t w = first % s, h = first / s % s, c = first / (s * s) % channels,
            k = first / (s * s * channels);
    for (int64_t i = 0; i < n; i++) {
        at[i] = place(node, k, c, h, w);
        if (++w < s) continue;
        w = 0;
        if (++h < s) continue;
        h = 0;
        if (++c < channels) continue;
        c = 0;
        k++;
    }
}

static int add_parameters(tr_node *node, tr_error *err) {
    const tr_conv_args *a = node->args;
    const tr_conv_algorithm *algorithm = algorithm_of(node);
    int64_t s = a->kernel_size, k = a->out_channels, c = node->in[0].c;
    double range = 1 / sqrt((double)(s * s * c)); /* kaiming_uniform with a = sqrt(5) */
    int64_t size = algorithm->size(node), block = algorithm->block(node);
    block *= SMALLEST_BLOCK / block + 1;
    tr_state weight = {.suffix = "weight",
                       .kind = TR_PARAMETER,
                       .n_dims = 4,
                       .dim = {k, c, s, s},
                       .size = size,
                       .n_blocks = (size + block - 1) / block,
                       .block = block,
                       .used = block,
                       .tile = block,
                       .init_range = range,
                       .index = algorithm->index};
    if (algorithm->largest_tile) weight.tile = tr_min(block, algorithm->largest_tile);
    tr_state bias = tr_vector_parameter("bias", k);
    bias.init_range = range;
    if (!tr_add_state(node, &weight, err)) return TR_ENOMEM;
    return a->bias && !tr_add_state(node, &bias, err) ? TR_ENOMEM : TR_OK;
}

/* What the input gradient makes for itself, whether it will be needed or not: the gradient of the
 * output, spread, with its planes; the rotated kernel. */
static int check_copies(const tr_node *node, tr_error *err) {
    const tr_conv_args *a = node->args;
    tr_shape s = tr_conv_spread(node);
    int64_t spread = tr_shape_size(s) + (int64_t)s.c * s.h * tr_round_up(s.w, TR_BLOCK8);
    int64_t most = tr_max(spread, tr_conv_rotated_size(node));
    if (most <= INT32_MAX) return TR_OK;
    return tr_fail_at(
        err, tr_key_where(node, "kernel_size"), node->name,
        "kernel_size=%lld with out_channels=%lld makes copies of %lld numbers for the "
        "input gradient, allowed are up to %d",
        (long long)a->kernel_size, (long long)a->out_channels, (long long)most, INT32_MAX);
}

static int shape(tr_node *node, tr_error *err) {
    const tr_conv_args *a = node->args;
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    tr_shape in = tr_conv_padded(node);
    int64_t s = a->kernel_size, k = a->out_channels, c = in.c;
    if (s > in.h || s > in.w)
        return tr_fail_at(
            err, tr_key_where(node, "kernel_size"), node->name,
            "kernel_size=%d is larger than the padded input of %d x %d, allowed are 1 to %d",
            (int)s, in.h, in.w, in.h < in.w ? in.h : in.w);
    if (s * s * c * tr_round_up(k, TR_LANES) > TR_MAX_WEIGHTS)
        return tr_fail_at(err, tr_key_where(node, "out_channels"), node->name,
                          "out_channels=%lld of %lld x %lld x %lld makes %lld weights, allowed are "
                          "up to %d",
                          (long long)k, (long long)c, (long long)s, (long long)s,
                          (long long)(s * s * c * tr_round_up(k, TR_LANES)), TR_MAX_WEIGHTS);
    if (tr_shape_size(in) > TR_MAX_VALUE)
        return tr_fail_at(
            err, tr_key_where(node, "padding"), node->name,
            "padding=%lld makes an input of %lld x %d x %d numbers, allowed are up to %d",
            (long long)a->padding, (long long)c, in.h, in.w, TR_MAX_VALUE);
    if ((code = check_copies(node, err))) return code;
    node->unfused = (tr_shape){false, (int)((in.h - s) / a->stride + 1),
                               (int)((in.w - s) / a->stride + 1), (int)k};
    return add_parameters(node, err);
}

static bool fuse(tr_node *node, const tr_epilogue *e) {
    if (e->pool) {
        if (node->epilogue.pool || e->pool < 2 || e->pool > TR_LARGEST_POOL) return false;
        node->epilogue.pool = e->pool;
    }
    node->epilogue.relu |= e->relu;
    return true;
}

static int64_t multiply_adds(const tr_node *node) {
    const tr_conv_args *a = node->args;
    return tr_shape_size(node->unfused) * a->kernel_size * a->kernel_size * node->in[0].c;
}

/* ---- what the algorithms plan alike ---- */

void tr_conv_plan_pack(const tr_node *node, tr_plan *out, int resource, int64_t elements,
                       void (*run)(const tr_work *w)) {
    const tr_conv_args *a = node->args;
    if (elements >= TR_CONV_SHARED) {
        int blocks = (int)((a->out_channels + TR_LANES - 1) / TR_LANES);
        tr_plan_blocks(out, TR_PACK, "pack weights", blocks, run);
    } else {
        tr_plan_phase(out, TR_PACK, "pack weights", TR_PER_THREAD, run);
    }
    tr_reads(out, TR_STATE, TR_CONV_WEIGHT);
    (elements >= TR_CONV_SHARED ? tr_writes_block : tr_writes)(out, TR_OWN, resource);
}

void tr_conv_pack_range(const tr_work *w, int *k0, int *k1) {
    const tr_conv_args *a = w->node->args;
    int blocks = (int)tr_max(1, w->n_blocks);
    *k0 = (int)tr_part(a->out_channels, w->block, blocks);
    *k1 = (int)tr_part(a->out_channels, w->block + 1, blocks);
}

/* Is the padded input kept for the gradient of the weights? */
static bool is_padded(const tr_node *node, const tr_request *request) {
    return node->state[TR_CONV_WEIGHT].size > request->wide && tr_conv_copy_size(node) > 0;
}

static void pad(const tr_work *w) {
    for (int i = 0; i < w->n; i++) tr_conv_pad(w, i, tr_own(w, TR_CONV_PADDED, i));
}

void tr_conv_plan_padded(const tr_node *node, tr_plan *out) {
    tr_plan_sample_buffer(out, tr_conv_copy_size(node) * (int64_t)sizeof(tr_real));
}

void tr_conv_plan_pad(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (!is_padded(node, request)) return;
    tr_plan_phase(out, TR_BACKWARD, "pad input", TR_BY_SAMPLES, pad);
    tr_reads(out, TR_X, 0);
    tr_writes(out, TR_OWN, TR_CONV_PADDED);
}

void tr_conv_reads_padded(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (is_padded(node, request))
        tr_reads(out, TR_OWN, TR_CONV_PADDED);
    else
        tr_reads(out, TR_X, 0);
}

const tr_real *tr_conv_padded_input(const tr_work *w, int i) {
    return tr_has_own(w, TR_CONV_PADDED) ? tr_own(w, TR_CONV_PADDED, i)
                                         : tr_conv_pad(w, i, w->scratch);
}

void tr_conv_plan_sum(const tr_node *node, const tr_request *request, tr_plan *out, int state,
                      tr_leaf add_leaf) {
    const tr_state *parameter = &node->state[state];
    tr_sum sum = {.label = state == TR_CONV_WEIGHT ? "weight gradient" : "bias gradient",
                  .size = parameter->size,
                  .leaf = 1,
                  .by_elements = parameter->size > request->wide,
                  .add_leaf = add_leaf};
    int number = tr_plan_sum(out, &sum);
    tr_plan_gradient(out, state, &(tr_gradient){.sum = number});
    tr_plan_add_up(out, TR_BACKWARD, number);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    algorithm_of(node)->plan(node, request, out);
}

const tr_op tr_op_conv2d = {
    .schema = {"conv2d",
               "Convolution over an image, square kernels, as torch.nn.Conv2d. A relu and a "
               "max_pool2d after it are fused into it.",
               keys, sizeof keys / sizeof *keys, sizeof(tr_conv_args), "torch.nn.Conv2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .fuse = fuse,
    .plan = plan,
    .multiply_adds = multiply_adds,
};
