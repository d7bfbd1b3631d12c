/* Local response normalisation; plain loops, compiled once per ISA like reference.c.
 *
 * Pixels are taken a block at a time, their channels in rows with zeros on both sides, so that sums
 * over neighbouring channels and powers are loops over the whole block; what they make of the zeros
 * is not used. Each sum is a chain over the channels of its window in ascending order.
 */
#include "kernels/functions.h"
#include "kernels/reference.h"

enum { LANES = 16 };

/* out[n] = the sums of `taps` elements of `in` from each on; both are padded to LANES. */
static void sum_windows(int64_t n, int taps, const tr_real *in, tr_real *out) {
    for (int64_t e = 0; e < n; e += LANES) {
        tr_real sum[LANES];
        for (int l = 0; l < LANES; l++) sum[l] = in[e + l];
        for (int j = 1; j < taps; j++)
            for (int l = 0; l < LANES; l++) sum[l] += in[e + j + l];
        for (int l = 0; l < LANES; l++) out[e + l] = sum[l];
    }
}

#ifdef TR_REAL_DOUBLE
#define SQRT sqrt
#else
#define SQRT __builtin_sqrtf
#endif

/* power[n] = base^-beta of bases that are not negative; padded to LANES. The two square roots of
 * PyTorch's default are exactly rounded. */
static void powers(int64_t n, tr_real beta, const tr_real *base, tr_real *power) {
    const int64_t end = tr_round_up(n, LANES);
    if (beta == (tr_real)0.75) {
        for (int64_t e = 0; e < end; e++) {
            tr_real root = SQRT(base[e]);
            power[e] = 1 / (root * SQRT(root));
        }
    } else if (beta == 0) {
        for (int64_t e = 0; e < end; e++) power[e] = 1;
    } else {
        for (int64_t e = 0; e < end; e++) {
            tr_real y = exp_of(-beta * log_of(base[e]));
            power[e] = base[e] == 0 ? (tr_real)INFINITY : y;
        }
    }
}

/* A block of pixels in rows: three buffers of the scratch. */
typedef struct block {
    int row, pixels; /* elements of a row; pixels of a block at most */
    tr_real *in;     /* what is added up, with zeros around each row */
    tr_real *base;   /* k + scale * sum; later the sums of backward */
    tr_real *power;  /* base^-beta */
} block;

static block block_of(const tr_response *d, tr_real *scratch) {
    const int row = tr_response_row(d);
    const int64_t size = tr_response_scratch(d) / 3;
    return (block){row, (int)tr_max(1, TR_RESPONSE_BLOCK / row), scratch, scratch + size,
                   scratch + 2 * size};
}

static void clear(const block *b) {
    memset(b->in, 0, (size_t)(b->base - b->in) * sizeof *b->in);
}

/* base and power of n pixels; element o of a row is that of channel o. */
static void make_powers(const tr_response *d, const block *b, int n, const tr_real *x) {
    const int64_t size = (int64_t)n * b->row;
    clear(b);
    for (int p = 0; p < n; p++) {
        tr_real *in = b->in + (int64_t)p * b->row + d->before;
        for (int o = 0; o < d->c; o++) in[o] = x[p * d->c + o] * x[p * d->c + o];
    }
    sum_windows(size, d->before + d->behind + 1, b->in, b->base);
    for (int64_t e = 0; e < tr_round_up(size, LANES); e++)
        b->base[e] = fused(b->base[e], d->scale, d->k);
    powers(size, d->beta, b->base, b->power);
}

static void response(const tr_response *d, int64_t pixels, const tr_real *x, tr_real *y,
                     tr_real *scratch) {
    const block b = block_of(d, scratch);
    for (int64_t p0 = 0; p0 < pixels; p0 += b.pixels, x += b.pixels * d->c, y += b.pixels * d->c) {
        const int n = (int)tr_min(b.pixels, pixels - p0);
        make_powers(d, &b, n, x);
        for (int p = 0; p < n; p++) {
            const tr_real *power = b.power + (int64_t)p * b.row;
            for (int o = 0; o < d->c; o++) y[p * d->c + o] = x[p * d->c + o] * power[o];
        }
    }
}

static void response_dx(const tr_response *d, int64_t pixels, const tr_real *x, const tr_real *dy,
                        tr_real *dx, tr_real *scratch) {
    const block b = block_of(d, scratch);
    const int64_t step = (int64_t)b.pixels * d->c;
    const tr_real by = -2 * d->beta * d->scale;
    for (int64_t p0 = 0; p0 < pixels; p0 += b.pixels, x += step, dy += step, dx += step) {
        const int n = (int)tr_min(b.pixels, pixels - p0);
        make_powers(d, &b, n, x);
        clear(&b);
        for (int p = 0; p < n; p++) {
            const tr_real *base = b.base + (int64_t)p * b.row,
                          *power = b.power + (int64_t)p * b.row;
            tr_real *in = b.in + (int64_t)p * b.row + d->behind;
            for (int o = 0; o < d->c; o++)
                in[o] = dy[p * d->c + o] * (x[p * d->c + o] * power[o]) / base[o];
        }
        sum_windows((int64_t)n * b.row, d->before + d->behind + 1, b.in, b.base);
        for (int p = 0; p < n; p++) {
            const tr_real *sum = b.base + (int64_t)p * b.row, *power = b.power + (int64_t)p * b.row;
            for (int o = 0; o < d->c; o++)
                dx[p * d->c + o] = fused(by * x[p * d->c + o], sum[o], dy[p * d->c + o] * power[o]);
        }
    }
}

void TR_NAME(tr_kernels_fill_response)(tr_kernels *t) {
    t->response = response;
    t->response_dx = response_dx;
}
