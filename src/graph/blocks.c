/* Blocks written out: from `layer1.0 = basic width=16` to the lines of [block basic ...], each with
 * its full name (`layer1.0.conv1`), its arguments in the place of $width, and its from= in full.
 *
 * What the words mean is graph.c's affair. A block reads one value, which its lines call `in`, and
 * its value is that of its last line. A line is split into words before $width is replaced, so a
 * value never becomes more than one word.
 */
#include "graph/blocks.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "ops/ops.h"

enum {
    MAX_BLOCKS = 256,
    MAX_DEPTH = 16,       /* of blocks within blocks */
    MAX_BYTES = 64 << 20, /* of a network written out */
};

typedef struct block { /* a heading: [block NAME key key=fallback ...] */
    const char *section, *name;
    tr_where where;
    int n_keys;
    tr_pair key[TR_MAX_LINE_ARGS]; /* value "": must be given */
} block;

typedef struct alias { /* a line, and the layer whose value is its own */
    const char *name, *layer;
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
    return strncmp(section, "block", 5) == 0 && strchr(" ", section[5]) != NULL;
}

static int check_name(const block *b, tr_error *err) {
    for (int i = 0; i < tr_n_layers; i++) {
        if (strcmp(b->name, tr_layers[i]->schema.name) == 0)
            return tr_fail_at(err, b->where, b->section, "'%s' is the name of a layer", b->name);
    }
    return TR_OK;
}

static bool is_word(const char *text) {
    for (const char *p = text; *p; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_') return false;
    }
    return text[0] != '\0';
}

static int read_heading(writer *w, block *b) {
    const char *section = b->section + strlen("block");
    char *rest = tr_arena_copy(&w->out->memory, section, strlen(section), w->err), *word;
    if (rest == NULL) return TR_ENOMEM;
    while ((word = strsep(&rest, " ")) != NULL) {
        if (word[0] == '\0') continue;
        char *value = strchr(word, '=');
        if (value) *value++ = '\0';
        if (!is_word(word) || (value && (b->name == NULL || value[0] == '\0')))
            return tr_fail_at(w->err, b->where, b->section,
                              "a heading is [block NAME key key=default ...], of letters, digits "
                              "and '_'");
        if (b->name == NULL) {
            b->name = word;
            continue;
        }
        if (strcmp(word, "from") == 0)
            return tr_fail_at(w->err, b->where, b->section, "'from' cannot be a block's key");
        for (int i = 0; i < b->n_keys; i++) {
            if (strcmp(word, b->key[i].key) == 0)
                return tr_fail_at(w->err, b->where, b->section, "the key '%s' stands there twice",
                                  word);
        }
        if (b->n_keys == TR_MAX_LINE_ARGS)
            return tr_fail_at(w->err, b->where, b->section, "more than %d keys", TR_MAX_LINE_ARGS);
        b->key[b->n_keys++] = (tr_pair){word, value ? value : "", b->where, b->section};
    }
    if (b->name == NULL)
        return tr_fail_at(w->err, b->where, b->section,
                          "the block has no name, as in [block basic width stride=1]");
    return check_name(b, w->err);
}

static int read_headings(writer *w, block *blocks) {
    for (int i = 0; i < tr_doc_n_sections(w->doc); i++) {
        const char *section = tr_doc_section_name(w->doc, i);
        if (!is_block(section)) continue;
        int n_lines;
        block *b = &blocks[w->n_blocks];
        b->section = section;
        tr_doc_section(w->doc, section, &n_lines, &b->where);
        if (w->n_blocks == MAX_BLOCKS)
            return tr_fail_at(w->err, b->where, section, "more than %d blocks", MAX_BLOCKS);
        int code = read_heading(w, b);
        if (code) return code;
        if (n_lines == 0) return tr_fail_at(w->err, b->where, section, "the block has no lines");
        w->n_blocks++;
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

/* What was put together, as a string of the result's; NULL with an error. */
static const char *keep(writer *w, tr_text *text, tr_where where, const char *name) {
    const char *kept = NULL;
    if (text->failed)
        tr_fail(w->err, TR_ENOMEM, "out of memory");
    else if (w->out->memory.total + text->n > MAX_BYTES)
        tr_fail_at(w->err, where, name, "the network is too long when its blocks are written out");
    else
        kept = tr_arena_copy(&w->out->memory, text->n ? text->at : "", text->n, w->err);
    tr_text_free(text);
    return kept;
}

static const char *join(writer *w, const char *prefix, const char *name, tr_where where) {
    tr_text text = {0};
    tr_text_print(&text, "%s.%s", prefix, name);
    return keep(w, &text, where, name);
}

/* `value` with $key and ${key} replaced by what they stand for, and $$ by $; *where becomes the
 * place of the last of those. NULL with an error. */
static const char *fill_in(writer *w, const scope *s, const char *value, const char *name,
                           tr_where *where) {
    tr_text text = {0};
    tr_where line = *where;
    const char *p = strchr(value, '$');
    if (s->block == NULL || p == NULL) return value;
    tr_text_add(&text, value, (size_t)(p - value));
    while (*p) {
        size_t plain = strcspn(p, "$");
        tr_text_add(&text, p, plain);
        p += plain;
        if (*p == '\0') break;
        if (p[1] == '$') {
            tr_text_add(&text, p, 1);
            p += 2;
            continue;
        }
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
            const char *names[TR_MAX_LINE_ARGS];
            tr_text what = {0}, key = {0};
            for (int i = 0; i < s->block->n_keys; i++) names[i] = s->block->key[i].key;
            tr_text_add(&key, word, length);
            tr_text_print(&what, "'$%s' is no key of the block", key.failed ? "" : key.at);
            if (key.failed || what.failed)
                tr_fail(w->err, TR_ENOMEM, "out of memory");
            else
                tr_fail_unknown(w->err, line, name, what.at, key.at, names, s->block->n_keys);
            tr_text_free(&key);
            tr_text_free(&what);
            tr_text_free(&text);
            return NULL;
        }
        tr_text_print(&text, "%s", arg->value);
        *where = arg->where;
        p = word + length + braces;
        if (text.n > MAX_BYTES) break;
    }
    return keep(w, &text, line, name);
}

/* Add the layer that name[0..n) stands for on a line of the scope. */
static void resolve(const scope *s, const char *name, size_t n, tr_text *out) {
    if (s->block && n == 2 && memcmp(name, "in", 2) == 0) {
        tr_text_print(out, "%s", s->input);
        return;
    }
    for (int i = 0; i < s->n_aliases; i++) {
        if (strlen(s->aliases[i].name) != n || memcmp(s->aliases[i].name, name, n) != 0) continue;
        tr_text_print(out, "%s", s->aliases[i].layer);
        return;
    }
    /* None above. graph.c says so; what comes later has this name, too. */
    if (s->block && n) tr_text_print(out, "%s.", s->prefix);
    tr_text_add(out, name, n);
}

/* The names of a from=, in full. */
static const char *resolve_all(writer *w, const scope *s, tr_where where, const char *name,
                               const char *from) {
    tr_text text = {0};
    for (;;) {
        size_t n = strcspn(from, ",");
        resolve(s, from, n, &text);
        if (from[n] == '\0') return keep(w, &text, where, name);
        tr_text_add(&text, ",", 1);
        from += n + 1;
    }
}

/* ---- lines ---- */

/* Arguments of a line that uses a block, in the order of the block's keys. */
static int read_args(const block *b, const tr_pair *line, const char *name, const tr_pair *pairs,
                     int n, tr_pair *args, tr_error *err) {
    const char *names[TR_MAX_LINE_ARGS];
    for (int i = 0; i < b->n_keys; i++) {
        names[i] = b->key[i].key;
        args[i] = b->key[i];
    }
    bool given[TR_MAX_LINE_ARGS] = {false};
    for (int i = 0; i < n; i++) {
        int k = 0;
        const tr_places place = {&pairs[i], 1, line->where, name};
        while (k < b->n_keys && strcmp(pairs[i].key, names[k]) != 0) k++;
        if (k < b->n_keys && given[k]) return tr_fail_key(err, &place, pairs[i].key, "given twice");
        if (k == b->n_keys) {
            tr_text full = {0};
            tr_text_print(&full, "%s.%s", name, pairs[i].key);
            int code = full.failed ? tr_fail(err, TR_ENOMEM, "out of memory")
                                   : tr_fail_unknown(err, pairs[i].where, full.at, "unknown key",
                                                     pairs[i].key, names, k);
            tr_text_free(&full);
            return code;
        }
        given[k] = true;
        args[k].value = pairs[i].value;
        args[k].where = pairs[i].where;
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
    tr_pair args[TR_MAX_LINE_ARGS];
    int n, code = read_args(b, line, name, pairs, n_pairs, args, w->err);
    if (code) return code;
    if (s->depth == MAX_DEPTH)
        return tr_fail_at(w->err, line->where, name, "more than %d blocks within blocks",
                          MAX_DEPTH);
    if (from && strchr(from, ','))
        return tr_fail_at(w->err, line->where, name,
                          "the block '%s' reads one value, but from= names several", b->name);
    if (from == NULL) from = s->n_aliases ? s->aliases[s->n_aliases - 1].layer : s->input;
    const tr_pair *inner = tr_doc_section(w->doc, b->section, &n, &(tr_where){0});
    scope body = {.block = b, .prefix = name, .input = from, .args = args, .depth = s->depth + 1};
    return write_lines(w, &body, inner, n);
}

/* A layer or a block; graph.c says it for layers, but knows no blocks to suggest. */
static int check_class(const writer *w, const char *head, tr_where where, const char *name) {
    const char *names[MAX_BLOCKS + 64];
    tr_text what = {0};
    int n = 0;
    for (int i = 0; i < w->n_blocks; i++) names[n++] = w->blocks[i].name;
    for (int i = 0; i < tr_n_layers && n < MAX_BLOCKS + 64; i++)
        names[n++] = tr_layers[i]->schema.name;
    for (int i = 0; i < n; i++) {
        if (strcmp(head, names[i]) == 0) return TR_OK;
    }
    tr_text_print(&what, "unknown layer '%s'", head);
    int code = what.failed ? tr_fail(w->err, TR_ENOMEM, "out of memory")
                           : tr_fail_unknown(w->err, where, name, what.at, head, names, n);
    tr_text_free(&what);
    return code;
}

/* The words of a line, filled in: class, arguments but from=, and that one in full. */
static int read_words(writer *w, const scope *s, const tr_pair *line, tr_line *out,
                      tr_pair pairs[TR_MAX_LINE_ARGS]) {
    const char *head, *given = NULL;
    int n, code;
    char *text = tr_arena_copy(&w->out->memory, line->value, strlen(line->value), w->err);
    if (text == NULL) return TR_ENOMEM;
    code = tr_args_split(text, line->where, out->name, &head, pairs, TR_MAX_LINE_ARGS, &n, w->err);
    if (code) return code;
    tr_where where = line->where;
    if (head) {
        out->class = fill_in(w, s, head, out->name, &where);
        code = out->class ? check_class(w, out->class, where, out->name) : w->err->code;
        if (code) return code;
    }
    for (int i = 0; i < n; i++) {
        tr_pair pair = pairs[i];
        tr_where unused = pair.where;
        pair.key = fill_in(w, s, pair.key, out->name, &unused);
        pair.value = pair.key ? fill_in(w, s, pair.value, out->name, &pair.where) : NULL;
        if (pair.value == NULL) return w->err->code;
        if (strcmp(pair.key, "from") != 0) {
            pairs[out->n_args++] = pair;
        } else if (given) {
            return tr_fail_at(w->err, line->where, out->name, "from= is given twice");
        } else {
            given = pair.value;
        }
    }
    if (given == NULL) return TR_OK;
    out->from = resolve_all(w, s, line->where, out->name, given);
    return out->from ? TR_OK : w->err->code;
}

static int write_line(writer *w, const scope *s, const tr_pair *line, const char *name) {
    tr_pair pairs[TR_MAX_LINE_ARGS];
    tr_line words = {.name = name, .where = line->where};
    int code = read_words(w, s, line, &words, pairs);
    if (code) return code;
    const block *b = words.class ? find_block(w, words.class) : NULL;
    if (b) return write_block(w, s, b, line, name, pairs, words.n_args, words.from);
    /* The first line of a block reads what the block reads, which may not be the line above. */
    if (words.from == NULL && s->block && s->n_aliases == 0) words.from = s->input;
    tr_lines *out = w->out;
    if (out->n == TR_MAX_LINES)
        return tr_fail_at(w->err, line->where, name, "the network has more than %d layers",
                          TR_MAX_LINES);
    tr_pair *kept = tr_arena_alloc(&out->memory, (size_t)words.n_args * sizeof *kept, w->err);
    if (kept == NULL) return TR_ENOMEM;
    memcpy(kept, pairs, (size_t)words.n_args * sizeof *kept);
    words.args = kept;
    out->line[out->n++] = words;
    out->output = name;
    return TR_OK;
}

static int write_lines(writer *w, scope *s, const tr_pair *lines, int n) {
    alias *aliases = tr_alloc((size_t)n, sizeof *aliases, w->err);
    if (aliases == NULL) return TR_ENOMEM;
    int code = TR_OK;
    s->aliases = aliases;
    for (int i = 0; code == TR_OK && i < n; i++) {
        const char *key = lines[i].key,
                   *name = s->block ? join(w, s->prefix, key, lines[i].where) : key;
        if (name == NULL)
            code = w->err->code;
        else if (s->block && strcmp(key, "in") == 0)
            code = tr_fail_at(w->err, lines[i].where, name, "'in' is the name of a block's input");
        else if (s->block && strcmp(key, "input") == 0)
            code = tr_fail_at(w->err, lines[i].where, name,
                              "'input' is the name of the network's input");
        else
            code = write_line(w, s, &lines[i], name);
        if (code) break;
        aliases[i] = (alias){key, w->out->output};
        s->n_aliases++;
    }
    tr_free(aliases);
    return code;
}

int tr_lines_create(const tr_doc *doc, const tr_pair *network, int n, tr_lines *out,
                    tr_error *err) {
    tr_error own = {0};
    writer w = {.doc = doc, .out = out, .err = &own};
    scope top = {.input = "input"};
    *out = (tr_lines){0};
    block *blocks = tr_alloc(MAX_BLOCKS + 1, sizeof *blocks, &own);
    out->line = tr_alloc(TR_MAX_LINES, sizeof *out->line, &own);
    int code = blocks && out->line ? read_headings(&w, blocks) : TR_ENOMEM;
    w.blocks = blocks;
    if (code == TR_OK) code = write_lines(&w, &top, network, n);
    tr_free(blocks);
    if (code) tr_lines_free(out);
    return code ? tr_fail(err, code, "%s", own.text) : TR_OK;
}

void tr_lines_free(tr_lines *lines) {
    tr_free(lines->line);
    tr_arena_free(&lines->memory);
    *lines = (tr_lines){0};
}
