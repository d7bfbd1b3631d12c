/* The module `init`: initial values of parameters, torch.nn.init. One file per function or pair of
 * them, registered in meson.build.
 *
 * An initial value is a distribution from which every element is drawn and, for some, what makes
 * the whole tensor of the numbers drawn (orthogonal) or of what the layer drew by itself
 * (dirac_overlay). All in PyTorch's order of elements. The numbers are a function of seed, tensor
 * and element (Philox) or PyTorch's own (MT19937). Of the C library only functions that round as
 * IEEE says are used (sqrt, frexp): its others differ between processors in the last bit.
 */
#ifndef TR_INIT_H
#define TR_INIT_H

#include "base/base.h"

enum { TR_INIT_DIMS = 4 };

/* The training images, normalised and not augmented; what has no training data has none. */
typedef struct tr_init_images {
    int n, h, w, c;
    int (*read)(void *arg, int i, tr_real *image, tr_error *err); /* [h][w][c] */
    void *arg;
} tr_init_images;

/* The parameter that gets values. */
typedef struct tr_init_tensor {
    int n_dims;
    int64_t dim[TR_INIT_DIMS]; /* PyTorch's shape */
    bool reads_images;         /* it is of a layer that reads the network's input: images ... */
    int h, w, c;               /* ... of this shape */
} tr_init_tensor;
int64_t tr_init_count(const tr_init_tensor *tensor);

typedef enum tr_distribution_kind {
    TR_KEEP,         /* what is there: what the layer draws by default */
    TR_CONSTANT,     /* a */
    TR_UNIFORM,      /* in [a, b) */
    TR_NORMAL,       /* mean, std */
    TR_TRUNC_NORMAL, /* the same, within a and b */
} tr_distribution_kind;
typedef struct tr_distribution {
    tr_distribution_kind kind;
    double a, b, mean, std;
} tr_distribution;

typedef struct tr_init {
    tr_schema schema;
    /* Does it suit the tensor? Fails at a key of `given`, or at given->where. NULL: any. */
    int (*check)(const void *args, const tr_init_tensor *tensor, const tr_places *given,
                 tr_error *err);
    tr_distribution (*distribution)(const void *args, const tr_init_tensor *tensor);
    /* values: all elements, as they were drawn. NULL: they stay so. */
    int (*finish)(const void *args, const tr_init_tensor *tensor, const tr_init_images *images,
                  double *values, tr_error *err);
    /* finish() reads the images: where there are none the values are what the layer draws. */
    bool needs_images;
    int64_t (*bytes)(const tr_init_tensor *tensor); /* that finish() allocates; NULL: few */
} tr_init;

extern const tr_init *const tr_inits[];
/* Their schemas under the same numbers, and how many there are. */
extern const tr_registry tr_init_registry;

/* ---- drawing (draw.c) ---- */

typedef struct tr_init_draws {
    tr_generator generator;
    uint64_t seed;
    uint32_t tensor; /* Philox: number of the parameter */
    /* MT19937: the sequence so far, and how many numbers of 32 bits that were. */
    tr_mt19937 torch;
    int64_t n;
    bool has_normal; /* the second of a pair of normal numbers is still to come */
    double normal;
} tr_init_draws;
void tr_init_draws_begin(tr_init_draws *draws, tr_generator generator, uint64_t seed);

enum { TR_INIT_LEAST = 16 }; /* of the last elements at a time: PyTorch draws these again */

/* Elements first .. first + n - 1 of `count`. A tensor is drawn in the order of its elements;
 * `first` is a multiple of 16, and the last call has TR_INIT_LEAST elements or all. TR_KEEP changes
 * nothing, TR_TRUNC_NORMAL takes all elements in one call. */
int tr_init_draw(const tr_distribution *distribution, tr_init_draws *draws, int64_t first,
                 int64_t n, int64_t count, double *values, tr_error *err);
/* What tr_init_draw allocates for so many elements, bytes. */
int64_t tr_init_draw_bytes(const tr_distribution *distribution, tr_generator generator,
                           int64_t count);

/* ---- arithmetic (functions.c) ---- */

double tr_init_log(double x);      /* x > 0 */
double tr_init_exp(double x);      /* |x| <= 700 */
double tr_init_cos_turn(double x); /* of 2 pi x, x in [0, 1] */
double tr_init_sin_turn(double x);
double tr_init_erf(double x);
double tr_init_erfinv(double x); /* |x| < 1 */

/* ---- for several files ---- */

/* PyTorch's fan_in and fan_out. Fails where the tensor has fewer than two dimensions. */
int tr_init_want_fans(const tr_init_tensor *tensor, const tr_places *given, tr_error *err);
double tr_init_fan_in(const tr_init_tensor *tensor);
double tr_init_fan_out(const tr_init_tensor *tensor);

/* Eigenvalues, in ascending order, and eigenvectors, the rows of `vectors` [n][n], of a symmetric
 * matrix a[n][n], which is destroyed (eigen.c). An eigenvector's element of largest magnitude, the
 * first of them, is positive. */
int tr_init_eigen(int n, double *a, double *values, double *vectors, tr_error *err);

#endif
