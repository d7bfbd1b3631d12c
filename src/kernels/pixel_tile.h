/* The register tile of convolutions with few output channels: vectors run along a row of pixels.
 * Private to this module.
 *
 * The tile of tile.h wastes the lanes that have no channel and loads an input element for each
 * multiply-add. Here a vector is 8 or 16 neighbouring pixels of one channel, and each of up to four
 * such vectors is multiplied with one weight of each of up to eight output channels. That needs a
 * planar input, so one is made first: planes[c][h][width padded to 8]. A sum's order is that of
 * tile.h: rows of the window, then their elements.
 */
#ifndef TR_PIXEL_TILE_H
#define TR_PIXEL_TILE_H

#include "kernels/vec.h"

enum { PIXELS = TR_WIDTH };

typedef struct pixel_tile {
    const float *x[4]; /* first pixel of each vector's window, in plane 0 */
    int c, kh, kw;
    int64_t row, col, plane; /* from one row of taps, one tap of a row, one plane, to the next */
    const float *w;          /* forward layout, 8 lanes */
    const float *bias;       /* or NULL */
    float floor;             /* 0 for relu, -INFINITY for none */
    float *y;                /* [vector][channel of 8][PIXELS] */
} pixel_tile;

#define PIXELS_START(k, v) vwide a##k##v = TR_WIDE(all)(t->bias ? t->bias[k] : 0);
#define PIXELS_STEP(k, v)  a##k##v = TR_WIDE(fma)(TR_WIDE(all)(w[k]), x##v, a##k##v);
#define PIXELS_END(k, v)   TR_WIDE(store)(t->y + ((v)*8 + (k)) * PIXELS, TR_WIDE(max)(low, a##k##v));
#define PIXELS_LOAD1       vwide x0 = TR_WIDE(load)(t->x[0] + at);
#define PIXELS_LOAD2       PIXELS_LOAD1 vwide x1 = TR_WIDE(load)(t->x[1] + at);
#define PIXELS_LOAD4                                                                               \
    PIXELS_LOAD2 vwide x2 = TR_WIDE(load)(t->x[2] + at);                                           \
    vwide x3 = TR_WIDE(load)(t->x[3] + at);

#define PIXELS_DEFINE(nk, nv)                                                                      \
    static void pixels##nk##_##nv(const pixel_tile *t) {                                           \
        const vwide low = TR_WIDE(all)(t->floor);                                                  \
        TR_GRID_##nk(PIXELS_START, nv) const float *w = t->w;                                      \
        for (int r = 0; r < t->kh; r++) {                                                          \
            for (int j = 0; j < t->kw; j++) {                                                      \
                int64_t at = r * t->row + j * t->col;                                              \
                for (int c = 0; c < t->c; c++, at += t->plane, w += TR_BLOCK8) {                   \
                    PIXELS_LOAD##nv TR_GRID_##nk(PIXELS_STEP, nv)                                  \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        TR_GRID_##nk(PIXELS_END, nv)                                                               \
    }
#define PIXELS_DEFINE_ALL(nk) PIXELS_DEFINE(nk, 1) PIXELS_DEFINE(nk, 2) PIXELS_DEFINE(nk, 4)
PIXELS_DEFINE_ALL(1)
PIXELS_DEFINE_ALL(2)
PIXELS_DEFINE_ALL(3)
#if TR_WIDE_ACC >= 24
PIXELS_DEFINE_ALL(4)
PIXELS_DEFINE_ALL(5)
PIXELS_DEFINE_ALL(6)
#define PIXELS_FOUR(f) f
#else
PIXELS_DEFINE(4, 1)
PIXELS_DEFINE(4, 2)
PIXELS_DEFINE(5, 1)
PIXELS_DEFINE(5, 2)
PIXELS_DEFINE(6, 1)
PIXELS_DEFINE(6, 2)
#define PIXELS_FOUR(f) NULL
#endif
PIXELS_DEFINE(7, 1)
PIXELS_DEFINE(7, 2)
PIXELS_DEFINE(8, 1)
PIXELS_DEFINE(8, 2)

static void (*const pixel_tiles[8][3])(const pixel_tile *t) = {
    {pixels1_1, pixels1_2, pixels1_4},
    {pixels2_1, pixels2_2, pixels2_4},
    {pixels3_1, pixels3_2, pixels3_4},
    {pixels4_1, pixels4_2, PIXELS_FOUR(pixels4_4)},
    {pixels5_1, pixels5_2, PIXELS_FOUR(pixels5_4)},
    {pixels6_1, pixels6_2, PIXELS_FOUR(pixels6_4)},
    {pixels7_1, pixels7_2, NULL},
    {pixels8_1, pixels8_2, NULL}};

/* log2 of how many vectors a tile of k channels may have. */
TR_INLINE int pixel_tiles_most(int k) {
    return k * 4 <= TR_WIDE_ACC ? 2 : k * 2 <= TR_WIDE_ACC ? 1 : 0;
}

#undef PIXELS_START
#undef PIXELS_STEP
#undef PIXELS_END
#undef PIXELS_LOAD1
#undef PIXELS_LOAD2
#undef PIXELS_LOAD4
#undef PIXELS_DEFINE
#undef PIXELS_DEFINE_ALL
#undef PIXELS_FOUR

#endif
