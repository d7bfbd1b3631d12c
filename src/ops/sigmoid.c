/* sigmoid: 1 / (1 + e^-x), torch.nn.Sigmoid. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_SIGMOID, {{0}}};
}

const tr_op tr_op_sigmoid = {
    .schema = {"sigmoid", "1 / (1 + exp(-x)), as torch.nn.Sigmoid.", NULL, 0, 1,
               "torch.nn.Sigmoid"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
