/* Convolution in many small groups, depthwise ones above all: vectors lie along the groups, so that
 * a group of any size fills the lanes.
 *
 * A pixel of an image in groups has `depth` channels a group; as vectors it is [depth][groups
 * padded to 8]. For one channel a group that is the image itself, others are copied. Weights lie as
 * [channel of the output's group][kh][kw][channel of the input's group][groups padded to 8]; for
 * the input gradient they are packed by class (conv.h), the two channels exchanged. */
#include <string.h>

#include "ops/conv.h"

static bool fits(const tr_conv_spec *s) {
    return s->groups > 1 && s->pool == 1;
}

static int64_t taps_of(const tr_conv_spec *s) {
    return (int64_t)s->h.kernel * s->w.kernel;
}
static int64_t lanes_of(const tr_conv_spec *s) {
    return tr_round_up(s->groups, TR_BLOCK8);
}
static int depth_of(const tr_conv_spec *s, int channels) {
    return channels / s->groups;
}

static int64_t block(const tr_conv_spec *s) {
    return taps_of(s) * depth_of(s, s->c) * lanes_of(s);
}

static int64_t size(const tr_conv_spec *s) {
    return depth_of(s, s->k) * block(s);
}

static int64_t place(const tr_conv_spec *s, int64_t k, int64_t c, int64_t h, int64_t w) {
    const int depth = depth_of(s, s->k);
    return k % depth * block(s) + ((h * s->w.kernel + w) * depth_of(s, s->c) + c) * lanes_of(s) +
           k / depth;
}

/* ---- images as vectors ---- */

/* Elements of a pixel of that many channels. */
static int64_t pixel_of(const tr_conv_spec *s, int channels) {
    const int depth = depth_of(s, channels);
    return depth == 1 ? channels : depth * lanes_of(s);
}

/* Elements of such a copy; 0: the image serves as it is. */
static int64_t split_size(const tr_conv_spec *s, int channels, int64_t pixels) {
    return depth_of(s, channels) == 1 ? 0 : tr_conv_piece(pixels * pixel_of(s, channels));
}

static const tr_real *split(const tr_conv_spec *s, const tr_kernels *kernels, int channels,
                            int64_t pixels, const tr_real *x, tr_real **scratch) {
    const int64_t n = split_size(s, channels, pixels);
    if (n == 0) return x;
    tr_real *to = *scratch;
    kernels->split_groups(pixels, s->groups, depth_of(s, channels), x, to);
    *scratch += n;
    return to;
}

/* Biases as vectors. */
static const tr_real *split_bias(const tr_conv_spec *s, int channels, const tr_real *bias,
                                 tr_real **scratch) {
    const int depth = depth_of(s, channels);
    const int64_t lanes = lanes_of(s);
    if (bias == NULL || depth == 1) return bias;
    tr_real *to = *scratch;
    memset(to, 0, (size_t)(depth * lanes) * sizeof *to);
    for (int c = 0; c < channels; c++) to[c % depth * lanes + c / depth] = bias[c];
    *scratch += tr_conv_piece(depth * lanes);
    return to;
}

static int64_t pixels_of(tr_shape s) {
    return (int64_t)s.h * s.w;
}
static int64_t pixels_out(const tr_conv_spec *s) {
    return (int64_t)s->h.out * s->w.out;
}
static int64_t pixels_bordered(const tr_conv_spec *s) {
    int64_t size = tr_conv_bordered_size(s);
    return size ? size / s->k : pixels_out(s);
}
static int64_t pixels_gradient(const tr_conv_spec *s) {
    return (int64_t)tr_conv_gradient_extent(s, &s->h) * tr_conv_gradient_extent(s, &s->w);
}

/* ---- forward ---- */

static tr_depthwise geometry(const tr_conv_spec *s) {
    const int64_t pixel = pixel_of(s, s->c), row = tr_conv_extent(&s->w) * pixel;
    const int64_t to_pixel = pixel_of(s, s->k);
    return (tr_depthwise){.n = s->groups,
                          .kh = s->h.kernel,
                          .kw = s->w.kernel,
                          .depth = depth_of(s, s->c),
                          .tap_h = s->h.dilation * row,
                          .tap_w = s->w.dilation * pixel,
                          .tap_d = lanes_of(s),
                          .step_h = s->h.stride * row,
                          .step_w = s->w.stride * pixel,
                          .y_row = s->w.out * to_pixel,
                          .y_pixel = to_pixel,
                          .oh = s->h.out,
                          .ow = s->w.out};
}

static void forward(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *x,
                    const tr_real *weight, const tr_real *bias, bool relu, tr_real *y,
                    tr_real *scratch) {
    tr_depthwise d = geometry(s);
    const int depth = depth_of(s, s->k);
    d.relu = relu;
    if (tr_conv_copy_size(s)) {
        tr_conv_fill(s, x, scratch);
        x = scratch;
        scratch += tr_conv_piece(tr_conv_copy_size(s));
    }
    x = split(s, kernels, s->c, pixels_of(tr_conv_padded(s)), x, &scratch);
    bias = split_bias(s, s->k, bias, &scratch);
    tr_real *to = depth == 1 ? y : scratch;
    for (int i = 0; i < depth; i++)
        kernels->depthwise(&d, x, weight + i * block(s), bias ? bias + i * lanes_of(s) : NULL,
                           to + i * lanes_of(s));
    if (depth > 1) kernels->join_groups(pixels_out(s), s->groups, depth, to, y);
}

/* ---- the input gradient ---- */

static int64_t packed(const tr_conv_spec *s) {
    return size(s);
}

/* Elements of a class's weights: [channel of the input's group][taps][channel of the output's
 * group][lanes]. */
static int64_t class_size(const tr_conv_spec *s, const tr_conv_class *h, const tr_conv_class *w) {
    return (int64_t)h->taps * w->taps * depth_of(s, s->c) * depth_of(s, s->k) * lanes_of(s);
}

static void pack_class(const tr_conv_spec *s, const tr_conv_class *h, const tr_conv_class *w,
                       const tr_real *weight, int k, tr_real *to) {
    const int c = depth_of(s, s->c), nk = depth_of(s, s->k);
    for (int e = 0; e < c; e++) {
        for (int i = 0; i < h->taps; i++) {
            for (int j = 0; j < w->taps; j++) {
                int64_t row = ((int64_t)(e * h->taps + i) * w->taps + j) * nk + k % nk;
                to[row * lanes_of(s) + k / nk] =
                    weight[place(s, k, e, h->tap - i * h->tap_step, w->tap - j * w->tap_step)];
            }
        }
    }
}

static void pack(const tr_conv_spec *s, const tr_real *weight, int k0, int k1, tr_real *to) {
    for (int i = 0; i < tr_conv_n_classes(s, &s->h); i++) {
        tr_conv_class h = tr_conv_class_of(s, &s->h, i);
        for (int j = 0; j < tr_conv_n_classes(s, &s->w); j++) {
            tr_conv_class w = tr_conv_class_of(s, &s->w, j);
            for (int k = k0; k < k1; k++) pack_class(s, &h, &w, weight, k, to);
            to += class_size(s, &h, &w);
        }
    }
}

static tr_depthwise class_geometry(const tr_conv_spec *s, const tr_conv_class *h,
                                   const tr_conv_class *w) {
    tr_conv_border b = tr_conv_gradient_border(s);
    const int64_t pixel = pixel_of(s, s->k), row = (s->w.out + b.left + b.right) * pixel;
    const int64_t to_pixel = pixel_of(s, s->c);
    return (tr_depthwise){.n = s->groups,
                          .kh = w->taps > 0 ? h->taps : 0,
                          .kw = w->taps,
                          .depth = depth_of(s, s->k),
                          .tap_h = h->at_step * row,
                          .tap_w = w->at_step * pixel,
                          .tap_d = lanes_of(s),
                          .step_h = row,
                          .step_w = pixel,
                          .y_row = s->h.stride * tr_conv_gradient_extent(s, &s->w) * to_pixel,
                          .y_pixel = s->w.stride * to_pixel,
                          .oh = h->pixels,
                          .ow = w->pixels};
}

static void input_gradient(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *dy,
                           const tr_real *weight, const tr_real *bias, bool relu, tr_real *dx,
                           tr_real *scratch) {
    tr_conv_border b = tr_conv_gradient_border(s);
    const int depth = depth_of(s, s->c);
    const int64_t unfolded = tr_conv_unfolded_size(s), to_pixel = pixel_of(s, s->c);
    dy = tr_conv_bordered(s, dy, scratch);
    scratch += tr_conv_piece(tr_conv_bordered_size(s));
    dy = split(s, kernels, s->k, pixels_bordered(s), dy, &scratch);
    bias = split_bias(s, s->c, bias, &scratch);
    tr_real *joined = unfolded ? scratch : dx;
    scratch += tr_conv_piece(unfolded);
    tr_real *to = depth > 1 ? scratch : joined;
    for (int i = 0; i < tr_conv_n_classes(s, &s->h); i++) {
        tr_conv_class h = tr_conv_class_of(s, &s->h, i);
        for (int j = 0; j < tr_conv_n_classes(s, &s->w); j++) {
            tr_conv_class w = tr_conv_class_of(s, &s->w, j);
            tr_depthwise d = class_geometry(s, &h, &w);
            const int64_t first =
                ((int64_t)h.first * tr_conv_gradient_extent(s, &s->w) + w.first) * to_pixel;
            const tr_real *x = dy + (b.top + h.at) * d.step_h + (b.left + w.at) * d.step_w;
            d.relu = relu;
            for (int c = 0; c < depth; c++)
                kernels->depthwise(&d, x, weight + c * (class_size(s, &h, &w) / depth),
                                   bias ? bias + c * lanes_of(s) : NULL,
                                   to + first + c * lanes_of(s));
            weight += class_size(s, &h, &w);
        }
    }
    if (depth > 1) kernels->join_groups(pixels_gradient(s), s->groups, depth, to, joined);
    if (unfolded) tr_conv_fold(s, kernels, joined, dx);
}

/* ---- the gradient of the weights ---- */

static void add_weight(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *x,
                       const tr_real *dy, int64_t e0, int64_t e1, tr_real *sum, tr_real *scratch) {
    tr_depthwise d = geometry(s);
    x = split(s, kernels, s->c, pixels_of(tr_conv_padded(s)), x, &scratch);
    dy = split(s, kernels, s->k, pixels_out(s), dy, &scratch);
    for (int64_t i = e0 / block(s); i < e1 / block(s); i++, sum += block(s))
        kernels->depthwise_dw(&d, x, dy + i * lanes_of(s), sum);
}

static int64_t scratch(const tr_conv_spec *s) {
    const int64_t x = split_size(s, s->c, pixels_of(tr_conv_padded(s)));
    const int64_t y = split_size(s, s->k, pixels_out(s));
    const int64_t biases = tr_conv_piece(tr_max(pixel_of(s, s->c), pixel_of(s, s->k)));
    return tr_max(tr_conv_piece(tr_conv_copy_size(s)) + x + y,
                  tr_conv_piece(tr_conv_bordered_size(s)) +
                      split_size(s, s->k, pixels_bordered(s)) +
                      tr_conv_piece(tr_conv_unfolded_size(s)) +
                      split_size(s, s->c, pixels_gradient(s))) +
           biases;
}

const tr_conv_algorithm tr_conv_depthwise = {
    .name = "depthwise",
    .fits = fits,
    .size = size,
    .block = block,
    .only_in_slots = true,
    .place = place,
    .packed = packed,
    .pack = pack,
    .scratch = scratch,
    .forward = forward,
    .input_gradient = input_gradient,
    .add_weight = add_weight,
};
