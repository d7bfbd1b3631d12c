/* Help pages, made from the schemas that parse the configuration. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "train/experiment.h"

enum { MAX_SECTIONS = 16, MAX_TOPICS = 512, LINE = 100 };

typedef struct printer {
    void (*line)(const char *text, void *arg);
    void *arg;
} printer;

static void say(const printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const printer *p, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->line(text, p->arg);
}

/* Text in lines of at most LINE columns, `indent` of them blank. */
static void wrap(const printer *p, const char *text, int indent) {
    char line[LINE + 1];
    int used = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (used && indent + used + 1 + (int)word > LINE) {
            say(p, "%*s%s", indent, "", line);
            used = 0;
        }
        used += snprintf(line + used, sizeof line - (size_t)used, "%s%.*s", used ? " " : "",
                         (int)word, text);
        text += word;
        while (*text == ' ') text++;
    }
    if (used) say(p, "%*s%s", indent, "", line);
}

static void rule(const tr_key *key, char *out, size_t bytes) {
    static const char *const kinds[] = {
        [TR_KEY_INT] = "whole number",   [TR_KEY_FLOAT] = "number",
        [TR_KEY_BOOL] = "true or false", [TR_KEY_CHOICE] = "one of",
        [TR_KEY_STRING] = "text",        [TR_KEY_FLOATS] = "numbers with commas"};
    int n = snprintf(out, bytes, "%s", kinds[key->type]);
    if (key->type == TR_KEY_CHOICE) n += snprintf(out + n, bytes - (size_t)n, " %s", key->choices);
    bool number =
        key->type == TR_KEY_INT || key->type == TR_KEY_FLOAT || key->type == TR_KEY_FLOATS;
    if (number && (key->min != 0 || key->max != 0))
        n += snprintf(out + n, bytes - (size_t)n, ", %.16g to %.16g", key->min, key->max);
    if (key->type == TR_KEY_INT && key->choices)
        n += snprintf(out + n, bytes - (size_t)n, ", or %s", key->choices);
    if (key->fallback == NULL)
        snprintf(out + n, bytes - (size_t)n, "; must be given");
    else if (key->fallback[0])
        snprintf(out + n, bytes - (size_t)n, "; default %s", key->fallback);
}

static void show_keys(const printer *p, const tr_schema *schema) {
    for (int i = 0; i < schema->n_keys; i++) {
        char text[512];
        rule(&schema->keys[i], text, sizeof text);
        say(p, "  %-14s %s", schema->keys[i].name, text);
        wrap(p, schema->keys[i].help, 17);
    }
}

static void show_class(const printer *p, const tr_section *section, const tr_schema *schema) {
    say(p, "%s (%s, section [%s])", schema->name, section->kind, section->name);
    wrap(p, schema->help, 2);
    if (schema->n_keys) {
        say(p, "%s", "");
        show_keys(p, schema);
    }
}

static void show_section(const printer *p, const tr_section *section) {
    say(p, "[%s]", section->name);
    wrap(p, section->help, 2);
    if (section->schema) {
        say(p, "%s", "");
        show_keys(p, section->schema);
    }
    for (int i = 0; i < section->n_classes; i++) {
        say(p, "%s", "");
        show_class(p, section, section->classes[i]);
    }
}

static void show_topics(const printer *p, const tr_section *sections, int n) {
    say(p, "Sections of a configuration and what they may name (trainer help NAME explains one):");
    for (int i = 0; i < n; i++) {
        char text[1024] = "";
        for (int k = 0; k < sections[i].n_classes; k++) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s%s", k ? ", " : "",
                     sections[i].classes[k]->name);
        }
        say(p, "  [%s]%*s %s%s%s", sections[i].name, (int)(11 - strlen(sections[i].name)), "",
            sections[i].kind ? sections[i].kind : "keys of its own", text[0] ? ": " : "", text);
    }
}

int tr_help(const char *topic, void (*line)(const char *text, void *arg), void *arg,
            tr_error *err) {
    const printer p = {line, arg};
    tr_section sections[MAX_SECTIONS];
    const char *topics[MAX_TOPICS];
    int n = tr_sections(sections, MAX_SECTIONS), n_topics = 0;
    if (topic == NULL) {
        show_topics(&p, sections, n);
        return TR_OK;
    }
    for (int i = 0; i < n; i++) {
        if (strcmp(topic, sections[i].name) == 0) {
            show_section(&p, &sections[i]);
            return TR_OK;
        }
        topics[n_topics++] = sections[i].name;
        for (int k = 0; k < sections[i].n_classes && n_topics < MAX_TOPICS - 1; k++) {
            if (strcmp(topic, sections[i].classes[k]->name) == 0) {
                show_class(&p, &sections[i], sections[i].classes[k]);
                return TR_OK;
            }
            topics[n_topics++] = sections[i].classes[k]->name;
        }
    }
    const char *near = tr_nearest(topic, topics, n_topics);
    return tr_fail(err, TR_ECONFIG, "help: there is no page '%s'%s%s%s", topic,
                   near ? " (did you mean '" : ", trainer help lists them", near ? near : "",
                   near ? "'?)" : "");
}
