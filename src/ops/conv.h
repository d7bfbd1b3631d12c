/* What convolutions share. Private to conv*.c.
 *
 * conv2d and conv_transpose2d make a tr_conv_spec of their arguments: the numbers of one
 * convolution from an image to a smaller one. conv2d's forward is that convolution; that of
 * conv_transpose2d is its input gradient. conv_plan.c says in which phases either is done.
 *
 * An algorithm is a file: it says which convolutions it can do, how the weights lie, and how a
 * sample is done in the three directions. Which one a layer gets follows from its spec and from
 * nothing else (tr_conv_choose).
 */
#ifndef TR_CONV_H
#define TR_CONV_H

#include "ops/ops.h"

typedef enum tr_padding_mode {
    TR_PAD_ZEROS,
    TR_PAD_REFLECT,
    TR_PAD_REPLICATE,
    TR_PAD_CIRCULAR,
} tr_padding_mode;

/* One side of an image and of its kernel. */
typedef struct tr_conv_side {
    int in, out; /* pixels of the image, and of what the convolution makes of it */
    int kernel, stride, dilation;
    int before, after; /* padding */
} tr_conv_side;

typedef struct tr_conv_spec {
    tr_conv_side h, w;
    int c, k, groups; /* channels of the image, of what is made of it */
    tr_padding_mode mode;
    int pool;  /* 1: none */
    bool relu; /* behind the layer, and the pool */
} tr_conv_spec;

typedef struct tr_conv_algorithm {
    const char *name;
    bool (*fits)(const tr_conv_spec *s);
    /* Elements of the weights in memory, and of a block of them. */
    int64_t (*size)(const tr_conv_spec *s), (*block)(const tr_conv_spec *s);
    int64_t largest_tile; /* elements updated at a time; 0: a block */
    bool only_in_slots;   /* the gradient of the weights is not made tile by tile */
    /* Where the weight from channel c of the group to channel k at tap (h, w) is. */
    int64_t (*place)(const tr_conv_spec *s, int64_t k, int64_t c, int64_t h, int64_t w);
    /* Phases of its own; NULL: those of conv_plan.c, which call the functions below. */
    void (*plan)(const tr_node *node, const tr_request *request, tr_plan *out);
    /* Elements of the packed weights that the input gradient reads, and of output channels
     * k0 .. k1-1 their part. */
    int64_t (*packed)(const tr_conv_spec *s);
    void (*pack)(const tr_conv_spec *s, const tr_real *weight, int k0, int k1, tr_real *to);
    /* Elements of scratch that each of the following may use. */
    int64_t (*scratch)(const tr_conv_spec *s);
    /* Of one sample. relu: behind it; bias may be NULL. */
    void (*forward)(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *x,
                    const tr_real *weight, const tr_real *bias, bool relu, tr_real *y,
                    tr_real *scratch);
    void (*input_gradient)(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *dy,
                           const tr_real *packed, const tr_real *bias, bool relu, tr_real *dx,
                           tr_real *scratch);
    /* Elements e0 .. e1-1, whole tiles of a parameter, are added to sum; x with its padding. */
    void (*add_weight)(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *x,
                       const tr_real *dy, int64_t e0, int64_t e1, tr_real *sum, tr_real *scratch);
} tr_conv_algorithm;

extern const tr_conv_algorithm tr_conv_dense, tr_conv_gather, tr_conv_depthwise;

/* The head of the arguments: what the layer's shape() makes of them. */
typedef struct tr_conv_layer {
    tr_conv_spec spec;
    const tr_conv_algorithm *algorithm;
    bool transposed; /* the layer's input is what the convolution makes */
} tr_conv_layer;
static inline const tr_conv_layer *tr_conv_of(const tr_node *node) {
    return node->args;
}

/* For tests: the algorithm of this name is chosen for every convolution that it fits. Set it while
 * no network is built. NULL: none is forced. */
extern const char *tr_conv_forced;
/* The algorithm for a convolution. NULL: none does the pool behind it, which must not be fused. */
const tr_conv_algorithm *tr_conv_choose(const tr_conv_spec *s);

/* ---- arguments (conv_layer.c) ---- */

/* Checks what conv2d and conv_transpose2d have in common of `layer`, whose spec is complete, and
 * adds the parameters; PyTorch's shape of the weights is dim. */
int tr_conv_add_parameters(tr_node *node, tr_conv_layer *layer, const int64_t dim[4], bool bias,
                           tr_error *err);
/* in_channels as it was written, or -1, against those of the input; and groups against both. */
int tr_conv_check_channels(const tr_node *node, int64_t in_channels, int64_t out_channels,
                           int64_t groups, tr_error *err);
/* "3" or "3x1" */
enum { TR_SIZE_TEXT = 48 };
const char *tr_conv_size_text(int64_t h, int64_t w, char out[TR_SIZE_TEXT]);
int64_t tr_conv_multiply_adds(const tr_node *node);
const char *tr_conv_algorithm_name(const tr_node *node);

/* ---- images and their padding (conv_pad.c) ---- */

static inline int tr_conv_extent(const tr_conv_side *s) {
    return s->in + s->before + s->after;
}
/* The image with its padding; elements of a copy of it (0: there is no padding). */
tr_shape tr_conv_padded(const tr_conv_spec *s);
int64_t tr_conv_copy_size(const tr_conv_spec *s);
/* A copy with the padding as the mode says. */
void tr_conv_fill(const tr_conv_spec *s, const tr_real *x, tr_real *to);
/* dx = the gradient of the image with its padding, what belongs to the padding added to the pixels
 * that it was copied from. */
void tr_conv_fold(const tr_conv_spec *s, const tr_kernels *kernels, const tr_real *padded,
                  tr_real *dx);
/* A copy of an image inside pixels of zeros. */
typedef struct tr_conv_border {
    int top, bottom, left, right;
} tr_conv_border;
void tr_conv_surround(const tr_real *x, tr_shape shape, const tr_conv_border *border, tr_real *to);

/* ---- the input gradient as convolutions of the output's (conv_class.c) ----
 *
 * Pixel q of the padded image has the sum of dy[o] w[r] over the taps r with o * stride +
 * r * dilation = q. Pixels with the same q modulo the stride (a class) have the same taps, and
 * these and their outputs lie at regular distances: a convolution of dy with stride 1. */
typedef struct tr_conv_class {
    int first;         /* first pixel, from the first one whose gradient is made */
    int pixels;        /* one every `stride` */
    int taps;          /* 0: its gradient is zero */
    int tap, tap_step; /* the tap of the lowest output, and how much lower the next one's is */
    int at, at_step;   /* that output for the first pixel; from one tap's output to the next's */
} tr_conv_class;

/* Pixels whose gradient is made: those of the image, or, where the padding depends on the image,
 * those of the padding, too. */
int tr_conv_gradient_extent(const tr_conv_spec *s, const tr_conv_side *side);
int tr_conv_n_classes(const tr_conv_spec *s, const tr_conv_side *side);
tr_conv_class tr_conv_class_of(const tr_conv_spec *s, const tr_conv_side *side, int number);
/* What classes read of dy outside of it. */
tr_conv_border tr_conv_gradient_border(const tr_conv_spec *s);
/* dy with that border, or dy itself where there is none; elements of the copy. */
int64_t tr_conv_bordered_size(const tr_conv_spec *s);
const tr_real *tr_conv_bordered(const tr_conv_spec *s, const tr_real *dy, tr_real *to);
/* Elements of the gradient with padding that must be folded; 0: it is the gradient itself. */
int64_t tr_conv_unfolded_size(const tr_conv_spec *s);

/* ---- phases (conv_plan.c) ---- */

enum {
    TR_CONV_WEIGHT,
    TR_CONV_BIAS,
    TR_CONV_PADDED = 0,         /* own resource, below */
    TR_CONV_SHARED = 32 * 1024, /* elements from which on weights are packed once for all threads */
};

void tr_conv_plan(const tr_node *node, const tr_request *request, tr_plan *out);

/* Lanes of the block of forward-layout weights that begins at channel k0. */
static inline int tr_conv_lanes(int k, int k0) {
    return k - k0 > TR_BLOCK8 ? TR_LANES : TR_BLOCK8;
}
/* Elements of scratch with slack behind them. */
static inline int64_t tr_conv_piece(int64_t elements) {
    return elements ? tr_round_up(elements + TR_LANES, TR_LANES) : 0;
}
/* An own resource for packed weights of so many elements, and the phase that fills it: by blocks
 * of output channels, once, where they are large; else by each thread for itself. */
void tr_conv_plan_pack(const tr_node *node, tr_plan *out, int resource, int64_t elements,
                       void (*run)(const tr_work *w));
/* The channels that such a call packs. */
void tr_conv_pack_range(const tr_work *w, int *k0, int *k1);
/* Own resource 0 of every algorithm, TR_CONV_PADDED: the image with its padding, where the weights'
 * gradient is made of the whole batch. The first of these makes it, the second, of backward, plans
 * the phase that fills it where it is needed; the third declares what a phase that then calls the
 * fourth reads: sample i of the image with its padding, which may be made in `scratch`. */
void tr_conv_plan_padded(const tr_node *node, tr_plan *out);
void tr_conv_plan_pad(const tr_node *node, const tr_request *request, tr_plan *out);
void tr_conv_reads_padded(const tr_node *node, const tr_request *request, tr_plan *out);
const tr_real *tr_conv_padded_input(const tr_work *w, int i, tr_real *scratch);
/* A gradient's sum; its reads are declared behind it. */
void tr_conv_plan_sum(const tr_node *node, const tr_request *request, tr_plan *out, int state,
                      tr_leaf add_leaf);

#endif
