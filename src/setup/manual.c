/* The manual of configurations: every section, class and key, from the schemas that parse them. */
#include <string.h>

#include "setup/sections.h"
#include "setup/setup.h"

const tr_grammar_word tr_grammar[TR_N_GRAMMAR] = {
    {"from", "from=NAME,... in a line of [network] or [block ...]",
     "the layers whose values it reads; without it the line above"},
    {"before", "--set \"network.NAME=LAYER before=OTHER\"",
     "where a line goes that the command line adds; also for [transforms] and [block ...]"},
    {"include", "include = FILE, before the first section",
     "another file, relative to this one, whose values this one goes over"},
};

void tr_key_rule(const tr_key *key, tr_text *out) {
    static const char *const kinds[] = {[TR_KEY_INT] = "integer",
                                        [TR_KEY_FLOAT] = "number",
                                        [TR_KEY_BOOL] = "true or false",
                                        [TR_KEY_CHOICE] = "one of",
                                        [TR_KEY_STRING] = "text",
                                        [TR_KEY_PATH] = "file or folder",
                                        [TR_KEY_FLOATS] = "numbers with commas",
                                        [TR_KEY_SIZE2] = "size, 3 or 3x1",
                                        [TR_KEY_FLOAT2] = "numbers, 2 or 2x1.5",
                                        [TR_KEY_SIDES] = "integers, 1 or 1x1x2x2 (left, right, "
                                                         "top, bottom)",
                                        [TR_KEY_ANY] = "anything"};
    tr_text_print(out, "%s", key->type == TR_KEY_CLASS ? key->classes->kind : kinds[key->type]);
    if (key->type == TR_KEY_CLASS) tr_text_print(out, ", NAME or NAME(key=value, ...)");
    if (key->type == TR_KEY_CHOICE) tr_text_print(out, " %s", key->choices);
    bool integer =
        key->type == TR_KEY_INT || key->type == TR_KEY_SIZE2 || key->type == TR_KEY_SIDES;
    bool real = key->type == TR_KEY_FLOAT || key->type == TR_KEY_FLOAT2;
    bool number = integer || real || key->type == TR_KEY_FLOATS;
    if (number && (key->min != 0 || key->max != 0))
        tr_text_print(out, ", %.16g to %.16g", key->min, key->max);
    if ((integer || real) && key->choices) tr_text_print(out, ", or %s", key->choices);
}

static void keys_of(tr_manual *m, const tr_schema *schema) {
    if (schema == NULL || schema->n_keys == 0) return;
    m->format->list(m, true);
    for (int i = 0; i < schema->n_keys; i++) {
        const tr_key *key = &schema->keys[i];
        tr_text rule = {0};
        tr_key_rule(key, &rule);
        m->format->entry(m, &(tr_entry){key->name, rule.at, key->fallback, key->help});
        tr_text_free(&rule);
    }
}

/* Where PyTorch's page of a class is. */
static void torch_page(tr_manual *m, const char *kind, const char *name) {
    static const char vision[] = "torchvision.", init[] = "torch.nn.init.";
    tr_text text = {0};
    if (name == NULL) return;
    if (*name == '\0') {
        tr_text_print(&text, "PyTorch has no %s of this kind.", kind);
        m->format->text(m, text.n ? text.at : "");
    } else {
        bool is_vision = strncmp(name, vision, strlen(vision)) == 0;
        bool is_init = strncmp(name, init, strlen(init)) == 0; /* all on one page */
        tr_text_print(&text, "https://docs.pytorch.org/%s/stable/%s%s%s",
                      is_vision ? "vision" : "docs", is_init ? "nn.init.html#" : "generated/", name,
                      is_init ? "" : ".html");
        m->format->see(m, name, text.n ? text.at : "");
    }
    tr_text_free(&text);
}

static void class_page(tr_manual *m, const char *kind, const tr_schema *schema, int level,
                       tr_text *note) {
    m->format->heading(m, level, schema->name, note->at);
    m->format->text(m, schema->help);
    torch_page(m, kind, schema->torch);
    keys_of(m, schema);
    tr_text_free(note);
}

void tr_manual_class(tr_manual *m, const tr_section *section, const tr_schema *schema, int level) {
    tr_text note = {0};
    tr_text_print(&note, "%s, section [%s]", section->classes->kind, section->name);
    class_page(m, section->classes->kind, schema, level, &note);
}

void tr_manual_value(tr_manual *m, const tr_value *value, const tr_schema *schema, int level) {
    tr_text note = {0};
    tr_text_print(&note, "%s, %s=%s", value->classes->kind, value->key, schema->name);
    class_page(m, value->classes->kind, schema, level, &note);
}

void tr_manual_section(tr_manual *m, const tr_section *section, int level) {
    tr_text title = {0};
    tr_text_print(&title, "[%s]", section->name);
    m->format->heading(m, level, title.n ? title.at : "", NULL);
    m->format->text(m, section->help ? section->help : section->schema->help);
    keys_of(m, section->schema);
    for (int i = 0; section->classes && i < section->classes->n; i++)
        tr_manual_class(m, section, section->classes->schemas[i], level + 1);
    tr_text_free(&title);
}

/* ---- all of it ---- */

static const char *const syntax[] = {
    "A configuration is an INI file: sections [NAME] of lines KEY = VALUE. What is not written has "
    "its default; what is wrong is reported with file, line, key and rule before the first step.",
    "A comment begins with ; or #, at the start of a line or with white space on both sides. A "
    "line that is indented, or follows one that ends in a backslash, continues the one above it. A "
    "value may be in double quotes and then holds anything: \\\", \\\\, \\n, and \\xNN for any "
    "byte.",
    "Sizes are written 3 or 3x1, height before width. Lists have commas.",
};

void tr_manual_configuration(tr_manual *m) {
    m->format->title(m, "trainer.ini", 5, "configuration of trainer");
    m->format->heading(m, 1, "Description", NULL);
    for (size_t i = 0; i < sizeof syntax / sizeof *syntax; i++) m->format->text(m, syntax[i]);
    m->format->heading(m, 1, "Words of the grammar", NULL);
    m->format->list(m, false);
    for (int i = 0; i < TR_N_GRAMMAR; i++) {
        tr_text help = {0};
        tr_text_print(&help, "%s (%s)", tr_grammar[i].help, tr_grammar[i].place);
        m->format->entry(m, &(tr_entry){tr_grammar[i].word, NULL, "", help.n ? help.at : ""});
        tr_text_free(&help);
    }
    for (int i = 0; i < TR_N_SECTIONS; i++) tr_manual_section(m, &tr_sections[i], 1);
    for (int i = 0; i < TR_N_VALUES; i++) {
        m->format->heading(m, 1, tr_values[i].key, NULL);
        m->format->text(m, tr_values[i].help);
        for (int k = 0; k < tr_values[i].classes->n; k++)
            tr_manual_value(m, &tr_values[i], tr_values[i].classes->schemas[k], 2);
    }
    m->format->heading(m, 1, "See also", NULL);
    m->format->text(m, "trainer(1)");
}
