/* The room `config`: an INI document as it was written, with the line of every word.
 *
 * A document knows sections, keys, values and places; it does not know what they mean. Meaning
 * comes from schemas (base/base.h) held by the rooms that use the values. Not thread-safe while
 * changed.
 */
#ifndef TR_CONFIG_H
#define TR_CONFIG_H

#include "base/base.h"

typedef struct tr_doc tr_doc;

/* Parse a file (an INI dialect: [section], key = value, ; or # comments on their own line or after
 * white space). Fails with file and line on a key outside a section, a line that is neither, a
 * repeated section or key, a line or name too long for the parser, a NUL byte, a file that is not
 * there or not text. */
int tr_doc_read(const char *path, tr_doc **out, tr_error *err);
/* The same from memory; `name` stands for the file in messages. */
int tr_doc_parse(const char *name, const char *text, size_t bytes, tr_doc **out, tr_error *err);
void tr_doc_free(tr_doc *doc);

/* Override or add one value: "section.key=value", as after --set. The place in messages is
 * "--set". The key may contain dots (network.layer1.0=...): the section ends at the first. */
int tr_doc_set(tr_doc *doc, const char *assignment, tr_error *err);
/* The same with the parts apart and another name for the place ("--epochs"). */
int tr_doc_put(tr_doc *doc, const char *section, const char *key, const char *value,
               const char *place, tr_error *err);

/* Sections in file order: their number and names. */
int tr_doc_n_sections(const tr_doc *doc);
const char *tr_doc_section_name(const tr_doc *doc, int i);
/* The pairs of a section in file order (NULL, *n = 0 when there is no such section) and the place
 * of its heading. The memory belongs to the document and stays valid until it is changed. */
const tr_pair *tr_doc_section(const tr_doc *doc, const char *section, int *n, tr_where *where);
/* One value of a section, or NULL. */
const tr_pair *tr_doc_find(const tr_doc *doc, const char *section, const char *key);
/* The file's name as given. */
const char *tr_doc_name(const tr_doc *doc);
/* Fails, naming the nearest, when the document has a section that is not in names[0..n). One of
 * several words is known by the first, where that is `heading`: "block basic width" by "block". */
int tr_doc_check_sections(const tr_doc *doc, const char *const *names, int n, const char *heading,
                          tr_error *err);

#endif
