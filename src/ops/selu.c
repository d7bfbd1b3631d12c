/* selu: 1.0507 times x above 0, else times 1.6733 * (e^x - 1), torch.nn.SELU. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    const double alpha = 1.6732632423543772848170429916717,
                 scale = 1.0507009873554804934193349852946;
    return (tr_activation_use){TR_ELU, {{(tr_real)(scale * alpha), 1, (tr_real)scale}}};
}

const tr_op tr_op_selu = {
    .schema = {"selu",
               "scale * x where x is above 0, else scale * alpha * (exp(x) - 1), with scale = "
               "1.0507... and alpha = 1.6733..., as torch.nn.SELU.",
               NULL, 0, 1, "torch.nn.SELU"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
