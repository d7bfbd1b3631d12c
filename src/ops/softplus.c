/* softplus: log(1 + e^(beta x)) / beta, x where beta x is above the threshold, torch.nn.Softplus.
 */
#include "ops/activation.h"

typedef struct softplus_args {
    double beta, threshold;
} softplus_args;

static const tr_key keys[] = {
    {"beta", TR_KEY_FLOAT, offsetof(softplus_args, beta), "1", 0, 0, NULL,
     "how sharp the bend is; not 0"},
    {"threshold", TR_KEY_FLOAT, offsetof(softplus_args, threshold), "20", 0, 0, NULL,
     "beta * x above which the value is x"},
};

static int shape(tr_node *node, tr_error *err) {
    const softplus_args *a = node->args;
    if (a->beta < 0 || a->beta > 0) return tr_shape_of_input(node, err);
    return tr_fail_key(err, &node->given, "beta",
                       "beta=0 divides by zero: any other number is allowed");
}

static tr_activation_use activation(const void *args) {
    const softplus_args *a = args;
    return (tr_activation_use){TR_SOFTPLUS,
                               {{(tr_real)a->beta, (tr_real)a->threshold, (tr_real)(1 / a->beta)}}};
}

const tr_op tr_op_softplus = {
    .schema = {"softplus",
               "log(1 + exp(beta * x)) / beta, and x where beta * x is above the threshold, as "
               "torch.nn.Softplus.",
               keys, sizeof keys / sizeof *keys, sizeof(softplus_args), "torch.nn.Softplus"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = tr_plan_activation,
    .activation = activation,
};
