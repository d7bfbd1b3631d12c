/* Activations: each is a function of an element and what its gradient is; plain loops, compiled
 * once per ISA like reference.c.
 *
 * `a` are the numbers that the layer's arguments make; which, stands at the function. Where PyTorch
 * decides by a comparison, the comparison here is the same: it matters at kinks and for NaN. Smooth
 * functions go over e^-|x|, which cannot overflow.
 */
#include "kernels/functions.h"
#include "kernels/reference.h"

/* ---- made of straight lines ---- */

/* from a.v[0] to a.v[1] */
static inline tr_real hard_tanh(tr_real x, tr_numbers a) {
    tr_real low = x < a.v[0] ? a.v[0] : x;
    return low > a.v[1] ? a.v[1] : low;
}
static inline tr_real hard_tanh_dx(tr_real x, tr_real dy, tr_numbers a) {
    return ((x > a.v[0]) & (x < a.v[1])) ? dy : 0;
}

/* a.v[0]: the slope below 0 */
static inline tr_real leaky_relu(tr_real x, tr_numbers a) {
    return x > 0 ? x : x * a.v[0];
}
static inline tr_real leaky_relu_dx(tr_real x, tr_real dy, tr_numbers a) {
    return x > 0 ? dy : dy * a.v[0];
}

/* above a.v[0] x, else a.v[1] */
static inline tr_real threshold(tr_real x, tr_numbers a) {
    return x <= a.v[0] ? a.v[1] : x;
}
static inline tr_real threshold_dx(tr_real x, tr_real dy, tr_numbers a) {
    return x <= a.v[0] ? 0 : dy;
}

/* min(max(x + 3, 0), 6) */
static inline tr_real ramp(tr_real x) {
    tr_real low = x + 3 < 0 ? 0 : x + 3;
    return low > 6 ? 6 : low;
}

static inline tr_real hard_sigmoid(tr_real x, tr_numbers a) {
    (void)a;
    return ramp(x) / 6;
}
static inline tr_real hard_sigmoid_dx(tr_real x, tr_real dy, tr_numbers a) {
    (void)a;
    return ((x > -3) & (x < 3)) ? dy * (tr_real)(1 / 6.0f) : 0; /* as PyTorch, also in double */
}

static inline tr_real hard_swish(tr_real x, tr_numbers a) {
    (void)a;
    return x * ramp(x) / 6;
}
static inline tr_real hard_swish_dx(tr_real x, tr_real dy, tr_numbers a) {
    (void)a;
    tr_real inside = dy * (x / 3 + (tr_real)0.5);
    return x <= -3 ? 0 : x < 3 ? inside : dy;
}

/* ---- exponential linear units ---- */

/* below 0 a.v[0] (e^(a.v[1] x) - 1), above a.v[2] x */
static inline tr_real elu(tr_real x, tr_numbers a) {
    tr_real below = a.v[0] * expm1_of(x * a.v[1]);
    return x <= 0 ? below : x * a.v[2];
}
static inline tr_real elu_dx(tr_real x, tr_real dy, tr_numbers a) {
    tr_real below = dy * (a.v[0] * a.v[1] * exp_of(x * a.v[1]));
    return x <= 0 ? below : dy * a.v[2];
}

/* ---- of the logistic function ---- */

/* 1 / (1 + e^-x); both: its derivative, too */
static inline tr_real logistic(tr_real x) {
    tr_real e = exp_of(-abs_of(x));
    return (x < 0 ? e : 1) / (1 + e);
}
static inline tr_real logistic_both(tr_real x, tr_real *slope) {
    tr_real e = exp_of(-abs_of(x)), share = 1 / (1 + e);
    *slope = e * share * share;
    return x < 0 ? e * share : share;
}

static inline tr_real sigmoid(tr_real x, tr_numbers a) {
    (void)a;
    return logistic(x);
}
static inline tr_real sigmoid_dx(tr_real x, tr_real dy, tr_numbers a) {
    tr_real slope;
    (void)a;
    logistic_both(x, &slope);
    return dy * slope;
}

static inline tr_real silu(tr_real x, tr_numbers a) {
    (void)a;
    return x * logistic(x);
}
static inline tr_real silu_dx(tr_real x, tr_real dy, tr_numbers a) {
    tr_real slope, y = logistic_both(x, &slope);
    (void)a;
    return dy * (y + x * slope);
}

static inline tr_real hyperbolic(tr_real x, tr_numbers a) {
    (void)a;
    return tanh_of(x);
}
/* 1 - tanh(x)^2 = 4 times the logistic function's slope at 2x */
static inline tr_real hyperbolic_dx(tr_real x, tr_real dy, tr_numbers a) {
    tr_real slope;
    (void)a;
    logistic_both(2 * x, &slope);
    return dy * (4 * slope);
}

/* log(1 + e^x) */
static inline tr_real log_1_plus_exp(tr_real x) {
    return (x > 0 ? x : 0) + log1p_of(exp_of(-abs_of(x)));
}

/* beta, threshold, 1 / beta */
static inline tr_real softplus(tr_real x, tr_numbers a) {
    tr_real curve = log_1_plus_exp(x * a.v[0]) * a.v[2];
    return x * a.v[0] > a.v[1] ? x : curve;
}
static inline tr_real softplus_dx(tr_real x, tr_real dy, tr_numbers a) {
    tr_real curve = dy * logistic(x * a.v[0]);
    return x * a.v[0] > a.v[1] ? dy : curve;
}

static inline tr_real log_sigmoid(tr_real x, tr_numbers a) {
    (void)a;
    return -log_1_plus_exp(-x);
}
static inline tr_real log_sigmoid_dx(tr_real x, tr_real dy, tr_numbers a) {
    (void)a;
    return dy * logistic(-x);
}

/* x tanh(log(1 + e^x)): with e = e^-|x| the tanh is n / d, n = e (e + 2) below 0 and 1 + 2e above,
 * d = n + 2 or n + 2 e^2. */
static inline tr_real mish_parts(tr_real x, tr_real *e, tr_real *d) {
    *e = exp_of(-abs_of(x));
    tr_real n = x < 0 ? *e * (*e + 2) : 1 + 2 * *e;
    *d = n + (x < 0 ? 2 : 2 * *e * *e);
    return n;
}
static inline tr_real mish(tr_real x, tr_numbers a) {
    tr_real e, d, n = mish_parts(x, &e, &d);
    (void)a;
    return x * (n / d);
}
/* n / d + x * 4 e (1 + e) / d^2, above 0 with e^2 for e */
static inline tr_real mish_dx(tr_real x, tr_real dy, tr_numbers a) {
    tr_real e, d, n = mish_parts(x, &e, &d), share = 1 / d;
    (void)a;
    tr_real slope = 4 * (x < 0 ? e : e * e) * (1 + e) * share * share;
    return dy * (n * share + x * slope);
}

/* ---- Gauss ---- */

/* x times the probability that a standard normal number is below x */
static inline tr_real gelu(tr_real x, tr_numbers a) {
    tr_real bell, tail = normal_tail(abs_of(x), &bell);
    (void)a;
    return x * (x < 0 ? tail : 1 - tail);
}
static inline tr_real gelu_dx(tr_real x, tr_real dy, tr_numbers a) {
    tr_real bell, tail = normal_tail(abs_of(x), &bell);
    (void)a;
    return dy * ((x < 0 ? tail : 1 - tail) + x * bell * (tr_real)0.39894228040143267794);
}

/* x / 2 (1 + tanh u) = x times the logistic function of 2u, u = sqrt(2 / pi) (x + 0.044715 x^3).
 * Past 15 that is 0 or x: x^3 must not overflow. */
static inline tr_real gelu_inside(tr_real x) {
    tr_real low = x < -15 ? -15 : x;
    return low > 15 ? 15 : low;
}
static inline tr_real gelu_tanh(tr_real x, tr_numbers a) {
    const tr_real c = (tr_real)1.59576912160573071176, k = (tr_real)0.07135481627159853;
    tr_real v = gelu_inside(x);
    (void)a;
    return x * logistic(v * fused(k, v * v, c));
}
static inline tr_real gelu_tanh_dx(tr_real x, tr_real dy, tr_numbers a) {
    const tr_real c = (tr_real)1.59576912160573071176, k = (tr_real)0.07135481627159853;
    tr_real v = gelu_inside(x), square = v * v;
    tr_real slope, y = logistic_both(v * fused(k, square, c), &slope);
    (void)a;
    return dy * (y + v * fused(3 * k, square, c) * slope);
}

/* ---- others ---- */

static inline tr_real softsign(tr_real x, tr_numbers a) {
    (void)a;
    return x / (1 + abs_of(x));
}
static inline tr_real softsign_dx(tr_real x, tr_real dy, tr_numbers a) {
    tr_real share = 1 / (1 + abs_of(x));
    (void)a;
    return dy * (share * share);
}

/* ---- the loops ---- */

#define LOOPS(f)                                                                                   \
    static void f##_all(int64_t n, tr_numbers a, const tr_real *restrict x, tr_real *restrict y) { \
        for (int64_t i = 0; i < n; i++) y[i] = f(x[i], a);                                         \
    }                                                                                              \
    static void f##_dx_all(int64_t n, tr_numbers a, const tr_real *restrict x,                     \
                           const tr_real *restrict dy, tr_real *restrict dx) {                     \
        for (int64_t i = 0; i < n; i++) dx[i] = f##_dx(x[i], dy[i], a);                            \
    }

LOOPS(hard_tanh)
LOOPS(leaky_relu)
LOOPS(threshold)
LOOPS(hard_sigmoid)
LOOPS(hard_swish)
LOOPS(elu)
LOOPS(sigmoid)
LOOPS(silu)
LOOPS(hyperbolic)
LOOPS(softplus)
LOOPS(log_sigmoid)
LOOPS(mish)
LOOPS(gelu)
LOOPS(gelu_tanh)
LOOPS(softsign)

#define ROW(kind, f) [kind] = {f##_all, f##_dx_all}
static const tr_activation all[TR_N_ACTIVATIONS] = {
    ROW(TR_HARD_TANH, hard_tanh),
    ROW(TR_LEAKY_RELU, leaky_relu),
    ROW(TR_THRESHOLD, threshold),
    ROW(TR_HARD_SIGMOID, hard_sigmoid),
    ROW(TR_HARD_SWISH, hard_swish),
    ROW(TR_ELU, elu),
    ROW(TR_SIGMOID, sigmoid),
    ROW(TR_SILU, silu),
    ROW(TR_TANH, hyperbolic),
    ROW(TR_SOFTPLUS, softplus),
    ROW(TR_LOG_SIGMOID, log_sigmoid),
    ROW(TR_MISH, mish),
    ROW(TR_GELU, gelu),
    ROW(TR_GELU_TANH, gelu_tanh),
    ROW(TR_SOFTSIGN, softsign),
};

/* ---- a slope for each element ---- */

static void prelu(int64_t n, const tr_real *restrict slope, const tr_real *restrict x,
                  tr_real *restrict y) {
    for (int64_t i = 0; i < n; i++) {
        tr_real below = x[i] * slope[i];
        y[i] = x[i] > 0 ? x[i] : below;
    }
}

static void prelu_dx(int64_t n, const tr_real *restrict slope, const tr_real *restrict x,
                     const tr_real *restrict dy, tr_real *restrict dx) {
    for (int64_t i = 0; i < n; i++) {
        tr_real below = dy[i] * slope[i];
        dx[i] = x[i] > 0 ? dy[i] : below;
    }
}

static void prelu_sums(int64_t n, int64_t c, const tr_real *restrict x, const tr_real *restrict dy,
                       double *restrict sum) {
    for (int64_t r = 0; r < n; r++, x += c, dy += c) {
        for (int64_t i = 0; i < c; i++) {
            double product = (double)x[i] * (double)dy[i];
            sum[i] += x[i] > 0 ? 0 : product;
        }
    }
}

void TR_NAME(tr_kernels_fill_activation)(tr_kernels *t) {
    memcpy(t->activation, all, sizeof all);
    t->prelu = prelu;
    t->prelu_dx = prelu_dx;
    t->prelu_sums = prelu_sums;
}
