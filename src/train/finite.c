/* Whether the weights of a network are finite numbers. */
#include <math.h>
#include <stdlib.h>

#include "train/session.h"

typedef struct search {
    const char *run_dir;
    tr_error *err;
} search;

static void look(tr_node *node, int param, void *arg) {
    const search *s = arg;
    const tr_param *p = &node->param[param];
    int64_t n = tr_param_count(p);
    char name[TR_NAME + 16];
    if (s->err->code) return;
    for (int64_t i = 0; i < n; i++) {
        double value = (double)p->value[p->place(node, i)];
        if (isfinite(value)) continue;
        tr_fail(s->err, TR_ENONFINITE, "%s/model.safetensors: tensor '%s' holds a value that is %s",
                s->run_dir, tr_param_name(node, param, name),
                isnan(value) ? "not a number" : "infinite");
        return;
    }
}

int tr_session_check_weights(const tr_session *s, const char *run_dir, tr_error *err) {
    search all = {run_dir, err};
    tr_graph_each_param(s->graph, look, &all);
    return err->code;
}
