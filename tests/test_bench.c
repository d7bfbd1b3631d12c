/* Benchmarks: the public functions called directly, and `trainer bench` from outside. How fast
 * anything is, is not tested: only what holds on any machine, however busy.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"
#include "trainer/trainer.h"

#define SECONDS "0.05"
static const double seconds = 0.05;

static tr_config *new_config(void) {
    tr_error err = {0};
    tr_config *config;
    write_config("bench.ini", 0, NULL);
    ck_assert_msg(tr_config_read("bench.ini", &config, &err) == TR_OK, "%s", err.text);
    return config;
}

/* ---- arguments ---- */

static tr_bench_step_result step;

typedef struct bad_call {
    const char *error;
    int (*call)(tr_config *config, tr_error *err);
} bad_call;

#define CALL(name, expression)                                                                     \
    static int name(tr_config *config, tr_error *err) {                                            \
        tr_bench_loader_result loader;                                                             \
        tr_bench_scaling_row row;                                                                  \
        tr_prediction prediction;                                                                  \
        double gflops;                                                                             \
        int one = 1, none = 0, below = -1, many = 1025;                                            \
        (void)config, (void)loader, (void)row, (void)gflops, (void)one, (void)none, (void)below;   \
        (void)many, (void)prediction;                                                              \
        return expression;                                                                         \
    }
CALL(peak_none, tr_bench_peak("auto", 0, 1, &gflops, err))
CALL(peak_below, tr_bench_peak("auto", -5, 1, &gflops, err))
CALL(peak_many, tr_bench_peak("auto", many, 1, &gflops, err))
CALL(peak_no_runs, tr_bench_peak("auto", 1, 0, &gflops, err))
CALL(peak_no_isa, tr_bench_peak("sclar", 1, 1, &gflops, err))
CALL(peak_nowhere, tr_bench_peak("auto", 1, 1, NULL, err))
CALL(step_zero, tr_bench_step(config, 0, &step, err))
CALL(step_below, tr_bench_step(config, -1, &step, err))
CALL(step_nan, tr_bench_step(config, (double)NAN, &step, err))
CALL(step_ever, tr_bench_step(config, INFINITY, &step, err))
CALL(step_nowhere, tr_bench_step(config, 1, NULL, err))
CALL(step_nothing, tr_bench_step(NULL, 1, &step, err))
CALL(loader_below, tr_bench_loader(config, -2, 1, &loader, err))
CALL(loader_many, tr_bench_loader(config, 100000, 1, &loader, err))
CALL(loader_nan, tr_bench_loader(config, 0, (double)NAN, &loader, err))
CALL(loader_nothing, tr_bench_loader(NULL, 0, 1, &loader, err))
CALL(loader_nowhere, tr_bench_loader(config, 0, 1, NULL, err))
CALL(scaling_nothing, tr_bench_scaling(NULL, &one, 1, 1, &row, NULL, err))
CALL(scaling_no_list, tr_bench_scaling(config, NULL, 1, 1, &row, NULL, err))
CALL(scaling_empty, tr_bench_scaling(config, &one, 0, 1, &row, NULL, err))
CALL(scaling_below, tr_bench_scaling(config, &one, -1, 1, &row, NULL, err))
CALL(scaling_none, tr_bench_scaling(config, &none, 1, 1, &row, NULL, err))
CALL(scaling_negative, tr_bench_scaling(config, &below, 1, 1, &row, NULL, err))
CALL(scaling_many, tr_bench_scaling(config, &many, 1, 1, &row, NULL, err))
CALL(scaling_zero, tr_bench_scaling(config, &one, 1, 0, &row, NULL, err))
CALL(predict_none, tr_predict(config, "runs", 0, 0, &prediction, NULL, err))
CALL(predict_below, tr_predict(config, "runs", -7, 0, &prediction, NULL, err))
CALL(predict_nothing, tr_predict(NULL, "runs", 1, 0, &prediction, NULL, err))
CALL(predict_nowhere, tr_predict(config, "runs", 1, 0, NULL, NULL, err))
CALL(predict_no_top, tr_predict_top(config, "runs", 1, 0, &prediction, 0, NULL, NULL, err))
CALL(train_nothing, tr_train(NULL, NULL, NULL, NULL, err))
CALL(dry_run_nothing, tr_dry_run(NULL, NULL, NULL, err))
CALL(evaluate_nowhere, tr_evaluate(config, "runs", NULL, err))
CALL(scaling_nowhere, tr_bench_scaling(config, &one, 1, 1, NULL, NULL, err))

static const bad_call bad_calls[] = {
    {"threads: 0 is out of range, allowed are 1 to 1024", peak_none},
    {"threads: -5 is out of range, allowed are 1 to 1024", peak_below},
    {"threads: 1025 is out of range, allowed are 1 to 1024", peak_many},
    {"runs: 0 is out of range, allowed are 1 to 2147483647", peak_no_runs},
    {"--isa: no instruction set 'sclar' in this build (did you mean 'scalar'?)", peak_no_isa},
    {"bench: the place for the result is NULL", peak_nowhere},
    {"seconds: 0 is out of range, allowed are more than 0 and up to 86400", step_zero},
    {"seconds: -1 is out of range, allowed are more than 0 and up to 86400", step_below},
    {"seconds: nan is out of range, allowed are more than 0 and up to 86400", step_nan},
    {"seconds: inf is out of range, allowed are more than 0 and up to 86400", step_ever},
    {"bench: the place for the result is NULL", step_nowhere},
    {"bench: the configuration is NULL", step_nothing},
    {"workers: -2 is out of range, allowed are 0 to 256", loader_below},
    {"workers: 100000 is out of range, allowed are 0 to 256", loader_many},
    {"seconds: nan is out of range, allowed are more than 0 and up to 86400", loader_nan},
    {"bench: the configuration is NULL", loader_nothing},
    {"bench: the place for the result is NULL", loader_nowhere},
    {"bench: the configuration is NULL", scaling_nothing},
    {"bench: the list of numbers of threads is NULL", scaling_no_list},
    {"numbers of threads: 0 is out of range, allowed are 1 to 1024", scaling_empty},
    {"numbers of threads: -1 is out of range, allowed are 1 to 1024", scaling_below},
    {"threads: 0 is out of range, allowed are 1 to 1024", scaling_none},
    {"threads: -1 is out of range, allowed are 1 to 1024", scaling_negative},
    {"threads: 1025 is out of range, allowed are 1 to 1024", scaling_many},
    {"seconds: 0 is out of range, allowed are more than 0 and up to 86400", scaling_zero},
    {"bench: the place for the result is NULL", scaling_nowhere},
    {"count: 0 is out of range, allowed are 1 and more", predict_none},
    {"count: -7 is out of range, allowed are 1 and more", predict_below},
    {"predict: the configuration, the run or the result is NULL", predict_nothing},
    {"predict: the configuration, the run or the result is NULL", predict_nowhere},
    {"predict: the most probable classes need a place, and a number from 1 on", predict_no_top},
    {"train: the configuration is NULL", train_nothing},
    {"train: the configuration is NULL", dry_run_nothing},
    {"evaluate: the configuration, the run or the result is NULL", evaluate_nowhere},
};

START_TEST(bad_arguments) {
    tr_error err = {0};
    tr_config *config = new_config();
    ck_assert_int_eq(bad_calls[_i].call(config, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, bad_calls[_i].error);
    ck_assert_int_eq(bad_calls[_i].call(config, NULL), TR_ECONFIG);
    tr_config_free(config);
}
END_TEST

/* An error in the configuration is reported as in training. */
START_TEST(bad_configuration) {
    tr_config *config = new_config();
    tr_bench_loader_result loader;
    tr_bench_scaling_row row;
    int one = 1;
    ck_assert_int_eq(tr_config_set(config, "optimizer.lr=x", NULL), TR_OK);
    for (int i = 0; i < 3; i++) {
        tr_error err = {0};
        int code = i == 0   ? tr_bench_step(config, 1, &step, &err)
                   : i == 1 ? tr_bench_loader(config, 0, 1, &loader, &err)
                            : tr_bench_scaling(config, &one, 1, 1, &row, NULL, &err);
        ck_assert_int_eq(code, TR_ECONFIG);
        ck_assert_str_eq(err.text, "--set: optimizer.lr: x is not a number");
    }
    tr_config_free(config);
}
END_TEST

/* ---- results ---- */

static void check_positive(double value) {
    ck_assert_msg(value > 0 && value <= DBL_MAX, "%g", value);
}

START_TEST(peak) {
    tr_error err = {0};
    static const char *const isas[] = {"auto", NULL, "scalar"};
    for (int i = 0; i < 3; i++) {
        double gflops = 0;
        ck_assert_msg(tr_bench_peak(isas[i], i ? 1 : 1024, 1, &gflops, &err) == TR_OK, "%s",
                      err.text);
        check_positive(gflops);
    }
    ck_assert_int_ge(tr_bench_runnable(), 1);
    ck_assert_int_le(tr_bench_cores(), tr_bench_runnable());
}
END_TEST

static int count_rows(const char *name) {
    int n = 0;
    for (int i = 0; i < step.n_rows; i++) n += strcmp(step.rows[i].name, name) == 0;
    return n;
}

static void check_step(const char *assignment) {
    static const char *const once[] = {"conv1 forward",
                                       "conv1.weight reduce and update",
                                       "conv1 weight gradient",
                                       "fc forward",
                                       "fc.weight update",
                                       "fc weight gradient",
                                       "fc input gradient",
                                       "loss loss",
                                       "barrier",
                                       "next batch"};
    tr_error err = {0};
    tr_config *config = new_config();
    ck_assert_int_eq(tr_config_set(config, "run.threads=1000", NULL), TR_OK);
    ck_assert_int_eq(tr_config_set(config, assignment, NULL), TR_OK);
    ck_assert_msg(tr_bench_step(config, seconds, &step, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(step.threads_asked, 1000);
    ck_assert_int_eq(step.threads, tr_bench_runnable());
    check_positive(step.step_microseconds);
    check_positive(step.profiled_microseconds);
    check_positive(step.all_step_microseconds);
    check_positive(step.images_per_second);
    check_positive(step.gflops);
    check_positive(step.peak_gflops);
    ck_assert(step.overhead_fraction > 0 && step.overhead_fraction < 1);
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        ck_assert_msg(count_rows(once[i]) == 1, "%s: %d rows", once[i], count_rows(once[i]));
    for (int i = 0; i < step.n_rows; i++) {
        ck_assert_int_eq(count_rows(step.rows[i].name), 1);
        ck_assert(isfinite(step.rows[i].microseconds));
    }
    tr_config_free(config);
}

START_TEST(where_time_goes) {
    check_step("loader.batch_size=8");
    /* A short batch in every window, and more to a batch than there are images. */
    check_step("data.train=9");
    check_step("loader.batch_size=1000");
}
END_TEST

/* More phases than any fixed table had rows for, and a name as long as one likes. */
START_TEST(many_phases) {
    enum { LAYERS = 500, LONG = 5000 };
    static char name[LONG + 64], line[2 * LONG];
    tr_error err = {0};
    tr_config *config = new_config();
    for (int i = 0; i < LAYERS; i++) {
        snprintf(name, sizeof name, "layer%0*d", i == LAYERS - 1 ? LONG : 1, i);
        snprintf(line, sizeof line, "network.%s=linear out_features=10", name);
        ck_assert_msg(tr_config_set(config, line, &err) == TR_OK, "%s", err.text);
    }
    ck_assert_int_eq(tr_config_set(config, "run.threads=1", NULL), TR_OK);
    ck_assert_msg(tr_bench_step(config, seconds, &step, &err) == TR_OK, "%s", err.text);
    ck_assert_int_gt(step.n_rows, 3 * LAYERS);
    snprintf(line, sizeof line, "%s weight gradient", name);
    ck_assert_int_eq(count_rows(line), 1);
    ck_assert_int_eq(count_rows("next batch"), 1);
    double sum = 0;
    for (int i = 0; i < step.n_rows; i++) sum += step.rows[i].microseconds;
    ck_assert_double_eq_tol(sum / step.profiled_microseconds, 1, 0.05);
    tr_config_free(config);
}
END_TEST

/* A loss that is not finite ends a benchmark as it ends training. */
START_TEST(loss_is_not_finite) {
    tr_bench_loader_result loader_result;
    tr_bench_scaling_row row;
    int one = 1;
    for (int i = 0; i < 3; i++) {
        tr_error err = {0};
        tr_config *config = new_config();
        ck_assert_int_eq(tr_config_set(config, "optimizer.lr=1e6", NULL), TR_OK);
        ck_assert_int_eq(tr_config_set(config, "optimizer.weight_decay=1e6", NULL), TR_OK);
        int code = i == 0   ? tr_bench_step(config, 10, &step, &err)
                   : i == 1 ? tr_bench_loader(config, 0, 10, &loader_result, &err)
                            : tr_bench_scaling(config, &one, 1, 10, &row, NULL, &err);
        ck_assert_int_eq(code, TR_ENONFINITE);
        ck_assert_ptr_eq(strstr(err.text, "the loss is "), err.text);
        ck_assert_ptr_nonnull(strstr(err.text, " at step "));
        tr_config_free(config);
    }
}
END_TEST

/* Memory is that of the batch that runs, not of the one that was asked for: this would be more
 * than a machine has. */
START_TEST(huge_batch) {
    tr_bench_loader_result r;
    for (int workers = 0; workers < 2; workers++) {
        tr_error err = {0};
        tr_config *config = new_config();
        ck_assert_int_eq(tr_config_set(config, "loader.batch_size=1000000", NULL), TR_OK);
        ck_assert_int_eq(tr_config_set(config, "data.height=512", NULL), TR_OK);
        ck_assert_int_eq(tr_config_set(config, "data.width=256", NULL), TR_OK);
        ck_assert_int_eq(tr_config_set(config, "network.conv1=identity", NULL), TR_OK);
        ck_assert_msg(tr_bench_loader(config, workers, seconds, &r, &err) == TR_OK, "%s", err.text);
        check_positive(r.loader_images_per_second);
        tr_config_free(config);
    }
}
END_TEST

START_TEST(loader) {
    tr_error err = {0};
    tr_bench_loader_result r;
    static const int workers[] = {0, 1, 3, -1};
    for (int i = 0; i < 4; i++) {
        tr_config *config = new_config();
        ck_assert_int_eq(tr_config_set(config, "loader.workers=2", NULL), TR_OK);
        ck_assert_msg(tr_bench_loader(config, workers[i], i ? seconds : 1e-9, &r, &err) == TR_OK,
                      "%s", err.text);
        ck_assert_int_eq(r.workers, workers[i] < 0 ? 2 : workers[i]);
        ck_assert_int_eq(r.threads, tr_bench_cores());
        check_positive(r.loader_images_per_second);
        check_positive(r.training_images_per_second);
        tr_config_free(config);
    }
}
END_TEST

/* Speed-up is against one thread, wherever that stands in the list and if it does not. */
START_TEST(scaling) {
    static const int lists[][4] = {{1, 2, 1, 1000}, {1000, 2, 1, 2}, {2, 2, 7, 1000}};
    int most = tr_bench_runnable();
    for (int i = 0; i < 3; i++) {
        tr_error err = {0};
        tr_bench_scaling_row row[4];
        tr_config *config = new_config();
        ck_assert_msg(tr_bench_scaling(config, lists[i], 4, seconds, row, "s.png", &err) == TR_OK,
                      "%s", err.text);
        double one = 0;
        for (int k = 0; k < 4; k++) {
            int asked = lists[i][k], ran = asked < most ? asked : most;
            ck_assert_int_eq(row[k].threads_asked, asked);
            ck_assert_int_eq(row[k].threads, ran);
            check_positive(row[k].images_per_second);
            check_positive(row[k].peak_fraction);
            check_positive(row[k].all_images_per_second);
            ck_assert_double_eq_tol(row[k].efficiency * ran, row[k].speedup, 1e-9);
            if (ran == 1) ck_assert_double_eq(row[k].speedup, 1);
            /* All rows have the same one thread below them. */
            double base = row[k].images_per_second / row[k].speedup;
            if (k > 0) ck_assert_double_eq_tol(base / one, 1, 1e-9);
            one = base;
        }
        ck_assert_int_eq(access("s.png", R_OK), 0);
        ck_assert_int_eq(unlink("s.png"), 0);
        tr_config_free(config);
    }
}
END_TEST

/* ---- from outside ---- */

static int count(const char *text, const char *word) {
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++) n++;
    return n;
}

START_TEST(bench_peak) {
    program p;
    RUN(&p, "bench", "peak", "--threads", "1000,1,1000,900", "--json", "peak.json");
    ck_assert_msg(p.code == 0, "%s", p.err);
    json_t *rows = load_json(".", "peak.json");
    int most = tr_bench_runnable();
    ck_assert_int_eq(json_array_size(rows),
                     most > 1 ? 2 : 1); /* one row for the threads that ran */
    const json_t *first = json_array_get(rows, 0);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "threads")),
                     most < 1000 ? most : 1000);
    json_decref(rows);
    if (most >= 900) return;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "(1000 threads requested, %d run", most);
    ck_assert_int_eq(count(p.out, wanted), 1);
    snprintf(wanted, sizeof wanted, "(900 threads requested, %d run", most);
    ck_assert_int_eq(count(p.out, wanted), 1);
    ck_assert_int_eq(count(p.out, "\n"), 1 + (most > 1 ? 2 : 1) + 2);
}
END_TEST

/* A list may name every number that there is, and each of them twice. */
START_TEST(bench_peak_of_many) {
    char list[16 * 1024] = "";
    size_t n = 0;
    for (int i = 0; i < 2048; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%d", i ? "," : "", i % 1024 + 1);
    program p;
    RUN(&p, "bench", "peak", "--isa", "scalar", "--threads", list);
    ck_assert_msg(p.code == 0, "%s", p.err);
    RUN(&p, "bench", "peak", "--threads", "1025");
    check_failure(&p, 2, "--threads: 1025 is out of range, allowed are 1 to 1024");
}
END_TEST

START_TEST(bench_scaling) {
    program p;
    double speedup, efficiency;
    int threads, most = tr_bench_runnable();
    write_config("bench.ini", 0, NULL);
    write_whole("scaling.png", "mine", 4);
    RUN(&p, "bench", "scaling", "--config", "bench.ini", "--threads", "900,1000,900", "--seconds",
        SECONDS, "--json", "scaling.json");
    ck_assert_msg(p.code == 0, "%s", p.err);
    json_t *rows = load_json(".", "scaling.json");
    ck_assert_int_eq(json_array_size(rows), most > 1 ? 2 : 1);
    const json_t *first = json_array_get(rows, 0);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "threads")), 1);
    ck_assert_double_eq(json_number_value(json_object_get(first, "speedup")), 1);
    json_decref(rows);
    const char *line = strchr(p.out, '\n');
    ck_assert_int_eq(sscanf(line, "%d %*s %lfx %lf%%", &threads, &speedup, &efficiency), 3);
    ck_assert_int_eq(threads, 1);
    ck_assert_double_eq(efficiency, 100);
    /* The picture that was there is not replaced. */
    ck_assert_ptr_nonnull(strstr(p.out, "picture: scaling-2.png\n"));
    ck_assert_int_eq(access("scaling-2.png", R_OK), 0);
    size_t bytes;
    char *kept = read_whole("scaling.png", &bytes);
    ck_assert_int_eq(bytes, 4);
    free(kept);
    RUN(&p, "bench", "scaling", "--config", "bench.ini", "--threads", "1", "--seconds", SECONDS,
        "--picture", "scaling.png");
    kept = read_whole("scaling.png", &bytes);
    ck_assert_int_gt(bytes, 1000);
    free(kept);
    ck_assert_int_ne(access("scaling-3.png", F_OK), 0);
}
END_TEST

START_TEST(bench_others) {
    program p;
    write_config("bench.ini", 0, NULL);
    RUN(&p, "bench", "step", "--config", "bench.ini", "--seconds", SECONDS, "--json", "step.json",
        "--threads", "1");
    ck_assert_msg(p.code == 0, "%s", p.err);
    json_t *r = load_json(".", "step.json");
    ck_assert_int_gt(json_array_size(json_object_get(r, "rows")), 8);
    json_decref(r);
    ck_assert_ptr_nonnull(strstr(p.out, " images/s on 1 thread, "));
    ck_assert_ptr_null(strstr(p.out, "requested"));
    RUN(&p, "bench", "loader", "--config", "bench.ini", "--seconds", SECONDS, "--workers", "auto",
        "--threads", "1000");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_ptr_nonnull(strstr(p.out, "1000 threads requested, "));
}
END_TEST

static Suite *bench_suite(void) {
    Suite *suite = suite_create("bench");
    TCase *all = tcase_create("bench");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, bad_arguments, 0, sizeof bad_calls / sizeof *bad_calls);
    tcase_add_test(all, bad_configuration);
    tcase_add_test(all, peak);
    tcase_add_test(all, where_time_goes);
    tcase_add_test(all, many_phases);
    tcase_add_test(all, loss_is_not_finite);
    tcase_add_test(all, huge_batch);
    tcase_add_test(all, loader);
    tcase_add_test(all, scaling);
    tcase_add_test(all, bench_peak);
    tcase_add_test(all, bench_peak_of_many);
    tcase_add_test(all, bench_scaling);
    tcase_add_test(all, bench_others);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return program_main(bench_suite());
}
