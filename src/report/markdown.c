/* Manual pages in Markdown (GitHub's, for its tables). */
#include <string.h>

#include "report/report.h"

enum { WIDTH = 100 };

static bool is_blank(char c) {
    return c == ' ' || c == '\0';
}

/* Text that stays text: what would begin markup has a backslash. An underscore begins some at the
 * edge of a word only; '-', '+', '#' and '>' at the start of a line only, where no sentence has
 * them. */
static void add_text(tr_text *out, const char *text) {
    for (const char *c = text; *c; c++) {
        bool edge = c == text || is_blank(c[-1]) || is_blank(c[1]);
        if (strchr("\\`*<|~", *c) || (*c == '_' && edge)) tr_text_add(out, "\\", 1);
        tr_text_add(out, c, 1);
    }
}

/* Between backquotes, where a table still sees a bar. */
static void add_code(tr_text *out, const char *text) {
    tr_text_add(out, "`", 1);
    for (const char *c = text; *c; c++) {
        if (*c == '|') tr_text_add(out, "\\", 1);
        tr_text_add(out, c, 1);
    }
    tr_text_add(out, "`", 1);
}

static void wrapped(tr_manual *m, const char *text) {
    tr_text escaped = {0};
    add_text(&escaped, text);
    tr_manual_wrap(m, NULL, escaped.n ? escaped.at : "", 0, WIDTH);
    tr_text_free(&escaped);
}

static void gap(tr_manual *m) {
    if (m->begun) tr_manual_print(m, "%s", "");
}

static void title(tr_manual *m, const char *name, int section, const char *what) {
    (void)section;
    gap(m);
    tr_manual_print(m, "# %s: %s", name, what);
}

static void heading(tr_manual *m, int level, const char *text, const char *note) {
    tr_text line = {0};
    (void)note;
    gap(m);
    tr_text_print(&line, "%.*s ", level + 1, "####");
    add_text(&line, text);
    tr_manual_line(m, &line);
}

static void paragraph(tr_manual *m, const char *text) {
    gap(m);
    wrapped(m, text);
}

static void example(tr_manual *m, const char *const *lines, int n) {
    gap(m);
    for (int i = 0; i < n; i++) tr_manual_print(m, "    %s", lines[i]);
}

static void list(tr_manual *m, bool values) {
    m->values = values;
    gap(m);
    tr_manual_print(m, values ? "| name | value | default | meaning |" : "| name | meaning |");
    tr_manual_print(m, values ? "|---|---|---|---|" : "|---|---|");
}

static void entry(tr_manual *m, const tr_entry *e) {
    tr_text line = {0};
    tr_text_print(&line, "| ");
    add_code(&line, e->name);
    if (m->values) {
        tr_text_print(&line, " | ");
        if (e->rule) add_text(&line, e->rule);
        tr_text_print(&line, " | ");
        if (e->fallback == NULL)
            tr_text_print(&line, "must be given");
        else if (*e->fallback)
            add_code(&line, e->fallback);
    }
    tr_text_print(&line, " | ");
    add_text(&line, e->help);
    tr_text_print(&line, " |");
    tr_manual_line(m, &line);
}

static void see(tr_manual *m, const char *label, const char *address) {
    gap(m);
    tr_manual_print(m, "[%s](%s)", label, address);
}

const tr_manual_format tr_manual_markdown = {title, heading, paragraph, example, list, entry, see};
