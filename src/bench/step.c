/* `bench step`: where a step's time goes.
 *
 * One training run, alternately with the executor's timers and without, so that both cover the
 * same minutes. There is one executor, so that a network that can be trained can be measured.
 */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

enum {
    FEWEST_WINDOWS = 6, /* of a side, where steps are long */
    PEAK_RUNS = 21,
};
static const double turn_seconds = 25e-3;

typedef struct side {
    tr_loop *loop; /* the run's */
    bool timers;
    tr_windows windows;
    int n_rows;              /* of a profile, 0 without timers */
    tr_profile_row *profile; /* [n_rows] as the executor reported it last */
    double *rows;            /* [window][n_rows] seconds */
} side;

typedef struct step_run {
    tr_session session;
    tr_config *config;
    double seconds;
    tr_bench_step_result *out;
    tr_error *err;
    int code;
} step_run;

static int open_side(const step_run *r, tr_loop *loop, bool timers, side *s) {
    *s = (side){.loop = loop, .timers = timers};
    s->n_rows = timers ? tr_exec_n_profile_rows(loop->exec) : 0;
    int64_t bytes = s->n_rows * (int64_t)sizeof *s->rows;
    int code = tr_windows_create(&s->windows, r->seconds, bytes, r->err);
    if (code) return code;
    s->profile = tr_alloc((size_t)s->n_rows, sizeof *s->profile, r->err);
    s->rows = tr_alloc((size_t)s->n_rows * (size_t)s->windows.max, sizeof *s->rows, r->err);
    return s->profile && s->rows ? TR_OK : TR_ENOMEM;
}

static void close_side(side *s) {
    tr_windows_free(&s->windows);
    tr_free(s->profile);
    tr_free(s->rows);
}

static int add_window(side *s, tr_team *team, tr_error *err) {
    const tr_exec *exec = s->loop->exec;
    double start = tr_now();
    tr_exec_set_profile(s->loop->exec, s->timers);
    if (s->n_rows) tr_exec_profile(exec, s->profile, s->n_rows);
    do {
        double *to = s->rows + (int64_t)s->windows.n * s->n_rows;
        for (int i = 0; i < s->n_rows; i++) to[i] = -s->profile[i].seconds;
        int code = tr_windows_add(&s->windows, s->loop, team, err);
        if (code) return code;
        if (s->n_rows) tr_exec_profile(exec, s->profile, s->n_rows);
        for (int i = 0; i < s->n_rows; i++) to[i] += s->profile[i].seconds;
    } while (s->windows.n < s->windows.max && tr_now() - start < turn_seconds);
    return TR_OK;
}

typedef struct row_sum { /* of the windows that count */
    const side *side;
    double *rows; /* [n_rows] */
} row_sum;

static void add_rows(int window, void *arg) {
    row_sum *r = arg;
    int n = r->side->n_rows;
    for (int i = 0; i < n; i++) r->rows[i] += r->side->rows[(int64_t)window * n + i];
}

/* rows[0..n_rows]: those of the fastest windows in microseconds a step, and behind them what the
 * way to the next batch takes. Returns the share that is overhead. */
static double sum_rows(const side *s, int of, tr_timed *sum, double *rows) {
    double all = 0, overhead = 0;
    int n = s->n_rows;
    memset(rows, 0, ((size_t)n + 1) * sizeof *rows);
    *sum = tr_windows_fastest(&s->windows, of, add_rows, &(row_sum){s, rows});
    rows[n] = sum->seconds - sum->step_seconds;
    for (int i = 0; i <= n; i++) {
        rows[i] *= 1e6 / (double)sum->steps;
        all += rows[i];
        if (i == n || s->profile[i].overhead) overhead += rows[i];
    }
    return overhead / all;
}

/* The rows as the configuration keeps them. */
static int name_rows(const step_run *r, const side *s, const double *microseconds) {
    int n = s->n_rows;
    tr_arena *kept = &r->config->kept;
    tr_bench_row *rows = tr_arena_alloc(kept, ((size_t)n + 1) * sizeof *rows, r->err);
    if (rows == NULL) return TR_ENOMEM;
    for (int i = 0; i < n; i++) {
        const tr_profile_row *from = &s->profile[i];
        size_t bytes = strlen(from->node) + strlen(from->phase) + 2;
        char *name = tr_arena_alloc(kept, bytes, r->err);
        if (name == NULL) return TR_ENOMEM;
        snprintf(name, bytes, "%s%s%s", from->node, from->node[0] ? " " : "", from->phase);
        rows[i] = (tr_bench_row){name, from->overhead, microseconds[i]};
    }
    rows[n] = (tr_bench_row){"next batch", true, microseconds[n]};
    r->out->rows = rows;
    r->out->n_rows = n + 1;
    return TR_OK;
}

static int fill_result(const step_run *r, const side *plain, const side *profiled) {
    tr_bench_step_result *out = r->out;
    double *rows = tr_alloc((size_t)profiled->n_rows + 1, sizeof *rows, r->err);
    if (rows == NULL) return TR_ENOMEM;
    tr_timed all = tr_windows_fastest(&plain->windows, 1, NULL, NULL);
    tr_timed plainly = tr_windows_fastest(&plain->windows, TR_FASTEST, NULL, NULL), with;
    out->step_microseconds = 1e6 * plainly.seconds / (double)plainly.steps;
    out->all_step_microseconds = 1e6 * all.seconds / (double)all.steps;
    out->images_per_second = (double)plainly.images / plainly.seconds;
    out->all_overhead_fraction = sum_rows(profiled, 1, &all, rows);
    out->overhead_fraction = sum_rows(profiled, TR_FASTEST, &with, rows);
    out->profiled_microseconds = 1e6 * with.seconds / (double)with.steps;
    int code = name_rows(r, profiled, rows);
    tr_free(rows);
    return code;
}

static int bench_step(step_run *r, tr_team *team) {
    tr_session *s = &r->session;
    tr_loop loop = {0};
    side plain = {0}, profiled = {0};
    tr_timed warm;
    tr_account more = {0};
    tr_account_add(&more, TR_MEMORY_PROGRAM, 2 * TR_WINDOWS_BYTES);
    int code = tr_bench_open(s, &more, team, &loop, r->err);
    if (code == TR_OK) code = open_side(r, &loop, false, &plain);
    if (code == TR_OK) code = open_side(r, &loop, true, &profiled);
    if (code == TR_OK) code = tr_bench_train(&loop, team, 0.2 * r->seconds, 1, &warm, r->err);
    double start = tr_now();
    while (code == TR_OK && plain.windows.n < plain.windows.max &&
           profiled.windows.n < profiled.windows.max) {
        if (profiled.windows.n >= FEWEST_WINDOWS && tr_now() - start > r->seconds) break;
        code = add_window(&plain, team, r->err);
        if (code == TR_OK) code = add_window(&profiled, team, r->err);
    }
    if (code == TR_OK) code = fill_result(r, &plain, &profiled);
    if (code == TR_OK) {
        r->out->threads = tr_team_size(team);
        r->out->threads_asked = s->placement.n_threads;
        r->out->gflops = 1e-9 * tr_bench_flops(s) * r->out->images_per_second;
        r->out->peak_gflops =
            tr_bench_measure_peak(team, s->kernels, tr_team_size(team), PEAK_RUNS);
    }
    close_side(&plain);
    close_side(&profiled);
    tr_loop_close(&loop);
    return code;
}

static void step_main(tr_team *team, void *arg) {
    step_run *r = arg;
    r->code = bench_step(r, team);
}

int tr_bench_step_here(tr_config *config, double seconds, tr_bench_step_result *out,
                       tr_error *err) {
    step_run run = {.config = config, .seconds = seconds, .out = out, .err = err};
    int code = tr_bench_check(config, seconds, out, err);
    if (code) return code;
    *out = (tr_bench_step_result){0};
    code = tr_bench_begin(config, &run.session, err);
    if (code) return code;
    code = tr_team_run(&run.session.placement, step_main, &run, err);
    tr_bench_end(config, &run.session);
    return code ? code : run.code;
}
