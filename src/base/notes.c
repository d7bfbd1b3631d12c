/* Notes: messages about what is valid but may be a mistake.
 *
 * Owns the texts of a tr_notes: each is one printable line, as an error is, and none is there
 * twice. A note for which there is no memory is left out: it is no reason to fail. One thread at a
 * time.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

void tr_note(tr_notes *notes, const char *format, ...) {
    if (notes == NULL) return;
    char text[TR_ERROR_TEXT + 1]; /* one more, so that tr_fail sees what does not fit */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tr_error one_line = {0};
    if (n >= 0) tr_fail(&one_line, TR_EIO, "%s", text);
    char *line = tr_strdup(one_line.text, NULL);
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
