/* What the benchmarks of this module share: training for a while, without a run directory.
 *
 * Speed is measured in windows of a few steps, and the fastest decile of the windows counts: what
 * else runs on the machine, or on the host of a virtual one, only ever makes steps longer, and a
 * thread that is held up by it is waited for by all others. (The minimum as the robust estimate:
 * Chen and Revels 2016, https://arxiv.org/abs/1608.04295.) What the program itself does only now
 * and then, as at the start of an epoch, is left out with them: numbers over all windows are given
 * beside it.
 */
#ifndef TR_BENCH_H
#define TR_BENCH_H

#include "train/session.h"

typedef struct tr_bench_run { /* an executor that trains on a loader's batches */
    tr_session *session;
    tr_exec *exec;
    tr_batch_source source;
    int64_t step, epoch;
} tr_bench_run;

typedef struct tr_timed {
    double seconds, step_seconds; /* wall clock; of it inside steps */
    int64_t steps, images;
} tr_timed;

/* TR_ECONFIG where a public function is given what it cannot use. */
int tr_bench_check(const tr_config *config, double seconds, const void *out, tr_error *err);

/* Only full batches are trained. On thread 0 of the team, as the others. */
int tr_bench_run_open(tr_session *session, tr_team *team, tr_bench_run *out, tr_error *err);
/* Half-opened ones, too. */
void tr_bench_run_close(tr_bench_run *run);
/* Train for about `seconds`, but at least `fewest` steps. */
int tr_bench_run_train(tr_bench_run *run, tr_team *team, double seconds, int fewest, tr_timed *out,
                       tr_error *err);
enum { TR_FASTEST = 10 }; /* one in so many windows counts */

typedef struct tr_windows {
    int n, max;
    double seconds;   /* of one, or one step */
    tr_timed *window; /* [max] */
    double *scratch;  /* [max] */
} tr_windows;

/* `seconds`: how long they will be measured. */
int tr_windows_create(tr_windows *out, double seconds, tr_error *err);
void tr_windows_free(tr_windows *windows);
/* Train for one more window: half a millisecond or more, or one step. Not when n is max. */
int tr_windows_add(tr_windows *windows, tr_bench_run *run, tr_team *team, tr_error *err);
/* The sum of the fastest windows, one in `of`. `chosen`, where it is not NULL, is called with the
 * number of each. */
tr_timed tr_windows_fastest(const tr_windows *windows, int of, void (*chosen)(int i, void *arg),
                            void *arg);

/* Floating-point operations of training on one image: forward, and both ways of backward. */
double tr_bench_run_flops(const tr_session *session);
/* The peak: GFLOP/s of multiply-adds on the first n threads, the best of so many runs. */
double tr_bench_run_peak(tr_team *team, const tr_kernels *kernels, int n, int runs);

#endif
