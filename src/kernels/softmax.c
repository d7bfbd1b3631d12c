/* softmax, log_softmax and their gradients; plain loops, compiled once per ISA like reference.c.
 *
 * A value is [outer][n][inner], and sums go over n. Where inner is 1 a sum has sixteen lanes
 * (element j is in lane j % 16) and one fixed tree; else elements of inner are side by side, each
 * with a sum in the order of n. The largest element is subtracted before the exponential; the sum
 * of exponentials is at least 1. A row with a NaN, or with nothing above -inf, is all NaN.
 */
#include "kernels/functions.h"
#include "kernels/reference.h"

enum { LANES = 16, TILE = 128 };

/* Lanes in a fixed tree. */
static inline tr_real added(const tr_real *s) {
    tr_real t[8];
    for (int l = 0; l < 8; l++) t[l] = s[l] + s[8 + l];
    return ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]));
}

/* s[j % LANES] += TERM of each element j. */
#define ADD_LANES(n, s, TERM)                                                                      \
    for (int64_t at = 0; at < (n); at += LANES) {                                                  \
        if ((n)-at >= LANES) {                                                                     \
            for (int l = 0; l < LANES; l++) (s)[l] += TERM(at + l);                                \
        } else {                                                                                   \
            for (int l = 0; l < (n)-at; l++) (s)[l] += TERM(at + l);                               \
        }                                                                                          \
    }

static inline tr_real larger(tr_real a, tr_real b) {
    return a > b ? a : b;
}

/* ---- inner is 1 ---- */

static tr_real largest(int64_t n, const tr_real *restrict x) {
    tr_real m[LANES];
    int64_t j = 0;
    for (int l = 0; l < LANES; l++) m[l] = -(tr_real)INFINITY;
    for (; n - j >= LANES; j += LANES) {
        for (int l = 0; l < LANES; l++) m[l] = larger(x[j + l], m[l]);
    }
    for (int l = 0; j < n; j++, l++) m[l] = larger(x[j], m[l]);
    for (int step = LANES / 2; step > 0; step /= 2) {
        for (int l = 0; l < step; l++) m[l] = larger(m[l + step], m[l]);
    }
    return m[0];
}

static void softmax_row(int64_t n, const tr_real *restrict x, tr_real *restrict y, bool log) {
    const tr_real m = largest(n, x);
    tr_real s[LANES] = {0};
    if (log) {
#define TERM(j) exp_of(x[j] - m)
        ADD_LANES(n, s, TERM)
#undef TERM
        const tr_real log_sum = log_of(added(s));
        for (int64_t j = 0; j < n; j++) y[j] = x[j] - m - log_sum;
    } else {
        for (int64_t j = 0; j < n; j++) y[j] = exp_of(x[j] - m);
#define TERM(j) y[j]
        ADD_LANES(n, s, TERM)
#undef TERM
        const tr_real share = 1 / added(s);
        for (int64_t j = 0; j < n; j++) y[j] *= share;
    }
}

static void softmax_dx_row(int64_t n, const tr_real *restrict y, const tr_real *restrict dy,
                           tr_real *restrict dx, bool log) {
    tr_real s[LANES] = {0};
    if (log) {
#define TERM(j) dy[j]
        ADD_LANES(n, s, TERM)
#undef TERM
        const tr_real sum = added(s);
        for (int64_t j = 0; j < n; j++) dx[j] = dy[j] - exp_of(y[j]) * sum;
    } else {
#define TERM(j) dy[j] * y[j]
        ADD_LANES(n, s, TERM)
#undef TERM
        const tr_real sum = added(s);
        for (int64_t j = 0; j < n; j++) dx[j] = y[j] * (dy[j] - sum);
    }
}

/* ---- up to TILE elements of inner, rows `step` apart ---- */

static void softmax_tile(int64_t n, int width, int64_t step, const tr_real *restrict x,
                         tr_real *restrict y, bool log) {
    tr_real m[TILE], s[TILE];
    for (int i = 0; i < width; i++) m[i] = -(tr_real)INFINITY, s[i] = 0;
    for (int64_t j = 0; j < n; j++) {
        for (int i = 0; i < width; i++) m[i] = larger(x[j * step + i], m[i]);
    }
    for (int64_t j = 0; j < n; j++) {
        for (int i = 0; i < width; i++) {
            tr_real e = exp_of(x[j * step + i] - m[i]);
            y[j * step + i] = e;
            s[i] += e;
        }
    }
    for (int i = 0; i < width; i++) s[i] = log ? log_of(s[i]) : 1 / s[i];
    for (int64_t j = 0; j < n; j++) {
        if (log) {
            for (int i = 0; i < width; i++) y[j * step + i] = x[j * step + i] - m[i] - s[i];
        } else {
            for (int i = 0; i < width; i++) y[j * step + i] *= s[i];
        }
    }
}

static void softmax_dx_tile(int64_t n, int width, int64_t step, const tr_real *restrict y,
                            const tr_real *restrict dy, tr_real *restrict dx, bool log) {
    tr_real s[TILE] = {0};
    for (int64_t j = 0; j < n; j++) {
        if (log) {
            for (int i = 0; i < width; i++) s[i] += dy[j * step + i];
        } else {
            for (int i = 0; i < width; i++) s[i] += dy[j * step + i] * y[j * step + i];
        }
    }
    for (int64_t j = 0; j < n; j++) {
        const int64_t at = j * step;
        if (log) {
            for (int i = 0; i < width; i++) dx[at + i] = dy[at + i] - exp_of(y[at + i]) * s[i];
        } else {
            for (int i = 0; i < width; i++) dx[at + i] = y[at + i] * (dy[at + i] - s[i]);
        }
    }
}

/* ---- all of it ---- */

static void softmax(const tr_softmax *d, const tr_real *x, tr_real *y) {
    for (int64_t o = 0; o < d->outer; o++, x += d->n * d->inner, y += d->n * d->inner) {
        if (d->inner == 1) softmax_row(d->n, x, y, d->log);
        for (int64_t i = 0; d->inner > 1 && i < d->inner; i += TILE)
            softmax_tile(d->n, (int)tr_min(TILE, d->inner - i), d->inner, x + i, y + i, d->log);
    }
}

static void softmax_dx(const tr_softmax *d, const tr_real *y, const tr_real *dy, tr_real *dx) {
    const int64_t size = d->n * d->inner;
    for (int64_t o = 0; o < d->outer; o++, y += size, dy += size, dx += size) {
        if (d->inner == 1) softmax_dx_row(d->n, y, dy, dx, d->log);
        for (int64_t i = 0; d->inner > 1 && i < d->inner; i += TILE)
            softmax_dx_tile(d->n, (int)tr_min(TILE, d->inner - i), d->inner, y + i, dy + i, dx + i,
                            d->log);
    }
}

void TR_NAME(tr_kernels_fill_softmax)(tr_kernels *t) {
    t->softmax = softmax;
    t->softmax_dx = softmax_dx;
}
