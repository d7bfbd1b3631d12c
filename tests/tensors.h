/* Reads, changes and writes the tensors of a safetensors file: files with one error each. */
#ifndef TR_TENSORS_H
#define TR_TENSORS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tensor { /* one of a file */
    char name[64], dtype[8];
    long long dim[4];
    int n_dims;
    unsigned char *data;
    size_t bytes;
} tensor;

typedef struct tensors {
    int n;
    tensor *v;
    char mode[16]; /* of the metadata; "": none */
} tensors;

void tensors_load(const char *path, tensors *out);
void tensors_save(const char *path, const tensors *file);
void tensors_free(tensors *file);
/* Aborts where there is none. */
tensor *tensors_find(const tensors *file, const char *name);
/* All whose name begins with `start`. */
void tensors_remove(tensors *file, const char *start);
/* Element i of a float64 tensor. */
double tensor_get(const tensor *t, size_t i);
void tensor_set(tensor *t, size_t i, double value);

#endif
