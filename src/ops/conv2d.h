/* What the algorithms of convolutions share. Private to conv2d*.c.
 *
 * An algorithm is a file: it says how the weights lie and what phases it has. Which one a layer
 * gets follows from its shape and from what was fused into it, and from nothing else.
 */
#ifndef TR_CONV2D_H
#define TR_CONV2D_H

#include "ops/ops.h"

typedef struct tr_conv_args {
    int64_t out_channels, kernel_size, stride, padding;
    bool bias;
    tr_parameter_args parameters;
} tr_conv_args;

typedef struct tr_conv_algorithm {
    /* Elements of the weights in memory, and of a block of them. */
    int64_t (*size)(const tr_node *node), (*block)(const tr_node *node);
    int64_t largest_tile; /* elements updated at a time; 0: a block */
    void (*index)(const tr_node *node, int64_t first, int64_t n, int64_t *at);
    void (*plan)(const tr_node *node, const tr_request *request, tr_plan *out);
} tr_conv_algorithm;

extern const tr_conv_algorithm tr_conv_dense, tr_conv_gather;

enum {
    TR_CONV_WEIGHT,
    TR_CONV_BIAS,
    TR_CONV_PADDED = 0,         /* own resource, below */
    TR_CONV_SHARED = 32 * 1024, /* elements from which on weights are packed once for all threads */
};

/* The image with its padding; elements of a copy of it (0: there is no padding). */
tr_shape tr_conv_padded(const tr_node *node);
int64_t tr_conv_copy_size(const tr_node *node);
/* The gradient of the output as the input gradient reads it: spread by the stride, zero-padded by
 * kernel_size - 1; and the elements of the rotated kernel. */
tr_shape tr_conv_spread(const tr_node *node);
int64_t tr_conv_rotated_size(const tr_node *node);
/* A copy of an image with so many pixels of zeros on each side. */
void tr_conv_surround(const tr_real *x, tr_shape shape, int64_t border, tr_real *to);
/* Sample i of the input with its padding: the sample itself where there is none, else a copy at
 * `to`. */
const tr_real *tr_conv_pad(const tr_work *w, int i, tr_real *to);
/* The pixels of the convolution that are computed: those that a pool reads, or all. */
tr_conv tr_conv_geometry(const tr_node *node);
/* Lanes of the block of forward-layout weights that begins at channel k0. */
static inline int tr_conv_lanes(int k, int k0) {
    return k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8;
}
/* Places of PyTorch's elements: calls place(node, k, c, h, w) for each. */
void tr_conv_each(const tr_node *node, int64_t first, int64_t n, int64_t *at,
                  int64_t (*place)(const tr_node *node, int64_t k, int64_t c, int64_t h,
                                   int64_t w));
/* An own resource for packed weights of so many elements, and the phase that fills it: by blocks
 * of output channels, once, where they are large; else by each thread for itself. */
void tr_conv_plan_pack(const tr_node *node, tr_plan *out, int resource, int64_t elements,
                       void (*run)(const tr_work *w));
/* The channels that such a call packs. */
void tr_conv_pack_range(const tr_work *w, int *k0, int *k1);
/* Own resource 0 of every algorithm, TR_CONV_PADDED: the input with its padding, where the weights'
 * gradient is made of the whole batch. The first of these makes it, the second, of backward, plans
 * the phase that fills it where it is needed; the third declares what a phase that then calls the
 * fourth reads: sample i of the input with its padding. */
void tr_conv_plan_padded(const tr_node *node, tr_plan *out);
void tr_conv_plan_pad(const tr_node *node, const tr_request *request, tr_plan *out);
void tr_conv_reads_padded(const tr_node *node, const tr_request *request, tr_plan *out);
const tr_real *tr_conv_padded_input(const tr_work *w, int i);
/* A gradient's sum; its reads are declared behind it. */
void tr_conv_plan_sum(const tr_node *node, const tr_request *request, tr_plan *out, int state,
                      tr_leaf add_leaf);

#endif
