/* Convolution by register tiles in both directions: weights lie in forward layout; the input
 * gradient is a convolution of the gradient, spread by the stride and zero-padded, with the rotated
 * kernel, which is packed at the start of each step. */
#include <string.h>

#include "ops/conv2d.h"

/* Own resources: the padded input; the rotated kernel; the gradient before a fused relu. */
enum { ROTATED = TR_CONV_PADDED + 1, Z };

static int64_t taps_of(const tr_node *node) {
    const tr_conv_args *a = node->args;
    return a->kernel_size * a->kernel_size;
}

static int64_t size(const tr_node *node) {
    const tr_conv_args *a = node->args;
    return tr_round_up(a->out_channels, TR_BLOCK8) * taps_of(node) * node->in[0].c;
}

static int64_t block(const tr_node *node) {
    return TR_LANES * taps_of(node) * node->in[0].c;
}

static int64_t place(const tr_node *node, int64_t k, int64_t c, int64_t h, int64_t w) {
    const tr_conv_args *a = node->args;
    int64_t s = a->kernel_size, channels = node->in[0].c, k0 = k / TR_LANES * TR_LANES;
    int64_t lanes = tr_conv_lanes((int)a->out_channels, (int)k0);
    return k0 * s * s * channels + ((h * s + w) * channels + c) * lanes + k % TR_LANES;
}

static void index_of(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    tr_conv_each(node, first, n, at, place);
}

/* ---- forward ---- */

static void forward(const tr_work *w) {
    const tr_conv_args *a = w->node->args;
    tr_conv d = tr_conv_geometry(w->node);
    const tr_real *bias = a->bias ? tr_value_of(w->node, TR_CONV_BIAS) : NULL;
    tr_real *copy = w->scratch, *scratch = copy + tr_conv_copy_size(w->node);
    for (int i = 0; i < w->n; i++)
        w->kernels->conv(&d, tr_conv_pad(w, i, copy), tr_value_of(w->node, TR_CONV_WEIGHT), bias,
                         tr_y(w, i), NULL, scratch);
}

/* ---- the input gradient ---- */

/* Element (h, w, k) of input channel c is (s-1-h, s-1-w, c) of output channel k. */
static void rotate(const tr_work *w) {
    tr_conv d = tr_conv_geometry(w->node);
    int k0, k1;
    tr_conv_pack_range(w, &k0, &k1);
    const tr_real *weight = tr_value_of(w->node, TR_CONV_WEIGHT);
    tr_real *out = tr_own(w, ROTATED, 0);
    for (int k = k0; k < k1; k++) {
        int first = k / TR_LANES * TR_LANES, from_lanes = tr_conv_lanes(d.k, first);
        const tr_real *from = weight + (int64_t)first * d.kh * d.run + k % TR_LANES;
        for (int t = d.kh * d.kh - 1; t >= 0; t--) {
            for (int c = 0; c < d.c; c++, from += from_lanes) {
                int c0 = c / TR_LANES * TR_LANES, lanes = tr_conv_lanes(d.c, c0);
                out[(int64_t)c0 * d.kh * d.kh * d.k + ((int64_t)t * d.k + k) * lanes +
                    c % TR_LANES] = *from;
            }
        }
    }
}

static tr_conv rotated_geometry(const tr_node *node) {
    const tr_conv_args *a = node->args;
    tr_shape s = tr_conv_spread(node), in = node->in[0];
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

/* The gradient before the relu. */
static const tr_real *z_of(const tr_work *w, int i) {
    return tr_has_own(w, Z) ? tr_own(w, Z, i) : tr_dy(w, i);
}

static void before_relu(const tr_work *w) {
    int64_t n = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++) w->kernels->relu_dx(n, tr_y(w, i), tr_dy(w, i), tr_own(w, Z, i));
}

static void spread(const tr_node *node, const tr_real *z, tr_real *to) {
    const tr_conv_args *a = node->args;
    tr_shape s = tr_conv_spread(node), out = node->out;
    int64_t row = (int64_t)s.w * s.c, shift = a->kernel_size - 1 - a->padding;
    if (a->stride == 1 && shift >= 0) {
        tr_conv_surround(z, out, shift, to);
        return;
    }
    memset(to, 0, (size_t)tr_shape_size(s) * sizeof *to);
    for (int h = 0; h < out.h; h++) {
        int64_t to_h = h * a->stride + shift;
        if (to_h < 0 || to_h >= s.h) continue;
        for (int v = 0; v < out.w; v++) {
            int64_t to_w = v * a->stride + shift;
            if (to_w < 0 || to_w >= s.w) continue;
            memcpy(to + to_h * row + to_w * s.c, z + ((int64_t)h * out.w + v) * s.c,
                   (size_t)s.c * sizeof *to);
        }
    }
}

static void input_gradient(const tr_work *w) {
    tr_conv d = rotated_geometry(w->node);
    tr_real *copy = w->scratch, *scratch = copy + tr_shape_size(tr_conv_spread(w->node));
    for (int i = 0; i < w->n; i++) {
        spread(w->node, z_of(w, i), copy);
        w->kernels->conv(&d, copy, tr_own(w, ROTATED, 0), NULL, tr_dx(w, 0, i), NULL, scratch);
    }
}

/* ---- gradients of the parameters ---- */

static void add_weight(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    tr_conv d = tr_conv_geometry(w->node);
    if (fresh) memset(sum, 0, (size_t)(e1 - e0) * sizeof(tr_real));
    for (int i = 0; i < w->n; i++) {
        w->kernels->conv_dw(&d, tr_conv_padded_input(w, i), z_of(w, i), e0, e1, sum);
    }
}

static void add_bias(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    tr_shape out = w->node->out;
    if (fresh) memset(sum, 0, (size_t)(e1 - e0) * sizeof(tr_real));
    for (int i = 0; i < w->n; i++)
        w->kernels->row_sum((int64_t)out.h * out.w, out.c, z_of(w, i), NULL, out.c, sum);
}

/* ---- plan ---- */

static void plan_backward(const tr_node *node, const tr_request *request, tr_plan *out) {
    bool relu = node->epilogue.relu;
    if (relu) {
        tr_plan_phase(out, TR_BACKWARD, "relu gradient", TR_BY_SAMPLES, before_relu);
        tr_reads(out, TR_Y, 0);
        tr_reads(out, TR_DY, 0);
        tr_writes(out, TR_OWN, Z);
    }
    if (request->need_dx[0]) {
        tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, input_gradient);
        tr_reads(out, relu ? TR_OWN : TR_DY, Z);
        tr_reads(out, TR_OWN, ROTATED);
        tr_writes(out, TR_DX, 0);
    }
    tr_conv_plan_pad(node, request, out);
    for (int s = 0; s < node->n_state; s++) {
        bool is_weight = s == TR_CONV_WEIGHT;
        tr_conv_plan_sum(node, request, out, s, is_weight ? add_weight : add_bias);
        tr_reads(out, relu ? TR_OWN : TR_DY, Z);
        if (is_weight) tr_conv_reads_padded(node, request, out);
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    const int64_t real = sizeof(tr_real);
    tr_conv forwards = tr_conv_geometry(node), backwards = rotated_geometry(node);
    bool dx = request->gradients && request->need_dx[0];
    int64_t rotated = tr_conv_rotated_size(node);
    out->scratch_bytes = (tr_conv_copy_size(node) + tr_conv_scratch(&forwards)) * real;
    if (dx)
        out->scratch_bytes =
            tr_max(out->scratch_bytes,
                   (tr_shape_size(tr_conv_spread(node)) + tr_conv_scratch(&backwards)) * real);
    tr_conv_plan_padded(node, out);
    (rotated >= TR_CONV_SHARED ? tr_plan_batch_buffer : tr_plan_thread_buffer)(out, rotated * real);
    tr_plan_sample_buffer(out, tr_shape_size(node->out) * real);
    if (dx) tr_conv_plan_pack(node, out, ROTATED, rotated, rotate);
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_reads(out, TR_X, 0);
    for (int s = 0; s < node->n_state; s++) tr_reads(out, TR_STATE, s);
    tr_writes(out, TR_Y, 0);
    if (request->gradients) plan_backward(node, request, out);
}

const tr_conv_algorithm tr_conv_dense = {
    .size = size, .block = block, .largest_tile = 2048, .index = index_of, .plan = plan};
