/* Errors and "did you mean".
 *
 * Owns the text of tr_error: always one line, printable, ended; the first failure stays. A message
 * that does not fit ends in "...". No state: thread-safe for distinct tr_error objects.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

const char *tr_error_meaning(int code) {
    static const struct {
        int code;
        const char *meaning;
    } table[] = {{TR_OK, "no error"},
#define X(name, value, meaning) {value, meaning},
                 TR_ERRORS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].code == code) return table[i].meaning;
    return "unknown error";
}

/* Append formatted text at `used`; returns the length that all of it would need. */
static size_t __attribute__((format(printf, 3, 0)))
append(tr_error *err, size_t used, const char *format, va_list args) {
    if (used >= TR_ERROR_TEXT) return used;
    int n = vsnprintf(err->text + used, TR_ERROR_TEXT - used, format, args);
    return n < 0 ? used : used + (size_t)n;
}

static size_t __attribute__((format(printf, 3, 4)))
append_text(tr_error *err, size_t used, const char *format, ...) {
    va_list args;
    va_start(args, format);
    used = append(err, used, format, args);
    va_end(args);
    return used;
}

/* Values come from files and command lines: whatever they hold, the message stays one line. */
static void finish(tr_error *err, size_t used) {
    if (used >= TR_ERROR_TEXT) memcpy(err->text + TR_ERROR_TEXT - 4, "...", 4);
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

int tr_fail(tr_error *err, int code, const char *format, ...) {
    if (!err || err->code != TR_OK) return code;
    va_list args;
    va_start(args, format);
    size_t used = append(err, 0, format, args);
    va_end(args);
    finish(err, used);
    err->code = code;
    return code;
}

int tr_fail_at(tr_error *err, tr_where where, const char *key, const char *format, ...) {
    if (!err || err->code != TR_OK) return TR_ECONFIG;
    size_t used = 0;
    err->text[0] = 0;
    if (where.file) used = append_text(err, used, "%s:", where.file);
    if (where.file && where.line > 0) used = append_text(err, used, "%d:", where.line);
    if (where.file) used = append_text(err, used, " ");
    if (key) used = append_text(err, used, "%s: ", key);
    va_list args;
    va_start(args, format);
    used = append(err, used, format, args);
    va_end(args);
    finish(err, used);
    err->code = TR_ECONFIG;
    return TR_ECONFIG;
}

enum { LONGEST_WORD = 64 }; /* longer words get no suggestion */

/* ASCII only and without the locale: names are ASCII, and "ReLU" should find "relu". */
static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Optimal string alignment distance: insert, delete, replace, swap neighbours; case is ignored. */
static int distance(const char *a, int a_len, const char *b, int b_len) {
    int rows[3][LONGEST_WORD + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (int j = 0; j <= b_len; j++) row[j] = j;
    for (int i = 1; i <= a_len; i++) {
        int *spare = before;
        before = above;
        above = row;
        row = spare;
        row[0] = i;
        for (int j = 1; j <= b_len; j++) {
            char x = lower(a[i - 1]), y = lower(b[j - 1]);
            int best = above[j - 1] + (x != y);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}

const char *tr_nearest(const char *word, const char *const *names, int n) {
    size_t word_len = strlen(word);
    if (word_len == 0 || word_len > LONGEST_WORD) return NULL;
    int limit = (int)tr_max(1, (int64_t)word_len / 3);
    const char *nearest = NULL;
    for (int i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        if (len > LONGEST_WORD) continue;
        int d = distance(word, (int)word_len, names[i], (int)len);
        /* Two words without a letter in common are not near, however short they are. */
        if (d > limit || d >= (int)(len > word_len ? len : word_len)) continue;
        nearest = names[i];
        limit = d - 1; /* only a nearer one replaces it */
        if (limit < 0) break;
    }
    return nearest;
}

int tr_fail_unknown(tr_error *err, tr_where where, const char *key, const char *what,
                    const char *word, const char *const *names, int n) {
    const char *near = tr_nearest(word, names, n);
    if (near) return tr_fail_at(err, where, key, "%s (did you mean '%s'?)", what, near);
    if (n == 0) return tr_fail_at(err, where, key, "%s, there is none", what);
    char list[TR_ERROR_TEXT];
    size_t used = 0;
    for (int i = 0; i < n && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, i ? ", %s" : "%s", names[i]);
    return tr_fail_at(err, where, key, "%s, allowed are %s", what, list);
}
