/* The values of a block's keys in the text of its lines. Private to this module. */
#ifndef TR_FILL_H
#define TR_FILL_H

#include "base/base.h"

/* The letters, digits and '_' (of ASCII, whatever the locale) that a text begins with. */
static inline size_t tr_word_length(const char *text) {
    return strspn(text, "0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

/* What the keys of a block stand for in one use of it. */
typedef struct tr_values {
    const tr_schema *keys; /* all of them TR_KEY_STRING */
    const void *args;
    tr_places given; /* where the values were written; given.where: the defaults */
} tr_values;

/* `text` with $key and ${key} replaced by the key's value, ${key*4} by what that is, and $$ by $.
 * It stands in a line at *where that messages call `name`; *where becomes the place of the last
 * value that went in. In `memory`, or `text` itself; NULL with an error, also where it is longer
 * than `most`. */
const char *tr_fill(const tr_values *values, const char *text, const char *name, size_t most,
                    tr_arena *memory, tr_where *where, tr_error *err);

#endif
