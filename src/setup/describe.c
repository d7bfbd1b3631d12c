/* The network and how it is trained, as JSON: every layer with every argument, so that a program
 * which reads no configuration can build the same (tools/torch_net.py). */
#include "setup/setup.h"

/* A constructor of jansson answers NULL where it fails, and all that take one pass it on. */

/* Null for a name that is not UTF-8. */
static json_t *text_json(const char *text) {
    json_t *value = json_string(text);
    return value ? value : json_null();
}

static json_t *sizes(int n, const int64_t *size) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, json_integer((json_int_t)size[i]));
    return list;
}

/* As PyTorch orders it, without the batch. */
static json_t *shape_json(tr_shape s) {
    int64_t image[] = {s.c, s.h, s.w}, features = tr_shape_size(s);
    return s.flat ? sizes(1, &features) : sizes(3, image);
}

static json_t *class_json(const tr_schema *schema, const void *args) {
    return json_pack("{s:s, s:o}", "class", schema->name, "arguments", tr_json_args(schema, args));
}

static json_t *state_json(const tr_graph *graph, const tr_node *node, tr_state_kind kind) {
    json_t *list = json_array();
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *state = tr_row_state(row);
        if (row->node != node || state->kind != kind) continue;
        json_array_append_new(list, json_pack("{s:s, s:o}", "name", row->name, "shape",
                                              sizes(state->n_dims, state->dim)));
    }
    return list;
}

static json_t *layer_json(const tr_graph *graph, const tr_node *node) {
    json_t *inputs = json_array();
    for (int i = 0; i < node->n_inputs; i++)
        json_array_append_new(inputs, json_string(graph->nodes[node->input[i]].name));
    json_t *layer = class_json(&node->op->schema, node->args);
    json_t *head = json_pack("{s:s}", "name", node->name);
    json_t *rest = json_pack(
        "{s:o, s:o, s:o, s:o}", "inputs", inputs, "output", shape_json(node->unfused), "parameters",
        state_json(graph, node, TR_PARAMETER), "buffers", state_json(graph, node, TR_BUFFER));
    if (head == NULL || json_object_update(head, layer) || json_object_update(head, rest)) {
        json_decref(head);
        head = NULL;
    }
    json_decref(layer);
    json_decref(rest);
    return head;
}

int tr_describe(const tr_session *s, char **out, tr_error *err) {
    const tr_graph *g = s->graph;
    const tr_experiment *e = &s->experiment;
    const tr_node *loss = &g->nodes[g->n_nodes - 1];
    static const char *const generators[] = {"philox", "torch"};
    json_t *layers = json_array(), *classes = json_array();
    bool whole = true;
    for (int i = 1; i <= g->output; i++)
        whole &= json_array_append_new(layers, layer_json(g, &g->nodes[i])) == 0;
    for (int k = 0; k < s->test.n_classes; k++)
        json_array_append_new(classes, text_json(s->test.class_names[k]));
    json_t *all =
        json_pack("{s:i, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:i, s:I, s:I, s:I, s:s}",
                  "format", 1, "network", text_json(e->name), "input",
                  shape_json(g->nodes[0].unfused), "classes", s->test.n_classes, "class_names",
                  classes, "layers", layers, "loss", class_json(&loss->op->schema, loss->args),
                  "optimizer", class_json(&e->optimizer->schema, e->optimizer_args), "schedule",
                  class_json(&e->schedule->schema, e->schedule_args), "batch_size",
                  (int)tr_min(e->loader.batch_size, s->train.n), "steps_per_epoch",
                  (json_int_t)s->steps, "epochs", (json_int_t)e->train.epochs, "seed",
                  (json_int_t)e->train.seed, "generator", generators[e->train.generator]);
    if (!whole) {
        json_decref(all);
        all = NULL;
    }
    return tr_json_text("the description of the network", all, out, err);
}
