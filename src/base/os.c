/* The operating system: clock, floating-point mode, standard descriptors.
 *
 * Files are in os_files.c (reading, folders) and os_save.c (writing), limits in os_limits.c,
 * threads in os_threads.c. Only these call the system (POSIX and Linux); another system needs
 * others of them. Thread-safe.
 */
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "base/base.h"

/* ---- clock ---- */

uint64_t tr_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double tr_now(void) {
    return (double)tr_now_ns() * 1e-9;
}

/* ---- floating point, terminal ---- */

void tr_flush_subnormals(void) {
#if defined(__SSE2__)
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* flush to zero, denormals are zero */
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control |= (uint64_t)1 << 24; /* FZ: both ways */
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#endif
}

bool tr_is_terminal(int descriptor) {
    return isatty(descriptor) == 1;
}

int tr_terminal_width(int descriptor) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) || size.ws_col == 0) return 80;
    return size.ws_col;
}

bool tr_is_closed_pipe(int descriptor) {
    struct pollfd state = {.fd = descriptor, .events = POLLOUT};
    return poll(&state, 1, 0) == 1 && (state.revents & POLLERR);
}

void tr_use_one_heap(void) {
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
#endif
}

void tr_ignore_write_signals(void) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}
