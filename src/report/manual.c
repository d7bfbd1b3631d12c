/* Manual pages on a terminal, and what all formats share. No state but the page's. */
#include <stdarg.h>
#include <string.h>

#include "report/report.h"

enum { WIDTH = 100, HELP_INDENT = 19 };

/* A whole line; where memory is short, what there is of it. */
void tr_manual_line(tr_manual *m, tr_text *text) {
    m->line(text->n ? text->at : "", m->arg);
    m->begun = true;
    tr_text_free(text);
}

void tr_manual_print(tr_manual *m, const char *format, ...) {
    tr_text text = {0};
    va_list args;
    va_start(args, format);
    tr_text_vprint(&text, format, args);
    va_end(args);
    tr_manual_line(m, &text);
}

void tr_manual_wrap(tr_manual *m, const char *head, const char *text, int indent, int width) {
    tr_text line = {0};
    bool long_head = head && strlen(head) + 1 > (size_t)indent;
    if (long_head) tr_manual_print(m, "%s", head);
    tr_text_print(&line, "%-*s", indent, head && !long_head ? head : "");
    for (bool empty = true; *text; empty = false) {
        size_t word = strcspn(text, " ");
        if (!empty && line.n + 1 + word > (size_t)width) {
            tr_manual_line(m, &line);
            tr_text_print(&line, "%*s", indent, "");
        } else if (!empty) {
            tr_text_add(&line, " ", 1);
        }
        tr_text_add(&line, text, word);
        text += word;
        while (*text == ' ') text++;
    }
    tr_manual_line(m, &line);
}

/* ---- on a terminal ---- */

static void title(tr_manual *m, const char *name, int section, const char *what) {
    tr_manual_print(m, "%s(%d): %s", name, section, what);
}

static void heading(tr_manual *m, int level, const char *text, const char *note) {
    (void)level;
    if (m->begun) tr_manual_print(m, "%s", "");
    if (note)
        tr_manual_print(m, "%s (%s)", text, note);
    else
        tr_manual_print(m, "%s", text);
}

static void paragraph(tr_manual *m, const char *text) {
    tr_manual_wrap(m, NULL, text, 2, WIDTH);
}

static void example(tr_manual *m, const char *const *lines, int n) {
    for (int i = 0; i < n; i++) tr_manual_print(m, "    %s", lines[i]);
}

static void list(tr_manual *m, bool values) {
    m->values = values;
    tr_manual_print(m, "%s", "");
}

static void entry(tr_manual *m, const tr_entry *e) {
    tr_text text = {0};
    tr_text_print(&text, m->values ? "  %-16s" : "  %s", e->name);
    if (e->rule) tr_text_print(&text, " %s", e->rule);
    if (m->values && e->fallback == NULL) tr_text_print(&text, "; must be given");
    if (e->fallback && *e->fallback) tr_text_print(&text, "; default %s", e->fallback);
    tr_manual_line(m, &text);
    tr_manual_wrap(m, NULL, e->help, HELP_INDENT, WIDTH);
}

static void see(tr_manual *m, const char *label, const char *address) {
    tr_manual_print(m, "  %s: %s", label, address);
}

const tr_manual_format tr_manual_plain = {title, heading, paragraph, example, list, entry, see};
