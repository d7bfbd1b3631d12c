/* Convolutions whose groups lie along the vectors. */
#include <math.h>
#include <string.h>

#include "kernels/reference.h"
#include "kernels/vec.h"

#define V(f)            v8_##f
#define VTYPE           v8
#define VTILE           depth8
#define VSTORE(p, a, n) v8_store(p, v8_first(a, n))
#include "kernels/depthwise_tile.h"
#undef V
#undef VTYPE
#undef VTILE
#undef VSTORE
#if TR_WIDTH == 16
#define V(f)            v16_##f
#define VTYPE           v16
#define VTILE           depth16
#define VSTORE(p, a, n) v16_store_first(p, a, n)
#include "kernels/depthwise_tile.h"
#undef V
#undef VTYPE
#undef VTILE
#undef VSTORE
#define WIDE(table) depth16_##table
#else
#define WIDE(table) depth8_##table
#endif

/* Lanes of the vector that begins at group n0. */
TR_INLINE int lanes_at(int n, int n0) {
    return n - n0 > TR_BLOCK8 ? TR_WIDTH : TR_BLOCK8;
}

static void depthwise(const tr_depthwise *d, const float *x, const float *w, const float *bias,
                      float *y) {
    const int64_t n8 = tr_round_up(d->n, TR_BLOCK8);
    const int piece = even_piece(d->ow, DEPTH_PIXELS);
    depth_tile t = {.d = d, .ws = n8, .floor = d->relu ? 0.0f : -INFINITY};
    for (int h = 0; h < d->oh; h++) {
        for (int v = 0; v < d->ow; v += piece) {
            const int pixels = (int)tr_min(piece, d->ow - v);
            float *to = y + h * d->y_row + v * d->y_pixel;
            for (int n0 = 0, lanes; n0 < d->n; n0 += lanes) {
                float last[DEPTH_PIXELS * TR_WIDTH];
                lanes = lanes_at(d->n, n0);
                const bool whole = d->n - n0 >= lanes;
                t.x = x + h * d->step_h + v * d->step_w + n0;
                t.w = w + n0;
                t.bias = bias ? bias + n0 : NULL;
                t.y = whole ? to + n0 : last;
                t.ys = whole ? d->y_pixel : lanes;
                (lanes == TR_WIDTH ? WIDE(table) : depth8_table)[pixels](&t);
                for (int p = 0; !whole && p < pixels; p++)
                    memcpy(to + p * d->y_pixel + n0, last + p * lanes,
                           (size_t)(d->n - n0) * sizeof *to);
            }
        }
    }
}

static void depthwise_dw(const tr_depthwise *d, const float *x, const float *dy, float *dw) {
    const int64_t n8 = tr_round_up(d->n, TR_BLOCK8), tap = d->depth * n8;
    depth_taps t = {.d = d, .ds = tap, .dr = d->kw * tap};
    for (int n0 = 0, lanes; n0 < d->n; n0 += lanes) {
        lanes = lanes_at(d->n, n0);
        t.dy = dy + n0;
        t.valid = (int)tr_min(lanes, d->n - n0);
        for (int j = 0; j < d->depth; j++) {
            for (int r = 0; r < d->kh; r += DEPTH_TAPS) {
                for (int s = 0; s < d->kw; s += DEPTH_TAPS) {
                    const int nr = (int)tr_min(DEPTH_TAPS, d->kh - r) - 1;
                    const int ns = (int)tr_min(DEPTH_TAPS, d->kw - s) - 1;
                    t.x = x + r * d->tap_h + s * d->tap_w + j * d->tap_d + n0;
                    t.dw = dw + r * t.dr + s * t.ds + j * n8 + n0;
                    (lanes == TR_WIDTH ? WIDE(taps) : depth8_taps)[nr][ns](&t);
                }
            }
        }
    }
}

void TR_NAME(tr_kernels_fill_groups)(tr_kernels *t) {
    t->depthwise = depthwise;
    t->depthwise_dw = depthwise_dw;
}
