/* A class and its arguments in one line, `CLASS xN key=value ...`: to words and back.
 *
 * What tr_args_write prints tr_args_split takes apart again to the same bytes. No state:
 * thread-safe.
 */
#include "base/base.h"

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

const char *tr_bracket_end(const char *at) {
    for (int depth = 0; *at; at++) {
        depth += (*at == '(') - (*at == ')');
        if (depth == 0) return at + 1;
    }
    return NULL;
}

/* Behind the character at `at`, or behind its bracket. *closed: none was open so far. */
static const char *step(const char *at, bool *closed) {
    const char *end = *at == '(' && *closed ? tr_bracket_end(at) : NULL;
    if (*at == '(' && end == NULL) *closed = false;
    return end ? end : at + 1;
}

size_t tr_item_length(const char *text) {
    const char *at = text;
    bool closed = true;
    while (*at && *at != ',') at = step(at, &closed);
    return (size_t)(at - text);
}

/* Take the quotes off the value at `at`, which ends at white space; *after is what follows. */
static int unquote_value(char *at, const char *word, tr_where where, const char *context,
                         char **after, tr_error *err) {
    size_t length;
    const char *problem;
    size_t used = tr_unquote(at, strlen(at), at, &length, &problem);
    if (used == 0) return tr_fail_at(err, where, context, "%s: %s", word, problem);
    *after = at + used;
    if (**after && !is_space(**after))
        return tr_fail_at(err, where, context, "text after the closing quote: '%s'", *after);
    if (**after) ++*after;
    at[length] = '\0';
    return TR_OK;
}

/* A word without '=': the class, or how many of it. False where it is neither. */
static bool take_bare(const char *word, tr_args_words *out) {
    if (out->n > 0) return false;
    if (!out->class) {
        out->class = word;
        return true;
    }
    if (out->times || word[0] != 'x' || !(word[1] == '$' || (word[1] >= '0' && word[1] <= '9')))
        return false;
    out->times = word;
    return true;
}

int tr_args_split(const char *text, tr_where where, const char *context, tr_arena *memory,
                  tr_args_words *out, tr_error *err) {
    *out = (tr_args_words){0};
    size_t most = 0, bytes; /* an argument has a '=' at least */
    for (const char *c = text; *c; c++) most += *c == '=';
    if (most > INT32_MAX || !tr_mul(most, sizeof *out->pairs, &bytes))
        return tr_fail_at(err, where, context, "the line is too long");
    char *at = tr_arena_copy(memory, text, strlen(text), err);
    out->pairs = at ? tr_arena_alloc(memory, bytes, err) : NULL;
    bool closed = true;
    if (!out->pairs) return TR_ENOMEM;
    while (*at) {
        while (is_space(*at)) at++;
        if (!*at) break;
        char *word = at, *equals = NULL;
        while (*at && !is_space(*at) && !(*at == '"' && at > word && at[-1] == '=')) {
            if (*at == '=' && !equals) equals = at;
            at += equals ? step(at, &closed) - at : 1;
        }
        bool quoted = *at == '"';
        if (quoted) {
            if (at - 1 != equals)
                return tr_fail_at(err, where, context, "'%s' has more than one '='", word);
            *equals = '\0';
            int code = unquote_value(equals + 1, word, where, context, &at, err);
            if (code) return code;
        } else {
            if (*at) *at++ = '\0';
            if (strchr(word, '"'))
                return tr_fail_at(err, where, context, "a quote within '%s': write key=\"...\"",
                                  word);
        }
        if (!equals && take_bare(word, out)) continue;
        if (!equals)
            return tr_fail_at(err, where, context,
                              "'%s' is not of the form key=value (without white space)", word);
        if (equals == word)
            return tr_fail_at(err, where, context, "'%s' has no key before the '='",
                              quoted ? equals + 1 : word);
        if (!quoted && equals[1] == '=')
            return tr_fail_at(err, where, context, "'%s' has more than one '='", word);
        *equals = '\0';
        out->pairs[out->n++] = (tr_pair){word, equals + 1, where, context};
    }
    return TR_OK;
}

/* Would tr_args_split read it as it stands? */
static bool is_plain_word(const char *text) {
    size_t n = strlen(text);
    int depth = 0;
    if (n && (text[0] == '=' || text[n - 1] == '\\')) return false;
    for (size_t i = 0; i < n;) {
        size_t length = tr_plain_length(text + i, n - i);
        if (length == 0 || is_space(text[i]) || text[i] == '"') return false;
        depth += (text[i] == '(') - (text[i] == ')');
        if (depth < 0) return false;
        i += length;
    }
    return depth == 0;
}

void tr_args_write(const tr_schema *schema, const void *args, tr_text *out) {
    for (int k = 0; k < schema->n_keys; k++) {
        if (schema->keys[k].type == TR_KEY_ANY) continue;
        tr_text value = {0};
        tr_args_format(&schema->keys[k], args, &value);
        tr_text_print(out, " %s=", schema->keys[k].name);
        if (value.failed)
            out->failed = true;
        else if (is_plain_word(value.at))
            tr_text_add(out, value.at, value.n);
        else
            tr_text_quote(out, value.at);
        tr_text_free(&value);
    }
}
