/* The manual: that every class of a configuration says what PyTorch calls it and what each of its
 * keys means, that the documents hold all of it, and that no text becomes markup. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "ops/ops.h"
#include "setup/sections.h"
#include "setup/setup.h"

/* ---- what the schemas say ---- */

/* "torch.nn.Conv2d", or "" */
static bool is_torch_name(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
    if (*name == '\0') return true;
    return name[n] == '\0' && name[n - 1] != '.' &&
           (strncmp(name, "torch.", 6) == 0 || strncmp(name, "torchvision.", 12) == 0);
}

static void check_help(const char *of, const char *key, const char *help) {
    ck_assert_msg(help != NULL && strlen(help) > 4, "%s.%s has no help", of, key);
    ck_assert_msg(strchr(help, '\n') == NULL, "%s.%s: %s", of, key, help);
}

static void check_keys(const tr_schema *schema) {
    for (int k = 0; k < schema->n_keys; k++) {
        const char *help = schema->keys[k].help;
        check_help(schema->name, schema->keys[k].name, help);
        ck_assert_msg(help[strlen(help) - 1] != '.', "%s.%s: %s", schema->name,
                      schema->keys[k].name, help);
    }
}

/* How many classes there are, and how many of them PyTorch has. */
typedef struct class_count {
    int all, torch;
} class_count;

static void check_classes(const tr_registry *classes, class_count *n) {
    for (int k = 0; classes && k < classes->n; k++) {
        const tr_schema *schema = classes->schemas[k];
        check_help(schema->name, "", schema->help);
        check_keys(schema);
        ck_assert_msg(schema->torch != NULL,
                      "%s: say what PyTorch calls it (tr_schema.torch), or \"\"", schema->name);
        ck_assert_msg(is_torch_name(schema->torch), "%s: %s", schema->name, schema->torch);
        n->all++;
        n->torch += *schema->torch != '\0';
    }
}

START_TEST(each_class_says_it) {
    class_count n = {0, 0};
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_section *section = &tr_sections[i];
        if (section->schema) check_keys(section->schema);
        if (section->help == NULL) check_help(section->name, "", section->schema->help);
        check_classes(section->classes, &n);
    }
    for (int i = 0; i < TR_N_VALUES; i++) check_classes(tr_values[i].classes, &n);
    ck_assert_int_ge(n.all, 60);
    ck_assert_int_gt(n.torch, n.all / 2);
}
END_TEST

/* ---- the documents ---- */

typedef struct page {
    tr_text text;
    tr_manual manual;
} page;

static void add_line(const char *line, void *arg) {
    page *p = arg;
    ck_assert_ptr_null(strchr(line, '\n'));
    tr_text_print(&p->text, "%s\n", line);
}

static void begin(page *p, const tr_manual_format *format) {
    *p = (page){.manual = {.format = format, .line = add_line, .arg = p}};
    tr_text_print(&p->text, "\n");
}

/* The line that begins so, or NULL. */
static const char *find_line(const char *text, const char *start) {
    char with[400];
    snprintf(with, sizeof with, "\n%s", start);
    const char *at = strstr(text, with);
    return at ? at + 1 : NULL;
}

/* Columns of a row: bars that have no backslash. */
static int n_bars(const char *line) {
    int n = 0;
    for (const char *c = line; *c != '\n'; c++) n += *c == '|' && (c == line || c[-1] != '\\');
    return n;
}

START_TEST(markdown_has_all) {
    page p;
    int n = 0;
    begin(&p, &tr_manual_markdown);
    tr_manual_configuration(&p.manual);
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_registry *classes = tr_sections[i].classes;
        char heading[200];
        snprintf(heading, sizeof heading, "## [%s]\n", tr_sections[i].name);
        const char *at = find_line(p.text.at, heading);
        ck_assert_msg(at != NULL, "%s", heading);
        for (int k = 0; classes && k < classes->n; k++) {
            const tr_schema *schema = classes->schemas[k];
            char address[300];
            snprintf(heading, sizeof heading, "### %s\n", schema->name);
            at = find_line(at, heading);
            ck_assert_msg(at != NULL, "%s", heading);
            const char *end = find_line(at + 1, "##");
            snprintf(address, sizeof address, "[%s](https://docs.pytorch.org/", schema->torch);
            const char *link = find_line(at, *schema->torch ? address : "PyTorch has no ");
            ck_assert_msg(link != NULL && link < end, "%s", schema->name);
            for (int j = 0; j < schema->n_keys; j++) {
                char row[200];
                snprintf(row, sizeof row, "| `%s` | ", schema->keys[j].name);
                const char *line = find_line(at, row);
                ck_assert_msg(line != NULL && line < end, "%s: %s", schema->name, row);
                ck_assert_int_eq(n_bars(line), 5);
                n++;
            }
        }
    }
    for (int i = 0; i < TR_N_VALUES; i++) {
        for (int k = 0; k < tr_values[i].classes->n; k++) {
            char heading[200];
            snprintf(heading, sizeof heading, "### %s\n", tr_values[i].classes->schemas[k]->name);
            ck_assert_msg(find_line(p.text.at, heading) != NULL, "%s", heading);
        }
    }
    ck_assert_int_gt(n, 40);
    ck_assert_ptr_nonnull(strstr(p.text.at, "(https://docs.pytorch.org/docs/stable/nn.init.html#"
                                            "torch.nn.init.kaiming_normal_)\n"));
    ck_assert_ptr_nonnull(strstr(p.text.at, "| `mode` | one of fan_in fan_out | `fan_in` | "));
    ck_assert_ptr_nonnull(strstr(p.text.at, "\n[torch.nn.Conv2d](https://docs.pytorch.org/docs/"
                                            "stable/generated/torch.nn.Conv2d.html)\n"));
    ck_assert_ptr_nonnull(strstr(p.text.at, "(https://docs.pytorch.org/vision/stable/generated/"
                                            "torchvision.transforms.Normalize.html)\n"));
    ck_assert_ptr_nonnull(
        strstr(p.text.at, "| `momentum` | number, 0 to 1 | `0` | share of the last step that is "
                          "kept |\n"));
    ck_assert_ptr_nonnull(strstr(p.text.at, "| `lr` | number, 0 to 1000000 | must be given | "));
    tr_text_free(&p.text);
}
END_TEST

/* Every line is a macro of man(7), or text that begins as none. */
static void check_roff(const char *text) {
    static const char *const macros[] = {".TH ",  ".SH ", ".SS ",  ".PP\n", ".TP\n",  ".nf\n",
                                         ".fi\n", ".UR ", ".UE\n", ".nr ",  ".ad l\n"};
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        bool known = *line != '.';
        for (size_t i = 0; i < sizeof macros / sizeof *macros; i++)
            known |= strncmp(line, macros[i], strlen(macros[i])) == 0;
        ck_assert_msg(known && *line != '\'', "%.60s", line);
        ck_assert_msg(strcspn(line, "\n") <= 120, "%.130s", line);
        for (const char *c = line; *c != '\n'; c++) {
            if (*c != '\\') continue;
            ck_assert_msg(strchr("-e&f(:", c[1]) != NULL, "%.60s", c);
            c++;
        }
    }
}

START_TEST(roff_has_all) {
    page p;
    begin(&p, &tr_manual_roff);
    tr_manual_configuration(&p.manual);
    check_roff(p.text.at + 1);
    ck_assert_ptr_eq(find_line(p.text.at, ".TH \"TRAINER.INI\" \"5\" "), p.text.at + 1);
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_registry *classes = tr_sections[i].classes;
        char heading[200];
        snprintf(heading, sizeof heading, ".SH \"[%s]\"\n", tr_sections[i].name);
        const char *at = find_line(p.text.at, heading);
        ck_assert_msg(at != NULL, "%s", heading);
        for (int k = 0; classes && k < classes->n; k++) {
            snprintf(heading, sizeof heading, ".SS \"%s (%s, section [%s])\"\n",
                     classes->schemas[k]->name, classes->kind, tr_sections[i].name);
            at = find_line(at, heading);
            ck_assert_msg(at != NULL, "%s", heading);
            for (int j = 0; j < classes->schemas[k]->n_keys; j++) {
                snprintf(heading, sizeof heading, "\\fB%s\\fR (",
                         classes->schemas[k]->keys[j].name);
                ck_assert_msg(find_line(at, heading) != NULL, "%s", heading);
            }
        }
    }
    tr_text_free(&p.text);
}
END_TEST

/* ---- text stays text ---- */

static const char odd[] = "a|b <c> `d` *e* _f g_h \\i ${k*4} .x 'y' -1 ~z~ ^w [1](2) \"q\"";

static void write_odd(page *p, const tr_manual_format *format) {
    begin(p, format);
    format->heading(&p->manual, 2, odd, NULL);
    format->text(&p->manual, odd);
    format->text(&p->manual, ".dot 'quote");
    format->text(&p->manual, "'quote .dot");
    format->list(&p->manual, true);
    format->entry(&p->manual, &(tr_entry){"a|b", "<c> or |", "d|e", odd});
    format->entry(&p->manual, &(tr_entry){"required", NULL, NULL, "help"});
    format->entry(&p->manual, &(tr_entry){"empty", NULL, "", "help"});
}

START_TEST(no_markup) {
    page p;
    write_odd(&p, &tr_manual_markdown);
    const char *escaped =
        "a\\|b \\<c> \\`d\\` \\*e\\* \\_f g_h \\\\i ${k\\*4} .x 'y' -1 \\~z\\~ ^w "
        "[1](2) \"q\"";
    const char *rows = find_line(p.text.at, "| `a\\|b` | \\<c> or \\| | `d\\|e` | a\\|b ");
    ck_assert_ptr_nonnull(strstr(p.text.at, escaped));
    ck_assert_msg(rows != NULL && n_bars(rows) == 5, "%s", p.text.at);
    ck_assert_ptr_nonnull(find_line(p.text.at, "| `required` |  | must be given | help |"));
    ck_assert_ptr_nonnull(find_line(p.text.at, "| `empty` |  |  | help |"));
    tr_text_free(&p.text);

    write_odd(&p, &tr_manual_roff);
    check_roff(p.text.at + 1);
    ck_assert_ptr_nonnull(find_line(p.text.at, "\\&.dot \\(aqquote\n"));
    ck_assert_ptr_nonnull(find_line(p.text.at, "\\(aqquote .dot\n"));
    ck_assert_ptr_nonnull(strstr(p.text.at, "\\ei ${k*4} .x \\(aqy\\(aq \\-1 \\(tiz\\(ti \\(haw"));
    ck_assert_ptr_nonnull(find_line(p.text.at, "\\fBrequired\\fR (must be given)\n"));
    ck_assert_ptr_nonnull(find_line(p.text.at, "\\fBempty\\fR\nhelp\n"));
    tr_text_free(&p.text);

    write_odd(&p, &tr_manual_plain);
    ck_assert_ptr_nonnull(strstr(p.text.at, odd));
    ck_assert_ptr_nonnull(find_line(p.text.at, "  required        ; must be given\n"));
    tr_text_free(&p.text);
}
END_TEST

/* A word longer than a line, and lines that are full. */
START_TEST(long_lines) {
    page p;
    char word[301], many[601];
    memset(word, 'w', 300);
    word[300] = '\0';
    for (int i = 0; i < 600; i++) many[i] = i % 3 == 2 ? ' ' : '.';
    many[600] = '\0';
    begin(&p, &tr_manual_roff);
    p.manual.format->text(&p.manual, word);
    p.manual.format->text(&p.manual, many);
    ck_assert_ptr_nonnull(find_line(p.text.at, word));
    int n = 0;
    for (const char *line = find_line(p.text.at, "\\&.."); line;
         line = find_line(line, "\\&.."), n++)
        ck_assert_uint_le(strcspn(line, "\n"), 80);
    ck_assert_int_eq(n, 600 / 78 + 1);
    tr_text_free(&p.text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("manual");
    TCase *tc = tcase_create("manual");
    tcase_add_test(tc, each_class_says_it);
    tcase_add_test(tc, markdown_has_all);
    tcase_add_test(tc, roff_has_all);
    tcase_add_test(tc, no_markup);
    tcase_add_test(tc, long_lines);
    suite_add_tcase(suite, tc);
    return tr_check_run(suite);
}
