/* Included by outer.h once for each width of vector (V, VTYPE, VTILE, VSTORE). */

#define OUTER_START(b, o) VTYPE a##b##o = t->add ? V(load)(t->dw + (o)*t->ws) : V(zero)();
#define OUTER_STEP(b, o)  a##b##o = V(fma)(V(all)(x[o]), g, a##b##o);
#define OUTER_END(b, o)   VSTORE(t->dw + (o)*t->ws, a##b##o, t->valid);

#define OUTER_DEFINE(no)                                                                           \
    static void TR_PASTE(VTILE, no)(const outer *t) {                                              \
        TR_GRID_1(OUTER_START, no)                                                                 \
        for (int i = 0; i < t->n_out; i++) {                                                       \
            const float *x = t->x + i * t->x_out, *dy = t->dy + i * t->dy_out;                     \
            for (int j = 0; j < t->n_in; j++, x += t->x_in, dy += t->dy_in) {                      \
                VTYPE g = V(load)(dy);                                                             \
                TR_GRID_1(OUTER_STEP, no)                                                          \
            }                                                                                      \
        }                                                                                          \
        TR_GRID_1(OUTER_END, no)                                                                   \
    }

OUTER_DEFINE(1)
OUTER_DEFINE(2)
OUTER_DEFINE(3)
OUTER_DEFINE(4)
OUTER_DEFINE(5)
OUTER_DEFINE(6)
OUTER_DEFINE(7)

static const outer_function TR_PASTE(VTILE, table)[8] = {
    NULL,
    TR_PASTE(VTILE, 1),
    TR_PASTE(VTILE, 2),
    TR_PASTE(VTILE, 3),
    TR_PASTE(VTILE, 4),
    TR_PASTE(VTILE, 5),
    TR_PASTE(VTILE, 6),
    TR_PASTE(VTILE, 7),
};

#undef OUTER_START
#undef OUTER_STEP
#undef OUTER_END
#undef OUTER_DEFINE
