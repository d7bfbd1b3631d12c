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
static double of_channel(const tr_floats *list, int channel) {
    return list->v[list->n == 1 ? 0 : channel];
}

static int check_list(const tr_floats *list, const char *key, int channels, const tr_places *places,
                      tr_error *err) {
    if (list->n == 1 || list->n == channels) return TR_OK;
    if (channels == 1)
        return tr_fail_key(err, places, key, "%d values for images of 1 channel, one is needed",
                           list->n);
    return tr_fail_key(err, places, key, "%d values for images of %d channels, give one or %d",
                       list->n, channels, channels);
}

static int check(const void *args_, int channels, const tr_places *places, tr_error *err) {
    const struct args *args = args_;
    int code = check_list(&args->mean, "mean", channels, places, err);
    return code ? code : check_list(&args->std, "std", channels, places, err);
}

static float pixel(const void *args_, int channel, float value) {
    const struct args *args = args_;
    float mean = (float)of_channel(&args->mean, channel),
          std = (float)of_channel(&args->std, channel);
    return (value - mean) / std;
}

/* The bounds keep the results finite in float. */
static const tr_key keys[] = {
    {"mean", TR_KEY_FLOATS, offsetof(struct args, mean), NULL, -1e6, 1e6, NULL,
     "mean of the values 0 to 1: one number, or one for each channel"},
    {"std", TR_KEY_FLOATS, offsetof(struct args, std), NULL, 1e-6, 1e6, NULL,
     "standard deviation, more than 0: one number, or one for each channel"},
};

const tr_transform_class tr_transform_class_normalize = {
    .schema =
        {
            .name = "normalize",
            .help = "Subtract the mean and divide by the standard deviation, as "
                    "torchvision.transforms.Normalize.",
            .keys = keys,
            .n_keys = sizeof keys / sizeof keys[0],
            .args_bytes = sizeof(struct args),
            .torch = "torchvision.transforms.Normalize",
        },
    .check = check,
    .pixel = pixel,
};
