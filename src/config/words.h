/* Private to this module: what lines and the command line have in common. */
#ifndef TR_WORDS_H
#define TR_WORDS_H

#include "config/config.h"

/* A piece of a text. */
typedef struct tr_piece {
    const char *at;
    size_t n;
} tr_piece;

static inline bool tr_is_blank(char c) {
    return c == ' ' || c == '\t';
}
tr_piece tr_strip(const char *at, size_t n);
/* For "%.*s": a message is cut far below this. */
static inline int tr_shown(tr_piece p) {
    return (int)tr_min((int64_t)p.n, TR_ERROR_TEXT);
}

/* A value, or a piece of one, as it stands at the end of a line. */
typedef struct tr_scan {
    tr_piece value;    /* without what does not belong to it; quotes are still there */
    bool quoted;       /* the whole value is a quoted word */
    bool more;         /* it ended in `\`: the next line goes on */
    const char *error; /* what is wrong, or NULL, ... */
    size_t at;         /* ... and where */
} tr_scan;
/* text[0..n) without white space at its start. first: no piece of the value stands before it. */
tr_scan tr_scan_value(const char *text, size_t n, bool first);

int tr_check_text(tr_piece p, const char *line, tr_where where, tr_error *err);
int tr_check_key(tr_piece key, tr_where where, tr_error *err);
int tr_check_section_name(tr_piece name, tr_where where, tr_error *err);
/* The number, from 1, of the character at `at` in its line. */
int tr_column(const char *line, const char *at);

/* ---- the document, for those who fill it ---- */

/* The number of a section, or -1; by its name, or by its first two words with a dot between. */
int tr_doc_find_section(const tr_doc *doc, tr_piece name);
/* Add a section, with single blanks between words. Returns 1 where there is one of that name (or of
 * its first two words): then *section is that. */
int tr_doc_add_section(tr_doc *doc, tr_piece name, tr_where where, int *section, tr_error *err);
/* The number of a pair in its section, or -1. */
int tr_doc_find_pair(const tr_doc *doc, int section, tr_piece key);
const tr_pair *tr_doc_pair(const tr_doc *doc, int section, int i);
/* Set a key that is there or add it. */
int tr_doc_put_pair(tr_doc *doc, int section, tr_piece key, tr_piece value, tr_where where,
                    tr_error *err);
void tr_doc_remove_pair(tr_doc *doc, int section, int i);
/* Put pair `from` at the place `to`. */
void tr_doc_move_pair(tr_doc *doc, int section, int from, int to);
int tr_doc_create(const char *name, tr_doc **out, tr_error *err);
/* A copy that lives as long as the document. */
const char *tr_doc_keep(tr_doc *doc, const char *text, tr_error *err);

#endif
