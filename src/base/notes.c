/* Notes: messages about what is valid but may be a mistake.
 *
 * Owns the texts of a tr_notes: each is one printable line of any length, and none is there twice.
 * A note for which there is no memory is left out: it is no reason to fail. One thread at a time.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

void tr_note(tr_notes *notes, const char *format, ...) {
    if (notes == NULL) return;
    tr_text raw = {0}, plain = {0};
    va_list args;
    va_start(args, format);
    tr_text_vprint(&raw, format, args);
    va_end(args);
    if (raw.n) tr_text_add_plain(&plain, raw.at, raw.n);
    plain.failed |= raw.failed;
    tr_text_free(&raw);
    char *line = tr_text_take(&plain, NULL);
    if (line == NULL) return;
    for (int i = 0; i < notes->n; i++) {
        if (strcmp(notes->text[i], line) != 0) continue;
        tr_free(line);
        return;
    }
    char **more = tr_alloc((size_t)notes->n + 1, sizeof *more, NULL);
    if (more == NULL) {
        tr_free(line);
        return;
    }
    if (notes->n) memcpy(more, notes->text, (size_t)notes->n * sizeof *more);
    tr_free(notes->text);
    notes->text = more;
    notes->text[notes->n++] = line;
}

void tr_notes_free(tr_notes *notes) {
    for (int i = 0; i < notes->n; i++) tr_free(notes->text[i]);
    tr_free(notes->text);
    *notes = (tr_notes){0};
}
