/* gelu: x times the probability that a standard normal number is below x, or what is close to it by
 * a tanh, torch.nn.GELU. */
#include "ops/activation.h"

typedef struct gelu_args {
    int approximate;
} gelu_args;

static const tr_key keys[] = {
    {"approximate", TR_KEY_CHOICE, offsetof(gelu_args, approximate), "none", 0, 0, "none tanh",
     "none: by the error function; tanh: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))"},
};

static tr_activation_use activation(const void *args) {
    const gelu_args *a = args;
    return (tr_activation_use){a->approximate ? TR_GELU_TANH : TR_GELU, {{0}}};
}

const tr_op tr_op_gelu = {
    .schema = {"gelu",
               "x times the probability that a standard normal number is below x, as "
               "torch.nn.GELU.",
               keys, sizeof keys / sizeof *keys, sizeof(gelu_args), "torch.nn.GELU"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
