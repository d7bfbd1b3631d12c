/* The INI document: sections and pairs in file order, each with its place.
 *
 * inih splits lines into names and values. It knows no line numbers, cuts what is too long and says
 * nothing of headings, so the reader that feeds it sees every line first: it counts, checks, takes
 * comments away and hands on only lines that inih reads in full and in one way. What enters through
 * tr_doc_put obeys the same rules, so a document can always be written and read again.
 * All strings live as long as the document. A document belongs to one thread while it changes.
 */
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"

enum {
    MAX_LINE = 197, /* inih's line buffer has 200 bytes, with CR, LF and NUL */
    MAX_WORD = 49,  /* and its buffers for a section and a name have 50 */
};

typedef struct doc_section {
    const char *name;
    tr_where where;
    tr_pair *pairs;
    int n, room;
} doc_section;

struct tr_doc {
    const char *name;
    doc_section *sections;
    int n, room;
    char **strings; /* everything that names, values and places point at */
    int n_strings, strings_room;
};

/* ---- the document ---- */

/* Room for one more element: the array, moved where it was full, or NULL. */
static void *grow(void *array, int n, int *room, size_t size, tr_error *err) {
    if (n < *room) return array;
    int more = *room ? 2 * *room : 8;
    void *moved = tr_alloc((size_t)more, size, err);
    if (!moved) return NULL;
    if (n > 0) memcpy(moved, array, (size_t)n * size);
    tr_free(array);
    *room = more;
    return moved;
}

/* A copy of text[0..n) that the document owns. */
static const char *keep(tr_doc *doc, const char *text, size_t n, tr_error *err) {
    char **strings = grow(doc->strings, doc->n_strings, &doc->strings_room, sizeof *strings, err);
    if (!strings) return NULL;
    doc->strings = strings;
    char *copy = tr_alloc(n + 1, 1, err);
    if (!copy) return NULL;
    memcpy(copy, text, n);
    doc->strings[doc->n_strings++] = copy;
    return copy;
}

static doc_section *find_section(const tr_doc *doc, const char *name) {
    for (int i = 0; i < doc->n; i++)
        if (!strcmp(doc->sections[i].name, name)) return &doc->sections[i];
    return NULL;
}

static tr_pair *find_pair(const doc_section *s, const char *key) {
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->pairs[i].key, key)) return &s->pairs[i];
    return NULL;
}

static doc_section *add_section(tr_doc *doc, const char *name, size_t length, tr_where where,
                                tr_error *err) {
    doc_section *sections = grow(doc->sections, doc->n, &doc->room, sizeof *sections, err);
    if (!sections) return NULL;
    doc->sections = sections;
    doc_section new = {.name = keep(doc, name, length, err), .where = where};
    if (!new.name) return NULL;
    /* An empty section still has an array: that tells it from one that is not there. */
    new.pairs = grow(NULL, 0, &new.room, sizeof *new.pairs, err);
    if (!new.pairs) return NULL;
    doc->sections[doc->n] = new;
    return &doc->sections[doc->n++];
}

/* Set a key that is there or add it. */
static int put_pair(tr_doc *doc, doc_section *s, const char *key, const char *value, tr_where where,
                    tr_error *err) {
    const char *kept = keep(doc, value, strlen(value), err);
    if (!kept) return TR_ENOMEM;
    tr_pair *there = find_pair(s, key);
    if (there) {
        there->value = kept;
        there->where = where;
        return TR_OK;
    }
    tr_pair *pairs = grow(s->pairs, s->n, &s->room, sizeof *pairs, err);
    if (!pairs) return TR_ENOMEM;
    s->pairs = pairs;
    const char *kept_key = keep(doc, key, strlen(key), err);
    if (!kept_key) return TR_ENOMEM;
    s->pairs[s->n++] = (tr_pair){kept_key, kept, where, s->name};
    return TR_OK;
}

void tr_doc_free(tr_doc *doc) {
    if (!doc) return;
    for (int i = 0; i < doc->n; i++) tr_free(doc->sections[i].pairs);
    for (int i = 0; i < doc->n_strings; i++) tr_free(doc->strings[i]);
    tr_free(doc->sections);
    tr_free(doc->strings);
    tr_free(doc);
}

/* ---- what may stand in a document ---- */

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

/* A piece of a line. */
typedef struct piece {
    const char *at;
    size_t n;
} piece;

static piece strip(const char *at, size_t n) {
    while (n > 0 && is_space(*at)) at++, n--;
    while (n > 0 && is_space(at[n - 1])) n--;
    return (piece){at, n};
}

/* How much of `p` stands before a comment: a ; or # at the start or after white space. */
static size_t before_comment(piece p) {
    for (size_t i = 0; i < p.n; i++)
        if ((p.at[i] == ';' || p.at[i] == '#') && (i == 0 || is_space(p.at[i - 1]))) return i;
    return p.n;
}

/* Bytes of the UTF-8 character at s[0..n), or 0 where there is none (RFC 3629, table of section 4).
 */
static size_t utf8_length(const unsigned char *s, size_t n) {
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n < length) return 0;
    unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return length;
}

static int check_text(piece p, tr_where where, const char *key, tr_error *err) {
    for (size_t i = 0; i < p.n;) {
        const unsigned char *c = (const unsigned char *)p.at + i;
        if (*c == 0) return tr_fail_at(err, where, key, "holds a NUL byte, this is not text");
        if ((*c < 0x20 && *c != '\t') || *c == 0x7f)
            return tr_fail_at(err, where, key, "holds the control character 0x%02x", *c);
        size_t length = utf8_length(c, p.n - i);
        if (!length) return tr_fail_at(err, where, key, "holds the byte 0x%02x, not UTF-8", *c);
        i += length;
    }
    return TR_OK;
}

/* `what` is "key" or "section name". */
static int check_word(piece word, const char *what, tr_where where, tr_error *err) {
    if (word.n == 0) return tr_fail_at(err, where, NULL, "the %s is missing", what);
    if (word.n > MAX_WORD)
        return tr_fail_at(err, where, NULL, "the %s '%.*s' is too long (%zu bytes), at most %d",
                          what, MAX_WORD, word.at, word.n, MAX_WORD);
    return TR_OK;
}

static int check_key(piece key, tr_where where, tr_error *err) {
    int code = check_word(key, "key", where, err);
    if (code) return code;
    for (size_t i = 0; i < key.n; i++) {
        if (is_space(key.at[i]))
            return tr_fail_at(err, where, NULL, "'%.*s' is not a key, a key is one word",
                              (int)key.n, key.at);
        if (strchr("=:[];#", key.at[i]))
            return tr_fail_at(err, where, NULL, "'%.*s' is not a key, it holds a '%c'", (int)key.n,
                              key.at, key.at[i]);
    }
    return TR_OK;
}

static int check_section_name(piece name, tr_where where, tr_error *err) {
    int code = check_word(name, "section name", where, err);
    if (code) return code;
    for (size_t i = 0; i < name.n; i++)
        if (strchr("[];#", name.at[i]))
            return tr_fail_at(err, where, NULL, "'%.*s' is not a section name, it holds a '%c'",
                              (int)name.n, name.at, name.at[i]);
    return TR_OK;
}

/* ---- from text ---- */

typedef struct reader {
    tr_doc *doc;
    const char *next, *end;
    int line;             /* the one that was read last, from 1 */
    doc_section *current; /* the one it belongs to, or NULL */
    tr_error *err;        /* never NULL: a failure here stops the reading */
} reader;

static tr_where here(const reader *r) {
    return (tr_where){r->doc->name, r->line};
}

/* "[name]": checks it and opens the section. */
static int read_heading(reader *r, piece line) {
    const char *close = memchr(line.at, ']', line.n);
    if (!close)
        return tr_fail_at(r->err, here(r), NULL, "the section heading '%.*s' has no ']'",
                          (int)line.n, line.at);
    if (close + 1 < line.at + line.n)
        return tr_fail_at(r->err, here(r), NULL,
                          "text after the section heading '%.*s', allowed is only a comment",
                          (int)(close + 1 - line.at), line.at);
    piece name = strip(line.at + 1, (size_t)(close - line.at - 1));
    int code = check_section_name(name, here(r), r->err);
    if (code) return code;
    char text[MAX_WORD + 1];
    snprintf(text, sizeof text, "%.*s", (int)name.n, name.at);
    const doc_section *first = find_section(r->doc, text);
    if (first)
        return tr_fail_at(r->err, here(r), text, "section given twice (first on line %d)",
                          first->where.line);
    r->current = add_section(r->doc, name.at, name.n, here(r), r->err);
    return r->current ? TR_OK : TR_ENOMEM;
}

/* "key = value": checks it; take_pair stores it when inih has split it. */
static int check_pair(reader *r, piece line) {
    const char *equals = memchr(line.at, '=', line.n), *colon = memchr(line.at, ':', line.n);
    if (!equals && !colon)
        return tr_fail_at(r->err, here(r), NULL, "'%.*s' is neither [section] nor key = value",
                          (int)line.n, line.at);
    if (!equals || (colon && colon < equals)) {
        piece word = strip(line.at, (size_t)(colon - line.at));
        return tr_fail_at(r->err, here(r), NULL, "'%.*s:' should be '%.*s ='", (int)word.n, word.at,
                          (int)word.n, word.at);
    }
    piece key = strip(line.at, (size_t)(equals - line.at));
    int code = check_key(key, here(r), r->err);
    if (code) return code;
    if (!r->current)
        return tr_fail_at(r->err, here(r), NULL, "the key '%.*s' stands before the first [section]",
                          (int)key.n, key.at);
    return TR_OK;
}

/* The next line with something in it, without indentation and comment; n = 0 at the end. */
static piece next_line(reader *r) {
    piece line = {NULL, 0};
    while (line.n == 0 && r->next < r->end) {
        const char *newline = memchr(r->next, '\n', (size_t)(r->end - r->next));
        const char *stop = newline ? newline : r->end;
        piece raw = {r->next, (size_t)(stop - r->next)};
        r->next = newline ? newline + 1 : r->end;
        r->line++;
        if (raw.n > 0 && raw.at[raw.n - 1] == '\r') raw.n--;
        if (r->line == 1 && raw.n >= 3 && !memcmp(raw.at, "\xef\xbb\xbf", 3))
            raw = (piece){raw.at + 3, raw.n - 3}; /* the byte order mark of Windows editors */
        if (check_text(raw, here(r), NULL, r->err)) return (piece){NULL, 0};
        line = strip(raw.at, before_comment(raw));
    }
    return line;
}

/* inih's reader: one checked line into out[0..size), or NULL at the end and at a fault. */
static char *read_line(char *out, int size, void *stream) {
    reader *r = stream;
    if (r->err->code) return NULL;
    piece line = next_line(r);
    if (line.n == 0) return NULL;
    if (line.n > MAX_LINE || line.n + 2 > (size_t)size) {
        tr_fail_at(r->err, here(r), NULL, "the line is too long (%zu bytes), at most %d", line.n,
                   MAX_LINE);
        return NULL;
    }
    if (*line.at == '[' ? read_heading(r, line) : check_pair(r, line)) return NULL;
    memcpy(out, line.at, line.n);
    memcpy(out + line.n, "\n", 2);
    return out;
}

/* inih's handler: one pair. Its section is the reader's, which inih knows only in its own way. */
static int take_pair(void *stream, const char *heading, const char *key, const char *value) {
    (void)heading;
    reader *r = stream;
    const tr_pair *first = find_pair(r->current, key);
    if (first) {
        char full[2 * MAX_WORD + 2];
        snprintf(full, sizeof full, "%s.%s", r->current->name, key);
        tr_fail_at(r->err, here(r), full, "given twice (first on line %d)", first->where.line);
        return 0;
    }
    return put_pair(r->doc, r->current, key, value, here(r), r->err) == TR_OK;
}

int tr_doc_parse(const char *name, const char *text, size_t bytes, tr_doc **out, tr_error *err) {
    tr_error own = {0};
    *out = NULL;
    tr_doc *doc = tr_alloc(1, sizeof *doc, &own);
    if (!doc || !(doc->name = keep(doc, name, strlen(name), &own))) goto fail;
    reader r = {.doc = doc, .next = text, .end = bytes ? text + bytes : text, .err = &own};
    int line = ini_parse_stream(read_line, &r, take_pair, &r);
    if (line && !own.code) /* a rule of another version of inih that the reader does not know */
        tr_fail_at(&own, here(&r), NULL, "the file cannot be read as INI (at line %d)", line);
    if (own.code) goto fail;
    *out = doc;
    return TR_OK;
fail:
    tr_doc_free(doc);
    return tr_fail(err, own.code, "%s", own.text);
}

int tr_doc_read(const char *path, tr_doc **out, tr_error *err) {
    tr_error own = {0};
    tr_mapping file;
    *out = NULL;
    /* Naming a file that cannot be read is a fault of the command line. */
    if (tr_map(path, &file, &own)) return tr_fail(err, TR_ECONFIG, "%s", own.text);
    int code = tr_doc_parse(path, (const char *)file.data, file.size, out, err);
    tr_unmap(&file);
    return code;
}

/* ---- from the command line ---- */

/* As tr_doc_put, with the parts not yet ended by NUL. */
static int put_checked(tr_doc *doc, piece heading, piece key, piece value, const char *place,
                       tr_error *err) {
    char section_text[MAX_WORD + 1], key_text[MAX_WORD + 1], value_text[MAX_LINE + 1];
    char full[2 * MAX_WORD + 2];
    tr_where where = {place, 0};
    int code;
    if ((code = check_text(heading, where, NULL, err))) return code;
    if ((code = check_text(key, where, NULL, err))) return code;
    if ((code = check_section_name(heading, where, err))) return code;
    if ((code = check_key(key, where, err))) return code;
    snprintf(section_text, sizeof section_text, "%.*s", (int)heading.n, heading.at);
    snprintf(key_text, sizeof key_text, "%.*s", (int)key.n, key.at);
    snprintf(full, sizeof full, "%s.%s", section_text, key_text);
    if ((code = check_text(value, where, full, err))) return code;
    size_t plain = before_comment(value);
    if (plain < value.n)
        return tr_fail_at(err, where, full, "'%.*s': a comment would start at '%c'", (int)value.n,
                          value.at, value.at[plain]);
    size_t room = MAX_LINE - key.n - strlen(" = ");
    if (value.n > room)
        return tr_fail_at(err, where, full, "the value is too long (%zu bytes), at most %zu",
                          value.n, room);
    snprintf(value_text, sizeof value_text, "%.*s", (int)value.n, value.at);

    where.file = keep(doc, place, strlen(place), err);
    if (!where.file) return TR_ENOMEM;
    doc_section *s = find_section(doc, section_text);
    if (!s) s = add_section(doc, section_text, heading.n, where, err);
    return s ? put_pair(doc, s, key_text, value_text, where, err) : TR_ENOMEM;
}

int tr_doc_put(tr_doc *doc, const char *section, const char *key, const char *value,
               const char *place, tr_error *err) {
    return put_checked(doc, strip(section, strlen(section)), strip(key, strlen(key)),
                       strip(value, strlen(value)), place, err);
}

int tr_doc_set(tr_doc *doc, const char *assignment, tr_error *err) {
    static const char place[] = "--set";
    const char *equals = strchr(assignment, '=');
    const char *dot = equals ? memchr(assignment, '.', (size_t)(equals - assignment)) : NULL;
    if (!dot)
        return tr_fail_at(err, (tr_where){place, 0}, NULL,
                          "'%s' is not of the form section.key=value", assignment);
    return put_checked(doc, strip(assignment, (size_t)(dot - assignment)),
                       strip(dot + 1, (size_t)(equals - dot - 1)),
                       strip(equals + 1, strlen(equals + 1)), place, err);
}

/* ---- questions ---- */

int tr_doc_n_sections(const tr_doc *doc) {
    return doc->n;
}

const char *tr_doc_section_name(const tr_doc *doc, int i) {
    return doc->sections[i].name;
}

const tr_pair *tr_doc_section(const tr_doc *doc, const char *name, int *n, tr_where *where) {
    const doc_section *s = find_section(doc, name);
    if (n) *n = s ? s->n : 0;
    if (where) *where = s ? s->where : (tr_where){doc->name, 0};
    return s ? s->pairs : NULL;
}

const tr_pair *tr_doc_find(const tr_doc *doc, const char *name, const char *key) {
    const doc_section *s = find_section(doc, name);
    return s ? find_pair(s, key) : NULL;
}

const char *tr_doc_name(const tr_doc *doc) {
    return doc->name;
}

int tr_doc_check_sections(const tr_doc *doc, const char *const *names, int n, const char *heading,
                          tr_error *err) {
    size_t first = strlen(heading);
    for (int i = 0; i < doc->n; i++) {
        const doc_section *s = &doc->sections[i];
        bool known = !strncmp(s->name, heading, first) && is_space(s->name[first]);
        for (int j = 0; j < n && !known; j++) known = !strcmp(s->name, names[j]);
        if (!known)
            return tr_fail_unknown(err, s->where, s->name, "unknown section", s->name, names, n);
    }
    return TR_OK;
}
