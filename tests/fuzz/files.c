#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

enum { MAX_NAMES = 16 };

static char folder[64], names[MAX_NAMES][64];
static int n_names;

static void clean(void) {
    char path[192];
    for (int i = 0; i < n_names; i++) {
        snprintf(path, sizeof path, "%.63s/%.63s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

const char *fuzz_folder(void) {
    if (*folder) return folder;
    strcpy(folder, "/tmp/trainer-fuzz-XXXXXX");
    if (!mkdtemp(folder) || atexit(clean)) abort();
    return folder;
}

const char *fuzz_file(const char *name, const void *data, size_t size) {
    static char path[192];
    snprintf(path, sizeof path, "%.63s/%.63s", fuzz_folder(), name);
    int i = 0;
    while (i < n_names && strcmp(names[i], name)) i++;
    if (i == MAX_NAMES) abort();
    if (i == n_names) snprintf(names[n_names++], sizeof names[0], "%.63s", name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) abort();
    return path;
}
