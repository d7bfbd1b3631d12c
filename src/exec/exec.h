/* The module `exec`: runs a program on the team.
 *
 * A step is one job for the team: each thread executes the program: its part of every phase
 * (shards by balance.h, blocks by tr_part), the update of its blocks of the parameters, and the
 * barriers of the program. Nothing is allocated and nothing can fail in a step but the loading of
 * data. Which thread does what never shows: gradients are summed over shards in one fixed binary
 * tree (tree.c).
 */
#ifndef TR_EXEC_H
#define TR_EXEC_H

#include "graph/graph.h"
#include "optim/optim.h"
#include "threads/threads.h"

typedef struct tr_exec tr_exec;

typedef struct tr_exec_options {
    int batch;      /* samples of a pass at most */
    int effective;  /* samples between two updates at most, a multiple of `shard` in each pass but
                     * the last; 0: those of one pass */
    bool training;  /* false: forward and loss only */
    bool eval_mode; /* training, too, but layers are in the mode of evaluation */
    int shard;      /* samples in a shard; 0: tr_exec_shard(effective) */
    int64_t wide; /* parameters of more elements have gradients by elements; 0: the usual number */
    const tr_kernels *kernels;
    const tr_optimizer *optimizer; /* training; NULL: gradients are made, parameters stay */
    const void *optimizer_args;
    bool loads;          /* the input's samples are made by tr_input.load, not given in x */
    bool profile;        /* measure every phase (tr_exec_profile); costs about 50 ns a phase */
    bool keep_gradients; /* copies of all gradients (tr_exec_gradient) */
    bool input_gradient; /* make that of the network's input, too (tr_exec_input_gradient) */
    double clip_norm;    /* gradients are scaled so that all together have this norm at most; 0: no
                          * (torch.nn.utils.clip_grad_norm_) */
    double clip_value;   /* then each element is cut to [-it, it]; 0: no (clip_grad_value_) */
    bool part;           /* this executor sees a part of the effective batch only: nothing is ever
                          * completed or updated but by tr_exec_join */
    const int64_t *partition; /* tests: [threads + 1] a full pass's shards, for good; else NULL */
    bool poison;              /* tests: buffers are filled with NaN after their last declared use */
} tr_exec_options;

/* Samples in a shard where the configuration does not say: the effective batch over 64, rounded
 * up. */
int tr_exec_shard(int64_t effective);

/* In two steps, so that what it will hold can be asked (tr_exec_account) before it is allocated.
 * tr_exec_plan: for a team of so many threads. tr_exec_allocate: on thread 0 of that team, when the
 * graph is allocated; each thread allocates its own memory, and touches first what it will use,
 * the graph's parameters included. The graph must outlive it; its parameters are changed by
 * training steps. */
int tr_exec_plan(tr_graph *graph, const tr_exec_options *options, int n_threads, tr_exec **out,
                 tr_error *err);
int tr_exec_allocate(tr_exec *exec, tr_team *team, tr_error *err);
/* Two executors that never run at the same time: the borrower uses the lender's memory of threads,
 * which is planned for both. Behind tr_exec_plan of both and before anything else of either; the
 * lender is allocated first. Nothing happens where it has fewer threads. */
void tr_exec_lend(tr_exec *lender, tr_exec *borrower);
/* Add what it holds or will hold, without the graph's parameters. */
void tr_exec_account(const tr_exec *exec, tr_account *account);
/* Both steps. */
int tr_exec_create(tr_graph *graph, const tr_exec_options *options, tr_team *team, tr_exec **out,
                   tr_error *err);
void tr_exec_free(tr_exec *exec);

typedef struct tr_input {
    int n;                /* 1 .. batch */
    int64_t first, count; /* of the effective batch: place of sample 0, samples of it; count 0:
                           * these are all. The update follows the pass with the last of them. */
    uint64_t seed;        /* with epoch: of what layers draw (dropout) */
    int64_t epoch;
    const int32_t *labels; /* [n] */
    /* Without options.loads: [n] samples, `stride` elements apart, TR_LANES of slack behind each.
     */
    const tr_real *x;
    int64_t stride;
    /* With it: makes samples n0..n1-1 and their labels, the first at x, on the thread that will use
     * them. Returns 0 or a negative code. */
    int (*load)(void *arg, int n0, int n1, tr_real *x, int64_t stride);
    void *arg;
} tr_input;

typedef struct tr_result {
    double loss; /* mean over the samples */
    int64_t n_correct;
    const int32_t *best; /* [n] predicted classes, until the next step */
} tr_result;

/* One step on the team (thread 0 calls). lr: what the optimizer uses; step: 0 for the first.
 * Returns TR_OK or the code that load returned. The loss may be not finite: that is the caller's to
 * judge.
 */
int tr_exec_step(tr_exec *exec, tr_team *team, const tr_input *input, double lr, int64_t step,
                 tr_result *result);

/* Time that the team spent in tr_input.load since creation, mean over its threads. */
double tr_exec_load_seconds(const tr_exec *exec);

/* How it partitions a batch. */
typedef struct tr_exec_partition {
    int chunk;           /* samples that go through a thread at a time */
    int shard, n_shards; /* samples in a shard, shards in a full batch */
    int n_barriers;      /* barriers in a step */
} tr_exec_partition;
void tr_exec_get_partition(const tr_exec *exec, tr_exec_partition *out);
/* Bytes that a layer keeps for each sample of a batch between forward and backward. */
int64_t tr_exec_kept(const tr_exec *exec, const tr_node *node);

/* The gradient of a parameter, laid out as the row's own memory (tr_row_read), after a step
 * (keep_gradients); NULL: it has none. */
const tr_real *tr_exec_gradient(const tr_exec *exec, const tr_row *row);
/* The gradients of n executors (option `part`), each of which ran one pass over its part of one
 * effective batch, in the order of the parts, which begin at whole leaves of all sums: completed,
 * as one executor would have. Kept in those of the first. */
int tr_exec_join(tr_exec *const *execs, int n, tr_error *err);
/* After a step, for its sample i, [h][w][c] in the internal layout: the logits; the gradient of the
 * input. */
const tr_real *tr_exec_output(const tr_exec *exec, int i);
const tr_real *tr_exec_input_gradient(const tr_exec *exec, int i);

/* Measure phases from the next step on, or no more; what was measured stays. */
void tr_exec_set_profile(tr_exec *exec, bool on);
/* Where the time of the measured steps since creation went (profile). */
typedef struct tr_profile_row {
    const char *node, *phase; /* node "" for what is no layer's own */
    bool overhead;            /* barriers, reduction and update, loading */
    double seconds;           /* mean over the threads that took part */
} tr_profile_row;
/* Rows in program order, then the weight gradients that are made in updates, then "barrier", which
 * is what the others leave of the wall clock. Returns their number, at most max;
 * tr_exec_n_profile_rows says how many there are. */
int tr_exec_n_profile_rows(const tr_exec *exec);
int tr_exec_profile(const tr_exec *exec, tr_profile_row *rows, int max);

/* Tests: one step on one thread, each of whose phases is run again with each declared input
 * poisoned, whereupon a declared output must change; nothing else may ever change. NULL, or
 * (tr_free) what is declared wrong. */
char *tr_exec_check(tr_exec *exec, tr_team *team, const tr_input *input);

#endif
