/* The team: one OpenMP region for a whole run, with its own jobs and barriers.
 *
 * Everything between threads goes through mailboxes: words with one sender and one receiver at a
 * time, each on a cache line of the receiver. A mailbox holds 2 * sequence number + asleep.
 *
 *   post:  exchanges the word for a new sequence number. If `asleep` was set in the old word, it
 *          wakes the owner.
 *   await: spins until the sequence number is there, for a bounded time; then sets `asleep` with a
 *          compare-and-swap (which fails if the number came meanwhile) and waits on its condition
 *          variable, checking the word again under its mutex.
 *
 * No wake-up is lost: exchange and compare-and-swap of one word are ordered, so either the sender
 * sees `asleep` or the owner sees the number; and the sender passes through the owner's mutex
 * between exchange and signal, so the owner either checks the word after the exchange or is
 * waiting already. The exchange is a release, the read that ends await an acquire: what was written
 * before post is seen after await, and so, hop by hop, across a barrier, a job's start and its end.
 *
 * Jobs go down a binomial tree from thread 0 (the parent of a thread is the thread without its
 * lowest set bit) and their ends come back up it. The barrier is the dissemination barrier of
 * Hensgen, Finkel and Manber (1988): in round k thread r posts to r + 2^k and awaits r - 2^k,
 * modulo n; ceil(log2 n) rounds, so that two threads cost one transfer of a cache line. One thread
 * uses no atomics at all.
 */
#include <assert.h>
#include <fenv.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>

#include "threads/topology.h"

enum {
    MAX_ROUNDS = 10, /* log2(TR_MAX_THREADS) */

    /* How long to spin before sleep. To wake a thread takes 5 to 50 us, more in a virtual machine;
     * spinning about that long costs at most twice what the best choice in hindsight would. */
    SPIN_NS = 50 * 1000,
    SPINS_PER_LOOK = 64, /* at the clock, which costs as much as some pauses */
    /* With more threads than can run at once, one that spins keeps the awaited one from its CPU. It
     * yields the CPU instead, which is cheaper than sleep as long as the others are busy. */
    YIELD_NS = 50 * 1000,
};
_Static_assert(TR_MAX_THREADS <= 1 << MAX_ROUNDS, "the barrier has a mailbox for each round");

typedef _Atomic uint64_t mailbox;

typedef struct line {
    _Alignas(TR_ALIGN) mailbox box;
} line;

/* What a thread is to do. */
typedef struct team_job {
    void (*run)(int thread, void *arg); /* NULL: leave the region */
    void *arg;
    int n;            /* threads 0..n-1 take part */
    uint64_t barrier; /* sequence number of the last barrier before this job */
} team_job;

/* What belongs to one thread. */
typedef struct member {
    _Alignas(TR_ALIGN) mailbox start; /* the number of the job in `next`, on the same line */
    team_job next;            /* written by the parent before it posts, read by the owner after */
    line done[MAX_ROUNDS];    /* from child r + 2^k: number of the job that its sub-tree has done */
    line arrived[MAX_ROUNDS]; /* from r - 2^k: number of the barrier it has reached */

    /* The owner's alone. */
    _Alignas(TR_ALIGN) uint64_t barrier; /* number of the last barrier: same for all n after it */
    uint64_t number;                     /* of the last job (thread 0: given, others: received) */
    int n;                               /* threads of the current job */

    /* For sleep. The mutex protects no data; it orders the check of a mailbox and the wait. */
    bool made; /* the two below */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
} member;

struct tr_team {
    int size;
    bool oversubscribed; /* more threads than can run at once */
    member *members;
};

/* ---- mailboxes ---- */

static void post(member *owner, mailbox *box, uint64_t sequence) {
    uint64_t old = atomic_exchange_explicit(box, sequence << 1, memory_order_acq_rel);
    if ((old & 1) == 0) return;
    pthread_mutex_lock(&owner->mutex);
    pthread_mutex_unlock(&owner->mutex);
    pthread_cond_signal(&owner->wake);
}

/* "At least": the sender may already be one number further. */
static bool has(const mailbox *box, uint64_t sequence) {
    return atomic_load_explicit(box, memory_order_acquire) >> 1 >= sequence;
}

static void sleep_until(member *me, mailbox *box, uint64_t sequence) {
    uint64_t seen = atomic_load_explicit(box, memory_order_acquire);
    if (seen >> 1 >= sequence) return;
    /* On failure the sender came between, and it can only have brought the number. */
    if (!atomic_compare_exchange_strong_explicit(box, &seen, seen | 1, memory_order_acq_rel,
                                                 memory_order_acquire))
        return;
    pthread_mutex_lock(&me->mutex);
    while (!has(box, sequence)) pthread_cond_wait(&me->wake, &me->mutex);
    pthread_mutex_unlock(&me->mutex);
}

static void await(const tr_team *team, member *me, mailbox *box, uint64_t sequence) {
    if (has(box, sequence)) return;
    uint64_t start = tr_now_ns();
    if (team->oversubscribed) {
        do {
            sched_yield();
            if (has(box, sequence)) return;
        } while (tr_now_ns() - start < YIELD_NS);
    } else {
        do {
            for (int i = 0; i < SPINS_PER_LOOK; i++) {
                tr_pause();
                if (has(box, sequence)) return;
            }
        } while (tr_now_ns() - start < SPIN_NS);
    }
    sleep_until(me, box, sequence);
}

/* ---- jobs ----
 * The children of thread r are r + 1, r + 2, r + 4, ... as long as the step is below r's lowest set
 * bit (any step for thread 0) and the child is below n. */

static bool is_child(int thread, int step, int n) {
    return (thread == 0 || step < (thread & -thread)) && thread + step < n;
}

static void start_children(tr_team *team, int thread, const team_job *work, uint64_t number) {
    int step = 1;
    while (is_child(thread, step, work->n)) step *= 2;
    while (step > 1) { /* the child with the most children first */
        step /= 2;
        member *child = &team->members[thread + step];
        child->next = *work;
        post(child, &child->start, number);
    }
}

static void await_children(tr_team *team, int thread, int n, uint64_t number) {
    member *me = &team->members[thread];
    for (int k = 0; is_child(thread, 1 << k, n); k++) await(team, me, &me->done[k].box, number);
}

static void report_done(tr_team *team, int thread, uint64_t number) {
    member *parent = &team->members[thread & (thread - 1)];
    post(parent, &parent->done[__builtin_ctz((unsigned)thread)].box, number);
}

/* The jobs of every thread but 0. */
static void worker_loop(tr_team *team, int thread) {
    member *me = &team->members[thread];
    for (;;) {
        await(team, me, &me->start, me->number + 1);
        uint64_t number = atomic_load_explicit(&me->start, memory_order_relaxed) >> 1;
        team_job work = me->next;
        start_children(team, thread, &work, number);
        if (work.run == NULL) return;
        me->number = number;
        me->barrier = work.barrier;
        me->n = work.n;
        work.run(thread, work.arg);
        await_children(team, thread, work.n, number);
        report_done(team, thread, number);
    }
}

void tr_team_do(tr_team *team, int n, void (*job)(int thread, void *arg), void *arg) {
    assert(n >= 1 && n <= team->size);
    member *me = &team->members[0];
    me->n = n;
    if (n == 1) {
        job(0, arg);
        return;
    }
    team_job work = {.run = job, .arg = arg, .n = n, .barrier = me->barrier};
    me->number++;
    start_children(team, 0, &work, me->number);
    job(0, arg);
    await_children(team, 0, n, me->number);
}

void tr_team_barrier(tr_team *team, int thread) {
    member *me = &team->members[thread];
    int n = me->n;
    if (n == 1) return;
    uint64_t sequence = ++me->barrier;
    for (int k = 0, step = 1; step < n; k++, step *= 2) {
        member *to = &team->members[thread + step < n ? thread + step : thread + step - n];
        post(to, &to->arrived[k].box, sequence);
        await(team, me, &me->arrived[k].box, sequence);
    }
}

int tr_team_size(const tr_team *team) {
    return team->size;
}

/* ---- the region ---- */

static void destroy(tr_team *team) {
    for (int i = 0; team->members != NULL && i < team->size && team->members[i].made; i++) {
        pthread_cond_destroy(&team->members[i].wake);
        pthread_mutex_destroy(&team->members[i].mutex);
    }
    tr_free(team->members);
}

static int create(tr_team *team, const tr_placement *placement, tr_error *err) {
    *team = (tr_team){.size = placement->n_active,
                      .oversubscribed = placement->n_active > placement->n_runnable};
    team->members = tr_alloc((size_t)team->size, sizeof *team->members, err);
    if (team->members == NULL) return TR_ENOMEM;
    for (int i = 0; i < team->size; i++) {
        member *m = &team->members[i];
        if (pthread_mutex_init(&m->mutex, NULL) != 0) goto fail;
        if (pthread_cond_init(&m->wake, NULL) != 0) {
            pthread_mutex_destroy(&m->mutex);
            goto fail;
        }
        m->made = true;
    }
    return TR_OK;

fail:
    destroy(team);
    return tr_fail(err, TR_ESYSTEM, "cannot make the locks of %d threads", team->size);
}

static void shut_down(tr_team *team) {
    team_job leave = {.n = team->size};
    start_children(team, 0, &leave, team->members[0].number + 1);
}

int tr_team_run(const tr_placement *placement, void (*main)(tr_team *team, void *arg), void *arg,
                tr_error *err) {
    assert(placement->n_active >= 1 && placement->n_active <= TR_MAX_THREADS);
    tr_team team;
    int rc = tr_check_fork(err);
    if (rc == TR_OK) rc = create(&team, placement, err);
    if (rc != TR_OK) return rc;
    tr_mark_use();
    tr_start_begin();
    rc = tr_probe_threads(team.size - 1, err);
    if (rc != TR_OK) {
        tr_start_end();
        destroy(&team);
        return rc;
    }

    /* OpenMP's threads outlive the region and new ones inherit the binding of the thread that opens
     * it, so each binds itself in it and restores its binding, and the floating-point mode, too. */
    int n_given = 0;
#pragma omp parallel num_threads(team.size)
    {
        int thread = omp_get_thread_num(), n = omp_get_num_threads();
        if (thread == 0) {
            n_given = n;
            tr_start_end(); /* all are started */
        }
        if (n == team.size) {
            fenv_t mode;
            fegetenv(&mode);
            void *binding = placement->bind ? tr_bind_push(placement->cpu[thread]) : NULL;
            fesetenv(FE_DFL_ENV);
            tr_flush_subnormals();
            if (thread == 0) {
                main(&team, arg);
                shut_down(&team);
            } else {
                worker_loop(&team, thread);
            }
            tr_bind_pop(binding);
            fesetenv(&mode);
        }
    }
    if (n_given != team.size)
        rc = tr_fail(err, TR_ESYSTEM,
                     "OpenMP gives %d of %d threads: OMP_THREAD_LIMIT or a parallel region around "
                     "this call holds the others back",
                     n_given, team.size);
    destroy(&team);
    return rc;
}
