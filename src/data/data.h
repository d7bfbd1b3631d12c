/* The module `data`: data sets, transforms, and the loader.
 *
 * dataset (bytes, planar) -> transforms -> loader (thread pool, ring of ready batches) -> exec.
 * Batch k of epoch e is a pure function of (seed, e, k), whatever the workers do.
 */
#ifndef TR_DATA_H
#define TR_DATA_H

#include "base/base.h"

/* ---- data sets: one file per format, registered in meson.build ---- */

typedef enum tr_split { TR_TRAIN, TR_TEST } tr_split;

/* What a data set is opened with. */
typedef struct tr_dataset_request {
    const void *args; /* of the class's schema */
    tr_places places; /* of its keys */
    tr_split split;
    uint64_t seed;
    tr_notes *notes; /* may be NULL */
} tr_dataset_request;

typedef struct tr_dataset tr_dataset;
struct tr_dataset {
    int n;       /* samples */
    int h, w, c; /* of each image */
    int n_classes;
    const char *const *class_names; /* [n_classes] */
    /* Bring the samples into memory, once, after `open` and before the first sample; NULL: nothing
     * to do. What the samples are is settled when it returns: whatever happens to files afterwards
     * does not change them. */
    int (*load)(tr_dataset *dataset, tr_error *err);
    /* Sample i in 0..n-1: c planes of h*w bytes, and its label in 0..n_classes-1. Thread-safe;
     * the memory lives as long as the data set. May fail (a worker then reports it). A label out
     * of range is reported as a failure, too, by the loader. */
    int (*sample)(const tr_dataset *dataset, int i, const unsigned char **pixels, int *label,
                  tr_error *err);
    /* Prefetch: sample i will be read soon. A hint only. May be NULL. */
    void (*prefetch)(const tr_dataset *dataset, int i);
    void (*close)(tr_dataset *dataset);
    void *state;
    int64_t bytes; /* of memory that it holds, or will after `load` */
};

typedef struct tr_dataset_class {
    tr_schema schema;
    /* Everything but `load`: sizes are known and checked, so that what else a run needs can be held
     * against the available memory before any is allocated. A size that exceeds memory is refused
     * at the key that sets it (tr_check_memory). */
    int (*open)(const tr_dataset_request *request, tr_dataset *out, tr_error *err);
    bool from_files; /* that may be mixed up: repeated images are looked for */
} tr_dataset_class;

extern const tr_dataset_class *const tr_dataset_classes[];
/* Their schemas under the same numbers, and how many there are. */
extern const tr_registry tr_dataset_registry;

/* Load a data set that was opened. */
int tr_dataset_load(tr_dataset *dataset, tr_error *err);
/* Close a data set; a zeroed one is fine. */
void tr_dataset_close(tr_dataset *dataset);
/* SHA-256 of what a data set holds: five numbers, samples, channels, height, width and classes,
 * then the label and the bytes of each sample; numbers as four bytes, the lowest first. hex: 64
 * digits and a NUL. Takes about half a second for 100 MB. */
int tr_dataset_digest(const tr_dataset *dataset, char hex[65], tr_error *err);

/* Images that are there more than once, byte for byte. */
typedef struct tr_repeats {
    int train; /* of the training set: like an earlier one */
    int test;  /* of the test set: like one of the training set */
} tr_repeats;
int tr_dataset_repeats(const tr_dataset *train, const tr_dataset *test, tr_repeats *out,
                       tr_error *err);
/* Notes where that is more than one image in a hundred. Sets that are too large to look through in
 * a second get none. */
int tr_dataset_note_repeats(const tr_dataset *train, const tr_dataset *test, tr_notes *notes,
                            tr_error *err);

/* For `open`: TR_ECONFIG at `key` where `bytes` more than the process holds exceed
 * tr_memory_limit(). what: "1000 images of 8 x 1024 x 1024 bytes". */
int tr_check_memory(const tr_places *places, const char *key, int64_t bytes, const char *what,
                    tr_error *err);

/* ---- transforms: one file each, registered in meson.build ----
 * ToTensor comes first, always: byte / 255 as float. Then each transform in the order written. */

typedef struct tr_transform_class {
    tr_schema schema;
    /* Do `args` suit images of `channels` channels? `given` are the keys that were written. */
    int (*check)(const void *args, int channels, const tr_places *given, tr_error *err);
    /* The new value of a pixel, in float arithmetic, as torchvision does it. */
    float (*pixel)(const void *args, int channel, float value);
} tr_transform_class;

extern const tr_transform_class *const tr_transform_classes[];
extern const tr_registry tr_transform_registry;

enum { TR_MAX_TRANSFORMS = 16, TR_MAX_CHANNELS = 8 };

/* A chain of transforms composed into one table: what byte b of channel c becomes. */
typedef struct tr_pipeline {
    int channels;
    tr_real table[TR_MAX_CHANNELS][256];
} tr_pipeline;

/* The lines of [transforms] with every argument; they were read by tr_pipeline_create before. visit
 * returns TR_OK or a code, which ends it. */
int tr_transforms_each(const tr_pair *pairs, int n,
                       int (*visit)(const tr_schema *schema, const void *args, void *arg),
                       void *arg, tr_error *err);
/* As text, for the effective configuration. */
int tr_transforms_write(const tr_pair *pairs, int n, tr_text *out, tr_error *err);
/* pairs: the lines of [transforms], key = class name, value = its arguments. */
int tr_pipeline_create(const tr_pair *pairs, int n, int channels, tr_pipeline *out, tr_error *err);
/* One image: planes of bytes [c][h*w] -> [h*w][c]. */
void tr_pipeline_decode(const tr_pipeline *pipeline, const unsigned char *planes, int n_pixels,
                        tr_real *out);

/* ---- the loader (loader.c) ---- */

typedef struct tr_loader_args { /* the section [loader] */
    int64_t batch_size;
    bool shuffle, drop_last;
    int64_t workers;  /* -1: auto */
    int64_t prefetch; /* batches ready or in work per worker at most, -1: auto */
} tr_loader_args;
extern const tr_schema tr_loader_schema;

typedef struct tr_batch {
    int64_t index;          /* of the batch in its epoch */
    int n;                  /* samples: batch_size, or fewer in the last */
    tr_real *x;             /* [n] images [h][w][c], `stride` elements apart; NULL: lazy */
    int64_t stride;         /* see tr_loader_options */
    const int32_t *labels;  /* [n] */
    const uint32_t *sample; /* [n] index in the data set */
    bool decoded;           /* false: tr_batch_decode gives pixels and labels */
} tr_batch;

typedef struct tr_loader_options {
    tr_loader_args args; /* with workers >= 0 */
    tr_generator generator;
    uint64_t seed;
    int64_t n_before; /* TR_TORCH: numbers drawn before the first epoch, for the weights */
    int64_t stride;   /* elements from one sample of a batch to the next, >= h*w*c */
    /* workers = 0 only: leave batches undecoded, for the team to decode. */
    bool lazy;
    /* Called once at the start of each worker, for binding; may be NULL. */
    void (*worker_start)(void *arg);
    void *worker_arg;
} tr_loader_options;

typedef struct tr_loader_stats {  /* since the loader was made */
    double consumer_wait_seconds; /* tr_loader_next waited for data (decoding, for workers = 0) */
    double worker_wait_seconds;   /* workers waited for a free slot, summed over workers */
    int64_t batches, samples;
} tr_loader_stats;

typedef struct tr_loader tr_loader;

/* Batches that a loader of these options holds: ready, in work, or the consumer's. */
int tr_loader_slots(const tr_dataset *dataset, const tr_loader_options *options);
/* What it will hold, bytes; INT64_MAX: more than fits. */
int64_t tr_loader_bytes(const tr_dataset *dataset, const tr_loader_options *options);
/* TR_ECONFIG at the key, prefetch or batch_size, that makes it more than the process may hold.
 * places: of the section [loader]. */
int tr_loader_check_memory(const tr_dataset *dataset, const tr_loader_options *options,
                           const tr_places *places, tr_error *err);
/* Starts the workers; its memory is resident then. Fails on batch_size > n with drop_last, on n ==
 * 0, on options that are out of range or do not suit the data set, on no memory. */
int tr_loader_create(const tr_dataset *dataset, const tr_pipeline *pipeline,
                     const tr_loader_options *options, tr_loader **out, tr_error *err);
/* Batches in an epoch: ceil(n / batch_size), floor with drop_last. */
int64_t tr_loader_length(const tr_loader *loader);
/* Start epoch `epoch` (workers begin at once); cancels one that is under way. */
int tr_loader_begin(tr_loader *loader, int64_t epoch, tr_error *err);
/* The next batch in order: 1 and *out, 0 at the end of the epoch, or the failure of the worker that
 * made it. The batch is the caller's until tr_loader_release. One consumer thread. */
int tr_loader_next(tr_loader *loader, tr_batch **out, tr_error *err);
void tr_loader_release(tr_loader *loader, tr_batch *batch);
/* Lazy batches: decode samples n0..n1-1 to x, which is sample n0's place, `stride` elements apart.
 * Several threads may decode disjoint ranges at once. */
int tr_batch_decode(const tr_loader *loader, tr_batch *batch, int n0, int n1, tr_real *x,
                    int64_t stride, tr_error *err);
void tr_loader_get_stats(const tr_loader *loader, tr_loader_stats *out);
/* Stops the workers at once, also in the middle of an epoch. NULL is fine. */
void tr_loader_free(tr_loader *loader);

#endif
