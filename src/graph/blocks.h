/* Blocks: reusable parts of a network. Private to this room and its tests. */
#ifndef TR_BLOCKS_H
#define TR_BLOCKS_H

#include "config/config.h"

enum { TR_MAX_LINES = 4094 }; /* of a network, written out */

/* The lines of [network] with every block written out: a key is a layer's full name, a value its
 * class and arguments, and a place that of the line it comes from, in [network] or in a block. */
typedef struct tr_lines {
    int n;
    tr_pair *line;      /* [n]; keys and values belong to it */
    const char *output; /* name of the last line */
} tr_lines;

/* Fails at the line of the fault: a block without name or lines, of a layer's name or a name used
 * twice, arguments that are missing, unknown or given twice, blocks within themselves. Whether
 * from= names something is not looked at. */
int tr_lines_create(const tr_doc *doc, const tr_pair *network, int n, tr_lines *out, tr_error *err);
void tr_lines_free(tr_lines *lines);

#endif
