/* Writing safetensors: the header from names and shapes, then one tensor after the other through a
 * small buffer, so that no copy of a model is made. Nothing is allocated but the header. No state.
 */
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"

bool tr_shape_elements(int n_dims, const int64_t *dim, size_t *elements) {
    size_t n = 1;
    bool none = false; /* a zero makes the product zero, however large the others are */
    for (int d = 0; d < n_dims; d++) {
        if (dim[d] < 0) return false;
        none |= dim[d] == 0;
    }
    for (int d = 0; d < n_dims && !none; d++)
        if (!tr_mul(n, (size_t)dim[d], &n)) return false;
    *elements = none ? 0 : n;
    return n <= INT64_MAX;
}

static json_t *describe(const tr_tensor *tensor, size_t begin, size_t end) {
    json_t *shape = json_array();
    for (int d = 0; d < tensor->n_dims; d++)
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->dim[d]))) goto fail;
    /* The format `o` hands over the reference also when packing fails. */
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tr_dtype_of(tensor->type)->name, "shape",
                     shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
fail:
    json_decref(shape);
    return NULL;
}

/* The header as text padded to a multiple of 8; free it with free(). */
static int make_header(const char *path, const tr_tensor *tensors, int n,
                       const char *const (*metadata)[2], int n_metadata, char **text,
                       size_t *text_bytes, tr_error *err) {
    int rc = TR_OK;
    char *out = NULL;
    json_t *header = json_object();
    json_t *pairs = n_metadata > 0 ? json_object() : NULL;
    for (int i = 0; i < n_metadata; i++)
        if (json_object_set_new(pairs, metadata[i][0], json_string(metadata[i][1]))) {
            rc = tr_fail(err, TR_EIO, "%s: metadata '%s' is not UTF-8 text", path, metadata[i][0]);
            goto fail;
        }
    if (!header || (pairs && json_object_set(header, TR_ST_METADATA, pairs))) {
        rc = tr_fail(err, TR_ENOMEM, "%s: no memory for the header", path);
        goto fail;
    }
    size_t end = 0;
    for (int i = 0; i < n; i++) {
        size_t begin = end, elements, bytes;
        const char *name = tensors[i].name;
        if (!tr_shape_elements(tensors[i].n_dims, tensors[i].dim, &elements) ||
            !tr_mul(elements, (size_t)tr_dtype_of(tensors[i].type)->bytes, &bytes) ||
            !tr_add(end, bytes, &end) || end > INT64_MAX) {
            rc = tr_fail(err, TR_EIO, "%s: tensor '%s': the shape is too large", path, name);
            goto fail;
        }
        if (strcmp(name, TR_ST_METADATA) == 0 || json_object_get(header, name)) {
            rc = tr_fail(err, TR_EIO, "%s: tensor '%s': the name is taken; names must be unique",
                         path, name);
            goto fail;
        }
        if (json_object_set_new(header, name, describe(&tensors[i], begin, end))) {
            rc = tr_fail(err, TR_EIO, "%s: tensor '%s': the name is not UTF-8 text", path, name);
            goto fail;
        }
    }
    size_t length = json_dumpb(header, NULL, 0, JSON_COMPACT);
    size_t padded = (length + TR_ST_LENGTH - 1) / TR_ST_LENGTH * TR_ST_LENGTH;
    if (padded > TR_ST_MOST) {
        rc = tr_fail(err, TR_EIO, "%s: the header has %zu bytes, at most %d are allowed", path,
                     padded, TR_ST_MOST);
        goto fail;
    }
    if (length == 0 || !(out = malloc(padded)) ||
        json_dumpb(header, out, length, JSON_COMPACT) != length) {
        rc = tr_fail(err, TR_ENOMEM, "%s: no memory for the header", path);
        goto fail;
    }
    memset(out + length, ' ', padded - length);
    json_decref(pairs);
    json_decref(header);
    *text = out;
    *text_bytes = padded;
    return TR_OK;
fail:
    free(out);
    json_decref(pairs);
    json_decref(header);
    return rc;
}

/* All elements of the source, in order, into the sum and, where it is not NULL, the output. */
static int pass(const tr_tensor_source *s, tr_sha256 *sha, tr_output *out, tr_error *err) {
    tr_values values;
    unsigned char bytes[TR_ST_CHUNK * TR_ST_ELEMENT];
    for (int i = 0; i < s->n; i++) {
        const tr_tensor *t = &s->tensors[i];
        size_t elements, size = (size_t)tr_dtype_of(t->type)->bytes;
        if (!tr_shape_elements(t->n_dims, t->dim, &elements)) continue;
        for (size_t at = 0; at < elements; at += TR_ST_CHUNK) {
            size_t part = elements - at < TR_ST_CHUNK ? elements - at : TR_ST_CHUNK;
            s->get(s->arg, i, (int64_t)at, (int64_t)part, &values);
            tr_store(t->type, bytes, &values, part);
            tr_sha256_add(sha, bytes, part * size);
            int code = out ? tr_save_write(out, bytes, part * size, err) : TR_OK;
            if (code) return code;
        }
    }
    return TR_OK;
}

void tr_tensors_sha256(const tr_tensor_source *source, char hex[65]) {
    tr_sha256 sha;
    tr_sha256_start(&sha);
    pass(source, &sha, NULL, NULL);
    tr_sha256_end(&sha, hex);
}

int tr_safetensors_save(const char *path, const tr_tensor_source *source,
                        const char *const (*metadata)[2], int n_metadata, char sha256[65],
                        tr_error *err) {
    char *header = NULL;
    size_t header_bytes = 0;
    unsigned char length[TR_ST_LENGTH];
    tr_output out = {0};
    tr_sha256 sha;
    int code = make_header(path, source->tensors, source->n, metadata, n_metadata, &header,
                           &header_bytes, err);
    if (code == TR_OK) code = tr_save_begin(path, &out, err);
    for (int b = 0; b < TR_ST_LENGTH; b++)
        length[b] = (unsigned char)((uint64_t)header_bytes >> 8 * b);
    if (code == TR_OK) code = tr_save_write(&out, length, sizeof length, err);
    if (code == TR_OK) code = tr_save_write(&out, header, header_bytes, err);
    free(header);
    tr_sha256_start(&sha);
    if (code == TR_OK) code = pass(source, &sha, &out, err);
    if (code == TR_OK)
        code = tr_save_end(&out, err);
    else
        tr_save_cancel(&out);
    if (code == TR_OK) tr_sha256_end(&sha, sha256);
    return code;
}
