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

#if defined(TR_ISA_AVX512)
#define C(f) v16_##f
typedef v16 vc;
enum { COLUMNS = 16, COLUMN_VECTORS = 24 };
#else
#define C(f) v8_##f
typedef v8 vc;
enum { COLUMNS = 8, COLUMN_VECTORS = 12 };
#endif

typedef struct column_tile {
    const float *x[4]; /* first pixel of each vector's window, in plane 0 */
    int c, kh, kw;
    int64_t row, plane; /* from one row of a plane, one plane, to the next */
    const float *w;     /* forward layout, 8 lanes */
    const float *bias;  /* or NULL */
    float floor;        /* 0 for relu, -INFINITY for none */
    float *y;           /* [vector][channel of 8][COLUMNS] */
} column_tile;

#define COLUMNS_START(k, v) vc a##k##v = C(all)(t->bias ? t->bias[k] : 0);
#define COLUMNS_STEP(k, v)  a##k##v = C(fma)(C(all)(w[k]), x##v, a##k##v);
#define COLUMNS_END(k, v)   C(store)(t->y + ((v)*8 + (k)) * COLUMNS, C(max)(low, a##k##v));
#define COLUMNS_LOAD1       vc x0 = C(load)(t->x[0] + at);
#define COLUMNS_LOAD2       COLUMNS_LOAD1 vc x1 = C(load)(t->x[1] + at);
#define COLUMNS_LOAD4                                                                              \
    COLUMNS_LOAD2 vc x2 = C(load)(t->x[2] + at);                                                   \
    vc x3 = C(load)(t->x[3] + at);

#define COLUMNS_DEFINE(nk, nv)                                                                     \
    static void columns##nk##_##nv(const column_tile *t) {                                         \
        const vc low = C(all)(t->floor);                                                           \
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
COLUMNS_DEFINE_ALL(4)
COLUMNS_DEFINE_ALL(5)
COLUMNS_DEFINE_ALL(6)
COLUMNS_DEFINE(7, 1)
COLUMNS_DEFINE(7, 2)
COLUMNS_DEFINE(8, 1)
COLUMNS_DEFINE(8, 2)

#define COLUMNS_ROW(nk)                                                                            \
    { columns##nk##_1, columns##nk##_2, columns##nk##_4 }
static void (*const columns_table[8][3])(const column_tile *t) = {
    COLUMNS_ROW(1), COLUMNS_ROW(2), COLUMNS_ROW(3),           COLUMNS_ROW(4),
    COLUMNS_ROW(5), COLUMNS_ROW(6), {columns7_1, columns7_2}, {columns8_1, columns8_2}};

/* log2 of how many vectors a tile of k channels may have. */
TR_INLINE int columns_most(int k) {
    return k * 4 <= COLUMN_VECTORS ? 2 : k * 2 <= COLUMN_VECTORS ? 1 : 0;
}

#endif
