/* The values of a block's keys in the text of its lines: $key, ${key}, and integer arithmetic.
 *
 *   sum     = product {("+" | "-") product}
 *   product = factor {("*" | "/") factor}
 *   factor  = digits | key | "(" sum ")" | ("+" | "-") factor
 *
 * Values are of 64 bits; what does not fit, and a quotient that is no integer, is an error. An
 * error in the expression itself is one of its line, an error in its value that of the last value
 * that went in.
 */
#include "graph/fill.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static const char digits[] = "0123456789";

enum { MAX_DEPTH = 64 }; /* of parentheses and signs */

typedef struct filler {
    const tr_values *values;
    const char *name;
    tr_where line, last;
    tr_error *err;
} filler;

static int unknown_key(const filler *f, const char *word, size_t n) {
    const tr_schema *keys = f->values->keys;
    const char **names = tr_alloc((size_t)keys->n_keys, sizeof *names, f->err);
    tr_text what = {0}, key = {0};
    tr_text_add(&key, word, n);
    tr_text_print(&what, "'$%s' is no key of the block", key.failed ? "" : key.at);
    int code = TR_ENOMEM;
    if (key.failed || what.failed) tr_fail(f->err, code, "out of memory");
    if (names && !key.failed && !what.failed) {
        for (int i = 0; i < keys->n_keys; i++) names[i] = keys->keys[i].name;
        code = tr_fail_unknown(f->err, f->line, f->name, what.at, key.at, names, keys->n_keys);
    }
    tr_text_free(&key);
    tr_text_free(&what);
    tr_free(names);
    return code;
}

/* The value of the key word[0..n), or NULL with an error. */
static const char *value_of(filler *f, const char *word, size_t n) {
    const tr_schema *keys = f->values->keys;
    for (int i = 0; i < keys->n_keys; i++) {
        const tr_key *key = &keys->keys[i];
        if (strncmp(key->name, word, n) != 0 || key->name[n] != '\0') continue;
        f->last = tr_place_of(&f->values->given, key->name);
        return *(const char *const *)((const char *)f->values->args + key->offset);
    }
    unknown_key(f, word, n);
    return NULL;
}

/* ---- arithmetic ---- */

typedef struct expression {
    filler *f;
    const char *text, *at, *end; /* `text` begins with "${" and ends behind the '}' at `end` */
    int depth;
} expression;

static int shown(const expression *e) {
    return (int)tr_min(e->end + 1 - e->text, TR_TEXT);
}

static int malformed(const expression *e, const char *wanted) {
    return tr_fail_at(e->f->err, e->f->line, e->f->name, "%.*s: %s at '%.*s'", shown(e), e->text,
                      wanted, (int)tr_min(e->end + 1 - e->at, TR_TEXT), e->at);
}

static int too_large(const expression *e) {
    return tr_fail_at(e->f->err, e->f->last, e->f->name, "%.*s does not fit 64 bits", shown(e),
                      e->text);
}

static char next(expression *e) {
    while (*e->at == ' ') e->at++;
    return *e->at;
}

static int read_sum(expression *e, int64_t *out);

/* Digits, or a key and its value. */
static int read_operand(expression *e, int64_t *out) {
    size_t n = tr_word_length(e->at);
    bool is_key = strspn(e->at, digits) < n;
    const char *word = e->at, *text = word;
    char *end;
    if (n == 0) return malformed(e, "a number, a key or '(' is missing");
    if (is_key && (text = value_of(e->f, word, n)) == NULL) return e->f->err->code;
    e->at += n;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (is_key && (end == text || *end != '\0' || text[0] == ' ' || text[0] == '\t'))
        return tr_fail_at(e->f->err, e->f->last, e->f->name, "%.*s: %.*s=%s is not an integer",
                          shown(e), e->text, (int)tr_min((int64_t)n, TR_TEXT), word, text);
    return errno == ERANGE ? too_large(e) : TR_OK;
}

static int read_factor(expression *e, int64_t *out) {
    char c = next(e);
    if (c != '(' && c != '+' && c != '-') return read_operand(e, out);
    if (++e->depth > MAX_DEPTH)
        return tr_fail_at(e->f->err, e->f->line, e->f->name,
                          "%.*s: more than %d parentheses within each other", shown(e), e->text,
                          MAX_DEPTH);
    e->at++;
    int code = c == '(' ? read_sum(e, out) : read_factor(e, out);
    e->depth--;
    if (code) return code;
    if (c == '-' && __builtin_sub_overflow((int64_t)0, *out, out)) return too_large(e);
    if (c != '(') return TR_OK;
    if (next(e) != ')') return malformed(e, "')' is missing");
    e->at++;
    return TR_OK;
}

static int divide(const expression *e, int64_t *a, int64_t b) {
    if (b == 0)
        return tr_fail_at(e->f->err, e->f->last, e->f->name, "%.*s divides %" PRId64 " by zero",
                          shown(e), e->text, *a);
    if (b == -1) return __builtin_sub_overflow((int64_t)0, *a, a) ? too_large(e) : TR_OK;
    if (*a % b != 0)
        return tr_fail_at(e->f->err, e->f->last, e->f->name,
                          "%.*s: %" PRId64 " / %" PRId64 " is not an integer", shown(e), e->text,
                          *a, b);
    *a /= b;
    return TR_OK;
}

static int read_product(expression *e, int64_t *out) {
    int code = read_factor(e, out);
    for (char c; code == TR_OK && ((c = next(e)) == '*' || c == '/');) {
        int64_t b;
        e->at++;
        if ((code = read_factor(e, &b))) return code;
        if (c == '/')
            code = divide(e, out, b);
        else if (__builtin_mul_overflow(*out, b, out))
            code = too_large(e);
    }
    return code;
}

static int read_sum(expression *e, int64_t *out) {
    int code = read_product(e, out);
    for (char c; code == TR_OK && ((c = next(e)) == '+' || c == '-');) {
        int64_t b;
        e->at++;
        if ((code = read_product(e, &b))) return code;
        if (c == '+' ? __builtin_add_overflow(*out, b, out) : __builtin_sub_overflow(*out, b, out))
            code = too_large(e);
    }
    return code;
}

/* Add what text, "${...}", is; *after is behind it. */
static int fill_braces(filler *f, const char *text, tr_text *out, const char **after) {
    const char *end = strchr(text, '}'), *word = text + 2;
    if (end == NULL) return tr_fail_at(f->err, f->line, f->name, "'%s' has no closing '}'", text);
    *after = end + 1;
    if (word == end) return tr_fail_at(f->err, f->line, f->name, "'${}' is empty");
    if (word + tr_word_length(word) == end && word + strspn(word, digits) != end) {
        /* the value as it is */
        const char *value = value_of(f, word, (size_t)(end - word));
        if (value) tr_text_add(out, value, strlen(value));
        return value ? TR_OK : f->err->code;
    }
    expression e = {f, text, word, end, 0};
    int64_t value;
    int code = read_sum(&e, &value);
    if (code == TR_OK && next(&e) != '}') code = malformed(&e, "an operator is missing");
    if (code == TR_OK) tr_text_print(out, "%" PRId64, value);
    return code;
}

/* ---- text ---- */

static int fill(filler *f, const char *text, size_t most, tr_text *out) {
    while (*text) {
        size_t plain = strcspn(text, "$");
        tr_text_add(out, text, plain);
        text += plain;
        if (*text == '\0') break;
        if (text[1] == '$') {
            tr_text_add(out, text, 1);
            text += 2;
        } else if (text[1] == '{') {
            int code = fill_braces(f, text, out, &text);
            if (code) return code;
        } else {
            size_t n = tr_word_length(text + 1);
            const char *value = value_of(f, text + 1, n);
            if (value == NULL) return f->err->code;
            tr_text_add(out, value, strlen(value));
            text += 1 + n;
        }
        if (out->failed) return tr_fail(f->err, TR_ENOMEM, "out of memory");
        if (out->n > most)
            return tr_fail_at(f->err, f->line, f->name,
                              "the network is too long when its blocks are written out");
    }
    return TR_OK;
}

const char *tr_fill(const tr_values *values, const char *text, const char *name, size_t most,
                    tr_arena *memory, tr_where *where, tr_error *err) {
    if (strchr(text, '$') == NULL) return text;
    tr_error own = {0};
    filler f = {values, name, *where, *where, &own};
    tr_text out = {0};
    const char *kept = NULL;
    int code = fill(&f, text, most, &out);
    if (code == TR_OK && out.failed) code = tr_fail(&own, TR_ENOMEM, "out of memory");
    if (code == TR_OK) kept = tr_arena_copy(memory, out.n ? out.at : "", out.n, &own);
    tr_text_free(&out);
    if (kept == NULL) tr_fail(err, own.code, "%s", own.text);
    *where = f.last;
    return kept;
}
