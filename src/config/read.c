/* From text to a document: lines, what goes on in the next, headings, pairs, includes.
 *
 * The grammar is in config.h. A file becomes a document first, so that what is in it twice is an
 * error; then it overrides what it includes.
 */
#include <stdio.h>
#include <string.h>

#include "config/words.h"

enum {
    MAX_DEPTH = 16, /* of files that include each other */
    MAX_BYTES = 1 << 30,
};

static const char include_key[] = "include";

/* The files that are being read, the innermost first. */
typedef struct open_file {
    const char *path;
    const struct open_file *from; /* the one that includes it, ... */
    int line;                     /* ... and where it does */
    int depth;
} open_file;

typedef struct reader {
    tr_doc *doc;  /* what the file itself says */
    tr_doc *base; /* what it includes, or NULL: it may not */
    bool includes;
    const open_file *file; /* NULL: from memory */
    const char *name;      /* of the file, the document's copy */
    const char *next, *end;
    int line; /* the one that was read last, from 1 */
    tr_error *err;

    enum { AT_START, AT_HEADING, AT_PAIR, AT_GAP } last; /* what stands above */
    int section;                                         /* -1: none yet */
    /* The pair that the next line may go on with, where last is AT_PAIR. */
    tr_piece key;
    int key_line;
    tr_text value;
    bool quoted, more;
    char *full; /* "section.key", for messages */
} reader;

static tr_where here(const reader *r) {
    return (tr_where){r->name, r->line};
}

/* ---- pairs ---- */

static int fail_column(const reader *r, const char *line, const char *at, const char *error) {
    return tr_fail_at(r->err, here(r), r->full, "column %d: %s", tr_column(line, at), error);
}

/* Take a value, or what goes on with one, which stands at `rest` in the line. */
static int add_to_value(reader *r, const char *line, tr_piece rest) {
    if (r->quoted && rest.n) return fail_column(r, line, rest.at, "text behind the closing quote");
    tr_scan scan = tr_scan_value(rest.at, rest.n, r->value.n == 0);
    if (scan.error) return fail_column(r, line, rest.at + scan.at, scan.error);
    if (scan.value.n && r->value.n) tr_text_add(&r->value, " ", 1);
    tr_text_add(&r->value, scan.value.at, scan.value.n);
    r->quoted |= scan.quoted;
    r->more = scan.more;
    return r->value.failed ? tr_fail(r->err, TR_ENOMEM, "out of memory") : TR_OK;
}

static int read_included(reader *r, const char *value);

/* The pair is complete. */
static int end_pair(reader *r) {
    if (r->last != AT_PAIR) return TR_OK;
    int line = r->line, code = TR_OK;
    tr_piece value = {r->value.at, r->value.n};
    if (r->quoted) {
        const char *error;
        tr_unquote(r->value.at, r->value.n, r->value.at, &value.n, &error);
        r->value.at[value.n] = '\0';
    }
    r->line = r->key_line;
    if (r->section < 0)
        code = read_included(r, r->value.at ? r->value.at : "");
    else
        code = tr_doc_put_pair(r->doc, r->section, r->key, value, here(r), r->err);
    r->line = line;
    tr_text_free(&r->value);
    tr_free(r->full);
    r->full = NULL;
    r->quoted = r->more = false;
    r->last = AT_GAP;
    return code;
}

/* "key = value". */
static int begin_pair(reader *r, const char *raw, tr_piece line) {
    const char *equals = memchr(line.at, '=', line.n), *colon = memchr(line.at, ':', line.n);
    if (!equals && !colon)
        return tr_fail_at(r->err, here(r), NULL, "'%.*s' is neither [section] nor key = value",
                          tr_shown(line), line.at);
    if (!equals || (colon && colon < equals)) {
        tr_piece word = tr_strip(line.at, (size_t)(colon - line.at));
        return tr_fail_at(r->err, here(r), NULL, "'%.*s:' should be '%.*s ='", tr_shown(word),
                          word.at, tr_shown(word), word.at);
    }
    tr_piece key = tr_strip(line.at, (size_t)(equals - line.at));
    int code = tr_check_key(key, here(r), r->err);
    if (code) return code;
    bool include = key.n == strlen(include_key) && !memcmp(key.at, include_key, key.n);
    if (r->section < 0 && !include)
        return tr_fail_at(r->err, here(r), NULL, "the key '%.*s' stands before the first [section]",
                          tr_shown(key), key.at);
    if (r->section >= 0 && include)
        return tr_fail_at(r->err, here(r), NULL, "include stands before the first [section] only");
    tr_text full = {0};
    if (!include) tr_text_print(&full, "%s.", tr_doc_section_name(r->doc, r->section));
    tr_text_add(&full, key.at, key.n);
    r->full = tr_text_take(&full, r->err);
    if (!r->full) return TR_ENOMEM;
    int first = include ? -1 : tr_doc_find_pair(r->doc, r->section, key);
    if (first >= 0)
        return tr_fail_at(r->err, here(r), r->full, "given twice (first on line %d)",
                          tr_doc_pair(r->doc, r->section, first)->where.line);
    r->key = key;
    r->key_line = r->line;
    r->last = AT_PAIR;
    const char *end = line.at + line.n, *rest = equals + 1;
    while (rest < end && tr_is_blank(*rest)) rest++;
    return add_to_value(r, raw, (tr_piece){rest, (size_t)(end - rest)});
}

/* A line that goes on with the pair above. */
static int go_on(reader *r, const char *raw, tr_piece line) {
    size_t word = 0;
    if (*line.at == '[')
        return tr_fail_at(r->err, here(r), r->full,
                          "goes on with line %d, as %s, but looks like a heading", r->key_line,
                          r->more ? "the line above ends in '\\'" : "it is indented");
    while (word < line.n && !tr_is_blank(line.at[word]) && line.at[word] != '=' &&
           line.at[word] != '"')
        word++;
    size_t at = word;
    while (at < line.n && tr_is_blank(line.at[at])) at++;
    if (at > word && at < line.n && line.at[at] == '=')
        return tr_fail_at(r->err, here(r), r->full,
                          "goes on with line %d, as %s, but looks like a line of its own: '%.*s ='",
                          r->key_line, r->more ? "the line above ends in '\\'" : "it is indented",
                          tr_shown((tr_piece){line.at, word}), line.at);
    return add_to_value(r, raw, line);
}

/* ---- headings ---- */

static int read_heading(reader *r, tr_piece line) {
    size_t n = 0; /* up to a comment: no heading has one of its marks */
    while (n < line.n && line.at[n] != ';' && line.at[n] != '#') n++;
    tr_piece all = tr_strip(line.at, n);
    const char *close = memchr(all.at, ']', all.n);
    if (!close)
        return tr_fail_at(r->err, here(r), NULL, "the section heading '%.*s' has no ']'",
                          tr_shown(all), all.at);
    if (close + 1 < all.at + all.n)
        return tr_fail_at(r->err, here(r), NULL,
                          "text after the section heading '%.*s', allowed is only a comment",
                          (int)tr_min(close + 1 - all.at, TR_ERROR_TEXT), all.at);
    tr_piece name = tr_strip(all.at + 1, (size_t)(close - all.at - 1));
    int code = tr_check_section_name(name, here(r), r->err);
    if (code) return code;
    r->last = AT_HEADING;
    code = tr_doc_add_section(r->doc, name, here(r), &r->section, r->err);
    if (code <= 0) return code;
    tr_where first;
    const char *other = tr_doc_section_name(r->doc, r->section);
    tr_doc_section(r->doc, other, NULL, &first);
    return tr_fail_at(r->err, here(r), NULL,
                      "%.*s: section given twice (first on line %d, as [%s])", tr_shown(name),
                      name.at, first.line, other);
}

/* ---- lines ---- */

/* The next line as it stands, without its end. */
static int next_line(reader *r, tr_piece *raw) {
    const char *newline = memchr(r->next, '\n', (size_t)(r->end - r->next));
    const char *stop = newline ? newline : r->end;
    *raw = (tr_piece){r->next, (size_t)(stop - r->next)};
    r->next = newline ? newline + 1 : r->end;
    if (r->line == INT32_MAX)
        return tr_fail_at(r->err, here(r), NULL, "the file has more than %d lines", INT32_MAX);
    r->line++;
    if (raw->n > 0 && raw->at[raw->n - 1] == '\r') raw->n--;
    if (r->line == 1 && raw->n >= 3 && !memcmp(raw->at, "\xef\xbb\xbf", 3))
        *raw = (tr_piece){raw->at + 3, raw->n - 3}; /* the byte order mark of Windows editors */
    return tr_check_text(*raw, raw->at, here(r), r->err);
}

static int read_line(reader *r, tr_piece raw) {
    static const char *const above[] = {
        [AT_START] = "nothing", [AT_HEADING] = "a heading", [AT_GAP] = "a blank line"};
    size_t indent = 0;
    int code = TR_OK;
    while (indent < raw.n && tr_is_blank(raw.at[indent])) indent++;
    tr_piece line = {raw.at + indent, raw.n - indent};
    if (line.n == 0) {
        if ((code = end_pair(r))) return code;
        if (r->last == AT_HEADING || r->last == AT_PAIR) r->last = AT_GAP;
        return TR_OK;
    }
    if (*line.at == ';' || *line.at == '#') return TR_OK;
    if (r->last == AT_PAIR && (indent || r->more)) return go_on(r, raw.at, line);
    if ((code = end_pair(r))) return code;
    if (indent)
        return tr_fail_at(r->err, here(r), NULL,
                          "an indented line goes on with the one above, but above is %s: take the "
                          "white space away",
                          above[r->last]);
    return *line.at == '[' ? read_heading(r, line) : begin_pair(r, raw.at, line);
}

static int read_all(reader *r) {
    int code = TR_OK;
    while (code == TR_OK && r->next < r->end) {
        tr_piece raw;
        code = next_line(r, &raw);
        if (code == TR_OK) code = read_line(r, raw);
    }
    if (code == TR_OK && r->last == AT_PAIR && r->more)
        code = tr_fail_at(r->err, here(r), r->full, "the last line ends in '\\'");
    if (code == TR_OK) code = end_pair(r);
    tr_text_free(&r->value);
    tr_free(r->full);
    return code;
}

/* ---- files ---- */

static int read_file(const open_file *file, tr_doc **out, tr_error *err);

/* `path` as it stands in a file called `from`. */
static char *relative_to(const char *from, const char *path, tr_error *err) {
    tr_text text = {0};
    const char *slash = strrchr(from, '/');
    if (slash && *path != '/') tr_text_add(&text, from, (size_t)(slash - from) + 1);
    tr_text_add(&text, path, strlen(path));
    return tr_text_take(&text, err);
}

/* Fails where the file is one of those that are being read. */
static int check_cycle(const reader *r, const char *path) {
    const open_file *below = NULL;
    for (const open_file *f = r->file; f; below = f, f = f->from) {
        if (!tr_is_same_file(f->path, path)) continue;
        if (!below)
            return tr_fail_at(r->err, here(r), include_key, "'%s' is this file itself", path);
        return tr_fail_at(r->err, here(r), include_key,
                          "'%s' includes this file: line %d there names '%s'", path, below->line,
                          below->path);
    }
    return TR_OK;
}

/* A line `include = VALUE`; here(r) is its place. */
static int read_included(reader *r, const char *value) {
    if (!r->file)
        return tr_fail_at(r->err, here(r), include_key, "only a file can include another");
    if (!*value) return tr_fail_at(r->err, here(r), include_key, "names no file");
    char *path = relative_to(r->file->path, value, r->err);
    if (!path) return TR_ENOMEM;
    open_file file = {path, r->file, r->line, r->file->depth + 1};
    tr_doc *included = NULL;
    int code = check_cycle(r, path);
    if (code == TR_OK && file.depth > MAX_DEPTH)
        code =
            tr_fail_at(r->err, here(r), include_key,
                       "'%s' is the %dth of files that include each other, at most %d are allowed",
                       path, file.depth, MAX_DEPTH);
    if (code == TR_OK) code = read_file(&file, &included, r->err);
    if (code == TR_OK) code = tr_doc_merge(r->base, included, r->err);
    r->includes = true;
    tr_doc_free(included);
    tr_free(path);
    return code;
}

static int parse(const char *name, const open_file *file, const char *text, size_t bytes,
                 tr_doc **out, tr_error *err) {
    tr_error inner = {0};
    reader r = {.file = file,
                .next = text,
                .end = bytes ? text + bytes : text,
                .err = &inner,
                .section = -1};
    int code = tr_doc_create(name, &r.doc, &inner);
    if (code == TR_OK) code = tr_doc_create(name, &r.base, &inner);
    if (code == TR_OK) {
        r.name = tr_doc_name(r.doc);
        code = read_all(&r);
    }
    if (code == TR_OK && r.includes) code = tr_doc_merge(r.base, r.doc, &inner);
    *out = code ? NULL : r.includes ? r.base : r.doc;
    if (*out != r.doc) tr_doc_free(r.doc);
    if (*out != r.base) tr_doc_free(r.base);
    return code ? tr_fail(err, code, "%s", inner.text) : TR_OK;
}

static int read_file(const open_file *file, tr_doc **out, tr_error *err) {
    tr_error inner = {0};
    char *text;
    size_t bytes;
    *out = NULL;
    if (tr_read_file(file->path, MAX_BYTES, &text, &bytes, &inner)) {
        if (inner.code == TR_ENOMEM) return tr_fail(err, inner.code, "%s", inner.text);
        /* Naming a file that cannot be read is an error of the command line, or of a line. */
        if (!file->from) return tr_fail(err, TR_ECONFIG, "%s", inner.text);
        return tr_fail_at(err, (tr_where){file->from->path, file->line}, include_key, "%s",
                          inner.text);
    }
    int code = parse(file->path, file, text, bytes, out, err);
    tr_free(text);
    return code;
}

int tr_doc_parse(const char *name, const char *text, size_t bytes, tr_doc **out, tr_error *err) {
    return parse(name, NULL, text, bytes, out, err);
}

int tr_doc_read(const char *path, tr_doc **out, tr_error *err) {
    return read_file(&(open_file){.path = path, .depth = 1}, out, err);
}
