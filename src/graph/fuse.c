/* Fusion: what a layer does goes to the end of the one before it, where that one alone feeds it and
 * can take it in. The absorbed node keeps its name and shape for people; its value is its host's.
 */
#include "graph/graph.h"

static int n_readers(const tr_graph *graph, int id) {
    int n = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int j = 0; j < graph->nodes[i].n_inputs; j++) n += graph->nodes[i].input[j] == id;
    }
    return n;
}

void tr_graph_fuse(tr_graph *graph) {
    for (int i = 1; i < graph->n_nodes; i++) {
        tr_node *node = &graph->nodes[i];
        if (node->op->view) { /* the value under another shape */
            node->value = graph->nodes[node->input[0]].value;
            continue;
        }
        tr_epilogue e;
        if (node->op->as_epilogue == NULL || !node->op->as_epilogue(node, &e)) continue;
        /* Only the layer right before it: what a view shows has another shape. */
        const tr_node *before = &graph->nodes[node->input[0]];
        tr_node *host = &graph->nodes[before->value];
        if (before->op == NULL || before->op->view || host->op == NULL || host->op->absorb == NULL)
            continue;
        if (n_readers(graph, before->id) != 1 || !host->op->absorb(host, &e)) continue;
        node->value = host->id;
        host->out = node->own;
        host->op->shape(host, NULL); /* it succeeded before; the layout of the weights may be new */
    }
}
