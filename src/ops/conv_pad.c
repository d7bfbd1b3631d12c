/* Copies of images with their padding, and the gradient's way back. */
#include <string.h>

#include "ops/conv.h"

tr_shape tr_conv_padded(const tr_conv_spec *s) {
    return (tr_shape){false, tr_conv_extent(&s->h), tr_conv_extent(&s->w), s->c};
}

int64_t tr_conv_copy_size(const tr_conv_spec *s) {
    bool none = (s->h.before | s->h.after | s->w.before | s->w.after) == 0;
    return none ? 0 : tr_shape_size(tr_conv_padded(s));
}

void tr_conv_surround(const tr_real *x, tr_shape in, const tr_conv_border *b, tr_real *to) {
    const int64_t row = (int64_t)in.w * in.c, left = (int64_t)b->left * in.c;
    const int64_t sides = left + (int64_t)b->right * in.c, all = row + sides;
    memset(to, 0, (size_t)(b->top * all + left) * sizeof *x);
    to += b->top * all + left;
    for (int h = 0; h < in.h; h++, to += all) {
        memcpy(to, x + h * row, (size_t)row * sizeof *x);
        if (h + 1 < in.h) memset(to + row, 0, (size_t)sides * sizeof *x);
    }
    memset(to - all + row, 0, (size_t)(sides - left + b->bottom * all) * sizeof *x);
}

/* The pixel of the image that pixel q of the padded one is a copy of. */
static int source(const tr_conv_side *s, tr_padding_mode mode, int q) {
    const int i = q - s->before, last = s->in - 1;
    if (i >= 0 && i <= last) return i;
    switch (mode) {
    case TR_PAD_REFLECT:
        return i < 0 ? -i : 2 * last - i;
    case TR_PAD_CIRCULAR:
        return i < 0 ? i + s->in : i - s->in;
    case TR_PAD_REPLICATE:
    case TR_PAD_ZEROS:
        break;
    }
    return i < 0 ? 0 : last;
}

void tr_conv_fill(const tr_conv_spec *s, const tr_real *x, tr_real *to) {
    if (s->mode == TR_PAD_ZEROS) {
        tr_conv_surround(x, (tr_shape){false, s->h.in, s->w.in, s->c},
                         &(tr_conv_border){s->h.before, s->h.after, s->w.before, s->w.after}, to);
        return;
    }
    const size_t pixel = (size_t)s->c * sizeof *x;
    const int height = tr_conv_extent(&s->h), width = tr_conv_extent(&s->w);
    for (int h = 0; h < height; h++) {
        const tr_real *from = x + (int64_t)source(&s->h, s->mode, h) * s->w.in * s->c;
        for (int w = 0; w < width; w++, to += s->c) {
            if (w == s->w.before) { /* the image's own pixels at once */
                memcpy(to, from, pixel * (size_t)s->w.in);
                w += s->w.in - 1;
                to += (int64_t)(s->w.in - 1) * s->c;
                continue;
            }
            memcpy(to, from + (int64_t)source(&s->w, s->mode, w) * s->c, pixel);
        }
    }
}

/* The image's own pixels first, then the padding, row by row. */
void tr_conv_fold(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *padded,
                  tr_real *dx) {
    const int height = tr_conv_extent(&s->h), width = tr_conv_extent(&s->w);
    const int64_t row = (int64_t)s->w.in * s->c;
    for (int h = 0; h < s->h.in; h++)
        memcpy(dx + h * row, padded + ((int64_t)(h + s->h.before) * width + s->w.before) * s->c,
               (size_t)row * sizeof *dx);
    for (int h = 0; h < height; h++) {
        const bool inside = h >= s->h.before && h < s->h.before + s->h.in;
        tr_real *to = dx + source(&s->h, s->mode, h) * row;
        for (int w = 0; w < width; w++) {
            if (inside && w == s->w.before) {
                w += s->w.in - 1;
                continue;
            }
            tr_real *pixel = to + (int64_t)source(&s->w, s->mode, w) * s->c;
            kernels->add(s->c, pixel, padded + ((int64_t)h * width + w) * s->c, pixel);
        }
    }
}
