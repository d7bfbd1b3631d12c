/* threshold: x above the threshold, else `value`, torch.nn.Threshold. */
#include "ops/activation.h"

typedef struct threshold_args {
    double threshold, value;
} threshold_args;

static const tr_key keys[] = {
    {"threshold", TR_KEY_FLOAT, offsetof(threshold_args, threshold), NULL, 0, 0, NULL,
     "x above which the value is x"},
    {"value", TR_KEY_FLOAT, offsetof(threshold_args, value), NULL, 0, 0, NULL,
     "the value of all others"},
};

static tr_activation_use activation(const void *args) {
    const threshold_args *a = args;
    return (tr_activation_use){TR_THRESHOLD, {{(tr_real)a->threshold, (tr_real)a->value}}};
}

const tr_op tr_op_threshold = {
    .schema = {"threshold",
               "x where it is above the threshold, else the value, as torch.nn.Threshold.", keys,
               sizeof keys / sizeof *keys, sizeof(threshold_args), "torch.nn.Threshold"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = tr_shape_of_input,
    .plan = tr_plan_activation,
    .activation = activation,
};
