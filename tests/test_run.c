/* The program's work from outside: what a run leaves behind, eval, predict and help, and that a
 * killed run leaves no half-written file.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/io.h"
#include "program.h"
#include "reference.h"

/* ---- what a run leaves ---- */

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    ck_assert_msg(json_is_number(value), "'%s' is missing or no number", key);
    return json_number_value(value);
}

static void check_png(const char *run, const char *name) {
    char path[64];
    size_t bytes;
    snprintf(path, sizeof path, "%s/%s", run, name);
    char *data = read_whole(path, &bytes);
    ck_assert_uint_gt(bytes, 1000); /* more than an empty sheet */
    ck_assert_mem_eq(data, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    ck_assert_mem_eq(data + bytes - 8, "IEND", 4);
    free(data);
}

/* SHA-256 of what follows the header of model.safetensors. */
static void hash_model(const char *run, char sha[65]) {
    char path[64];
    size_t bytes;
    snprintf(path, sizeof path, "%s/model.safetensors", run);
    unsigned char *data = (unsigned char *)read_whole(path, &bytes);
    uint64_t header = 0;
    for (int i = 0; i < 8; i++) header |= (uint64_t)data[i] << 8 * i;
    ck_assert_uint_lt(header + 8, bytes);
    tr_sha256 state;
    tr_sha256_start(&state);
    tr_sha256_add(&state, data + 8 + header, bytes - 8 - header);
    tr_sha256_end(&state, sha);
    free(data);
}

static void check_summary(const char *run) {
    static const char *const fractions[] = {"test_accuracy", "data_wait_fraction"};
    static const char *const positive[] = {"steps",         "threads",           "test_loss",
                                           "train_seconds", "images_per_second", "peak_rss_bytes"};
    char sha[65], hash[65];
    json_t *s = load_json(run, "summary.json");
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
        ck_assert_double_ge(number(s, fractions[i]), 0);
        ck_assert_double_le(number(s, fractions[i]), 1);
    }
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        ck_assert_double_gt(number(s, positive[i]), 0);
    ck_assert_double_eq(number(s, "seed"), 5);
    ck_assert_double_eq(number(s, "epochs"), 2);
    ck_assert_double_eq(number(s, "steps"), 6);
    ck_assert(json_is_string(json_object_get(s, "isa")));
    /* Eight test images of ten classes in turn: the last two classes have none. */
    const json_t *classes = json_object_get(s, "per_class_accuracy");
    double right = 0;
    ck_assert_uint_eq(json_object_size(classes), 10);
    for (int k = 0; k < 8; k++) {
        char name[32];
        snprintf(name, sizeof name, "class %d", k);
        right += number(classes, name);
    }
    ck_assert(json_is_null(json_object_get(classes, "class 8")));
    /* Eighths are exact, in 9 decimal digits, too. */
    ck_assert_double_eq(right / 8, number(s, "test_accuracy"));
    weights_of(run, sha);
    hash_model(run, hash);
    ck_assert_str_eq(sha, hash);
    json_decref(s);
}

/* Lines of metrics.jsonl: each a whole object with the keys of its event. */
static void check_metrics(const char *run, int *n_logs, int *n_epochs) {
    static const char *const log_keys[] = {"epoch", "step", "loss", "lr", "images_per_second"};
    static const char *const epoch_keys[] = {"epoch", "train_loss", "test_loss", "test_accuracy"};
    char path[64];
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    char *all = read_whole(path, NULL), *rest = all;
    *n_logs = *n_epochs = 0;
    ck_assert_int_eq(all[strlen(all) - 1], '\n');
    while (*rest) {
        char *line = strsep(&rest, "\n");
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_msg(json_is_object(object), "%s", line);
        const char *event = json_string_value(json_object_get(object, "event"));
        bool log = strcmp(event, "log") == 0;
        ck_assert_msg(log || strcmp(event, "epoch") == 0, "%s", line);
        for (int i = 0; i < (log ? 5 : 4); i++) number(object, log ? log_keys[i] : epoch_keys[i]);
        ++*(log ? n_logs : n_epochs);
        json_decref(object);
    }
    free(all);
}

START_TEST(run_directory) {
    static const char *const pictures[] = {"samples.png", "curves.png", "predictions.png",
                                           "confusion.png"};
    program p;
    char sha[65], again[65];
    int n_logs, n_epochs;
    write_config("net.ini", 0, NULL);
    /* Without --out: the next free name, twice. */
    RUN(&p, "--config", "net.ini", "--epochs", "2", "--seed", "5");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_str_eq(p.err, "");
    ck_assert_ptr_nonnull(strstr(p.out, "conv1          conv2d       4 x 6 x 6"));
    ck_assert_ptr_nonnull(strstr(p.out, "[2,     3] loss: "));
    ck_assert_ptr_nonnull(strstr(p.out, "epoch 2: training loss "));
    ck_assert_ptr_nonnull(strstr(p.out, "Accuracy of the network on the 8 test images: "));
    ck_assert_ptr_nonnull(strstr(p.out, "\nrun: runs/net\n"));
    check_summary("runs/net");
    check_metrics("runs/net", &n_logs, &n_epochs);
    ck_assert_int_eq(n_logs, 6);
    ck_assert_int_eq(n_epochs, 2);
    for (int i = 0; i < 4; i++) check_png("runs/net", pictures[i]);
    /* What a run was made from makes it again. */
    RUN(&p, "--quiet", "--config", "net.ini", "--epochs", "0");
    ck_assert_int_eq(p.code, 0);
    ck_assert_str_eq(p.out, "run: runs/net-2\n");
    RUN(&p, "--quiet", "--config", "runs/net/config.ini", "--out", "again");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_str_eq(p.out, "run: again\n");
    weights_of("runs/net", sha);
    weights_of("again", again);
    ck_assert_str_eq(sha, again);
    char *first = read_whole("runs/net/config.ini", NULL),
         *second = read_whole("again/config.ini", NULL);
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
}
END_TEST

/* The tutorial, from the command line to its losses: weights, order, decoding, every layer, the
 * loss and the steps are PyTorch's. Float sums in another order differ by about 1e-7, which the
 * means of 25 losses keep below 1e-6 for 250 steps (2e-8 were measured); a wrong image, weight or
 * step shows in the third digit. */
START_TEST(losses_are_pytorchs) {
    program p;
    char path[64];
    tr_reference *file = tr_reference_read("reference/random.txt");
    const tr_reference_tensor *want = tr_reference_get(&file->cases[file->n_cases - 1], "losses");
    RUN(&p, "--quiet", "--config", TR_TEST_ROOT "/../configs/lenet.ini", "--data", "mini", "--seed",
        "1", "--epochs", "2", "--set", "train.log_every=25", "--out", "tutorial");
    ck_assert_msg(p.code == 0, "%s", p.err);
    snprintf(path, sizeof path, "%s/metrics.jsonl", "tutorial");
    char *all = read_whole(path, NULL), *rest = all;
    size_t n = 0;
    while (*rest) {
        json_t *object = json_loads(strsep(&rest, "\n"), 0, NULL);
        if (strcmp(json_string_value(json_object_get(object, "event")), "log") == 0) {
            ck_assert_uint_lt(n, want->n);
            double loss = number(object, "loss");
            if (fabs(loss - want->v[n]) > 1e-6 * want->v[n])
                ck_abort_msg("steps to %zu: loss %.9g, PyTorch has %.9g", 25 * (n + 1), loss,
                             want->v[n]);
            n++;
        }
        json_decref(object);
    }
    ck_assert_uint_eq(n, want->n);
    free(all);
    tr_reference_free(file);
}
END_TEST

START_TEST(dry_run) {
    program p;
    write_config("dry.ini", 0, NULL);
    RUN(&p, "--config", "dry.ini", "--dry-run");
    ck_assert_int_eq(p.code, 0);
    ck_assert_ptr_nonnull(
        strstr(p.out, "data       24 training and 8 test images, 3 steps of 8 an epoch\n"));
    ck_assert_ptr_null(strstr(p.out, "run:"));
    RUN(&p, "--config", "dry.ini", "--dry-run", "--set", "engine.shard=3");
    ck_assert_ptr_nonnull(strstr(p.out, "plan       3 shards of 3, "));
    RUN(&p, "--config", "dry.ini", "--dry-run", "--quiet", "--out", "dry");
    ck_assert_int_eq(p.code, 0);
    ck_assert_str_eq(p.out, "");
    ck_assert_int_ne(access("dry", F_OK), 0);
    ck_assert_int_ne(access("runs/dry", F_OK), 0);
}
END_TEST

/* ---- eval and predict ---- */

static void train_small(const char *run) {
    program p;
    write_config("small.ini", 0, NULL);
    RUN(&p, "--quiet", "--config", "small.ini", "--out", run);
    ck_assert_msg(p.code == 0, "%s", p.err);
}

START_TEST(evaluate) {
    program p;
    char wanted[128], sha[65];
    train_small("e");
    json_t *s = load_json("e", "summary.json");
    weights_of("e", sha);
    RUN(&p, "eval", "--model", "e", "--threads", "1000", "--isa", "scalar", "--workers", "2",
        "--json", "eval.json");
    ck_assert_msg(p.code == 0, "%s", p.err);
    snprintf(wanted, sizeof wanted, "Accuracy of the network on the 8 test images: %.3f %%\n",
             100 * number(s, "test_accuracy"));
    ck_assert_ptr_eq(strstr(p.out, wanted), p.out);
    snprintf(wanted, sizeof wanted, "\ntest loss  %.5f\n", number(s, "test_loss"));
    ck_assert_ptr_nonnull(strstr(p.out, wanted));
    snprintf(wanted, sizeof wanted, "\nweights    sha256 %s\n", sha);
    ck_assert_ptr_nonnull(strstr(p.out, wanted));
    /* The same as JSON, under the names that the run's summary has. */
    json_t *e = load_json(".", "eval.json");
    static const char *const same[] = {"test_loss", "test_accuracy", "per_class_accuracy",
                                       "weights_sha256"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const json_t *value = json_object_get(e, same[i]);
        ck_assert_msg(value && json_equal(value, json_object_get(s, same[i])), "%s", same[i]);
    }
    ck_assert_double_eq(number(e, "test_images"), 8);
    /* Eight images are at most eight threads' work. */
    int ran = (int)number(e, "threads_run");
    ck_assert_double_eq(number(e, "threads"), 1000);
    ck_assert_int_ge(ran, 1);
    ck_assert_int_le(ran, 8);
    snprintf(wanted, sizeof wanted, " images/s on %d thread%s, scalar\n", ran, ran == 1 ? "" : "s");
    ck_assert_ptr_nonnull(strstr(p.out, wanted));
    json_decref(e);
    json_decref(s);
}
END_TEST

/* A run's configuration means the same from any folder, whatever the data's folder is called, and
 * is what was asked for. */
START_TEST(evaluate_from_elsewhere) {
    static const char base[] = "include = common/base.ini\n[data]\nroot = \"data #1;\\n\\xff\"\n",
                      common[] = "[data]\ntype = cifar10\nroot = nowhere\n[network]\nf = flatten\n"
                                 "fc = basic n=10\n[block basic n]\nfc = linear out_features=$n\n"
                                 "[loss]\ntype = cross_entropy\n[optimizer]\ntype = sgd\nlr = 1\n",
                      over[] = "[optimizer]\nlr = 1e-3\n";
    program p;
    char sha[65], again[65];
    mkdir("far", 0777);
    mkdir("far/away", 0777);
    mkdir("common", 0777);
    cut_mini("data #1;\n\xff", 10, 8);
    write_whole("base.ini", base, strlen(base));
    write_whole("common/base.ini", common, strlen(common));
    write_whole("over.ini", over, strlen(over));
    RUN(&p, "--config", "base.ini", "--config", "over.ini", "--out", "el", "--set",
        "network.act=relu before=fc", "--quiet");
    ck_assert_msg(p.code == 0, "%s", p.err);
    char *text = read_whole("el/config.ini", NULL);
    ck_assert_msg(
        strstr(text, "\nlr = 0.001\n") && strstr(text, "/data #1;\\n\\xff\"\n") &&
            strstr(
                text,
                "\nf = flatten start_dim=1 end_dim=-1\nact = relu\nfc.fc = linear out_features=10 "
                "bias=true frozen= "),
        "%s", text);
    free(text);
    weights_of("el", sha);
    ck_assert_int_eq(chdir("far/away"), 0);
    RUN(&p, "eval", "--model", "../../el");
    ck_assert_msg(p.code == 0 && strstr(p.out, sha), "%s%s", p.out, p.err);
    RUN(&p, "--config", "../../el/config.ini", "--out", "again", "--quiet");
    ck_assert_msg(p.code == 0, "%s", p.err);
    weights_of("again", again);
    ck_assert_str_eq(sha, again);
    ck_assert_int_eq(chdir("../.."), 0);
}
END_TEST

/* Lines of `predict`: no image twice, each with its label and the most probable classes. */
static void check_predictions(const char *out, int count) {
    bool seen[8] = {false};
    const char *line = strchr(out, '\n');
    ck_assert_int_eq(strncmp(out, "image ", 6), 0);
    for (int i = 0; i < count; i++, line = strchr(line + 1, '\n')) {
        int image, truth, predicted, second, third;
        double percent, less, least;
        int n = sscanf(line, "\n%d class %d class %d %lf %%, class %d %lf %%, class %d %lf %%",
                       &image, &truth, &predicted, &percent, &second, &less, &third, &least);
        ck_assert_msg(n == 8, "%s", out);
        ck_assert(image >= 0 && image < 8 && !seen[image]);
        seen[image] = true;
        ck_assert_int_eq(truth, image % 10); /* synthetic: the classes in turn */
        ck_assert_double_ge(percent, 10);    /* the best of ten */
        ck_assert(percent >= less && less >= least && percent + less + least <= 100.2);
        ck_assert(predicted != second && second != third && predicted != third);
    }
}

START_TEST(predict) {
    program p;
    char again[PROGRAM_TEXT];
    train_small("p");
    RUN(&p, "predict", "--model", "p", "--count", "5", "--seed", "3");
    ck_assert_msg(p.code == 0, "%s", p.err);
    check_predictions(p.out, 5);
    ck_assert_ptr_nonnull(strstr(p.out, "\npicture: p/predict.png\n"));
    check_png("p", "predict.png");
    /* All of the test set, in an order of its own for each seed; the picture has the next name. */
    for (int seed = 1; seed <= 2; seed++) {
        RUN(&p, "predict", "--model", "p", "--count", "8", "--seed", seed == 1 ? "1" : "2");
        ck_assert_msg(p.code == 0, "%s", p.err);
        check_predictions(p.out, 8);
        if (seed == 1) ck_assert_ptr_nonnull(strstr(p.out, "\npicture: p/predict-2.png\n"));
        if (seed == 2) ck_assert_int_ne(strncmp(p.out, again, 200), 0);
        strcpy(again, p.out);
    }
    RUN(&p, "predict", "--model", "p", "--count", "5", "--picture", "p.png");
    strcpy(again, p.out);
    RUN(&p, "predict", "--model", "p", "--count", "5", "--picture", "p.png", "--isa", "scalar");
    ck_assert_str_eq(p.out, again);
    RUN(&p, "predict", "--model", "p", "--count", "9");
    check_failure(&p, 2, "count: 9 is more than the 8 test images");
}
END_TEST

START_TEST(predict_json) {
    program p;
    train_small("j");
    RUN(&p, "predict", "--model", "j", "--count", "100", "--set", "data.test=300", "--json",
        "predict.json");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_ptr_nonnull(strstr(p.out, "\npicture: j/predict.png (the first 64)\n"));
    json_t *all = load_json(".", "predict.json");
    bool seen[300] = {false};
    ck_assert_int_eq(json_array_size(all), 100);
    for (size_t i = 0; i < 100; i++) {
        const json_t *one = json_array_get(all, i), *top = json_object_get(one, "top");
        int image = (int)number(one, "index");
        char truth[16];
        snprintf(truth, sizeof truth, "class %d", image % 10);
        ck_assert_str_eq(json_string_value(json_object_get(one, "truth")), truth);
        ck_assert(image < 300 && !seen[image]);
        seen[image] = true;
        ck_assert_int_eq(json_array_size(top), 5);
        double before = 1;
        for (size_t k = 0; k < 5; k++) {
            const json_t *class = json_array_get(top, k);
            ck_assert_ptr_nonnull(json_string_value(json_object_get(class, "class")));
            ck_assert_double_le(number(class, "probability"), before);
            before = number(class, "probability");
        }
        ck_assert_double_gt(before, 0);
    }
    json_decref(all);
}
END_TEST

/* Predictions are those of the test: as many of them are right as eval counts, however many images
 * a batch has. */
START_TEST(predict_as_tested) {
    program p;
    int right = 0;
    train_small("s");
    RUN(&p, "predict", "--model", "s", "--count", "300", "--set", "data.test=300", "--json",
        "all.json");
    ck_assert_msg(p.code == 0, "%s", p.err);
    json_t *all = load_json(".", "all.json");
    for (size_t i = 0; i < 300; i++) {
        const json_t *one = json_array_get(all, i);
        const json_t *best = json_array_get(json_object_get(one, "top"), 0);
        right += json_equal(json_object_get(best, "class"), json_object_get(one, "truth"));
    }
    json_decref(all);
    RUN(&p, "eval", "--model", "s", "--set", "data.test=300", "--json", "tested.json");
    json_t *tested = load_json(".", "tested.json");
    ck_assert_double_eq_tol(number(tested, "test_accuracy"), right / 300.0, 1e-8);
    json_decref(tested);
}
END_TEST

/* A model that is not finite is not tested, and one whose output is not, is said to be so. */
START_TEST(nonfinite_model) {
    program p;
    size_t bytes;
    static const unsigned char nan[4] = {0, 0, 0xC0, 0x7F}, huge[4] = {0xFF, 0xFF, 0x7F, 0x7F};
    train_small("n");
    char *model = read_whole("n/model.safetensors", &bytes); /* ends with fc.weight's elements */
    memcpy(model + bytes - 4, nan, 4);
    write_whole("n/model.safetensors", model, bytes);
    static const char *const commands[] = {"eval", "predict"};
    for (int i = 0; i < 2; i++) {
        RUN(&p, commands[i], "--model", "n");
        ck_assert_int_eq(p.code, 1);
        ck_assert_ptr_eq(strstr(p.err, "trainer: n/model.safetensors: tensor 'fc."), p.err);
        ck_assert_ptr_nonnull(strstr(p.err, "' holds a value that is not a number\n"));
        ck_assert_str_eq(p.out, "");
    }
    for (int i = 1; i <= 10 * 144; i++) memcpy(model + bytes - 4 * i, huge, 4);
    write_whole("n/model.safetensors", model, bytes);
    RUN(&p, "eval", "--model", "n");
    ck_assert_int_eq(p.code, 1);
    ck_assert_ptr_eq(strstr(p.err, "trainer: n/model.safetensors: the test loss is "), p.err);
    RUN(&p, "predict", "--model", "n");
    ck_assert_int_eq(p.code, 1);
    ck_assert_ptr_eq(strstr(p.err, "trainer: the network's output for image "), p.err);
    free(model);
}
END_TEST

START_TEST(damaged_model) {
    program p;
    size_t bytes;
    train_small("m");
    char *model = read_whole("m/model.safetensors", &bytes);
    write_whole("m/model.safetensors", model, bytes - 4);
    RUN(&p, "eval", "--model", "m");
    ck_assert_int_eq(p.code, 1);
    ck_assert_ptr_eq(
        strstr(p.err, "trainer: m/model.safetensors: tensor 'fc.bias': data_offsets end at "),
        p.err);
    write_whole("m/model.safetensors", model, bytes);
    free(model);
    RUN(&p, "eval", "--model", "m", "--set", "network.conv1=conv2d out_channels=5 kernel_size=3");
    check_failure(
        &p, 1,
        "trainer: m/model.safetensors: tensor 'conv1.weight' is 4 x 3 x 3 x 3, the network's is 5 "
        "x 3 x 3 x 3; of another shape are 3 of the network's 4");
    RUN(&p, "predict", "--model", "m", "--set", "network.fc=linear out_features=10 bias=false");
    check_failure(&p, 1,
                  "trainer: m/model.safetensors: has tensors that the network does not have: left "
                  "over are 1 of the file's 4, first 'fc.bias'");
    unlink("m/model.safetensors");
    RUN(&p, "predict", "--model", "m");
    check_failure(&p, 1, "trainer: m/model.safetensors: cannot open: No such file or directory");
}
END_TEST

/* ---- a folder is one run's ---- */

/* Every name that a run writes: as a file, a folder, a link that leads nowhere. */
START_TEST(names_that_are_there) {
    static const char *const names[] = {"lock",          "config.ini",      "model.safetensors",
                                        "metrics.jsonl", "summary.json",    "samples.png",
                                        "curves.png",    "predictions.png", "confusion.png"};
    program p;
    char path[64], wanted[64];
    write_config("taken.ini", 0, NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        mkdir("taken", 0777);
        snprintf(path, sizeof path, "taken/%s", names[i]);
        if (i % 3 == 0)
            write_whole(path, "mine", 4);
        else if (i % 3 == 1)
            mkdir(path, 0777);
        else
            ck_assert_int_eq(symlink("nowhere", path), 0);
        snprintf(wanted, sizeof wanted, "--out: run.out: 'taken' has '%s' already", names[i]);
        for (int dry = 0; dry < 2; dry++) {
            RUN(&p, "--quiet", "--config", "taken.ini", "--out", "taken",
                dry ? "--dry-run" : "--epochs=0");
            ck_assert_int_eq(p.code, 2);
            ck_assert_msg(strstr(p.err, wanted) == p.err, "%s", p.err);
        }
        ck_assert_int_eq(remove(path), 0);
        ck_assert_int_eq(rmdir("taken"), 0); /* nothing else was made */
    }
    /* What is none of these is left alone. */
    mkdir("taken", 0777);
    write_whole("taken/notes.txt", "mine", 4);
    RUN(&p, "--quiet", "--config", "taken.ini", "--out", "taken", "--epochs", "0");
    ck_assert_msg(p.code == 0, "%s", p.err);
    char *mine = read_whole("taken/notes.txt", NULL);
    ck_assert_str_eq(mine, "mine");
    free(mine);
}
END_TEST

/* Paths where no folder can be made are reported by a dry run, too, which makes nothing. */
START_TEST(places_that_cannot_be) {
    static const char *const places[] = {"file", "file/run", "file/a/b", "dangling",
                                         "dangling/run"};
    program p, dry;
    char longer[300] = "";
    write_config("place.ini", 0, NULL);
    write_whole("file", "", 0);
    ck_assert_int_eq(symlink("nowhere", "dangling"), 0);
    for (size_t i = 0; i <= sizeof places / sizeof *places; i++) {
        const char *place = longer;
        if (i < sizeof places / sizeof *places)
            place = places[i];
        else
            memset(longer, 'x', 256); /* a name has 255 bytes at most */
        RUN(&dry, "--quiet", "--config", "place.ini", "--out", place, "--dry-run");
        RUN(&p, "--quiet", "--config", "place.ini", "--out", place);
        ck_assert_msg(dry.code == 2 && p.code == 2, "%s: %s%s", place, dry.err, p.err);
        ck_assert_str_eq(dry.err, p.err);
    }
}
END_TEST

enum { AT_ONCE = 4 };

static void start_at_once(program *p, const char *const *args) {
    for (int i = 0; i < AT_ONCE; i++) program_start(&p[i], args, NULL);
    for (int i = 0; i < AT_ONCE; i++) program_wait(&p[i]);
}

/* Runs that want one folder at the same moment: one gets it and is whole. */
START_TEST(one_folder_at_once) {
    static program p[AT_ONCE];
    char out[32];
    write_config("once.ini", 0, NULL);
    for (int round = 0; round < 15; round++) {
        int n_won = 0;
        snprintf(out, sizeof out, "once-%d", round);
        if (round % 2) mkdir(out, 0777);
        start_at_once(p, (const char *const[]){"--quiet", "--config", "once.ini", "--epochs", "0",
                                               "--threads", "1", "--out", out, NULL});
        for (int i = 0; i < AT_ONCE; i++) {
            n_won += p[i].code == 0;
            if (p[i].code == 0) continue;
            ck_assert_msg(p[i].code == 2 && strstr(p[i].err, out), "%d: %s", p[i].code, p[i].err);
        }
        ck_assert_int_eq(n_won, 1);
        json_t *summary = load_json(out, "summary.json");
        json_decref(summary);
        char path[64];
        snprintf(path, sizeof path, "%s/lock", out);
        ck_assert_int_ne(access(path, F_OK), 0);
    }
}
END_TEST

/* The same without --out: each gets a folder of its own. */
START_TEST(names_at_once) {
    static program p[AT_ONCE];
    write_config("names.ini", 0, NULL);
    mkdir("runs", 0777);
    mkdir("runs/names-3", 0777); /* a run that was killed before it wrote anything */
    for (int round = 0; round < 5; round++) {
        start_at_once(p, (const char *const[]){"--quiet", "--config", "names.ini", "--epochs", "0",
                                               "--threads", "1", NULL});
        for (int i = 0; i < AT_ONCE; i++) {
            ck_assert_msg(p[i].code == 0, "%s", p[i].err);
            ck_assert_str_ne(p[i].out, "run: runs/names-3\n");
            for (int k = 0; k < i; k++) ck_assert_str_ne(p[i].out, p[k].out);
        }
    }
    ck_assert_int_eq(rmdir("runs/names-3"), 0);
    /* No name was left out. */
    ck_assert_int_eq(access("runs/names-21", F_OK), 0);
    ck_assert_int_ne(access("runs/names-22", F_OK), 0);
}
END_TEST

/* ---- signals ---- */

/* Start a run that would last long, and wait until its output has `text`. */
static void start_long(program *p, const char *out, const char *text) {
    char log[32];
    struct stat info;
    write_config("long.ini", 0, NULL);
    snprintf(log, sizeof log, "%s.log", out);
    program_start(p,
                  (const char *const[]){"--config", "long.ini", "--epochs", "20000", "--out", out,
                                        "--set", "train.log_every=1000000", NULL},
                  log);
    for (bool seen = false; !seen;) {
        ck_assert_int_eq(waitpid(p->pid, NULL, WNOHANG), 0);
        if (stat(log, &info)) continue;
        char *all = read_whole(log, NULL);
        seen = strstr(all, text) != NULL;
        free(all);
    }
}

START_TEST(stopped_by_a_signal) {
    static const struct {
        int number, code;
        const char *name;
    } signals[] = {{SIGINT, 130, "SIGINT"},
                   {SIGTERM, 143, "SIGTERM"},
                   {SIGHUP, 129, "SIGHUP"},
                   {SIGXCPU, 128 + SIGXCPU, "SIGXCPU"}};
    program p;
    char out[32], path[64], wanted[64], sha[65], hash[65];
    int n_logs, n_epochs;
    snprintf(out, sizeof out, "signal-%d", signals[_i].number);
    signal(signals[_i].number, SIG_DFL); /* nohup leaves SIGHUP ignored */
    start_long(&p, out, "epoch 2: ");
    kill(p.pid, signals[_i].number);
    program_wait(&p);
    ck_assert_msg(p.code == signals[_i].code, "%d: %s", p.code, p.err);
    snprintf(wanted, sizeof wanted, "trainer: %s: stopped in epoch ", signals[_i].name);
    ck_assert_msg(strstr(p.err, wanted) == p.err, "%s", p.err);
    ck_assert_ptr_eq(strchr(p.err, '\n'), p.err + strlen(p.err) - 1);
    json_t *s = load_json(out, "summary.json");
    ck_assert_str_eq(json_string_value(json_object_get(s, "status")), "stopped");
    ck_assert_double_eq(number(s, "model_steps"), number(s, "steps"));
    ck_assert_double_ge(number(s, "epochs_done"), 2);
    json_decref(s);
    weights_of(out, sha);
    hash_model(out, hash);
    ck_assert_str_eq(sha, hash);
    check_metrics(out, &n_logs, &n_epochs);
    ck_assert_int_ge(n_epochs, 2);
    snprintf(path, sizeof path, "%s/lock", out);
    ck_assert_int_ne(access(path, F_OK), 0);
    RUN(&p, "eval", "--model", out);
    ck_assert_msg(p.code == 0, "%s", p.err);
}
END_TEST

/* Both wait for the process when it goes on, and the system delivers SIGINT first. */
START_TEST(second_signal) {
    program p;
    int status;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    start_long(&p, "second", "epoch 1: ");
    kill(p.pid, SIGSTOP);
    ck_assert_int_eq(waitpid(p.pid, &status, WUNTRACED), p.pid);
    kill(p.pid, SIGINT);
    kill(p.pid, SIGTERM);
    kill(p.pid, SIGCONT);
    program_wait(&p);
    ck_assert_int_eq(p.code, 256 + SIGTERM);
    ck_assert_int_ne(access("second/summary.json", F_OK), 0);
    ck_assert_int_eq(access("second/lock", F_OK), 0);
}
END_TEST

/* As a shell without job control starts programs in the background. */
START_TEST(ignored_signal) {
    program p;
    signal(SIGINT, SIG_IGN);
    start_long(&p, "ignored", "epoch 1: ");
    signal(SIGINT, SIG_DFL);
    kill(p.pid, SIGINT);
    kill(p.pid, SIGTERM);
    program_wait(&p);
    ck_assert_msg(p.code == 143, "%d: %s", p.code, p.err);
}
END_TEST

/* ---- kill -9 ---- */

/* Look at a file as often as can be: once it is there, it has one size. */
static void watch(const char *path, pid_t pid, double seconds) {
    struct stat info;
    double end = 0;
    off_t size = 0;
    while (end == 0 || tr_now() < end) {
        ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
        if (stat(path, &info)) {
            ck_assert_msg(end == 0, "%s has gone", path);
            continue;
        }
        if (end == 0) {
            end = tr_now() + seconds;
            size = info.st_size;
        }
        ck_assert_msg(info.st_size == size, "%s has %lld bytes and %lld", path, (long long)size,
                      (long long)info.st_size);
    }
}

/* A run that does little but write its model, killed at an odd moment: each file that has its final
 * name is whole. The number of epochs only bounds what a failed test leaves running. */
START_TEST(killed_run) {
    program p;
    char run[32], path[64];
    struct stat info;
    snprintf(run, sizeof run, "k%d", _i);
    snprintf(path, sizeof path, "%s/model.safetensors", run);
    write_config("kill.ini", 14, "wide = linear out_features=3000\nfc = linear out_features=10");
    program_start(&p,
                  (const char *const[]){"--quiet", "--config", "kill.ini", "--epochs", "2000",
                                        "--out", run, NULL},
                  NULL);
    watch(path, p.pid, 0.005 + 0.061 * _i);
    kill(p.pid, SIGKILL);
    program_wait(&p);
    ck_assert_int_eq(p.code, 256 + SIGKILL);
    ck_assert_int_eq(stat(path, &info), 0);
    RUN(&p, "eval", "--model", run); /* reads config.ini and the model */
    ck_assert_msg(p.code == 0, "%s", p.err);
    check_png(run, "samples.png");
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    if (stat(path, &info) == 0) {
        int n_logs, n_epochs;
        check_metrics(run, &n_logs, &n_epochs);
    }
    snprintf(path, sizeof path, "%s/summary.json", run);
    ck_assert_int_ne(stat(path, &info), 0);
    RUN(&p, "--config", "kill.ini", "--out", run); /* and is not written over */
    ck_assert_int_eq(p.code, 2);
}
END_TEST

static Suite *run_suite(void) {
    Suite *suite = suite_create("run");
    TCase *runs = tcase_create("runs");
    tcase_set_timeout(runs, 60);
    tcase_add_test(runs, run_directory);
    tcase_add_test(runs, losses_are_pytorchs);
    tcase_add_test(runs, dry_run);
    tcase_add_test(runs, evaluate);
    tcase_add_test(runs, evaluate_from_elsewhere);
    tcase_add_test(runs, predict);
    tcase_add_test(runs, predict_json);
    tcase_add_test(runs, predict_as_tested);
    tcase_add_test(runs, nonfinite_model);
    tcase_add_test(runs, damaged_model);
    tcase_add_test(runs, names_that_are_there);
    tcase_add_test(runs, places_that_cannot_be);
    tcase_add_test(runs, one_folder_at_once);
    tcase_add_test(runs, names_at_once);
    tcase_add_loop_test(runs, stopped_by_a_signal, 0, 4);
    tcase_add_test(runs, second_signal);
    tcase_add_test(runs, ignored_signal);
    tcase_add_loop_test(runs, killed_run, 0, 4);
    suite_add_tcase(suite, runs);
    return suite;
}

int main(void) {
    return program_main(run_suite());
}
