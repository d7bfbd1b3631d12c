/* The public measuring calls, each on a new thread: see threads/call.c. */
#include "bench/bench.h"

typedef struct bench_call {
    tr_config *config;
    const char *isa, *picture;
    const int *threads;
    int n; /* of threads, runs or workers */
    double seconds;
    void *out;
    tr_error *err;
} bench_call;

static int bench_peak(tr_call *call, void *arg) {
    const bench_call *c = arg;
    (void)call;
    return tr_bench_peak_here(c->isa, *c->threads, c->n, c->out, c->err);
}

int tr_bench_peak(const char *isa, int threads, int runs, double *gflops, tr_error *err) {
    bench_call c = {.isa = isa, .threads = &threads, .n = runs, .out = gflops, .err = err};
    if (gflops) *gflops = 0;
    return tr_call_run(bench_peak, &c, err);
}

static int bench_step(tr_call *call, void *arg) {
    const bench_call *c = arg;
    (void)call;
    return tr_bench_step_here(c->config, c->seconds, c->out, c->err);
}

int tr_bench_step(tr_config *config, double seconds, tr_bench_step_result *out, tr_error *err) {
    bench_call c = {.config = config, .seconds = seconds, .out = out, .err = err};
    if (out) out->n_rows = 0;
    return tr_call_run(bench_step, &c, err);
}

static int bench_loader(tr_call *call, void *arg) {
    const bench_call *c = arg;
    (void)call;
    return tr_bench_loader_here(c->config, c->n, c->seconds, c->out, c->err);
}

int tr_bench_loader(tr_config *config, int workers, double seconds, tr_bench_loader_result *out,
                    tr_error *err) {
    bench_call c = {.config = config, .n = workers, .seconds = seconds, .out = out, .err = err};
    return tr_call_run(bench_loader, &c, err);
}

static int bench_scaling(tr_call *call, void *arg) {
    const bench_call *c = arg;
    (void)call;
    return tr_bench_scaling_here(c->config, c->threads, c->n, c->seconds, c->out, c->picture,
                                 c->err);
}

int tr_bench_scaling(tr_config *config, const int *threads, int n, double seconds,
                     tr_bench_scaling_row *out, const char *picture, tr_error *err) {
    bench_call c = {.config = config,
                    .threads = threads,
                    .n = n,
                    .seconds = seconds,
                    .out = out,
                    .picture = picture,
                    .err = err};
    return tr_call_run(bench_scaling, &c, err);
}
