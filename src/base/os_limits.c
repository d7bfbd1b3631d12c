/* The operating system: what this process holds and what it may use (CPU time, memory).
 *
 * Control groups state limits in both versions, each group its own; a process obeys those of its
 * group and of all groups above it, so the least counts. Keeps no state: thread-safe.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"

enum { PATH_BYTES = 4096 };

/* ---- small files of the kernel's ---- */

/* The first line of a file; false where there is none. */
static bool read_line(const char *path, char *line, int bytes) {
    FILE *file = fopen(path, "re");
    if (!file) return false;
    bool ok = fgets(line, bytes, file) != NULL;
    fclose(file);
    return ok;
}

/* "NAME:   1234 kB" in the file ROOT/proc/NAME, in bytes; -1 where there is none. */
static int64_t read_kib(const char *root, const char *file_name, const char *name) {
    char path[PATH_BYTES], line[256];
    long long kib = -1;
    size_t length = strlen(name);
    if (snprintf(path, sizeof path, "%s/proc/%s", root, file_name) >= PATH_BYTES) return -1;
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    while (kib < 0 && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, length) != 0 || line[length] != ':') continue;
        if (sscanf(line + length + 1, "%lld", &kib) != 1) kib = -1;
    }
    fclose(file);
    return kib < 0 || kib > INT64_MAX / 1024 ? -1 : (int64_t)kib * 1024;
}

/* ---- memory that this process holds ---- */

int64_t tr_resident_memory(void) {
    return tr_max(0, read_kib("", "self/status", "VmRSS"));
}

int64_t tr_peak_memory(void) {
    /* ru_maxrss starts with the size of the process that called exec, not of this one. */
    int64_t peak = read_kib("", "self/status", "VmHWM");
    if (peak >= 0) return peak;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage)) return 0;
#if defined(__APPLE__)
    return usage.ru_maxrss; /* bytes there, KiB everywhere else */
#else
    return (int64_t)usage.ru_maxrss * 1024;
#endif
}

/* ---- control groups ---- */

/* A limit that one control group states in the files of `folder`; 0: none. */
typedef double group_limit(const char *folder, bool v2);

static bool read_number(const char *folder, const char *name, double *out) {
    char path[PATH_BYTES], line[128];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n < PATH_BYTES && read_line(path, line, sizeof line) && sscanf(line, "%lf", out) == 1;
}

static double cpus_of_group(const char *folder, bool v2) {
    double quota, period;
    if (v2) { /* "200000 100000" or "max 100000" */
        char path[PATH_BYTES], line[128];
        int n = snprintf(path, sizeof path, "%s/cpu.max", folder);
        if (n >= PATH_BYTES || !read_line(path, line, sizeof line)) return 0;
        if (sscanf(line, "%lf %lf", &quota, &period) != 2) return 0;
    } else if (!read_number(folder, "cpu.cfs_quota_us", &quota) || /* -1: none */
               !read_number(folder, "cpu.cfs_period_us", &period)) {
        return 0;
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* Above memory.high a process is slowed down until it hardly runs: a limit, too. "max" is no
 * number, and v1's word for none is one near 2^63. */
static double bytes_of_group(const char *folder, bool v2) {
    static const char *const files[2][2] = {{"memory.limit_in_bytes", NULL},
                                            {"memory.max", "memory.high"}};
    double least = 0, bytes;
    for (int i = 0; i < 2 && files[v2][i]; i++) {
        if (!read_number(folder, files[v2][i], &bytes) || bytes < 1 || bytes > 0x1p62) continue;
        if (least <= 0 || bytes < least) least = bytes;
    }
    return least;
}

static void take_least(double *least, double value) {
    if (value > 0 && (*least <= 0 || value < *least)) *least = value;
}

/* The least of a group and those above it. Inside a container the group's path may be the host's,
 * which is not mounted: then only the top answers. */
static double least_of_groups(const char *mount, const char *group, bool v2, group_limit *limit) {
    char folder[PATH_BYTES];
    size_t top = strlen(mount);
    int n = snprintf(folder, sizeof folder, "%s%s", mount, group);
    if (n < 0 || n >= PATH_BYTES) return 0;
    double least = 0;
    for (size_t end = strlen(folder);; end--) {
        if (end > top && folder[end] && folder[end] != '/') continue;
        folder[end] = 0;
        take_least(&least, limit(folder, v2));
        if (end <= top) return least;
    }
}

/* Is `word` one of the comma-separated words of `list`? */
static bool lists(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (!strncmp(at, word, length) && (at[length] == ',' || !at[length])) return true;
    }
    return false;
}

/* The least limit of all groups that this process is in; 0: none. mounts: where the controller may
 * be found in v1, up to three. */
static double least_of_controller(const char *root, const char *controller,
                                  const char *const mounts_v1[3], group_limit *limit) {
    /* v2 alone, v2 beside v1 */
    static const char *const mounts_v2[3] = {"", "unified", NULL};
    char path[PATH_BYTES], line[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= PATH_BYTES) return 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    double least = 0;
    while (fgets(line, sizeof line, file)) { /* "4:cpu,cpuacct:/group" or, for v2, "0::/group" */
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        controllers++;
        *group++ = 0;
        bool v2 = !*controllers;
        if (!v2 && !lists(controllers, controller)) continue;
        const char *const *mounts = v2 ? mounts_v2 : mounts_v1;
        for (int i = 0; i < 3 && mounts[i]; i++) {
            int n = snprintf(path, sizeof path, "%s/sys/fs/cgroup%s%s", root, *mounts[i] ? "/" : "",
                             mounts[i]);
            if (n < 0 || n >= PATH_BYTES) continue;
            take_least(&least, least_of_groups(path, strcmp(group, "/") ? group : "", v2, limit));
        }
    }
    fclose(file);
    return least;
}

double tr_cpu_quota_under(const char *root) {
    static const char *const mounts[3] = {"cpu", "cpu,cpuacct", "cpuacct,cpu"};
    return least_of_controller(root, "cpu", mounts, cpus_of_group);
}

double tr_cpu_quota(void) {
    return tr_cpu_quota_under("");
}

/* ---- memory that it may hold ---- */

typedef struct least_limit {
    int64_t bytes;
    const char *name;
} least_limit;

static void take_limit(least_limit *least, int64_t bytes, const char *name) {
    if (bytes >= least->bytes) return;
    *least = (least_limit){bytes, name};
}

/* These limits count addresses, resident or not: addresses that are not resident are taken off. */
static void take_rlimit(least_limit *least, int resource, int64_t addresses, int64_t resident,
                        const char *name) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY) return;
    if (limit.rlim_cur > (rlim_t)INT64_MAX) return;
    int64_t others = addresses < 0 || resident < 0 ? 0 : tr_max(0, addresses - resident);
    take_limit(least, tr_max(0, (int64_t)limit.rlim_cur - others), name);
}

int64_t tr_memory_limit_under(const char *root, const char **name) {
    static const char *const mounts[3] = {"memory", NULL, NULL};
    least_limit least = {INT64_MAX, ""};
    int64_t total = read_kib(root, "meminfo", "MemTotal");
    if (total < 0 && !*root) { /* no /proc */
        long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
        if (pages > 0 && bytes > 0 && pages < INT64_MAX / bytes) total = (int64_t)pages * bytes;
    }
    if (total > 0) take_limit(&least, total, "the machine's memory");
    double group = least_of_controller(root, "memory", mounts, bytes_of_group);
    if (group > 0) take_limit(&least, (int64_t)group, "the control group's memory limit");
    int64_t resident = read_kib(root, "self/status", "VmRSS");
    take_rlimit(&least, RLIMIT_AS, read_kib(root, "self/status", "VmSize"), resident,
                "the limit on addresses (ulimit -v)");
    take_rlimit(&least, RLIMIT_DATA, read_kib(root, "self/status", "VmData"), resident,
                "the limit on data (ulimit -d)");
    if (name) *name = least.name;
    return least.bytes;
}

int64_t tr_memory_limit(const char **name) {
    return tr_memory_limit_under("", name);
}
