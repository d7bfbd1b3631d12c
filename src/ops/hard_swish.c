/* hard_swish: x * min(max(x + 3, 0), 6) / 6, torch.nn.Hardswish. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_HARD_SWISH, {{0}}};
}

const tr_op tr_op_hard_swish = {
    .schema = {"hard_swish", "x * min(max(x + 3, 0), 6) / 6, as torch.nn.Hardswish.", NULL, 0, 1,
               "torch.nn.Hardswish"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
