/* Model files that another program wrote, given to `eval`: prefixes, types and names.
 *
 * A run's own model is taken apart and put together again in other ways.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"

static char weights[65]; /* of the run `m`, whose model is kept as m/own */

static void make_run(void) {
    program p;
    if (!access("m", F_OK)) { /* each test is a process of its own in the same folder */
        weights_of("m", weights);
        return;
    }
    write_config("good.ini", 0, NULL);
    RUN(&p, "--config", "good.ini", "--quiet", "--out", "m");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_int_eq(rename("m/model.safetensors", "m/own"), 0);
    weights_of("m", weights);
}

typedef struct change {
    const char *prefix;            /* in front of every name */
    const char *from, *to;         /* a tensor's other name; to NULL: without it */
    const char *dtype;             /* F64: of all tensors */
    const char *more, *more_dtype; /* one more tensor, of 8 bytes */
} change;

/* Write m/model.safetensors: m/own with a change. */
static void write_changed(const change *c) {
    size_t bytes, n = 0;
    char *own = read_whole("m/own", &bytes), *data = calloc(2, bytes);
    size_t length = (unsigned char)own[0] | (size_t)(unsigned char)own[1] << 8;
    json_t *header = json_loadb(own + 8, length, 0, NULL), *out = json_object(), *value;
    const char *key, *dtype = c->dtype ? c->dtype : "F32";
    ck_assert_ptr_nonnull(header);
    json_object_set_new(out, "__metadata__", json_null());
    json_object_foreach(header, key, value) {
        char name[300];
        if (!strcmp(key, "__metadata__")) continue;
        bool changed = c->from && !strcmp(key, c->from);
        if (changed && !c->to) continue;
        snprintf(name, sizeof name, "%s%s", c->prefix ? c->prefix : "", changed ? c->to : key);
        json_int_t begin, end;
        json_t *shape;
        ck_assert_int_eq(
            json_unpack(value, "{s:o, s:[I, I]}", "shape", &shape, "data_offsets", &begin, &end),
            0);
        size_t first = n;
        for (json_int_t at = begin; at < end; at += 4) {
            float x;
            memcpy(&x, own + 8 + length + at, sizeof x);
            double wide = (double)x;
            bool f64 = !strcmp(dtype, "F64");
            if (f64)
                memcpy(data + n, &wide, sizeof wide);
            else
                memcpy(data + n, &x, sizeof x);
            n += f64 ? 8 : 4;
        }
        json_object_set_new(out, name,
                            json_pack("{s:s, s:O, s:[I, I]}", "dtype", dtype, "shape", shape,
                                      "data_offsets", (json_int_t)first, (json_int_t)n));
    }
    if (c->more) {
        json_object_set_new(out, c->more,
                            json_pack("{s:s, s:[], s:[I, I]}", "dtype", c->more_dtype, "shape",
                                      "data_offsets", (json_int_t)n, (json_int_t)(n + 8)));
        n += 8;
    }
    char *text = json_dumps(out, JSON_COMPACT);
    size_t text_bytes = strlen(text);
    char *file = calloc(1, 8 + text_bytes + n);
    for (int b = 0; b < 8; b++) file[b] = (char)((uint64_t)text_bytes >> 8 * b);
    memcpy(file + 8, text, text_bytes);
    memcpy(file + 8 + text_bytes, data, n);
    write_whole("m/model.safetensors", file, 8 + text_bytes + n);
    free(file);
    free(text);
    free(data);
    free(own);
    json_decref(header);
    json_decref(out);
}

/* Read like the run's own. */
static const change same[] = {
    {.prefix = ""},
    {.prefix = "module."},
    {.prefix = "_orig_mod."},
    {.prefix = "module._orig_mod."},
    {.prefix = "_orig_mod.module.module."},
    {.prefix = "model.net."},
    {.dtype = "F64"},
    {.prefix = "module.", .more = "bn.num_batches_tracked", .more_dtype = "I64"},
};

START_TEST(read_the_same) {
    program p;
    char line[100];
    make_run();
    write_changed(&same[_i]);
    RUN(&p, "eval", "--model", "m");
    ck_assert_msg(p.code == 0, "%s", p.err);
    snprintf(line, sizeof line, "sha256 %s\n", weights);
    ck_assert_msg(strstr(p.out, line) != NULL, "%s", p.out);
}
END_TEST

static const struct {
    change change;
    const char *error;
} wrong[] = {
    {{.from = "conv1.weight", .to = "conv_1.weight"},
     "has no tensor 'conv1.weight', which the network needs (the nearest is 'conv_1.weight'): "
     "missing are 1 of the network's 4, left over are 1 of the file's 4, first 'conv_1.weight'"},
    {{.prefix = "module.", .from = "conv1.weight", .to = "conv_1.weight"},
     "has no tensor 'conv1.weight', which the network needs (the nearest is 'conv_1.weight'): "
     "missing are 1 of the network's 4, left over are 1 of the file's 4, first 'conv_1.weight'"},
    {{.from = "fc.bias"},
     "has no tensor 'fc.bias', which the network needs: missing are 1 of the network's 4"},
    {{.prefix = "x"},
     "has no tensor 'conv1.weight', which the network needs: "
     "missing are 4 of the network's 4, left over are 4 of the file's 4, first 'xconv1.weight'"},
    {{.more = "bn.running_mean", .more_dtype = "F64"},
     "has tensors that the network does not have: left over are 1 of the file's 5, first "
     "'bn.running_mean'"},
    {{.from = "fc.bias", .more = "fc.bias", .more_dtype = "I64"},
     "has no tensor 'fc.bias', which the network needs: missing are 1 of the network's 4"},
    {{.from = "fc.bias", .more = "fc.bias", .more_dtype = "F64"},
     "tensor 'fc.bias' is one number, the network's is 10"},
};

START_TEST(names_that_do_not_fit) {
    program p;
    char line[1000];
    make_run();
    write_changed(&wrong[_i].change);
    RUN(&p, "eval", "--model", "m");
    snprintf(line, sizeof line, "trainer: m/model.safetensors: %s", wrong[_i].error);
    check_failure(&p, 1, line);
}
END_TEST

START_TEST(no_model_at_all) {
    program p;
    make_run();
    write_whole("m/model.safetensors", "\x89HDF\r\n\x1a\n\0\0\0\0", 12);
    RUN(&p, "eval", "--model", "m");
    check_failure(&p, 1,
                  "trainer: m/model.safetensors: is an HDF5 file (Keras and others), not a "
                  "safetensors file");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("models");
    TCase *group = tcase_create("models");
    tcase_set_timeout(group, 60);
    tcase_add_loop_test(group, read_the_same, 0, (int)(sizeof same / sizeof *same));
    tcase_add_loop_test(group, names_that_do_not_fit, 0, (int)(sizeof wrong / sizeof *wrong));
    tcase_add_test(group, no_model_at_all);
    suite_add_tcase(suite, group);
    return program_main(suite);
}
