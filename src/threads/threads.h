/* The module `threads`: which CPUs there are, which thread runs where, and the OpenMP team.
 *
 * The only module with `#pragma omp`. Results never depend on anything decided here: work is
 * divided by tr_part over units that the configuration fixes, whatever the number of threads.
 */
#ifndef TR_THREADS_H
#define TR_THREADS_H

#include "base/base.h"

/* ---- topology and placement (topology.c) ---- */

typedef struct tr_topology tr_topology;

typedef enum tr_spread {
    TR_SPREAD, /* neighbouring threads on different NUMA nodes: the most memory bandwidth */
    TR_COMPACT /* fill one NUMA node before the next: the least latency between threads */
} tr_spread;

/* The machine as this process may use it (cpuset and quota; synthetic NULL or ""), or a synthetic
 * one in hwloc's notation or XML file for tests (binding then does nothing). */
int tr_topology_load(const char *synthetic, tr_topology **out, tr_error *err);
void tr_topology_free(tr_topology *topology);
/* CPUs (PUs) this process may run on, and how many threads can really run at once: CPUs, or the
 * quota of the control group rounded up where that is less; at least 1. */
int tr_topology_n_cpus(const tr_topology *topology);
int tr_topology_n_runnable(const tr_topology *topology);
/* Threads of a team at most, unless oversubscribed: n_runnable, or OMP_THREAD_LIMIT. */
int tr_topology_n_team(const tr_topology *topology);
/* Physical cores among them, capped by tr_topology_n_runnable. */
int tr_topology_n_cores(const tr_topology *topology);
/* What `--threads auto` means: OMP_NUM_THREADS where it is set (it may be more than can run), else
 * one for each core; at most OMP_THREAD_LIMIT. */
int tr_topology_n_auto(const tr_topology *topology);

enum { TR_MAX_THREADS = 1024, TR_AUTO_THREADS = -1 };

typedef struct tr_placement {
    int n_threads;           /* requested */
    int n_active;            /* that run: at most n_runnable, unless oversubscribed, and at most
                                OMP_THREAD_LIMIT */
    int n_runnable;          /* threads that can really run at once: tr_topology_n_runnable */
    int cpu[TR_MAX_THREADS]; /* OS index of the CPU of each active thread; -1: not bound */
    int n_nodes;             /* NUMA nodes used */
    int n_cores;             /* cores used */
    bool bind;               /* false when OpenMP binds or the user forbids it (OMP_PROC_BIND), a
                                quota leaves the choice to the scheduler, it is unknown which
                                CPUs the process may use, the machine is synthetic, or there are more
                                threads than CPUs */
    /* cpulist ("2-3") for loader threads: CPUs no thread uses, as many as fit, else "" (any) */
    char loaders[TR_TEXT];
    /* for display: "2 threads on 2 cores (CPUs 0-1), 1 NUMA node" and, where fewer run than
     * requested: "8 threads requested, 2 run: ..." */
    char text[TR_TEXT];
} tr_placement;

/* Place n_threads threads (TR_AUTO_THREADS: tr_topology_n_auto): performance cores before
 * efficiency cores, one per core before SMT siblings, over NUMA nodes by policy. Fewer CPUs than
 * threads: n_active is cut to what can run at once (more would only wait for each other; the
 * results are the same), unless `oversubscribe`. */
int tr_place(const tr_topology *topology, int n_threads, tr_spread spread, bool oversubscribe,
             tr_placement *out, tr_error *err);
/* Bind the calling thread to the CPUs of a cpulist ("" : leave it). Failure is not an error. */
void tr_bind_self(const char *cpulist);

/* ---- the thread of a call (call.c) ---- */

typedef struct tr_call tr_call;

/* Run main(call, arg) on a new thread and return what it returns: with round-to-nearest, the C
 * locale, a stack of known size and signals blocked, so that nothing of the caller's thread is
 * changed and nothing of it changes a result. The caller's thread waits, and runs what
 * tr_call_host passes to it. TR_ESYSTEM where no thread can be started, within a parallel region of
 * OpenMP, and in the child of a process that had opened a team. */
int tr_call_run(int (*main)(tr_call *call, void *arg), void *arg, tr_error *err);
/* On main's thread: run function(arg) on the caller's and return what it returns. */
int tr_call_host(tr_call *call, int (*function)(void *arg), void *arg);

/* ---- the team (team.c) ----
 * One OpenMP region for a whole run. Thread 0 is the caller's thread and runs `main`; the others
 * wait for jobs, spinning briefly, then asleep. */

typedef struct tr_team tr_team;

/* Open the region with placement->n_active threads (each binds itself, rounds to nearest and
 * flushes subnormals), run main(team, arg) on thread 0, then close it: every thread's binding and
 * floating-point mode are as before. TR_ESYSTEM when the threads cannot be started, OpenMP gives
 * fewer than requested, or the process is the child of one that had opened a team. Not reentrant on
 * one placement; separate calls from separate threads are fine. */
int tr_team_run(const tr_placement *placement, void (*main)(tr_team *team, void *arg), void *arg,
                tr_error *err);
int tr_team_size(const tr_team *team);
/* Run job(thread, arg) on threads 0..n-1 (n <= size; the others stay asleep or waiting) and return
 * when all are done. Thread 0 only. Costs about a microsecond when the others are still spinning.
 */
void tr_team_do(tr_team *team, int n, void (*job)(int thread, void *arg), void *arg);
/* In a job: wait until all n threads of the job have called it. Writes before it are seen after it.
 * All n threads must pass the same number of barriers in a job. */
void tr_team_barrier(tr_team *team, int thread);

#endif
