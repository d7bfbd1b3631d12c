/* The run directory: its names, and how one run takes it.
 *
 * Taken is a folder with the file `lock`, which the system makes for one process alone. What the
 * folder holds is looked at after that: a run that was over in between has left its other files.
 */
#include "train/run_dir.h"
#include "train/train.h"

#include <stdio.h>
#include <string.h>

enum { MAX_RUNS = 100000 };

static const tr_entry files[TR_N_RUN_FILES] = {
    [TR_FILE_LOCK] = {"lock", NULL, "",
                      "host, process and start; there during the run only, or after it was killed"},
    [TR_FILE_CONFIG] =
        {"config.ini", NULL, "",
         "the effective configuration: every key with its value, paths from the root on; "
         "it can be run again, from any folder"},
    [TR_FILE_MODEL] =
        {"model.safetensors", NULL, "",
         "parameters and buffers with PyTorch's names, shapes and order, renewed after "
         "each epoch"},
    [TR_FILE_METRICS] = {"metrics.jsonl", NULL, "",
                         "a JSON object for each log line and each epoch"},
    [TR_FILE_SUMMARY] =
        {"summary.json", NULL, "",
         "how the run ended, accuracy, loss, speed, memory, machine, SHA-256 of the "
         "weights"},
    [TR_FILE_SAMPLES] = {"samples.png", NULL, "", "training images with their labels"},
    [TR_FILE_CURVES] = {"curves.png", NULL, "", "loss and accuracy"},
    [TR_FILE_PREDICTIONS] = {"predictions.png", NULL, "",
                             "test images with true and predicted classes"},
    [TR_FILE_CONFUSION] = {"confusion.png", NULL, "", "the confusion matrix of the test set"},
};

const tr_entry *tr_run_files(int *n) {
    *n = TR_N_RUN_FILES;
    return files;
}

const char *tr_run_file_name(tr_run_file file) {
    return files[file].name;
}

/* ---- the folder's names ---- */

static void forget(tr_run_dir *dir) {
    for (int i = 0; i < TR_N_RUN_FILES; i++) tr_free(dir->file[i]);
    tr_free(dir->path);
    *dir = (tr_run_dir){0};
}

static int name_files(const char *path, tr_run_dir *out, tr_error *err) {
    *out = (tr_run_dir){.path = tr_strdup(path, err)};
    bool complete = out->path != NULL;
    for (int i = 0; i < TR_N_RUN_FILES && complete; i++) {
        out->file[i] = tr_path(path, files[i].name, err);
        complete = out->file[i] != NULL;
    }
    if (complete) return TR_OK;
    forget(out);
    return TR_ENOMEM;
}

/* Files of all names can be made and none is there; `lock` is checked unless this run made it. */
static int check_free(const tr_run_dir *dir, bool locked, tr_error *err) {
    for (int i = locked ? TR_FILE_LOCK + 1 : TR_FILE_LOCK; i < TR_N_RUN_FILES; i++) {
        int found = tr_look(dir->file[i], err);
        if (found < 0) return found;
        if (found && i == TR_FILE_LOCK)
            return tr_fail(err, TR_ECONFIG,
                           "'%s' has '%s' already: another run is under way there or was killed, "
                           "allowed is a new or empty folder",
                           dir->path, files[i].name);
        if (found)
            return tr_fail(err, TR_ECONFIG,
                           "'%s' has '%s' already, which a run does not replace, allowed is a new "
                           "or empty folder",
                           dir->path, files[i].name);
    }
    return TR_OK;
}

/* ---- taking it ---- */

/* {"host": "...", "process": 123, "started": "..."} */
static int make_lock(const tr_run_dir *dir, tr_error *err) {
    char host[128], date[TR_DATE], text[512];
    tr_host_name(host, sizeof host);
    for (char *c = host; *c; c++)
        if (*c == '"' || *c == '\\') *c = '?';
    tr_date(date);
    snprintf(text, sizeof text, "{\"host\": \"%s\", \"process\": %ld, \"started\": \"%s\"}\n", host,
             tr_process_id(), date);
    return tr_create_new(dir->file[TR_FILE_LOCK], text, err);
}

static int write_config(const tr_run_dir *dir, const tr_session *s, tr_error *err) {
    char *text = tr_experiment_text(&s->experiment, s->graph, err);
    if (text == NULL) return err ? err->code : TR_ENOMEM;
    int code = tr_save(dir->file[TR_FILE_CONFIG], text, strlen(text), err);
    tr_free(text);
    return code;
}

/* With the lock, which this run holds from here on. */
static int settle(const tr_run_dir *dir, const tr_session *s, tr_error *err) {
    int code = check_free(dir, true, err);
    return code ? code : write_config(dir, s, err);
}

/* TR_OK, 1 when another run was faster, or a failure. */
static int lock_and_settle(const tr_run_dir *dir, const tr_session *s, tr_error *err) {
    int code = make_lock(dir, err);
    if (code) return code;
    if ((code = settle(dir, s, err))) tr_remove_file(dir->file[TR_FILE_LOCK]);
    return code;
}

static tr_where place_of_out(const tr_session *s) {
    const tr_pair *pair = tr_doc_find(s->experiment.doc, "run", "out");
    return pair ? pair->where : (tr_where){tr_doc_name(s->experiment.doc), 0};
}

/* Another choice would mend what is wrong with a place, but not that memory is short. */
static int code_of_place(int code) {
    return code == TR_ENOMEM ? code : TR_ECONFIG;
}

/* Of the failures TR_ECONFIG are those of the place. */
static int take_named(const char *path, const tr_session *s, tr_run_dir *dir, tr_error *err) {
    if (tr_look(path, NULL) == 1 && !tr_is_folder(path))
        return tr_fail(err, TR_ECONFIG, "'%s' is there and is not a folder", path);
    int made = tr_make_new_folder(path, err);
    if (made < 0) return code_of_place(made);
    int code = tr_check_writable(path, err);
    if (code) return code_of_place(code);
    code = made ? check_free(dir, false, err) : TR_OK;
    if (code == TR_OK) code = lock_and_settle(dir, s, err);
    if (code < 0 && made == TR_OK) tr_remove_empty_folder(path);
    return code > 0 ? tr_fail(err, TR_ECONFIG, "'%s' was taken by another run just now", path)
                    : code;
}

/* The same for an automatic name; 1 for one that is another run's. */
static int take_new(const char *path, const tr_session *s, tr_run_dir *dir, tr_error *err) {
    tr_error inner = {0};
    int code = tr_make_new_folder(path, err);
    if (code) return code < 0 ? code_of_place(code) : code;
    code = lock_and_settle(dir, s, &inner);
    if (code < 0) tr_remove_empty_folder(path);
    /* A run that was given this name with --out has been here. */
    if (code == TR_ECONFIG) return 1;
    return code < 0 ? tr_fail(err, code, "%s", inner.text) : code;
}

/* The name of the i-th run, from 1: runs/NAME, runs/NAME-2, ... */
static char *automatic_name(const tr_session *s, int i, tr_error *err) {
    size_t bytes = strlen(s->experiment.name) + 32;
    char *path = tr_alloc(bytes, 1, err);
    if (path == NULL) return NULL;
    if (i == 1)
        snprintf(path, bytes, "runs/%s", s->experiment.name);
    else
        snprintf(path, bytes, "runs/%s-%d", s->experiment.name, i);
    return path;
}

static int no_automatic(const tr_session *s, int code, const tr_error *inner, tr_error *err) {
    if (code > 0)
        return tr_fail(err, TR_ECONFIG, "there is no free name for runs/%s: choose one with --out",
                       s->experiment.name);
    return tr_fail(err, code, "%s%s", inner->text,
                   code == TR_ECONFIG ? " (choose another place with --out)" : "");
}

static int take_automatic(const tr_session *s, tr_run_dir *out, tr_error *err) {
    tr_error inner = {0};
    int code = 1;
    for (int i = 1; i <= MAX_RUNS && code > 0; i++) {
        char *path = automatic_name(s, i, &inner);
        code = path ? name_files(path, out, &inner) : TR_ENOMEM;
        if (code == TR_OK && (code = take_new(path, s, out, &inner))) forget(out);
        tr_free(path);
    }
    return code ? no_automatic(s, code, &inner, err) : TR_OK;
}

int tr_run_dir_take(const tr_session *s, tr_run_dir *out, tr_error *err) {
    const char *path = s->experiment.run.out;
    tr_error inner = {0};
    *out = (tr_run_dir){0};
    if (!path[0]) return take_automatic(s, out, err);
    int code = name_files(path, out, err);
    if (code) return code;
    if ((code = take_named(path, s, out, &inner)) == TR_OK) return TR_OK;
    forget(out);
    return code == TR_ECONFIG ? tr_fail_at(err, place_of_out(s), "run.out", "%s", inner.text)
                              : tr_fail(err, code, "%s", inner.text);
}

void tr_run_dir_release(tr_run_dir *dir) {
    if (dir->path == NULL) return;
    tr_remove_file(dir->file[TR_FILE_LOCK]);
    forget(dir);
}

/* ---- the same without making anything ---- */

static int check_named(const tr_session *s, tr_error *err) {
    const char *path = s->experiment.run.out;
    tr_error inner = {0};
    tr_run_dir dir;
    int code = name_files(path, &dir, err);
    if (code) return code;
    int found = tr_look(path, &inner);
    if (found == 1 && !tr_is_folder(path))
        code = tr_fail(&inner, TR_ECONFIG, "'%s' is there and is not a folder", path);
    else if (found == 1)
        code = tr_check_writable(path, &inner);
    else
        code = found < 0 ? found : tr_check_new_folder(path, &inner);
    if (code == TR_OK) code = check_free(&dir, false, &inner);
    forget(&dir);
    if (code == TR_OK) return TR_OK;
    return code == TR_ENOMEM ? tr_fail(err, code, "%s", inner.text)
                             : tr_fail_at(err, place_of_out(s), "run.out", "%s", inner.text);
}

int tr_run_dir_check(const tr_session *s, tr_error *err) {
    tr_error inner = {0};
    int code = 1;
    if (s->experiment.run.out[0]) return check_named(s, err);
    for (int i = 1; i <= MAX_RUNS && code > 0; i++) {
        char *path = automatic_name(s, i, &inner);
        if (path == NULL) return tr_fail(err, TR_ENOMEM, "%s", inner.text);
        code = tr_look(path, &inner);
        if (code == TR_OK) code = tr_check_new_folder(path, &inner);
        if (code == TR_EIO) code = TR_ECONFIG;
        tr_free(path);
    }
    return code ? no_automatic(s, code, &inner, err) : TR_OK;
}
