/* silu: x / (1 + e^-x), torch.nn.SiLU. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_SILU, {{0}}};
}

const tr_op tr_op_silu = {
    .schema = {"silu", "x / (1 + exp(-x)), also called swish, as torch.nn.SiLU.", NULL, 0, 1,
               "torch.nn.SiLU"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
