/* elu: x above 0, else alpha * (e^x - 1), torch.nn.ELU. */
#include "ops/activation.h"

typedef struct elu_args {
    double alpha;
} elu_args;

static const tr_key keys[] = {
    {"alpha", TR_KEY_FLOAT, offsetof(elu_args, alpha), "1", 0, 0, NULL,
     "the value goes down to -alpha"},
};

static tr_activation_use activation(const void *args) {
    const elu_args *a = args;
    return (tr_activation_use){TR_ELU, {{(tr_real)a->alpha, 1, 1}}};
}

const tr_op tr_op_elu = {
    .schema = {"elu", "x where it is above 0, else alpha * (exp(x) - 1), as torch.nn.ELU.", keys,
               sizeof keys / sizeof *keys, sizeof(elu_args), "torch.nn.ELU"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
