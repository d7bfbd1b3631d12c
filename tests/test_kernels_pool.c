/* Kernels of pools against the reference, and max_pool against its definition (kernel_check.h). */
#include "kernel_check.h"

/* A side of 1 to 12 windows, none of them empty. */
static tr_pool_side pool_side(bool dilated) {
    tr_pool_side s = {.kernel = 1 + below(4), .stride = 1 + below(5), .dilation = 1};
    s.padding = below(s.kernel / 2 + 1);
    if (dilated && below(3) == 0) s.dilation = 1 + below(3);
    int reach = s.dilation * (s.kernel - 1) + 1;
    s.in = (int)tr_max(reach - 2 * s.padding, s.dilation) + below(s.stride * 8);
    s.out = (s.in + 2 * s.padding - reach) / s.stride + 1;
    if (s.out * s.stride < s.in + s.padding) s.out += below(2); /* one that runs past the end */
    return s;
}

/* The first of the pixels of an adaptive window, or behind the last. */
static int window_start(const tr_pool_side *s, int o) {
    return o * s->in / s->out;
}
static int window_end(const tr_pool_side *s, int o) {
    return (int)ceil((double)(o + 1) * s->in / s->out);
}

static bool holds(const tr_pool_side *s, int o, int i) {
    int tap = i - o * s->stride + s->padding;
    if (s->kernel == 0) return i >= window_start(s, o) && i < window_end(s, o);
    return tap >= 0 && tap % s->dilation == 0 && tap / s->dilation < s->kernel;
}

/* The definition: all taps in their order, the first one that is not smaller. */
static void model_max_pool(const tr_pool *d, const float *x, float *y, int32_t *at) {
    for (int o = 0; o < d->h.out * d->w.out * d->c; o++) {
        int c = o % d->c, w = o / d->c % d->w.out, h = o / d->c / d->w.out;
        at[o] = -1;
        for (int t = 0; t < d->h.in * d->w.in; t++) {
            int i = t / d->w.in, j = t % d->w.in;
            if (!holds(&d->h, h, i) || !holds(&d->w, w, j)) continue;
            int32_t e = (i * d->w.in + j) * d->c + c;
            if (at[o] < 0 || x[e] > y[o] || isnan(x[e])) {
                y[o] = x[e];
                at[o] = e;
            }
        }
    }
}

START_TEST(pools) {
    const tr_kernels *t = tables[_i];
    state = 6;
    for (int i = 0; i < 3000; i++) {
        tr_pool d = {.h = pool_side(true), .w = pool_side(true), .c = channels_at(i)};
        if (below(4) == 0) {
            d.h = (tr_pool_side){.in = 1 + below(9), .out = 1 + below(9), .dilation = 1};
            d.w = (tr_pool_side){.in = 1 + below(9), .out = 1 + below(9), .dilation = 1};
        }
        kind k = (kind)below(N_KINDS);
        int64_t n_x = (int64_t)d.h.in * d.w.in * d.c, n_y = (int64_t)d.h.out * d.w.out * d.c;
        snprintf(label, sizeof label,
                 "%s: kernel %d x %d, stride %d x %d, padding %d x %d, dilation %d x %d, %d x %d x "
                 "%d to %d x %d, data %d",
                 t->name, d.h.kernel, d.w.kernel, d.h.stride, d.w.stride, d.h.padding, d.w.padding,
                 d.h.dilation, d.w.dilation, d.h.in, d.w.in, d.c, d.h.out, d.w.out, (int)k);
        float *x = input(n_x, k), *dy = input(n_y, k);
        outputs y = output(n_y, sizeof *x), at = output(n_y, sizeof(int32_t)),
                dx = output(n_x, sizeof *x), alone = output(n_y, sizeof *x);
        model_max_pool(&d, x, y.a, at.a);
        t->max_pool(&d, x, y.b, at.b);
        compare(y, "max_pool");
        compare(at, "index of max_pool");
        scalar->max_pool(&d, x, y.b, at.b);
        compare(y, "max_pool of the reference");
        compare(at, "its index");
        memcpy(alone.a, y.a, (size_t)n_y * sizeof *x);
        t->max_pool(&d, x, alone.b, NULL);
        compare(alone, "max_pool without index");
        scalar->max_pool_dx(n_y, dy, at.a, dx.a, n_x);
        t->max_pool_dx(n_y, dy, at.a, dx.b, n_x);
        compare(dx, "max_pool_dx");
        release();
    }
}
END_TEST

START_TEST(averages) {
    const tr_kernels *t = tables[_i];
    state = 8;
    for (int i = 0; i < 3000; i++) {
        tr_pool d = {.h = pool_side(false),
                     .w = pool_side(false),
                     .c = channels_at(i),
                     .divisor = below(3) ? 0 : 1 + below(9),
                     .count_padding = below(2)};
        if (below(2)) {
            d.h = (tr_pool_side){.in = 1 + below(9), .out = 1 + below(9)};
            d.w = (tr_pool_side){.in = 1 + below(9), .out = 1 + below(9)};
        }
        kind k = (kind)below(N_KINDS);
        int64_t n_x = (int64_t)d.h.in * d.w.in * d.c, n_y = (int64_t)d.h.out * d.w.out * d.c;
        snprintf(label, sizeof label, "%s: kernel %d x %d, %d x %d x %d to %d x %d, data %d",
                 t->name, d.h.kernel, d.w.kernel, d.h.in, d.w.in, d.c, d.h.out, d.w.out, (int)k);
        float *x = input(n_x, k), *dy = input(n_y, k);
        outputs y = output(n_y, sizeof *x), dx = output(n_x, sizeof *x),
                scaled = output(n_y, sizeof *x);
        scalar->avg_pool(&d, x, y.a);
        t->avg_pool(&d, x, y.b);
        compare(y, "avg_pool");
        scalar->avg_pool_dx(&d, dy, scaled.a, dx.a);
        t->avg_pool_dx(&d, dy, scaled.b, dx.b);
        compare(dx, "avg_pool_dx");
        compare(scaled, "divided gradients");
        release();
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kernels_pool");
    TCase *all = kernel_tests("kernels_pool");
    tcase_add_loop_test(all, pools, 0, n_tables);
    tcase_add_loop_test(all, averages, 0, n_tables);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
