/* The module `graph`: a network as a DAG of layers, and the program that trains or runs it.
 *
 * Graph: nodes by id, shapes, the table of state; what one layer can do at the end of another is
 * fused. It depends on the configuration alone. Program: the phases of all layers, forward and (by
 * reverse-mode differentiation from the loss) backward, as steps in segments between barriers, with
 * a place for every buffer. It depends on the batch size, too. Both are read-only while they run,
 * values of state apart.
 */
#ifndef TR_GRAPH_H
#define TR_GRAPH_H

#include "config/config.h"
#include "ops/ops.h"

/* ---- the network (blocks.c, graph.c, fuse.c) ---- */

typedef struct tr_row { /* of the table of state */
    tr_node *node;
    int state;        /* of the node; of an optimizer's row: the parameter's */
    tr_state *own;    /* what it is, where it is no state of the node; else NULL */
    const char *name; /* "layer1.0.bn1.running_mean", "optimizer.fc.weight.momentum_buffer" */
    int64_t count;    /* elements in PyTorch's layout (the product of its dims) */
} tr_row;

typedef struct tr_graph {
    int n_nodes; /* node 0 is the input; the last is the loss */
    tr_node *nodes;
    int output; /* the node whose value the loss reads: the logits */
    int n_rows; /* the model, in the order of PyTorch's state_dict */
    tr_row *rows;
    /* What an optimizer keeps, by parameter, then in the order of its words; both lists together
     * are everything that lives longer than a step. */
    int n_optimizer_rows;
    tr_row *optimizer_rows;
    int n_optimizer;     /* words of it */
    tr_real **optimizer; /* [n_optimizer] memory of each, [n_trained]; or NULL */
    tr_real *parameters; /* all parameters, one allocation; NULL until tr_graph_allocate */
    int64_t n_elements;  /* in it */
    int64_t n_trained;   /* in front of those of frozen ones */
    int64_t n_draws;     /* numbers that the initial values took from PyTorch's sequence */
    char *buffers;       /* the other rows */
    int64_t buffer_bytes;
    tr_arena memory; /* of names of nodes */
} tr_graph;

/* From the sections [network] (a line a layer, `name = class key=value ... from=a,b`), [block ...]
 * (parts that such lines may name, blocks.h) and [loss], for images of `input`. Fails at the line
 * of the fault: an unknown layer or argument, a name used twice or reserved ("input"), a from= that
 * names nothing or a later layer, shapes that do not fit, a layer that nothing reads, no layers, no
 * loss, an output that is not n_classes features. */
int tr_graph_create(const tr_doc *doc, tr_shape input, int n_classes, tr_graph **out,
                    tr_error *err);
/* Memory for the state, all zero; untouched. What it takes is tr_graph_bytes. */
int tr_graph_allocate(tr_graph *graph, tr_error *err);
int64_t tr_graph_bytes(const tr_graph *graph);
void tr_graph_free(tr_graph *graph);
/* The sections [network], without blocks, and [loss] that make the same graph, with every
 * argument. */
int tr_graph_write(const tr_graph *graph, tr_text *out, tr_error *err);

/* Elements of all parameters in PyTorch's layout. */
int64_t tr_graph_count(const tr_graph *graph);
static inline const tr_state *tr_row_state(const tr_row *row) {
    return row->own ? row->own : &row->node->state[row->state];
}
/* Rows for the state of an optimizer that keeps these (names, ended by NULL; NULL: no optimizer),
 * in the place of those that are there; then memory of its kind, zero and untouched. */
int tr_graph_plan_optimizer(tr_graph *graph, const char *const *words, tr_error *err);
int tr_graph_allocate_optimizer(tr_graph *graph, tr_error *err);
int64_t tr_graph_optimizer_bytes(const tr_graph *graph);
/* The row of that name, or NULL. */
const tr_row *tr_graph_row(const tr_graph *graph, const char *name);
/* Elements first .. first + n - 1 of PyTorch's order, to and from memory; `values` are of the row's
 * type in files: float, double or int64_t. */
void tr_row_get(const tr_row *row, int64_t first, int64_t n, void *values);
void tr_row_set(const tr_row *row, int64_t first, int64_t n, const void *values);
/* The same in double; read: from any memory laid out as the row's own (a gradient, an average). */
void tr_row_read(const tr_row *row, const void *memory, int64_t first, int64_t n, double *values);
void tr_row_write(const tr_row *row, int64_t first, int64_t n, const double *values);
/* Initial values (initial.c): first each layer's default, in the order of rows, then those that
 * arguments ask for, in the same order, as a PyTorch program makes its layers and then goes over
 * them with torch.nn.init. TR_PHILOX draws them from (seed, parameter, element) alone; TR_TORCH
 * gives PyTorch's after torch.manual_seed(seed). images: NULL where there is no training data; what
 * needs them then keeps the default. */
int tr_graph_initialise(tr_graph *graph, tr_generator generator, uint64_t seed,
                        const tr_init_images *images, tr_error *err);
/* The row whose initial value needs images, or NULL. */
const tr_row *tr_graph_needs_images(const tr_graph *graph);
/* What it allocates meanwhile, bytes. */
int64_t tr_graph_initial_bytes(const tr_graph *graph, tr_generator generator);

/* Private steps of tr_graph_create, shown for the tests. */
int tr_graph_fuse(tr_graph *graph, tr_error *err);
int tr_graph_list_state(tr_graph *graph, tr_error *err);
void tr_graph_place_state(tr_graph *graph);
void tr_graph_free_state(tr_graph *graph);

/* ---- the program (program.c, schedule.c, place.c, memory.c) ---- */

enum { TR_NONE = -1 };

/* What steps touch. State of the graph is among it, so that its use is ordered like any other. */
typedef struct tr_buffer {
    tr_resource_kind kind;
    int64_t bytes;       /* for each sample, for the batch, for each thread, of one slot of a sum */
    const tr_sum *sum;   /* TR_SUM */
    const tr_node *node; /* whose it is, or NULL */
    int index;           /* of its own resources or its state; TR_NONE: a value or its gradient */
    bool state, external; /* a state of a node; the input, where the caller provides it */
    int first, last;      /* steps that touch it, in the order of steps; first > last: none */
    bool local;     /* by samples in one segment only: in a thread's arena, a chunk at a time */
    int64_t offset; /* in its arena; local: for each sample of a chunk */
} tr_buffer;

typedef enum tr_owner {                   /* whose part of a buffer a thread touches in a step */
                        TR_OWNER_SAMPLES, /* its own samples', the same in all such steps */
                        TR_OWNER_BLOCKS,  /* its blocks', the same in all steps with the same key */
                        TR_OWNER_ANY,     /* anybody's */
} tr_owner;

typedef struct tr_access {
    int buffer;
    bool writes;
    tr_owner owner;
} tr_access;

typedef enum tr_step_kind {
    TR_STEP_PHASE,
    TR_STEP_LOAD,     /* makes samples of the input */
    TR_STEP_ADD,      /* by samples: adds two gradients of a value, x[0] + x[1] -> y */
    TR_STEP_SUM,      /* by samples: adds up a sum in slots */
    TR_STEP_GRADIENT, /* completes the gradient of a parameter and keeps it */
    TR_STEP_NORM,     /* for each thread: the norm of all gradients */
    TR_STEP_UPDATE,   /* changes a parameter; where there is no GRADIENT, completes it, too */
} tr_step_kind;

typedef struct tr_step {
    tr_step_kind kind;
    const char *label;
    const tr_node *node;   /* NULL: no layer's own */
    const tr_phase *phase; /* TR_STEP_PHASE, TR_STEP_SUM */
    tr_partition partition;
    int key, n_blocks; /* by blocks: equal keys are the same partition; 0: units of the parameter */
    int parameter;     /* TR_STEP_GRADIENT, TR_STEP_UPDATE: number in program->parameters */
    bool backward, again; /* again: a pointwise phase repeated */
    int segment;
    /* Buffers as the phase finds them, TR_NONE where it declared none: x and dx of all inputs, y,
     * dy, own resources. An ADD: x[0], x[1], y. */
    int n_inputs, n_bound, first_bound; /* in program->bound */
    int first_access, n_accesses;       /* in program->accesses */
} tr_step;

typedef struct tr_parameter { /* how a parameter is updated, by row */
    int row;
    int sum; /* buffer; TR_NONE: frozen */
    tr_gradient plan;
    int gradient; /* buffer where the gradient is kept, or TR_NONE */
    int norms;    /* buffer: the sum of squares of each of its tiles, double; or TR_NONE */
} tr_parameter;

typedef struct tr_program_options {
    int batch;                /* samples of a pass at most */
    int effective;            /* samples between two updates; 0: those of a pass */
    bool gradients, training; /* backward and updates, too; the mode */
    bool loads;               /* the first step makes the input; else the caller provides it */
    bool input_gradient;      /* make that of the network's input, too */
    bool deferred;            /* gradients are completed first, then parameters updated */
    bool keep_gradients;      /* they are there after the step */
    bool norm;                /* deferred: their norm is computed in between */
    int n_slots;              /* of a thread's sums */
    int64_t wide;             /* parameters of more elements have gradients by elements; 0: usual */
} tr_program_options;

typedef struct tr_program {
    const tr_graph *graph;
    tr_program_options options;
    int n_steps, n_segments, n_buffers, n_accesses, n_bound, n_parameters;
    tr_step *steps; /* by segment; in one: for each thread, by blocks, by samples */
    int *segments;  /* [n_segments + 1] first steps */
    tr_buffer *buffers;
    tr_access *accesses;
    int *bound;
    tr_parameter *parameters;
    tr_plan *plans;     /* [n_nodes] */
    int input, output;  /* buffers; the logits are there until the next step */
    int input_gradient; /* the same, or TR_NONE */
    int norm;           /* buffer of the gradients' norm, double; or TR_NONE */
    int64_t batch_bytes, local_bytes, thread_bytes; /* of arenas; local: for each sample */
    int64_t scratch_bytes, total_bytes; /* for each thread: of a call; of completed sums in one */
} tr_program;

int tr_program_create(const tr_graph *graph, const tr_program_options *options, tr_program **out,
                      tr_error *err);
void tr_program_free(tr_program *p);
/* Barriers in a step: one between neighbouring segments. */
static inline int tr_program_barriers(const tr_program *p) {
    return p->n_segments - 1;
}
/* Looks at every pair of steps again: NULL, or (tr_free) which two of one segment are in conflict,
 * or in the wrong order. For tests. */
char *tr_program_conflict(const tr_program *p);
/* What a layer's value and its own resources keep between forward and backward, bytes a sample. */
int64_t tr_program_kept(const tr_program *p, const tr_node *node);

/* Tiles of a parameter. */
int64_t tr_parameter_tiles(const tr_state *state);

/* Private to graph/: the parts of tr_program_create. */
int tr_program_schedule(tr_program *p, tr_error *err);
int tr_program_place(tr_program *p, tr_error *err);

/* Places for n intervals: bytes[i] wanted from step first[i] to last[i], both inclusive. Intervals
 * that meet do not overlap in memory. Multiples of TR_ALIGN when the sizes are. Returns the size of
 * the arena, or -1 when there is no memory or it would not fit in 63 bits. */
int64_t tr_plan_memory(int n, const int64_t *bytes, const int *first, const int *last,
                       int64_t *offset);

#endif
