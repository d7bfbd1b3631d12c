/* Values from the command line, into a document. */
#include <stdio.h>
#include <string.h>

#include "config/words.h"

static const char set_place[] = "--set";

static tr_piece piece_of(const char *text) {
    return (tr_piece){text, strlen(text)};
}

/* The section, made where there is none. */
static int open_section(tr_doc *doc, tr_piece name, tr_where where, int *section, tr_error *err) {
    *section = tr_doc_find_section(doc, name);
    if (*section >= 0) return TR_OK;
    return tr_doc_add_section(doc, name, where, section, err) < 0 ? TR_ENOMEM : TR_OK;
}

static int check_names(tr_piece section, tr_piece key, tr_where where, tr_error *err) {
    int code = tr_check_text(section, section.at, where, err);
    if (code == TR_OK) code = tr_check_text(key, key.at, where, err);
    if (code == TR_OK) code = tr_check_section_name(section, where, err);
    if (code == TR_OK) code = tr_check_key(key, where, err);
    if (code == TR_OK && key.n == 7 && !memcmp(key.at, "include", 7))
        code = tr_fail_at(err, where, NULL, "include stands before the first [section] of a file");
    return code;
}

static int put(tr_doc *doc, tr_piece section, tr_piece key, tr_piece value, const char *place,
               tr_error *err) {
    tr_where where = {place, 0};
    int number, code = check_names(section, key, where, err);
    if (code) return code;
    where.file = tr_doc_keep(doc, place, err);
    if (!where.file || open_section(doc, section, where, &number, err)) return TR_ENOMEM;
    return tr_doc_put_pair(doc, number, key, value, where, err);
}

int tr_doc_put(tr_doc *doc, const char *section, const char *key, const char *value,
               const char *place, tr_error *err) {
    return put(doc, piece_of(section), piece_of(key), piece_of(value), place, err);
}

/* ---- lines of an order ---- */

/* --set names a line that its section does not have: "WHAT'LINE'". */
static int fail_no_line(const tr_doc *doc, int section, tr_piece key, const char *what_begins,
                        tr_piece line, tr_error *err) {
    tr_text full = {0}, what = {0}, word = {0};
    const char *name = tr_doc_section_name(doc, section);
    int n;
    tr_doc_section(doc, name, &n, NULL);
    const char **names = tr_alloc((size_t)n + 1, sizeof *names, err);
    for (int i = 0; names && i < n; i++) names[i] = tr_doc_pair(doc, section, i)->key;
    tr_text_print(&full, "%s.%.*s", name, tr_shown(key), key.at);
    tr_text_print(&what, "%s'%.*s' names no %sline of [%s]", what_begins, tr_shown(line), line.at,
                  *what_begins ? "other " : "", name);
    tr_text_add(&word, line.at, line.n);
    int code = TR_ENOMEM;
    if (names && !full.failed && !what.failed && !word.failed)
        code = tr_fail_unknown(err, (tr_where){set_place, 0}, full.at, what.at, word.at, names, n);
    tr_free(names);
    tr_text_free(&full);
    tr_text_free(&what);
    tr_text_free(&word);
    return code == TR_ENOMEM ? tr_fail(err, code, "out of memory") : code;
}

/* The word `before=LINE` of a value, outside of quotes; n = 0: none. */
static tr_piece find_before(tr_piece value) {
    static const char before[] = "before=";
    const size_t length = sizeof before - 1;
    bool quoted = false;
    for (size_t i = 0; i < value.n; i++) {
        if (quoted && value.at[i] == '\\')
            i++;
        else if (value.at[i] == '"')
            quoted = !quoted;
        else if (!quoted && value.n - i >= length && !memcmp(value.at + i, before, length) &&
                 (i == 0 || tr_is_blank(value.at[i - 1]))) {
            size_t end = i;
            while (end < value.n && !tr_is_blank(value.at[end])) end++;
            return (tr_piece){value.at + i, end - i};
        }
    }
    return (tr_piece){value.at, 0};
}

/* A line that is to stand before another. */
static int place_line(tr_doc *doc, int section, tr_piece key, tr_piece value, tr_piece word,
                      tr_where where, tr_error *err) {
    const size_t length = strlen("before=");
    tr_piece line = {word.at + length, word.n - length};
    int to = tr_doc_find_pair(doc, section, line);
    if (to < 0 || (line.n == key.n && !memcmp(line.at, key.at, key.n)))
        return fail_no_line(doc, section, key, "before=", line, err);
    /* The value without the word. */
    tr_text rest = {0};
    tr_piece head = tr_strip(value.at, (size_t)(word.at - value.at));
    const char *after = word.at + word.n;
    tr_piece tail = tr_strip(after, (size_t)(value.at + value.n - after));
    tr_text_add(&rest, head.at, head.n);
    if (head.n && tail.n) tr_text_add(&rest, " ", 1);
    tr_text_add(&rest, tail.at, tail.n);
    int code = rest.failed ? tr_fail(err, TR_ENOMEM, "out of memory") : TR_OK;
    if (code == TR_OK && rest.n == 0)
        code = tr_fail_at(err, (tr_where){set_place, 0}, NULL,
                          "'%.*s' says where the line goes, but not what it is", tr_shown(word),
                          word.at);
    if (code == TR_OK)
        code = tr_doc_put_pair(doc, section, key, (tr_piece){rest.at, rest.n}, where, err);
    tr_text_free(&rest);
    if (code) return code;
    int from = tr_doc_find_pair(doc, section, key);
    tr_doc_move_pair(doc, section, from, from < to ? to - 1 : to);
    return TR_OK;
}

/* ---- --set ---- */

/* Is `name` one of lines[0..n), or headed by one? */
static bool has_order(tr_piece name, const char *const *lines, int n) {
    for (int i = 0; i < n; i++) {
        size_t length = strlen(lines[i]);
        if (name.n >= length && !memcmp(name.at, lines[i], length) &&
            (name.n == length || name.at[length] == '.' || tr_is_blank(name.at[length])))
            return true;
    }
    return false;
}

/* The dot that ends the section's name. */
static const char *find_dot(const tr_doc *doc, const char *text, const char *equals) {
    const char *found = NULL, *first = NULL;
    for (const char *at = text; at < equals; at++) {
        if (*at != '.') continue;
        if (!first) first = at;
        if (tr_doc_find_section(doc, tr_strip(text, (size_t)(at - text))) >= 0) found = at;
    }
    return found ? found : first;
}

/* The quotes off a value that is in quotes; *copy holds it. */
static int unquote(tr_piece *value, tr_piece section, tr_piece key, char **copy, tr_error *err) {
    tr_text full = {0};
    size_t length;
    const char *error;
    *copy = NULL;
    if (value->n == 0 || value->at[0] != '"') return TR_OK;
    tr_text_add(&full, value->at, value->n);
    *copy = tr_text_take(&full, err);
    if (!*copy) return TR_ENOMEM;
    size_t used = tr_unquote(*copy, value->n, *copy, &length, &error);
    if (used && used < value->n) {
        length = used;
        error = "text behind the closing quote (a quote within is written \\\")";
    }
    if (error) {
        tr_text_print(&full, "%.*s.%.*s", tr_shown(section), section.at, tr_shown(key), key.at);
        int code = tr_fail_at(err, (tr_where){set_place, 0}, full.at, "character %zu: %s",
                              length + 1, error);
        tr_text_free(&full);
        return code;
    }
    *value = (tr_piece){*copy, length};
    return TR_OK;
}

int tr_doc_set(tr_doc *doc, const char *assignment, const char *const *lines, int n,
               tr_error *err) {
    tr_where where = {set_place, 0};
    const char *equals = strchr(assignment, '=');
    const char *dot = equals ? find_dot(doc, assignment, equals) : NULL;
    char *copy = NULL;
    if (!dot)
        return tr_fail_at(err, where, NULL, "'%s' is not of the form section.key=value",
                          assignment);
    tr_piece section = tr_strip(assignment, (size_t)(dot - assignment)),
             key = tr_strip(dot + 1, (size_t)(equals - dot - 1)),
             value = tr_strip(equals + 1, strlen(equals + 1));
    int code = check_names(section, key, where, err), number = tr_doc_find_section(doc, section);
    if (code == TR_OK && has_order(section, lines, n)) {
        tr_piece before = find_before(value);
        if (number < 0 && (value.n == 0 || before.n)) {
            return tr_fail_at(err, where, NULL, "there is no section [%.*s] with lines",
                              tr_shown(section), section.at);
        } else if (value.n == 0) {
            int i = tr_doc_find_pair(doc, number, key);
            if (i < 0) return fail_no_line(doc, number, key, "", key, err);
            tr_doc_remove_pair(doc, number, i);
            return TR_OK;
        } else if (before.n) {
            where.file = tr_doc_keep(doc, set_place, err);
            return where.file ? place_line(doc, number, key, value, before, where, err) : TR_ENOMEM;
        }
    }
    if (code == TR_OK) code = unquote(&value, section, key, &copy, err);
    if (code == TR_OK) code = put(doc, section, key, value, set_place, err);
    tr_free(copy);
    return code;
}
