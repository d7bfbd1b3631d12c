/* Errors.
 *
 * Owns the text of tr_error: always one line of printable UTF-8, ended; the first failure stays. A
 * message that does not fit ends in "...". No state: thread-safe for distinct tr_error objects.
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

/* Values come from files and command lines: whatever they hold, the message stays one line that a
 * terminal shows, with \n and \xNN for what it would not. */
static void finish(tr_error *err, size_t used) {
    char raw[TR_ERROR_TEXT];
    bool cut = used >= TR_ERROR_TEXT;
    size_t n = strlen(err->text), at = 0, out = 0;
    memcpy(raw, err->text, n + 1);
    while (at < n) {
        char piece[8];
        size_t length = tr_plain_length(raw + at, n - at), bytes = length;
        if (length == 0 && cut && n - at < 4 && (unsigned char)raw[at] >= 0xc0)
            break; /* a character of which the end is missing */
        if (length)
            memcpy(piece, raw + at, length);
        else if (raw[at] == '\n')
            bytes = (size_t)snprintf(piece, sizeof piece, "\\n");
        else
            bytes = (size_t)snprintf(piece, sizeof piece, "\\x%02x", (unsigned char)raw[at]);
        if (out + bytes >= TR_ERROR_TEXT) {
            cut = true;
            break;
        }
        memcpy(err->text + out, piece, bytes);
        out += bytes;
        at += length ? length : 1;
    }
    if (cut) { /* space for the dots, at the end of a character */
        if (out > TR_ERROR_TEXT - 4) {
            out = TR_ERROR_TEXT - 4;
            while (out > 0 && ((unsigned char)err->text[out] & 0xc0) == 0x80) out--;
        }
        memcpy(err->text + out, "...", 3);
        out += 3;
    }
    err->text[out] = '\0';
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
