/* `bench scaling`: numbers of threads against each other, alternately. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "report/report.h"

enum {
    ROUNDS = 7, /* of each number of threads */
    PEAK_RUNS = 9,
    FEWEST_STEPS = 3, /* of a round, where steps are long */
};

typedef struct scaling_side { /* a number of threads */
    int threads;
    tr_windows windows;
    double peak; /* best so far, GFLOP/s */
} scaling_side;

typedef struct scaling_run {
    tr_session session;
    double seconds;     /* of a round */
    scaling_side *side; /* the one that runs */
    tr_error *err;
    int code;
} scaling_run;

static void scaling_main(tr_team *team, void *arg) {
    scaling_run *r = arg;
    tr_windows *windows = &r->side->windows;
    tr_loop t = {0};
    tr_timed warm;
    r->code = tr_bench_open(&r->session, NULL, team, &t, r->err);
    if (r->code == TR_OK)
        r->code = tr_bench_train(&t, team, 0.1 * r->seconds, FEWEST_STEPS, &warm, r->err);
    double start = tr_now();
    for (int i = 0; r->code == TR_OK && windows->n < windows->max; i++) {
        if (i >= FEWEST_STEPS && tr_now() - start > r->seconds) break;
        r->code = tr_windows_add(windows, &t, team, r->err);
    }
    if (r->code == TR_OK) {
        double peak =
            tr_bench_measure_peak(team, r->session.kernels, tr_team_size(team), PEAK_RUNS);
        if (peak > r->side->peak) r->side->peak = peak;
    }
    tr_loop_close(&t);
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
        if ((code = tr_windows_create(&sides[k].windows, seconds, 0, err))) return code;
    }
    return TR_OK;
}

static tr_bench_scaling_row row_of(const tr_session *s, const scaling_side *side,
                                   const scaling_side *one) {
    double rate = images_per_second(&side->windows, TR_FASTEST);
    double speedup = rate / images_per_second(&one->windows, TR_FASTEST);
    double gflops = 1e-9 * tr_bench_flops(s) * rate;
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
    code = tr_bench_check_range("numbers of threads", n, 1, TR_MAX_THREADS, err);
    for (int i = 0; code == TR_OK && i < n; i++)
        code = tr_bench_check_range("threads", threads[i], 1, TR_MAX_THREADS, err);
    return code;
}

int tr_bench_scaling_here(tr_config *config, const int *threads, int n, double seconds,
                          tr_bench_scaling_row *out, const char *picture, tr_error *err) {
    scaling_run run = {.seconds = seconds / ROUNDS, .err = err};
    int code = check_scaling(config, threads, n, seconds, out, err), workers, n_sides = 0;
    if (code == TR_OK) code = tr_bench_begin(config, &run.session, err);
    if (code) return code;
    size_t most = (size_t)n + 1;
    scaling_side *sides = tr_alloc(most, sizeof *sides, err);
    tr_bench_scaling_row *rows = tr_alloc(most, sizeof *rows, err);
    int *which = tr_alloc(most, sizeof *which, err);
    code = sides && rows && which ? common_workers(&run.session, threads, n, &workers, err)
                                  : TR_ENOMEM;
    if (code == TR_OK)
        code = list_sides(&run.session, threads, n, seconds, sides, &n_sides, which, err);
    for (int t = 0; code == TR_OK && t < ROUNDS; t++) {
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
    tr_bench_end(config, &run.session);
    return code;
}
