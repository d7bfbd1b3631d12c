/* `trainer bench`: tables, and the same as JSON. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "io/io.h"
#include "report/report.h"

enum { MOST_COUNTS = 1024 }; /* of threads, each once: as many as there are */

/* "1,2,4" -> counts, each once. Without a list, or for "auto": 1, 2, 4, ... up to the machine's
 * cores, and the cores. */
static int read_counts(const char *text, int *counts, int *n, tr_error *err) {
    *n = 0;
    if (text == NULL || strcmp(text, "auto") == 0) {
        int cores = tr_bench_cores();
        for (int i = 1; i < cores; i *= 2) counts[(*n)++] = i;
        counts[(*n)++] = cores;
        return TR_OK;
    }
    char *copy = tr_strdup(text, err), *rest = copy;
    int code = copy ? TR_OK : TR_ENOMEM;
    while (code == TR_OK && rest) {
        int64_t value;
        const char *word = strsep(&rest, ",");
        int k = 0;
        if (strspn(word, "+-0123456789") != strlen(word) || !*word)
            code = tr_fail(err, TR_ECONFIG,
                           "--threads: '%s' is not an integer, allowed are numbers as in "
                           "--threads 1,2,4, or auto",
                           word);
        else
            code = tr_options_number("--threads", word, 1, MOST_COUNTS, &value, err);
        if (code) break;
        while (k < *n && counts[k] != value) k++;
        if (k == *n) counts[(*n)++] = (int)value;
    }
    tr_free(copy);
    return code;
}

/* As training says it. */
void tr_print_fewer(int requested, int ran) {
    if (ran < requested)
        printf("(%d threads requested, %d run: more would not be faster)\n", requested, ran);
}

static int save_json(const tr_options *o, json_t *object, tr_error *err) {
    if (o->json) return tr_json_save(o->json, object, err);
    json_decref(object);
    return TR_OK;
}

/* The best of some runs, and of more where it is said how long they may take. */
static int best_peak(const tr_options *o, int threads, double seconds, double *best,
                     tr_error *err) {
    double end = tr_now() + (o->seconds ? seconds : 0);
    *best = 0;
    do {
        double gflops;
        int code = tr_bench_peak(o->isa, threads, 21, &gflops, err);
        if (code) return code;
        if (gflops > *best) *best = gflops;
    } while (tr_now() < end);
    return TR_OK;
}

static int bench_peak(const tr_options *o, double seconds, tr_error *err) {
    int counts[MOST_COUNTS], ran[MOST_COUNTS], n, most = tr_bench_runnable();
    int code = read_counts(o->threads, counts, &n, err);
    json_t *rows = json_array();
    for (int i = 0; code == TR_OK && i < n; i++) {
        double gflops;
        int k = 0;
        ran[i] = counts[i] < most ? counts[i] : most;
        while (ran[k] != ran[i]) k++;
        if (k < i) continue; /* measured already */
        code = best_peak(o, ran[i], seconds, &gflops, err);
        if (code) break;
        if (i == 0) printf("threads   GFLOP/s\n");
        printf("%7d %9.1f\n", ran[i], gflops);
        json_array_append_new(
            rows, json_pack("{s:i, s:o}", "threads", ran[i], "gflops", tr_json_number(gflops)));
    }
    if (code) {
        json_decref(rows);
        return code;
    }
    for (int i = 0; i < n; i++) tr_print_fewer(counts[i], ran[i]);
    return save_json(o, rows, err);
}

static int bench_step(const tr_options *o, tr_config *config, double seconds, tr_error *err) {
    tr_bench_step_result r;
    int code = tr_bench_step(config, seconds, &r, err);
    if (code) return code;
    json_t *rows = json_array();
    double sum = 0;
    char n[32];
    for (int i = 0; i < r.n_rows; i++) sum += r.rows[i].microseconds;
    printf("%-40s %10s %7s\n", "phase", "us/step", "share");
    for (int i = 0; i < r.n_rows; i++) {
        const tr_bench_row *row = &r.rows[i];
        printf("%-40s %10.2f %6.1f%%%s\n", row->name, row->microseconds,
               100 * row->microseconds / sum, row->overhead ? "  overhead" : "");
        json_array_append_new(rows, json_pack("{s:s, s:b, s:o}", "name", row->name, "overhead",
                                              row->overhead, "microseconds",
                                              tr_json_number(row->microseconds)));
    }
    printf("%-40s %10.2f\n\n", "sum", sum);
    printf("step       %.2f us by the wall clock without timers, %.2f with (%+.1f %%)\n",
           r.step_microseconds, r.profiled_microseconds,
           100 * (r.profiled_microseconds / r.step_microseconds - 1));
    printf("overhead   %.1f %% of the step is not a layer's own arithmetic\n",
           100 * r.overhead_fraction);
    printf("all steps  %.2f us, %.1f %% overhead (above: the fastest decile)\n",
           r.all_step_microseconds, 100 * r.all_overhead_fraction);
    printf("speed      %s images/s on %d thread%s, %.1f GFLOP/s, %.1f %% of the FMA peak of %.1f\n",
           tr_format_rate(r.images_per_second, n), r.threads, r.threads == 1 ? "" : "s", r.gflops,
           100 * r.gflops / r.peak_gflops, r.peak_gflops);
    tr_print_fewer(r.threads_asked, r.threads);
    return save_json(o,
                     json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "threads",
                               r.threads, "step_microseconds", tr_json_number(r.step_microseconds),
                               "profiled_microseconds", tr_json_number(r.profiled_microseconds),
                               "overhead_fraction", tr_json_number(r.overhead_fraction),
                               "all_step_microseconds", tr_json_number(r.all_step_microseconds),
                               "all_overhead_fraction", tr_json_number(r.all_overhead_fraction),
                               "images_per_second", tr_json_number(r.images_per_second), "gflops",
                               tr_json_number(r.gflops), "peak_gflops",
                               tr_json_number(r.peak_gflops), "rows", rows),
                     err);
}

static int bench_loader(const tr_options *o, tr_config *config, double seconds, tr_error *err) {
    tr_bench_loader_result r;
    int64_t workers = 1;
    char a[32], b[32];
    int code = TR_OK;
    if (o->workers && strcmp(o->workers, "auto") == 0)
        workers = -1;
    else if (o->workers)
        code = tr_options_number("--workers", o->workers, 0, INT32_MAX, &workers, err);
    if (code == TR_OK) code = tr_bench_loader(config, (int)workers, seconds, &r, err);
    if (code) return code;
    printf("loader alone, %d worker%s   %12s images/s\n", r.workers, r.workers == 1 ? "" : "s",
           tr_format_rate(r.loader_images_per_second, a));
    printf("training                  %12s images/s\n",
           tr_format_rate(r.training_images_per_second, b));
    printf("ratio                     %12.1f\n",
           r.loader_images_per_second / r.training_images_per_second);
    tr_print_fewer(r.threads_asked, r.threads);
    return save_json(o,
                     json_pack("{s:i, s:o, s:o}", "workers", r.workers, "loader_images_per_second",
                               tr_json_number(r.loader_images_per_second),
                               "training_images_per_second",
                               tr_json_number(r.training_images_per_second)),
                     err);
}

static void print_scaling_row(const tr_bench_scaling_row *r) {
    char text[32], all[32];
    printf("%7d %12s %8.2fx %10.1f%% %9.1f %9.1f %6.1f%% %12s\n", r->threads,
           tr_format_rate(r->images_per_second, text), r->speedup, 100 * r->efficiency, r->gflops,
           r->peak_gflops, 100 * r->peak_fraction, tr_format_rate(r->all_images_per_second, all));
}

static json_t *json_of_row(const tr_bench_scaling_row *r) {
    return json_pack(
        "{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "threads", r->threads, "images_per_second",
        tr_json_number(r->images_per_second), "speedup", tr_json_number(r->speedup), "efficiency",
        tr_json_number(r->efficiency), "gflops", tr_json_number(r->gflops), "peak_gflops",
        tr_json_number(r->peak_gflops), "peak_fraction", tr_json_number(r->peak_fraction),
        "all_images_per_second", tr_json_number(r->all_images_per_second));
}

static int bench_scaling(const tr_options *o, tr_config *config, double seconds, tr_error *err) {
    int counts[MOST_COUNTS + 1], n, k = 0;
    tr_bench_scaling_row rows[MOST_COUNTS + 1];
    char *free_name = NULL;
    int code = read_counts(o->threads, counts, &n, err);
    while (k < n && counts[k] != 1) k++;
    bool added = k == n; /* what speed-up is against gets a row, too */
    if (added) {
        memmove(counts + 1, counts, (size_t)n++ * sizeof *counts);
        counts[0] = 1;
    }
    if (code == TR_OK && !o->picture) code = tr_options_free_name("scaling", &free_name, err);
    const char *picture = o->picture ? o->picture : free_name;
    if (code == TR_OK) code = tr_bench_scaling(config, counts, n, seconds, rows, picture, err);
    if (code) {
        tr_free(free_name);
        return code;
    }
    json_t *array = json_array();
    printf("threads     images/s  speed-up  efficiency   GFLOP/s      peak   share    all steps\n");
    for (int i = 0; i < n; i++) {
        for (k = 0; rows[k].threads != rows[i].threads;) k++;
        if (k < i) continue; /* fewer ran than requested, and they have their row */
        print_scaling_row(&rows[i]);
        json_array_append_new(array, json_of_row(&rows[i]));
    }
    for (int i = 0; i < n; i++) tr_print_fewer(rows[i].threads_asked, rows[i].threads);
    printf("(images/s: of the fastest decile of the steps%s)\npicture: %s\n",
           added ? "; one thread is what speed-up is against" : "", picture);
    tr_free(free_name);
    return save_json(o, array, err);
}

static const struct {
    const char *name;
    int (*run)(const tr_options *o, tr_config *config, double seconds, tr_error *err);
} benches[] = {{"step", bench_step}, {"loader", bench_loader}, {"scaling", bench_scaling}};

static int read_config(const tr_options *o, tr_config **config, tr_error *err) {
    static const char fallback[] = "configs/lenet.ini";
    if (o->config.n == 0 && !tr_exists(fallback))
        return tr_fail(err, TR_ECONFIG,
                       "--config: is missing, and its default %s is not in this folder: name one, "
                       "as in trainer bench %s --config FILE",
                       fallback, o->positional[1]);
    return tr_options_read(o, fallback, config, err);
}

int tr_command_bench(const tr_options *o, tr_error *err) {
    const char *what = o->n_positional > 1 ? o->positional[1] : "";
    const char *names[] = {"peak", "step", "loader", "scaling"};
    double seconds = 6;
    int code =
        o->seconds ? tr_options_real("--seconds", o->seconds, 0.001, 86400, &seconds, err) : TR_OK;
    if (code == TR_OK) code = tr_options_output("--json", o->json, err);
    if (code == TR_OK) code = tr_options_output("--picture", o->picture, err);
    if (code == TR_OK && o->picture && *what && strcmp(what, "scaling") != 0)
        code = tr_fail(err, TR_ECONFIG, "--picture: only 'bench scaling' draws one");
    if (code) return code;
    if (strcmp(what, "peak") == 0) return bench_peak(o, seconds, err);
    for (size_t i = 0; i < sizeof benches / sizeof *benches; i++) {
        if (strcmp(what, benches[i].name) != 0) continue;
        tr_config *config = NULL;
        tr_options rest = *o;
        if (strcmp(what, "scaling") == 0) rest.threads = NULL; /* a list, not a number */
        if (strcmp(what, "loader") == 0) rest.workers = NULL;  /* of the loader alone */
        code = read_config(o, &config, err);
        if (code == TR_OK) code = tr_options_apply(&rest, config, err);
        if (code == TR_OK) code = benches[i].run(o, config, seconds, err);
        tr_print_notes(config);
        tr_config_free(config);
        return code;
    }
    if (*what == '\0')
        return tr_fail(err, TR_ECONFIG, "bench: needs one of peak, step, loader, scaling");
    char text[2 * TR_TEXT];
    snprintf(text, sizeof text, "unknown benchmark '%.*s'", TR_TEXT, what);
    return tr_fail_unknown(err, (tr_where){"bench", 0}, NULL, text, what, names, 4);
}
