/* Files of CIFAR-10: the bytes are cut into the five of the training set, and stand for the test
 * set as a whole. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "trainer/trainer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] =
        "[data]\ntype=cifar10\n[loader]\nbatch_size=1\n[network]\nf=flatten\n"
        "fc=linear out_features=10\n[loss]\ntype=cross_entropy\n"
        "[optimizer]\ntype=sgd\n[run]\nthreads=1\n";
    for (size_t i = 0; i < 5; i++) {
        char name[32];
        size_t begin = size / 5 * i, end = i < 4 ? size / 5 * (i + 1) : size;
        snprintf(name, sizeof name, "data_batch_%zu.bin", i + 1);
        fuzz_file(name, data + begin, end - begin);
    }
    fuzz_file("test_batch.bin", data, size);
    tr_config *config = NULL;
    if (tr_config_read(fuzz_file("fuzz.ini", text, sizeof text - 1), &config, NULL)) abort();
    if (tr_config_put(config, "data", "root", fuzz_folder(), "fuzz", NULL)) abort();
    tr_dry_run(config, NULL, NULL, NULL);
    tr_config_free(config);
    return 0;
}
