/* What normalisations over a part of each sample share: statistics of the part, and what they make
 * of an element.
 *
 * Statistics are sums of deviations from a shift, the first element, so that a large mean loses
 * nothing; in double. The mean is subtracted as a real, and what that leaves of it goes into the
 * offset. x is kept for backward, the normalised x is not: it is made again of x.
 */
#ifndef TR_OPS_NORM_H
#define TR_OPS_NORM_H

#include "ops/ops.h"

/* Of a part of a sample. */
typedef struct tr_moments {
    double mean, variance; /* of the part itself: divided by the number of elements */
} tr_moments;

/* From sums over n elements of what is above the shift, and of its squares. */
tr_moments tr_moments_of(double shift, double above, double squares, int64_t n);
/* 1 / sqrt(variance + eps) */
double tr_inverse_deviation(tr_moments m, double eps);
/* (x - mean) * inverse * weight + bias */
tr_affine tr_normal_map(double mean, double inverse, double weight, double bias);
/* What makes dx of dy and x, as the kernels say, over a part of n elements: (dy * weight - sum / n
 * - normal * product / n) / sqrt(variance + eps); sum: of dy * weight over the part, product: of dy
 * * weight * normal. A part of one element is 0 whatever x is, and so is dx, without a rounding. */
typedef struct tr_normal_dx {
    double by;
    tr_affine map; /* dx = dy * weight * by + map(x) */
} tr_normal_dx;
tr_normal_dx tr_normal_dx_of(tr_moments m, double eps, double sum, double product, int64_t n);

/* An optional number of channels that must be the input's: fails at `key` where it is neither that
 * nor below 0. */
int tr_want_number(const tr_node *node, const char *key, int64_t given, int64_t n, tr_error *err);

#endif
