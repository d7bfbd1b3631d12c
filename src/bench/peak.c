/* The peak of fused multiply-adds, and how many threads there may be. */
#include <limits.h>
#include <string.h>

#include "bench/bench.h"

enum { PEAK_ROUNDS = 500000 /* about a millisecond */ };

typedef struct peak_work {
    const tr_kernels *kernels;
    int64_t rounds;
    double flops[TR_MAX_THREADS];
} peak_work;

static void peak_job(int thread, void *arg) {
    peak_work *w = arg;
    tr_real sink;
    w->flops[thread] = (double)w->kernels->peak(w->rounds, &sink);
}

double tr_bench_measure_peak(tr_team *team, const tr_kernels *kernels, int n, int runs) {
    peak_work work = {.kernels = kernels, .rounds = PEAK_ROUNDS};
    double best = 0;
    if (strcmp(kernels->name, "scalar") == 0) work.rounds /= 50;
    for (int r = -1; r < runs; r++) { /* the first warms up */
        double start = tr_now(), flops = 0;
        tr_team_do(team, n, peak_job, &work);
        double seconds = tr_now() - start;
        for (int i = 0; i < n; i++) flops += work.flops[i];
        if (r >= 0 && flops / seconds > best) best = flops / seconds;
    }
    return 1e-9 * best;
}

typedef struct peak_run {
    const tr_kernels *kernels;
    int runs;
    double gflops;
} peak_run;

static void peak_main(tr_team *team, void *arg) {
    peak_run *p = arg;
    p->gflops = tr_bench_measure_peak(team, p->kernels, tr_team_size(team), p->runs);
}

/* What `count` counts of the machine, 1 where that is unknown. */
static int count_topology(int (*count)(const tr_topology *topology)) {
    tr_topology *topology;
    if (tr_topology_load(NULL, &topology, NULL)) return 1;
    int n = count(topology);
    tr_topology_free(topology);
    return n;
}

static int auto_threads(const tr_topology *topology) {
    return (int)tr_min(tr_topology_n_auto(topology), tr_topology_n_team(topology));
}

int tr_bench_cores(void) {
    return count_topology(auto_threads);
}

int tr_bench_runnable(void) {
    return count_topology(tr_topology_n_team);
}

/* `auto` is never wrong, but the variable TRAINER_ISA may be. */
static int choose_kernels(const char *isa, const tr_kernels **out, tr_error *err) {
    tr_error inner = {0};
    int code = tr_kernels_get(isa, out, &inner);
    if (code == TR_OK) return TR_OK;
    return tr_fail(err, code, "%s%s", strcmp(isa, "auto") ? "--isa: " : "", inner.text);
}

int tr_bench_peak_here(const char *isa, int threads, int runs, double *gflops, tr_error *err) {
    peak_run run = {.runs = runs};
    tr_topology *topology = NULL;
    tr_placement placement;
    if (gflops == NULL) return tr_fail(err, TR_ECONFIG, "bench: the place for the result is NULL");
    int code = tr_bench_check_range("threads", threads, 1, TR_MAX_THREADS, err);
    if (code == TR_OK) code = tr_bench_check_range("runs", runs, 1, INT_MAX, err);
    if (code == TR_OK) code = choose_kernels(isa ? isa : "auto", &run.kernels, err);
    if (code == TR_OK) code = tr_topology_load(NULL, &topology, err);
    if (code == TR_OK) code = tr_place(topology, threads, TR_SPREAD, false, &placement, err);
    if (code == TR_OK) code = tr_team_run(&placement, peak_main, &run, err);
    tr_topology_free(topology);
    *gflops = run.gflops;
    return code;
}
