/* The words of a configuration: what may stand in a key, a heading and a value. Pure functions. */
#include "config/words.h"

#include <stdio.h>
#include <string.h>

tr_piece tr_strip(const char *at, size_t n) {
    while (n > 0 && tr_is_blank(*at)) at++, n--;
    while (n > 0 && tr_is_blank(at[n - 1])) n--;
    return (tr_piece){at, n};
}

int tr_column(const char *line, const char *at) {
    int column = 1;
    for (; line < at && column < INT32_MAX; line++) column += ((unsigned char)*line & 0xc0) != 0x80;
    return column;
}

/* ---- values ---- */

static bool is_mark(char c) {
    return c == ';' || c == '#';
}

static tr_scan fail_scan(const char *error, size_t at) {
    return (tr_scan){.error = error, .at = at};
}

/* A comment text[i..n) behind a value or nothing at all. */
static const char *check_comment(const char *text, size_t i, size_t n) {
    if (i < n && text[n - 1] == '\\')
        return "the line ends in '\\', but in a comment: put it before the comment's line";
    return NULL;
}

static tr_scan scan_quoted(const char *text, size_t n) {
    size_t length;
    const char *error;
    size_t end = tr_unquote(text, n, NULL, &length, &error);
    if (end == 0) return fail_scan(error, length);
    size_t i = end;
    while (i < n && tr_is_blank(text[i])) i++;
    if (i < n && (!is_mark(text[i]) || i == end))
        return fail_scan("text behind the closing quote (a quote within is written \\\")", i);
    error = check_comment(text, i, n);
    if (error) return fail_scan(error, i);
    return (tr_scan){.value = {text, end}, .quoted = true};
}

tr_scan tr_scan_value(const char *text, size_t n, bool first) {
    static const char start[] =
        "the value begins with what begins a comment: write it in quotes, or \"\" for none";
    static const char either[] = "comment or value? Put white space behind the mark for a comment, "
                                 "quotes around the value if it belongs to it";
    static const char stray[] =
        "a quote within a value: put the whole in quotes, a quote within as \\\"";
    size_t i = 0;
    if (first && n > 0 && text[0] == '"') return scan_quoted(text, n);
    for (; i < n; i++) {
        if (text[i] == '"') {
            size_t length;
            const char *error;
            if (i == 0 || text[i - 1] != '=') return fail_scan(stray, i);
            size_t used = tr_unquote(text + i, n - i, NULL, &length, &error);
            if (used == 0) return fail_scan(error, i + length);
            i += used - 1;
            if (i + 1 < n && !tr_is_blank(text[i + 1]))
                return fail_scan("text behind the closing quote (a quote within is written \\\")",
                                 i + 1);
        } else if (is_mark(text[i]) && (i == 0 || tr_is_blank(text[i - 1]))) {
            if (i == 0) return fail_scan(start, i);
            if (i + 1 < n && !tr_is_blank(text[i + 1]) && !is_mark(text[i + 1]))
                return fail_scan(either, i);
            break;
        }
    }
    tr_piece value = tr_strip(text, i);
    const char *error = check_comment(text, i, n);
    if (error) return fail_scan(error, i);
    bool ends = value.n > 0 && value.at[value.n - 1] == '\\';
    if (ends && value.at + value.n != text + n)
        return fail_scan("'\\' at the end of a value goes on with the next line, and must be the "
                         "last character of its own (in quotes it is written \\\\)",
                         (size_t)(value.at - text) + value.n - 1);
    if (ends) value = tr_strip(value.at, value.n - 1);
    return (tr_scan){.value = value, .more = ends};
}

static bool is_plain(const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t length = text[i] == '\t' ? 1 : tr_plain_length(text + i, n - i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}

void tr_doc_write_value(tr_text *out, const char *value) {
    size_t n = strlen(value);
    tr_piece stripped = tr_strip(value, n);
    tr_scan scan = tr_scan_value(value, n, true);
    if (stripped.n == n && is_plain(value, n) && !scan.error && !scan.quoted && !scan.more &&
        scan.value.n == n)
        tr_text_add(out, value, n);
    else
        tr_text_quote(out, value);
}

void tr_doc_write_pair(tr_text *out, const char *name, tr_text *value) {
    tr_text_print(out, "%s = ", name);
    if (value->failed)
        out->failed = true;
    else
        tr_doc_write_value(out, value->n ? value->at : "");
    tr_text_add(out, "\n", 1);
    tr_text_free(value);
}

int tr_doc_write_args(tr_text *out, const tr_schema *schema, const void *args, tr_error *err) {
    for (int k = 0; k < schema->n_keys; k++) {
        const tr_key *key = &schema->keys[k];
        if (key->type == TR_KEY_ANY) continue;
        tr_text value = {0};
        tr_args_format(key, args, &value);
        if (key->type == TR_KEY_PATH && value.n) {
            char *whole = tr_absolute_path(value.at, err);
            if (!whole) {
                tr_text_free(&value);
                return err ? err->code : TR_EIO;
            }
            tr_text_free(&value);
            tr_text_add(&value, whole, strlen(whole));
            tr_free(whole);
        }
        tr_doc_write_pair(out, key->name, &value);
    }
    return TR_OK;
}

/* ---- keys and headings ---- */

int tr_check_text(tr_piece p, const char *line, tr_where where, tr_error *err) {
    for (size_t i = 0; i < p.n;) {
        unsigned char c = (unsigned char)p.at[i];
        size_t length = tr_utf8_length(p.at + i, p.n - i);
        bool control = (c < 0x20 && c != '\t') || c == 0x7f;
        if (length && !control) {
            i += length;
            continue;
        }
        int column = tr_column(line, p.at + i);
        if (c == 0)
            return tr_fail_at(err, where, NULL, "column %d: a NUL byte, this is not text", column);
        if (control)
            return tr_fail_at(err, where, NULL, "column %d: the control character 0x%02x", column,
                              c);
        return tr_fail_at(err, where, NULL,
                          "column %d: the byte 0x%02x is not UTF-8 (in quotes it is written "
                          "\\x%02x)",
                          column, c, c);
    }
    return TR_OK;
}

/* `what` is "key" or "section name"; none[] may not stand in it. */
static int check_word(tr_piece word, const char *what, const char *none, tr_where where,
                      tr_error *err) {
    if (word.n == 0) return tr_fail_at(err, where, NULL, "the %s is missing", what);
    for (size_t i = 0; i < word.n; i++)
        if (strchr(none, word.at[i]))
            return tr_fail_at(err, where, NULL, "'%.*s' is not a %s, it holds a '%c'",
                              tr_shown(word), word.at, what, word.at[i]);
    return TR_OK;
}

int tr_check_key(tr_piece key, tr_where where, tr_error *err) {
    for (size_t i = 0; i < key.n; i++)
        if (tr_is_blank(key.at[i]))
            return tr_fail_at(err, where, NULL, "'%.*s' is not a key, a key is one word",
                              tr_shown(key), key.at);
    return check_word(key, "key", "=:[];#\"\\", where, err);
}

int tr_check_section_name(tr_piece name, tr_where where, tr_error *err) {
    return check_word(name, "section name", "[];#\"\\", where, err);
}
