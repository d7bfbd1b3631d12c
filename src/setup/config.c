/* The public face of configurations. */
#include <math.h>
#include <string.h>

#include "setup/sections.h"
#include "setup/setup.h"

int tr_config_read(const char *path, tr_config **out, tr_error *err) {
    *out = NULL;
    tr_config *config = tr_alloc(1, sizeof *config, err);
    if (config == NULL) return TR_ENOMEM;
    int code = tr_doc_read(path, &config->doc, err);
    if (code) {
        tr_config_free(config);
        return code;
    }
    *out = config;
    return TR_OK;
}

int tr_config_merge(tr_config *config, const char *path, tr_error *err) {
    tr_doc *over;
    int code = tr_doc_read(path, &over, err);
    if (code == TR_OK) code = tr_doc_merge(config->doc, over, err);
    tr_doc_free(over);
    return code;
}

int tr_config_set(tr_config *config, const char *assignment, tr_error *err) {
    const char *lines[TR_N_SECTIONS];
    int n_lines = 0;
    for (int i = 0; i < TR_N_SECTIONS; i++) {
        if (tr_sections[i].lines) lines[n_lines++] = tr_sections[i].name;
    }
    return tr_doc_set(config->doc, assignment, lines, n_lines, err);
}

int tr_config_put(tr_config *config, const char *section, const char *key, const char *value,
                  const char *place, tr_error *err) {
    return tr_doc_put(config->doc, section, key, value, place, err);
}

void tr_config_free(tr_config *config) {
    if (config == NULL) return;
    tr_doc_free(config->doc);
    tr_arena_free(&config->kept);
    tr_arena_free(&config->run_dirs);
    tr_notes_free(&config->notes);
    tr_free(config);
}

/* ---- what results point at ---- */

void tr_config_begin(tr_config *config) {
    tr_arena_free(&config->kept);
    config->class_names = NULL;
    config->class_accuracy = NULL;
}

const char *tr_config_keep(tr_config *config, const char *text) {
    const char *copy = tr_arena_copy(&config->kept, text, strlen(text), NULL);
    return copy ? copy : "";
}

const char *tr_config_keep_run_dir(tr_config *config, const char *path) {
    if (config->run_dir && strcmp(config->run_dir, path) == 0) return config->run_dir;
    const char *copy = tr_arena_copy(&config->run_dirs, path, strlen(path), NULL);
    if (copy) config->run_dir = copy;
    return copy ? copy : "";
}

int tr_config_keep_classes(tr_config *config, const tr_dataset *dataset, tr_error *err) {
    size_t n = (size_t)dataset->n_classes;
    const char **names = tr_arena_alloc(&config->kept, n * sizeof *names, err);
    double *accuracy = tr_arena_alloc(&config->kept, n * sizeof *accuracy, err);
    if (names == NULL || accuracy == NULL) return TR_ENOMEM;
    for (size_t k = 0; k < n; k++) {
        const char *name = dataset->class_names[k];
        names[k] = tr_arena_copy(&config->kept, name, strlen(name), err);
        if (names[k] == NULL) return TR_ENOMEM;
        accuracy[k] = (double)NAN;
    }
    config->class_names = names;
    config->class_accuracy = accuracy;
    return TR_OK;
}

const char *const *tr_config_notes(const tr_config *config, int *n) {
    *n = config ? config->notes.n : 0;
    return config ? (const char *const *)config->notes.text : NULL;
}

void tr_config_keep_notes(tr_config *config, const tr_notes *notes) {
    for (int i = 0; i < notes->n; i++) tr_note(&config->notes, "%s", notes->text[i]);
}
