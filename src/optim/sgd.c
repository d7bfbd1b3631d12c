/* sgd: stochastic gradient descent with momentum, torch.optim.SGD to the letter: the momentum
 * buffer starts as the first gradient, undamped; dampening holds from the second step on. */
#include "optim/optim.h"

typedef struct sgd_args {
    tr_optimizer_args shared;
    double momentum, dampening, weight_decay;
    bool nesterov;
} sgd_args;

static const tr_key keys[] = {
    TR_OPTIMIZER_KEYS(sgd_args),
    {"momentum", TR_KEY_FLOAT, offsetof(sgd_args, momentum), "0", 0, 1, NULL,
     "share of the last step that is kept"},
    {"dampening", TR_KEY_FLOAT, offsetof(sgd_args, dampening), "0", 0, 1, NULL,
     "share of the gradient that is left out of the momentum"},
    {"weight_decay", TR_KEY_FLOAT, offsetof(sgd_args, weight_decay), "0", 0, 1e6, NULL,
     "share of the weights added to the gradient (L2 penalty)"},
    {"nesterov", TR_KEY_BOOL, offsetof(sgd_args, nesterov), "false", 0, 0, NULL,
     "look ahead along the momentum"},
};

static int check(const void *args, const tr_places *given, tr_error *err) {
    const sgd_args *a = args;
    if (!a->nesterov || (a->momentum > 0 && a->dampening == 0)) return TR_OK;
    return tr_fail_between(err, given, "nesterov", a->momentum > 0 ? "dampening" : "momentum",
                           "nesterov=true needs a momentum above 0 and a dampening of 0, not %g "
                           "and %g",
                           a->momentum, a->dampening);
}

static const char *const *state(const void *args) {
    static const char *const words[] = {"momentum_buffer", NULL};
    return ((const sgd_args *)args)->momentum > 0 ? words : words + 1;
}

static void update(const void *args, const tr_kernels *kernels, const tr_update *u) {
    const sgd_args *a = args;
    tr_sgd s = {.lr = (tr_real)u->lr,
                .momentum = (tr_real)a->momentum,
                .keep = (tr_real)(1 - a->dampening),
                .weight_decay = (tr_real)a->weight_decay,
                .nesterov = a->nesterov,
                .first = u->step == 0};
    kernels->sgd(&s, u->n, u->p, u->g, a->momentum > 0 ? u->state[0] : NULL);
}

const tr_optimizer tr_optimizer_sgd = {
    .schema = {"sgd", "Stochastic gradient descent, as torch.optim.SGD.", keys,
               sizeof keys / sizeof *keys, sizeof(sgd_args), "torch.optim.SGD"},
    .check = check,
    .state = state,
    .adaptive = false,
    .update = update,
};
