/* default: what PyTorch's constructor of the layer draws. */
#include "init/init.h"

static tr_distribution distribution(const void *args, const tr_init_tensor *tensor) {
    (void)args, (void)tensor;
    return (tr_distribution){.kind = TR_KEEP};
}

const tr_init tr_init_default = {
    .schema = {"default", "What PyTorch's layer begins with.", NULL, 0, 1, ""},
    .distribution = distribution,
};
