/* What a folder that should hold CIFAR-10 holds instead: another version, an archive, nothing.
 *
 * Everything follows from the names of files, which are the same in every copy of an archive. No
 * state: thread-safe.
 */
#include "data/cifar10.h"

#include <stdio.h>
#include <string.h>

#define BINARY_FOLDER "cifar-10-batches-bin"
#define HOW_TO_FETCH  "fetch it with tools/fetch-cifar10.sh"

/* Names that identify a version, the most helpful first. `archive`: a packed file. */
static const struct sign {
    const char *name;
    tr_path_kind kind;
    bool archive, binary; /* binary: the right version, at another path */
    const char *what;
} signs[] = {
    {BINARY_FOLDER, TR_PATH_FOLDER, false, true, "the binary version of CIFAR-10"},
    {"cifar-10-binary.tar.gz", TR_PATH_FILE, true, true, "the binary version of CIFAR-10"},
    {"cifar-10-binary.tar", TR_PATH_FILE, true, true, "the binary version of CIFAR-10"},
    {"data_batch_1", TR_PATH_FILE, false, false, "the Python version of CIFAR-10"},
    {"test_batch", TR_PATH_FILE, false, false, "the Python version of CIFAR-10"},
    {"batches.meta", TR_PATH_FILE, false, false, "the Python version of CIFAR-10"},
    {"data_batch_1.mat", TR_PATH_FILE, false, false, "the MATLAB version of CIFAR-10"},
    {"test_batch.mat", TR_PATH_FILE, false, false, "the MATLAB version of CIFAR-10"},
    {"batches.meta.mat", TR_PATH_FILE, false, false, "the MATLAB version of CIFAR-10"},
    {"train.bin", TR_PATH_FILE, false, false, "the binary version of CIFAR-100"},
    {"fine_label_names.txt", TR_PATH_FILE, false, false, "the binary version of CIFAR-100"},
    {"train.mat", TR_PATH_FILE, false, false, "the MATLAB version of CIFAR-100"},
    {"meta", TR_PATH_FILE, false, false, "the Python version of CIFAR-100"},
    {"cifar-10-batches-py", TR_PATH_FOLDER, false, false, "the Python version of CIFAR-10"},
    {"cifar-10-batches-mat", TR_PATH_FOLDER, false, false, "the MATLAB version of CIFAR-10"},
    {"cifar-100-binary", TR_PATH_FOLDER, false, false, "the binary version of CIFAR-100"},
    {"cifar-100-python", TR_PATH_FOLDER, false, false, "the Python version of CIFAR-100"},
    {"cifar-100-matlab", TR_PATH_FOLDER, false, false, "the MATLAB version of CIFAR-100"},
    {"cifar-10-python.tar.gz", TR_PATH_FILE, true, false, "the Python version of CIFAR-10"},
    {"cifar-10-batches-py.tar.gz", TR_PATH_FILE, true, false, "the Python version of CIFAR-10"},
    {"cifar-10-matlab.tar.gz", TR_PATH_FILE, true, false, "the MATLAB version of CIFAR-10"},
    {"cifar-100-binary.tar.gz", TR_PATH_FILE, true, false, "the binary version of CIFAR-100"},
    {"cifar-100-python.tar.gz", TR_PATH_FILE, true, false, "the Python version of CIFAR-100"},
    {"cifar-100-matlab.tar.gz", TR_PATH_FILE, true, false, "the MATLAB version of CIFAR-100"},
};
enum { N_SIGNS = sizeof signs / sizeof signs[0] };

/* Everything a message about a folder needs. */
typedef struct search {
    const char *root;
    const char *place; /* "" or " in the current folder /home/me" */
    const char *const *names;
    int n;
    const tr_places *places;
    tr_error *err;
} search;

/* The folder above, as one would write it (tr_free). */
static char *folder_above(const char *path, tr_error *err) {
    size_t length = strlen(path);
    char *above = tr_alloc(length + 2, 1, err);
    if (!above) return NULL;
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    memcpy(above, length ? path : ".", length ? length : 1);
    return above;
}

static int report_sign(const search *s, const struct sign *sign, const char *folder,
                       const char *path, const char *before) {
    if (sign->binary && sign->archive) {
        char *unpacked = tr_path(folder, BINARY_FOLDER, s->err);
        if (!unpacked) return TR_ENOMEM;
        int code = tr_fail_key(s->err, s->places, "root",
                               "%s, but '%s' is there, not unpacked: tar -xf '%s' -C '%s' makes "
                               "the folder to name, '%s'",
                               before, path, path, folder, unpacked);
        tr_free(unpacked);
        return code;
    }
    if (sign->binary)
        return tr_fail_key(s->err, s->places, "root", "%s, but '%s' is there: name that folder",
                           before, path);
    return tr_fail_key(
        s->err, s->places, "root",
        "%s, but '%s' is there, %s; the binary version of CIFAR-10 is needed, " HOW_TO_FETCH,
        before, path, sign->what);
}

/* The failure, starting with `before`, that names what the folder holds; TR_OK where it holds no
 * sign. cifar_only: leave out signs that may be anything else in another folder. */
static int find_sign(const search *s, const char *folder, bool cifar_only, const char *before) {
    int code = TR_OK;
    for (int i = 0; i < N_SIGNS && code == TR_OK; i++) {
        if (cifar_only && strncmp(signs[i].name, "cifar", 5) != 0) continue;
        char *path = tr_path(folder, signs[i].name, s->err);
        if (!path) return TR_ENOMEM;
        if (tr_look_at(path, NULL) == signs[i].kind)
            code = report_sign(s, &signs[i], folder, path, before);
        tr_free(path);
    }
    return code;
}

/* `root` is not there. */
static int no_folder(const search *s) {
    char before[TR_ERROR_TEXT];
    snprintf(before, sizeof before, "no folder '%s'%s", s->root, s->place);
    char *above = folder_above(s->root, s->err);
    if (!above) return TR_ENOMEM;
    int code = find_sign(s, above, true, before);
    tr_free(above);
    if (code) return code;
    return tr_fail_key(s->err, s->places, "root",
                       "no folder '%s'%s with CIFAR-10's files (%s ...); " HOW_TO_FETCH, s->root,
                       s->place, s->names[0]);
}

/* `root` is a file. */
static int no_folder_but_a_file(const search *s) {
    static const unsigned char magics[][2] = {{0x1f, 0x8b}, {'P', 'K'}, {'B', 'Z'}, {0xfd, '7'}};
    const char *slash = strrchr(s->root, '/'), *base = slash ? slash + 1 : s->root;
    unsigned char head[2] = {0};
    tr_file file;
    bool archive = strstr(base, ".tar") != NULL;
    for (int i = 0; i < N_SIGNS; i++)
        if (!signs[i].binary && signs[i].kind == TR_PATH_FILE && !strcmp(signs[i].name, base))
            return tr_fail_key(s->err, s->places, "root",
                               "'%s'%s is a file, of %s; a folder with the binary version of "
                               "CIFAR-10 is needed, " HOW_TO_FETCH,
                               s->root, s->place, signs[i].what);
    if (tr_open_file(s->root, &file, NULL) == TR_OK) {
        if (file.size >= 2 && tr_read_at(&file, 0, head, sizeof head, NULL) == TR_OK)
            for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
                archive |= !memcmp(head, magics[i], sizeof head);
        tr_close_file(&file);
    }
    if (archive)
        return tr_fail_key(
            s->err, s->places, "root",
            "'%s'%s is an archive, not a folder: unpack it and name the folder " BINARY_FOLDER
            " that it holds",
            s->root, s->place);
    size_t length = strlen(base);
    if (length > 4 && !strcmp(base + length - 4, ".bin")) {
        char *above = folder_above(s->root, s->err);
        if (!above) return TR_ENOMEM;
        int code = tr_fail_key(s->err, s->places, "root",
                               "'%s'%s is a file: name the folder that it is in, '%s'", s->root,
                               s->place, above);
        tr_free(above);
        return code;
    }
    return tr_fail_key(
        s->err, s->places, "root",
        "'%s'%s is a file, not a folder with CIFAR-10's files (%s ...); " HOW_TO_FETCH, s->root,
        s->place, s->names[0]);
}

/* `root` is a folder in which n_missing files are missing. */
static int incomplete(const search *s, int n_missing, const char *missing) {
    if (n_missing < s->n)
        return tr_fail_key(
            s->err, s->places, "root",
            "'%s'%s holds %d of the %d files that are needed, but no %s; " HOW_TO_FETCH, s->root,
            s->place, s->n - n_missing, s->n, missing);
    char before[TR_ERROR_TEXT];
    snprintf(before, sizeof before, "'%s'%s holds no %s", s->root, s->place, missing);
    int code = find_sign(s, s->root, false, before);
    if (code) return code;
    return tr_fail_key(s->err, s->places, "root",
                       "'%s'%s holds no %s, it is not CIFAR-10's binary version; " HOW_TO_FETCH,
                       s->root, s->place, missing);
}

static int check(const search *s) {
    const char *reason = NULL, *missing = NULL;
    int n_missing = 0;
    if (!*s->root)
        return tr_fail_key(s->err, s->places, "root",
                           "is empty, it should name the folder with CIFAR-10's files (%s ...)",
                           s->names[0]);
    switch (tr_look_at(s->root, &reason)) {
    case TR_PATH_NOTHING:
        return no_folder(s);
    case TR_PATH_FILE:
        return no_folder_but_a_file(s);
    case TR_PATH_OTHER:
        return tr_fail_key(s->err, s->places, "root", "'%s'%s is a device or pipe, not a folder",
                           s->root, s->place);
    case TR_PATH_UNKNOWN:
        return tr_fail_key(s->err, s->places, "root", "'%s'%s cannot be opened: %s", s->root,
                           s->place, reason);
    case TR_PATH_FOLDER:
        break;
    }
    for (int i = 0; i < s->n; i++) {
        char *path = tr_path(s->root, s->names[i], s->err);
        if (!path) return TR_ENOMEM;
        if (tr_look_at(path, NULL) == TR_PATH_NOTHING && n_missing++ == 0) missing = s->names[i];
        tr_free(path);
    }
    return n_missing ? incomplete(s, n_missing, missing) : TR_OK;
}

int tr_cifar10_check_folder(const char *root, const char *const *names, int n,
                            const tr_places *places, tr_error *err) {
    char *current = *root && *root != '/' ? tr_current_folder(NULL) : NULL;
    char place[TR_ERROR_TEXT] = "";
    if (current) snprintf(place, sizeof place, " in the current folder '%s'", current);
    tr_free(current);
    const search s = {root, place, names, n, places, err};
    return check(&s);
}
