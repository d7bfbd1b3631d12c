/* The register tiles of convolutions whose groups lie along the vectors. Included by
 * depthwise_tmpl.c once for each width of vector (V, VTYPE, VTILE, VSTORE).
 *
 * Forward: up to eight neighbouring outputs, a chain of multiply-adds each. Weight gradient: up to
 * three rows of three taps, each summed over all pixels. */
#ifndef TR_DEPTHWISE_TILE_H
#define TR_DEPTHWISE_TILE_H

enum { DEPTH_PIXELS = 8, DEPTH_TAPS = 3 };

typedef struct depth_tile {
    const tr_depthwise *d;
    const float *x; /* of the first output */
    const float *w; /* vector of the first tap */
    int64_t ws;     /* to the vector of the next */
    const float *bias;
    float floor;
    float *y;
    int64_t ys; /* to the next output */
} depth_tile;

typedef struct depth_taps {
    const tr_depthwise *d;
    const float *x, *dy;
    float *dw;      /* vector of the first tap */
    int64_t ds, dr; /* to the tap in the next column, in the next row */
    int valid;      /* lanes that are groups */
} depth_taps;
#endif

#define DEPTH_START(b, o) VTYPE a##b##o = start;
#define DEPTH_STEP(b, o)  a##b##o = V(fma)(V(load)(x + (o)*step), k, a##b##o);
#define DEPTH_END(b, o)   V(store)(t->y + (o)*t->ys, V(max)(low, a##b##o));
#define DEPTH_DEFINE(no)                                                                           \
    static void TR_PASTE(VTILE, no)(const depth_tile *t) {                                         \
        const tr_depthwise *d = t->d;                                                              \
        const VTYPE start = t->bias ? V(load)(t->bias) : V(zero)(), low = V(all)(t->floor);        \
        const int64_t step = d->step_w, ws = t->ws, tap_d = d->tap_d;                              \
        const float *w = t->w;                                                                     \
        TR_GRID_1(DEPTH_START, no)                                                                 \
        for (int r = 0; r < d->kh; r++) {                                                          \
            const float *from = t->x + r * d->tap_h;                                               \
            for (int s = 0; s < d->kw; s++, from += d->tap_w) {                                    \
                const float *x = from;                                                             \
                for (int j = 0; j < d->depth; j++, x += tap_d, w += ws) {                          \
                    const VTYPE k = V(load)(w);                                                    \
                    TR_GRID_1(DEPTH_STEP, no)                                                      \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        TR_GRID_1(DEPTH_END, no)                                                                   \
    }
DEPTH_DEFINE(1)
DEPTH_DEFINE(2)
DEPTH_DEFINE(3)
DEPTH_DEFINE(4)
DEPTH_DEFINE(5)
DEPTH_DEFINE(6)
DEPTH_DEFINE(7)
DEPTH_DEFINE(8)
static void (*const TR_PASTE(VTILE, table)[DEPTH_PIXELS + 1])(const depth_tile *t) = {
    NULL,
    TR_PASTE(VTILE, 1),
    TR_PASTE(VTILE, 2),
    TR_PASTE(VTILE, 3),
    TR_PASTE(VTILE, 4),
    TR_PASTE(VTILE, 5),
    TR_PASTE(VTILE, 6),
    TR_PASTE(VTILE, 7),
    TR_PASTE(VTILE, 8)};

#define TAPS_START(b, o) VTYPE a##b##o = V(load)(t->dw + (b)*t->dr + (o)*t->ds);
#define TAPS_STEP(b, o)  a##b##o = V(fma)(V(load)(x##b + (o)*tap), g, a##b##o);
#define TAPS_END(b, o)   VSTORE(t->dw + (b)*t->dr + (o)*t->ds, a##b##o, t->valid);
#define TAPS_DEFINE(nb, no)                                                                        \
    static void TR_PASTE(VTILE, taps##nb##_##no)(const depth_taps *t) {                            \
        const tr_depthwise *d = t->d;                                                              \
        const int64_t tap = d->tap_w;                                                              \
        TR_GRID_##nb(TAPS_START, no) for (int h = 0; h < d->oh; h++) {                             \
            const float *x0 = t->x + h * d->step_h, *x1 = x0 + d->tap_h, *x2 = x1 + d->tap_h;      \
            const float *dy = t->dy + h * d->y_row, *end = dy + d->ow * d->y_pixel;                \
            for (; dy != end; dy += d->y_pixel) {                                                  \
                const VTYPE g = V(load)(dy);                                                       \
                TR_GRID_##nb(TAPS_STEP, no) x0 += d->step_w, x1 += d->step_w, x2 += d->step_w;     \
            }                                                                                      \
        }                                                                                          \
        TR_GRID_##nb(TAPS_END, no)                                                                 \
    }
TAPS_DEFINE(1, 1)
TAPS_DEFINE(1, 2)
TAPS_DEFINE(1, 3)
TAPS_DEFINE(2, 1)
TAPS_DEFINE(2, 2)
TAPS_DEFINE(2, 3)
TAPS_DEFINE(3, 1)
TAPS_DEFINE(3, 2)
TAPS_DEFINE(3, 3)
static void (*const TR_PASTE(VTILE, taps)[DEPTH_TAPS][DEPTH_TAPS])(const depth_taps *t) = {
    {TR_PASTE(VTILE, taps1_1), TR_PASTE(VTILE, taps1_2), TR_PASTE(VTILE, taps1_3)},
    {TR_PASTE(VTILE, taps2_1), TR_PASTE(VTILE, taps2_2), TR_PASTE(VTILE, taps2_3)},
    {TR_PASTE(VTILE, taps3_1), TR_PASTE(VTILE, taps3_2), TR_PASTE(VTILE, taps3_3)}};

#undef DEPTH_START
#undef DEPTH_STEP
#undef DEPTH_END
#undef DEPTH_DEFINE
#undef TAPS_START
#undef TAPS_STEP
#undef TAPS_END
#undef TAPS_DEFINE
