/* trunc_normal: normal numbers between two bounds, torch.nn.init.trunc_normal_. */
#include "init/init.h"

typedef struct trunc_normal_args {
    double mean, std, a, b;
} trunc_normal_args;

static const tr_key keys[] = {
    {"mean", TR_KEY_FLOAT, offsetof(trunc_normal_args, mean), "0", -1e18, 1e18, NULL,
     "the mean before the numbers are cut off"},
    {"std", TR_KEY_FLOAT, offsetof(trunc_normal_args, std), "1", 1e-30, 1e18, NULL,
     "the standard deviation before that"},
    {"a", TR_KEY_FLOAT, offsetof(trunc_normal_args, a), "-2", -1e18, 1e18, NULL,
     "the lower bound, itself and not in standard deviations"},
    {"b", TR_KEY_FLOAT, offsetof(trunc_normal_args, b), "2", -1e18, 1e18, NULL, "the upper bound"},
};

enum { FARTHEST = 6 }; /* standard deviations from the mean to the nearest bound */

static int check(const void *args, const tr_init_tensor *tensor, const tr_places *given,
                 tr_error *err) {
    const trunc_normal_args *a = args;
    (void)tensor;
    if (a->a >= a->b)
        return tr_fail_key(err, given, "a", "the lower bound %g is not below the upper bound b=%g",
                           a->a, a->b);
    if (a->a - a->mean > FARTHEST * a->std || a->mean - a->b > FARTHEST * a->std)
        return tr_fail_key(err, given, "mean",
                           "%g is more than %d standard deviations of %g outside of a=%g and b=%g",
                           a->mean, FARTHEST, a->std, a->a, a->b);
    return TR_OK;
}

static tr_distribution distribution(const void *args, const tr_init_tensor *tensor) {
    const trunc_normal_args *a = args;
    (void)tensor;
    return (tr_distribution){
        .kind = TR_TRUNC_NORMAL, .a = a->a, .b = a->b, .mean = a->mean, .std = a->std};
}

const tr_init tr_init_trunc_normal = {
    .schema = {"trunc_normal", "Normal numbers between two bounds, as torch.nn.init.trunc_normal_.",
               keys, sizeof keys / sizeof *keys, sizeof(trunc_normal_args),
               "torch.nn.init.trunc_normal_"},
    .check = check,
    .distribution = distribution,
};
