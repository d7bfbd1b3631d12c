/* From the lines of [network] and [loss] to nodes: names, arguments, inputs, shapes, parameters. */
#include "graph/graph.h"

#include <ctype.h>
#include <string.h>

#include "graph/blocks.h"

enum {
    MAX_NODES = TR_MAX_LINES + 2, /* input and loss */
    MAX_SIDE = 1 << 15,           /* of an image, so that 32-bit offsets inside a sample do */
};

static const char input_name[] = "input";

static int find(const tr_graph *graph, const char *name) {
    for (int i = 0; i < graph->n_nodes; i++) {
        if (strcmp(graph->nodes[i].name, name) == 0) return i;
    }
    return -1;
}

static int check_name(const tr_graph *graph, const tr_line *line, tr_error *err) {
    bool ok = line->name[0] != '\0' && line->name[0] != '.';
    for (const char *p = line->name; *p; p++)
        ok &= isalnum((unsigned char)*p) || *p == '_' || *p == '.';
    if (!ok)
        return tr_fail_at(err, line->where, line->name,
                          "a layer's name has letters, digits, '_' and '.' only");
    if (strlen(line->name) >= TR_NAME - 16)
        return tr_fail_at(err, line->where, line->name, "a layer's name has at most %d characters",
                          TR_NAME - 17);
    if (find(graph, line->name) == 0)
        return tr_fail_at(err, line->where, line->name, "'%s' is the name of the network's input",
                          input_name);
    if (find(graph, line->name) > 0)
        return tr_fail_at(err, line->where, line->name, "a layer of this name is there already");
    return TR_OK;
}

/* A name in from= that is none of the layers above. */
static int fail_from(const tr_graph *graph, const tr_node *node, const char *name,
                     const tr_line *line, const tr_lines *lines, tr_error *err) {
    for (int i = 0; i < lines->n; i++) {
        if (strcmp(lines->line[i].name, name) != 0) continue;
        if (strcmp(name, node->name) == 0)
            return tr_fail_at(err, line->where, node->name,
                              "from=%s names the layer itself, allowed are layers above", name);
        const tr_where there = lines->line[i].where;
        bool same_file = strcmp(there.file, line->where.file) == 0 && there.line > 0;
        tr_text place = {0};
        if (!same_file) tr_text_print(&place, "%s%s", there.file, there.line ? ":" : "");
        if (there.line) tr_text_print(&place, "%s%d", same_file ? "line " : "", there.line);
        int code = tr_fail_at(err, line->where, node->name,
                              "from=%s names a layer that comes later (%s), allowed are layers "
                              "above",
                              name, place.at ? place.at : "");
        tr_text_free(&place);
        return code;
    }
    const char *names[MAX_NODES];
    for (int i = 0; i < graph->n_nodes; i++) names[i] = graph->nodes[i].name;
    const char *near = tr_nearest(name, names, graph->n_nodes);
    return tr_fail_at(err, line->where, node->name, "from=%s names no layer above%s%s%s", name,
                      near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

/* from=a,b: the nodes of those names. */
static int read_from(const tr_graph *graph, tr_node *node, const tr_line *line,
                     const tr_lines *lines, tr_error *err) {
    char *text = tr_strdup(line->from, err), *rest = text;
    int code = text ? TR_OK : TR_ENOMEM;
    while (code == TR_OK && rest) {
        const char *name = strsep(&rest, ",");
        int id = find(graph, name);
        if (id < 0)
            code = fail_from(graph, node, name, line, lines, err);
        else if (node->n_inputs == TR_MAX_INPUTS)
            code = tr_fail_at(err, line->where, node->name, "from= names more than %d layers",
                              TR_MAX_INPUTS);
        else
            node->input[node->n_inputs++] = id;
    }
    tr_free(text);
    return code;
}

/* Class and arguments of a line; inputs; shape. `node` is filled in, not yet in the graph. */
static int read_line(const tr_graph *graph, tr_node *node, const tr_line *line,
                     const tr_lines *lines, tr_error *err) {
    if (line->class == NULL)
        return tr_fail_at(err, line->where, node->name, "no layer is named, as in '%s = %s ...'",
                          line->name, tr_layers[0]->schema.name);
    for (int i = 0; i < tr_n_layers; i++) { /* it is one of them: blocks.c has looked */
        if (strcmp(tr_layers[i]->schema.name, line->class) == 0) node->op = tr_layers[i];
    }
    const tr_schema *schema = &node->op->schema;
    node->args = tr_alloc(1, schema->args_bytes, err);
    if (node->args == NULL) return TR_ENOMEM;
    int code =
        tr_args_parse(schema, line->args, line->n_args, line->where, node->name, node->args, err);
    if (code) return code;
    if (line->from) {
        code = read_from(graph, node, line, lines, err);
        if (code) return code;
    } else {
        node->input[node->n_inputs++] = graph->n_nodes - 1;
    }
    if (node->n_inputs > node->op->max_inputs && node->op->max_inputs == 1)
        return tr_fail_at(err, line->where, node->name, "%s reads one value, but from= names %d",
                          schema->name, node->n_inputs);
    if (node->n_inputs < node->op->min_inputs || node->n_inputs > node->op->max_inputs)
        return tr_fail_at(err, line->where, node->name,
                          "%s reads %d value%s, allowed are %d to %d: name them with from=a,b",
                          schema->name, node->n_inputs, node->n_inputs == 1 ? "" : "s",
                          node->op->min_inputs, node->op->max_inputs);
    for (int i = 0; i < node->n_inputs; i++) node->in[i] = graph->nodes[node->input[i]].unfused;
    node->given = (tr_places){line->args, line->n_args, line->where, node->name};
    code = node->op->shape(node, err);
    node->given = (tr_places){.where = line->where};
    if (code) return code;
    if (node->unfused.h > MAX_SIDE || node->unfused.w > MAX_SIDE ||
        tr_shape_size(node->unfused) > TR_MAX_VALUE) {
        char size[64];
        return tr_fail_at(
            err, line->where, node->name,
            "its output would be too large: %s, allowed are up to %d numbers and sides of %d",
            tr_shape_text(node->unfused, size), TR_MAX_VALUE, MAX_SIDE);
    }
    node->out = node->unfused;
    return TR_OK;
}

static void free_args(tr_node *node) {
    if (node->op) tr_args_clear(&node->op->schema, node->args);
    tr_free(node->args);
    node->args = NULL;
}

static int add_line(tr_graph *graph, const tr_line *line, const tr_lines *lines, tr_error *err) {
    tr_node *node = &graph->nodes[graph->n_nodes];
    node->id = node->value = graph->n_nodes;
    node->where = line->where;
    strncpy(node->name, line->name, TR_NAME - 1);
    int code = read_line(graph, node, line, lines, err);
    if (code) {
        free_args(node);
        *node = (tr_node){0};
        return code;
    }
    graph->n_nodes++;
    return TR_OK;
}

static int add_loss(tr_graph *graph, const tr_doc *doc, tr_error *err) {
    tr_where where = {tr_doc_name(doc), 0};
    int n;
    const tr_pair *pairs = tr_doc_section(doc, "loss", &n, &where);
    if (n == 0)
        return tr_fail_at(err, where, NULL, "there is no loss: add a section [loss] with type = %s",
                          tr_losses[0]->schema.name);
    const tr_pair *type = tr_doc_find(doc, "loss", "type");
    if (type == NULL)
        return tr_fail_at(err, where, "loss.type", "is missing, as in type = %s",
                          tr_losses[0]->schema.name);
    const tr_schema *schemas[MAX_NODES];
    for (int i = 0; i < tr_n_losses; i++) schemas[i] = &tr_losses[i]->schema;
    const tr_schema *schema =
        tr_schema_find(schemas, tr_n_losses, type->value, "loss", type->where, "loss.type", err);
    if (schema == NULL) return TR_ECONFIG;
    tr_node *node = &graph->nodes[graph->n_nodes];
    node->id = node->value = graph->n_nodes++;
    node->where = type->where;
    strcpy(node->name, "loss");
    for (int i = 0; i < tr_n_losses; i++) {
        if (&tr_losses[i]->schema == schema) node->op = tr_losses[i];
    }
    node->args = tr_alloc(1, schema->args_bytes, err);
    if (node->args == NULL) return TR_ENOMEM;
    /* The section's other keys are the loss's arguments. */
    tr_pair *args = tr_alloc((size_t)n, sizeof *args, err);
    if (args == NULL) return TR_ENOMEM;
    int n_args = 0;
    for (int i = 0; i < n; i++) {
        if (&pairs[i] != type) args[n_args++] = pairs[i];
    }
    int code = tr_args_parse(schema, args, n_args, type->where, "loss", node->args, err);
    tr_free(args);
    if (code) return code;
    node->input[node->n_inputs++] = graph->output;
    node->in[0] = graph->nodes[graph->output].unfused;
    code = node->op->shape(node, err);
    node->out = node->unfused;
    return code;
}

/* Each layer but the last must be read by another. */
static int check_read(const tr_graph *graph, tr_error *err) {
    for (int i = 1; i < graph->output; i++) {
        bool read = false;
        for (int j = i + 1; j < graph->n_nodes; j++) {
            for (int k = 0; k < graph->nodes[j].n_inputs; k++)
                read |= graph->nodes[j].input[k] == i;
        }
        if (!read)
            return tr_fail_at(err, graph->nodes[i].where, graph->nodes[i].name,
                              "nothing reads this layer: name it in a from=, or take it out");
    }
    return TR_OK;
}

/* Room for a parameter from element *at on; where its blocks are pages, it has its pages alone. */
static int64_t take_room(const tr_param *param, int64_t *at) {
    const int64_t page = TR_PAGE / (int64_t)sizeof(tr_real);
    const int64_t unit = param->block % page == 0 ? page : 1;
    int64_t first = tr_round_up(*at, unit);
    *at = tr_round_up(first + tr_round_up(param->size, TR_LANES) + TR_LANES, unit);
    return first;
}

static void count_elements(tr_graph *graph) {
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int p = 0; p < graph->nodes[i].n_params; p++)
            take_room(&graph->nodes[i].param[p], &graph->n_elements);
    }
}

int tr_graph_allocate(tr_graph *graph, tr_error *err) {
    graph->parameters = tr_alloc((size_t)graph->n_elements, sizeof(tr_real), err);
    if (graph->parameters == NULL) return TR_ENOMEM;
    int64_t at = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int p = 0; p < graph->nodes[i].n_params; p++) {
            tr_param *param = &graph->nodes[i].param[p];
            param->value = graph->parameters + take_room(param, &at);
        }
    }
    return TR_OK;
}

static int add_lines(tr_graph *graph, tr_shape input, const tr_lines *lines, tr_error *err) {
    int code = TR_OK, n = lines->n;
    graph->nodes = tr_alloc((size_t)n + 2, sizeof *graph->nodes, err);
    if (graph->nodes == NULL) return TR_ENOMEM;
    graph->nodes[0] = (tr_node){.unfused = input, .out = input};
    strcpy(graph->nodes[0].name, input_name);
    graph->n_nodes = 1;
    for (int i = 0; code == TR_OK && i < n; i++) {
        const tr_line *line = &lines->line[i];
        code = check_name(graph, line, err);
        if (code == TR_OK) code = add_line(graph, line, lines, err);
    }
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
    tr_graph_fuse(graph);
    count_elements(graph);
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
    for (int i = 0; graph->nodes && i < graph->n_nodes; i++) free_args(&graph->nodes[i]);
    tr_free(graph->nodes);
    tr_free(graph->parameters);
    tr_free(graph);
}
