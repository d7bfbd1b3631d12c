/* normal: torch.nn.init.normal_. */
#include "init/init.h"

typedef struct normal_args {
    double mean, std;
} normal_args;

static const tr_key keys[] = {
    {"mean", TR_KEY_FLOAT, offsetof(normal_args, mean), "0", -1e18, 1e18, NULL, "the mean"},
    {"std", TR_KEY_FLOAT, offsetof(normal_args, std), "1", 0, 1e18, NULL, "the standard deviation"},
};

static tr_distribution distribution(const void *args, const tr_init_tensor *tensor) {
    const normal_args *a = args;
    (void)tensor;
    return (tr_distribution){.kind = TR_NORMAL, .mean = a->mean, .std = a->std};
}

const tr_init tr_init_normal = {
    .schema = {"normal", "Normal numbers, as torch.nn.init.normal_.", keys,
               sizeof keys / sizeof *keys, sizeof(normal_args), "torch.nn.init.normal_"},
    .distribution = distribution,
};
