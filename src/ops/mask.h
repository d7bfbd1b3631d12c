/* Random masks of training: what dropout, dropout2d and drop_path share.
 *
 * A factor is a function of (seed, layer, step, place of the sample in the effective batch, number
 * of the factor), so that it is the same on any threads, in any passes, and again in backward. The
 * layer is its number in the network: names do not matter, layers before it do.
 */
#ifndef TR_OPS_MASK_H
#define TR_OPS_MASK_H

#include "ops/ops.h"

/* The key of the random numbers of a layer in a step. */
uint64_t tr_mask_key(const tr_work *w);
/* factor[n] of sample i: 0 with probability p, else 1 / (1 - p); factor is padded to
 * TR_DROPOUT_STEP. */
void tr_mask_factors(const tr_work *w, uint64_t key, int i, double p, int64_t n, tr_real *factor);
/* y[pixels][c] = x times factor[c], of as many pixels as the node's input has. `factor` is padded
 * to 8. */
void tr_mask_channels(const tr_work *w, const tr_real *x, const tr_real *factor, tr_real *y);

/* In training with p above 0 these phases, with scratch for n factors; else the value itself. */
void tr_plan_mask(tr_plan *plan, const tr_request *request, double p, int64_t n,
                  void (*forward)(const tr_work *w), void (*backward)(const tr_work *w));

#endif
