/* The module `io`: file formats. It handles bytes and names, not layers. No state. */
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

/* ---- safetensors (safetensors_save.c, safetensors_load.c, dtype.c, foreign.c) ----
 * u64 little-endian header length, JSON header (padded with spaces to a multiple of 8), data. */
typedef struct tr_tensor { /* any number of dimensions, a name of any length */
    const char *name;
    int n_dims;
    const int64_t *dim; /* elements are row-major */
    tr_type type;       /* of its values, float, double or int64_t */
} tr_tensor;
/* "6 x 3 x 5 x 5", or "one number". Returns out. */
enum { TR_EXTENTS = 256 };
const char *tr_tensor_extents(const tr_tensor *tensor, char out[TR_EXTENTS]);

/* Tensors to write, and where their values come from, a part at a time. */
typedef struct tr_tensor_source {
    int n;
    const tr_tensor *tensors;
    /* out[0..n) := elements first, first + 1, ... of a tensor, of its type. */
    void (*get)(void *arg, int tensor, int64_t first, int64_t n, void *out);
    void *arg;
} tr_tensor_source;
/* Write as F32, F64 or I64, in the order given, offsets contiguous from 0; whole or not at all
 * (tr_save).
 * metadata: keys and values for "__metadata__", n pairs (may be 0). sha256: tr_tensors_sha256 of
 * what was written. */
int tr_safetensors_save(const char *path, const tr_tensor_source *source,
                        const char *const (*metadata)[2], int n_metadata, char sha256[65],
                        tr_error *err);
/* SHA-256 over the values of all tensors in order, little-endian, as they stand in a file. */
void tr_tensors_sha256(const tr_tensor_source *source, char hex[65]);

/* A tensor of a file. */
typedef struct tr_stored {
    tr_tensor tensor; /* type: the one that holds its values, if one does */
    const char *dtype;
    bool parameter;   /* may be one: its type is no integer and no boolean */
    int64_t elements; /* in all */
    int64_t begin, end;
} tr_stored;
typedef struct tr_safetensors { /* {0}: none */
    tr_file file;
    json_t *header; /* names and dtypes are its */
    int64_t *dims, data_begin;
    tr_stored *tensors; /* in the order of their data */
    int n;
} tr_safetensors;
/* Checks every rule of the format (header length and JSON, shapes against offsets, no holes or
 * overlaps, exact size) before it believes a number. Another format that is known is named. */
int tr_safetensors_open(const char *path, tr_safetensors *out, tr_error *err);
/* out[0..n) := elements first, first + 1, ... of a tensor as `type`: floats (F32, F16, BF16, F64)
 * as any, integers as float64 or int64; to the nearest where that has fewer bits. An error: another
 * dtype, and what the type cannot hold: a finite F64 too large for float32; a U64, or a float that
 * is no integer, for int64. */
int tr_safetensors_read(const tr_safetensors *file, int tensor, tr_type type, int64_t first,
                        int64_t n, void *out, tr_error *err);
/* The text of a key of "__metadata__", or NULL. */
const char *tr_safetensors_metadata(const tr_safetensors *file, const char *key);
void tr_safetensors_close(tr_safetensors *file);
/* Fails as tr_safetensors_open does where the file is of another format that is known; TR_OK where
 * it is not, or cannot be read. */
int tr_refuse_foreign(const char *path, tr_error *err);

/* ---- JSON (json.c): jansson objects to files ---- */
/* A number for an object; null where it is not finite (JSON and jansson have no such numbers). */
json_t *tr_json_number(double value);
/* One object, indented, atomically. Steals the reference to `object`. */
int tr_json_save(const char *path, json_t *object, tr_error *err);
/* One object as one line appended to a file. Steals the reference to `object`. */
int tr_json_append(const char *path, json_t *object, tr_error *err);
/* One object as indented text that ends in a newline (tr_free), numbers with all their digits.
 * Steals the reference to `object`; NULL stands for one that could not be made. `what` names it in
 * errors. */
int tr_json_text(const char *what, json_t *object, char **out, tr_error *err);
/* Text for an object; null where it is not UTF-8, as the name of a file may be. */
json_t *tr_json_string(const char *text);
/* {key: value} of a class's arguments: numbers, booleans, lists of numbers; text for words. NULL
 * where there is no memory (json_args.c). */
json_t *tr_json_args(const tr_schema *schema, const void *args);
/* {"class": name, "arguments": those}. */
json_t *tr_json_class(const tr_schema *schema, const void *args);
/* Read a file that holds one JSON value. */
int tr_json_load(const char *path, json_t **out, tr_error *err);

#endif
