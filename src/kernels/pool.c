/* Pools, in vectors of eight channels; compiled once per ISA like reference.c.
 *
 * The vectors are the compiler's own type, which it makes of what the ISA has: each lane is
 * computed as plain C would. The last vector of a pixel reaches into the next one, whose own are
 * written after it, or into the slack. Windows end where the image does, so no padded copy is
 * needed.
 */
#include <string.h>

#include "kernels/reference.h"

#ifdef TR_REAL_DOUBLE
typedef int64_t integer;
#else
typedef int32_t integer;
#endif
typedef tr_real reals __attribute__((vector_size(TR_BLOCK8 * sizeof(tr_real))));
typedef integer integers __attribute__((vector_size(TR_BLOCK8 * sizeof(tr_real))));

static inline reals load(const tr_real *p) {
    reals v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(tr_real *p, reals v) {
    memcpy(p, &v, sizeof v);
}

/* Indices first .. end-1, `step` pixels apart from pixel `at` on. */
typedef struct span {
    int first, end, at;
} span;

/* The pixels of adaptive window o. */
static span adaptive(const tr_pool_side *s, int o) {
    int first = (int)((int64_t)o * s->in / s->out);
    int end = (int)(((int64_t)(o + 1) * s->in + s->out - 1) / s->out);
    return (span){first, end, first};
}

/* The taps of window o that lie in the image. */
static span taps_of(const tr_pool_side *s, int o) {
    if (s->kernel == 0) return adaptive(s, o);
    int start = o * s->stride - s->padding, step = s->dilation;
    int first = start < 0 ? (step - 1 - start) / step : 0;
    return (span){first, (int)tr_min(s->kernel, (s->in - start + step - 1) / step),
                  start + first * step};
}

/* ---- maximum ---- */

static inline integers select(integers where, integers a, integers b) {
    return (a & where) | (b & ~where);
}

/* Of eight channels: y, and where in x it is. The first of the taps is at `at`; step_h, step_w:
 * from one to the next. */
static inline void largest(span rows, span columns, int64_t step_h, int64_t step_w,
                           const tr_real *x, int64_t at, tr_real *y, int32_t *winner) {
    reals best = load(x + at);
    integers place = (integers){0} + (integer)at;
    for (int r = rows.first; r < rows.end; r++, at += step_h) {
        int64_t i = at;
        for (int q = columns.first; q < columns.end; q++, i += step_w) {
            reals v = load(x + i);
            integers more = (v > best) | (v != v);
            best = (reals)select(more, (integers)v, (integers)best);
            place = select(more, (integers){0} + (integer)i, place);
        }
    }
    store(y, best);
    place += (integers){0, 1, 2, 3, 4, 5, 6, 7};
    for (int l = 0; winner && l < TR_BLOCK8; l++) winner[l] = (int32_t)place[l];
}

static void max_pool(const tr_pool *d, const tr_real *x, tr_real *y, int32_t *at) {
    const int c = d->c;
    int64_t step_h = (int64_t)d->h.dilation * d->w.in * c, step_w = (int64_t)d->w.dilation * c;
    for (int h = 0; h < d->h.out; h++) {
        span rows = taps_of(&d->h, h);
        for (int w = 0; w < d->w.out; w++, y += c, at += at ? c : 0) {
            span columns = taps_of(&d->w, w);
            int64_t first = ((int64_t)rows.at * d->w.in + columns.at) * c;
            for (int l = 0; l < c; l += TR_BLOCK8)
                largest(rows, columns, step_h, step_w, x, first + l, y + l, at ? at + l : NULL);
        }
    }
}

static void max_pool_dx(int64_t n, const tr_real *dy, const int32_t *at, tr_real *dx,
                        int64_t n_dx) {
    memset(dx, 0, (size_t)n_dx * sizeof *dx);
    for (int64_t i = 0; i < n; i++) dx[at[i]] += dy[i];
}

/* ---- average ---- */

/* The pixels of window o in the image; *size: how many it has with those of the padding. */
static span pixels_of(const tr_pool_side *s, int o, int64_t *size) {
    if (s->kernel == 0) {
        span window = adaptive(s, o);
        *size = window.end - window.first;
        return window;
    }
    int start = o * s->stride - s->padding, end = start + s->kernel;
    *size = tr_min(end, s->in + s->padding) - start;
    start = start < 0 ? 0 : start;
    return (span){start, (int)tr_min(end, s->in), start};
}

/* The windows that hold pixel i. */
static span windows_of(const tr_pool_side *s, int i) {
    if (s->kernel == 0) {
        int first = (int)((int64_t)i * s->out / s->in);
        return (span){first, (int)(((int64_t)(i + 1) * s->out + s->in - 1) / s->in), first};
    }
    int last = i + s->padding, before = last - s->kernel; /* windows end behind `before` */
    int first = before < 0 ? 0 : before / s->stride + 1;
    return (span){first, (int)tr_min(s->out, last / s->stride + 1), first};
}

static tr_real divisor_of(const tr_pool *d, int h, int w) {
    int64_t size_h, size_w;
    span rows = pixels_of(&d->h, h, &size_h), columns = pixels_of(&d->w, w, &size_w);
    if (d->divisor) return (tr_real)d->divisor;
    if (d->count_padding) return (tr_real)(size_h * size_w);
    return (tr_real)((int64_t)(rows.end - rows.first) * (columns.end - columns.first));
}

/* y[c] = the sum of a rectangle of x, an image `width` pixels wide, over `divisor`. */
static inline void mean_of(const tr_real *x, int width, int c, span rows, span columns,
                           tr_real divisor, tr_real *y) {
    for (int l = 0; l < c; l += TR_BLOCK8) {
        reals sum = {0};
        for (int r = rows.first; r < rows.end; r++) {
            const tr_real *at = x + ((int64_t)r * width + columns.first) * c + l;
            for (int q = columns.first; q < columns.end; q++, at += c) sum += load(at);
        }
        store(y + l, sum / divisor);
    }
}

static void avg_pool(const tr_pool *d, const tr_real *x, tr_real *y) {
    int64_t size;
    for (int h = 0; h < d->h.out; h++) {
        span rows = pixels_of(&d->h, h, &size);
        for (int w = 0; w < d->w.out; w++, y += d->c)
            mean_of(x, d->w.in, d->c, rows, pixels_of(&d->w, w, &size), divisor_of(d, h, w), y);
    }
}

static void avg_pool_dx(const tr_pool *d, const tr_real *dy, tr_real *scaled, tr_real *dx) {
    const int c = d->c;
    tr_real *restrict to = scaled;
    for (int o = 0; o < d->h.out * d->w.out; o++, dy += c, to += c) {
        tr_real divisor = divisor_of(d, o / d->w.out, o % d->w.out);
        for (int l = 0; l < c; l++) to[l] = dy[l] / divisor;
    }
    for (int i = 0; i < d->h.in; i++) {
        span rows = windows_of(&d->h, i);
        for (int j = 0; j < d->w.in; j++, dx += c)
            mean_of(scaled, d->w.out, c, rows, windows_of(&d->w, j), 1, dx);
    }
}

void TR_NAME(tr_kernels_fill_pool)(tr_kernels *t) {
    t->max_pool = max_pool;
    t->max_pool_dx = max_pool_dx;
    t->avg_pool = avg_pool;
    t->avg_pool_dx = avg_pool_dx;
}
