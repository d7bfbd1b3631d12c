/* Text of any length: a buffer that grows, strings that share memory, and quotes.
 *
 * A quoted word is "...", and in it \" \\ \n and \xNN stand for bytes: that is how a configuration
 * holds what it could not hold as it is. No state: thread-safe for distinct objects.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* ---- a buffer that grows ---- */

/* Reserve `more` bytes and an end. */
static bool reserve(tr_text *text, size_t more) {
    size_t needed, capacity;
    if (text->failed) return false;
    text->failed = true;
    if (!tr_add(text->n, more, &needed) || !tr_add(needed, 1, &needed)) return false;
    if (needed > text->capacity) {
        if (!tr_mul(needed, 2, &capacity)) return false;
        char *moved = tr_alloc((size_t)tr_max((int64_t)capacity, 64), 1, NULL);
        if (!moved) return false;
        if (text->n) memcpy(moved, text->at, text->n);
        tr_free(text->at);
        text->at = moved;
        text->capacity = (size_t)tr_max((int64_t)capacity, 64);
    }
    text->failed = false;
    return true;
}

void tr_text_add(tr_text *text, const char *more, size_t n) {
    if (!reserve(text, n)) return;
    if (n) memcpy(text->at + text->n, more, n);
    text->n += n;
    text->at[text->n] = '\0';
}

void tr_text_vprint(tr_text *text, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n >= 0 && reserve(text, (size_t)n)) {
        vsnprintf(text->at + text->n, (size_t)n + 1, format, again);
        text->n += (size_t)n;
    }
    va_end(again);
}

void tr_text_print(tr_text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    tr_text_vprint(text, format, args);
    va_end(args);
}

char *tr_text_take(tr_text *text, tr_error *err) {
    if (text->n == 0) tr_text_add(text, "", 0);
    if (text->failed) {
        tr_text_free(text);
        tr_fail(err, TR_ENOMEM, "out of memory");
        return NULL;
    }
    char *taken = text->at;
    *text = (tr_text){0};
    return taken;
}

void tr_text_free(tr_text *text) {
    tr_free(text->at);
    *text = (tr_text){0};
}

/* ---- strings that live and die together ---- */

enum { ARENA_CHUNK = 64 * 1024 };

struct tr_arena_chunk {
    struct tr_arena_chunk *before;
};

void *tr_arena_alloc(tr_arena *arena, size_t bytes, tr_error *err) {
    const size_t unit = sizeof(max_align_t), head = sizeof(max_align_t);
    size_t needed;
    if (!tr_add(bytes, unit - 1, &needed)) needed = SIZE_MAX;
    needed -= needed % unit;
    if (needed > arena->left) {
        /* The first chunks are small, for the many arenas that hold a few words. */
        size_t chunk = (size_t)tr_max(tr_min((int64_t)arena->total + 512, ARENA_CHUNK), 0), whole;
        if (chunk < needed) chunk = needed;
        if (!tr_add(chunk, head, &whole)) whole = SIZE_MAX;
        struct tr_arena_chunk *new = tr_alloc(whole, 1, err);
        if (!new) return NULL;
        new->before = arena->last;
        arena->last = new;
        arena->next = (char *)new + head;
        arena->left = chunk;
        arena->total += chunk;
    }
    void *place = arena->next;
    arena->next += needed;
    arena->left -= needed;
    return place;
}

char *tr_arena_copy(tr_arena *arena, const char *text, size_t n, tr_error *err) {
    char *copy = tr_arena_alloc(arena, n + 1, err);
    if (copy && n) memcpy(copy, text, n);
    return copy;
}

void tr_arena_free(tr_arena *arena) {
    struct tr_arena_chunk *chunk = arena->last;
    while (chunk) {
        struct tr_arena_chunk *before = chunk->before;
        tr_free(chunk);
        chunk = before;
    }
    *arena = (tr_arena){0};
}

/* ---- quotes ---- */

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

size_t tr_unquote(const char *at, size_t n, char *out, size_t *length, const char **error) {
    size_t used = 0, i = 1;
    *error = NULL;
    while (i < n && at[i] != '"') {
        char c = at[i++];
        if (c == '\\') {
            char kind = i < n ? at[i++] : '\0';
            if (kind == '"' || kind == '\\') {
                c = kind;
            } else if (kind == 'n') {
                c = '\n';
            } else if (kind == 'x' && i + 2 <= n && hex(at[i]) >= 0 && hex(at[i + 1]) >= 0) {
                c = (char)(16 * hex(at[i]) + hex(at[i + 1]));
                i += 2;
                if (c == '\0') *error = "\\x00 would end the text";
            } else {
                *error = "after '\\' in quotes stands one of \\\" \\\\ \\n \\xNN";
            }
            if (*error) {
                *length = i - 1;
                return 0;
            }
        }
        if (out) out[used] = c;
        used++;
    }
    *length = used;
    if (i < n) return i + 1;
    *error = "the quote has no end on this line";
    *length = 0;
    return 0;
}

/* The first character of at[0..n), plain; returns its bytes. */
static size_t add_plain(tr_text *text, const char *at, size_t n) {
    size_t length = tr_plain_length(at, n);
    if (length)
        tr_text_add(text, at, length);
    else if (*at == '\n')
        tr_text_add(text, "\\n", 2);
    else
        tr_text_print(text, "\\x%02x", (unsigned char)*at);
    return length ? length : 1;
}

void tr_text_add_plain(tr_text *text, const char *more, size_t n) {
    for (size_t i = 0; i < n;) i += add_plain(text, more + i, n - i);
}

void tr_text_quote(tr_text *text, const char *value) {
    size_t n = strlen(value);
    tr_text_add(text, "\"", 1);
    for (size_t i = 0; i < n;) {
        if (value[i] == '"' || value[i] == '\\')
            tr_text_print(text, "\\%c", value[i++]);
        else
            i += add_plain(text, value + i, n - i);
    }
    tr_text_add(text, "\"", 1);
}

/* ---- numbers for display ---- */

char *tr_format_bytes(int64_t bytes, char *out) {
    static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double size = fabs((double)bytes);
    if (size < 1024) {
        snprintf(out, 32, "%d B", (int)bytes);
        return out;
    }
    int u = 0;
    size /= 1024;
    /* The limit is what "%.0f" would print as 1024. */
    for (; size >= 1023.5 && u < 5; u++) size /= 1024;
    /* Three digits or one decimal, whichever says more. */
    snprintf(out, 32, "%s%.*f %s", bytes < 0 ? "-" : "", size < 99.95 ? 1 : 0, size, unit[u]);
    return out;
}
