/* The module `bench`: benchmarks. What others see of it is in trainer/trainer.h (tr_bench_...);
 * here is what its files share: training for a while, without a run directory.
 *
 * Speed is measured in windows of a few steps, and the fastest decile of the windows counts: what
 * else runs on the machine, or on the host of a virtual one, only ever makes steps longer, and at
 * a barrier all other threads wait for one that is delayed. (The minimum as the robust estimate:
 * Chen and Revels 2016, https://arxiv.org/abs/1608.04295.) What the program itself does only
 * occasionally, as at the start of an epoch, is left out with them: numbers over all windows are
 * given beside it.
 */
#ifndef TR_BENCH_H
#define TR_BENCH_H

#include "train/train.h"

typedef struct tr_timed {
    double seconds, step_seconds; /* wall clock; of it in steps */
    int64_t steps, images;
} tr_timed;

/* TR_ECONFIG where a public function is given what it cannot use. */
int tr_bench_check(const tr_config *config, double seconds, const void *out, tr_error *err);
int tr_bench_check_range(const char *name, int value, int min, int max, tr_error *err);

/* Open what the configuration names, and close it, for one of the public calls. */
int tr_bench_begin(tr_config *config, tr_session *out, tr_error *err);
void tr_bench_end(tr_config *config, tr_session *session);

/* A loop over full batches. `more`: what the caller will hold beside it, or NULL. On thread 0 of
 * the team, as the others. tr_loop_close also after a failure. */
int tr_bench_open(tr_session *session, const tr_account *more, tr_team *team, tr_loop *out,
                  tr_error *err);
/* Train for about `seconds`, but at least `fewest` steps; one epoch after the other. */
int tr_bench_train(tr_loop *loop, tr_team *team, double seconds, int fewest, tr_timed *out,
                   tr_error *err);

/* ---- windows (window.c) ---- */

enum { TR_FASTEST = 10 }; /* one in so many windows counts */

typedef struct tr_windows {
    int n, max;
    double seconds;   /* of one, or one step */
    tr_timed *window; /* [max] */
    double *scratch;  /* [max] */
} tr_windows;

/* `seconds`: how long they will be measured; `bytes`: what the caller will keep of each. Both
 * together take at most TR_WINDOWS_BYTES, but there are at least a hundred windows. */
enum { TR_WINDOWS_BYTES = 8 << 20 };
int tr_windows_create(tr_windows *out, double seconds, int64_t bytes, tr_error *err);
void tr_windows_free(tr_windows *windows);
/* Train for one more window: half a millisecond or more, or one step. Not when n is max. */
int tr_windows_add(tr_windows *windows, tr_loop *loop, tr_team *team, tr_error *err);
/* The sum of the fastest windows, one in `of`. `chosen`, where it is not NULL, is called with the
 * number of each. */
tr_timed tr_windows_fastest(const tr_windows *windows, int of, void (*chosen)(int i, void *arg),
                            void *arg);

void tr_bench_sort(double *values, int n); /* in rising order */
/* Floating-point operations of training on one image: forward, and both ways of backward. */
double tr_bench_flops(const tr_session *session);
/* The peak: GFLOP/s of multiply-adds on the first n threads, the best of so many runs. */
double tr_bench_measure_peak(tr_team *team, const tr_kernels *kernels, int n, int runs);

/* ---- the public calls, on the calling thread ----
 * call.c runs them on a thread of the library. */

int tr_bench_peak_here(const char *isa, int threads, int runs, double *gflops, tr_error *err);
int tr_bench_step_here(tr_config *config, double seconds, tr_bench_step_result *out, tr_error *err);
int tr_bench_loader_here(tr_config *config, int workers, double seconds,
                         tr_bench_loader_result *out, tr_error *err);
int tr_bench_scaling_here(tr_config *config, const int *threads, int n, double seconds,
                          tr_bench_scaling_row *out, const char *picture, tr_error *err);

#endif
