/* The register tile of gathered weight gradients: rows x columns vectors of a kernel, to which each
 * gather adds its value times its window. Included by gather_tmpl.c once for each width of vector
 * (V, VTYPE, VWIDTH, VTILE, VSTORE). */

#ifndef TR_GRID_TMPL_H
#define TR_GRID_TMPL_H
typedef struct grid {
    const float *x; /* first vector of the window at gather.at == 0 */
    const tr_gather *lists;
    int n;
    int64_t row; /* from one row of the window to the next */
    float *dw;   /* its first vector */
    int64_t dw_row;
    int last; /* lanes of the last column that are elements */
} grid;

enum { GRID_ROWS1 = 5, GRID_ROWS2 = TR_PAIR_ROWS }; /* of tiles of one column and of two */
#endif

#define GRID_START(b, o) VTYPE a##b##o = V(load)(t->dw + (b)*t->dw_row + VWIDTH * (o));
#define GRID_STEP(b, o)  a##b##o = V(fma)(g, V(load)(p + (b)*row + VWIDTH * (o)), a##b##o);
#define GRID_END(b, o)                                                                             \
    VSTORE(t->dw + (b)*t->dw_row + VWIDTH * (o), a##b##o, (o) == last ? t->last : VWIDTH);
#define GRID_DEFINE(nb, no)                                                                        \
    static void TR_PASTE(VTILE, nb##_##no)(const grid *t) {                                        \
        enum { last = (no)-1 };                                                                    \
        const int64_t row = t->row;                                                                \
        TR_GRID_##nb(GRID_START, no) for (int i = 0; i < t->n; i++) {                              \
            const float *p = t->x + t->lists[i].at;                                                \
            VTYPE g = V(all)(t->lists[i].value);                                                   \
            TR_GRID_##nb(GRID_STEP, no)                                                            \
        }                                                                                          \
        TR_GRID_##nb(GRID_END, no)                                                                 \
    }

GRID_DEFINE(1, 1)
GRID_DEFINE(2, 1)
GRID_DEFINE(3, 1)
GRID_DEFINE(4, 1)
GRID_DEFINE(5, 1)
static void (*const TR_PASTE(VTILE, table)[GRID_ROWS1])(const grid *t) = {
    TR_PASTE(VTILE, 1_1), TR_PASTE(VTILE, 2_1), TR_PASTE(VTILE, 3_1), TR_PASTE(VTILE, 4_1),
    TR_PASTE(VTILE, 5_1)};

#if VWIDTH == 16 /* two columns, too */
GRID_DEFINE(1, 2)
GRID_DEFINE(2, 2)
GRID_DEFINE(3, 2)
#if TR_PAIR_ROWS >= 5
GRID_DEFINE(4, 2)
GRID_DEFINE(5, 2)
static void (*const grid_pairs[GRID_ROWS2])(const grid *t) = {grid16_1_2, grid16_2_2, grid16_3_2,
                                                              grid16_4_2, grid16_5_2};
#else
static void (*const grid_pairs[GRID_ROWS2])(const grid *t) = {grid16_1_2, grid16_2_2, grid16_3_2};
#endif
#endif

#undef GRID_START
#undef GRID_STEP
#undef GRID_END
#undef GRID_DEFINE
