/* A fresh folder for every test: the fixture make_scratch, remove_scratch. */
#ifndef TR_SCRATCH_H
#define TR_SCRATCH_H

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[256];

static void make_scratch(void) {
    const char *top = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/trainer-test-XXXXXX", top && *top ? top : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chmod(folder, 0755), 0); /* the tests look inside as another user, too */
}

static void remove_scratch(void) {
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* folder/name; up to 16 of them at a time. */
static const char *in_folder(const char *name) {
    static char paths[16][600];
    static int next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline int n_entries(const char *path) {
    int n = 0;
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(dir);
    return n;
}

/* The whole file is `text`. */
static inline void expect_file(const char *path, const char *text) {
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: cannot be read", path);
    char *data = calloc(1, 1 << 20);
    size_t bytes = fread(data, 1, (1 << 20) - 1, file);
    fclose(file);
    ck_assert_str_eq(data, text);
    ck_assert_uint_eq(bytes, strlen(text));
    free(data);
}

#endif
