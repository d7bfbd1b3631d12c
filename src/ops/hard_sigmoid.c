/* hard_sigmoid: min(max(x + 3, 0), 6) / 6, torch.nn.Hardsigmoid. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_HARD_SIGMOID, {{0}}};
}

const tr_op tr_op_hard_sigmoid = {
    .schema = {"hard_sigmoid", "min(max(x + 3, 0), 6) / 6, as torch.nn.Hardsigmoid.", NULL, 0, 1,
               "torch.nn.Hardsigmoid"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
