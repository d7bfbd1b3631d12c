/* Private to this module: the sections of a configuration, for parsing and help. */
#ifndef TR_SECTIONS_H
#define TR_SECTIONS_H

#include "base/base.h"
#include "config/config.h"

typedef struct tr_section {
    const char *name;
    const char *help;           /* NULL: that of its schema */
    const tr_schema *schema;    /* keys of its own, or NULL */
    const tr_registry *classes; /* what its `type`, or its lines, may name, or NULL */
    bool lines;                 /* lines name a class (network, transforms), not `type` */
} tr_section;
enum { TR_N_SECTIONS = 11 };
extern const tr_section tr_sections[TR_N_SECTIONS];

extern const tr_schema tr_train_schema, tr_engine_schema, tr_run_schema;

/* Fails at a section that is none, at a key that its section does not have, but another one, and at
 * a type from the command line that does not go with a key of the file. */
int tr_sections_check(const tr_doc *doc, tr_error *err);

#endif
