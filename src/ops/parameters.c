/* What the arguments that all layers with parameters share mean: frozen=weight,bias, and NAME_init
 * for each parameter NAME. Found in the layer's schema by their names. */
#include <stdio.h>
#include <string.h>

#include "ops/ops.h"

static const tr_key *find_key(const tr_node *node, const char *name, tr_key_type type) {
    for (int k = 0; k < node->op->schema.n_keys; k++) {
        const tr_key *key = &node->op->schema.keys[k];
        if (key->type == type && strcmp(key->name, name) == 0) return key;
    }
    return NULL;
}

/* The key that names the initial value of a parameter: "weight" -> weight_init. */
static const tr_key *init_key(const tr_node *node, const tr_state *state) {
    char name[TR_TEXT];
    snprintf(name, sizeof name, "%s_init", state->suffix);
    return find_key(node, name, TR_KEY_CLASS);
}

static const void *value_of(const tr_node *node, const tr_key *key) {
    return (const char *)node->args + key->offset;
}

/* ---- frozen ---- */

static int freeze(tr_node *node, const char *name, tr_error *err) {
    enum { MOST = 8 };
    const char *known[MOST];
    char full[256], what[256];
    int n = 0;
    for (int i = 0; i < node->n_state; i++) {
        tr_state *state = &node->state[i];
        if (state->kind != TR_PARAMETER) continue;
        if (strcmp(state->suffix, name) == 0) {
            state->frozen = true;
            return TR_OK;
        }
        if (n < MOST) known[n++] = state->suffix;
    }
    snprintf(full, sizeof full, "%s.frozen", node->name);
    snprintf(what, sizeof what, "the layer has no parameter '%s'", name);
    return tr_fail_unknown(err, tr_key_where(node, "frozen"), full, what, name, known, n);
}

/* "weight,bias", or "(weight,bias)" as a value of a repeat's list is written; "" or "()". */
static int freeze_all(tr_node *node, const char *names, tr_error *err) {
    size_t n = strlen(names);
    if (n == 0 || strcmp(names, "()") == 0) return TR_OK;
    bool brackets = n >= 2 && names[0] == '(' && names[n - 1] == ')';
    char *text = tr_strdup(names + brackets, err), *rest = text;
    if (text && brackets) text[n - 2] = '\0';
    int code = text ? TR_OK : TR_ENOMEM;
    while (code == TR_OK && rest) {
        char *name = strsep(&rest, ",");
        while (*name == ' ') name++;
        name[strcspn(name, " ")] = '\0';
        code = freeze(node, name, err);
    }
    tr_free(text);
    return code;
}

/* ---- initial values ---- */

tr_init_tensor tr_init_tensor_of(const tr_node *node, const tr_state *state) {
    tr_init_tensor t = {.n_dims = state->n_dims,
                        .reads_images = node->input[0] == 0 && !node->in[0].flat,
                        .h = node->in[0].h,
                        .w = node->in[0].w,
                        .c = node->in[0].c};
    for (int i = 0; i < state->n_dims; i++) t.dim[i] = state->dim[i];
    return t;
}

static int choose_init(const tr_node *node, tr_state *state, tr_error *err) {
    const tr_key *key = init_key(node, state);
    if (key == NULL) return TR_OK;
    const tr_class *value = value_of(node, key);
    const tr_init *init = tr_inits[value->index];
    const tr_init_tensor t = tr_init_tensor_of(node, state);
    tr_text full = {0};
    tr_text_print(&full, "%s.%s", node->name, key->name);
    char *context = tr_text_take(&full, err);
    if (context == NULL) return TR_ENOMEM;
    const tr_places given = {.where = tr_key_where(node, key->name), .context = context};
    int code = init->check ? init->check(value->args, &t, &given, err) : TR_OK;
    tr_free(context);
    state->init = init;
    state->init_args = value->args;
    return code;
}

static bool has_parameter(const tr_node *node, const tr_key *key) {
    for (int i = 0; i < node->n_state; i++)
        if (node->state[i].kind == TR_PARAMETER && init_key(node, &node->state[i]) == key)
            return true;
    return false;
}

/* An initial value of a parameter that the layer does not have is a mistake, but for the default.
 */
static int check_unused(const tr_node *node, tr_error *err) {
    for (int k = 0; k < node->op->schema.n_keys; k++) {
        const tr_key *key = &node->op->schema.keys[k];
        if (key->type != TR_KEY_CLASS || key->classes != &tr_init_registry ||
            has_parameter(node, key))
            continue;
        const char *name =
            tr_init_registry.schemas[((const tr_class *)value_of(node, key))->index]->name;
        if (strcmp(name, key->fallback) == 0) continue;
        return tr_fail_at(err, tr_key_where(node, key->name), node->name,
                          "%s=%s: the layer has no parameter '%.*s'", key->name, name,
                          (int)(strlen(key->name) - strlen("_init")), key->name);
    }
    return TR_OK;
}

/* ---- both ---- */

int tr_node_shape(tr_node *node, tr_error *err) {
    int code = node->op->shape(node, err);
    for (int i = 0; code == TR_OK && i < node->n_state; i++) {
        if (node->state[i].kind == TR_PARAMETER) code = choose_init(node, &node->state[i], err);
    }
    if (code == TR_OK) code = check_unused(node, err);
    const tr_key *frozen = find_key(node, "frozen", TR_KEY_STRING);
    if (code || frozen == NULL) return code;
    return freeze_all(node, *(const char *const *)value_of(node, frozen), err);
}
