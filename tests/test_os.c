/* The operating system: reading, folders, limits of the process, the floating-point mode.
 *
 * Every test has a fresh folder. Faults are made, not simulated: another user for the closed
 * folder, a timer for the interrupted write. Writing whole files: test_save.c.
 */
#include <dirent.h>
#include <errno.h>
#include <float.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "check_main.h"
#include "scratch.h"

/* ---- files ---- */

START_TEST(unwritable_folder) {
    const char *closed = in_folder("closed");
    ck_assert_int_eq(tr_make_folder(closed, NULL), TR_OK);
    ck_assert_int_eq(tr_check_writable(closed, NULL), TR_OK);
    ck_assert_int_eq(n_entries(closed), 0);
    ck_assert_int_eq(chmod(closed, 0555), 0);
    const char *file = in_folder("closed/file");

    bool root = geteuid() == 0; /* root writes everywhere: be another user for a moment */
    if (root) ck_assert_int_eq(seteuid(65534), 0);
    tr_error save = {0}, append = {0}, check = {0}, make = {0};
    tr_save(file, "x", 1, &save);
    tr_append(file, "x\n", &append);
    tr_check_writable(closed, &check);
    tr_make_new_folder(in_folder("closed/run"), &make);
    if (root) ck_assert_int_eq(seteuid(0), 0);

    ck_assert_int_eq(n_entries(closed), 0);
    char expected[700];
    snprintf(expected, sizeof expected, "%s: cannot create: Permission denied", file);
    ck_assert_str_eq(save.text, expected);
    snprintf(expected, sizeof expected, "%s: cannot open: Permission denied", file);
    ck_assert_str_eq(append.text, expected);
    snprintf(expected, sizeof expected, "%s: cannot create files here: Permission denied", closed);
    ck_assert_str_eq(check.text, expected);
    snprintf(expected, sizeof expected, "%s/run: cannot make the folder: Permission denied",
             closed);
    ck_assert_str_eq(make.text, expected);

    check = (tr_error){0};
    ck_assert_int_eq(tr_check_writable(in_folder("none"), &check), TR_EIO);
    snprintf(expected, sizeof expected,
             "%s/none: cannot create files here: No such file or directory", folder);
    ck_assert_str_eq(check.text, expected);
}
END_TEST

static void on_alarm(int signal_number) {
    (void)signal_number;
}

START_TEST(writing_survives_signals) {
    /* A slow reader behind a pipe and a timer: writes are cut short and interrupted. */
    enum { BYTES = 1 << 20 };
    const char *path = in_folder("pipe");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    pid_t reader = fork();
    ck_assert_int_ge(reader, 0);
    if (reader == 0) {
        FILE *file = fopen(path, "r");
        if (!file) _exit(2);
        char buffer[4096];
        size_t total = 0;
        bool right = true;
        for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;) {
            for (size_t i = 0; i < n; i++) right &= buffer[i] == (char)('a' + (total + i) % 23);
            total += n;
            if (total % (1 << 17) == 0) usleep(4000);
        }
        _exit(total == BYTES && right ? 0 : 1);
    }
    char *text = malloc(BYTES + 1);
    for (size_t i = 0; i < BYTES; i++) text[i] = (char)('a' + i % 23);
    text[BYTES] = 0;
    struct sigaction action = {.sa_handler = on_alarm}, old_action; /* no SA_RESTART */
    sigaction(SIGALRM, &action, &old_action);
    struct itimerval often = {{0, 500}, {0, 500}}, never = {0};
    setitimer(ITIMER_REAL, &often, NULL);
    tr_error err = {0};
    int code = tr_append(path, text, &err);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old_action, NULL);
    free(text);
    int status;
    ck_assert_int_eq(waitpid(reader, &status, 0), reader);
    ck_assert_msg(code == TR_OK, "%s", err.text);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

START_TEST(append_adds_lines) {
    const char *path = in_folder("metrics.jsonl");
    ck_assert_int_eq(tr_append(path, "{}\n", NULL), TR_OK);
    ck_assert_int_eq(tr_append(path, "{\"a\":1}\n", NULL), TR_OK);
    expect_file(path, "{}\n{\"a\":1}\n");
}
END_TEST

START_TEST(reading) {
    tr_error err = {0};
    tr_file file;
    char expected[700], *text, bytes[16] = {0};
    size_t size;
    const char *path = in_folder("file");
    ck_assert_int_eq(tr_save(path, "0123456789", 10, &err), TR_OK);
    ck_assert_msg(tr_open_file(path, &file, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(file.size, 10);
    ck_assert_int_eq(tr_read_at(&file, 3, bytes, 5, &err), TR_OK);
    ck_assert_str_eq(bytes, "34567");
    ck_assert_int_eq(tr_read_at(&file, 10, bytes, 0, &err), TR_OK);
    ck_assert_int_eq(tr_read_at(&file, 0, bytes, 10, &err), TR_OK);
    ck_assert_str_eq(bytes, "0123456789");

    ck_assert_int_eq(truncate(path, 4), 0); /* under the reader: no signal */
    ck_assert_int_eq(tr_read_at(&file, 2, bytes, 8, &err), TR_EIO);
    snprintf(expected, sizeof expected,
             "%s: ends at byte 4, 6 bytes before it should: was it changed while it was read?",
             path);
    ck_assert_str_eq(err.text, expected);
    tr_close_file(&file);
    tr_close_file(&file); /* none is fine */

    err = (tr_error){0};
    ck_assert_int_eq(tr_read_file(path, 4, &text, &size, &err), TR_OK);
    ck_assert_str_eq(text, "0123");
    ck_assert_uint_eq(size, 4);
    tr_free(text);
    ck_assert_int_eq(tr_read_file(path, 3, &text, &size, &err), TR_EIO);
    ck_assert_ptr_null(text);
    snprintf(expected, sizeof expected, "%s: has 4 bytes, at most 3 are read", path);
    ck_assert_str_eq(err.text, expected);
    err = (tr_error){0};
    ck_assert_int_eq(tr_save(path, "", 0, &err), TR_OK);
    ck_assert_int_eq(tr_read_file(path, 0, &text, &size, &err), TR_OK);
    ck_assert_str_eq(text, "");
    tr_free(text);
}
END_TEST

/* What is no file is no file for any way of reading. */
START_TEST(reading_what_is_no_file) {
    const char *pipe_path = in_folder("pipe"), *none = in_folder("none");
    ck_assert_int_eq(mkfifo(pipe_path, 0600), 0); /* without a writer: must not wait for one */
    const struct {
        const char *path, *reason;
    } cases[] = {{none, "cannot open: No such file or directory"},
                 {folder, "is a folder, not a file"},
                 {pipe_path, "is a device or pipe, not a file"},
                 {"/dev/zero", "is a device or pipe, not a file"},
                 {"", "cannot open: No such file or directory"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tr_error err = {0}, whole = {0};
        tr_file file = {.path = folder};
        char expected[700], *text;
        size_t size;
        snprintf(expected, sizeof expected, "%s: %s", cases[i].path, cases[i].reason);
        ck_assert_int_eq(tr_open_file(cases[i].path, &file, &err), TR_EIO);
        ck_assert_str_eq(err.text, expected);
        ck_assert_ptr_null(file.path);
        ck_assert_int_eq(tr_read_file(cases[i].path, 10, &text, &size, &whole), TR_EIO);
        ck_assert_str_eq(whole.text, expected);
        ck_assert_ptr_null(text);
    }
    tr_file file;
    char *text;
    size_t size;
    ck_assert_int_eq(tr_save(in_folder("file"), "x", 1, NULL), TR_OK);
    tr_alloc_fail_after(0);
    ck_assert_int_eq(tr_open_file(in_folder("file"), &file, NULL), TR_ENOMEM);
    tr_alloc_fail_after(1);
    ck_assert_int_eq(tr_read_file(in_folder("file"), 10, &text, &size, NULL), TR_ENOMEM);
}
END_TEST

START_TEST(folders) {
    tr_error err = {0};
    ck_assert_int_eq(tr_make_folder(in_folder("a/b//c/"), &err), TR_OK);
    ck_assert(tr_is_folder(in_folder("a/b/c")));
    ck_assert_int_eq(tr_make_folder(in_folder("a/b/c"), &err), TR_OK);
    ck_assert_int_eq(tr_make_folder("/", &err), TR_OK);
    ck_assert_int_eq(tr_make_folder(".", &err), TR_OK);
    ck_assert_int_eq(tr_make_folder("", NULL), TR_EIO);

    ck_assert_int_eq(tr_make_new_folder(in_folder("runs/lenet"), &err), TR_OK);
    ck_assert_int_eq(tr_make_new_folder(in_folder("runs/lenet"), &err), 1);
    ck_assert_int_eq(tr_make_new_folder(in_folder("runs/lenet/"), &err), 1);
    ck_assert_int_eq(tr_make_new_folder(in_folder("runs/lenet-2/"), &err), TR_OK);
    ck_assert_int_eq(err.code, TR_OK);
    ck_assert_int_eq(n_entries(in_folder("runs")), 2);

    const char *path = in_folder("file");
    ck_assert_int_eq(tr_save(path, "x", 1, &err), TR_OK);
    ck_assert(tr_exists(path) && !tr_is_folder(path) && !tr_exists(in_folder("none")));
    ck_assert_int_eq(tr_make_folder(path, &err), TR_EIO);
    char expected[700];
    snprintf(expected, sizeof expected, "%s: cannot make the folder: a file has this name", path);
    ck_assert_str_eq(err.text, expected);
    ck_assert_int_eq(tr_make_folder(in_folder("file/below"), NULL), TR_EIO);
}
END_TEST

/* ---- limits of the process ---- */

static void put_file(const char *name, const char *text) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *strrchr(path, '/') = 0;
    ck_assert_int_eq(tr_make_folder(path, NULL), TR_OK);
    ck_assert_int_eq(tr_save(in_folder(name), text, strlen(text), NULL), TR_OK);
}

START_TEST(names) {
    const char *file = in_folder("file"), *link = in_folder("link");
    tr_error err = {0};
    ck_assert_int_eq(symlink("nowhere", link), 0);
    ck_assert_int_eq(tr_look(file, NULL), 0);
    ck_assert_int_eq(tr_look(link, NULL), 1);
    ck_assert_int_eq(tr_create_new(file, "mine\n", NULL), TR_OK);
    ck_assert_int_eq(tr_create_new(file, "other\n", NULL), 1);
    ck_assert_int_eq(tr_create_new(link, "other\n", NULL), 1); /* not followed */
    expect_file(file, "mine\n");
    ck_assert_int_eq(tr_look(in_folder("nowhere"), NULL), 0);
    ck_assert_int_eq(tr_look(in_folder("file/below"), NULL), 0);
    char longer[400] = "";
    memset(longer, 'x', 256);
    ck_assert_int_eq(tr_look(in_folder(longer), &err), TR_EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "File name too long"));
    ck_assert_int_eq(tr_create_new(in_folder("none/file"), "", NULL), TR_EIO);
    tr_remove_file(link);
    tr_remove_file(file);
    tr_remove_file(file);
    ck_assert_int_eq(n_entries(folder), 0);
    static const char *const joined[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "b"}};
    for (size_t i = 0; i < sizeof joined / sizeof *joined; i++) {
        char *path = tr_path(joined[i][0], joined[i][1], NULL);
        ck_assert_str_eq(path, joined[i][2]);
        tr_free(path);
    }
}
END_TEST

START_TEST(folders_that_could_be_made) {
    static const char *const good[] = {"a", "a/b/c", "a//b/", "./a"};
    static const char *const bad[] = {"file/a", "file//a/b", "link/a"};
    char longer[400] = "";
    ck_assert_int_eq(tr_create_new(in_folder("file"), "", NULL), TR_OK);
    ck_assert_int_eq(symlink("nowhere", in_folder("link")), 0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_int_eq(tr_check_new_folder(in_folder(good[i]), NULL), TR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tr_error check = {0}, make = {0};
        ck_assert_int_eq(tr_check_new_folder(in_folder(bad[i]), &check), TR_EIO);
        ck_assert_int_lt(tr_make_new_folder(in_folder(bad[i]), &make), 0);
        ck_assert_str_eq(check.text, make.text);
    }
    snprintf(longer, sizeof longer, "new/%0256d", 1);
    ck_assert_int_eq(tr_check_new_folder(in_folder(longer), NULL), TR_EIO);
    ck_assert_int_eq(n_entries(folder), 2);
    /* Relative ones, and those at the top. */
    ck_assert_int_eq(chdir(folder), 0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_int_eq(tr_check_new_folder(good[i], NULL), TR_OK);
    ck_assert_int_eq(tr_check_new_folder("file/a", NULL), TR_EIO);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

/* ---- the machine ---- */

static void cpu_is(const char *cpuinfo, const char *wanted) {
    char name[128];
    if (cpuinfo)
        ck_assert_int_eq(tr_save(in_folder("proc/cpuinfo"), cpuinfo, strlen(cpuinfo), NULL), TR_OK);
    tr_cpu_name_under(folder, name, sizeof name);
    ck_assert_msg(strstr(name, wanted) != NULL && *name, "'%s', not '%s'", name, wanted);
}

START_TEST(cpu_names) {
    char name[128], small[8];
    cpu_is(NULL, ""); /* no /proc: the architecture */
    ck_assert_int_eq(tr_make_folder(in_folder("proc"), NULL), TR_OK);
    cpu_is("", "");
    cpu_is("processor\t: 0\nmodel\t\t: 1\nmodel name\t:  AMD  EPYC\t7R13 \n", "AMD EPYC 7R13");
    cpu_is("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n",
           ", implementer 0x41, part 0xd0c");
    cpu_is("processor\t: 0\ncpu\t\t: POWER9\n", "POWER9");
    cpu_is("model name\t: \nmodel name\t: second\n", "second");
    cpu_is("model name\t: caf\xc3\xa9 \"x\"\n", "caf?? \"x\"");
    tr_cpu_name_under(folder, small, sizeof small);
    ck_assert_str_eq(small, "caf?? \"");
    tr_cpu_name(name, sizeof name);
    ck_assert_int_ne(name[0], '\0');
    tr_host_name(name, sizeof name);
    ck_assert_int_ne(name[0], '\0');
    char date[TR_DATE];
    int year, month, day, hour, minute, second, end = 0;
    tr_date(date);
    ck_assert_int_eq(sscanf(date, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &year, &month, &day, &hour, &minute,
                            &second, &end),
                     6);
    ck_assert_int_eq(end, TR_DATE - 4);
    ck_assert_int_gt(year, 2023);
}
END_TEST

/* ---- signals ---- */

/* What a process ends with that gets the first signal, waits, and gets the second; 0: it goes on,
 * and the first was noted. */
static int end_of(int first, double seconds, int second) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        tr_catch_signals();
        raise(first);
        for (double end = tr_now() + seconds; tr_now() < end;) {
        }
        raise(second);
        _exit(tr_caught_signal(NULL) == first ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

START_TEST(signals_that_ask_to_end) {
    int pairs[][2] = {{SIGINT, SIGINT}, {SIGTERM, SIGTERM}, {SIGINT, SIGTERM}, {SIGTERM, SIGINT}};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(end_of(pairs[i][0], 0.11, pairs[i][1]), 256 + pairs[i][1]);
    for (int i = 2; i < 4; i++)
        ck_assert_int_eq(end_of(pairs[i][0], 0, pairs[i][1]), 256 + pairs[i][1]);
    /* Sent twice at once is sent once. A busy machine may be late, but not always. */
    for (int i = 0; i < 2; i++) {
        int tries = 0;
        while (end_of(pairs[i][0], 0, pairs[i][1]) != 0) ck_assert_int_lt(++tries, 50);
    }
}
END_TEST

START_TEST(quota_v2) {
    ck_assert_double_eq(tr_cpu_quota_under(folder), 0);
    put_file("proc/self/cgroup", "0::/\n"); /* in a container: the group is the top */
    ck_assert_double_eq(tr_cpu_quota_under(folder), 0);
    put_file("sys/fs/cgroup/cpu.max", "max 100000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 0);
    put_file("sys/fs/cgroup/cpu.max", "150000 100000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 1.5);
    /* Groups in groups: the least counts, whether above or below. */
    put_file("proc/self/cgroup", "0::/user.slice/job\n");
    put_file("sys/fs/cgroup/user.slice/job/cpu.max", "200000 100000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 1.5);
    put_file("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 0.5);
    put_file("sys/fs/cgroup/user.slice/job/cpu.max", "20000 100000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 0.2);
    /* The host's path, not mounted in the container: the top still answers. */
    put_file("proc/self/cgroup", "0::/docker/0123\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 1.5);
}
END_TEST

START_TEST(quota_v1) {
    put_file("proc/self/cgroup",
             "9:name=systemd:/\n3:cpuset:/\n2:cpu,cpuacct:/docker/0123\n0::/\n");
    put_file("sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "1000\n"); /* not the group of CPU time */
    put_file("sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 0);
    put_file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put_file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 0);
    put_file("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 4);
    put_file("sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_quota_us", "250000\n");
    put_file("sys/fs/cgroup/cpu,cpuacct/docker/0123/cpu.cfs_period_us", "100000\n");
    ck_assert_double_eq(tr_cpu_quota_under(folder), 2.5);
    put_file("sys/fs/cgroup/unified/cpu.max", "100000 100000\n"); /* v2 beside it */
    ck_assert_double_eq(tr_cpu_quota_under(folder), 1);
}
END_TEST

START_TEST(memory_limits) {
    const char *name;
    put_file("proc/self/cgroup", "0::/user.slice/job\n");
    put_file("proc/meminfo", "MemFree:  1 kB\nMemTotal:    8000 kB\nMemAvailable: 10 kB\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, &name), 8000 * 1024);
    ck_assert_str_eq(name, "the machine's memory");
    /* v2: max and high, of the group and of those above. */
    put_file("sys/fs/cgroup/user.slice/job/memory.max", "max\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, NULL), 8000 * 1024);
    put_file("sys/fs/cgroup/memory.max", "7000000\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, &name), 7000000);
    ck_assert_str_eq(name, "the control group's memory limit");
    put_file("sys/fs/cgroup/user.slice/memory.high", "6000000\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, NULL), 6000000);
    put_file("sys/fs/cgroup/user.slice/job/memory.max", "5000000\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, NULL), 5000000);
    /* v1, beside it or alone; a number near 2^63 is none. */
    put_file("proc/self/cgroup", "7:memory:/docker/0123\n3:cpuset:/\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, NULL), 8000 * 1024);
    put_file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, NULL), 8000 * 1024);
    put_file("sys/fs/cgroup/cpuset/memory.limit_in_bytes", "1000\n"); /* not the controller */
    put_file("sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "4000000\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, NULL), 4000000);
}
END_TEST

/* Addresses that are in use but not resident are taken off ulimit's number. */
START_TEST(memory_limits_of_the_process) {
    static const int resources[] = {RLIMIT_AS, RLIMIT_DATA};
    const char *name;
    put_file("proc/self/status", "VmSize: 700000 kB\nVmRSS:  300000 kB\nVmData: 500000 kB\n");
    ck_assert_int_eq(tr_memory_limit_under(folder, &name), INT64_MAX);
    ck_assert_str_eq(name, "");
    for (int i = 0; i < 2; i++) {
        struct rlimit before, limit;
        ck_assert_int_eq(getrlimit(resources[i], &before), 0);
        limit = before;
        limit.rlim_cur = (rlim_t)1 << 50; /* more than any address space, so that nothing fails */
        ck_assert_int_eq(setrlimit(resources[i], &limit), 0);
        int64_t bytes = tr_memory_limit_under(folder, &name);
        ck_assert_int_eq(setrlimit(resources[i], &before), 0);
        ck_assert_int_eq(bytes, ((int64_t)1 << 50) - (i == 0 ? 400000 : 200000) * (int64_t)1024);
        ck_assert_ptr_nonnull(strstr(name, i == 0 ? "ulimit -v" : "ulimit -d"));
    }
}
END_TEST

START_TEST(the_process) {
    double quota = tr_cpu_quota();
    ck_assert(quota >= 0 && quota < 1e6);
    int64_t resident = tr_resident_memory();
    ck_assert(resident > 100000); /* any program has 100 kB */
    ck_assert(tr_peak_memory() >= resident);
    ck_assert(tr_memory_limit(NULL) > resident);
    double a = tr_now();
    uint64_t ns = tr_now_ns();
    double b = tr_now();
    /* The same clock: 1 us for the rounding of seconds to a double (2^-52 of 30 years is 0.2 us).
     */
    ck_assert(a <= b && a - 1e-6 <= (double)ns * 1e-9 && (double)ns * 1e-9 <= b + 1e-6);
    ck_assert_int_eq(tr_terminal_width(-1), 80);
    ck_assert(!tr_is_terminal(-1));
}
END_TEST

START_TEST(subnormals_are_flushed) {
    volatile float small = FLT_MIN, half = 0.5f, subnormal = FLT_TRUE_MIN, large = 0x1p100f;
    ck_assert(small * half != 0);
    tr_flush_subnormals();
#if defined(__SSE2__) || defined(__aarch64__)
    ck_assert(small * half == 0);      /* a subnormal result */
    ck_assert(subnormal * large == 0); /* a subnormal operand */
#endif
    (void)subnormal, (void)large;
}
END_TEST

static Suite *os_suite(void) {
    Suite *suite = suite_create("os");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, make_scratch, remove_scratch);
    tcase_add_test(files, unwritable_folder);
    tcase_add_test(files, writing_survives_signals);
    tcase_add_test(files, append_adds_lines);
    tcase_add_test(files, reading);
    tcase_add_test(files, reading_what_is_no_file);
    tcase_add_test(files, folders);
    tcase_add_test(files, names);
    tcase_add_test(files, folders_that_could_be_made);
    tcase_add_test(files, cpu_names);
    tcase_add_test(files, signals_that_ask_to_end);
    tcase_add_test(files, quota_v2);
    tcase_add_test(files, quota_v1);
    tcase_add_test(files, memory_limits);
    tcase_add_test(files, memory_limits_of_the_process);
    suite_add_tcase(suite, files);
    TCase *process = tcase_create("process"); /* last: it changes the floating-point mode */
    tcase_add_test(process, the_process);
    tcase_add_test(process, subnormals_are_flushed);
    suite_add_tcase(suite, process);
    return suite;
}

int main(void) {
    return tr_check_run(os_suite());
}
