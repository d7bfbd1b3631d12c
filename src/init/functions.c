/* Functions in double, to about 1e-15, with the same bits on every processor: plain IEEE operations
 * in one order. Those of the C library are chosen by the processor and differ in the last bit. */
#include <math.h>

#include "init/init.h"

static const double ln2 = 0x1.62e42fefa39efp-1, ln2_high = 0x1.62e42ffp-1,
                    ln2_low = -0x1.718432a1b0e26p-35, two_pi = 0x1.921fb54442d18p+2;

double tr_init_log(double x) {
    int e;
    double m = frexp(x, &e);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2;
        e--;
    }
    /* log m = 2 atanh s, |s| < 0.172: the term left out is below 1e-18 */
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int k = 21; k >= 3; k -= 2) sum = (sum + 1.0 / k) * s2;
    return e * ln2 + 2 * (s + s * sum);
}

double tr_init_exp(double x) {
    double k = floor(x / ln2 + 0.5), r = x - k * ln2_high - k * ln2_low, sum = 1;
    for (int n = 15; n >= 1; n--) sum = 1 + r * sum / n;
    return ldexp(sum, (int)k);
}

/* sin and cos of 2 pi r, |r| <= 1/8, by their series. */
static double sine(double r) {
    double t = two_pi * r, sum = 1;
    for (int n = 18; n >= 2; n -= 2) sum = 1 - t * t * sum / (n * (n + 1));
    return t * sum;
}
static double cosine(double r) {
    double t = two_pi * r, sum = 1;
    for (int n = 17; n >= 1; n -= 2) sum = 1 - t * t * sum / (n * (n + 1));
    return sum;
}

double tr_init_cos_turn(double x) {
    int quarter = (int)(4 * x + 0.5);
    double r = x - quarter / 4.0;
    switch (quarter % 4) {
    case 0:
        return cosine(r);
    case 1:
        return -sine(r);
    case 2:
        return -cosine(r);
    default:
        return sine(r);
    }
}

double tr_init_sin_turn(double x) {
    return tr_init_cos_turn(x < 0.25 ? x + 0.75 : x - 0.25);
}

/* 2 / sqrt(pi) exp(-x^2) times the sum of 2^n x^(2n+1) / (1 * 3 * ... * (2n+1)): no term is
 * negative. */
double tr_init_erf(double x) {
    if (x >= 6) return 1;
    if (x <= -6) return -1;
    double term = x, sum = x;
    for (int n = 1; n < 200 && fabs(term) > 1e-17 * fabs(sum); n++) {
        term *= 2 * x * x / (2 * n + 1);
        sum += term;
    }
    return 0x1.20dd750429b6dp+0 * tr_init_exp(-x * x) * sum;
}

/* c[0] + c[1] x + ... + c[7] x^7 */
static double polynomial(const double c[8], double x) {
    double sum = c[7];
    for (int i = 6; i >= 0; i--) sum = sum * x + c[i];
    return sum;
}

/* Wichura 1988, algorithm AS 241 (PPND16): the quantile of the normal distribution, here at
 * (1 + x) / 2, as rational functions of three ranges. */
double tr_init_erfinv(double x) {
    static const double centre[2][8] = {{3.3871328727963666080e0, 1.3314166789178437745e2,
                                         1.9715909503065514427e3, 1.3731693765509461125e4,
                                         4.5921953931549871457e4, 6.7265770927008700853e4,
                                         3.3430575583588128105e4, 2.5090809287301226727e3},
                                        {1, 4.2313330701600911252e1, 6.8718700749205790830e2,
                                         5.3941960214247511077e3, 2.1213794301586595867e4,
                                         3.9307895800092710610e4, 2.8729085735721942674e4,
                                         5.2264952788528545610e3}},
                        middle[2][8] = {{1.42343711074968357734e0, 4.63033784615654529590e0,
                                         5.76949722146069140550e0, 3.64784832476320460504e0,
                                         1.27045825245236838258e0, 2.41780725177450611770e-1,
                                         2.27238449892691845833e-2, 7.74545014278341407640e-4},
                                        {1, 2.05319162663775882187e0, 1.67638483018380384940e0,
                                         6.89767334985100004550e-1, 1.48103976427480074590e-1,
                                         1.51986665636164571966e-2, 5.47593808499534494600e-4,
                                         1.05075007164441684324e-9}},
                        tail[2][8] = {{6.65790464350110377720e0, 5.46378491116411436990e0,
                                       1.78482653991729133580e0, 2.96560571828504891230e-1,
                                       2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                       2.71155556874348757815e-5, 2.01033439929228813265e-7},
                                      {1, 5.99832206555887937690e-1, 1.36929880922735805310e-1,
                                       1.48753612908506148525e-2, 7.86869131145613259100e-4,
                                       1.84631831751005468180e-5, 1.42151175831644588870e-7,
                                       2.04426310338993978564e-15}};
    static const double root_half = 0x1.6a09e667f3bcdp-1;
    double q = x / 2, p = 0.5 - fabs(q), z;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return root_half * q * polynomial(centre[0], r) / polynomial(centre[1], r);
    }
    double r = p > 0 ? sqrt(-tr_init_log(p)) : 6;
    if (r <= 5)
        z = polynomial(middle[0], r - 1.6) / polynomial(middle[1], r - 1.6);
    else
        z = polynomial(tail[0], r - 5) / polynomial(tail[1], r - 5);
    return q < 0 ? -root_half * z : root_half * z;
}
