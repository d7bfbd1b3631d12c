/* The module `check`: one batch and one step of a network, held against what PyTorch computed.
 *
 * What others see of it is tr_check in trainer/trainer.h; here is what its files share. The rows of
 * the network's state are matched with the tensors of a file (reference.c), and numbers are
 * compared without either (compare.c).
 */
#ifndef TR_CHECK_H
#define TR_CHECK_H

#include "setup/setup.h"

/* ---- the file (reference.c) ---- */

typedef enum tr_group { /* of tensors that are called PREFIX.NAME, for each NAME of the network */
                        TR_GROUP_PARAM,
                        TR_GROUP_BUFFER,
                        TR_GROUP_GRAD,
                        TR_GROUP_PARAM_AFTER,
                        TR_GROUP_BUFFER_AFTER,
                        TR_N_GROUPS
} tr_group;

enum { TR_ABSENT = -1 };

typedef struct tr_reference {
    tr_safetensors file;
    bool training; /* mode */
    bool narrow;   /* it holds numbers that are not float64 */
    int n;         /* samples */
    tr_shape input_shape;
    int input, target, logits, loss, input_gradient; /* tensors of the file, or TR_ABSENT */
    bool has[TR_N_GROUPS];
    int *match[TR_N_GROUPS]; /* [rows of the graph]: the file's tensor, or TR_ABSENT */
} tr_reference;
/* Opens the file; checks what needs no network. */
int tr_reference_open(const char *path, tr_reference *out, tr_error *err);
/* Finds the network's parameters and buffers in it. A group of which one tensor is there must be
 * complete (frozen parameters need no gradient); shapes must be the network's, and no tensor may be
 * left over. */
int tr_reference_match(tr_reference *reference, const tr_graph *graph, tr_error *err);
void tr_reference_close(tr_reference *reference);
/* Where element i of PyTorch's order of a sample is in the executor's buffers. */
int64_t tr_inner_place(tr_shape shape, int64_t i);
/* The batch as the executor wants it: x[n][stride], labels[n], which are below n_classes. */
int tr_reference_batch(const tr_reference *reference, int64_t n_classes, int64_t stride, tr_real *x,
                       int32_t *labels, tr_error *err);

/* ---- numbers (compare.c) ---- */

/* Sums over the elements of two tensors, the engine's and the reference's. */
typedef struct tr_difference {
    int64_t n, left_out;
    double squares;       /* of the differences */
    double scale_squares; /* of the reference or, where it is given, of its change */
    double value_squares; /* of the reference */
    double largest;       /* absolute difference, of element `where` */
    int64_t where;
    double ours, theirs; /* there */
} tr_difference;
/* The next n elements. before: what they were before the step, or NULL. gradient: those elements
 * whose gradient is below `least` are left out; NULL: none. */
void tr_difference_add(tr_difference *d, int64_t n, const double *ours, const double *theirs,
                       const double *before, const double *gradient, double least);
/* The L2 difference over the scale of the tensor, which is taken to be at least TR_LEAST_SCALE of
 * the largest of its kind, and `rounding` of its own values. */
#define TR_LEAST_SCALE 1e-2
double tr_difference_relative(const tr_difference *d, double largest_scale, double rounding);
/* What `tolerance` is for it, where values are rounded so. */
double tr_difference_tolerance(const tr_difference *d, double largest_scale, double rounding,
                               double tolerance);

#endif
