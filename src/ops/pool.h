/* What pools over windows share: PyTorch's rules about their arguments, and sizes. Private to the
 * module. */
#ifndef TR_POOL_H
#define TR_POOL_H

#include "ops/ops.h"

/* The head of their arguments. The stride may be the word "kernel_size". */
typedef struct tr_pool_args {
    tr_size2 kernel_size, stride, padding, dilation;
    bool ceil_mode;
} tr_pool_args;

/* For shape(): checks the arguments and sets node->unfused. Fails at the key that does not fit. */
int tr_pool_shape(tr_node *node, const tr_pool_args *args, tr_error *err);
/* The pool over node->in[0]. */
tr_pool tr_pool_geometry(const tr_node *node, const tr_pool_args *args);
/* The largest of each window, and their phases. */
void tr_pool_largest(const tr_work *w, const tr_pool *d);
void tr_pool_plan_largest(const tr_node *node, const tr_request *request, tr_plan *out,
                          void (*forward)(const tr_work *w));
/* Pools that average: their phases, which differ in the geometry only. */
void tr_pool_average(const tr_work *w, const tr_pool *d);
void tr_pool_average_dx(const tr_work *w, const tr_pool *d);
void tr_pool_plan_average(const tr_node *node, const tr_request *request, tr_plan *out,
                          void (*forward)(const tr_work *w), void (*backward)(const tr_work *w));

#endif
