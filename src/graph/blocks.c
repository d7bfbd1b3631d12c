/* Blocks written out: from `layer1.0 = basic width=16` to the lines of [block basic ...], each with
 * its full name (`layer1.0.conv1`), its arguments in the place of $width, and its from= in full.
 *
 * Text in, text out: what the words mean is graph.c's affair. A block reads one value, which its
 * lines call `in`, and its value is that of its last line.
 */
#include "graph/blocks.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "ops/ops.h"

enum {
    MAX_BLOCKS = 256,
    MAX_WORDS = 32, /* of a line or heading */
    MAX_DEPTH = 16, /* of blocks within blocks */
    MAX_VALUE = 1024,
};

typedef struct block { /* a heading: [block NAME key key=fallback ...] */
    const char *section, *name;
    tr_where where;
    int n_keys;
    tr_pair key[MAX_WORDS]; /* value "": must be given */
    char text[TR_TEXT];     /* what name and keys point into */
} block;

typedef struct alias { /* a line, and the layer whose value is its own */
    const char *name;
    char layer[TR_NAME];
} alias;

typedef struct writer {
    const tr_doc *doc;
    const block *blocks;
    int n_blocks;
    tr_lines *out;
    tr_error *err;
} writer;

typedef struct scope {    /* the lines of one section as they are used in one place */
    const block *block;   /* NULL: [network] */
    const char *prefix;   /* full name of the line that uses it */
    const char *input;    /* layer whose value it reads */
    const tr_pair *args;  /* [block->n_keys] */
    const alias *aliases; /* of the lines above */
    int n_aliases, depth;
} scope;

/* ---- headings ---- */

static bool is_block(const char *section) {
    return strncmp(section, "block", 5) == 0 && strchr(" \t", section[5]) != NULL;
}

static int check_name(const block *b, const block *all, int n, tr_error *err) {
    for (int i = 0; i < tr_n_layers; i++) {
        if (strcmp(b->name, tr_layers[i]->schema.name) == 0)
            return tr_fail_at(err, b->where, b->section, "'%s' is the name of a layer", b->name);
    }
    for (int i = 0; i < n; i++) {
        if (strcmp(b->name, all[i].name) == 0)
            return tr_fail_at(err, b->where, b->section, "there is a block '%s' already (line %d)",
                              b->name, all[i].where.line);
    }
    return TR_OK;
}

static bool is_word(const char *text) {
    for (const char *p = text; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_') return false;
    }
    return text[0] != '\0';
}

static int read_heading(block *b, tr_error *err) {
    snprintf(b->text, sizeof b->text, "%s", b->section + strlen("block"));
    char *rest = b->text, *word;
    while ((word = strsep(&rest, " \t")) != NULL) {
        if (word[0] == '\0') continue;
        char *value = strchr(word, '=');
        if (value) *value++ = '\0';
        if (!is_word(word) || (value && (b->name == NULL || value[0] == '\0')))
            return tr_fail_at(err, b->where, b->section,
                              "a heading is [block NAME key key=default ...], of letters, digits "
                              "and '_'");
        if (b->name == NULL) {
            b->name = word;
            continue;
        }
        if (strcmp(word, "from") == 0)
            return tr_fail_at(err, b->where, b->section, "'from' cannot be a block's key");
        for (int i = 0; i < b->n_keys; i++) {
            if (strcmp(word, b->key[i].key) == 0)
                return tr_fail_at(err, b->where, b->section, "the key '%s' stands there twice",
                                  word);
        }
        b->key[b->n_keys++] = (tr_pair){word, value ? value : "", b->where, b->section};
    }
    if (b->name == NULL)
        return tr_fail_at(err, b->where, b->section,
                          "the block has no name, as in [block basic width stride=1]");
    return TR_OK;
}

static int read_headings(const tr_doc *doc, block *blocks, int *n, tr_error *err) {
    for (int i = 0; i < tr_doc_n_sections(doc); i++) {
        const char *section = tr_doc_section_name(doc, i);
        if (!is_block(section)) continue;
        int n_lines;
        block *b = &blocks[*n];
        b->section = section;
        tr_doc_section(doc, section, &n_lines, &b->where);
        if (*n == MAX_BLOCKS)
            return tr_fail_at(err, b->where, section, "more than %d blocks", MAX_BLOCKS);
        int code = read_heading(b, err);
        if (code == TR_OK) code = check_name(b, blocks, *n, err);
        if (code) return code;
        if (n_lines == 0) return tr_fail_at(err, b->where, section, "the block has no lines");
        ++*n;
    }
    return TR_OK;
}

static const block *find_block(const writer *w, const char *name) {
    for (int i = 0; i < w->n_blocks; i++) {
        if (strcmp(w->blocks[i].name, name) == 0) return &w->blocks[i];
    }
    return NULL;
}

/* ---- text ---- */

/* Append to text[0..size); false when it is full. */
static bool append(char *text, size_t size, const char *more, size_t n) {
    size_t used = strlen(text);
    if (n >= size - used) return false;
    memcpy(text + used, more, n);
    text[used + n] = '\0';
    return true;
}

/* `value` with $key and ${key} replaced by what they stand for. */
static int fill_in(const scope *s, const tr_pair *line, const char *name, char *out, size_t size,
                   tr_error *err) {
    out[0] = '\0';
    for (const char *p = line->value; *p;) {
        size_t n = strcspn(p, "$");
        bool fits = append(out, size, p, n);
        p += n;
        if (fits && *p == '$') {
            bool braces = p[1] == '{';
            const char *word = p + 1 + braces;
            size_t length = 0;
            while (isalnum((unsigned char)word[length]) || word[length] == '_') length++;
            const tr_pair *arg = NULL;
            for (int i = 0; i < s->block->n_keys && arg == NULL; i++) {
                const char *key = s->block->key[i].key;
                if (strlen(key) == length && memcmp(key, word, length) == 0) arg = &s->args[i];
            }
            if (arg == NULL || (braces && word[length] != '}')) {
                char what[TR_TEXT];
                const char *names[MAX_WORDS];
                for (int i = 0; i < s->block->n_keys; i++) names[i] = s->block->key[i].key;
                snprintf(what, sizeof what, "'$%.*s' is no key of the block", (int)length, word);
                snprintf(out, size, "%.*s", (int)length, word);
                return tr_fail_unknown(err, line->where, name, what, out, names, s->block->n_keys);
            }
            fits = append(out, size, arg->value, strlen(arg->value));
            p = word + length + braces;
        }
        if (!fits) return tr_fail_at(err, line->where, name, "the line is too long when filled in");
    }
    return TR_OK;
}

/* The layer that a name stands for on a line of the scope. */
static bool resolve(const scope *s, const char *name, size_t n, char *out, size_t size) {
    char word[TR_NAME] = "";
    if (!append(word, sizeof word, name, n)) return false;
    if (s->block && strcmp(word, "in") == 0) return append(out, size, s->input, strlen(s->input));
    for (int i = 0; i < s->n_aliases; i++) {
        const char *layer = s->aliases[i].layer;
        if (strcmp(word, s->aliases[i].name) == 0) return append(out, size, layer, strlen(layer));
    }
    /* None above. graph.c says so; what comes later has this name, too. */
    if (s->block && !(append(out, size, s->prefix, strlen(s->prefix)) && append(out, size, ".", 1)))
        return false;
    return append(out, size, word, strlen(word));
}

/* The names of a from=, in full. */
static int resolve_all(const scope *s, tr_where where, const char *name, const char *from,
                       char *out, size_t size, tr_error *err) {
    out[0] = '\0';
    for (bool first = true;; first = false) {
        size_t n = strcspn(from, ",");
        if (!(first || append(out, size, ",", 1)) || !(n == 0 || resolve(s, from, n, out, size)))
            return tr_fail_at(err, where, name, "from= is too long");
        if (from[n] == '\0') return TR_OK;
        from += n + 1;
    }
}

/* ---- lines ---- */

static int emit(writer *w, const char *name, const char *value, tr_where where) {
    tr_lines *out = w->out;
    if (out->n == TR_MAX_LINES)
        return tr_fail_at(w->err, where, name, "the network has more than %d layers", TR_MAX_LINES);
    size_t key_bytes = strlen(name) + 1, bytes = key_bytes + strlen(value) + 1;
    char *text = tr_alloc(bytes, 1, w->err);
    if (text == NULL) return TR_ENOMEM;
    memcpy(text, name, key_bytes);
    memcpy(text + key_bytes, value, bytes - key_bytes);
    out->line[out->n++] = (tr_pair){text, text + key_bytes, where, NULL};
    out->output = text;
    return TR_OK;
}

/* Arguments of a line that uses a block, in the order of the block's keys. */
static int read_args(const block *b, const tr_pair *line, const char *name, const tr_pair *pairs,
                     int n, tr_pair *args, tr_error *err) {
    const char *names[MAX_WORDS];
    for (int i = 0; i < b->n_keys; i++) {
        names[i] = b->key[i].key;
        args[i] = b->key[i];
    }
    bool given[MAX_WORDS] = {false};
    for (int i = 0; i < n; i++) {
        int k = 0;
        char key[TR_NAME + TR_TEXT];
        while (k < b->n_keys && strcmp(pairs[i].key, names[k]) != 0) k++;
        snprintf(key, sizeof key, "%s.%s", name, pairs[i].key);
        if (k == b->n_keys)
            return tr_fail_unknown(err, line->where, key, "unknown key", pairs[i].key, names, k);
        if (given[k]) return tr_fail_at(err, line->where, key, "given twice");
        given[k] = true;
        args[k].value = pairs[i].value;
    }
    for (int k = 0; k < b->n_keys; k++) {
        if (args[k].value[0] == '\0')
            return tr_fail_at(err, line->where, name, "%s=... must be given, as [%s] says",
                              names[k], b->section);
    }
    return TR_OK;
}

static int write_lines(writer *w, scope *s, const tr_pair *lines, int n);

/* A line that uses a block. `from` is its input in full, or NULL: the line above. */
static int write_block(writer *w, const scope *s, const block *b, const tr_pair *line,
                       const char *name, const tr_pair *pairs, int n_pairs, const char *from) {
    tr_pair args[MAX_WORDS];
    char input[TR_NAME] = "";
    int n, code = read_args(b, line, name, pairs, n_pairs, args, w->err);
    if (code) return code;
    if (s->depth == MAX_DEPTH)
        return tr_fail_at(w->err, line->where, name, "more than %d blocks within blocks",
                          MAX_DEPTH);
    if (from && strchr(from, ','))
        return tr_fail_at(w->err, line->where, name,
                          "the block '%s' reads one value, but from= names several", b->name);
    if (from == NULL) from = s->n_aliases ? s->aliases[s->n_aliases - 1].layer : s->input;
    if (!append(input, sizeof input, from, strlen(from)))
        return tr_fail_at(w->err, line->where, name, "from= is too long");
    const tr_pair *inner = tr_doc_section(w->doc, b->section, &n, &(tr_where){0});
    scope body = {.block = b, .prefix = name, .input = input, .args = args, .depth = s->depth + 1};
    return write_lines(w, &body, inner, n);
}

/* A layer or a block; graph.c says it for layers, but knows no blocks to suggest. */
static int check_class(const writer *w, const char *head, tr_where where, const char *name) {
    const char *names[MAX_BLOCKS + 64];
    char what[MAX_VALUE + 32];
    int n = 0;
    for (int i = 0; i < w->n_blocks; i++) names[n++] = w->blocks[i].name;
    for (int i = 0; i < tr_n_layers && n < MAX_BLOCKS + 64; i++)
        names[n++] = tr_layers[i]->schema.name;
    for (int i = 0; i < n; i++) {
        if (strcmp(head, names[i]) == 0) return TR_OK;
    }
    snprintf(what, sizeof what, "unknown layer '%s'", head);
    return tr_fail_unknown(w->err, where, name, what, head, names, n);
}

static int write_line(writer *w, const scope *s, const tr_pair *line, const char *name) {
    char value[MAX_VALUE], text[MAX_VALUE], from[MAX_VALUE] = "", whole[2 * MAX_VALUE];
    const char *given = NULL, *head;
    tr_pair pairs[MAX_WORDS];
    int n, kept = 0, n_from = 0, code = TR_OK;
    if (s->block)
        code = fill_in(s, line, name, value, sizeof value, w->err);
    else
        snprintf(value, sizeof value, "%s", line->value);
    if (code) return code;
    strcpy(text, value);
    code = tr_args_split(text, line->where, name, &head, pairs, MAX_WORDS, &n, w->err);
    if (code) return code;
    for (int i = 0; i < n; i++) {
        if (strcmp(pairs[i].key, "from") != 0) {
            pairs[kept++] = pairs[i];
        } else {
            given = pairs[i].value;
            n_from++;
        }
    }
    if (n_from > 1) return tr_fail_at(w->err, line->where, name, "from= is given twice");
    if (given) code = resolve_all(s, line->where, name, given, from, sizeof from, w->err);
    if (code == TR_OK && head) code = check_class(w, head, line->where, name);
    if (code) return code;
    const block *b = head ? find_block(w, head) : NULL;
    if (b) return write_block(w, s, b, line, name, pairs, kept, given ? from : NULL);
    /* The first line of a block reads what the block reads, which may not be the line above. */
    const char *input = given ? from : s->block && s->n_aliases == 0 ? s->input : NULL;
    snprintf(whole, sizeof whole, "%s", head ? head : "");
    for (int i = 0; i < kept; i++) {
        size_t used = strlen(whole);
        snprintf(whole + used, sizeof whole - used, " %s=%s", pairs[i].key, pairs[i].value);
    }
    size_t used = strlen(whole);
    if (input) snprintf(whole + used, sizeof whole - used, " from=%s", input);
    return emit(w, name, whole, line->where);
}

static int write_lines(writer *w, scope *s, const tr_pair *lines, int n) {
    alias *aliases = tr_alloc((size_t)n, sizeof *aliases, w->err);
    if (aliases == NULL) return TR_ENOMEM;
    int code = TR_OK;
    s->aliases = aliases;
    for (int i = 0; code == TR_OK && i < n; i++) {
        char name[TR_NAME];
        int length = s->block ? snprintf(name, sizeof name, "%s.%s", s->prefix, lines[i].key)
                              : snprintf(name, sizeof name, "%s", lines[i].key);
        if (length >= (int)sizeof name)
            code = tr_fail_at(w->err, lines[i].where, name, "the layer's name is too long");
        else if (s->block && strcmp(lines[i].key, "in") == 0)
            code = tr_fail_at(w->err, lines[i].where, name, "'in' is the name of a block's input");
        else
            code = write_line(w, s, &lines[i], name);
        if (code) break;
        aliases[i].name = lines[i].key;
        snprintf(aliases[i].layer, sizeof aliases[i].layer, "%s", w->out->output);
        s->n_aliases++;
    }
    tr_free(aliases);
    return code;
}

int tr_lines_create(const tr_doc *doc, const tr_pair *network, int n, tr_lines *out,
                    tr_error *err) {
    writer w = {.doc = doc, .out = out, .err = err};
    scope top = {.input = "input"};
    *out = (tr_lines){0};
    block *blocks = tr_alloc(MAX_BLOCKS + 1, sizeof *blocks, err);
    out->line = tr_alloc(TR_MAX_LINES, sizeof *out->line, err);
    int code = blocks && out->line ? read_headings(doc, blocks, &w.n_blocks, err) : TR_ENOMEM;
    w.blocks = blocks;
    if (code == TR_OK) code = write_lines(&w, &top, network, n);
    tr_free(blocks);
    if (code) tr_lines_free(out);
    return code;
}

void tr_lines_free(tr_lines *lines) {
    for (int i = 0; lines->line && i < lines->n; i++) tr_free((char *)lines->line[i].key);
    tr_free(lines->line);
    *lines = (tr_lines){0};
}
