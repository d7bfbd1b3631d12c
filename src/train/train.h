/* The module `train`: the training loop, and runs with a folder. */
#ifndef TR_TRAIN_H
#define TR_TRAIN_H

#include "setup/setup.h"

/* ---- the loop (loop.c): a run trains by it, and so does a benchmark ---- */

typedef struct tr_running_mean { /* in the order of the steps, so that it is the same everywhere */
    double sum;
    int64_t n;
} tr_running_mean;
void tr_mean_add(tr_running_mean *mean, double value, int64_t weight);
double tr_mean_of(const tr_running_mean *mean); /* NAN of nothing */

typedef struct tr_loop {
    tr_session *session;
    tr_loader_args loader;
    tr_exec *exec;
    tr_batch_source source;
    int64_t epoch;             /* under way, from 0 */
    int64_t step, global_step; /* done: of the epoch, of all */
    double lr;                 /* of the last step */
    tr_running_mean loss;      /* of the epoch */
    tr_input input;            /* the last step's last batch; from tr_loop_step on */
    int64_t n;                 /* samples of the last step, ... */
    double step_loss;          /* ... their mean loss, */
    double step_seconds;       /* ... what it took, the wait for its batches excluded, */
    double step_end;           /* ... and tr_now() behind it */
} tr_loop;

/* In two steps, as an executor: what it will hold is known after tr_loop_plan, and allocated by
 * tr_loop_allocate on thread 0 of a team of n_threads, the session's weights included.
 * tr_loop_close after either, and after a failure. `loader`: how the training set becomes batches,
 * with a number of workers. */
int tr_loop_plan(tr_session *session, const tr_loader_args *loader, int n_threads, tr_loop *out,
                 tr_error *err);
void tr_loop_account(const tr_loop *loop, tr_account *account);
int tr_loop_allocate(tr_loop *loop, tr_team *team, tr_error *err);
void tr_loop_close(tr_loop *loop);

/* Begin an epoch's batches: the steps that follow are its. */
int tr_loop_begin(tr_loop *loop, int64_t epoch, tr_error *err);
/* Train on the next batch, or as many as go into a step (train.accumulate). Returns 1; 0 where the
 * epoch has no more; or a failure, TR_ENONFINITE where the loss is not finite. Behind the
 * configured number of steps the learning rate stays. */
int tr_loop_step(tr_loop *loop, tr_team *team, tr_error *err);

/* ---- results (run_dir.c, summary.c) ---- */

/* The files of a run's folder, and what each holds. */
const tr_entry *tr_run_files(int *n);

/* A summary as summary.json has it; `test`: only what tr_evaluate fills. NULL where there is no
 * memory. */
json_t *tr_summary_json(const tr_summary *summary, bool test);

#endif
