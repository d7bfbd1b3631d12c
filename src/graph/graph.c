/* From the lines of [network] and [loss] to nodes: names, arguments, inputs, shapes, parameters. */
#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

#include "graph/blocks.h"

enum { MAX_SIDE = 1 << 15 }; /* of an image, so that 32-bit offsets inside a sample do */

/* The nodes whose values it reads. A line's number is its node's id. */
static int set_inputs(const tr_graph *graph, tr_node *node, const tr_line *line, tr_error *err) {
    int least = node->op->min_inputs, most = node->op->max_inputs, n = line->n_inputs;
    if (n > most && most > 0) {
        char number[16];
        snprintf(number, sizeof number, "%d", most);
        return tr_fail_at(err, node->where, node->name, "%s reads %s value%s, but from= names %d",
                          node->op->schema.name, most == 1 ? "one" : number, most == 1 ? "" : "s",
                          n);
    }
    if (n < least)
        return tr_fail_at(err, node->where, node->name,
                          "%s reads %d value%s, at least %d are needed: name them with from=a,b",
                          node->op->schema.name, n, n == 1 ? "" : "s", least);
    node->input = tr_alloc((size_t)n, sizeof *node->input, err);
    node->in = tr_alloc((size_t)n, sizeof *node->in, err);
    if (node->input == NULL || node->in == NULL) return TR_ENOMEM;
    node->n_inputs = n;
    for (int i = 0; i < n; i++) {
        node->input[i] = line->input[i];
        node->in[i] = graph->nodes[line->input[i]].unfused;
    }
    return TR_OK;
}

static void free_node(tr_node *node) {
    if (node->op) tr_args_clear(&node->op->schema, node->args);
    tr_free(node->args);
    tr_free(node->input);
    tr_free(node->in);
    tr_free(node->state);
}

/* The node takes the arguments of the line. */
static int add_line(tr_graph *graph, tr_line *line, tr_error *err) {
    tr_node *node = &graph->nodes[graph->n_nodes];
    node->id = node->value = graph->n_nodes;
    node->where = line->given.where;
    node->op = line->op;
    node->args = line->args;
    line->args = NULL;
    graph->n_nodes++;
    node->name = tr_arena_copy(&graph->memory, line->name, strlen(line->name), err);
    if (node->name == NULL) return TR_ENOMEM;
    int code = set_inputs(graph, node, line, err);
    if (code) return code;
    node->given = line->given;
    code = tr_node_shape(node, err);
    node->given = (tr_places){.where = node->where};
    if (code) return code;
    if (node->unfused.h > MAX_SIDE || node->unfused.w > MAX_SIDE ||
        tr_shape_size(node->unfused) > TR_MAX_VALUE) {
        char size[64];
        return tr_fail_at(
            err, node->where, node->name,
            "its output would be too large: %s, allowed are up to %d numbers and sides of %d",
            tr_shape_text(node->unfused, size), TR_MAX_VALUE, MAX_SIDE);
    }
    node->out = node->unfused;
    return TR_OK;
}

static int add_loss(tr_graph *graph, const tr_doc *doc, tr_error *err) {
    tr_where where = {tr_doc_name(doc), 0};
    int n;
    tr_doc_section(doc, "loss", &n, &where);
    if (n == 0)
        return tr_fail_at(err, where, NULL, "there is no loss: add a section [loss] with type = %s",
                          tr_loss_registry.schemas[0]->name);
    int i, code;
    void *args;
    if ((code = tr_doc_parse_class(doc, "loss", &tr_loss_registry, NULL, &i, &args, err)))
        return code;
    tr_node *node = &graph->nodes[graph->n_nodes];
    node->id = node->value = graph->n_nodes++;
    node->where = tr_doc_find(doc, "loss", "type")->where;
    node->name = "loss";
    node->op = tr_losses[i];
    node->args = args;
    const tr_line line = {.n_inputs = 1, .input = &graph->output};
    code = set_inputs(graph, node, &line, err);
    if (code == TR_OK) code = node->op->shape(node, err);
    node->out = node->unfused;
    return code;
}

/* Each layer but the last must be read by another. */
static int check_read(const tr_graph *graph, tr_error *err) {
    bool *read = tr_alloc((size_t)graph->n_nodes, sizeof *read, err);
    if (read == NULL) return TR_ENOMEM;
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int k = 0; k < graph->nodes[i].n_inputs; k++) read[graph->nodes[i].input[k]] = true;
    }
    int code = TR_OK;
    for (int i = 1; code == TR_OK && i < graph->output; i++) {
        if (!read[i])
            code = tr_fail_at(err, graph->nodes[i].where, graph->nodes[i].name,
                              "nothing reads this layer: name it in a from=, or take it out");
    }
    tr_free(read);
    return code;
}

static int add_lines(tr_graph *graph, tr_shape input, tr_lines *lines, tr_error *err) {
    int code = TR_OK;
    graph->nodes = tr_alloc((size_t)lines->n + 2, sizeof *graph->nodes, err);
    if (graph->nodes == NULL) return TR_ENOMEM;
    graph->nodes[0] = (tr_node){.name = "input", .unfused = input, .out = input};
    graph->n_nodes = 1;
    for (int i = 0; code == TR_OK && i < lines->n; i++)
        code = add_line(graph, &lines->line[i], err);
    return code;
}

static int build(tr_graph *graph, const tr_doc *doc, tr_shape input, int n_classes, tr_error *err) {
    tr_where where = {tr_doc_name(doc), 0};
    tr_lines lines;
    int n, code;
    const tr_pair *network = tr_doc_section(doc, "network", &n, &where);
    if (n == 0)
        return tr_fail_at(
            err, where, NULL,
            "there is no network: add a section [network] with a line for each layer");
    if ((code = tr_lines_create(doc, network, n, &lines, err))) return code;
    code = add_lines(graph, input, &lines, err);
    tr_lines_free(&lines);
    if (code) return code;
    graph->output = graph->n_nodes - 1;
    const tr_node *last = &graph->nodes[graph->output];
    char text[64];
    if (n_classes > 0 && (!last->unfused.flat || tr_shape_size(last->unfused) != n_classes))
        return tr_fail_at(
            err, last->where, last->name,
            "the network's output is %s but the data has %d classes: end with a linear "
            "layer of out_features=%d",
            tr_shape_text(last->unfused, text), n_classes, n_classes);
    if (n_classes > 0 && last->unfused.h * last->unfused.w > 1 && last->unfused.c > 1)
        return tr_fail_at(
            err, last->where, last->name,
            "the network's output is a flattened image, whose features are in no order of "
            "classes: end with a linear layer of out_features=%d",
            n_classes);
    if ((code = add_loss(graph, doc, err))) return code;
    if ((code = check_read(graph, err))) return code;
    if ((code = tr_graph_fuse(graph, err)) || (code = tr_graph_list_state(graph, err))) return code;
    tr_graph_place_state(graph);
    return TR_OK;
}

int tr_graph_create(const tr_doc *doc, tr_shape input, int n_classes, tr_graph **out,
                    tr_error *err) {
    tr_graph *graph = tr_alloc(1, sizeof *graph, err);
    *out = NULL;
    if (graph == NULL) return TR_ENOMEM;
    int code = build(graph, doc, input, n_classes, err);
    if (code) {
        tr_graph_free(graph);
        graph = NULL;
    }
    *out = graph;
    return code;
}

void tr_graph_free(tr_graph *graph) {
    if (graph == NULL) return;
    for (int i = 0; graph->nodes && i < graph->n_nodes; i++) free_node(&graph->nodes[i]);
    tr_free(graph->nodes);
    tr_graph_free_state(graph);
    tr_arena_free(&graph->memory);
    tr_free(graph);
}
