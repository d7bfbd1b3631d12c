/* A file of what PyTorch computed: which tensor of it is which of the network.
 *
 * Everything is matched before a value is read: a name that is missing, left over or of another
 * shape fails with the names.
 */
#include <stdio.h>

#include "check/check.h"

enum {
    MOST_SAMPLES = 1 << 20,
    MAX_SIDE = 1 << 15, /* of an image, as in graph.c */
    PART = 2048,        /* elements that are read at a time */
};

static const char *const prefix[TR_N_GROUPS] = {"param.", "buffer.", "grad.", "param_after.",
                                                "buffer_after."};

static bool is_of_buffers(int group) {
    return group == TR_GROUP_BUFFER || group == TR_GROUP_BUFFER_AFTER;
}

static int find(const tr_safetensors *f, const char *prefix_, const char *name) {
    size_t n = strlen(prefix_);
    for (int i = 0; i < f->n; i++) {
        const char *has = f->tensors[i].tensor.name;
        if (strncmp(has, prefix_, n) == 0 && strcmp(has + n, name) == 0) return i;
    }
    return TR_ABSENT;
}

/* ---- opening ---- */

static int read_mode(tr_reference *r, tr_error *err) {
    const char *mode = tr_safetensors_metadata(&r->file, "mode");
    r->training = mode == NULL || strcmp(mode, "train") == 0;
    if (r->training || strcmp(mode, "eval") == 0) return TR_OK;
    return tr_fail(err, TR_EDATA, "%s: the metadata 'mode' is '%.200s', allowed are train and eval",
                   r->file.file.path, mode);
}

static int check_integers(const tr_reference *r, int tensor, tr_error *err) {
    const tr_stored *t = &r->file.tensors[tensor];
    if (strcmp(t->dtype, "I64") == 0 || strcmp(t->dtype, "I32") == 0) return TR_OK;
    return tr_fail(err, TR_EDATA, "%s: tensor '%s' has the dtype %s, classes are I64 or I32",
                   r->file.file.path, t->tensor.name, t->dtype);
}

/* The batch: input [n, c, h, w] and target [n]. */
static int read_batch_shape(tr_reference *r, tr_error *err) {
    const char *path = r->file.file.path;
    char text[TR_EXTENTS];
    if (r->input < 0 || r->target < 0)
        return tr_fail(err, TR_EDATA, "%s: has no tensor '%s'", path,
                       r->input < 0 ? "input" : "target");
    const tr_tensor *input = &r->file.tensors[r->input].tensor;
    const tr_tensor *target = &r->file.tensors[r->target].tensor;
    const int64_t *d = input->dim;
    bool fits = input->n_dims == 4 && d[0] >= 1 && d[0] <= MOST_SAMPLES && d[1] >= 1 &&
                d[1] <= TR_MAX_VALUE && d[2] >= 1 && d[2] <= MAX_SIDE && d[3] >= 1 &&
                d[3] <= MAX_SIDE && d[1] <= TR_MAX_VALUE / (d[2] * d[3]);
    if (!fits)
        return tr_fail(err, TR_EDATA,
                       "%s: tensor 'input' is %s, wanted are images n x c x h x w: 1 to %d of at "
                       "most %d numbers and sides of %d",
                       path, tr_tensor_extents(input, text), MOST_SAMPLES, TR_MAX_VALUE, MAX_SIDE);
    r->n = (int)d[0];
    r->input_shape = (tr_shape){false, (int)d[2], (int)d[3], (int)d[1]};
    if (target->n_dims != 1 || target->dim[0] != d[0])
        return tr_fail(err, TR_EDATA, "%s: tensor 'target' is %s, input has %d samples", path,
                       tr_tensor_extents(target, text), r->n);
    return check_integers(r, r->target, err);
}

int tr_reference_open(const char *path, tr_reference *r, tr_error *err) {
    *r = (tr_reference){0};
    int code = tr_safetensors_open(path, &r->file, err);
    if (code) return code;
    r->input = find(&r->file, "", "input");
    r->target = find(&r->file, "", "target");
    r->logits = find(&r->file, "", "logits");
    r->loss = find(&r->file, "", "loss");
    r->input_gradient = find(&r->file, prefix[TR_GROUP_GRAD], "input");
    code = read_mode(r, err);
    if (code == TR_OK) code = read_batch_shape(r, err);
    for (int i = 0; i < r->file.n; i++)
        r->narrow |= r->file.tensors[i].parameter && strcmp(r->file.tensors[i].dtype, "F64") != 0;
    if (code) tr_reference_close(r);
    return code;
}

void tr_reference_close(tr_reference *r) {
    for (int g = 0; g < TR_N_GROUPS; g++) tr_free(r->match[g]);
    tr_safetensors_close(&r->file);
    *r = (tr_reference){0};
}

/* ---- matching ---- */

typedef struct names { /* for one line */
    int n;
    tr_text text;
} names;

static void add_name(names *list, const char *prefix_, const char *name) {
    tr_text_print(&list->text, "%s%s%s", list->n ? ", " : "", prefix_, name);
    list->n++;
}

static void match_group(tr_reference *r, int group, const tr_graph *graph, bool *taken,
                        names *missing) {
    for (int pass = 0; pass < 2; pass++) { /* is one there; then: which are not */
        for (int i = 0; i < graph->n_rows; i++) {
            const tr_row *row = &graph->rows[i];
            const tr_state *state = tr_row_state(row);
            if ((state->kind == TR_BUFFER) != is_of_buffers(group)) continue;
            int at = r->match[group][i];
            if (pass == 0) {
                at = r->match[group][i] = find(&r->file, prefix[group], row->name);
                r->has[group] |= at >= 0;
                if (at >= 0) taken[at] = true;
            } else if (at < 0 && !(group == TR_GROUP_GRAD && state->frozen)) {
                add_name(missing, prefix[group], row->name);
            }
        }
        if (!r->has[group]) return;
    }
}

static int check_shape(const tr_reference *r, int tensor, int n_dims, const int64_t *dim,
                       tr_error *err) {
    const tr_tensor *has = &r->file.tensors[tensor].tensor,
                    wants = {has->name, n_dims, dim, has->type};
    char a[TR_EXTENTS], b[TR_TEXT];
    bool same = has->n_dims == n_dims;
    for (int i = 0; same && i < n_dims; i++) same = has->dim[i] == dim[i];
    if (same) return TR_OK;
    return tr_fail(err, TR_EDATA, "%s: tensor '%s' is %s, the network's is %s", r->file.file.path,
                   has->name, tr_tensor_extents(has, a), tr_tensor_extents(&wants, b));
}

static int check_shapes(const tr_reference *r, const tr_graph *graph, tr_error *err) {
    int64_t logits[] = {r->n, tr_shape_size(graph->nodes[graph->output].unfused)};
    int code = r->logits < 0 ? TR_OK : check_shape(r, r->logits, 2, logits, err);
    if (code == TR_OK && r->loss >= 0) code = check_shape(r, r->loss, 0, NULL, err);
    if (code == TR_OK && r->input_gradient >= 0)
        code = check_shape(r, r->input_gradient, 4, r->file.tensors[r->input].tensor.dim, err);
    for (int g = 0; g < TR_N_GROUPS; g++) {
        for (int i = 0; code == TR_OK && i < graph->n_rows; i++) {
            const tr_state *state = tr_row_state(&graph->rows[i]);
            if (r->match[g][i] >= 0)
                code = check_shape(r, r->match[g][i], state->n_dims, state->dim, err);
        }
    }
    return code;
}

static int names_failure(const tr_reference *r, const names *missing, const names *left,
                         tr_error *err) {
    return tr_fail(err, TR_EDATA, "%s: %s%s%s%s%s", r->file.file.path,
                   missing->n ? "the network needs, and the file does not have: " : "",
                   missing->n ? missing->text.at : "", missing->n && left->n ? "; " : "",
                   left->n ? "the file has, and the network does not: " : "",
                   left->n ? left->text.at : "");
}

static bool has_results(const tr_reference *r) {
    return r->logits >= 0 || r->loss >= 0 || r->input_gradient >= 0 || r->has[TR_GROUP_GRAD] ||
           r->has[TR_GROUP_PARAM_AFTER] || r->has[TR_GROUP_BUFFER_AFTER];
}

static int match_names(tr_reference *r, const tr_graph *graph, bool *taken, tr_error *err) {
    const int singles[] = {r->input, r->target, r->logits, r->loss, r->input_gradient};
    names missing = {0}, left = {0};
    int code = TR_OK;
    for (size_t i = 0; i < sizeof singles / sizeof *singles; i++)
        if (singles[i] >= 0) taken[singles[i]] = true;
    for (int g = 0; g < TR_N_GROUPS; g++) match_group(r, g, graph, taken, &missing);
    for (int i = 0; i < r->file.n; i++)
        if (!taken[i]) add_name(&left, "", r->file.tensors[i].tensor.name);
    if (missing.text.failed || left.text.failed)
        code = tr_fail(err, TR_ENOMEM, "%s: no memory for its names", r->file.file.path);
    else if (missing.n || left.n)
        code = names_failure(r, &missing, &left, err);
    tr_text_free(&missing.text);
    tr_text_free(&left.text);
    return code;
}

int tr_reference_match(tr_reference *r, const tr_graph *graph, tr_error *err) {
    bool *taken = tr_alloc((size_t)r->file.n, sizeof *taken, err);
    int code = taken ? TR_OK : TR_ENOMEM;
    for (int g = 0; code == TR_OK && g < TR_N_GROUPS; g++) {
        r->match[g] = tr_alloc((size_t)graph->n_rows, sizeof *r->match[g], err);
        if (r->match[g] == NULL) code = TR_ENOMEM;
        for (int i = 0; code == TR_OK && i < graph->n_rows; i++) r->match[g][i] = TR_ABSENT;
    }
    if (code == TR_OK) code = match_names(r, graph, taken, err);
    if (code == TR_OK) code = check_shapes(r, graph, err);
    if (code == TR_OK && !has_results(r))
        code = tr_fail(err, TR_EDATA,
                       "%s: holds nothing to compare with: logits, loss, grad.NAME, grad.input, "
                       "param_after.NAME or buffer_after.NAME",
                       r->file.file.path);
    tr_free(taken);
    return code;
}

/* ---- the batch ---- */

int64_t tr_inner_place(tr_shape s, int64_t i) {
    int64_t area = (int64_t)s.h * s.w;
    return i % area * s.c + i / area;
}

int tr_reference_batch(const tr_reference *r, int64_t n_classes, int64_t stride, tr_real *x,
                       int32_t *labels, tr_error *err) {
    int64_t size = tr_shape_size(r->input_shape);
    double values[PART];
    for (int i = 0; i < r->n; i++) {
        for (int64_t at = 0; at < size; at += PART) {
            int64_t n = tr_min(PART, size - at);
            int code =
                tr_safetensors_read(&r->file, r->input, TR_FLOAT64, i * size + at, n, values, err);
            if (code) return code;
            for (int64_t k = 0; k < n; k++)
                x[i * stride + tr_inner_place(r->input_shape, at + k)] = (tr_real)values[k];
        }
        int code = tr_safetensors_read(&r->file, r->target, TR_FLOAT64, i, 1, values, err);
        if (code) return code;
        if (!(values[0] >= 0 && values[0] < (double)n_classes))
            return tr_fail(err, TR_EDATA,
                           "%s: tensor 'target' has %.0f at [%d], the network has %lld classes",
                           r->file.file.path, values[0], i, (long long)n_classes);
        labels[i] = (int32_t)values[0];
    }
    return TR_OK;
}
