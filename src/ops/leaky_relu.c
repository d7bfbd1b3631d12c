/* leaky_relu: x above 0, else negative_slope * x, torch.nn.LeakyReLU. */
#include "ops/activation.h"

typedef struct leaky_relu_args {
    double negative_slope;
} leaky_relu_args;

static const tr_key keys[] = {
    {"negative_slope", TR_KEY_FLOAT, offsetof(leaky_relu_args, negative_slope), "0.01", 0, 0, NULL,
     "slope below 0"},
};

static tr_activation_use activation(const void *args) {
    const leaky_relu_args *a = args;
    return (tr_activation_use){TR_LEAKY_RELU, {{(tr_real)a->negative_slope}}};
}

const tr_op tr_op_leaky_relu = {
    .schema = {"leaky_relu",
               "x where it is above 0, else negative_slope * x, as torch.nn.LeakyReLU.", keys,
               sizeof keys / sizeof *keys, sizeof(leaky_relu_args), "torch.nn.LeakyReLU"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
