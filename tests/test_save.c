/* The operating system: writing files that are whole or absent, and into what is no file.
 *
 * Every test has a fresh folder. Faults are made, not simulated: a limit on file sizes, a small
 * disk, a folder that is removed, a writer that is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "check_main.h"
#include "scratch.h"

static void expect_failure(const char *path, const char *reason) {
    char expected[TR_ERROR_TEXT + 200];
    tr_error err = {0};
    ck_assert_int_eq(tr_save(path, "new", 3, &err), TR_EIO);
    snprintf(expected, sizeof expected, "%s: %s", path, reason);
    ck_assert_str_eq(err.text, expected);
    err = (tr_error){0};
    if (tr_check_output(path, &err)) { /* what can be known before is known */
        ck_assert(strncmp(reason, "cannot write", 12) || strstr(path, "/fd/"));
        ck_assert_str_eq(err.text, expected);
    }
}

static void save(const char *path, const char *text) {
    tr_error err = {0};
    ck_assert_msg(tr_check_output(path, &err) == TR_OK, "%s", err.text);
    ck_assert_msg(tr_save(path, text, strlen(text), &err) == TR_OK, "%s", err.text);
}

static mode_t type_of(const char *path) { /* links not followed */
    struct stat info;
    ck_assert_int_eq(lstat(path, &info), 0);
    return info.st_mode & S_IFMT;
}

static mode_t permissions_of(const char *path) {
    struct stat info;
    ck_assert_int_eq(stat(path, &info), 0);
    return info.st_mode & 0777;
}

/* ---- regular files ---- */

START_TEST(save_replaces_whole_files) {
    tr_error err = {0};
    const char *path = in_folder("file");
    for (int i = 0; i < 3; i++) {
        const char *text = i == 0 ? "first" : i == 1 ? "" : "third, longer";
        ck_assert_msg(tr_save(path, text, strlen(text), &err) == TR_OK, "%s", err.text);
        expect_file(path, text);
        ck_assert_int_eq(n_entries(folder), 1);
    }
}
END_TEST

START_TEST(save_in_the_current_folder) {
    char before[4096];
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    ck_assert_int_eq(chdir(folder), 0);
    int code = tr_save("plain", "x", 1, NULL);
    ck_assert_int_eq(chdir(before), 0);
    ck_assert_int_eq(code, TR_OK);
    expect_file(in_folder("plain"), "x");
}
END_TEST

START_TEST(save_long_names) {
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    ck_assert_int_eq(tr_save(in_folder(name), "x", 1, NULL), TR_OK); /* 255: the longest there is */
    expect_file(in_folder(name), "x");
    ck_assert_int_eq(n_entries(folder), 1);
}
END_TEST

START_TEST(save_leaves_nothing_behind) {
    tr_error err = {0};
    char expected[700];

    const char *path = in_folder("missing/file");
    ck_assert_int_eq(tr_save(path, "x", 1, &err), TR_EIO);
    snprintf(expected, sizeof expected, "%s: cannot create: No such file or directory", path);
    ck_assert_str_eq(err.text, expected);
    ck_assert(!tr_exists(in_folder("missing")));

    path = in_folder("taken");
    err = (tr_error){0};
    ck_assert_int_eq(tr_make_folder(path, &err), TR_OK);
    ck_assert_int_eq(tr_save(path, "x", 1, &err), TR_EIO);
    snprintf(expected, sizeof expected, "%s: is a folder, not a file", path);
    ck_assert_str_eq(err.text, expected);
    ck_assert_int_eq(n_entries(folder), 1);
    ck_assert_int_eq(n_entries(path), 0);

    for (int i = 0; i < 2; i++) {
        tr_alloc_fail_after(i);
        err = (tr_error){0};
        ck_assert_int_eq(tr_save(in_folder("file"), "x", 1, &err), TR_ENOMEM);
        ck_assert_int_eq(n_entries(folder), 1);
    }
}
END_TEST

START_TEST(permissions_are_kept) {
    const char *path = in_folder("file");
    umask(027);
    save(path, "a");
    ck_assert_int_eq(permissions_of(path), 0640);
    ck_assert_int_eq(chmod(path, 0606), 0);
    save(path, "b");
    ck_assert_int_eq(permissions_of(path), 0606);

    bool root = geteuid() == 0; /* who may write every file: be another user for a moment */
    ck_assert_int_eq(chmod(path, 0444), 0);
    ck_assert_int_eq(chmod(folder, 0777), 0);
    if (root) ck_assert_int_eq(seteuid(65534), 0);
    tr_error err = {0};
    int code = tr_save(path, "c", 1, &err);
    if (root) ck_assert_int_eq(seteuid(0), 0);
    char expected[700];
    snprintf(expected, sizeof expected, "%s: cannot replace: Permission denied", path);
    ck_assert_int_eq(code, TR_EIO);
    ck_assert_str_eq(err.text, expected);
    expect_file(path, "b");
    ck_assert_int_eq(n_entries(folder), 1);
    if (!root) return;

    struct stat info; /* another's file that may be written: its owner and group stay */
    ck_assert_int_eq(chown(path, 1234, 4321), 0);
    ck_assert_int_eq(chmod(path, 0664), 0);
    save(path, "d");
    ck_assert_int_eq(stat(path, &info), 0);
    ck_assert(info.st_uid == 1234 && info.st_gid == 4321 && (info.st_mode & 0777) == 0664);
    /* ... or, where they cannot, the group's rights are no other group's. */
    ck_assert_int_eq(chmod(path, 0662), 0);
    ck_assert_int_eq(seteuid(65534), 0);
    code = tr_save(path, "e", 1, &err);
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(code, TR_OK);
    ck_assert_int_eq(permissions_of(path), 0622);
}
END_TEST

START_TEST(links_are_followed) {
    const char *target = in_folder("a/target"), *made = in_folder("a/made");
    ck_assert_int_eq(tr_make_folder(in_folder("a"), NULL), TR_OK);
    save(target, "old");
    ck_assert_int_eq(link(target, in_folder("hard")), 0);
    ck_assert_int_eq(symlink("a/target", in_folder("link")), 0);
    ck_assert_int_eq(symlink("../link", in_folder("a/again")), 0);
    save(in_folder("a/again"), "new");
    expect_file(target, "new");
    expect_file(in_folder("hard"), "old"); /* replaced, not written over */
    ck_assert(S_ISLNK(type_of(in_folder("a/again"))) && S_ISLNK(type_of(in_folder("link"))));

    ck_assert_int_eq(symlink("a/made", in_folder("dangling")), 0);
    save(in_folder("dangling"), "made");
    expect_file(made, "made");
    ck_assert(S_ISREG(type_of(made)) && S_ISLNK(type_of(in_folder("dangling"))));
    ck_assert_int_eq(symlink(target, in_folder("absolute")), 0);
    save(in_folder("absolute"), "newer");
    expect_file(target, "newer");

    ck_assert_int_eq(symlink("round", in_folder("trip")), 0);
    ck_assert_int_eq(symlink("trip", in_folder("round")), 0);
    ck_assert_int_eq(symlink("none/file", in_folder("nowhere")), 0);
    ck_assert_int_eq(symlink("a", in_folder("to-folder")), 0);
    ck_assert_int_eq(symlink("a/new/", in_folder("slash")), 0);
    expect_failure(in_folder("round"), "cannot create: Too many levels of symbolic links");
    expect_failure(in_folder("nowhere"), "cannot create: No such file or directory");
    expect_failure(in_folder("to-folder"), "is a folder, not a file");
    ck_assert_int_lt(tr_save(in_folder("slash"), "x", 1, NULL), 0);
    ck_assert_int_eq(n_entries(in_folder("a")), 3);
}
END_TEST

START_TEST(names_that_cannot_be) {
    char name[257], path[PATH_MAX + 300];
    tr_error err = {0};
    ck_assert_int_eq(tr_save("", "x", 1, &err), TR_EIO);
    ck_assert_str_eq(err.text, "a file without a name cannot be written");
    save(in_folder("file"), "old");
    expect_failure(in_folder("file/below"), "cannot create: Not a directory");
    expect_failure(in_folder("new/"), "cannot create: No such file or directory");
    expect_failure(folder, "is a folder, not a file");
    expect_failure("/", "cannot create: Is a directory");
    expect_failure(in_folder("."), "is a folder, not a file");
    memset(name, 'n', 256);
    name[256] = 0;
    expect_failure(in_folder(name), "cannot create: File name too long");

    /* The longest path that the system takes, and one byte more. */
    size_t used = (size_t)snprintf(path, sizeof path, "%s/", folder);
    while (used < PATH_MAX - 4) used += (size_t)snprintf(path + used, sizeof path - used, "./");
    snprintf(path + used, sizeof path - used, "%s", used < PATH_MAX - 3 ? "xyz" : "xy");
    ck_assert_uint_eq(strlen(path), PATH_MAX - 1);
    save(path, "long");
    expect_file(path, "long");
    memset(path, '/', PATH_MAX + 100);
    strcpy(path + PATH_MAX + 100, "x");
    err = (tr_error){0};
    ck_assert_int_eq(tr_save(path, "x", 1, &err), TR_EIO);
    /* The reason is there, however long the path. */
    ck_assert_msg(strstr(err.text, "/x: cannot create: File name too long"), "%s", err.text);
    ck_assert_int_eq(n_entries(folder), 2);
}
END_TEST

START_TEST(a_removed_folder) {
    tr_error err = {0};
    tr_output out;
    char command[700];
    const char *path = in_folder("run/model");
    ck_assert_int_eq(tr_make_folder(in_folder("run"), NULL), TR_OK);
    ck_assert_int_eq(tr_save_begin(path, &out, &err), TR_OK);
    snprintf(command, sizeof command, "rm -r '%s/run'", folder);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(tr_save_write(&out, "x", 1, &err), TR_OK);
    ck_assert_int_eq(tr_save_end(&out, &err), TR_EIO);
    snprintf(command, sizeof command, "%s: cannot put in place: No such file or directory", path);
    ck_assert_str_eq(err.text, command);
    ck_assert_int_eq(n_entries(folder), 0);
    tr_save_cancel(&out); /* none is fine */
}
END_TEST

/* ---- limits ---- */

static volatile int n_signals;

static void on_signal(int number) {
    (void)number;
    n_signals++;
}

/* Handlers that count; the mask of this thread as it was. */
static void watch_signals(sigset_t *before) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGXFSZ, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, before);
}

static void expect_no_signal(const sigset_t *before) {
    sigset_t now, pending;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    ck_assert_int_eq(sigismember(&now, SIGXFSZ), sigismember(before, SIGXFSZ));
    ck_assert_int_eq(sigismember(&now, SIGPIPE), sigismember(before, SIGPIPE));
    sigpending(&pending);
    ck_assert(!sigismember(&pending, SIGXFSZ) && !sigismember(&pending, SIGPIPE));
    ck_assert_int_eq(n_signals, 0);
}

START_TEST(beyond_the_file_size_limit) {
    static const char data[10000];
    tr_error err = {0};
    const char *path = in_folder("file"), *lines = in_folder("lines");
    save(path, "old");
    ck_assert_int_eq(tr_append(lines, "whole\n", &err), TR_OK);
    char long_line[9000];
    memset(long_line, 'x', sizeof long_line);
    long_line[sizeof long_line - 1] = 0;

    sigset_t mask;
    struct rlimit before, small;
    watch_signals(&mask);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    int saved = tr_save(path, data, sizeof data, &err);
    int appended = tr_append(lines, long_line, NULL);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);

    char expected[700];
    ck_assert_int_eq(saved, TR_EIO);
    snprintf(expected, sizeof expected, "%s: cannot write: File too large", path);
    ck_assert_str_eq(err.text, expected);
    expect_file(path, "old");
    ck_assert_int_eq(appended, TR_EIO);
    expect_file(lines, "whole\n"); /* and not half a line more */
    ck_assert_int_eq(n_entries(folder), 2);
    expect_no_signal(&mask);
}
END_TEST

/* A file system of 64 KiB at folder/NAME, seen by this process only; false where that needs more
 * rights. */
static bool mount_small(const char *name) {
    const char *at = in_folder(name);
    ck_assert_int_eq(tr_make_folder(at, NULL), TR_OK);
    return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
           !mount("none", at, "tmpfs", 0, "size=64k");
}

START_TEST(full_and_read_only_disks) {
    static char data[100000];
    tr_error err = {0};
    if (!mount_small("disk")) return;
    const char *path = in_folder("disk/file");
    char expected[700];
    save(path, "old");
    ck_assert_int_eq(tr_save(path, data, sizeof data, &err), TR_EIO);
    snprintf(expected, sizeof expected, "%s: cannot write: No space left on device", path);
    ck_assert_str_eq(err.text, expected);
    expect_file(path, "old");
    ck_assert_int_eq(n_entries(in_folder("disk")), 1);
    ck_assert_int_eq(tr_save(path, data, 30000, NULL), TR_OK);
    ck_assert_int_eq(tr_save(path, data, 30000, NULL), TR_OK); /* both fit beside each other */

    ck_assert_int_eq(mount(NULL, in_folder("disk"), NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    expect_failure(path, "cannot replace: Read-only file system");
    expect_failure(in_folder("disk/new"), "cannot create: Read-only file system");
    umount(in_folder("disk"));
}
END_TEST

/* ---- devices, pipes, sockets, descriptors ---- */

START_TEST(devices_stay_devices) {
    save("/dev/null", "text");
    ck_assert(S_ISCHR(type_of("/dev/null")));
    if (!access("/dev/full", W_OK)) {
        expect_failure("/dev/full", "cannot write: No space left on device");
        ck_assert(S_ISCHR(type_of("/dev/full")));
        ck_assert_int_eq(symlink("/dev/full", in_folder("link")), 0);
        expect_failure(in_folder("link"), "cannot write: No space left on device");
    }
    const char *node = in_folder("node"); /* where a temporary file could be put in its place */
    if (mknod(node, S_IFCHR | 0666, makedev(1, 3)) || access(node, W_OK)) return;
    tr_error err = {0};
    int code = tr_save(node, "text", 4, &err); /* a disk may be mounted without devices */
    ck_assert_msg(code == TR_OK || strstr(err.text, "cannot open: Permission"), "%s", err.text);
    ck_assert(S_ISCHR(type_of(node)));
}
END_TEST

/* Read all of `file` in another process, whose exit code says whether it was `text`. */
static pid_t start_reader(int file, const char *path, bool is_socket, const char *text) {
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid) return pid;
    char got[100] = {0};
    size_t used = 0;
    if (path) file = open(path, O_RDONLY);
    if (is_socket) file = accept(file, NULL, NULL);
    for (ssize_t n; used < sizeof got - 1 && (n = read(file, got + used, 99 - used)) > 0;)
        used += (size_t)n;
    _exit(file >= 0 && !strcmp(got, text) ? 0 : 1);
}

static void expect_read(pid_t pid) {
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(pipes_and_sockets_are_written_into) {
    const char *fifo = in_folder("pipe");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    pid_t reader = start_reader(-1, fifo, false, "into a pipe"); /* the first to open it waits */
    save(fifo, "into a pipe");
    expect_read(reader);
    ck_assert(S_ISFIFO(type_of(fifo)));

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = in_folder("socket");
    ck_assert_uint_lt(strlen(path), sizeof address.sun_path);
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    reader = start_reader(listener, NULL, true, "into a socket");
    save(path, "into a socket");
    expect_read(reader);
    close(listener);
    expect_failure(path, "cannot open: Connection refused");
    ck_assert(S_ISSOCK(type_of(path)));
    ck_assert_int_eq(n_entries(folder), 2);
}
END_TEST

START_TEST(descriptors_are_written_into) {
    char path[64];
    const char *file_path = in_folder("file");
    /* A shell's `3> file`: what stands in the file already stays. */
    int file = open(file_path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(write(file, "before,", 7), 7);
    snprintf(path, sizeof path, "/dev/fd/%d", file);
    save(path, "then,");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    save(path, "last");
    expect_file(file_path, "before,then,last");
    const char *link_path = in_folder("link");
    ck_assert_int_eq(symlink(path, link_path), 0);
    save(link_path, "!");
    expect_file(file_path, "before,then,last!");
    close(file);
    expect_failure(path, "cannot open: Bad file descriptor");

    int ends[2];
    sigset_t mask;
    watch_signals(&mask);
    ck_assert_int_eq(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    save(path, "text");
    char got[5] = {0};
    ck_assert_int_eq(read(ends[0], got, 4), 4);
    ck_assert_str_eq(got, "text");
    close(ends[0]);
    expect_failure(path, "cannot write: Broken pipe");
    expect_no_signal(&mask);
    ck_assert_int_eq(n_entries(folder), 2);
}
END_TEST

START_TEST(descriptors_that_do_not_block) {
    enum { BYTES = 1 << 20 };
    int ends[2], status;
    char path[64];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    pid_t reader = fork();
    ck_assert_int_ge(reader, 0);
    if (reader == 0) {
        static char buffer[4096];
        size_t total = 0;
        close(ends[1]);
        for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) total += (size_t)n;
        _exit(total == BYTES ? 0 : 1);
    }
    tr_error err = {0};
    char *data = calloc(1, BYTES); /* more than a pipe holds */
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    int code = tr_save(path, data, BYTES, &err);
    free(data);
    close(ends[0]);
    close(ends[1]);
    ck_assert_msg(code == TR_OK, "%s", err.text);
    ck_assert_int_eq(waitpid(reader, &status, 0), reader);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* Another user's link in a folder that all users may write, as /tmp: the system does not let
 * it be followed where fs.protected_symlinks is 1, and neither does the program. */
START_TEST(links_of_others) {
    int protects = 0;
    FILE *file = fopen("/proc/sys/fs/protected_symlinks", "r");
    if (file && fscanf(file, "%d", &protects) != 1) protects = 0;
    if (file) fclose(file);
    if (!protects || geteuid() != 0) return;
    save(in_folder("precious"), "old");
    ck_assert_int_eq(tr_make_folder(in_folder("tmp"), NULL), TR_OK);
    ck_assert_int_eq(chmod(in_folder("tmp"), 01777), 0);
    ck_assert_int_eq(symlink("../precious", in_folder("tmp/link")), 0);
    ck_assert_int_eq(lchown(in_folder("tmp/link"), 65534, 65534), 0);
    expect_failure(in_folder("tmp/link"), "cannot create: Permission denied");
    expect_file(in_folder("precious"), "old");
}
END_TEST

START_TEST(standard_output) {
    int file = open(in_folder("out"), O_RDWR | O_CREAT, 0600);
    fflush(stdout);
    int kept = dup(1);
    dup2(file, 1);
    printf("printed,"); /* still in the buffer */
    tr_error err = {0};
    int code = tr_save("/dev/stdout", "saved,", 6, &err);
    printf("printed");
    fflush(stdout);
    dup2(kept, 1);
    close(kept);
    ck_assert_msg(code == TR_OK, "%s", err.text);
    expect_file(in_folder("out"), "printed,saved,printed");
}
END_TEST

/* ---- temporary files ---- */

START_TEST(killed_writers_are_cleared) {
    tr_error err = {0};
    tr_output mine;
    const char *path = in_folder("model"), *other = in_folder("mine");
    save(path, "old");
    save(in_folder(".trainer"), "not a temporary file of the program");
    for (int round = 0; round < 2; round++) {
        pid_t writer = fork();
        ck_assert_int_ge(writer, 0);
        if (writer == 0) {
            tr_output out;
            if (tr_save_begin(path, &out, NULL) || tr_save_write(&out, "half", 4, NULL)) _exit(1);
            raise(SIGKILL);
        }
        int status;
        ck_assert_int_eq(waitpid(writer, &status, 0), writer);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        expect_file(path, "old");
        ck_assert_int_eq(n_entries(folder), 3);
        if (round == 0) {
            tr_clear_temporaries(folder);
            ck_assert_int_eq(n_entries(folder), 2);
        }
    }
    /* Writing into the folder clears it, too, but not what is being written. */
    ck_assert_int_eq(tr_save_begin(other, &mine, &err), TR_OK);
    ck_assert_int_eq(n_entries(folder), 3);
    tr_clear_temporaries(folder);
    save(path, "new");
    ck_assert_int_eq(n_entries(folder), 3);
    ck_assert_int_eq(tr_save_write(&mine, "whole", 5, &err), TR_OK);
    ck_assert_msg(tr_save_end(&mine, &err) == TR_OK, "%s", err.text);
    expect_file(other, "whole");
    expect_file(path, "new");
    ck_assert_int_eq(n_entries(folder), 3);

    /* What only looks like one: nothing behind a link, no folder, no pipe is touched. */
    save(in_folder("precious"), "x");
    ck_assert_int_eq(symlink("precious", in_folder(".trainer-tmp-1-1")), 0);
    ck_assert_int_eq(mkfifo(in_folder(".trainer-tmp-1-2"), 0600), 0);
    ck_assert_int_eq(tr_make_folder(in_folder(".trainer-tmp-1-3"), NULL), TR_OK);
    tr_clear_temporaries(folder);
    tr_clear_temporaries(in_folder("none"));
    ck_assert_int_eq(n_entries(folder), 7);
    expect_file(in_folder("precious"), "x");
}
END_TEST

START_TEST(nothing_stays_open) {
    int before = n_entries("/proc/self/fd");
    tr_output out;
    ck_assert_int_eq(tr_save_begin(in_folder("a"), &out, NULL), TR_OK);
    tr_save_cancel(&out);
    save(in_folder("b"), "x");
    save("/dev/null", "x");
    for (int i = 0; i < 3; i++) {
        tr_alloc_fail_after(i);
        tr_save(in_folder("c"), "x", 1, NULL);
        tr_alloc_fail_after(i);
        tr_save("/dev/null", "x", 1, NULL);
        tr_alloc_fail_after(-1);
    }
    tr_save(folder, "x", 1, NULL);
    tr_save(in_folder("none/x"), "x", 1, NULL);
    tr_check_writable(folder, NULL);
    tr_check_writable(in_folder("none"), NULL);
    tr_clear_temporaries(folder);
    ck_assert_int_eq(n_entries("/proc/self/fd"), before);
}
END_TEST

static Suite *save_suite(void) {
    const struct {
        const char *name;
        const TTest *tests[16];
    } cases[] = {
        {"files",
         {save_replaces_whole_files, save_in_the_current_folder, save_long_names,
          save_leaves_nothing_behind, permissions_are_kept, links_are_followed,
          names_that_cannot_be, a_removed_folder, links_of_others}},
        {"limits", {beyond_the_file_size_limit, full_and_read_only_disks}},
        {"special",
         {devices_stay_devices, pipes_and_sockets_are_written_into, descriptors_are_written_into,
          standard_output, descriptors_that_do_not_block}},
        {"temporary", {killed_writers_are_cleared, nothing_stays_open}},
    };
    Suite *suite = suite_create("save");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TCase *group = tcase_create(cases[i].name);
        tcase_add_checked_fixture(group, make_scratch, remove_scratch);
        for (int j = 0; cases[i].tests[j]; j++) tcase_add_test(group, cases[i].tests[j]);
        suite_add_tcase(suite, group);
    }
    return suite;
}

int main(void) {
    return tr_check_run(save_suite());
}
