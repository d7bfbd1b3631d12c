/* The state of a network to and from model files, and its sum: loops over the rows of its table. */
#include <string.h>

#include "setup/setup.h"

/* ---- writing ---- */

static void get(void *arg, int row, int64_t first, int64_t n, void *out) {
    const tr_graph *graph = arg;
    tr_row_get(&graph->rows[row], first, n, out);
}

/* All rows as tensors, to be freed by tr_free; or NULL. */
static tr_tensor *list_rows(tr_graph *graph, tr_tensor_source *out, tr_error *err) {
    tr_tensor *tensors = tr_alloc((size_t)graph->n_rows, sizeof *tensors, err);
    for (int r = 0; tensors && r < graph->n_rows; r++) {
        const tr_state *state = tr_row_state(&graph->rows[r]);
        tensors[r] = (tr_tensor){graph->rows[r].name, state->n_dims, state->dim, state->type};
    }
    *out = (tr_tensor_source){graph->n_rows, tensors, get, graph};
    return tensors;
}

int tr_session_sha256(const tr_session *s, char sha256[65], tr_error *err) {
    tr_tensor_source source;
    tr_tensor *tensors = list_rows(s->graph, &source, err);
    if (!tensors) return TR_ENOMEM;
    tr_tensors_sha256(&source, sha256);
    tr_free(tensors);
    return TR_OK;
}

int tr_session_save(const tr_session *s, const char *path, char sha256[65], tr_error *err) {
    static const char *const metadata[][2] = {{"format", "pt"}};
    tr_tensor_source source;
    tr_tensor *tensors = list_rows(s->graph, &source, err);
    if (!tensors) return TR_ENOMEM;
    int code = tr_safetensors_save(path, &source, metadata, 1, sha256, err);
    tr_free(tensors);
    return code;
}

/* ---- reading ---- */

enum { PART = 2048 }; /* elements at a time */

typedef union part {
    float f32[PART];
    double f64[PART];
    int64_t i64[PART];
} part;

/* The first of n values that is not finite, in *value. */
static bool find_nonfinite(const part *values, tr_type type, int64_t n, double *value) {
    for (int64_t i = 0; i < n; i++) {
        *value = type == TR_FLOAT32   ? (double)values->f32[i]
                 : type == TR_FLOAT64 ? values->f64[i]
                                      : 0;
        if (!tr_is_finite(*value)) return true;
    }
    return false;
}

static int read_row(const tr_weights *w, int r, bool keep, tr_error *err) {
    const tr_row *row = &w->graph->rows[r];
    tr_type type = tr_row_state(row)->type;
    part values;
    double value;
    for (int64_t at = 0; at < row->count; at += PART) {
        int64_t n = tr_min(row->count - at, PART);
        int code = tr_safetensors_read(&w->file, w->tensor[r], type, at, n, &values, err);
        if (code) return code;
        if (find_nonfinite(&values, type, n, &value))
            return tr_fail(err, TR_ENONFINITE, "%s: tensor '%s' holds a value that is %s",
                           w->file.file.path, row->name, tr_nonfinite_name(value));
        if (keep) tr_row_set(row, at, n, &values);
    }
    return TR_OK;
}

int tr_weights_read(const tr_weights *w, bool keep, tr_error *err) {
    int code = tr_check_unchanged(&w->file.file, err);
    for (int r = 0; code == TR_OK && r < w->graph->n_rows; r++)
        if (w->tensor[r] != TR_NONE) code = read_row(w, r, keep, err);
    return code;
}

int tr_session_load(tr_session *s, const char *path, tr_error *err) {
    tr_weights weights;
    int code = tr_weights_open(s->graph, path, true, NULL, &weights, err);
    if (code) return code;
    code = tr_weights_read(&weights, true, err);
    tr_weights_close(&weights);
    return code;
}

/* ---- train.init_from ---- */

/* A failure belongs to its key; with more to say where names or shapes are wrong. */
static int init_failure(const tr_session *s, const tr_error *cause, tr_error *err) {
    tr_places places = tr_doc_places(s->experiment.doc, "train");
    if (cause->code == TR_ENOMEM) return tr_fail(err, cause->code, "%s", cause->text);
    bool named = cause->code == TR_EDATA && s->experiment.train.init_strict;
    return tr_fail_key(err, &places, "init_from", "%s%s", cause->text,
                       named ? " (init_strict=false takes what fits)" : "");
}

int tr_session_open_init(tr_session *s, tr_error *err) {
    const tr_train_args *train = &s->experiment.train;
    tr_error cause = {0};
    if (!*train->init_from) return TR_OK;
    int code = tr_weights_open(s->graph, train->init_from, train->init_strict, &s->notes, &s->init,
                               &cause);
    if (code == TR_OK) code = tr_weights_read(&s->init, false, &cause);
    return code ? init_failure(s, &cause, err) : TR_OK;
}

int tr_session_read_init(tr_session *s, tr_error *err) {
    tr_error cause = {0};
    if (!s->init.tensor || !tr_weights_read(&s->init, true, &cause)) return TR_OK;
    return init_failure(s, &cause, err);
}
