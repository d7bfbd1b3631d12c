/* Placement: which CPU each thread of the team gets. A pure function of the topology.
 *
 * CPUs are put in one order of preference and threads take them from the front:
 *   1. the first CPU of every core before any SMT sibling,
 *   2. among those, faster kinds of core before slower ones,
 *   3. among those, NUMA nodes round-robin (spread) or one after the other (compact),
 *   4. the machine's order.
 * Example, 2 nodes of 2 cores of 2 CPUs numbered 0-7: spread 0 4 2 6 1 5 3 7, compact 0 2 4 6 1 3
 * 5 7.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "threads/topology.h"

typedef struct seat {
    const tr_cpu *cpu;
    int round; /* spread: how many of the same preference its node has before it; compact: 0 */
} seat;

static int by_preference(const void *left, const void *right) {
    const seat *a = left, *b = right;
    if (a->cpu->smt != b->cpu->smt) return a->cpu->smt < b->cpu->smt ? -1 : 1;
    if (a->cpu->speed != b->cpu->speed) return a->cpu->speed > b->cpu->speed ? -1 : 1;
    if (a->round != b->round) return a->round < b->round ? -1 : 1;
    if (a->cpu->node != b->cpu->node) return a->cpu->node < b->cpu->node ? -1 : 1;
    return a->cpu < b->cpu ? -1 : a->cpu > b->cpu;
}

static int by_os_index(const void *left, const void *right) {
    int a = ((const seat *)left)->cpu->os, b = ((const seat *)right)->cpu->os;
    return a < b ? -1 : a > b;
}

/* All CPUs in order of preference. */
static void order_seats(const tr_topology *t, tr_spread spread, seat *seats) {
    for (int i = 0; i < t->n_cpus; i++) seats[i] = (seat){.cpu = &t->cpu[i]};
    qsort(seats, (size_t)t->n_cpus, sizeof *seats, by_preference);
    if (spread != TR_SPREAD) return;
    for (int i = 1; i < t->n_cpus; i++) { /* seats of one preference and node now lie together */
        const tr_cpu *a = seats[i - 1].cpu, *b = seats[i].cpu;
        bool same = a->smt == b->smt && a->speed == b->speed && a->node == b->node;
        seats[i].round = same ? seats[i - 1].round + 1 : 0;
    }
    qsort(seats, (size_t)t->n_cpus, sizeof *seats, by_preference);
}

/* "0-3,8" for the CPUs of seats[0..n), which it sorts by index. Whole ranges only, as many as fit:
 * the result always is a valid cpulist. Returns whether all fitted. */
static bool write_cpulist(seat *seats, int n, char *out, size_t bytes) {
    size_t used = 0;
    out[0] = '\0';
    qsort(seats, (size_t)n, sizeof *seats, by_os_index);
    for (int i = 0; i < n;) {
        int first = seats[i].cpu->os, last = first;
        for (i++; i < n && seats[i].cpu->os == last + 1; i++) last++;
        char range[32];
        const char *comma = used > 0 ? "," : "";
        int length = first == last ? snprintf(range, sizeof range, "%s%d", comma, first)
                                   : snprintf(range, sizeof range, "%s%d-%d", comma, first, last);
        if (used + (size_t)length + 1 > bytes) return false;
        memcpy(out + used, range, (size_t)length + 1);
        used += (size_t)length;
    }
    return true;
}

/* printf at the end of a text of TR_TEXT bytes; what does not fit is cut. */
static void append(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(char *text, const char *format, ...) {
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, TR_TEXT - used, format, args);
    va_end(args);
}

static const char *plural(int n) {
    return n == 1 ? "" : "s";
}

/* seats[0..n): the CPUs that are used. */
static void describe(const tr_topology *t, seat *seats, int n, bool by_default, tr_placement *p) {
    char cpus[96]; /* a long list would hide the rest of the line */
    bool whole = write_cpulist(seats, n, cpus, sizeof cpus);
    p->text[0] = '\0';
    if (p->n_active < p->n_threads)
        append(p->text, "%d threads requested, %d run%s: ", p->n_threads, p->n_active,
               p->n_active == 1 ? "s" : "");
    else
        append(p->text, "%d thread%s on ", p->n_threads, plural(p->n_threads));
    append(p->text, "%d core%s (CPU%s %s%s), %d NUMA node%s", p->n_cores, plural(p->n_cores),
           plural(n), cpus, whole ? "" : ",...", p->n_nodes, plural(p->n_nodes));

    if (by_default && t->n_default > 0) append(p->text, "; OMP_NUM_THREADS=%d", t->n_default);
    if (p->n_active == t->limit) append(p->text, "; OMP_THREAD_LIMIT=%d", t->limit);
    if (p->n_active > t->n_cpus)
        append(p->text, "; not bound: more threads than CPUs");
    else if (t->binder == TR_BINDER_QUOTA)
        append(p->text, "; not bound: the control group grants %d of %d CPUs", t->n_runnable,
               t->n_cpus);
    else if (t->binder == TR_BINDER_USER)
        append(p->text, "; not bound: OMP_PROC_BIND forbids it");
    else if (t->binder == TR_BINDER_UNKNOWN)
        append(p->text, "; not bound: the system does not say which CPUs may be used");
    else if (t->binder == TR_BINDER_OPENMP)
        append(p->text, "; bound by OpenMP as its environment says");
}

int tr_place(const tr_topology *topology, int n_threads, tr_spread spread, bool oversubscribe,
             tr_placement *out, tr_error *err) {
    bool by_default = n_threads == TR_AUTO_THREADS;
    memset(out, 0, sizeof *out);
    if (by_default) n_threads = tr_topology_n_auto(topology);
    if (n_threads < 1 || n_threads > TR_MAX_THREADS)
        return tr_fail(err, TR_ECONFIG, "threads: %d is out of range, allowed are 1 to %d",
                       n_threads, TR_MAX_THREADS);
    const tr_topology *t = topology;
    seat *seats = tr_alloc((size_t)t->n_cpus, sizeof *seats, err);
    int *seen = tr_alloc((size_t)t->n_cores + (size_t)t->n_nodes, sizeof *seen, err);
    if (seats == NULL || seen == NULL) goto fail;
    order_seats(t, spread, seats);

    out->n_threads = n_threads;
    out->n_runnable = t->n_runnable;
    out->n_active = oversubscribe || n_threads < t->n_runnable ? n_threads : t->n_runnable;
    if (out->n_active > t->limit) out->n_active = t->limit;
    int n_seats = out->n_active < t->n_cpus ? out->n_active : t->n_cpus;
    for (int i = 0; i < n_seats; i++) {
        out->n_cores += !seen[seats[i].cpu->core]++;
        out->n_nodes += !seen[t->n_cores + seats[i].cpu->node]++;
    }

    /* A synthetic machine is planned as if it were bound: tests use it so. */
    bool seated = out->n_active <= t->n_cpus &&
                  (t->binder == TR_BINDER_SELF || t->binder == TR_BINDER_SYNTHETIC);
    out->bind = seated && t->binder == TR_BINDER_SELF;
    for (int i = 0; i < out->n_active; i++) out->cpu[i] = seated ? seats[i].cpu->os : -1;
    if (seated)
        (void)write_cpulist(seats + n_seats, t->n_cpus - n_seats, out->loaders,
                            sizeof out->loaders);
    describe(t, seats, n_seats, by_default, out);
    tr_free(seen);
    tr_free(seats);
    return TR_OK;

fail:
    tr_free(seen);
    tr_free(seats);
    return TR_ENOMEM;
}
