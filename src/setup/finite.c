/* Weights that are no numbers: looked for before a model is saved and after one is read. */
#include <stdio.h>

#include "setup/setup.h"

static bool all_finite(const tr_real *values, int64_t n) {
    bool finite = true;
    for (int64_t i = 0; i < n; i++) finite &= tr_is_finite_float((float)values[i]);
    return finite;
}

typedef struct search {
    char *text;
    bool found;
} search;

static void search_param(tr_node *node, int param, void *arg) {
    search *s = arg;
    const tr_param *p = &node->param[param];
    char name[TR_NAME + 16];
    int64_t n = tr_param_count(p);
    for (int64_t i = 0; i < n && !s->found; i++) {
        double value = (double)p->value[p->index(node, i)];
        if (tr_is_finite(value)) continue;
        s->found = true;
        snprintf(s->text, TR_NONFINITE, "tensor '%s' holds a value that is %s",
                 tr_param_name(node, param, name), tr_nonfinite_name(value));
    }
}

const char *tr_nonfinite_name(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits << 12 ? "not a number" : "infinite";
}

bool tr_weights_finite(const tr_graph *graph, char text[TR_NONFINITE]) {
    search s = {text, false};
    text[0] = '\0';
    if (all_finite(graph->parameters, graph->n_elements)) return true;
    /* What lies between the parameters is no one's. */
    tr_graph_each_param(graph, search_param, &s);
    return !s.found;
}
