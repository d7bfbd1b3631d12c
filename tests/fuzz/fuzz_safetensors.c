/* A model file: its header, then every value of every tensor as each type. */
#include "fuzz.h"
#include "io/io.h"

enum { PART = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tr_safetensors file = {0};
    if (tr_safetensors_open(fuzz_file("model.safetensors", data, size), &file, NULL)) return 0;
    for (int i = 0; i < 3 * file.n; i++) {
        int tensor = i / 3;
        double values[PART];
        for (int64_t first = 0, n; first < file.tensors[tensor].elements; first += n) {
            int64_t left = file.tensors[tensor].elements - first;
            n = left < PART ? left : PART;
            if (tr_safetensors_read(&file, tensor, (tr_type)(i % 3), first, n, values, NULL)) break;
        }
    }
    tr_safetensors_close(&file);
    return 0;
}
