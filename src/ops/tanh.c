/* tanh: the hyperbolic tangent, torch.nn.Tanh. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_TANH, {{0}}};
}

const tr_op tr_op_tanh = {
    .schema = {"tanh", "The hyperbolic tangent, as torch.nn.Tanh.", NULL, 0, 1, "torch.nn.Tanh"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
