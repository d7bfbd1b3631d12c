/* What layers share that make each row and column of an image of those of their input, the same in
 * every channel: pads, upsample, subsample. Private to the module.
 *
 * Backward is the same with the lists turned around: each pixel of the input adds up the gradients
 * of the pixels that it went to, in their order.
 */
#ifndef TR_RESAMPLE_H
#define TR_RESAMPLE_H

#include "ops/ops.h"

enum { TR_MOST_TAPS = 2 };

/* A row or column of the input, and its weight. */
typedef struct tr_tap {
    int at;
    double weight;
} tr_tap;

/* Along one side (rows, or columns): what output o is made of. Returns how many taps: 0 is zero. */
typedef int (*tr_side_taps)(const tr_node *node, bool rows, int o, tr_tap out[TR_MOST_TAPS]);

/* Forward and backward. weighted: the weights are not all 1. */
void tr_resample(const tr_work *w, tr_side_taps taps, bool weighted);
void tr_resample_dx(const tr_work *w, tr_side_taps taps, bool weighted);
/* Phases that are these two, and the scratch for them. */
void tr_resample_plan(const tr_node *node, const tr_request *request, tr_plan *out,
                      void (*forward)(const tr_work *w), void (*backward)(const tr_work *w));

#endif
