/* constant, zeros, ones: torch.nn.init.constant_, zeros_, ones_. */
#include "init/init.h"

typedef struct constant_args {
    double val;
} constant_args;

static const tr_key keys[] = {
    {"val", TR_KEY_FLOAT, offsetof(constant_args, val), NULL, -1e18, 1e18, NULL, "the value"},
};

static tr_distribution constant(const void *args, const tr_init_tensor *tensor) {
    (void)tensor;
    return (tr_distribution){.kind = TR_CONSTANT, .a = ((const constant_args *)args)->val};
}

static tr_distribution zero(const void *args, const tr_init_tensor *tensor) {
    (void)args, (void)tensor;
    return (tr_distribution){.kind = TR_CONSTANT};
}

static tr_distribution one(const void *args, const tr_init_tensor *tensor) {
    (void)args, (void)tensor;
    return (tr_distribution){.kind = TR_CONSTANT, .a = 1};
}

const tr_init tr_init_constant = {
    .schema = {"constant", "Each element is one value, as torch.nn.init.constant_.", keys,
               sizeof keys / sizeof *keys, sizeof(constant_args), "torch.nn.init.constant_"},
    .distribution = constant,
};

const tr_init tr_init_zeros = {
    .schema = {"zeros", "Each element is 0, as torch.nn.init.zeros_.", NULL, 0, 1,
               "torch.nn.init.zeros_"},
    .distribution = zero,
};

const tr_init tr_init_ones = {
    .schema = {"ones", "Each element is 1, as torch.nn.init.ones_.", NULL, 0, 1,
               "torch.nn.init.ones_"},
    .distribution = one,
};
