/* The library, called: how a listener stops a run at each event, and what the folder says then; and
 * values that are not finite.
 *
 * A listener is left by return only, never by Check's longjmp: what it sees is judged afterwards.
 */
#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "api_runs.h"

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

    TCase *values = tcase_create("values");
    tcase_set_timeout(values, 60);
    tcase_add_test(values, test_loss_is_not_finite);
    tcase_add_test(values, loss_is_not_finite);
    tcase_add_test(values, weights_are_not_finite);
    suite_add_tcase(suite, values);
    return suite;
}

int main(void) {
    return program_main(api_suite());
}
