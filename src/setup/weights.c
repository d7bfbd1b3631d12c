/* Weights to and from model files, and their sum.
 *
 * A file is matched with the network before the first value is read: each parameter needs a tensor
 * of its name and shape, and nothing that could be a parameter may be left over. Wrappers of
 * PyTorch put a prefix in front of every name (`module.` of DataParallel, `_orig_mod.` of compile,
 * one inside the other): components that all names share are taken off until the names fit.
 */
#include <stdio.h>
#include <string.h>

#include "setup/setup.h"

typedef struct weights {
    int n;
    const tr_row **row;
    tr_tensor *tensors;
} weights;

static void free_list(weights *w) {
    tr_free(w->row);
    tr_free(w->tensors);
}

static int list_weights(const tr_session *s, weights *w, tr_error *err) {
    const tr_graph *g = s->graph;
    *w = (weights){.row = tr_alloc((size_t)g->n_rows, sizeof *w->row, err),
                   .tensors = tr_alloc((size_t)g->n_rows, sizeof *w->tensors, err)};
    if (!w->row || !w->tensors) {
        free_list(w);
        return TR_ENOMEM;
    }
    for (int i = 0; i < g->n_rows; i++) {
        const tr_state *state = tr_row_state(&g->rows[i]);
        if (state->type != TR_FLOAT32) continue;
        w->row[w->n] = &g->rows[i];
        w->tensors[w->n++] = (tr_tensor){g->rows[i].name, state->n_dims, state->dim};
    }
    return TR_OK;
}

/* ---- writing ---- */

static void get(void *arg, int i, int64_t first, int64_t n, float *out) {
    const weights *w = arg;
    tr_row_get(w->row[i], first, n, out);
}

int tr_session_sha256(const tr_session *s, char sha256[65], tr_error *err) {
    weights w;
    int code = list_weights(s, &w, err);
    if (code) return code;
    tr_tensors_sha256(&(tr_tensor_source){w.n, w.tensors, get, &w}, sha256);
    free_list(&w);
    return TR_OK;
}

int tr_session_save(const tr_session *s, const char *path, char sha256[65], tr_error *err) {
    static const char *const metadata[][2] = {{"format", "pt"}};
    weights w;
    int code = list_weights(s, &w, err);
    if (code) return code;
    tr_tensor_source source = {w.n, w.tensors, get, &w};
    code = tr_safetensors_save(path, &source, metadata, 1, sha256, err);
    free_list(&w);
    return code;
}

/* ---- names ---- */

/* The names of a file's tensors that may be parameters, as far as they are not matched. */
typedef struct names {
    int n;
    const char **name;
    int *tensor; /* in the file */
} names;

static int find_name(const names *list, size_t prefix, const char *name) {
    for (int i = 0; i < list->n; i++)
        if (!strcmp(list->name[i] + prefix, name)) return i;
    return -1;
}

static bool any_fits(const names *list, size_t prefix, const weights *w) {
    for (int i = 0; i < w->n; i++)
        if (find_name(list, prefix, w->tensors[i].name) >= 0) return true;
    return false;
}

/* The bytes in front of every name that are to be left out. */
static size_t find_prefix(const names *list, const weights *w) {
    size_t prefix = 0;
    while (list->n > 0 && !any_fits(list, prefix, w)) {
        const char *first = list->name[0] + prefix, *dot = strchr(first, '.');
        size_t length = dot ? (size_t)(dot - first) + 1 : 0;
        for (int i = 1; i < list->n && length; i++)
            if (strncmp(list->name[i] + prefix, first, length) != 0) length = 0;
        if (!length) return 0;
        prefix += length;
    }
    return prefix;
}

/* ---- reading ---- */

static int check_shape(const char *path, const tr_tensor *has, const tr_tensor *wants,
                       tr_error *err) {
    char a[TR_EXTENTS], b[TR_EXTENTS];
    bool same = has->n_dims == wants->n_dims;
    for (int i = 0; same && i < has->n_dims; i++) same = has->dim[i] == wants->dim[i];
    return same ? TR_OK
                : tr_fail(err, TR_EDATA, "%s: tensor '%s' is %s, the network's is %s", path,
                          has->name, tr_tensor_extents(has, a), tr_tensor_extents(wants, b));
}

/* Names that do not fit: what is needed, what is there. taken[i]: by a parameter. */
static int names_failure(const char *path, const weights *w, const int *match, const names *list,
                         const bool *taken, size_t prefix, tr_error *err) {
    const char *missing = NULL, *left = NULL;
    int n_missing = 0, n_left = 0;
    for (int i = 0; i < w->n; i++) {
        if (match[i] >= 0) continue;
        if (n_missing++ == 0) missing = w->tensors[i].name;
    }
    for (int i = 0; i < list->n; i++) {
        if (taken[i]) continue;
        list->name[n_left] = list->name[i] + prefix; /* those in front were looked at */
        if (n_left++ == 0) left = list->name[0];
    }
    char over[2 * TR_TEXT] = "", near[TR_TEXT] = "";
    if (n_left)
        snprintf(over, sizeof over, "left over are %d of the file's %d, first '%.200s'", n_left,
                 list->n, left);
    if (!missing)
        return tr_fail(err, TR_EDATA, "%s: has tensors that the network does not have: %s", path,
                       over);
    const char *nearest = tr_nearest(missing, list->name, n_left);
    if (nearest) snprintf(near, sizeof near, " (the nearest is '%.200s')", nearest);
    return tr_fail(err, TR_EDATA,
                   "%s: has no tensor '%s', which the network needs%s: missing are %d of the "
                   "network's %d%s%s",
                   path, missing, near, n_missing, w->n, n_left ? ", " : "", over);
}

/* match[i] := the tensor of the file for weight i. */
static int match_names(const tr_safetensors *f, const weights *w, names *list, bool *taken,
                       int *match, tr_error *err) {
    bool fits = true;
    for (int i = 0; i < f->n; i++) {
        if (!f->tensors[i].parameter) continue;
        list->name[list->n] = f->tensors[i].tensor.name;
        list->tensor[list->n++] = i;
    }
    size_t prefix = find_prefix(list, w);
    int n_taken = 0;
    for (int i = 0; i < w->n; i++) {
        match[i] = find_name(list, prefix, w->tensors[i].name);
        fits &= match[i] >= 0;
        if (match[i] >= 0) n_taken += !taken[match[i]], taken[match[i]] = true;
    }
    if (!fits || n_taken < list->n)
        return names_failure(f->file.path, w, match, list, taken, prefix, err);
    for (int i = 0; i < w->n; i++) {
        match[i] = list->tensor[match[i]];
        int code = check_shape(f->file.path, &f->tensors[match[i]].tensor, &w->tensors[i], err);
        if (code) return code;
    }
    return TR_OK;
}

static int read_values(const tr_safetensors *f, const weights *w, const int *match, tr_error *err) {
    enum { PART = 4096 };
    float values[PART];
    for (int i = 0; i < w->n; i++) {
        int64_t n = w->row[i]->count;
        for (int64_t at = 0; at < n; at += PART) {
            int64_t part = tr_min(n - at, PART);
            int code = tr_safetensors_read(f, match[i], at, part, values, err);
            if (code) return code;
            tr_row_set(w->row[i], at, part, values);
        }
    }
    return TR_OK;
}

int tr_session_load(tr_session *s, const char *path, tr_error *err) {
    weights w;
    tr_safetensors file = {0};
    int code = list_weights(s, &w, err);
    if (code) return code;
    if ((code = tr_safetensors_open(path, &file, err))) {
        free_list(&w);
        return code;
    }
    names list = {.name = tr_alloc((size_t)file.n, sizeof *list.name, err),
                  .tensor = tr_alloc((size_t)file.n, sizeof *list.tensor, err)};
    bool *taken = tr_alloc((size_t)file.n, sizeof *taken, err);
    int *match = tr_alloc((size_t)w.n, sizeof *match, err);
    code = list.name && list.tensor && taken && match ? TR_OK : TR_ENOMEM;
    if (code == TR_OK) code = match_names(&file, &w, &list, taken, match, err);
    if (code == TR_OK) code = read_values(&file, &w, match, err);
    tr_free(match);
    tr_free(taken);
    tr_free(list.tensor);
    tr_free(list.name);
    tr_safetensors_close(&file);
    free_list(&w);
    return code;
}
