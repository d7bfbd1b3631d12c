/* Can so many threads be started? Tested before a region is opened, because libgomp ends the
 * process when one of its threads cannot be.
 *
 * All are started at once, with the stack that OpenMP will give them, and end again; OpenMP can
 * then start as many. If another process under the same limit starts threads in between, libgomp
 * still ends the process.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "threads/topology.h"

enum {
    LEAST_STACK = 40 << 10, /* bytes that must be free in a new thread: a step takes about 10 KiB */
    TRIES = 20,             /* threads that have just ended may still count */
    TRY_NS = 5 * 1000 * 1000,
};

typedef struct probe {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    bool leave;
    bool short_of_stack;
} probe;

typedef struct probe_thread {
    probe *shared;
    pthread_t thread;
    long id;
} probe_thread;

/* The bytes of this thread's stack that are still free; SIZE_MAX where unknown. */
static size_t free_stack(void) {
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return SIZE_MAX;
    int reason = pthread_attr_getstack(&attributes, &lowest, &bytes);
    pthread_attr_destroy(&attributes);
    const char *here = (const char *)__builtin_frame_address(0);
    return reason == 0 ? (size_t)(here - (const char *)lowest) : SIZE_MAX;
}

static void *probe_main(void *arg) {
    probe_thread *self = arg;
    probe *shared = self->shared;
    bool short_of_stack = free_stack() < LEAST_STACK;
    pthread_mutex_lock(&shared->mutex);
    self->id = tr_thread_id();
    if (short_of_stack) shared->short_of_stack = true;
    while (!shared->leave) pthread_cond_wait(&shared->change, &shared->mutex);
    pthread_mutex_unlock(&shared->mutex);
    return NULL;
}

static int start_all(probe *shared, probe_thread *threads, int n, const pthread_attr_t *attributes,
                     int *reason) {
    for (int i = 0; i < n; i++) {
        threads[i].shared = shared;
        for (int t = 0; t < TRIES; t++) {
            *reason = pthread_create(&threads[i].thread, attributes, probe_main, &threads[i]);
            if (*reason != EAGAIN) break;
            nanosleep(&(struct timespec){0, TRY_NS}, NULL);
        }
        if (*reason != 0) return i;
    }
    return n;
}

/* A joined thread counts in the limits of the system for a moment longer. */
static void await_exit(long id) {
    for (int t = 0; t < TRIES && tr_thread_exists(id); t++)
        nanosleep(&(struct timespec){0, t * 10000L}, NULL);
}

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void lock_starting(void) {
    pthread_mutex_lock(&starting);
}
static void unlock_starting(void) {
    pthread_mutex_unlock(&starting);
}

/* A fork waits until no thread is starting others: in its child the lock would stay locked. */
static void watch_forks(void) {
    (void)pthread_atfork(lock_starting, unlock_starting, unlock_starting);
}

void tr_start_begin(void) {
    pthread_once(&once, watch_forks);
    lock_starting();
}
void tr_start_end(void) {
    unlock_starting();
}

int tr_probe_threads(int n, tr_error *err) {
    if (n < 1) return TR_OK;
    if (!tr_load_unwinder())
        return tr_fail(err, TR_ENOMEM, "out of memory for the library by which threads end");
    probe shared = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};
    pthread_attr_t attributes;
    const char *name;
    size_t bytes = tr_thread_stack(&name);
    probe_thread *threads = tr_alloc((size_t)n, sizeof *threads, err);
    if (threads == NULL) return TR_ENOMEM;
    if (pthread_attr_init(&attributes) != 0) {
        tr_free(threads);
        return tr_fail(err, TR_ENOMEM, "out of memory for the attributes of a thread");
    }
    if (bytes != 0 && pthread_attr_setstacksize(&attributes, bytes) != 0)
        name = NULL; /* as OpenMP */

    int reason = 0, n_started = start_all(&shared, threads, n, &attributes, &reason);
    pthread_mutex_lock(&shared.mutex);
    shared.leave = true;
    pthread_cond_broadcast(&shared.change);
    pthread_mutex_unlock(&shared.mutex);
    for (int i = 0; i < n_started; i++) pthread_join(threads[i].thread, NULL);
    for (int i = 0; i < n_started; i++) await_exit(threads[i].id);
    pthread_attr_destroy(&attributes);
    tr_free(threads);

    if (n_started < n)
        return tr_fail(err, TR_ESYSTEM,
                       "only %d of %d threads can be started: %s (a limit on processes, threads or "
                       "memory%s%s)",
                       n_started + 1, n + 1, strerror(reason), name ? ", or " : "",
                       name ? name : "");
    if (shared.short_of_stack)
        return tr_fail(err, TR_ESYSTEM,
                       "threads have too small a stack: %s must leave %d KiB free, as 64k does",
                       name ? name : "ulimit -s", LEAST_STACK >> 10);
    return TR_OK;
}
