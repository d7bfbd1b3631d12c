/* Private to the module `threads` and its tests: the machine as a flat list of CPUs, and binding.
 *
 * A topology never changes after it is loaded, so any thread may read it.
 */
#ifndef TR_TOPOLOGY_H
#define TR_TOPOLOGY_H

#include "threads/threads.h"

/* One CPU (hwloc: PU) this process may use. */
typedef struct tr_cpu {
    int os;    /* the operating system's index */
    int core;  /* 0..n_cores-1 */
    int smt;   /* which of its core's usable CPUs: 0 the first, 1 its sibling, ... */
    int node;  /* 0..n_nodes-1; some of these numbers may name no node */
    int speed; /* order of its kind: higher is faster; equal where the machine has one kind */
} tr_cpu;

/* What decides where threads run. */
typedef enum tr_binder {
    TR_BINDER_SELF,      /* the team: each thread binds itself */
    TR_BINDER_SYNTHETIC, /* nothing: the machine is not this one */
    TR_BINDER_QUOTA,     /* the scheduler: the control group grants fewer CPUs than are visible, and
                            other processes in it would bind to the same first ones */
    TR_BINDER_USER,      /* the scheduler, by OMP_PROC_BIND=false */
    TR_BINDER_UNKNOWN,   /* the scheduler: which CPUs the process may use is unknown */
    TR_BINDER_OPENMP     /* OpenMP, by OMP_PROC_BIND, OMP_PLACES or GOMP_CPU_AFFINITY */
} tr_binder;

struct tr_topology {
    tr_cpu *cpu; /* [n_cpus] in the machine's order: neighbours are close */
    int n_cpus, n_cores, n_nodes;
    int n_runnable; /* 1..n_cpus */
    int n_default;  /* threads by OMP_NUM_THREADS, or 0 */
    int limit;      /* threads at most, by OMP_THREAD_LIMIT; INT_MAX: none */
    tr_binder binder;
};

/* How many of n_cpus threads can run at once under a quota in CPUs (0: none). */
int tr_runnable(int n_cpus, double quota);

/* ---- OpenMP's variables (environment.c) ---- */

/* "4" or "4,2": the first number, at most TR_MAX_THREADS; 0 where libgomp would call it invalid. */
int tr_parse_thread_counts(const char *text);
/* "64k", " 2 M ", "512" (KiB): in bytes; 0 where libgomp would call it invalid. */
size_t tr_parse_stack_size(const char *text);
/* OMP_NUM_THREADS, or 0; OMP_THREAD_LIMIT, or INT_MAX. */
int tr_default_threads(void);
int tr_thread_limit(void);
/* The stack of OpenMP's threads, and the variable that sets it; 0 and NULL: the system's default.
 */
size_t tr_thread_stack(const char **name);
/* What binds on this machine, by the user's variables alone. */
tr_binder tr_real_binder(void);

/* ---- threads and forks ---- */

/* One thread of the process at a time starts threads: what one has probed no other uses up
 * (probe.c).
 */
void tr_start_begin(void);
void tr_start_end(void);
/* TR_ESYSTEM unless so many threads can be started by OpenMP, each with enough stack (probe.c). */
int tr_probe_threads(int n, tr_error *err);
/* A team has been opened in this process; TR_ESYSTEM in a child forked after that (call.c). */
void tr_mark_use(void);
int tr_check_fork(tr_error *err);

/* ---- hwloc and binding of the calling thread (bind.c) ---- */

/* Can hwloc discover this machine? Not where sched_getaffinity is refused: it hangs. */
bool tr_may_ask_hwloc(void);
/* Does /sys describe CPUs? Where it does not, hwloc's reader of it only prints errors. */
bool tr_sysfs_knows_cpus(void);

/* Bind to one CPU and return what undoes it, or NULL where the thread stays as it was. */
void *tr_bind_push(int cpu);
/* Undo; NULL is fine. Same thread. */
void tr_bind_pop(void *before);

#endif
