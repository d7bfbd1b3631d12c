/* The module `graph`: a network as a DAG of layers, and the program that trains or runs it.
 *
 * Graph: nodes by id, shapes, parameters; what one layer can do at the end of another is fused. It
 * depends on the configuration alone. Program: the phases of all layers in order, forward and (by
 * reverse-mode differentiation from the loss) backward, with their buffers planned and the barriers
 * between its steps. It depends on the batch size, too. Both are read-only
 * while they run, parameter values apart.
 */
#ifndef TR_GRAPH_H
#define TR_GRAPH_H

#include "config/config.h"
#include "ops/ops.h"

/* ---- the network (blocks.c, graph.c, fuse.c) ---- */

typedef struct tr_graph {
    int n_nodes; /* node 0 is the input; the last is the loss */
    tr_node *nodes;
    int output;          /* the node whose value the loss reads: the logits */
    tr_real *parameters; /* all values, one allocation; NULL until tr_graph_allocate */
    int64_t n_elements;  /* in it */
} tr_graph;

/* From the sections [network] (a line a layer, `name = class key=value ... from=a,b`), [block ...]
 * (parts that such lines may name, blocks.h) and [loss], for images of `input`. Fails at the line
 * of the fault: an unknown layer or argument, a name used twice or reserved ("input"), a from= that
 * names nothing or a later layer, shapes that do not fit, a layer that nothing reads, no layers, no
 * loss, an output that is not n_classes features. */
int tr_graph_create(const tr_doc *doc, tr_shape input, int n_classes, tr_graph **out,
                    tr_error *err);
/* Memory for the parameters, all zero; untouched. What it takes is tr_alloc_bytes(n_elements,
 * sizeof(tr_real)). */
int tr_graph_allocate(tr_graph *graph, tr_error *err);
void tr_graph_free(tr_graph *graph);
/* The sections [network], without blocks, and [loss] that make the same graph, with every
 * argument. */
int tr_graph_write(const tr_graph *graph, tr_text *out, tr_error *err);

/* Parameters in PyTorch's order: calls visit(node, index, arg) for each. */
void tr_graph_each_param(const tr_graph *graph, void (*visit)(tr_node *node, int param, void *arg),
                         void *arg);
/* Elements of a parameter in PyTorch's layout (the product of its dims), and of all of them. */
int64_t tr_param_count(const tr_param *param);
int64_t tr_graph_count(const tr_graph *graph);
/* "conv1.weight"; out has TR_NAME + 16 bytes. Returns out. */
char *tr_param_name(const tr_node *node, int param, char *out);
/* To and from PyTorch's order; float in that layout whatever tr_real is. */
void tr_param_get(const tr_node *node, int param, float *out);
void tr_param_set(tr_node *node, int param, const float *in);
/* The same for the n elements from `first` on. */
void tr_param_get_range(const tr_node *node, int param, int64_t first, int64_t n, float *out);
void tr_param_set_range(tr_node *node, int param, int64_t first, int64_t n, const float *in);
/* Initial values: PyTorch's distributions. TR_PHILOX draws them from (seed, parameter, element)
 * alone; TR_TORCH gives those of PyTorch's layers, made in the same order after
 * torch.manual_seed(seed). */
void tr_graph_init(tr_graph *graph, tr_generator generator, uint64_t seed);

/* Private steps of tr_graph_create, shown for the tests. */
void tr_graph_fuse(tr_graph *graph);

/* ---- the program (program.c, memory.c) ---- */

enum { TR_NO_BUFFER = -1 };

typedef struct tr_step { /* one phase of one node; buffers by number */
    tr_phase phase;
    const tr_node
        *node; /* the input's: load it; NULL: the sum of two gradients, x[0] + x[1] -> y */
    int x[TR_MAX_INPUTS], dx[TR_MAX_INPUTS], y, dy, aux[TR_N_AUX];
    int64_t shared, per_thread; /* offset in its arena, or TR_NO_BUFFER */
    bool backward;
    bool update;  /* of the node's parameters, by blocks; n_blocks is 0: as many as threads */
    bool barrier; /* a barrier before it */
} tr_step;

typedef struct tr_buffer { /* `bytes` for each sample */
    int64_t bytes;
    int first, last; /* steps that touch it; n_steps: it is there after the last */
    bool local;      /* touched by one segment only: lives in a thread's arena, a chunk at a time */
    int64_t
        offset; /* bytes for each sample: times the samples of a chunk (local) or of the batch */
} tr_buffer;

typedef struct tr_program {
    const tr_graph *graph;
    int batch;
    unsigned flags;
    int n_steps, n_buffers;
    tr_step *steps;
    tr_buffer *buffers;
    tr_node_plan *plans; /* [n_nodes] */
    int external;        /* buffer that the caller provides (the input), or TR_NO_BUFFER */
    int output;          /* buffer of the logits: there until the next step */
    int input_gradient;  /* the same, or TR_NO_BUFFER */
    int64_t batch_bytes; /* of the batch's arena, for each sample */
    int64_t local_bytes; /* of a thread's arena, for each sample of a chunk */
    int64_t shared_elements, per_thread_elements,
        scratch_elements;  /* the last two for each thread */
    int64_t grad_elements; /* gradients summed over shards, for one shard */
    int64_t *grad_at;      /* [n_nodes] where a node's begin in it */
} tr_program;

typedef enum tr_program_flags {
    TR_PROGRAM_TRAINS = 1,         /* backward and updates, too */
    TR_PROGRAM_INPUT_GRADIENT = 2, /* make that of the network's input, too */
    TR_PROGRAM_LOADS = 4, /* the first step makes the input; otherwise the caller provides it */
} tr_program_flags;
int tr_program_create(const tr_graph *graph, int batch, unsigned flags, tr_program **out,
                      tr_error *err);
void tr_program_free(tr_program *program);

/* Places for n intervals: bytes[i] wanted from step first[i] to last[i], both inclusive. Intervals
 * that meet do not overlap in memory. Multiples of TR_ALIGN when the sizes are. Returns the size of
 * the arena, or -1 when there is no memory or it would not fit in 63 bits. */
int64_t tr_plan_memory(int n, const int64_t *bytes, const int *first, const int *last,
                       int64_t *offset);

#endif
