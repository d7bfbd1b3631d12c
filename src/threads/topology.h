/* Private to the room `threads` and its tests: the machine as a flat list of CPUs, and binding.
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
    int speed; /* rank of its kind: higher is faster; equal where the machine has one kind */
} tr_cpu;

/* Who decides where threads run. */
typedef enum tr_binder {
    TR_BINDER_SELF,      /* we do: each thread binds itself */
    TR_BINDER_SYNTHETIC, /* nobody: the machine is not this one */
    TR_BINDER_QUOTA,     /* the scheduler: the control group grants fewer CPUs than are visible, and
                            whoever shares them would bind to the same first ones */
    TR_BINDER_USER,      /* the scheduler, by OMP_PROC_BIND=false */
    TR_BINDER_OPENMP     /* OpenMP, by OMP_PROC_BIND, OMP_PLACES or GOMP_CPU_AFFINITY */
} tr_binder;

struct tr_topology {
    tr_cpu *cpu; /* [n_cpus] in the machine's order: neighbours are close */
    int n_cpus, n_cores, n_nodes;
    int n_runnable; /* 1..n_cpus */
    tr_binder binder;
};

/* How many of n_cpus threads can run at once under a quota in CPUs (0: none). */
int tr_runnable(int n_cpus, double quota);

/* ---- threads and forks ---- */

/* TR_ESYSTEM unless so many threads can be started by OpenMP, each with enough stack (probe.c). */
int tr_probe_threads(int n, tr_error *err);
/* OMP_STACKSIZE in bytes, or 0. */
size_t tr_parse_stack_size(const char *text);
/* A team has been opened in this process; TR_ESYSTEM in a child forked after that (call.c). */
void tr_mark_use(void);
int tr_check_fork(tr_error *err);

/* ---- binding of the calling thread (bind.c) ---- */

/* Bind to one CPU and return what undoes it, or NULL where the thread stays as it was. */
void *tr_bind_push(int cpu);
/* Undo; NULL is fine. Same thread. */
void tr_bind_pop(void *before);

#endif
