/* Kernels that move, broadcast and join against the reference, and moves against their definition
 * (kernel_check.h). */
#include "kernel_check.h"

/* ---- two values ---- */

START_TEST(elementwise) {
    const tr_kernels *t = tables[_i];
    state = 11;
    for (int i = 0; i < 2000; i++) {
        const int64_t n = i % 70;
        const kind k = (kind)below(N_KINDS);
        snprintf(label, sizeof label, "%s: %d elements, data %d", t->name, (int)n, (int)k);
        float *a = input(n, k), *b = input(n, k);
        outputs y = output(n, sizeof *a), in_place = output_from(n, a);
        scalar->sub(n, a, b, y.a);
        t->sub(n, a, b, y.b);
        compare(y, "sub");
        scalar->mul(n, a, b, y.a);
        t->mul(n, a, b, y.b);
        compare(y, "mul");
        scalar->scale(n, -1.5f, a, y.a);
        t->scale(n, -1.5f, a, y.b);
        compare(y, "scale");
        scalar->mul(n, in_place.a, b, in_place.a);
        t->mul(n, in_place.b, b, in_place.b);
        compare(in_place, "mul in place");
        release();
    }
}
END_TEST

/* ---- broadcasting ---- */

START_TEST(broadcasting) {
    const tr_kernels *t = tables[_i];
    state = 12;
    for (int i = 0; i < 2000; i++) {
        const int c = channels_at(i), h = 1 + below(4), w = 1 + below(5);
        const int sh = below(2) ? h : 1, sw = below(2) ? w : 1, sc = below(2) ? c : 1;
        const tr_broadcast d = {.h = h,
                                .w = w,
                                .c = c,
                                .step_h = sh > 1 ? (int64_t)sw * sc : 0,
                                .step_w = sw > 1 ? sc : 0,
                                .step_c = sc > 1 || c == 1};
        const kind k = (kind)below(N_KINDS);
        snprintf(label, sizeof label, "%s: %d x %d x %d to %d x %d x %d, data %d", t->name, sh, sw,
                 sc, h, w, c, (int)k);
        const int64_t n = (int64_t)h * w * c, few = (int64_t)sh * sw * sc;
        float *x = input(few, k), *g = input(n, k);
        outputs y = output(n, sizeof *x), dx = output(few, sizeof *x);
        for (int e = 0; e < n; e++) {
            int q = e / c % w, p = e / c / w;
            ((float *)y.a)[e] = x[(p % sh * sw + q % sw) * sc + e % c % sc];
        }
        t->expand(&d, x, y.b);
        compare(y, "expand");
        scalar->expand(&d, x, y.b);
        compare(y, "expand of the reference");
        scalar->reduce(&d, g, dx.a, few);
        t->reduce(&d, g, dx.b, few);
        compare(dx, "reduce");
        for (int e = 0; k == SMALL && e < few; e++) { /* the definition, where sums are exact */
            float sum = 0;
            for (int o = 0; o < n; o++) {
                int q = o / c % w, p = o / c / w;
                if ((p % sh * sw + q % sw) * sc + o % c % sc == e) sum += g[o];
            }
            ck_assert_msg(((float *)dx.a)[e] == sum, "%s: sum %d", label, e);
        }
        release();
    }
}
END_TEST

/* ---- moves ---- */

START_TEST(rows_and_elements) {
    const tr_kernels *t = tables[_i];
    state = 13;
    for (int i = 0; i < 2000; i++) {
        const int64_t n = below(6), c = channels_at(i);
        const int64_t x_step = c + pick((int[]){0, 0, 1, 8, 13}, 5),
                      y_step = c + pick((int[]){0, 0, 1, 8, 13}, 5);
        const kind k = (kind)below(N_KINDS);
        int32_t at[64];
        snprintf(label, sizeof label, "%s: %d rows of %d, %d and %d apart, data %d", t->name,
                 (int)n, (int)c, (int)x_step, (int)y_step, (int)k);
        float *x = input(n * x_step, k), *start = input(n * y_step, k);
        outputs y = output_from(n * y_step, start);
        for (int64_t e = 0; e < n * c; e++)
            ((float *)y.a)[e / c * y_step + e % c] = x[e / c * x_step + e % c];
        t->copy_rows(n, c, x, x_step, y.b, y_step);
        compare(y, "copy_rows");
        y = output_from(n * y_step, start);
        for (int e = 0; e < c; e++) at[e] = below((int)x_step);
        for (int64_t e = 0; e < n * c; e++)
            ((float *)y.a)[e / c * y_step + e % c] = x[e / c * x_step + at[e % c]];
        t->pick(n, c, at, x, x_step, y.b, y_step);
        compare(y, "pick");
        release();
    }
}
END_TEST

enum { MOST = 12, MOST_TAPS = 4 };

typedef struct side {
    int32_t first[MOST + 1], at[MOST * MOST_TAPS];
    float weight[MOST * MOST_TAPS];
} side;

/* Mostly what pads and nearest neighbours make: runs, repeats, gaps; or anything. */
static tr_taps taps(side *s, int in, int form, bool weighted) {
    const int n = 1 + below(MOST), shift = below(5) - 2;
    s->first[0] = 0;
    for (int o = 0; o < n; o++) {
        int count = form == 0 ? o + shift >= 0 && o + shift < in : form == 1 ? 1 : below(MOST_TAPS);
        for (int k = 0; k < count; k++) {
            s->at[s->first[o] + k] = form == 0 ? o + shift : form == 1 ? o / 2 % in : below(in);
            s->weight[s->first[o] + k] = (float)below(5);
        }
        s->first[o + 1] = s->first[o] + count;
    }
    return (tr_taps){n, s->first, s->at, weighted ? s->weight : NULL};
}

START_TEST(resampling) {
    const tr_kernels *t = tables[_i];
    state = 14;
    for (int i = 0; i < 3000; i++) {
        const int c = channels_at(i), h = 1 + below(6), w = 1 + below(6), form = below(3);
        const bool weighted = below(3) == 0;
        const kind k = (kind)below(N_KINDS);
        side vertical, horizontal;
        const tr_taps rows = taps(&vertical, h, form, weighted),
                      columns = taps(&horizontal, w, below(4) ? form : below(3), weighted);
        snprintf(label, sizeof label, "%s: %d x %d x %d to %d x %d, form %d%s, data %d", t->name, h,
                 w, c, rows.n, columns.n, form, weighted ? " weighted" : "", (int)k);
        const int64_t n = (int64_t)rows.n * columns.n * c;
        float *x = input((int64_t)h * w * c, k);
        outputs y = output(n, sizeof *x);
        scalar->resample(&rows, &columns, w, c, x, y.a);
        t->resample(&rows, &columns, w, c, x, y.b);
        compare(y, "resample");
        for (int e = 0; k == SMALL && e < n; e++) { /* the definition, where sums are exact */
            const int p = e / c / columns.n, q = e / c % columns.n;
            float sum = 0;
            for (int a = rows.first[p]; a < rows.first[p + 1]; a++)
                for (int b = columns.first[q]; b < columns.first[q + 1]; b++)
                    sum += (weighted ? rows.weight[a] * columns.weight[b] : 1) *
                           x[(rows.at[a] * w + columns.at[b]) * c + e % c];
            ck_assert_msg(((float *)y.a)[e] == sum, "%s: element %d", label, e);
        }
        release();
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_shape");
    TCase *all = kernel_tests("kernels_shape");
    tcase_add_loop_test(all, elementwise, 0, n_tables);
    tcase_add_loop_test(all, broadcasting, 0, n_tables);
    tcase_add_loop_test(all, rows_and_elements, 0, n_tables);
    tcase_add_loop_test(all, resampling, 0, n_tables);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
