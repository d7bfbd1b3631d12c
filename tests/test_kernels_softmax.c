/* softmax and log_softmax against long double, and each table against the reference
 * (kernel_check.h).
 *
 * An exponential is off by an ulp and what x - max was rounded by, a sum of n by a few roundings,
 * the value by two more: in all 2^-24 times 8 and the size of x - max, which is 40 at most.
 */
#include "kernel_check.h"

typedef long double wide;

static tr_softmax shape_at(int i) {
    static const int sizes[] = {1, 2, 3, 15, 16, 17, 33, 64, 130};
    tr_softmax d = {1 + below(3), pick(sizes, 9), pick(sizes, 9), i % 2};
    if (below(3) == 0) d.inner = 1;
    return d;
}

static void near(const char *what, wide got, wide want, wide size) {
    if (!(fabsl(got - want) <= 50 * 0x1p-24L * size + 2e-38L))
        ck_abort_msg("%s: %s: %.9Lg, not %.9Lg", label, what, got, want);
}

/* One sum's elements, `step` apart. */
static void check_run(const tr_softmax *d, const float *x, const float *y, const float *dy,
                      const float *dx) {
    const int64_t step = d->inner;
    wide most = (wide)x[0], sum = 0, dot = 0, size = 0;
    for (int64_t j = 0; j < d->n; j++) most = fmaxl(most, (wide)x[j * step]);
    for (int64_t j = 0; j < d->n; j++) sum += expl((wide)x[j * step] - most);
    for (int64_t j = 0; j < d->n; j++) {
        const wide g = (wide)dy[j * step];
        const wide share = g * (d->log ? 1 : expl((wide)x[j * step] - most) / sum);
        dot += share;
        size += fabsl(share);
    }
    for (int64_t j = 0; j < d->n; j++) {
        const wide log = (wide)x[j * step] - most - logl(sum), p = expl(log);
        const wide g = (wide)dy[j * step];
        near("y", (wide)y[j * step], d->log ? log : p, d->log ? 1 + fabsl(log) : p);
        near("dx", (wide)dx[j * step], d->log ? g - p * dot : p * (g - dot),
             d->log ? fabsl(g) + p * size : p * (fabsl(g) + size));
    }
}

START_TEST(values) {
    state = 12;
    for (int i = 0; i < 300; i++) {
        tr_softmax d = shape_at(i);
        const int64_t n = d.outer * d.n * d.inner;
        float *x = input(n, SMALL), *y = input(n, REAL), *dy = input(n, REAL), *dx = input(n, REAL);
        for (int64_t e = 0; e < n; e++) x[e] = 5 * x[e] + number(REAL) * 0.1f + (i % 3) * 1e3f;
        snprintf(label, sizeof label, "[%d][%d][%d], log %d", (int)d.outer, (int)d.n, (int)d.inner,
                 d.log);
        scalar->softmax(&d, x, y);
        scalar->softmax_dx(&d, y, dy, dx);
        for (int64_t o = 0; o < d.outer; o++) {
            for (int64_t k = 0; k < d.inner; k++) {
                const int64_t at = o * d.n * d.inner + k;
                check_run(&d, x + at, y + at, dy + at, dx + at);
            }
        }
        release();
    }
}
END_TEST

START_TEST(tables_agree) {
    const tr_kernels *t = tables[_i];
    state = 13;
    for (int i = 0; i < 600; i++) {
        tr_softmax d = shape_at(i);
        const int64_t n = d.outer * d.n * d.inner;
        kind k = (kind)below(N_KINDS);
        float *x = input(n, k), *dy = input(n, k);
        for (int64_t e = 0; i % 5 == 0 && e < n; e++) x[e] *= 100;
        outputs y = output(n, sizeof *x), dx = output(n, sizeof *x);
        snprintf(label, sizeof label, "%s: [%d][%d][%d], log %d, data %d", t->name, (int)d.outer,
                 (int)d.n, (int)d.inner, d.log, (int)k);
        scalar->softmax(&d, x, y.a);
        t->softmax(&d, x, y.b);
        compare(y, "softmax");
        scalar->softmax_dx(&d, y.a, dy, dx.a);
        t->softmax_dx(&d, y.b, dy, dx.b);
        compare(dx, "softmax_dx");
        release();
    }
}
END_TEST

/* One element that is no number, or infinite, makes its sum's elements so, as in PyTorch. */
START_TEST(special) {
    static const struct {
        float x[3], y[3], log[3];
    } rows[] = {
        {{1, NAN, 2}, {NAN, NAN, NAN}, {NAN, NAN, NAN}},
        {{1, INFINITY, 2}, {NAN, NAN, NAN}, {NAN, NAN, NAN}},
        {{-INFINITY, -INFINITY, -INFINITY}, {NAN, NAN, NAN}, {NAN, NAN, NAN}},
        {{-INFINITY, 5, -INFINITY}, {0, 1, 0}, {-INFINITY, 0, -INFINITY}},
        {{3e38f, -3e38f, 0}, {1, 0, 0}, {0, -INFINITY, -3e38f}},
        {{1e4f, 1e4f, 0}, {0.5f, 0.5f, 0}, {-0.693147182f, -0.693147182f, -10000.6934f}},
    };
    for (int t = 0; t <= n_tables; t++) {
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            for (int v = 0; v < 4; v++) { /* side by side, or in a row */
                tr_softmax d = {1, 3, v / 2 ? 2 : 1, v % 2};
                float x[6 + TR_LANES], y[6 + TR_LANES];
                for (int e = 0; e < 6; e++) x[e] = rows[r].x[d.inner == 1 ? e % 3 : e / 2];
                (t < n_tables ? tables[t] : scalar)->softmax(&d, x, y);
                for (int j = 0; j < 3; j++) {
                    float got = y[j * d.inner], want = d.log ? rows[r].log[j] : rows[r].y[j];
                    ck_assert_msg((isnan(got) && isnan(want)) || got == want,
                                  "row %zu, element %d of [1][3][%d], log %d: %g", r, j,
                                  (int)d.inner, d.log, (double)got);
                }
            }
        }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_softmax");
    TCase *all = kernel_tests("kernels_softmax");
    tcase_add_test(all, values);
    tcase_add_loop_test(all, tables_agree, 0, n_tables);
    tcase_add_test(all, special);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
