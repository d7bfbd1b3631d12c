/* The module `ops`: what a layer is. One file per layer or loss, registered by its name in
 * meson.build.
 *
 * A layer says what arguments it takes, what shape it makes, which state it has (parameters,
 * buffers), and which phases its forward and backward consist of: for each phase, over what it is
 * partitioned and what it reads and writes. Places in memory, lifetimes and barriers follow from
 * that (graph/program.c). A layer does not know threads or other layers. An op is const; all state
 * is in tr_node.
 */
#ifndef TR_OPS_H
#define TR_OPS_H

#include "base/base.h"
#include "init/init.h"
#include "kernels/kernels.h"

/* One sample of a value: an image [h][w][c], or h * w * c features in the order of the image they
 * were flattened from (1 x 1 x c where there was none). */
typedef struct tr_shape {
    bool flat;
    int h, w, c;
} tr_shape;
static inline int64_t tr_shape_size(tr_shape s) {
    return (int64_t)s.h * s.w * s.c;
}
static inline bool tr_same_shape(tr_shape a, tr_shape b) {
    return a.flat == b.flat && a.h == b.h && a.w == b.w && a.c == b.c;
}
/* Where number i of a sample's features, in PyTorch's order, is in memory. */
static inline int64_t tr_feature_at(tr_shape s, int64_t i) {
    int64_t area = (int64_t)s.h * s.w;
    return i % area * s.c + i / area;
}

typedef struct tr_op tr_op;
typedef struct tr_node tr_node;
typedef struct tr_work tr_work;

/* ---- state: what lives longer than a step ---- */

typedef enum tr_state_kind {
    TR_PARAMETER,
    TR_BUFFER,
    TR_OPTIMIZER, /* of a parameter: what the optimizer keeps, laid out as that is */
} tr_state_kind;

enum { TR_STATE_DIMS = TR_INIT_DIMS };

/* A tensor of a layer. In files it has PyTorch's name, shape, type and order; in memory the layer's
 * own order, padded with zeros that stay zero. Elements of type TR_FLOAT32 are tr_real in memory.
 */
typedef struct tr_state {
    const char *suffix; /* "weight", "running_mean": the name is "node.suffix" */
    tr_state_kind kind;
    tr_type type;
    int n_dims;
    int64_t dim[TR_STATE_DIMS]; /* PyTorch's shape */
    int64_t size;               /* elements in memory; of a parameter a multiple of 8 */
    /* Parameters: one thread updates a block, the first `used` elements of each `block`, tile by
     * tile; the rest stays zero. Blocks of whole pages keep what one processor reads ahead out of
     * another's. The last of the blocks may be short, or empty. */
    int64_t n_blocks, block, used, tile;
    double init_range; /* PyTorch's default: uniform in [-init_range, init_range) ... */
    double init_value; /* ... or, where that is 0, all this one */
    /* By tr_node_shape, from the arguments: a parameter that is not trained; other initial values
     * than the default, or NULL. */
    bool frozen;
    const tr_init *init;
    const void *init_args;
    /* at[i] := where element first + i of PyTorch's order is in memory. NULL: the orders agree. */
    void (*index)(const tr_node *node, int64_t first, int64_t n, int64_t *at);
    void *value; /* [size], the graph's */
} tr_state;

/* What a layer may do at the end of the one before it, where the graph allows. */
typedef struct tr_epilogue {
    bool relu;
    int pool; /* maximum over pool x pool windows that do not overlap; 0: none */
} tr_epilogue;

struct tr_node {
    int id;
    const tr_op *op; /* NULL: the input of the network */
    const char *name;
    tr_where where;
    void *args;      /* as op->schema describes */
    tr_places given; /* the arguments as they were written, during op->shape of a new node */
    int n_inputs;
    int *input;           /* [n_inputs] ids of the nodes whose values it reads */
    tr_shape *in;         /* [n_inputs] */
    tr_shape unfused;     /* the shape it makes by itself, as the network was written */
    tr_shape out;         /* the shape of its value, after what was fused into it */
    tr_epilogue epilogue; /* what was fused into it */
    int value; /* the node whose value this one's is: itself, unless it was fused or is a view */
    int n_state;
    tr_state *state; /* [n_state] in PyTorch's order: parameters, then buffers */
};

/* ---- the plan of a layer: resources and phases ---- */

/* Over what a phase is partitioned. Threads own the same samples in all phases of a step, and the
 * same blocks in all phases of one node with the same number of them. */
typedef enum tr_partition {
    TR_PER_THREAD, /* not at all: each thread does it for itself, into its per-thread buffers */
    TR_BY_SAMPLES, /* samples; one call may get any run of them */
    TR_BY_BLOCKS,  /* blocks of its own, one call a block, each over all samples of the batch */
} tr_partition;

/* What a phase can touch. */
typedef enum tr_what {
    TR_X,     /* input number `index` */
    TR_DX,    /* its gradient */
    TR_Y,     /* the node's value */
    TR_DY,    /* its gradient: read only, others may share it */
    TR_OWN,   /* the node's own resource `index`, as one of the functions below numbered it */
    TR_STATE, /* state[index] */
} tr_what;

typedef struct tr_use {
    tr_what what;
    int index;
    bool writes;    /* else it reads; a phase that does both declares both */
    bool own_block; /* by blocks: no more than the part that belongs to the block */
} tr_use;

/* Part of a sum: adds what the samples of this call, which are of one leaf, contribute to the
 * elements e0 .. e1-1 to sum[0 .. e1-e0), in the order of the samples. fresh: the sum holds
 * nothing yet. e0 and e1 are 0 and the size, or bound tiles of the parameter whose gradient it is.
 */
typedef void (*tr_leaf)(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum);

/* Something added over the samples of a batch: a chain in sample order within each leaf, then one
 * binary tree over the leaves (exec/tree.h). A leaf is an aligned run of shards. Which thread adds
 * what, and whether leaves are added to slots of a thread (small sums) or tile by tile for all
 * leaves where the sum is used (by_elements), cannot change a bit. */
typedef struct tr_sum {
    const char *label;
    int64_t size;     /* elements */
    bool wide;        /* elements are double, not tr_real */
    int leaf;         /* shards in a leaf, a power of two; more than 1: by elements only */
    bool by_elements; /* no slots: nothing is computed before it is used */
    tr_leaf add_leaf;
    /* Doubles that are not added element by element but unit by unit: n of them, whole units, of
     * two parts make those of both; `to` may be a or b. NULL: they are added. */
    void (*merge)(int64_t n, const double *a, const double *b, double *to);
    int64_t unit; /* elements; 0: 1 */
} tr_sum;

/* The gradient of a parameter: a sum over the update's samples. */
typedef struct tr_gradient {
    int sum;             /* own resource; -1: the parameter has none */
    int64_t first, size; /* elements of the sum that make it; size 0: as many as the parameter */
    int n_blocks;        /* 0: any thread updates any tile. Else the parameter's blocks go with the
                          * node's own partition into so many, behind its phases. */
    /* Makes elements e0 .. e1-1 (a tile) of the gradient of the completed sum, whose elements
     * first + e0 * size / parameter size on are at `total`. NULL: they are the gradient. */
    void (*finish)(const tr_node *node, int64_t e0, int64_t e1, const void *total, tr_real *g);
} tr_gradient;

typedef enum tr_resource_kind {
    TR_SAMPLE_BUFFER, /* so many bytes for each sample */
    TR_BATCH_BUFFER,  /* for the whole batch */
    TR_THREAD_BUFFER, /* for each thread, kept during a step */
    TR_SUM,
} tr_resource_kind;

typedef struct tr_resource {
    tr_resource_kind kind;
    int64_t bytes;
    tr_sum sum;
} tr_resource;

/* Where in a step: other layouts of weights are made first, running statistics updated last. */
typedef enum tr_stage { TR_PACK, TR_FORWARD, TR_BACKWARD } tr_stage;

typedef struct tr_phase {
    const char *label;
    tr_stage stage;
    tr_partition partition;
    int n_blocks;   /* by blocks; others: tr_plan_keep_number */
    bool pointwise; /* its only result is Y, and cheap: it may be repeated wherever Y is read */
    int sum;        /* by samples: the own resource of that number, a sum, is added up; -1: run() */
    int first_use, n_uses; /* in plan->uses */
    void (*run)(const tr_work *w);
} tr_phase;

/* What a layer is asked to plan for. */
typedef struct tr_request {
    int batch;           /* samples of a pass at most */
    int effective;       /* samples between two updates: what decides bits follows from this */
    bool gradients;      /* backward, too */
    bool training;       /* the mode: batch statistics, dropout */
    const bool *need_dx; /* [n_inputs] the input gradients that are needed */
    int64_t wide;        /* parameters of more elements have their gradients by elements */
} tr_request;

/* How it will do it: filled by op->plan through the functions below. Lists are tr_alloc's. */
typedef struct tr_plan {
    int n_resources, n_uses, n_phases;
    tr_resource *resources;
    tr_use *uses;
    tr_phase *phases;
    tr_gradient *gradients; /* [n_state of the node], by the caller of op->plan */
    int64_t scratch_bytes;  /* for each thread, for the length of a call */
    /* The gradients of inputs that no phase makes are the gradient of the value itself. */
    bool passes_gradient;
    bool failed; /* no memory: every call after that does nothing */
} tr_plan;

/* Own resources; each returns its number. */
int tr_plan_sample_buffer(tr_plan *plan, int64_t bytes);
int tr_plan_batch_buffer(tr_plan *plan, int64_t bytes);
int tr_plan_thread_buffer(tr_plan *plan, int64_t bytes);
int tr_plan_sum(tr_plan *plan, const tr_sum *sum);
void tr_plan_gradient(tr_plan *plan, int state, const tr_gradient *gradient);

/* Phases, in the order in which they happen within a stage. What a phase touches is declared right
 * behind it: all of it, or barriers and lifetimes are wrong. (Scratch, labels, losses and the
 * step's record need no declaration.) A phase for each thread that reads a sum finds it completed
 * (tr_total); nobody else reads one. */
void tr_plan_phase(tr_plan *plan, tr_stage stage, const char *label, tr_partition partition,
                   void (*run)(const tr_work *w));
/* The same by blocks. */
void tr_plan_blocks(tr_plan *plan, tr_stage stage, const char *label, int n_blocks,
                    void (*run)(const tr_work *w));
/* Here the sum is added up. Its reads are declared behind it; itself it needs no declaration. */
void tr_plan_add_up(tr_plan *plan, tr_stage stage, int sum);
void tr_reads(tr_plan *plan, tr_what what, int index);
void tr_writes(tr_plan *plan, tr_what what, int index);
/* By blocks, of the block's own part alone. */
void tr_reads_block(tr_plan *plan, tr_what what, int index);
void tr_writes_block(tr_plan *plan, tr_what what, int index);
/* The phase added last makes Y from X, state, per-sample and per-thread buffers, sample by sample,
 * and is so cheap that Y need not be kept. */
void tr_plan_pointwise(tr_plan *plan);
/* A layer of one input whose phases are forward, from X to Y, and, where that is wanted, backward,
 * from DY to DX, both by samples. What backward reads besides may be declared behind it. */
void tr_plan_map(tr_plan *plan, const tr_request *request, bool pointwise,
                 void (*forward)(const tr_work *w), void (*backward)(const tr_work *w));
/* The phase added last, not by blocks, finds this number in w->n_blocks. */
void tr_plan_keep_number(tr_plan *plan, int number);
void tr_plan_free(tr_plan *plan);

/* ---- the work of one call ---- */

/* The step that a phase is part of. */
typedef struct tr_record {
    uint64_t seed;
    int64_t epoch, step; /* from 0: of the run */
    int64_t first;       /* place of the pass's first sample in the effective batch */
    int64_t count;       /* samples of the effective batch: the denominator of means */
} tr_record;

/* Where a resource is for the calling thread. */
typedef struct tr_binding {
    char *at;       /* sample 0 of the batch, or of the chunk where `local`; NULL: not declared */
    int64_t stride; /* bytes from one sample to the next; 0 where it has none of its own */
    bool local;
} tr_binding;

/* The piece of work of one call of a phase. Samples are numbered 0 .. n-1 from `first` on. */
struct tr_work {
    const tr_node *node;
    const tr_kernels *kernels;
    const tr_record *record;
    int n; /* samples in this call, from number `first` of the pass on */
    int first;
    int batch; /* samples in the pass */
    int block; /* of this call, of n_blocks */
    int n_blocks;
    const tr_binding *x, *dx; /* [n_inputs] */
    const tr_binding *own;    /* [own resources] */
    const tr_binding *y, *dy;
    int64_t origin[2]; /* number of sample 0 of this call in a batch's buffer, in a chunk's */
    void *scratch;
    const void *const *totals; /* [own resources] completed sums */
    const int32_t *labels;     /* losses: [batch] */
    tr_real *loss;             /* losses: [batch], not divided by anything */
    int32_t *best;             /* losses: [batch] predicted classes */
};

static inline void *tr_at(const tr_work *w, const tr_binding *b, int i) {
    return b->at + (w->origin[b->local] + i) * b->stride;
}
/* Sample i of this call; the elements from one sample to the next. */
static inline const tr_real *tr_x(const tr_work *w, int input, int i) {
    return tr_at(w, &w->x[input], i);
}
static inline tr_real *tr_y(const tr_work *w, int i) {
    return tr_at(w, w->y, i);
}
static inline const tr_real *tr_dy(const tr_work *w, int i) {
    return tr_at(w, w->dy, i);
}
static inline tr_real *tr_dx(const tr_work *w, int input, int i) {
    return tr_at(w, &w->dx[input], i);
}
static inline bool tr_has_dx(const tr_work *w, int input) {
    return w->dx[input].at != NULL;
}
static inline int64_t tr_stride(const tr_binding *b) {
    return b->stride / (int64_t)sizeof(tr_real);
}
/* An own resource: its part of sample i, or all of it where it is no sample buffer. */
static inline void *tr_own(const tr_work *w, int resource, int i) {
    return tr_at(w, &w->own[resource], i);
}
/* An own sum, in phases for each thread. */
static inline const void *tr_total(const tr_work *w, int resource) {
    return w->totals[resource];
}
static inline bool tr_has_own(const tr_work *w, int resource) {
    return w->own[resource].at != NULL;
}

/* A kernel of activations, and the numbers that the layer's arguments make for it. */
typedef struct tr_activation_use {
    tr_activation_kind kind;
    tr_numbers numbers;
} tr_activation_use;

struct tr_op {
    tr_schema schema;
    int min_inputs, max_inputs; /* max 0: any number */
    /* Its value is its input's, under another shape (flatten, identity): no phases. */
    bool view;
    /* From node->args and node->in: node->unfused and the state (tr_add_state), all but `value`.
     * The layout of a parameter may depend on the epilogue, so this is called again, with no state,
     * after each fusion. */
    int (*shape)(tr_node *node, tr_error *err);
    /* As the end of another layer: what it does. NULL: it cannot be one. */
    bool (*as_epilogue)(const tr_node *node, tr_epilogue *out);
    /* Fuse `e` into it: update node->epilogue, or refuse. NULL: never. */
    bool (*fuse)(tr_node *node, const tr_epilogue *e);
    void (*plan)(const tr_node *node, const tr_request *request, tr_plan *out);
    /* The fewest samples that a batch can have, in training or evaluation; TR_NO_BATCH: no number
     * is enough. NULL: 1. */
    int (*min_batch)(const tr_node *node, bool training);
    /* Multiply-adds of one sample's forward, as written; NULL: none worth counting. */
    int64_t (*multiply_adds)(const tr_node *node);
    /* A function of each element (activation.h): which one. NULL: it is none. */
    tr_activation_use (*activation)(const void *args);
    /* How it computes, in a word, where it has a choice; for display. NULL: it has none. */
    const char *(*algorithm)(const tr_node *node);
};

enum { TR_NO_BATCH = INT32_MAX };

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

/* What every layer with parameters takes: its arguments have them as `parameters`, and its keys
 * TR_PARAMETER_KEYS of their type, or TR_WEIGHT_KEYS where the weight is the only parameter. That
 * is all that a layer does for it: the initial value of a parameter NAME is that of a key
 * NAME_init, and gradients of frozen ones that a layer plans are not computed. */
typedef struct tr_parameter_args {
    const char *frozen;
    tr_class weight_init, bias_init;
} tr_parameter_args;

#define TR_INIT_KEY(type, name)                                                                    \
    {                                                                                              \
#name "_init", TR_KEY_CLASS, offsetof(type, parameters.name##_init), "default", 0, 0,      \
            NULL, "what the " #name " begins with; trainer help lists initial values",             \
            &tr_init_registry                                                                      \
    }
#define TR_FROZEN_KEY(type)                                                                        \
    {                                                                                              \
        "frozen", TR_KEY_STRING, offsetof(type, parameters.frozen), "", 0, 0, NULL,                \
            "parameters that are not trained, such as weight,bias", NULL                           \
    }
#define TR_WEIGHT_KEYS(type)    TR_FROZEN_KEY(type), TR_INIT_KEY(type, weight)
#define TR_PARAMETER_KEYS(type) TR_WEIGHT_KEYS(type), TR_INIT_KEY(type, bias)

/* ---- helpers for the graph (parameters.c, plan.c) ---- */

/* op->shape, and what the arguments above say of its parameters. */
int tr_node_shape(tr_node *node, tr_error *err);
/* The parameter, as an initial value sees it. */
tr_init_tensor tr_init_tensor_of(const tr_node *node, const tr_state *state);
/* Take the gradients of frozen parameters out of a plan, and then what is computed in backward for
 * nothing else. */
void tr_plan_trim(const tr_node *node, tr_plan *plan);

/* ---- helpers for ops ---- */

/* One more tensor of a node; NULL where there is no memory. */
tr_state *tr_add_state(tr_node *node, const tr_state *state, tr_error *err);
/* A parameter of n numbers, one block, in PyTorch's order. */
tr_state tr_vector_parameter(const char *suffix, int64_t n);
static inline void *tr_value_of(const tr_node *node, int state) {
    return node->state[state].value;
}
/* Position of state "suffix", or -1. */
int tr_find_state(const tr_node *node, const char *suffix);
/* The shape of a layer whose value is shaped as its input and that has no state. */
int tr_shape_of_input(tr_node *node, tr_error *err);
/* An image or features are wanted; fail at the node's line otherwise. */
int tr_want_image(const tr_node *node, int input, tr_error *err);
int tr_want_features(const tr_node *node, int input, tr_error *err);
/* Where an argument was written, or the layer's line: for shape() to say that it does not fit. */
tr_where tr_key_where(const tr_node *node, const char *key);
/* "6 x 28 x 28" or "400", as PyTorch orders it. out has 64 bytes. Returns out. */
char *tr_shape_text(tr_shape shape, char *out);

#endif
