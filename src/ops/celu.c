/* celu: x above 0, else alpha * (e^(x / alpha) - 1), torch.nn.CELU. */
#include "ops/activation.h"

typedef struct celu_args {
    double alpha;
} celu_args;

static const tr_key keys[] = {
    {"alpha", TR_KEY_FLOAT, offsetof(celu_args, alpha), "1", 0, 0, NULL,
     "the value goes down to -alpha; not 0"},
};

static int shape(tr_node *node, tr_error *err) {
    const celu_args *a = node->args;
    if (a->alpha < 0 || a->alpha > 0) return tr_shape_of_input(node, err);
    return tr_fail_key(err, &node->given, "alpha",
                       "alpha=0 divides by zero: any other number is allowed");
}

static tr_activation_use activation(const void *args) {
    const celu_args *a = args;
    return (tr_activation_use){TR_ELU, {{(tr_real)a->alpha, (tr_real)(1 / a->alpha), 1}}};
}

const tr_op tr_op_celu = {
    .schema = {"celu",
               "x where it is above 0, else alpha * (exp(x / alpha) - 1), as torch.nn.CELU.", keys,
               sizeof keys / sizeof *keys, sizeof(celu_args), "torch.nn.CELU"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = tr_plan_activation,
    .activation = activation,
};
