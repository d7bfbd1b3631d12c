/* Kernels of convolutions, matrices, elements, loss and optimizer against the reference, and the
 * reference against C's own mathematics (kernel_check.h). */
#include <float.h>

#include "kernel_check.h"

/* ---- convolutions ---- */

static const int kernels[] = {1, 2, 3, 4, 5, 7};
enum { N_KERNELS = sizeof kernels / sizeof *kernels };

/* Weights of the forward layout: zero in the lanes that are no channels. */
static float *forward_weights(const tr_conv *d, kind k) {
    int64_t per_k = tr_conv_taps(d);
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
    int64_t n_y = d->oh * d->y_row;
    float *dy = input(n_y, k), *start = forward_weights(d, k);
    int64_t size = tr_round_up(d->k, TR_BLOCK8) * d->kh * d->kw * d->c,
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

/* What a convolution has besides: more channels in a pixel than the group's, on either side, and
 * gaps between taps and rectangles. */
typedef struct extras {
    int x_more, y_more, dilation_h, dilation_w, kernel_w, stride_w;
} extras;

static void check_conv(const tr_kernels *t, int c, int k, int kernel, int stride, int pool, int oh,
                       int ow, bool relu, bool bias, kind what, const extras *e) {
    int extra_w = below(3), extra_h = below(3); /* columns and rows that nothing reads */
    int kw = e ? e->kernel_w : kernel, dh = e ? e->dilation_h : 1, dw = e ? e->dilation_w : 1;
    int sw = e ? e->stride_w : stride, pixel = c + (e ? e->x_more : 0),
        y_pixel = k + (e ? e->y_more : 0);
    int w = (ow - 1) * sw + dw * (kw - 1) + 1 + extra_w,
        h = (oh - 1) * stride + dh * (kernel - 1) + 1 + extra_h;
    bool together = pixel == c && dw == 1;
    tr_conv d = {.c = c,
                 .k = k,
                 .kh = kernel,
                 .kw = kw,
                 .runs = together ? 1 : kw,
                 .run = together ? kw * c : c,
                 .tap_h = (int64_t)dh * w * pixel,
                 .tap_w = (int64_t)dw * pixel,
                 .pixel = pixel,
                 .row = (int64_t)w * pixel,
                 .step_w = (int64_t)sw * pixel,
                 .step_h = (int64_t)stride * w * pixel,
                 .y_pixel = y_pixel,
                 .y_row = (int64_t)(ow / pool) * y_pixel,
                 .oh = oh,
                 .ow = ow,
                 .pool = pool,
                 .relu = relu};
    snprintf(label, sizeof label,
             "%s: %d of %d to %d of %d channels, kernel %dx%d, stride %dx%d, dilation %dx%d, pool "
             "%d, %d x %d pixels, relu %d, bias %d, data %d",
             t->name, c, pixel, k, y_pixel, kernel, kw, stride, sw, dh, dw, pool, oh, ow, relu,
             bias, (int)what);
    int64_t n_x = (int64_t)h * w * pixel, n_y = (int64_t)(oh / pool) * (ow / pool) * y_pixel;
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

/* Groups, dilation and rectangles. */
START_TEST(conv_with_gaps) {
    const tr_kernels *t = tables[_i];
    state = 7;
    for (int i = 0; i < N_CHANNELS * N_CHANNELS; i++) {
        extras e = {below(3) * channels_at(below(4)),
                    below(2) * below(20),
                    1 + below(3),
                    1 + below(3),
                    1 + below(3),
                    1 + below(2)};
        int c = channels_at(i), k = channels_at(i / N_CHANNELS);
        for (int n = 0; n < 2; n++)
            check_conv(t, c, k, 1 + below(3), 1 + below(2), 1, 1 + below(4), 1 + below(20),
                       below(2), below(2), (kind)below(N_KINDS), &e);
    }
}
END_TEST

/* Every pair of channels with every kernel; the rest by lot. */
START_TEST(conv_channels) {
    const tr_kernels *t = tables[_i];
    state = 1;
    for (int i = 0; i < N_CHANNELS * N_CHANNELS * N_KERNELS; i++) {
        int c = channels_at(i), k = channels_at(i / N_CHANNELS);
        int pool = 1 + below(4), most = c * k > 200 ? 1 : 2;
        check_conv(t, c, k, kernels[i / N_CHANNELS / N_CHANNELS], 1 + below(3), pool,
                   pool * (1 + below(most)), pool * (1 + below(2 * most)), below(2), below(2),
                   (kind)below(N_KINDS), NULL);
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
                           pool * (1 + below(3)), ow, below(2), below(2), (kind)below(N_KINDS),
                           NULL);
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

/* ---- element by element, loss, optimizer ---- */

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

int main(void) {
    Suite *suite = suite_create("kernels");
    TCase *all = kernel_tests("kernels");
    tcase_add_loop_test(all, conv_channels, 0, n_tables);
    tcase_add_loop_test(all, conv_widths, 0, n_tables);
    tcase_add_loop_test(all, conv_with_gaps, 0, n_tables);
    tcase_add_loop_test(all, linear, 0, n_tables);
    tcase_add_loop_test(all, sums, 0, n_tables);
    tcase_add_loop_test(all, elements, 0, n_tables);
    tcase_add_loop_test(all, losses, 0, n_tables);
    tcase_add_loop_test(all, optimizers, 0, n_tables);
    tcase_add_test(all, tables_by_name);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
