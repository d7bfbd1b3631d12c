/* CIFAR-10 in its binary format: records of one label byte and three planes of 32x32 bytes.
 *
 * The files are read into memory when the set is loaded, and every label is checked there: reading
 * a sample cannot fail, and what happens to the files later does not matter. Constant once open,
 * hence thread-safe. Format: https://www.cs.toronto.edu/~kriz/cifar.html
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "data/cifar10.h"
#include "data/data.h"
#include "data/read.h"

enum { SIDE = 32, CHANNELS = 3, CLASSES = 10, RECORD = 1 + CHANNELS * SIDE * SIDE, MAX_FILES = 5 };
enum { IMAGES = 10000 }; /* in each file of the original */

struct args {
    const char *root;
};

static const char *const class_names[CLASSES] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};

static const char *const train_files[] = {
    "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
    "data_batch_4.bin", "data_batch_5.bin",
};
static const char *const test_files[] = {"test_batch.bin"};

struct state {
    tr_file files[MAX_FILES]; /* open between `open` and `load` */
    int n_files;
    unsigned char *records; /* of all files, in order */
};

static const unsigned char *record_of(const tr_dataset *set, int i) {
    const struct state *state = set->state;
    return state->records + (size_t)i * RECORD;
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

static void close_files(struct state *state) {
    for (int i = 0; i < state->n_files; i++) tr_close_file(&state->files[i]);
    state->n_files = 0;
}

static void close_set(tr_dataset *set) {
    struct state *state = set->state;
    if (!state) return;
    close_files(state);
    tr_free(state->records);
    tr_free(state);
    set->state = NULL;
}

/* What a file is whose size cannot be right, in words that follow a message; "" where its first
 * bytes do not say. */
static const char *guess(const tr_file *file) {
    static const struct {
        size_t n;
        const char *magic, *what;
    } kinds[] = {
        {2, "\x1f\x8b", "; it is compressed (gzip)"},
        {2, "PK", "; it is a zip archive"},
        {2, "\x80\x02", "; it is a Python pickle"},
        {2, "\x80\x03", "; it is a Python pickle"},
        {2, "\x80\x04", "; it is a Python pickle"},
        {6, "MATLAB", "; it is a MATLAB file"},
        {1, "<", "; it is a web page"},
    };
    char head[8] = {0};
    if (tr_read_at(file, 0, head, (size_t)tr_min(file->size, sizeof head), NULL) == TR_OK)
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (!memcmp(head, kinds[i].magic, kinds[i].n)) return kinds[i].what;
    return file->size > RECORD + 1 && file->size % (RECORD + 1) == 0
               ? "; records of 3074 bytes are CIFAR-100's"
               : "";
}

static int check_size(const tr_file *file, tr_error *err) {
    if (file->size == 0)
        return tr_fail(err, TR_EDATA,
                       "%s: offset 0: the file is empty, it should hold records of %d bytes",
                       file->path, RECORD);
    long long size = file->size, stray = size % RECORD;
    if (stray != 0)
        return tr_fail(err, TR_EDATA,
                       "%s: offset %lld: %lld stray byte%s at the end: the size, %lld bytes, is "
                       "not a multiple of %d%s",
                       file->path, size - stray, stray, stray == 1 ? "" : "s", size, RECORD,
                       guess(file));
    if (size / RECORD > INT_MAX)
        return tr_fail(err, TR_EDATA, "%s: more than %d records", file->path, INT_MAX);
    return TR_OK;
}

static int check_labels(const tr_file *file, int64_t offset, const unsigned char *bytes,
                        int64_t n_bytes, tr_error *err) {
    for (int64_t at = 0; at < n_bytes; at += RECORD)
        if (bytes[at] >= CLASSES)
            return tr_fail(err, TR_EDATA,
                           "%s: offset %lld: label %d of record %lld is not in the range 0 to %d",
                           file->path, (long long)(offset + at), bytes[at],
                           (long long)((offset + at) / RECORD), CLASSES - 1);
    return TR_OK;
}

/* Open the files of a split; *bytes: the sum of their sizes. */
static int open_files(const char *root, const char *const *names, int n, struct state *state,
                      int64_t *bytes, tr_error *err) {
    *bytes = 0;
    for (int i = 0; i < n; i++) {
        tr_file *file = &state->files[i];
        char *path = tr_path(root, names[i], err);
        if (!path) return TR_ENOMEM;
        int code = tr_open_file(path, file, err);
        tr_free(path);
        if (code < 0) return code;
        state->n_files = i + 1;
        code = check_size(file, err);
        if (code < 0) return code;
        *bytes += file->size; /* five files of 2^31 records at most */
    }
    if (*bytes / RECORD > INT_MAX)
        return tr_fail(err, TR_EDATA, "%s: more than %d records", root, INT_MAX);
    return TR_OK;
}

/* A subset is as good as the whole where it is meant. */
static void note_sizes(const tr_file *files, int n, const tr_dataset_request *request) {
    const char *kind = request->split == TR_TRAIN ? "training" : "test";
    int64_t bytes = 0;
    int n_other = 0;
    for (int i = 0; i < n; i++) {
        bytes += files[i].size;
        n_other += files[i].size != (int64_t)IMAGES * RECORD;
    }
    if (n_other == n && bytes < (int64_t)n * IMAGES * RECORD) {
        tr_note(request->notes, "%s: %lld %s images, a subset: all of CIFAR-10 has %d",
                ((const struct args *)request->args)->root, (long long)(bytes / RECORD), kind,
                n * IMAGES);
        return;
    }
    for (int i = 0; i < n; i++) {
        if (files[i].size == (int64_t)IMAGES * RECORD) continue;
        tr_note(request->notes, "%s: %lld images, the file of CIFAR-10 has %d", files[i].path,
                (long long)(files[i].size / RECORD), IMAGES);
    }
}

static int load(tr_dataset *set, tr_error *err) {
    struct state *state = set->state;
    state->records = tr_alloc((size_t)set->n, RECORD, err);
    if (!state->records) return TR_ENOMEM;
    int code =
        tr_read_files(state->files, state->n_files, RECORD, check_labels, state->records, err);
    close_files(state);
    return code;
}

static int open_set(const tr_dataset_request *request, tr_dataset *out, tr_error *err) {
    const char *root = ((const struct args *)request->args)->root;
    const char *const *names = request->split == TR_TRAIN ? train_files : test_files;
    int n_files = request->split == TR_TRAIN ? MAX_FILES : 1;
    char what[64];
    int64_t bytes;
    *out = (tr_dataset){
        .h = SIDE,
        .w = SIDE,
        .c = CHANNELS,
        .n_classes = CLASSES,
        .class_names = class_names,
        .load = load,
        .sample = sample,
        .prefetch = prefetch,
        .close = close_set,
    };
    struct state *state = tr_alloc(1, sizeof *state, err);
    if (!state) return TR_ENOMEM;
    out->state = state;
    int code = tr_cifar10_check_folder(root, names, n_files, &request->places, err);
    if (code < 0) goto fail;
    code = open_files(root, names, n_files, state, &bytes, err);
    if (code < 0) goto fail;
    out->n = (int)(bytes / RECORD);
    out->bytes = tr_alloc_bytes(bytes, 1);
    snprintf(what, sizeof what, "%d images", out->n);
    code = tr_check_memory(&request->places, "root", bytes, what, err);
    if (code < 0) goto fail;
    note_sizes(state->files, n_files, request);
    return TR_OK;
fail:
    tr_dataset_close(out);
    return code;
}

static const tr_key keys[] = {
    {"root", TR_KEY_PATH, offsetof(struct args, root), "data/cifar-10-batches-bin", 0, 0, NULL,
     "folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin"},
};

const tr_dataset_class tr_dataset_class_cifar10 = {
    .schema =
        {
            .name = "cifar10",
            .help = "CIFAR-10 in its binary format: 50000 training and 10000 test images of "
                    "32x32 pixels in 10 classes.",
            .keys = keys,
            .n_keys = sizeof keys / sizeof keys[0],
            .args_bytes = sizeof(struct args),
            .torch = "torchvision.datasets.CIFAR10",
        },
    .open = open_set,
    .from_files = true,
};
