/* Reading safetensors. A file may come from anywhere, so each number in it is checked before it is
 * used: what is opened is a list of tensors that covers the data from its first byte to its last,
 * each byte once. Values are read a part at a time, so that no copy of a model is made, and a file
 * that is changed meanwhile gives an error or other values and no signal. No state; thread-safe.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"

const char *tr_tensor_extents(const tr_tensor *t, char out[TR_EXTENTS]) {
    size_t used = 0;
    if (t->n_dims == 0) snprintf(out, TR_EXTENTS, "one number");
    for (int i = 0; i < t->n_dims && used < TR_EXTENTS; i++)
        used += (size_t)snprintf(out + used, TR_EXTENTS - used, "%s%lld", i ? " x " : "",
                                 (long long)t->dim[i]);
    return out;
}

/* By place in the data, empty tensors before their neighbour, else as they were parsed. */
static int by_place(const void *a, const void *b) {
    const tr_stored *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return x->tensor.dim < y->tensor.dim ? -1 : x->tensor.dim > y->tensor.dim;
}

/* An integer >= 0. */
static bool get_size(const json_t *value, int64_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (int64_t)json_integer_value(value);
    return true;
}

/* Absent, or null as the reference implementation allows, or text for text. */
static int check_metadata(const char *path, json_t *metadata, tr_error *err) {
    const char *key;
    json_t *value;
    if (json_is_null(metadata)) return TR_OK;
    if (!json_is_object(metadata))
        return tr_fail(err, TR_EIO, "%s: %s is not an object", path, TR_ST_METADATA);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return tr_fail(err, TR_EIO, "%s: %s: '%s' is not text", path, TR_ST_METADATA, key);
    }
    return TR_OK;
}

/* One member of the header; dims has space for its dimensions. */
static int read_entry(const char *path, const char *name, const json_t *value, int64_t data_bytes,
                      int64_t *dims, tr_stored *out, tr_error *err) {
    if (!json_is_object(value))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': its description is not an object", path,
                       name);
    const json_t *dtype = json_object_get(value, "dtype");
    if (!json_is_string(dtype))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': dtype is missing or not text", path, name);
    const json_t *shape = json_object_get(value, "shape");
    if (!json_is_array(shape))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': shape is missing or not a list", path, name);
    int n_dims = (int)json_array_size(shape);
    for (int d = 0; d < n_dims; d++) {
        if (!get_size(json_array_get(shape, (size_t)d), &dims[d]))
            return tr_fail(err, TR_EIO, "%s: tensor '%s': shape[%d] is not an integer >= 0", path,
                           name, d);
    }
    const json_t *offsets = json_object_get(value, "data_offsets");
    int64_t begin, end;
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !get_size(json_array_get(offsets, 0), &begin) ||
        !get_size(json_array_get(offsets, 1), &end) || begin > end)
        return tr_fail(err, TR_EIO,
                       "%s: tensor '%s': data_offsets is not [begin, end], 0 <= begin <= end", path,
                       name);
    if (end > data_bytes)
        return tr_fail(err, TR_EIO,
                       "%s: tensor '%s': data_offsets end at %lld, the file has %lld bytes of data",
                       path, name, (long long)end, (long long)data_bytes);
    const tr_dtype *type = tr_dtype_find(json_string_value(dtype));
    size_t elements, bytes;
    if (!tr_shape_elements(n_dims, dims, &elements) ||
        !tr_mul(elements, type ? (size_t)type->bytes : 0, &bytes))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': the shape is too large", path, name);
    if (type && type->bytes > 0 && bytes != (size_t)(end - begin))
        return tr_fail(err, TR_EIO,
                       "%s: tensor '%s': the shape needs %zu bytes, data_offsets hold %lld", path,
                       name, bytes, (long long)(end - begin));
    tr_type values = type && type->integer                    ? TR_INT64
                     : type && strcmp(type->name, "F64") == 0 ? TR_FLOAT64
                                                              : TR_FLOAT32;
    *out = (tr_stored){.tensor = {name, n_dims, dims, values},
                       .dtype = json_string_value(dtype),
                       .parameter = type == NULL || type->parameter,
                       .elements = (int64_t)elements,
                       .begin = begin,
                       .end = end};
    return TR_OK;
}

/* tensors[0..n) in the order of their data, which they must cover without a hole or an overlap. */
static int order_entries(const char *path, tr_stored *tensors, int n, int64_t data_bytes,
                         tr_error *err) {
    qsort(tensors, (size_t)n, sizeof *tensors, by_place);
    int64_t end = 0;
    for (int i = 0; i < n; i++) {
        const tr_stored *t = &tensors[i];
        if (t->begin > end)
            return tr_fail(err, TR_EIO,
                           "%s: bytes %lld to %lld of the data belong to no tensor (before '%s')",
                           path, (long long)end, (long long)t->begin, t->tensor.name);
        if (t->begin < end)
            return tr_fail(err, TR_EIO,
                           "%s: tensors '%s' and '%s' overlap at byte %lld of the data", path,
                           t[-1].tensor.name, t->tensor.name, (long long)t->begin);
        end = t->end;
    }
    if (end != data_bytes)
        return tr_fail(err, TR_EIO, "%s: %lld bytes follow the last tensor", path,
                       (long long)(data_bytes - end));
    return TR_OK;
}

/* The header as a JSON object, and where the data begins. */
static int read_header(tr_safetensors *f, tr_error *err) {
    const char *path = f->file.path;
    int64_t left = f->file.size - TR_ST_LENGTH;
    unsigned char bytes[TR_ST_LENGTH];
    uint64_t length = 0;
    if (left < 0)
        return tr_fail(err, TR_EIO, "%s: %lld bytes are too few for a safetensors file", path,
                       (long long)f->file.size);
    int code = tr_read_at(&f->file, 0, bytes, sizeof bytes, err);
    if (code) return code;
    for (int b = 0; b < TR_ST_LENGTH; b++) length |= (uint64_t)bytes[b] << 8 * b;
    if (length > TR_ST_MOST || length > (uint64_t)left)
        return tr_fail(err, TR_EIO,
                       "%s: header length %llu: at most %d bytes are allowed and %lld are in the "
                       "file: damaged, or not a safetensors file",
                       path, (unsigned long long)length, TR_ST_MOST, (long long)left);
    char *text = tr_alloc((size_t)length + 1, 1, err);
    if (!text) return TR_ENOMEM;
    code = tr_read_at(&f->file, TR_ST_LENGTH, text, (size_t)length, err);
    if (code == TR_OK && text[0] != '{')
        code = tr_fail(err, TR_EIO,
                       "%s: the header does not start with '{': not a safetensors file", path);
    if (code == TR_OK) {
        json_error_t parse_error;
        f->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &parse_error);
        f->data_begin = TR_ST_LENGTH + (int64_t)length;
        if (!f->header)
            code = tr_fail(err, TR_EIO, "%s: the header is not valid JSON (byte %d): %s", path,
                           parse_error.position, parse_error.text);
    }
    tr_free(text);
    return code;
}

/* The failure of a header: it may be another format's. */
static int header_failure(const tr_file *file, const tr_error *cause, tr_error *err) {
    int code = cause->code == TR_EIO ? tr_foreign_refuse(file, err) : TR_OK;
    if (code) return code;
    return tr_fail(err, cause->code, "%s", cause->text);
}

/* Dimensions of all tensors together. */
static size_t count_dims(const json_t *header) {
    const char *key;
    json_t *value;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)header, key, value) {
        n += json_array_size(json_object_get(value, "shape"));
    }
    return n;
}

static int read_entries(tr_safetensors *f, tr_error *err) {
    const char *key, *path = f->file.path;
    json_t *value;
    int64_t data_bytes = f->file.size - f->data_begin, *dims;
    f->tensors = tr_alloc(json_object_size(f->header), sizeof *f->tensors, err);
    f->dims = dims = tr_alloc(count_dims(f->header), sizeof *f->dims, err);
    if (!f->tensors || !f->dims) return TR_ENOMEM;
    json_object_foreach(f->header, key, value) {
        int code;
        if (strcmp(key, TR_ST_METADATA) == 0) {
            code = check_metadata(path, value, err);
        } else {
            code = read_entry(path, key, value, data_bytes, dims, &f->tensors[f->n], err);
            if (code == TR_OK) dims += f->tensors[f->n++].tensor.n_dims;
        }
        if (code) return code;
    }
    return order_entries(path, f->tensors, f->n, data_bytes, err);
}

int tr_safetensors_open(const char *path, tr_safetensors *out, tr_error *err) {
    *out = (tr_safetensors){0};
    int code = tr_open_file(path, &out->file, err);
    tr_error cause = {0};
    if (code == TR_OK && read_header(out, &cause)) code = header_failure(&out->file, &cause, err);
    if (code == TR_OK) code = read_entries(out, err);
    if (code) tr_safetensors_close(out);
    return code;
}

void tr_safetensors_close(tr_safetensors *f) {
    tr_free(f->tensors);
    tr_free(f->dims);
    json_decref(f->header);
    tr_close_file(&f->file);
    *f = (tr_safetensors){0};
}

/* ---- values ---- */

int tr_safetensors_read(const tr_safetensors *f, int tensor, tr_type type, int64_t first, int64_t n,
                        void *out, tr_error *err) {
    static const char *const readable[] = {[TR_FLOAT32] = "F32, F16, BF16, F64",
                                           [TR_FLOAT64] = "F32, F16, BF16, F64 and integers",
                                           [TR_INT64] = "integers, F32, F16, BF16, F64"};
    static const char *const too_large[] = {[TR_FLOAT32] = "finite and too large for float32",
                                            [TR_INT64] = "no integer that int64 holds"};
    unsigned char bytes[TR_ST_CHUNK * TR_ST_ELEMENT];
    const tr_stored *t = &f->tensors[tensor];
    const tr_dtype *dtype = tr_dtype_find(t->dtype);
    if (!tr_dtype_readable(dtype, type))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': dtype is %s, those that are read are %s",
                       f->file.path, t->tensor.name, t->dtype, readable[type]);
    int64_t size = tr_dtype_of(type)->bytes;
    for (int64_t at = 0; at < n; at += TR_ST_CHUNK) {
        size_t part = (size_t)tr_min(n - at, TR_ST_CHUNK), bad;
        int code = tr_read_at(&f->file, f->data_begin + t->begin + (first + at) * dtype->bytes,
                              bytes, part * (size_t)dtype->bytes, err);
        if (code) return code;
        if ((bad = tr_load(dtype, type, (char *)out + at * size, bytes, part)) < part)
            return tr_fail(err, TR_EIO, "%s: tensor '%s': element %lld is %s", f->file.path,
                           t->tensor.name, (long long)(first + at + (int64_t)bad), too_large[type]);
    }
    return TR_OK;
}

const char *tr_safetensors_metadata(const tr_safetensors *f, const char *key) {
    return json_string_value(json_object_get(json_object_get(f->header, TR_ST_METADATA), key));
}
