/* Private to this module: the sections of a configuration, for parsing and help. */
#ifndef TR_SECTIONS_H
#define TR_SECTIONS_H

#include "base/base.h"
#include "config/config.h"
#include "report/report.h"

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

/* Words of the grammar that no schema holds (manual.c). */
typedef struct tr_grammar_word {
    const char *word, *place, *help;
} tr_grammar_word;
enum { TR_N_GRAMMAR = 3 };
extern const tr_grammar_word tr_grammar[TR_N_GRAMMAR];

/* Classes that keys name in their values, NAME(key=value, ...). */
typedef struct tr_value {
    const char *key; /* such a key: "weight_init" */
    const tr_registry *classes;
    const char *help;
} tr_value;
enum { TR_N_VALUES = 1 };
extern const tr_value tr_values[TR_N_VALUES];

/* Parts of a manual page: "integer, 1 to 1024, or auto"; a class; an initial value; a
 * section with its classes. */
void tr_key_rule(const tr_key *key, tr_text *out);
void tr_manual_class(tr_manual *m, const tr_section *section, const tr_schema *schema, int level);
void tr_manual_value(tr_manual *m, const tr_value *value, const tr_schema *schema, int level);
void tr_manual_section(tr_manual *m, const tr_section *section, int level);

/* Fails at a section that is none, at a key that its section does not have, but another one, and at
 * a type from the command line that does not go with a key of the file. */
int tr_sections_check(const tr_doc *doc, tr_error *err);

#endif
