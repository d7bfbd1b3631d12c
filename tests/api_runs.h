/* Configurations and folders of runs: what the tests of the library share. */
#ifndef TR_TEST_API_RUNS_H
#define TR_TEST_API_RUNS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "program.h"
#include "trainer/trainer.h"

static inline tr_config *read_config(const char *name, const char *const *sets) {
    tr_error err = {0};
    tr_config *config;
    ck_assert_msg(tr_config_read(name, &config, &err) == TR_OK, "%s", err.text);
    for (; sets && *sets; sets++)
        ck_assert_msg(tr_config_set(config, *sets, &err) == TR_OK, "%s", err.text);
    return config;
}
#define SETS(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline bool has(const char *folder, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static inline const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Neither the lock nor a temporary file; metrics in whole lines. */
static inline void check_clean(const char *folder) {
    DIR *list = opendir(folder);
    ck_assert_ptr_nonnull(list);
    for (struct dirent *entry; (entry = readdir(list));)
        ck_assert_msg(entry->d_name[0] != '.' ||
                          strspn(entry->d_name, ".") == strlen(entry->d_name),
                      "%s was left", entry->d_name);
    closedir(list);
    ck_assert(!has(folder, "lock"));
    ck_assert(has(folder, "config.ini"));
    if (!has(folder, "metrics.jsonl")) return;
    char path[256];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    char *all = read_whole(path, NULL), *rest = all;
    ck_assert_int_eq(all[strlen(all) - 1], '\n');
    while (*rest) {
        json_t *object = json_loads(strsep(&rest, "\n"), 0, NULL);
        ck_assert(json_is_object(object));
        json_decref(object);
    }
    free(all);
}

#endif
