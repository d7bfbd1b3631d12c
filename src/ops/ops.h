/* The module `ops`: what a layer is. One file per layer or loss, registered by its name in
 * meson.build.
 *
 * A layer says what arguments it takes, what shape it makes, which parameters it has and which
 * phases its forward and backward consist of. It does not know threads, memory or other layers: the
 * executor hands a phase the pieces it may work on (tr_work). An op is const; all state is in
 * tr_node.
 */
#ifndef TR_OPS_H
#define TR_OPS_H

#include "base/base.h"
#include "kernels/kernels.h"

enum {
    TR_MAX_INPUTS = 8, /* values a layer reads */
    TR_MAX_PARAMS = 2, /* of one layer */
    TR_MAX_PHASES = 4, /* of one layer, forward and backward each */
    TR_N_AUX = 2,      /* buffers a layer keeps between its phases */
};

/* One sample of a value: an image [h][w][c], or h * w * c features in the order of the image they
 * were flattened from (1 x 1 x c where there was none). */
typedef struct tr_shape {
    bool flat;
    int h, w, c;
} tr_shape;
static inline int64_t tr_shape_size(tr_shape s) {
    return (int64_t)s.h * s.w * s.c;
}

typedef struct tr_op tr_op;
typedef struct tr_node tr_node;
typedef struct tr_work tr_work;

/* A parameter tensor: PyTorch's name, shape and order in files; an internal layout of the layer's
 * choice in memory, padded with zeros that stay zero. */
typedef struct tr_param {
    const char *suffix; /* "weight", "bias": the name is node.suffix */
    int n_dims;
    int64_t dim[4]; /* PyTorch's shape */
    int64_t size;   /* elements of the internal layout, a multiple of 8 */
    /* One thread updates a block, the first `used` elements of each `block`, tile by tile; the
     * others stay zero. Blocks of whole pages keep what one processor reads ahead out of another's.
     * The last of the blocks may be short, or empty. */
    int64_t n_blocks, block, used, tile;
    double init_range; /* initial values are uniform in [-init_range, init_range) */
    /* Index map: where element i of PyTorch's order is in the internal layout. */
    int64_t (*index)(const tr_node *node, int64_t i);
    tr_real *value; /* [size], the graph's */
} tr_param;

/* What is fused into a layer: computed at its end. */
typedef struct tr_epilogue {
    bool relu;
    int pool; /* maximum over pool x pool windows that do not overlap; 0: none */
} tr_epilogue;

struct tr_node {
    int id;
    const tr_op *op; /* NULL: the input of the network */
    char name[TR_NAME];
    tr_where where;
    void *args;      /* as op->schema describes */
    tr_places given; /* the arguments as they were written, during op->shape of a new node */
    int n_inputs;
    int input[TR_MAX_INPUTS]; /* ids of the nodes that make the values it reads */
    tr_shape in[TR_MAX_INPUTS];
    tr_shape unfused;     /* its output as configured */
    tr_shape out;         /* its output after fusion */
    tr_epilogue epilogue; /* what was fused into it */
    int value;            /* the node whose value this one's is: itself, unless fused or a view */
    int n_params;
    tr_param param[TR_MAX_PARAMS];
};

/* How the work of a phase is partitioned among threads. */
typedef enum tr_partition {
    TR_PER_THREAD, /* every thread does all of it, into its per-thread buffer */
    TR_BY_SAMPLES, /* samples; one call may get any run of them */
    TR_BY_SHARDS,  /* shards: one call a shard, `grad` is the shard's own gradient */
    TR_BY_BLOCKS,  /* blocks of the layer's choice, one call each, over all samples of the batch */
} tr_partition;

enum tr_use { /* what a phase touches: the plan derives lifetimes and barriers from it */
              TR_USE_X = 1,
              TR_USE_Y = 2,
              TR_USE_DY = 4,
              TR_USE_DX = 8,
              TR_USE_AUX0 = 16,
              TR_USE_AUX1 = 32,
              TR_USE_SHARED = 64,
};

typedef struct tr_phase {
    const char *label;
    tr_partition partition;
    int n_blocks; /* of TR_BY_BLOCKS; in other phases free for the layer (tr_work.n_blocks)
                   */
    unsigned use;
    void (*run)(const tr_work *w);
} tr_phase;

/* What a layer plans for. */
typedef struct tr_request {
    int batch;
    bool training;
    bool need_dx[TR_MAX_INPUTS]; /* the input gradients that are needed */
} tr_request;

/* The plan. Sizes in elements; the caller zeroes the struct first. */
typedef struct tr_node_plan {
    tr_phase pack[1], forward[TR_MAX_PHASES], backward[TR_MAX_PHASES];
    int n_pack, n_forward, n_backward;
    int64_t aux_bytes[TR_N_AUX];    /* for each sample */
    int64_t shared_size;            /* one buffer for the whole batch */
    int64_t per_thread_size;        /* one for each thread, kept during a step */
    int64_t scratch_size;           /* one for each thread, for the length of a call */
    int64_t grad_size;              /* gradients of those parameters that are summed over shards */
    int64_t grad_at[TR_MAX_PARAMS]; /* where each begins in it; -1: op->grad computes it */
    /* 0: the parameters are updated when all gradients are there. Otherwise in so many partials,
     * each right behind that block of the layer's last phases, which nobody else may need (n_blocks
     * is then this), while it is in the cache of whoever ran them. */
    int update_blocks;
} tr_node_plan;

/* The piece of work of one call of a phase. Pointers are at its first sample. */
struct tr_work {
    const tr_node *node;
    const tr_kernels *kernels;
    int n; /* samples in this call, from number `first` of the step on */
    int first;
    int batch; /* samples in the step */
    int block; /* of this call, of n_blocks */
    int n_blocks;
    const tr_real *x[TR_MAX_INPUTS]; /* [n][in] */
    tr_real *dx[TR_MAX_INPUTS];      /* [n][in]; NULL: not needed */
    int64_t xs[TR_MAX_INPUTS];       /* elements between samples of x and dx */
    tr_real *y, *dy;                 /* [n][out] */
    int64_t ys;
    unsigned char *aux[TR_N_AUX];           /* [n][aux_bytes] */
    int64_t aux_step[TR_N_AUX];             /* bytes between samples */
    tr_real *shared, *per_thread, *scratch; /* shared: whole batch */
    tr_real *grad;                          /* [grad_size] of the shard, to be written */
    const int32_t *labels;                  /* losses: [n] */
    tr_real *loss;                          /* losses: [n], not divided by the batch */
    int32_t *best;                          /* losses: [n] predicted classes */
};

struct tr_op {
    tr_schema schema;
    int min_inputs, max_inputs;
    /* Its value is its input's, under another shape (flatten, identity): no phases. */
    bool view;
    /* From node->args and node->in: node->unfused and the parameters (all but `value`). The layout
     * of a parameter may depend on the epilogue, so this is called again after each fusion. */
    int (*shape)(tr_node *node, tr_error *err);
    /* Its work as an epilogue of another layer. NULL: it cannot be one. */
    bool (*as_epilogue)(const tr_node *node, tr_epilogue *out);
    /* Fuse `e` into it: update node->epilogue, or refuse. NULL: never. */
    bool (*fuse)(tr_node *node, const tr_epilogue *e);
    void (*plan)(const tr_node *node, const tr_request *request, tr_node_plan *out);
    /* Elements e0..e1-1 (whole tiles) of a parameter's gradient over the whole batch, in sample
     * order; for parameters without grad_at. */
    void (*grad)(const tr_work *w, int param, int64_t e0, int64_t e1, tr_real *g);
    unsigned grad_use; /* tr_use of that */
    /* Multiply-adds of one sample's forward, as written; NULL: none worth counting. */
    int64_t (*multiply_adds)(const tr_node *node);
};

/* Layers, then losses, each in the order of meson.build. */
extern const tr_op *const tr_layers[];
extern const tr_op *const tr_losses[];
/* Their schemas under the same numbers, and how many there are. */
extern const tr_registry tr_layer_registry, tr_loss_registry;

/* Sizes that indices of 32 bits reach with room to spare: more is refused at the layer's line. */
enum {
    TR_MAX_VALUE = INT32_MAX / 16,  /* elements of a sample's value, or of its copy with padding */
    TR_MAX_WEIGHTS = INT32_MAX / 4, /* elements of a parameter */
};

/* Helpers for ops: an image or features are wanted; fail at the node's line otherwise. */
int tr_want_image(const tr_node *node, int input, tr_error *err);
int tr_want_features(const tr_node *node, int input, tr_error *err);
/* Where an argument was written, or the layer's line: for shape() to say that it does not fit. */
tr_where tr_key_where(const tr_node *node, const char *key);
/* "6 x 28 x 28" or "400", as PyTorch orders it. out has 64 bytes. Returns out. */
char *tr_shape_text(tr_shape shape, char *out);
/* index() for parameters whose two layouts are the same. */
int64_t tr_index_same(const tr_node *node, int64_t i);

#endif
