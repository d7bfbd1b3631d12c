/* Manual pages for man: the macros of man(7), as groff and mandoc read them. */
#include <ctype.h>
#include <string.h>

#include "report/report.h"
#include "trainer/trainer.h"

enum { WIDTH = 78 };

/* Text that stays text. A '-' that is one is not hyphenated, and can be copied. */
static void add_text(tr_text *out, const char *text) {
    for (const char *c = text; *c; c++) {
        const char *as = *c == '\\'   ? "\\e"
                         : *c == '-'  ? "\\-"
                         : *c == '\'' ? "\\(aq"
                         : *c == '`'  ? "\\(ga"
                         : *c == '^'  ? "\\(ha"
                         : *c == '~'  ? "\\(ti"
                         : *c == '"'  ? "\\(dq"
                                      : NULL;
        if (as)
            tr_text_print(out, "%s", as);
        else
            tr_text_add(out, c, 1);
    }
}

/* In lines, none of which begins as a request would: with a dot. (Quotes are escaped.) */
static void wrapped(tr_manual *m, const char *text) {
    tr_text escaped = {0};
    add_text(&escaped, text);
    for (char *at = escaped.n ? escaped.at : NULL; at && *at;) {
        size_t n = strlen(at), cut = n;
        if (n > WIDTH) {
            for (cut = WIDTH; cut > 0 && at[cut] != ' '; cut--) continue;
            if (cut == 0) cut = strcspn(at, " ");
        }
        tr_manual_print(m, "%s%.*s", *at == '.' ? "\\&" : "", (int)cut, at);
        at += cut + strspn(at + cut, " ");
    }
    tr_text_free(&escaped);
}

/* A macro with the text as its only argument. */
static void macro(tr_manual *m, const char *name, const char *text) {
    tr_text line = {0};
    tr_text_print(&line, "%s \"", name);
    add_text(&line, text);
    tr_text_add(&line, "\"", 1);
    tr_manual_line(m, &line);
}

static void title(tr_manual *m, const char *name, int section, const char *what) {
    tr_text upper = {0}, line = {0};
    for (const char *c = name; *c; c++) tr_text_print(&upper, "%c", toupper((unsigned char)*c));
    tr_manual_print(m, ".TH \"%s\" \"%d\" \"\" \"trainer %s\" \"trainer\"", upper.n ? upper.at : "",
                    section, tr_version());
    tr_manual_print(m, ".nr HY 0"); /* no hyphenation, lines of their natural length */
    tr_manual_print(m, ".ad l");
    tr_manual_print(m, ".SH NAME");
    add_text(&line, name);
    tr_text_print(&line, " \\- ");
    add_text(&line, what);
    tr_manual_line(m, &line);
    tr_text_free(&upper);
}

static void heading(tr_manual *m, int level, const char *text, const char *note) {
    tr_text whole = {0};
    tr_text_print(&whole, "%s", text);
    if (note) tr_text_print(&whole, " (%s)", note);
    /* Headings in capitals are the custom; the name of a section is written as it is. */
    if (level == 1 && *text != '[')
        for (size_t i = 0; i < whole.n; i++)
            whole.at[i] = (char)toupper((unsigned char)whole.at[i]);
    macro(m, level == 1 ? ".SH" : ".SS", whole.n ? whole.at : "");
    m->headed = true;
    tr_text_free(&whole);
}

/* Behind a heading a paragraph begins by itself. */
static void begin_paragraph(tr_manual *m) {
    if (!m->headed) tr_manual_print(m, ".PP");
    m->headed = false;
}

static void paragraph(tr_manual *m, const char *text) {
    begin_paragraph(m);
    wrapped(m, text);
}

static void example(tr_manual *m, const char *const *lines, int n) {
    begin_paragraph(m);
    tr_manual_print(m, ".nf");
    for (int i = 0; i < n; i++) {
        tr_text escaped = {0};
        tr_text_print(&escaped, "%s", *lines[i] == '.' ? "\\&" : "");
        add_text(&escaped, lines[i]);
        tr_manual_line(m, &escaped);
    }
    tr_manual_print(m, ".fi");
}

static void list(tr_manual *m, bool values) {
    m->values = values;
    m->headed = false;
}

static void entry(tr_manual *m, const tr_entry *e) {
    tr_text line = {0};
    tr_manual_print(m, ".TP");
    tr_text_print(&line, "\\fB");
    add_text(&line, e->name);
    tr_text_print(&line, "\\fR");
    bool needed = m->values && e->fallback == NULL, shown = e->fallback && *e->fallback;
    if (e->rule || needed || shown) {
        tr_text_print(&line, " (");
        if (e->rule) add_text(&line, e->rule);
        if (e->rule && (needed || shown)) tr_text_print(&line, "; ");
        if (needed) tr_text_print(&line, "must be given");
        if (shown) {
            tr_text_print(&line, "default ");
            add_text(&line, e->fallback);
        }
        tr_text_print(&line, ")");
    }
    tr_manual_line(m, &line);
    wrapped(m, e->help);
}

/* The address may be broken behind each slash. */
static void see(tr_manual *m, const char *label, const char *address) {
    tr_text line = {0};
    begin_paragraph(m);
    tr_text_print(&line, ".UR ");
    for (const char *c = address; *c; c++) tr_text_print(&line, *c == '/' ? "%c\\:" : "%c", *c);
    tr_manual_line(m, &line);
    wrapped(m, label);
    tr_manual_print(m, ".UE");
}

const tr_manual_format tr_manual_roff = {title, heading, paragraph, example, list, entry, see};
