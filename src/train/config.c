/* The public face of configurations. */
#include <stdio.h>
#include <string.h>

#include "train/experiment.h"

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

int tr_config_set(tr_config *config, const char *assignment, tr_error *err) {
    return tr_doc_set(config->doc, assignment, err);
}

int tr_config_put(tr_config *config, const char *section, const char *key, const char *value,
                  const char *place, tr_error *err) {
    return tr_doc_put(config->doc, section, key, value, place, err);
}

void tr_config_free(tr_config *config) {
    if (config == NULL) return;
    tr_doc_free(config->doc);
    tr_free(config->class_names);
    tr_free(config);
}

int tr_config_keep_classes(tr_config *config, const tr_dataset *dataset, tr_error *err) {
    size_t n = (size_t)dataset->n_classes, pointers = n * sizeof *config->class_names,
           bytes = pointers;
    for (size_t k = 0; k < n; k++) bytes += strlen(dataset->class_names[k]) + 1;
    const char **names = tr_alloc(bytes, 1, err); /* the pointers, then the text */
    if (names == NULL) return TR_ENOMEM;
    char *text = (char *)names + pointers;
    for (size_t k = 0; k < n; k++) {
        size_t length = strlen(dataset->class_names[k]) + 1;
        memcpy(text, dataset->class_names[k], length);
        names[k] = text;
        text += length;
    }
    tr_free(config->class_names);
    config->class_names = names;
    return TR_OK;
}

int tr_config_of_run(const char *run_dir, tr_config **out, tr_error *err) {
    char path[4096 + 32];
    *out = NULL;
    if (!tr_is_folder(run_dir))
        return tr_fail(err, TR_ECONFIG, "--model: '%s' is not the folder of a run", run_dir);
    if (snprintf(path, sizeof path, "%s/config.ini", run_dir) >= (int)sizeof path)
        return tr_fail(err, TR_ECONFIG, "--model: the name is too long");
    if (!tr_exists(path))
        return tr_fail(err, TR_ECONFIG, "--model: '%s' holds no run: it has no config.ini",
                       run_dir);
    return tr_config_read(path, out, err);
}
