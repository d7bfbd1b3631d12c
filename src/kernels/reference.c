/* What every kernel computes, in plain C.
 *
 * The order of the operations here is the definition: an ISA's version must give the same bits. The
 * file is compiled once per ISA, too (kernels that are no more than a loop over their outputs need
 * no other version), and once with double for the gradient checks.
 */
#include <string.h>

#include "kernels/functions.h"
#include "kernels/reference.h"

/* The number of lanes in the block of forward-layout weights that starts at channel k0. */
static int block_lanes(int k, int k0) {
    return k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8;
}

static bool beats(tr_real a, tr_real best) {
    return a > best || a != a;
}

static tr_real relu_of(tr_real x) {
    return x < 0 ? 0 : x;
}

/* One pixel of a convolution, 16 channels or fewer at a time: out[lanes]. */
static void pixel(const tr_conv *d, const tr_real *x, const tr_real *w, const tr_real *bias,
                  int lanes, int valid, tr_real *out) {
    for (int l = 0; l < lanes; l++) out[l] = bias && l < valid ? bias[l] : 0;
    for (int r = 0; r < d->kh * d->runs; r++) {
        const tr_real *run = x + r / d->runs * d->tap_h + r % d->runs * d->tap_w;
        for (int j = 0; j < d->run; j++, w += lanes) {
            for (int l = 0; l < lanes; l++) out[l] = fused(run[j], w[l], out[l]);
        }
    }
}

static void conv(const tr_conv *d, const tr_real *x, const tr_real *w, const tr_real *bias,
                 tr_real *y, uint8_t *index, tr_real *scratch) {
    (void)scratch;
    int pw = d->ow / d->pool, n = d->oh / d->pool * pw;
    for (int k0 = 0; k0 < d->k; k0 += TR_LANES) {
        int lanes = block_lanes(d->k, k0), valid = (int)tr_min(lanes, d->k - k0);
        const tr_real *wb = w + k0 * tr_conv_taps(d);
        for (int o = 0; o < n; o++) {
            tr_real best[TR_LANES] = {0};
            uint8_t at[TR_LANES] = {0};
            for (int q = 0; q < d->pool * d->pool; q++) {
                int oh = o / pw * d->pool + q / d->pool, ow = o % pw * d->pool + q % d->pool;
                tr_real out[TR_LANES];
                pixel(d, x + oh * d->step_h + ow * d->step_w, wb, bias ? bias + k0 : NULL, lanes,
                      valid, out);
                for (int l = 0; l < lanes; l++) {
                    if (q > 0 && !beats(out[l], best[l])) continue;
                    best[l] = out[l];
                    at[l] = (uint8_t)q;
                }
            }
            int64_t to = o / pw * d->y_row + o % pw * d->y_pixel + k0;
            for (int l = 0; l < valid; l++) {
                y[to + l] = d->relu ? relu_of(best[l]) : best[l];
                if (index) index[to + l] = at[l];
            }
        }
    }
}

static void conv_dw(const tr_conv *d, const tr_real *x, const tr_real *dy, int64_t e0, int64_t e1,
                    tr_real *dw) {
    const int64_t kernel = tr_conv_taps(d);
    while (e0 < e1) {
        const int k0 = (int)(e0 / (TR_LANES * kernel)) * TR_LANES, lanes = block_lanes(d->k, k0);
        const int valid = (int)tr_min(lanes, d->k - k0);
        const int64_t begin = k0 * kernel, end = tr_min(e1, begin + lanes * kernel);
        for (; e0 < end; e0 += lanes, dw += lanes) {
            const int64_t at = (e0 - begin) / lanes, run = at / d->run;
            const tr_real *from =
                x + run / d->runs * d->tap_h + run % d->runs * d->tap_w + at % d->run;
            for (int p = 0; p < d->oh * d->ow; p++) {
                tr_real v = from[p / d->ow * d->step_h + p % d->ow * d->step_w];
                const tr_real *dyp = dy + p / d->ow * d->y_row + p % d->ow * d->y_pixel + k0;
                for (int l = 0; l < valid; l++) dw[l] = fused(v, dyp[l], dw[l]);
            }
        }
    }
}

static void gather(const tr_conv *d, const tr_real *y, const tr_real *dy, const uint8_t *index,
                   tr_gather *lists, int32_t *counts) {
    int pw = d->ow / d->pool, n = d->oh / d->pool * pw;
    const int nk = d->k, all = !d->relu, step_w = d->pool * (int)d->step_w;
    int32_t shift[TR_LARGEST_POOL * TR_LARGEST_POOL]; /* of a window's pixel in the input */
    for (int q = 0; q < d->pool * d->pool; q++)
        shift[q] = (int32_t)(q / d->pool * d->step_h + q % d->pool * d->step_w);
    for (int k = 0; k < nk; k++) {
        tr_gather *restrict list = lists + (int64_t)k * n, *restrict to = list;
        const tr_real *restrict yk = y + k, *restrict dyk = dy + k;
        const uint8_t *restrict ik = index + k;
        for (int h = 0; h < d->oh; h += d->pool) {
            int32_t at = (int32_t)(h * d->step_h);
            for (int w = 0; w < pw; w++, yk += nk, dyk += nk, ik += nk, at += step_w) {
                *to = (tr_gather){*dyk, at + shift[*ik]};
                to += all | (*yk > 0);
            }
        }
        counts[k] = (int32_t)(to - list);
    }
}

static void gather_dw(const tr_conv *d, const tr_real *x, const tr_gather *lists,
                      const int32_t *counts, int k0, int k1, tr_real *dw) {
    int64_t n = (int64_t)(d->oh / d->pool) * (d->ow / d->pool);
    int run8 = (int)tr_round_up(d->run, TR_BLOCK8);
    for (int k = k0; k < k1; k++) {
        for (int r = 0; r < d->kh; r++, dw += run8) {
            for (int i = 0; i < counts[k]; i++) {
                const tr_real *xp = x + lists[k * n + i].at + r * d->row;
                for (int j = 0; j < d->run; j++)
                    dw[j] = fused(lists[k * n + i].value, xp[j], dw[j]);
            }
        }
    }
}

static void gather_dx(const tr_conv *d, const tr_gather *lists, const int32_t *counts,
                      const tr_real *w, tr_real *dx, int64_t n_dx) {
    int64_t n = (int64_t)(d->oh / d->pool) * (d->ow / d->pool);
    int run8 = (int)tr_round_up(d->run, TR_BLOCK8);
    memset(dx, 0, (size_t)n_dx * sizeof *dx);
    for (int k = 0; k < d->k; k++, w += d->kh * run8) {
        for (int i = 0; i < counts[k]; i++) {
            for (int r = 0; r < d->kh; r++) {
                tr_real *to = dx + lists[k * n + i].at + r * d->row;
                /* The zeros behind a row belong to it: an infinite gradient makes NaN of them, too.
                 */
                for (int j = 0; j < run8; j++)
                    to[j] = fused(lists[k * n + i].value, w[r * run8 + j], to[j]);
            }
        }
    }
}

static void linear(int n, int ni, int no, const tr_real *x, int64_t xs, const tr_real *w, int rows,
                   int64_t block_stride, const tr_real *bias, bool relu, tr_real *y, int64_t ys) {
    for (int r = 0; r < n; r++) {
        tr_real *yr = y + r * ys;
        for (int o = 0; o < no; o++) yr[o] = bias ? bias[o] : 0;
        for (int i = 0; i < ni; i++) {
            const tr_real *row = w + i / rows * block_stride + (int64_t)(i % rows) * no;
            for (int o = 0; o < no; o++) yr[o] = fused(x[r * xs + i], row[o], yr[o]);
        }
        for (int o = 0; relu && o < no; o++) yr[o] = relu_of(yr[o]);
    }
}

static tr_real reduce8(const tr_real s[8]) {
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static void linear_dx(int n, int ni, int no, const tr_real *dz, int64_t zs, const tr_real *w,
                      tr_real *dx, int64_t xs) {
    for (int r = 0; r < n; r++) {
        for (int i = 0; i < ni; i++) {
            tr_real s[8] = {0};
            for (int o = 0; o < no; o += 8) {
                for (int l = 0; l < 8; l++)
                    s[l] = fused(dz[r * zs + o + l], w[(int64_t)i * no + o + l], s[l]);
            }
            dx[r * xs + i] = reduce8(s);
        }
    }
}

static void linear_dw(int n, int ni, int no, const tr_real *x, int64_t xs, const tr_real *dz,
                      int64_t zs, bool add, tr_real *dw) {
    for (int i = 0; i < ni; i++, dw += no) {
        for (int o = 0; o < no && !add; o++) dw[o] = 0;
        for (int r = 0; r < n; r++) {
            for (int o = 0; o < no; o++) dw[o] = fused(x[r * xs + i], dz[r * zs + o], dw[o]);
        }
    }
}

static void sum_partials(int n, int no, const tr_real *partials, int64_t block_stride,
                         int n_partials, bool relu, tr_real *y, int64_t ys) {
    for (int r = 0; r < n; r++) {
        tr_real *restrict yr = y + r * ys;
        for (int o = 0; o < no; o++) yr[o] = partials[(int64_t)r * no + o];
        for (int b = 1; b < n_partials; b++) {
            const tr_real *restrict p = partials + b * block_stride + (int64_t)r * no;
            for (int o = 0; o < no; o++) yr[o] += p[o];
        }
        for (int o = 0; relu && o < no; o++) yr[o] = relu_of(yr[o]);
    }
}

static void row_sum(int64_t n, int k, const tr_real *dy, const tr_real *y, int64_t step,
                    tr_real *sum) {
    for (int64_t r = 0; r < n; r++, dy += step) {
        if (y == NULL) {
            for (int o = 0; o < k; o++) sum[o] += dy[o];
        } else {
            for (int o = 0; o < k; o++) sum[o] += y[o] > 0 ? dy[o] : 0;
            y += step;
        }
    }
}

static void moments(int64_t n, int c, const tr_real *x, int64_t step, const double *shift,
                    double *sum) {
    double *squares = sum + tr_round_up(c, TR_BLOCK8);
    for (int64_t r = 0; r < n; r += TR_RUN) {
        for (int o = 0; o < c; o++) {
            double s[2] = {0}, q[2] = {0};
            for (int64_t i = r; i < tr_min(r + TR_RUN, n); i++) {
                double d = (double)x[i * step + o] - shift[o];
                s[i & 1] += d;
                q[i & 1] += d * d;
            }
            sum[o] += s[0] + s[1];
            squares[o] += q[0] + q[1];
        }
    }
}

static void normal_sums(int64_t n, int c, const tr_real *x, const tr_real *dy, int64_t x_step,
                        int64_t dy_step, const tr_real *shift, const tr_real *scale,
                        const tr_real *offset, double *sum) {
    double *products = sum + tr_round_up(c, TR_BLOCK8);
    for (int64_t r = 0; r < n; r += TR_RUN) {
        for (int o = 0; o < c; o++) {
            double s[2] = {0}, q[2] = {0};
            for (int64_t i = r; i < tr_min(r + TR_RUN, n); i++) {
                tr_real normal = fused(x[i * x_step + o] - shift[o], scale[o], offset[o]);
                double d = (double)dy[i * dy_step + o];
                s[i & 1] += d;
                q[i & 1] += d * (double)normal;
            }
            sum[o] += s[0] + s[1];
            products[o] += q[0] + q[1];
        }
    }
}

static void affine(int64_t n, int c, const tr_real *x, int64_t x_step, const tr_real *shift,
                   const tr_real *scale, const tr_real *offset, tr_real *y, int64_t y_step) {
    for (int64_t r = 0; r < n; r++, x += x_step, y += y_step) {
        for (int o = 0; o < c; o++) y[o] = fused(x[o] - shift[o], scale[o], offset[o]);
    }
}

static void affine_dx(int64_t n, int c, const tr_real *x, int64_t x_step, const tr_real *shift,
                      const tr_real *scale, const tr_real *offset, const tr_real *dy,
                      int64_t dy_step, const tr_real *by, tr_real *dx, int64_t dx_step) {
    for (int64_t r = 0; r < n; r++, x += x_step, dy += dy_step, dx += dx_step) {
        for (int o = 0; o < c; o++)
            dx[o] = fused(dy[o], by[o], fused(x[o] - shift[o], scale[o], offset[o]));
    }
}

static tr_real normal_of(tr_affine m, tr_real x) {
    return fused(x - m.shift, m.scale, m.offset);
}

static void affine_run(int64_t n, tr_affine m, const tr_real *x, const tr_real *w, const tr_real *b,
                       tr_real *y) {
    for (int64_t i = 0; i < n; i++) {
        tr_real normal = normal_of(m, x[i]);
        y[i] = w ? fused(normal, w[i], b ? b[i] : 0) : normal;
    }
}

static void run_sums(int64_t n, tr_affine m, const tr_real *x, const tr_real *dy, const tr_real *w,
                     double *sum) {
    double s[16] = {0}, q[16] = {0};
    for (int64_t i = 0; i < n; i++) {
        double g = (double)dy[i] * (w ? (double)w[i] : 1);
        s[i % 16] += g;
        q[i % 16] += g * (double)normal_of(m, x[i]);
    }
    for (int l = 0; l < 8; l++) s[l] += s[8 + l], q[l] += q[8 + l];
    sum[0] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    sum[1] = ((q[0] + q[4]) + (q[2] + q[6])) + ((q[1] + q[5]) + (q[3] + q[7]));
}

static void affine_run_dx(int64_t n, tr_affine m, const tr_real *x, const tr_real *dy,
                          const tr_real *w, tr_real by, tr_real *dx) {
    for (int64_t i = 0; i < n; i++)
        dx[i] = fused(w ? fused(dy[i], w[i], 0) : dy[i], by, normal_of(m, x[i]));
}

static void run_gradients(int64_t n, tr_affine m, const tr_real *x, const tr_real *dy, bool fresh,
                          tr_real *dw, tr_real *db) {
    for (int64_t i = 0; dw && i < n; i++)
        dw[i] = fused(dy[i], normal_of(m, x[i]), fresh ? 0 : dw[i]);
    for (int64_t i = 0; db && i < n; i++) db[i] = dy[i] + (fresh ? 0 : db[i]);
}

/* Tile by tile, so that what is read across stays in the cache. */
static void transpose(int64_t rows, int64_t columns, const tr_real *x, tr_real *y) {
    enum { TILE = 16 };
    for (int64_t r0 = 0; r0 < rows; r0 += TILE) {
        for (int64_t c0 = 0; c0 < columns; c0 += TILE) {
            for (int64_t c = c0; c < tr_min(c0 + TILE, columns); c++)
                for (int64_t r = r0; r < tr_min(r0 + TILE, rows); r++)
                    y[c * rows + r] = x[r * columns + c];
        }
    }
}

static void relu(int64_t n, const tr_real *x, tr_real *y) {
    for (int64_t i = 0; i < n; i++) y[i] = relu_of(x[i]);
}

static void relu_dx(int64_t n, const tr_real *y, const tr_real *dy, tr_real *out) {
    for (int64_t i = 0; i < n; i++) out[i] = y[i] > 0 ? dy[i] : 0;
}

static void add(int64_t n, const tr_real *a, const tr_real *b, tr_real *y) {
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static tr_real cross_entropy(int n, const tr_real *logits, int label, tr_real scale, tr_real *d,
                             int *best) {
    *best = 0;
    for (int i = 1; i < n; i++) {
        if (beats(logits[i], logits[*best])) *best = i;
    }
    tr_real top = logits[*best], sum = 0;
    for (int i = 0; i < n; i++) {
        tr_real e = exp_of(logits[i] - top);
        if (d) d[i] = e;
        sum += e;
    }
    if (d) {
        tr_real share = 1 / sum;
        for (int i = 0; i < n; i++) d[i] = (d[i] * share - (i == label ? 1 : 0)) * scale;
        for (int i = n; i < tr_round_up(n, TR_BLOCK8); i++) d[i] = 0;
    }
    return log_of(sum) - (logits[label] - top);
}

static void sgd(const tr_sgd *s, int64_t n, tr_real *restrict p, const tr_real *restrict g,
                tr_real *restrict buffer) {
    tr_real lr = -s->lr, momentum = s->momentum, keep = s->keep, decay = s->weight_decay;
    if (buffer == NULL) {
        for (int64_t i = 0; i < n; i++) p[i] = fused(lr, fused(decay, p[i], g[i]), p[i]);
    } else if (s->first) {
        tr_real more = s->nesterov ? momentum : 0;
        for (int64_t i = 0; i < n; i++) {
            tr_real d = fused(decay, p[i], g[i]);
            buffer[i] = d;
            p[i] = fused(lr, fused(more, d, d), p[i]);
        }
    } else if (s->nesterov) {
        for (int64_t i = 0; i < n; i++) {
            tr_real d = fused(decay, p[i], g[i]);
            buffer[i] = fused(momentum, buffer[i], keep * d);
            p[i] = fused(lr, fused(momentum, buffer[i], d), p[i]);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            tr_real d = fused(decay, p[i], g[i]);
            buffer[i] = fused(momentum, buffer[i], keep * d);
            p[i] = fused(lr, buffer[i], p[i]);
        }
    }
}

static int64_t peak(int64_t rounds, tr_real *sink) {
    tr_real a[TR_LANES];
    for (int l = 0; l < TR_LANES; l++) a[l] = (tr_real)(1 + l);
    for (int64_t i = 0; i < rounds; i++) {
        for (int l = 0; l < TR_LANES; l++) a[l] = fused(a[l], (tr_real)0.999, (tr_real)1e-3);
    }
    *sink = 0;
    for (int l = 0; l < TR_LANES; l++) *sink += a[l];
    return rounds * TR_LANES * 2;
}

void TR_NAME(tr_kernels_fill)(tr_kernels *t) {
    *t = (tr_kernels){.name = TR_STRING(TR_ISA),
                      .conv = conv,
                      .conv_dw = conv_dw,
                      .gather = gather,
                      .gather_dw = gather_dw,
                      .gather_dx = gather_dx,
                      .linear = linear,
                      .linear_dx = linear_dx,
                      .linear_dw = linear_dw,
                      .sum_partials = sum_partials,
                      .row_sum = row_sum,
                      .moments = moments,
                      .normal_sums = normal_sums,
                      .affine = affine,
                      .affine_dx = affine_dx,
                      .affine_run = affine_run,
                      .run_sums = run_sums,
                      .affine_run_dx = affine_run_dx,
                      .run_gradients = run_gradients,
                      .transpose = transpose,
                      .relu = relu,
                      .relu_dx = relu_dx,
                      .add = add,
                      .cross_entropy = cross_entropy,
                      .sgd = sgd,
                      .peak = peak};
    TR_NAME(tr_kernels_fill_depthwise)(t);
    TR_NAME(tr_kernels_fill_dropout)(t);
    TR_NAME(tr_kernels_fill_pool)(t);
    TR_NAME(tr_kernels_fill_response)(t);
    TR_NAME(tr_kernels_fill_shape)(t);
    TR_NAME(tr_kernels_fill_activation)(t);
    TR_NAME(tr_kernels_fill_softmax)(t);
}
