/* `trainer check`, from outside, and the function of the library.
 *
 * tests/reference/check holds what PyTorch computed in float64. The program in double must agree to
 * 1e-8, and find a change of 1e-6 of one tensor's largest element.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check/check.h"
#include "program.h"
#include "tensors.h"

#define FOLDER TR_TEST_ROOT "/reference/check/"
static const char ini[] = FOLDER "residual.ini", file[] = FOLDER "residual.safetensors",
                  norm_ini[] = FOLDER "norm.ini", norm_train[] = FOLDER "norm-train.safetensors",
                  norm_eval[] = FOLDER "norm-eval.safetensors";
enum { RESULTS = 11 }; /* in the file */

static const char *in_float; /* the program; TR_TRAINER_DOUBLE is the other */

static void run_check(program *p, const char *which, const char *reference, const char *set) {
    setenv("TR_TRAINER", which, 1);
    RUN(p, "check", "--config", ini, "--reference", reference, "--set",
        set ? set : "train.epochs=2");
}

static void check_agrees(const program *p, int n) {
    char line[64];
    snprintf(line, sizeof line, "\n%d tensors, all within their tolerance\n", n);
    ck_assert_msg(p->code == 0 && strstr(p->out, line), "exit code %d\n%s%s", p->code, p->out,
                  p->err);
    ck_assert_str_eq(p->err, "");
    ck_assert_ptr_null(strstr(p->out, "PAST"));
}

/* Exactly one tensor is past its tolerance. */
static void check_past(const program *p, const char *name, int n) {
    char line[128];
    snprintf(line, sizeof line, ": 1 of %d tensors past their tolerance, first '%s'\n", n, name);
    ck_assert_msg(p->code == 1 && strstr(p->err, line), "%s: exit code %d\n%s%s", name, p->code,
                  p->out, p->err);
    const char *row = strstr(p->out, name), *end = row ? strchr(row, '\n') : NULL;
    ck_assert_msg(end && end - row > 4 && strncmp(end - 4, "PAST", 4) == 0, "%s", p->out);
}

/* Parameters from train.init_from are as good as those of the reference file. */
START_TEST(parameters_of_another_file) {
    program p;
    tensors init, rest;
    tensors_load(file, &init);
    tensors_load(file, &rest);
    int n = 0;
    for (int i = 0; i < init.n; i++) {
        if (strncmp(init.v[i].name, "param.", 6) != 0) continue;
        memmove(init.v[i].name, init.v[i].name + 6, strlen(init.v[i].name + 6) + 1);
        tensor other = init.v[n];
        init.v[n++] = init.v[i];
        init.v[i] = other;
    }
    int all = init.n;
    init.n = n;
    tensors_save("init.safetensors", &init);
    init.n = n - 1;
    tensors_save("part.safetensors", &init);
    init.n = all;
    tensors_remove(&rest, "param.");
    tensors_save("rest.safetensors", &rest);
    static const char *const with[][2] = {
        {"train.seed=6", "train.init_from=init.safetensors"},
        {"train.seed=6", "train.epochs=2"},
        {"train.init_strict=true", "train.init_from=part.safetensors"},
        {"train.init_strict=false", "train.init_from=part.safetensors"}};
    static const int codes[] = {0, 1, 2, 0}; /* the last: what is missing is that of the seed */
    setenv("TR_TRAINER", in_float, 1);
    for (int i = 0; i < 4; i++) {
        RUN(&p, "check", "--config", ini, "--reference", "rest.safetensors", "--set", with[i][0],
            "--set", with[i][1]);
        ck_assert_msg(p.code == codes[i], "%s: %d %s", with[i][1], p.code, p.err);
        if (i == 0) check_agrees(&p, RESULTS);
        const char *wanted = i == 2   ? "train.init_from: part.safetensors: has no tensor '"
                             : i == 3 ? "note: part.safetensors: missing are 1 of the network's "
                                      : "";
        ck_assert_msg(strstr(p.err, wanted) != NULL, "%s", p.err);
    }
    tensors_free(&init);
    tensors_free(&rest);
}
END_TEST

START_TEST(agreement) {
    program p;
    run_check(&p, in_float, file, NULL);
    check_agrees(&p, RESULTS);
    ck_assert_ptr_nonnull(strstr(p.out, " 1.00e-04 "));
    ck_assert_ptr_nonnull(strstr(p.out, " 1.00e-02 "));
    run_check(&p, TR_TRAINER_DOUBLE, file, NULL);
    check_agrees(&p, RESULTS);
    ck_assert_ptr_nonnull(strstr(p.out, " 1.00e-08 "));
    ck_assert_ptr_null(strstr(p.out, " 1.00e-04 "));
    ck_assert_ptr_null(strstr(p.out, " 1.00e-02 "));
    /* The same for any threads. */
    RUN(&p, "check", "--config", ini, "--reference", file, "--threads", "3", "--set",
        "run.oversubscribe=true");
    check_agrees(&p, RESULTS);
}
END_TEST

/* The largest element of a tensor, changed by `share` of it; returns where it is. */
static size_t change_largest(tensor *t, double share) {
    size_t n = t->bytes / sizeof(double), at = 0;
    for (size_t i = 0; i < n; i++)
        if (fabs(tensor_get(t, i)) > fabs(tensor_get(t, at))) at = i;
    tensor_set(t, at, tensor_get(t, at) * (1 + share));
    return at;
}

static bool is_result(const tensor *t) {
    return strcmp(t->name, "input") && strcmp(t->name, "target") && strncmp(t->name, "param.", 6);
}

START_TEST(each_tensor_is_compared) {
    tensors f;
    tensors_load(file, &f);
    int n = 0;
    for (int i = 0; i < f.n; i++) {
        tensor *t = &f.v[i];
        program p;
        if (!is_result(t)) continue;
        unsigned char *kept = malloc(t->bytes);
        memcpy(kept, t->data, t->bytes);
        size_t at = change_largest(t, 1e-6);
        tensors_save("changed.safetensors", &f);
        run_check(&p, TR_TRAINER_DOUBLE, "changed.safetensors", NULL);
        check_past(&p, t->name, RESULTS);
        char index[160] = "[";
        for (int d = 0; d < t->n_dims; d++) {
            size_t below = 1, used = strlen(index); /* elements of the dimensions behind it */
            for (int later = d + 1; later < t->n_dims; later++) below *= (size_t)t->dim[later];
            snprintf(index + used, sizeof index - used, "%s%zu", d ? ", " : "",
                     at / below % (size_t)t->dim[d]);
        }
        strcat(index, "]");
        const char *row = strstr(p.out, t->name);
        ck_assert_msg(t->n_dims == 0 || strstr(row, index), "%s is not in\n%s", index, row);
        /* Far more, for the program in float. */
        change_largest(t, 0.2);
        tensors_save("changed.safetensors", &f);
        run_check(&p, in_float, "changed.safetensors", NULL);
        check_past(&p, t->name, RESULTS);
        memcpy(t->data, kept, t->bytes);
        free(kept);
        n++;
    }
    ck_assert_int_eq(n, RESULTS);
    tensors_free(&f);
}
END_TEST

/* What is read is used: another input, parameter or optimizer shows in the results. */
START_TEST(inputs_matter) {
    static const char *const names[] = {"input", "param.stem.conv.weight", "param.fc.bias"};
    static const char *const settings[] = {"optimizer.lr=0.0102", "optimizer.weight_decay=0.5",
                                           "optimizer.nesterov=false", "optimizer.momentum=0.8"};
    tensors f;
    program p;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tensors_load(file, &f);
        change_largest(tensors_find(&f, names[i]), 0.5);
        tensors_save("changed.safetensors", &f);
        run_check(&p, in_float, "changed.safetensors", NULL);
        ck_assert_msg(p.code == 1 && strstr(p.err, "first 'logits'"), "%s%s", p.out, p.err);
        tensors_free(&f);
    }
    tensors_load(file, &f);
    tensors_find(&f, "target")->data[0] ^= 1;
    tensors_save("changed.safetensors", &f);
    run_check(&p, in_float, "changed.safetensors", NULL);
    ck_assert_msg(p.code == 1 && strstr(p.err, "first 'loss'"), "%s%s", p.out, p.err);
    tensors_free(&f);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        run_check(&p, in_float, file, settings[i]);
        ck_assert_msg(p.code == 1 && strstr(p.err, ": 4 of 11") && strstr(p.err, "'param_after."),
                      "%s: %s%s", settings[i], p.out, p.err);
    }
}
END_TEST

/* The seed's parameters are PyTorch's, so the file need not have them. */
START_TEST(parameters_of_the_seed) {
    tensors f;
    program p;
    tensors_load(file, &f);
    tensors_remove(&f, "param.");
    tensors_save("seed.safetensors", &f);
    tensors_free(&f);
    run_check(&p, in_float, "seed.safetensors", NULL);
    check_agrees(&p, RESULTS);
    run_check(&p, in_float, "seed.safetensors", "train.seed=6");
    ck_assert_msg(p.code == 1 && strstr(p.err, ": 11 of 11"), "%s%s", p.out, p.err);
}
END_TEST

START_TEST(some_results) {
    static const char *const starts[] = {"param_after.", "grad.", "loss"};
    static const int left[] = {7, 2, 1};
    tensors f;
    program p;
    tensors_load(file, &f);
    for (int i = 0; i < 3; i++) {
        tensors_remove(&f, starts[i]);
        tensors_save("some.safetensors", &f);
        run_check(&p, in_float, "some.safetensors", NULL);
        check_agrees(&p, left[i]);
    }
    tensors_remove(&f, "logits");
    tensors_save("some.safetensors", &f);
    tensors_free(&f);
    run_check(&p, in_float, "some.safetensors", NULL);
    check_failure(&p, 1,
                  "trainer: some.safetensors: holds nothing to compare with: logits, loss, "
                  "grad.NAME, grad.input, param_after.NAME or buffer_after.NAME");
}
END_TEST

/* A loss near 0 is the difference of two numbers of the logits' size: their rounding is no error.
 */
START_TEST(loss_near_zero) {
    static const double logits[] = {14, 0, 0, 0, 0};
    tensors f;
    program p;
    tensors_load(file, &f);
    tensors_remove(&f, "param_after.");
    tensors_remove(&f, "grad.");
    tensor *weight = tensors_find(&f, "param.fc.weight"), *loss = tensors_find(&f, "loss");
    memset(weight->data, 0, weight->bytes);
    memset(tensors_find(&f, "target")->data, 0, 3 * sizeof(int64_t));
    for (size_t i = 0; i < 15; i++) tensor_set(tensors_find(&f, "logits"), i, logits[i % 5]);
    for (size_t k = 0; k < 5; k++) tensor_set(tensors_find(&f, "param.fc.bias"), k, logits[k]);
    tensor_set(loss, 0, log1p(4 * exp(-14)) + 1e-7);
    tensors_save("sure.safetensors", &f);
    run_check(&p, in_float, "sure.safetensors", NULL);
    check_agrees(&p, 2);
    tensor_set(loss, 0, 1e-3);
    tensors_save("sure.safetensors", &f);
    tensors_free(&f);
    run_check(&p, in_float, "sure.safetensors", NULL);
    check_past(&p, "loss", 2);
}
END_TEST

START_TEST(tolerance_of_all) {
    program p;
    RUN(&p, "check", "--config", ini, "--reference", file, "--tolerance", "1e-12");
    ck_assert_msg(p.code == 1 && strstr(p.err, "first 'logits'"), "%s%s", p.out, p.err);
    RUN(&p, "check", "--config", ini, "--reference", file, "--tolerance", "0.5", "--set",
        "optimizer.lr=0.012");
    check_agrees(&p, RESULTS);
    RUN(&p, "check", "--config", ini, "--reference", file, "--tolerance", "0.1", "--set",
        "optimizer.lr=0.012");
    ck_assert_int_eq(p.code, 1);
    RUN(&p, "check", "--config", ini, "--reference", file, "--tolerance", "-1");
    ck_assert_msg(p.code == 2 && strncmp(p.err, "--tolerance: -1 is out of range", 31) == 0, "%s",
                  p.err);
    RUN(&p, "check", "--config", ini, "--reference", file, "--tolerance", "small");
    check_failure(&p, 2, "--tolerance: 'small' is not a number");
}
END_TEST

/* Each error of a file: a tensor renamed, another shape, another type. */
typedef struct wrong {
    const char *name, *renamed, *dtype; /* NULL: left as it is */
    long long first_dim;                /* 0: left */
    const char *line;
} wrong;
static const wrong wrongs[] = {
    {"input", "inputs", NULL, 0, "has no tensor 'input'"},
    {"target", "targets", NULL, 0, "has no tensor 'target'"},
    {"grad.fc.bias", "grad.fc.b", NULL, 0,
     "the network needs, and the file does not have: grad.fc.bias; "
     "the file has, and the network does not: grad.fc.b"},
    {"param.fc.bias", "extra", NULL, 0,
     "the network needs, and the file does not have: param.fc.bias; "
     "the file has, and the network does not: extra"},
    {"loss", "buffer.fc.bias", NULL, 0, "the file has, and the network does not: buffer.fc.bias"},
    {"param.fc.weight", NULL, NULL, 10,
     "tensor 'param.fc.weight' is 10 x 24, the network's is 5 x 48"},
    {"logits", NULL, NULL, 5, "tensor 'logits' is 5 x 3, the network's is 3 x 5"},
    {"grad.input", NULL, NULL, 1,
     "tensor 'grad.input' is 1 x 9 x 9 x 8, the network's is 3 x 3 x 9 x 8"},
    {"target", NULL, "F64", 0, "tensor 'target' has the dtype F64, classes are I64 or I32"},
    {"param.fc.bias", NULL, "C64", 0,
     "tensor 'param.fc.bias': dtype is C64, those that are read are F32, F16, BF16, F64 and "
     "integers"},
};

START_TEST(wrong_files) {
    const wrong *w = &wrongs[_i];
    tensors f;
    program p;
    char line[512];
    tensors_load(file, &f);
    tensor *t = tensors_find(&f, w->name);
    if (w->renamed) snprintf(t->name, sizeof t->name, "%s", w->renamed);
    if (w->dtype) snprintf(t->dtype, sizeof t->dtype, "%s", w->dtype);
    if (w->first_dim) { /* the second makes up for it */
        t->dim[1] = t->dim[0] * t->dim[1] / w->first_dim;
        t->dim[0] = w->first_dim;
    }
    tensors_save("wrong.safetensors", &f);
    tensors_free(&f);
    run_check(&p, in_float, "wrong.safetensors", NULL);
    snprintf(line, sizeof line, "trainer: wrong.safetensors: %s", w->line);
    check_failure(&p, 1, line);
}
END_TEST

START_TEST(wrong_values) {
    tensors f;
    program p;
    tensors_load(file, &f);
    snprintf(f.mode, sizeof f.mode, "test");
    tensors_save("wrong.safetensors", &f);
    run_check(&p, in_float, "wrong.safetensors", NULL);
    check_failure(&p, 1,
                  "trainer: wrong.safetensors: the metadata 'mode' is 'test', allowed are train "
                  "and eval");
    f.mode[0] = '\0'; /* train */
    tensors_save("wrong.safetensors", &f);
    run_check(&p, in_float, "wrong.safetensors", NULL);
    check_agrees(&p, RESULTS);
    tensor *target = tensors_find(&f, "target");
    target->data[8] = 5;
    tensors_save("wrong.safetensors", &f);
    run_check(&p, in_float, "wrong.safetensors", NULL);
    check_failure(&p, 1,
                  "trainer: wrong.safetensors: tensor 'target' has 5 at [1], the network has 5 "
                  "classes");
    memset(target->data + 8, 0xff, 8);
    tensors_save("wrong.safetensors", &f);
    run_check(&p, in_float, "wrong.safetensors", NULL);
    check_failure(&p, 1,
                  "trainer: wrong.safetensors: tensor 'target' has -1 at [1], the network has 5 "
                  "classes");
    target->data[8] = 1;
    memset(target->data + 9, 0, 7);
    tensor_set(tensors_find(&f, "grad.fc.bias"), 2, (double)NAN);
    tensors_save("wrong.safetensors", &f);
    run_check(&p, in_float, "wrong.safetensors", NULL);
    ck_assert_msg(p.code == 1 && strstr(p.out, "PAST") && strstr(p.out, "[2]"), "%s%s", p.out,
                  p.err);
    tensors_free(&f);
}
END_TEST

START_TEST(command_line) {
    program p;
    RUN(&p, "check", "--reference", file);
    check_failure(&p, 2,
                  "--config: is missing, as in trainer check --config configs/lenet.ini "
                  "--reference lenet.safetensors");
    RUN(&p, "check", "--config", ini);
    ck_assert_msg(p.code == 2 && strncmp(p.err, "--reference: is missing", 23) == 0, "%s", p.err);
    RUN(&p, "check", "--config", ini, "--reference", "nowhere.safetensors");
    ck_assert_msg(p.code == 1 && strstr(p.err, "nowhere.safetensors"), "%s", p.err);
    static const char torch[] =
        "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8P\x19."; /* torch.save's */
    write_whole("net.pth", torch, sizeof torch - 1);
    RUN(&p, "check", "--config", ini, "--reference", "net.pth");
    ck_assert_msg(p.code == 1 && strstr(p.err, "f = \"net.pth\"; d = torch.load(f, "), "%s", p.err);
    RUN(&p, "check", "--config", ini, "--reference", file, "--epochs", "3");
    check_failure(&p, 2, "--epochs: is no option of 'check', see trainer help check");
    /* A network that does not fit the file's images is reported at its line. */
    RUN(&p, "check", "--config", ini, "--reference", file, "--set",
        "network.pool=max_pool2d "
        "kernel_size=20 before=flat");
    ck_assert_msg(p.code == 2 && strstr(p.err, "pool"), "%s", p.err);
    RUN(&p, "help", "check");
    ck_assert_msg(p.code == 0 && strstr(p.out, "--reference FILE") &&
                      strstr(p.out, "--tolerance T"),
                  "%s", p.out);
}
END_TEST

/* ---- buffers, and the mode ---- */

enum { NORM_RESULTS = 44 }; /* in both files */

static void run_norm(program *p, const char *which, const char *reference) {
    setenv("TR_TRAINER", which, 1);
    RUN(p, "check", "--config", norm_ini, "--reference", reference);
}

START_TEST(agreement_of_normalisation) {
    program p;
    run_norm(&p, in_float, norm_train);
    check_agrees(&p, NORM_RESULTS);
    run_norm(&p, TR_TRAINER_DOUBLE, norm_train);
    check_agrees(&p, NORM_RESULTS);
    run_norm(&p, in_float, norm_eval);
    check_agrees(&p, NORM_RESULTS);
    run_norm(&p, TR_TRAINER_DOUBLE, norm_eval);
    check_agrees(&p, NORM_RESULTS);
}
END_TEST

/* The file of one mode is not that of the other. */
START_TEST(mode_matters) {
    tensors f;
    program p;
    tensors_load(norm_train, &f);
    strcpy(f.mode, "eval");
    tensors_save("other-mode.safetensors", &f);
    tensors_free(&f);
    run_norm(&p, in_float, "other-mode.safetensors");
    ck_assert_msg(p.code == 1 && strstr(p.err, "first 'logits'"), "%s%s", p.out, p.err);
    tensors_load(norm_eval, &f);
    strcpy(f.mode, "train");
    tensors_save("other-mode.safetensors", &f);
    tensors_free(&f);
    run_norm(&p, in_float, "other-mode.safetensors");
    ck_assert_msg(p.code == 1 && strstr(p.err, "first 'logits'"), "%s%s", p.out, p.err);
}
END_TEST

START_TEST(each_buffer_is_compared) {
    tensors f;
    int n = 0;
    tensors_load(norm_train, &f);
    for (int i = 0; i < f.n; i++) {
        tensor *t = &f.v[i];
        program p;
        if (strncmp(t->name, "buffer_after.", 13) != 0) continue;
        bool counter = strcmp(t->dtype, "I64") == 0;
        double kept = counter ? 0 : tensor_get(t, 0);
        if (counter)
            t->data[0] ^= 1;
        else
            tensor_set(t, 0, kept + 0.02); /* of a change of some tenths */
        tensors_save("buffer.safetensors", &f);
        run_norm(&p, in_float, "buffer.safetensors");
        check_past(&p, t->name, NORM_RESULTS);
        if (counter)
            t->data[0] ^= 1;
        else
            tensor_set(t, 0, kept);
        n++;
    }
    ck_assert_int_eq(n, 12); /* mean, variance and counter of four */
    tensors_free(&f);
}
END_TEST

/* Buffers before the step are used: running statistics in eval, what they are changed from in
 * train. */
START_TEST(buffers_matter) {
    const char *const files[] = {norm_train, norm_eval};
    static const char *const first[] = {"first 'buffer_after.bn1.running_mean'", "first 'logits'"};
    for (int i = 0; i < 2; i++) {
        tensors f;
        program p;
        tensors_load(files[i], &f);
        tensor *t = tensors_find(&f, "buffer.bn1.running_mean");
        tensor_set(t, 1, tensor_get(t, 1) + 0.1);
        tensors_save("before.safetensors", &f);
        tensors_free(&f);
        run_norm(&p, in_float, "before.safetensors");
        ck_assert_msg(p.code == 1 && strstr(p.err, first[i]), "%s%s", p.out, p.err);
    }
}
END_TEST

START_TEST(names_of_buffers) {
    tensors f;
    program p;
    tensors_load(norm_train, &f);
    tensors_remove(&f, "buffer.bn5.running_var");
    tensors_save("names.safetensors", &f);
    run_norm(&p, in_float, "names.safetensors");
    check_failure(&p, 1,
                  "trainer: names.safetensors: the network needs, and the file does not have: "
                  "buffer.bn5.running_var");
    tensors_free(&f);
    /* A frozen parameter has no gradient, but another one must have it. */
    tensors_load(norm_train, &f);
    tensors_remove(&f, "grad.bn1.weight");
    tensors_save("names.safetensors", &f);
    tensors_free(&f);
    run_norm(&p, in_float, "names.safetensors");
    check_failure(&p, 1,
                  "trainer: names.safetensors: the network needs, and the file does not have: "
                  "grad.bn1.weight");
}
END_TEST

/* The function of the library. */
static int n_rows;
static void count_row(const tr_check_row *row, void *arg) {
    ck_assert_ptr_eq(arg, &n_rows);
    ck_assert(row->n_dims >= 0 && row->elements > 0 && row->left_out == 0);
    if (strcmp(row->name, "grad.fc.weight") == 0)
        ck_assert(row->n_dims == 2 && row->index[0] < 5 && row->index[1] < 48 && !row->past);
    n_rows++;
}

START_TEST(library) {
    tr_error err = {0};
    tr_config *config = NULL;
    int n_past = -1;
    ck_assert_int_eq(tr_config_read(ini, &config, &err), TR_OK);
    ck_assert_msg(tr_check(config, file, 0, count_row, &n_rows, &n_past, &err) == TR_OK, "%s",
                  err.text);
    ck_assert(n_rows == RESULTS && n_past == 0);
    ck_assert_int_eq(tr_check(config, file, 1e-12, NULL, NULL, &n_past, &err), TR_OK);
    ck_assert_int_gt(n_past, 0);
    ck_assert_int_eq(tr_check(config, file, 0, NULL, NULL, NULL, NULL), TR_OK);
    ck_assert_int_eq(tr_check(NULL, file, 0, NULL, NULL, NULL, NULL), TR_ECONFIG);
    ck_assert_int_eq(tr_check(config, NULL, 0, NULL, NULL, NULL, NULL), TR_ECONFIG);
    ck_assert_int_eq(tr_check(config, file, -1, NULL, NULL, NULL, NULL), TR_ECONFIG);
    ck_assert_int_eq(tr_check(config, file, (double)NAN, NULL, NULL, NULL, NULL), TR_ECONFIG);
    tr_config_free(config);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("check");
    TCase *group = tcase_create("check");
    tcase_set_timeout(group, 60);
    tcase_add_test(group, agreement);
    tcase_add_test(group, parameters_of_another_file);
    tcase_add_test(group, each_tensor_is_compared);
    tcase_add_test(group, inputs_matter);
    tcase_add_test(group, parameters_of_the_seed);
    tcase_add_test(group, some_results);
    tcase_add_test(group, loss_near_zero);
    tcase_add_test(group, tolerance_of_all);
    tcase_add_loop_test(group, wrong_files, 0, (int)(sizeof wrongs / sizeof *wrongs));
    tcase_add_test(group, wrong_values);
    tcase_add_test(group, agreement_of_normalisation);
    tcase_add_test(group, mode_matters);
    tcase_add_test(group, each_buffer_is_compared);
    tcase_add_test(group, buffers_matter);
    tcase_add_test(group, names_of_buffers);
    tcase_add_test(group, command_line);
    tcase_add_test(group, library);
    suite_add_tcase(suite, group);
    in_float = strdup(program_path());
    int failed = program_main(suite);
    free((char *)(uintptr_t)in_float);
    return failed;
}
