/* The team: threads, jobs, barriers, sleep and wake-up, and what a region leaves behind.
 *
 * Check forks no test here, for libgomp hangs in the child of a process that had a region. A lost
 * wake-up shows as a test that never ends; Meson's limit on time ends it.
 */
#include <float.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "on_team.h"

enum { MAX_TEAM = 16 };

static void nap(int microseconds) {
    struct timespec t = {0, microseconds * 1000L};
    nanosleep(&t, NULL);
}

/* A small generator for the order of tests; not the engine's. */
static unsigned next_random(unsigned *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* ---- jobs ---- */

typedef struct coverage {
    int size, runs[MAX_TEAM]; /* plain on purpose: seen by thread 0 only through the end of a job */
    pthread_t caller;
    unsigned seed;
} coverage;

static void count_thread(int thread, void *arg) {
    coverage *c = arg;
    c->runs[thread]++;
}

static void cover(tr_team *team, void *arg) {
    coverage *c = arg;
    ck_assert(pthread_equal(pthread_self(), c->caller));
    ck_assert_int_eq(tr_team_size(team), c->size);
    tr_team_do(team, c->size, count_thread, c);
    for (int r = 0; r < MAX_TEAM; r++) ck_assert_int_eq(c->runs[r], r < c->size);
    int want[MAX_TEAM];
    memcpy(want, c->runs, sizeof want);
    for (int i = 0; i < 300; i++) { /* threads 0..n-1, no others */
        int n = 1 + (int)(next_random(&c->seed) % (unsigned)c->size);
        tr_team_do(team, n, count_thread, c);
        for (int r = 0; r < n; r++) want[r]++;
        ck_assert_mem_eq(c->runs, want, sizeof want);
    }
}

START_TEST(threads) {
    static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 13, 16};
    coverage c = {.size = sizes[_i], .caller = pthread_self(), .seed = (unsigned)_i};
    on_team(c.size, cover, &c);
}
END_TEST

static void do_nothing(int thread, void *arg) {
    (void)thread, (void)arg;
}

static void count_sleeps(int thread, void *arg) {
    struct rusage use;
    getrusage(RUSAGE_THREAD, &use);
    ((long *)arg)[thread] = use.ru_nvcsw;
}

static void small_jobs(tr_team *team, void *arg) {
    enum { JOBS = 1000 };
    long before[3], after[3];
    (void)arg;
    tr_team_do(team, 3, count_sleeps, before);
    for (int i = 0; i < JOBS; i++) {
        if (i == 0) nap(5000); /* thread 2 falls asleep */
        tr_team_do(team, 2, do_nothing, NULL);
    }
    tr_team_do(team, 3, count_sleeps, after);
    /* Each wake-up would end in another sleep. A few are the first sleep and the machine's. */
    ck_assert_int_lt(after[2] - before[2], JOBS / 20);
}

START_TEST(rest_sleeps) {
    on_team(3, small_jobs, NULL);
}
END_TEST

static void sleepy_jobs(tr_team *team, void *arg) {
    coverage *c = arg;
    for (int i = 0; i < 40; i++) { /* naps around the time at which waiting turns into sleep */
        nap(i * 5);
        tr_team_do(team, c->size, count_thread, c);
    }
    for (int r = 0; r < c->size; r++) ck_assert_int_eq(c->runs[r], 40);
}

START_TEST(wake_ups) {
    coverage c = {.size = 1 + _i};
    on_team(c.size, sleepy_jobs, &c);
}
END_TEST

/* ---- barriers ---- */

typedef struct rounds {
    tr_team *team;
    int n, n_rounds;
    int naps;            /* every so many rounds one thread is late; 0: none */
    long slot[MAX_TEAM]; /* plain: only the barrier orders them */
    atomic_int n_wrong;
} rounds;

/* Between two barriers all slots show the same round: none is early, none late, none unseen. */
static void check_rounds(int thread, void *arg) {
    rounds *b = arg;
    for (int i = 1; i <= b->n_rounds; i++) {
        if (b->naps && i % b->naps == 0 && i / b->naps % b->n == thread) nap(100);
        b->slot[thread] = i;
        tr_team_barrier(b->team, thread);
        for (int r = 0; r < b->n; r++)
            if (b->slot[r] != i) atomic_fetch_add(&b->n_wrong, 1);
        tr_team_barrier(b->team, thread);
    }
}

static void all_rounds(tr_team *team, void *arg) {
    rounds *b = arg;
    b->team = team;
    tr_team_do(team, b->n, check_rounds, b);
    ck_assert_int_eq(b->n_wrong, 0);
    b->n_rounds /= 10;
    b->naps = 7;
    tr_team_do(team, b->n, check_rounds, b);
    ck_assert_int_eq(b->n_wrong, 0);
}

START_TEST(barriers) {
    static const struct {
        int n, n_rounds;
    } cases[] = {{1, 100000}, {2, 50000}, {3, 3000}, {4, 3000}, {5, 2000}, {8, 1000}, {16, 300}};
    rounds b = {.n = cases[_i].n, .n_rounds = cases[_i].n_rounds};
    on_team(b.n, all_rounds, &b);
}
END_TEST

/* Jobs of changing n and numbers of barriers: partners of a barrier change from job to job. */
static void mixed(tr_team *team, void *arg) {
    rounds *b = arg;
    unsigned seed = 1;
    b->team = team;
    for (int i = 0; i < 300; i++) {
        b->n = 1 + (int)(next_random(&seed) % (unsigned)tr_team_size(team));
        b->n_rounds = (int)(next_random(&seed) % 4);
        memset(b->slot, 0, sizeof b->slot);
        tr_team_do(team, b->n, check_rounds, b);
        for (int r = 0; r < b->n; r++) ck_assert_int_eq(b->slot[r], b->n_rounds);
    }
    ck_assert_int_eq(b->n_wrong, 0);
}

START_TEST(mixed_jobs) {
    rounds b = {0};
    on_team(_i, mixed, &b);
}
END_TEST

/* Many more threads than CPUs must not wait for each other by spinning or for a time slice. On two
 * CPUs these 4400 barriers were seen to take 0.08 s; 1.4 s where waiting threads spin for 50 us,
 * over 10 s with slices of 3 ms. The limit leaves room for a machine that is busy with other
 * things. */
START_TEST(crowd) {
    rounds b = {.n = 8, .n_rounds = 2000};
    double start = tr_now();
    on_team(b.n, all_rounds, &b);
    ck_assert_double_lt(tr_now() - start, 1.0);
}
END_TEST

/* ---- regions ---- */

START_TEST(repeated) {
    for (int i = 0; i < 30; i++) {
        coverage c = {.size = 1 + i % 4, .caller = pthread_self()};
        on_team(c.size, i % 3 == 0 ? sleepy_jobs : cover, &c);
    }
}
END_TEST

static void *run_beside(void *arg) {
    coverage *c = arg;
    c->caller = pthread_self();
    on_team(c->size, cover, c);
    return NULL;
}

START_TEST(two_teams) {
    coverage a = {.size = 2}, b = {.size = 3};
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, run_beside, &a), 0);
    run_beside(&b);
    pthread_join(other, NULL);
}
END_TEST

static float half(float x) {
    volatile float y = x;
    return y * 0.5f;
}

static void see_mode(int thread, void *arg) {
    ((float *)arg)[thread] = half(FLT_MIN);
}

static void see_modes(tr_team *team, void *arg) {
    float seen[MAX_TEAM];
    (void)arg;
    tr_team_do(team, tr_team_size(team), see_mode, seen);
    for (int r = 0; r < tr_team_size(team); r++) ck_assert(seen[r] == 0.0f);
}

START_TEST(subnormals) {
    float before = half(FLT_MIN);
    ck_assert(before > 0);
    on_team(1, see_modes, NULL);
    on_team(4, see_modes, NULL);
    ck_assert(half(FLT_MIN) == before); /* the caller's mode is as it was */
}
END_TEST

typedef struct bindings {
    const tr_placement *placement;
    cpu_set_t set[MAX_TEAM];
} bindings;

static void see_binding(int thread, void *arg) {
    bindings *b = arg;
    sched_getaffinity(0, sizeof b->set[thread], &b->set[thread]);
}

static void see_bindings(tr_team *team, void *arg) {
    bindings *b = arg;
    tr_team_do(team, tr_team_size(team), see_binding, b);
}

/* Bound in the run; after it the caller is as it was, and so are OpenMP's threads: a run that does
 * not bind finds none of them still bound. */
START_TEST(bound_and_back) {
    cpu_set_t before, after;
    bindings b;
    tr_error err = {0};
    tr_placement *p = tr_alloc(1, sizeof *p, &err);
    ck_assert_ptr_nonnull(p);
    int n = (int)tr_min(MAX_TEAM, tr_topology_n_runnable(machine));
    ck_assert_int_eq(tr_place(machine, n, TR_SPREAD, false, p, &err), TR_OK);
    sched_getaffinity(0, sizeof before, &before);
    for (int bind = p->bind; bind >= 0; bind--) {
        p->bind = bind;
        ck_assert_int_eq(tr_team_run(p, see_bindings, &b, &err), TR_OK);
        for (int r = 0; r < n && bind; r++) {
            ck_assert_int_eq(CPU_COUNT(&b.set[r]), 1);
            ck_assert(CPU_ISSET(p->cpu[r], &b.set[r]));
        }
        for (int r = 0; r < n && !bind && machine->binder != TR_BINDER_OPENMP; r++)
            ck_assert(CPU_EQUAL(&b.set[r], &before));
        sched_getaffinity(0, sizeof after, &after);
        ck_assert(CPU_EQUAL(&after, &before));
    }
    tr_free(p);
}
END_TEST

static void never(tr_team *team, void *arg) {
    (void)team;
    *(bool *)arg = true;
}

START_TEST(failures) {
    bool called = false;
    tr_error err = {0};
    tr_placement *p = tr_alloc(1, sizeof *p, &err);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(tr_place(machine, 4, TR_SPREAD, true, p, &err), TR_OK);

    int levels = omp_get_max_active_levels();
    omp_set_max_active_levels(0); /* OpenMP gives one thread, whatever is requested */
    ck_assert_int_eq(tr_team_run(p, never, &called, &err), TR_ESYSTEM);
    omp_set_max_active_levels(levels);
    ck_assert_str_eq(err.text, "OpenMP gives 1 of 4 threads: OMP_THREAD_LIMIT or a parallel region "
                               "around this call holds the others back");

    err = (tr_error){0};
    tr_alloc_fail_after(0);
    ck_assert_int_eq(tr_team_run(p, never, &called, &err), TR_ENOMEM);
    tr_alloc_fail_after(-1);
    ck_assert(!called);
    tr_free(p);
}
END_TEST

/* Holds the lock of those who start threads while `main` forks. */
static void *hold_lock(void *arg) {
    pthread_barrier_t *held = arg;
    tr_start_begin();
    pthread_barrier_wait(held);
    nanosleep(&(struct timespec){0, 50 * 1000 * 1000}, NULL);
    tr_start_end();
    return NULL;
}

/* The child of a fork made meanwhile can start threads: it must not wait for its parent's. */
START_TEST(fork_while_starting) {
    pthread_barrier_t held;
    pthread_t thread;
    int status;
    ck_assert_int_eq(pthread_barrier_init(&held, NULL, 2), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, hold_lock, &held), 0);
    pthread_barrier_wait(&held);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        tr_start_begin();
        tr_start_end();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&held);
}
END_TEST

static Suite *team_suite(void) {
    Suite *suite = suite_create("team");
    TCase *all = tcase_create("team");
    tcase_add_unchecked_fixture(all, load_machine, NULL);
    tcase_add_loop_test(all, threads, 0, 9);
    tcase_add_test(all, rest_sleeps);
    tcase_add_loop_test(all, wake_ups, 0, 5);
    tcase_add_loop_test(all, barriers, 0, 7);
    tcase_add_loop_test(all, mixed_jobs, 1, 9);
    tcase_add_test(all, crowd);
    tcase_add_test(all, repeated);
    tcase_add_test(all, two_teams);
    tcase_add_test(all, subnormals);
    tcase_add_test(all, bound_and_back);
    tcase_add_test(all, failures);
    tcase_add_test(all, fork_while_starting);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(team_suite());
}
