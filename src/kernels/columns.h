/* The register tile of convolutions with few output channels: vectors run along a row of pixels.
 * Private to this room.
 *
 * The tile of tile.h wastes the lanes that have no channel and loads an input element for each
 * multiply-add. Here a vector is 8 or 16 neighbouring pixels of one channel, and each of up to four
 * such vectors is multiplied with one weight of each of up to eight output channels. That wants an
 * input whose channels are apart, so one is made first: planes[c][h][width padded to 8]. A sum's
 * order is that of tile.h: rows of the window, then their elements.
 */
#ifndef TR_COLUMNS_H
#define TR_COLUMNS_H

#include "kernels/vec.h"

enum { COLUMNS = TR_WIDTH };

typedef struct column_tile {
    const float *x[4]; /* first pixel of each vector's window, in plane 0 */
    int c, kh, kw;
    int64_t row, plane; /* from one row of a plane, one plane, to the next */
    const float *w;     /* forward layout, 8 lanes */
    const float *bias;  /* or NULL */
    float floor;        /* 0 for relu, -INFINITY for none */
    float *y;           /* [vector][channel of 8][COLUMNS] */
} column_tile;

#define COLUMNS_START(k, v) vwide a##k##v = TR_WIDE(all)(t->bias ? t->bias[k] : 0);
#define COLUMNS_STEP(k, v)  a##k##v = TR_WIDE(fma)(TR_WIDE(all)(w[k]), x##v, a##k##v);
#define COLUMNS_END(k, v)                                                                          \
    TR_WIDE(store)(t->y + ((v)*8 + (k)) * COLUMNS, TR_WIDE(max)(low, a##k##v));
#define COLUMNS_LOAD1 vwide x0 = TR_WIDE(load)(t->x[0] + at);
#define COLUMNS_LOAD2 COLUMNS_LOAD1 vwide x1 = TR_WIDE(load)(t->x[1] + at);
#define COLUMNS_LOAD4                                                                              \
    COLUMNS_LOAD2 vwide x2 = TR_WIDE(load)(t->x[2] + at);                                          \
    vwide x3 = TR_WIDE(load)(t->x[3] + at);

#define COLUMNS_DEFINE(nk, nv)                                                                     \
    static void columns##nk##_##nv(const column_tile *t) {                                         \
        const vwide low = TR_WIDE(all)(t->floor);                                                  \
        TR_GRID_##nk(COLUMNS_START, nv) const float *w = t->w;                                     \
        for (int r = 0; r < t->kh; r++) {                                                          \
            for (int j = 0; j < t->kw; j++) {                                                      \
                int64_t at = r * t->row + j;                                                       \
                for (int c = 0; c < t->c; c++, at += t->plane, w += TR_BLOCK8) {                   \
                    COLUMNS_LOAD##nv TR_GRID_##nk(COLUMNS_STEP, nv)                                \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        TR_GRID_##nk(COLUMNS_END, nv)                                                              \
    }
#define COLUMNS_DEFINE_ALL(nk) COLUMNS_DEFINE(nk, 1) COLUMNS_DEFINE(nk, 2) COLUMNS_DEFINE(nk, 4)
COLUMNS_DEFINE_ALL(1)
COLUMNS_DEFINE_ALL(2)
COLUMNS_DEFINE_ALL(3)
#if TR_WIDE_ACC >= 24
COLUMNS_DEFINE_ALL(4)
COLUMNS_DEFINE_ALL(5)
COLUMNS_DEFINE_ALL(6)
#define COLUMNS_FOUR(f) f
#else
COLUMNS_DEFINE(4, 1)
COLUMNS_DEFINE(4, 2)
COLUMNS_DEFINE(5, 1)
COLUMNS_DEFINE(5, 2)
COLUMNS_DEFINE(6, 1)
COLUMNS_DEFINE(6, 2)
#define COLUMNS_FOUR(f) NULL
#endif
COLUMNS_DEFINE(7, 1)
COLUMNS_DEFINE(7, 2)
COLUMNS_DEFINE(8, 1)
COLUMNS_DEFINE(8, 2)

static void (*const columns_table[8][3])(const column_tile *t) = {
    {columns1_1, columns1_2, columns1_4},
    {columns2_1, columns2_2, columns2_4},
    {columns3_1, columns3_2, columns3_4},
    {columns4_1, columns4_2, COLUMNS_FOUR(columns4_4)},
    {columns5_1, columns5_2, COLUMNS_FOUR(columns5_4)},
    {columns6_1, columns6_2, COLUMNS_FOUR(columns6_4)},
    {columns7_1, columns7_2, NULL},
    {columns8_1, columns8_2, NULL}};

/* log2 of how many vectors a tile of k channels may have. */
TR_INLINE int columns_most(int k) {
    return k * 4 <= TR_WIDE_ACC ? 2 : k * 2 <= TR_WIDE_ACC ? 1 : 0;
}

#undef COLUMNS_START
#undef COLUMNS_STEP
#undef COLUMNS_END
#undef COLUMNS_LOAD1
#undef COLUMNS_LOAD2
#undef COLUMNS_LOAD4
#undef COLUMNS_DEFINE
#undef COLUMNS_DEFINE_ALL
#undef COLUMNS_FOUR

#endif
