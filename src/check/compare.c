/* How far two tensors are apart. Pure functions; sums are in double, in the order of the elements.
 *
 * Equal infinities, and NaN in both, are no difference; NaN in one is an infinite one.
 */
#include <math.h>

#include "check/check.h"

static double distance(double ours, double theirs) {
    if (ours == theirs || (ours != ours && theirs != theirs)) return 0;
    double d = fabs(ours - theirs);
    return d == d ? d : (double)INFINITY;
}

void tr_difference_add(tr_difference *d, int64_t n, const double *ours, const double *theirs,
                       const double *before, const double *gradient, double least) {
    for (int64_t i = 0; i < n; i++, d->n++) {
        if (gradient && fabs(gradient[i]) < least) {
            d->left_out++;
            continue;
        }
        double apart = distance(ours[i], theirs[i]);
        double scale = before ? theirs[i] - before[i] : theirs[i];
        d->squares += apart * apart;
        if (tr_is_finite(scale)) d->scale_squares += scale * scale;
        if (tr_is_finite(theirs[i])) d->value_squares += theirs[i] * theirs[i];
        if (apart > d->largest || d->n == d->left_out) {
            d->largest = apart;
            d->where = d->n;
            d->ours = ours[i];
            d->theirs = theirs[i];
        }
    }
}

static double rounded(const tr_difference *d, double rounding) {
    return rounding * sqrt(d->value_squares);
}

static double scale_of(const tr_difference *d, double largest_scale, double rounding) {
    double scale = fmax(sqrt(d->scale_squares), TR_LEAST_SCALE * largest_scale);
    return fmax(scale, rounded(d, rounding));
}

double tr_difference_relative(const tr_difference *d, double largest_scale, double rounding) {
    return d->squares > 0 ? sqrt(d->squares) / scale_of(d, largest_scale, rounding) : 0;
}

double tr_difference_tolerance(const tr_difference *d, double largest_scale, double rounding,
                               double tolerance) {
    double scale = scale_of(d, largest_scale, rounding);
    return scale > 0 ? tolerance + rounded(d, rounding) / scale : tolerance;
}
