/* The library, called: how a listener stops a run at each event, and what the folder says then; and
 * values that are not finite.
 *
 * A listener is left by return only, never by Check's longjmp: what it sees is judged afterwards.
 */
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "program.h"
#include "train/run_dir.h"
#include "trainer/trainer.h"

/* ---- what tests have in common ---- */

typedef struct watcher {
    tr_event_kind kind;
    int at; /* stop at this one of its kind, from 1; 0: never */
    int n;  /* seen of it */
    bool testing, drawing;
    double pause; /* after a log and an epoch, so that the next progress is due */
    void (*act)(const tr_event *event);
    int n_warnings, n_notes, n_ends;
    char warning[TR_ERROR_TEXT], notes[TR_ERROR_TEXT];
    bool order_kept; /* notes come right behind the plan */
    tr_event_kind before;
} watcher;

static void busy(double seconds) {
    double end = tr_now() + seconds;
    while (tr_now() < end) {
    }
}

static int watch(const tr_event *e, void *arg) {
    watcher *w = arg;
    if (e->kind == TR_EVENT_WARNING) {
        w->n_warnings++;
        snprintf(w->warning, sizeof w->warning, "%s", e->text);
    }
    if (e->kind == TR_EVENT_NOTE) {
        w->n_notes++;
        snprintf(w->notes, sizeof w->notes, "%s", e->text);
        w->order_kept = w->before == TR_EVENT_PLAN || w->before == TR_EVENT_NOTE;
    }
    w->before = e->kind;
    w->n_ends += e->kind == TR_EVENT_END;
    if (w->act) w->act(e);
    if (e->kind == TR_EVENT_LOG || e->kind == TR_EVENT_EPOCH) busy(w->pause);
    if (e->kind != w->kind || (w->testing && !e->testing)) return 0;
    if (w->drawing && (e->testing || e->epoch != e->plan->epochs || e->train_loss != e->train_loss))
        return 0;
    return ++w->n == w->at;
}

static tr_config *read_config(const char *name, const char *const *sets) {
    tr_error err = {0};
    tr_config *config;
    ck_assert_msg(tr_config_read(name, &config, &err) == TR_OK, "%s", err.text);
    for (; sets && *sets; sets++)
        ck_assert_msg(tr_config_set(config, *sets, &err) == TR_OK, "%s", err.text);
    return config;
}
#define SETS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool has(const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Neither the lock nor a temporary file; metrics in whole lines. */
static void check_clean(const char *folder) {
    DIR *list = opendir(folder);
    ck_assert_ptr_nonnull(list);
    for (struct dirent *entry; (entry = readdir(list));)
        ck_assert_msg(entry->d_name[0] != '.' ||
                          strspn(entry->d_name, ".") == strlen(entry->d_name),
                      "%s was left", entry->d_name);
    closedir(list);
    ck_assert(!has(folder, "lock"));
    ck_assert(has(folder, "config.ini"));
    if (!has(folder, "metrics.jsonl")) return;
    char path[256];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    char *all = read_whole(path, NULL), *rest = all;
    ck_assert_int_eq(all[strlen(all) - 1], '\n');
    while (*rest) {
        json_t *object = json_loads(strsep(&rest, "\n"), 0, NULL);
        ck_assert(json_is_object(object));
        json_decref(object);
    }
    free(all);
}

/* summary.json says what the summary does, and the model is the one that both name. */
static void check_ended(const char *folder, const tr_summary *s, const char *status) {
    json_t *file = load_json(folder, "summary.json");
    ck_assert_str_eq(text_of(file, "status"), status);
    ck_assert_str_eq(s->status, status);
    ck_assert_str_eq(text_of(file, "reason"), s->reason);
    ck_assert_int_eq(json_integer_value(json_object_get(file, "steps")), s->steps);
    ck_assert_str_eq(text_of(file, "weights_sha256"), s->weights_sha256);
    ck_assert_int_eq(json_is_null(json_object_get(file, "test_loss")), isnan(s->test_loss) != 0);
    ck_assert_int_eq(json_is_null(json_object_get(file, "model_steps")), s->model_steps < 0);
    ck_assert_int_eq(has(folder, "model.safetensors"), s->model_steps >= 0);
    ck_assert_int_eq(s->weights_sha256[0] != '\0', s->model_steps >= 0);
    check_clean(folder);
    if (s->model_steps >= 0) {
        tr_error err = {0};
        tr_config *config;
        tr_summary again;
        ck_assert_msg(tr_config_of_run(folder, &config, &err) == TR_OK, "%s", err.text);
        ck_assert_msg(tr_evaluate(config, folder, &again, &err) == TR_OK, "%s", err.text);
        ck_assert_str_eq(again.weights_sha256, text_of(file, "weights_sha256"));
        tr_config_free(config);
    }
    json_decref(file);
}

/* ---- stopping ---- */

static const struct {
    const char *name;
    watcher w;
    int steps, model_steps, test_steps; /* of the summary; no folder: steps -1 */
    const char *reason;
} stops[] = {
    {"opening", {.kind = TR_EVENT_OPENING, .at = 1}, -1, -1, -1, "stopped before the first step"},
    {"data", {.kind = TR_EVENT_OPENING, .at = 3}, -1, -1, -1, "stopped before the first step"},
    {"plan", {.kind = TR_EVENT_PLAN, .at = 1}, 0, -1, -1, "stopped before the first step"},
    {"first", {.kind = TR_EVENT_PROGRESS, .at = 1}, 0, -1, -1, "stopped before the first step"},
    {"step", {.kind = TR_EVENT_LOG, .at = 1}, 1, 1, -1, "stopped in epoch 1 after step 1"},
    {"last", {.kind = TR_EVENT_LOG, .at = 3}, 3, 3, -1, "stopped in epoch 1 after step 3"},
    {"second", {.kind = TR_EVENT_LOG, .at = 5}, 5, 5, 3, "stopped in epoch 2 after step 2"},
    {"test",
     {.kind = TR_EVENT_PROGRESS, .at = 1, .testing = true, .pause = 0.06},
     3,
     3,
     -1,
     "stopped in epoch 1 after step 3, in the test"},
    {"epoch", {.kind = TR_EVENT_EPOCH, .at = 1}, 3, 3, 3, "stopped in epoch 1 after step 3"},
    {"drawing",
     {.kind = TR_EVENT_PROGRESS, .at = 1, .drawing = true, .pause = 0.06},
     6,
     6,
     6,
     "stopped in epoch 2 after step 3, while the pictures were drawn"},
};
enum { N_STOPS = sizeof stops / sizeof *stops };

START_TEST(stopped_by_the_listener) {
    char out[64];
    tr_error err = {0};
    tr_summary s;
    watcher w = stops[_i].w;
    write_config("stop.ini", 0, NULL);
    snprintf(out, sizeof out, "run.out=stop-%s", stops[_i].name);
    tr_config *config = read_config("stop.ini", SETS("train.epochs=2", out));
    ck_assert_int_eq(tr_train(config, watch, &w, &s, &err), TR_ECANCELED);
    ck_assert_str_eq(err.text, stops[_i].reason);
    ck_assert_int_eq(w.n, w.at); /* not called again */
    const char *folder = out + strlen("run.out=");
    ck_assert_int_eq(s.model_steps, stops[_i].model_steps);
    ck_assert_int_eq(s.test_steps, stops[_i].test_steps);
    ck_assert_int_eq(isnan(s.test_loss) != 0, stops[_i].test_steps < 0);
    ck_assert_int_eq(isnan(s.images_per_second) != 0, stops[_i].steps <= 0);
    if (stops[_i].steps < 0) {
        ck_assert_int_ne(access(folder, F_OK), 0);
        ck_assert_str_eq(s.status, "");
        ck_assert_str_eq(s.run_dir, "");
    } else {
        ck_assert_int_eq(s.steps, stops[_i].steps);
        ck_assert_str_eq(s.run_dir, folder);
        ck_assert_str_eq(s.reason, stops[_i].reason);
        check_ended(folder, &s, "stopped");
    }
    tr_config_free(config);
}
END_TEST

/* Nothing is left to stop then. */
START_TEST(stop_at_the_end) {
    tr_error err = {0};
    tr_summary s;
    watcher w = {.kind = TR_EVENT_END, .at = 1};
    write_config("end.ini", 0, NULL);
    tr_config *config = read_config("end.ini", SETS("run.out=end"));
    ck_assert_msg(tr_train(config, watch, &w, &s, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(err.code, TR_OK);
    ck_assert_int_eq(w.n_ends, 1);
    ck_assert_int_eq(w.n_warnings, 0);
    check_ended("end", &s, "completed");
    ck_assert_str_eq(s.reason, "");
    ck_assert_str_eq(s.version, tr_version());
    ck_assert_uint_eq(strlen(s.started), strlen("2024-02-29T12:00:00Z"));
    ck_assert_int_gt((int)strlen(s.cpu), 0);
    ck_assert_int_eq(s.epochs_done, 1);
    ck_assert_int_eq(s.batch_size, 8);
    ck_assert_int_eq(s.train_images, 24);
    ck_assert_int_eq(s.test_images, 8);
    ck_assert_int_ge(s.threads_run, 1);
    ck_assert_int_le(s.threads_run, s.threads);
    tr_config_free(config);
}
END_TEST

START_TEST(no_epochs) {
    tr_error err = {0};
    tr_summary s;
    write_config("none.ini", 0, NULL);
    tr_config *config = read_config("none.ini", SETS("train.epochs=0", "run.out=none"));
    ck_assert_msg(tr_train(config, NULL, NULL, &s, &err) == TR_OK, "%s", err.text);
    check_ended("none", &s, "completed");
    ck_assert_int_eq(s.steps, 0);
    ck_assert_int_eq(s.model_steps, 0);
    ck_assert_int_eq(s.test_steps, 0);
    json_t *file = load_json("none", "summary.json");
    ck_assert(json_is_null(json_object_get(file, "train_loss")));
    ck_assert(json_is_null(json_object_get(file, "images_per_second")));
    ck_assert(json_is_null(json_object_get(file, "data_wait_fraction")));
    ck_assert(json_is_null(json_object_get(file, "reason")));
    ck_assert(json_is_number(json_object_get(file, "test_loss")));
    ck_assert_int_eq(json_integer_value(json_object_get(file, "format")), 1);
    json_decref(file);
    tr_config_free(config);
}
END_TEST

START_TEST(stopped_dry_run) {
    tr_error err = {0};
    watcher w = {.kind = TR_EVENT_PLAN, .at = 1};
    write_config("dry.ini", 0, NULL);
    tr_config *config = read_config("dry.ini", SETS("run.out=dry"));
    ck_assert_int_eq(tr_dry_run(config, watch, &w, &err), TR_ECANCELED);
    ck_assert_int_ne(access("dry", F_OK), 0);
    tr_config_free(config);
}
END_TEST

/* ---- what costs a line, and what costs the run ---- */

/* A cut batch file is a note, and a listener may stop there, too. */
START_TEST(notes_follow_the_plan) {
    tr_error err = {0};
    tr_summary s;
    watcher w = {.kind = TR_EVENT_NOTE, .at = _i};
    cut_mini("cut", 20, 10);
    tr_config *config =
        read_config(TR_TEST_ROOT "/../configs/lenet.ini",
                    SETS("data.root=cut", "train.epochs=0", _i ? "run.out=note" : "run.out=noted"));
    int code = tr_train(config, watch, &w, &s, &err);
    ck_assert_msg(code == (_i ? TR_ECANCELED : TR_OK), "%s", err.text);
    ck_assert_int_ge(w.n_notes, 1);
    ck_assert(w.order_kept);
    ck_assert_str_eq(s.status, _i ? "stopped" : "completed");
    tr_config_free(config);
}
END_TEST

static void block_samples(const tr_event *e) {
    if (e->kind == TR_EVENT_PLAN) mkdir("blocked/samples.png", 0777);
}
static void block_curves(const tr_event *e) {
    if (e->kind == TR_EVENT_PLAN) mkdir("blocked/curves.png", 0777);
}

START_TEST(picture_that_fails) {
    static void (*const acts[])(const tr_event *) = {block_samples, block_curves};
    static const char *const names[] = {"samples.png", "curves.png"};
    tr_error err = {0};
    tr_summary s;
    watcher w = {.kind = TR_EVENT_END, .act = acts[_i % 2]};
    bool stop = _i >= 2;
    if (stop) w.kind = TR_EVENT_WARNING, w.at = 1;
    write_config("blocked.ini", 0, NULL);
    tr_config *config = read_config("blocked.ini", SETS("run.out=blocked"));
    int code = tr_train(config, watch, &w, &s, &err);
    ck_assert_msg(code == (stop ? TR_ECANCELED : TR_OK), "%s", err.text);
    ck_assert_int_eq(w.n_warnings, 1);
    ck_assert_ptr_nonnull(strstr(w.warning, names[_i % 2]));
    if (!stop) ck_assert(has("blocked", "confusion.png"));
    check_ended("blocked", &s, stop ? "stopped" : "completed");
    tr_config_free(config);
    ck_assert_int_eq(system("rm -r blocked"), 0); /* for the next case */
}
END_TEST

static void remove_folder(const tr_event *e) {
    if (e->kind == TR_EVENT_LOG && rename("away", "elsewhere") != 0) abort();
}

START_TEST(folder_that_disappears) {
    tr_error err = {0};
    tr_summary s;
    watcher w = {.kind = TR_EVENT_END, .act = remove_folder};
    write_config("away.ini", 0, NULL);
    tr_config *config = read_config("away.ini", SETS("run.out=away", "train.log_every=2"));
    ck_assert_int_eq(tr_train(config, watch, &w, &s, &err), TR_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "away/model.safetensors"));
    ck_assert_str_eq(s.status, "failed");
    ck_assert_int_ne(access("away", F_OK), 0);
    tr_config_free(config);
}
END_TEST

/* The model no longer fits from the second epoch on; the summary does. */
static void limit_files(const tr_event *e) {
    struct rlimit limit = {4096, RLIM_INFINITY};
    if (e->kind == TR_EVENT_EPOCH && setrlimit(RLIMIT_FSIZE, &limit) != 0) abort();
}

/* Lifted again, or a program that counts its lines is ended when it saves the counts. */
static int train_limited(tr_config *config, watcher *w, tr_summary *s, tr_error *err) {
    int code = tr_train(config, watch, w, s, err);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}), 0);
    return code;
}

START_TEST(model_that_cannot_be_saved) {
    tr_error err = {0};
    tr_summary s;
    watcher w = {.kind = TR_EVENT_END, .act = limit_files};
    write_config("limit.ini", 0, NULL);
    tr_config *config = read_config("limit.ini", SETS("run.out=limit", "train.epochs=3"));
    ck_assert_int_eq(train_limited(config, &w, &s, &err), TR_EIO);
    ck_assert_str_eq(err.text, "limit/model.safetensors: cannot write: File too large");
    ck_assert_int_eq(s.steps, 6);
    ck_assert_int_eq(s.model_steps, 3);
    check_ended("limit", &s, "failed"); /* the sum is that of the model that is there */
    tr_config_free(config);
}
END_TEST

/* JSON holds UTF-8 only, a path any bytes. */
START_TEST(reason_that_is_not_utf8) {
    tr_error err = {0};
    tr_summary s;
    watcher w = {.kind = TR_EVENT_END, .act = limit_files};
    write_config("bytes.ini", 0, NULL);
    tr_config *config = read_config("bytes.ini", SETS("run.out=odd\xff", "train.epochs=2"));
    ck_assert_int_eq(train_limited(config, &w, &s, &err), TR_EIO);
    ck_assert_str_eq(err.text, "odd\\xff/model.safetensors: cannot write: File too large");
    json_t *file = load_json("odd\xff", "summary.json");
    ck_assert_str_eq(text_of(file, "status"), "failed");
    ck_assert_str_eq(text_of(file, "reason"),
                     "odd\\xff/model.safetensors: cannot write: File too large");
    json_decref(file);
    tr_config_free(config);
}
END_TEST

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
enum { N_HUNGRY = sizeof hungry / sizeof *hungry };

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

/* ---- values that are not finite ---- */

/* One linear layer: its weights grow by the factor 1e12 in each step, its loss as fast and still
 * finite, until the fourth step makes them infinite. */
static const char *const growing[] = {"optimizer.lr=1e6",       "optimizer.weight_decay=1e6",
                                      "loader.batch_size=12",   "train.log_every=1",
                                      "network.conv1=identity", "network.relu1=identity"};
enum { N_GROWING = sizeof growing / sizeof *growing };

static int train_growing(const char *const *more, watcher *w, tr_summary *s, tr_error *err,
                         tr_config **config) {
    const char *sets[16] = {0};
    int n = 0;
    write_config("grow.ini", 0, NULL);
    for (; n < N_GROWING; n++) sets[n] = growing[n];
    for (; *more; more++) sets[n++] = *more;
    *config = read_config("grow.ini", sets);
    return tr_train(*config, watch, w, s, err);
}

static void check_summary_of_growing(const char *folder, const tr_summary *s, const tr_error *err,
                                     const char *reason) {
    ck_assert_ptr_eq(strstr(err->text, reason), err->text);
    ck_assert_str_eq(s->reason, err->text);
    check_ended(folder, s, "failed");
}

/* The test of the second epoch is the first to be wrong: the model of the first epoch stays. */
START_TEST(test_loss_is_not_finite) {
    tr_error err = {0};
    tr_summary s;
    tr_config *config;
    watcher w = {.kind = TR_EVENT_END};
    int code = train_growing(SETS("train.epochs=2", "run.out=grown"), &w, &s, &err, &config);
    ck_assert_int_eq(code, TR_ENONFINITE);
    check_summary_of_growing("grown", &s, &err, "the test loss is not a number in images 0 to 7");
    ck_assert_ptr_nonnull(strstr(err.text, "after step 4 (epoch 2, step 2)"));
    ck_assert_int_eq(s.model_steps, 2);
    ck_assert_int_eq(s.test_steps, 2);
    ck_assert_int_eq(s.epochs_done, 1);
    ck_assert_int_eq(w.n_ends, 0);
    tr_config_free(config);
}
END_TEST

START_TEST(loss_is_not_finite) {
    tr_error err = {0};
    tr_summary s;
    tr_config *config;
    watcher w = {.kind = TR_EVENT_END};
    int code = train_growing(SETS("train.epochs=3", "run.out=lost", "loader.batch_size=4"), &w, &s,
                             &err, &config);
    ck_assert_int_eq(code, TR_ENONFINITE);
    check_summary_of_growing("lost", &s, &err,
                             "the loss is not a number at step 5 (epoch 1, step 5)");
    ck_assert_int_eq(s.model_steps, -1);
    tr_config_free(config);
}
END_TEST

/* The listener stops behind the step that made the weights infinite, whose loss was finite. */
START_TEST(weights_are_not_finite) {
    tr_error err = {0};
    tr_summary s;
    tr_config *config;
    watcher w = {.kind = TR_EVENT_LOG, .at = 4};
    int code = train_growing(SETS("train.epochs=3", "run.out=inf"), &w, &s, &err, &config);
    ck_assert_int_eq(code, TR_ENONFINITE);
    check_summary_of_growing("inf", &s, &err, "tensor 'fc.weight' holds a value that is ");
    ck_assert_ptr_nonnull(strstr(err.text, "after step 4 (epoch 2, step 2)"));
    ck_assert_int_eq(s.model_steps, 2);
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

static Suite *api_suite(void) {
    Suite *suite = suite_create("api");
    TCase *ends = tcase_create("ends");
    tcase_set_timeout(ends, 60);
    tcase_add_loop_test(ends, stopped_by_the_listener, 0, N_STOPS);
    tcase_add_test(ends, stop_at_the_end);
    tcase_add_test(ends, no_epochs);
    tcase_add_test(ends, stopped_dry_run);
    tcase_add_loop_test(ends, notes_follow_the_plan, 0, 2);
    tcase_add_loop_test(ends, picture_that_fails, 0, 4);
    tcase_add_test(ends, folder_that_disappears);
    tcase_add_test(ends, reason_that_is_not_utf8);
    tcase_add_test(ends, model_that_cannot_be_saved);
    suite_add_tcase(suite, ends);

    TCase *memory = tcase_create("memory");
    tcase_set_timeout(memory, 300); /* several hundred calls, most of them nearly complete */
    tcase_add_loop_test(memory, any_allocation_fails, 0, N_HUNGRY);
    suite_add_tcase(suite, memory);
    TCase *values = tcase_create("values");
    tcase_set_timeout(values, 60);
    tcase_add_test(values, test_loss_is_not_finite);
    tcase_add_test(values, loss_is_not_finite);
    tcase_add_test(values, weights_are_not_finite);
    tcase_add_test(values, environment_is_listed);
    tcase_add_test(values, many_classes);
    tcase_add_test(values, results_live_until_the_next_call);
    tcase_add_test(values, memory_adds_up);
    suite_add_tcase(suite, values);
    return suite;
}

int main(void) {
    return program_main(api_suite());
}
