/* Included by tile.h once for each width of vector (V, VTYPE, VTILE). */

#define TILE_START(b, o) VTYPE a##b##o = start;
#define TILE_STEP(b, o)  a##b##o = V(fma)(V(all)(p##b[(o)*step]), k, a##b##o);
#define TILE_END(b, o)   V(store)(t->y + (b)*t->y_below + (o)*t->ys, V(max)(low, a##b##o));

#define TILE_DEFINE(nb, no)                                                                        \
    static void TR_PASTE(VTILE, nb##_##no)(const tile *t) {                                        \
        VTYPE start = t->bias ? V(load)(t->bias) : V(zero)(), low = V(all)(t->floor);              \
        TR_GRID_##nb(TILE_START, no) const float *w = t->w;                                        \
        const int64_t step = t->step, ws = t->ws;                                                  \
        for (int r = 0; r < t->kh; r++) {                                                          \
            const float *from = t->x + r * t->row;                                                 \
            const int64_t run = r + 1 < t->kh ? t->run : t->last;                                  \
            for (int s = 0; s < t->runs; s++, from += t->col) {                                    \
                const float *p0 = from, *p1 = p0 + t->below, *end = p0 + run;                      \
                for (; p0 < end; p0++, p1++, w += ws) {                                            \
                    VTYPE k = V(load)(w);                                                          \
                    TR_GRID_##nb(TILE_STEP, no)                                                    \
                }                                                                                  \
            }                                                                                      \
            w += t->w_skip;                                                                        \
        }                                                                                          \
        TR_GRID_##nb(TILE_END, no)                                                                 \
    }

TILE_DEFINE(1, 1)
TILE_DEFINE(1, 2)
TILE_DEFINE(1, 3)
TILE_DEFINE(1, 4)
TILE_DEFINE(1, 5)
TILE_DEFINE(1, 6)
TILE_DEFINE(1, 7)
TILE_DEFINE(2, 1)
TILE_DEFINE(2, 2)
TILE_DEFINE(2, 3)
TILE_DEFINE(2, 4)
TILE_DEFINE(2, 5)
TILE_DEFINE(2, 6)
TILE_DEFINE(2, 7)

static const tile_function TR_PASTE(VTILE, table)[2][8] = {
    {NULL, TR_PASTE(VTILE, 1_1), TR_PASTE(VTILE, 1_2), TR_PASTE(VTILE, 1_3), TR_PASTE(VTILE, 1_4),
     TR_PASTE(VTILE, 1_5), TR_PASTE(VTILE, 1_6), TR_PASTE(VTILE, 1_7)},
    {NULL, TR_PASTE(VTILE, 2_1), TR_PASTE(VTILE, 2_2), TR_PASTE(VTILE, 2_3), TR_PASTE(VTILE, 2_4),
     TR_PASTE(VTILE, 2_5), TR_PASTE(VTILE, 2_6), TR_PASTE(VTILE, 2_7)}};

#undef TILE_START
#undef TILE_STEP
#undef TILE_END
#undef TILE_DEFINE
