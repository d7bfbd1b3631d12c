/* Normalisation of runs of elements with weights of their own: layer_norm, and group_norm of
 * features. */
#ifndef TR_OPS_NORM_RUNS_H
#define TR_OPS_NORM_RUNS_H

#include "ops/ops.h"

/* A sample as n runs of `length` elements, in the order of memory or, planar, in PyTorch's. Element
 * e of that order has weight number e % n_weights. The first member of the arguments of a layer
 * that normalises runs: its shape() fills what is no argument. */
typedef struct tr_runs {
    double eps; /* an argument */
    int64_t n, length, n_weights;
    bool planar;
} tr_runs;

/* Index map of a parameter with an element for each of the input's, which lies in the order of
 * memory: [h][w][c]. */
void tr_index_elements(const tr_node *node, int64_t first, int64_t n, int64_t *at);
/* A parameter of as many weights as the runs have, of PyTorch's shape dim[n_dims]. */
tr_state tr_runs_parameter(const tr_node *node, const char *suffix, int n_dims, const int64_t *dim);
/* (x - mean) / sqrt(variance + eps) of each run, times the parameter "weight", plus "bias", where
 * the node has them. */
void tr_plan_runs(const tr_node *node, const tr_request *request, tr_plan *out);

#endif
