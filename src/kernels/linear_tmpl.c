/* Linear layers in vectors: forward, input gradient and weight gradient on the tiles of this
 * module, and the sums of rows that are gradients of biases. */
#include "kernels/outer.h"
#include "kernels/reference.h"
#include "kernels/tile.h"

static void linear(int n, int ni, int no, const float *x, int64_t xs, const float *w, int rows,
                   int64_t block_stride, const float *bias, bool relu, float *y, int64_t ys) {
    const int blocks = (ni + rows - 1) / rows;
    tile t = {.step = xs,
              .kh = blocks,
              .runs = 1,
              .run = rows,
              .last = ni - (blocks - 1) * rows,
              .row = rows,
              .ws = no,
              .w_skip = block_stride - (int64_t)rows * no,
              .floor = relu ? 0.0f : -INFINITY,
              .ys = ys};
    for (int o = 0; o < no;) {
        const bool wide = no - o >= TR_LANES;
        const tile_function *table = wide ? tile16_table[0] : tile8_table[0];
        const int piece = even_piece(n, (int)tr_min(7, wide ? TR_ACC16 : TR_ACC8));
        t.w = w + o;
        t.bias = bias ? bias + o : NULL;
        for (int r = 0; r < n;) {
            int samples = (int)tr_min(piece, n - r);
            t.x = x + r * xs;
            t.y = y + r * ys + o;
            table[samples](&t);
            r += samples;
        }
        o += wide ? TR_LANES : TR_BLOCK8;
    }
}

static void linear_dw(int n, int ni, int no, const float *x, int64_t xs, const float *dz,
                      int64_t zs, bool add, float *dw) {
    outer t = {.n_out = 1, .n_in = n, .x_in = xs, .dy_in = zs, .ws = no, .add = add};
    for (int o = 0; o < no;) {
        const bool wide = no - o >= TR_LANES;
        const outer_function *table = wide ? outer16_table : outer8_table;
        const int piece = even_piece(ni, (int)tr_min(7, wide ? TR_ACC16 : TR_ACC8));
        t.dy = dz + o;
        t.valid = wide ? TR_LANES : TR_BLOCK8;
        for (int i = 0; i < ni;) {
            int rows = (int)tr_min(piece, ni - i);
            t.x = x + i;
            t.dw = dw + (int64_t)i * no + o;
            table[rows](&t);
            i += rows;
        }
        o += t.valid;
    }
}

/* Up to four samples times two rows of weights, eight lanes a sum. */
#define DOT_START(b, o) v8 a##b##o = v8_zero();
#define DOT_STEP(b, o)  a##b##o = v8_fma(z##b, w##o, a##b##o);
#define DOT_END(b, o)   dx[(b)*xs + (o)] = v8_reduce(a##b##o);
#define DOT_LOAD0       v8 z0 = v8_load(dz + j);
#define DOT_LOAD1       DOT_LOAD0 v8 z1 = v8_load(dz + zs + j);
#define DOT_LOAD2       DOT_LOAD1 v8 z2 = v8_load(dz + 2 * zs + j);
#define DOT_LOAD3       DOT_LOAD2 v8 z3 = v8_load(dz + 3 * zs + j);

#define DOT_DEFINE(nb, last)                                                                       \
    static void dot##nb(int ni, int no, const float *dz, int64_t zs, const float *w, float *dx,    \
                        int64_t xs) {                                                              \
        int i = 0;                                                                                 \
        for (; i + 2 <= ni; i += 2, w += 2 * (int64_t)no, dx += 2) {                               \
            TR_GRID_##nb(DOT_START, 2) for (int j = 0; j < no; j += 8) {                           \
                v8 w0 = v8_load(w + j), w1 = v8_load(w + no + j);                                  \
                DOT_LOAD##last TR_GRID_##nb(DOT_STEP, 2)                                           \
            }                                                                                      \
            TR_GRID_##nb(DOT_END, 2)                                                               \
        }                                                                                          \
        if (i < ni) {                                                                              \
            TR_GRID_##nb(DOT_START, 1) for (int j = 0; j < no; j += 8) {                           \
                v8 w0 = v8_load(w + j);                                                            \
                DOT_LOAD##last TR_GRID_##nb(DOT_STEP, 1)                                           \
            }                                                                                      \
            TR_GRID_##nb(DOT_END, 1)                                                               \
        }                                                                                          \
        (void)zs, (void)xs;                                                                        \
    }

DOT_DEFINE(1, 0)
DOT_DEFINE(2, 1)
DOT_DEFINE(3, 2)
DOT_DEFINE(4, 3)

static void linear_dx(int n, int ni, int no, const float *dz, int64_t zs, const float *w, float *dx,
                      int64_t xs) {
    static void (*const table[])(int, int, const float *, int64_t, const float *, float *,
                                 int64_t) = {NULL, dot1, dot2, dot3, dot4};
    for (int r = 0; r < n; r += 4)
        table[tr_min(4, n - r)](ni, no, dz + r * zs, zs, w, dx + r * xs, xs);
}

static void row_sum(int64_t n, int k, const float *dy, const float *y, int64_t step, float *sum) {
    for (int o = 0; o < k; o += 8) {
        v8 a = v8_load(sum + o);
        if (y == NULL) {
            for (int64_t r = 0; r < n; r++) a = v8_add(a, v8_load(dy + r * step + o));
        } else {
            for (int64_t r = 0; r < n; r++)
                a = v8_add(a,
                           v8_where_above0(v8_load(y + r * step + o), v8_load(dy + r * step + o)));
        }
        v8_store(sum + o, v8_first(a, k - o));
    }
}

void TR_NAME(tr_kernels_fill_linear)(tr_kernels *t) {
    t->linear = linear;
    t->linear_dx = linear_dx;
    t->linear_dw = linear_dw;
    t->row_sum = row_sum;
}
