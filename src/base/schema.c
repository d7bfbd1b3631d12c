/* Argument schemas: text to values and back, with errors that say what would have been right.
 *
 * A key's value lives at its offset in a plain struct; set_value writes it, tr_args_format reads
 * it, and the two agree: what one prints the other takes to the same bits. Strings and lists are
 * memory of the struct, which tr_args_clear frees. Numbers are read and
 * written as in C, whatever the program's locale. No state: thread-safe.
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
    MAX_NAMES = 256, /* keys of one schema that a message looks through */
    CHOICES_BYTES = 512,
    FULL_KEY_BYTES = TR_ERROR_TEXT /* "context.key" */
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

static bool is_space(char c) {
    return c == ' ' || c == '\t';
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

/* The shortest decimal text that is read back as the same double. Integers are written without
 * an exponent as long as they are readable. */
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

/* ---- one number ---- */

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

static int read_int(const spot *s, const char *text, void *place) {
    int64_t *out = place;
    choices words;
    choices_split(s->key->choices, &words);
    int word = choices_find(&words, text);
    if (word >= 0) {
        *out = -1 - word;
        return TR_OK;
    }
    if (!looks_like_integer(text)) {
        char rule[TR_ERROR_TEXT];
        if (words.n == 0) return reject(s, "%s is not an integer", text);
        return reject(s, "%s is neither an integer nor a known word, %s", text,
                      allowed(s->key, &words, rule));
    }
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE || !in_range(s->key, (double)value)) return reject_range(s, text, &words);
    *out = value;
    return TR_OK;
}

static int read_float(const spot *s, const char *text, void *place) {
    double *out = place;
    choices words;
    choices_split(s->key->choices, &words);
    int word = choices_find(&words, text);
    if (word >= 0) {
        *out = -1 - word;
        return TR_OK;
    }
    if (!looks_like_number(text)) {
        char rule[TR_ERROR_TEXT];
        if (words.n == 0) return reject(s, "%s is not a number", text);
        return reject(s, "%s is neither a number nor a known word, %s", text,
                      allowed(s->key, &words, rule));
    }
    locale_t before = (locale_t)0, c = enter_c_locale(&before);
    errno = 0;
    double value = strtod(text, NULL);
    bool lost = errno == ERANGE && (value == 0 || isinf(value));
    leave_c_locale(c, before);
    if (lost)
        return reject(s, "%s is too %s for a floating-point number", text,
                      value == 0 ? "small" : "large");
    if (!in_range(s->key, value)) return reject_range(s, text, &words);
    *out = value;
    return TR_OK;
}

static void format_int(const void *place, const choices *words, tr_text *out) {
    const int64_t value = *(const int64_t *)place;
    if (value < 0 && value >= -(int64_t)words->n)
        tr_text_print(out, "%s", words->word[-1 - value]);
    else
        tr_text_print(out, "%" PRId64, value);
}

static void format_float(const void *place, const choices *words, tr_text *out) {
    const double value = *(const double *)place;
    char number[32];
    for (int i = 0; i < words->n; i++) {
        if (value != -1 - i) continue;
        tr_text_print(out, "%s", words->word[i]);
        return;
    }
    format_double(value, number);
    tr_text_print(out, "%s", number);
}

/* ---- numbers joined by x ---- */

/* One alone stands for all. They are consecutive elements of PART bytes. */
enum { PART = 8, MOST_PARTS = 4 };
typedef struct joined {
    int n;
    const char *what; /* "size, such as 3 or 3x1" */
    bool (*looks_right)(const char *text);
    int (*read)(const spot *s, const char *text, void *place);
    void (*format)(const void *place, const choices *words, tr_text *out);
} joined;

static const joined size2 = {2, "size, such as 3 or 3x1", looks_like_integer, read_int, format_int};
static const joined float2 = {2, "pair of numbers, such as 2 or 2x1.5", looks_like_number,
                              read_float, format_float};
static const joined sides = {4, "padding, such as 1 or 1x1x2x2 (left, right, top, bottom)",
                             looks_like_integer, read_int, format_int};

/* "3", "3x1", "none", "nonex1". */
static int read_joined(const spot *s, const char *text, const joined *form, void *place) {
    choices words;
    choices_split(s->key->choices, &words);
    char copy[TR_ERROR_TEXT], rule[TR_ERROR_TEXT], *rest = copy;
    const char *part[MOST_PARTS] = {copy};
    int n = 1;
    snprintf(copy, sizeof copy, "%s", text);
    if (choices_find(&words, text) < 0) {
        for (n = 0; rest && n < form->n; n++) part[n] = strsep(&rest, "x");
        if (rest) n = 0;
    }
    bool right = n == 1 || n == form->n;
    for (int i = 0; i < n; i++)
        right &= choices_find(&words, part[i]) >= 0 || form->looks_right(part[i]);
    if (!right)
        return reject(s, "%s is not a %s, %s", text, form->what, allowed(s->key, &words, rule));
    for (int i = 0; i < form->n; i++) {
        int code = form->read(s, part[n == 1 ? 0 : i], (char *)place + i * PART);
        if (code) return code;
    }
    return TR_OK;
}

static void format_joined(const joined *form, const char *place, const choices *words,
                          tr_text *out) {
    bool same = true;
    for (int i = 1; i < form->n; i++) same &= memcmp(place, place + i * PART, PART) == 0;
    for (int i = 0; i < (same ? 1 : form->n); i++) {
        if (i) tr_text_add(out, "x", 1);
        form->format(place + i * PART, words, out);
    }
}

/* ---- one value ---- */

static int read_floats(const spot *s, const char *text, tr_floats *out) {
    size_t n = 1;
    for (const char *at = text; *at; at++) n += *at == ',';
    if (n > INT32_MAX) return reject(s, "the list has too many numbers");
    char *words = tr_strdup(text, s->err), *rest = words;
    out->v = words ? tr_alloc(n, sizeof *out->v, s->err) : NULL;
    int code = out->v ? TR_OK : TR_ENOMEM;
    while (code == TR_OK && rest) {
        char *word = strsep(&rest, ",");
        while (is_space(*word)) word++;
        size_t length = strlen(word);
        while (length > 0 && is_space(word[length - 1])) word[--length] = '\0';
        code = length ? read_float(s, word, &out->v[out->n])
                      : reject(s, "a number is missing in the list '%s'", text);
        out->n++;
    }
    tr_free(words);
    return code;
}

static bool is_string(const tr_key *key) {
    return key->type == TR_KEY_STRING || key->type == TR_KEY_PATH;
}

static int set_value(const tr_key *key, const tr_pair *pair, void *args, tr_error *err) {
    const spot s = {key, pair, err};
    void *place = (char *)args + key->offset;
    if (!*pair->value && !is_string(key) && key->type != TR_KEY_ANY)
        return reject(&s, "the value is missing");
    switch (key->type) {
    case TR_KEY_INT:
        return read_int(&s, pair->value, place);
    case TR_KEY_FLOAT:
        return read_float(&s, pair->value, place);
    case TR_KEY_FLOATS:
        return read_floats(&s, pair->value, place);
    case TR_KEY_SIZE2:
        return read_joined(&s, pair->value, &size2, place);
    case TR_KEY_FLOAT2:
        return read_joined(&s, pair->value, &float2, place);
    case TR_KEY_SIDES:
        return read_joined(&s, pair->value, &sides, place);
    case TR_KEY_STRING:
    case TR_KEY_PATH: {
        char *copy = tr_strdup(pair->value, err);
        *(const char **)place = copy;
        return copy ? TR_OK : TR_ENOMEM;
    }
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
    case TR_KEY_CLASS:
        return tr_class_read(key->classes, pair, place, err);
    case TR_KEY_ANY:
        return TR_OK;
    }
    return reject(&s, "has a type that is not known");
}

/* ---- all values ---- */

static const tr_key *find_key(const tr_schema *schema, const char *name) {
    const tr_key *any = NULL;
    for (int i = 0; i < schema->n_keys; i++) {
        if (!strcmp(schema->keys[i].name, name)) return &schema->keys[i];
        if (schema->keys[i].type == TR_KEY_ANY) any = &schema->keys[i];
    }
    return any;
}

static const tr_pair *find_pair(const tr_places *places, const char *key) {
    for (int i = 0; i < places->n; i++)
        if (!strcmp(places->pairs[i].key, key)) return &places->pairs[i];
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

/* `class`: the one of the pairs that is no argument, or NULL. */
static int parse(const tr_schema *schema, const tr_places *given, const tr_pair *class, void *args,
                 tr_error *err) {
    const tr_pair *pairs = given->pairs;
    for (int i = 0; i < given->n; i++) {
        if (&pairs[i] == class) continue;
        const tr_key *key = find_key(schema, pairs[i].key);
        if (!key) return unknown_key(schema, &pairs[i], err);
        for (int j = 0; j < i; j++)
            if (!strcmp(pairs[j].key, pairs[i].key)) return given_twice(&pairs[i], &pairs[j], err);
        int code = set_value(key, &pairs[i], args, err);
        if (code) return code;
    }
    for (int k = 0; k < schema->n_keys; k++) {
        const tr_key *key = &schema->keys[k];
        if (find_pair(given, key->name)) continue;
        char full[FULL_KEY_BYTES];
        if (!key->fallback)
            return tr_fail_at(err, given->where, full_key(given->context, key->name, full),
                              "missing, it must be given (%s)", key->help ? key->help : key->name);
        const tr_pair implied = {key->name, key->fallback, given->where, given->context};
        int code = set_value(key, &implied, args, err);
        if (code) return code;
    }
    return TR_OK;
}

static int parse_or_clear(const tr_schema *schema, const tr_places *given, const tr_pair *class,
                          void *args, tr_error *err) {
    memset(args, 0, schema->args_bytes);
    int code = parse(schema, given, class, args, err);
    if (code) tr_args_clear(schema, args);
    return code;
}

int tr_args_parse(const tr_schema *schema, const tr_pair *pairs, int n, tr_where where,
                  const char *context, void *args, tr_error *err) {
    const tr_places given = {pairs, n, where, context};
    return parse_or_clear(schema, &given, NULL, args, err);
}

void tr_args_clear(const tr_schema *schema, void *args) {
    for (int k = 0; args && k < schema->n_keys; k++) {
        const tr_key *key = &schema->keys[k];
        void *place = (char *)args + key->offset;
        if (is_string(key)) {
            const char **text = place;
            tr_free((void *)(uintptr_t)*text);
            *text = NULL;
        } else if (key->type == TR_KEY_FLOATS) {
            tr_floats *list = place;
            tr_free(list->v);
            *list = (tr_floats){0};
        } else if (key->type == TR_KEY_CLASS) {
            tr_class_clear(key->classes, place);
        }
    }
}

/* ---- conflicts of keys ---- */

tr_where tr_place_of(const tr_places *places, const char *key) {
    const tr_pair *pair = find_pair(places, key);
    return pair ? pair->where : places->where;
}

int tr_fail_key(tr_error *err, const tr_places *places, const char *key, const char *format, ...) {
    char name[FULL_KEY_BYTES], text[TR_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tr_fail_at(err, tr_place_of(places, key), full_key(places->context, key, name), "%s",
                      text);
}

int tr_fail_between(tr_error *err, const tr_places *places, const char *key, const char *other,
                    const char *format, ...) {
    char text[TR_ERROR_TEXT];
    const tr_pair *a = find_pair(places, key), *b = find_pair(places, other);
    bool is_other = b && (!a || (a->where.line > 0 && b->where.line == 0));
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tr_fail_key(err, places, is_other ? other : key, "%s", text);
}

/* ---- and back ---- */

void tr_args_format(const tr_key *key, const void *args, tr_text *out) {
    const void *place = (const char *)args + key->offset;
    choices words;
    choices_split(key->choices, &words);
    tr_text_add(out, "", 0);
    switch (key->type) {
    case TR_KEY_INT:
        format_int(place, &words, out);
        return;
    case TR_KEY_SIZE2:
        format_joined(&size2, place, &words, out);
        return;
    case TR_KEY_SIDES:
        format_joined(&sides, place, &words, out);
        return;
    case TR_KEY_FLOAT:
        format_float(place, &words, out);
        return;
    case TR_KEY_FLOAT2:
        format_joined(&float2, place, &words, out);
        return;
    case TR_KEY_FLOATS: {
        const tr_floats *list = place;
        for (int i = 0; i < list->n; i++) {
            if (i) tr_text_add(out, ",", 1);
            format_float(&list->v[i], &words, out);
        }
        return;
    }
    case TR_KEY_BOOL:
        tr_text_print(out, "%s", *(const bool *)place ? "true" : "false");
        return;
    case TR_KEY_CHOICE: {
        int word = *(const int *)place;
        if (word >= 0 && word < words.n) tr_text_print(out, "%s", words.word[word]);
        return;
    }
    case TR_KEY_STRING:
    case TR_KEY_PATH: {
        const char *text = *(const char *const *)place;
        tr_text_add(out, text, strlen(text));
        return;
    }
    case TR_KEY_CLASS:
        tr_class_format(key->classes, place, out);
        return;
    case TR_KEY_ANY:
        return;
    }
}

/* ---- a class with its arguments ---- */

int tr_registry_find(const tr_registry *registry, const char *name) {
    for (int i = 0; i < registry->n; i++)
        if (!strcmp(registry->schemas[i]->name, name)) return i;
    return -1;
}

static int unknown_class(const tr_registry *registry, const tr_pair *class, const char *key,
                         tr_error *err) {
    char text[TR_ERROR_TEXT];
    const char **names = tr_alloc((size_t)registry->n, sizeof *names, err);
    if (!names) return TR_ENOMEM;
    for (int i = 0; i < registry->n; i++) names[i] = registry->schemas[i]->name;
    snprintf(text, sizeof text, "unknown %s '%s'", registry->kind, class->value);
    int code = tr_fail_unknown(err, class->where, key, text, class->value, names, registry->n);
    tr_free(names);
    return code;
}

int tr_class_parse(const tr_registry *registry, const tr_pair *class, const tr_places *given,
                   int *index, void **args, tr_error *err) {
    char full[FULL_KEY_BYTES];
    const char *key = class->key ? full_key(class->context, class->key, full) : class->context;
    *args = NULL;
    if (!class->value && class->key)
        return tr_fail_at(err, class->where, key, "is missing, as in %s = %s", class->key,
                          registry->schemas[0]->name);
    if (!class->value)
        return tr_fail_at(err, class->where, key, "no %s is named, as in '%s = %s ...'",
                          registry->kind, key, registry->schemas[0]->name);
    *index = tr_registry_find(registry, class->value);
    if (*index < 0) return unknown_class(registry, class, key, err);
    const tr_schema *schema = registry->schemas[*index];
    void *values = tr_alloc(1, schema->args_bytes, err);
    if (!values) return TR_ENOMEM;
    int code = parse_or_clear(schema, given, class, values, err);
    if (code)
        tr_free(values);
    else
        *args = values;
    return code;
}
