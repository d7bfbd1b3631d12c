/* kaiming_uniform, kaiming_normal: He et al. 2015, torch.nn.init.kaiming_uniform_ and
 * kaiming_normal_. */
#include <math.h>

#include "init/init.h"

typedef struct kaiming_args {
    double a;
    int mode, nonlinearity;
} kaiming_args;

/* As torch.nn.init.calculate_gain has them; what is not below has a gain of 1. */
#define NONLINEARITIES "leaky_relu relu tanh selu sigmoid linear conv2d conv_transpose2d"
enum { LEAKY_RELU, RELU, TANH, SELU };
enum { FAN_IN, FAN_OUT };

static const tr_key keys[] = {
    {"a", TR_KEY_FLOAT, offsetof(kaiming_args, a), "0", -1e18, 1e18, NULL,
     "negative slope of the rectifier behind the layer, for leaky_relu"},
    {"mode", TR_KEY_CHOICE, offsetof(kaiming_args, mode), "fan_in", 0, 0, "fan_in fan_out",
     "fan_in keeps the variance of values forward, fan_out of gradients backward"},
    {"nonlinearity", TR_KEY_CHOICE, offsetof(kaiming_args, nonlinearity), "leaky_relu", 0, 0,
     NONLINEARITIES, "what stands behind the layer"},
};

static double gain_of(const kaiming_args *a) {
    switch (a->nonlinearity) {
    case LEAKY_RELU:
        return sqrt(2 / (1 + a->a * a->a));
    case RELU:
        return sqrt(2);
    case TANH:
        return 5.0 / 3;
    case SELU:
        return 3.0 / 4;
    default:
        return 1;
    }
}

static double std_of(const kaiming_args *a, const tr_init_tensor *tensor) {
    return gain_of(a) / sqrt(a->mode == FAN_IN ? tr_init_fan_in(tensor) : tr_init_fan_out(tensor));
}

static int check(const void *args, const tr_init_tensor *tensor, const tr_places *given,
                 tr_error *err) {
    (void)args;
    return tr_init_want_fans(tensor, given, err);
}

static tr_distribution uniform(const void *args, const tr_init_tensor *tensor) {
    double bound = sqrt(3) * std_of(args, tensor);
    return (tr_distribution){.kind = TR_UNIFORM, .a = -bound, .b = bound};
}

static tr_distribution normal(const void *args, const tr_init_tensor *tensor) {
    return (tr_distribution){.kind = TR_NORMAL, .std = std_of(args, tensor)};
}

const tr_init tr_init_kaiming_uniform = {
    .schema = {"kaiming_uniform",
               "Uniform with a variance of gain^2 / fan, as torch.nn.init.kaiming_uniform_.", keys,
               sizeof keys / sizeof *keys, sizeof(kaiming_args), "torch.nn.init.kaiming_uniform_"},
    .check = check,
    .distribution = uniform,
};

const tr_init tr_init_kaiming_normal = {
    .schema = {"kaiming_normal",
               "Normal with a variance of gain^2 / fan, as torch.nn.init.kaiming_normal_.", keys,
               sizeof keys / sizeof *keys, sizeof(kaiming_args), "torch.nn.init.kaiming_normal_"},
    .check = check,
    .distribution = normal,
};
