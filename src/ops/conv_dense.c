/* Convolution by register tiles in all directions, one group at a time: it fits every convolution.
 * Weights lie in forward layout, group behind group. The input gradient is a convolution for each
 * class of pixels (conv.h) with the rotated kernel's taps of the class, which are packed at the
 * start of each step. */
#include <string.h>

#include "ops/conv.h"

static bool fits(const tr_conv_spec *s) {
    return s->pool == 1;
}

static int64_t taps_of(const tr_conv_spec *s) {
    return (int64_t)s->h.kernel * s->w.kernel;
}

/* Elements of a group. */
static int64_t group_size(const tr_conv_spec *s) {
    return tr_round_up(s->k / s->groups, TR_BLOCK8) * taps_of(s) * (s->c / s->groups);
}

static int64_t size(const tr_conv_spec *s) {
    return s->groups * group_size(s);
}

static int64_t block(const tr_conv_spec *s) {
    return s->groups > 1 ? group_size(s) : TR_LANES * taps_of(s) * s->c;
}

static int64_t place(const tr_conv_spec *s, int64_t k, int64_t c, int64_t h, int64_t w) {
    int64_t channels = s->c / s->groups, nk = s->k / s->groups;
    int64_t group = k / nk, k0 = k % nk / TR_LANES * TR_LANES;
    int64_t lanes = tr_conv_lanes((int)nk, (int)k0);
    return group * group_size(s) + k0 * taps_of(s) * channels +
           ((h * s->w.kernel + w) * channels + c) * lanes + k % nk % TR_LANES;
}

/* Over an image of `row` elements a row; pixels of it are s->c apart. */
static tr_conv geometry(const tr_conv_spec *s) {
    tr_shape in = tr_conv_padded(s);
    const int c = s->c / s->groups;
    const bool together = s->groups == 1 && (s->w.dilation == 1 || s->w.kernel == 1);
    const int64_t row = (int64_t)in.w * in.c;
    return (tr_conv){.c = c,
                     .k = s->k / s->groups,
                     .kh = s->h.kernel,
                     .kw = s->w.kernel,
                     .runs = together ? 1 : s->w.kernel,
                     .run = together ? s->w.kernel * c : c,
                     .tap_h = s->h.dilation * row,
                     .tap_w = (int64_t)s->w.dilation * in.c,
                     .pixel = in.c,
                     .row = row,
                     .step_w = (int64_t)s->w.stride * in.c,
                     .step_h = s->h.stride * row,
                     .y_pixel = s->k,
                     .y_row = (int64_t)s->w.out * s->k,
                     .oh = s->h.out,
                     .ow = s->w.out,
                     .pool = 1};
}

static void forward(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *x,
                    const tr_real *weight, const tr_real *bias, bool relu, tr_real *y,
                    tr_real *scratch) {
    tr_conv d = geometry(s);
    d.relu = relu;
    if (tr_conv_copy_size(s)) {
        tr_conv_fill(s, x, scratch);
        x = scratch;
        scratch += tr_conv_piece(tr_conv_copy_size(s));
    }
    for (int g = 0; g < s->groups; g++)
        kernels->conv(&d, x + g * d.c, weight + g * group_size(s), bias ? bias + g * d.k : NULL,
                      y + g * d.k, NULL, scratch);
}

/* ---- the input gradient ---- */

/* Elements of a group in packed weights; each class has its taps of them. */
static int64_t packed_group_size(const tr_conv_spec *s) {
    return taps_of(s) * (s->k / s->groups) * tr_round_up(s->c / s->groups, TR_BLOCK8);
}

static int64_t packed(const tr_conv_spec *s) {
    return s->groups * packed_group_size(s);
}

/* The part of output channel k of a class's weights: its taps from the lowest output on, channels
 * of the image in the lanes. Returns the elements of the class. */
static int64_t pack_class(const tr_conv_spec *s, const tr_conv_class *h, const tr_conv_class *w,
                          const tr_real *weight, int k, tr_real *to) {
    const int c = s->c / s->groups, nk = s->k / s->groups, taps = h->taps * w->taps;
    for (int i = 0; i < h->taps; i++) {
        for (int j = 0; j < w->taps; j++) {
            const int64_t lanes_k = tr_conv_lanes(nk, k % nk / TR_LANES * TR_LANES);
            const tr_real *from =
                weight + place(s, k, 0, h->tap - i * h->tap_step, w->tap - j * w->tap_step);
            const int64_t row = (int64_t)(i * w->taps + j) * nk + k % nk;
            for (int e = 0; e < c; e++, from += lanes_k) {
                const int c0 = e / TR_LANES * TR_LANES;
                to[(int64_t)c0 * taps * nk + row * tr_conv_lanes(c, c0) + e % TR_LANES] = *from;
            }
        }
    }
    return (int64_t)taps * nk * tr_round_up(c, TR_BLOCK8);
}

static void pack(const tr_conv_spec *s, const tr_real *weight, int k0, int k1, tr_real *to) {
    for (int k = k0; k < k1; k++) {
        tr_real *at = to + k / (s->k / s->groups) * packed_group_size(s);
        for (int i = 0; i < tr_conv_n_classes(s, &s->h); i++) {
            tr_conv_class h = tr_conv_class_of(s, &s->h, i);
            for (int j = 0; j < tr_conv_n_classes(s, &s->w); j++) {
                tr_conv_class w = tr_conv_class_of(s, &s->w, j);
                at += pack_class(s, &h, &w, weight, k, at);
            }
        }
    }
}

static tr_conv class_geometry(const tr_conv_spec *s, const tr_conv_class *h,
                              const tr_conv_class *w) {
    tr_conv_border b = tr_conv_gradient_border(s);
    const int k = s->k / s->groups;
    const bool some = h->taps > 0 && w->taps > 0;
    const bool together = s->groups == 1 && (w->at_step == 1 || w->taps == 1);
    const int64_t row = (int64_t)(s->w.out + b.left + b.right) * s->k;
    const int64_t to_row = (int64_t)tr_conv_gradient_extent(s, &s->w) * s->c;
    return (tr_conv){.c = k,
                     .k = s->c / s->groups,
                     .kh = some ? h->taps : 0,
                     .kw = w->taps,
                     .runs = together ? 1 : w->taps,
                     .run = together ? w->taps * k : k,
                     .tap_h = h->at_step * row,
                     .tap_w = (int64_t)w->at_step * s->k,
                     .pixel = s->k,
                     .row = row,
                     .step_w = s->k,
                     .step_h = row,
                     .y_pixel = (int64_t)s->w.stride * s->c,
                     .y_row = s->h.stride * to_row,
                     .oh = h->pixels,
                     .ow = w->pixels,
                     .pool = 1};
}

static void input_gradient(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *dy,
                           const tr_real *weight, const tr_real *bias, bool relu, tr_real *dx,
                           tr_real *scratch) {
    tr_conv_border b = tr_conv_gradient_border(s);
    const int64_t unfolded = tr_conv_unfolded_size(s);
    dy = tr_conv_bordered(s, dy, scratch);
    scratch += tr_conv_piece(tr_conv_bordered_size(s));
    tr_real *to = unfolded ? scratch : dx;
    scratch += tr_conv_piece(unfolded);
    int64_t at = 0; /* of the class in a group's packed weights */
    for (int i = 0; i < tr_conv_n_classes(s, &s->h); i++) {
        tr_conv_class h = tr_conv_class_of(s, &s->h, i);
        for (int j = 0; j < tr_conv_n_classes(s, &s->w); j++) {
            tr_conv_class w = tr_conv_class_of(s, &s->w, j);
            tr_conv d = class_geometry(s, &h, &w);
            d.relu = relu;
            const tr_real *x = dy + (b.top + h.at) * d.row + (b.left + w.at) * d.pixel;
            tr_real *y =
                to + ((int64_t)h.first * tr_conv_gradient_extent(s, &s->w) + w.first) * s->c;
            for (int g = 0; g < s->groups; g++)
                kernels->conv(&d, x + g * d.c, weight + g * packed_group_size(s) + at,
                              bias ? bias + g * d.k : NULL, y + g * d.k, NULL, scratch);
            at += (int64_t)h.taps * w.taps * d.c * tr_round_up(d.k, TR_BLOCK8);
        }
    }
    if (unfolded) tr_conv_fold(s, kernels, to, dx);
}

/* ---- the gradient of the weights ---- */

static void add_weight(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *x,
                       const tr_real *dy, int64_t e0, int64_t e1, tr_real *sum, tr_real *scratch) {
    (void)scratch;
    tr_conv d = geometry(s);
    const int64_t group = group_size(s);
    for (int64_t g = e0 / group, from = e0; from < e1; g++) {
        const int64_t end = tr_min(e1, (g + 1) * group);
        kernels->conv_dw(&d, x + g * d.c, dy + g * d.k, from - g * group, end - g * group,
                         sum + (from - e0));
        from = end;
    }
}

static int64_t scratch(const tr_conv_spec *s) {
    tr_conv forwards = geometry(s);
    int64_t planes = 0;
    for (int i = 0; i < tr_conv_n_classes(s, &s->h); i++) {
        tr_conv_class h = tr_conv_class_of(s, &s->h, i);
        for (int j = 0; j < tr_conv_n_classes(s, &s->w); j++) {
            tr_conv_class w = tr_conv_class_of(s, &s->w, j);
            tr_conv d = class_geometry(s, &h, &w);
            planes = tr_max(planes, tr_conv_scratch(&d));
        }
    }
    return tr_max(tr_conv_piece(tr_conv_copy_size(s)) + tr_conv_scratch(&forwards),
                  tr_conv_piece(tr_conv_bordered_size(s)) +
                      tr_conv_piece(tr_conv_unfolded_size(s)) + planes);
}

const tr_conv_algorithm tr_conv_dense = {
    .name = "dense",
    .fits = fits,
    .size = size,
    .block = block,
    .largest_tile = 2048,
    .place = place,
    .packed = packed,
    .pack = pack,
    .scratch = scratch,
    .forward = forward,
    .input_gradient = input_gradient,
    .add_weight = add_weight,
};
