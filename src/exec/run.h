/* The executor's state, shared by the files of this module. */
#ifndef TR_RUN_H
#define TR_RUN_H

#include "exec/balance.h"
#include "exec/exec.h"
#include "exec/tree.h"

typedef struct tr_worker { /* one thread's own memory */
    char *local;           /* program->local_bytes for each sample of a chunk */
    char *arena;           /* program->thread_bytes */
    char *scratch;         /* program->scratch_bytes */
    char *totals;          /* program->total_bytes: completed sums */
    char *tiles;           /* [n_temporaries + 1] tiles of sums on their way; the last one: of the
                              gradient */
    tr_binding *bindings;  /* [program->n_bound] */
    tr_real **state;       /* [graph->n_optimizer] the optimizer's, of a tile */
    const void **total;    /* [most own resources of a node] */
    uint64_t *ns; /* [n_steps + n_parameters] nanoseconds of each step, and of the gradients that
                     are made in an update */
    uint64_t load_ns; /* in tr_input.load, always */
    uint64_t busy_ns; /* in phases by samples, in measured steps since the last balance */
    int code;         /* what creation or load failed with */
} tr_worker;

typedef struct tr_carry { /* of a parameter's sum: what passes before this one left */
    tr_tree_stack stack;
    char *slots; /* [exec->carry_slots][bytes] */
} tr_carry;

struct tr_exec {
    tr_graph *graph;
    tr_program *program;
    tr_exec_options options;
    int n_threads; /* workers */
    int shard, chunk;
    char *batch; /* program->batch_bytes */
    tr_real *loss;
    int32_t *best;
    tr_worker *workers;
    tr_exec *lender, *borrower; /* of threads' memory (tr_exec_lend), or NULL */
    int64_t tile_bytes;         /* of the largest tile of a sum, or of a gradient */
    int n_temporaries;          /* the most that any part of the tree needs */
    int64_t *partition;         /* [n_threads + 1] a full pass's shards, partitioned (balance.h) */
    bool balances;              /* there are enough of them that measuring pays */
    bool measures;              /* that, and this is a full pass */
    int n_measured;             /* full passes since they were partitioned last */
    int64_t *step_partition;    /* [active + 1] those of the pass under way */
    tr_tree_stack *stacks;      /* [active + 1] of what passes before left, of each thread */
    tr_tree_remaining whole;    /* of the pass: completes statistics of it */
    tr_tree_remaining joined;   /* with what passes before left: of gradients in slots */
    int carry_slots;
    tr_carry *carry;             /* [n_parameters], where there are several passes, else NULL */
    tr_tree_stack slots_carried; /* the stack of all sums in slots in it */
    uint64_t steps_ns;           /* wall clock of all steps, with profile */
    /* of the pass under way, written by thread 0 before the job starts */
    tr_team *team;
    const tr_input *input;
    tr_record record;
    double lr;
    bool complete; /* the effective batch ends with this pass */
    int active;    /* threads */
    int64_t first_shard, n_shards;
    const tr_real *x; /* input->x, and input->stride: still known when the step is over */
    int64_t x_stride;
};

/* One thread in a pass: what runs through the program. */
typedef struct tr_run {
    tr_exec *exec;
    tr_worker *me;
    int thread;
    int64_t shard0, shard1; /* its shards of the pass */
    int chunk0;             /* first sample of the chunk under way */
    tr_tree_stack done;     /* sums of the segment's chunks before it */
    uint64_t mark;          /* profile: when the time of the next entry begins */
} tr_run;

/* Entries of a worker's profile: the steps, then these. */
static inline int tr_entry_of_gradient(const tr_exec *exec, int parameter) {
    return exec->program->n_steps + parameter;
}
static inline int tr_n_entries(const tr_exec *exec) {
    return exec->program->n_steps + exec->program->n_parameters;
}
/* Charge the time since the last call to an entry of the profile. */
void tr_charge(tr_run *t, int entry);

/* Before the job: what the threads read of the pass. */
void tr_begin_pass(tr_exec *exec, tr_team *team, const tr_input *input, double lr, int64_t step);
/* The job of one thread: its part of a pass. */
void tr_exec_run(int thread, void *exec);
void tr_begin_run(tr_run *t, tr_exec *exec, int thread);
tr_work tr_work_of(const tr_run *t, const tr_step *step);
void tr_set_samples(const tr_run *t, tr_work *w, int n0, int n1);
/* Run the steps first .. end-1, which are of one segment. */
void tr_run_steps(tr_run *t, int first, int end);
/* Tests (check.c): fill what no later segment touches with NaN. */
void tr_poison_dead(const tr_run *t, int segment);

/* ---- sums (sums.c) ---- */

/* A step that adds up a sum: samples n0 .. n1-1, a chunk of the thread's, into its slots. */
void tr_add_up(const tr_run *t, const tr_step *step, int n0, int n1);
/* Complete the sums that a step for each thread reads, for the samples of the pass. */
void tr_complete_totals(const tr_run *t, const tr_step *step);
/* The gradient of the elements e0 .. e1-1, a tile, of a parameter. Of an effective batch that goes
 * on: puts what there is so far aside, and returns NULL. */
const tr_real *tr_complete_tile(tr_run *t, int entry, tr_work *w, int parameter, int64_t e0,
                                int64_t e1);
/* Behind a pass: what passes so far left, for the next one. */
void tr_carry_over(tr_exec *exec);
/* Before the first pass of an effective batch. */
void tr_carry_nothing(tr_exec *exec);
/* The most sums that a sum's stack is ever left with between passes. */
int tr_most_carried(const tr_exec *exec);
double tr_sum_losses(const tr_exec *exec);

#endif
