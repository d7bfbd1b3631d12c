/* Eigenvalues and eigenvectors of a symmetric matrix by Jacobi's method, which is slow and as exact
 * as the matrix: rotations in a fixed order make one element after the other zero, until none
 * changes the diagonal. */
#include <math.h>

#include "init/init.h"

enum { MOST_SWEEPS = 64 }; /* it converges quadratically: about 10 for 1000 rows */

/* Rows and columns p and q of a, rows p and q of the vectors, by the angle that makes a[p][q]
 * zero. */
static void rotate(int n, double *a, double *vectors, int p, int q) {
    const double apq = a[p * n + q], theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
    const double c = 1 / sqrt(t * t + 1), s = t * c;
    for (int k = 0; k < n; k++) {
        double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        double x = a[p * n + k], y = a[q * n + k], v = vectors[p * n + k], w = vectors[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
        vectors[p * n + k] = c * v - s * w;
        vectors[q * n + k] = s * v + c * w;
    }
    a[p * n + q] = a[q * n + p] = 0;
}

/* Is a[p][q] within rounding of zero beside the diagonal? */
static bool is_zero(int n, const double *a, int p, int q) {
    double size = fabs(a[p * n + q]), least = fmin(fabs(a[p * n + p]), fabs(a[q * n + q]));
    return size <= 0x1p-54 * least || size < 1e-290;
}

static bool sweep(int n, double *a, double *vectors) {
    bool changed = false;
    for (int p = 0; p < n; p++) {
        for (int q = p + 1; q < n; q++) {
            if (is_zero(n, a, p, q)) continue;
            rotate(n, a, vectors, p, q);
            changed = true;
        }
    }
    return changed;
}

static void fix_sign(int n, double *vector) {
    int largest = 0;
    for (int i = 1; i < n; i++)
        if (fabs(vector[i]) > fabs(vector[largest])) largest = i;
    if (vector[largest] >= 0) return;
    for (int i = 0; i < n; i++) vector[i] = -vector[i];
}

int tr_init_eigen(int n, double *a, double *values, double *vectors, tr_error *err) {
    const size_t bytes = (size_t)n * sizeof(double);
    double *row = tr_alloc((size_t)n, sizeof *row, err);
    if (row == NULL) return TR_ENOMEM;
    memset(vectors, 0, (size_t)n * bytes);
    for (int i = 0; i < n; i++) vectors[i * n + i] = 1;
    for (int i = 0; i < MOST_SWEEPS && sweep(n, a, vectors); i++) continue;
    for (int i = 0; i < n; i++) values[i] = a[i * n + i];
    for (int i = 0; i < n; i++) { /* by insertion: equal ones keep their order */
        double value = values[i];
        int to = i;
        memcpy(row, vectors + i * n, bytes);
        for (; to > 0 && values[to - 1] > value; to--) {
            values[to] = values[to - 1];
            memcpy(vectors + to * n, vectors + (to - 1) * n, bytes);
        }
        values[to] = value;
        memcpy(vectors + to * n, row, bytes);
    }
    for (int i = 0; i < n; i++) fix_sign(n, vectors + i * n);
    tr_free(row);
    return TR_OK;
}
