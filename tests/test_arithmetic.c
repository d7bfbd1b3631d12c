/* The reference kernels against C's own mathematics: fused multiply-add, exp, log, the loss.
 *
 * All other tables are held against the reference bit by bit (test_kernels.c).
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "check_main.h"
#include "kernels/kernels.h"

static const tr_kernels *scalar;

static void find_scalar(void) {
    tr_error err = {0};
    ck_assert_int_eq(tr_kernels_get("scalar", &scalar, &err), TR_OK);
    tr_flush_subnormals();
}

static uint32_t state;

static uint32_t bits32(void) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) ^ (state << 13);
}
static int below(int n) {
    return (int)((bits32() >> 4) % (uint32_t)n);
}

/* One fused multiply-add, as the reference does it: a linear layer of one input. */
static float fused(float a, float b, float c) {
    float w[8], bias[8], y[8];
    for (int i = 0; i < 8; i++) {
        w[i] = b;
        bias[i] = c;
    }
    scalar->linear(1, 1, 8, &a, 1, w, 1, 8, bias, false, y, 8);
    return y[0];
}

static float flushed(float x) {
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static void check_fma(float a, float b, float c) {
    float got = fused(a, b, c), wanted = flushed(fmaf(flushed(a), flushed(b), flushed(c)));
    if (isnan(got) && isnan(wanted)) return;
    if (memcmp(&got, &wanted, sizeof got) != 0)
        ck_abort_msg("%a * %a + %a is %a, not %a", (double)a, (double)b, (double)c, (double)wanted,
                     (double)got);
}

static float from_bits(uint32_t b) {
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

START_TEST(reference_fma_is_exact) {
    state = 9;
    /* What rounding twice, to double and to float, gets wrong: the product lies half-way between
     * two floats, and the third number decides from below double's last place; and the other way
     * round. */
    for (int i = 0; i < 200000; i++) {
        float a = 1 + 0x1p-12f * (float)(1 + 2 * below(1000)), b = 1 + 0x1p-12f;
        float tail = ldexpf(from_bits(0x3f800000u | (bits32() & 0x7fffff)), -54 - below(60));
        int e = below(60) - 30;
        check_fma(ldexpf(a, e), b, ldexpf(tail, e));
        check_fma(ldexpf(a, e), -b, ldexpf(tail, e));
        check_fma(ldexpf(a, e), b, -ldexpf(tail, e));
        float c = from_bits(0x3f800000u | (bits32() & 0x7fffff));
        check_fma(1 - 0x1p-23f, 0x1p-24f * (1 + 0x1p-23f), c);
        check_fma(1 - 0x1p-23f, 0x1p-24f * (1 + 0x1p-23f), -c);
        check_fma(-a, b, a * b); /* what rounding the product lost */
    }
    for (int i = 0; i < 400000; i++) { /* any bits: all exponents, infinities and NaNs, too */
        uint32_t e = (bits32() & 0xff) << 23;
        check_fma(from_bits(bits32() ^ bits32() << 16), from_bits(bits32() ^ bits32() << 16),
                  from_bits(bits32() ^ bits32() << 16));
        check_fma(from_bits((bits32() & 0x807fffff) | e),
                  from_bits((bits32() & 0x807fffff) | 0x3f800000),
                  from_bits((bits32() & 0x807fffff) | e));
    }
    static const float extremes[] = {
        0,       -0.0f,    1,         -1,           INFINITY,    -INFINITY,
        NAN,     FLT_MAX,  -FLT_MAX,  FLT_MIN,      -FLT_MIN,    0x1p-140f,
        0x1p64f, 0x1p-75f, -0x1p-75f, 1 + 0x1p-23f, 1 - 0x1p-24f};
    enum { N = sizeof extremes / sizeof *extremes };
    for (int i = 0; i < N * N * N; i++)
        check_fma(extremes[i % N], extremes[i / N % N], extremes[i / N / N]);
}
END_TEST

/* exp, through the gradient of two logits 0 and x <= 0 with label 0: d[1] = e / (1 + e). The
 * exponential, the sum, the reciprocal and the product round to 2^-24 each, which is all but what
 * the polynomial may add: 4 * 2^-24. Below the smallest normal number the result is zero. */
START_TEST(reference_exp_is_accurate) {
    for (int i = 0; i <= 100000; i++) {
        float x = -90.0f * (float)i / 100000, logits[2] = {0, x}, d[8];
        int best;
        scalar->cross_entropy(2, logits, 0, 1, d, &best);
        double e = exp((double)x), wanted = e / (1 + e);
        double bound = x < -86.9f ? 1.2e-38 + 2e-38 : 4 * 0x1p-24 * wanted;
        if (fabs((double)d[1] - wanted) > bound)
            ck_abort_msg("exp(%.9g) / (1 + exp) is %.9g, not %.9g", (double)x, (double)d[1],
                         wanted);
    }
}
END_TEST

/* log, through the loss of n equal logits, log n: the sum n is exact. What is left is the rounding
 * of the result, half a unit in the last place, and a quarter for all before it. Then log(1 + e) of
 * two logits: the sum rounds to 2^-24 of itself, e and the result to half of that each. */
START_TEST(reference_log_is_accurate) {
    enum { MOST = 4000 };
    static float logits[MOST];
    for (int i = 0; i < MOST; i++) logits[i] = 2.5f;
    for (int n = 1; n <= MOST; n += n < 300 ? 1 : 37) {
        int best;
        double got = (double)scalar->cross_entropy(n, logits, n - 1, 1, NULL, &best),
               wanted = log(n);
        ck_assert_int_eq(best, 0);
        if (fabs(got - wanted) > 0.75 * 0x1p-23 * wanted)
            ck_abort_msg("log(%d) is %.9g, not %.9g", n, got, wanted);
    }
    for (int i = 0; i <= 100000; i++) {
        float x = -20.0f * (float)i / 100000, two[2] = {0, x};
        int best;
        double got = (double)scalar->cross_entropy(2, two, 0, 1, NULL, &best);
        if (fabs(got - log1p(exp((double)x))) > 2 * 0x1p-24)
            ck_abort_msg("log(1 + exp(%.9g)) is %.9g", (double)x, got);
    }
}
END_TEST

/* Random logits against libm: n roundings of the sum, and a few more, each 2^-24 of numbers that
 * are at most the spread of the logits (64) or the loss. */
START_TEST(reference_loss_is_accurate) {
    state = 10;
    for (int i = 0; i < 20000; i++) {
        int n = 1 + below(40), target = below(n), best;
        float x[40], spread = (float)(1 << below(6)), d[48];
        double top = -INFINITY, sum = 0;
        for (int j = 0; j < n; j++) {
            x[j] = spread * ((float)(bits32() & 0xffffff) * 0x1p-22f - 2);
            top = fmax(top, (double)x[j]);
        }
        for (int j = 0; j < n; j++) sum += exp((double)x[j] - top);
        double wanted = log(sum) - ((double)x[target] - top);
        double got = (double)scalar->cross_entropy(n, x, target, 1, d, &best);
        if (fabs(got - wanted) > (n + 8) * 0x1p-24 * fmax(1, wanted))
            ck_abort_msg("the loss of %d logits is %.9g, not %.9g", n, got, wanted);
        for (int j = 0; j < n; j++) {
            double share = exp((double)x[j] - top) / sum - (j == target);
            if (fabs((double)d[j] - share) > (n + 8) * 0x1p-24)
                ck_abort_msg("gradient %d of %d logits is %.9g, not %.9g", j, n, (double)d[j],
                             share);
        }
        if ((double)x[best] != top) ck_abort_msg("the best of %d is not %d", n, best);
    }
}
END_TEST

START_TEST(not_a_number_goes_through) {
    for (int i = 0; i < tr_n_isas(); i++) {
        tr_error lacks = {0};
        const tr_kernels *t;
        if (tr_kernels_get(tr_isa_name(i), &t, &lacks)) continue;
        float x[4 + TR_LANES] = {1, NAN, -INFINITY, -0.0f}, y[4 + TR_LANES], loss;
        int32_t at[4 + TR_LANES];
        int best;
        t->relu(4, x, y);
        ck_assert(y[0] == 1 && isnan(y[1]) && y[2] == 0 && y[3] == 0);
        const tr_pool_side side = {.in = 2, .out = 1, .kernel = 2, .stride = 2, .dilation = 1};
        tr_pool pool = {.h = side, .w = side, .c = 1};
        t->max_pool(&pool, x, y, at);
        ck_assert(isnan(y[0]) && at[0] == 1);
        t->avg_pool(&pool, x, y);
        ck_assert(isnan(y[0]));
        loss = t->cross_entropy(4, x, 0, 1, NULL, &best);
        ck_assert(isnan(loss));
        tr_conv d = {.c = 1,
                     .k = 1,
                     .kh = 1,
                     .kw = 1,
                     .runs = 1,
                     .run = 1,
                     .pixel = 1,
                     .row = 2,
                     .y_pixel = 1,
                     .y_row = 1,
                     .step_w = 1,
                     .step_h = 2,
                     .oh = 2,
                     .ow = 2,
                     .pool = 2,
                     .relu = true};
        float w[8 + TR_LANES] = {1}, xs[4 + TR_LANES] = {1, NAN, 5, 2};
        uint8_t index[1 + TR_LANES];
        float scratch[64];
        t->conv(&d, xs, w, NULL, y, index, scratch);
        ck_assert(isnan(y[0]) && index[0] == 1);
    }
}
END_TEST

static Suite *arithmetic_suite(void) {
    Suite *suite = suite_create("arithmetic");
    TCase *all = tcase_create("arithmetic");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, find_scalar, NULL);
    tcase_add_test(all, reference_fma_is_exact);
    tcase_add_test(all, reference_exp_is_accurate);
    tcase_add_test(all, reference_log_is_accurate);
    tcase_add_test(all, reference_loss_is_accurate);
    tcase_add_test(all, not_a_number_goes_through);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(arithmetic_suite());
}
