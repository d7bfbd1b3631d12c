/* The network, its data and how it is trained, as JSON: every layer with every argument, so that a
 * program which reads no configuration can do the same (tools/torch_net.py). */
#include "setup/sections.h"
#include "setup/setup.h"

/* A constructor of jansson answers NULL where it fails, and all that take one pass it on. */

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
    json_t *layer = tr_json_class(&node->op->schema, node->args);
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

static json_t *layers_json(const tr_graph *graph) {
    json_t *layers = json_array();
    for (int i = 1; i <= graph->output; i++) {
        if (json_array_append_new(layers, layer_json(graph, &graph->nodes[i]))) {
            json_decref(layers);
            return NULL;
        }
    }
    return layers;
}

static json_t *class_names_json(const tr_session *s) {
    json_t *names = json_array();
    for (int k = 0; k < s->test.n_classes; k++)
        json_array_append_new(names, tr_json_string(s->test.class_names[k]));
    return names;
}

static int add_transform(const tr_schema *schema, const void *args, void *arg) {
    return json_array_append_new(arg, tr_json_class(schema, args)) ? TR_ENOMEM : TR_OK;
}

static json_t *transforms_json(const tr_session *s, tr_error *err) {
    tr_places lines = tr_doc_places(s->experiment.doc, "transforms");
    json_t *list = json_array();
    if (tr_transforms_each(lines.pairs, lines.n, add_transform, list, err) == TR_OK) return list;
    json_decref(list);
    return NULL;
}

int tr_describe(const tr_session *s, char **out, tr_error *err) {
    const tr_graph *g = s->graph;
    const tr_experiment *e = &s->experiment;
    const tr_node *loss = &g->nodes[g->n_nodes - 1];
    json_t *train = tr_json_args(&tr_train_schema, &e->train);
    const struct {
        const char *key;
        json_t *value;
    } rows[] = {
        {"format", json_integer(1)},
        {"network", tr_json_string(e->name)},
        {"data", tr_json_class(&e->dataset->schema, e->dataset_args)},
        {"transforms", transforms_json(s, err)},
        {"input", shape_json(g->nodes[0].unfused)},
        {"classes", json_integer(s->test.n_classes)},
        {"class_names", class_names_json(s)},
        {"layers", layers_json(g)},
        {"loss", tr_json_class(&loss->op->schema, loss->args)},
        {"optimizer", tr_json_class(&e->optimizer->schema, e->optimizer_args)},
        {"schedule", tr_json_class(&e->schedule->schema, e->schedule_args)},
        {"loader", tr_json_args(&tr_loader_schema, &e->loader)},
        {"accumulate", json_incref(json_object_get(train, "accumulate"))},
        {"batch_size", json_integer(tr_min(e->loader.batch_size, s->train.n))},
        {"steps_per_epoch", json_integer((json_int_t)s->steps)},
        {"epochs", json_incref(json_object_get(train, "epochs"))},
        {"seed", json_incref(json_object_get(train, "seed"))},
        {"generator", json_incref(json_object_get(train, "generator"))},
    };
    json_t *all = json_object();
    bool whole = all != NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) /* each takes its value, or frees it */
        whole &= json_object_set_new(all, rows[i].key, rows[i].value) == 0;
    json_decref(train);
    if (!whole) {
        json_decref(all);
        all = NULL;
    }
    return tr_json_text("the description of the network", all, out, err);
}
