/* All keys of a configuration, from the schemas that parse it. */
#include "setup/sections.h"
#include "setup/setup.h"

static void visit_schema(const tr_section *section, const tr_schema *schema, bool is_class,
                         void (*visit)(const tr_key_place *place, void *arg), void *arg) {
    for (int i = 0; i < schema->n_keys; i++) {
        const tr_key *key = &schema->keys[i];
        const tr_key_place place = {section->name, key->name, is_class ? schema->name : NULL,
                                    is_class && section->lines, key->type == TR_KEY_BOOL};
        visit(&place, arg);
    }
}

void tr_each_key(void (*visit)(const tr_key_place *place, void *arg), void *arg) {
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_section *section = &tr_sections[i];
        const tr_registry *classes = section->classes;
        if (classes && !section->lines)
            visit(&(tr_key_place){section->name, "type", NULL, false, false}, arg);
        if (section->schema) visit_schema(section, section->schema, false, visit, arg);
        for (int k = 0; classes && k < classes->n; k++)
            visit_schema(section, classes->schemas[k], true, visit, arg);
    }
}
