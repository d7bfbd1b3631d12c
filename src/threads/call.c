/* The thread of a call: the library computes there, and its caller's thread waits.
 *
 * Nothing of the caller's thread is changed or relied on: neither its stack, which may be small,
 * nor its floating-point mode, locale, signal mask, binding or OpenMP settings. What main has
 * the caller run (tr_call_host) runs on the caller's thread as the caller left it. As the thread
 * is new, so are the threads that OpenMP gives it: those of the program's regions are not used.
 *
 * Protocol: `function` belongs to main's thread while it is NULL and to the caller's otherwise;
 * both look at it, and at `done`, under the mutex.
 */
#include <fenv.h>
#include <locale.h>
#include <omp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "threads/topology.h"

/* Pictures and the largest frames of the benchmarks take some 200 KiB; untouched pages are free. */
enum { STACK_BYTES = 2 << 20 };

struct tr_call {
    int (*main)(tr_call *call, void *arg);
    void *arg;
    tr_error *err;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int (*function)(void *arg); /* what the caller's thread is to run, or NULL */
    void *function_arg;
    int answer;
    bool done;
    int code;
};

/* ---- forks ---- */

static _Atomic long user; /* the process that has opened a team, or 0 */

int tr_check_fork(tr_error *err) {
    long parent = atomic_load(&user);
    if (parent == 0 || parent == tr_process_id()) return TR_OK;
    return tr_fail(err, TR_ESYSTEM,
                   "this process was forked from one that had already computed (process %ld), and "
                   "that one's threads and locks are not usable here: fork before the first use, "
                   "or call exec after fork",
                   parent);
}

void tr_mark_use(void) {
    atomic_store(&user, tr_process_id());
}

/* ---- main's side ---- */

static int run_main(tr_call *call) {
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0) return tr_fail(call->err, TR_ENOMEM, "the C locale cannot be loaded");
    locale_t before = uselocale(plain);
    fesetenv(FE_DFL_ENV); /* a new thread has its creator's mode */
    /* The number of threads is the placement's; these are settings of this thread alone. */
    omp_set_dynamic(0);
    if (omp_get_max_active_levels() < 1) omp_set_max_active_levels(1);
    int code = call->main(call, call->arg);
    uselocale(before);
    freelocale(plain);
    return code;
}

static void *thread_main(void *arg) {
    tr_call *call = arg;
    int code = run_main(call);
    pthread_mutex_lock(&call->mutex);
    call->code = code;
    call->done = true;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->mutex);
    return NULL;
}

int tr_call_host(tr_call *call, int (*function)(void *arg), void *arg) {
    pthread_mutex_lock(&call->mutex);
    call->function_arg = arg;
    call->function = function;
    pthread_cond_broadcast(&call->changed);
    while (call->function != NULL) pthread_cond_wait(&call->changed, &call->mutex);
    int answer = call->answer;
    pthread_mutex_unlock(&call->mutex);
    return answer;
}

/* ---- the caller's side ---- */

/* Signals are for the caller's threads; those that an instruction causes are for their thread. */
static void block_signals(sigset_t *before) {
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++)
        sigdelset(&set, synchronous[i]);
    pthread_sigmask(SIG_BLOCK, &set, before);
}

static int start(tr_call *call, pthread_t *thread) {
    pthread_attr_t attributes;
    sigset_t before;
    int reason = pthread_attr_init(&attributes);
    if (reason != 0) return reason;
    reason = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (reason == 0) {
        block_signals(&before); /* a new thread has its creator's mask */
        tr_start_begin();
        reason = pthread_create(thread, &attributes, thread_main, call);
        tr_start_end();
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    return reason;
}

/* Run the functions that main passes until it has ended. Where a function forked and returned in
 * the child, too, main's thread is missing there: false. */
static bool caller_loop(tr_call *call) {
    long self = tr_process_id();
    pthread_mutex_lock(&call->mutex);
    while (!call->done) {
        if (call->function == NULL) {
            pthread_cond_wait(&call->changed, &call->mutex);
            continue;
        }
        pthread_mutex_unlock(&call->mutex);
        int answer = call->function(call->function_arg);
        if (tr_process_id() != self) return false;
        pthread_mutex_lock(&call->mutex);
        call->answer = answer;
        call->function = NULL;
        pthread_cond_broadcast(&call->changed);
    }
    pthread_mutex_unlock(&call->mutex);
    return true;
}

static int run(tr_call *call) {
    pthread_t thread;
    int reason = start(call, &thread);
    if (reason != 0)
        return tr_fail(call->err, TR_ESYSTEM, "a thread cannot be started: %s", strerror(reason));
    if (!caller_loop(call))
        return tr_fail(call->err, TR_ESYSTEM,
                       "this process was forked by the listener, and the thread that computes is "
                       "in its parent only");
    pthread_join(thread, NULL);
    return call->code;
}

int tr_call_run(int (*main)(tr_call *call, void *arg), void *arg, tr_error *err) {
    tr_call call = {.main = main, .arg = arg, .err = err};
    int code = tr_check_fork(err), cancel;
    if (code) return code;
    if (omp_in_parallel())
        return tr_fail(err, TR_ESYSTEM,
                       "called inside a parallel region of OpenMP, whose threads hold the CPUs: "
                       "call before or after it");
    if (pthread_mutex_init(&call.mutex, NULL) != 0)
        return tr_fail(err, TR_ESYSTEM, "a lock cannot be made");
    if (pthread_cond_init(&call.changed, NULL) != 0) {
        pthread_mutex_destroy(&call.mutex);
        return tr_fail(err, TR_ESYSTEM, "a lock cannot be made");
    }
    /* The new thread uses this one's stack: the wait for it must not be canceled. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    code = run(&call);
    pthread_setcancelstate(cancel, NULL);
    if (tr_check_fork(NULL) == TR_OK) { /* in a fork's child the other thread still waits on them */
        pthread_cond_destroy(&call.changed);
        pthread_mutex_destroy(&call.mutex);
    }
    return code;
}
