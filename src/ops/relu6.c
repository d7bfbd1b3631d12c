/* relu6: min(max(x, 0), 6), torch.nn.ReLU6. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_HARD_TANH, {{0, 6}}};
}

const tr_op tr_op_relu6 = {
    .schema = {"relu6", "min(max(x, 0), 6), as torch.nn.ReLU6.", NULL, 0, 1, "torch.nn.ReLU6"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
