/* Model files that another program wrote, given to `eval` and to train.init_from: prefixes, types
 * and names.
 *
 * They are made from the model of a run.
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
     "tensor 'fc.bias' is one number, the network's is 10"},
    {{.from = "fc.bias", .more = "fc.bias", .more_dtype = "F64"},
     "tensor 'fc.bias' is one number, the network's is 10"},
};

enum { N_NAMES = sizeof wrong / sizeof *wrong };

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

/* ---- train.init_from ---- */

static const char init[] = "train.init_from=m/model.safetensors";

/* The bytes of a tensor of a model file, to be freed. */
static char *tensor_of(const char *path, const char *name, size_t *n) {
    json_int_t begin, end;
    char *file = read_whole(path, NULL);
    size_t length = (unsigned char)file[0] | (size_t)(unsigned char)file[1] << 8;
    json_t *header = json_loadb(file + 8, length, 0, NULL);
    ck_assert_int_eq(
        json_unpack(json_object_get(header, name), "{s:[I, I]}", "data_offsets", &begin, &end), 0);
    *n = (size_t)(end - begin);
    char *data = malloc(*n);
    memcpy(data, file + 8 + length + begin, *n);
    json_decref(header);
    free(file);
    return data;
}

static bool equal_tensors(const char *a, const char *b, const char *name) {
    size_t n, m;
    char *x = tensor_of(a, name, &n), *y = tensor_of(b, name, &m);
    bool equal = n == m && !memcmp(x, y, n);
    free(x);
    free(y);
    return equal;
}

/* From any file that holds the weights they are the same; no step is made here. */
START_TEST(started_from) {
    program p;
    char sha[65], here[4096], whole[5000], line[5100], run[20];
    make_run();
    write_changed(&same[_i]);
    snprintf(run, sizeof run, "from%d", _i);
    RUN(&p, "--config", "good.ini", "--set", init, "--epochs", "0", "--quiet", "--out", run);
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_str_eq(p.err, "");
    weights_of(run, sha);
    ck_assert_str_eq(sha, weights);
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(whole, sizeof whole, "%s/m/model.safetensors", here);
    json_t *summary = load_json(run, "summary.json");
    ck_assert_str_eq(json_string_value(json_object_get(summary, "init_from")), whole);
    json_decref(summary);
    char path[40];
    snprintf(path, sizeof path, "%s/config.ini", run);
    char *config = read_whole(path, NULL);
    snprintf(line, sizeof line, "\ninit_from = %s\ninit_strict = true\n", whole);
    ck_assert_msg(strstr(config, line) != NULL, "%s", config);
    free(config);
    /* Its own model does not need that file any more. */
    ck_assert_int_eq(remove("m/model.safetensors"), 0);
    RUN(&p, "eval", "--model", run);
    ck_assert_msg(p.code == 0, "%s", p.err);
    RUN(&p, "--config", path, "--dry-run");
    ck_assert_int_eq(p.code, 2);
    ck_assert_msg(strstr(p.err, "config.ini") && strstr(p.err, "train.init_from: "), "%s", p.err);
}
END_TEST

/* A run goes on where another one stopped; without a shuffle two epochs are one and one. */
START_TEST(trained_on) {
    program p;
    char once[65], twice[65];
    make_run();
    static const char *const options[] = {"--config", "good.ini", "--quiet", "--set",
                                          "loader.shuffle=false"};
    RUN(&p, options[0], options[1], options[2], options[3], options[4], "--epochs", "2", "--out",
        "two");
    ck_assert_msg(p.code == 0, "%s", p.err);
    RUN(&p, options[0], options[1], options[2], options[3], options[4], "--out", "one");
    ck_assert_msg(p.code == 0, "%s", p.err);
    RUN(&p, options[0], options[1], options[2], options[3], options[4], "--out", "more", "--set",
        "train.init_from=one/model.safetensors");
    ck_assert_msg(p.code == 0, "%s", p.err);
    weights_of("two", once);
    weights_of("more", twice);
    ck_assert_str_eq(once, twice);
    json_t *summary = load_json("two", "summary.json");
    ck_assert(json_is_null(json_object_get(summary, "init_from")));
    json_decref(summary);
}
END_TEST

START_TEST(strict_start) {
    program p;
    char line[1000];
    make_run();
    write_changed(&wrong[_i].change);
    for (int dry = 0; dry < 2; dry++) {
        RUN(&p, "--config", "good.ini", "--set", init, "--out", "strict",
            dry ? "--dry-run" : "--quiet");
        snprintf(line, sizeof line,
                 "--set: train.init_from: m/model.safetensors: %s (init_strict=false takes "
                 "what fits)",
                 wrong[_i].error);
        check_failure(&p, 2, line);
        ck_assert_int_ne(access("strict", F_OK), 0);
    }
}
END_TEST

/* Two tensors of the file have other names, one another shape. */
START_TEST(loose_start) {
    program p;
    make_run();
    write_changed(&(change){.prefix = "module.",
                            .from = "fc.bias",
                            .to = "head.bias",
                            .more = "module.fc.bias",
                            .more_dtype = "F64"});
    RUN(&p, "--config", "good.ini", "--epochs", "0", "--quiet", "--out", "drawn", "--seed", "3");
    RUN(&p, "--config", "good.ini", "--set", init, "--set", "train.init_strict=false", "--epochs",
        "0", "--out", "loose", "--seed", "3");
    ck_assert_msg(p.code == 0, "%s", p.err);
    static const char *const notes[] = {
        "m/model.safetensors: left over are 1 of the file's 5 tensors: 'head.bias'\n",
        "m/model.safetensors: of another shape are 1 of the network's 4 tensors, which keep their "
        "initial values: 'fc.bias' (is one number, the network's is 10)\n"};
    for (int i = 0; i < 2; i++)
        ck_assert_msg(strstr(p.out, notes[i]) || strstr(p.err, notes[i]), "%s%s", p.out, p.err);
    static const char *const files[] = {"loose/model.safetensors", "m/own",
                                        "drawn/model.safetensors"};
    static const char *const kept[] = {"conv1.weight", "conv1.bias", "fc.weight"};
    for (int i = 0; i < 3; i++) {
        ck_assert(equal_tensors(files[0], files[1], kept[i]));
        ck_assert(!equal_tensors(files[0], files[2], kept[i]));
    }
    ck_assert(equal_tensors(files[0], files[2], "fc.bias"));
    ck_assert(!equal_tensors(files[0], files[1], "fc.bias"));
    write_changed(&(change){.prefix = "x"});
    RUN(&p, "--config", "good.ini", "--set", init, "--set", "train.init_strict=false", "--dry-run");
    check_failure(&p, 2,
                  "--set: train.init_from: m/model.safetensors: none of its 4 tensors has "
                  "a name and a shape of the network's 4");
}
END_TEST

static const struct {
    const char *file, *error;
} unusable[] = {
    {"m/zip", "m/zip: is a PyTorch file (a zip archive by torch.save), not a safetensors file"},
    {"m/none", "m/none: cannot open: No such file or directory"},
    {"m", "m: is a folder"},
    {"m/nan", "m/nan: tensor 'fc.bias' holds a value that is not a number"},
};

/* Its first bytes; no time, sum or size. */
static const char zip[] = "PK\3\4\24\0\0\10\0\0\0\0\0\0\0\0\0\0"
                          "\0\0\0\0\0\0\0\0\12\0\0\0m/data.pkl";

START_TEST(no_start) {
    program p;
    char set[100], start[200];
    size_t bytes;
    make_run();
    write_whole("m/zip", zip, sizeof zip - 1);
    char *own = read_whole("m/own", &bytes);
    memcpy(own + bytes - 4, "\0\0\xc0\x7f", 4);
    write_whole("m/nan", own, bytes);
    free(own);
    snprintf(set, sizeof set, "train.init_from=%s", unusable[_i].file);
    RUN(&p, "--config", "good.ini", "--set", set, "--dry-run");
    ck_assert_int_eq(p.code, 2);
    ck_assert_str_eq(p.out, "");
    snprintf(start, sizeof start, "--set: train.init_from: %s", unusable[_i].error);
    ck_assert_msg(strstr(p.err, start) == p.err, "%s", p.err);
}
END_TEST

/* In the place of a run's folder, too. */
START_TEST(torch_file) {
    static const char *const commands[] = {"eval", "predict"};
    program p;
    write_whole("net.pth", zip, sizeof zip - 1);
    RUN(&p, commands[_i], "--model", "net.pth");
    ck_assert_int_eq(p.code, 2);
    ck_assert_str_eq(p.out, "");
    ck_assert_msg(strstr(p.err,
                         "--model: net.pth: is a PyTorch file (a zip archive by torch.save), "
                         "not a safetensors file; this makes one of it: python3 -c ") == p.err,
                  "%s", p.err);
    ck_assert_ptr_eq(strchr(p.err, '\n'), p.err + strlen(p.err) - 1);
    RUN(&p, commands[_i], "--model", "good.ini");
    check_failure(&p, 2, "--model: 'good.ini' is not the folder of a run");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("models");
    TCase *group = tcase_create("models");
    tcase_set_timeout(group, 60);
    tcase_add_loop_test(group, read_the_same, 0, (int)(sizeof same / sizeof *same));
    tcase_add_loop_test(group, names_that_do_not_fit, 0, N_NAMES);
    tcase_add_test(group, no_model_at_all);
    tcase_add_loop_test(group, started_from, 0, (int)(sizeof same / sizeof *same));
    tcase_add_test(group, trained_on);
    tcase_add_loop_test(group, strict_start, 0, N_NAMES);
    tcase_add_test(group, loose_start);
    tcase_add_loop_test(group, no_start, 0, (int)(sizeof unusable / sizeof *unusable));
    tcase_add_loop_test(group, torch_file, 0, 2);
    suite_add_tcase(suite, group);
    return program_main(suite);
}
