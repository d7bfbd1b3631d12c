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
    tr_loop *run; /* the run's */
    bool timers;
    tr_windows windows;
    int n_rows;   /* of a profile, 0 without timers */
    double *rows; /* [window][n_rows] seconds */
} side;

typedef struct step_run {
    tr_session session;
    double seconds;
    tr_bench_step_result *out;
    tr_error *err;
    int code;
} step_run;

static int open_side(step_run *r, tr_loop *run, bool timers, side *s) {
    tr_profile_row rows[TR_BENCH_ROWS];
    *s = (side){.run = run, .timers = timers};
    int code = tr_windows_create(&s->windows, r->seconds, r->err);
    if (code) return code;
    s->n_rows = timers ? tr_exec_profile(run->exec, rows, TR_BENCH_ROWS) : 0;
    if (s->n_rows == TR_BENCH_ROWS) /* no row left for the last, "next batch" */
        return tr_fail(r->err, TR_ECONFIG, "bench step: the network has more than %d phases",
                       TR_BENCH_ROWS - 2);
    s->rows = tr_alloc((size_t)s->n_rows * (size_t)s->windows.max, sizeof *s->rows, r->err);
    return s->rows ? TR_OK : TR_ENOMEM;
}

static void close_side(side *s) {
    tr_windows_free(&s->windows);
    tr_free(s->rows);
}

static int take_turn(side *s, tr_team *team, tr_error *err) {
    tr_profile_row rows[TR_BENCH_ROWS];
    double start = tr_now();
    tr_exec_set_profile(s->run->exec, s->timers);
    if (s->n_rows) tr_exec_profile(s->run->exec, rows, s->n_rows);
    do {
        double *to = s->rows + s->windows.n * s->n_rows;
        for (int i = 0; i < s->n_rows; i++) to[i] = -rows[i].seconds;
        int code = tr_windows_add(&s->windows, s->run, team, err);
        if (code) return code;
        if (s->n_rows) tr_exec_profile(s->run->exec, rows, s->n_rows);
        for (int i = 0; i < s->n_rows; i++) to[i] += rows[i].seconds;
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
    for (int i = 0; i < n; i++) r->rows[i] += r->side->rows[window * n + i];
}

/* The rows of the fastest windows in microseconds a step, and behind them what the way to the next
 * batch takes. Returns the share that is overhead. */
static double fill_rows(const side *s, int of, tr_timed *sum, double *rows) {
    tr_profile_row about[TR_BENCH_ROWS];
    double all = 0, overhead = 0;
    int n = s->n_rows;
    memset(rows, 0, TR_BENCH_ROWS * sizeof *rows);
    *sum = tr_windows_fastest(&s->windows, of, add_rows, &(row_sum){s, rows});
    rows[n] = sum->seconds - sum->step_seconds;
    tr_exec_profile(s->run->exec, about, n);
    for (int i = 0; i <= n; i++) {
        rows[i] *= 1e6 / (double)sum->steps;
        all += rows[i];
        if (i == n || about[i].overhead) overhead += rows[i];
    }
    return overhead / all;
}

static void fill_result(const side *plain, const side *profiled, tr_bench_step_result *out) {
    tr_profile_row about[TR_BENCH_ROWS];
    double rows[TR_BENCH_ROWS];
    int n = profiled->n_rows;
    tr_timed all = tr_windows_fastest(&plain->windows, 1, NULL, NULL);
    tr_timed plainly = tr_windows_fastest(&plain->windows, TR_FASTEST, NULL, NULL), with;
    out->step_microseconds = 1e6 * plainly.seconds / (double)plainly.steps;
    out->all_step_microseconds = 1e6 * all.seconds / (double)all.steps;
    out->images_per_second = (double)plainly.images / plainly.seconds;
    out->all_overhead_fraction = fill_rows(profiled, 1, &all, rows);
    out->overhead_fraction = fill_rows(profiled, TR_FASTEST, &with, rows);
    out->profiled_microseconds = 1e6 * with.seconds / (double)with.steps;
    tr_exec_profile(profiled->run->exec, about, n);
    about[n] = (tr_profile_row){"", "next batch", true, 0};
    out->n_rows = n + 1;
    for (int i = 0; i <= n; i++) {
        tr_bench_row *row = &out->rows[i];
        snprintf(row->name, sizeof row->name, "%s%s%s", about[i].node, about[i].node[0] ? " " : "",
                 about[i].phase);
        row->overhead = about[i].overhead;
        row->microseconds = rows[i];
    }
}

static int bench_step(step_run *r, tr_team *team) {
    tr_session *s = &r->session;
    tr_loop run = {0};
    side plain = {0}, profiled = {0};
    tr_timed warm;
    int code = tr_bench_open(s, NULL, team, &run, r->err);
    if (code == TR_OK) code = open_side(r, &run, false, &plain);
    if (code == TR_OK) code = open_side(r, &run, true, &profiled);
    if (code == TR_OK) code = tr_bench_train(&run, team, 0.2 * r->seconds, 1, &warm, r->err);
    double start = tr_now();
    while (code == TR_OK && plain.windows.n < plain.windows.max &&
           profiled.windows.n < profiled.windows.max) {
        if (profiled.windows.n >= FEWEST_WINDOWS && tr_now() - start > r->seconds) break;
        code = take_turn(&plain, team, r->err);
        if (code == TR_OK) code = take_turn(&profiled, team, r->err);
    }
    if (code == TR_OK) {
        fill_result(&plain, &profiled, r->out);
        r->out->threads = tr_team_size(team);
        r->out->threads_asked = s->placement.n_threads;
        r->out->gflops = 1e-9 * tr_bench_flops(s) * r->out->images_per_second;
        r->out->peak_gflops =
            tr_bench_measure_peak(team, s->kernels, tr_team_size(team), PEAK_RUNS);
    }
    close_side(&plain);
    close_side(&profiled);
    tr_loop_close(&run);
    return code;
}

static void step_main(tr_team *team, void *arg) {
    step_run *r = arg;
    r->code = bench_step(r, team);
}

int tr_bench_step_here(tr_config *config, double seconds, tr_bench_step_result *out,
                       tr_error *err) {
    step_run run = {.seconds = seconds, .out = out, .err = err};
    int code = tr_bench_check(config, seconds, out, err);
    if (code) return code;
    *out = (tr_bench_step_result){0};
    code = tr_session_open(config->doc, true, NULL, &run.session, err);
    if (code) return code;
    code = tr_team_run(&run.session.placement, step_main, &run, err);
    tr_config_keep_notes(config, &run.session.notes);
    tr_session_close(&run.session);
    return code ? code : run.code;
}
