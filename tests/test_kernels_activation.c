/* Kernels of activations against long double, and against each other (kernel_check.h).
 *
 *     test_kernels_activation                     as a test
 *     test_kernels_activation --table [STRIDE]    the largest errors of every STRIDE-th float
 *
 * Errors are in units in the last place (ulp) of float: of the result, or, where a sum may cancel,
 * of its terms. Bounds are the largest errors of a table with stride 97, rounded up. Where e^x is
 * not a normal number 0 will do, and what that makes of a term of x^2.
 */
#include "kernel_check.h"

#include <float.h>

typedef long double wide;

typedef struct expected {
    wide value, size; /* size: what an ulp is of */
} expected;

static expected plain(wide value) {
    return (expected){value, fabsl(value)};
}
static expected sum(wide a, wide b) {
    return (expected){a + b, fabsl(a) + fabsl(b)};
}

/* ---- the functions, as PyTorch's documentation gives them ---- */

static wide logistic(wide x) {
    return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}
static wide normal_below(wide x) { /* the probability of a standard normal number */
    return 0.5L * erfcl(-x * sqrtl(0.5L));
}
static wide bell(wide x) {
    return expl(-0.5L * x * x) * 0.398942280401432677939946059934381868L;
}
static wide log_1_plus_exp(wide x) {
    return fmaxl(x, 0) + log1pl(expl(-fabsl(x)));
}
static wide ramp(wide x) {
    return x + 3 < 0 ? 0 : x + 3 > 6 ? 6 : x + 3;
}

#define FUNCTION(f, y, dx)                                                                         \
    static expected f(wide x, const wide *a) {                                                     \
        (void)a;                                                                                   \
        return y;                                                                                  \
    }                                                                                              \
    static expected f##_dx(wide x, const wide *a) {                                                \
        (void)a;                                                                                   \
        return dx;                                                                                 \
    }

FUNCTION(hard_tanh, plain(x<a[0] ? a[0] : x> a[1] ? a[1] : x),
         plain(x <= a[0] || x >= a[1] ? 0 : 1))
FUNCTION(leaky_relu, plain(x > 0 ? x : x * a[0]), plain(x > 0 ? 1 : a[0]))
FUNCTION(threshold, plain(x <= a[0] ? a[1] : x), plain(x > a[0] ? 1 : 0))
FUNCTION(hard_sigmoid, plain(ramp(x) / 6), plain(x > -3 && x < 3 ? 1 / 6.0L : 0))
FUNCTION(hard_swish, plain(x *ramp(x) / 6),
         x <= -3  ? plain(0)
         : x >= 3 ? plain(1)
                  : sum(x / 3, 0.5L))
FUNCTION(elu, plain(x > 0 ? a[2] * x : a[0] * expm1l(a[1] * x)),
         plain(x > 0 ? a[2] : a[0] * a[1] * expl(a[1] * x)))
FUNCTION(sigmoid, plain(logistic(x)), plain(logistic(x) * logistic(-x)))
FUNCTION(hyperbolic, plain(tanhl(x)), plain(4 * logistic(2 * x) * logistic(-2 * x)))
FUNCTION(silu, plain(x *logistic(x)), sum(logistic(x), x *logistic(x) * logistic(-x)))
FUNCTION(softplus, plain(a[0] * x > a[1] ? x : log_1_plus_exp(a[0] * x) / a[0]),
         plain(a[0] * x > a[1] ? 1 : logistic(a[0] * x)))
FUNCTION(log_sigmoid, plain(-log_1_plus_exp(-x)), plain(logistic(-x)))
FUNCTION(mish, plain(x *tanhl(log_1_plus_exp(x))),
         sum(tanhl(log_1_plus_exp(x)), x *logistic(x) / powl(coshl(log_1_plus_exp(x)), 2)))
FUNCTION(gelu, plain(x *normal_below(x)), sum(normal_below(x), x *bell(x)))
static wide inside(wide x) {
    return 2 * sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x);
}
static wide inside_dx(wide x) {
    return 2 * sqrtl(2 / acosl(-1)) * (1 + 3 * 0.044715L * x * x);
}
/* The error of e^u is what u is rounded by. */
static expected of_exp(wide u, expected e) {
    return (expected){e.value, e.size * (1 + fabsl(u))};
}
FUNCTION(gelu_tanh, of_exp(inside(x), plain(x *logistic(inside(x)))),
         of_exp(inside(x), sum(logistic(inside(x)),
                               x *inside_dx(x) * logistic(inside(x)) * logistic(-inside(x)))))
FUNCTION(softsign, plain(x / (1 + fabsl(x))), plain(1 / powl(1 + fabsl(x), 2)))

typedef struct row {
    const char *name;
    tr_activation_kind kind;
    tr_numbers a;
    expected (*y)(wide x, const wide *a);
    expected (*dx)(wide x, const wide *a);
    double y_ulp, dx_ulp; /* bounds */
} row;

#define ROW(kind, f, y_ulp, dx_ulp, ...)                                                           \
    { #f, kind, {{__VA_ARGS__ } }, f, f##_dx, y_ulp, dx_ulp }
static const row rows[] = {
    ROW(TR_HARD_TANH, hard_tanh, 0, 0, -1, 1),
    ROW(TR_HARD_TANH, hard_tanh, 0, 0, 0, 6),
    ROW(TR_LEAKY_RELU, leaky_relu, 0.5, 0, 0.01f),
    ROW(TR_LEAKY_RELU, leaky_relu, 0.5, 0, -1.5f),
    ROW(TR_THRESHOLD, threshold, 0, 0, 0.25f, -20),
    ROW(TR_HARD_SIGMOID, hard_sigmoid, 1.1, 0.5, 0),
    ROW(TR_HARD_SWISH, hard_swish, 2, 0.8, 0),
    ROW(TR_ELU, elu, 1.8, 1.6, 1, 1, 1),
    ROW(TR_ELU, elu, 1.8, 1.6, 1.7580993f, 1, 1.050701f),
    ROW(TR_ELU, elu, 1.8, 1.6, 2, 0.5f, 1),
    ROW(TR_ELU, elu, 1.8, 1.6, -0.5f, -2, 1),
    ROW(TR_SIGMOID, sigmoid, 2.6, 5, 0),
    ROW(TR_TANH, hyperbolic, 2.7, 4.9, 0),
    ROW(TR_SILU, silu, 3.2, 4.7, 0),
    ROW(TR_SOFTPLUS, softplus, 2.9, 2.6, 1, 20, 1),
    ROW(TR_SOFTPLUS, softplus, 2.9, 2.6, 2, 1000, 0.5f),
    ROW(TR_SOFTPLUS, softplus, 2.9, 2.6, -4, 1, -0.25f),
    ROW(TR_LOG_SIGMOID, log_sigmoid, 2.8, 2.5, 0),
    ROW(TR_MISH, mish, 4.6, 5, 0),
    ROW(TR_GELU, gelu, 10, 3.9, 0),
    ROW(TR_GELU_TANH, gelu_tanh, 2.4, 2.4, 0),
    ROW(TR_SOFTSIGN, softsign, 1.6, 3.7, 0),
};
enum { N_ROWS = sizeof rows / sizeof *rows, PIECE = 4096 };

/* ---- errors ---- */

static float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; /* as the engine reads it */
}

/* The distance in ulp. NaN where one of the two is NaN. */
static double distance(float x, float got, expected want) {
    int exponent;
    if (isnan(got) && isnan(want.value)) return 0;
    /* A step on the way may overflow a little sooner, as PyTorch's do. */
    if (isinf(got) && fabsl(want.value) > (wide)FLT_MAX / 8)
        return (got > 0) == (want.value > 0) ? 0 : INFINITY;
    wide error = fabsl((wide)got - want.value);
    if (error <= 5e-38L * (1 + fminl((wide)x * (wide)x, 1e4L))) return 0;
    frexpl(want.size, &exponent);
    return (double)ldexpl(error, 24 - exponent);
}

typedef struct worst {
    double ulp;
    float x;
} worst;

static void take(worst *w, float x, float got, expected want) {
    double ulp = distance(x, got, want);
    if (!(ulp <= w->ulp)) *w = (worst){ulp, x};
}

/* Of every stride-th float. */
static void measure(const tr_kernels *t, const row *r, uint32_t stride, worst *y, worst *dx) {
    const wide a[3] = {(wide)r->a.v[0], (wide)r->a.v[1], (wide)r->a.v[2]};
    float x[PIECE], one[PIECE], got[PIECE], got_dx[PIECE];
    *y = *dx = (worst){0, 0};
    for (uint64_t bits = 0; bits <= UINT32_MAX;) {
        int n = 0;
        for (; n < PIECE && bits <= UINT32_MAX; bits += stride, n++) {
            x[n] = of_bits((uint32_t)bits);
            one[n] = 1;
        }
        t->activation[r->kind].forward(n, r->a, x, got);
        t->activation[r->kind].backward(n, r->a, x, one, got_dx);
        for (int i = 0; i < n; i++) {
            take(y, x[i], got[i], r->y((wide)x[i], a));
            if (!isnan(x[i])) take(dx, x[i], got_dx[i], r->dx((wide)x[i], a));
        }
    }
}

START_TEST(errors) {
    const row *r = &rows[_i];
    worst y, dx;
    measure(scalar, r, 99991, &y, &dx);
    ck_assert_msg(y.ulp <= r->y_ulp, "%s of %a: %g ulp", r->name, (double)y.x, y.ulp);
    ck_assert_msg(dx.ulp <= r->dx_ulp, "the gradient of %s at %a: %g ulp", r->name, (double)dx.x,
                  dx.ulp);
}
END_TEST

/* NaN for NaN, a limit or NaN at infinity as the formula gives it, no NaN for what is finite. */
START_TEST(special) {
    static const float x[] = {0,        -0.0f, NAN,    INFINITY, -INFINITY, FLT_MAX,
                              -FLT_MAX, 1e19f, -1e19f, 100,      -100,      40,
                              -40,      1000,  -1000,  1e-37f,   -1e-37f};
    enum { N = sizeof x / sizeof *x };
    const row *r = &rows[_i];
    const wide a[3] = {(wide)r->a.v[0], (wide)r->a.v[1], (wide)r->a.v[2]};
    for (int t = 0; t <= n_tables; t++) {
        const tr_activation *f = &(t < n_tables ? tables[t] : scalar)->activation[r->kind];
        float one[N], y[N], dx[N];
        for (int i = 0; i < N; i++) one[i] = 1;
        f->forward(N, r->a, x, y);
        f->backward(N, r->a, x, one, dx);
        for (int i = 0; i < N; i++) {
            double ulp = distance(x[i], y[i], r->y((wide)x[i], a));
            ck_assert_msg(ulp <= r->y_ulp, "%s of %g is %g", r->name, (double)x[i], (double)y[i]);
            if (!isfinite(x[i])) continue;
            ulp = distance(x[i], dx[i], r->dx((wide)x[i], a));
            ck_assert_msg(ulp <= r->dx_ulp, "the gradient of %s at %g is %g", r->name, (double)x[i],
                          (double)dx[i]);
        }
    }
}
END_TEST

/* The same bits, of any number of elements. */
START_TEST(tables_agree) {
    const tr_kernels *t = tables[_i];
    state = 11;
    for (int i = 0; i < 100 * N_ROWS; i++) {
        const row *r = &rows[i % N_ROWS];
        int n = 1 + below(below(4) ? 40 : 400);
        float *x = input(n, REAL), *dy = input(n, (kind)below(N_KINDS));
        for (int e = 0; e < n; e++) x[e] = below(2) ? x[e] * 8 : of_bits(bits32());
        outputs y = output(n, sizeof *x), dx = output(n, sizeof *x);
        snprintf(label, sizeof label, "%s: %s of %d", t->name, r->name, n);
        scalar->activation[r->kind].forward(n, r->a, x, y.a);
        t->activation[r->kind].forward(n, r->a, x, y.b);
        compare(y, "forward");
        scalar->activation[r->kind].backward(n, r->a, x, dy, dx.a);
        t->activation[r->kind].backward(n, r->a, x, dy, dx.b);
        compare(dx, "backward");
        release();
    }
}
END_TEST

/* prelu's kernels; the reference's sums are those of the loop below. */
START_TEST(slopes) {
    state = 14;
    for (int i = 0; i < 300; i++) {
        const int n = 1 + below(9), c = 1 + below(below(2) ? 20 : 150), size = n * c;
        kind k = (kind)below(N_KINDS);
        float *x = input(size, k), *dy = input(size, k), *slope = input(size, REAL);
        double *start = make((size_t)c, sizeof *start, 0);
        for (int t = 0; t < n_tables; t++) {
            outputs y = output(size, sizeof *x), dx = output(size, sizeof *x),
                    sum = output(c, sizeof *start);
            snprintf(label, sizeof label, "%s: %d rows of %d, data %d", tables[t]->name, n, c,
                     (int)k);
            memcpy(sum.a, start, (size_t)c * sizeof *start);
            memcpy(sum.b, start, (size_t)c * sizeof *start);
            scalar->prelu(size, slope, x, y.a);
            tables[t]->prelu(size, slope, x, y.b);
            compare(y, "prelu");
            scalar->prelu_dx(size, slope, x, dy, dx.a);
            tables[t]->prelu_dx(size, slope, x, dy, dx.b);
            compare(dx, "prelu_dx");
            scalar->prelu_sums(n, c, x, dy, sum.a);
            tables[t]->prelu_sums(n, c, x, dy, sum.b);
            compare(sum, "prelu_sums");
        }
        outputs sum = output(c, sizeof *start);
        memcpy(sum.b, start, (size_t)c * sizeof *start);
        scalar->prelu_sums(n, c, x, dy, sum.b);
        for (int e = 0; e < size; e++) start[e % c] += x[e] > 0 ? 0 : (double)x[e] * (double)dy[e];
        memcpy(sum.a, start, (size_t)c * sizeof *start);
        compare(sum, "prelu_sums");
        release();
    }
}
END_TEST

static void print_table(uint32_t stride) {
    const tr_kernels *t;
    tr_error err = {0};
    if (tr_kernels_get("auto", &t, &err)) return;
    tr_flush_subnormals();
    printf("%-14s %8s %14s %8s %14s\n", "", "ulp of y", "at", "ulp of dx", "at");
    for (int i = 0; i < N_ROWS; i++) {
        worst y, dx;
        measure(t, &rows[i], stride, &y, &dx);
        printf("%-14s %8.3f %14g %8.3f %14g\n", rows[i].name, y.ulp, (double)y.x, dx.ulp,
               (double)dx.x);
    }
}

int main(int argc, char **argv) {
    Suite *suite = suite_create("kernels_activation");
    TCase *all = kernel_tests("kernels_activation");
    if (argc > 1 && strcmp(argv[1], "--table") == 0) {
        print_table(argc > 2 ? (uint32_t)atoi(argv[2]) : 9973);
        return 0;
    }
    tcase_add_loop_test(all, errors, 0, N_ROWS);
    tcase_add_loop_test(all, special, 0, N_ROWS);
    tcase_add_loop_test(all, tables_agree, 0, n_tables);
    tcase_add_test(all, slopes);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
