/* Kernels of convolutions in small groups against the reference (kernel_check.h). */
#include "kernel_check.h"

static float *weights(const tr_depthwise *d, kind k) {
    const int64_t n8 = tr_round_up(d->n, TR_BLOCK8), rows = (int64_t)d->kh * d->kw * d->depth;
    float *w = input(rows * n8, k);
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = d->n; i < n8; i++) w[r * n8 + i] = 0;
    }
    return w;
}

static void check_depthwise(const tr_kernels *t, int n, kind k) {
    const int64_t n8 = tr_round_up(n, TR_BLOCK8);
    tr_depthwise d = {.n = n,
                      .kh = below(8) ? 1 + below(5) : 0, /* without taps there is the bias alone */
                      .kw = 1 + below(5),
                      .depth = below(2) ? 1 : 1 + below(4),
                      .oh = 1 + below(4),
                      .ow = 1 + below(20),
                      .relu = below(2)};
    const int stride_h = 1 + below(3), stride_w = 1 + below(3), dilation_h = 1 + below(2),
              dilation_w = 1 + below(2), bias = below(2);
    const int64_t pixel = d.depth == 1 ? n : d.depth * n8;
    const int w = (d.ow - 1) * stride_w + (d.kw - 1) * dilation_w + 1 + below(2);
    const int h = (d.oh - 1) * stride_h + (int)tr_max(0, d.kh - 1) * dilation_h + 1;
    d.tap_w = dilation_w * pixel;
    d.tap_h = dilation_h * w * pixel;
    d.tap_d = n8;
    d.step_w = stride_w * pixel;
    d.step_h = stride_h * w * pixel;
    d.y_pixel = n + below(2) * below(20);
    d.y_row = d.ow * d.y_pixel + below(2) * 5;
    snprintf(
        label, sizeof label,
        "%s: %d groups of %d, kernel %dx%d, stride %dx%d, dilation %dx%d, %d x %d pixels, relu "
        "%d, bias %d, data %d",
        t->name, n, d.depth, d.kh, d.kw, stride_h, stride_w, dilation_h, dilation_w, d.oh, d.ow,
        d.relu, bias, (int)k);
    float *x = input(h * w * pixel, k), *f = weights(&d, k), *b = bias ? input(n8, k) : NULL;
    outputs y = output(d.oh * d.y_row, sizeof *x);
    scalar->depthwise(&d, x, f, b, y.a);
    t->depthwise(&d, x, f, b, y.b);
    compare(y, "depthwise");
    float *dy = input(d.oh * d.y_row, k), *start = weights(&d, k);
    outputs dw = output_from((int64_t)d.kh * d.kw * d.depth * n8, start);
    scalar->depthwise_dw(&d, x, dy, dw.a);
    t->depthwise_dw(&d, x, dy, dw.b);
    compare(dw, "depthwise_dw");
    release();
}

START_TEST(depthwise) {
    state = 1;
    for (int i = 0; i < 60 * N_CHANNELS; i++)
        check_depthwise(tables[_i], channels_at(i) + 31 * below(2), (kind)below(N_KINDS));
}
END_TEST

START_TEST(groups_as_vectors) {
    const tr_kernels *t = tables[_i];
    state = 2;
    for (int i = 0; i < 20 * N_CHANNELS; i++) {
        const int groups = channels_at(i) + 31 * below(2), depth = 1 + below(9),
                  pixels = 1 + below(5);
        const int64_t n8 = tr_round_up(groups, TR_BLOCK8);
        snprintf(label, sizeof label, "%s: %d groups of %d", t->name, groups, depth);
        float *x = input((int64_t)pixels * groups * depth, (kind)below(N_KINDS));
        outputs split = output(pixels * depth * n8, sizeof *x),
                joined = output((int64_t)pixels * groups * depth, sizeof *x);
        scalar->split_groups(pixels, groups, depth, x, split.a);
        t->split_groups(pixels, groups, depth, x, split.b);
        compare(split, "split_groups");
        scalar->join_groups(pixels, groups, depth, split.a, joined.a);
        t->join_groups(pixels, groups, depth, split.b, joined.b);
        compare(joined, "join_groups");
        ck_assert_mem_eq(joined.a, x, (size_t)(pixels * groups * depth) * sizeof *x);
        release();
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_depthwise");
    TCase *all = kernel_tests("kernels_depthwise");
    tcase_add_loop_test(all, depthwise, 0, n_tables);
    tcase_add_loop_test(all, groups_as_vectors, 0, n_tables);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
