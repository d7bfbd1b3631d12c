/* Normalisation in vectors, which run across channels: sums over rows in double, and maps of rows
 * that are affine in each channel.
 *
 * The last vector of a row may reach into the next one. What is read there is not used. What is
 * written there is overwritten: rows are written in order, and of several vectors the last first.
 */
#include "kernels/reference.h"
#include "kernels/vec.h"

/* ---- sums ---- */

#define ONE(X) X(0)
#define TWO(X) X(0) X(1)

/* Adds to the first c of eight sums. */
TR_INLINE void add_first(double *sum, d8 a, int c) {
    if (c >= 8) {
        d8_store(sum, d8_add(d8_load(sum), a));
        return;
    }
    double t[8];
    d8_store(t, a);
    for (int l = 0; l < c; l++) sum[l] += t[l];
}

/* Accumulators of eight channels: s and q of even rows and of odd ones. */
#define SUM_START(b) d8 s##b = d8_zero(), q##b = d8_zero(), t##b = d8_zero(), p##b = d8_zero();
#define SUM_END(b)                                                                                 \
    add_first(sum + 8 * (b), d8_add(s##b, t##b), c - 8 * (b));                                     \
    add_first(sum + c8 + 8 * (b), d8_add(q##b, p##b), c - 8 * (b));

#define MOMENTS_START(b) SUM_START(b) d8 shift##b = d8_load(shift + 8 * (b));
#define MOMENTS_ADD(b, x, s, q)                                                                    \
    {                                                                                              \
        d8 d = d8_sub(d8_from(v8_load((x) + 8 * (b))), shift##b);                                  \
        s##b = d8_add(s##b, d);                                                                    \
        q##b = d8_add(q##b, d8_mul(d, d));                                                         \
    }
#define MOMENTS_EVEN(b) MOMENTS_ADD(b, x, s, q)
#define MOMENTS_ODD(b)  MOMENTS_ADD(b, x + step, t, p)

#define MOMENTS_DEFINE(name, BLOCKS)                                                               \
    static void name(int n, int c, int64_t c8, const float *x, int64_t step, const double *shift,  \
                     double *sum) {                                                                \
        BLOCKS(MOMENTS_START)                                                                      \
        for (; n >= 2; n -= 2, x += 2 * step) {                                                    \
            BLOCKS(MOMENTS_EVEN)                                                                   \
            BLOCKS(MOMENTS_ODD)                                                                    \
        }                                                                                          \
        if (n) {                                                                                   \
            BLOCKS(MOMENTS_EVEN)                                                                   \
        }                                                                                          \
        BLOCKS(SUM_END)                                                                            \
    }

MOMENTS_DEFINE(moments8, ONE)
#if TR_D8_BLOCKS > 1
MOMENTS_DEFINE(moments16, TWO)
#endif

static void moments(int64_t n, int c, const float *x, int64_t step, const double *shift,
                    double *sum) {
    const int64_t c8 = tr_round_up(c, 8);
    for (int64_t r = 0; r < n; r += TR_RUN) {
        const float *row = x + r * step;
        const int rows = (int)tr_min(TR_RUN, n - r);
        int o = 0;
#if TR_D8_BLOCKS > 1
        for (; c - o > 8; o += 16) moments16(rows, c - o, c8, row + o, step, shift + o, sum + o);
#endif
        for (; o < c; o += 8) moments8(rows, c - o, c8, row + o, step, shift + o, sum + o);
    }
}

typedef struct normal {
    const float *x, *dy;
    int64_t x_step, dy_step;
    const float *shift, *scale, *offset;
} normal;

#define NORMAL_START(b)                                                                            \
    SUM_START(b)                                                                                   \
    v8 shift##b = v8_load(w.shift + o + 8 * (b)), scale##b = v8_load(w.scale + o + 8 * (b)),       \
       offset##b = v8_load(w.offset + o + 8 * (b));
#define NORMAL_ADD(b, x, dy, s, q)                                                                 \
    {                                                                                              \
        v8 g = v8_load((dy) + 8 * (b));                                                            \
        v8 y = v8_fma(v8_sub(v8_load((x) + 8 * (b)), shift##b), scale##b, offset##b);              \
        d8 d = d8_from(g);                                                                         \
        s##b = d8_add(s##b, d);                                                                    \
        q##b = d8_add(q##b, d8_mul(d, d8_from(y)));                                                \
    }
#define NORMAL_EVEN(b) NORMAL_ADD(b, x, dy, s, q)
#define NORMAL_ODD(b)  NORMAL_ADD(b, x + w.x_step, dy + w.dy_step, t, p)

#define NORMAL_DEFINE(name, BLOCKS)                                                                \
    static void name(int64_t r, int n, int c, int64_t c8, int o, normal w, double *sum) {          \
        const float *x = w.x + r * w.x_step + o, *dy = w.dy + r * w.dy_step + o;                   \
        BLOCKS(NORMAL_START)                                                                       \
        for (; n >= 2; n -= 2, x += 2 * w.x_step, dy += 2 * w.dy_step) {                           \
            BLOCKS(NORMAL_EVEN)                                                                    \
            BLOCKS(NORMAL_ODD)                                                                     \
        }                                                                                          \
        if (n) {                                                                                   \
            BLOCKS(NORMAL_EVEN)                                                                    \
        }                                                                                          \
        BLOCKS(SUM_END)                                                                            \
    }

NORMAL_DEFINE(normal8, ONE)
#if TR_D8_BLOCKS > 1
NORMAL_DEFINE(normal16, TWO)
#endif

static void normal_sums(int64_t n, int c, const float *x, const float *dy, int64_t x_step,
                        int64_t dy_step, const float *shift, const float *scale,
                        const float *offset, double *sum) {
    const normal w = {x, dy, x_step, dy_step, shift, scale, offset};
    const int64_t c8 = tr_round_up(c, 8);
    for (int64_t r = 0; r < n; r += TR_RUN) {
        const int rows = (int)tr_min(TR_RUN, n - r);
        int o = 0;
#if TR_D8_BLOCKS > 1
        for (; c - o > 8; o += 16) normal16(r, rows, c - o, c8, o, w, sum + o);
#endif
        for (; o < c; o += 8) normal8(r, rows, c - o, c8, o, w, sum + o);
    }
}

/* ---- maps ---- */

#define AFFINE_DEFINE(V)                                                                           \
    TR_INLINE void affine_##V(int64_t n, const float *x, int64_t x_step, const float *shift,       \
                              const float *scale, const float *offset, float *y, int64_t y_step) { \
        const V t = V##_load(shift), a = V##_load(scale), b = V##_load(offset);                    \
        for (int64_t r = 0; r < n; r++, x += x_step, y += y_step)                                  \
            V##_store(y, V##_fma(V##_sub(V##_load(x), t), a, b));                                  \
    }                                                                                              \
    TR_INLINE void affine_dx_##V(int64_t n, const float *x, int64_t x_step, const float *shift,    \
                                 const float *scale, const float *offset, const float *dy,         \
                                 int64_t dy_step, const float *by, float *dx, int64_t dx_step) {   \
        const V t = V##_load(shift), a = V##_load(scale), b = V##_load(offset), g = V##_load(by);  \
        for (int64_t r = 0; r < n; r++, x += x_step, dy += dy_step, dx += dx_step)                 \
            V##_store(dx, V##_fma(V##_load(dy), g, V##_fma(V##_sub(V##_load(x), t), a, b)));       \
    }
AFFINE_DEFINE(v8)
AFFINE_DEFINE(v16)

static void affine(int64_t n, int c, const float *x, int64_t x_step, const float *shift,
                   const float *scale, const float *offset, float *y, int64_t y_step) {
    int o = (int)tr_round_up(c, 8);
    if (o % 16) {
        o -= 8;
        affine_v8(n, x + o, x_step, shift + o, scale + o, offset + o, y + o, y_step);
    }
    while (o > 0) {
        o -= 16;
        affine_v16(n, x + o, x_step, shift + o, scale + o, offset + o, y + o, y_step);
    }
}

static void affine_dx(int64_t n, int c, const float *x, int64_t x_step, const float *shift,
                      const float *scale, const float *offset, const float *dy, int64_t dy_step,
                      const float *by, float *dx, int64_t dx_step) {
    int o = (int)tr_round_up(c, 8);
    if (o % 16) {
        o -= 8;
        affine_dx_v8(n, x + o, x_step, shift + o, scale + o, offset + o, dy + o, dy_step, by + o,
                     dx + o, dx_step);
    }
    while (o > 0) {
        o -= 16;
        affine_dx_v16(n, x + o, x_step, shift + o, scale + o, offset + o, dy + o, dy_step, by + o,
                      dx + o, dx_step);
    }
}

void TR_NAME(tr_kernels_fill_norm)(tr_kernels *t) {
    t->moments = moments;
    t->normal_sums = normal_sums;
    t->affine = affine;
    t->affine_dx = affine_dx;
}
