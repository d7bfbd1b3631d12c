/* whiten: filters that make the patches of the first images uncorrelated and of equal size: the
 * eigenvectors of their second moments, each over the root of its eigenvalue, in ascending order,
 * and then their negatives. (Page 2019; Jordan 2024, "94 % on CIFAR-10 in 3.29 seconds".) */
#include <math.h>

#include "init/init.h"

typedef struct whiten_args {
    int64_t images;
    double eps;
} whiten_args;

static const tr_key keys[] = {
    {"images", TR_KEY_INT, offsetof(whiten_args, images), "5000", 1, INT32_MAX, NULL,
     "the first so many training images, or all, normalised and not augmented"},
    {"eps", TR_KEY_FLOAT, offsetof(whiten_args, eps), "5e-4", 0, 1e6, NULL,
     "added to the eigenvalues"},
};

enum { MOST_ELEMENTS = 1024 }; /* of a patch */

static int64_t patch_of(const tr_init_tensor *t) {
    return t->dim[1] * t->dim[2] * t->dim[3];
}

static int check(const void *args, const tr_init_tensor *t, const tr_places *given, tr_error *err) {
    (void)args;
    if (t->n_dims != 4 || !t->reads_images || t->dim[1] != t->c || t->dim[2] > t->h ||
        t->dim[3] > t->w)
        return tr_fail_at(err, given->where, given->context,
                          "whiten needs the weight of a convolution that reads the network's "
                          "input, without groups and with a kernel that fits in the image");
    const int64_t patch = patch_of(t);
    if (patch > MOST_ELEMENTS)
        return tr_fail_at(err, given->where, given->context,
                          "whiten makes filters of up to %d elements, these have %lld x %lld x "
                          "%lld",
                          MOST_ELEMENTS, (long long)t->dim[1], (long long)t->dim[2],
                          (long long)t->dim[3]);
    if (t->dim[0] == patch || t->dim[0] == 2 * patch) return TR_OK;
    return tr_fail_at(err, given->where, given->context,
                      "whiten makes %lld filters of %lld x %lld x %lld elements, or twice as many "
                      "with their negatives: out_channels is %lld, allowed are %lld and %lld",
                      (long long)patch, (long long)t->dim[1], (long long)t->dim[2],
                      (long long)t->dim[3], (long long)t->dim[0], (long long)patch,
                      (long long)(2 * patch));
}

static tr_distribution distribution(const void *args, const tr_init_tensor *tensor) {
    (void)args, (void)tensor;
    return (tr_distribution){.kind = TR_KEEP};
}

typedef struct patches {
    const tr_init_tensor *t;
    int n;           /* elements of one, in the order c, h, w */
    double *one;     /* [n] */
    double *moments; /* [n][n], the upper half: the sum over all of element i times element j */
    tr_real *image;
} patches;

static void add_patch(const patches *p, int y, int x) {
    const tr_init_tensor *t = p->t;
    double *to = p->one;
    for (int c = 0; c < t->c; c++)
        for (int h = 0; h < t->dim[2]; h++)
            for (int w = 0; w < t->dim[3]; w++)
                *to++ = (double)p->image[((int64_t)(y + h) * t->w + x + w) * t->c + c];
    for (int i = 0; i < p->n; i++)
        for (int j = i; j < p->n; j++) p->moments[i * p->n + j] += p->one[i] * p->one[j];
}

static int add_images(const patches *p, int n, const tr_init_images *images, tr_error *err) {
    const tr_init_tensor *t = p->t;
    const int rows = t->h - (int)t->dim[2] + 1, columns = t->w - (int)t->dim[3] + 1;
    for (int i = 0; i < n; i++) {
        int code = images->read(images->arg, i, p->image, err);
        if (code) return code;
        for (int y = 0; y < rows; y++)
            for (int x = 0; x < columns; x++) add_patch(p, y, x);
    }
    const double all = (double)n * rows * columns;
    for (int i = 0; i < p->n; i++)
        for (int j = i; j < p->n; j++)
            p->moments[i * p->n + j] = p->moments[j * p->n + i] = p->moments[i * p->n + j] / all;
    return TR_OK;
}

static int finish(const void *args, const tr_init_tensor *t, const tr_init_images *images,
                  double *values, tr_error *err) {
    const whiten_args *a = args;
    const int n = (int)patch_of(t), n_images = (int)tr_min(a->images, images->n);
    double *memory = tr_alloc((size_t)n * (size_t)(2 * n + 2), sizeof *memory, err);
    tr_real *image = tr_alloc((size_t)t->h * (size_t)t->w * (size_t)t->c, sizeof *image, err);
    int code = memory && image ? TR_OK : TR_ENOMEM;
    if (code == TR_OK) {
        double *moments = memory, *vectors = memory + n * n, *eigenvalues = vectors + n * n;
        const patches p = {t, n, eigenvalues + n, moments, image};
        code = add_images(&p, n_images, images, err);
        if (code == TR_OK) code = tr_init_eigen(n, moments, eigenvalues, vectors, err);
        for (int i = 0; code == TR_OK && i < t->dim[0]; i++) {
            double scale = 1 / sqrt(fmax(eigenvalues[i % n], 0) + a->eps);
            for (int j = 0; j < n; j++)
                values[i * n + j] = (i < n ? scale : -scale) * vectors[i % n * n + j];
        }
    }
    tr_free(image);
    tr_free(memory);
    return code;
}

const tr_init tr_init_whiten = {
    .schema = {"whiten",
               "Filters of the first layer that whiten the patches of the training images: the "
               "eigenvectors v of their second moments as v / sqrt(eigenvalue + eps), in ascending "
               "order, then their negatives. Needs twice as many out_channels as a filter has "
               "elements, or as many (without the negatives). Usually with frozen=weight.",
               keys, sizeof keys / sizeof *keys, sizeof(whiten_args), ""},
    .check = check,
    .distribution = distribution,
    .finish = finish,
    .needs_images = true,
};
