/* The input gradient of a convolution as convolutions of the output's gradient: conv.h. */
#include "ops/conv.h"

/* The first pixel of the padded image whose gradient is made. */
static int origin(const tr_conv_spec *s, const tr_conv_side *side) {
    return s->mode == TR_PAD_ZEROS ? side->before : 0;
}

int tr_conv_gradient_extent(const tr_conv_spec *s, const tr_conv_side *side) {
    return s->mode == TR_PAD_ZEROS ? side->in : tr_conv_extent(side);
}

int tr_conv_n_classes(const tr_conv_spec *s, const tr_conv_side *side) {
    return (int)tr_min(side->stride, tr_conv_gradient_extent(s, side));
}

static int greatest_divisor(int a, int b) {
    while (b) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

tr_conv_class tr_conv_class_of(const tr_conv_spec *s, const tr_conv_side *side, int number) {
    const int divisor = greatest_divisor(side->stride, side->dilation);
    const int q = origin(s, side) + number, step = side->stride / divisor;
    tr_conv_class c = {.first = number,
                       .pixels = (tr_conv_gradient_extent(s, side) - number - 1) / side->stride + 1,
                       .tap_step = step,
                       .at_step = side->dilation / divisor};
    int low = 0; /* the lowest tap that the class has */
    while (low < step && (q - low * side->dilation) % side->stride != 0) low++;
    if (low == step || low >= side->kernel) return c;
    c.taps = (side->kernel - 1 - low) / step + 1;
    c.tap = low + (c.taps - 1) * step;
    c.at = (q - c.tap * side->dilation) / side->stride;
    return c;
}

/* Outputs before the first one, and behind the last, that classes reach. */
static void reach(const tr_conv_spec *s, const tr_conv_side *side, int *before, int *behind) {
    const int first = origin(s, side), last = first + tr_conv_gradient_extent(s, side) - 1;
    *before = (int)tr_max(0, ((side->kernel - 1) * side->dilation - first) / side->stride);
    *behind = (int)tr_max(0, last / side->stride - (side->out - 1));
}

tr_conv_border tr_conv_gradient_border(const tr_conv_spec *s) {
    tr_conv_border b;
    reach(s, &s->h, &b.top, &b.bottom);
    reach(s, &s->w, &b.left, &b.right);
    return b;
}

static bool has_border(const tr_conv_border *b) {
    return (b->top | b->bottom | b->left | b->right) != 0;
}

int64_t tr_conv_bordered_size(const tr_conv_spec *s) {
    tr_conv_border b = tr_conv_gradient_border(s);
    if (!has_border(&b)) return 0;
    return (int64_t)(s->h.out + b.top + b.bottom) * (s->w.out + b.left + b.right) * s->k;
}

const tr_real *tr_conv_bordered(const tr_conv_spec *s, const tr_real *dy, tr_real *to) {
    tr_conv_border b = tr_conv_gradient_border(s);
    if (!has_border(&b)) return dy;
    tr_conv_surround(dy, (tr_shape){false, s->h.out, s->w.out, s->k}, &b, to);
    return to;
}

int64_t tr_conv_unfolded_size(const tr_conv_spec *s) {
    return s->mode == TR_PAD_ZEROS ? 0 : tr_conv_copy_size(s);
}
