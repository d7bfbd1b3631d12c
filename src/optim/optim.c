/* The registries of optimizers and schedules. */
#include "optim/optim.h"

#include "optim_registry.h" /* made by Meson from this folder's meson.build */

TR_REGISTRY(TR_OPTIMIZERS, tr_optimizer, tr_optimizers, tr_optimizer_registry, "optimizer");
TR_REGISTRY(TR_SCHEDULES, tr_schedule, tr_schedules, tr_schedule_registry, "schedule");
