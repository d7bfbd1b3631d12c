/* hard_tanh: min(max(x, min_val), max_val), torch.nn.Hardtanh. */
#include "ops/activation.h"

typedef struct hard_tanh_args {
    double min_val, max_val;
} hard_tanh_args;

static const tr_key keys[] = {
    {"min_val", TR_KEY_FLOAT, offsetof(hard_tanh_args, min_val), "-1", 0, 0, NULL,
     "smallest value"},
    {"max_val", TR_KEY_FLOAT, offsetof(hard_tanh_args, max_val), "1", 0, 0, NULL,
     "largest value, above min_val"},
};

static int shape(tr_node *node, tr_error *err) {
    const hard_tanh_args *a = node->args;
    if (a->max_val > a->min_val) return tr_shape_of_input(node, err);
    return tr_fail_between(err, &node->given, "max_val", "min_val",
                           "max_val=%g is not above min_val=%g", a->max_val, a->min_val);
}

static tr_activation_use activation(const void *args) {
    const hard_tanh_args *a = args;
    return (tr_activation_use){TR_HARD_TANH, {{(tr_real)a->min_val, (tr_real)a->max_val}}};
}

const tr_op tr_op_hard_tanh = {
    .schema = {"hard_tanh", "min(max(x, min_val), max_val), as torch.nn.Hardtanh.", keys,
               sizeof keys / sizeof *keys, sizeof(hard_tanh_args), "torch.nn.Hardtanh"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = tr_plan_activation,
    .activation = activation,
};
