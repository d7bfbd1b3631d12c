/* Every SIMD table against the reference, bit by bit; then the reference against C's own
 * mathematics.
 *
 * A case is a shape and a seed: the same inputs go through both tables into outputs that start with
 * the same content. Outputs are compared as bits (two NaNs are the same: which operand's payload
 * survives is the compiler's choice). Behind an output lie the slack that a kernel may fill with
 * anything (TR_LANES elements) and a guard that it may not touch; behind an input lies slack that
 * holds NaN, so that one that leaks from there is seen.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "kernels/kernels.h"

static const tr_kernels *scalar, *tables[8];
static int n_tables;

static void find_tables(void) {
    for (int i = 0; i < tr_n_isas() && n_tables < 8; i++) {
        tr_error lacks = {0};
        if (strcmp(tr_isa_name(i), "scalar") != 0 &&
            tr_kernels_get(tr_isa_name(i), &tables[n_tables], &lacks) == TR_OK)
            n_tables++;
    }
}

static void find_scalar(void) {
    tr_error err = {0};
    ck_assert_int_eq(tr_kernels_get("scalar", &scalar, &err), TR_OK);
    tr_flush_subnormals();
}

/* ---- data ---- */

static uint32_t state;

static uint32_t bits32(void) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) ^ (state << 13);
}
static int below(int n) {
    return (int)((bits32() >> 4) % (uint32_t)n);
}
static int pick(const int *list, int n) {
    return list[below(n)];
}

typedef enum kind {
    SMALL,   /* integers: ties, exact sums, zeros of both signs */
    REAL,    /* anything around 1 */
    TINY,    /* products and sums that are flushed to zero, and inputs that are */
    SPECIAL, /* some infinities and NaNs */
    N_KINDS
} kind;

static float number(kind k) {
    int n = below(9) - 4;
    float unit = (float)(bits32() & 0xffffff) * 0x1p-24f;
    switch (k) {
    case SMALL:
        return n ? (float)n : below(2) ? -0.0f : 0.0f;
    case TINY:
        if (below(4) == 0) return (unit - 0.5f) * 0x1p-125f;
        return (unit - 0.5f) * 0x1p-62f;
    case SPECIAL:
        if (below(40) == 0) return below(3) == 0 ? NAN : below(2) ? INFINITY : -INFINITY;
        break;
    default:
        break;
    }
    if (below(16) == 0) return below(2) ? -0.0f : 0.0f;
    return (unit - 0.5f) * 4;
}

/* ---- buffers ---- */

enum { GUARD = 32, MAX_BUFFERS = 24 };

typedef struct buffer {
    void *data;
    size_t n, size; /* elements and bytes of each */
} buffer;

static buffer used[MAX_BUFFERS];
static int n_used;

static void *make(size_t n, size_t size, int filler) {
    void *data = tr_alloc(n + TR_LANES + GUARD, size, NULL);
    if (data == NULL || n_used == MAX_BUFFERS) ck_abort_msg("no room for a buffer");
    memset(data, filler, (n + TR_LANES + GUARD) * size);
    used[n_used++] = (buffer){data, n, size};
    return data;
}

/* Filled with 0xff, the slack behind floats is NaN. */
static float *input(int64_t n, kind k) {
    float *x = make((size_t)n, sizeof *x, 0xff);
    for (int64_t i = 0; i < n; i++) x[i] = number(k);
    return x;
}

enum { UNTOUCHED = 0x5a };

/* Two outputs with the same content: for the reference and for the table that is held against it.
 */
typedef struct outputs {
    void *a, *b;
    size_t n, size;
} outputs;

static outputs output(int64_t n, size_t size) {
    outputs o = {make((size_t)n, size, UNTOUCHED), make((size_t)n, size, UNTOUCHED), (size_t)n,
                 size};
    return o;
}

/* An output that starts from these values. */
static outputs output_from(int64_t n, const float *start) {
    outputs o = output(n, sizeof *start);
    memcpy(o.a, start, (size_t)n * sizeof *start);
    memcpy(o.b, start, (size_t)n * sizeof *start);
    return o;
}

static void release(void) {
    while (n_used > 0) tr_free(used[--n_used].data);
}

static char label[256]; /* of the case, for messages */

static void check_guard(const void *data, size_t n, size_t size, const char *what) {
    const unsigned char *p = (const unsigned char *)data + (n + TR_LANES) * size;
    for (size_t i = 0; i < GUARD * size; i++) {
        if (p[i] != UNTOUCHED)
            ck_abort_msg("%s: %s: byte %zu past the slack is written", label, what, i);
    }
}

static void compare(outputs o, const char *what) {
    check_guard(o.a, o.n, o.size, what);
    check_guard(o.b, o.n, o.size, what);
    if (memcmp(o.a, o.b, o.n * o.size) == 0) return;
    for (size_t i = 0; i < o.n * o.size; i += o.size) {
        const char *a = (const char *)o.a + i, *b = (const char *)o.b + i;
        if (memcmp(a, b, o.size) == 0) continue;
        float x = 0, y = 0;
        double wide_x, wide_y;
        if (o.size == sizeof x) {
            memcpy(&x, a, sizeof x);
            memcpy(&y, b, sizeof y);
        }
        wide_x = (double)x, wide_y = (double)y;
        if (o.size == sizeof wide_x) {
            memcpy(&wide_x, a, sizeof wide_x);
            memcpy(&wide_y, b, sizeof wide_y);
        }
        if (isnan(wide_x) && isnan(wide_y)) continue;
        ck_abort_msg("%s: %s: element %zu differs: %.17g, the reference has %.17g", label, what,
                     i / o.size, wide_y, wide_x);
    }
}

/* ---- convolutions ---- */

static const int channels[] = {1, 3, 6, 7, 8, 9, 15, 16, 17, 24, 33};
static const int kernels[] = {1, 2, 3, 4, 5, 7};
enum {
    N_CHANNELS = sizeof channels / sizeof *channels,
    N_KERNELS = sizeof kernels / sizeof *kernels
};

/* Weights of the forward layout: zero in the lanes that are no channels. */
static float *forward_weights(const tr_conv *d, kind k) {
    int64_t per_k = (int64_t)d->kh * d->run;
    float *w = input(tr_round_up(d->k, TR_BLOCK8) * per_k, k);
    for (int k0 = 0; k0 < d->k; k0 += TR_LANES) {
        int lanes = d->k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8;
        for (int64_t i = 0; i < per_k; i++) {
            for (int l = d->k - k0; l < lanes; l++) w[k0 * per_k + i * lanes + l] = 0;
        }
    }
    return w;
}

static float *gather_weights(const tr_conv *d, kind k) {
    int run8 = (int)tr_round_up(d->run, TR_BLOCK8);
    float *w = input((int64_t)d->k * d->kh * run8, k);
    for (int r = 0; r < d->k * d->kh; r++) {
        for (int j = d->run; j < run8; j++) w[r * run8 + j] = 0;
    }
    return w;
}

static void check_conv_backward(const tr_kernels *t, const tr_conv *d, const float *x, int64_t n_x,
                                kind k) {
    int64_t n_y = (int64_t)d->oh * d->ow * d->k;
    float *dy = input(n_y, k), *start = forward_weights(d, k);
    int64_t size = tr_round_up(d->k, TR_BLOCK8) * d->kh * d->run,
            piece = TR_LANES * (1 + below(40));
    outputs dw = output_from(size, start);
    scalar->conv_dw(d, x, dy, 0, size, dw.a);
    for (int64_t e = 0; e < size; e += piece) /* any whole vectors of it */
        t->conv_dw(d, x, dy, e, tr_min(e + piece, size), (float *)dw.b + e);
    compare(dw, "conv_dw");
    (void)n_x;
}

static void check_gather(const tr_kernels *t, const tr_conv *d, const float *x, int64_t n_x,
                         const float *y, const uint8_t *index, kind k) {
    int64_t n = (int64_t)(d->oh / d->pool) * (d->ow / d->pool);
    float *dy = input(n * d->k, k);
    outputs lists = output(n * d->k, sizeof(tr_gather)), counts = output(d->k, sizeof(int32_t));
    scalar->gather(d, y, dy, index, lists.a, counts.a);
    t->gather(d, y, dy, index, lists.b, counts.b);
    compare(counts, "gather counts");
    const tr_gather *list = lists.a;
    for (int c = 0; c < d->k; c++) { /* behind its count a list may hold anything */
        size_t first = (size_t)(c * n) * sizeof *list,
               bytes = sizeof *list * (size_t)((int32_t *)counts.a)[c];
        if (memcmp((char *)lists.a + first, (char *)lists.b + first, bytes) != 0)
            ck_abort_msg("%s: lists of channel %d differ", label, c);
    }
    check_guard(lists.b, lists.n, lists.size, "lists");

    float *start = gather_weights(d, k), *w = gather_weights(d, k);
    outputs dw = output_from((int64_t)d->k * d->kh * tr_round_up(d->run, TR_BLOCK8), start);
    scalar->gather_dw(d, x, list, counts.a, 0, d->k, dw.a);
    int64_t kernel = (int64_t)d->kh * tr_round_up(d->run, TR_BLOCK8);
    for (int c = 0, step = 1 + below(5); c < d->k; c += step)
        t->gather_dw(d, x, list, counts.a, c, (int)tr_min(c + step, d->k),
                     (float *)dw.b + c * kernel);
    compare(dw, "gather_dw");

    outputs dx = output(n_x, sizeof *x);
    scalar->gather_dx(d, list, counts.a, w, dx.a, n_x);
    t->gather_dx(d, list, counts.a, w, dx.b, n_x);
    compare(dx, "gather_dx");
}

static void check_conv(const tr_kernels *t, int c, int k, int kernel, int stride, int pool, int oh,
                       int ow, bool relu, bool bias, kind what) {
    int extra_w = below(3), extra_h = below(3); /* columns and rows that nothing reads */
    int w = (ow - 1) * stride + kernel + extra_w, h = (oh - 1) * stride + kernel + extra_h;
    tr_conv d = {.c = c,
                 .k = k,
                 .kh = kernel,
                 .run = kernel * c,
                 .row = (int64_t)w * c,
                 .step_w = (int64_t)stride * c,
                 .step_h = (int64_t)stride * w * c,
                 .oh = oh,
                 .ow = ow,
                 .pool = pool,
                 .relu = relu};
    snprintf(
        label, sizeof label,
        "%s: %d to %d channels, kernel %d, stride %d, pool %d, %d x %d pixels, relu %d, bias %d, "
        "data %d",
        t->name, c, k, kernel, stride, pool, oh, ow, relu, bias, (int)what);
    int64_t n_x = (int64_t)h * w * c, n_y = (int64_t)(oh / pool) * (ow / pool) * k;
    float *x = input(n_x, what), *weights = forward_weights(&d, what),
          *b = bias ? input(tr_round_up(k, TR_BLOCK8), what) : NULL;
    outputs y = output(n_y, sizeof *x), index = output(n_y, 1),
            scratch = output(tr_max(0, tr_conv_scratch(&d) - TR_LANES), sizeof *x);
    scalar->conv(&d, x, weights, b, y.a, pool > 1 ? index.a : NULL, NULL);
    t->conv(&d, x, weights, b, y.b, pool > 1 ? index.b : NULL, scratch.b);
    compare(y, "conv");
    compare(index, "index of conv");
    check_guard(scratch.b, scratch.n, scratch.size, "scratch of conv");
    if (pool > 1)
        check_gather(t, &d, x, n_x, y.a, index.a, what);
    else
        check_conv_backward(t, &d, x, n_x, what);
    release();
}

/* Every pair of channels with every kernel; the rest by lot. */
START_TEST(conv_channels) {
    const tr_kernels *t = tables[_i];
    state = 1;
    for (int i = 0; i < N_CHANNELS * N_CHANNELS * N_KERNELS; i++) {
        int c = channels[i % N_CHANNELS], k = channels[i / N_CHANNELS % N_CHANNELS];
        int pool = 1 + below(4), most = c * k > 200 ? 1 : 2;
        check_conv(t, c, k, kernels[i / N_CHANNELS / N_CHANNELS], 1 + below(3), pool,
                   pool * (1 + below(most)), pool * (1 + below(2 * most)), below(2), below(2),
                   (kind)below(N_KINDS));
    }
}
END_TEST

/* Every width around the tiles and strips, for a few channels. */
START_TEST(conv_widths) {
    const tr_kernels *t = tables[_i];
    static const int widths[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,  14,  15,
                                 16, 17, 28, 32, 56, 57, 59, 60, 61, 62, 63, 64, 119, 120, 121};
    static const int few[] = {1, 6, 8, 9, 16, 17};
    state = 2;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (int pool = 1; pool <= 4; pool++) {
            for (size_t k = 0; k < sizeof few / sizeof *few; k++) {
                int ow = (int)tr_max(1, widths[i] / pool) * pool;
                check_conv(t, 1 + below(4), few[k], 1 + below(3), 1 + below(2), pool,
                           pool * (1 + below(3)), ow, below(2), below(2), (kind)below(N_KINDS));
            }
        }
    }
}
END_TEST

/* ---- linear ---- */

START_TEST(linear) {
    const tr_kernels *t = tables[_i];
    static const int rows[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 17, 28, 29},
                     ins[] = {0, 1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 14, 15, 31, 84},
                     outs[] = {8, 16, 24, 32, 40};
    state = 3;
    for (int i = 0; i < 17 * 15 * 5; i++) {
        int n = rows[i % 17], ni = ins[i / 17 % 15], no = outs[i / 17 / 15];
        int64_t xs = ni + pick((const int[]){0, 1, 16}, 3),
                ys = no + pick((const int[]){0, 3, 16}, 3);
        bool relu = below(2), bias = below(2);
        kind k = (kind)below(N_KINDS);
        snprintf(label, sizeof label, "%s: linear %d x %d to %d, relu %d, bias %d, data %d",
                 t->name, n, ni, no, relu, bias, (int)k);
        int per_block = 1 + below(ni + 2);
        int64_t block_stride = (int64_t)per_block * no + 8 * below(3);
        float *x = input(n * xs, k), *w = input((int64_t)(ni / per_block + 1) * block_stride, k),
              *b = bias ? input(no, k) : NULL, *dz = input(n * ys, k);
        outputs y = output(n * ys, sizeof *x), dx = output(n * xs, sizeof *x),
                dw = output((int64_t)ni * no, sizeof *x);
        scalar->linear(n, ni, no, x, xs, w, per_block, block_stride, b, relu, y.a, ys);
        t->linear(n, ni, no, x, xs, w, per_block, block_stride, b, relu, y.b, ys);
        compare(y, "linear");
        scalar->linear_dx(n, ni, no, dz, ys, w, dx.a, xs);
        t->linear_dx(n, ni, no, dz, ys, w, dx.b, xs);
        compare(dx, "linear_dx");
        scalar->linear_dw(n, ni, no, x, xs, dz, ys, false, dw.a);
        int first = below(n + 1); /* the same chain, cut in two */
        t->linear_dw(first, ni, no, x, xs, dz, ys, false, dw.b);
        t->linear_dw(n - first, ni, no, x + first * xs, xs, dz + first * ys, ys, true, dw.b);
        compare(dw, "linear_dw");
        release();
    }
}
END_TEST

START_TEST(sums) {
    const tr_kernels *t = tables[_i];
    state = 4;
    for (int i = 0; i < 600; i++) {
        int n = below(5), no = 8 * (1 + below(5)), partials = 1 + below(9);
        int64_t ys = no + below(20), block_stride = (int64_t)n * no + below(30);
        bool relu = below(2);
        kind k = (kind)(i % N_KINDS);
        snprintf(label, sizeof label, "%s: sum_partials %d x %d, %d partials, data %d", t->name, n,
                 no, partials, (int)k);
        float *p = input(partials * block_stride, k);
        outputs y = output(n * ys, sizeof *p);
        scalar->sum_partials(n, no, p, block_stride, partials, relu, y.a, ys);
        t->sum_partials(n, no, p, block_stride, partials, relu, y.b, ys);
        compare(y, "sum_partials");
        release();

        int channel = i % 40, count = below(70), step = channel + below(3);
        snprintf(label, sizeof label, "%s: row_sum %d x %d, data %d", t->name, count, channel,
                 (int)k);
        float *dy = input((int64_t)count * step, k),
              *m = below(2) ? input((int64_t)count * step, k) : NULL;
        outputs sum = output_from(channel, input(channel, k));
        scalar->row_sum(count, channel, dy, m, step, sum.a);
        t->row_sum(count, channel, dy, m, step, sum.b);
        compare(sum, "row_sum");
        release();
    }
}
END_TEST

/* ---- normalisation ---- */

/* n rows of c numbers, `step` elements apart; what is between them is NaN: it may be read, not
 * used.
 */
static float *rows(int n, int c, int step, kind k) {
    float *x = input((int64_t)n * step, k);
    for (int r = 0; r < n; r++) {
        for (int i = c; i < step; i++) x[r * step + i] = NAN;
    }
    return x;
}

static double *wide_input(int64_t n, kind k) {
    double *x = make((size_t)n, sizeof *x, 0xff);
    for (int64_t i = 0; i < n; i++) x[i] = (double)number(k) + (double)number(k) * 0x1p-30;
    return x;
}

/* Elements between the rows of an output may hold anything. */
static void compare_rows(outputs o, int n, int c, int step, const char *what) {
    for (int r = 0; r < n; r++)
        memcpy((float *)o.b + r * step + c, (float *)o.a + r * step + c,
               (size_t)(step - c) * sizeof(float));
    compare(o, what);
}

START_TEST(normalisation) {
    const tr_kernels *t = tables[_i];
    state = 9;
    for (int i = 0; i < 40 * 60; i++) {
        int c = 1 + i % 40, n = below(8) ? below(9) : 60 + below(80);
        int c8 = (int)tr_round_up(c, 8);
        int x_step = c + (below(2) ? 0 : below(20)), dy_step = c + (below(2) ? 0 : below(20));
        kind k = (kind)below(N_KINDS);
        snprintf(label, sizeof label, "%s: %d rows of %d, steps %d and %d, data %d", t->name, n, c,
                 x_step, dy_step, (int)k);
        float *x = rows(n, c, x_step, k), *dy = rows(n, c, dy_step, k), *shift = input(c8, k),
              *scale = input(c8, k), *offset = input(c8, k), *by = input(c8, k);
        double *wide = wide_input(c8, k), *start = wide_input(2 * c8, k);
        outputs sum = output(2 * c8, sizeof *start), products = output(2 * c8, sizeof *start);
        for (int e = 0; e < 2; e++) {
            memcpy(e ? sum.a : sum.b, start, 2 * (size_t)c8 * sizeof *start);
            memcpy(e ? products.a : products.b, start, 2 * (size_t)c8 * sizeof *start);
        }
        scalar->moments(n, c, x, x_step, wide, sum.a);
        t->moments(n, c, x, x_step, wide, sum.b);
        compare(sum, "moments");
        scalar->normal_sums(n, c, x, dy, x_step, dy_step, shift, scale, offset, products.a);
        t->normal_sums(n, c, x, dy, x_step, dy_step, shift, scale, offset, products.b);
        compare(products, "normal_sums");
        outputs y = output((int64_t)n * dy_step, sizeof *x),
                dx = output((int64_t)n * x_step, sizeof *x);
        scalar->affine(n, c, x, x_step, shift, scale, offset, y.a, dy_step);
        t->affine(n, c, x, x_step, shift, scale, offset, y.b, dy_step);
        compare_rows(y, n, c, dy_step, "affine");
        scalar->affine_dx(n, c, x, x_step, shift, scale, offset, dy, dy_step, by, dx.a, x_step);
        t->affine_dx(n, c, x, x_step, shift, scale, offset, dy, dy_step, by, dx.b, x_step);
        compare_rows(dx, n, c, x_step, "affine_dx");
        release();
    }
}
END_TEST

/* What is behind the channels of a sum stays: it becomes the padding of a gradient. */
START_TEST(padding_of_sums_stays) {
    for (int i = 0; i <= n_tables; i++) {
        const tr_kernels *t = i == n_tables ? scalar : tables[i];
        float x[64], zero[16] = {0}, one[16];
        double sum[32], shift[16] = {0};
        for (int j = 0; j < 64; j++) x[j] = 1;
        for (int j = 0; j < 16; j++) one[j] = 1;
        for (int j = 0; j < 32; j++) sum[j] = 5;
        t->moments(2, 11, x, 11, shift, sum);
        t->normal_sums(2, 11, x, x, 11, 11, zero, one, zero, sum);
        for (int j = 0; j < 32; j++) ck_assert_double_eq(sum[j], j % 16 < 11 ? 9 : 5);
    }
}
END_TEST

/* ---- dropout ---- */

/* The factors are Philox's own numbers. */
START_TEST(dropout) {
    const tr_kernels *t = _i < n_tables ? tables[_i] : scalar;
    state = 10;
    for (int i = 0; i < 200; i++) {
        int c = 1 + below(40), area = 1 + below(50), n = c * area;
        uint64_t key = (uint64_t)bits32() << 32 | bits32(), place = (uint64_t)bits32() << below(9);
        uint32_t kept = below(5) ? bits32() >> 1 : below(2) ? 0 : 1u << 31;
        snprintf(label, sizeof label, "%s: dropout of %d x %d", t->name, c, area);
        outputs factor = output(tr_round_up(n, TR_DROPOUT_STEP), sizeof(float)),
                y = output(n, sizeof(float));
        t->dropout(n, key, place, kept, 1.5f, factor.b);
        float *factors = factor.b, *x = input(n, REAL);
        for (int e = 0; e < n; e++) {
            const uint32_t counter[4] = {(uint32_t)e / 4, (uint32_t)place, (uint32_t)(place >> 32),
                                         0},
                           keys[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
            uint32_t bits[4];
            tr_philox(counter, keys, bits);
            if (factors[e] != (bits[e % 4] >> 1 < kept ? 1.5f : 0))
                ck_abort_msg("%s: element %d", label, e);
            ((float *)y.a)[e % area * c + e / area] = x[e % area * c + e / area] * factors[e];
        }
        check_guard(factor.b, factor.n, factor.size, "factors");
        t->multiply_planar(c, area, x, factors, y.b);
        compare(y, "multiply_planar");
        release();
    }
}
END_TEST

/* ---- element by element, pools, loss, optimizer ---- */

START_TEST(elements) {
    const tr_kernels *t = tables[_i];
    state = 5;
    for (int i = 0; i < 4 * 70; i++) {
        int n = i / N_KINDS;
        kind k = (kind)(i % N_KINDS);
        snprintf(label, sizeof label, "%s: %d elements, data %d", t->name, n, (int)k);
        float *a = input(n, k), *b = input(n, k);
        outputs y = output(n, sizeof *a), in_place = output_from(n, b), z = output(n, sizeof *a);
        scalar->relu(n, a, y.a);
        t->relu(n, a, y.b);
        compare(y, "relu");
        scalar->relu_dx(n, a, in_place.a, in_place.a);
        t->relu_dx(n, a, in_place.b, in_place.b);
        compare(in_place, "relu_dx");
        scalar->add(n, a, b, z.a);
        t->add(n, a, b, z.b);
        compare(z, "add");
        scalar->add(n, z.a, b, z.a);
        t->add(n, z.b, b, z.b);
        compare(z, "add in place");
        release();
    }
}
END_TEST

/* A side of 1 to 12 windows, none of them empty. */
static tr_pool_side pool_side(bool dilated) {
    tr_pool_side s = {.kernel = 1 + below(4), .stride = 1 + below(5), .dilation = 1};
    s.padding = below(s.kernel / 2 + 1);
    if (dilated && below(3) == 0) s.dilation = 1 + below(3);
    int reach = s.dilation * (s.kernel - 1) + 1;
    s.in = (int)tr_max(reach - 2 * s.padding, s.dilation) + below(s.stride * 8);
    s.out = (s.in + 2 * s.padding - reach) / s.stride + 1;
    if (s.out * s.stride < s.in + s.padding) s.out += below(2); /* one that runs past the end */
    return s;
}

/* The definition: all taps in their order, the first one that is not smaller. */
static void model_max_pool(const tr_pool *d, const float *x, float *y, int32_t *at) {
    for (int o = 0; o < d->h.out * d->w.out * d->c; o++) {
        int c = o % d->c, w = o / d->c % d->w.out, h = o / d->c / d->w.out;
        at[o] = -1;
        for (int t = 0; t < d->h.kernel * d->w.kernel; t++) {
            int i = h * d->h.stride - d->h.padding + t / d->w.kernel * d->h.dilation;
            int j = w * d->w.stride - d->w.padding + t % d->w.kernel * d->w.dilation;
            if (i < 0 || i >= d->h.in || j < 0 || j >= d->w.in) continue;
            int32_t e = (i * d->w.in + j) * d->c + c;
            if (at[o] < 0 || x[e] > y[o] || isnan(x[e])) {
                y[o] = x[e];
                at[o] = e;
            }
        }
    }
}

START_TEST(pools) {
    const tr_kernels *t = tables[_i];
    state = 6;
    for (int i = 0; i < 3000; i++) {
        tr_pool d = {.h = pool_side(true), .w = pool_side(true), .c = channels[i % N_CHANNELS]};
        kind k = (kind)below(N_KINDS);
        int64_t n_x = (int64_t)d.h.in * d.w.in * d.c, n_y = (int64_t)d.h.out * d.w.out * d.c;
        snprintf(label, sizeof label,
                 "%s: kernel %d x %d, stride %d x %d, padding %d x %d, dilation %d x %d, %d x %d x "
                 "%d to %d x %d, data %d",
                 t->name, d.h.kernel, d.w.kernel, d.h.stride, d.w.stride, d.h.padding, d.w.padding,
                 d.h.dilation, d.w.dilation, d.h.in, d.w.in, d.c, d.h.out, d.w.out, (int)k);
        float *x = input(n_x, k), *dy = input(n_y, k);
        outputs y = output(n_y, sizeof *x), at = output(n_y, sizeof(int32_t)),
                dx = output(n_x, sizeof *x), alone = output(n_y, sizeof *x);
        model_max_pool(&d, x, y.a, at.a);
        t->max_pool(&d, x, y.b, at.b);
        compare(y, "max_pool");
        compare(at, "index of max_pool");
        scalar->max_pool(&d, x, y.b, at.b);
        compare(y, "max_pool of the reference");
        compare(at, "its index");
        memcpy(alone.a, y.a, (size_t)n_y * sizeof *x);
        t->max_pool(&d, x, alone.b, NULL);
        compare(alone, "max_pool without index");
        scalar->max_pool_dx(n_y, dy, at.a, dx.a, n_x);
        t->max_pool_dx(n_y, dy, at.a, dx.b, n_x);
        compare(dx, "max_pool_dx");
        release();
    }
}
END_TEST

START_TEST(averages) {
    const tr_kernels *t = tables[_i];
    state = 8;
    for (int i = 0; i < 3000; i++) {
        tr_pool d = {.h = pool_side(false),
                     .w = pool_side(false),
                     .c = channels[i % N_CHANNELS],
                     .divisor = below(3) ? 0 : 1 + below(9),
                     .count_padding = below(2)};
        if (below(2)) {
            d.h = (tr_pool_side){.in = 1 + below(9), .out = 1 + below(9)};
            d.w = (tr_pool_side){.in = 1 + below(9), .out = 1 + below(9)};
        }
        kind k = (kind)below(N_KINDS);
        int64_t n_x = (int64_t)d.h.in * d.w.in * d.c, n_y = (int64_t)d.h.out * d.w.out * d.c;
        snprintf(label, sizeof label, "%s: kernel %d x %d, %d x %d x %d to %d x %d, data %d",
                 t->name, d.h.kernel, d.w.kernel, d.h.in, d.w.in, d.c, d.h.out, d.w.out, (int)k);
        float *x = input(n_x, k), *dy = input(n_y, k);
        outputs y = output(n_y, sizeof *x), dx = output(n_x, sizeof *x),
                scaled = output(n_y, sizeof *x);
        scalar->avg_pool(&d, x, y.a);
        t->avg_pool(&d, x, y.b);
        compare(y, "avg_pool");
        scalar->avg_pool_dx(&d, dy, scaled.a, dx.a);
        t->avg_pool_dx(&d, dy, scaled.b, dx.b);
        compare(dx, "avg_pool_dx");
        compare(scaled, "divided gradients");
        release();
    }
}
END_TEST

START_TEST(losses) {
    const tr_kernels *t = tables[_i];
    state = 7;
    for (int i = 0; i < 2000; i++) {
        int n = 1 + below(40), best_a = -1, best_b = -1;
        kind k = (kind)(i % N_KINDS);
        float *x = input(n, k), scale = 1.0f / (float)(1 + below(200)),
              spread = (float)(1 << below(8));
        for (int j = 0; j < n && k == REAL; j++) x[j] *= spread;
        snprintf(label, sizeof label, "%s: cross_entropy of %d, data %d", t->name, n, (int)k);
        outputs d = output(tr_round_up(n, TR_BLOCK8), sizeof *x), loss = output(2, sizeof *x);
        int target = below(n);
        ((float *)loss.a)[0] = scalar->cross_entropy(n, x, target, scale, d.a, &best_a);
        ((float *)loss.b)[0] = t->cross_entropy(n, x, target, scale, d.b, &best_b);
        ((float *)loss.a)[1] = scalar->cross_entropy(n, x, target, scale, NULL, &best_a);
        ((float *)loss.b)[1] = t->cross_entropy(n, x, target, scale, NULL, &best_b);
        compare(d, "gradient of cross_entropy");
        compare(loss, "cross_entropy");
        if (best_a != best_b) ck_abort_msg("%s: best is %d, not %d", label, best_b, best_a);
        release();
    }
}
END_TEST

START_TEST(optimizers) {
    const tr_kernels *t = tables[_i];
    state = 8;
    for (int i = 0; i < 1200; i++) {
        int n = i % 70;
        kind k = (kind)below(N_KINDS);
        tr_sgd s = {.lr = (float)below(100) * 0.01f,
                    .momentum = (float)below(10) * 0.1f,
                    .keep = (float)below(11) * 0.1f,
                    .weight_decay = below(2) ? 0 : 5e-4f,
                    .nesterov = below(2),
                    .first = below(2)};
        snprintf(label, sizeof label, "%s: sgd of %d, data %d", t->name, n, (int)k);
        float *g = input(n, k);
        outputs p = output_from(n, input(n, k)), m = output_from(n, input(n, k));
        bool momentum = below(4) > 0;
        scalar->sgd(&s, n, p.a, g, momentum ? m.a : NULL);
        t->sgd(&s, n, p.b, g, momentum ? m.b : NULL);
        compare(p, "parameters");
        compare(m, "momentum");
        release();
    }
}
END_TEST

/* ---- the table of tables ---- */

START_TEST(tables_by_name) {
    const tr_kernels *t = NULL;
    tr_error err = {0};
    unsetenv("TRAINER_ISA");
    ck_assert_str_eq(tr_isa_name(0), "scalar");
    ck_assert_int_eq(tr_kernels_get("auto", &t, &err), TR_OK);
    ck_assert_str_eq(t->name, n_tables ? tables[n_tables - 1]->name : "scalar");
    for (int i = 0; i < n_tables; i++) {
        ck_assert_int_eq(tr_kernels_get(tables[i]->name, &t, &err), TR_OK);
        ck_assert_ptr_eq(t, tables[i]);
    }
    setenv("TRAINER_ISA", "scalar", 1);
    ck_assert_int_eq(tr_kernels_get("auto", &t, &err), TR_OK);
    ck_assert_ptr_eq(t, scalar);
    if (n_tables) { /* what is asked for by name goes before the environment */
        ck_assert_int_eq(tr_kernels_get(tables[0]->name, &t, &err), TR_OK);
        ck_assert_ptr_eq(t, tables[0]);
    }
    setenv("TRAINER_ISA", "scaler", 1);
    ck_assert_int_eq(tr_kernels_get("auto", &t, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text,
                     "TRAINER_ISA: no instruction set 'scaler' in this build (did you mean "
                     "'scalar'?)");
    unsetenv("TRAINER_ISA");
    err = (tr_error){0};
    ck_assert_int_eq(tr_kernels_get("mmx", &t, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "no instruction set 'mmx' in this build");
}
END_TEST

static Suite *kernels_suite(void) {
    Suite *suite = suite_create("kernels");
    TCase *all = tcase_create("kernels");
    find_tables(); /* their number is the number of loops */
    const int n = n_tables;
    tcase_add_checked_fixture(all, find_scalar, NULL);
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, conv_channels, 0, n);
    tcase_add_loop_test(all, conv_widths, 0, n);
    tcase_add_loop_test(all, linear, 0, n);
    tcase_add_loop_test(all, sums, 0, n);
    tcase_add_loop_test(all, normalisation, 0, n);
    tcase_add_test(all, padding_of_sums_stays);
    tcase_add_loop_test(all, dropout, 0, n + 1);
    tcase_add_loop_test(all, elements, 0, n);
    tcase_add_loop_test(all, pools, 0, n);
    tcase_add_loop_test(all, averages, 0, n);
    tcase_add_loop_test(all, losses, 0, n);
    tcase_add_loop_test(all, optimizers, 0, n);
    tcase_add_test(all, tables_by_name);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(kernels_suite());
}
