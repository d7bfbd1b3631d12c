/* The module `optim`: one file per optimizer and per learning-rate schedule, registered in
 * meson.build. All of them are pure functions of their arguments; state is the caller's. */
#ifndef TR_OPTIM_H
#define TR_OPTIM_H

#include "base/base.h"
#include "kernels/kernels.h"

typedef struct tr_update { /* a run of elements of one parameter */
    int64_t n;
    tr_real *p;
    const tr_real *g;
    tr_real *const *state; /* one for each word of the optimizer; zero before step 0 */
    int64_t step;          /* 0 for the first */
    double lr;             /* of this step: the optimizer's lr times the schedule's factor */
} tr_update;

/* What every optimizer takes: its arguments begin with these, and its keys with
 * TR_OPTIMIZER_KEYS of the type that has them as `shared`. */
typedef struct tr_optimizer_args {
    double lr;
    double clip_grad_norm, clip_grad_value; /* 0: not at all */
} tr_optimizer_args;

#define TR_OPTIMIZER_KEYS(type)                                                                    \
    {"lr", TR_KEY_FLOAT, offsetof(type, shared.lr), NULL, 0, 1e6, NULL, "learning rate"},          \
        {"clip_grad_norm",                                                                         \
         TR_KEY_FLOAT,                                                                             \
         offsetof(type, shared.clip_grad_norm),                                                    \
         "0",                                                                                      \
         0,                                                                                        \
         1e30,                                                                                     \
         NULL,                                                                                     \
         "largest norm of all gradients together, to which they are scaled down, as "              \
         "torch.nn.utils.clip_grad_norm_ does; 0: no limit"},                                      \
    {                                                                                              \
        "clip_grad_value", TR_KEY_FLOAT, offsetof(type, shared.clip_grad_value), "0", 0, 1e30,     \
            NULL,                                                                                  \
            "largest absolute value of an element of a gradient, applied after clip_grad_norm, "   \
            "as torch.nn.utils.clip_grad_value_ does; 0: no limit"                                 \
    }

typedef struct tr_optimizer {
    tr_schema schema; /* its args begin with tr_optimizer_args */
    /* Of arguments together, or NULL; `given` are the keys that stand in the configuration. */
    int (*check)(const void *args, const tr_places *given, tr_error *err);
    /* What it keeps of each parameter, in torch's words for it, ended by NULL. */
    const char *const *(*state)(const void *args);
    bool adaptive; /* divides by the gradient's size: a gradient of rounding makes a whole step */
    void (*update)(const void *args, const tr_kernels *kernels, const tr_update *u);
} tr_optimizer;

typedef struct tr_schedule {
    tr_schema schema;
    /* What lr is multiplied with at step `step` of `steps`. */
    double (*factor)(const void *args, int64_t step, int64_t steps);
} tr_schedule;

extern const tr_optimizer *const tr_optimizers[];
extern const tr_schedule *const tr_schedules[];
/* Their schemas under the same numbers, and how many there are. */
extern const tr_registry tr_optimizer_registry, tr_schedule_registry;

#endif
