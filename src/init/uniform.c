/* uniform: between two bounds, torch.nn.init.uniform_. */
#include "init/init.h"

typedef struct uniform_args {
    double a, b;
} uniform_args;

static const tr_key keys[] = {
    {"a", TR_KEY_FLOAT, offsetof(uniform_args, a), "0", -1e18, 1e18, NULL, "the lower bound"},
    {"b", TR_KEY_FLOAT, offsetof(uniform_args, b), "1", -1e18, 1e18, NULL, "the upper bound"},
};

static int check(const void *args, const tr_init_tensor *tensor, const tr_places *given,
                 tr_error *err) {
    const uniform_args *a = args;
    (void)tensor;
    if (a->a <= a->b) return TR_OK;
    return tr_fail_key(err, given, "a", "the lower bound %g is above the upper bound b=%g", a->a,
                       a->b);
}

static tr_distribution distribution(const void *args, const tr_init_tensor *tensor) {
    const uniform_args *a = args;
    (void)tensor;
    return (tr_distribution){.kind = TR_UNIFORM, .a = a->a, .b = a->b};
}

const tr_init tr_init_uniform = {
    .schema = {"uniform", "Uniform between a and b, as torch.nn.init.uniform_.", keys,
               sizeof keys / sizeof *keys, sizeof(uniform_args), "torch.nn.init.uniform_"},
    .check = check,
    .distribution = distribution,
};
