/* The module `optim`: one file per optimizer and per learning-rate schedule, registered in
 * meson.build. All of them are pure functions of their arguments; state is the caller's. */
#ifndef TR_OPTIM_H
#define TR_OPTIM_H

#include "base/base.h"
#include "kernels/kernels.h"

enum { TR_MAX_STATE = 2 };

typedef struct tr_update { /* a run of elements of one parameter */
    int64_t n;
    tr_real *p;
    const tr_real *g;
    tr_real *state[TR_MAX_STATE]; /* zero before the first step */
    int64_t step;                 /* 0 for the first */
    double lr;                    /* of this step: the optimizer's lr times the schedule's factor */
} tr_update;

typedef struct tr_optimizer {
    tr_schema schema; /* has a key "lr" */
    /* Of arguments together, or NULL; `given` are the keys that stand in the configuration. */
    int (*check)(const void *args, const tr_places *given, tr_error *err);
    double (*lr)(const void *args);
    int (*n_state)(const void *args); /* buffers of a parameter's size */
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
