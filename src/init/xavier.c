/* xavier_uniform, xavier_normal: Glorot and Bengio 2010, torch.nn.init.xavier_uniform_ and
 * xavier_normal_. */
#include <math.h>

#include "init/init.h"

typedef struct xavier_args {
    double gain;
} xavier_args;

static const tr_key keys[] = {
    {"gain", TR_KEY_FLOAT, offsetof(xavier_args, gain), "1", 0, 1e18, NULL,
     "what the standard deviation is multiplied with"},
};

static int check(const void *args, const tr_init_tensor *tensor, const tr_places *given,
                 tr_error *err) {
    (void)args;
    return tr_init_want_fans(tensor, given, err);
}

static double std_of(const void *args, const tr_init_tensor *tensor) {
    const xavier_args *a = args;
    return a->gain * sqrt(2 / (tr_init_fan_in(tensor) + tr_init_fan_out(tensor)));
}

static tr_distribution uniform(const void *args, const tr_init_tensor *tensor) {
    double bound = sqrt(3) * std_of(args, tensor);
    return (tr_distribution){.kind = TR_UNIFORM, .a = -bound, .b = bound};
}

static tr_distribution normal(const void *args, const tr_init_tensor *tensor) {
    return (tr_distribution){.kind = TR_NORMAL, .std = std_of(args, tensor)};
}

const tr_init tr_init_xavier_uniform = {
    .schema = {"xavier_uniform",
               "Uniform with a variance of 2 gain^2 / (fan_in + fan_out), as "
               "torch.nn.init.xavier_uniform_.",
               keys, sizeof keys / sizeof *keys, sizeof(xavier_args),
               "torch.nn.init.xavier_uniform_"},
    .check = check,
    .distribution = uniform,
};

const tr_init tr_init_xavier_normal = {
    .schema = {"xavier_normal",
               "Normal with a variance of 2 gain^2 / (fan_in + fan_out), as "
               "torch.nn.init.xavier_normal_.",
               keys, sizeof keys / sizeof *keys, sizeof(xavier_args),
               "torch.nn.init.xavier_normal_"},
    .check = check,
    .distribution = normal,
};
