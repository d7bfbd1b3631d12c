/* Promise 1: the trained weights have the same bits for any number of threads, any number of loader
 * workers and any instruction set, from the command line to summary.json.
 *
 * Most runs take 10 images of the mini set for three epochs: batches of 4, 4 and 2, shuffled anew.
 * Few images, and two runs at a time, because most of a short run is drawing pictures of them.
 * What takes longer has the tag `long`: meson test --suite long.
 */
#include <stdio.h>
#include <string.h>

#include "program.h"

enum { MOST_RUNS = 64, AT_ONCE = 2 };

#define LENET    TR_TEST_ROOT "/../configs/lenet.ini"
#define RESNET20 TR_TEST_ROOT "/../configs/resnet20.ini"
#define RESNET18 TR_TEST_ROOT "/../configs/resnet18.ini"

/* What configs/lenet.ini does not have: convolutions with a border and a stride and without a pool,
 * a pool with overlapping windows, a sum, shards of several samples, the last of them smaller. */
static const char wide_ini[] = "[data]\n"
                               "type = synthetic\n"
                               "train = 165\n"
                               "test = 2\n"
                               "height = 11\n"
                               "width = 9\n"
                               "channels = 2\n"
                               "[loader]\n"
                               "batch_size = 140\n" /* and 25, in shards of 3 */
                               "shuffle = true\n"
                               "[network]\n"
                               "conv1 = conv2d out_channels=9 kernel_size=3 padding=1 bias=false\n"
                               "relu1 = relu\n"
                               "conv2 = conv2d out_channels=9 kernel_size=3 padding=1\n"
                               "sum = add from=relu1,conv2\n"
                               "relu2 = relu\n"
                               "pool = max_pool2d kernel_size=3 stride=2\n"
                               "conv3 = conv2d out_channels=17 kernel_size=2 stride=2\n"
                               "flatten = flatten\n"
                               "fc1 = linear out_features=33 bias=false\n"
                               "relu3 = relu\n"
                               "fc2 = linear out_features=10\n"
                               "[loss]\n"
                               "type = cross_entropy\n"
                               "[optimizer]\n"
                               "type = sgd\n"
                               "lr = 0.05\n"
                               "momentum = 0.9\n"
                               "nesterov = true\n"
                               "weight_decay = 0.001\n";

/* ResNet-8: statistics over a batch in shards of several samples, the last of them smaller, odd
 * sizes, channels that fill no vector, both kinds of shortcut. */
static const char resnet8_ini[] =
    "[data]\n"
    "type = synthetic\n"
    "train = 57\n"
    "test = 2\n"
    "height = 13\n"
    "width = 11\n"
    "[loader]\n"
    "batch_size = 31\n" /* and 26, in shards of 3 */
    "shuffle = true\n"
    "[engine]\n"
    "shard = 3\n"
    "[network]\n"
    "conv1 = conv2d out_channels=8 kernel_size=3 padding=1 bias=false\n"
    "bn1 = batch_norm2d\n"
    "relu1 = relu\n"
    "layer1 = basic width=8\n"
    "layer2 = basic width=12 stride=2 shortcut=projection\n"
    "layer3 = basic width=20 stride=2 shortcut=padded\n"
    "avgpool = adaptive_avg_pool2d output_size=1\n"
    "flatten = flatten\n"
    "fc = linear out_features=10\n"
    "[block basic width stride=1 shortcut=identity]\n"
    "conv1 = conv2d out_channels=$width kernel_size=3 stride=$stride padding=1 bias=false\n"
    "bn1 = batch_norm2d\n"
    "relu1 = relu\n"
    "conv2 = conv2d out_channels=$width kernel_size=3 padding=1 bias=false\n"
    "bn2 = batch_norm2d\n"
    "shortcut = $shortcut width=$width stride=$stride from=in\n"
    "add = add from=bn2,shortcut\n"
    "relu2 = relu\n"
    "[block projection width stride]\n"
    "0 = conv2d out_channels=$width kernel_size=1 stride=$stride bias=false\n"
    "1 = batch_norm2d\n"
    "[block padded width stride]\n"
    "0 = subsample stride=$stride\n"
    "1 = pad_channels before=3 after=5\n"
    "[loss]\n"
    "type = cross_entropy\n"
    "[optimizer]\n"
    "type = sgd\n"
    "lr = 0.05\n"
    "momentum = 0.9\n"
    "weight_decay = 0.001\n";

/* Joins with broadcasting, and moves of pixels and channels: odd sizes, channels that fill no
 * vector. */
static const char shapes_ini[] = "[data]\n"
                                 "type = synthetic\n"
                                 "train = 57\n"
                                 "test = 2\n"
                                 "height = 9\n"
                                 "width = 7\n"
                                 "[loader]\n"
                                 "batch_size = 31\n" /* and 26, in shards of 3 */
                                 "shuffle = true\n"
                                 "[engine]\n"
                                 "shard = 3\n"
                                 "[network]\n"
                                 "conv1 = conv2d out_channels=9 kernel_size=3 padding=1\n"
                                 "squeeze = adaptive_avg_pool2d output_size=1\n"
                                 "excite = conv2d out_channels=9 kernel_size=1\n"
                                 "weighed = mul from=conv1,excite\n"
                                 "scaled = scale learned=true factor=0.7\n"
                                 "map = conv2d out_channels=1 kernel_size=1 from=conv1\n"
                                 "attended = mul from=map,scaled\n"
                                 "shifted = sub from=excite,attended\n"
                                 "joined = concat from=shifted,conv1,map\n"
                                 "part = slice start=1 end=19\n"
                                 "shuffled = channel_shuffle groups=3\n"
                                 "padded = reflection_pad2d padding=1x2x3x0\n"
                                 "larger = upsample scale_factor=1.5 mode=bilinear\n"
                                 "cropped = zero_pad2d padding=-1x2x-1x0\n"
                                 "pool = adaptive_max_pool2d output_size=5x4\n"
                                 "flatten = flatten\n"
                                 "fc = linear out_features=10\n"
                                 "[loss]\n"
                                 "type = cross_entropy\n"
                                 "[optimizer]\n"
                                 "type = sgd\n"
                                 "lr = 0.05\n"
                                 "momentum = 0.9\n";

/* Convolutions with each algorithm, argument and padding mode. */
static const char convolutions_ini[] =
    "[data]\n"
    "type = synthetic\n"
    "train = 57\n"
    "test = 2\n"
    "height = 9\n"
    "width = 7\n"
    "[loader]\n"
    "batch_size = 31\n"
    "shuffle = true\n"
    "[engine]\n"
    "shard = 3\n"
    "[network]\n"
    "a = conv2d out_channels=27 kernel_size=2x3 padding=same padding_mode=circular\n"
    "b = conv2d out_channels=54 kernel_size=3 groups=27 padding=1x2 padding_mode=replicate\n"
    "c = conv2d out_channels=18 kernel_size=3x2 stride=2x1 groups=9 padding=2 dilation=2\n"
    "d = conv_transpose2d out_channels=34 kernel_size=3 stride=2 output_padding=1 groups=2\n"
    "e = relu\n"
    "f = conv2d out_channels=9 kernel_size=3 padding=1 padding_mode=reflect\n"
    "g = max_pool2d kernel_size=2\n"
    "h = conv_transpose2d out_channels=9 kernel_size=2 groups=9\n"
    "flatten = flatten\n"
    "fc = linear out_features=10\n"
    "[loss]\n"
    "type = cross_entropy\n"
    "[optimizer]\n"
    "type = sgd\n"
    "lr = 0.05\n"
    "momentum = 0.9\n";

typedef struct job {
    int threads, workers;
    const char *isa;
    bool oversubscribe; /* as many threads as requested, however many CPUs there are */
} job;

typedef struct batch_of_runs {
    const char *config, *data; /* data: NULL, or what --data names */
    const char *epochs;
    const char *set; /* NULL, or what --set takes */
    job jobs[MOST_RUNS];
    int n;
} batch_of_runs;

static void add(batch_of_runs *b, int threads, int workers, const char *isa, bool oversubscribe) {
    ck_assert_int_lt(b->n, MOST_RUNS);
    b->jobs[b->n++] = (job){threads, workers, isa, oversubscribe};
}

static void start(const batch_of_runs *b, int i, const char *run, program *p) {
    const job *j = &b->jobs[i];
    char threads[16], workers[16];
    const char *args[32] = {"--quiet", "--config", b->config, "--epochs", b->epochs, "--out", run};
    int n = 7;
    snprintf(threads, sizeof threads, "%d", j->threads);
    snprintf(workers, sizeof workers, "%d", j->workers);
    args[n++] = "--threads";
    args[n++] = threads;
    args[n++] = "--workers";
    args[n++] = workers;
    args[n++] = "--isa";
    args[n++] = j->isa;
    args[n++] = "--set";
    args[n++] = j->oversubscribe ? "run.oversubscribe=true" : "run.oversubscribe=false";
    if (b->data) {
        args[n++] = "--data";
        args[n++] = b->data;
    }
    if (b->set) {
        args[n++] = "--set";
        args[n++] = b->set;
    }
    program_start(p, args, NULL);
}

/* Run them all; every summary must name the same weights. */
static void check_same(const char *name, const batch_of_runs *b) {
    static program running[AT_ONCE];
    char first[65], sha[65], run[AT_ONCE][32];
    for (int i = 0; i < b->n; i += AT_ONCE) {
        int n = b->n - i < AT_ONCE ? b->n - i : AT_ONCE;
        for (int k = 0; k < n; k++) {
            snprintf(run[k], sizeof run[k], "%s-%d", name, i + k);
            start(b, i + k, run[k], &running[k]);
        }
        for (int k = 0; k < n; k++) {
            const job *j = &b->jobs[i + k];
            program_wait(&running[k]);
            ck_assert_msg(running[k].code == 0, "%d threads, %d workers, %s: exit code %d: %s",
                          j->threads, j->workers, j->isa, running[k].code, running[k].err);
            weights_of(run[k], sha);
            if (i + k == 0) strcpy(first, sha);
            ck_assert_msg(
                strcmp(sha, first) == 0,
                "%s: %d threads, %d workers, %s%s: weights %.12s, but %.12s with %d threads, %d "
                "workers, %s",
                name, j->threads, j->workers, j->isa, j->oversubscribe ? ", oversubscribed" : "",
                sha, first, b->jobs[0].threads, b->jobs[0].workers, b->jobs[0].isa);
        }
    }
}

static const int thread_counts[] = {1, 2, 3, 5, 8}, worker_counts[] = {0, 1, 3};
static const char *const vector_isas[] = {"avx2", "avx512", "neon"};
enum { N_THREADS = 5, N_WORKERS = 3, N_VECTOR = 3 };

/* All pairs on one ISA. */
static void add_all(batch_of_runs *b, const char *isa) {
    for (int t = 0; t < N_THREADS; t++)
        for (int w = 0; w < N_WORKERS; w++) add(b, thread_counts[t], worker_counts[w], isa, true);
}

/* Each number of threads and of workers at least once. */
static void add_some(batch_of_runs *b, const char *isa) {
    for (int t = 0; t < N_THREADS; t++)
        add(b, thread_counts[t], worker_counts[(t + 1) % N_WORKERS], isa, true);
}

static void add_three(batch_of_runs *b, const char *isa) {
    add(b, 1, 3, isa, true);
    add(b, 2, 3, isa, true);
    add(b, 5, 0, isa, true);
}

/* On every vector ISA of this machine. */
static void add_vector(batch_of_runs *b, void (*add_pairs)(batch_of_runs *b, const char *isa)) {
    for (int i = 0; i < N_VECTOR; i++)
        if (has_isa(vector_isas[i])) add_pairs(b, vector_isas[i]);
}

START_TEST(lenet_matrix) {
    batch_of_runs b = {.config = LENET, .data = "small", .epochs = "3"};
    int n_full = 0;
    cut_mini("small", 10, 2);
    add_some(&b, "scalar");
    for (int i = 0; i < N_VECTOR; i++) {
        if (!has_isa(vector_isas[i])) continue;
        if (n_full++ == 0)
            add_all(&b, vector_isas[i]);
        else
            add_some(&b, vector_isas[i]);
    }
    add(&b, 8, 3, "auto", false);
    add(&b, 3, 0, "auto", false);
    check_same("lenet", &b);
}
END_TEST

static const struct {
    const char *name, *ini;
    void (*scalar)(batch_of_runs *b, const char *isa);
} synthetic[] = {{"wide", wide_ini, add_some},
                 {"resnet8", resnet8_ini, add_some},
                 {"shapes", shapes_ini, add_three},
                 {"convolutions", convolutions_ini, add_three}};
enum { N_SYNTHETIC = sizeof synthetic / sizeof *synthetic };

START_TEST(synthetic_images) {
    char config[32];
    batch_of_runs b = {.config = config, .epochs = "2"};
    snprintf(config, sizeof config, "%s.ini", synthetic[_i].name);
    write_whole(config, synthetic[_i].ini, strlen(synthetic[_i].ini));
    synthetic[_i].scalar(&b, "scalar");
    add_vector(&b, add_three);
    check_same(synthetic[_i].name, &b);
}
END_TEST

/* 10 images in batches of 4, 4 and 2. */
static batch_of_runs resnet_of_few(const char *config) {
    cut_mini("few", 10, 2);
    return (batch_of_runs){
        .config = config, .data = "few", .epochs = "1", .set = "loader.batch_size=4"};
}

START_TEST(resnet20) {
    batch_of_runs b = resnet_of_few(RESNET20);
    add_vector(&b, add_some);
    if (b.n == 0) add_some(&b, "scalar");
    check_same("resnet20", &b);
}
END_TEST

/* All pairs on every vector ISA, and scalar kernels. */
START_TEST(resnet20_matrix) {
    batch_of_runs b = resnet_of_few(RESNET20);
    add_vector(&b, add_all);
    add(&b, 3, 1, "scalar", true);
    check_same("resnet20-all", &b);
}
END_TEST

START_TEST(resnet18) {
    batch_of_runs b = resnet_of_few(RESNET18);
    add_vector(&b, add_some);
    if (b.n == 0) add(&b, 1, 0, "scalar", true);
    add(&b, 2, 1, "auto", false);
    check_same("resnet18", &b);
}
END_TEST

/* Batch norm without pixels, and dropout. */
START_TEST(mlp) {
    batch_of_runs b = {.config = TR_TEST_ROOT "/../configs/mlp.ini", .data = "mini", .epochs = "1"};
    add_vector(&b, add_some);
    add(&b, 2, 1, "scalar", false);
    check_same("mlp", &b);
}
END_TEST

/* All pairs of scalar kernels. */
START_TEST(lenet_scalar_matrix) {
    batch_of_runs b = {.config = LENET, .data = "small", .epochs = "3"};
    cut_mini("small", 10, 2);
    add_all(&b, "scalar");
    check_same("lenet-scalar", &b);
}
END_TEST

/* A whole epoch of the mini set in the batches of the configuration, the last of them smaller. */
START_TEST(resnet20_whole_epoch) {
    batch_of_runs b = {.config = RESNET20, .data = "mini", .epochs = "1"};
    add(&b, 1, 0, "auto", false);
    add(&b, 2, 3, "auto", false);
    add(&b, 5, 1, "auto", true);
    for (int i = 0; i < N_VECTOR; i++)
        if (has_isa(vector_isas[i])) add(&b, 3, 1, vector_isas[i], true);
    check_same("resnet20-mini", &b);
}
END_TEST

/* One whole epoch of the mini set. */
START_TEST(whole_epoch) {
    batch_of_runs b = {.config = LENET, .data = "mini", .epochs = "1"};
    add(&b, 3, 1, "scalar", true);
    add(&b, 1, 0, "auto", false);
    add(&b, 8, 3, "auto", true);
    check_same("mini", &b);
}
END_TEST

/* Batches whose gradients are added up are one batch, last ones of an epoch included; so are
 * gradients that are kept before the update, as clipping that never clips has it. */
START_TEST(accumulated_batches) {
    static const char *const sets[][3] = {
        {"loader.batch_size=12", "train.accumulate=1", "optimizer.clip_grad_norm=0"},
        {"loader.batch_size=4", "train.accumulate=3", "optimizer.clip_grad_norm=0"},
        {"loader.batch_size=1", "train.accumulate=12", "optimizer.clip_grad_norm=0"},
        {"loader.batch_size=6", "train.accumulate=2", "optimizer.clip_grad_norm=1e9"},
        {"loader.batch_size=12", "train.accumulate=1", "optimizer.clip_grad_norm=1e9"},
        {"loader.batch_size=12", "train.accumulate=1", "optimizer.clip_grad_norm=0.1"},
    };
    enum { N = sizeof sets / sizeof *sets };
    char first[65], sha[65], out[16];
    cut_mini("some", 44, 2);
    for (int i = 0; i < N; i++) {
        program p;
        snprintf(out, sizeof out, "acc%d", i);
        RUN(&p, "--quiet", "--config", LENET, "--epochs", "2", "--data", "some", "--out", out,
            "--threads", i % 2 ? "3" : "1", "--set", "run.oversubscribe=true", "--set", sets[i][0],
            "--set", sets[i][1], "--set", sets[i][2]);
        ck_assert_msg(p.code == 0, "%s", p.err);
        weights_of(out, i == 0 ? first : sha);
        if (i > 0 && i < N - 1) ck_assert_str_eq(first, sha);
    }
    ck_assert_str_ne(first, sha); /* clipping does show */
    program p;
    RUN(&p, "--config", LENET, "--data", "mini", "--dry-run", "--set", "loader.batch_size=50",
        "--set", "train.accumulate=4");
    check_failure(&p, 2,
                  "--set: train.accumulate: 4 batches of 50 samples: batch_size must be a "
                  "multiple of the 4 samples of a shard (set engine.shard to a divisor of "
                  "batch_size)");
}
END_TEST

/* What dropout drops depends on a sample's place in the effective batch: not on the passes, nor on
 * who computes. */
START_TEST(accumulated_dropout) {
    static const char dropout_ini[] = "[data]\n"
                                      "type = synthetic\n"
                                      "train = 44\n"
                                      "test = 2\n"
                                      "height = 9\n"
                                      "width = 7\n"
                                      "[loader]\n"
                                      "shuffle = true\n"
                                      "[network]\n"
                                      "conv = conv2d out_channels=9 kernel_size=3\n"
                                      "relu1 = relu\n"
                                      "drop1 = dropout p=0.25\n"
                                      "flatten = flatten\n"
                                      "fc1 = linear out_features=21\n"
                                      "relu2 = relu\n"
                                      "drop2 = dropout p=0.5\n"
                                      "fc2 = linear out_features=10\n"
                                      "[loss]\n"
                                      "type = cross_entropy\n"
                                      "[optimizer]\n"
                                      "type = sgd\n"
                                      "lr = 0.05\n"
                                      "momentum = 0.9\n";
    static const struct {
        const char *batch, *accumulate, *threads, *workers, *isa;
    } cases[] = {
        {"12", "1", "1", "0", "scalar"}, {"4", "3", "3", "1", "avx2"},
        {"1", "12", "2", "3", "avx512"}, {"6", "2", "5", "0", "neon"},
        {"3", "4", "8", "1", "auto"},
    };
    enum { N = sizeof cases / sizeof *cases };
    char first[65], sha[65], out[16], batch[64], accumulate[64];
    program p;
    write_whole("dropout.ini", dropout_ini, strlen(dropout_ini));
    for (int i = 0; i <= N; i++) { /* the last is the first with another p */
        int k = i % N;
        snprintf(out, sizeof out, "drop%d", i);
        snprintf(batch, sizeof batch, "loader.batch_size=%s", cases[k].batch);
        snprintf(accumulate, sizeof accumulate, "train.accumulate=%s", cases[k].accumulate);
        RUN(&p, "--quiet", "--config", "dropout.ini", "--epochs", "2", "--out", out, "--threads",
            cases[k].threads, "--workers", cases[k].workers, "--isa",
            has_isa(cases[k].isa) ? cases[k].isa : "auto", "--set", "run.oversubscribe=true",
            "--set", batch, "--set", accumulate, "--set",
            i < N ? "network.drop2=dropout p=0.5" : "network.drop2=dropout p=0");
        ck_assert_msg(p.code == 0, "%s", p.err);
        weights_of(out, i == 0 ? first : sha);
        if (i > 0 && i < N)
            ck_assert_msg(strcmp(first, sha) == 0, "%s x %s", cases[k].batch, cases[k].accumulate);
    }
    ck_assert_str_ne(first, sha);
}
END_TEST

/* The tests above would pass if nothing but the seed mattered, or nothing at all. */
START_TEST(other_seed_other_weights) {
    program p;
    char a[65], b[65];
    cut_mini("tiny", 8, 2);
    RUN(&p, "--quiet", "--config", LENET, "--epochs", "1", "--data", "tiny", "--out", "seed0");
    ck_assert_int_eq(p.code, 0);
    RUN(&p, "--quiet", "--config", LENET, "--epochs", "1", "--data", "tiny", "--out", "seed1",
        "--seed", "1");
    ck_assert_int_eq(p.code, 0);
    weights_of("seed0", a);
    weights_of("seed1", b);
    ck_assert_str_ne(a, b);
    RUN(&p, "--quiet", "--config", LENET, "--epochs", "0", "--data", "tiny", "--out", "untrained");
    ck_assert_int_eq(p.code, 0);
    weights_of("untrained", b);
    ck_assert_str_ne(a, b);
}
END_TEST

static Suite *bits_suite(void) {
    Suite *suite = suite_create("bits");
    TCase *tc = tcase_create("same bits");
    tcase_set_timeout(tc, 250);
    tcase_add_test(tc, other_seed_other_weights);
    tcase_add_test(tc, lenet_matrix);
    tcase_add_loop_test(tc, synthetic_images, 0, N_SYNTHETIC);
    tcase_add_test(tc, whole_epoch);
    tcase_add_test(tc, accumulated_batches);
    tcase_add_test(tc, accumulated_dropout);
    tcase_add_test(tc, resnet20);
    suite_add_tcase(suite, tc);
    TCase *slow = tcase_create("same bits, long");
    tcase_set_tags(slow, "long");
    tcase_set_timeout(slow, 600);
    tcase_add_test(slow, lenet_scalar_matrix);
    tcase_add_test(slow, resnet20_matrix);
    tcase_add_test(slow, resnet18);
    tcase_add_test(slow, mlp);
    tcase_add_test(slow, resnet20_whole_epoch);
    suite_add_tcase(suite, slow);
    return suite;
}

int main(void) {
    return program_main(bits_suite());
}
