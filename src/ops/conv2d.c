/* conv2d: cross-correlation over an image, torch.nn.Conv2d.
 *
 * Two algorithms, chosen by what is fused into the layer and nothing else:
 *  - gathered: with a max pool at its end each window passes its gradient to one pixel. Backward
 *    makes a gather list of those (a quarter of the pixels for 2 x 2). Weights live in gather
 *    layout.
 *  - dense: weights live in forward layout; the input gradient is a convolution of the gradient
 *    (spread by the stride, zero-padded) with the rotated kernel.
 * The other layout is packed at the start of each step: per thread while it is small, once in a
 * shared buffer where it is large.
 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

typedef struct conv_args {
    int64_t out_channels, kernel_size, stride, padding;
    bool bias;
} conv_args;

static const tr_key keys[] = {
    {"out_channels", TR_KEY_INT, offsetof(conv_args, out_channels), NULL, 1, 65536, NULL,
     "channels of the output"},
    {"kernel_size", TR_KEY_INT, offsetof(conv_args, kernel_size), NULL, 1, 1024, NULL,
     "height and width of the kernel"},
    {"stride", TR_KEY_INT, offsetof(conv_args, stride), "1", 1, 1024, NULL,
     "step of the kernel over the input"},
    {"padding", TR_KEY_INT, offsetof(conv_args, padding), "0", 0, 1024, NULL,
     "zeros added on each side of the input"},
    {"bias", TR_KEY_BOOL, offsetof(conv_args, bias), "true", 0, 0, NULL,
     "add a learnable number to each output channel"},
};

enum {
    WEIGHT,
    BIAS,
    SHARED_COPY = 64 * 1024, /* elements from which on packed weights are shared */
    SMALLEST_BLOCK = 256,    /* elements of the weights, at least, of a thread's block */
    LARGEST_TILE = 2048,     /* elements of the weights that are updated at a time */
};

/* ---- geometry ---- */

static bool is_gathered(const tr_node *node) {
    return node->epilogue.pool > 1;
}

static int run8_of(const tr_node *node) {
    const conv_args *a = node->args;
    return (int)tr_round_up(a->kernel_size * node->in[0].c, TR_BLOCK8);
}

/* Elements of the forward layout from output channel k on belong to blocks of this many lanes. */
static int lanes_at(int k, int k0) {
    return k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8;
}

static tr_shape padded_input(const tr_node *node) {
    const conv_args *a = node->args;
    tr_shape s = node->in[0];
    s.h += 2 * (int)a->padding;
    s.w += 2 * (int)a->padding;
    return s;
}

/* The pixels of the convolution that are computed: those that a pool reads, or all. */
static tr_conv geometry(const tr_node *node) {
    const conv_args *a = node->args;
    tr_shape in = padded_input(node), out = node->out;
    int pool = is_gathered(node) ? node->epilogue.pool : 1;
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

/* The gradient as the rotated convolution reads it: spread by the stride, zero-padded by
 * kernel_size - 1. */
static tr_shape spread_shape(const tr_node *node) {
    const conv_args *a = node->args;
    int padded = (int)a->kernel_size - 1;
    return (tr_shape){false, node->in[0].h + padded, node->in[0].w + padded, (int)a->out_channels};
}

/* ---- parameters ---- */

static int64_t index_gathered(const tr_node *node, int64_t i) {
    const conv_args *a = node->args;
    int64_t s = a->kernel_size, c = node->in[0].c;
    int64_t w = i % s, h = i / s % s, ci = i / (s * s) % c, k = i / (s * s * c);
    return (k * s + h) * run8_of(node) + w * c + ci;
}

static int64_t index_dense(const tr_node *node, int64_t i) {
    const conv_args *a = node->args;
    int64_t s = a->kernel_size, c = node->in[0].c;
    int64_t w = i % s, h = i / s % s, ci = i / (s * s) % c, k = i / (s * s * c);
    int64_t k0 = k / TR_LANES * TR_LANES, lanes = lanes_at((int)a->out_channels, (int)k0);
    return k0 * s * s * c + ((h * s + w) * c + ci) * lanes + k % TR_LANES;
}

static int shape(tr_node *node, tr_error *err) {
    const conv_args *a = node->args;
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    tr_shape in = padded_input(node);
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
    node->unfused = (tr_shape){false, (int)((in.h - s) / a->stride + 1),
                               (int)((in.w - s) / a->stride + 1), (int)k};
    double bound = 1 / sqrt((double)(s * s * c)); /* kaiming_uniform with a = sqrt(5) */
    int64_t per_k = s * run8_of(node),
            size = is_gathered(node) ? k * per_k : tr_round_up(k, TR_BLOCK8) * s * s * c;
    int64_t piece = is_gathered(node) ? per_k * (SMALLEST_BLOCK / per_k + 1) : TR_LANES * s * s * c;
    node->n_params = 1 + a->bias;
    node->param[WEIGHT] = (tr_param){.suffix = "weight",
                                     .n_dims = 4,
                                     .dim = {k, c, s, s},
                                     .size = size,
                                     .n_blocks = (size + piece - 1) / piece,
                                     .block = piece,
                                     .used = piece,
                                     .tile = tr_min(piece, LARGEST_TILE),
                                     .init_range = bound,
                                     .index = is_gathered(node) ? index_gathered : index_dense};
    int64_t k8 = tr_round_up(k, TR_BLOCK8);
    node->param[BIAS] = (tr_param){.suffix = "bias",
                                   .n_dims = 1,
                                   .dim = {k},
                                   .size = k8,
                                   .n_blocks = 1,
                                   .block = k8,
                                   .used = k8,
                                   .tile = k8,
                                   .init_range = bound,
                                   .index = tr_index_same};
    return TR_OK;
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
    const conv_args *a = node->args;
    return tr_shape_size(node->unfused) * a->kernel_size * a->kernel_size * node->in[0].c;
}

/* ---- packed weights ---- */

/* Gather layout -> forward layout, channels k0..k1-1. */
static void to_forward(const tr_conv *d, const tr_real *w, int k0, int k1, tr_real *out) {
    int run8 = (int)tr_round_up(d->run, TR_BLOCK8);
    for (int k = k0; k < k1; k++) {
        int first = k / TR_LANES * TR_LANES, lanes = lanes_at(d->k, first);
        tr_real *to = out + (int64_t)first * d->kh * d->run + k % TR_LANES;
        for (int r = 0; r < d->kh; r++) {
            const tr_real *from = w + ((int64_t)k * d->kh + r) * run8;
            for (int j = 0; j < d->run; j++, to += lanes) *to = from[j];
        }
    }
}

/* Forward layout -> the forward layout of the rotated kernel, whose inputs are the output channels:
 * element (h, w, k) of input channel c is (s-1-h, s-1-w, c) of output channel k. */
static void to_rotated(const tr_conv *d, const tr_real *w, int k0, int k1, tr_real *out) {
    for (int k = k0; k < k1; k++) {
        int first = k / TR_LANES * TR_LANES, from_lanes = lanes_at(d->k, first);
        const tr_real *from = w + (int64_t)first * d->kh * d->run + k % TR_LANES;
        for (int t = d->kh * d->kh - 1; t >= 0; t--) {
            for (int c = 0; c < d->c; c++, from += from_lanes) {
                int c0 = c / TR_LANES * TR_LANES, lanes = lanes_at(d->c, c0);
                out[(int64_t)c0 * d->kh * d->kh * d->k + ((int64_t)t * d->k + k) * lanes +
                    c % TR_LANES] = *from;
            }
        }
    }
}

static tr_real *packed_weights(const tr_work *w) {
    return w->shared ? w->shared : w->per_thread;
}

static void pack(const tr_work *w) {
    tr_conv d = geometry(w->node);
    int blocks = (int)tr_max(1, w->n_blocks);
    int k0 = (int)tr_part(d.k, w->block, blocks), k1 = (int)tr_part(d.k, w->block + 1, blocks);
    const tr_real *weight = w->node->param[WEIGHT].value;
    (is_gathered(w->node) ? to_forward : to_rotated)(&d, weight, k0, k1, packed_weights(w));
}

/* ---- phases ---- */

/* Elements of scratch that a zero-padded sample takes. */
static int64_t padding_size(const tr_node *node) {
    return ((const conv_args *)node->args)->padding ? tr_shape_size(padded_input(node)) : 0;
}

/* One zero-padded sample; the sample itself where there is no padding. */
static const tr_real *zero_padded(const tr_work *w, int i) {
    const conv_args *a = w->node->args;
    const tr_real *x = w->x[0] + i * w->xs[0];
    if (a->padding == 0) return x;
    tr_shape in = w->node->in[0], out = padded_input(w->node);
    int64_t row = (int64_t)in.w * in.c;
    memset(w->scratch, 0, (size_t)tr_shape_size(out) * sizeof *x);
    for (int h = 0; h < in.h; h++) {
        memcpy(w->scratch + ((h + a->padding) * out.w + a->padding) * in.c, x + h * row,
               (size_t)row * sizeof *x);
    }
    return w->scratch;
}

static void forward(const tr_work *w) {
    const conv_args *a = w->node->args;
    tr_conv d = geometry(w->node);
    const tr_real *weight = is_gathered(w->node) ? packed_weights(w) : w->node->param[WEIGHT].value;
    const tr_real *bias = a->bias ? w->node->param[BIAS].value : NULL;
    for (int i = 0; i < w->n; i++) {
        w->kernels->conv(&d, zero_padded(w, i), weight, bias, w->y + i * w->ys,
                         w->aux[0] ? w->aux[0] + i * w->aux_step[0] : NULL,
                         w->scratch + padding_size(w->node));
    }
}

/* aux[1] of a sample: the counts of its gather lists, then the lists. */
static int64_t counts_bytes(const tr_node *node) {
    return tr_round_up(node->out.c * (int64_t)sizeof(int32_t), TR_ALIGN);
}
static int32_t *counts_of(const tr_work *w, int i) {
    return (int32_t *)(void *)(w->aux[1] + i * w->aux_step[1]);
}
static tr_gather *lists_of(const tr_work *w, int i) {
    return (tr_gather *)(void *)(w->aux[1] + i * w->aux_step[1] + counts_bytes(w->node));
}

static void gather(const tr_work *w) {
    tr_conv d = geometry(w->node);
    for (int i = 0; i < w->n; i++) {
        w->kernels->gather(&d, w->y + i * w->ys, w->dy + i * w->ys, w->aux[0] + i * w->aux_step[0],
                           lists_of(w, i), counts_of(w, i));
    }
}

static void gathered_dx(const tr_work *w) {
    const conv_args *a = w->node->args;
    tr_conv d = geometry(w->node);
    tr_shape in = w->node->in[0], padded = padded_input(w->node);
    int64_t row = (int64_t)in.w * in.c;
    for (int i = 0; i < w->n; i++) {
        tr_real *dx = w->dx[0] + i * w->xs[0];
        tr_real *to = a->padding ? w->scratch : dx;
        w->kernels->gather_dx(&d, lists_of(w, i), counts_of(w, i), w->node->param[WEIGHT].value, to,
                              tr_shape_size(padded));
        for (int h = 0; a->padding && h < in.h; h++) {
            memcpy(dx + h * row, to + ((h + a->padding) * padded.w + a->padding) * in.c,
                   (size_t)row * sizeof *dx);
        }
    }
}

static void gathered_dw(const tr_work *w) {
    const conv_args *a = w->node->args;
    tr_conv d = geometry(w->node);
    int64_t size = w->node->param[WEIGHT].size;
    memset(w->grad, 0, (size_t)(size + w->node->param[BIAS].size) * sizeof *w->grad);
    for (int i = 0; i < w->n; i++) {
        w->kernels->gather_dw(&d, zero_padded(w, i), lists_of(w, i), counts_of(w, i), w->grad);
        if (a->bias)
            w->kernels->row_sum((int64_t)w->node->out.h * w->node->out.w, d.k, w->dy + i * w->ys,
                                d.relu ? w->y + i * w->ys : NULL, d.k, w->grad + size);
    }
}

static void mask(const tr_work *w) {
    for (int i = 0; i < w->n; i++) {
        tr_real *dy = w->dy + i * w->ys;
        w->kernels->relu_dx(tr_shape_size(w->node->out), w->y + i * w->ys, dy, dy);
    }
}

/* The input gradient of the dense algorithm, as a convolution. */
static tr_conv rotated_geometry(const tr_node *node) {
    const conv_args *a = node->args;
    tr_shape s = spread_shape(node), in = node->in[0];
    int64_t row = (int64_t)s.w * s.c;
    return (tr_conv){.c = s.c,
                     .k = in.c,
                     .kh = (int)a->kernel_size,
                     .run = (int)a->kernel_size * s.c,
                     .row = row,
                     .step_w = s.c,
                     .step_h = row,
                     .oh = in.h,
                     .ow = in.w,
                     .pool = 1};
}

static void dense_dx(const tr_work *w) {
    const conv_args *a = w->node->args;
    tr_shape s = spread_shape(w->node), out = w->node->out;
    int64_t row = (int64_t)s.w * s.c, shift = a->kernel_size - 1 - a->padding;
    tr_conv d = rotated_geometry(w->node);
    for (int i = 0; i < w->n; i++) {
        memset(w->scratch, 0, (size_t)tr_shape_size(s) * sizeof *w->scratch);
        for (int h = 0; h < out.h; h++) {
            int64_t to_h = h * a->stride + shift;
            for (int v = 0; v < out.w; v++) {
                int64_t to_w = v * a->stride + shift;
                if (to_h < 0 || to_h >= s.h || to_w < 0 || to_w >= s.w) continue;
                memcpy(w->scratch + to_h * row + to_w * s.c,
                       w->dy + i * w->ys + ((int64_t)h * out.w + v) * s.c,
                       (size_t)s.c * sizeof *w->scratch);
            }
        }
        w->kernels->conv(&d, w->scratch, packed_weights(w), NULL, w->dx[0] + i * w->xs[0], NULL,
                         w->scratch + tr_shape_size(s));
    }
}

static void dense_dw(const tr_work *w) {
    const conv_args *a = w->node->args;
    tr_conv d = geometry(w->node);
    int64_t size = w->node->param[WEIGHT].size;
    memset(w->grad, 0, (size_t)(size + w->node->param[BIAS].size) * sizeof *w->grad);
    for (int i = 0; i < w->n; i++) {
        w->kernels->conv_dw(&d, zero_padded(w, i), w->dy + i * w->ys, w->grad);
        if (a->bias)
            w->kernels->row_sum((int64_t)d.oh * d.ow, d.k, w->dy + i * w->ys, NULL, d.k,
                                w->grad + size);
    }
}

/* ---- plan ---- */

static void plan_backward(const tr_node *node, const tr_request *request, tr_node_plan *out) {
    bool gathered = is_gathered(node);
    unsigned lists = gathered ? TR_USE_AUX1 : 0, packed = gathered ? 0 : TR_USE_SHARED;
    if (gathered) {
        out->aux_bytes[1] =
            counts_bytes(node) + tr_shape_size(node->out) * (int64_t)sizeof(tr_gather);
        out->backward[out->n_backward++] =
            (tr_phase){"gather lists", TR_BY_SAMPLES, 0,
                       TR_USE_Y | TR_USE_DY | TR_USE_AUX0 | TR_USE_AUX1, gather};
    } else if (node->epilogue.relu) {
        out->backward[out->n_backward++] =
            (tr_phase){"relu gradient", TR_BY_SAMPLES, 0, TR_USE_Y | TR_USE_DY, mask};
    }
    if (request->need_dx[0])
        out->backward[out->n_backward++] =
            (tr_phase){"input gradient", TR_BY_SAMPLES, 0, TR_USE_DY | TR_USE_DX | lists | packed,
                       gathered ? gathered_dx : dense_dx};
    out->backward[out->n_backward++] =
        (tr_phase){"weight gradient", TR_BY_SHARDS, 0, TR_USE_X | TR_USE_Y | TR_USE_DY | lists,
                   gathered ? gathered_dw : dense_dw};
    out->grad_at[WEIGHT] = 0;
    out->grad_at[BIAS] = node->param[WEIGHT].size;
    out->grad_size = node->param[WEIGHT].size + node->param[BIAS].size;
}

static void plan(const tr_node *node, const tr_request *request, tr_node_plan *out) {
    const conv_args *a = node->args;
    bool gathered = is_gathered(node);
    tr_shape padded = padded_input(node);
    tr_conv forwards = geometry(node), backwards = rotated_geometry(node);
    int64_t taps = a->kernel_size * a->kernel_size;
    int64_t layout = gathered ? taps * padded.c * tr_round_up(a->out_channels, TR_BLOCK8)
                              : taps * a->out_channels * tr_round_up(padded.c, TR_BLOCK8);
    if (gathered || (request->training && request->need_dx[0])) {
        bool large = layout >= SHARED_COPY;
        *(large ? &out->shared_size : &out->per_thread_size) = layout;
        int blocks = large ? (int)((a->out_channels + TR_LANES - 1) / TR_LANES) : 0;
        out->pack[out->n_pack++] = (tr_phase){"pack weights", large ? TR_BY_BLOCKS : TR_PER_THREAD,
                                              blocks, TR_USE_SHARED, pack};
    }
    if (gathered) out->aux_bytes[0] = tr_shape_size(node->out) + TR_LANES;
    out->scratch_size = padding_size(node) + tr_conv_scratch(&forwards);
    out->forward[out->n_forward++] =
        (tr_phase){"forward", TR_BY_SAMPLES, 0,
                   TR_USE_X | TR_USE_Y | (gathered ? TR_USE_AUX0 | TR_USE_SHARED : 0), forward};
    if (!request->training) return;
    if (request->need_dx[0] && !gathered)
        out->scratch_size = tr_max(out->scratch_size,
                                   tr_shape_size(spread_shape(node)) + tr_conv_scratch(&backwards));
    plan_backward(node, request, out);
}

const tr_op tr_op_conv2d = {
    .schema = {"conv2d",
               "Convolution over an image, square kernels, as torch.nn.Conv2d. A relu and a "
               "max_pool2d after it are fused into it.",
               keys, sizeof keys / sizeof *keys, sizeof(conv_args)},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .fuse = fuse,
    .plan = plan,
    .multiply_adds = multiply_adds,
};
