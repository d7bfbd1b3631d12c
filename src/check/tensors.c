/* The network's parameters and buffers as a list of names: the only file of this module that knows
 * how graph and executor keep them. */
#include "check/check.h"

static void count(tr_node *node, int param, void *arg) {
    (void)node, (void)param;
    ++*(int *)arg;
}

static void add(tr_node *node, int param, void *arg) {
    tr_named_list *list = arg;
    const tr_param *p = &node->param[param];
    char name[TR_NAME + 16];
    list->v[list->n++] = (tr_named){.name = tr_strdup(tr_param_name(node, param, name), NULL),
                                    .n_dims = p->n_dims,
                                    .dim = p->dim,
                                    .n = tr_param_count(p),
                                    .node = node,
                                    .param = param};
}

int tr_named_create(tr_graph *graph, tr_named_list *out, tr_error *err) {
    int n = 0;
    tr_graph_each_param(graph, count, &n);
    *out = (tr_named_list){.v = tr_alloc((size_t)n, sizeof *out->v, err)};
    if (out->v == NULL) return TR_ENOMEM;
    tr_graph_each_param(graph, add, out);
    for (int i = 0; i < out->n; i++)
        if (out->v[i].name == NULL) return tr_fail(err, TR_ENOMEM, "out of memory");
    return TR_OK;
}

void tr_named_free(tr_named_list *list) {
    for (int i = 0; i < list->n; i++) tr_free(list->v[i].name);
    tr_free(list->v);
    *list = (tr_named_list){0};
}

void tr_named_get(const tr_named *t, int64_t first, int64_t n, double *out) {
    const tr_param *p = &t->node->param[t->param];
    for (int64_t i = 0; i < n; i++) out[i] = (double)p->value[p->index(t->node, first + i)];
}

void tr_named_set(const tr_named *t, int64_t first, int64_t n, const double *in) {
    const tr_param *p = &t->node->param[t->param];
    for (int64_t i = 0; i < n; i++) p->value[p->index(t->node, first + i)] = (tr_real)in[i];
}

void tr_named_gradient(const tr_exec *exec, const tr_named *t, tr_real *out) {
    tr_exec_gradient(exec, t->node, t->param, out);
}

int64_t tr_inner_place(tr_shape s, int64_t i) {
    int64_t area = (int64_t)s.h * s.w;
    return i % area * s.c + i / area;
}
