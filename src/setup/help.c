/* Help pages, made from the schemas that parse the configuration. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "setup/sections.h"
#include "trainer/trainer.h"

enum { LINE = 100 };

typedef struct printer {
    void (*line)(const char *text, void *arg);
    void *arg;
} printer;

/* A whole line; where memory is short, what there is of it. */
static void say_text(const printer *p, tr_text *text) {
    p->line(text->n ? text->at : "", p->arg);
    tr_text_free(text);
}

static void say(const printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const printer *p, const char *format, ...) {
    tr_text text = {0};
    va_list args;
    va_start(args, format);
    tr_text_vprint(&text, format, args);
    va_end(args);
    say_text(p, &text);
}

/* Text in lines of at most LINE columns, `indent` of them blank. */
static void wrap(const printer *p, const char *text, int indent) {
    tr_text line = {0};
    while (*text) {
        size_t word = strcspn(text, " ");
        if (line.n && line.n + 1 + word > LINE) say_text(p, &line);
        if (line.n)
            tr_text_add(&line, " ", 1);
        else
            tr_text_print(&line, "%*s", indent, "");
        tr_text_add(&line, text, word);
        text += word;
        while (*text == ' ') text++;
    }
    if (line.n) say_text(p, &line);
}

/* What a value may be: " integer, 1 to 1024, or auto; default auto". */
static void add_rule(tr_text *out, const tr_key *key) {
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
    tr_text_print(out, " %s", kinds[key->type]);
    if (key->type == TR_KEY_CHOICE) tr_text_print(out, " %s", key->choices);
    bool integer =
        key->type == TR_KEY_INT || key->type == TR_KEY_SIZE2 || key->type == TR_KEY_SIDES;
    bool real = key->type == TR_KEY_FLOAT || key->type == TR_KEY_FLOAT2;
    bool number = integer || real || key->type == TR_KEY_FLOATS;
    if (number && (key->min != 0 || key->max != 0))
        tr_text_print(out, ", %.16g to %.16g", key->min, key->max);
    if ((integer || real) && key->choices) tr_text_print(out, ", or %s", key->choices);
    if (key->fallback == NULL)
        tr_text_print(out, "; must be given");
    else if (key->fallback[0])
        tr_text_print(out, "; default %s", key->fallback);
}

static void show_keys(const printer *p, const tr_schema *schema) {
    for (int i = 0; i < schema->n_keys; i++) {
        tr_text text = {0};
        tr_text_print(&text, "  %-16s", schema->keys[i].name);
        add_rule(&text, &schema->keys[i]);
        say_text(p, &text);
        wrap(p, schema->keys[i].help, 19);
    }
}

/* The classes of a section with what stands between them. */
static void add_classes(tr_text *out, const tr_registry *classes, const char *between) {
    for (int k = 0; classes && k < classes->n; k++)
        tr_text_print(out, "%s%s", k ? between : "", classes->schemas[k]->name);
}

static void show_class(const printer *p, const tr_section *section, const tr_schema *schema) {
    say(p, "%s (%s, section [%s])", schema->name, section->classes->kind, section->name);
    wrap(p, schema->help, 2);
    if (schema->n_keys) {
        say(p, "%s", "");
        show_keys(p, schema);
    }
}

static void show_section(const printer *p, const tr_section *section) {
    say(p, "[%s]", section->name);
    wrap(p, section->help ? section->help : section->schema->help, 2);
    if (section->schema) {
        say(p, "%s", "");
        show_keys(p, section->schema);
    }
    for (int i = 0; section->classes && i < section->classes->n; i++) {
        say(p, "%s", "");
        show_class(p, section, section->classes->schemas[i]);
    }
}

static void show_topics(const printer *p) {
    say(p,
        "Sections of a configuration and what they may name (trainer help NAME explains one, or a "
        "key):");
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_section *s = &tr_sections[i];
        tr_text text = {0};
        tr_text_print(&text, "  [%s]%*s ", s->name, (int)(11 - strlen(s->name)), "");
        if (s->classes) {
            tr_text_print(&text, "%s: ", s->classes->kind);
            add_classes(&text, s->classes, ", ");
        } else {
            tr_text_print(&text, "%s", s->schema ? "keys of its own" : "lines as in [network]");
        }
        say_text(p, &text);
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
    tr_text text = {0};
    if (section->lines)
        tr_text_print(&text, "  %s=... of the %s %s, in a line of [%s]:", key->name,
                      section->classes->kind, class->name, section->name);
    else if (class)
        tr_text_print(&text, "  %s.%s (%s):", section->name, key->name, class->name);
    else
        tr_text_print(&text, "  %s.%s:", section->name, key->name);
    add_rule(&text, key);
    say_text(p, &text);
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
static int show_places(const printer *p, const char *topic) {
    int n = 0;
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_section *s = &tr_sections[i];
        if (s->classes && !s->lines && names_key(topic, s->name, "type")) {
            tr_text text = {0};
            tr_text_print(&text, "  %s.type: the %s, one of ", s->name, s->classes->kind);
            add_classes(&text, s->classes, " ");
            say_text(p, &text);
            n++;
        }
        n += show_keys_of(p, s, NULL, topic);
        for (int k = 0; s->classes && k < s->classes->n; k++)
            n += show_keys_of(p, s, s->classes->schemas[k], topic);
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
static bool show_key_page(const printer *p, const char *topic, bool gap) {
    const printer none = {no_line, NULL};
    if (show_places(&none, topic) == 0) return false;
    if (gap) say(p, "%s", "");
    say(p, "%s (key)", topic);
    show_places(p, topic);
    return true;
}

/* ---- topics ---- */

static bool show_page(const printer *p, const char *topic) {
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_section *s = &tr_sections[i];
        if (strcmp(topic, s->name) == 0) {
            show_section(p, s);
            return true;
        }
        int k = s->classes ? tr_registry_find(s->classes, topic) : -1;
        if (k < 0) continue;
        show_class(p, s, s->classes->schemas[k]);
        return true;
    }
    return false;
}

/* Calls add(name, arg) for all sections and classes, and then for all keys. */
static void each_topic(void (*add)(const char *name, void *arg), void *arg) {
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_registry *classes = tr_sections[i].classes;
        add(tr_sections[i].name, arg);
        for (int k = 0; classes && k < classes->n; k++) add(classes->schemas[k]->name, arg);
    }
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_registry *classes = tr_sections[i].classes;
        for (int k = -1; k < (classes ? classes->n : 0); k++) {
            const tr_schema *schema = k < 0 ? tr_sections[i].schema : classes->schemas[k];
            for (int j = 0; schema && j < schema->n_keys; j++) add(schema->keys[j].name, arg);
        }
    }
}

typedef struct topic_list {
    const char **names; /* NULL: they are counted */
    int n;
} topic_list;

static void add_topic(const char *name, void *arg) {
    topic_list *list = arg;
    if (list->names) list->names[list->n] = name;
    list->n++;
}

static int no_page(const char *topic, tr_error *err) {
    topic_list count = {NULL, 0}, list = {NULL, 0};
    each_topic(add_topic, &count);
    list.names = tr_alloc((size_t)count.n, sizeof *list.names, err);
    if (list.names == NULL) return TR_ENOMEM;
    each_topic(add_topic, &list);
    const char *near = tr_nearest(topic, list.names, list.n);
    tr_free(list.names);
    return tr_fail(err, TR_ECONFIG, "help: there is no page '%s'%s%s%s", topic,
                   near ? " (did you mean '" : ", trainer help lists them", near ? near : "",
                   near ? "'?)" : "");
}

int tr_help(const char *topic, void (*line)(const char *text, void *arg), void *arg,
            tr_error *err) {
    const printer p = {line, arg};
    if (topic == NULL) {
        show_topics(&p);
        return TR_OK;
    }
    bool page = show_page(&p, topic);
    if (show_key_page(&p, topic, page) || page) return TR_OK;
    return no_page(topic, err);
}
