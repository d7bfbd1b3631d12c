/* The room `io`: file formats. It knows bytes and names, not layers. Nothing here keeps state. */
#ifndef TR_IO_H
#define TR_IO_H

#include <jansson.h>

#include "base/base.h"

/* ---- SHA-256 (sha256.c), FIPS 180-4 ---- */
typedef struct tr_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
} tr_sha256;
void tr_sha256_start(tr_sha256 *sha);
void tr_sha256_add(tr_sha256 *sha, const void *data, size_t bytes);
/* hex: 64 digits and a NUL. */
void tr_sha256_end(tr_sha256 *sha, char hex[65]);

/* ---- safetensors (safetensors.c) ----
 * u64 little-endian header length, JSON header (padded with spaces to a multiple of 8), data.
 * Only F32 here. Tensors are written in the order given, offsets contiguous from 0. */
enum { TR_MAX_DIMS = 4 };
typedef struct tr_tensor {
    char name[TR_NAME];
    int n_dims;
    int64_t dim[TR_MAX_DIMS];
    float *data; /* dim[0] * dim[1] * ... elements, row-major */
} tr_tensor;
/* metadata: keys and values for "__metadata__", n pairs (may be 0). Atomic (tr_save). */
int tr_safetensors_save(const char *path, const tr_tensor *tensors, int n,
                        const char *const (*metadata)[2], int n_metadata, tr_error *err);
/* Everything in the file, in file order; checks every rule of the format (header length and JSON,
 * dtype, shapes against offsets, no holes or overlaps, exact size) before it believes a number. */
int tr_safetensors_load(const char *path, tr_tensor **tensors, int *n, tr_error *err);
void tr_tensors_free(tr_tensor *tensors, int n);
/* SHA-256 over the data of all tensors in order, little-endian float32. */
void tr_tensors_sha256(const tr_tensor *tensors, int n, char hex[65]);

/* ---- JSON (json.c): jansson objects to files ---- */
/* A number for an object; null where it is not finite (JSON and jansson have no such numbers). */
json_t *tr_json_number(double value);
/* One object, indented, atomically. Steals the reference to `object`. */
int tr_json_save(const char *path, json_t *object, tr_error *err);
/* One object as one line appended to a file. Steals the reference to `object`. */
int tr_json_append(const char *path, json_t *object, tr_error *err);
/* Read a file that holds one JSON value. */
int tr_json_load(const char *path, json_t **out, tr_error *err);

#endif
