/* Blocks expanded: from `layer1 = basic x2 width=16` to the lines of [block basic ...], each with
 * its full name (`layer1.0.conv1`), its arguments, and the numbers of the lines that it reads.
 *
 * A block reads one value, which its lines call `in`, and its value is that of its last line. To
 * the line that names it a block is a class like a layer, with its keys as schema: one parser
 * reads both. A line is split into words before $width is replaced, so a value never becomes more
 * than one word; what a layer ignores may hold anything, but a $key in it must be there.
 */
#include "graph/blocks.h"

#include <stdio.h>
#include <stdlib.h>

#include "graph/fill.h"
#include "graph/names.h"

enum {
    /* Blocks within blocks multiply: an end before the memory is full. */
    MAX_LINES = 1 << 16,
    MAX_DEPTH = 32,
    MAX_BYTES = 64 << 20, /* of names and arguments */
};

typedef struct block { /* [block NAME key key=fallback ...] */
    tr_schema schema;  /* its keys are texts */
    const char *section;
    tr_where where;
} block;

typedef struct expansion {
    const tr_doc *doc;
    tr_registry classes; /* layers, then blocks */
    const block *blocks;
    tr_names names; /* of the lines above, and of those that blocks or repeats stand for: with the
                       number of the line whose value it is; -1 while that is not there */
    tr_lines *out;
    tr_error *err;
} expansion;

typedef struct scope {       /* the lines of one section as they are used in one place */
    const tr_values *values; /* NULL: [network] */
    const char *prefix;      /* full name of the line that uses it */
    const tr_pair *lines;
    int n, at;       /* lines; the one that is being read */
    int input, last; /* the value that the section reads; that of the line above, or the same */
    int depth;
} scope;

typedef struct words { /* of a line, with $key filled in */
    const char *name;  /* in full */
    tr_pair class;     /* value NULL: none is named */
    tr_pair *pairs;    /* arguments without from= */
    int n;
    const int *input; /* of from= */
    int n_inputs;     /* 0: there is none */
    int64_t times;    /* of xN; 0: there is none */
} words;

static void *allocate(expansion *x, size_t count, size_t size) {
    size_t bytes;
    if (tr_mul(count, size, &bytes)) return tr_arena_alloc(&x->out->memory, bytes, x->err);
    tr_fail(x->err, TR_ENOMEM, "out of memory");
    return NULL;
}

/* What was put together, as a string of the result's; NULL with an error. */
static const char *keep(expansion *x, tr_text *text) {
    const char *kept = NULL;
    if (text->failed)
        tr_fail(x->err, TR_ENOMEM, "out of memory");
    else
        kept = tr_arena_copy(&x->out->memory, text->n ? text->at : "", text->n, x->err);
    tr_text_free(text);
    return kept;
}

/* ---- headings ---- */

static bool is_block(const char *section) {
    return strncmp(section, "block", 5) == 0 && strchr(" ", section[5]) != NULL;
}

static bool is_word(const char *text) {
    return text[0] != '\0' && text[tr_word_length(text)] == '\0';
}

/* The next word of a heading: up to a blank that is not in round brackets; NULL: there is none. */
static char *next_word(char **rest) {
    char *word = *rest + strspn(*rest, " "), *at = word;
    while (*at && *at != ' ') {
        const char *end = *at == '(' ? tr_bracket_end(at) : NULL;
        at += end ? end - at : 1;
    }
    *rest = *at ? at + 1 : at;
    *at = '\0';
    return *word ? word : NULL;
}

static int read_heading(expansion *x, block *b) {
    const char *text = b->section + strlen("block");
    size_t n_words = 0;
    for (const char *c = text; *c; c++) n_words += *c == ' ';
    char *rest = tr_arena_copy(&x->out->memory, text, strlen(text), x->err), *word;
    tr_key *keys = allocate(x, n_words, sizeof *keys);
    tr_text help = {0};
    tr_text_print(&help, "as [%s] says", b->section);
    const char *says = keep(x, &help);
    if (rest == NULL || keys == NULL || says == NULL) return TR_ENOMEM;
    while ((word = next_word(&rest)) != NULL) {
        char *value = strchr(word, '=');
        if (value) *value++ = '\0';
        if (!is_word(word) || (value && (b->schema.name == NULL || value[0] == '\0')))
            return tr_fail_at(x->err, b->where, b->section,
                              "a heading is [block NAME key key=default ...], of letters, digits "
                              "and '_'");
        if (b->schema.name == NULL) {
            b->schema.name = word;
            continue;
        }
        if (strcmp(word, "from") == 0)
            return tr_fail_at(x->err, b->where, b->section, "'from' cannot be a block's key");
        int n = b->schema.n_keys;
        for (int i = 0; i < n; i++) {
            if (strcmp(word, keys[i].name) == 0)
                return tr_fail_at(x->err, b->where, b->section, "the key '%s' stands there twice",
                                  word);
        }
        keys[n] = (tr_key){.name = word,
                           .type = TR_KEY_STRING,
                           .offset = (size_t)n * sizeof(char *),
                           .fallback = value,
                           .help = says};
        b->schema.n_keys++;
    }
    b->schema.keys = keys;
    b->schema.args_bytes = (size_t)b->schema.n_keys * sizeof(char *);
    if (b->schema.name == NULL)
        return tr_fail_at(x->err, b->where, b->section,
                          "the block has no name, as in [block basic width stride=1]");
    if (tr_registry_find(&tr_layer_registry, b->schema.name) >= 0)
        return tr_fail_at(x->err, b->where, b->section, "'%s' is the name of a layer",
                          b->schema.name);
    return TR_OK;
}

/* The classes that lines may name. */
static int read_headings(expansion *x) {
    const tr_registry *layers = &tr_layer_registry;
    int n_sections = tr_doc_n_sections(x->doc), n_blocks = 0, code;
    block *blocks = allocate(x, (size_t)n_sections, sizeof *blocks);
    const tr_schema **schemas =
        allocate(x, (size_t)n_sections + (size_t)layers->n, sizeof *schemas);
    if (blocks == NULL || schemas == NULL) return TR_ENOMEM;
    for (int i = 0; i < layers->n; i++) schemas[i] = layers->schemas[i];
    for (int i = 0; i < n_sections; i++) {
        int n_lines;
        block *b = &blocks[n_blocks];
        b->section = tr_doc_section_name(x->doc, i);
        if (!is_block(b->section)) continue;
        tr_doc_section(x->doc, b->section, &n_lines, &b->where);
        if ((code = read_heading(x, b))) return code;
        if (n_lines == 0) return tr_fail_at(x->err, b->where, b->section, "the block has no lines");
        schemas[layers->n + n_blocks++] = &b->schema;
    }
    x->classes = (tr_registry){layers->kind, schemas, layers->n + n_blocks};
    x->blocks = blocks;
    return TR_OK;
}

/* ---- names ---- */

/* The full name of `name` in a scope; NULL with an error. */
static const char *full_name(expansion *x, const scope *s, const char *name, size_t n) {
    tr_text text = {0};
    if (s->values) tr_text_print(&text, "%s.", s->prefix);
    tr_text_add(&text, name, n);
    return keep(x, &text);
}

static int fail_nowhere(const expansion *x, const scope *s, const char *full, const char *line) {
    size_t prefix = s->values ? strlen(s->prefix) + 1 : 0;
    const char **names = tr_alloc((size_t)x->names.n, sizeof *names, x->err);
    int n = 0;
    if (names == NULL) return TR_ENOMEM;
    for (int i = 0; i < x->names.n; i++) {
        if (x->names.number[i] >= 0 && strncmp(x->names.name[i], full, prefix) == 0)
            names[n++] = x->names.name[i];
    }
    const char *near = tr_nearest(full, names, n);
    int code =
        tr_fail_at(x->err, s->lines[s->at].where, line, "from=%s names no layer above%s%s%s", full,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    tr_free(names);
    return code;
}

/* name[0..n), `full` in full, is no layer above. */
static int fail_from(const expansion *x, const scope *s, const char *full, const char *name,
                     size_t n, const char *line) {
    tr_where where = s->lines[s->at].where;
    for (int i = s->at; n > 0 && i < s->n; i++) {
        size_t length = strlen(s->lines[i].key);
        if (length > n || memcmp(s->lines[i].key, name, length) != 0 ||
            (length < n && name[length] != '.'))
            continue;
        if (i == s->at)
            return tr_fail_at(x->err, where, line,
                              "from=%s names the layer itself, allowed are layers above", full);
        const tr_where there = s->lines[i].where;
        bool same_file = strcmp(there.file, where.file) == 0 && there.line > 0;
        tr_text place = {0};
        if (!same_file) tr_text_print(&place, "%s%s", there.file, there.line ? ":" : "");
        if (there.line) tr_text_print(&place, "%s%d", same_file ? "line " : "", there.line);
        int code = tr_fail_at(x->err, where, line,
                              "from=%s names a layer that comes later (%s), allowed are layers "
                              "above",
                              full, place.at ? place.at : "");
        tr_text_free(&place);
        return code;
    }
    return fail_nowhere(x, s, full, line);
}

/* The value that name[0..n) stands for on a line of the scope. */
static int resolve(expansion *x, const scope *s, const char *name, size_t n, const char *line,
                   int *out) {
    if (s->values && n == 2 && memcmp(name, "in", 2) == 0) {
        *out = s->input;
        return TR_OK;
    }
    const char *full = full_name(x, s, name, n);
    if (full == NULL) return TR_ENOMEM;
    int i = tr_names_find(&x->names, full, strlen(full));
    if (i < 0) return fail_from(x, s, full, name, n, line);
    *out = x->names.number[i];
    return TR_OK;
}

/* from=a,b */
static int resolve_all(expansion *x, const scope *s, const char *from, words *w) {
    size_t n = 1;
    for (const char *c = from; *c; c++) n += *c == ',';
    int *input = allocate(x, n, sizeof *input);
    if (input == NULL) return TR_ENOMEM;
    w->input = input;
    w->n_inputs = (int)n;
    for (size_t i = 0; i < n; i++) {
        size_t length = strcspn(from, ",");
        int code = resolve(x, s, from, length, w->name, &input[i]);
        if (code) return code;
        from += length + 1;
    }
    return TR_OK;
}

/* Enter the name of a line, or of what a block or a repeat stands for; *index is its place. */
static int add_name(expansion *x, const char *name, tr_where where, int *index) {
    bool ok = name[0] != '\0' && name[0] != '.';
    for (const char *c = name; ok && *c; c++) ok = *c == '.' || tr_word_length(c) > 0;
    if (!ok)
        return tr_fail_at(x->err, where, name,
                          "a layer's name has letters, digits, '_' and '.' only");
    int there = tr_names_find(&x->names, name, strlen(name));
    if (there == 0)
        return tr_fail_at(x->err, where, name, "'%s' is the name of the network's input", name);
    if (there > 0) return tr_fail_at(x->err, where, name, "a layer of this name is there already");
    if (tr_names_add(&x->names, name, -1, x->err)) return TR_ENOMEM;
    *index = x->names.n - 1;
    return TR_OK;
}

/* ---- words of a line ---- */

static const char *fill(expansion *x, const scope *s, const char *text, const char *name,
                        tr_where *where) {
    if (s->values == NULL) return text;
    return tr_fill(s->values, text, name, MAX_BYTES, &x->out->memory, where, x->err);
}

static int read_times(expansion *x, const scope *s, const char *text, words *w) {
    tr_where where = s->lines[s->at].where;
    const char *number = fill(x, s, text + 1, w->name, &where);
    if (number == NULL) return x->err->code;
    size_t digits = strspn(number, "0123456789");
    w->times = digits > 0 && digits < 9 ? strtol(number, NULL, 10) : 0;
    if (number[digits] != '\0' || w->times < 1 || w->times > MAX_LINES)
        return tr_fail_at(x->err, where, w->name, "'x%s' is no repeat, allowed are x1 to x%d",
                          number, MAX_LINES);
    return TR_OK;
}

static int read_words(expansion *x, const scope *s, words *w) {
    const tr_pair *line = &s->lines[s->at];
    const char *from = NULL;
    tr_args_words split;
    int code = tr_args_split(line->value, line->where, w->name, &x->out->memory, &split, x->err);
    if (code) return code;
    w->class = (tr_pair){NULL, split.class, line->where, w->name};
    if (split.class) {
        w->class.value = fill(x, s, split.class, w->name, &w->class.where);
        if (w->class.value == NULL) return x->err->code;
    }
    if (split.times && (code = read_times(x, s, split.times, w))) return code;
    w->pairs = split.pairs;
    for (int i = 0; i < split.n; i++) {
        tr_pair pair = split.pairs[i];
        tr_where unused = pair.where;
        pair.key = fill(x, s, pair.key, w->name, &unused);
        pair.value = pair.key ? fill(x, s, pair.value, w->name, &pair.where) : NULL;
        if (pair.value == NULL) return x->err->code;
        if (strcmp(pair.key, "from") != 0)
            w->pairs[w->n++] = pair;
        else if (from)
            return tr_fail_at(x->err, line->where, w->name, "from= is given twice");
        else
            from = pair.value;
    }
    return from ? resolve_all(x, s, from, w) : TR_OK;
}

/* ---- lines ---- */

static int expand_lines(expansion *x, scope *s);

/* `input`: what the line reads. */
static int expand_block(expansion *x, const scope *s, const words *w, const block *b,
                        const void *args, int input) {
    tr_where where = s->lines[s->at].where;
    if (s->depth == MAX_DEPTH)
        return tr_fail_at(x->err, where, w->name, "more than %d blocks within blocks", MAX_DEPTH);
    if (w->n_inputs > 1)
        return tr_fail_at(x->err, where, w->name,
                          "the block '%s' reads one value, but from= names several",
                          b->schema.name);
    const tr_values values = {&b->schema, args, {w->pairs, w->n, b->where, w->name}};
    scope body = {
        .values = &values, .prefix = w->name, .input = input, .last = input, .depth = s->depth + 1};
    body.lines = tr_doc_section(x->doc, b->section, &body.n, NULL);
    return expand_lines(x, &body);
}

static int add_layer(expansion *x, const scope *s, const words *w, int index, void *args,
                     int input) {
    tr_lines *out = x->out;
    tr_where where = s->lines[s->at].where;
    const int *inputs = w->input;
    int code = TR_OK;
    if (out->n == MAX_LINES)
        code = tr_fail_at(x->err, where, w->name, "the network has more than %d layers", MAX_LINES);
    else if (out->memory.total > MAX_BYTES)
        code = tr_fail_at(x->err, where, w->name,
                          "the network is too long when its blocks are written out");
    if (code == TR_OK && w->n_inputs == 0) {
        int *above = allocate(x, 1, sizeof *above);
        if (above) *above = input;
        inputs = above;
    }
    tr_line *line =
        code || inputs == NULL ? NULL : tr_grow(&out->line, out->n, sizeof *line, x->err);
    if (line == NULL) {
        tr_args_clear(x->classes.schemas[index], args);
        tr_free(args);
        return x->err->code;
    }
    *line = (tr_line){.name = w->name,
                      .op = tr_layers[index],
                      .args = args,
                      .given = {w->pairs, w->n, where, w->name},
                      .n_inputs = w->n_inputs ? w->n_inputs : 1,
                      .input = inputs};
    out->n++;
    return TR_OK;
}

/* A layer or a block. */
static int expand_use(expansion *x, scope *s, const words *w) {
    tr_where where = s->lines[s->at].where;
    const tr_places given = {w->pairs, w->n, where, w->name};
    int name, index, code = add_name(x, w->name, where, &name);
    void *args;
    if (code) return code;
    code = tr_class_parse(&x->classes, &w->class, &given, &index, &args, x->err);
    if (code) return code;
    int input = w->n_inputs ? w->input[0] : s->last;
    if (index < tr_layer_registry.n) {
        code = add_layer(x, s, w, index, args, input);
    } else {
        const block *b = &x->blocks[index - tr_layer_registry.n];
        code = expand_block(x, s, w, b, args, input);
        tr_args_clear(&b->schema, args);
        tr_free(args);
    }
    s->last = x->names.number[name] = x->out->n;
    return code;
}

/* The values of a list with commas that are still to come; NULL: no list. A comma in round brackets
 * belongs to a value. */
static int begin_list(expansion *x, const words *w, const tr_pair *pair, const char **rest) {
    const tr_places given = {pair, 1, pair->where, w->name};
    int64_t n = 1;
    for (const char *c = pair->value; *(c += tr_item_length(c)) == ','; c++) n++;
    *rest = n > 1 ? pair->value : NULL;
    if (n <= w->times) return TR_OK;
    return tr_fail_key(x->err, &given, pair->key, "%lld values for x%lld: %s", (long long)n,
                       (long long)w->times, pair->value);
}

/* The next value of the list, or its last once more. */
static int next_value(expansion *x, const words *w, tr_pair *pair, const char **rest) {
    const tr_places given = {pair, 1, pair->where, w->name};
    const char *at = *rest;
    size_t length = tr_item_length(at);
    if (at[length] == ',') *rest = at + length + 1;
    while (length > 0 && *at == ' ') at++, length--;
    while (length > 0 && at[length - 1] == ' ') length--;
    if (length == 0)
        return tr_fail_key(x->err, &given, pair->key, "a value is missing in the list '%s'",
                           pair->value);
    pair->value = tr_arena_copy(&x->out->memory, at, length, x->err);
    return pair->value ? TR_OK : TR_ENOMEM;
}

/* The line NAME.i of a repeat. `rest`: of the lists among its values. */
static int expand_one(expansion *x, scope *s, const words *w, int64_t i, const char **rest) {
    words one = *w;
    tr_text text = {0};
    tr_text_print(&text, "%s.%lld", w->name, (long long)i);
    one.name = keep(x, &text);
    one.pairs = allocate(x, (size_t)w->n, sizeof *one.pairs);
    if (one.name == NULL || one.pairs == NULL) return TR_ENOMEM;
    one.class.context = one.name;
    if (i > 0) one.n_inputs = 0;
    for (int k = 0; k < w->n; k++) {
        one.pairs[k] = w->pairs[k];
        int code = rest[k] ? next_value(x, w, &one.pairs[k], &rest[k]) : TR_OK;
        if (code) return code;
        one.pairs[k].context = one.name;
    }
    return expand_use(x, s, &one);
}

/* NAME = CLASS xN: the lines NAME.0, NAME.1, ..., each of which reads the one before it. */
static int expand_repeat(expansion *x, scope *s, const words *w) {
    int name, code = add_name(x, w->name, s->lines[s->at].where, &name);
    if (code) return code;
    const char **rest = allocate(x, (size_t)w->n, sizeof *rest);
    if (rest == NULL) return TR_ENOMEM;
    for (int k = 0; code == TR_OK && k < w->n; k++) code = begin_list(x, w, &w->pairs[k], &rest[k]);
    for (int64_t i = 0; code == TR_OK && i < w->times; i++) code = expand_one(x, s, w, i, rest);
    x->names.number[name] = x->out->n;
    return code;
}

static int expand_line(expansion *x, scope *s) {
    const tr_pair *line = &s->lines[s->at];
    words w = {.name = full_name(x, s, line->key, strlen(line->key))};
    if (w.name == NULL) return TR_ENOMEM;
    if (s->values && strcmp(line->key, "in") == 0)
        return tr_fail_at(x->err, line->where, w.name, "'in' is the name of a block's input");
    if (s->values && strcmp(line->key, "input") == 0)
        return tr_fail_at(x->err, line->where, w.name,
                          "'input' is the name of the network's input");
    int code = read_words(x, s, &w);
    if (code) return code;
    return w.times ? expand_repeat(x, s, &w) : expand_use(x, s, &w);
}

static int expand_lines(expansion *x, scope *s) {
    int code = TR_OK;
    for (s->at = 0; code == TR_OK && s->at < s->n; s->at++) code = expand_line(x, s);
    return code;
}

int tr_lines_create(const tr_doc *doc, const tr_pair *network, int n, tr_lines *out,
                    tr_error *err) {
    tr_error own = {0};
    expansion x = {.doc = doc, .out = out, .err = &own};
    scope top = {.lines = network, .n = n};
    *out = (tr_lines){0};
    int code = read_headings(&x);
    if (code == TR_OK) code = tr_names_add(&x.names, "input", 0, &own);
    if (code == TR_OK) code = expand_lines(&x, &top);
    tr_names_free(&x.names);
    if (code) tr_lines_free(out);
    return code ? tr_fail(err, code, "%s", own.text) : TR_OK;
}

void tr_lines_free(tr_lines *lines) {
    for (int i = 0; i < lines->n; i++) {
        tr_args_clear(&lines->line[i].op->schema, lines->line[i].args);
        tr_free(lines->line[i].args);
    }
    tr_free(lines->line);
    tr_arena_free(&lines->memory);
    *lines = (tr_lines){0};
}
