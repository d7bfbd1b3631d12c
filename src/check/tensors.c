/* The network's parameters and buffers as a list of names: the only file of this module that knows
 * how graph and executor keep them. */
#include <string.h>

#include "check/check.h"

int tr_named_create(tr_graph *graph, tr_named_list *out, tr_error *err) {
    *out = (tr_named_list){.v = tr_alloc((size_t)graph->n_rows, sizeof *out->v, err)};
    if (out->v == NULL) return TR_ENOMEM;
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *state = tr_row_state(row);
        out->v[out->n++] = (tr_named){.name = row->name,
                                      .buffer = state->kind == TR_BUFFER,
                                      .frozen = state->frozen,
                                      .n_dims = state->n_dims,
                                      .dim = state->dim,
                                      .n = row->count,
                                      .row = row};
    }
    return TR_OK;
}

void tr_named_free(tr_named_list *list) {
    tr_free(list->v);
    *list = (tr_named_list){0};
}

void tr_named_get(const tr_named *t, int64_t first, int64_t n, double *out) {
    tr_row_read(t->row, tr_row_state(t->row)->value, first, n, out);
}

void tr_named_set(const tr_named *t, int64_t first, int64_t n, const double *in) {
    tr_row_write(t->row, first, n, in);
}

void tr_named_gradient(const tr_exec *exec, const tr_named *t, tr_real *out) {
    const tr_real *gradient = tr_exec_gradient(exec, t->row);
    if (gradient == NULL) { /* it is not trained */
        memset(out, 0, (size_t)t->n * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < t->n; i++) {
        double value;
        tr_row_read(t->row, gradient, i, 1, &value);
        out[i] = (tr_real)value;
    }
}

int64_t tr_inner_place(tr_shape s, int64_t i) {
    int64_t area = (int64_t)s.h * s.w;
    return i % area * s.c + i / area;
}
