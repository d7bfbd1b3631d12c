/* Argument schemas: text to values and back, with errors that say what would have been right.
 *
 * A key's value lives at its offset in a plain struct; set_value writes it, tr_args_format reads
 * it, and the two agree: what one prints the other takes to the same bits. Numbers are read and
 * written as in C, whatever the locale of the program around us. No state: thread-safe.
 */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

enum {
    MAX_CHOICES = 32,
    MAX_NAMES = 256, /* classes or keys of one kind that a message looks through */
    CHOICES_BYTES = 512,
    FULL_KEY_BYTES = 200 /* "context.key" */
};

/* ---- names in messages ---- */

/* "conv1.kernel_size", or the key alone where there is no context. */
static const char *full_key(const char *context, const char *key, char out[FULL_KEY_BYTES]) {
    snprintf(out, FULL_KEY_BYTES, "%s%s%s", context ? context : "", context ? "." : "", key);
    return out;
}

/* Choices as separate words; `store` holds them. */
typedef struct choices {
    int n;
    const char *word[MAX_CHOICES];
    char store[CHOICES_BYTES];
} choices;

static void choices_split(const char *text, choices *out) {
    out->n = 0;
    snprintf(out->store, sizeof out->store, "%s", text ? text : "");
    char *rest = out->store;
    for (char *word; out->n < MAX_CHOICES && (word = strsep(&rest, " "));)
        if (*word) out->word[out->n++] = word;
}

static int choices_find(const choices *all, const char *word) {
    for (int i = 0; i < all->n; i++)
        if (!strcmp(all->word[i], word)) return i;
    return -1;
}

/* ---- numbers ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The C locale for this thread, and back. A failure leaves the locale as it is. */
static locale_t enter_c_locale(locale_t *before) {
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c) *before = uselocale(c);
    return c;
}

static void leave_c_locale(locale_t c, locale_t before) {
    if (!c) return;
    uselocale(before);
    freelocale(c);
}

/* Decimal notation only: strtod alone would also take hexadecimal, inf, nan and leading space. */
static bool looks_like_number(const char *text) {
    const char *at = text;
    if (*at == '+' || *at == '-') at++;
    int digits = 0;
    for (; is_digit(*at); at++) digits++;
    if (*at == '.')
        for (at++; is_digit(*at); at++) digits++;
    if (digits == 0) return false;
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-') at++;
        if (!is_digit(*at)) return false;
        while (is_digit(*at)) at++;
    }
    return *at == 0;
}

static bool looks_like_integer(const char *text) {
    if (*text == '+' || *text == '-') text++;
    if (!*text) return false;
    while (is_digit(*text)) text++;
    return *text == 0;
}

/* The shortest decimal text that is read back as the same double. Whole numbers are written without
 * an exponent as long as a person can read them. */
static void format_double(double value, char out[32]) {
    locale_t before = (locale_t)0, c = enter_c_locale(&before);
    if (value == floor(value) && fabs(value) < 1e15) {
        snprintf(out, 32, "%.0f", value);
    } else {
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(out, 32, "%.*g", digits, value);
            if (strtod(out, NULL) == value) break;
        }
        /* "1e-05" -> "1e-5", "1e+20" -> "1e20" */
        char *from = strchr(out, 'e'), *to = from;
        if (from) {
            *to++ = *from++;
            if (*from == '-') *to++ = '-';
            while (*from == '-' || *from == '+' || *from == '0') from++;
            memmove(to, from, strlen(from) + 1);
        }
    }
    leave_c_locale(c, before);
}

/* ---- one value ---- */

/* Where a value stands and what is wrong with it; every message about a value goes through here. */
typedef struct spot {
    const tr_key *key;
    const tr_pair *pair;
    tr_error *err;
} spot;

static int __attribute__((format(printf, 2, 3))) reject(const spot *s, const char *format, ...) {
    char name[FULL_KEY_BYTES], text[TR_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tr_fail_at(s->err, s->pair->where, full_key(s->pair->context, s->key->name, name), "%s",
                      text);
}

/* "allowed are 1 to 1024", "allowed are 0 and more"; words that stand for numbers follow. */
static const char *allowed(const tr_key *key, const choices *words, char out[TR_ERROR_TEXT]) {
    char low[32], high[32], tail[CHOICES_BYTES] = "";
    size_t used = 0;
    format_double(key->min, low);
    format_double(key->max, high);
    for (int i = 0; words && i < words->n && used < sizeof tail; i++)
        used += (size_t)snprintf(tail + used, sizeof tail - used, ", or %s", words->word[i]);
    bool open_top = key->max >= 0x1p62, open_bottom = key->min <= -0x1p62;
    if ((key->min == 0 && key->max == 0) || (open_top && open_bottom))
        snprintf(out, TR_ERROR_TEXT, "it must fit 64 bits%s", tail);
    else if (open_top)
        snprintf(out, TR_ERROR_TEXT, "allowed are %s and more%s", low, tail);
    else if (open_bottom)
        snprintf(out, TR_ERROR_TEXT, "allowed are %s and less%s", high, tail);
    else
        snprintf(out, TR_ERROR_TEXT, "allowed are %s to %s%s", low, high, tail);
    return out;
}

static int reject_range(const spot *s, const char *text, const choices *words) {
    char rule[TR_ERROR_TEXT];
    return reject(s, "%s is out of range, %s", text, allowed(s->key, words, rule));
}

static int reject_word(const spot *s, const char *what, const char *word, const choices *words) {
    char name[FULL_KEY_BYTES], text[TR_ERROR_TEXT];
    snprintf(text, sizeof text, "%s '%s'", what, word);
    return tr_fail_unknown(s->err, s->pair->where, full_key(s->pair->context, s->key->name, name),
                           text, word, words->word, words->n);
}

static bool in_range(const tr_key *key, double value) {
    return (key->min == 0 && key->max == 0) || (value >= key->min && value <= key->max);
}

static int read_int(const spot *s, const char *text, int64_t *out) {
    choices words;
    choices_split(s->key->choices, &words);
    int word = choices_find(&words, text);
    if (word >= 0) {
        *out = -1 - word;
        return TR_OK;
    }
    if (!looks_like_integer(text)) {
        char rule[TR_ERROR_TEXT];
        if (words.n == 0) return reject(s, "%s is not a whole number", text);
        return reject(s, "%s is neither a whole number nor a known word, %s", text,
                      allowed(s->key, &words, rule));
    }
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE || !in_range(s->key, (double)value)) return reject_range(s, text, &words);
    *out = value;
    return TR_OK;
}

static int read_float(const spot *s, const char *text, double *out) {
    if (!looks_like_number(text)) return reject(s, "%s is not a number", text);
    locale_t before = (locale_t)0, c = enter_c_locale(&before);
    errno = 0;
    double value = strtod(text, NULL);
    bool lost = errno == ERANGE && (value == 0 || isinf(value));
    leave_c_locale(c, before);
    if (lost)
        return reject(s, "%s is too %s for a floating-point number", text,
                      value == 0 ? "small" : "large");
    if (!in_range(s->key, value)) return reject_range(s, text, NULL);
    *out = value;
    return TR_OK;
}

static int read_floats(const spot *s, const char *text, tr_floats *out) {
    char item[TR_TEXT];
    for (const char *at = text; at;) {
        const char *comma = strchr(at, ',');
        const char *next = comma ? comma + 1 : NULL;
        const char *end = comma ? comma : at + strlen(at);
        while (at < end && (*at == ' ' || *at == '\t')) at++;
        while (end > at && (end[-1] == ' ' || end[-1] == '\t')) end--;
        if (at == end) return reject(s, "a number is missing in the list '%s'", text);
        if (out->n == TR_FLOATS)
            return reject(s, "'%s' has too many numbers, at most %d are allowed", text, TR_FLOATS);
        if (snprintf(item, sizeof item, "%.*s", (int)tr_min(end - at, TR_TEXT), at) >= TR_TEXT)
            return reject(s, "%s... is not a number", item);
        int code = read_float(s, item, &out->v[out->n]);
        if (code) return code;
        out->n++;
        at = next;
    }
    return TR_OK;
}

static int read_string(const spot *s, const char *text, char *out) {
    size_t bytes = strlen(text) + 1;
    if (bytes > TR_TEXT)
        return reject(s, "the text is too long (%zu bytes), at most %d are allowed", bytes - 1,
                      TR_TEXT - 1);
    memcpy(out, text, bytes);
    return TR_OK;
}

static int set_value(const tr_key *key, const tr_pair *pair, void *args, tr_error *err) {
    const spot s = {key, pair, err};
    void *place = (char *)args + key->offset;
    if (!*pair->value && key->type != TR_KEY_STRING) return reject(&s, "the value is missing");
    switch (key->type) {
    case TR_KEY_INT:
        return read_int(&s, pair->value, place);
    case TR_KEY_FLOAT:
        return read_float(&s, pair->value, place);
    case TR_KEY_FLOATS:
        return read_floats(&s, pair->value, place);
    case TR_KEY_STRING:
        return read_string(&s, pair->value, place);
    case TR_KEY_BOOL: {
        choices words;
        choices_split("true false", &words);
        int word = choices_find(&words, pair->value);
        if (word < 0) return reject(&s, "'%s' is not true or false", pair->value);
        *(bool *)place = word == 0;
        return TR_OK;
    }
    case TR_KEY_CHOICE: {
        choices words;
        choices_split(key->choices, &words);
        int word = choices_find(&words, pair->value);
        if (word < 0) return reject_word(&s, "unknown value", pair->value, &words);
        *(int *)place = word;
        return TR_OK;
    }
    }
    return reject(&s, "has a type that is not known");
}

/* ---- all values ---- */

static const tr_key *find_key(const tr_schema *schema, const char *name) {
    for (int i = 0; i < schema->n_keys; i++)
        if (!strcmp(schema->keys[i].name, name)) return &schema->keys[i];
    return NULL;
}

static int unknown_key(const tr_schema *schema, const tr_pair *pair, tr_error *err) {
    const char *names[MAX_NAMES];
    char full[FULL_KEY_BYTES];
    int n = (int)tr_min(schema->n_keys, MAX_NAMES);
    for (int i = 0; i < n; i++) names[i] = schema->keys[i].name;
    return tr_fail_unknown(err, pair->where, full_key(pair->context, pair->key, full),
                           "unknown key", pair->key, names, n);
}

static int given_twice(const tr_pair *pair, const tr_pair *first, tr_error *err) {
    char full[FULL_KEY_BYTES];
    full_key(pair->context, pair->key, full);
    if (first->where.line > 0 && first->where.line != pair->where.line)
        return tr_fail_at(err, pair->where, full, "given twice (first on line %d)",
                          first->where.line);
    return tr_fail_at(err, pair->where, full, "given twice");
}

int tr_args_parse(const tr_schema *schema, const tr_pair *pairs, int n, tr_where where,
                  const char *context, void *args, tr_error *err) {
    memset(args, 0, schema->args_bytes);
    for (int i = 0; i < n; i++) {
        const tr_key *key = find_key(schema, pairs[i].key);
        if (!key) return unknown_key(schema, &pairs[i], err);
        for (int j = 0; j < i; j++)
            if (!strcmp(pairs[j].key, pairs[i].key)) return given_twice(&pairs[i], &pairs[j], err);
        int code = set_value(key, &pairs[i], args, err);
        if (code) return code;
    }
    for (int k = 0; k < schema->n_keys; k++) {
        const tr_key *key = &schema->keys[k];
        bool given = false;
        for (int i = 0; i < n && !given; i++) given = !strcmp(pairs[i].key, key->name);
        if (given) continue;
        char full[FULL_KEY_BYTES];
        if (!key->fallback)
            return tr_fail_at(err, where, full_key(context, key->name, full),
                              "missing, it must be given (%s)", key->help ? key->help : key->name);
        const tr_pair implied = {key->name, key->fallback, where, context};
        int code = set_value(key, &implied, args, err);
        if (code) return code;
    }
    return TR_OK;
}

int tr_fail_key(tr_error *err, const tr_places *places, const char *key, const char *format, ...) {
    char name[FULL_KEY_BYTES], text[TR_ERROR_TEXT];
    tr_where where = places->where;
    for (int i = 0; i < places->n; i++)
        if (!strcmp(places->pairs[i].key, key)) where = places->pairs[i].where;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tr_fail_at(err, where, full_key(places->context, key, name), "%s", text);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

int tr_args_split(char *text, tr_where where, const char *context, const char **head,
                  tr_pair *pairs, int max, int *n, tr_error *err) {
    *head = NULL;
    *n = 0;
    for (char *at = text; *at;) {
        while (is_space(*at)) at++;
        if (!*at) break;
        char *word = at;
        while (*at && !is_space(*at)) at++;
        if (*at) *at++ = 0;
        char *equals = strchr(word, '=');
        if (!equals) {
            if (!*head && *n == 0) {
                *head = word;
                continue;
            }
            return tr_fail_at(err, where, context,
                              "'%s' is not of the form key=value (without white space)", word);
        }
        if (equals == word)
            return tr_fail_at(err, where, context, "'%s' has no key before the '='", word);
        if (equals[1] == '=')
            return tr_fail_at(err, where, context, "'%s' has more than one '='", word);
        if (*n == max)
            return tr_fail_at(err, where, context, "too many arguments at '%s', at most %d", word,
                              max);
        *equals = 0;
        pairs[(*n)++] = (tr_pair){word, equals + 1, where, context};
    }
    return TR_OK;
}

void tr_args_format(const tr_key *key, const void *args, char *out) {
    const void *place = (const char *)args + key->offset;
    choices words;
    choices_split(key->choices, &words);
    out[0] = 0;
    switch (key->type) {
    case TR_KEY_INT: {
        int64_t value = *(const int64_t *)place;
        if (value < 0 && value >= -(int64_t)words.n)
            snprintf(out, TR_TEXT, "%s", words.word[-1 - value]);
        else
            snprintf(out, TR_TEXT, "%" PRId64, value);
        return;
    }
    case TR_KEY_FLOAT: {
        char number[32];
        format_double(*(const double *)place, number);
        snprintf(out, TR_TEXT, "%s", number);
        return;
    }
    case TR_KEY_FLOATS: {
        const tr_floats *list = place;
        size_t used = 0;
        for (int i = 0; i < list->n; i++) { /* 8 numbers of at most 24 characters fit TR_TEXT */
            char number[32];
            format_double(list->v[i], number);
            used += (size_t)snprintf(out + used, TR_TEXT - used, "%s%s", i ? "," : "", number);
        }
        return;
    }
    case TR_KEY_BOOL:
        snprintf(out, TR_TEXT, "%s", *(const bool *)place ? "true" : "false");
        return;
    case TR_KEY_CHOICE: {
        int word = *(const int *)place;
        if (word >= 0 && word < words.n) snprintf(out, TR_TEXT, "%s", words.word[word]);
        return;
    }
    case TR_KEY_STRING:
        snprintf(out, TR_TEXT, "%s", (const char *)place);
        return;
    }
}

const tr_schema *tr_schema_find(const tr_schema *const *list, int n, const char *name,
                                const char *kind, tr_where where, const char *key, tr_error *err) {
    const char *names[MAX_NAMES];
    char text[TR_ERROR_TEXT];
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i]->name, name)) return list[i];
    n = (int)tr_min(n, MAX_NAMES);
    for (int i = 0; i < n; i++) names[i] = list[i]->name;
    snprintf(text, sizeof text, "unknown %s '%s'", kind, name);
    tr_fail_unknown(err, where, key, text, name, names, n);
    return NULL;
}
