/* The gradients of pooled convolutions in vectors, which run along the elements of a kernel row.
 */
#include <string.h>

#include "kernels/reference.h"
#include "kernels/vec.h"

#define V(f)            v8_##f
#define VTYPE           v8
#define VWIDTH          8
#define VTILE           grid8
#define VSTORE(p, a, n) v8_store(p, v8_first(a, n))
#include "kernels/grid_tmpl.h"
#undef V
#undef VTYPE
#undef VWIDTH
#undef VTILE
#undef VSTORE
#define V(f)            v16_##f
#define VTYPE           v16
#define VWIDTH          16
#define VTILE           grid16
#define VSTORE(p, a, n) v16_store_first(p, a, n)
#include "kernels/grid_tmpl.h"
#undef V
#undef VTYPE
#undef VWIDTH
#undef VTILE
#undef VSTORE

static void gather_dw(const tr_conv *d, const float *x, const tr_gather *lists,
                      const int32_t *counts, int k0, int k1, float *dw) {
    const int64_t n = (int64_t)(d->oh / d->pool) * (d->ow / d->pool);
    const int run8 = (int)tr_round_up(d->run, 8);
    for (int k = k0; k < k1; k++, dw += (int64_t)d->kh * run8) {
        grid t = {.lists = lists + k * n, .n = counts[k], .row = d->row, .dw_row = run8};
        for (int j = 0; j < run8;) {
            const bool wide = run8 - j >= 16, two = run8 - j >= 32;
            const int high = even_piece(d->kh, two ? GRID_ROWS2 : GRID_ROWS1);
            t.last = (int)tr_min(wide ? 16 : 8, d->run - j - (two ? 16 : 0));
            for (int r = 0; r < d->kh; r += high) {
                t.x = x + r * d->row + j;
                t.dw = dw + (int64_t)r * run8 + j;
                const int rows = (int)tr_min(high, d->kh - r) - 1;
                (two ? grid_pairs[rows] : wide ? grid16_table[rows] : grid8_table[rows])(&t);
            }
            j += two ? 32 : wide ? 16 : 8;
        }
    }
}

/* Eight lanes at a time: neighbours overlap, and to read again what was just written is slower the
 * wider the vectors are. */
static void gather_dx(const tr_conv *d, const tr_gather *lists, const int32_t *counts,
                      const float *w, float *dx, int64_t n_dx) {
    const int64_t n = (int64_t)(d->oh / d->pool) * (d->ow / d->pool);
    const int run8 = (int)tr_round_up(d->run, 8);
    memset(dx, 0, (size_t)n_dx * sizeof *dx);
    for (int k = 0; k < d->k; k++, w += (int64_t)d->kh * run8) {
        for (int i = 0; i < counts[k]; i++) {
            v8 g = v8_all(lists[k * n + i].value);
            float *to = dx + lists[k * n + i].at;
            for (int r = 0; r < d->kh; r++, to += d->row) {
                for (int j = 0; j < run8; j += 8)
                    v8_store(to + j, v8_fma(g, v8_load(w + r * run8 + j), v8_load(to + j)));
            }
        }
    }
}

void TR_NAME(tr_kernels_fill_gather)(tr_kernels *t) {
    t->gather_dw = gather_dw;
    t->gather_dx = gather_dx;
}
