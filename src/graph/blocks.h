/* Blocks: reusable parts of a network. Private to this module and its tests. */
#ifndef TR_BLOCKS_H
#define TR_BLOCKS_H

#include "config/config.h"

enum {
    TR_MAX_LINES = 4094,  /* of a network, written out */
    TR_MAX_LINE_ARGS = 32 /* of one of them */
};

typedef struct tr_line { /* a layer: name = class key=value ... from=... */
    const char *name;    /* in full */
    const char *class;   /* NULL: the line names none */
    const tr_pair *args; /* a value's place is that of the line which wrote it */
    int n_args;
    const char *from; /* names in full, with commas; NULL: the line above */
    tr_where where;   /* of the line, in [network] or in a block */
} tr_line;

/* The lines of [network] with every block written out. */
typedef struct tr_lines {
    int n;
    tr_line *line;      /* [n] */
    const char *output; /* name of the last line */
    tr_arena memory;    /* that all of it lives in */
} tr_lines;

/* Fails at the line of the fault: a block without name or lines, of a layer's name or a name used
 * twice, arguments that are missing, unknown or given twice, blocks within themselves. Whether
 * from= names something is not looked at. */
int tr_lines_create(const tr_doc *doc, const tr_pair *network, int n, tr_lines *out, tr_error *err);
void tr_lines_free(tr_lines *lines);

#endif
