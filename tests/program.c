/* See program.h. */
#include "program.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_main.h"

extern char **environ;

const char *program_path(void) {
    const char *path = getenv("TR_TRAINER");
    return path ? path : TR_TRAINER;
}

void program_start(program *p, const char *const *args, const char *out) {
    enum { MOST = 4096 };
    static int places;
    char *argv[MOST] = {(char *)"trainer"}, out_name[32], err_name[32];
    int n = 1;
    for (; args[n - 1]; n++) {
        ck_assert_int_lt(n, MOST - 1);
        argv[n] = (char *)args[n - 1];
    }
    p->place = places++;
    snprintf(out_name, sizeof out_name, "%d.out", p->place);
    snprintf(err_name, sizeof err_name, "%d.err", p->place);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (out && !*out)
        posix_spawn_file_actions_addclose(&actions, 1);
    else
        posix_spawn_file_actions_addopen(&actions, 1, out ? out : out_name,
                                         O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&actions, 2, err_name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int failed = posix_spawn(&p->pid, program_path(), &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    ck_assert_msg(!failed, "%s: cannot be started: %s", program_path(), strerror(failed));
}

/* "7.out" into text, and away with the file. */
static void take(int place, const char *what, char text[PROGRAM_TEXT]) {
    char name[32];
    snprintf(name, sizeof name, "%d.%s", place, what);
    text[0] = '\0';
    FILE *file = fopen(name, "r");
    if (!file) return;
    text[fread(text, 1, PROGRAM_TEXT - 1, file)] = '\0';
    fclose(file);
    unlink(name);
}

void program_wait(program *p) {
    int status = 0;
    ck_assert_int_eq(waitpid(p->pid, &status, 0), p->pid);
    p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    take(p->place, "out", p->out);
    take(p->place, "err", p->err);
}

void program_run(program *p, const char *const *args) {
    program_start(p, args, NULL);
    program_wait(p);
}

char *read_whole(const char *path, size_t *bytes) {
    struct stat info;
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s is not there", path);
    ck_assert_int_eq(fstat(fileno(file), &info), 0);
    size_t size = (size_t)info.st_size;
    char *data = calloc(size + 1, 1);
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(fread(data, 1, size, file), size);
    fclose(file);
    if (bytes) *bytes = size;
    return data;
}

void write_whole(const char *path, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s cannot be made", path);
    ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
}

static void cut_file(const char *to, const char *name, int records) {
    enum { RECORD = 3073 };
    char path[64];
    snprintf(path, sizeof path, "mini/%s", name);
    char *data = read_whole(path, NULL);
    snprintf(path, sizeof path, "%s/%s", to, name);
    write_whole(path, data, (size_t)records * RECORD);
    free(data);
}

void cut_mini(const char *to, int train, int test) {
    char name[32];
    mkdir(to, 0777);
    for (int i = 0; i < 5; i++) { /* as even as can be, each file with at least one */
        snprintf(name, sizeof name, "data_batch_%d.bin", i + 1);
        cut_file(to, name, (train + i) / 5);
    }
    cut_file(to, "test_batch.bin", test);
}

json_t *load_json(const char *folder, const char *name) {
    char path[PATH_MAX];
    json_error_t parse_error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, &parse_error);
    ck_assert_msg(object != NULL, "%s:%d: %s", path, parse_error.line, parse_error.text);
    return object;
}

void weights_of(const char *run, char sha[65]) {
    json_t *summary = load_json(run, "summary.json");
    const char *text = json_string_value(json_object_get(summary, "weights_sha256"));
    ck_assert_msg(text && strlen(text) == 64, "%s/summary.json: weights_sha256 is no SHA-256", run);
    snprintf(sha, 65, "%s", text);
    json_decref(summary);
}

bool has_isa(const char *isa) {
    program p;
    RUN(&p, "--config", TR_TEST_ROOT "/../configs/smoke.ini", "--dry-run", "--quiet", "--isa", isa);
    return p.code == 0;
}

/* A configuration without an error. */
static const char *const base[] = {
    "[data]",
    "type = synthetic",
    "train = 24",
    "test = 8",
    "height = 8",
    "width = 8",
    "[loader]",
    "batch_size = 8",
    "shuffle = true",
    "[network]",
    "conv1 = conv2d out_channels=4 kernel_size=3",
    "relu1 = relu",
    "flatten = flatten",
    "fc = linear out_features=10",
    "[loss]",
    "type = cross_entropy",
    "[optimizer]",
    "type = sgd",
    "lr = 0.1",
    "[train]",
    "epochs = 1",
    "log_every = 1",
};
enum { N_LINES = sizeof base / sizeof *base };

void write_config(const char *path, int number, const char *text) {
    char all[4096];
    size_t used = 0;
    for (int i = 0; i < N_LINES; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s\n",
                                 i + 1 == number ? text : base[i]);
    write_whole(path, all, used);
}

void check_failure(const program *p, int code, const char *line) {
    char wanted[1200];
    snprintf(wanted, sizeof wanted, "%s\n", line);
    ck_assert_str_eq(p->err, wanted);
    ck_assert_msg(p->code == code, "exit code %d with: %s", p->code, p->err);
    ck_assert_str_eq(p->out, "");
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

int program_main(Suite *suite) {
    const char *top = getenv("TMPDIR");
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s/trainer-XXXXXX", top && *top ? top : "/tmp");
    /* Short names: a line of a configuration has 197 bytes, and this tree may lie deep. */
    if (!mkdtemp(folder) || chdir(folder) || symlink(TR_TEST_ROOT "/data/cifar10-mini", "mini")) {
        perror(folder);
        return 1;
    }
    int failed = tr_check_run(suite);
    if (chdir("/") == 0) nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return failed;
}
