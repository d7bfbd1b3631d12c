/* CIFAR-10 in its binary format: records of one label byte and three planes of 32x32 bytes.
 *
 * The files stay mapped and samples are pointers into them: opening copies nothing. Every label is
 * checked when the set is opened, so that reading a sample cannot fail. Constant once open, hence
 * thread-safe. Format: https://www.cs.toronto.edu/~kriz/cifar.html
 */
#include <limits.h>
#include <stdio.h>

#include "data/data.h"

enum { SIDE = 32, CHANNELS = 3, CLASSES = 10, RECORD = 1 + CHANNELS * SIDE * SIDE, MAX_FILES = 5 };

#define HOW_TO_FETCH "fetch it with tools/fetch-cifar10.sh"

struct args {
    char root[TR_TEXT];
};

struct state {
    tr_mapping files[MAX_FILES];
    int n_files;
    int end[MAX_FILES]; /* index after the last sample of each file */
};

static const char *const class_names[CLASSES] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};

static const char *const train_files[] = {
    "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
    "data_batch_4.bin", "data_batch_5.bin",
};
static const char *const test_files[] = {"test_batch.bin"};

static const unsigned char *record_of(const tr_dataset *set, int i) {
    const struct state *state = set->state;
    int file = 0, first = 0;
    while (i >= state->end[file]) first = state->end[file++];
    return state->files[file].data + (size_t)(i - first) * RECORD;
}

static int sample(const tr_dataset *set, int i, const unsigned char **pixels, int *label,
                  tr_error *err) {
    (void)err;
    const unsigned char *record = record_of(set, i);
    *label = record[0];
    *pixels = record + 1;
    return TR_OK;
}

static void prefetch(const tr_dataset *set, int i) {
    const unsigned char *record = record_of(set, i);
    tr_prefetch(record, RECORD);
}

static void close_set(tr_dataset *set) {
    struct state *state = set->state;
    if (!state) return;
    for (int i = 0; i < state->n_files; i++) tr_unmap(&state->files[i]);
    tr_free(state);
    set->state = NULL;
}

static int check_records(const char *path, const tr_mapping *file, tr_error *err) {
    if (file->size == 0)
        return tr_fail(err, TR_EDATA,
                       "%s: offset 0: the file is empty, it should hold records of %d bytes", path,
                       RECORD);
    size_t stray = file->size % RECORD;
    if (stray != 0)
        return tr_fail(err, TR_EDATA,
                       "%s: offset %zu: %zu stray byte%s at the end: the size, %zu bytes, is not a "
                       "multiple of %d",
                       path, file->size - stray, stray, stray == 1 ? "" : "s", file->size, RECORD);
    for (size_t at = 0; at < file->size; at += RECORD)
        if (file->data[at] >= CLASSES)
            return tr_fail(err, TR_EDATA,
                           "%s: offset %zu: label %d of record %zu is not in the range 0 to %d",
                           path, at, file->data[at], at / RECORD, CLASSES - 1);
    return TR_OK;
}

static int open_file(const char *root, const char *name, tr_mapping *out, tr_error *err) {
    char path[TR_TEXT + 64];
    snprintf(path, sizeof path, "%s/%s", root, name);
    tr_error cause = {0};
    int code = tr_map(path, out, &cause);
    if (code < 0 && !tr_exists(path))
        return tr_fail(err, TR_EDATA, "%s; " HOW_TO_FETCH, cause.text);
    if (code < 0) return tr_fail(err, code, "%s", cause.text);
    return check_records(path, out, err);
}

static int open_set(const void *args_, tr_split split, uint64_t seed, tr_dataset *out,
                    tr_error *err) {
    (void)seed;
    const struct args *args = args_;
    *out = (tr_dataset){
        .h = SIDE,
        .w = SIDE,
        .c = CHANNELS,
        .n_classes = CLASSES,
        .class_names = class_names,
        .sample = sample,
        .prefetch = prefetch,
        .close = close_set,
    };
    if (!tr_exists(args->root))
        return tr_fail(err, TR_EDATA, "%s: no such folder; " HOW_TO_FETCH, args->root);
    if (!tr_is_folder(args->root))
        return tr_fail(err, TR_EDATA, "%s: is not a folder with CIFAR-10 files; " HOW_TO_FETCH,
                       args->root);
    struct state *state = tr_alloc(1, sizeof *state, err);
    if (!state) return TR_ENOMEM;
    out->state = state;

    const char *const *names = split == TR_TRAIN ? train_files : test_files;
    int n_files = split == TR_TRAIN ? MAX_FILES : 1;
    size_t n = 0;
    int code;
    for (int i = 0; i < n_files; i++) {
        state->n_files = i + 1;
        code = open_file(args->root, names[i], &state->files[i], err);
        if (code < 0) goto fail;
        n += state->files[i].size / RECORD; /* a file is smaller than half the address space */
        if (n > INT_MAX) {
            code = tr_fail(err, TR_EDATA, "%s: more than %d records", args->root, INT_MAX);
            goto fail;
        }
        state->end[i] = (int)n;
    }
    out->n = (int)n;
    out->bytes = (int64_t)n * RECORD;
    return TR_OK;
fail:
    tr_dataset_close(out);
    return code;
}

static const tr_key keys[] = {
    {"root", TR_KEY_STRING, offsetof(struct args, root), "data/cifar-10-batches-bin", 0, 0, NULL,
     "folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin"},
};

const tr_dataset_class tr_dataset_cifar10 = {
    .schema =
        {
            .name = "cifar10",
            .help = "CIFAR-10 in its binary format: 50000 training and 10000 test images of "
                    "32x32 pixels in 10 classes.",
            .keys = keys,
            .n_keys = sizeof keys / sizeof keys[0],
            .args_bytes = sizeof(struct args),
        },
    .open = open_set,
};
