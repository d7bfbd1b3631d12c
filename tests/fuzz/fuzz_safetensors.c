/* A model file: its header, then every value of every tensor. */
#include "fuzz.h"
#include "io/io.h"

enum { PART = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tr_safetensors file = {0};
    if (tr_safetensors_open(fuzz_file("model.safetensors", data, size), &file, NULL)) return 0;
    for (int i = 0; i < file.n; i++) {
        float values[PART];
        double wide[PART];
        for (int64_t first = 0, n; first < file.tensors[i].elements; first += n) {
            int64_t left = file.tensors[i].elements - first;
            n = left < PART ? left : PART;
            tr_safetensors_read_double(&file, i, first, n, wide, NULL);
            if (tr_safetensors_read(&file, i, first, n, values, NULL)) break;
        }
    }
    tr_safetensors_close(&file);
    return 0;
}
