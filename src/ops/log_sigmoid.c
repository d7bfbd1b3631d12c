/* log_sigmoid: log(1 / (1 + e^-x)), torch.nn.LogSigmoid. */
#include "ops/activation.h"

static tr_activation_use activation(const void *args) {
    (void)args;
    return (tr_activation_use){TR_LOG_SIGMOID, {{0}}};
}

const tr_op tr_op_log_sigmoid = {
    .schema = {"log_sigmoid", "log(1 / (1 + exp(-x))), as torch.nn.LogSigmoid.", NULL, 0, 1,
               "torch.nn.LogSigmoid"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
