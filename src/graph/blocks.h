/* Blocks: reusable parts of a network. Private to this module and its tests. */
#ifndef TR_BLOCKS_H
#define TR_BLOCKS_H

#include "config/config.h"
#include "ops/ops.h"

typedef struct tr_line { /* a layer */
    const char *name;    /* in full */
    const tr_op *op;
    void *args;      /* as op->schema says; whoever takes them leaves NULL here */
    tr_places given; /* the arguments as written; given.where: the line in [network] or a block */
    int n_inputs;
    const int *input; /* the lines that make the values it reads, from 1; 0: the network's input */
} tr_line;

/* The lines of [network] with every block expanded. */
typedef struct tr_lines {
    int n;
    tr_line *line;   /* [n]; line i has the number i + 1 */
    tr_arena memory; /* of all names, pairs and inputs */
} tr_lines;

/* Fails at the line of the error: a block without name or lines, or of a layer's name; a layer or
 * block that is not there; arguments that are unknown, missing, given twice or of no sense; a name
 * that is none, or used twice; a from= that names nothing above; blocks within themselves. */
int tr_lines_create(const tr_doc *doc, const tr_pair *network, int n, tr_lines *out, tr_error *err);
void tr_lines_free(tr_lines *lines);

#endif
