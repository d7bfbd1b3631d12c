/* Statistics of a part of a sample (norm.h). */
#include "ops/norm.h"

#include <math.h>
#include <stdio.h>

tr_moments tr_moments_of(double shift, double above, double squares, int64_t n) {
    const double mean = above / (double)n, left = squares - above * mean;
    return (tr_moments){shift + mean, left < 0 ? 0 : left / (double)n};
}

double tr_inverse_deviation(tr_moments m, double eps) {
    return 1 / sqrt(m.variance + eps);
}

tr_affine tr_normal_map(double mean, double inverse, double weight, double bias) {
    const double scale = inverse * weight;
    const tr_real shift = (tr_real)mean;
    return (tr_affine){shift, (tr_real)scale, (tr_real)(bias - (mean - (double)shift) * scale)};
}

tr_normal_dx tr_normal_dx_of(tr_moments m, double eps, double sum, double product, int64_t n) {
    if (n == 1) return (tr_normal_dx){0};
    const double by = tr_inverse_deviation(m, eps), scale = -by * by * (product / (double)n);
    const tr_real shift = (tr_real)m.mean;
    const double offset = -by * (sum / (double)n) - (m.mean - (double)shift) * scale;
    return (tr_normal_dx){by, {shift, (tr_real)scale, (tr_real)offset}};
}

int tr_want_number(const tr_node *node, const char *key, int64_t given, int64_t n, tr_error *err) {
    if (given < 0 || given == n) return TR_OK;
    char name[256];
    snprintf(name, sizeof name, "%s.%s", node->name, key);
    return tr_fail_at(err, tr_key_where(node, key), name, "%lld, but the input has %lld %s",
                      (long long)given, (long long)n, node->in[0].flat ? "features" : "channels");
}
