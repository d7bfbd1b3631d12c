/* Normalize: value = (value - mean) / std for each channel, torchvision.transforms.Normalize.
 *
 * torchvision rounds mean and std to float, subtracts, then divides; so does this, and the results
 * are the same bits. No state.
 */
#include "data/data.h"

struct args {
    tr_floats mean, std;
};

/* One number stands for all channels. */
static int complete(tr_floats *list, const char *key, int channels, tr_where where, tr_error *err) {
    if (list->n == 1)
        for (; list->n < channels; list->n++) list->v[list->n] = list->v[0];
    if (list->n == channels) return TR_OK;
    if (channels == 1)
        return tr_fail_at(err, where, key, "%d values for images of 1 channel, one is needed",
                          list->n);
    return tr_fail_at(err, where, key, "%d values for images of %d channels, give one or %d",
                      list->n, channels, channels);
}

static int check(void *args_, int channels, tr_where where, tr_error *err) {
    struct args *args = args_;
    int code = complete(&args->mean, "normalize.mean", channels, where, err);
    if (code < 0) return code;
    return complete(&args->std, "normalize.std", channels, where, err);
}

static float pixel(const void *args_, int channel, float value) {
    const struct args *args = args_;
    float mean = (float)args->mean.v[channel], std = (float)args->std.v[channel];
    return (value - mean) / std;
}

/* The bounds keep the results finite in float. */
static const tr_key keys[] = {
    {"mean", TR_KEY_FLOATS, offsetof(struct args, mean), NULL, -1e6, 1e6, NULL,
     "mean of the values 0 to 1: one number, or one for each channel"},
    {"std", TR_KEY_FLOATS, offsetof(struct args, std), NULL, 1e-6, 1e6, NULL,
     "standard deviation, more than 0: one number, or one for each channel"},
};

const tr_transform_class tr_transform_normalize = {
    .schema =
        {
            .name = "normalize",
            .help = "Subtract the mean and divide by the standard deviation, as "
                    "torchvision.transforms.Normalize.",
            .keys = keys,
            .n_keys = sizeof keys / sizeof keys[0],
            .args_bytes = sizeof(struct args),
        },
    .check = check,
    .pixel = pixel,
};
