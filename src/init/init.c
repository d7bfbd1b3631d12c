/* The registry of initial values, and what several of them need. */
#include "init/init.h"

#include "init_registry.h" /* made by Meson from this folder's meson.build */

TR_REGISTRY(TR_INITS, tr_init, tr_inits, tr_init_registry, "initial value");

int64_t tr_init_count(const tr_init_tensor *tensor) {
    int64_t n = 1;
    for (int i = 0; i < tensor->n_dims; i++) n *= tensor->dim[i];
    return n;
}

int tr_init_want_fans(const tr_init_tensor *tensor, const tr_places *given, tr_error *err) {
    if (tensor->n_dims >= 2) return TR_OK;
    return tr_fail_at(
        err, given->where, given->context,
        "fan_in and fan_out need a parameter of 2 dimensions or more, this one has %d",
        tensor->n_dims);
}

/* Elements behind the first two dimensions. */
static double field(const tr_init_tensor *tensor) {
    double n = 1;
    for (int i = 2; i < tensor->n_dims; i++) n *= (double)tensor->dim[i];
    return n;
}

double tr_init_fan_in(const tr_init_tensor *tensor) {
    return (double)tensor->dim[1] * field(tensor);
}

double tr_init_fan_out(const tr_init_tensor *tensor) {
    return (double)tensor->dim[0] * field(tensor);
}
