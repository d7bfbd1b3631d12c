/* Synthetic images that a network can learn: one prototype per class, plus noise per sample.
 *
 * A prototype is a pattern of squares of random brightness, the same in the training and the test
 * set; the noise differs in every sample. All bytes are a function of (seed, split, sizes), made
 * once when the set is opened; constant from then on, hence thread-safe.
 */
#include <math.h>
#include <stdio.h>

#include "data/data.h"

enum {
    CELL = 4,           /* side of a square of one brightness: convolutions see it, pools keep it */
    DARKEST = 64,       /* brightness of squares: DARKEST + 0..127, in the middle of the range */
    BRIGHTNESSES = 128, /* so that moderate noise is rarely cut off at 0 or 255 */
    NAME_BYTES = 16,    /* "class 1048575" */
    MAX_SIDE = 1024,    /* pixels */
    MAX_SAMPLES = 1 << 24,
    MAX_CLASSES = 1 << 20,
};

/* `a` of the random numbers: what they are for. */
enum { FOR_PROTOTYPES = 0, FOR_TRAIN = 1, FOR_TEST = 2 };

struct args {
    int64_t train, test, classes, height, width, channels;
    double noise;
};

struct state {
    double noise;
    uint64_t seed;
    uint32_t purpose;
    unsigned char *pixels; /* [n][c][h][w] */
    char *names;           /* [classes][NAME_BYTES] */
    const char **class_names;
};

static size_t image_bytes(const tr_dataset *set) {
    return (size_t)set->c * (size_t)set->h * (size_t)set->w;
}

/* Classes alternate: any run of samples holds them evenly. */
static int sample(const tr_dataset *set, int i, const unsigned char **pixels, int *label,
                  tr_error *err) {
    (void)err;
    const struct state *state = set->state;
    *pixels = state->pixels + (size_t)i * image_bytes(set);
    *label = i % set->n_classes;
    return TR_OK;
}

static void close_set(tr_dataset *set) {
    struct state *state = set->state;
    if (!state) return;
    tr_free(state->class_names);
    tr_free(state->names);
    tr_free(state->pixels);
    tr_free(state);
    set->state = NULL;
}

static void draw_prototype(const tr_dataset *set, uint64_t seed, int label, unsigned char *out) {
    for (int c = 0; c < set->c; c++)
        for (int y = 0; y < set->h; y++)
            for (int x = 0; x < set->w; x++) {
                uint64_t cell = ((uint64_t)label * TR_MAX_CHANNELS + (uint64_t)c) * MAX_SIDE;
                cell = (cell + (uint64_t)(y / CELL)) * MAX_SIDE + (uint64_t)(x / CELL);
                *out++ =
                    (unsigned char)(DARKEST + tr_random_below(seed, TR_STREAM_SYNTHETIC,
                                                              FOR_PROTOTYPES, cell, BRIGHTNESSES));
            }
}

/* The noise of a pixel is the sum of two random bytes: a triangle around its mean. Scaled by a
 * table, because one random number serves eight pixels. */
static void add_noise(const int noise[511], uint64_t seed, uint32_t purpose, uint32_t index,
                      const unsigned char *prototype, size_t n, unsigned char *out) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (size_t i = 0; i < n; i += 8) {
        const uint32_t counter[4] = {(uint32_t)(i / 8), index, purpose, TR_STREAM_SYNTHETIC};
        uint32_t bits[4];
        tr_philox(counter, key, bits);
        for (size_t j = 0; j < 8 && i + j < n; j++) {
            uint32_t two = bits[j / 2] >> (j % 2 * 16);
            int value = prototype[i + j] + noise[(two & 255) + (two >> 8 & 255)];
            out[i + j] = (unsigned char)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

static int load(tr_dataset *set, tr_error *err) {
    struct state *state = set->state;
    size_t bytes = image_bytes(set);
    unsigned char *prototypes = tr_alloc((size_t)set->n_classes, bytes, err);
    state->pixels = tr_alloc((size_t)set->n, bytes, err);
    if (!prototypes || !state->pixels) {
        tr_free(prototypes);
        return TR_ENOMEM;
    }
    for (int k = 0; k < set->n_classes; k++)
        draw_prototype(set, state->seed, k, prototypes + (size_t)k * bytes);

    /* Two bytes have the variance 2 * (256^2 - 1) / 12. */
    int scaled[511];
    double scale = state->noise * 255 / sqrt(2 * 65535 / 12.0);
    for (int i = 0; i < 511; i++) scaled[i] = (int)floor((i - 255) * scale + 0.5);

    for (int i = 0; i < set->n; i++)
        add_noise(scaled, state->seed, state->purpose, (uint32_t)i,
                  prototypes + (size_t)(i % set->n_classes) * bytes, bytes,
                  state->pixels + (size_t)i * bytes);
    tr_free(prototypes);
    return TR_OK;
}

/* A key against its default: of the keys that multiply to a size that is too large, the one that
 * has grown most is named. */
struct growth {
    const char *key;
    double factor;
};

/* Both sets are opened in training: there must be memory for both before either is made. At most
 * 2^25 images of 2^23 bytes. */
static int check_memory(const tr_dataset_request *request, tr_error *err) {
    const struct args *args = request->args;
    bool training = request->split == TR_TRAIN;
    int64_t image = args->channels * args->height * args->width;
    int64_t n = args->test + args->classes + (training ? args->train : 0);
    const struct growth sizes[] = {{"train", training ? (double)args->train / 1024 : 0},
                                   {"test", (double)args->test / 256},
                                   {"classes", (double)args->classes / 10},
                                   {"height", (double)args->height / 32},
                                   {"width", (double)args->width / 32},
                                   {"channels", (double)args->channels / 3}};
    const struct growth *most = sizes;
    for (size_t i = 1; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].factor > most->factor) most = &sizes[i];
    char train[32] = "", what[160];
    if (training) snprintf(train, sizeof train, "%lld training and ", (long long)args->train);
    snprintf(what, sizeof what, "%s%lld test images of %lld x %lld x %lld bytes in %lld classes",
             train, (long long)args->test, (long long)args->channels, (long long)args->height,
             (long long)args->width, (long long)args->classes);
    return tr_check_memory(&request->places, most->key, n * image, what, err);
}

static int open_set(const tr_dataset_request *request, tr_dataset *out, tr_error *err) {
    const struct args *args = request->args;
    *out = (tr_dataset){0};
    int code = check_memory(request, err);
    if (code < 0) return code;
    *out = (tr_dataset){
        .n = (int)(request->split == TR_TRAIN ? args->train : args->test),
        .h = (int)args->height,
        .w = (int)args->width,
        .c = (int)args->channels,
        .n_classes = (int)args->classes,
        .load = load,
        .sample = sample,
        .close = close_set,
    };
    struct state *state = tr_alloc(1, sizeof *state, err);
    if (!state) return TR_ENOMEM;
    out->state = state;
    state->noise = args->noise;
    state->seed = request->seed;
    state->purpose = request->split == TR_TRAIN ? FOR_TRAIN : FOR_TEST;
    size_t n_classes = (size_t)out->n_classes;
    state->names = tr_alloc(n_classes, NAME_BYTES, err);
    state->class_names = tr_alloc(n_classes, sizeof *state->class_names, err);
    if (!state->names || !state->class_names) goto fail;
    for (size_t k = 0; k < n_classes; k++) {
        char *name = state->names + k * NAME_BYTES;
        snprintf(name, NAME_BYTES, "class %d", (int)k);
        state->class_names[k] = name;
    }
    out->class_names = state->class_names;
    out->bytes = tr_alloc_bytes(out->n, (int64_t)image_bytes(out));
    return TR_OK;
fail:
    tr_dataset_close(out);
    return TR_ENOMEM;
}

static const tr_key keys[] = {
    {"train", TR_KEY_INT, offsetof(struct args, train), "1024", 1, MAX_SAMPLES, NULL,
     "images in the training set"},
    {"test", TR_KEY_INT, offsetof(struct args, test), "256", 1, MAX_SAMPLES, NULL,
     "images in the test set"},
    {"classes", TR_KEY_INT, offsetof(struct args, classes), "10", 2, MAX_CLASSES, NULL,
     "number of classes"},
    {"height", TR_KEY_INT, offsetof(struct args, height), "32", 1, MAX_SIDE, NULL,
     "pixels from top to bottom"},
    {"width", TR_KEY_INT, offsetof(struct args, width), "32", 1, MAX_SIDE, NULL,
     "pixels from left to right"},
    {"channels", TR_KEY_INT, offsetof(struct args, channels), "3", 1, TR_MAX_CHANNELS, NULL,
     "colour channels"},
    {"noise", TR_KEY_FLOAT, offsetof(struct args, noise), "0.1", 0, 1, NULL,
     "standard deviation of the noise, where 1 is the whole range of brightness"},
};

const tr_dataset_class tr_dataset_class_synthetic = {
    .schema =
        {
            .name = "synthetic",
            .help =
                "Synthetic images, one noisy pattern per class, the same for the same seed. For "
                "tests and benchmarks.",
            .keys = keys,
            .n_keys = sizeof keys / sizeof keys[0],
            .args_bytes = sizeof(struct args),
            .torch = "",
        },
    .open = open_set,
};
