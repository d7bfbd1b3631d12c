/* The topology and the placement of threads, on machines that need not exist.
 *
 * Every machine is loaded twice: by the module under test and by hwloc directly, and each placement
 * is held against what hwloc says of the CPUs. Machines with kinds of cores or with CPUs taken away
 * cannot be written as one line: hwloc makes them into an XML file first.
 */
#include <hwloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "threads/topology.h"

enum { MAX_KINDS = 3, MAX_CPUS = 512 };

typedef struct machine {
    const char *text;
    const char *keep; /* cpulist: what the process may use of it; NULL: all */
    struct {
        const char *cpulist;
        int efficiency; /* higher is faster */
    } kinds[MAX_KINDS];
} machine;

static const machine machines[] = {
    {.text = "pu:1"},
    {.text = "pu:2"},
    {.text = "pu:7"},
    {.text = "core:2 pu:1"},
    {.text = "core:4 pu:2"},
    {.text = "core:3 pu:4"},                          /* four-way SMT */
    {.text = "core:6 pu:8"},                          /* eight-way */
    {.text = "core:4 pu:2(indexes=0,4,1,5,2,6,3,7)"}, /* siblings numbered last, as on most PCs */
    {.text = "pack:2 core:4 pu:2"},                   /* two packages on one node */
    {.text = "pack:2 [numa] core:4 pu:2"},            /* one node each */
    {.text = "node:2 core:2 pu:2"},
    {.text = "node:2 core:4 pu:1(indexes=0,2,4,6,1,3,5,7)"}, /* nodes interleaved, as on Dell */
    {.text = "node:3 core:1 pu:1"},
    {.text = "node:4 core:4 pu:2"},
    {.text = "node:8 core:8 pu:1"},
    {.text = "pack:2 node:2 core:6 pu:2"},
    {.text = "pack:2 node:4 l3:2 core:4 pu:2"}, /* 128 CPUs, 8 nodes */
    {.text = "pack:2 l3:4 l2:4 core:1 pu:2"},
    {.text = "[numa] l3:2 [numa] core:2 pu:1"}, /* nodes at two levels: fast and large memory */
    {.text = "pack:4 node:2 core:16 pu:2"},     /* 256 CPUs */
    /* taken away by a batch system: uneven nodes, half cores, a hole in the middle */
    {.text = "node:2 core:4 pu:2", .keep = "0-3,8-15"},
    {.text = "core:8 pu:2", .keep = "1,3-6,9,15"},
    {.text = "node:4 core:2 pu:2", .keep = "4-7,12-14"},
    {.text = "pack:2 node:2 core:6 pu:2", .keep = "5"},
    /* hybrid: 8 fast cores with siblings, 8 slow without */
    {.text = "core:16 pu:2",
     .keep = "0-15,16,18,20,22,24,26,28,30",
     .kinds = {{"0-15", 1}, {"16,18,20,22,24,26,28,30", 0}}},
    /* slow cores first, as on many Arm boards; then three kinds */
    {.text = "core:8 pu:1", .kinds = {{"0-3", 0}, {"4-7", 1}}},
    {.text = "core:8 pu:1", .kinds = {{"0-3", 0}, {"4-6", 1}, {"7", 2}}},
    {.text = "node:2 core:4 pu:2", .kinds = {{"0-3,8-11", 5}, {"4-7,12-15", 3}}},
    {.text = "node:2 core:4 pu:1", .keep = "1-6", .kinds = {{"0-3", 0}, {"4-7", 1}}},
};
enum { N_MACHINES = sizeof machines / sizeof machines[0] };

/* A machine as hwloc sees it. */
typedef struct view {
    hwloc_topology_t hw;
    int n_cpus, n_cores, n_nodes;
    /* by OS index of the CPU; -1 where there is none */
    int core[MAX_CPUS], node[MAX_CPUS], speed[MAX_CPUS];
    int core_cpus[MAX_CPUS], node_cores[MAX_CPUS];
} view;

static tr_topology *load(const char *text) {
    tr_error err = {0};
    tr_topology *t = NULL;
    ck_assert_msg(tr_topology_load(text, &t, &err) == TR_OK, "%s: %s", text ? text : "this machine",
                  err.text);
    return t;
}

/* The text to load a machine by; an XML file where it needs one, which the caller removes. */
static void machine_name(const machine *m, char name[TR_TEXT]) {
    snprintf(name, TR_TEXT, "%s", m->text);
    if (m->keep == NULL && m->kinds[0].cpulist == NULL) return;
    hwloc_topology_t hw;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    ck_assert_int_eq(hwloc_topology_init(&hw), 0);
    ck_assert_int_eq(hwloc_topology_set_synthetic(hw, m->text), 0);
    ck_assert_int_eq(hwloc_topology_load(hw), 0);
    for (int k = 0; k < MAX_KINDS && m->kinds[k].cpulist != NULL; k++) {
        hwloc_bitmap_list_sscanf(set, m->kinds[k].cpulist);
        ck_assert_int_eq(hwloc_cpukinds_register(hw, set, m->kinds[k].efficiency, 0, NULL, 0), 0);
    }
    if (m->keep != NULL) {
        hwloc_bitmap_list_sscanf(set, m->keep);
        ck_assert_int_eq(hwloc_topology_restrict(hw, set, 0), 0);
    }
    snprintf(name, TR_TEXT, "%s/trainer-test-XXXXXX.xml", P_tmpdir);
    int fd = mkstemps(name, 4);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(hwloc_topology_export_xml(hw, name, 0), 0);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(hw);
}

static void view_open(const machine *m, const char *name, view *v) {
    memset(v, 0, sizeof *v);
    ck_assert_int_eq(hwloc_topology_init(&v->hw), 0);
    size_t n = strlen(name);
    if (n > 4 && strcmp(name + n - 4, ".xml") == 0)
        ck_assert_int_eq(hwloc_topology_set_xml(v->hw, name), 0);
    else
        ck_assert_int_eq(hwloc_topology_set_synthetic(v->hw, name), 0);
    ck_assert_int_eq(hwloc_topology_load(v->hw), 0);

    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (int i = 0; i < MAX_CPUS; i++) v->core[i] = v->node[i] = -1;
    v->n_cpus = hwloc_get_nbobjs_by_type(v->hw, HWLOC_OBJ_PU);
    int core_node[MAX_CPUS];
    for (int i = 0; i < v->n_cpus; i++) {
        hwloc_obj_t pu = hwloc_get_obj_by_type(v->hw, HWLOC_OBJ_PU, (unsigned)i);
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(v->hw, HWLOC_OBJ_CORE, pu);
        int os = (int)pu->os_index;
        ck_assert_int_lt(os, MAX_CPUS);
        v->core[os] = (int)(core != NULL ? core->logical_index : pu->logical_index);
        v->node[os] = hwloc_bitmap_first(pu->nodeset);
        if (v->core[os] >= v->n_cores) v->n_cores = v->core[os] + 1;
        if (v->node[os] >= v->n_nodes) v->n_nodes = v->node[os] + 1;
        v->core_cpus[v->core[os]]++;
        core_node[v->core[os]] = v->node[os];
        for (int k = 0; k < MAX_KINDS && m->kinds[k].cpulist != NULL; k++) {
            hwloc_bitmap_list_sscanf(set, m->kinds[k].cpulist);
            if (hwloc_bitmap_isset(set, (unsigned)os)) v->speed[os] = m->kinds[k].efficiency;
        }
    }
    for (int c = 0; c < v->n_cores; c++) v->node_cores[core_node[c]]++;
    hwloc_bitmap_free(set);
}

static bool same_kinds(const machine *m) {
    return m->kinds[0].cpulist == NULL;
}

static void check_placement(const machine *m, const view *v, const tr_placement *p, int n_threads,
                            tr_spread spread) {
    const int n = p->n_active;
    int core_used[MAX_CPUS] = {0}, node_used[MAX_CPUS] = {0}, cpu_used[MAX_CPUS] = {0};
    int n_cores = 0, n_nodes = 0;
    ck_assert_int_eq(p->n_threads, n_threads);
    ck_assert_int_eq(p->n_runnable, v->n_cpus);
    ck_assert_int_eq(n, n_threads < v->n_cpus ? n_threads : v->n_cpus);
    ck_assert_msg(!p->bind, "nothing may be bound by a machine that is not this one");

    for (int r = 0; r < n; r++) {
        int cpu = p->cpu[r];
        ck_assert_msg(cpu >= 0 && cpu < MAX_CPUS && v->core[cpu] >= 0, "outside the cpuset");
        ck_assert_msg(!cpu_used[cpu]++, "two threads on one CPU");
        n_cores += !core_used[v->core[cpu]]++;
        n_nodes += !node_used[v->node[cpu]]++;
        /* The k-th CPU of a core comes after the first k-1 of all cores; within one such pass
         * kinds come from fast to slow. */
        if (r > 0) {
            int pass = core_used[v->core[cpu]], last = core_used[v->core[p->cpu[r - 1]]];
            if (v->core[p->cpu[r - 1]] == v->core[cpu]) last = pass - 1;
            ck_assert_int_ge(pass, last);
            if (pass == last) ck_assert_int_le(v->speed[cpu], v->speed[p->cpu[r - 1]]);
        }
    }
    ck_assert_int_eq(p->n_cores, n_cores);
    ck_assert_int_eq(p->n_nodes, n_nodes);

    /* One thread per core before SMT siblings: a core with CPUs left is at most one behind. */
    int most = 0;
    for (int c = 0; c < v->n_cores; c++) most = core_used[c] > most ? core_used[c] : most;
    for (int c = 0; c < v->n_cores; c++)
        ck_assert(core_used[c] == v->core_cpus[c] || most <= core_used[c] + 1);
    /* Performance cores first: no core idles while a slower one works. */
    for (int a = 0; a < MAX_CPUS && !same_kinds(m); a++)
        for (int b = 0; b < MAX_CPUS && v->core[a] >= 0; b++)
            if (v->core[b] >= 0 && v->speed[a] > v->speed[b] && cpu_used[b])
                ck_assert_int_gt(core_used[v->core[a]], 0);

    /* Nodes, as long as each thread has a core of its own and all cores are alike. */
    if (n <= v->n_cores && same_kinds(m)) {
        int partly = 0;
        for (int a = 0; a < v->n_nodes; a++) {
            partly += node_used[a] > 0 && node_used[a] < v->node_cores[a];
            for (int b = 0; b < v->n_nodes && spread == TR_SPREAD; b++)
                ck_assert(node_used[a] == v->node_cores[a] || node_used[b] <= node_used[a] + 1);
        }
        if (spread == TR_COMPACT) ck_assert_int_le(partly, 1);
        if (spread == TR_SPREAD && n > 1 && n <= p->n_nodes)
            for (int r = 1; r < n; r++) ck_assert(v->node[p->cpu[r]] != v->node[p->cpu[r - 1]]);
    }

    /* Loaders: all the CPUs that no thread uses, nothing else. */
    hwloc_bitmap_t loaders = hwloc_bitmap_alloc();
    if (p->loaders[0] != '\0') ck_assert_int_eq(hwloc_bitmap_list_sscanf(loaders, p->loaders), 0);
    int n_loaders = hwloc_bitmap_weight(loaders);
    for (int cpu = 0; cpu < MAX_CPUS; cpu++)
        if (hwloc_bitmap_isset(loaders, (unsigned)cpu) && (v->core[cpu] < 0 || cpu_used[cpu]))
            ck_abort_msg("loader on CPU %d, which a thread has or none may use", cpu);
    /* A list too long for its text is cut after an integer, of 4 bytes with its comma at most;
     * on these machines it then holds 50 CPUs at least. */
    if (strlen(p->loaders) < TR_TEXT - 10)
        ck_assert_int_eq(n_loaders, v->n_cpus - n);
    else
        ck_assert_int_gt(n_loaders, 50);
    hwloc_bitmap_free(loaders);

    /* A line for display that begins with the number that was given. */
    ck_assert_int_eq(atoi(p->text), n_threads);
    ck_assert_ptr_eq(strchr(p->text, '\n'), NULL);
}

START_TEST(placements) {
    static const int counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 24, 31, 64, 100, 129, 300};
    const machine *m = &machines[_i];
    char name[TR_TEXT];
    static view v;
    static tr_placement p;
    machine_name(m, name);
    view_open(m, name, &v);
    tr_topology *t = load(name);
    ck_assert_int_eq(tr_topology_n_cpus(t), v.n_cpus);
    ck_assert_int_eq(tr_topology_n_runnable(t), v.n_cpus);
    ck_assert_int_eq(tr_topology_n_cores(t), v.n_cores);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int spread = TR_SPREAD; spread <= TR_COMPACT; spread++) {
            tr_error err = {0};
            ck_assert_int_eq(tr_place(t, counts[i], spread, false, &p, &err), TR_OK);
            check_placement(m, &v, &p, counts[i], spread);
        }
    tr_topology_free(t);
    hwloc_topology_destroy(v.hw);
    if (strcmp(name, m->text) != 0) unlink(name);
}
END_TEST

static void expect_order(const machine *m, tr_spread spread, int n, const int *cpu) {
    char name[TR_TEXT];
    static tr_placement p;
    tr_error err = {0};
    machine_name(m, name);
    tr_topology *t = load(name);
    ck_assert_int_eq(tr_place(t, n, spread, false, &p, &err), TR_OK);
    for (int r = 0; r < n; r++)
        ck_assert_msg(p.cpu[r] == cpu[r], "%s: thread %d on CPU %d, not %d", m->text, r, p.cpu[r],
                      cpu[r]);
    tr_topology_free(t);
    if (strcmp(name, m->text) != 0) unlink(name);
}

/* The example in place.c, and one with kinds: fast cores of both nodes, slow ones, siblings. */
START_TEST(orders) {
    const machine plain = {.text = "node:2 core:2 pu:2"};
    expect_order(&plain, TR_SPREAD, 8, (int[]){0, 4, 2, 6, 1, 5, 3, 7});
    expect_order(&plain, TR_COMPACT, 8, (int[]){0, 2, 4, 6, 1, 3, 5, 7});
    const machine hybrid = {.text = "node:2 core:2 pu:2",
                            .kinds = {{"0-1,4-5", 0}, {"2-3,6-7", 1}}};
    expect_order(&hybrid, TR_SPREAD, 8, (int[]){2, 6, 0, 4, 3, 7, 1, 5});
    expect_order(&hybrid, TR_COMPACT, 8, (int[]){2, 6, 0, 4, 3, 7, 1, 5});
}
END_TEST

static void expect_text(const char *name, int n, bool oversubscribe, const char *loaders,
                        const char *text) {
    static tr_placement p;
    tr_error err = {0};
    tr_topology *t = load(name);
    ck_assert_int_eq(tr_place(t, n, TR_SPREAD, oversubscribe, &p, &err), TR_OK);
    ck_assert_str_eq(p.text, text);
    ck_assert_str_eq(p.loaders, loaders);
    tr_topology_free(t);
}

START_TEST(texts) {
    expect_text("core:4 pu:1", 1, false, "1-3", "1 thread on 1 core (CPU 0), 1 NUMA node");
    expect_text("core:4 pu:1", 2, false, "2-3", "2 threads on 2 cores (CPUs 0-1), 1 NUMA node");
    expect_text("node:2 core:2 pu:2", 3, false, "1,3,5-7",
                "3 threads on 3 cores (CPUs 0,2,4), 2 NUMA nodes");
    expect_text("core:2 pu:1", 8, false, "",
                "8 threads requested, 2 run: 2 cores (CPUs 0-1), 1 NUMA node");
    expect_text("pu:1", 2, false, "", "2 threads requested, 1 runs: 1 core (CPU 0), 1 NUMA node");
    expect_text("core:2 pu:1", 8, true, "",
                "8 threads on 2 cores (CPUs 0-1), 1 NUMA node; not bound: more threads than CPUs");
}
END_TEST

/* All threads run when asked so; without CPUs for all, none has one of its own. */
START_TEST(oversubscribed) {
    static tr_placement p;
    tr_error err = {0};
    tr_topology *t = load("core:2 pu:2");
    ck_assert_int_eq(tr_place(t, 4, TR_SPREAD, true, &p, &err), TR_OK);
    ck_assert_int_eq(p.n_active, 4);
    ck_assert_int_eq(p.cpu[1], 2);
    ck_assert_int_eq(tr_place(t, 5, TR_SPREAD, true, &p, &err), TR_OK);
    ck_assert_int_eq(p.n_active, 5);
    ck_assert_int_eq(p.n_runnable, 4);
    ck_assert(!p.bind);
    for (int r = 0; r < 5; r++) ck_assert_int_eq(p.cpu[r], -1);
    ck_assert_int_eq(tr_place(t, TR_MAX_THREADS, TR_SPREAD, true, &p, &err), TR_OK);
    ck_assert_int_eq(p.n_active, TR_MAX_THREADS);
    tr_topology_free(t);
}
END_TEST

START_TEST(quota) {
    ck_assert_int_eq(tr_runnable(8, 0), 8); /* no limit */
    ck_assert_int_eq(tr_runnable(8, 0.25), 1);
    ck_assert_int_eq(tr_runnable(8, 1), 1);
    ck_assert_int_eq(tr_runnable(8, 1.5), 2);
    ck_assert_int_eq(tr_runnable(8, 2), 2);
    ck_assert_int_eq(tr_runnable(8, 7.01), 8);
    ck_assert_int_eq(tr_runnable(8, 1e9), 8);
    ck_assert_int_eq(tr_runnable(1, 0.5), 1);

    static tr_placement p;
    tr_error err = {0};
    tr_topology *t = load("core:8 pu:2");
    t->n_runnable = 2;
    t->binder = TR_BINDER_QUOTA;
    ck_assert_int_eq(tr_topology_n_cores(t), 2);
    ck_assert_int_eq(tr_place(t, 5, TR_SPREAD, false, &p, &err), TR_OK);
    ck_assert_int_eq(p.n_active, 2);
    ck_assert_int_eq(p.cpu[0], -1);
    ck_assert_str_eq(p.loaders, "");
    ck_assert(!p.bind);
    ck_assert_str_eq(p.text,
                     "5 threads requested, 2 run: 2 cores (CPUs 0,2), 1 NUMA node; not bound: "
                     "the control group grants 2 of 16 CPUs");
    ck_assert_int_eq(tr_place(t, 5, TR_SPREAD, true, &p, &err), TR_OK);
    ck_assert_int_eq(p.n_active, 5);
    ck_assert_int_eq(p.n_runnable, 2);
    tr_topology_free(t);
}
END_TEST

/* OMP_NUM_THREADS is what auto means; OMP_THREAD_LIMIT holds for every number. */
START_TEST(environment) {
    static const struct {
        const char *text;
        int threads;
    } counts[] = {{"4", 4},
                  {" 4 ", 4},
                  {"4,2", 4},
                  {"4 , 2,1", 4},
                  {"5000", TR_MAX_THREADS},
                  {"", 0},
                  {"0", 0},
                  {"-4", 0},
                  {"+4", 0},
                  {"4.5", 0},
                  {"4,", 0},
                  {"4,0", 0},
                  {",4", 0},
                  {"4 2", 0},
                  {"0x4", 0},
                  {"auto", 0},
                  {"99999999999999999999999", 0}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        ck_assert_int_eq(tr_parse_thread_counts(counts[i].text), counts[i].threads);
    static const struct {
        const char *text;
        size_t bytes;
    } sizes[] = {{"64", 65536},
                 {"64k", 65536},
                 {" 2 M ", 2u << 20},
                 {"100b", 100},
                 {"1G", (size_t)1 << 30},
                 {"", 0},
                 {"k", 0},
                 {"64x", 0},
                 {"64kb", 0},
                 {"-64k", 0},
                 {"64 k 1", 0},
                 {"99999999999999999999g", 0},
                 {"99999999999999g", 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        ck_assert_uint_eq(tr_parse_stack_size(sizes[i].text), sizes[i].bytes);

    static tr_placement p;
    tr_error err = {0};
    tr_topology *t = load("core:4 pu:2");
    ck_assert_int_eq(tr_topology_n_auto(t), 4);
    t->n_default = 6;
    ck_assert_int_eq(tr_topology_n_auto(t), 6);
    ck_assert_int_eq(tr_place(t, TR_AUTO_THREADS, TR_SPREAD, false, &p, &err), TR_OK);
    ck_assert_int_eq(p.n_active, 6);
    ck_assert_str_eq(p.text, "6 threads on 4 cores (CPUs 0-4,6), 1 NUMA node; OMP_NUM_THREADS=6");
    ck_assert_int_eq(tr_place(t, 2, TR_SPREAD, false, &p, &err), TR_OK);
    ck_assert_str_eq(p.text, "2 threads on 2 cores (CPUs 0,2), 1 NUMA node");
    t->limit = 3;
    ck_assert_int_eq(tr_topology_n_auto(t), 3);
    ck_assert_int_eq(tr_place(t, 20, TR_SPREAD, true, &p, &err), TR_OK);
    ck_assert_int_eq(p.n_threads, 20);
    ck_assert_int_eq(p.n_active, 3);
    ck_assert_str_eq(p.loaders, "1,3,5-7"); /* the loader's threads are none of OpenMP's */
    ck_assert_str_eq(p.text, "20 threads requested, 3 run: 3 cores (CPUs 0,2,4), 1 NUMA node; "
                             "OMP_THREAD_LIMIT=3");
    t->limit = 5000;
    t->n_default = TR_MAX_THREADS;
    ck_assert_int_eq(tr_place(t, TR_AUTO_THREADS, TR_SPREAD, true, &p, &err), TR_OK);
    ck_assert_int_eq(p.n_active, TR_MAX_THREADS);
    tr_topology_free(t);
}
END_TEST

/* What binds: the team on this machine, unless the user or OpenMP has decided. */
START_TEST(binders) {
    static tr_placement p;
    tr_error err = {0};
    tr_topology *t = load("core:4 pu:1");
    for (int b = TR_BINDER_SELF; b <= TR_BINDER_OPENMP; b++) {
        t->binder = b;
        ck_assert_int_eq(tr_place(t, 2, TR_SPREAD, false, &p, &err), TR_OK);
        ck_assert_int_eq(p.bind, b == TR_BINDER_SELF);
        bool seated = b == TR_BINDER_SELF || b == TR_BINDER_SYNTHETIC;
        ck_assert_int_eq(p.cpu[1], seated ? 1 : -1);
        ck_assert_str_eq(p.loaders, seated ? "2-3" : "");
    }
    t->binder = TR_BINDER_SELF; /* more threads than CPUs: not bound, either */
    ck_assert_int_eq(tr_place(t, 5, TR_SPREAD, true, &p, &err), TR_OK);
    ck_assert(!p.bind);
    tr_topology_free(t);
}
END_TEST

static void expect_failure(int rc, int code, const tr_error *err, const char *part) {
    ck_assert_int_eq(rc, code);
    ck_assert_int_eq(err->code, code);
    ck_assert_msg(strstr(err->text, part) != NULL, "'%s' lacks '%s'", err->text, part);
}

START_TEST(failures) {
    tr_error err = {0};
    tr_topology *t = NULL;
    expect_failure(tr_topology_load("core:x pu:2", &t, &err), TR_ECONFIG, &err,
                   "topology 'core:x pu:2'");
    ck_assert_ptr_null(t);
    err = (tr_error){0};
    expect_failure(tr_topology_load("no-such-machine.xml", &t, &err), TR_ECONFIG, &err,
                   "no-such-machine.xml: ");
    t = load("pu:2");
    static tr_placement p;
    err = (tr_error){0};
    expect_failure(tr_place(t, 0, TR_SPREAD, false, &p, &err), TR_ECONFIG, &err,
                   "allowed are 1 to");
    err = (tr_error){0};
    expect_failure(tr_place(t, TR_MAX_THREADS + 1, TR_SPREAD, false, &p, &err), TR_ECONFIG, &err,
                   "1025");
    for (int n = 0; n < 2; n++) { /* each allocation fails once */
        err = (tr_error){0};
        tr_alloc_fail_after(n);
        expect_failure(tr_place(t, 1, TR_SPREAD, false, &p, &err), TR_ENOMEM, &err, "");
        err = (tr_error){0};
        tr_topology *none = NULL;
        tr_alloc_fail_after(n);
        expect_failure(tr_topology_load("pu:2", &none, &err), TR_ENOMEM, &err, "");
        ck_assert_ptr_null(none);
    }
    tr_alloc_fail_after(-1);
    tr_topology_free(t);
    tr_topology_free(NULL);
}
END_TEST

/* ---- this machine ---- */

static int first_cpu(const cpu_set_t *set) {
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, set)) return i;
    return -1;
}

START_TEST(real_machine) {
    cpu_set_t mine, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
    tr_topology *t = load(NULL);
    int n = tr_topology_n_cpus(t);
    if (t->binder == TR_BINDER_OPENMP) { /* then the environment of this test says which CPUs */
        tr_topology_free(t);
        return;
    }
    ck_assert_int_eq(n, CPU_COUNT(&mine));
    ck_assert_int_eq(tr_topology_n_runnable(t), tr_runnable(n, tr_cpu_quota()));
    static tr_placement p;
    tr_error err = {0};
    ck_assert_int_eq(tr_place(t, n, TR_SPREAD, false, &p, &err), TR_OK);
    for (int r = 0; r < p.n_active && p.bind; r++) ck_assert(CPU_ISSET(p.cpu[r], &mine));
    tr_topology_free(t);

    /* As under taskset: only what is left is seen. */
    CPU_ZERO(&one);
    CPU_SET(first_cpu(&mine), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    t = load("");
    ck_assert_int_eq(tr_topology_n_cpus(t), 1);
    ck_assert_int_eq(t->cpu[0].os, first_cpu(&mine));
    tr_topology_free(t);
    ck_assert_int_eq(sched_setaffinity(0, sizeof mine, &mine), 0);
}
END_TEST

START_TEST(binding) {
    cpu_set_t before, now;
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    const int cpu = first_cpu(&before);

    void *saved = tr_bind_push(cpu);
    sched_getaffinity(0, sizeof now, &now);
    ck_assert_int_eq(CPU_COUNT(&now), 1);
    ck_assert(CPU_ISSET(cpu, &now));
    tr_bind_pop(saved);
    sched_getaffinity(0, sizeof now, &now);
    ck_assert(CPU_EQUAL(&now, &before));

    tr_bind_pop(tr_bind_push(-1)); /* none of these moves the thread */
    tr_bind_self("");
    tr_bind_self(NULL);
    tr_bind_self("no list");
    tr_bind_self("100000");
    sched_getaffinity(0, sizeof now, &now);
    ck_assert(CPU_EQUAL(&now, &before));

    char list[16];
    snprintf(list, sizeof list, "%d", cpu);
    tr_bind_self(list);
    sched_getaffinity(0, sizeof now, &now);
    ck_assert_int_eq(CPU_COUNT(&now), 1);
    ck_assert_int_eq(sched_setaffinity(0, sizeof before, &before), 0);
}
END_TEST

static Suite *topology_suite(void) {
    Suite *suite = suite_create("topology");
    TCase *all = tcase_create("topology");
    tcase_add_loop_test(all, placements, 0, N_MACHINES);
    tcase_add_test(all, orders);
    tcase_add_test(all, texts);
    tcase_add_test(all, oversubscribed);
    tcase_add_test(all, quota);
    tcase_add_test(all, environment);
    tcase_add_test(all, binders);
    tcase_add_test(all, failures);
    tcase_add_test(all, real_machine);
    tcase_add_test(all, binding);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(topology_suite());
}
