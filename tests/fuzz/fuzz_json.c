/* A JSON file. */
#include "fuzz.h"
#include "io/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *value = NULL;
    if (tr_json_load(fuzz_file("fuzz.json", data, size), &value, NULL) == TR_OK) json_decref(value);
    return 0;
}
