/* What the program writes, from outside: links, devices and pipes that a command line names, a
 * reader that goes away, the file-size limit, and what a killed run leaves in its folder.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

static bool is_png(const char *path) {
    size_t bytes;
    char *data = read_whole(path, &bytes);
    bool png = bytes > 8 && !memcmp(data, "\x89PNG\r\n\x1a\n", 8);
    free(data);
    return png;
}

/* Hidden files of a folder. */
static int n_hidden(const char *path) {
    int n = 0;
    DIR *folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *e; (e = readdir(folder));)
        n += e->d_name[0] == '.' && strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(folder);
    return n;
}

static void train_once(const char *run) {
    program p;
    if (!access(run, F_OK)) return;
    write_config("good.ini", 0, NULL);
    RUN(&p, "--config", "good.ini", "--quiet", "--out", run);
    ck_assert_msg(p.code == 0, "%s", p.err);
}

START_TEST(pictures_that_are_named) {
    program p;
    train_once("named");
    mkdir("elsewhere", 0777);
    write_whole("elsewhere/target.png", "old", 3);
    ck_assert_int_eq(symlink("elsewhere/target.png", "link.png"), 0);
    ck_assert_int_eq(symlink("elsewhere/new.png", "dangling.png"), 0);
    RUN(&p, "predict", "--model", "named", "--picture", "link.png");
    ck_assert_msg(p.code == 0, "%s", p.err);
    RUN(&p, "predict", "--model", "named", "--picture", "dangling.png");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert(is_png("elsewhere/target.png") && is_png("elsewhere/new.png"));
    struct stat info;
    ck_assert(!lstat("link.png", &info) && S_ISLNK(info.st_mode));
    ck_assert(!lstat("dangling.png", &info) && S_ISLNK(info.st_mode));

    RUN(&p, "predict", "--model", "named", "--picture", "/dev/null");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert(!stat("/dev/null", &info) && S_ISCHR(info.st_mode));
    RUN(&p, "predict", "--model", "named", "--picture", "elsewhere");
    check_failure(&p, 2, "--picture: 'elsewhere' is a folder, not a file");
    RUN(&p, "predict", "--model", "named", "--picture", "none/x.png");
    check_failure(&p, 2, "--picture: there is no folder 'none'");
    RUN(&p, "predict", "--model", "named", "--picture", "good.ini/x.png");
    check_failure(&p, 2, "--picture: there is no folder 'good.ini'");
    ck_assert_int_eq(symlink("round.png", "round.png"), 0);
    RUN(&p, "predict", "--model", "named", "--picture", "round.png");
    check_failure(&p, 2, "--picture: round.png: cannot create: Too many levels of symbolic links");
    RUN(&p, "predict", "--model", "named", "--picture", "/dev/fd/77");
    check_failure(&p, 2, "--picture: /dev/fd/77: cannot open: Bad file descriptor");
    if (access("/dev/full", W_OK)) return;
    RUN(&p, "predict", "--model", "named", "--picture", "/dev/full");
    check_failure(&p, 1, "trainer: /dev/full: cannot write: No space left on device");
}
END_TEST

START_TEST(json_on_standard_output) {
    program p;
    RUN(&p, "bench", "peak", "--threads", "1", "--json", "/dev/stdout");
    ck_assert_msg(p.code == 0, "%s", p.err);
    /* The table, then the JSON, and nothing written over. */
    const char *table = strstr(p.out, "threads "), *json = strstr(p.out, "\"threads\": 1");
    ck_assert_msg(table == p.out && json, "%s", p.out);
}
END_TEST

/* Start the program with a pipe whose reader is gone as its standard output. */
START_TEST(output_that_nobody_reads) {
    const char *const calls[][8] = {{"help"}, {"--config", "good.ini", "--out", "unread"}};
    write_config("good.ini", 0, NULL);
    const char *trainer = getenv("TR_TRAINER");
    for (int i = 0; i < 2; i++) {
        int ends[2], status;
        ck_assert_int_eq(pipe(ends), 0);
        close(ends[0]);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            const char *argv[10] = {"trainer"};
            memcpy(argv + 1, calls[i], sizeof calls[i]);
            signal(SIGPIPE, SIG_DFL);
            dup2(ends[1], 1);
            dup2(open("err", O_WRONLY | O_CREAT | O_TRUNC, 0666), 2);
            execv(trainer ? trainer : TR_TRAINER, (char **)(uintptr_t)argv);
            _exit(127);
        }
        close(ends[1]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        char *err = read_whole("err", NULL);
        ck_assert_str_eq(err, ""); /* as `help | head` should be: without a word */
        free(err);
    }
    char sha[65];
    weights_of("unread", sha); /* the run went on to its end */
}
END_TEST

START_TEST(file_size_limit) {
    program p;
    struct rlimit before, small;
    write_config("wide.ini", 14, "fc1 = linear out_features=100\nfc = linear out_features=10");
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 20000; /* more than config.ini, less than the model */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    program_start(&p, (const char *const[]){"--config", "wide.ini", "--out", "limited", NULL},
                  NULL);
    program_wait(&p);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ck_assert_msg(p.code == 1, "%d: %s", p.code, p.err);
    static const char line[] = "trainer: limited/model.safetensors: cannot write: File too large\n";
    ck_assert_msg(strlen(p.err) >= strlen(line) &&
                      !strcmp(p.err + strlen(p.err) - strlen(line), line),
                  "%s", p.err); /* last; warnings of pictures may stand above it */
    ck_assert_int_eq(n_hidden("limited"), 0);
    ck_assert_int_ne(access("limited/model.safetensors", F_OK), 0);
}
END_TEST

/* A temporary file whose writer is dead goes when the folder is opened next. */
START_TEST(killed_run) {
    program p;
    train_once("killed");
    write_whole("killed/.trainer-tmp-1-1", "half", 4);
    RUN(&p, "eval", "--model", "killed");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_int_eq(n_hidden("killed"), 0);

    mkdir("again", 0777);
    write_whole("again/.trainer-tmp-1-1", "half", 4);
    RUN(&p, "--config", "good.ini", "--quiet", "--out", "again");
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_int_eq(n_hidden("again"), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("outputs");
    TCase *group = tcase_create("outputs");
    tcase_set_timeout(group, 60);
    tcase_add_test(group, pictures_that_are_named);
    tcase_add_test(group, json_on_standard_output);
    tcase_add_test(group, output_that_nobody_reads);
    tcase_add_test(group, file_size_limit);
    tcase_add_test(group, killed_run);
    suite_add_tcase(suite, group);
    return program_main(suite);
}
