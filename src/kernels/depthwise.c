/* Convolutions whose groups lie along the vectors, in plain C: what depthwise_tmpl.c must compute
 * to the bit. The file is compiled like reference.c. */
#include <string.h>

#include "kernels/functions.h"
#include "kernels/reference.h"

static void depthwise(const tr_depthwise *d, const tr_real *x, const tr_real *w,
                      const tr_real *bias, tr_real *y) {
    const int64_t n8 = tr_round_up(d->n, TR_BLOCK8);
    for (int h = 0; h < d->oh; h++) {
        for (int v = 0; v < d->ow; v++) {
            const tr_real *from = x + h * d->step_h + v * d->step_w, *k = w;
            tr_real *to = y + h * d->y_row + v * d->y_pixel;
            for (int i = 0; i < d->n; i++) to[i] = bias ? bias[i] : 0;
            for (int r = 0; r < d->kh; r++) {
                for (int s = 0; s < d->kw; s++) {
                    const tr_real *tap = from + r * d->tap_h + s * d->tap_w;
                    for (int j = 0; j < d->depth; j++, tap += d->tap_d, k += n8) {
                        for (int i = 0; i < d->n; i++) to[i] = fused(tap[i], k[i], to[i]);
                    }
                }
            }
            for (int i = 0; d->relu && i < d->n; i++) to[i] = to[i] < 0 ? 0 : to[i];
        }
    }
}

static void depthwise_dw(const tr_depthwise *d, const tr_real *x, const tr_real *dy, tr_real *dw) {
    const int64_t n8 = tr_round_up(d->n, TR_BLOCK8);
    for (int r = 0; r < d->kh; r++) {
        for (int s = 0; s < d->kw; s++) {
            for (int j = 0; j < d->depth; j++, dw += n8) {
                const tr_real *tap = x + r * d->tap_h + s * d->tap_w + j * d->tap_d;
                for (int h = 0; h < d->oh; h++) {
                    for (int v = 0; v < d->ow; v++) {
                        const tr_real *from = tap + h * d->step_h + v * d->step_w;
                        const tr_real *g = dy + h * d->y_row + v * d->y_pixel;
                        for (int i = 0; i < d->n; i++) dw[i] = fused(from[i], g[i], dw[i]);
                    }
                }
            }
        }
    }
}

static void split_groups(int64_t pixels, int groups, int depth, const tr_real *x, tr_real *to) {
    const int64_t n8 = tr_round_up(groups, TR_BLOCK8);
    for (int64_t p = 0; p < pixels; p++, x += groups * depth, to += depth * n8) {
        for (int j = 0; j < depth; j++) {
            for (int g = 0; g < groups; g++) to[j * n8 + g] = x[g * depth + j];
            for (int64_t g = groups; g < n8; g++) to[j * n8 + g] = 0;
        }
    }
}

static void join_groups(int64_t pixels, int groups, int depth, const tr_real *x, tr_real *to) {
    const int64_t n8 = tr_round_up(groups, TR_BLOCK8);
    for (int64_t p = 0; p < pixels; p++, x += depth * n8, to += groups * depth) {
        for (int g = 0; g < groups; g++) {
            for (int j = 0; j < depth; j++) to[g * depth + j] = x[j * n8 + g];
        }
    }
}

void TR_NAME(tr_kernels_fill_depthwise)(tr_kernels *t) {
    t->depthwise = depthwise;
    t->depthwise_dw = depthwise_dw;
    t->split_groups = split_groups;
    t->join_groups = join_groups;
}
