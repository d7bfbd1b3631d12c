/* dirac: each output channel of a convolution is an input channel, torch.nn.init.dirac_;
 * dirac_overlay: so are as many as there are input channels, the others stay as the layer draws
 * them. */
#include "init/init.h"

typedef struct dirac_args {
    int64_t groups;
} dirac_args;

static const tr_key keys[] = {
    {"groups", TR_KEY_INT, offsetof(dirac_args, groups), "1", 1, 65536, NULL,
     "groups of the convolution: in each the first channels are the input's"},
};

static int want_kernel(const char *name, const tr_init_tensor *t, const tr_places *given,
                       tr_error *err) {
    if (t->n_dims >= 3) return TR_OK;
    return tr_fail_at(err, given->where, given->context,
                      "%s needs the weight of a convolution, this parameter has %d dimension%s",
                      name, t->n_dims, t->n_dims == 1 ? "" : "s");
}

static int check(const void *args, const tr_init_tensor *t, const tr_places *given, tr_error *err) {
    const dirac_args *a = args;
    int code = want_kernel("dirac", t, given, err);
    if (code || t->dim[0] % a->groups == 0) return code;
    return tr_fail_key(err, given, "groups", "%lld does not divide the %lld filters",
                       (long long)a->groups, (long long)t->dim[0]);
}

static int check_overlay(const void *args, const tr_init_tensor *t, const tr_places *given,
                         tr_error *err) {
    (void)args;
    return want_kernel("dirac_overlay", t, given, err);
}

static tr_distribution zeros(const void *args, const tr_init_tensor *tensor) {
    (void)args, (void)tensor;
    return (tr_distribution){.kind = TR_CONSTANT};
}

static tr_distribution keep(const void *args, const tr_init_tensor *tensor) {
    (void)args, (void)tensor;
    return (tr_distribution){.kind = TR_KEEP};
}

/* Where the 1 of input channel c is in a filter. */
static int64_t centre(const tr_init_tensor *t, int64_t c) {
    int64_t at = c;
    for (int i = 2; i < t->n_dims; i++) at = at * t->dim[i] + t->dim[i] / 2;
    return at;
}

static int finish(const void *args, const tr_init_tensor *t, const tr_init_images *images,
                  double *values, tr_error *err) {
    const dirac_args *a = args;
    const int64_t filter = tr_init_count(t) / t->dim[0], in_group = t->dim[0] / a->groups;
    (void)images, (void)err;
    for (int64_t k = 0; k < t->dim[0]; k++) {
        if (k % in_group < t->dim[1]) values[k * filter + centre(t, k % in_group)] = 1;
    }
    return TR_OK;
}

static int finish_overlay(const void *args, const tr_init_tensor *t, const tr_init_images *images,
                          double *values, tr_error *err) {
    const int64_t filter = tr_init_count(t) / t->dim[0];
    (void)args, (void)images, (void)err;
    for (int64_t k = 0; k < tr_min(t->dim[0], t->dim[1]); k++) {
        memset(values + k * filter, 0, (size_t)filter * sizeof *values);
        values[k * filter + centre(t, k)] = 1;
    }
    return TR_OK;
}

const tr_init tr_init_dirac = {
    .schema = {"dirac",
               "Each filter is the identity of an input channel, as many as there are; the others "
               "are 0; as torch.nn.init.dirac_.",
               keys, sizeof keys / sizeof *keys, sizeof(dirac_args), "torch.nn.init.dirac_"},
    .check = check,
    .distribution = zeros,
    .finish = finish,
};

const tr_init tr_init_dirac_overlay = {
    .schema = {"dirac_overlay",
               "The layer's default, and then the identity of an input channel in each of the "
               "first filters, as many as there are input channels: torch.nn.init.dirac_ of "
               "weight[:weight.size(1)].",
               NULL, 0, 1, ""},
    .check = check_overlay,
    .distribution = keep,
    .finish = finish_overlay,
};
