/* The module `kernels`: inner loops, one table of them per instruction set (ISA).
 *
 * Kernels are independent of layers and threads and allocate nothing. reference.c defines each of
 * them in plain C; the *_tmpl.c files are written in terms of vec.h and compiled once per ISA. All
 * tables give the same bits: every output element is one chain of fused multiply-adds in the order
 * that reference.c states, and vectors run across outputs. Where a vector must run along a sum
 * (linear_dx) the sum has eight lanes and one fixed tree in every ISA.
 *
 * Shapes: images are [h][w][c]; a row of weights is padded to a multiple of 8 with zeros.
 *   - forward layout of convolution weights (packed): [block][kh][kw * c][lane], blocks of 16
 *     output channels, the last of 8 where 8 or fewer are left, so that a block starts at
 *     16 * block * kh * kw * c;
 *   - gather layout: [k][kh][kw * c padded to 8].
 * Buffers that are written carry TR_LANES elements of slack after their end; kernels may leave
 * anything in it. Inputs carry it too and may be read there.
 */
#ifndef TR_KERNELS_H
#define TR_KERNELS_H

#include "base/base.h"

enum {
    TR_LARGEST_POOL = 4,     /* that is fused into a convolution */
    TR_DROPOUT_STEP = 64,    /* dropout makes so many factors at a time */
    TR_RESPONSE_BLOCK = 512, /* elements that are normalised together, where a pixel has fewer */
    TR_RUN = 64,             /* rows that are added up before they are added to a sum in double */
};

/* A convolution over one sample. With pool > 1 each output is the maximum over a pool x pool window
 * of the convolution's pixels and oh, ow are multiples of pool: what no window reads is not
 * computed. */
typedef struct tr_conv {
    int c, k;               /* channels in, out: of a group */
    int kh, kw;             /* taps */
    int runs, run;          /* what a row of taps reads of the input: one run of kw * c elements; kw
                             * of c elements where dilation or other groups keep them apart */
    int64_t tap_h, tap_w;   /* elements in the input from one row of taps, one run, to the next */
    int64_t pixel, row;     /* from one pixel, one row, of the input to the next */
    int64_t step_w;         /* from one output pixel to the next: stride * pixel */
    int64_t step_h;         /* from one output row to the next: stride * row */
    int64_t y_pixel, y_row; /* elements in the output from one pixel, one row, to the next */
    int oh, ow;             /* pixels of the convolution */
    int pool;               /* 1: none */
    bool relu;              /* after the pool (the order does not matter) */
} tr_conv;

/* Elements of a channel's kernel. */
static inline int64_t tr_conv_taps(const tr_conv *d) {
    return (int64_t)d->kh * d->kw * d->c;
}
/* A planar copy of what a convolution reads of its input: planes [c][h][width padded to 8]. */
static inline int64_t tr_tap_columns(const tr_conv *d) { /* from a tap of a row to the next */
    return d->runs > 1 ? d->tap_w / d->pixel : 1;
}
static inline int64_t tr_plane_columns(const tr_conv *d) {
    return d->ow + (d->kw - 1) * tr_tap_columns(d);
}
static inline int64_t tr_plane_row(const tr_conv *d) {
    return tr_round_up(tr_plane_columns(d), TR_BLOCK8);
}
static inline int64_t tr_plane_rows(const tr_conv *d) {
    return ((d->oh - 1) * d->step_h + (d->kh - 1) * d->tap_h) / d->row + 1;
}
static inline int64_t tr_plane_size(const tr_conv *d) {
    return tr_plane_row(d) * tr_plane_rows(d);
}
/* Elements of scratch that a forward convolution may need, slack included: planes where the last
 * block has 8 channels or fewer and the stride is 1. */
static inline int64_t tr_conv_scratch(const tr_conv *d) {
    bool few = d->k % TR_LANES > 0 && d->k % TR_LANES <= TR_BLOCK8;
    return few && d->kh > 0 && d->step_w == d->pixel ? d->c * tr_plane_size(d) + TR_LANES : 0;
}

/* A gradient that a pooled convolution must spread: the value, and where its window begins in the
 * input. */
typedef struct tr_gather {
    tr_real value;
    int32_t at;
} tr_gather;

/* A convolution over one sample whose groups lie along the vectors. A pixel of its input holds
 * `depth` vectors of a value for each group, and each of its taps as many vectors of weights: w
 * [kh][kw][depth][n padded to 8], zeros in the padding. */
typedef struct tr_depthwise {
    int n; /* groups */
    int kh, kw, depth;
    int64_t tap_h, tap_w; /* elements in the input from one row, one column, of taps to the next */
    int64_t tap_d;        /* from one vector of a pixel to the next */
    int64_t step_h, step_w; /* elements in the input from one output row, one pixel, to the next */
    int64_t y_row, y_pixel; /* the same in the output */
    int oh, ow;
    bool relu;
} tr_depthwise;

/* Windows along one side of an image. */
typedef struct tr_pool_side {
    int in, out;                           /* pixels, windows */
    int kernel, stride, padding, dilation; /* kernel 0: adaptive, window o is the pixels from
                                            * floor(o in / out) to before ceil((o + 1) in / out) */
} tr_pool_side;

/* A pool over one sample, [h.in][w.in][c] -> [h.out][w.out][c]. Each window holds a pixel. */
typedef struct tr_pool {
    tr_pool_side h, w;
    int c;
    /* Averages: what the sum of a window is divided by. 0: the pixels in it. */
    int64_t divisor;
    bool count_padding; /* those of the padding, too */
} tr_pool;

/* Where the pixels along one side of an image come from: output i is the sum of the input's
 * at[first[i]] .. at[first[i + 1] - 1] times their weights, in that order. */
typedef struct tr_taps {
    int n;                /* outputs */
    const int32_t *first; /* [n + 1] */
    const int32_t *at;
    const tr_real *weight; /* as at; NULL: all 1 */
} tr_taps;

/* A smaller value broadcast over one of [h][w][c]: how far it is from one of its elements to the
 * next, or 0 where it has but one in that direction. step_c is 0 or 1. */
typedef struct tr_broadcast {
    int h, w, c;
    int64_t step_h, step_w, step_c;
} tr_broadcast;

/* Local response normalisation: y = x * (k + scale * the sum of the squares of channels o - before
 * to o + behind)^-beta. before and behind are less than c; k, scale and beta not negative. */
typedef struct tr_response {
    int c, before, behind;
    tr_real scale, k, beta;
} tr_response;

/* Elements of a pixel with zeros on both sides; of the scratch that the kernels need. */
static inline int tr_response_row(const tr_response *d) {
    return d->before + d->c + d->behind;
}
static inline int64_t tr_response_scratch(const tr_response *d) {
    int64_t row = tr_response_row(d), size = row < TR_RESPONSE_BLOCK ? TR_RESPONSE_BLOCK : row;
    return 3 * (size + row + 2 * TR_LANES);
}

/* A number's place among others: (x - shift) * scale + offset. */
typedef struct tr_affine {
    tr_real shift, scale, offset;
} tr_affine;

typedef struct tr_sgd {
    tr_real lr, momentum, keep; /* keep = 1 - dampening */
    tr_real weight_decay;
    bool nesterov, first; /* first: the buffer does not hold a gradient yet */
} tr_sgd;

/* Functions of an element (activation.c says which, and what their numbers are). */
typedef enum tr_activation_kind {
    TR_HARD_TANH,
    TR_LEAKY_RELU,
    TR_THRESHOLD,
    TR_HARD_SIGMOID,
    TR_HARD_SWISH,
    TR_ELU,
    TR_SIGMOID,
    TR_TANH,
    TR_SILU,
    TR_SOFTPLUS,
    TR_LOG_SIGMOID,
    TR_MISH,
    TR_GELU,
    TR_GELU_TANH,
    TR_SOFTSIGN,
    TR_N_ACTIVATIONS,
} tr_activation_kind;

typedef struct tr_numbers {
    tr_real v[3];
} tr_numbers;

typedef struct tr_activation { /* y = f(x); dx = dy * f'(x) */
    void (*forward)(int64_t n, tr_numbers a, const tr_real *x, tr_real *y);
    void (*backward)(int64_t n, tr_numbers a, const tr_real *x, const tr_real *dy, tr_real *dx);
} tr_activation;

/* A value [outer][n][inner] and a sum over n. */
typedef struct tr_softmax {
    int64_t outer, n, inner;
    bool log;
} tr_softmax;

typedef struct tr_kernels {
    const char *name; /* of the ISA */

    /* y[oh/pool][ow/pool][k] = max over the window of (bias + conv), then relu. w: forward layout;
     * bias [k padded to 8] or NULL; index: which pixel of the window was the first largest
     * [as y], NULL when pool is 1; scratch: [tr_conv_scratch(d)]. */
    void (*conv)(const tr_conv *d, const tr_real *x, const tr_real *w, const tr_real *bias,
                 tr_real *y, uint8_t *index, tr_real *scratch);
    /* dw[e1 - e0] += elements e0 .. e1-1, whole vectors of lanes, of the gradient of one sample in
     * forward layout; pool is 1. */
    void (*conv_dw)(const tr_conv *d, const tr_real *x, const tr_real *dy, int64_t e0, int64_t e1,
                    tr_real *dw);

    /* The gradients of a pooled convolution's pixels as lists: lists[k][n windows] and counts[k].
     * Windows whose y is not above 0 are left out when d->relu. */
    void (*gather)(const tr_conv *d, const tr_real *y, const tr_real *dy, const uint8_t *index,
                   tr_gather *lists, int32_t *counts);
    /* dw += the gradient of one sample with respect to the kernels of output channels k0 .. k1-1,
     * in gather layout. */
    void (*gather_dw)(const tr_conv *d, const tr_real *x, const tr_gather *lists,
                      const int32_t *counts, int k0, int k1, tr_real *dw);
    /* dx[n_dx] = the gradient with respect to the input; w: gather layout. */
    void (*gather_dx)(const tr_conv *d, const tr_gather *lists, const int32_t *counts,
                      const tr_real *w, tr_real *dx, int64_t n_dx);

    /* y = bias + the sum over the taps, rows first, then relu; bias [n padded to 8] or NULL. */
    void (*depthwise)(const tr_depthwise *d, const tr_real *x, const tr_real *w,
                      const tr_real *bias, tr_real *y);
    /* dw (as w) += the gradient of one sample. */
    void (*depthwise_dw)(const tr_depthwise *d, const tr_real *x, const tr_real *dy, tr_real *dw);
    /* to[pixels][depth][groups padded to 8] = x[pixels][groups][depth], zeros in the padding. */
    void (*split_groups)(int64_t pixels, int groups, int depth, const tr_real *x, tr_real *to);
    /* to[pixels][groups][depth] = x[pixels][depth][groups padded to 8] */
    void (*join_groups)(int64_t pixels, int groups, int depth, const tr_real *x, tr_real *to);

    /* y[n][no] = relu?(bias + x[n][ni] w[ni][no]); no a multiple of 8; the rows of w lie in blocks
     * of `rows` rows (the last may have fewer) that begin `block_stride` elements apart; bias
     * NULL: zero; xs, ys: elements between rows. */
    void (*linear)(int n, int ni, int no, const tr_real *x, int64_t xs, const tr_real *w, int rows,
                   int64_t block_stride, const tr_real *bias, bool relu, tr_real *y, int64_t ys);
    /* dx[n][ni] = dz[n][no] w^T, eight lanes a sum (lane of o is o % 8, reduced as in tr_reduce8).
     */
    void (*linear_dx)(int n, int ni, int no, const tr_real *dz, int64_t zs, const tr_real *w,
                      tr_real *dx, int64_t xs);
    /* dw[ni][no] = x^T dz, summed over n in order; add: to what is there. */
    void (*linear_dw)(int n, int ni, int no, const tr_real *x, int64_t xs, const tr_real *dz,
                      int64_t zs, bool add, tr_real *dw);
    /* y[n][no] = relu?(partials[0] + partials[1] + ...), each [n][no], `block_stride` elements
     * apart. */
    void (*sum_partials)(int n, int no, const tr_real *partials, int64_t block_stride,
                         int n_partials, bool relu, tr_real *y, int64_t ys);
    /* sum[k] += the rows of dy[n][k] (`step` elements apart); where y is given, only of the
     * elements with y > 0. */
    void (*row_sum)(int64_t n, int k, const tr_real *dy, const tr_real *y, int64_t step,
                    tr_real *sum);

    /* Sums over the n rows of x[n][c] (`step` elements apart), in double, of each column:
     * sum[0][c8]
     * += x - shift, sum[1][c8] += (x - shift)^2; c8: c padded to 8; what is behind c stays. Of each
     * TR_RUN rows even and odd ones are a chain each, whose total is added to the sum. */
    void (*moments)(int64_t n, int c, const tr_real *x, int64_t step, const double *shift,
                    double *sum);
    /* In the same order: sum[0][c8] += dy, sum[1][c8] += dy * ((x - shift) * scale + offset). */
    void (*normal_sums)(int64_t n, int c, const tr_real *x, const tr_real *dy, int64_t x_step,
                        int64_t dy_step, const tr_real *shift, const tr_real *scale,
                        const tr_real *offset, double *sum);
    /* y = (x - shift) * scale + offset, of n rows. */
    void (*affine)(int64_t n, int c, const tr_real *x, int64_t x_step, const tr_real *shift,
                   const tr_real *scale, const tr_real *offset, tr_real *y, int64_t y_step);
    /* dx = dy * by + ((x - shift) * scale + offset), of n rows. */
    void (*affine_dx)(int64_t n, int c, const tr_real *x, int64_t x_step, const tr_real *shift,
                      const tr_real *scale, const tr_real *offset, const tr_real *dy,
                      int64_t dy_step, const tr_real *by, tr_real *dx, int64_t dx_step);

    /* Runs of n numbers that one map m normalises and that have weights w[n] and offsets b[n] of
     * their own; w NULL: all 1, b NULL: all 0. Exactly n numbers are written.
     * y = m(x) * w + b */
    void (*affine_run)(int64_t n, tr_affine m, const tr_real *x, const tr_real *w, const tr_real *b,
                       tr_real *y);
    /* sum[0] = that of dy * w, sum[1] = that of dy * w * m(x), in double: sixteen chains, of the
     * elements e % 16; eight of them are added to the others, then reduced as in tr_reduce8. */
    void (*run_sums)(int64_t n, tr_affine m, const tr_real *x, const tr_real *dy, const tr_real *w,
                     double *sum);
    /* dx = dy * w * by + m(x) */
    void (*affine_run_dx)(int64_t n, tr_affine m, const tr_real *x, const tr_real *dy,
                          const tr_real *w, tr_real by, tr_real *dx);
    /* dw += dy * m(x), db += dy; fresh: := in place of +=. Either may be NULL. */
    void (*run_gradients)(int64_t n, tr_affine m, const tr_real *x, const tr_real *dy, bool fresh,
                          tr_real *dw, tr_real *db);
    /* Of so many pixels. */
    void (*response)(const tr_response *d, int64_t pixels, const tr_real *x, tr_real *y,
                     tr_real *scratch);
    void (*response_dx)(const tr_response *d, int64_t pixels, const tr_real *x, const tr_real *dy,
                        tr_real *dx, tr_real *scratch);
    /* y[columns][rows] = x[rows][columns]; exactly these are written. */
    void (*transpose)(int64_t rows, int64_t columns, const tr_real *x, tr_real *y);

    /* factor[e] = scale where number e % 4 of Philox4x32-10 for the counter of words e / 4, the two
     * of place, and 0, under `key`, is below kept / 2^31, else 0; e: 0 .. n-1, n padded to
     * TR_DROPOUT_STEP. */
    void (*dropout)(int64_t n, uint64_t key, uint64_t place, uint32_t kept, tr_real scale,
                    tr_real *factor);
    /* y[area][c] = x[area][c] * factor[c][area] */
    void (*multiply_planar)(int c, int64_t area, const tr_real *x, const tr_real *factor,
                            tr_real *y);

    void (*relu)(int64_t n, const tr_real *x, tr_real *y);
    /* out = y > 0 ? dy : 0; out may be dy. */
    void (*relu_dx)(int64_t n, const tr_real *y, const tr_real *dy, tr_real *out);
    tr_activation activation[TR_N_ACTIVATIONS];
    /* y = x where it is above 0, else slope * x; dx accordingly. */
    void (*prelu)(int64_t n, const tr_real *slope, const tr_real *x, tr_real *y);
    void (*prelu_dx)(int64_t n, const tr_real *slope, const tr_real *x, const tr_real *dy,
                     tr_real *dx);
    /* sum[c] += dy * x where x is not above 0, of the rows of x[n][c], in their order. */
    void (*prelu_sums)(int64_t n, int64_t c, const tr_real *x, const tr_real *dy, double *sum);
    /* y = e^x / sum of e^x, or its logarithm; dx from y and dy. */
    void (*softmax)(const tr_softmax *d, const tr_real *x, tr_real *y);
    void (*softmax_dx)(const tr_softmax *d, const tr_real *y, const tr_real *dy, tr_real *dx);
    /* y = a + b; y may be a or b. */
    void (*add)(int64_t n, const tr_real *a, const tr_real *b, tr_real *y);
    /* y = a - b, y = a b; y may be a or b. y = x * factor; y may be x. */
    void (*sub)(int64_t n, const tr_real *a, const tr_real *b, tr_real *y);
    void (*mul)(int64_t n, const tr_real *a, const tr_real *b, tr_real *y);
    void (*scale)(int64_t n, tr_real factor, const tr_real *x, tr_real *y);

    /* y[h][w][c] = x at full size. */
    void (*expand)(const tr_broadcast *d, const tr_real *x, tr_real *y);
    /* dx[n_dx] := what expand() sent there, added pixel by pixel; the channels of a pixel, where
     * they are added, eight lanes a sum, reduced as in tr_reduce8. */
    void (*reduce)(const tr_broadcast *d, const tr_real *g, tr_real *dx, int64_t n_dx);

    /* Rows of c elements from x to y, `step` elements apart. What lies between them in y stays. */
    void (*copy_rows)(int64_t n, int64_t c, const tr_real *x, int64_t x_step, tr_real *y,
                      int64_t y_step);
    /* y[e] = x[at[e]], e < m, of n rows. */
    void (*pick)(int64_t n, int64_t m, const int32_t *at, const tr_real *x, int64_t x_step,
                 tr_real *y, int64_t y_step);
    /* y[rows->n][columns->n][c]: of each pixel the taps of its row times those of its column, from
     * an image x that is `width` pixels wide; sums over columns first, then over rows. Both have
     * weights, or neither. */
    void (*resample)(const tr_taps *rows, const tr_taps *columns, int width, int c,
                     const tr_real *x, tr_real *y);

    /* y = the largest of each window, NaN where there is one; padding does not count. at: which
     * element of x that is (the first of equals, the last NaN), for each output; may be NULL. */
    void (*max_pool)(const tr_pool *d, const tr_real *x, tr_real *y, int32_t *at);
    /* dx[n_dx] := the gradients dy[n] at the elements `at`, added in the order of the outputs. */
    void (*max_pool_dx)(int64_t n, const tr_real *dy, const int32_t *at, tr_real *dx, int64_t n_dx);
    /* y = the sum of each window, rows first, divided by its divisor; dilation is 1. */
    void (*avg_pool)(const tr_pool *d, const tr_real *x, tr_real *y);
    /* scaled (as y) := the gradients divided; dx := for each pixel the sum of those whose windows
     * hold it, rows first. */
    void (*avg_pool_dx)(const tr_pool *d, const tr_real *dy, tr_real *scaled, tr_real *dx);

    /* One sample: loss = -log softmax(logits)[label]; d[n padded to 8] = (softmax - one-hot) *
     * scale (d may be NULL). Returns the loss; *best = the first largest class. */
    tr_real (*cross_entropy)(int n, const tr_real *logits, int label, tr_real scale, tr_real *d,
                             int *best);

    /* p -= lr * step, as torch.optim.SGD; `buffer` may be NULL when momentum is 0. */
    void (*sgd)(const tr_sgd *s, int64_t n, tr_real *p, const tr_real *g, tr_real *buffer);

    /* `rounds` of independent multiply-adds as fast as they go. Returns the number of
     * floating-point operations; writes something to *sink. */
    int64_t (*peak)(int64_t rounds, tr_real *sink);
} tr_kernels;

/* The tables that this build has, best last; the reference is called "scalar". */
int tr_n_isas(void);
const char *tr_isa_name(int i);
/* The table of an ISA by name, or the best that this CPU runs for "auto" (or, where it is set, the
 * one that the environment variable TRAINER_ISA names). Fails on a name that is none and on an ISA
 * that the CPU lacks. */
int tr_kernels_get(const char *isa, const tr_kernels **out, tr_error *err);

#endif
