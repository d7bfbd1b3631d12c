/* The module `config`: an INI document as it was written, with the line of every word.
 *
 * A document holds sections, keys, values and their lines, not what they mean. Meaning
 * comes from schemas (base/base.h) held by the modules that use the values. Not thread-safe while
 * changed.
 *
 * The text. A line is `[section]`, `key = value`, a comment (; or # first, after any white space),
 * or blank. Before the first section may stand lines `include = FILE`.
 *  - A value goes on in the next line where that is indented, or where the line ends in `\`; the
 *    pieces are joined by one blank. An indented line after a heading, a blank line or nothing is
 *    an error, and so is one that looks like a heading or `key = value`.
 *  - A value may be in double quotes: "..." with \" \\ \n and \xNN (bytes, no NUL). Behind the
 *    closing quote stands nothing but a comment.
 *  - Without quotes a value ends at a ; or # that has white space on both sides. One that begins
 *    the value, or has white space before it only, is an error: comment or value, that must be
 * said.
 *  - In a value without quotes a " stands only behind a `=`, as in `conv = CLASS key="a b"`: up to
 *    the closing quote everything belongs to the value, which keeps the quotes; tr_args_split takes
 *    them off.
 *  - Text is UTF-8 without control characters; other bytes are written \xNN in quotes.
 */
#ifndef TR_CONFIG_H
#define TR_CONFIG_H

#include "base/base.h"

typedef struct tr_doc tr_doc;

/* Read a file and what it includes. A file's own values win over those of what it includes, a later
 * include over an earlier one. Fails with file and line on what is none of the above, a key before
 * the first section, a section or key twice in one file, files that include each other, a file that
 * is not there or not text. */
int tr_doc_read(const char *path, tr_doc **out, tr_error *err);
/* The same from memory; `name` stands for the file in messages. It cannot include files. */
int tr_doc_parse(const char *name, const char *text, size_t bytes, tr_doc **out, tr_error *err);
void tr_doc_free(tr_doc *doc);

/* Put all that `over` has into doc, over what is there. A pair that is there keeps its place in its
 * section; a heading "block basic" is also that of a block with arguments, which it keeps. */
int tr_doc_merge(tr_doc *doc, const tr_doc *over, tr_error *err);

/* Override or add one value, as after --set: "section.key=value", where the place in messages is
 * "--set". The section is the longest that the document has before a dot (network.layer1.0=...,
 * block.basic.conv1=...), else what stands before the first dot. A value in quotes loses them; any
 * other is taken as it is, without the white space around it.
 * In the sections lines[0..n) and those headed by such a word ("block basic") order counts: there
 * an empty value removes the line, and a word `before=KEY` puts it before the line KEY. */
int tr_doc_set(tr_doc *doc, const char *assignment, const char *const *lines, int n, tr_error *err);
/* One value as it is, whatever its bytes; `place` stands for the file in messages ("--epochs"). */
int tr_doc_put(tr_doc *doc, const char *section, const char *key, const char *value,
               const char *place, tr_error *err);

/* Sections in file order: their number and names. */
int tr_doc_n_sections(const tr_doc *doc);
const char *tr_doc_section_name(const tr_doc *doc, int i);
/* The pairs of a section in file order (NULL, *n = 0 when there is no such section) and the place
 * of its heading. The memory belongs to the document and stays valid until it is changed. A section
 * of several words is called by the first two: "block.basic" for [block basic width]. */
const tr_pair *tr_doc_section(const tr_doc *doc, const char *section, int *n, tr_where *where);
/* The same for tr_fail_between. */
tr_places tr_doc_places(const tr_doc *doc, const char *section);
/* One value of a section, or NULL. */
const tr_pair *tr_doc_find(const tr_doc *doc, const char *section, const char *key);
/* A section whose key `type` names a class of the registry and whose other keys are its arguments:
 * tr_class_parse. fallback: the class where there is no type, or NULL: that is an error. */
int tr_doc_parse_class(const tr_doc *doc, const char *section, const tr_registry *registry,
                       const char *fallback, int *index, void **args, tr_error *err);
/* The (first) file's name as given. */
const char *tr_doc_name(const tr_doc *doc);
/* Fails, naming the nearest, when the document has a section that is not in names[0..n). One of
 * several words is known by the first, where that is `heading`: "block basic width" by "block". */
int tr_doc_check_sections(const tr_doc *doc, const char *const *names, int n, const char *heading,
                          tr_error *err);

/* A value as one writes it in a file: in quotes where it must be. */
void tr_doc_write_value(tr_text *out, const char *value);
/* "name = value" and the end of the line. Frees `value`. */
void tr_doc_write_pair(tr_text *out, const char *name, tr_text *value);
/* A line "key = value" for each key of a section: every value, paths from the root on. */
int tr_doc_write_args(tr_text *out, const tr_schema *schema, const void *args, tr_error *err);

#endif
