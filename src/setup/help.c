/* Help pages, made from the schemas that parse the configuration. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "setup/sections.h"
#include "trainer/trainer.h"

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
    static const char *const kinds[] = {[TR_KEY_INT] = "integer",
                                        [TR_KEY_FLOAT] = "number",
                                        [TR_KEY_BOOL] = "true or false",
                                        [TR_KEY_CHOICE] = "one of",
                                        [TR_KEY_STRING] = "text",
                                        [TR_KEY_PATH] = "file or folder",
                                        [TR_KEY_FLOATS] = "numbers with commas",
                                        [TR_KEY_ANY] = "anything"};
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
    say(p,
        "Sections of a configuration and what they may name (trainer help NAME explains one, or a "
        "key):");
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

/* ---- keys ---- */

/* Words of the grammar that no schema holds. */
static const struct {
    const char *word, *place, *help;
} grammar[] = {
    {"from", "from=NAME,... in a line of [network] or [block ...]",
     "the layers whose values it reads; without it the line above"},
    {"before", "--set \"network.NAME=LAYER before=OTHER\"",
     "where a line goes that the command line adds; also for [transforms] and [block ...]"},
    {"include", "include = FILE, before the first section",
     "another file, relative to this one, whose values this one goes over"},
};
enum { N_GRAMMAR = sizeof grammar / sizeof *grammar };

/* Is `topic` the key, or PREFIX.KEY? */
static bool names_key(const char *topic, const char *prefix, const char *key) {
    size_t n = strlen(prefix);
    if (strcmp(topic, key) == 0) return true;
    return strncmp(topic, prefix, n) == 0 && topic[n] == '.' && strcmp(topic + n + 1, key) == 0;
}

static void show_key(const printer *p, const tr_section *section, const tr_schema *class,
                     const tr_key *key) {
    char text[512];
    rule(key, text, sizeof text);
    if (section->lines)
        say(p, "  %s=... of the %s %s, in a line of [%s]: %s", key->name, section->kind,
            class->name, section->name, text);
    else if (class)
        say(p, "  %s.%s (%s): %s", section->name, key->name, class->name, text);
    else
        say(p, "  %s.%s: %s", section->name, key->name, text);
    wrap(p, key->help, 6);
}

static int show_keys_of(const printer *p, const tr_section *section, const tr_schema *class,
                        const char *topic) {
    const tr_schema *schema = class ? class : section->schema;
    int n = 0;
    for (int k = 0; schema && k < schema->n_keys; k++) {
        const tr_key *key = &schema->keys[k];
        if (!names_key(topic, section->name, key->name) &&
            !(class && names_key(topic, class->name, key->name)))
            continue;
        show_key(p, section, class, key);
        n++;
    }
    return n;
}

/* Each place where a key of this name stands; how many there are. */
static int show_places(const printer *p, const tr_section *sections, int n_sections,
                       const char *topic) {
    int n = 0;
    for (int i = 0; i < n_sections; i++) {
        const tr_section *s = &sections[i];
        if (s->n_classes && !s->lines && names_key(topic, s->name, "type")) {
            char names[512] = "";
            for (int k = 0; k < s->n_classes; k++) {
                size_t used = strlen(names);
                snprintf(names + used, sizeof names - used, "%s%s", k ? " " : "",
                         s->classes[k]->name);
            }
            say(p, "  %s.type: the %s, one of %s", s->name, s->kind, names);
            n++;
        }
        n += show_keys_of(p, s, NULL, topic);
        for (int k = 0; k < s->n_classes; k++) n += show_keys_of(p, s, s->classes[k], topic);
    }
    for (int i = 0; i < N_GRAMMAR; i++) {
        if (strcmp(topic, grammar[i].word) != 0) continue;
        say(p, "  %s", grammar[i].place);
        wrap(p, grammar[i].help, 6);
        n++;
    }
    return n;
}

static void no_line(const char *text, void *arg) {
    (void)text, (void)arg;
}

/* The keys called `topic`, under a heading. False where there is none. */
static bool show_key_page(const printer *p, const tr_section *sections, int n, const char *topic,
                          bool gap) {
    const printer none = {no_line, NULL};
    if (show_places(&none, sections, n, topic) == 0) return false;
    if (gap) say(p, "%s", "");
    say(p, "%s (key)", topic);
    show_places(p, sections, n, topic);
    return true;
}

/* ---- topics ---- */

static bool show_page(const printer *p, const tr_section *sections, int n, const char *topic) {
    for (int i = 0; i < n; i++) {
        if (strcmp(topic, sections[i].name) == 0) {
            show_section(p, &sections[i]);
            return true;
        }
        for (int k = 0; k < sections[i].n_classes; k++) {
            if (strcmp(topic, sections[i].classes[k]->name) != 0) continue;
            show_class(p, &sections[i], sections[i].classes[k]);
            return true;
        }
    }
    return false;
}

typedef struct topic_list {
    const char *names[MAX_TOPICS];
    int n;
} topic_list;

static void add_topic(topic_list *list, const char *name) {
    if (list->n < MAX_TOPICS) list->names[list->n++] = name;
}

static void add_keys(topic_list *list, const tr_schema *schema) {
    for (int k = 0; schema && k < schema->n_keys; k++) add_topic(list, schema->keys[k].name);
}

int tr_help(const char *topic, void (*line)(const char *text, void *arg), void *arg,
            tr_error *err) {
    const printer p = {line, arg};
    tr_section sections[MAX_SECTIONS];
    int n = tr_sections(sections, MAX_SECTIONS);
    if (topic == NULL) {
        show_topics(&p, sections, n);
        return TR_OK;
    }
    bool page = show_page(&p, sections, n, topic);
    if (show_key_page(&p, sections, n, topic, page) || page) return TR_OK;
    topic_list topics = {.n = 0};
    for (int i = 0; i < n; i++) {
        add_topic(&topics, sections[i].name);
        for (int k = 0; k < sections[i].n_classes; k++)
            add_topic(&topics, sections[i].classes[k]->name);
    }
    for (int i = 0; i < n; i++) {
        add_keys(&topics, sections[i].schema);
        for (int k = 0; k < sections[i].n_classes; k++) add_keys(&topics, sections[i].classes[k]);
    }
    const char *near = tr_nearest(topic, topics.names, topics.n);
    return tr_fail(err, TR_ECONFIG, "help: there is no page '%s'%s%s%s", topic,
                   near ? " (did you mean '" : ", trainer help lists them", near ? near : "",
                   near ? "'?)" : "");
}
