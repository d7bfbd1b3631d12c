/* The operating system: the machine's name and processor, the date, and signals that ask a program
 * to end. Keeps the number of the signal that came; safe in threads.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

/* ---- the machine ---- */

/* Plain ASCII, one blank for several, none at the ends: the text goes into JSON. */
static void tidy(const char *text, char *out, size_t bytes) {
    size_t n = 0;
    for (; *text && n + 1 < bytes; text++) {
        unsigned char c = (unsigned char)*text;
        bool blank = c <= ' ';
        if (blank && (n == 0 || out[n - 1] == ' ')) continue;
        out[n++] = blank ? ' ' : c < 0x7f ? (char)c : '?';
    }
    while (n > 0 && out[n - 1] == ' ') n--;
    out[n] = '\0';
}

/* The value of the first line "KEY : value" of /proc/cpuinfo; false where there is none. */
static bool read_cpuinfo(const char *root, const char *key, char *out, size_t bytes) {
    char path[4096], line[1024];
    size_t length = strlen(key);
    if (snprintf(path, sizeof path, "%s/proc/cpuinfo", root) >= (int)sizeof path) return false;
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (colon == NULL || strncmp(line, key, length) != 0) continue;
        if (line[length + strspn(line + length, " \t")] != ':') continue;
        tidy(colon + 1, out, bytes);
        found = out[0] != '\0';
    }
    fclose(file);
    return found;
}

void tr_cpu_name_under(const char *root, char *out, size_t bytes) {
    /* x86, MIPS, some ARM and PowerPC kernels; what other ARM kernels give are numbers. */
    static const char *const keys[] = {"model name", "cpu model", "Hardware", "cpu"};
    char implementer[32], part[32];
    struct utsname system;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (read_cpuinfo(root, keys[i], out, bytes)) return;
    const char *machine = uname(&system) == 0 ? system.machine : "unknown";
    if (read_cpuinfo(root, "CPU implementer", implementer, sizeof implementer) &&
        read_cpuinfo(root, "CPU part", part, sizeof part))
        snprintf(out, bytes, "%.64s, implementer %s, part %s", machine, implementer, part);
    else
        snprintf(out, bytes, "%s", machine);
}

void tr_cpu_name(char *out, size_t bytes) {
    tr_cpu_name_under("", out, bytes);
}

void tr_host_name(char *out, size_t bytes) {
    struct utsname system;
    tidy(uname(&system) == 0 ? system.nodename : "unknown", out, bytes);
}

void tr_date(char out[TR_DATE]) {
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts) == NULL || strftime(out, TR_DATE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        out[0] = '\0';
}

/* ---- signals ---- */

/* From a user, a batch system, a terminal that is closed, and the limit on CPU time. */
static const struct {
    int number;
    const char *name;
} requests[] = {{SIGINT, "SIGINT"}, {SIGTERM, "SIGTERM"}, {SIGHUP, "SIGHUP"}, {SIGXCPU, "SIGXCPU"}};
enum { N_REQUESTS = sizeof requests / sizeof *requests };

enum { ONE_REQUEST_NS = 100000000 };

static volatile sig_atomic_t caught;
static _Atomic uint64_t caught_at; /* ns */

/* The same signal again within a tenth of a second is one request sent twice, to the
 * process and to its group, as timeout(1) does. Any other does what it does by default. */
static void catch_signal(int number) {
    const struct sigaction action = {.sa_handler = SIG_DFL};
    int before = errno;
    uint64_t now = tr_now_ns();
    if (caught == 0) {
        caught_at = now;
        caught = number;
    } else if (number != caught || now - caught_at > ONE_REQUEST_NS) {
        sigaction(number, &action, NULL);
        raise(number); /* when this function returns */
    }
    errno = before;
}

void tr_catch_signals(void) {
    struct sigaction action = {.sa_handler = catch_signal, .sa_flags = SA_RESTART}, before;
    for (int i = 0; i < N_REQUESTS; i++) sigaddset(&action.sa_mask, requests[i].number);
    for (int i = 0; i < N_REQUESTS; i++) {
        /* Ignored since before exec, as in a background job: stays ignored. */
        if (sigaction(requests[i].number, NULL, &before) || before.sa_handler == SIG_IGN) continue;
        sigaction(requests[i].number, &action, NULL);
    }
}

int tr_caught_signal(const char **name) {
    int number = caught;
    if (name) *name = "";
    for (int i = 0; name && i < N_REQUESTS; i++)
        if (requests[i].number == number) *name = requests[i].name;
    return number;
}
