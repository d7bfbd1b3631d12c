/* The executor's state, shared by the files of this module. */
#ifndef TR_RUN_H
#define TR_RUN_H

#include "exec/balance.h"
#include "exec/exec.h"
#include "exec/tree.h"

typedef struct tr_worker { /* per-thread memory */
    char *local;           /* program->local_bytes for each sample of a chunk */
    tr_real *per_thread;
    tr_real *scratch;
    tr_real *grads; /* [slots][grad_elements] */
    tr_real
        *tiles;   /* [1 + n_temporaries] the gradient of a tile of a parameter; intermediate sums */
    uint64_t *ns; /* [n_steps + n_nodes] nanoseconds of each step, and of the gradients that a node
                     makes in its update */
    uint64_t load_ns; /* in tr_input.load, always */
    uint64_t busy_ns; /* in phases by samples, in measured steps since the last balance */
    int code;         /* what creation or load failed with */
} tr_worker;

struct tr_exec {
    tr_graph *graph;
    tr_program *program;
    tr_exec_options options;
    int n_threads; /* workers */
    int shard, chunk;
    int n_slots; /* of each worker's grads */
    int n_barriers, n_state;
    char *batch;                              /* program->batch_bytes for each sample */
    tr_real *shared;                          /* program->shared_elements */
    tr_real *state[TR_MAX_STATE], *gradients; /* laid out as graph->parameters */
    tr_real *loss;
    int32_t *best;
    tr_worker *workers;
    int64_t tile;            /* elements of the largest tile */
    int n_temporaries;       /* the most that the remaining reductions need */
    int64_t *partition;      /* [n_threads + 1] a full batch's shards, partitioned (balance.h) */
    bool balances;           /* there are enough of them that measuring pays */
    bool measures;           /* that, and this is a full batch */
    int n_measured;          /* full batches since they were partitioned last */
    int64_t *step_partition; /* [active + 1] that of the current step */
    tr_tree_remaining remaining; /* of the tree over that */
    uint64_t steps_ns;           /* wall clock of all steps, with profile */
    /* of the current step, written by thread 0 before the job starts */
    tr_team *team;
    const tr_input *input;
    double lr;
    int64_t step;
    int active; /* threads */
    int64_t n_shards;
    const tr_real *x; /* input->x, and input->stride: still known when the step is over */
    int64_t x_stride;
};

/* Entries of a worker's profile: the steps, then these. */
static inline int tr_entry_of_grad(const tr_exec *exec, int node) {
    return exec->program->n_steps + node;
}
static inline int tr_n_entries(const tr_exec *exec) {
    return exec->program->n_steps + exec->graph->n_nodes;
}

/* The job of one thread: its part of a step. */
void tr_exec_run(int thread, void *exec);

#endif
