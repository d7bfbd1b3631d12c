/* Fusion: a layer is computed at the end of the one before it, where it is that one's only reader
 * and the pair is supported. The fused node keeps its name and shape for display; its value is its
 * target's. */
#include "graph/graph.h"

static int n_readers(const tr_graph *graph, int id) {
    int n = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int j = 0; j < graph->nodes[i].n_inputs; j++) n += graph->nodes[i].input[j] == id;
    }
    return n;
}

/* Fuse node into `target`, if that takes it. */
static int fuse(tr_node *node, tr_node *target, tr_error *err) {
    tr_epilogue e;
    if (!node->op->as_epilogue(node, &e) || !target->op->fuse(target, &e)) return TR_OK;
    node->value = target->id;
    target->out = node->unfused;
    /* The layout of the weights may be new. */
    tr_free(target->state);
    target->state = NULL;
    target->n_state = 0;
    return tr_node_shape(target, err);
}

int tr_graph_fuse(tr_graph *graph, tr_error *err) {
    for (int i = 1; i < graph->n_nodes; i++) {
        tr_node *node = &graph->nodes[i];
        if (node->op->view) { /* the value under another shape */
            node->value = graph->nodes[node->input[0]].value;
            continue;
        }
        if (node->op->as_epilogue == NULL) continue;
        /* Only the layer right before it: what a view shows has another shape. */
        const tr_node *before = &graph->nodes[node->input[0]];
        tr_node *target = &graph->nodes[before->value];
        if (before->op == NULL || before->op->view || target->op->fuse == NULL) continue;
        int code = n_readers(graph, before->id) == 1 ? fuse(node, target, err) : TR_OK;
        if (code) return code;
    }
    return TR_OK;
}
