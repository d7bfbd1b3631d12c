/* softsign: x / (1 + |x|), torch.nn.Softsign. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_SOFTSIGN, {{0}}};
}

const tr_op tr_op_softsign = {
    .schema = {"softsign", "x / (1 + |x|), as torch.nn.Softsign.", NULL, 0, 1, "torch.nn.Softsign"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
