/* Sizes of pools, and what PyTorch allows. */
#include "ops/pool.h"

#include <inttypes.h>
#include <stdio.h>

enum { WORDS = 48 };

/* "3" or "3x1" */
static const char *size_text(int64_t h, int64_t w, char out[WORDS]) {
    if (h == w)
        snprintf(out, WORDS, "%" PRId64, h);
    else
        snprintf(out, WORDS, "%" PRId64 "x%" PRId64, h, w);
    return out;
}

/* How far the last window may begin past the last one that fits. */
static int extra(const tr_pool_side *s, bool ceil_mode) {
    return ceil_mode ? s->stride - 1 : 0;
}

/* 0: the first window does not fit. */
static int n_windows(const tr_pool_side *s, bool ceil_mode) {
    int room = s->in + 2 * s->padding - s->dilation * (s->kernel - 1) - 1 + extra(s, ceil_mode);
    if (room < 0) return 0;
    int n = room / s->stride + 1;
    /* Each must begin in the image or the padding before it. */
    return ceil_mode && (n - 1) * s->stride >= s->in + s->padding ? n - 1 : n;
}

static tr_pool_side side(int in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation,
                         bool ceil_mode) {
    tr_pool_side s = {.in = in,
                      .kernel = (int)kernel,
                      .stride = (int)(stride < 0 ? kernel : stride),
                      .padding = (int)padding,
                      .dilation = (int)dilation};
    s.out = n_windows(&s, ceil_mode);
    return s;
}

tr_pool tr_pool_geometry(const tr_node *node, const tr_pool_args *a) {
    tr_shape in = node->in[0];
    return (tr_pool){
        .h = side(in.h, a->kernel_size.h, a->stride.h, a->padding.h, a->dilation.h, a->ceil_mode),
        .w = side(in.w, a->kernel_size.w, a->stride.w, a->padding.w, a->dilation.w, a->ceil_mode),
        .c = in.c};
}

static int64_t largest_kernel(const tr_pool_side *s, bool ceil_mode) {
    return (s->in + 2 * s->padding - 1 + extra(s, ceil_mode)) / s->dilation + 1;
}

static int check_kernel(const tr_node *node, const tr_pool_args *a, const tr_pool *d,
                        tr_error *err) {
    if (d->h.out > 0 && d->w.out > 0) return TR_OK;
    char kernel[WORDS], dilation[WORDS], padding[WORDS], most[WORDS], shape[64];
    int64_t h = largest_kernel(&d->h, a->ceil_mode), w = largest_kernel(&d->w, a->ceil_mode);
    if (a->kernel_size.h == a->kernel_size.w) h = w = tr_min(h, w);
    bool dilated = d->h.dilation > 1 || d->w.dilation > 1;
    bool padded = d->h.padding > 0 || d->w.padding > 0;
    size_text(a->dilation.h, a->dilation.w, dilation);
    size_text(a->padding.h, a->padding.w, padding);
    return tr_fail_at(err, tr_key_where(node, "kernel_size"), node->name,
                      "kernel_size=%s%s%s is larger than the input of %s%s%s, allowed are 1 to %s",
                      size_text(a->kernel_size.h, a->kernel_size.w, kernel),
                      dilated ? " with dilation=" : "", dilated ? dilation : "",
                      tr_shape_text(node->in[0], shape), padded ? " with padding=" : "",
                      padded ? padding : "", size_text(h, w, most));
}

/* Does a window have all its taps outside of the image? Only dilation can do that: a window begins
 * at most half of its taps before the image, and none begins behind it. */
static bool has_empty_window(const tr_pool_side *s) {
    for (int start = -s->padding; start < 0; start += s->stride) {
        int first = (s->dilation - 1 - start) / s->dilation;
        if (first >= s->kernel || start + first * s->dilation >= s->in) return true;
    }
    return false;
}

int tr_pool_shape(tr_node *node, const tr_pool_args *a, tr_error *err) {
    char text[WORDS], other[WORDS], shape[64];
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    if ((a->stride.h < 0) != (a->stride.w < 0))
        return tr_fail_at(err, tr_key_where(node, "stride"), node->name,
                          "stride mixes kernel_size and a number: write the word alone, or two "
                          "numbers");
    int64_t most_h = a->kernel_size.h / 2, most_w = a->kernel_size.w / 2;
    if (a->padding.h > most_h || a->padding.w > most_w) {
        char most[WORDS];
        if (a->padding.h == a->padding.w) most_h = most_w = tr_min(most_h, most_w);
        return tr_fail_at(err, tr_key_where(node, "padding"), node->name,
                          "padding=%s is more than half of kernel_size=%s, allowed are 0 to %s",
                          size_text(a->padding.h, a->padding.w, text),
                          size_text(a->kernel_size.h, a->kernel_size.w, other),
                          size_text(most_h, most_w, most));
    }
    tr_pool d = tr_pool_geometry(node, a);
    if ((code = check_kernel(node, a, &d, err))) return code;
    if (has_empty_window(&d.h) || has_empty_window(&d.w))
        return tr_fail_at(err, tr_key_where(node, "dilation"), node->name,
                          "dilation=%s makes windows that hold no pixel of the input of %s, only "
                          "padding: a smaller dilation or padding is needed",
                          size_text(a->dilation.h, a->dilation.w, text),
                          tr_shape_text(node->in[0], shape));
    node->unfused = (tr_shape){false, d.h.out, d.w.out, d.c};
    return TR_OK;
}

/* ---- maxima ---- */

enum { WINNERS }; /* own: for each output the element of the input that it is */

void tr_pool_largest(const tr_work *w, const tr_pool *d) {
    for (int i = 0; i < w->n; i++)
        w->kernels->max_pool(d, tr_x(w, 0, i), tr_y(w, i),
                             tr_has_own(w, WINNERS) ? tr_own(w, WINNERS, i) : NULL);
}

static void largest_dx(const tr_work *w) {
    for (int i = 0; i < w->n; i++)
        w->kernels->max_pool_dx(tr_shape_size(w->node->out), tr_dy(w, i), tr_own(w, WINNERS, i),
                                tr_dx(w, 0, i), tr_shape_size(w->node->in[0]));
}

void tr_pool_plan_largest(const tr_node *node, const tr_request *request, tr_plan *out,
                          void (*forward)(const tr_work *w)) {
    tr_plan_sample_buffer(out, tr_shape_size(node->out) * (int64_t)sizeof(int32_t));
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_reads(out, TR_X, 0);
    tr_writes(out, TR_Y, 0);
    if (!request->need_dx[0]) return;
    tr_writes(out, TR_OWN, WINNERS);
    tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, largest_dx);
    tr_reads(out, TR_DY, 0);
    tr_reads(out, TR_OWN, WINNERS);
    tr_writes(out, TR_DX, 0);
}

/* ---- averages ---- */

void tr_pool_average(const tr_work *w, const tr_pool *d) {
    for (int i = 0; i < w->n; i++) w->kernels->avg_pool(d, tr_x(w, 0, i), tr_y(w, i));
}

void tr_pool_average_dx(const tr_work *w, const tr_pool *d) {
    for (int i = 0; i < w->n; i++)
        w->kernels->avg_pool_dx(d, tr_dy(w, i), w->scratch, tr_dx(w, 0, i));
}

/* Backward needs the divided gradients of a sample as scratch. */
void tr_pool_plan_average(const tr_node *node, const tr_request *request, tr_plan *out,
                          void (*forward)(const tr_work *w), void (*backward)(const tr_work *w)) {
    out->scratch_bytes = (tr_shape_size(node->out) + TR_LANES) * (int64_t)sizeof(tr_real);
    tr_plan_map(out, request, false, forward, backward);
}
