/* safetensors: named float32 tensors in one file that PyTorch's world reads and writes.
 *
 * u64 little-endian header length, JSON header ({"name": {"dtype", "shape", "data_offsets"}}),
 * data. A file may come from anywhere, so each number in it is checked before it is used: what
 * loads is a list of tensors that covers the data from its first byte to its last, each byte once.
 * Elements are moved as bits, never as floats, so NaNs keep their payload. No state; thread-safe.
 */
#include "io/io.h"

#include <stdlib.h>
#include <string.h>

enum {
    LENGTH_BYTES = 8,
    MAX_HEADER = 100000000, /* the reference implementation's limit */
    ELEMENT = 4,            /* bytes of a float32 */
};

static const char metadata_key[] = "__metadata__";

/* ---- elements ---- */

static void store_elements(unsigned char *out, const float *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, in + i, sizeof bits);
        for (int b = 0; b < ELEMENT; b++)
            out[ELEMENT * i + (size_t)b] = (unsigned char)(bits >> 8 * b);
    }
}

static void load_elements(float *out, const unsigned char *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const unsigned char *p = in + ELEMENT * i;
        uint32_t bits =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        memcpy(out + i, &bits, sizeof bits);
    }
}

/* Elements of a tensor and its bytes in the file; false where that is no size. */
static bool tensor_size(const tr_tensor *tensor, size_t *elements, size_t *bytes) {
    size_t n = 1;
    if (tensor->n_dims < 0 || tensor->n_dims > TR_MAX_DIMS) return false;
    for (int d = 0; d < tensor->n_dims; d++)
        if (tensor->dim[d] < 0 || !tr_mul(n, (size_t)tensor->dim[d], &n)) return false;
    *elements = n;
    return tr_mul(n, ELEMENT, bytes);
}

/* ---- writing ---- */

static json_t *describe(const tr_tensor *tensor, size_t begin, size_t end) {
    json_t *shape = json_array();
    for (int d = 0; d < tensor->n_dims; d++)
        if (json_array_append_new(shape, json_integer((json_int_t)tensor->dim[d]))) goto fail;
    /* The format `o` hands over the reference also when packing fails. */
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
fail:
    json_decref(shape);
    return NULL;
}

/* The header as text padded to a multiple of 8 (free it with free()), and the bytes of all data. */
static int make_header(const char *path, const tr_tensor *tensors, int n,
                       const char *const (*metadata)[2], int n_metadata, char **text,
                       size_t *text_bytes, size_t *data_bytes, tr_error *err) {
    int rc = TR_OK;
    char *out = NULL;
    json_t *header = json_object();
    json_t *pairs = n_metadata > 0 ? json_object() : NULL;
    for (int i = 0; i < n_metadata; i++)
        if (json_object_set_new(pairs, metadata[i][0], json_string(metadata[i][1]))) {
            rc = tr_fail(err, TR_EIO, "%s: metadata '%s' is not UTF-8 text", path, metadata[i][0]);
            goto fail;
        }
    if (!header || (pairs && json_object_set(header, metadata_key, pairs))) {
        rc = tr_fail(err, TR_ENOMEM, "%s: no memory for the header", path);
        goto fail;
    }
    size_t end = 0;
    for (int i = 0; i < n; i++) {
        size_t begin = end, elements, bytes;
        const char *name = tensors[i].name;
        if (!tensor_size(&tensors[i], &elements, &bytes) || !tr_add(end, bytes, &end) ||
            end > INT64_MAX) {
            rc = tr_fail(err, TR_EIO, "%s: tensor '%s': the shape is too large", path, name);
            goto fail;
        }
        if (strcmp(name, metadata_key) == 0 || json_object_get(header, name)) {
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
    size_t padded = (length + LENGTH_BYTES - 1) / LENGTH_BYTES * LENGTH_BYTES;
    if (padded > MAX_HEADER) {
        rc = tr_fail(err, TR_EIO, "%s: the header has %zu bytes, at most %d are allowed", path,
                     padded, MAX_HEADER);
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
    *data_bytes = end;
    return TR_OK;
fail:
    free(out);
    json_decref(pairs);
    json_decref(header);
    return rc;
}

int tr_safetensors_save(const char *path, const tr_tensor *tensors, int n,
                        const char *const (*metadata)[2], int n_metadata, tr_error *err) {
    char *header = NULL;
    size_t header_bytes = 0, data_bytes = 0, total;
    unsigned char *file = NULL;
    int rc = make_header(path, tensors, n, metadata, n_metadata, &header, &header_bytes,
                         &data_bytes, err);
    if (rc) goto fail;
    rc = TR_ENOMEM;
    if (!tr_add(data_bytes, LENGTH_BYTES + header_bytes, &total)) {
        tr_fail(err, rc, "%s: the tensors are too large for one file", path);
        goto fail;
    }
    file = tr_alloc(total, 1, err);
    if (!file) goto fail;

    for (int b = 0; b < LENGTH_BYTES; b++)
        file[b] = (unsigned char)((uint64_t)header_bytes >> 8 * b);
    memcpy(file + LENGTH_BYTES, header, header_bytes);
    unsigned char *out = file + LENGTH_BYTES + header_bytes;
    for (int i = 0; i < n; i++) {
        size_t elements, bytes;
        if (!tensor_size(&tensors[i], &elements, &bytes)) continue; /* make_header refused it */
        store_elements(out, tensors[i].data, elements);
        out += bytes;
    }
    rc = tr_save(path, file, total, err);
fail:
    free(header);
    tr_free(file);
    return rc;
}

/* ---- reading ---- */

typedef struct entry { /* one tensor as the header describes it */
    tr_tensor tensor;  /* without its data */
    size_t begin, end; /* bytes of the data */
    int order;         /* in the header */
} entry;

static int by_place(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1; /* empty tensors before their neighbour */
    return x->order - y->order;
}

/* A whole number >= 0 that a size_t holds. */
static bool get_size(const json_t *value, size_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return (json_int_t)*out == json_integer_value(value);
}

static int check_metadata(const char *path, json_t *metadata, tr_error *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return tr_fail(err, TR_EIO, "%s: %s is not an object", path, metadata_key);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return tr_fail(err, TR_EIO, "%s: %s: '%s' is not text", path, metadata_key, key);
    }
    return TR_OK;
}

/* One member of the header. */
static int read_entry(const char *path, const char *name, const json_t *value, size_t data_bytes,
                      entry *e, tr_error *err) {
    tr_tensor *tensor = &e->tensor;
    if (strlen(name) >= sizeof tensor->name)
        return tr_fail(err, TR_EIO,
                       "%s: tensor '%.40s...': the name has %zu bytes, at most %zu fit", path, name,
                       strlen(name), sizeof tensor->name - 1);
    memcpy(tensor->name, name, strlen(name) + 1);
    if (!json_is_object(value))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': its description is not an object", path,
                       name);

    const json_t *dtype = json_object_get(value, "dtype");
    if (!json_is_string(dtype))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': dtype is missing or not text", path, name);
    if (strcmp(json_string_value(dtype), "F32") != 0)
        return tr_fail(err, TR_EIO, "%s: tensor '%s': dtype is %.16s, only F32 is read here", path,
                       name, json_string_value(dtype));

    const json_t *shape = json_object_get(value, "shape");
    if (!json_is_array(shape))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': shape is missing or not a list", path, name);
    if (json_array_size(shape) > TR_MAX_DIMS)
        return tr_fail(err, TR_EIO,
                       "%s: tensor '%s': shape has %zu dimensions, at most %d are read", path, name,
                       json_array_size(shape), TR_MAX_DIMS);
    tensor->n_dims = (int)json_array_size(shape);
    for (int d = 0; d < tensor->n_dims; d++) {
        size_t extent;
        if (!get_size(json_array_get(shape, (size_t)d), &extent))
            return tr_fail(err, TR_EIO, "%s: tensor '%s': shape[%d] is not a whole number >= 0",
                           path, name, d);
        tensor->dim[d] = (int64_t)extent;
    }

    const json_t *offsets = json_object_get(value, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !get_size(json_array_get(offsets, 0), &e->begin) ||
        !get_size(json_array_get(offsets, 1), &e->end) || e->begin > e->end)
        return tr_fail(err, TR_EIO,
                       "%s: tensor '%s': data_offsets is not [begin, end], 0 <= begin <= end", path,
                       name);
    if (e->end > data_bytes)
        return tr_fail(err, TR_EIO,
                       "%s: tensor '%s': data_offsets end at %zu, the file has %zu bytes of data",
                       path, name, e->end, data_bytes);
    size_t elements, bytes;
    if (!tensor_size(tensor, &elements, &bytes))
        return tr_fail(err, TR_EIO, "%s: tensor '%s': the shape is too large", path, name);
    if (bytes != e->end - e->begin)
        return tr_fail(err, TR_EIO,
                       "%s: tensor '%s': the shape needs %zu bytes, data_offsets hold %zu", path,
                       name, bytes, e->end - e->begin);
    return TR_OK;
}

/* entries[0..n) in the order of their data, which they must cover without a hole or an overlap. */
static int order_entries(const char *path, entry *entries, int n, size_t data_bytes,
                         tr_error *err) {
    qsort(entries, (size_t)n, sizeof *entries, by_place);
    size_t end = 0;
    for (int i = 0; i < n; i++) {
        if (entries[i].begin > end)
            return tr_fail(err, TR_EIO,
                           "%s: bytes %zu to %zu of the data belong to no tensor (before '%s')",
                           path, end, entries[i].begin, entries[i].tensor.name);
        if (entries[i].begin < end)
            return tr_fail(err, TR_EIO, "%s: tensors '%s' and '%s' overlap at byte %zu of the data",
                           path, entries[i - 1].tensor.name, entries[i].tensor.name,
                           entries[i].begin);
        end = entries[i].end;
    }
    if (end != data_bytes)
        return tr_fail(err, TR_EIO, "%s: %zu bytes follow the last tensor", path, data_bytes - end);
    return TR_OK;
}

/* The header of a mapped file as a JSON object, and where the data begins. */
static int parse_header(const char *path, const tr_mapping *file, json_t **out, size_t *data_begin,
                        tr_error *err) {
    if (file->size < LENGTH_BYTES)
        return tr_fail(err, TR_EIO, "%s: %zu bytes are too few for a safetensors file", path,
                       file->size);
    uint64_t length = 0;
    for (int b = 0; b < LENGTH_BYTES; b++) length |= (uint64_t)file->data[b] << 8 * b;
    if (length > MAX_HEADER || length > file->size - LENGTH_BYTES)
        return tr_fail(
            err, TR_EIO,
            "%s: header length %llu: at most %d bytes are allowed and %zu are in the file", path,
            (unsigned long long)length, MAX_HEADER, file->size - LENGTH_BYTES);
    const char *text = (const char *)file->data + LENGTH_BYTES;
    if (length == 0 || text[0] != '{')
        return tr_fail(err, TR_EIO,
                       "%s: the header does not start with '{': not a safetensors file", path);
    json_error_t fault;
    *out = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &fault);
    if (!*out)
        return tr_fail(err, TR_EIO, "%s: the header is not valid JSON (byte %d): %s", path,
                       fault.position, fault.text);
    *data_begin = LENGTH_BYTES + (size_t)length;
    return TR_OK;
}

int tr_safetensors_load(const char *path, tr_tensor **tensors, int *n, tr_error *err) {
    *tensors = NULL;
    *n = 0;
    tr_mapping file = {0};
    json_t *header = NULL;
    entry *entries = NULL;
    tr_tensor *list = NULL;
    int count = 0;
    size_t data_begin = 0;
    int rc = tr_map(path, &file, err);
    if (rc) return rc;
    rc = parse_header(path, &file, &header, &data_begin, err);
    if (rc) goto fail;
    size_t data_bytes = file.size - data_begin;

    rc = TR_ENOMEM;
    size_t room = json_object_size(header);
    if (!(entries = tr_alloc(room, sizeof *entries, err))) goto fail;
    if (!(list = tr_alloc(room, sizeof *list, err))) goto fail;

    const char *key;
    json_t *value;
    json_object_foreach(header, key, value) {
        if (strcmp(key, metadata_key) == 0) {
            if ((rc = check_metadata(path, value, err))) goto fail;
            continue;
        }
        entries[count].order = count;
        if ((rc = read_entry(path, key, value, data_bytes, &entries[count], err))) goto fail;
        count++;
    }
    if ((rc = order_entries(path, entries, count, data_bytes, err))) goto fail;

    for (int i = 0; i < count; i++) {
        size_t elements = (entries[i].end - entries[i].begin) / ELEMENT;
        list[i] = entries[i].tensor;
        rc = TR_ENOMEM;
        if (!(list[i].data = tr_alloc(elements, sizeof(float), err))) goto fail;
        load_elements(list[i].data, file.data + data_begin + entries[i].begin, elements);
    }
    *tensors = list;
    *n = count;
    list = NULL;
    rc = TR_OK;
fail:
    tr_tensors_free(list, count);
    tr_free(entries);
    json_decref(header);
    tr_unmap(&file);
    return rc;
}

void tr_tensors_free(tr_tensor *tensors, int n) {
    if (!tensors) return;
    for (int i = 0; i < n; i++) tr_free(tensors[i].data);
    tr_free(tensors);
}

void tr_tensors_sha256(const tr_tensor *tensors, int n, char hex[65]) {
    enum { CHUNK = 1024 };
    unsigned char bytes[CHUNK * ELEMENT];
    tr_sha256 sha;
    tr_sha256_start(&sha);
    for (int i = 0; i < n; i++) {
        size_t elements, ignored;
        if (!tensor_size(&tensors[i], &elements, &ignored)) continue; /* no such tensor in memory */
        for (size_t at = 0; at < elements; at += CHUNK) {
            size_t part = elements - at < CHUNK ? elements - at : CHUNK;
            store_elements(bytes, tensors[i].data + at, part);
            tr_sha256_add(&sha, bytes, part * ELEMENT);
        }
    }
    tr_sha256_end(&sha, hex);
}
