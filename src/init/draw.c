/* Drawing the elements of a tensor: from Philox, each by itself, or from PyTorch's sequence as its
 * CPU kernels do (aten/src/ATen/native/cpu/DistributionTemplates.h): uniform numbers to the bit,
 * normal ones to the accuracy of its single-precision functions, about 1e-6. */
#include <math.h>

#include "init/init.h"

enum { BLOCK = 16 }; /* of normal numbers that PyTorch makes together */

void tr_init_draws_begin(tr_init_draws *d, tr_generator generator, uint64_t seed) {
    *d = (tr_init_draws){.generator = generator, .seed = seed};
    tr_mt19937_seed(&d->torch, (uint32_t)seed);
}

static uint32_t next(tr_init_draws *d) {
    d->n++;
    return tr_mt19937_next(&d->torch);
}

/* 24 bits in [0, 1). */
static double next_float(tr_init_draws *d) {
    return (next(d) & 0xffffff) * 0x1p-24;
}

/* 53 bits; the first number is the upper half. */
static double next_double(tr_init_draws *d) {
    uint64_t high = next(d);
    return (double)((high << 32 | next(d)) & ((1ull << 53) - 1)) * 0x1p-53;
}

static double rounded(double x) {
    return (double)(float)x;
}

/* ---- uniform ---- */

/* torch: bounds and their difference are float, the rest double, rounded once. */
static void uniform(const tr_distribution *p, tr_init_draws *d, int64_t first, int64_t n,
                    double *values) {
    const float low = (float)p->a, width = (float)p->b - low;
    for (int64_t i = 0; i < n; i++) {
        if (d->generator == TR_TORCH) {
            values[i] = rounded(next_float(d) * (double)width + (double)low);
        } else {
            float u = tr_random_unit(d->seed, TR_STREAM_INIT, d->tensor, (uint64_t)(first + i));
            values[i] = (double)((u - 0.5f) * (float)(p->b - p->a)) + (p->a + p->b) / 2;
        }
    }
}

/* ---- normal ---- */

static double words_normal(const uint32_t words[4]) {
    double u = ((double)words[0] + 1) * 0x1p-32;
    return sqrt(-2 * tr_init_log(u)) * tr_init_cos_turn(words[1] * 0x1p-32);
}

/* Box-Muller on uniform numbers in place: element j with element j + 8. */
static void normal_block(const tr_distribution *p, double *u) {
    for (int j = 0; j < BLOCK / 2; j++) {
        double radius = sqrt(-2 * tr_init_log(1 - u[j])), turn = u[j + BLOCK / 2];
        u[j] = rounded(radius * tr_init_cos_turn(turn) * rounded(p->std) + rounded(p->mean));
        u[j + BLOCK / 2] =
            rounded(radius * tr_init_sin_turn(turn) * rounded(p->std) + rounded(p->mean));
    }
}

/* A pair of double numbers at a time; the second may be for the next tensor. */
static double next_normal(tr_init_draws *d) {
    d->has_normal = !d->has_normal;
    if (!d->has_normal) return d->normal;
    double turn = next_double(d), u = next_double(d);
    double radius = sqrt(-2 * tr_init_log(1 - u));
    d->normal = radius * tr_init_sin_turn(turn);
    return radius * tr_init_cos_turn(turn);
}

/* Blocks of uniform numbers, and the last block once more where a part of one is left. */
static void torch_normal(const tr_distribution *p, tr_init_draws *d, int64_t first, int64_t n,
                         int64_t count, double *values) {
    if (count < BLOCK) {
        for (int64_t i = 0; i < n; i++) values[i] = rounded(next_normal(d) * p->std + p->mean);
        return;
    }
    for (int64_t i = 0; i < n; i++) values[i] = next_float(d);
    for (int64_t i = 0; i + BLOCK <= n; i += BLOCK) normal_block(p, values + i);
    if (first + n < count || count % BLOCK == 0) return;
    for (int64_t i = n - BLOCK; i < n; i++) values[i] = next_float(d);
    normal_block(p, values + n - BLOCK);
}

static void normal(const tr_distribution *p, tr_init_draws *d, int64_t first, int64_t n,
                   int64_t count, double *values) {
    if (d->generator == TR_TORCH) {
        torch_normal(p, d, first, n, count, values);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint32_t words[4];
        tr_random_words(d->seed, TR_STREAM_INIT, d->tensor, (uint64_t)(first + i), words);
        values[i] = p->mean + p->std * words_normal(words);
    }
}

/* ---- truncated normal ---- */

static double cdf(const tr_distribution *p, double x) {
    return (1 + tr_init_erf((x - p->mean) / p->std / sqrt(2))) / 2;
}

/* The quantile of a uniform number between those of the bounds. */
static void trunc_normal(const tr_distribution *p, tr_init_draws *d, int64_t n, double *values) {
    const double low = 2 * cdf(p, p->a) - 1, high = 2 * cdf(p, p->b) - 1;
    for (int64_t i = 0; i < n; i++) {
        double u = (tr_random(d->seed, TR_STREAM_INIT, d->tensor, (uint64_t)i) + 0.5) * 0x1p-32;
        double x = p->mean + p->std * sqrt(2) * tr_init_erfinv(low + u * (high - low));
        values[i] = fmin(fmax(x, p->a), p->b);
    }
}

/* PyTorch 2.15 rejects: it draws all elements until each was once within the bounds. */
static void reject_normal(const tr_distribution *p, tr_init_draws *d, int64_t n, double *values,
                          double *more) {
    const double low = rounded(p->a), high = rounded(p->b);
    normal(p, d, 0, n, n, values);
    for (;;) {
        bool outside = false;
        for (int64_t i = 0; i < n; i++) outside |= values[i] < low || values[i] > high;
        if (!outside) return;
        normal(p, d, 0, n, n, more);
        for (int64_t i = 0; i < n; i++)
            if (values[i] < low || values[i] > high) values[i] = more[i];
    }
}

/* Where little of the distribution is between the bounds: uniform numbers, each taken with its
 * density over the highest one. The arithmetic is that of float tensors. */
static void reject_uniform(const tr_distribution *p, tr_init_draws *d, int64_t n, double *values,
                           double *more) {
    const tr_distribution between = {.kind = TR_UNIFORM, .a = p->a, .b = p->b};
    const double mode = fmax(p->a, fmin(p->mean, p->b)), peak = (mode - p->mean) / p->std;
    const float mean = (float)p->mean, std = (float)p->std, log_peak = (float)(-0.5 * peak * peak);
    for (int64_t i = 0; i < n; i++) values[i] = NAN;
    for (bool pending = true; pending;) {
        pending = false;
        uniform(&between, d, 0, n, more);
        for (int64_t i = 0; i < n; i++) {
            double u = next_float(d);
            if (!isnan(values[i])) continue;
            float x = ((float)more[i] - mean) / std;
            float log_density = x * x * -0.5f - log_peak;
            if (u == 0 || (float)tr_init_log(u) <= log_density)
                values[i] = more[i];
            else
                pending = true;
        }
    }
}

static int torch_trunc_normal(const tr_distribution *p, tr_init_draws *d, int64_t n, double *values,
                              tr_error *err) {
    double *more = tr_alloc((size_t)n, sizeof *more, err);
    if (more == NULL) return TR_ENOMEM;
    bool much = cdf(p, p->b) - cdf(p, p->a) > 0.3;
    (much ? reject_normal : reject_uniform)(p, d, n, values, more);
    tr_free(more);
    return TR_OK;
}

/* ---- all ---- */

int tr_init_draw(const tr_distribution *p, tr_init_draws *d, int64_t first, int64_t n,
                 int64_t count, double *values, tr_error *err) {
    switch (p->kind) {
    case TR_KEEP:
        break;
    case TR_CONSTANT:
        for (int64_t i = 0; i < n; i++) values[i] = p->a;
        break;
    case TR_UNIFORM:
        uniform(p, d, first, n, values);
        break;
    case TR_NORMAL:
        normal(p, d, first, n, count, values);
        break;
    case TR_TRUNC_NORMAL:
        if (d->generator == TR_TORCH) return torch_trunc_normal(p, d, n, values, err);
        trunc_normal(p, d, n, values);
        break;
    }
    return TR_OK;
}

int64_t tr_init_draw_bytes(const tr_distribution *p, tr_generator generator, int64_t count) {
    return p->kind == TR_TRUNC_NORMAL && generator == TR_TORCH
               ? tr_alloc_bytes(count, sizeof(double))
               : 0;
}
