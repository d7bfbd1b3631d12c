/* A class with its arguments as one value, `NAME` or `NAME(key=value, ...)`: to a tr_class and
 * back. The arguments are the class's schema's, like those of a line. No state: thread-safe.
 */
#include "base/base.h"

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

/* text[0..n) without white space at its ends. */
static char *strip(char *text, size_t n) {
    while (n > 0 && is_space(text[n - 1])) n--;
    text[n] = '\0';
    while (is_space(*text)) text++;
    return text;
}

static int not_a_pair(const tr_schema *schema, const tr_places *given, const char *word,
                      tr_error *err) {
    tr_text keys = {0};
    for (int i = 0; i < schema->n_keys; i++)
        tr_text_print(&keys, "%s%s=", i ? ", " : ", its keys are ", schema->keys[i].name);
    int code =
        tr_fail_at(err, given->where, given->context, "%s: '%s' is not of the form key=value%s",
                   schema->name, word, keys.n ? keys.at : ": it has no keys");
    tr_text_free(&keys);
    return code;
}

/* `inner`: what stands in the brackets. given->pairs has space for its arguments. */
static int read_arguments(const tr_schema *schema, char *inner, tr_pair *pairs, tr_places *given,
                          tr_error *err) {
    if (*strip(inner, strlen(inner)) == '\0') return TR_OK;
    for (bool more = true; more;) {
        size_t n = tr_item_length(inner);
        more = inner[n] == ',';
        char *word = strip(inner, n), *equals = strchr(word, '=');
        inner += n + 1;
        if (*word == '\0')
            return tr_fail_at(err, given->where, given->context,
                              "%s: an argument is missing beside a comma", schema->name);
        if (equals == NULL || equals == word) return not_a_pair(schema, given, word, err);
        pairs[given->n++] =
            (tr_pair){strip(word, (size_t)(equals - word)), strip(equals + 1, strlen(equals + 1)),
                      given->where, given->context};
    }
    return TR_OK;
}

/* `text` is a copy of the value, which ends up in pieces. */
static int read_value(const tr_registry *registry, const tr_pair *pair, char *text, tr_pair *pairs,
                      tr_places *given, tr_class *out, tr_error *err) {
    char *name = strip(text, strlen(text)), *open = strchr(name, '(');
    const char *end = open ? tr_bracket_end(open) : NULL;
    tr_pair class = {pair->key, name, pair->where, pair->context};
    if (open && end == NULL)
        return tr_fail_at(err, pair->where, given->context, "'%s' has no closing ')'", name);
    if (open && *end)
        return tr_fail_at(err, pair->where, given->context, "'%s' goes on behind its ')'", name);
    if (open) {
        name[end - 1 - name] = '\0';
        *open = '\0';
        class.value = strip(name, strlen(name));
    }
    int index = tr_registry_find(registry, class.value), code = TR_OK;
    if (open && index >= 0)
        code = read_arguments(registry->schemas[index], open + 1, pairs, given, err);
    return code ? code : tr_class_parse(registry, &class, given, &out->index, &out->args, err);
}

int tr_class_read(const tr_registry *registry, const tr_pair *pair, tr_class *out, tr_error *err) {
    size_t most = 1;
    tr_text full = {0};
    for (const char *at = pair->value; *at; at++) most += *at == ',';
    tr_text_print(&full, "%s%s%s", pair->context ? pair->context : "", pair->context ? "." : "",
                  pair->key);
    char *context = tr_text_take(&full, err), *text = tr_strdup(pair->value, err);
    tr_pair *pairs = tr_alloc(most, sizeof *pairs, err);
    tr_places given = {pairs, 0, pair->where, context};
    *out = (tr_class){0};
    int code = context && text && pairs ? read_value(registry, pair, text, pairs, &given, out, err)
                                        : TR_ENOMEM;
    tr_free(pairs);
    tr_free(text);
    tr_free(context);
    return code;
}

void tr_class_format(const tr_registry *registry, const tr_class *value, tr_text *out) {
    const tr_schema *schema = registry->schemas[value->index];
    tr_text_print(out, "%s", schema->name);
    for (int k = 0; k < schema->n_keys; k++) {
        tr_text_print(out, "%c%s=", k ? ',' : '(', schema->keys[k].name);
        tr_args_format(&schema->keys[k], value->args, out);
    }
    if (schema->n_keys) tr_text_print(out, ")");
}

void tr_class_clear(const tr_registry *registry, tr_class *value) {
    if (value->args) tr_args_clear(registry->schemas[value->index], value->args);
    tr_free(value->args);
    *value = (tr_class){0};
}
