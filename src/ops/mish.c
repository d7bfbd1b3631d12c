/* mish: x * tanh(log(1 + e^x)), torch.nn.Mish. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_MISH, {{0}}};
}

const tr_op tr_op_mish = {
    .schema = {"mish", "x * tanh(log(1 + exp(x))), as torch.nn.Mish.", NULL, 0, 1, "torch.nn.Mish"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
