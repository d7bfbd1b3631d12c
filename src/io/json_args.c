/* Arguments of a class as JSON values of their types: what tr_args_parse put into the struct. No
 * state. */
#include <stdlib.h>

#include "io/io.h"

/* A list of them; NULL where there is a word in it. */
static json_t *numbers(const tr_key *key, const tr_floats *list) {
    for (int i = 0; key->choices && i < list->n; i++)
        if (list->v[i] < 0) return NULL;
    json_t *array = json_array();
    for (int i = 0; i < list->n; i++)
        if (json_array_append_new(array, tr_json_number(list->v[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

json_t *tr_json_string(const char *text) {
    json_t *value = json_string(text);
    return value ? value : json_null();
}

/* A number as one, other text ("auto", "3x1") as text. */
static json_t *number_or_text(const char *text, tr_key_type type) {
    char *end;
    long long integer = strtoll(text, &end, 10);
    bool is_integer = type == TR_KEY_INT || type == TR_KEY_SIZE2 || type == TR_KEY_SIDES;
    bool is_real = type == TR_KEY_FLOAT || type == TR_KEY_FLOAT2;
    if (is_integer && end != text && *end == '\0') return json_integer(integer);
    double real = strtod(text, &end);
    if (is_real && end != text && *end == '\0') return tr_json_number(real);
    return tr_json_string(text);
}

static json_t *value_of(const tr_key *key, const void *args) {
    const void *place = (const char *)args + key->offset;
    if (key->type == TR_KEY_BOOL) return json_boolean(*(const bool *)place);
    json_t *list = key->type == TR_KEY_FLOATS ? numbers(key, place) : NULL;
    if (list) return list;
    if (key->type == TR_KEY_CLASS) {
        const tr_class *class = place;
        return tr_json_class(key->classes->schemas[class->index], class->args);
    }
    tr_text text = {0};
    tr_args_format(key, args, &text);
    json_t *value = text.failed ? NULL : number_or_text(text.at, key->type);
    tr_text_free(&text);
    return value;
}

json_t *tr_json_args(const tr_schema *schema, const void *args) {
    json_t *object = json_object();
    for (int k = 0; k < schema->n_keys; k++) {
        const tr_key *key = &schema->keys[k];
        if (key->type == TR_KEY_ANY) continue;
        if (json_object_set_new(object, key->name, value_of(key, args))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *tr_json_class(const tr_schema *schema, const void *args) {
    return json_pack("{s:s, s:o}", "class", schema->name, "arguments", tr_json_args(schema, args));
}
