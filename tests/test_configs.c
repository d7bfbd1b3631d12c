/* The networks of configs/ against their sources: names of tensors, numbers of parameters; each
 * trains some steps, and its effective configuration is the same network. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define CONFIGS TR_TEST_ROOT "/../configs/"

/* ---- the names that the sources give ---- */

enum { MOST_NAMES = 800 };

typedef struct names {
    int n;
    char name[MOST_NAMES][128];
} names;

static void add(names *list, const char *prefix, const char *name) {
    ck_assert_int_lt(list->n, MOST_NAMES);
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

/* A layer of a weight and a bias. */
static void add_both(names *list, const char *layer) {
    char name[64];
    snprintf(name, sizeof name, "%s.", layer);
    add(list, name, "weight");
    add(list, name, "bias");
}

/* A convolution without a bias and its batch norm. */
static void add_conv_norm(names *list, const char *prefix, const char *conv, const char *norm) {
    char name[64];
    snprintf(name, sizeof name, "%s.weight", conv);
    add(list, prefix, name);
    add_norm(list, prefix, norm);
}

static void add_conv_norms(names *list, const char *prefix, int n) {
    for (int i = 1; i <= n; i++) {
        char conv[16], norm[16];
        snprintf(conv, sizeof conv, "conv%d", i);
        snprintf(norm, sizeof norm, "bn%d", i);
        add_conv_norm(list, prefix, conv, norm);
    }
}

typedef struct resnet {
    int stages, blocks[4], convs; /* convolutions of a block */
    const char *shortcut;         /* projection of the first block ... */
    int from;                     /* ... of each stage from this number on */
    bool excitation;              /* squeeze and excitation behind the convolutions */
    const char *linear;
} resnet;

/* A stem, stages of blocks, and a linear layer. */
static void add_resnet(names *list, const resnet *net) {
    add_conv_norms(list, "", 1);
    for (int s = 1; s <= net->stages; s++) {
        for (int b = 0; b < net->blocks[s - 1]; b++) {
            char prefix[32], conv[32], norm[32];
            snprintf(prefix, sizeof prefix, "layer%d.%d.", s, b);
            add_conv_norms(list, prefix, net->convs);
            if (net->excitation) add(list, prefix, "se.fc.0.weight");
            if (net->excitation) add(list, prefix, "se.fc.2.weight");
            if (net->shortcut == NULL || b > 0 || s < net->from) continue;
            snprintf(conv, sizeof conv, "%s.0", net->shortcut);
            snprintf(norm, sizeof norm, "%s.1", net->shortcut);
            add_conv_norm(list, prefix, conv, norm);
        }
    }
    add_both(list, net->linear);
}

static void resnet20(names *list) {
    add_resnet(list, &(resnet){3, {3, 3, 3}, 2, NULL, 0, false, "linear"});
    ck_assert_int_eq(list->n, 116);
}

static void resnet18(names *list) {
    add_resnet(list, &(resnet){4, {2, 2, 2, 2}, 2, "shortcut", 2, false, "linear"});
    ck_assert_int_eq(list->n, 122);
}

static void resnet50(names *list) {
    add_resnet(list, &(resnet){4, {3, 4, 6, 3}, 3, "shortcut", 1, false, "linear"});
    ck_assert_int_eq(list->n, 320);
}

static void se_resnet20(names *list) {
    add_resnet(list, &(resnet){3, {3, 3, 3}, 2, "downsample", 2, true, "fc"});
    ck_assert_int_eq(list->n, 146);
}

static void vgg11(names *list) {
    static const int convs[] = {0, 4, 8, 11, 15, 18, 22, 25}; /* places in the Sequential */
    for (int i = 0; i < 8; i++) {
        char layer[32];
        snprintf(layer, sizeof layer, "features.%d", convs[i]);
        add_both(list, layer);
        snprintf(layer, sizeof layer, "features.%d", convs[i] + 1);
        add_norm(list, "", layer);
    }
    add_both(list, "classifier");
    ck_assert_int_eq(list->n, 58);
}

static void densenet(names *list) {
    static const int layers[] = {6, 12, 24, 16};
    add(list, "", "conv1.weight");
    for (int d = 1; d <= 4; d++) {
        char prefix[32];
        for (int i = 0; i < layers[d - 1]; i++) {
            snprintf(prefix, sizeof prefix, "dense%d.%d.", d, i);
            add_conv_norms(list, prefix, 2);
        }
        if (d == 4) break;
        snprintf(prefix, sizeof prefix, "trans%d.", d);
        add_conv_norm(list, prefix, "conv", "bn");
    }
    add_norm(list, "", "bn");
    add_both(list, "linear");
    ck_assert_int_eq(list->n, 722);
}

static void mobilenet1(names *list) {
    add_conv_norms(list, "", 1);
    for (int i = 0; i < 13; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "layers.%d.", i);
        add_conv_norms(list, prefix, 2);
    }
    add_both(list, "linear");
    ck_assert_int_eq(list->n, 164);
}

static void mobilenet2(names *list) {
    static const bool projected[17] = {[0] = true, [1] = true, [10] = true, [16] = true};
    add_conv_norms(list, "", 2);
    for (int i = 0; i < 17; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "layers.%d.", i);
        add_conv_norms(list, prefix, 3);
        if (projected[i]) add_conv_norm(list, prefix, "shortcut.0", "shortcut.1");
    }
    add_both(list, "linear");
    ck_assert_int_eq(list->n, 344);
}

static void airbench94(names *list) {
    add_both(list, "whiten");
    for (int g = 1; g <= 3; g++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "layers.%d.", g);
        add_conv_norm(list, prefix, "conv1", "norm1");
        add_conv_norm(list, prefix, "conv2", "norm2");
    }
    add(list, "", "head.weight");
    ck_assert_int_eq(list->n, 39);
}

static void alexnet(names *list) {
    static const char *const layers[] = {"conv1", "conv2", "local3", "local4", "softmax_linear"};
    for (int i = 0; i < 5; i++) add_both(list, layers[i]);
}

static void lenet5(names *list) {
    static const char *const layers[] = {"conv1", "conv2", "fc1", "fc2", "fc3"};
    for (int i = 0; i < 5; i++) add_both(list, layers[i]);
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
    int images; /* that are trained on, fewer by large networks */
} cases[] = {
    {"resnet20", resnet20, 269722, 12},
    {"resnet18", resnet18, 11173962, 12},
    {"mlp", mlp, 1841162 + 2048, 12},
    {"vgg11-bn", vgg11, 9231114, 8},
    {"resnet50-cifar", resnet50, 23520842, 8},
    {"densenet-small", densenet, 1000618, 8},
    {"se-resnet20", se_resnet20, 274490, 8},
    {"mobilenet-v1", mobilenet1, 3217226, 8},
    {"mobilenet-v2", mobilenet2, 2296922, 8},
    {"airbench94", airbench94, 1971640 + 1152, 8}, /* 1,152 are weights that stay 1 */
    {"alexnet-cifar", alexnet, 1068298, 8},
    {"lenet5-mnist", lenet5, 44426, 12},
};
enum { N_CASES = sizeof cases / sizeof *cases, MOST_TWICE = 5000000 };

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

/* Where a configuration has its data from: the mini set, or as many synthetic images. */
static const char *data_of(const char *config, int images) {
    char *text = read_whole(config, NULL);
    bool synthetic = strstr(text, "type = synthetic") != NULL;
    static char option[64];
    free(text);
    if (!synthetic) cut_mini("few", images, 4);
    snprintf(option, sizeof option, synthetic ? "--set=data.train=%d" : "--data=few", images);
    return option;
}

/* Trains some steps; what has not too many parameters a second time, from the run's config.ini. */
START_TEST(trained) {
    program p;
    char config[256], run[64], again[64], path[128], sha[2][65];
    snprintf(config, sizeof config, "%s%s.ini", CONFIGS, cases[_i].config);
    snprintf(run, sizeof run, "%s", cases[_i].config);
    snprintf(again, sizeof again, "%s-again", cases[_i].config);
    RUN(&p, "--config", config, data_of(config, cases[_i].images), "--quiet", "--epochs", "1",
        "--set", "loader.batch_size=4", "--out", run);
    ck_assert_msg(p.code == 0, "%s", p.err);
    snprintf(path, sizeof path, "%s/model.safetensors", run);
    check_tensors(path, _i);
    if (cases[_i].parameters > MOST_TWICE) return;
    snprintf(path, sizeof path, "%s/config.ini", run);
    RUN(&p, "--config", path, "--quiet", "--out", again);
    ck_assert_msg(p.code == 0, "%s", p.err);
    weights_of(run, sha[0]);
    weights_of(again, sha[1]);
    ck_assert_str_eq(sha[0], sha[1]);
}
END_TEST

/* The number in column `kept` of the line of -v that begins with the name. */
static long long kept_of(const program *p, const char *name) {
    char start[128], number[64];
    snprintf(start, sizeof start, "\n%s ", name);
    const char *head = strstr(p->out, " kept "), *line = strstr(p->out, start);
    ck_assert_msg(head != NULL && line != NULL, "%s: %s", name, p->out);
    size_t end = (size_t)(head - p->out) + strlen(" kept"), n = 0;
    for (const char *c = line + 1 + end - 13; c < line + 1 + end; c++)
        if (*c != ',') number[n++] = *c;
    number[n] = '\0';
    char *rest;
    long long kept = strtoll(number, &rest, 10);
    ck_assert_msg(rest > number && *rest == '\0', "%s: '%s'", name, number);
    return kept;
}

/* Does the line of -v that begins with the name end in the word? */
static bool ends_in(const program *p, const char *name, const char *word) {
    char start[128], end[64];
    snprintf(start, sizeof start, "\n%s ", name);
    snprintf(end, sizeof end, " %s\n", word);
    const char *line = strstr(p->out, start), *found = line ? strstr(line, end) : NULL;
    return found && found + strlen(end) - 1 == strchr(line + 1, '\n');
}

/* The rule by which an algorithm is chosen, as it shows in shipped networks. */
START_TEST(algorithms) {
    static const struct {
        const char *config, *layer, *algorithm;
    } lines[] = {
        {"lenet", "conv1", "gather"}, /* with the pool behind it */
        {"resnet20", "conv1", "dense"},
        {"resnet20", "layer2.0.conv1", "dense"},
        {"mobilenet-v1", "conv1", "dense"},
        {"mobilenet-v1", "layers.0.conv1", "depthwise"},
        {"mobilenet-v1", "layers.1.conv1", "depthwise"}, /* of stride 2 */
        {"mobilenet-v1", "layers.0.conv2", "dense"},
    };
    char config[256];
    program p;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        snprintf(config, sizeof config, "%s%s.ini", CONFIGS, lines[i].config);
        RUN(&p, "--config", config, "--data", "mini", "--dry-run", "-v");
        ck_assert_msg(p.code == 0, "%s", p.err);
        ck_assert_msg(ends_in(&p, lines[i].layer, lines[i].algorithm), "%s: %s", lines[i].layer,
                      p.out);
    }
    RUN(&p, "--config", config, "--data", "mini", "--dry-run");
    ck_assert_ptr_null(strstr(p.out, "depthwise"));
}
END_TEST

/* What backward needs of ResNet-20: outputs of the convolutions, relus behind a sum, and the last
 * pool, whose mean needs no relu. Batch norms, relus behind them, sums and shortcuts keep nothing.
 */
START_TEST(kept) {
    program p;
    long long total = 0;
    int n = 0, n_convolutions = 0, n_relus = 0;
    RUN(&p, "--config", CONFIGS "resnet20.ini", "--data", "mini", "--dry-run", "-v");
    ck_assert_msg(p.code == 0, "%s", p.err);
    const char *line = strchr(p.out, '\n') + 1;
    for (; strncmp(line, "total ", 6) != 0; line = strchr(line, '\n') + 1) {
        char name[64], type[64];
        int c, h, w;
        int fields = sscanf(line, "%63s %63s %d x %d x %d", name, type, &c, &h, &w);
        ck_assert_int_ge(fields, 3);
        if (fields < 5) h = w = 1;
        long long is = kept_of(&p, name), whole = 4LL * c * h * w;
        const char *part = strrchr(name, '.');
        bool convolution = strcmp(type, "conv2d") == 0,
             relu = part && !strcmp(part, ".relu2") && strcmp(name, "layer3.2.relu2") != 0;
        /* Rows of an image may be padded to whole vectors. */
        if (convolution || relu || strcmp(name, "avgpool") == 0 || strcmp(name, "relu1") == 0)
            ck_assert_msg(is >= whole && is < 2 * whole, "%s: %lld of %lld", name, is, whole);
        else
            ck_assert_msg(is == 0, "%s: %lld", name, is);
        n_convolutions += convolution;
        n_relus += relu;
        total += is;
        n++;
    }
    ck_assert_int_eq(n_convolutions, 19);
    ck_assert_int_eq(n_relus, 8);
    ck_assert_int_gt(n, 60);
    ck_assert_int_eq(kept_of(&p, "total"), total);
    RUN(&p, "--config", CONFIGS "resnet20.ini", "--data", "mini", "--dry-run");
    ck_assert_ptr_null(strstr(p.out, " kept "));
    RUN(&p, "--config", CONFIGS "resnet20.ini", "--dry-run", "--quiet", "-v");
    check_failure(&p, 2, "--verbose: does not go with --quiet");
}
END_TEST

START_TEST(dry_run) {
    program p;
    char config[256], total[32];
    snprintf(config, sizeof config, "%s%s.ini", CONFIGS, cases[_i].config);
    RUN(&p, "--config", config, data_of(config, 12), "--set", "loader.batch_size=4", "--dry-run");
    ck_assert_msg(p.code == 0, "%s", p.err);
    json_int_t n = cases[_i].parameters;
    if (n < 1000000)
        snprintf(total, sizeof total, " %d,%03d ", (int)(n / 1000), (int)(n % 1000));
    else
        snprintf(total, sizeof total, " %d,%03d,%03d ", (int)(n / 1000000), (int)(n / 1000 % 1000),
                 (int)(n % 1000));
    const char *line = strstr(p.out, "\ntotal ");
    ck_assert_msg(line != NULL, "%.200s", p.out);
    ck_assert_msg(strstr(line, total) != NULL, "%.200s", line);
}
END_TEST

static bool has_case(const char *file) {
    for (int i = 0; i < N_CASES; i++) {
        size_t n = strlen(cases[i].config);
        if (strncmp(file, cases[i].config, n) == 0 && strcmp(file + n, ".ini") == 0) return true;
    }
    return false;
}

/* The other files: some steps, after which the weights are others. */
START_TEST(others) {
    DIR *folder = opendir(CONFIGS);
    int n = 0;
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *suffix = strrchr(entry->d_name, '.');
        if (suffix == NULL || strcmp(suffix, ".ini") != 0 || has_case(entry->d_name)) continue;
        char config[512], sha[2][65];
        snprintf(config, sizeof config, "%s%s", CONFIGS, entry->d_name);
        for (int epochs = 0; epochs < 2; epochs++) {
            program p;
            char run[32];
            snprintf(run, sizeof run, "other-%d-%d", n, epochs);
            RUN(&p, "--config", config, "--quiet", "--out", run, "--set", "loader.batch_size=4",
                "--epochs", epochs ? "1" : "0", data_of(config, 12));
            ck_assert_msg(p.code == 0, "%s: %s", config, p.err);
            weights_of(run, sha[epochs]);
        }
        ck_assert_str_ne(sha[0], sha[1]);
        n++;
    }
    closedir(folder);
    ck_assert_int_ge(n, 3);
}
END_TEST

static Suite *configs_suite(void) {
    Suite *suite = suite_create("configs");
    TCase *all = tcase_create("configs");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, kept);
    tcase_add_test(all, algorithms);
    tcase_add_loop_test(all, dry_run, 0, N_CASES);
    tcase_add_loop_test(all, trained, 0, N_CASES);
    tcase_add_test(all, others);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return program_main(configs_suite());
}
