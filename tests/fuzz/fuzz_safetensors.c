/* A model file. */
#include "fuzz.h"
#include "io/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tr_tensor *tensors = NULL;
    int n = 0;
    if (tr_safetensors_load(fuzz_file("model.safetensors", data, size), &tensors, &n, NULL) ==
        TR_OK)
        tr_tensors_free(tensors, n);
    return 0;
}
