/* Data sets and transforms: the small CIFAR-10, every error in its files, synthetic images, and the
 * values that a pipeline decodes to.
 *
 * The environment variable TR_TEST_ROOT, or the macro of that name, says where the folder tests is.
 */
#include "check_main.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/data.h"
#include "data/read.h"
#include "trainer/trainer.h"

#ifndef TR_TEST_ROOT
#define TR_TEST_ROOT "tests"
#endif

enum { RECORD = 3073 };

static const tr_where here = {"test.ini", 7};

static const tr_dataset_class *find_class(const char *name) {
    for (int i = 0; i < tr_dataset_registry.n; i++)
        if (!strcmp(tr_dataset_classes[i]->schema.name, name)) return tr_dataset_classes[i];
    ck_abort_msg("no data set class %s", name);
}

/* Open a data set with arguments written as in a configuration: "train=10 noise=0". */
static tr_notes notes; /* of the sets that were opened */

static int open_set(const char *name, const char *text, tr_split split, uint64_t seed,
                    tr_dataset *out, tr_error *err) {
    const tr_dataset_class *class = find_class(name);
    tr_pair root = {.key = "root", .where = here};
    tr_args_words words = {.pairs = &root, .n = 1};
    tr_arena memory = {0};
    int code = TR_OK;
    if (!strncmp(text, "root=", 5)) /* a path, whatever its bytes */
        root.value = text + 5;
    else
        code = tr_args_split(text, here, "data", &memory, &words, err);
    _Alignas(16) unsigned char args[4096];
    ck_assert_uint_le(class->schema.args_bytes, sizeof args);
    if (code == TR_OK)
        code = tr_args_parse(&class->schema, words.pairs, words.n, here, "data", args, err);
    if (code) {
        ck_assert_int_eq(code, TR_ENOMEM);
        tr_arena_free(&memory);
        return code;
    }
    const tr_dataset_request request = {
        args, {words.pairs, words.n, here, "data"}, split, seed, &notes};
    code = class->open(&request, out, err);
    if (code == TR_OK && (code = tr_dataset_load(out, err))) tr_dataset_close(out);
    tr_args_clear(&class->schema, args);
    tr_arena_free(&memory);
    return code;
}

static void open_ok(const char *name, const char *text, tr_split split, uint64_t seed,
                    tr_dataset *out) {
    tr_error err = {0};
    int code = open_set(name, text, split, seed, out, &err);
    ck_assert_msg(code == TR_OK, "%s", err.text);
}

static const unsigned char *get(const tr_dataset *set, int i, int *label) {
    const unsigned char *pixels = NULL;
    tr_error err = {0};
    ck_assert_int_eq(set->sample(set, i, &pixels, label, &err), TR_OK);
    ck_assert_ptr_nonnull(pixels);
    return pixels;
}

/* ---- cifar10 ---- */

static const char *mini_path(const char *file) {
    static char path[PATH_MAX];
    const char *root = getenv("TR_TEST_ROOT");
    snprintf(path, sizeof path, "%s/data/cifar10-mini%s", root ? root : TR_TEST_ROOT, file);
    return path;
}

static void check_mini(tr_split split, const char *first_file, int n, int a_class) {
    char args[PATH_MAX + 8];
    snprintf(args, sizeof args, "root=%s", mini_path(""));
    tr_dataset set;
    open_ok("cifar10", args, split, 0, &set);
    ck_assert_int_eq(set.n, n);
    ck_assert(set.h == 32 && set.w == 32 && set.c == 3 && set.n_classes == 10);
    ck_assert_str_eq(set.class_names[0], "airplane");
    ck_assert_str_eq(set.class_names[9], "truck");

    int count[10] = {0};
    unsigned sum = 0;
    for (int i = 0; i < n; i++) {
        int label;
        const unsigned char *pixels = get(&set, i, &label);
        ck_assert(label >= 0 && label < 10);
        count[label]++;
        for (int p = 0; p < RECORD - 1; p++) sum += pixels[p];
    }
    for (int k = 0; k < 10; k++) ck_assert_int_eq(count[k], a_class);
    ck_assert_uint_gt(sum, 0);

    unsigned char record[RECORD];
    FILE *file = fopen(mini_path(first_file), "rb");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 3; i++) {
        int label;
        const unsigned char *pixels = get(&set, i, &label);
        ck_assert_uint_eq(fread(record, 1, RECORD, file), RECORD);
        ck_assert_int_eq(label, record[0]);
        ck_assert_mem_eq(pixels, record + 1, RECORD - 1);
    }
    fclose(file);
    tr_dataset_close(&set);
    tr_dataset_close(&set); /* once more is fine */
}

START_TEST(test_mini_set) {
    check_mini(TR_TRAIN, "/data_batch_1.bin", 500, 50);
    check_mini(TR_TEST, "/test_batch.bin", 250, 25);
}
END_TEST

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A file of `bytes` bytes whose records all have `label`, but record `odd` has `odd_label`. */
static void write_file(const char *name, size_t bytes, int label, int odd, int odd_label) {
    FILE *file = fopen(in_folder(name), "wb");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < bytes; i++) {
        int value = i % RECORD ? (int)(i % 251) : (int)(i / RECORD) == odd ? odd_label : label;
        ck_assert_int_ne(fputc(value, file), EOF);
    }
    ck_assert_int_eq(fclose(file), 0);
}

/* A good set: file f has f + 1 records with label f. */
static void make_folder(void) {
    strcpy(folder, "/tmp/tr-dataset-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chmod(folder, 0755), 0);
    for (int f = 0; f < 5; f++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d.bin", f + 1);
        write_file(name, (size_t)(f + 1) * RECORD, f, -1, 0);
    }
    write_file("test_batch.bin", 2 * RECORD, 9, -1, 0);
}

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static int open_folder(tr_split split, tr_dataset *set, tr_error *err) {
    char args[128];
    snprintf(args, sizeof args, "root=%s", folder);
    return open_set("cifar10", args, split, 0, set, err);
}

static void expect_error(tr_split split, int code, const char *after_folder) {
    tr_dataset set;
    tr_error err = {0};
    char expected[1024];
    snprintf(expected, sizeof expected, "%s%s", folder, after_folder);
    int got = open_folder(split, &set, &err);
    ck_assert_str_eq(err.text, expected);
    ck_assert_int_eq(got, code);
    ck_assert_int_eq(err.code, code);
}

START_TEST(test_files_in_order) {
    tr_dataset set;
    tr_error err = {0};
    ck_assert_int_eq(open_folder(TR_TRAIN, &set, &err), TR_OK);
    ck_assert_int_eq(set.n, 1 + 2 + 3 + 4 + 5);
    static const int labels[15] = {0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4};
    for (int i = 0; i < 15; i++) {
        int label;
        get(&set, i, &label);
        ck_assert_int_eq(label, labels[i]);
    }
    tr_dataset_close(&set);
}
END_TEST

/* The message about a root when the files of `split` are needed, without file and line. */
static const char *root_error(const char *root, tr_split split) {
    static tr_error err;
    tr_dataset set;
    char args[PATH_MAX];
    static const char place[] = "test.ini:7: data.root: ";
    snprintf(args, sizeof args, "root=%s", root);
    err = (tr_error){0};
    ck_assert_int_eq(open_set("cifar10", args, split, 0, &set, &err), TR_ECONFIG);
    ck_assert_msg(!strncmp(err.text, place, strlen(place)), "%s", err.text);
    ck_assert_ptr_null(set.state);
    return err.text + strlen(place);
}

/* `format` with `folder` in the place of each @. */
static const char *with_folder(const char *format) {
    static char text[4096];
    size_t n = 0;
    for (; *format; format++) {
        if (*format == '@')
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", folder);
        else
            text[n++] = *format;
        ck_assert_uint_lt(n, sizeof text - 1);
    }
    text[n] = 0;
    return text;
}

START_TEST(test_missing_files) {
    remove(in_folder("data_batch_3.bin"));
    ck_assert_str_eq(root_error(folder, TR_TRAIN),
                     with_folder("'@' holds 4 of the 5 files that are needed, but no "
                                 "data_batch_3.bin; fetch it with tools/fetch-cifar10.sh"));
    remove(in_folder("test_batch.bin"));
    ck_assert_str_eq(root_error(folder, TR_TEST),
                     with_folder("'@' holds no test_batch.bin, it is not CIFAR-10's binary "
                                 "version; fetch it with tools/fetch-cifar10.sh"));
    /* a link to nowhere is no file */
    ck_assert_int_eq(symlink("nowhere", in_folder("data_batch_3.bin")), 0);
    ck_assert_ptr_nonnull(strstr(root_error(folder, TR_TRAIN), "no data_batch_3.bin"));
}
END_TEST

START_TEST(test_missing_folder) {
    char current[PATH_MAX], expected[2 * PATH_MAX];
    ck_assert_ptr_nonnull(getcwd(current, sizeof current));
    snprintf(expected, sizeof expected,
             "no folder 'no/where' in the current folder '%s' with CIFAR-10's files "
             "(data_batch_1.bin ...); fetch it with tools/fetch-cifar10.sh",
             current);
    ck_assert_str_eq(root_error("no/where", TR_TRAIN), expected);
    ck_assert_str_eq(root_error("/no/where", TR_TEST),
                     "no folder '/no/where' with CIFAR-10's files (test_batch.bin ...); fetch it "
                     "with tools/fetch-cifar10.sh");
    ck_assert_str_eq(
        root_error("", TR_TRAIN),
        "is empty, it should name the folder with CIFAR-10's files (data_batch_1.bin ...)");
    ck_assert_str_eq(root_error("/dev/null", TR_TRAIN),
                     "'/dev/null' is a device or pipe, not a folder");
    ck_assert_str_eq(root_error(in_folder("data_batch_2.bin"), TR_TRAIN),
                     with_folder("'@/data_batch_2.bin' is a file: name the folder that it is in, "
                                 "'@'"));
    write_file("notes", 5, 9, -1, 0);
    ck_assert_str_eq(root_error(in_folder("notes"), TR_TRAIN),
                     with_folder("'@/notes' is a file, not a folder with CIFAR-10's files "
                                 "(data_batch_1.bin ...); fetch it with tools/fetch-cifar10.sh"));
    static const char *const archives[] = {"cifar-10-binary.tar.gz", "cifar", NULL};
    for (int i = 0; archives[i]; i++) {
        FILE *file = fopen(in_folder(archives[i]), "wb");
        fputs("\x1f\x8b\x08", file);
        fclose(file);
        ck_assert_ptr_nonnull(strstr(root_error(in_folder(archives[i]), TR_TRAIN),
                                     "' is an archive, not a folder: unpack it and name the "
                                     "folder cifar-10-batches-bin that it holds"));
    }
    write_file("cifar-10-python.tar.gz", 1, 0, -1, 0);
    ck_assert_str_eq(root_error(in_folder("cifar-10-python.tar.gz"), TR_TRAIN),
                     with_folder("'@/cifar-10-python.tar.gz' is a file, of the Python version of "
                                 "CIFAR-10; a folder with the binary version of CIFAR-10 is "
                                 "needed, fetch it with tools/fetch-cifar10.sh"));
    char loop[128];
    snprintf(loop, sizeof loop, "%s", in_folder("loop"));
    ck_assert_int_eq(symlink("loop", loop), 0);
    ck_assert_str_eq(root_error(loop, TR_TRAIN),
                     with_folder("'@/loop' cannot be opened: Too many levels of symbolic links"));
}
END_TEST

/* A folder with one thing in it: what is said about the folder itself and, where the name
 * alone shows it, about a folder beside that thing. */
static const struct {
    const char *name; /* "/" behind: a folder */
    const char *inside, *beside;
} others[] = {
    {"cifar-10-batches-bin/", "'@/cifar-10-batches-bin' is there: name that folder",
     "'@/cifar-10-batches-bin' is there: name that folder"},
    {"cifar-10-binary.tar.gz",
     "'@/cifar-10-binary.tar.gz' is there, not unpacked: tar -xf '@/cifar-10-binary.tar.gz' -C '@' "
     "makes the folder to name, '@/cifar-10-batches-bin'",
     "'@/cifar-10-binary.tar.gz' is there, not unpacked: tar -xf '@/cifar-10-binary.tar.gz' -C '@' "
     "makes the folder to name, '@/cifar-10-batches-bin'"},
    {"data_batch_1", "'@/data_batch_1' is there, the Python version of CIFAR-10", NULL},
    {"batches.meta", "'@/batches.meta' is there, the Python version of CIFAR-10", NULL},
    {"data_batch_1.mat", "'@/data_batch_1.mat' is there, the MATLAB version of CIFAR-10", NULL},
    {"train.bin", "'@/train.bin' is there, the binary version of CIFAR-100", NULL},
    {"cifar-10-batches-py/", "'@/cifar-10-batches-py' is there, the Python version of CIFAR-10",
     "'@/cifar-10-batches-py' is there, the Python version of CIFAR-10"},
    {"cifar-10-python.tar.gz",
     "'@/cifar-10-python.tar.gz' is there, the Python version of CIFAR-10",
     "'@/cifar-10-python.tar.gz' is there, the Python version of CIFAR-10"},
    {"cifar-100-python/", "'@/cifar-100-python' is there, the Python version of CIFAR-100",
     "'@/cifar-100-python' is there, the Python version of CIFAR-100"},
};

START_TEST(test_other_versions) {
    char name[64], beside[128];
    size_t length = strlen(others[_i].name);
    remove_folder();
    ck_assert_int_eq(mkdir(folder, 0755), 0);
    snprintf(name, sizeof name, "%s", others[_i].name);
    if (name[length - 1] == '/') {
        name[length - 1] = 0;
        ck_assert_int_eq(mkdir(in_folder(name), 0755), 0);
    } else {
        write_file(name, 1, 0, -1, 0);
    }
    const char *text = root_error(folder, TR_TRAIN);
    ck_assert_msg(strstr(text, with_folder("'@' holds no data_batch_1.bin, but ")) == text, "%s",
                  text);
    ck_assert_msg(strstr(text, with_folder(others[_i].inside)) != NULL, "%s", text);
    bool binary = strstr(name, "bin") && !strstr(name, "train");
    ck_assert(binary == !strstr(text, "; the binary version of CIFAR-10 is needed, fetch it with "
                                      "tools/fetch-cifar10.sh"));

    snprintf(beside, sizeof beside, "%s", in_folder("data"));
    text = root_error(beside, TR_TRAIN);
    const char *start =
        with_folder(others[_i].beside ? "no folder '@/data', but " : "no folder '@/data' with");
    ck_assert_msg(strstr(text, start) == text, "%s", text);
    if (others[_i].beside)
        ck_assert_msg(strstr(text, with_folder(others[_i].beside)) != NULL, "%s", text);
}
END_TEST

START_TEST(test_wrong_size) {
    write_file("data_batch_2.bin", 2 * RECORD + 27, 1, -1, 0);
    expect_error(TR_TRAIN, TR_EDATA,
                 "/data_batch_2.bin: offset 6146: 27 stray bytes at the end: the size, 6173 bytes, "
                 "is not a multiple of 3073");
    write_file("data_batch_2.bin", RECORD + 1, 1, -1, 0);
    expect_error(TR_TRAIN, TR_EDATA,
                 "/data_batch_2.bin: offset 3073: 1 stray byte at the end: the size, 3074 bytes, "
                 "is not a multiple of 3073");
    write_file("data_batch_2.bin", RECORD - 1, 1, -1, 0);
    expect_error(TR_TRAIN, TR_EDATA,
                 "/data_batch_2.bin: offset 0: 3072 stray bytes at the end: the size, 3072 bytes, "
                 "is not a multiple of 3073");
    write_file("test_batch.bin", 0, 0, -1, 0);
    expect_error(TR_TEST, TR_EDATA,
                 "/test_batch.bin: offset 0: the file is empty, it should hold records of 3073 "
                 "bytes");
}
END_TEST

START_TEST(test_wrong_label) {
    write_file("data_batch_5.bin", 9 * RECORD, 9, 8, 10);
    expect_error(TR_TRAIN, TR_EDATA,
                 "/data_batch_5.bin: offset 24584: label 10 of record 8 is not in the range 0 to "
                 "9");
    write_file("test_batch.bin", 2 * RECORD, 0, 0, 255);
    expect_error(TR_TEST, TR_EDATA,
                 "/test_batch.bin: offset 0: label 255 of record 0 is not in the range 0 to 9");
}
END_TEST

/* The message about a wrong file by its first bytes or its size. */
START_TEST(test_wrong_content) {
    static const struct {
        const char *head, *end;
        size_t bytes;
    } cases[] = {
        {"\x1f\x8b", "; it is compressed (gzip)", 5000},
        {"PK", "; it is a zip archive", 5000},
        {"\x80\x03", "; it is a Python pickle", 5000},
        {"MATLAB 5.0", "; it is a MATLAB file", 5000},
        {"<!DOCTYPE html>", "; it is a web page", 5000},
        {"\x05", "; records of 3074 bytes are CIFAR-100's", 2 * (RECORD + 1)},
        {"\x05", "is not a multiple of 3073", 5000},
        {"<", "; it is a web page", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tr_dataset set;
        tr_error err = {0};
        write_file("data_batch_2.bin", cases[i].bytes, 1, -1, 0);
        FILE *file = fopen(in_folder("data_batch_2.bin"), "r+b");
        fputs(cases[i].head, file);
        fclose(file);
        ck_assert_int_eq(truncate(in_folder("data_batch_2.bin"), (off_t)cases[i].bytes), 0);
        ck_assert_int_eq(open_folder(TR_TRAIN, &set, &err), TR_EDATA);
        size_t length = strlen(err.text), end = strlen(cases[i].end);
        ck_assert_msg(length > end && !strcmp(err.text + length - end, cases[i].end), "%s",
                      err.text);
    }
}
END_TEST

/* Nothing that happens to the files of an open set changes it. */
START_TEST(test_files_that_change_later) {
    tr_dataset set, again;
    tr_error err = {0};
    char before[65], after[65];
    ck_assert_int_eq(open_folder(TR_TRAIN, &set, &err), TR_OK);
    ck_assert_int_eq(tr_dataset_digest(&set, before, &err), TR_OK);
    ck_assert_int_ge(set.bytes, 15 * RECORD);
    ck_assert_int_eq(truncate(in_folder("data_batch_1.bin"), 0), 0);
    write_file("data_batch_2.bin", 2 * RECORD, 255, -1, 0);
    remove(in_folder("data_batch_3.bin"));
    write_file("data_batch_5.bin", 5 * RECORD, 3, -1, 0);
    ck_assert_int_eq(tr_dataset_digest(&set, after, &err), TR_OK);
    ck_assert_str_eq(before, after);
    tr_dataset_close(&set);

    write_file("data_batch_1.bin", 1 * RECORD, 0, -1, 0);
    write_file("data_batch_2.bin", 2 * RECORD, 1, -1, 0);
    write_file("data_batch_3.bin", 3 * RECORD, 2, -1, 0);
    ck_assert_int_eq(open_folder(TR_TRAIN, &again, &err), TR_OK);
    ck_assert_int_eq(tr_dataset_digest(&again, after, &err), TR_OK);
    ck_assert_str_ne(before, after); /* labels of batch 5 */
    tr_dataset_close(&again);
}
END_TEST

/* ---- files that change under a run ---- */

static int damage(const tr_event *event, void *arg) {
    (void)arg;
    if (event->kind != TR_EVENT_PLAN) return 0;
    ck_assert_int_eq(truncate(in_folder("data_batch_1.bin"), 0), 0);
    write_file("data_batch_2.bin", 2 * RECORD, 255, -1, 0);
    write_file("data_batch_3.bin", 3 * RECORD, 7, -1, 0);
    remove(in_folder("data_batch_4.bin"));
    ck_assert_int_eq(truncate(in_folder("test_batch.bin"), 100), 0);
    return 0;
}

static void train(const char *out, tr_listener listener, tr_summary *summary) {
    tr_config *config;
    tr_error err = {0};
    char path[128], line[256];
    snprintf(path, sizeof path, "%s", in_folder("net.ini"));
    FILE *file = fopen(path, "w");
    fprintf(file,
            "[data]\ntype = cifar10\nroot = %s\n[loader]\nbatch_size = 4\nshuffle = true\n"
            "[network]\nflatten = flatten\nfc = linear out_features=10\n"
            "[loss]\ntype = cross_entropy\n[optimizer]\ntype = sgd\nlr = 0.01\n"
            "[train]\nepochs = 3\n",
            folder);
    ck_assert_int_eq(fclose(file), 0);
    snprintf(line, sizeof line, "run.out=%s", in_folder(out));
    ck_assert_int_eq(tr_config_read(path, &config, &err), TR_OK);
    ck_assert_int_eq(tr_config_set(config, line, &err), TR_OK);
    int code = tr_train(config, listener, NULL, summary, &err);
    ck_assert_msg(code == TR_OK, "%s", err.text);
    tr_config_free(config);
}

START_TEST(test_run_goes_on) {
    tr_summary quiet, damaged;
    train("quiet", NULL, &quiet);
    train("damaged", damage, &damaged);
    ck_assert_str_eq(quiet.weights_sha256, damaged.weights_sha256);
    ck_assert(quiet.test_loss == damaged.test_loss);
}
END_TEST

/* The notes about a set with these many images in the five training files, or in the test file. */
static void check_notes(const int *images, tr_split split, const char *first, const char *second) {
    tr_dataset set;
    tr_error err = {0};
    for (int i = 0; i < (split == TR_TRAIN ? 5 : 1); i++) {
        char name[32] = "test_batch.bin";
        if (split == TR_TRAIN) snprintf(name, sizeof name, "data_batch_%d.bin", i + 1);
        ck_assert_int_eq(truncate(in_folder(name), (off_t)images[i] * RECORD), 0);
    }
    tr_notes_free(&notes);
    ck_assert_int_eq(open_folder(split, &set, &err), TR_OK);
    tr_dataset_close(&set);
    ck_assert_int_eq(notes.n, first ? second ? 2 : 1 : 0);
    if (first) ck_assert_str_eq(notes.text[0], with_folder(first));
    if (second) ck_assert_str_eq(notes.text[1], with_folder(second));
}

START_TEST(test_size_notes) {
    enum { ALL = 10000 };
    check_notes((int[]){ALL, ALL, ALL, ALL, ALL}, TR_TRAIN, NULL, NULL);
    check_notes((int[]){ALL, ALL, ALL - 1, ALL, ALL}, TR_TRAIN,
                "@/data_batch_3.bin: 9999 images, the file of CIFAR-10 has 10000", NULL);
    check_notes((int[]){1, ALL, ALL, ALL, ALL + 1}, TR_TRAIN,
                "@/data_batch_1.bin: 1 images, the file of CIFAR-10 has 10000",
                "@/data_batch_5.bin: 10001 images, the file of CIFAR-10 has 10000");
    check_notes((int[]){1, 2, 3, 4, 5}, TR_TRAIN,
                "@: 15 training images, a subset: all of CIFAR-10 has 50000", NULL);
    check_notes((int[]){ALL}, TR_TEST, NULL, NULL);
    check_notes((int[]){7}, TR_TEST, "@: 7 test images, a subset: all of CIFAR-10 has 10000", NULL);
    check_notes((int[]){ALL + 7}, TR_TEST,
                "@/test_batch.bin: 10007 images, the file of CIFAR-10 has 10000", NULL);
    tr_notes_free(&notes);
}
END_TEST

/* ---- reading files ---- */

enum { UNIT = 1000, N_UNITS = 5000 }; /* 5 MB a file: several pieces */

static struct {
    const char *cut, *write; /* what happens to which file at its first piece */
    int64_t fail_from;       /* pieces from this byte of the second file on fail */
    atomic_int pieces;
} reading;

static int look(const tr_file *file, int64_t offset, const unsigned char *bytes, int64_t n,
                tr_error *err) {
    (void)n;
    atomic_fetch_add(&reading.pieces, 1);
    ck_assert_int_eq(offset % UNIT, 0);
    ck_assert_int_eq(bytes[0], offset / UNIT % 251);
    if (reading.cut && offset == 0) ck_assert_int_eq(truncate(reading.cut, 4000 * UNIT), 0);
    if (reading.write && offset == 0) {
        const struct timespec times[2] = {{0, UTIME_NOW}, {5, 0}}; /* the clock may be coarse */
        ck_assert_int_eq(utimensat(AT_FDCWD, reading.write, times, 0), 0);
    }
    if (reading.fail_from >= 0 && strstr(file->path, "two") && offset >= reading.fail_from)
        return tr_fail(err, TR_EDATA, "byte %lld", (long long)offset);
    return TR_OK;
}

static int read_two(unsigned char *out, tr_error *err) {
    tr_file files[2];
    static const char *const names[2] = {"one", "two"};
    for (int f = 0; f < 2; f++) {
        FILE *file = fopen(in_folder(names[f]), "wb");
        for (int i = 0; i < N_UNITS; i++)
            for (int k = 0; k < UNIT; k++) putc(k ? f : i % 251, file);
        ck_assert_int_eq(fclose(file), 0);
    }
    for (int f = 0; f < 2; f++)
        ck_assert_int_eq(tr_open_file(in_folder(names[f]), &files[f], err), TR_OK);
    atomic_store(&reading.pieces, 0);
    int code = tr_read_files(files, 2, UNIT, look, out, err);
    for (int f = 0; f < 2; f++) tr_close_file(&files[f]);
    return code;
}

START_TEST(test_read_files) {
    unsigned char *out = malloc(2 * UNIT * N_UNITS);
    tr_error err = {0};
    reading.cut = reading.write = NULL;
    reading.fail_from = -1;
    ck_assert_int_eq(read_two(out, &err), TR_OK);
    ck_assert_int_ge(atomic_load(&reading.pieces), 4);
    for (int f = 0; f < 2; f++)
        for (int i = 0; i < N_UNITS; i++)
            for (int k = 0; k < UNIT; k++)
                if (out[(f * N_UNITS + i) * UNIT + k] != (k ? f : i % 251)) ck_abort_msg("bytes");

    /* The first failure in file order, whichever thread fails first. */
    reading.fail_from = 1;
    ck_assert_int_eq(read_two(out, &err), TR_EDATA);
    ck_assert_str_eq(err.text, "byte 2097000");

    static char path[128];
    snprintf(path, sizeof path, "%s", in_folder("two"));
    err = (tr_error){0};
    reading.cut = path;
    ck_assert_int_eq(read_two(out, &err), TR_EIO);
    ck_assert_str_eq(err.text,
                     with_folder("@/two: changed from 5000000 to 4000000 bytes while it was read"));
    err = (tr_error){0};
    reading.cut = NULL;
    reading.write = path;
    reading.fail_from = -1;
    ck_assert_int_eq(read_two(out, &err), TR_EIO);
    ck_assert_str_eq(err.text, with_folder("@/two: was written to while it was read"));
    free(out);
}
END_TEST

/* ---- what all sets have in common ---- */

/* Images of one byte a pixel whose bytes are all `values[i]`. */
static int flat_sample(const tr_dataset *set, int i, const unsigned char **pixels, int *label,
                       tr_error *err) {
    static unsigned char images[256][64];
    unsigned char value = ((const unsigned char *)set->state)[i];
    (void)err;
    memset(images[value], value, sizeof images[value]);
    *pixels = images[value];
    *label = value % 10;
    return TR_OK;
}

static tr_dataset flat_set(const char *values) {
    return (tr_dataset){.n = (int)strlen(values),
                        .h = 8,
                        .w = 8,
                        .c = 1,
                        .n_classes = 10,
                        .sample = flat_sample,
                        .state = (void *)(uintptr_t)values};
}

START_TEST(test_repeats) {
    static const struct {
        const char *train, *test;
        int n_train, n_test;
    } cases[] = {
        {"abcdef", "ghi", 0, 0}, {"abcabc", "ghi", 3, 0}, {"abc", "cba", 0, 3},
        {"aaaaaa", "ab", 5, 1},  {"", "abc", 0, 0},       {"abc", "", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tr_dataset train = flat_set(cases[i].train), test = flat_set(cases[i].test);
        tr_repeats repeats;
        tr_error err = {0};
        ck_assert_int_eq(tr_dataset_repeats(&train, &test, &repeats, &err), TR_OK);
        ck_assert_int_eq(repeats.train, cases[i].n_train);
        ck_assert_int_eq(repeats.test, cases[i].n_test);
    }
    for (int twice = 0; twice < 2; twice++) {
        tr_dataset train = flat_set(twice ? "aab" : "abc"), test = flat_set(twice ? "bc" : "d");
        tr_error err = {0};
        tr_notes_free(&notes);
        ck_assert_int_eq(tr_dataset_note_repeats(&train, &test, &notes, &err), TR_OK);
        ck_assert_int_eq(notes.n, 2 * twice);
        if (!twice) continue;
        ck_assert_str_eq(notes.text[0], "1 of the 3 training images are there more than once");
        ck_assert_str_eq(notes.text[1], "1 of the 2 test images are in the training set, too: the "
                                        "test says little about new images");
        tr_notes_free(&notes);
    }
    /* All of it counts, not only what the hash looks at. */
    tr_dataset one, other;
    open_ok("synthetic", "train=9 test=9 classes=9 noise=0.01", TR_TRAIN, 1, &one);
    open_ok("synthetic", "train=9 test=9 classes=9 noise=0.01", TR_TRAIN, 1, &other);
    tr_repeats repeats;
    tr_error err = {0};
    ck_assert_int_eq(tr_dataset_repeats(&one, &other, &repeats, &err), TR_OK);
    ck_assert(repeats.train == 0 && repeats.test == 9);
    for (int i = 0; i < 9; i++) {
        int label;
        unsigned char *pixels = (unsigned char *)(uintptr_t)get(&other, i, &label);
        pixels[100 + i]++;
    }
    ck_assert_int_eq(tr_dataset_repeats(&one, &other, &repeats, &err), TR_OK);
    ck_assert(repeats.train == 0 && repeats.test == 0);
    tr_dataset_close(&one);
    tr_dataset_close(&other);
    tr_alloc_fail_after(0);
    tr_dataset train = flat_set("abc");
    ck_assert_int_eq(tr_dataset_repeats(&train, &train, &repeats, &err), TR_ENOMEM);
    tr_alloc_fail_after(-1);
}
END_TEST

/* printf 'ab' as two images of 8 x 8, by sha256sum: see the comment at tr_dataset_digest. */
START_TEST(test_digest) {
    tr_dataset set = flat_set("ab");
    char hex[65];
    tr_error err = {0};
    ck_assert_int_eq(tr_dataset_digest(&set, hex, &err), TR_OK);
    ck_assert_str_eq(hex, "c6afb841020273f906c8f3e03d50a2a97e0c00ff66cc82d7db006518d8c0c4a4");
    set.n_classes = 11;
    char other[65];
    ck_assert_int_eq(tr_dataset_digest(&set, other, &err), TR_OK);
    ck_assert_str_ne(hex, other);
}
END_TEST

START_TEST(test_not_a_file) {
    remove(in_folder("data_batch_4.bin"));
    ck_assert_int_eq(mkdir(in_folder("data_batch_4.bin"), 0755), 0);
    expect_error(TR_TRAIN, TR_EIO, "/data_batch_4.bin: is a folder, not a file");
    ck_assert_int_eq(rmdir(in_folder("data_batch_4.bin")), 0);
    ck_assert_int_eq(mkfifo(in_folder("data_batch_4.bin"), 0666), 0); /* without a writer */
    expect_error(TR_TRAIN, TR_EIO, "/data_batch_4.bin: is a device or pipe, not a file");
    remove(in_folder("data_batch_4.bin"));
    ck_assert_int_eq(symlink("/dev/zero", in_folder("data_batch_4.bin")), 0);
    expect_error(TR_TRAIN, TR_EIO, "/data_batch_4.bin: is a device or pipe, not a file");
}
END_TEST

START_TEST(test_no_permission) {
    ck_assert_int_eq(chmod(in_folder("data_batch_1.bin"), 0), 0);
    bool root = geteuid() == 0;
    if (root) ck_assert_int_eq(seteuid(65534), 0); /* to root nothing is forbidden */
    expect_error(TR_TRAIN, TR_EIO, "/data_batch_1.bin: cannot open: Permission denied");
    if (root) ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(test_cifar10_out_of_memory) {
    tr_dataset set;
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 100);
        tr_error err = {0};
        tr_alloc_fail_after(n);
        int code = open_folder(TR_TRAIN, &set, &err);
        tr_alloc_fail_after(-1);
        if (code == TR_OK) break;
        ck_assert_int_eq(code, TR_ENOMEM);
    }
    tr_dataset_close(&set);
}
END_TEST

/* A file without content, as large as a set that no machine's memory holds. */
START_TEST(test_no_memory) {
    ck_assert_int_eq(truncate(in_folder("data_batch_5.bin"), (off_t)RECORD << 30), 0);
    const char *text = root_error(folder, TR_TRAIN);
    ck_assert_msg(strstr(text, "1073741834 images need 3.0 TiB of memory; ") == text, "%s", text);
}
END_TEST

/* ---- synthetic ---- */

START_TEST(test_synthetic_is_a_function_of_the_seed) {
    const char *args = "train=40 test=30 classes=7 height=9 width=11 channels=2 noise=0.2";
    const size_t bytes = 9 * 11 * 2;
    tr_dataset a, b, other, test;
    open_ok("synthetic", args, TR_TRAIN, 5, &a);
    open_ok("synthetic", args, TR_TRAIN, 5, &b);
    open_ok("synthetic", args, TR_TRAIN, 6, &other);
    open_ok("synthetic", args, TR_TEST, 5, &test);
    ck_assert(a.n == 40 && test.n == 30 && a.h == 9 && a.w == 11 && a.c == 2 && a.n_classes == 7);
    ck_assert_str_eq(a.class_names[6], "class 6");
    for (int i = 0; i < 30; i++) {
        int label[4];
        const unsigned char *pa = get(&a, i, &label[0]), *pb = get(&b, i, &label[1]);
        const unsigned char *po = get(&other, i, &label[2]), *pt = get(&test, i, &label[3]);
        ck_assert_int_eq(label[0], label[1]);
        ck_assert_int_eq(label[0], i % 7);
        ck_assert_mem_eq(pa, pb, bytes);
        ck_assert_mem_ne(pa, po, bytes);
        ck_assert_mem_ne(pa, pt, bytes);
    }
    tr_dataset_close(&a);
    tr_dataset_close(&b);
    tr_dataset_close(&other);
    tr_dataset_close(&test);
}
END_TEST

START_TEST(test_synthetic_shares_prototypes) {
    tr_dataset train, test;
    open_ok("synthetic", "train=20 test=20 noise=0", TR_TRAIN, 3, &train);
    open_ok("synthetic", "train=20 test=20 noise=0", TR_TEST, 3, &test);
    int label;
    for (int i = 0; i < 20; i++) {
        const unsigned char *pixels = get(&train, i, &label);
        ck_assert_mem_eq(pixels, get(&test, i, &label), RECORD - 1);
        if (i > 0) ck_assert_mem_ne(pixels, get(&train, i % 10 ? 0 : 1, &label), RECORD - 1);
    }
    tr_dataset_close(&train);
    tr_dataset_close(&test);
}
END_TEST

/* The noise has the standard deviation that was requested, and the nearest prototype is nearly
 * always the right one: the set can be learned. */
START_TEST(test_synthetic_noise) {
    tr_dataset clean, noisy;
    open_ok("synthetic", "test=10 noise=0", TR_TEST, 1, &clean);
    open_ok("synthetic", "test=100 noise=0.1", TR_TEST, 1, &noisy);
    double sum = 0, squares = 0;
    for (int i = 0; i < 100; i++) {
        int label, other, nearest = -1;
        const unsigned char *pixels = get(&noisy, i, &label);
        double best = INFINITY;
        for (int k = 0; k < 10; k++) {
            const unsigned char *prototype = get(&clean, k, &other);
            double distance = 0;
            for (int p = 0; p < RECORD - 1; p++) {
                double d = pixels[p] - prototype[p];
                distance += d * d;
                if (other == label) sum += d;
            }
            if (other == label) squares += distance;
            if (distance < best) {
                best = distance;
                nearest = other;
            }
        }
        ck_assert_int_eq(nearest, label);
    }
    double n = 100.0 * (RECORD - 1);
    /* 307,200 draws: the mean is known to 25.5 / 554 = 0.05, and five times that is chance. The
     * deviation loses a little where 64 + noise is cut off at 0; 2 % allows for it. */
    ck_assert_double_le(fabs(sum / n), 0.25);
    ck_assert_double_eq_tol(sqrt(squares / n), 0.1 * 255, 0.02 * 0.1 * 255);
    tr_dataset_close(&clean);
    tr_dataset_close(&noisy);
}
END_TEST

/* The key that has grown most is named, before anything is allocated. */
START_TEST(test_synthetic_no_memory) {
    static const struct {
        const char *args, *start;
        tr_split split;
    } cases[] = {
        {"train=16777216 height=1024 width=512",
         "train: 16777216 training and 256 test images of "
         "3 x 1024 x 512 bytes in 10 classes need 24.0 TiB of memory; ",
         TR_TRAIN},
        {"test=16777216 height=1024 width=512",
         "test: 1024 training and 16777216 test images of "
         "3 x 1024 x 512 bytes in 10 classes need 24.0 TiB of memory; ",
         TR_TRAIN},
        {"train=1 test=16777216 height=1024 width=512",
         "test: 16777216 test images of "
         "3 x 1024 x 512 bytes in 10 classes need 24.0 TiB of memory; ",
         TR_TEST},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tr_dataset set;
        tr_error err = {0};
        char start[256];
        snprintf(start, sizeof start, "test.ini:7: data.%s", cases[i].start);
        ck_assert_int_eq(open_set("synthetic", cases[i].args, cases[i].split, 1, &set, &err),
                         TR_ECONFIG);
        ck_assert_msg(strstr(err.text, start) == err.text, "%s", err.text);
    }
}
END_TEST

START_TEST(test_synthetic_out_of_memory) {
    tr_dataset set;
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 100);
        tr_error err = {0};
        tr_alloc_fail_after(n);
        int code = open_set("synthetic", "train=4 test=4", TR_TRAIN, 1, &set, &err);
        tr_alloc_fail_after(-1);
        if (code == TR_OK) break;
        ck_assert_int_eq(code, TR_ENOMEM);
    }
    tr_dataset_close(&set);
}
END_TEST

/* ---- pipeline ---- */

static int make_pipeline(const char *const *lines, int n, int channels, tr_pipeline *out,
                         tr_error *err) {
    tr_pair pairs[2 * TR_MAX_TRANSFORMS] = {0};
    for (int i = 0; i < n; i++)
        pairs[i] = (tr_pair){lines[2 * i], lines[2 * i + 1], {"test.ini", i + 1}, NULL};
    return tr_pipeline_create(pairs, n, channels, out, err);
}

START_TEST(test_pipeline_values) {
    tr_pipeline p;
    tr_error err = {0};
    ck_assert_int_eq(make_pipeline(NULL, 0, 3, &p, &err), TR_OK);
    for (int b = 0; b < 256; b++) ck_assert(p.table[2][b] == (float)b / 255.0f);

    /* transforms.Compose([ToTensor(), Normalize(0.5, 0.5)]) on single bytes; equality of bits is
     * what is promised, nine digits name a float. */
    const char *half[] = {"normalize", "mean=0.5 std=0.5"};
    ck_assert_int_eq(make_pipeline(half, 1, 3, &p, &err), TR_OK);
    for (int c = 0; c < 3; c++) {
        ck_assert(p.table[c][0] == -1.0f);
        ck_assert(p.table[c][1] == -0.992156863f);
        ck_assert(p.table[c][127] == -0.00392156839f);
        ck_assert(p.table[c][128] == 0.003921628f);
        ck_assert(p.table[c][254] == 0.992156863f);
        ck_assert(p.table[c][255] == 1.0f);
    }

    const char *cifar[] = {"normalize", "mean=0.49139968,0.48215841,0.44653091 "
                                        "std=0.24703223,0.24348513,0.26158784"};
    ck_assert_int_eq(make_pipeline(cifar, 1, 3, &p, &err), TR_OK);
    static const float expected[3][3] = {
        {-1.98921287f, -1.98023772f, -1.70700181f},
        {-0.766858995f, -0.740076542f, -0.552663743f},
        {2.05884218f, 2.12678933f, 2.11580586f},
    };
    static const int bytes[3] = {0, 77, 255};
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 3; c++) ck_assert(p.table[c][bytes[i]] == expected[i][c]);

    /* In the order written: (1 - 0.5) / 0.5 = 1, then (1 - 2) / 4. */
    const char *two[] = {"normalize", "mean=0.5 std=0.5", "normalize", "mean=2 std=4"};
    ck_assert_int_eq(make_pipeline(two, 2, 1, &p, &err), TR_OK);
    ck_assert(p.table[0][255] == -0.25f);
}
END_TEST

START_TEST(test_decode) {
    enum { MOST = 1024, GUARD = 32 };
    static const int sizes[] = {0, 1, 7, 8, 9, 35, MOST};
    static unsigned char planes[TR_MAX_CHANNELS * MOST];
    static float out[TR_MAX_CHANNELS * MOST + GUARD];
    for (size_t i = 0; i < sizeof planes; i++) planes[i] = (unsigned char)(i * 37 + i / 256);
    for (int channels = 1; channels <= TR_MAX_CHANNELS; channels++) {
        tr_pipeline p = {.channels = channels};
        for (int c = 0; c < channels; c++)
            for (int b = 0; b < 256; b++) p.table[c][b] = (float)(1000 * c + b);
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            int n = sizes[s];
            for (int i = 0; i < channels * n + GUARD; i++) out[i] = -1;
            tr_pipeline_decode(&p, planes, n, out);
            for (int i = 0; i < n; i++)
                for (int c = 0; c < channels; c++)
                    ck_assert(out[i * channels + c] == (float)(1000 * c + planes[c * n + i]));
            for (int i = 0; i < GUARD; i++) ck_assert(out[channels * n + i] == -1);
        }
    }
}
END_TEST

static void expect_pipeline_error(const char *key, const char *value, int channels,
                                  const char *text) {
    tr_pipeline p;
    tr_error err = {0};
    const char *line[] = {key, value};
    ck_assert_int_eq(make_pipeline(line, 1, channels, &p, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, text);
}

START_TEST(test_pipeline_errors) {
    expect_pipeline_error("normalise", "mean=0.5 std=0.5", 3,
                          "test.ini:1: unknown transform 'normalise' (did you mean 'normalize'?)");
    expect_pipeline_error("normalize", "mean=0.5,0.5 std=0.5", 3,
                          "test.ini:1: normalize.mean: 2 values for images of 3 channels, give "
                          "one or 3");
    expect_pipeline_error("normalize", "mean=0.5 std=0.5,1,1", 1,
                          "test.ini:1: normalize.std: 3 values for images of 1 channel, one is "
                          "needed");
    expect_pipeline_error("normalize", "half mean=0.5", 3,
                          "test.ini:1: normalize: 'half' is not of the form key=value");

    /* The schema's own words are tested with the schema; here: that its rules are in force. */
    tr_pipeline p;
    static const char *const bad[] = {"mean=0.5", "mean=0.5 std=0", "mean=0.5 std=-1",
                                      "mean=x std=1", "mean=0.5 std=1 sdt=2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tr_error err = {0};
        const char *line[] = {"normalize", bad[i]};
        ck_assert_int_eq(make_pipeline(line, 1, 3, &p, &err), TR_ECONFIG);
        ck_assert_ptr_nonnull(strstr(err.text, "test.ini:1: normalize"));
    }

    tr_error err = {0};
    const char *many[2 * (TR_MAX_TRANSFORMS + 1)];
    for (int i = 0; i <= TR_MAX_TRANSFORMS; i++) {
        many[2 * i] = "normalize";
        many[2 * i + 1] = "mean=0 std=1";
    }
    ck_assert_int_eq(make_pipeline(many, TR_MAX_TRANSFORMS, 3, &p, &err), TR_OK);
    ck_assert_int_eq(make_pipeline(many, TR_MAX_TRANSFORMS + 1, 3, &p, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text,
                     "test.ini:17: normalize: one transform too many: at most 16 are allowed");
    err = (tr_error){0};
    ck_assert_int_eq(make_pipeline(NULL, 0, 9, &p, &err), TR_EDATA);
    ck_assert_str_eq(err.text, "images of 9 channels: 1 to 8 are allowed");
}
END_TEST

START_TEST(test_pipeline_out_of_memory) {
    const char *half[] = {"normalize", "mean=0.5 std=0.5"};
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 100);
        tr_pipeline p;
        tr_error err = {0};
        tr_alloc_fail_after(n);
        int code = make_pipeline(half, 1, 3, &p, &err);
        tr_alloc_fail_after(-1);
        if (code == TR_OK) break;
        ck_assert_int_eq(code, TR_ENOMEM);
    }
}
END_TEST

static Suite *dataset_suite(void) {
    Suite *suite = suite_create("dataset");
    TCase *cifar10 = tcase_create("cifar10");
    tcase_add_checked_fixture(cifar10, make_folder, remove_folder);
    tcase_add_test(cifar10, test_mini_set);
    tcase_add_test(cifar10, test_files_in_order);
    tcase_add_test(cifar10, test_missing_files);
    tcase_add_test(cifar10, test_missing_folder);
    tcase_add_loop_test(cifar10, test_other_versions, 0, sizeof others / sizeof others[0]);
    tcase_add_test(cifar10, test_wrong_content);
    tcase_add_test(cifar10, test_files_that_change_later);
    tcase_add_test(cifar10, test_read_files);
    tcase_add_test(cifar10, test_run_goes_on);
    tcase_add_test(cifar10, test_no_memory);
    tcase_add_test(cifar10, test_size_notes);
    tcase_add_test(cifar10, test_wrong_size);
    tcase_add_test(cifar10, test_wrong_label);
    tcase_add_test(cifar10, test_not_a_file);
    tcase_add_test(cifar10, test_no_permission);
    tcase_add_test(cifar10, test_cifar10_out_of_memory);
    suite_add_tcase(suite, cifar10);

    TCase *all = tcase_create("all sets");
    tcase_add_test(all, test_repeats);
    tcase_add_test(all, test_digest);
    suite_add_tcase(suite, all);

    TCase *synthetic = tcase_create("synthetic");
    tcase_add_test(synthetic, test_synthetic_is_a_function_of_the_seed);
    tcase_add_test(synthetic, test_synthetic_shares_prototypes);
    tcase_add_test(synthetic, test_synthetic_noise);
    tcase_add_test(synthetic, test_synthetic_no_memory);
    tcase_add_test(synthetic, test_synthetic_out_of_memory);
    suite_add_tcase(suite, synthetic);

    TCase *pipeline = tcase_create("pipeline");
    tcase_add_test(pipeline, test_pipeline_values);
    tcase_add_test(pipeline, test_decode);
    tcase_add_test(pipeline, test_pipeline_errors);
    tcase_add_test(pipeline, test_pipeline_out_of_memory);
    suite_add_tcase(suite, pipeline);
    return suite;
}

int main(void) {
    return tr_check_run(dataset_suite());
}
