/* Convolutions in vectors: forward with its pool and relu, and the dense weight gradient.
 *
 * Forward goes through the output in strips as high as the pool window (or a tile), a block of
 * output channels at a time: tiles write a strip of pixels to a small buffer, the epilogue reduces
 * its windows to the output. No function here keeps state.
 */
#include <string.h>

#include "kernels/outer.h"
#include "kernels/pixel_tile.h"
#include "kernels/reference.h"
#include "kernels/tile.h"

enum {
    STRIP_ROWS = TR_LARGEST_POOL,
    STRIP_COLUMNS = 60, /* divisible by every pool */
};

/* A block of output channels. */
typedef struct block {
    const tr_conv *d;
    const float *x;        /* the input, or its planes */
    const float *w;        /* the block's weights */
    const float *bias;     /* or NULL */
    int lanes, valid;      /* of the block; those that are channels */
    bool pixel_vectorised; /* computed from planes */
    float *tiles;          /* for that: [STRIP_ROWS][STRIP_COLUMNS rounded up][8] */
} block;

/* Where a strip of pixels goes: floats from one pixel and one row to the next. */
typedef struct target {
    float *y;
    int64_t pixel, row;
    float floor; /* the least value: 0 for relu, -INFINITY for none */
} target;

/* ---- vectors of channels ---- */

/* rows x columns pixels from row h and column c on. */
static void strip_of_channels(const block *b, int h, int c, int rows, int columns,
                              const target *to) {
    const tr_conv *d = b->d;
    const float *x = b->x + h * d->step_h + c * d->step_w;
    tile t = {.step = d->step_w,
              .below = d->step_h,
              .kh = d->kh,
              .runs = d->runs,
              .run = d->run,
              .last = d->run,
              .row = d->tap_h,
              .col = d->tap_w,
              .w = b->w,
              .ws = b->lanes,
              .bias = b->bias,
              .floor = to->floor,
              .ys = to->pixel,
              .y_below = to->row};
    int most = b->lanes == TR_LANES ? TR_ACC16 : TR_ACC8;
    for (int r = 0; r < rows;) {
        int two = r + 1 < rows && (columns <= most / 2 || most / 2 >= 5);
        int wide = (int)tr_min(7, two ? most / 2 : most);
        int piece = even_piece(columns, wide);
        for (int v = 0; v < columns;) {
            int n = (int)tr_min(piece, columns - v);
            t.x = x + r * d->step_h + v * d->step_w;
            t.y = to->y + r * to->row + v * to->pixel;
            (b->lanes == TR_LANES ? tile16_table : tile8_table)[two][n](&t);
            v += n;
        }
        r += 1 + two;
    }
}

/* ---- vectors of pixels, for few output channels ---- */

/* Stride 1, and lanes are filled better by pixels than by channels. */
static bool pays_by_pixels(const tr_conv *d, int lanes, int valid) {
    return lanes == TR_BLOCK8 && d->step_w == d->pixel && d->kh > 0 &&
           (int64_t)d->ow * PIXELS > valid * tr_round_up(d->ow, PIXELS);
}

static void make_planes(const tr_conv *d, const float *x, float *planes) {
    const int64_t width = tr_plane_columns(d), row = tr_plane_row(d), plane = tr_plane_size(d);
    const int64_t rows = tr_plane_rows(d);
    for (int64_t h = 0; h < rows; h++, x += d->row, planes += row) {
        int64_t v = 0;
        for (; d->pixel == 3 && d->c == 3 && v + 8 <= width; v += 8) {
            v8 c0, c1, c2;
            v8_apart3(x + 3 * v, &c0, &c1, &c2);
            v8_store(planes + v, c0);
            v8_store(planes + plane + v, c1);
            v8_store(planes + 2 * plane + v, c2);
        }
        for (; v < width; v++) {
            for (int c = 0; c < d->c; c++) planes[c * plane + v] = x[v * d->pixel + c];
        }
    }
}

/* A strip as tiles[row][vector of pixels][channel of 8][PIXELS], each row of `vectors`. */
static void strip_of_tiles(const block *b, int h, int c, int rows, int vectors, float floor) {
    const tr_conv *d = b->d;
    pixel_tile t = {.c = d->c,
                    .kh = d->kh,
                    .kw = d->kw,
                    .row = d->tap_h / d->row * tr_plane_row(d),
                    .col = tr_tap_columns(d),
                    .plane = tr_plane_size(d),
                    .w = b->w,
                    .bias = b->bias,
                    .floor = floor,
                    .y = b->tiles};
    const int64_t down = d->step_h / d->row * tr_plane_row(d); /* to the next row of outputs */
    const float *x = b->x + h * down + c;
    const int n = rows * vectors;
    for (int i = 0, log; i < n; i += 1 << log) {
        for (log = pixel_tiles_most(b->valid); 1 << log > n - i;) log--;
        for (int v = 0; v < 1 << log; v++)
            t.x[v] = x + (i + v) / vectors * down + (i + v) % vectors * PIXELS;
        pixel_tiles[b->valid - 1][log](&t);
        t.y += TR_BLOCK8 * PIXELS << log;
    }
}

static void strip_of_pixels(const block *b, int h, int c, int rows, int columns, const target *to) {
    const int vectors = (columns + PIXELS - 1) / PIXELS;
    strip_of_tiles(b, h, c, rows, vectors, to->floor);
    const float *from = b->tiles;
    for (int i = 0; i < rows * vectors; i++, from += TR_BLOCK8 * PIXELS) {
        const int first = i % vectors * PIXELS, end = (int)tr_min(PIXELS, columns - first);
        float *y = to->y + i / vectors * to->row + first * to->pixel;
        int p = 0;
        for (; p + 8 <= end; p += 8) v8_transpose(from + p, PIXELS, y + p * to->pixel, to->pixel);
        if (p == end) continue;
        float last[8 * 8];
        v8_transpose(from + p, PIXELS, last, 8);
        for (int j = 0; p < end; p++, j++) v8_store(y + p * to->pixel, v8_load(last + 8 * j));
    }
}

/* ---- forward ---- */

static void strip(const block *b, int h, int c, int rows, int columns, const target *to) {
    (b->pixel_vectorised ? strip_of_pixels : strip_of_channels)(b, h, c, rows, columns, to);
}

/* Up to eight channels of a window, `valid` of them the block's. Where the block is all there is,
 * what is too much is written again by the next window, or slack. */
TR_INLINE void put_window(const tr_conv *d, v8 best, v8 at, int valid, float *y, uint8_t *index) {
    if (valid >= 8 || d->k <= 8) {
        v8_store(y, best);
        v8_store_bytes(index, at);
        return;
    }
    float values[8];
    uint8_t bytes[8];
    v8_store(values, best);
    v8_store_bytes(bytes, at);
    memcpy(y, values, (size_t)valid * sizeof *values);
    memcpy(index, bytes, (size_t)valid);
}

/* Windows of a strip in `buffer` -> one row of outputs (columns / pool of them). */
TR_INLINE void pool_strip(const block *b, const float *buffer, int columns, v8 low, float *y,
                          uint8_t *index) {
    const tr_conv *d = b->d;
    for (int c = 0; c < columns; c += d->pool, y += d->k, index += d->k) {
        for (int half = 0; half < b->valid; half += 8) {
            const float *p = buffer + c * b->lanes + half;
            v8 best = v8_load(p), at = v8_zero();
            int q = 1;
            for (int j = 1; j < d->pool; j++, q++)
                v8_take(&best, &at, v8_load(p + j * b->lanes), (float)q);
            for (int i = 1; i < d->pool; i++) {
                p += columns * b->lanes;
                for (int j = 0; j < d->pool; j++, q++)
                    v8_take(&best, &at, v8_load(p + j * b->lanes), (float)q);
            }
            put_window(d, v8_max(low, best), at, b->valid - half, y + half, index + half);
        }
    }
}

/* The same for 2 x 2 windows of vectors of pixels, pooled before the transposition, which then has
 * a quarter of the elements. */
static void pool2_of_pixels(const block *b, int h, int c, int columns, v8 low, float *y,
                            uint8_t *index) {
    enum { WIDE = 2 * 8 }; /* pixels of eight windows */
    const tr_conv *d = b->d;
    const int vectors = (int)tr_round_up(columns, WIDE) / PIXELS;
    const int64_t second = vectors * TR_BLOCK8 * PIXELS; /* row */
    strip_of_tiles(b, h, c, 2, vectors, -INFINITY);
    for (int first = 0; first < columns; first += WIDE) {
        const float *p = b->tiles + first / PIXELS * TR_BLOCK8 * PIXELS;
        float best[TR_BLOCK8 * 8] = {0}, at[TR_BLOCK8 * 8] = {0};
        for (int k = 0; k < b->valid; k++, p += PIXELS) {
            const float *p8 = p + (PIXELS > 8 ? 8 : TR_BLOCK8 * PIXELS);
            v8 a0, a1, b0, b1, winner = v8_zero();
            v8_apart2(v8_load(p), v8_load(p8), &a0, &a1);
            v8_apart2(v8_load(p + second), v8_load(p8 + second), &b0, &b1);
            v8_take(&a0, &winner, a1, 1);
            v8_take(&a0, &winner, b0, 2);
            v8_take(&a0, &winner, b1, 3);
            v8_store(best + 8 * k, v8_max(low, a0));
            v8_store(at + 8 * k, winner);
        }
        float values[8 * TR_BLOCK8], winners[8 * TR_BLOCK8];
        v8_transpose(best, 8, values, 8);
        v8_transpose(at, 8, winners, 8);
        for (int i = 0; i < 8 && first + 2 * i < columns; i++, y += d->k, index += d->k)
            put_window(d, v8_load(values + 8 * i), v8_load(winners + 8 * i), b->valid, y, index);
    }
}

/* A vector of biases, of which `valid` are the group's. */
TR_INLINE const float *padded_bias(const float *bias, int valid, float out[TR_LANES]) {
    for (int l = 0; l < TR_LANES; l++) out[l] = l < valid ? bias[l] : 0;
    return out;
}

static void conv(const tr_conv *d, const float *x, const float *w, const float *bias, float *y,
                 uint8_t *index, float *planes) {
    float buffer[STRIP_ROWS * STRIP_COLUMNS * TR_LANES];
    float tiles[STRIP_ROWS * (STRIP_COLUMNS + TR_LANES) * TR_BLOCK8];
    float last_bias[TR_LANES];
    const float floor = d->relu ? 0.0f : -INFINITY;
    const int height = d->pool > 1 ? d->pool : 2;
    const int pw = d->ow / d->pool;
    for (int k0 = 0; k0 < d->k; k0 += TR_LANES) {
        block b = {.d = d,
                   .x = x,
                   .w = w + k0 * tr_conv_taps(d),
                   .bias = bias ? bias + k0 : NULL,
                   .lanes = d->k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8};
        b.valid = (int)tr_min(b.lanes, d->k - k0);
        if (b.bias && b.valid < b.lanes) b.bias = padded_bias(b.bias, b.valid, last_bias);
        b.pixel_vectorised = pays_by_pixels(d, b.lanes, b.valid);
        if (b.pixel_vectorised) {
            make_planes(d, x, planes);
            if (b.valid < TR_BLOCK8 && d->pool != 2) memset(tiles, 0, sizeof tiles);
            b.x = planes;
            b.tiles = tiles;
        }
        for (int h = 0; h < d->oh; h += height) {
            const int rows = (int)tr_min(height, d->oh - h);
            for (int c = 0; c < d->ow; c += STRIP_COLUMNS) {
                const int columns = (int)tr_min(STRIP_COLUMNS, d->ow - c);
                target to = {buffer, b.lanes, (int64_t)columns * b.lanes, -INFINITY};
                if (d->pool > 1) {
                    int64_t o = (int64_t)(h / d->pool * pw + c / d->pool) * d->k + k0;
                    if (b.pixel_vectorised && d->pool == 2) {
                        pool2_of_pixels(&b, h, c, columns, v8_all(floor), y + o, index + o);
                        continue;
                    }
                    strip(&b, h, c, rows, columns, &to);
                    pool_strip(&b, buffer, columns, v8_all(floor), y + o, index + o);
                    continue;
                }
                float *yp = y + h * d->y_row + c * d->y_pixel + k0;
                to.floor = floor;
                if (b.valid == b.lanes) {
                    to = (target){yp, d->y_pixel, d->y_row, floor};
                    strip(&b, h, c, rows, columns, &to);
                    continue;
                }
                strip(&b, h, c, rows, columns, &to);
                for (int p = 0; p < rows * columns; p++) {
                    memcpy(yp + p / columns * d->y_row + p % columns * d->y_pixel,
                           buffer + p * b.lanes, (size_t)b.valid * sizeof *y);
                }
            }
        }
    }
}

static void conv_dw(const tr_conv *d, const float *x, const float *dy, int64_t e0, int64_t e1,
                    float *dw) {
    outer t = {.n_out = d->oh,
               .n_in = d->ow,
               .x_out = d->step_h,
               .x_in = d->step_w,
               .dy_out = d->y_row,
               .dy_in = d->y_pixel,
               .add = true};
    const int64_t kernel = tr_conv_taps(d);
    while (e0 < e1) {
        const int k0 = (int)(e0 / (TR_LANES * kernel)) * TR_LANES;
        const int lanes = d->k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8;
        const outer_function *table = lanes == TR_LANES ? outer16_table : outer8_table;
        const int most = (int)tr_min(7, lanes == TR_LANES ? TR_ACC16 : TR_ACC8);
        const int64_t begin = k0 * kernel;
        int64_t at = (e0 - begin) / lanes, end = tr_min(kernel, (e1 - begin) / lanes);
        e0 = begin + end * lanes;
        t.valid = (int)tr_min(lanes, d->k - k0);
        t.ws = lanes;
        t.dy = dy + k0;
        while (at < end) { /* the rest of a run, in even pieces */
            const int run = (int)(at / d->run), j = (int)(at % d->run);
            const float *from = x + run / d->runs * d->tap_h + run % d->runs * d->tap_w + j;
            const int n = (int)tr_min(d->run - j, end - at), piece = even_piece(n, most);
            for (int i = 0; i < n;) {
                const int now = (int)tr_min(piece, n - i);
                t.x = from + i;
                t.dw = dw;
                table[now](&t);
                dw += now * lanes;
                i += now;
            }
            at += n;
        }
    }
}

void TR_NAME(tr_kernels_fill_conv)(tr_kernels *t) {
    t->conv = conv;
    t->conv_dw = conv_dw;
}
