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

#define X(name) &tr_optimizer_##name.schema,
static const tr_schema *const optimizer_schemas[] = {TR_OPTIMIZERS(X)};
#undef X
#define X(name) &tr_schedule_##name.schema,
static const tr_schema *const schedule_schemas[] = {TR_SCHEDULES(X)};
#undef X
const tr_registry tr_optimizer_registry = {"optimizer", optimizer_schemas,
                                           sizeof optimizer_schemas / sizeof *optimizer_schemas};
const tr_registry tr_schedule_registry = {"schedule", schedule_schemas,
                                          sizeof schedule_schemas / sizeof *schedule_schemas};
