/* A graph as a configuration: what graph.c reads as the same graph. */
#include "graph/graph.h"

static void write_layer(const tr_graph *graph, const tr_node *node, tr_text *out) {
    tr_text value = {0};
    tr_text_print(&value, "%s", node->op->schema.name);
    tr_args_write(&node->op->schema, node->args, &value);
    bool above = node->n_inputs == 1 && node->input[0] == node->id - 1;
    for (int i = 0; !above && i < node->n_inputs; i++)
        tr_text_print(&value, "%s%s", i ? "," : " from=", graph->nodes[node->input[i]].name);
    tr_doc_write_pair(out, node->name, &value);
}

int tr_graph_write(const tr_graph *graph, tr_text *out, tr_error *err) {
    tr_text_print(out, "[network]\n");
    for (int i = 1; i <= graph->output; i++) write_layer(graph, &graph->nodes[i], out);
    const tr_node *loss = &graph->nodes[graph->n_nodes - 1];
    tr_text_print(out, "\n[loss]\ntype = %s\n", loss->op->schema.name);
    return tr_doc_write_args(out, &loss->op->schema, loss->args, err);
}
