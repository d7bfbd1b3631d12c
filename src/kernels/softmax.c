/* softmax, log_softmax and their gradients; plain loops, compiled once per ISA like reference.c.
 *
 * A value is [outer][n][inner], and sums go over n. Where inner is 1 a sum has eight lanes
 * (element j is in lane j % 8) and one fixed tree; else elements of inner are side by side, each
 * with a sum in the order of n. The largest element is subtracted before the exponential; the sum
 * of exponentials is at least 1. A row with a NaN, or with nothing above -inf, is all NaN.
 */
#include "kernels/functions.h"
#include "kernels/reference.h"

enum { LANES = TR_BLOCK8, ROWS = 16, TILE = 128 };

static inline tr_real larger(tr_real a, tr_real b) {
    return a > b ? a : b;
}

/* ---- inner is 1: LANES elements at a time ---- */

/* The compiler's own vectors: short arrays it would make scalars. */
#ifdef TR_REAL_DOUBLE
typedef int64_t integer;
#else
typedef int32_t integer;
#endif
typedef tr_real reals __attribute__((vector_size(LANES * sizeof(tr_real))));
typedef integer integers __attribute__((vector_size(LANES * sizeof(tr_real))));

/* Elements from x on, of a row that has n of them left: fillers behind those. */
static inline reals load(const tr_real *x, int64_t n, tr_real filler) {
    reals v = (reals){0} + filler;
    if (n >= LANES) {
        memcpy(&v, x, sizeof v);
    } else {
        for (int l = 0; l < n; l++) v[l] = x[l];
    }
    return v;
}

static inline tr_real added(reals s) {
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static inline tr_real largest(int64_t n, const tr_real *x) {
    reals m = (reals){0} - (tr_real)INFINITY;
    for (; n > 0; n -= LANES, x += LANES) {
        const reals v = load(x, n, -(tr_real)INFINITY);
        const integers more = v > m;
        m = (reals)(((integers)v & more) | ((integers)m & ~more));
    }
    return larger(larger(larger(m[0], m[4]), larger(m[2], m[6])),
                  larger(larger(m[1], m[5]), larger(m[3], m[7])));
}

/* The sum of a, or of a * b. */
static inline tr_real sum_of(int64_t n, const tr_real *a, const tr_real *b) {
    reals s = {0};
    for (int64_t j = 0; j < n; j += LANES) {
        const reals v = load(a + j, n - j, 0);
        s += b ? v * load(b + j, n - j, 0) : v;
    }
    return added(s);
}

/* Rows go through each stage together: within one they do not wait for each other. */
static void softmax_rows(int rows, int64_t n, const tr_real *restrict x, tr_real *restrict y,
                         bool log) {
    tr_real m[ROWS], s[ROWS];
    for (int r = 0; r < rows; r++) m[r] = largest(n, x + r * n);
    for (int r = 0; r < rows; r++) {
        for (int64_t j = 0; j < n; j++) y[r * n + j] = exp_of(x[r * n + j] - m[r]);
    }
    for (int r = 0; r < rows; r++) s[r] = sum_of(n, y + r * n, NULL);
    for (int r = 0; r < rows; r++) s[r] = log ? log_of(s[r]) : 1 / s[r];
    for (int r = 0; r < rows; r++, x += n, y += n) {
        if (log) {
            for (int64_t j = 0; j < n; j++) y[j] = x[j] - m[r] - s[r];
        } else {
            for (int64_t j = 0; j < n; j++) y[j] *= s[r];
        }
    }
}

static void softmax_dx_rows(int rows, int64_t n, const tr_real *restrict y,
                            const tr_real *restrict dy, tr_real *restrict dx, bool log) {
    tr_real s[ROWS];
    for (int r = 0; r < rows; r++) s[r] = sum_of(n, dy + r * n, log ? NULL : y + r * n);
    for (int r = 0; r < rows; r++, y += n, dy += n, dx += n) {
        if (log) {
            for (int64_t j = 0; j < n; j++) dx[j] = dy[j] - exp_of(y[j]) * s[r];
        } else {
            for (int64_t j = 0; j < n; j++) dx[j] = y[j] * (dy[j] - s[r]);
        }
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
    const int64_t size = d->n * d->inner;
    for (int64_t o = 0; d->inner == 1 && o < d->outer; o += ROWS)
        softmax_rows((int)tr_min(ROWS, d->outer - o), d->n, x + o * size, y + o * size, d->log);
    for (int64_t o = 0; d->inner > 1 && o < d->outer; o++, x += size, y += size) {
        for (int64_t i = 0; i < d->inner; i += TILE)
            softmax_tile(d->n, (int)tr_min(TILE, d->inner - i), d->inner, x + i, y + i, d->log);
    }
}

static void softmax_dx(const tr_softmax *d, const tr_real *y, const tr_real *dy, tr_real *dx) {
    const int64_t size = d->n * d->inner;
    for (int64_t o = 0; d->inner == 1 && o < d->outer; o += ROWS)
        softmax_dx_rows((int)tr_min(ROWS, d->outer - o), d->n, y + o * size, dy + o * size,
                        dx + o * size, d->log);
    for (int64_t o = 0; d->inner > 1 && o < d->outer; o++, y += size, dy += size, dx += size) {
        for (int64_t i = 0; i < d->inner; i += TILE)
            softmax_dx_tile(d->n, (int)tr_min(TILE, d->inner - i), d->inner, y + i, dy + i, dx + i,
                            d->log);
    }
}

void TR_NAME(tr_kernels_fill_softmax)(tr_kernels *t) {
    t->softmax = softmax;
    t->softmax_dx = softmax_dx;
}
