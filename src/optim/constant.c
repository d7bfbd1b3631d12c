/* constant: the learning rate as it is. */
#include "optim/optim.h"

static double factor(const void *args, int64_t step, int64_t steps) {
    (void)args, (void)step, (void)steps;
    return 1;
}

const tr_schedule tr_schedule_constant = {
    .schema = {"constant", "The learning rate stays as it is.", NULL, 0, 1, ""},
    .factor = factor,
};
