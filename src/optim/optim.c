/* The register of optimizers and schedules. */
#include "optim/optim.h"

#include "optim_registry.h" /* made by Meson from this folder's meson.build */

#define X(name) extern const tr_optimizer tr_optimizer_##name;
TR_OPTIMIZERS(X)
#undef X
#define X(name) extern const tr_schedule tr_schedule_##name;
TR_SCHEDULES(X)
#undef X

#define X(name) &tr_optimizer_##name,
const tr_optimizer *const tr_optimizers[] = {TR_OPTIMIZERS(X)};
#undef X
#define X(name) &tr_schedule_##name,
const tr_schedule *const tr_schedules[] = {TR_SCHEDULES(X)};
#undef X
const int tr_n_optimizers = sizeof tr_optimizers / sizeof *tr_optimizers;
const int tr_n_schedules = sizeof tr_schedules / sizeof *tr_schedules;
