/* The registries of data sets and transforms, and the transforms composed into one table.
 *
 * A byte has 256 values, so the chain ToTensor, transform, transform, ... is run once for every
 * byte and channel, in float arithmetic exactly as torchvision does it per pixel; decoding is a
 * look-up. A finished pipeline is constant: any number of threads may decode with it.
 */
#include <string.h>

#include "data/data.h"
#include "data_registry.h" /* made by Meson from this folder's meson.build */

TR_REGISTRY(TR_DATASETS, tr_dataset_class, tr_dataset_classes, tr_dataset_registry, "data set");
TR_REGISTRY(TR_TRANSFORMS, tr_transform_class, tr_transform_classes, tr_transform_registry,
            "transform");

/* A line of [transforms] with its arguments. */
typedef struct line_args {
    const tr_transform_class *class; /* NULL: not read */
    void *args;
    tr_places given; /* the arguments as written, in `memory` */
    tr_arena memory;
} line_args;

static void free_line(line_args *line) {
    if (line->class) tr_args_clear(&line->class->schema, line->args);
    tr_free(line->args);
    tr_arena_free(&line->memory);
}

/* Whatever it returns, free_line follows. */
static int read_line(const tr_pair *line, line_args *out, tr_error *err) {
    /* The key of the line names the class. */
    const tr_pair class = {NULL, line->key, line->where, line->context};
    tr_args_words words;
    int index;
    *out = (line_args){0};
    int code = tr_args_split(line->value, line->where, line->key, &out->memory, &words, err);
    if (code == TR_OK && words.class)
        code = tr_fail_at(err, line->where, line->key, "'%s' is not of the form key=value",
                          words.class);
    if (code) return code;
    out->given = (tr_places){words.pairs, words.n, line->where, line->key};
    code = tr_class_parse(&tr_transform_registry, &class, &out->given, &index, &out->args, err);
    if (code == TR_OK) out->class = tr_transform_classes[index];
    return code;
}

/* Run one line of [transforms] over the table. */
static int apply(const tr_pair *pair, tr_pipeline *pipeline, tr_error *err) {
    line_args line;
    int code = read_line(pair, &line, err);
    if (code == TR_OK) code = line.class->check(line.args, pipeline->channels, &line.given, err);
    for (int c = 0; code == TR_OK && c < pipeline->channels; c++)
        for (int b = 0; b < 256; b++)
            pipeline->table[c][b] = line.class->pixel(line.args, c, pipeline->table[c][b]);
    free_line(&line);
    return code;
}

int tr_transforms_each(const tr_pair *pairs, int n,
                       int (*visit)(const tr_schema *schema, const void *args, void *arg),
                       void *arg, tr_error *err) {
    for (int i = 0; i < n; i++) {
        line_args line;
        int code = read_line(&pairs[i], &line, err);
        if (code == TR_OK) code = visit(&line.class->schema, line.args, arg);
        free_line(&line);
        if (code) return code;
    }
    return TR_OK;
}

static int write_line(const tr_schema *schema, const void *args, void *arg) {
    tr_text *out = arg;
    tr_text_print(out, "%s =", schema->name);
    tr_args_write(schema, args, out);
    tr_text_add(out, "\n", 1);
    return TR_OK;
}

int tr_transforms_write(const tr_pair *pairs, int n, tr_text *out, tr_error *err) {
    return tr_transforms_each(pairs, n, write_line, out, err);
}

int tr_pipeline_create(const tr_pair *pairs, int n, int channels, tr_pipeline *out, tr_error *err) {
    memset(out, 0, sizeof *out);
    if (channels < 1 || channels > TR_MAX_CHANNELS)
        return tr_fail(err, TR_EDATA, "images of %d channels: 1 to %d are allowed", channels,
                       TR_MAX_CHANNELS);
    if (n > TR_MAX_TRANSFORMS)
        return tr_fail_at(err, pairs[TR_MAX_TRANSFORMS].where, pairs[TR_MAX_TRANSFORMS].key,
                          "one transform too many: at most %d are allowed", TR_MAX_TRANSFORMS);
    out->channels = channels;
    /* ToTensor: torchvision divides a float by 255, it does not multiply by the reciprocal. */
    for (int c = 0; c < channels; c++)
        for (int b = 0; b < 256; b++) out->table[c][b] = (float)b / 255.0f;
    for (int i = 0; i < n; i++) {
        int code = apply(&pairs[i], out, err);
        if (code < 0) return code;
    }
    return TR_OK;
}

/* Eight bytes in memory order, the first one lowest. */
static uint64_t load8(const unsigned char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* One value, through an integer register: processors that store one vector register in a cycle
 * store two of these. */
static void copy_value(const tr_real *from, tr_real *to) {
#ifdef TR_REAL_DOUBLE
    *to = *from;
#else
    uint32_t word;
    memcpy(&word, from, sizeof word);
    memcpy(to, &word, sizeof word);
#endif
}

/* Three channels, the usual case. Loads and stores are what it costs: taking eight pixels' bytes at
 * once leaves one of each a value. */
static void decode3(const tr_pipeline *pipeline, const unsigned char *planes, size_t n,
                    tr_real *out) {
    const tr_real *t0 = pipeline->table[0], *t1 = pipeline->table[1], *t2 = pipeline->table[2];
    const unsigned char *p0 = planes, *p1 = p0 + n, *p2 = p1 + n;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t b0 = load8(p0 + i), b1 = load8(p1 + i), b2 = load8(p2 + i);
        for (int j = 0; j < 8; j++, out += 3) {
            copy_value(t0 + (b0 & 255), out);
            copy_value(t1 + (b1 & 255), out + 1);
            copy_value(t2 + (b2 & 255), out + 2);
            b0 >>= 8, b1 >>= 8, b2 >>= 8;
        }
    }
    for (; i < n; i++, out += 3) {
        out[0] = t0[p0[i]];
        out[1] = t1[p1[i]];
        out[2] = t2[p2[i]];
    }
}

void tr_pipeline_decode(const tr_pipeline *pipeline, const unsigned char *planes, int n_pixels,
                        tr_real *out) {
    size_t n = (size_t)n_pixels, channels = (size_t)pipeline->channels;
    if (channels == 3) {
        decode3(pipeline, planes, n, out);
        return;
    }
    for (size_t c = 0; c < channels; c++) {
        const tr_real *table = pipeline->table[c];
        const unsigned char *plane = planes + c * n;
        for (size_t i = 0; i < n; i++) out[i * channels + c] = table[plane[i]];
    }
}
