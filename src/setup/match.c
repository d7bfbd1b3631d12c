/* A model file matched with a network: which tensor of the file is which row of the state.
 *
 * Nothing is believed before all of it is: names, shapes and types are compared before the first
 * value is read. Wrappers of PyTorch put a prefix in front of every name (`module.` of
 * DataParallel, `_orig_mod.` of compile, one inside the other): components that all names share are
 * left out until the names fit. Tensors of integers and booleans are no parameters: they take no
 * part in that, and may be left over.
 */
#include <string.h>

#include "setup/setup.h"

typedef struct matching {
    const tr_graph *graph;
    const tr_safetensors *file;
    size_t prefix;                       /* bytes in front of every name */
    const char *before;                  /* a name that begins with them */
    int *tensor;                         /* [rows] of the file, or TR_NONE */
    bool *taken;                         /* [tensors] by a row, whether the shapes agree or not */
    int n_needed, n_missing, n_others;   /* rows; others: of another shape */
    int n_parameters, n_left, n_matched; /* tensors */
} matching;

static const char *name_of(const matching *m, int tensor) {
    return m->file->tensors[tensor].tensor.name;
}

/* PyTorch before 0.4.1 wrote no num_batches_tracked, and PyTorch still reads such files. */
static bool may_be_missing(const tr_row *row) {
    const tr_state *state = tr_row_state(row);
    return state->kind == TR_BUFFER && state->type == TR_INT64;
}

static bool is_missing(const matching *m, int row) {
    return m->tensor[row] == TR_NONE && !may_be_missing(&m->graph->rows[row]);
}

static bool is_left(const matching *m, int tensor) {
    return m->file->tensors[tensor].parameter && !m->taken[tensor];
}

static tr_tensor wanted(const tr_row *row) {
    const tr_state *state = tr_row_state(row);
    return (tr_tensor){row->name, state->n_dims, state->dim, state->type};
}

/* PyTorch before 0.4 had no tensors without dimensions. */
static bool same_shape(const tr_tensor *has, const tr_tensor *wants) {
    if (wants->n_dims == 0 && has->n_dims == 1) return has->dim[0] == 1;
    bool same = has->n_dims == wants->n_dims;
    for (int i = 0; same && i < has->n_dims; i++) same = has->dim[i] == wants->dim[i];
    return same;
}

/* ---- names ---- */

static int find_tensor(const matching *m, const char *name) {
    for (int i = 0; i < m->file->n; i++) {
        if (strncmp(name_of(m, i), m->before, m->prefix) == 0 &&
            strcmp(name_of(m, i) + m->prefix, name) == 0)
            return i;
    }
    return TR_NONE;
}

static bool any_fits(const matching *m) {
    for (int r = 0; r < m->graph->n_rows; r++) {
        int tensor = find_tensor(m, m->graph->rows[r].name);
        if (tensor != TR_NONE && m->file->tensors[tensor].parameter) return true;
    }
    return false;
}

/* Bytes of the next component, if all names that have parameters share it. */
static size_t next_component(const matching *m) {
    const char *dot = strchr(m->before + m->prefix, '.');
    size_t length = dot ? (size_t)(dot - m->before) + 1 - m->prefix : 0;
    for (int i = 0; i < m->file->n && length; i++) {
        if (m->file->tensors[i].parameter &&
            strncmp(name_of(m, i), m->before, m->prefix + length) != 0)
            length = 0;
    }
    return length;
}

static void find_prefix(matching *m) {
    m->before = "";
    for (int i = m->file->n - 1; i >= 0; i--)
        if (m->file->tensors[i].parameter) m->before = name_of(m, i);
    while (m->n_parameters > 0 && !any_fits(m)) {
        size_t more = next_component(m);
        m->prefix = more ? m->prefix + more : 0;
        if (!more) return;
    }
}

static void match(matching *m) {
    for (int i = 0; i < m->file->n; i++) m->n_parameters += m->file->tensors[i].parameter;
    find_prefix(m);
    for (int r = 0; r < m->graph->n_rows; r++) {
        const tr_row *row = &m->graph->rows[r];
        int tensor = find_tensor(m, row->name);
        m->tensor[r] = tensor;
        m->n_needed += !may_be_missing(row);
        m->n_missing += is_missing(m, r);
        if (tensor == TR_NONE) continue;
        m->taken[tensor] = true;
        tr_tensor wants = wanted(row);
        if (same_shape(&m->file->tensors[tensor].tensor, &wants))
            m->n_matched++;
        else
            m->n_others++;
    }
    for (int i = 0; i < m->file->n; i++) m->n_left += is_left(m, i);
}

/* ---- what does not fit, as an error ---- */

static const char *nearest(const matching *m, const char *missing, tr_error *err) {
    const char **names = tr_alloc((size_t)m->n_left, sizeof *names, err);
    int n = 0;
    for (int i = 0; names && i < m->file->n; i++)
        if (is_left(m, i)) names[n++] = name_of(m, i) + m->prefix;
    const char *near = names ? tr_nearest(missing, names, n) : NULL;
    tr_free(names);
    return near;
}

static const char *first_left(const matching *m) {
    int i = 0;
    while (!is_left(m, i)) i++;
    return name_of(m, i) + m->prefix;
}

static int names_failure(const matching *m, tr_error *err) {
    const char *path = m->file->file.path;
    tr_text left = {0}, near = {0}, others = {0};
    if (m->n_others) tr_text_print(&others, ", of another shape are %d", m->n_others);
    if (m->n_left)
        tr_text_print(&left, "left over are %d of the file's %d, first '%.200s'", m->n_left,
                      m->n_parameters, first_left(m));
    if (m->n_missing) {
        int r = 0;
        while (!is_missing(m, r)) r++;
        const char *name = m->graph->rows[r].name, *other = nearest(m, name, err);
        if (other) tr_text_print(&near, " (the nearest is '%.200s')", other);
        tr_fail(err, TR_EDATA,
                "%s: has no tensor '%s', which the network needs%s: missing are %d of the "
                "network's %d%s%s%s",
                path, name, near.n ? near.at : "", m->n_missing, m->n_needed,
                others.n ? others.at : "", m->n_left ? ", " : "", left.n ? left.at : "");
    } else {
        tr_fail(err, TR_EDATA, "%s: has tensors that the network does not have: %s%s", path,
                left.n ? left.at : "", others.n ? others.at : "");
    }
    tr_text_free(&others);
    tr_text_free(&near);
    tr_text_free(&left);
    return err ? err->code : TR_EDATA;
}

/* "is 6 x 3 x 5 x 5, the network's is 6 x 1 x 5 x 5" */
static void print_shapes(tr_text *text, const tr_tensor *has, const tr_tensor *wants) {
    char a[TR_EXTENTS], b[TR_EXTENTS];
    tr_text_print(text, "is %s, the network's is %s", tr_tensor_extents(has, a),
                  tr_tensor_extents(wants, b));
}

static int shape_failure(const matching *m, int row, tr_error *err) {
    const tr_tensor *has = &m->file->tensors[m->tensor[row]].tensor;
    tr_tensor wants = wanted(&m->graph->rows[row]);
    tr_text text = {0};
    print_shapes(&text, has, &wants);
    if (m->n_others > 1)
        tr_text_print(&text, "; of another shape are %d of the network's %d", m->n_others,
                      m->n_needed);
    int code = tr_fail(err, TR_EDATA, "%s: tensor '%s' %s", m->file->file.path, has->name,
                       text.failed ? "has another shape" : text.at);
    tr_text_free(&text);
    return code;
}

/* ---- ... as notes ---- */

static void begin_note(const matching *m, tr_text *text, const char *what, int n, int of,
                       const char *whose) {
    tr_text_print(text, "%s: %s are %d of the %s's %d tensors", m->file->file.path, what, n, whose,
                  of);
}

static void note(tr_notes *notes, tr_text *text) {
    if (!text->failed && text->n) tr_note(notes, "%s", text->at);
    tr_text_free(text);
}

static void note_missing(const matching *m, tr_notes *notes) {
    tr_text text = {0};
    const char *between = ", which keep their initial values:";
    begin_note(m, &text, "missing", m->n_missing, m->n_needed, "network");
    for (int r = 0; r < m->graph->n_rows; r++) {
        if (!is_missing(m, r)) continue;
        tr_text_print(&text, "%s '%s'", between, m->graph->rows[r].name);
        between = ",";
    }
    note(notes, &text);
}

static void note_left(const matching *m, tr_notes *notes) {
    tr_text text = {0};
    const char *between = ":";
    begin_note(m, &text, "left over", m->n_left, m->n_parameters, "file");
    for (int i = 0; i < m->file->n; i++) {
        if (!is_left(m, i)) continue;
        tr_text_print(&text, "%s '%s'", between, name_of(m, i) + m->prefix);
        between = ",";
    }
    note(notes, &text);
}

/* Rows of another shape: noted, and without a tensor. */
static void leave_others(matching *m, tr_notes *notes) {
    tr_text text = {0};
    const char *between = ", which keep their initial values:";
    begin_note(m, &text, "of another shape", m->n_others, m->n_needed, "network");
    for (int r = 0; r < m->graph->n_rows; r++) {
        tr_tensor wants = wanted(&m->graph->rows[r]);
        if (m->tensor[r] == TR_NONE) continue;
        const tr_tensor *has = &m->file->tensors[m->tensor[r]].tensor;
        if (same_shape(has, &wants)) continue;
        tr_text_print(&text, "%s '%s' (", between, wants.name);
        print_shapes(&text, has, &wants);
        tr_text_print(&text, ")");
        m->tensor[r] = TR_NONE;
        between = ",";
    }
    note(notes, &text);
}

static int take_what_fits(matching *m, tr_notes *notes, tr_error *err) {
    if (m->n_matched == 0)
        return tr_fail(err, TR_EDATA,
                       "%s: none of its %d tensors has a name and a shape of the network's %d",
                       m->file->file.path, m->n_parameters, m->n_needed);
    if (m->n_missing) note_missing(m, notes);
    if (m->n_left) note_left(m, notes);
    if (m->n_others) leave_others(m, notes);
    return TR_OK;
}

/* ---- all of it ---- */

static int check(matching *m, bool strict, tr_notes *notes, tr_error *err) {
    int code = TR_OK;
    match(m);
    if (!strict) code = take_what_fits(m, notes, err);
    if (strict && (m->n_missing || m->n_left)) code = names_failure(m, err);
    for (int r = 0; code == TR_OK && r < m->graph->n_rows; r++) {
        tr_tensor wants = wanted(&m->graph->rows[r]);
        if (m->tensor[r] == TR_NONE) continue;
        if (!same_shape(&m->file->tensors[m->tensor[r]].tensor, &wants))
            return shape_failure(m, r, err);
        code = tr_safetensors_read(m->file, m->tensor[r], wants.type, 0, 0, NULL, err);
    }
    return code;
}

int tr_weights_open(const tr_graph *graph, const char *path, bool strict, tr_notes *notes,
                    tr_weights *out, tr_error *err) {
    *out = (tr_weights){.graph = graph};
    int code = tr_safetensors_open(path, &out->file, err);
    if (code) return code;
    matching m = {.graph = graph, .file = &out->file};
    out->tensor = m.tensor = tr_alloc((size_t)graph->n_rows, sizeof *m.tensor, err);
    m.taken = tr_alloc((size_t)out->file.n, sizeof *m.taken, err);
    code = m.tensor && m.taken ? check(&m, strict, notes, err) : TR_ENOMEM;
    tr_free(m.taken);
    if (code) tr_weights_close(out);
    return code;
}

void tr_weights_close(tr_weights *w) {
    tr_safetensors_close(&w->file);
    tr_free(w->tensor);
    *w = (tr_weights){0};
}
