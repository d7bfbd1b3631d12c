/* Benchmarks: the roof, where a step's time goes, the loader alone, threads against threads.
 *
 * They train the given configuration as `train` does, without a run directory. Numbers that are
 * compared are measured in one run, taking turns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"
#include "train/session.h"

enum {
    PEAK_ROUNDS = 2000000, /* about 10 ms */
    ROUNDS = 3,            /* turns of each side; the median counts */
    STEP_TURNS = 20,       /* short ones, of which all count: both sides see the same minutes */
};

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, ascending);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- the roof ---- */

typedef struct peak_work {
    const tr_kernels *kernels;
    int64_t rounds;
    double flops[TR_MAX_THREADS];
} peak_work;

static void peak_job(int rank, void *arg) {
    peak_work *w = arg;
    tr_real sink;
    w->flops[rank] = (double)w->kernels->peak(w->rounds, &sink);
}

/* GFLOP/s of the first n ranks. */
static double measure_peak(tr_team *team, const tr_kernels *kernels, int n, int runs) {
    peak_work work = {.kernels = kernels, .rounds = PEAK_ROUNDS};
    double values[64];
    if (strcmp(kernels->name, "scalar") == 0) work.rounds /= 50;
    if (runs > 64) runs = 64;
    for (int r = -1; r < runs; r++) { /* the first warms up */
        double start = tr_now(), flops = 0;
        tr_team_do(team, n, peak_job, &work);
        double seconds = tr_now() - start;
        for (int i = 0; i < n; i++) flops += work.flops[i];
        if (r >= 0) values[r] = 1e-9 * flops / seconds;
    }
    return median(values, runs);
}

typedef struct peak_run {
    const tr_kernels *kernels;
    int runs;
    double gflops;
} peak_run;

static void peak_main(tr_team *team, void *arg) {
    peak_run *p = arg;
    p->gflops = measure_peak(team, p->kernels, tr_team_size(team), p->runs);
}

int tr_bench_cores(void) {
    tr_topology *topology;
    if (tr_topology_load(NULL, &topology, NULL)) return 1;
    int n = tr_topology_n_cores(topology);
    tr_topology_free(topology);
    return n;
}

int tr_bench_peak(const char *isa, int threads, int runs, double *gflops, tr_error *err) {
    peak_run run = {.runs = runs < 1 ? 1 : runs};
    tr_topology *topology = NULL;
    tr_placement placement;
    int code = tr_kernels_get(isa, &run.kernels, err);
    if (code == TR_OK) code = tr_topology_load(NULL, &topology, err);
    if (code == TR_OK) code = tr_place(topology, threads, TR_SPREAD, false, &placement, err);
    if (code == TR_OK) code = tr_team_run(&placement, peak_main, &run, err);
    tr_topology_free(topology);
    *gflops = run.gflops;
    return code;
}

/* ---- training for a while ---- */

typedef struct trial { /* one executor that trains from batches held in memory or from a loader */
    tr_session *session;
    tr_exec *exec;
    tr_feed feed;
    int64_t step, epoch;
} trial;

static int open_trial(tr_session *s, tr_team *team, bool profile, trial *out, tr_error *err) {
    const tr_experiment *e = &s->experiment;
    int batch = (int)tr_min(e->loader.batch_size, s->train.n);
    tr_exec_options options = {.batch = batch,
                               .training = true,
                               .loads = s->workers == 0,
                               .shard = (int)tr_min(tr_max(0, e->run.shard), batch),
                               .kernels = s->kernels,
                               .optimizer = e->optimizer,
                               .optimizer_args = e->optimizer_args,
                               .profile = profile};
    *out = (trial){.session = s};
    int code = tr_exec_create(s->graph, &options, team, &out->exec, err);
    if (code == TR_OK) code = tr_feed_open(s, &s->train, &e->loader, &out->feed, err);
    if (code == TR_OK) code = tr_loader_begin(out->feed.loader, 0, err);
    return code;
}

static void close_trial(trial *t) {
    tr_feed_close(&t->feed);
    tr_exec_free(t->exec);
}

typedef struct timed {
    double seconds, step_seconds; /* wall clock; of it inside steps */
    int64_t steps, images;
} timed;

/* Train for about `seconds`. */
static int train_for(trial *t, tr_team *team, double seconds, timed *out, tr_error *err) {
    const tr_experiment *e = &t->session->experiment;
    double lr = e->optimizer->lr(e->optimizer_args), start = tr_now();
    *out = (timed){0};
    while (out->seconds < seconds || out->steps < 3) {
        tr_input input;
        tr_result result;
        int code = tr_feed_next(&t->feed, &input, err);
        if (code < 0) return code;
        if (code == 0) {
            if ((code = tr_loader_begin(t->feed.loader, ++t->epoch, err))) return code;
            continue;
        }
        double before = tr_now();
        code = tr_exec_step(t->exec, team, &input, lr, t->step++, &result);
        if (code) return tr_feed_failed(&t->feed, code, err);
        double now = tr_now();
        out->step_seconds += now - before;
        out->seconds = now - start;
        out->images += input.n;
        out->steps++;
    }
    return TR_OK;
}

static double
flops_of(const tr_session *s) { /* of training on one image: forward, and both backward */
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

/* ---- bench step ---- */

typedef struct step_run {
    tr_session session;
    double seconds;
    tr_bench_step_result *out;
    tr_error *err;
    int code;
} step_run;

static void add_row(tr_bench_step_result *out, const tr_profile_row *row, double microseconds) {
    if (out->n_rows == TR_BENCH_ROWS) return;
    tr_bench_row *to = &out->rows[out->n_rows++];
    snprintf(to->name, sizeof to->name, "%s%s%s", row->node, row->node[0] ? " " : "", row->phase);
    to->overhead = row->overhead;
    to->microseconds = microseconds;
}

static int fill_rows(const trial *t, const timed *time, tr_bench_step_result *out) {
    tr_profile_row rows[TR_BENCH_ROWS];
    int n = tr_exec_profile(t->exec, rows, TR_BENCH_ROWS - 1);
    double unit = 1e6 / (double)time->steps, sum = 0, overhead = 0;
    for (int i = 0; i < n; i++) add_row(out, &rows[i], unit * rows[i].seconds);
    tr_profile_row next = {"", "next batch", true, time->seconds - time->step_seconds};
    add_row(out, &next, unit * next.seconds);
    for (int i = 0; i < out->n_rows; i++) {
        sum += out->rows[i].microseconds;
        overhead += out->rows[i].overhead ? out->rows[i].microseconds : 0;
    }
    out->overhead_fraction = overhead / sum;
    return TR_OK;
}

static int train_more(trial *t, tr_team *team, double seconds, timed *sum, tr_error *err) {
    timed time;
    int code = train_for(t, team, seconds, &time, err);
    if (code) return code;
    sum->seconds += time.seconds;
    sum->step_seconds += time.step_seconds;
    sum->steps += time.steps;
    sum->images += time.images;
    return TR_OK;
}

static int bench_step(step_run *r, tr_team *team) {
    trial plain = {0}, profiled = {0};
    timed warm, plain_time = {0}, time = {0};
    double part = r->seconds / (2 * STEP_TURNS);
    tr_session *s = &r->session;
    int code = open_trial(s, team, false, &plain, r->err);
    if (code == TR_OK) code = open_trial(s, team, true, &profiled, r->err);
    if (code == TR_OK) code = train_for(&plain, team, 0.1 * r->seconds, &warm, r->err);
    for (int i = 0; code == TR_OK && i < STEP_TURNS; i++) {
        code = train_more(&plain, team, part, &plain_time, r->err);
        if (code == TR_OK) code = train_more(&profiled, team, part, &time, r->err);
    }
    if (code == TR_OK) {
        r->out->threads = tr_team_size(team);
        r->out->step_microseconds = 1e6 * plain_time.seconds / (double)plain_time.steps;
        r->out->profiled_microseconds = 1e6 * time.seconds / (double)time.steps;
        r->out->images_per_second = (double)plain_time.images / plain_time.seconds;
        r->out->gflops = 1e-9 * flops_of(s) * r->out->images_per_second;
        r->out->peak_gflops = measure_peak(team, s->kernels, tr_team_size(team), 5);
        code = fill_rows(&profiled, &time, r->out);
    }
    close_trial(&plain);
    close_trial(&profiled);
    return code;
}

static void step_main(tr_team *team, void *arg) {
    step_run *r = arg;
    r->code = bench_step(r, team);
}

int tr_bench_step(tr_config *config, double seconds, tr_bench_step_result *out, tr_error *err) {
    step_run run = {.seconds = seconds, .out = out, .err = err};
    *out = (tr_bench_step_result){0};
    int code = tr_session_open(config->doc, true, &run.session, err);
    if (code) return code;
    code = tr_team_run(&run.session.placement, step_main, &run, err);
    tr_session_close(&run.session);
    return code ? code : run.code;
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
    tr_feed feed;
    tr_input input;
    int64_t images = 0, epoch = 0;
    int kept = s->workers, code;
    int64_t stride = (int64_t)s->train.h * s->train.w * s->train.c;
    tr_real *room = NULL; /* for what the team would decode */
    if (workers == 0) {
        room =
            tr_alloc((size_t)stride, (size_t)s->experiment.loader.batch_size * sizeof *room, err);
        if (room == NULL) return TR_ENOMEM;
    }
    s->workers = workers;
    code = tr_feed_open(s, &s->train, &s->experiment.loader, &feed, err);
    s->workers = kept;
    if (code == TR_OK) code = tr_loader_begin(feed.loader, epoch, err);
    double start = tr_now(), now = start;
    while (code == TR_OK && now - start < seconds) {
        int more = tr_feed_next(&feed, &input, err);
        if (more > 0 && input.load) {
            code = input.load(input.arg, 0, input.n, room, stride);
            if (code) code = tr_feed_failed(&feed, code, err);
        }
        if (more > 0)
            images += input.n;
        else
            code = more < 0 ? more : tr_loader_begin(feed.loader, ++epoch, err);
        now = tr_now();
    }
    *images_per_second = (double)images / (now - start);
    tr_feed_close(&feed);
    tr_free(room);
    return code;
}

static int bench_loader(loader_run *r, tr_team *team) {
    trial t = {0};
    timed time;
    double alone[ROUNDS], training[ROUNDS];
    int code = open_trial(&r->session, team, false, &t, r->err);
    if (code == TR_OK) code = train_for(&t, team, 0.1 * r->seconds, &time, r->err);
    for (int i = 0; code == TR_OK && i < ROUNDS; i++) {
        double part = r->seconds / (2 * ROUNDS);
        code = drain(&r->session, r->workers, part, &alone[i], r->err);
        if (code == TR_OK) code = train_for(&t, team, part, &time, r->err);
        training[i] = (double)time.images / time.seconds;
    }
    close_trial(&t);
    if (code) return code;
    *r->out = (tr_bench_loader_result){r->workers, median(alone, ROUNDS), median(training, ROUNDS)};
    return TR_OK;
}

static void loader_main(tr_team *team, void *arg) {
    loader_run *r = arg;
    r->code = bench_loader(r, team);
}

/* `workers` does not pass through the configuration here, but its rule holds. */
static int check_workers(int workers, tr_error *err) {
    for (int i = 0; i < tr_loader_schema.n_keys; i++) {
        const tr_key *key = &tr_loader_schema.keys[i];
        if (strcmp(key->name, "workers") == 0 && (workers < key->min || workers > key->max))
            return tr_fail(err, TR_ECONFIG, "workers: %d is out of range, allowed are %.0f to %.0f",
                           workers, key->min, key->max);
    }
    return TR_OK;
}

int tr_bench_loader(tr_config *config, int workers, double seconds, tr_bench_loader_result *out,
                    tr_error *err) {
    loader_run run = {.workers = workers, .seconds = seconds, .out = out, .err = err};
    int code = check_workers(workers, err);
    if (code == TR_OK) code = tr_session_open(config->doc, true, &run.session, err);
    if (code) return code;
    code = tr_team_run(&run.session.placement, loader_main, &run, err);
    tr_session_close(&run.session);
    return code ? code : run.code;
}

/* ---- bench scaling ---- */

typedef struct scaling_run {
    tr_session session;
    double seconds, images_per_second, peak;
    tr_error *err;
    int code;
} scaling_run;

static void scaling_main(tr_team *team, void *arg) {
    scaling_run *r = arg;
    trial t = {0};
    timed time;
    r->code = open_trial(&r->session, team, false, &t, r->err);
    if (r->code == TR_OK) r->code = train_for(&t, team, 0.1 * r->seconds, &time, r->err);
    if (r->code == TR_OK) r->code = train_for(&t, team, r->seconds, &time, r->err);
    if (r->code == TR_OK) {
        r->images_per_second = (double)time.images / time.seconds;
        r->peak = measure_peak(team, r->session.kernels, tr_team_size(team), 3);
    }
    close_trial(&t);
}

static int draw_scaling(const char *picture, const char *name, const tr_bench_scaling_row *rows,
                        int n, tr_error *err) {
    double *x = tr_alloc((size_t)n * 4, sizeof *x, err);
    if (x == NULL) return TR_ENOMEM;
    double *images = x + n, *speedup = x + 2 * n, *peak = x + 3 * n;
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
                               {"Speed-up", "threads", "times the first row", speed, 2, 0, 0},
                               {"Share of the FMA peak", "threads", "fraction", share, 1, 0, 1}};
    int code = tr_draw_panels(picture, title, panels, 3, err);
    tr_free(x);
    return code;
}

int tr_bench_scaling(tr_config *config, const int *threads, int n, double seconds,
                     tr_bench_scaling_row *out, const char *picture, tr_error *err) {
    scaling_run run = {.seconds = seconds / ROUNDS, .err = err};
    int code = tr_session_open(config->doc, true, &run.session, err);
    if (code) return code;
    double *rates = tr_alloc((size_t)n * ROUNDS, sizeof *rates, err);
    double *peaks = tr_alloc((size_t)n * ROUNDS, sizeof *peaks, err);
    if (rates == NULL || peaks == NULL) code = TR_ENOMEM;
    for (int r = 0; code == TR_OK && r < ROUNDS; r++) {
        for (int i = 0; code == TR_OK && i < n; i++) {
            code = tr_session_place(&run.session, threads[i], err);
            if (code == TR_OK) code = tr_team_run(&run.session.placement, scaling_main, &run, err);
            if (code == TR_OK) code = run.code;
            rates[i * ROUNDS + r] = run.images_per_second;
            peaks[i * ROUNDS + r] = run.peak;
        }
    }
    for (int i = 0; code == TR_OK && i < n; i++) {
        tr_bench_scaling_row *row = &out[i];
        row->threads = threads[i];
        row->images_per_second = median(rates + i * ROUNDS, ROUNDS);
        row->peak_gflops = median(peaks + i * ROUNDS, ROUNDS);
        row->speedup = row->images_per_second / out[0].images_per_second;
        row->efficiency = row->speedup * threads[0] / threads[i];
        row->gflops = 1e-9 * flops_of(&run.session) * row->images_per_second;
        row->peak_fraction = row->gflops / row->peak_gflops;
    }
    if (code == TR_OK && picture)
        code = draw_scaling(picture, run.session.experiment.name, out, n, err);
    tr_free(rates);
    tr_free(peaks);
    tr_session_close(&run.session);
    return code;
}
