/* Runs of numbers with weights of their own in vectors, and the transpose that makes them. */
#include <string.h>

#include "kernels/reference.h"
#include "kernels/vec.h"

/* The last 16 or fewer elements go through arrays of 16, zero behind their end. */
enum { TAIL = 16 };
typedef float tail[TAIL];

TR_INLINE const float *tail_of(const float *x, int n, tail t) {
    memset(t, 0, sizeof(tail));
    if (x) memcpy(t, x, (size_t)n * sizeof *x);
    return x ? t : NULL;
}

typedef struct run { /* the map of a run in all lanes */
    v16 shift, scale, offset;
} run;

TR_INLINE run run_of(tr_affine m) {
    return (run){v16_all(m.shift), v16_all(m.scale), v16_all(m.offset)};
}
TR_INLINE v16 normal16(run m, const float *x) {
    return v16_fma(v16_sub(v16_load(x), m.shift), m.scale, m.offset);
}

TR_INLINE void affine16(run m, const float *x, const float *w, const float *b, float *y) {
    v16 v = normal16(m, x);
    if (w) v = v16_fma(v, v16_load(w), b ? v16_load(b) : v16_zero());
    v16_store(y, v);
}

/* Loops of n for each combination of arguments that are there. */
TR_INLINE void affine_loop(int64_t n, run m, const float *x, const float *w, const float *b,
                           float *y) {
    int64_t i = 0;
    for (; n - i >= 16; i += 16) affine16(m, x + i, w ? w + i : NULL, b ? b + i : NULL, y + i);
    if (i == n) return;
    const int left = (int)(n - i);
    tail tx, tw, tb, ty;
    affine16(m, tail_of(x + i, left, tx), tail_of(w ? w + i : NULL, left, tw),
             tail_of(b ? b + i : NULL, left, tb), ty);
    memcpy(y + i, ty, (size_t)left * sizeof *y);
}

static void affine_run(int64_t n, tr_affine m, const float *x, const float *w, const float *b,
                       float *y) {
    if (w && b)
        affine_loop(n, run_of(m), x, w, b, y);
    else if (w)
        affine_loop(n, run_of(m), x, w, NULL, y);
    else
        affine_loop(n, run_of(m), x, NULL, NULL, y);
}

typedef struct eight { /* lanes of both sums */
    d8 s, q;
} eight;

typedef struct run8 {
    v8 shift, scale, offset;
} run8;

TR_INLINE eight sums8(eight sum, run8 m, const float *x, const float *dy, const float *w) {
    d8 g = d8_from(v8_load(dy));
    if (w) g = d8_mul(g, d8_from(v8_load(w)));
    v8 v = v8_fma(v8_sub(v8_load(x), m.shift), m.scale, m.offset);
    return (eight){d8_add(sum.s, g), d8_add(sum.q, d8_mul(g, d8_from(v)))};
}

TR_INLINE double reduced(const double *t) {
    double s[8];
    for (int l = 0; l < 8; l++) s[l] = t[l] + t[8 + l];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

TR_INLINE void sums_loop(int64_t n, tr_affine m, const float *x, const float *dy, const float *w,
                         double *sum) {
    const run8 map = {v8_all(m.shift), v8_all(m.scale), v8_all(m.offset)};
    eight even = {d8_zero(), d8_zero()}, odd = even;
    double s[16], q[16];
    int64_t i = 0;
    for (; n - i >= 16; i += 16) {
        even = sums8(even, map, x + i, dy + i, w ? w + i : NULL);
        odd = sums8(odd, map, x + i + 8, dy + i + 8, w ? w + i + 8 : NULL);
    }
    d8_store(s, even.s);
    d8_store(s + 8, odd.s);
    d8_store(q, even.q);
    d8_store(q + 8, odd.q);
    for (int l = 0; i < n; i++, l++) {
        double g = (double)dy[i] * (w ? (double)w[i] : 1);
        s[l] += g;
        q[l] += g * (double)__builtin_fmaf(x[i] - m.shift, m.scale, m.offset);
    }
    sum[0] = reduced(s);
    sum[1] = reduced(q);
}

static void run_sums(int64_t n, tr_affine m, const float *x, const float *dy, const float *w,
                     double *sum) {
    if (w)
        sums_loop(n, m, x, dy, w, sum);
    else
        sums_loop(n, m, x, dy, NULL, sum);
}

TR_INLINE void dx16(run m, const float *x, const float *dy, const float *w, v16 by, float *dx) {
    v16 g = v16_load(dy);
    if (w) g = v16_fma(g, v16_load(w), v16_zero());
    v16_store(dx, v16_fma(g, by, normal16(m, x)));
}

TR_INLINE void dx_loop(int64_t n, run m, const float *x, const float *dy, const float *w, v16 by,
                       float *dx) {
    int64_t i = 0;
    for (; n - i >= 16; i += 16) dx16(m, x + i, dy + i, w ? w + i : NULL, by, dx + i);
    if (i == n) return;
    const int left = (int)(n - i);
    tail tx, tdy, tw, tdx;
    dx16(m, tail_of(x + i, left, tx), tail_of(dy + i, left, tdy),
         tail_of(w ? w + i : NULL, left, tw), by, tdx);
    memcpy(dx + i, tdx, (size_t)left * sizeof *dx);
}

static void affine_run_dx(int64_t n, tr_affine m, const float *x, const float *dy, const float *w,
                          float by, float *dx) {
    if (w)
        dx_loop(n, run_of(m), x, dy, w, v16_all(by), dx);
    else
        dx_loop(n, run_of(m), x, dy, NULL, v16_all(by), dx);
}

TR_INLINE void gradients16(run m, const float *x, const float *dy, bool fresh, float *dw,
                           float *db) {
    const v16 g = v16_load(dy);
    if (dw) v16_store(dw, v16_fma(g, normal16(m, x), fresh ? v16_zero() : v16_load(dw)));
    if (db) v16_store(db, v16_fma(g, v16_all(1), fresh ? v16_zero() : v16_load(db)));
}

TR_INLINE void gradients_loop(int64_t n, run m, const float *x, const float *dy, bool fresh,
                              float *dw, float *db) {
    int64_t i = 0;
    for (; n - i >= 16; i += 16)
        gradients16(m, x + i, dy + i, fresh, dw ? dw + i : NULL, db ? db + i : NULL);
    if (i == n) return;
    const int left = (int)(n - i);
    const size_t bytes = (size_t)left * sizeof *x;
    tail tx, tdy, tw, tb;
    tail_of(dw ? dw + i : NULL, left, tw);
    tail_of(db ? db + i : NULL, left, tb);
    gradients16(m, tail_of(x + i, left, tx), tail_of(dy + i, left, tdy), fresh, tw, tb);
    if (dw) memcpy(dw + i, tw, bytes);
    if (db) memcpy(db + i, tb, bytes);
}

static void run_gradients(int64_t n, tr_affine m, const float *x, const float *dy, bool fresh,
                          float *dw, float *db) {
    const run map = run_of(m);
    if (dw && db && fresh)
        gradients_loop(n, map, x, dy, true, dw, db);
    else if (dw && db)
        gradients_loop(n, map, x, dy, false, dw, db);
    else if (dw)
        gradients_loop(n, map, x, dy, fresh, dw, NULL);
    else if (db)
        gradients_loop(n, map, x, dy, fresh, NULL, db);
}

/* By blocks of 8 x 8; 32 rows at a time, so that whole cache lines are written while they are
 * there. */
static void transpose(int64_t rows, int64_t columns, const float *x, float *y) {
    const int64_t r8 = rows / 8 * 8, c8 = columns / 8 * 8;
    for (int64_t r0 = 0; r0 < r8; r0 += 32) {
        for (int64_t c = 0; c < c8; c += 8)
            for (int64_t r = r0; r < tr_min(r0 + 32, r8); r += 8)
                v8_transpose(x + r * columns + c, columns, y + c * rows + r, rows);
    }
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = r < r8 ? c8 : 0; c < columns; c++) y[c * rows + r] = x[r * columns + c];
}

void TR_NAME(tr_kernels_fill_run)(tr_kernels *t) {
    t->affine_run = affine_run;
    t->run_sums = run_sums;
    t->affine_run_dx = affine_run_dx;
    t->run_gradients = run_gradients;
    t->transpose = transpose;
}
