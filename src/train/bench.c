/* Benchmarks: the peak, the loader alone, threads against threads; bench_step.c has the fourth.
 *
 * They train the given configuration as `train` does, without a run directory. Numbers that are
 * compared are measured in one run, taking turns.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "train/bench.h"
#include "train/here.h"

enum {
    PEAK_ROUNDS = 500000, /* about a millisecond */
    ROUNDS = 3,           /* turns of each side; the median counts */
    TURNS = 7,            /* of each number of threads */
    PEAK_RUNS = 9,
    FEWEST_STEPS = 3, /* of a turn, where steps are long */
};

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- arguments ---- */

int tr_bench_check(const tr_config *config, double seconds, const void *out, tr_error *err) {
    static const double most = 86400;
    if (config == NULL) return tr_fail(err, TR_ECONFIG, "bench: the configuration is NULL");
    if (out == NULL) return tr_fail(err, TR_ECONFIG, "bench: the place for the result is NULL");
    if (!(seconds > 0 && seconds <= most))
        return tr_fail(err, TR_ECONFIG,
                       "seconds: %g is out of range, allowed are more than 0 and up to %.0f",
                       seconds, most);
    return TR_OK;
}

static int check_range(const char *name, int value, int min, int max, tr_error *err) {
    if (value >= min && value <= max) return TR_OK;
    return tr_fail(err, TR_ECONFIG, "%s: %d is out of range, allowed are %d to %d", name, value,
                   min, max);
}

/* ---- the peak ---- */

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

double tr_bench_run_peak(tr_team *team, const tr_kernels *kernels, int n, int runs) {
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
    p->gflops = tr_bench_run_peak(team, p->kernels, tr_team_size(team), p->runs);
}

/* What count says of the machine, 1 where that is unknown. */
static int ask_topology(int (*count)(const tr_topology *topology)) {
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
    return ask_topology(auto_threads);
}

int tr_bench_runnable(void) {
    return ask_topology(tr_topology_n_team);
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
    int code = check_range("threads", threads, 1, TR_MAX_THREADS, err);
    if (code == TR_OK) code = check_range("runs", runs, 1, INT_MAX, err);
    if (code == TR_OK) code = choose_kernels(isa ? isa : "auto", &run.kernels, err);
    if (code == TR_OK) code = tr_topology_load(NULL, &topology, err);
    if (code == TR_OK) code = tr_place(topology, threads, TR_SPREAD, false, &placement, err);
    if (code == TR_OK) code = tr_team_run(&placement, peak_main, &run, err);
    tr_topology_free(topology);
    *gflops = run.gflops;
    return code;
}

/* ---- training for a while ---- */

int tr_bench_run_open(tr_session *s, tr_team *team, tr_bench_run *out, tr_error *err) {
    const tr_experiment *e = &s->experiment;
    int batch = (int)tr_min(e->loader.batch_size, s->train.n);
    tr_exec_options options = {.batch = batch,
                               .training = true,
                               .loads = s->workers == 0,
                               .shard = (int)tr_min(tr_max(0, e->run.shard), batch),
                               .kernels = s->kernels,
                               .optimizer = e->optimizer,
                               .optimizer_args = e->optimizer_args};
    *out = (tr_bench_run){.session = s};
    int code = tr_exec_plan(s->graph, &options, tr_team_size(team), &out->exec, err);
    if (code) return code;
    tr_account account;
    tr_session_account(s, out->exec, NULL, &account);
    code = tr_account_check(&account, s, err);
    if (code == TR_OK) code = tr_session_start(s, out->exec, team, err);
    tr_loader_args loader = e->loader;
    loader.batch_size = batch;
    loader.drop_last = true; /* a short batch is faster, and there may be one in every window */
    if (code == TR_OK) code = tr_batch_source_open(s, &s->train, &loader, &out->source, err);
    if (code == TR_OK) code = tr_loader_begin(out->source.loader, 0, err);
    return code;
}

void tr_bench_run_close(tr_bench_run *t) {
    tr_batch_source_close(&t->source);
    tr_exec_free(t->exec);
}

int tr_bench_run_train(tr_bench_run *t, tr_team *team, double seconds, int fewest, tr_timed *out,
                       tr_error *err) {
    const tr_experiment *e = &t->session->experiment;
    double lr = e->optimizer->lr(e->optimizer_args), start = tr_now();
    *out = (tr_timed){0};
    while (out->seconds < seconds || out->steps < fewest) {
        tr_input input;
        tr_result result;
        int code = tr_batch_source_next(&t->source, &input, err);
        if (code < 0) return code;
        if (code == 0) {
            if ((code = tr_loader_begin(t->source.loader, ++t->epoch, err))) return code;
            continue;
        }
        double before = tr_now();
        code = tr_exec_step(t->exec, team, &input, lr, t->step++, &result);
        if (code) return tr_batch_source_failure(&t->source, code, err);
        double now = tr_now();
        out->step_seconds += now - before;
        out->seconds = now - start;
        out->images += input.n;
        out->steps++;
    }
    return TR_OK;
}

double
tr_bench_run_flops(const tr_session *s) { /* of training on one image: forward, and both backward */
    double flops = 0;
    bool first = true;
    for (int i = 1; i < s->graph->n_nodes; i++) {
        const tr_node *node = &s->graph->nodes[i];
        if (node->op->multiply_adds == NULL) continue;
        /* The first layer with parameters needs no input gradient. */
        flops += 2.0 * (double)node->op->multiply_adds(node) * (first ? 2 : 3);
        first = false;
    }
    return flops;
}

/* ---- windows ---- */

enum { MOST_WINDOWS = 1 << 14 };
static const double shortest_window = 0.5e-3;

int tr_windows_create(tr_windows *out, double seconds, tr_error *err) {
    double even = seconds / MOST_WINDOWS;
    *out = (tr_windows){.max = MOST_WINDOWS,
                        .seconds = even > shortest_window ? even : shortest_window};
    out->window = tr_alloc(MOST_WINDOWS, sizeof *out->window, err);
    out->scratch = tr_alloc(MOST_WINDOWS, sizeof *out->scratch, err);
    return out->window && out->scratch ? TR_OK : TR_ENOMEM;
}

void tr_windows_free(tr_windows *windows) {
    tr_free(windows->window);
    tr_free(windows->scratch);
}

int tr_windows_add(tr_windows *windows, tr_bench_run *run, tr_team *team, tr_error *err) {
    tr_timed *window = &windows->window[windows->n];
    int code = tr_bench_run_train(run, team, windows->seconds, 1, window, err);
    windows->n += code == TR_OK;
    return code;
}

static double step_seconds(const tr_timed *time) {
    return time->seconds / (double)time->steps;
}

tr_timed tr_windows_fastest(const tr_windows *windows, int of, void (*chosen)(int i, void *arg),
                            void *arg) {
    tr_timed sum = {0};
    int n = windows->n;
    for (int i = 0; i < n; i++) windows->scratch[i] = step_seconds(&windows->window[i]);
    qsort(windows->scratch, (size_t)n, sizeof *windows->scratch, ascending);
    for (int i = 0; i < n; i++) {
        const tr_timed *window = &windows->window[i];
        if (step_seconds(window) > windows->scratch[(n - 1) / of]) continue;
        sum.seconds += window->seconds;
        sum.step_seconds += window->step_seconds;
        sum.steps += window->steps;
        sum.images += window->images;
        if (chosen) chosen(i, arg);
    }
    return sum;
}

/* ---- bench loader ---- */

typedef struct loader_run {
    tr_session session;
    int workers;
    double seconds;
    tr_bench_loader_result *out;
    tr_error *err;
    int code;
} loader_run;

/* Batches through the loader and away. */
static int drain(tr_session *s, int workers, double seconds, double *images_per_second,
                 tr_error *err) {
    tr_batch_source source;
    tr_input input;
    int64_t images = 0, epoch = 0;
    int kept = s->workers, code;
    int64_t stride = (int64_t)s->train.h * s->train.w * s->train.c;
    tr_real *room = NULL; /* for what the team would decode */
    if (workers == 0) {
        room = tr_alloc((size_t)stride,
                        (size_t)tr_min(s->experiment.loader.batch_size, s->train.n) * sizeof *room,
                        err);
        if (room == NULL) return TR_ENOMEM;
    }
    s->workers = workers;
    code = tr_batch_source_open(s, &s->train, &s->experiment.loader, &source, err);
    s->workers = kept;
    if (code == TR_OK) code = tr_loader_begin(source.loader, epoch, err);
    double start = tr_now(), now = start;
    while (code == TR_OK && (images == 0 || now - start < seconds)) {
        int more = tr_batch_source_next(&source, &input, err);
        if (more > 0 && input.load) {
            code = input.load(input.arg, 0, input.n, room, stride);
            if (code) code = tr_batch_source_failure(&source, code, err);
        }
        if (more > 0)
            images += input.n;
        else
            code = more < 0 ? more : tr_loader_begin(source.loader, ++epoch, err);
        now = tr_now();
    }
    *images_per_second = (double)images / (now - start);
    tr_batch_source_close(&source);
    tr_free(room);
    return code;
}

static int bench_loader(loader_run *r, tr_team *team) {
    tr_bench_run t = {0};
    tr_timed time;
    double alone[ROUNDS], training[ROUNDS];
    int code = tr_bench_run_open(&r->session, team, &t, r->err);
    if (code == TR_OK)
        code = tr_bench_run_train(&t, team, 0.1 * r->seconds, FEWEST_STEPS, &time, r->err);
    for (int i = 0; code == TR_OK && i < ROUNDS; i++) {
        double part = r->seconds / (2 * ROUNDS);
        code = drain(&r->session, r->workers, part, &alone[i], r->err);
        if (code == TR_OK) code = tr_bench_run_train(&t, team, part, FEWEST_STEPS, &time, r->err);
        training[i] = (double)time.images / time.seconds;
    }
    tr_bench_run_close(&t);
    if (code) return code;
    *r->out = (tr_bench_loader_result){r->workers, median(alone, ROUNDS), median(training, ROUNDS),
                                       tr_team_size(team), r->session.placement.n_threads};
    return TR_OK;
}

static void loader_main(tr_team *team, void *arg) {
    loader_run *r = arg;
    r->code = bench_loader(r, team);
}

/* `workers` does not pass through the configuration here, but its rule holds. */
static int check_workers(int workers, tr_error *err) {
    const tr_key *key = tr_loader_schema.keys;
    while (strcmp(key->name, "workers") != 0) key++;
    return check_range("workers", workers, (int)key->min, (int)key->max, err);
}

int tr_bench_loader_here(tr_config *config, int workers, double seconds,
                         tr_bench_loader_result *out, tr_error *err) {
    loader_run run = {.workers = workers, .seconds = seconds, .out = out, .err = err};
    int code = tr_bench_check(config, seconds, out, err);
    if (code == TR_OK && workers != -1) code = check_workers(workers, err);
    if (code == TR_OK) code = tr_session_open(config->doc, true, NULL, &run.session, err);
    if (code) return code;
    if (workers == -1) run.workers = run.session.workers;
    code = tr_team_run(&run.session.placement, loader_main, &run, err);
    tr_config_keep_notes(config, &run.session.notes);
    tr_session_close(&run.session);
    return code ? code : run.code;
}

/* ---- bench scaling ---- */

typedef struct scaling_side { /* a number of threads */
    int threads;
    tr_windows windows;
    double peak; /* best so far, GFLOP/s */
} scaling_side;

typedef struct scaling_run {
    tr_session session;
    double seconds;     /* of a turn */
    scaling_side *side; /* whose turn it is */
    tr_error *err;
    int code;
} scaling_run;

static void scaling_main(tr_team *team, void *arg) {
    scaling_run *r = arg;
    tr_windows *windows = &r->side->windows;
    tr_bench_run t = {0};
    tr_timed warm;
    r->code = tr_bench_run_open(&r->session, team, &t, r->err);
    if (r->code == TR_OK)
        r->code = tr_bench_run_train(&t, team, 0.1 * r->seconds, FEWEST_STEPS, &warm, r->err);
    double start = tr_now();
    for (int i = 0; r->code == TR_OK && windows->n < windows->max; i++) {
        if (i >= FEWEST_STEPS && tr_now() - start > r->seconds) break;
        r->code = tr_windows_add(windows, &t, team, r->err);
    }
    if (r->code == TR_OK) {
        double peak = tr_bench_run_peak(team, r->session.kernels, tr_team_size(team), PEAK_RUNS);
        if (peak > r->side->peak) r->side->peak = peak;
    }
    tr_bench_run_close(&t);
}

static int by_threads(const void *a, const void *b) {
    return ((const tr_bench_scaling_row *)a)->threads - ((const tr_bench_scaling_row *)b)->threads;
}

static int draw_scaling(const char *picture, const char *name, tr_bench_scaling_row *rows, int n,
                        tr_error *err) {
    double *x = tr_alloc((size_t)n * 4, sizeof *x, err);
    if (x == NULL) return TR_ENOMEM;
    double *images = x + n, *speedup = x + 2 * n, *peak = x + 3 * n;
    qsort(rows, (size_t)n, sizeof *rows, by_threads);
    for (int i = 0; i < n; i++) {
        x[i] = rows[i].threads;
        images[i] = rows[i].images_per_second;
        speedup[i] = rows[i].speedup;
        peak[i] = rows[i].peak_fraction;
    }
    char title[TR_TEXT + 64];
    snprintf(title, sizeof title, "Thread scaling of %s", name);
    const tr_series throughput[] = {{"measured", n, x, images, true}};
    const tr_series speed[] = {{"measured", n, x, speedup, true}, {"ideal", n, x, x, false}};
    const tr_series share[] = {{"measured", n, x, peak, true}};
    const tr_panel panels[] = {{"Throughput", "threads", "images per second", throughput, 1, 0, 0},
                               {"Speed-up", "threads", "times one thread", speed, 2, 0, 0},
                               {"Share of the FMA peak", "threads", "fraction", share, 1, 0, 1}};
    int code = tr_draw_panels(picture, title, panels, 3, err);
    tr_free(x);
    return code;
}

/* The loader's workers of the configuration, or what is right for the most threads. */
static int common_workers(tr_session *s, const int *threads, int n, int *out, tr_error *err) {
    int most = 0;
    for (int i = 0; i < n; i++) most = threads[i] > most ? threads[i] : most;
    int code = tr_session_place(s, most, err);
    *out = s->workers;
    return code;
}

static double images_per_second(const tr_windows *windows, int of) {
    tr_timed sum = tr_windows_fastest(windows, of, NULL, NULL);
    return (double)sum.images / sum.seconds;
}

/* Each number of threads that can run is measured once, and one thread always is: side 0. which[i]
 * is the side of threads[i]. */
static int list_sides(tr_session *s, const int *threads, int n, double seconds, scaling_side *sides,
                      int *n_sides, int *which, tr_error *err) {
    *n_sides = 0;
    for (int i = -1; i < n; i++) {
        int code = tr_session_place(s, i < 0 ? 1 : threads[i], err), k = 0;
        if (code) return code;
        while (k < *n_sides && sides[k].threads != s->placement.n_active) k++;
        if (i >= 0) which[i] = k;
        if (k < *n_sides) continue;
        sides[(*n_sides)++].threads = s->placement.n_active;
        if ((code = tr_windows_create(&sides[k].windows, seconds, err))) return code;
    }
    return TR_OK;
}

static tr_bench_scaling_row row_of(const tr_session *s, const scaling_side *side,
                                   const scaling_side *one) {
    double rate = images_per_second(&side->windows, TR_FASTEST);
    double speedup = rate / images_per_second(&one->windows, TR_FASTEST);
    double gflops = 1e-9 * tr_bench_run_flops(s) * rate;
    return (tr_bench_scaling_row){.threads = side->threads,
                                  .images_per_second = rate,
                                  .speedup = speedup,
                                  .efficiency = speedup / side->threads,
                                  .gflops = gflops,
                                  .peak_gflops = side->peak,
                                  .peak_fraction = gflops / side->peak,
                                  .all_images_per_second = images_per_second(&side->windows, 1)};
}

static int check_scaling(const tr_config *config, const int *threads, int n, double seconds,
                         const void *out, tr_error *err) {
    int code = tr_bench_check(config, seconds, out, err);
    if (code) return code;
    if (threads == NULL)
        return tr_fail(err, TR_ECONFIG, "bench: the list of numbers of threads is NULL");
    code = check_range("numbers of threads", n, 1, TR_MAX_THREADS, err);
    for (int i = 0; code == TR_OK && i < n; i++)
        code = check_range("threads", threads[i], 1, TR_MAX_THREADS, err);
    return code;
}

int tr_bench_scaling_here(tr_config *config, const int *threads, int n, double seconds,
                          tr_bench_scaling_row *out, const char *picture, tr_error *err) {
    scaling_run run = {.seconds = seconds / TURNS, .err = err};
    int code = check_scaling(config, threads, n, seconds, out, err), workers, n_sides = 0;
    if (code == TR_OK) code = tr_session_open(config->doc, true, NULL, &run.session, err);
    if (code) return code;
    size_t most = (size_t)n + 1;
    scaling_side *sides = tr_alloc(most, sizeof *sides, err);
    tr_bench_scaling_row *rows = tr_alloc(most, sizeof *rows, err);
    int *which = tr_alloc(most, sizeof *which, err);
    code = sides && rows && which ? common_workers(&run.session, threads, n, &workers, err)
                                  : TR_ENOMEM;
    if (code == TR_OK)
        code = list_sides(&run.session, threads, n, seconds, sides, &n_sides, which, err);
    for (int t = 0; code == TR_OK && t < TURNS; t++) {
        for (int i = 0; code == TR_OK && i < n_sides; i++) {
            run.side = &sides[i];
            code = tr_session_place(&run.session, sides[i].threads, err);
            run.session.workers = workers;
            if (code == TR_OK) code = tr_team_run(&run.session.placement, scaling_main, &run, err);
            if (code == TR_OK) code = run.code;
        }
    }
    for (int i = 0; code == TR_OK && i < n_sides; i++)
        rows[i] = row_of(&run.session, &sides[i], &sides[0]);
    for (int i = 0; code == TR_OK && i < n; i++) {
        out[i] = rows[which[i]];
        out[i].threads_asked = threads[i];
    }
    if (code == TR_OK && picture)
        code = draw_scaling(picture, run.session.experiment.name, rows, n_sides, err);
    for (int i = 0; i < n_sides; i++) tr_windows_free(&sides[i].windows);
    tr_free(sides);
    tr_free(rows);
    tr_free(which);
    tr_config_keep_notes(config, &run.session.notes);
    tr_session_close(&run.session);
    return code;
}
