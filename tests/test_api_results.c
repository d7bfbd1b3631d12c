/* The library, called: what its results point at, what of them is the environment, and calls that
 * find no memory. */
#include <limits.h>
#include <math.h>

#include "api_runs.h"
#include "train/run_dir.h"

/* ---- no memory ---- */

static int call_dry_run(tr_config *config, tr_error *err) {
    return tr_dry_run(config, NULL, NULL, err);
}
static int call_train(tr_config *config, tr_error *err) {
    tr_summary s;
    return tr_train(config, NULL, NULL, &s, err);
}
static int call_evaluate(tr_config *config, tr_error *err) {
    tr_summary s;
    return tr_evaluate(config, "trained", &s, err);
}
static int call_predict(tr_config *config, tr_error *err) {
    tr_prediction p[5];
    return tr_predict(config, "trained", 5, 1, p, NULL, err);
}
static int call_step(tr_config *config, tr_error *err) {
    tr_bench_step_result r;
    return tr_bench_step(config, 0.001, &r, err);
}
static int call_loader(tr_config *config, tr_error *err) {
    tr_bench_loader_result r;
    return tr_bench_loader(config, 0, 0.001, &r, err);
}
static const struct {
    const char *name;
    int (*call)(tr_config *config, tr_error *err);
    /* Allocations that it can do without: two for the list of CPUs, one for a name that it hands
     * out; training also goes on without a picture. */
    int spared;
} hungry[] = {{"dry run", call_dry_run, 2},   {"train", call_train, INT_MAX},
              {"evaluate", call_evaluate, 3}, {"predict", call_predict, 2},
              {"bench step", call_step, 2},   {"bench loader", call_loader, 2}};
enum { N_HUNGRY = sizeof hungry / sizeof *hungry, TRAIN = 1 };

/* Each allocation fails once: the call says so, leaves no folder that is half made, and the same
 * configuration serves the next call. */
START_TEST(any_allocation_fails) {
    tr_error err = {0};
    ck_assert_int_eq(system("rm -rf trained short"), 0); /* of the case before */
    write_config("hungry.ini", 0, NULL);
    tr_config *config = read_config("hungry.ini", SETS("train.epochs=0", "run.out=trained"));
    ck_assert_msg(tr_train(config, NULL, NULL, NULL, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(tr_config_set(config, "run.out=short", &err), TR_OK);
    ck_assert_int_eq(tr_config_set(config, "train.init_from=trained/model.safetensors", &err),
                     TR_OK);
    int failures = 0, spared = 0;
    for (long n = 0;; n++) {
        tr_alloc_fail_after(n);
        int code = hungry[_i].call(config, &err);
        void *rest = tr_alloc(1, 1, NULL);
        tr_alloc_fail_after(-1);
        bool reached = rest != NULL;
        tr_free(rest);
        if (has(".", "short")) {
            check_clean("short");
            ck_assert_int_eq(system("rm -r short"), 0);
        }
        if (!reached) {
            ck_assert_msg(code == TR_OK, "%s %ld: %s", hungry[_i].name, n, err.text);
            break;
        }
        if (code == TR_OK && spared++ < hungry[_i].spared) continue;
        ck_assert_msg(code == TR_ENOMEM, "%s %ld: %d %s", hungry[_i].name, n, code, err.text);
        ck_assert_int_eq(err.code, TR_ENOMEM);
        ck_assert_ptr_nonnull(strstr(err.text, "memory"));
        err = (tr_error){0};
        failures++;
    }
    ck_assert_int_gt(failures, 50);
    tr_config_free(config);
}
END_TEST

/* ---- what results point at ---- */

/* Any number of classes, each with its accuracy; a class without test images has none. */
START_TEST(many_classes) {
    enum { MANY = 3000, TESTED = 1500 };
    tr_error err = {0};
    tr_summary s;
    write_config("many.ini", 0, NULL);
    tr_config *config = read_config(
        "many.ini", SETS("run.out=many", "data.classes=3000", "data.test=1500",
                         "network.fc=linear out_features=3000", "network.conv1=identity"));
    ck_assert_msg(tr_train(config, NULL, NULL, &s, &err) == TR_OK, "%s", err.text);
    for (int again = 0; again < 2; again++) {
        double sum = 0;
        ck_assert_int_eq(s.n_classes, MANY);
        ck_assert_str_eq(s.class_names[MANY - 1], "class 2999");
        for (int k = 0; k < TESTED; k++) sum += s.per_class_accuracy[k];
        ck_assert_double_eq_tol(sum / TESTED, s.test_accuracy, 1e-9);
        for (int k = TESTED; k < MANY; k++) ck_assert(isnan(s.per_class_accuracy[k]));
        /* The folder is that of the summary that the call is about to replace. */
        ck_assert_msg(tr_evaluate(config, s.run_dir, &s, &err) == TR_OK, "%s", err.text);
    }
    json_t *file = load_json("many", "summary.json");
    ck_assert_uint_eq(json_object_size(json_object_get(file, "per_class_accuracy")), MANY);
    json_decref(file);
    ck_assert(has("many", "confusion.png"));
    tr_config_free(config);
}
END_TEST

/* A summary's run_dir may be passed to any number of calls; its other texts end with the next. */
START_TEST(results_live_until_the_next_call) {
    tr_error err = {0};
    tr_summary first, other;
    tr_prediction p;
    write_config("live.ini", 0, NULL);
    tr_config *config = read_config("live.ini", SETS("run.out=live"));
    ck_assert_msg(tr_train(config, NULL, NULL, &first, &err) == TR_OK, "%s", err.text);
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(tr_evaluate(config, first.run_dir, &other, &err) == TR_OK, "%s", err.text);
        ck_assert_str_eq(other.run_dir, "live");
        ck_assert_double_eq(other.test_accuracy, first.test_accuracy);
        ck_assert_msg(tr_predict(config, first.run_dir, 1, 0, &p, NULL, &err) == TR_OK, "%s",
                      err.text);
        ck_assert_ptr_nonnull(strstr(p.truth, "class "));
        ck_assert_int_eq(tr_config_set(config, "run.out=more", NULL), TR_OK);
        if (i == 1) /* another run's folder in between */
            ck_assert_msg(tr_train(config, NULL, NULL, &other, &err) == TR_OK, "%s", err.text);
        if (i == 1) ck_assert_str_eq(other.run_dir, "more");
    }
    /* A call that fails has no classes. */
    ck_assert_int_eq(tr_evaluate(config, "nowhere", &other, &err), TR_EIO);
    ck_assert_int_eq(other.n_classes, 0);
    ck_assert_ptr_null(other.per_class_accuracy);
    tr_config_free(config);
}
END_TEST

/* The plan's kinds of memory, each once, add up to its total. */
static int add_memory(const tr_event *e, void *arg) {
    int *n = arg;
    if (e->kind != TR_EVENT_PLAN) return 0;
    int64_t sum = 0;
    for (int i = 0; i < e->plan->n_memory; i++) {
        sum += e->plan->memory[i].bytes;
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(e->plan->memory[i].name, e->plan->memory[k].name);
    }
    ck_assert_int_eq(sum, e->plan->memory_total);
    *n = e->plan->n_memory;
    return 0;
}

START_TEST(memory_adds_up) {
    tr_error err = {0};
    int n = 0;
    write_config("sum.ini", 0, NULL);
    tr_config *config = read_config("sum.ini", NULL);
    ck_assert_msg(tr_dry_run(config, add_memory, &n, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(n, 9);
    tr_config_free(config);
}
END_TEST

/* ---- environment ---- */

/* Two runs of one result differ in environment only, which the design lists. */
START_TEST(environment_is_listed) {
    tr_error err = {0};
    static const char *const runs[] = {"env-1", "env-2"};
    json_t *file[2];
    size_t bytes;
    write_config("env.ini", 0, NULL);
    for (int i = 0; i < 2; i++) {
        char out[32];
        snprintf(out, sizeof out, "run.out=%s", runs[i]);
        tr_config *config = read_config(
            "env.ini", i ? SETS(out, "run.threads=1", "loader.workers=1", "run.isa=scalar")
                         : SETS(out, "run.threads=2", "loader.workers=0"));
        ck_assert_msg(tr_train(config, NULL, NULL, NULL, &err) == TR_OK, "%s", err.text);
        tr_config_free(config);
        file[i] = load_json(runs[i], "summary.json");
    }
    char *design = read_whole(TR_TEST_ROOT "/../docs/design.md", &bytes);
    const char *key;
    json_t *value;
    int n = 0;
    json_object_foreach(file[0], key, value) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "`%s`", key);
        if (tr_is_environment(key)) {
            ck_assert_msg(strstr(design, quoted) != NULL, "%s is not in docs/design.md", key);
            n++;
        } else {
            ck_assert_msg(json_equal(value, json_object_get(file[1], key)), "%s differs", key);
        }
    }
    ck_assert_int_gt(n, 5);
    ck_assert(tr_is_environment("seconds"));
    ck_assert(!tr_is_environment("loss"));
    free(design);
    for (int i = 0; i < 2; i++) json_decref(file[i]);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("api_results");
    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 300); /* several hundred calls, most of them nearly complete */
    tcase_add_loop_test(memory, any_allocation_fails, 0, TRAIN);
    tcase_add_loop_test(memory, any_allocation_fails, TRAIN + 1, N_HUNGRY);
    suite_add_tcase(suite, memory);
    TCase *slow = tcase_create("memory of training");
    tcase_set_timeout(slow, 300);
    tcase_set_tags(slow, "long");
    tcase_add_loop_test(slow, any_allocation_fails, TRAIN, TRAIN + 1);
    suite_add_tcase(suite, slow);
    TCase *results = tcase_create("results");
    tcase_set_timeout(results, 60);
    tcase_add_test(results, environment_is_listed);
    tcase_add_test(results, many_classes);
    tcase_add_test(results, results_live_until_the_next_call);
    tcase_add_test(results, memory_adds_up);
    suite_add_tcase(suite, results);
    return program_main(suite);
}
