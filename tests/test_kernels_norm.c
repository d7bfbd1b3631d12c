/* Kernels of normalisation and dropout against the reference (kernel_check.h). */
#include "kernel_check.h"

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

/* ---- runs ---- */

/* Exactly n numbers are written: what is behind them in the reference's output is there, too. */
static void compare_exactly(outputs o, const char *what) {
    compare(o, what);
    for (size_t i = o.n * o.size; i < (o.n + TR_LANES) * o.size; i++)
        if (((const unsigned char *)o.b)[i] != UNTOUCHED)
            ck_abort_msg("%s: %s: the slack is written", label, what);
}

START_TEST(runs) {
    const tr_kernels *t = tables[_i];
    state = 11;
    for (int i = 0; i < 3000; i++) {
        int n = below(4) ? 1 + below(70) : 1 + below(2000);
        kind k = (kind)below(N_KINDS);
        snprintf(label, sizeof label, "%s: a run of %d, data %d", t->name, n, (int)k);
        float *x = input(n, k), *dy = input(n, k), *w = below(3) ? input(n, k) : NULL,
              *b = w && below(3) ? input(n, k) : NULL, *start = input(n, k);
        tr_affine m = {number(k), number(k), number(k)};
        float by = number(k);
        outputs y = output(n, sizeof *x), dx = output(n, sizeof *x), sum = output(2, 8),
                dw = output_from(n, start), db = output_from(n, start);
        scalar->affine_run(n, m, x, w, b, y.a);
        t->affine_run(n, m, x, w, b, y.b);
        compare_exactly(y, "affine_run");
        scalar->affine_run_dx(n, m, x, dy, w, by, dx.a);
        t->affine_run_dx(n, m, x, dy, w, by, dx.b);
        compare_exactly(dx, "affine_run_dx");
        scalar->run_sums(n, m, x, dy, w, sum.a);
        t->run_sums(n, m, x, dy, w, sum.b);
        compare(sum, "run_sums");
        bool fresh = below(2), both = below(2), first = below(2);
        float *dw_a = both || first ? dw.a : NULL, *db_a = both || !first ? db.a : NULL;
        scalar->run_gradients(n, m, x, dy, fresh, dw_a, db_a);
        t->run_gradients(n, m, x, dy, fresh, dw_a ? dw.b : NULL, db_a ? db.b : NULL);
        compare_exactly(dw, "run_gradients of weights");
        compare_exactly(db, "run_gradients of offsets");
        release();
    }
}
END_TEST

/* Against sums over the plain formulas, of numbers whose sums are exact. */
START_TEST(runs_are_right) {
    enum { N = 45 };
    state = 13;
    for (int i = 0; i <= n_tables; i++) {
        const tr_kernels *t = i == n_tables ? scalar : tables[i];
        float *x = input(N, SMALL), *dy = input(N, SMALL), *w = input(N, SMALL),
              *b = input(N, SMALL), y[N], dx[N], dw[N], db[N];
        const tr_affine m = {1, 2, 3};
        double sum[2], s = 0, q = 0;
        for (int e = 0; e < N; e++) dw[e] = db[e] = 1;
        t->affine_run(N, m, x, w, b, y);
        t->run_sums(N, m, x, dy, w, sum);
        t->affine_run_dx(N, m, x, dy, w, 5, dx);
        t->run_gradients(N, m, x, dy, false, dw, db);
        for (int e = 0; e < N; e++) {
            float normal = (x[e] - 1) * 2 + 3;
            s += (double)(dy[e] * w[e]);
            q += (double)(dy[e] * w[e] * normal);
            ck_assert_float_eq(y[e], normal * w[e] + b[e]);
            ck_assert_float_eq(dx[e], dy[e] * w[e] * 5 + normal);
            ck_assert_float_eq(dw[e], 1 + dy[e] * normal);
            ck_assert_float_eq(db[e], 1 + dy[e]);
        }
        ck_assert_double_eq(sum[0], s);
        ck_assert_double_eq(sum[1], q);
        release();
    }
}
END_TEST

START_TEST(transpose) {
    const tr_kernels *t = _i < n_tables ? tables[_i] : scalar;
    state = 12;
    for (int i = 0; i < 400; i++) {
        int rows = 1 + below(70), columns = 1 + below(70);
        snprintf(label, sizeof label, "%s: %d rows of %d", t->name, rows, columns);
        float *x = input(rows * columns, REAL);
        outputs y = output(rows * columns, sizeof *x);
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++) ((float *)y.a)[c * rows + r] = x[r * columns + c];
        t->transpose(rows, columns, x, y.b);
        compare_exactly(y, "transpose");
        release();
    }
}
END_TEST

/* ---- local response ---- */

static tr_response draw_response(void) {
    static const float betas[] = {0.75f, 0.75f, 0, 0.5f, 1, 2.5f};
    int c = below(8) ? channels_at(below(N_CHANNELS)) : 500 + below(60), size = 1 + below(12);
    return (tr_response){.c = c,
                         .before = (int)tr_min(size / 2, c - 1),
                         .behind = (int)tr_min((size - 1) / 2, c - 1),
                         .scale = below(4) ? 0.3f : 0,
                         .k = below(5) ? 0.5f : 0,
                         .beta = betas[below(6)]};
}

START_TEST(response) {
    const tr_kernels *t = tables[_i];
    state = 14;
    for (int i = 0; i < 1000; i++) {
        const tr_response d = draw_response();
        int pixels = 1 + below(90), n = pixels * d.c;
        kind k = (kind)below(N_KINDS);
        snprintf(label, sizeof label, "%s: %d pixels of %d, %d before, %d behind, beta %g, data %d",
                 t->name, pixels, d.c, d.before, d.behind, (double)d.beta, (int)k);
        float *x = input(n, k), *dy = input(n, k);
        outputs y = output(n, sizeof *x), dx = output(n, sizeof *x),
                scratch = output(tr_response_scratch(&d), sizeof *x);
        scalar->response(&d, pixels, x, y.a, scratch.a);
        t->response(&d, pixels, x, y.b, scratch.b);
        compare_exactly(y, "response");
        scalar->response_dx(&d, pixels, x, dy, dx.a, scratch.a);
        t->response_dx(&d, pixels, x, dy, dx.b, scratch.b);
        compare_exactly(dx, "response_dx");
        check_guard(scratch.b, scratch.n, scratch.size, "scratch");
        release();
    }
}
END_TEST

/* Against the formula in double. A power is off by a few roundings of 2^-24, and by those of its
 * logarithm, of up to 8 here, times beta of up to 2.5. */
START_TEST(response_is_right) {
    double worst = 0;
    state = 15;
    for (int i = 0; i < 300; i++) {
        tr_response d = draw_response();
        int pixels = 1 + below(20), n = pixels * d.c;
        d.k = (float)(1 + below(20)) / 8;
        float *x = input(n, REAL);
        outputs y = output(n, sizeof *x), scratch = output(tr_response_scratch(&d), sizeof *x);
        scalar->response(&d, pixels, x, y.a, scratch.a);
        for (int e = 0; e < n; e++) {
            const int o = e % d.c;
            double sum = 0;
            for (int j = o - d.before; j <= o + d.behind; j++)
                if (j >= 0 && j < d.c)
                    sum += (double)x[e - o + j] * (double)x[e - o + j] * (double)d.scale;
            double wanted = (double)x[e] / pow((double)d.k + sum, (double)d.beta);
            worst = fmax(worst, fabs((double)((float *)y.a)[e] - wanted) / fabs(wanted + !wanted));
        }
        release();
    }
    ck_assert_double_le(worst, 3e-6);
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

int main(void) {
    Suite *suite = suite_create("kernels_norm");
    TCase *all = kernel_tests("kernels_norm");
    tcase_add_loop_test(all, normalisation, 0, n_tables);
    tcase_add_test(all, padding_of_sums_stays);
    tcase_add_loop_test(all, runs, 0, n_tables);
    tcase_add_test(all, runs_are_right);
    tcase_add_loop_test(all, transpose, 0, n_tables + 1);
    tcase_add_loop_test(all, response, 0, n_tables);
    tcase_add_test(all, response_is_right);
    tcase_add_loop_test(all, dropout, 0, n_tables + 1);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
