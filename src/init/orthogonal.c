/* orthogonal: Saxe et al. 2013, torch.nn.init.orthogonal_. PyTorch takes Q of the QR decomposition
 * of a normal matrix and turns its signs so that the diagonal of R is positive, which makes it
 * unique: what Gram and Schmidt's method gives, here in double. */
#include <math.h>

#include "init/init.h"

typedef struct orthogonal_args {
    double gain;
} orthogonal_args;

static const tr_key keys[] = {
    {"gain", TR_KEY_FLOAT, offsetof(orthogonal_args, gain), "1", -1e18, 1e18, NULL,
     "what the matrix is multiplied with"},
};

static int check(const void *args, const tr_init_tensor *tensor, const tr_places *given,
                 tr_error *err) {
    (void)args;
    if (tensor->n_dims >= 2) return TR_OK;
    return tr_fail_at(err, given->where, given->context,
                      "orthogonal needs a parameter of 2 dimensions or more, this one has %d",
                      tensor->n_dims);
}

static tr_distribution distribution(const void *args, const tr_init_tensor *tensor) {
    (void)args, (void)tensor;
    return (tr_distribution){.kind = TR_NORMAL, .std = 1};
}

/* Eight sums at a time, in one order. */
static double dot(int64_t n, const double *a, const double *b) {
    enum { LANES = 8 };
    double sum[LANES] = {0}, all = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) sum[l] += a[i + l] * b[i + l];
    for (; i < n; i++) all += a[i] * b[i];
    for (int l = 0; l < LANES; l++) all += sum[l];
    return all;
}

/* Takes the part along rows 0 .. i-1 out of row i; returns the length of what is left. */
static double project(int64_t i, int64_t n, double *rows) {
    double *row = rows + i * n;
    for (int64_t j = 0; j < i; j++) {
        const double *other = rows + j * n;
        double part = dot(n, row, other);
        for (int64_t k = 0; k < n; k++) row[k] -= part * other[k];
    }
    return sqrt(dot(n, row, row));
}

/* Once more where little is left, which has the rounding of what was there. */
static void orthonormalise(int64_t n_rows, int64_t n, double *rows) {
    for (int64_t i = 0; i < n_rows; i++) {
        double *row = rows + i * n, before = sqrt(dot(n, row, row)), norm = project(i, n, rows);
        if (norm < before / 2) norm = project(i, n, rows);
        for (int64_t k = 0; norm > 0 && k < n; k++) row[k] /= norm;
    }
}

static void transpose(int64_t n_rows, int64_t n, const double *from, double *to) {
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t k = 0; k < n; k++) to[k * n_rows + i] = from[i * n + k];
}

/* The columns of a high matrix, the rows of a wide one. */
static int finish(const void *args, const tr_init_tensor *tensor, const tr_init_images *images,
                  double *values, tr_error *err) {
    const orthogonal_args *a = args;
    const int64_t count = tr_init_count(tensor), rows = tensor->dim[0], cols = count / rows;
    (void)images;
    if (rows < cols) {
        orthonormalise(rows, cols, values);
    } else {
        double *turned = tr_alloc((size_t)count, sizeof *turned, err);
        if (turned == NULL) return TR_ENOMEM;
        transpose(rows, cols, values, turned);
        orthonormalise(cols, rows, turned);
        transpose(cols, rows, turned, values);
        tr_free(turned);
    }
    for (int64_t i = 0; i < count; i++) values[i] *= a->gain;
    return TR_OK;
}

static int64_t bytes(const tr_init_tensor *tensor) {
    return tr_alloc_bytes(tr_init_count(tensor), sizeof(double));
}

const tr_init tr_init_orthogonal = {
    .schema = {"orthogonal",
               "The rows, or where there are more of them the columns, of the weights as a matrix "
               "[out][...] are orthogonal and of length gain, as torch.nn.init.orthogonal_.",
               keys, sizeof keys / sizeof *keys, sizeof(orthogonal_args),
               "torch.nn.init.orthogonal_"},
    .check = check,
    .distribution = distribution,
    .finish = finish,
    .bytes = bytes,
};
