/* The register of layers and losses, and what several of them need. */
#include "ops/ops.h"

#include <stdio.h>
#include <string.h>

#include "ops_registry.h" /* made by Meson from this folder's meson.build */

#define X(name) extern const tr_op tr_op_##name;
TR_LAYERS(X)
TR_LOSSES(X)
#undef X

#define X(name) &tr_op_##name,
const tr_op *const tr_layers[] = {TR_LAYERS(X)};
const tr_op *const tr_losses[] = {TR_LOSSES(X)};
#undef X

#define X(name) &tr_op_##name.schema,
static const tr_schema *const layer_schemas[] = {TR_LAYERS(X)};
static const tr_schema *const loss_schemas[] = {TR_LOSSES(X)};
#undef X
const tr_registry tr_layer_registry = {"layer", layer_schemas,
                                       sizeof layer_schemas / sizeof *layer_schemas};
const tr_registry tr_loss_registry = {"loss", loss_schemas,
                                      sizeof loss_schemas / sizeof *loss_schemas};

char *tr_shape_text(tr_shape shape, char *out) {
    if (shape.flat)
        snprintf(out, 64, "%lld", (long long)tr_shape_size(shape));
    else
        snprintf(out, 64, "%d x %d x %d", shape.c, shape.h, shape.w);
    return out;
}

tr_where tr_key_where(const tr_node *node, const char *key) {
    for (int i = 0; i < node->given.n; i++) {
        if (strcmp(node->given.pairs[i].key, key) == 0) return node->given.pairs[i].where;
    }
    return node->where;
}

int tr_shape_of_input(tr_node *node, tr_error *err) {
    (void)err;
    node->unfused = node->in[0];
    return TR_OK;
}

int tr_want_image(const tr_node *node, int input, tr_error *err) {
    if (!node->in[input].flat) return TR_OK;
    char text[64];
    return tr_fail_at(err, node->where, node->name,
                      "%s wants an image (channels x height x width) but its input has %s features",
                      node->op->schema.name, tr_shape_text(node->in[input], text));
}

int tr_want_features(const tr_node *node, int input, tr_error *err) {
    if (node->in[input].flat) return TR_OK;
    char text[64];
    return tr_fail_at(
        err, node->where, node->name,
        "%s wants features but its input is an image of %s: put a flatten layer before "
        "it",
        node->op->schema.name, tr_shape_text(node->in[input], text));
}

tr_state *tr_add_state(tr_node *node, const tr_state *state, tr_error *err) {
    tr_state *place = tr_grow(&node->state, node->n_state, sizeof *place, err);
    if (place == NULL) return NULL;
    *place = *state;
    node->n_state++;
    return place;
}

tr_state tr_vector_parameter(const char *suffix, int64_t n) {
    int64_t n8 = tr_round_up(n, TR_BLOCK8);
    return (tr_state){.suffix = suffix,
                      .kind = TR_PARAMETER,
                      .n_dims = 1,
                      .dim = {n},
                      .size = n8,
                      .n_blocks = 1,
                      .block = n8,
                      .used = n8,
                      .tile = n8};
}

int tr_find_state(const tr_node *node, const char *suffix) {
    for (int i = 0; i < node->n_state; i++) {
        if (strcmp(node->state[i].suffix, suffix) == 0) return i;
    }
    return -1;
}
