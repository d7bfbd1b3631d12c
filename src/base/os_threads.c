/* The operating system: processes, threads and the CPUs they may use. Keeps no state. */
#include <errno.h>
#if defined __GLIBC__
#include <execinfo.h>
#endif
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"

enum { MAX_CPUS = 1 << 20 }; /* a mask of this many is tried before giving up */

long tr_process_id(void) {
    return (long)getpid();
}

long tr_thread_id(void) {
    return syscall(SYS_gettid);
}

bool tr_thread_exists(long id) {
    return syscall(SYS_tgkill, getpid(), id, 0) == 0 || errno != ESRCH;
}

/* A backtrace needs the same library, libgcc_s, and reports that it cannot be loaded. */
bool tr_load_unwinder(void) {
#if defined __GLIBC__
    void *frame[1];
    return backtrace(frame, 1) > 0;
#else
    return true;
#endif
}

int *tr_own_cpus(int *n) {
    *n = 0;
    for (int bits = 1024; bits <= MAX_CPUS; bits *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)bits);
        size_t bytes = CPU_ALLOC_SIZE((size_t)bits);
        if (set == NULL) return NULL;
        if (sched_getaffinity(0, bytes, set) == 0) {
            int *cpus = tr_alloc((size_t)CPU_COUNT_S(bytes, set), sizeof *cpus, NULL);
            for (int i = 0; cpus != NULL && i < bits; i++)
                if (CPU_ISSET_S((size_t)i, bytes, set)) cpus[(*n)++] = i;
            CPU_FREE(set);
            return cpus;
        }
        CPU_FREE(set);
        if (errno != EINVAL) return NULL; /* EINVAL: the kernel's masks are larger */
    }
    return NULL;
}

int tr_n_online_cpus(void) {
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_CPUS ? MAX_CPUS : (int)n;
}
