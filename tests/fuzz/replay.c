/* Runs a fuzz target over the files of the folder that is named. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static void replay(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) abort();
    long size = ftell(file);
    rewind(file);
    uint8_t *data = malloc((size_t)size + 1); /* exact, so that reading past the end is seen */
    if (!data || fread(data, 1, (size_t)size, file) != (size_t)size || fclose(file)) abort();
    uint8_t *exact = realloc(data, size ? (size_t)size : 1);
    if (!exact) abort();
    LLVMFuzzerTestOneInput(exact, (size_t)size);
    free(exact);
}

int main(int argc, char **argv) {
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    int n = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        replay(path);
        n++;
    }
    closedir(folder);
    printf("%d files\n", n);
    return n == 0;
}
