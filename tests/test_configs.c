/* The networks of configs/ against their sources: names of tensors, numbers of parameters; each
 * trains some steps, and its effective configuration is the same network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define CONFIGS TR_TEST_ROOT "/../configs/"

/* ---- the names that the sources give ---- */

typedef struct names {
    int n;
    char name[200][128];
} names;

static void add(names *list, const char *prefix, const char *name) {
    snprintf(list->name[list->n++], sizeof *list->name, "%s%s", prefix, name);
}

static void add_norm(names *list, const char *prefix, const char *layer) {
    static const char *const tensors[] = {"weight", "bias", "running_mean", "running_var",
                                          "num_batches_tracked"};
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", layer, tensors[i]);
        add(list, prefix, name);
    }
}

/* A stem, `stages` stages of `blocks` basic blocks and a linear layer. */
static void add_resnet(names *list, int stages, int blocks, bool projections) {
    add(list, "", "conv1.weight");
    add_norm(list, "", "bn1");
    for (int s = 1; s <= stages; s++) {
        for (int b = 0; b < blocks; b++) {
            char prefix[32];
            snprintf(prefix, sizeof prefix, "layer%d.%d.", s, b);
            add(list, prefix, "conv1.weight");
            add_norm(list, prefix, "bn1");
            add(list, prefix, "conv2.weight");
            add_norm(list, prefix, "bn2");
            if (!projections || s == 1 || b > 0) continue;
            add(list, prefix, "shortcut.0.weight");
            add_norm(list, prefix, "shortcut.1");
        }
    }
    add(list, "", "linear.weight");
    add(list, "", "linear.bias");
}

static void resnet20(names *list) {
    add_resnet(list, 3, 3, false);
    ck_assert_int_eq(list->n, 116);
}

static void resnet18(names *list) {
    add_resnet(list, 4, 2, true);
    ck_assert_int_eq(list->n, 122);
}

static void mlp(names *list) {
    for (int i = 0; i < 2; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "hidden.%d.", i);
        add(list, prefix, "linear.weight");
        add(list, prefix, "linear.bias");
        add_norm(list, prefix, "norm");
    }
    add(list, "", "linear.weight");
    add(list, "", "linear.bias");
}

static const struct {
    const char *config;
    void (*names)(names *list);
    json_int_t parameters;
} cases[] = {
    {"resnet20", resnet20, 269722},
    {"resnet18", resnet18, 11173962},
    {"mlp", mlp, 1841162 + 2048},
};
enum { N_CASES = sizeof cases / sizeof *cases };

/* ---- the tests ---- */

/* The header of a safetensors file. */
static json_t *header_of(const char *path) {
    size_t bytes, length = 0;
    char *file = read_whole(path, &bytes);
    for (int b = 7; b >= 0; b--) length = length << 8 | (unsigned char)file[b];
    ck_assert_uint_le(length + 8, bytes);
    json_t *header = json_loadb(file + 8, length, 0, NULL);
    ck_assert_ptr_nonnull(header);
    free(file);
    json_object_del(header, "__metadata__");
    return header;
}

static void check_tensors(const char *path, int i) {
    json_t *header = header_of(path);
    names *list = calloc(1, sizeof *list);
    json_int_t parameters = 0;
    cases[i].names(list);
    for (int k = 0; k < list->n; k++) {
        json_t *tensor = json_object_get(header, list->name[k]), *dim;
        json_int_t size = 1;
        size_t d;
        ck_assert_msg(tensor != NULL, "%s: no %s", path, list->name[k]);
        json_array_foreach(json_object_get(tensor, "shape"), d, dim) size *=
            json_integer_value(dim);
        const char *suffix = strrchr(list->name[k], '.');
        if (!strcmp(suffix, ".weight") || !strcmp(suffix, ".bias")) parameters += size;
    }
    ck_assert_uint_eq(json_object_size(header), (size_t)list->n);
    ck_assert_int_eq(parameters, cases[i].parameters);
    free(list);
    json_decref(header);
}

START_TEST(trained) {
    program p;
    char config[256], run[64], again[64], path[128], sha[2][65];
    snprintf(config, sizeof config, CONFIGS "%s.ini", cases[_i].config);
    snprintf(run, sizeof run, "%s", cases[_i].config);
    snprintf(again, sizeof again, "%s-again", cases[_i].config);
    cut_mini("few", 12, 4);
    RUN(&p, "--config", config, "--data", "few", "--quiet", "--epochs", "1", "--set",
        "loader.batch_size=4", "--out", run);
    ck_assert_msg(p.code == 0, "%s", p.err);
    snprintf(path, sizeof path, "%s/model.safetensors", run);
    check_tensors(path, _i);
    snprintf(path, sizeof path, "%s/config.ini", run);
    RUN(&p, "--config", path, "--quiet", "--out", again);
    ck_assert_msg(p.code == 0, "%s", p.err);
    weights_of(run, sha[0]);
    weights_of(again, sha[1]);
    ck_assert_str_eq(sha[0], sha[1]);
}
END_TEST

START_TEST(dry_run) {
    program p;
    char config[256], total[32];
    snprintf(config, sizeof config, CONFIGS "%s.ini", cases[_i].config);
    RUN(&p, "--config", config, "--data", "mini", "--dry-run");
    ck_assert_msg(p.code == 0, "%s", p.err);
    json_int_t n = cases[_i].parameters;
    if (n < 1000000)
        snprintf(total, sizeof total, " %d,%03d ", (int)(n / 1000), (int)(n % 1000));
    else
        snprintf(total, sizeof total, " %d,%03d,%03d ", (int)(n / 1000000), (int)(n / 1000 % 1000),
                 (int)(n % 1000));
    const char *line = strstr(p.out, "\ntotal ");
    ck_assert_msg(line != NULL, "%s", p.out);
    ck_assert_msg(strstr(line, total) != NULL, "%s", line);
}
END_TEST

static Suite *configs_suite(void) {
    Suite *suite = suite_create("configs");
    TCase *all = tcase_create("configs");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, dry_run, 0, N_CASES);
    tcase_add_loop_test(all, trained, 0, N_CASES);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return program_main(configs_suite());
}
