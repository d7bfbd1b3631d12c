/* Private to io: what reading and writing safetensors share. */
#ifndef TR_SAFETENSORS_H
#define TR_SAFETENSORS_H

#include "io/io.h"

enum {
    TR_ST_LENGTH = 8,       /* bytes of the header's length */
    TR_ST_MOST = 100000000, /* bytes of a header: the reference implementation's limit */
    TR_ST_CHUNK = 2048,     /* elements that are converted at a time */
    TR_ST_ELEMENT = 8,      /* bytes of one at most */
};
#define TR_ST_METADATA "__metadata__"

/* Elements of a shape; false where that is no size. */
bool tr_shape_elements(int n_dims, const int64_t *dim, size_t *elements);

/* ---- element types (dtype.c) ---- */

typedef struct tr_dtype {
    const char *name;        /* in a file */
    int bytes;               /* of an element; 0: not an integer of them */
    bool integer, parameter; /* parameter: may be one (no integers, no booleans) */
    /* n elements of a file into float32. Returns the first that is finite and too large for it, or
     * n. NULL: no floats, or not read here. */
    size_t (*load)(float *out, const unsigned char *in, size_t n);
} tr_dtype;
/* NULL: unknown. */
const tr_dtype *tr_dtype_find(const char *name);
/* The one of that type. */
const tr_dtype *tr_dtype_of(tr_type type);
/* NULL (unknown) gives false. */
bool tr_dtype_readable(const tr_dtype *dtype, tr_type type);
/* n elements of a readable dtype as `type`. Returns the first that it cannot hold, or n. */
size_t tr_load(const tr_dtype *dtype, tr_type type, void *out, const unsigned char *in, size_t n);
/* n values as little-endian bytes. */
void tr_store(tr_type type, unsigned char *out, const void *in, size_t n);

/* Room for the values of a part of a tensor, of any type. */
typedef union tr_values {
    float f32[TR_ST_CHUNK];
    double f64[TR_ST_CHUNK];
    int64_t i64[TR_ST_CHUNK];
} tr_values;

/* ---- other formats (foreign.c) ---- */

/* Fails where the file is of another format that is known ("is an HDF5 file, not ..."), and says
 * how a PyTorch file is converted; TR_OK where it is not. */
int tr_foreign_refuse(const tr_file *file, tr_error *err);

#endif
