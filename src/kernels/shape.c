/* Moves of pixels, channels and elements, broadcasting, and arithmetic of two values; compiled once
 * per ISA like reference.c.
 *
 * Vectors are the compiler's own type, eight lanes wide in every ISA: each lane is computed as
 * plain C would. The last vector of a pixel reaches into the next one, whose own are written after
 * it, or into the slack.
 */
#include <string.h>

#include "kernels/reference.h"

typedef tr_real reals __attribute__((vector_size(TR_BLOCK8 * sizeof(tr_real))));

static inline reals load(const tr_real *p) {
    reals v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(tr_real *p, reals v) {
    memcpy(p, &v, sizeof v);
}

/* ---- two values ---- */

/* In place, too: the compiler could not tell that from an overlap that forbids vectors. */
static void sub(int64_t n, const tr_real *a, const tr_real *b, tr_real *y) {
    int64_t i = 0;
    for (; i + TR_BLOCK8 <= n; i += TR_BLOCK8) store(y + i, load(a + i) - load(b + i));
    for (; i < n; i++) y[i] = a[i] - b[i];
}

static void mul(int64_t n, const tr_real *a, const tr_real *b, tr_real *y) {
    int64_t i = 0;
    for (; i + TR_BLOCK8 <= n; i += TR_BLOCK8) store(y + i, load(a + i) * load(b + i));
    for (; i < n; i++) y[i] = a[i] * b[i];
}

static void scale(int64_t n, tr_real factor, const tr_real *x, tr_real *y) {
    int64_t i = 0;
    for (; i + TR_BLOCK8 <= n; i += TR_BLOCK8) store(y + i, load(x + i) * factor);
    for (; i < n; i++) y[i] = x[i] * factor;
}

/* ---- broadcasting ---- */

static void expand(const tr_broadcast *d, const tr_real *x, tr_real *y) {
    const int c = d->c;
    for (int h = 0; h < d->h; h++) {
        for (int w = 0; w < d->w; w++, y += c) {
            const tr_real *at = x + h * d->step_h + w * d->step_w;
            if (d->step_c) {
                memcpy(y, at, (size_t)c * sizeof *y);
            } else {
                for (int l = 0; l < c; l++) y[l] = *at;
            }
        }
    }
}

/* Eight chains, then the tree of tr_reduce8. */
static tr_real sum_of(int c, const tr_real *g) {
    reals s = {0};
    int l = 0;
    for (; l + TR_BLOCK8 <= c; l += TR_BLOCK8) s += load(g + l);
    for (int k = 0; l < c; l++, k++) s[k] += g[l];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static void reduce(const tr_broadcast *d, const tr_real *g, tr_real *dx, int64_t n_dx) {
    const int c = d->c;
    memset(dx, 0, (size_t)n_dx * sizeof *dx);
    for (int h = 0; h < d->h; h++) {
        for (int w = 0; w < d->w; w++, g += c) {
            tr_real *restrict at = dx + h * d->step_h + w * d->step_w;
            if (d->step_c) {
                for (int l = 0; l < c; l++) at[l] += g[l];
            } else {
                *at += sum_of(c, g);
            }
        }
    }
}

/* ---- moves ---- */

/* Exactly c elements: nothing else is written. */
static inline void copy(int64_t c, const tr_real *x, tr_real *y) {
    int64_t l = 0;
    for (; l + TR_BLOCK8 <= c; l += TR_BLOCK8) store(y + l, load(x + l));
    if (l < c && c >= TR_BLOCK8)
        store(y + c - TR_BLOCK8, load(x + c - TR_BLOCK8));
    else
        for (; l < c; l++) y[l] = x[l];
}

static void copy_rows(int64_t n, int64_t c, const tr_real *x, int64_t x_step, tr_real *y,
                      int64_t y_step) {
    if (c == x_step && c == y_step) {
        memcpy(y, x, (size_t)(n * c) * sizeof *y);
        return;
    }
    for (int64_t r = 0; r < n; r++, x += x_step, y += y_step) copy(c, x, y);
}

static void pick(int64_t n, int64_t m, const int32_t *restrict at, const tr_real *restrict x,
                 int64_t x_step, tr_real *restrict y, int64_t y_step) {
    for (int64_t r = 0; r < n; r++, x += x_step, y += y_step)
        for (int64_t e = 0; e < m; e++) y[e] = x[at[e]];
}

/* A row of outputs that each are one pixel of this row of the input, or zero. */
static void move_row(const tr_taps *columns, int c, const tr_real *x, tr_real *y) {
    const int32_t *first = columns->first, *at = columns->at;
    for (int o = 0, end; o < columns->n; y += (int64_t)(end - o) * c, o = end) {
        end = o + 1;
        if (first[o] == first[end]) { /* none: as long as there is none */
            while (end < columns->n && first[end + 1] == first[o]) end++;
            memset(y, 0, (size_t)(end - o) * (size_t)c * sizeof *y);
            continue;
        }
        const int32_t from = at[first[o]];
        while (end < columns->n && first[end + 1] == first[end] + 1 &&
               at[first[end]] == from + (end - o))
            end++;
        if (end - o > 1)
            memcpy(y, x + (int64_t)from * c, (size_t)(end - o) * (size_t)c * sizeof *y);
        else
            for (int l = 0; l < c; l += TR_BLOCK8) store(y + l, load(x + (int64_t)from * c + l));
    }
}

/* A pixel: the sum over its n_rows rows of the sums over its n_columns columns, whose taps begin at
 * r and q. The numbers are constants where that is worth it: the loops are unrolled then. */
static inline __attribute__((always_inline)) void
sum_taps(const tr_taps *rows, const tr_taps *columns, int32_t r, int32_t q, int n_rows,
         int n_columns, bool weighted, int64_t row, int c, const tr_real *x, tr_real *y) {
    for (int l = 0; l < c; l += TR_BLOCK8) {
        reals sum = {0};
        for (int i = 0; i < n_rows; i++) {
            const tr_real *from = x + rows->at[r + i] * row + l;
            reals part = {0};
            for (int j = 0; j < n_columns; j++) {
                reals v = load(from + (int64_t)columns->at[q + j] * c);
                part += weighted ? v * columns->weight[q + j] : v;
            }
            sum += weighted ? part * rows->weight[r + i] : part;
        }
        store(y + l, sum);
    }
}

/* A row of outputs, each of which is a sum. Bilinear weights are of two pixels, and those of their
 * gradients, at twice the size, of four. */
static inline __attribute__((always_inline)) void sum_row(const tr_taps *rows,
                                                          const tr_taps *columns, int h,
                                                          bool weighted, int64_t row, int c,
                                                          const tr_real *x, tr_real *y) {
    const int32_t r = rows->first[h], n_rows = rows->first[h + 1] - r;
    for (int w = 0; w < columns->n; w++, y += c) {
        const int32_t q = columns->first[w], n_columns = columns->first[w + 1] - q;
        if (n_rows == 2 && n_columns == 2)
            sum_taps(rows, columns, r, q, 2, 2, weighted, row, c, x, y);
        else if (n_rows == 4 && n_columns == 4)
            sum_taps(rows, columns, r, q, 4, 4, weighted, row, c, x, y);
        else
            sum_taps(rows, columns, r, q, n_rows, n_columns, weighted, row, c, x, y);
    }
}

/* Has each output of this side one tap at most, of weight 1? */
static bool only_moves(const tr_taps *side) {
    for (int o = 0; side->weight == NULL && o < side->n; o++)
        if (side->first[o + 1] - side->first[o] > 1) return false;
    return side->weight == NULL;
}

static void resample(const tr_taps *rows, const tr_taps *columns, int width, int c,
                     const tr_real *x, tr_real *y) {
    const int64_t row = (int64_t)width * c, y_row = (int64_t)columns->n * c;
    const bool weighted = rows->weight != NULL, moves = only_moves(columns);
    for (int h = 0; h < rows->n; h++, y += y_row) {
        const int32_t *r = rows->first + h, n = r[1] - r[0];
        if (n == 0)
            memset(y, 0, (size_t)y_row * sizeof *y);
        else if (n == 1 && moves)
            move_row(columns, c, x + rows->at[*r] * row, y);
        else if (weighted)
            sum_row(rows, columns, h, true, row, c, x, y);
        else
            sum_row(rows, columns, h, false, row, c, x, y);
    }
}

void TR_NAME(tr_kernels_fill_shape)(tr_kernels *t) {
    t->sub = sub;
    t->mul = mul;
    t->scale = scale;
    t->expand = expand;
    t->reduce = reduce;
    t->copy_rows = copy_rows;
    t->pick = pick;
    t->resample = resample;
}
