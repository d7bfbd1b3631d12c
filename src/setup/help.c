/* Help by topic: sections, classes and keys, from the schemas that parse the configuration. */
#include <string.h>

#include "setup/sections.h"
#include "trainer/trainer.h"

enum { WIDTH = 100, TOPIC_INDENT = 16 };

/* The classes of a section with what stands between them. */
static void add_classes(tr_text *out, const tr_registry *classes, const char *between) {
    for (int k = 0; classes && k < classes->n; k++)
        tr_text_print(out, "%s%s", k ? between : "", classes->schemas[k]->name);
}

static void show_topics(tr_manual *m) {
    tr_manual_print(
        m,
        "Sections of a configuration and what they may name (trainer help NAME explains one, or a "
        "key):");
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_section *s = &tr_sections[i];
        tr_text head = {0}, text = {0};
        tr_text_print(&head, "  [%s]", s->name);
        if (s->classes) {
            tr_text_print(&text, "%s: ", s->classes->kind);
            add_classes(&text, s->classes, ", ");
        } else {
            tr_text_print(&text, "%s", s->schema ? "keys of its own" : "lines as in [network]");
        }
        tr_manual_wrap(m, head.at, text.n ? text.at : "", TOPIC_INDENT, WIDTH);
        tr_text_free(&head);
        tr_text_free(&text);
    }
    for (int i = 0; i < TR_N_VALUES; i++) {
        tr_text head = {0}, text = {0};
        tr_text_print(&head, "  %s=", tr_values[i].key);
        tr_text_print(&text, "%s: ", tr_values[i].classes->kind);
        add_classes(&text, tr_values[i].classes, ", ");
        tr_manual_wrap(m, head.at, text.n ? text.at : "", TOPIC_INDENT, WIDTH);
        tr_text_free(&head);
        tr_text_free(&text);
    }
}

/* ---- keys ---- */

/* Is `topic` the key, or PREFIX.KEY? */
static bool names_key(const char *topic, const char *prefix, const char *key) {
    size_t n = strlen(prefix);
    if (strcmp(topic, key) == 0) return true;
    return strncmp(topic, prefix, n) == 0 && topic[n] == '.' && strcmp(topic + n + 1, key) == 0;
}

static void show_key(tr_manual *m, const tr_section *section, const tr_schema *class,
                     const tr_key *key) {
    tr_text text = {0};
    if (section->lines)
        tr_text_print(&text, "  %s=... of the %s %s, in a line of [%s]:", key->name,
                      section->classes->kind, class->name, section->name);
    else if (class)
        tr_text_print(&text, "  %s.%s (%s):", section->name, key->name, class->name);
    else
        tr_text_print(&text, "  %s.%s:", section->name, key->name);
    tr_text_print(&text, " ");
    tr_key_rule(key, &text);
    if (key->fallback == NULL) tr_text_print(&text, "; must be given");
    if (key->fallback && *key->fallback) tr_text_print(&text, "; default %s", key->fallback);
    tr_manual_line(m, &text);
    tr_manual_wrap(m, NULL, key->help, 6, WIDTH);
}

static int show_keys_of(tr_manual *m, const tr_section *section, const tr_schema *class,
                        const char *topic) {
    const tr_schema *schema = class ? class : section->schema;
    int n = 0;
    for (int k = 0; schema && k < schema->n_keys; k++) {
        const tr_key *key = &schema->keys[k];
        if (!names_key(topic, section->name, key->name) &&
            !(class && names_key(topic, class->name, key->name)))
            continue;
        show_key(m, section, class, key);
        n++;
    }
    return n;
}

/* Each place where a key of this name stands; how many there are. */
static int show_places(tr_manual *m, const char *topic) {
    int n = 0;
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_section *s = &tr_sections[i];
        if (s->classes && !s->lines && names_key(topic, s->name, "type")) {
            tr_text text = {0};
            tr_text_print(&text, "  %s.type: the %s, one of ", s->name, s->classes->kind);
            add_classes(&text, s->classes, " ");
            tr_manual_line(m, &text);
            n++;
        }
        n += show_keys_of(m, s, NULL, topic);
        for (int k = 0; s->classes && k < s->classes->n; k++)
            n += show_keys_of(m, s, s->classes->schemas[k], topic);
    }
    for (int i = 0; i < TR_N_GRAMMAR; i++) {
        if (strcmp(topic, tr_grammar[i].word) != 0) continue;
        tr_manual_print(m, "  %s", tr_grammar[i].place);
        tr_manual_wrap(m, NULL, tr_grammar[i].help, 6, WIDTH);
        n++;
    }
    return n;
}

static void no_line(const char *text, void *arg) {
    (void)text, (void)arg;
}

/* The keys called `topic`, under a heading. False where there is none. */
static bool show_key_page(tr_manual *m, const char *topic, bool gap) {
    tr_manual none = {.format = &tr_manual_plain, .line = no_line};
    if (show_places(&none, topic) == 0) return false;
    if (gap) tr_manual_print(m, "%s", "");
    tr_manual_print(m, "%s (key)", topic);
    show_places(m, topic);
    return true;
}

/* ---- topics ---- */

/* A section, or each class of that name. */
static bool show_page(tr_manual *m, const char *topic) {
    bool shown = false;
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_section *s = &tr_sections[i];
        if (strcmp(topic, s->name) == 0) {
            tr_manual_section(m, s, 1);
            return true;
        }
        int k = s->classes ? tr_registry_find(s->classes, topic) : -1;
        if (k < 0) continue;
        if (shown) tr_manual_print(m, "%s", "");
        tr_manual_class(m, s, s->classes->schemas[k], 1);
        shown = true;
    }
    for (int i = 0; i < TR_N_VALUES; i++) {
        int k = tr_registry_find(tr_values[i].classes, topic);
        if (k < 0) continue;
        if (shown) tr_manual_print(m, "%s", "");
        tr_manual_value(m, &tr_values[i], tr_values[i].classes->schemas[k], 1);
        shown = true;
    }
    return shown;
}

/* Calls add(name, arg) for all sections and classes, and then for all keys. */
static void each_topic(void (*add)(const char *name, void *arg), void *arg) {
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        const tr_registry *classes = tr_sections[i].classes;
        add(tr_sections[i].name, arg);
        for (int k = 0; classes && k < classes->n; k++) add(classes->schemas[k]->name, arg);
    }
    for (int i = 0; i < TR_N_VALUES; i++) {
        for (int k = 0; k < tr_values[i].classes->n; k++)
            add(tr_values[i].classes->schemas[k]->name, arg);
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
    tr_manual m = {.format = &tr_manual_plain, .line = line, .arg = arg};
    if (topic == NULL) {
        show_topics(&m);
        return TR_OK;
    }
    bool page = show_page(&m, topic);
    if (show_key_page(&m, topic, page) || page) return TR_OK;
    return no_page(topic, err);
}
