/* See tensors.h. */
#include "tensors.h"

#include <check.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

void tensors_load(const char *path, tensors *out) {
    size_t size;
    char *data = read_whole(path, &size);
    uint64_t length;
    memcpy(&length, data, 8);
    json_t *header = json_loadb(data + 8, (size_t)length, 0, NULL), *entry;
    const char *name;
    ck_assert_ptr_nonnull(header);
    *out = (tensors){.v = calloc(json_object_size(header), sizeof *out->v)};
    ck_assert_ptr_nonnull(out->v);
    json_object_foreach(header, name, entry) {
        tensor *t = &out->v[out->n];
        json_int_t begin, end;
        const char *dtype;
        json_t *shape;
        if (strcmp(name, "__metadata__") == 0) {
            snprintf(out->mode, sizeof out->mode, "%s",
                     json_string_value(json_object_get(entry, "mode")));
            continue;
        }
        ck_assert_int_eq(json_unpack(entry, "{s:s, s:o, s:[I, I]}", "dtype", &dtype, "shape",
                                     &shape, "data_offsets", &begin, &end),
                         0);
        snprintf(t->name, sizeof t->name, "%s", name);
        snprintf(t->dtype, sizeof t->dtype, "%s", dtype);
        t->n_dims = (int)json_array_size(shape);
        for (int d = 0; d < t->n_dims; d++)
            t->dim[d] = json_integer_value(json_array_get(shape, (size_t)d));
        t->bytes = (size_t)(end - begin);
        t->data = malloc(t->bytes + 1);
        ck_assert_ptr_nonnull(t->data);
        memcpy(t->data, data + 8 + length + begin, t->bytes);
        out->n++;
    }
    json_decref(header);
    free(data);
}

void tensors_save(const char *path, const tensors *file) {
    json_t *header = json_object();
    size_t end = 0;
    if (*file->mode)
        json_object_set_new(header, "__metadata__", json_pack("{s:s}", "mode", file->mode));
    for (int i = 0; i < file->n; i++) {
        const tensor *t = &file->v[i];
        json_t *shape = json_array();
        for (int d = 0; d < t->n_dims; d++) json_array_append_new(shape, json_integer(t->dim[d]));
        json_object_set_new(header, t->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->dtype, "shape", shape,
                                      "data_offsets", (json_int_t)end,
                                      (json_int_t)(end + t->bytes)));
        end += t->bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t length = strlen(text);
    unsigned char *all = malloc(8 + length + end);
    ck_assert_ptr_nonnull(all);
    memcpy(all, &length, 8);
    memcpy(all + 8, text, length);
    size_t at = 8 + length;
    for (int i = 0; i < file->n; at += file->v[i++].bytes)
        memcpy(all + at, file->v[i].data, file->v[i].bytes);
    write_whole(path, all, at);
    free(all);
    free(text);
    json_decref(header);
}

void tensors_free(tensors *file) {
    for (int i = 0; i < file->n; i++) free(file->v[i].data);
    free(file->v);
    *file = (tensors){0};
}

tensor *tensors_find(const tensors *file, const char *name) {
    for (int i = 0; i < file->n; i++)
        if (strcmp(file->v[i].name, name) == 0) return &file->v[i];
    ck_abort_msg("no tensor %s", name);
    return NULL;
}

void tensors_remove(tensors *file, const char *start) {
    int n = 0;
    for (int i = 0; i < file->n; i++) {
        if (strncmp(file->v[i].name, start, strlen(start)) == 0)
            free(file->v[i].data);
        else
            file->v[n++] = file->v[i];
    }
    ck_assert_msg(n < file->n, "no tensor %s", start);
    file->n = n;
}

double tensor_get(const tensor *t, size_t i) {
    double value;
    ck_assert(strcmp(t->dtype, "F64") == 0 && (i + 1) * sizeof value <= t->bytes);
    memcpy(&value, t->data + i * sizeof value, sizeof value);
    return value;
}

void tensor_set(tensor *t, size_t i, double value) {
    ck_assert(strcmp(t->dtype, "F64") == 0 && (i + 1) * sizeof value <= t->bytes);
    memcpy(t->data + i * sizeof value, &value, sizeof value);
}
