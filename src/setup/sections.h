/* Private to this module: the sections of a configuration, for parsing and help. */
#ifndef TR_SECTIONS_H
#define TR_SECTIONS_H

#include "base/base.h"

/* Their schemas (without classes' own keys) in the order of the file. */
typedef struct tr_section {
    const tr_schema *schema;         /* keys of its own, or NULL */
    const tr_schema *const *classes; /* what its `type` (or its lines) may name, or NULL */
    int n_classes;
    const char *kind; /* what those are called: "layer" */
    bool lines;       /* a line names a class (network, transforms), not `type` */
    const char *name, *help;
} tr_section;
int tr_sections(tr_section *out, int max);

#endif
