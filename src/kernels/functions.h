/* Private to this module: the fused multiply-add and elementary functions of reals, in plain C and
 * without branches, so that the compiler makes vectors of a loop over them and every ISA gives the
 * same bits. Nothing here calls libm, but for the build in double, whose functions are libm's.
 *
 * NaN in, NaN out. Errors are in units in the last place (ulp) of the result and hold where that is
 * a normal number; tests/test_kernels_activation.c measures them.
 */
#ifndef TR_FUNCTIONS_H
#define TR_FUNCTIONS_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

#ifdef TR_REAL_DOUBLE
static inline tr_real fused(tr_real a, tr_real b, tr_real c) {
    return a * b + c;
}
static inline tr_real abs_of(tr_real x) {
    return fabs(x);
}
static inline tr_real with_sign_of(tr_real x, tr_real sign) {
    return copysign(x, sign);
}
static inline tr_real exp_of(tr_real x) {
    return exp(x);
}
static inline tr_real expm1_of(tr_real x) {
    return expm1(x);
}
static inline tr_real log_of(tr_real x) {
    return log(x);
}
static inline tr_real log1p_of(tr_real x) {
    return log1p(x);
}
static inline tr_real tanh_of(tr_real x) {
    return tanh(x);
}
static inline tr_real normal_tail(tr_real t, tr_real *bell) {
    *bell = exp(-0.5 * t * t);
    return 0.5 * erfc(t * 0.70710678118654752440);
}
#else

#if defined(__FMA__) || defined(__aarch64__)
static inline float fused(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
#else
/* a * b + c rounded once, without the instruction: the product is exact in double; the sum is
 * rounded to odd, so that rounding it again to float cannot go wrong (Boldo and Melquiond, 2008,
 * "Emulation of FMA and correctly rounded sums"). */
static inline float fused(float a, float b, float c) {
    double p = (double)a * b, z = c, s = p + z;
    double t = s - p, lost = (p - (s - t)) + (z - t);
    int64_t bits;
    memcpy(&bits, &s, sizeof bits);
    int64_t outward = (lost > 0) == (s > 0) ? 1 : -1;
    bits += (((lost < 0) | (lost > 0)) & !(bits & 1)) ? outward : 0; /* not where s is not finite */
    memcpy(&s, &bits, sizeof s);
    return (float)s;
}
#endif

static inline float abs_of(float x) {
    return __builtin_fabsf(x);
}

static inline float with_sign_of(float x, float sign) {
    return __builtin_copysignf(x, sign);
}

static inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = n ln 2 + r with |r| <= ln(2) / 2 and an integer n, for |x| < 2^21. Added to 1.5 * 2^23 a
 * number is rounded to an integer, which is in the low bits then. */
static inline float reduce(float x, int32_t *n) {
    const float shift = 0x1.8p23f, shifted = x * 1.44269504f + shift, whole = shifted - shift;
    *n = (int32_t)(bits_of(shifted) - bits_of(shift));
    return fused(whole, 2.12194440e-4f, fused(whole, -0.693359375f, x));
}

/* 2^n, of -126 <= n <= 127 */
static inline float power_of_2(int32_t n) {
    return of_bits((uint32_t)(n + 127) << 23);
}

/* e^x, to 1 ulp: 2^n times the Taylor polynomial of degree 7 of e^r, in two factors because 2^128
 * is no number. 0 below -87, where the result is hardly a normal number. */
static inline float exp_of(float x) {
    int32_t n;
    float low = x < -87.0f ? -87.0f : x, r = reduce(low > 89.0f ? 89.0f : low, &n);
    float p = 1.0f / 5040;
    p = fused(p, r, 1.0f / 720);
    p = fused(p, r, 1.0f / 120);
    p = fused(p, r, 1.0f / 24);
    p = fused(p, r, 1.0f / 6);
    p = fused(p, r, 0.5f);
    p = fused(p, r, 1.0f);
    p = fused(p, r, 1.0f);
    float y = p * power_of_2(n >> 1) * power_of_2(n - (n >> 1));
    return x < -87.0f ? 0.0f : y;
}

/* e^x - 1, to 1 ulp: 2^n (e^r - 1) + (2^n - 1), computed by halves because 2^128 is no number. */
static inline float expm1_of(float x) {
    int32_t n;
    float low = x < -25.0f ? -25.0f : x, r = reduce(low > 89.0f ? 89.0f : low, &n);
    float p = 1.0f / 5040;
    p = fused(p, r, 1.0f / 720);
    p = fused(p, r, 1.0f / 120);
    p = fused(p, r, 1.0f / 24);
    p = fused(p, r, 1.0f / 6);
    p = fused(p, r, 0.5f);
    p = fused(p, r * r, r);
    float half = power_of_2(n - 1);
    return 2 * fused(p, half, half - 0.5f);
}

/* log of a normal x >= 1: x = m * 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh(t),
 * t = (m - 1) / (m + 1), |t| < 0.172, the odd series to t^9 (error below one unit in the last place
 * of the sum with e ln 2). */
static inline float log_of(float x) {
    uint32_t bits = bits_of(x);
    int32_t e = (int32_t)(bits - 0x3f3504f3u) >> 23;
    float m = of_bits(bits - ((uint32_t)e << 23));
    float t = (m - 1) / (m + 1), q = t * t;
    float p = 2.0f / 9;
    p = fused(p, q, 2.0f / 7);
    p = fused(p, q, 2.0f / 5);
    p = fused(p, q, 2.0f / 3);
    p = fused(p, q, 2.0f);
    float y = fused((float)e, 0.693359375f, fused((float)e, -2.12194440e-4f, p * t));
    return x <= FLT_MAX ? y : x;
}

/* log(1 + x) of 0 <= x <= 1, to 2 ulp: 2 atanh(t) with t = x / (2 + x), where that is above 0.172
 * log 2 + log((1 + x) / 2), whose t is (x - 1) / (x + 3). */
static inline float log1p_of(float x) {
    bool more = x > 0.41421356f;
    float t = (more ? x - 1 : x) / (x + (more ? 3.0f : 2.0f)), q = t * t;
    float p = 2.0f / 9;
    p = fused(p, q, 2.0f / 7);
    p = fused(p, q, 2.0f / 5);
    p = fused(p, q, 2.0f / 3);
    float y = fused(p, q * t, 2 * t);
    return more ? 0.693147182f + (y - 1.90465421e-9f) : y;
}

/* tanh, to 3 ulp: with e = exp(-2|x|) - 1, -e / (2 + e). */
static inline float tanh_of(float x) {
    float e = expm1_of(-2 * abs_of(x));
    return with_sign_of(e / (2 + e), x);
}

/* The probability that a standard normal number is above t >= 0, erfc(t / sqrt(2)) / 2, to 9 ulp,
 * and bell = e^(-t^2 / 2), to 2 ulp; what the rounding of t^2 does to the bell is undone. Their
 * quotient is a polynomial in t / (3 + t) (weighted least squares, relative error 7e-9). Both are 0
 * past 13.2. */
static inline float normal_tail(float t, float *bell) {
    float u = t > 14.0f ? 14.0f : t, square = u * u, lost = fused(u, u, -square);
    float e = exp_of(-0.5f * square), v = fused(u, 1 / (3 + u), -0.4375f);
    float p = 0.0277252356f;
    p = fused(p, v, 0.0141101199f);
    p = fused(p, v, -0.0544625731f);
    p = fused(p, v, -0.0412721993f);
    p = fused(p, v, 0.112648975f);
    p = fused(p, v, 0.0657773928f);
    p = fused(p, v, -0.390321491f);
    p = fused(p, v, 0.564279197f);
    p = fused(p, v, -0.478838627f);
    p = fused(p, v, 0.149331331f);
    *bell = fused(e, -0.5f * lost, e);
    return p * *bell;
}
#endif

#endif
