/* Convolutions in vectors: forward with its pool and relu, and the three sums of its backward.
 *
 * Forward walks the output in strips as high as the pool window (or a tile), a block of output
 * channels at a time: tiles write a strip of pixels to a small buffer, the epilogue reduces its
 * windows to the output. No function here keeps state.
 */
#include <string.h>

#include "kernels/outer.h"
#include "kernels/reference.h"
#include "kernels/tile.h"

enum {
    STRIP_ROWS = 4,     /* the highest pool that a convolution takes in */
    STRIP_COLUMNS = 60, /* divisible by every pool up to that */
};

/* rows x columns pixels of one block of channels: from x into y, `ys` floats between pixels. */
static void strip(const tr_conv *d, const float *x, int rows, int columns, const float *w,
                  const float *bias, int lanes, float floor, float *y, int64_t ys, int64_t y_row) {
    tile t = {.step = d->step_w,
              .below = d->step_h,
              .kh = d->kh,
              .run = d->run,
              .row = d->row,
              .w = w,
              .ws = lanes,
              .bias = bias,
              .floor = floor,
              .ys = ys,
              .y_below = y_row};
    int most = lanes == TR_LANES ? TR_ACC16 : TR_ACC8;
    for (int r = 0; r < rows;) {
        int two = r + 1 < rows && (columns <= most / 2 || most / 2 >= 5);
        int wide = (int)tr_min(7, two ? most / 2 : most);
        int piece = tile_columns(columns, wide);
        for (int c = 0; c < columns;) {
            int n = (int)tr_min(piece, columns - c);
            t.x = x + r * d->step_h + c * d->step_w;
            t.y = y + r * y_row + c * ys;
            (lanes == TR_LANES ? tile16_table : tile8_table)[two][n](&t);
            c += n;
        }
        r += 1 + two;
    }
}

/* Windows of a strip in `buffer` -> one row of outputs (columns / pool of them). */
TR_INLINE void pool_strip(const tr_conv *d, const float *buffer, int columns, int lanes, int valid,
                          bool alone, v8 low, float *y, uint8_t *index) {
    for (int c = 0; c < columns; c += d->pool, y += d->k, index += d->k) {
        for (int half = 0; half < valid; half += 8) {
            const float *p = buffer + c * lanes + half;
            v8 best = v8_load(p), at = v8_zero();
            int q = 1;
            for (int j = 1; j < d->pool; j++, q++)
                v8_take(&best, &at, v8_load(p + j * lanes), (float)q);
            for (int i = 1; i < d->pool; i++) {
                p += columns * lanes;
                for (int j = 0; j < d->pool; j++, q++)
                    v8_take(&best, &at, v8_load(p + j * lanes), (float)q);
            }
            best = v8_max(low, best);
            if (valid - half >= 8 || alone) { /* what is too much is written again, or slack */
                v8_store(y + half, best);
                v8_store_bytes(index + half, at);
            } else {
                float values[8];
                uint8_t bytes[8];
                v8_store(values, best);
                v8_store_bytes(bytes, at);
                memcpy(y + half, values, (size_t)(valid - half) * sizeof *values);
                memcpy(index + half, bytes, (size_t)(valid - half));
            }
        }
    }
}

static void conv(const tr_conv *d, const float *x, const float *w, const float *bias, float *y,
                 uint8_t *index) {
    float buffer[STRIP_ROWS * STRIP_COLUMNS * TR_LANES];
    const float floor = d->relu ? 0.0f : -INFINITY;
    const int height = d->pool > 1 ? d->pool : 2;
    const int pw = d->ow / d->pool;
    for (int k0 = 0; k0 < d->k; k0 += TR_LANES) {
        const int lanes = d->k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8;
        const int valid = (int)tr_min(lanes, d->k - k0);
        const float *wb = w + (int64_t)k0 * d->kh * d->run, *bb = bias ? bias + k0 : NULL;
        for (int h = 0; h < d->oh; h += height) {
            const int rows = (int)tr_min(height, d->oh - h);
            for (int c = 0; c < d->ow; c += STRIP_COLUMNS) {
                const int columns = (int)tr_min(STRIP_COLUMNS, d->ow - c);
                const float *xs = x + h * d->step_h + c * d->step_w;
                if (d->pool > 1) {
                    int64_t o = (int64_t)(h / d->pool * pw + c / d->pool) * d->k + k0;
                    strip(d, xs, rows, columns, wb, bb, lanes, -INFINITY, buffer, lanes,
                          (int64_t)columns * lanes);
                    pool_strip(d, buffer, columns, lanes, valid, d->k <= 8, v8_all(floor), y + o,
                               index + o);
                    continue;
                }
                float *yp = y + ((int64_t)h * d->ow + c) * d->k + k0;
                if (valid == lanes) {
                    strip(d, xs, rows, columns, wb, bb, lanes, floor, yp, d->k,
                          (int64_t)d->ow * d->k);
                    continue;
                }
                strip(d, xs, rows, columns, wb, bb, lanes, floor, buffer, lanes,
                      (int64_t)columns * lanes);
                for (int p = 0; p < rows * columns; p++) {
                    memcpy(yp + ((int64_t)(p / columns) * d->ow + p % columns) * d->k,
                           buffer + p * lanes, (size_t)valid * sizeof *y);
                }
            }
        }
    }
}

static void conv_dw(const tr_conv *d, const float *x, const float *dy, float *dw) {
    outer t = {.n_out = d->oh,
               .n_in = d->ow,
               .x_out = d->step_h,
               .x_in = d->step_w,
               .dy_out = (int64_t)d->ow * d->k,
               .dy_in = d->k,
               .add = true};
    for (int k0 = 0; k0 < d->k; k0 += TR_LANES) {
        const int lanes = d->k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8;
        const outer_function *table = lanes == TR_LANES ? outer16_table : outer8_table;
        const int piece =
            tile_columns(d->run, (int)tr_min(7, lanes == TR_LANES ? TR_ACC16 : TR_ACC8));
        t.valid = (int)tr_min(lanes, d->k - k0);
        t.ws = lanes;
        t.dy = dy + k0;
        for (int r = 0; r < d->kh; r++) {
            for (int j = 0; j < d->run;) {
                int n = (int)tr_min(piece, d->run - j);
                t.x = x + r * d->row + j;
                t.dw = dw + (int64_t)k0 * d->kh * d->run + ((int64_t)r * d->run + j) * lanes;
                table[n](&t);
                j += n;
            }
        }
    }
}

/* ---- routed gradients: vectors run along the elements of a kernel row ---- */

typedef struct grid { /* rows x columns vectors of the window of each route */
    const float *x;   /* first vector of the window at route.at == 0 */
    const tr_route *routes;
    int n;
    int64_t row; /* from one row of the window to the next */
    float *dw;   /* its first vector */
    int64_t dw_row;
    int last; /* lanes of the last column that are elements */
} grid;

#define GRID_START(b, o) v8 a##b##o = v8_load(t->dw + (b)*t->dw_row + 8 * (o));
#define GRID_STEP(b, o)  a##b##o = v8_fma(g, v8_load(p + (b)*row + 8 * (o)), a##b##o);
#define GRID_END(b, o)                                                                             \
    v8_store(t->dw + (b)*t->dw_row + 8 * (o), v8_first(a##b##o, (o) == columns - 1 ? t->last : 8));
#define GRID_DEFINE(nb, no)                                                                        \
    static void grid##nb##_##no(const grid *t) {                                                   \
        enum { columns = no };                                                                     \
        const int64_t row = t->row;                                                                \
        TR_GRID_##nb(GRID_START, no) for (int i = 0; i < t->n; i++) {                              \
            const float *p = t->x + t->routes[i].at;                                               \
            v8 g = v8_all(t->routes[i].value);                                                     \
            TR_GRID_##nb(GRID_STEP, no)                                                            \
        }                                                                                          \
        TR_GRID_##nb(GRID_END, no)                                                                 \
    }

GRID_DEFINE(1, 1)
GRID_DEFINE(2, 1)
GRID_DEFINE(3, 1)
GRID_DEFINE(4, 1)
GRID_DEFINE(5, 1)
GRID_DEFINE(1, 2)
GRID_DEFINE(2, 2)
GRID_DEFINE(3, 2)
GRID_DEFINE(4, 2)
GRID_DEFINE(5, 2)
GRID_DEFINE(1, 3)
GRID_DEFINE(2, 3)
GRID_DEFINE(3, 3)
GRID_DEFINE(4, 3)
GRID_DEFINE(1, 4)
GRID_DEFINE(2, 4)
GRID_DEFINE(3, 4)

enum { GRID_COLUMNS = 4 };
static void (*const grid_table[GRID_COLUMNS][5])(const grid *t) = {
    {grid1_1, grid2_1, grid3_1, grid4_1, grid5_1},
    {grid1_2, grid2_2, grid3_2, grid4_2, grid5_2},
    {grid1_3, grid2_3, grid3_3, grid4_3, NULL},
    {grid1_4, grid2_4, grid3_4, NULL, NULL}};
static const int grid_rows[GRID_COLUMNS] = {5, 5, 4, 3};

static void route_dw(const tr_conv *d, const float *x, const tr_route *routes,
                     const int32_t *counts, float *dw) {
    const int64_t n = (int64_t)(d->oh / d->pool) * (d->ow / d->pool);
    const int run8 = (int)tr_round_up(d->run, 8), columns = run8 / 8;
    const int wide = tile_columns(columns, GRID_COLUMNS);
    grid t = {.row = d->row, .dw_row = run8};
    for (int k = 0; k < d->k; k++, dw += (int64_t)d->kh * run8) {
        t.routes = routes + k * n;
        t.n = counts[k];
        for (int c = 0; c < columns; c += wide) {
            int nc = (int)tr_min(wide, columns - c), high = tile_columns(d->kh, grid_rows[nc - 1]);
            t.last = (int)tr_min(8, d->run - 8 * (c + nc - 1));
            for (int r = 0; r < d->kh; r += high) {
                t.x = x + r * d->row + 8 * c;
                t.dw = dw + (int64_t)r * run8 + 8 * c;
                grid_table[nc - 1][tr_min(high, d->kh - r) - 1](&t);
            }
        }
    }
}

static void route_dx(const tr_conv *d, const tr_route *routes, const int32_t *counts,
                     const float *w, float *dx, int64_t n_dx) {
    const int64_t n = (int64_t)(d->oh / d->pool) * (d->ow / d->pool);
    const int run8 = (int)tr_round_up(d->run, 8);
    memset(dx, 0, (size_t)n_dx * sizeof *dx);
    for (int k = 0; k < d->k; k++, w += (int64_t)d->kh * run8) {
        for (int i = 0; i < counts[k]; i++) {
            v8 g = v8_all(routes[k * n + i].value);
            float *to = dx + routes[k * n + i].at;
            for (int r = 0; r < d->kh; r++, to += d->row) {
                for (int j = 0; j < run8; j += 8)
                    v8_store(to + j, v8_fma(g, v8_load(w + r * run8 + j), v8_load(to + j)));
            }
        }
    }
}

void TR_NAME(tr_kernels_fill_conv)(tr_kernels *t) {
    t->conv = conv;
    t->conv_dw = conv_dw;
    t->route_dw = route_dw;
    t->route_dx = route_dx;
}
