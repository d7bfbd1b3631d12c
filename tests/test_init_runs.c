/* Initial values and frozen parameters from the command line: what a run, a dry run, its
 * configuration and `check` make of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "program.h"

static const char net[] =
    "[data]\ntype = cifar10\nroot = mini\n"
    "[transforms]\nnormalize = mean=0.5,0.4,0.3 std=0.5,0.25,0.2\n"
    "[loader]\nbatch_size = 20\n"
    "[network]\n"
    "white = conv2d out_channels=24 kernel_size=2 weight_init=whiten( images=90, eps=1e-3 ) \\\n"
    "  frozen=weight\n"
    "relu = relu\n"
    "conv = conv2d out_channels=32 kernel_size=3 weight_init=dirac_overlay bias=false\n"
    "pool = max_pool2d kernel_size=3\n"
    "flat = flatten\n"
    "fc = linear out_features=10 weight_init=orthogonal(gain=0.5) bias_init=normal(std=0.1)\n"
    "[loss]\ntype = cross_entropy\n"
    "[optimizer]\ntype = sgd\nlr = 0.01\nmomentum = 0.9\nweight_decay = 0.1\n"
    "[train]\nepochs = 1\n";

static void setup(void) {
    write_whole("net.ini", net, sizeof net - 1);
}

/* A run of its own with one more argument, and its weights. */
static void sha_of(const char *out, const char *set, const char *threads, char sha[65]) {
    program p;
    RUN(&p, "--config", "net.ini", "--out", out, "--quiet", "--threads", threads, "--set",
        "run.oversubscribe=true", "--set", set);
    ck_assert_msg(p.code == 0, "%s", p.err);
    weights_of(out, sha);
}

START_TEST(same_bits) {
    static const char *const sets[] = {"train.generator=philox", "train.generator=torch"};
    char wanted[65], sha[65], text[200], out[20];
    snprintf(out, sizeof out, "one%d", _i);
    sha_of(out, sets[_i], "1", wanted);
    snprintf(out, sizeof out, "three%d", _i);
    sha_of(out, sets[_i], "3", sha);
    ck_assert_str_eq(sha, wanted);
    /* The effective configuration holds the initial values, and means the same. */
    program p;
    snprintf(text, sizeof text, "%s/config.ini", out);
    char *config = read_whole(text, NULL);
    ck_assert_ptr_nonnull(strstr(
        config, " frozen=weight weight_init=whiten(images=90,eps=0.001) bias_init=default\n"));
    ck_assert_ptr_nonnull(
        strstr(config, " weight_init=orthogonal(gain=0.5) bias_init=normal(mean=0,std=0.1)\n"));
    free(config);
    snprintf(out, sizeof out, "again%d", _i);
    RUN(&p, "--config", text, "--out", out, "--quiet");
    ck_assert_msg(p.code == 0, "%s", p.err);
    weights_of(out, sha);
    ck_assert_str_eq(sha, wanted);
    /* The model tells nothing of how it began. */
    RUN(&p, "eval", "--model", out);
    ck_assert_msg(p.code == 0, "%s", p.err);
}
END_TEST

/* The filters of a run are those of its training images and did not change: the second half is the
 * first one's negative. Other images make others. */
START_TEST(whitened_by_the_data) {
    char sha[65];
    float first[24 * 12], other[24 * 12];
    float *const to[] = {first, other};
    static const char *const sets[] = {"network.white=conv2d out_channels=24 kernel_size=2 "
                                       "weight_init=whiten frozen=weight",
                                       "network.white=conv2d out_channels=24 kernel_size=2 "
                                       "weight_init=whiten(images=1) frozen=weight"};
    for (int i = 0; i < 2; i++) {
        char out[20], path[40];
        tr_safetensors file;
        tr_error err = {0};
        snprintf(out, sizeof out, "data%d", i);
        snprintf(path, sizeof path, "%s/model.safetensors", out);
        sha_of(out, sets[i], "2", sha);
        ck_assert_msg(tr_safetensors_open(path, &file, &err) == TR_OK, "%s", err.text);
        ck_assert_str_eq(file.tensors[0].tensor.name, "white.weight");
        ck_assert_int_eq(tr_safetensors_read(&file, 0, TR_FLOAT32, 0, 24 * 12, to[i], &err), TR_OK);
        tr_safetensors_close(&file);
        for (int e = 0; e < 12 * 12; e++) ck_assert(to[i][e] == -to[i][12 * 12 + e]);
    }
    ck_assert_mem_ne(first, other, sizeof first);
}
END_TEST

/* A number of the plan: what stands before `unit`. */
static double number_before(const char *text, const char *unit) {
    const char *at = strstr(text, unit);
    ck_assert_msg(at != NULL, "%s: %s", unit, text);
    while (at > text && strchr("0123456789. KMiB", at[-1])) at--;
    char *end;
    double value = strtod(at, &end);
    return strncmp(end, " MiB", 4) == 0 ? value * 1024 : value;
}

START_TEST(plan_is_smaller) {
    static const char *const frozen[] = {"", " frozen=weight", " frozen=weight,bias"};
    double barriers[3], optimizer[3];
    for (int i = 0; i < 3; i++) {
        program p;
        char line[100];
        snprintf(line, sizeof line, "network.fc=linear out_features=10%s", frozen[i]);
        RUN(&p, "--config", "net.ini", "--dry-run", "-v", "--set", line, "--set",
            "network.white=conv2d out_channels=24 kernel_size=2 frozen=weight,bias", "--set",
            i ? "network.conv=conv2d out_channels=32 kernel_size=3 bias=false frozen=weight"
              : "network.conv=conv2d out_channels=32 kernel_size=3 bias=false",
            "--set", "network.flat=flatten", "--set", "network.norm=batch_norm1d before=fc");
        ck_assert_msg(p.code == 0, "%s", p.err);
        barriers[i] = number_before(p.out, " barriers a step");
        optimizer[i] = number_before(p.out, " optimizer");
    }
    ck_assert_double_lt(optimizer[1], optimizer[0] / 2);
    ck_assert_double_le(optimizer[2], optimizer[1]);
    ck_assert_double_le(barriers[1], barriers[0]);
}
END_TEST

/* Orthogonal takes two copies of the tensor in double while it is made: they are counted. The sums
 * are printed to a tenth of a MiB. */
START_TEST(copies_are_counted) {
    static const char *const inits[] = {"default", "orthogonal", "normal"};
    double parameters[3];
    for (int i = 0; i < 3; i++) {
        program p;
        char line[100];
        snprintf(line, sizeof line, "network.fc=linear out_features=10 weight_init=%s", inits[i]);
        RUN(&p, "--config", "net.ini", "--dry-run", "--set", line);
        ck_assert_msg(p.code == 0, "%s", p.err);
        parameters[i] = number_before(p.out, " parameters,");
    }
    ck_assert_double_ge(parameters[1] - parameters[0], 2 * 8 * 32 * 81 * 10 / 1024.0 - 103);
    ck_assert_double_eq(parameters[2], parameters[0]);
}
END_TEST

START_TEST(errors_are_named) {
    program p;
    RUN(&p, "--config", "net.ini", "--dry-run", "--set",
        "network.fc=linear out_features=10 weight_init=orthogonal(gian=1)");
    check_failure(&p, 2, "--set: fc.weight_init.gian: unknown key (did you mean 'gain'?)");
    RUN(&p, "help", "whiten");
    ck_assert_msg(p.code == 0 && strstr(p.out, "whiten (initial value, weight_init=whiten)\n") &&
                      strstr(p.out, "\n  images "),
                  "%s", p.out);
    RUN(&p, "help", "weight_init");
    ck_assert_msg(p.code == 0 && strstr(p.out, "weight_init=... of the layer conv2d"), "%s", p.out);
    RUN(&p, "help", "kaiming");
    ck_assert_msg(p.code == 2 && strstr(p.err, "kaiming"), "%s", p.err);
}
END_TEST

/* Filters that are made of images which `check` does not read. */
START_TEST(check_needs_the_weights) {
    enum { HEADER = 224, IMAGES = 2 * 3 * 32 * 32 * 4, FILE_BYTES = 8 + HEADER + 16 + IMAGES + 4 };
    static char file[FILE_BYTES];
    program p;
    file[0] = (char)HEADER;
    memset(file + 8, 32, HEADER);
    snprintf(file + 8, HEADER,
             "{\"target\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
             "\"input\":{\"dtype\":\"F32\",\"shape\":[2,3,32,32],\"data_offsets\":[16,%d]},"
             "\"loss\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[%d,%d]}}",
             16 + IMAGES, 16 + IMAGES, 20 + IMAGES);
    *strchr(file + 8, '\0') = ' ';
    write_whole("batch.safetensors", file, sizeof file);
    RUN(&p, "check", "--config", "net.ini", "--reference", "batch.safetensors");
    check_failure(
        &p, 1,
        "trainer: batch.safetensors: 'white.weight' is made of the training images (whiten), which "
        "check does not read: the file must hold the parameters, param.white.weight and "
        "all others");
    /* Without whiten it computes, and finds another loss than 0. */
    RUN(&p, "check", "--config", "net.ini", "--reference", "batch.safetensors", "--set",
        "network.white=conv2d out_channels=24 kernel_size=2");
    ck_assert_msg(p.code == 1 && strstr(p.out, "loss"), "%d: %s%s", p.code, p.out, p.err);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("init_runs");
    TCase *all = tcase_create("init_runs");
    tcase_set_timeout(all, 120);
    tcase_add_unchecked_fixture(all, setup, NULL);
    tcase_add_loop_test(all, same_bits, 0, 2);
    tcase_add_test(all, whitened_by_the_data);
    tcase_add_test(all, plan_is_smaller);
    tcase_add_test(all, copies_are_counted);
    tcase_add_test(all, errors_are_named);
    tcase_add_test(all, check_needs_the_weights);
    suite_add_tcase(suite, all);
    return program_main(suite);
}
