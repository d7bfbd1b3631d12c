/* The run directory: its name, config.ini, metrics.jsonl, summary.json. Every file is written
 * whole. */
#include "train/run_dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_RUNS = 100000 };

char *tr_run_dir_path(const char *dir, const char *name, char out[4352]) {
    snprintf(out, 4352, "%s/%s", dir, name);
    return out;
}

static bool holds_run(const char *dir) {
    static const char *const files[] = {"config.ini", "model.safetensors", "metrics.jsonl",
                                        "summary.json"};
    char path[4352];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (tr_exists(tr_run_dir_path(dir, files[i], path))) return true;
    }
    return false;
}

int tr_run_dir_check(const tr_session *s, tr_error *err) {
    const char *out = s->experiment.run.out;
    const tr_pair *pair = tr_doc_find(s->experiment.doc, "run", "out");
    if (!out[0] || !tr_exists(out)) return TR_OK;
    if (!tr_is_folder(out))
        return tr_fail_at(err, pair->where, "run.out", "'%s' is there and is not a folder", out);
    if (holds_run(out))
        return tr_fail_at(err, pair->where, "run.out",
                          "'%s' holds a run already, allowed is a new or empty folder", out);
    tr_error inner = {0};
    int code = tr_check_writable(out, &inner);
    return code ? tr_fail_at(err, pair->where, "run.out", "%s", inner.text) : TR_OK;
}

static int choose(const tr_session *s, char *out, size_t bytes, tr_error *err) {
    const tr_experiment *e = &s->experiment;
    int code = TR_OK;
    if (e->run.out[0]) {
        tr_error inner = {0};
        if ((code = tr_run_dir_check(s, err))) return code;
        snprintf(out, bytes, "%s", e->run.out);
        code = tr_make_folder(out, &inner);
        if (code == TR_OK) code = tr_check_writable(out, &inner);
        return code ? tr_fail_at(err, tr_doc_find(e->doc, "run", "out")->where, "run.out", "%s",
                                 inner.text)
                    : TR_OK;
    }
    for (int i = 1; i < MAX_RUNS; i++) {
        int length = i == 1 ? snprintf(out, bytes, "runs/%s", e->name)
                            : snprintf(out, bytes, "runs/%s-%d", e->name, i);
        if (length < 0 || (size_t)length >= bytes) break;
        tr_error inner = {0};
        code = tr_make_new_folder(out, &inner);
        if (code == TR_OK) return TR_OK;
        if (code < 0)
            return tr_fail(err, TR_ECONFIG, "%s (choose another place with --out)", inner.text);
    }
    return tr_fail(err, TR_ECONFIG, "there is no free name for runs/%s: choose one with --out",
                   e->name);
}

int tr_run_dir_create(const tr_session *s, char *out, size_t bytes, tr_error *err) {
    char path[4352];
    int code = choose(s, out, bytes, err);
    if (code) return code;
    char *text = tr_experiment_text(&s->experiment, err);
    if (text == NULL) return TR_ENOMEM;
    code = tr_save(tr_run_dir_path(out, "config.ini", path), text, strlen(text), err);
    tr_free(text);
    return code;
}

/* ---- history and metrics ---- */

/* Room for one more in n arrays that have `n` entries each. */
static int grow(double **arrays[], int n_arrays, int n, int *room, tr_error *err) {
    if (n < *room) return TR_OK;
    int more = *room ? 2 * *room : 64;
    for (int i = 0; i < n_arrays; i++) {
        double *larger = tr_alloc((size_t)more, sizeof *larger, err);
        if (larger == NULL) return TR_ENOMEM;
        if (n) memcpy(larger, *arrays[i], (size_t)n * sizeof *larger);
        tr_free(*arrays[i]);
        *arrays[i] = larger;
    }
    *room = more;
    return TR_OK;
}

int tr_run_dir_log(const char *dir, tr_history *h, const tr_event *e, tr_error *err) {
    char path[4352];
    double **arrays[] = {&h->log_x, &h->log_loss};
    int code = grow(arrays, 2, h->n_logs, &h->log_room, err);
    if (code) return code;
    h->log_x[h->n_logs] = e->epoch - 1 + (double)e->step / (double)e->plan->steps;
    h->log_loss[h->n_logs++] = e->loss;
    json_t *line =
        json_pack("{s:s, s:i, s:I, s:o, s:o, s:o}", "event", "log", "epoch", e->epoch, "step",
                  (json_int_t)e->global_step, "loss", tr_json_number(e->loss), "lr",
                  tr_json_number(e->lr), "images_per_second", tr_json_number(e->images_per_second));
    return tr_json_append(tr_run_dir_path(dir, "metrics.jsonl", path), line, err);
}

int tr_run_dir_epoch(const char *dir, tr_history *h, const tr_event *e, tr_error *err) {
    char path[4352];
    double **arrays[] = {&h->epoch_x, &h->train_loss, &h->test_loss, &h->test_accuracy};
    int code = grow(arrays, 4, h->n_epochs, &h->epoch_room, err);
    if (code) return code;
    h->epoch_x[h->n_epochs] = e->epoch;
    h->train_loss[h->n_epochs] = e->train_loss;
    h->test_loss[h->n_epochs] = e->test_loss;
    h->test_accuracy[h->n_epochs++] = e->test_accuracy;
    json_t *line =
        json_pack("{s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:o}", "event", "epoch", "epoch", e->epoch,
                  "step", (json_int_t)e->global_step, "train_loss", tr_json_number(e->train_loss),
                  "test_loss", tr_json_number(e->test_loss), "test_accuracy",
                  tr_json_number(e->test_accuracy), "seconds", tr_json_number(e->epoch_seconds),
                  "images_per_second", tr_json_number(e->images_per_second));
    return tr_json_append(tr_run_dir_path(dir, "metrics.jsonl", path), line, err);
}

void tr_history_free(tr_history *h) {
    tr_free(h->log_x);
    tr_free(h->log_loss);
    tr_free(h->epoch_x);
    tr_free(h->train_loss);
    tr_free(h->test_loss);
    tr_free(h->test_accuracy);
    *h = (tr_history){0};
}

int tr_run_dir_summary(const char *dir, const tr_summary *s, tr_error *err) {
    char path[4352];
    json_t *classes = json_object();
    for (int k = 0; k < s->n_classes; k++)
        json_object_set_new(classes, s->class_names[k], tr_json_number(s->per_class_accuracy[k]));
    json_t *object = json_pack(
        "{s:I, s:i, s:I, s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:s}", "seed",
        (json_int_t)s->seed, "epochs", s->epochs, "steps", (json_int_t)s->steps, "threads",
        s->threads, "workers", s->workers, "isa", s->isa, "test_accuracy",
        tr_json_number(s->test_accuracy), "test_loss", tr_json_number(s->test_loss), "train_loss",
        tr_json_number(s->final_train_loss), "per_class_accuracy", classes, "train_seconds",
        tr_json_number(s->train_seconds), "images_per_second", tr_json_number(s->images_per_second),
        "data_wait_fraction", tr_json_number(s->data_wait_fraction), "loader_wait_seconds",
        tr_json_number(s->loader_wait_seconds), "peak_rss_bytes", (json_int_t)s->peak_rss_bytes,
        "weights_sha256", s->weights_sha256);
    return tr_json_save(tr_run_dir_path(dir, "summary.json", path), object, err);
}
