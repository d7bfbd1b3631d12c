/* The machine as this process may use it: hwloc's tree made into a flat list of CPUs.
 *
 * hwloc lives only while a topology is loaded; the list is all that placement (place.c) needs, so
 * that placement is a pure function and a synthetic machine tests it like a real one. A loaded
 * topology never changes: any thread may read it.
 */
#include <hwloc.h>
#include <limits.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "threads/topology.h"

int tr_runnable(int n_cpus, double quota) {
    if (!(quota > 0) || quota >= n_cpus) return n_cpus;
    return quota <= 1 ? 1 : (int)ceil(quota);
}

/* Where OpenMP binds, it has already bound the initial thread to its first place: the thread's
 * binding means nothing, the places do. */
static bool add_places(hwloc_bitmap_t set) {
    int n_places = omp_get_num_places();
    for (int p = 0; p < n_places; p++) {
        int n = omp_get_place_num_procs(p);
        if (n <= 0) continue;
        int *ids = tr_alloc((size_t)n, sizeof *ids, NULL);
        if (ids == NULL) return false;
        omp_get_place_proc_ids(p, ids);
        for (int i = 0; i < n; i++)
            if (ids[i] >= 0) hwloc_bitmap_set(set, (unsigned)ids[i]);
        tr_free(ids);
    }
    return true;
}

/* The CPUs that this process may use. Where the system refuses to say, as in a sandbox that refuses
 * sched_getaffinity, those that are on, none of which may be bound to. */
static bool find_cpus(hwloc_bitmap_t set, tr_binder *binder) {
    int n;
    if (*binder == TR_BINDER_OPENMP) {
        if (!add_places(set)) return false;
        if (!hwloc_bitmap_iszero(set)) return true;
    }
    int *own = tr_own_cpus(&n);
    for (int i = 0; own != NULL && i < n; i++) hwloc_bitmap_set(set, (unsigned)own[i]);
    tr_free(own);
    if (!hwloc_bitmap_iszero(set)) return true;
    *binder = TR_BINDER_UNKNOWN;
    return hwloc_bitmap_set_range(set, 0, tr_n_online_cpus() - 1) == 0;
}

/* This machine as hwloc sees it, restricted to the CPUs of `set`; false where hwloc has none of
 * them. hwloc's flag for that is of no use: it reads the binding of the process, and has no effect
 * where its threads have different ones. */
static bool load_real(hwloc_topology_t hw, hwloc_const_bitmap_t set) {
    if (!tr_sysfs_knows_cpus())
        hwloc_topology_set_components(hw, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "linux");
    return hwloc_topology_set_flags(hw, HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM) == 0 &&
           hwloc_topology_load(hw) == 0 && hwloc_topology_restrict(hw, set, 0) == 0;
}

static int load_synthetic(hwloc_topology_t hw, const char *text, tr_error *err) {
    size_t length = strlen(text);
    if (length >= 4 && strcmp(text + length - 4, ".xml") == 0) {
        if (hwloc_topology_set_xml(hw, text) != 0 || hwloc_topology_load(hw) != 0)
            return tr_fail(err, TR_ECONFIG,
                           "%s: not a topology: it must be an XML file written by hwloc", text);
        return TR_OK;
    }
    if (hwloc_topology_set_synthetic(hw, text) != 0 || hwloc_topology_load(hw) != 0)
        return tr_fail(err, TR_ECONFIG,
                       "topology '%s': not a synthetic machine: it must be written as hwloc does, "
                       "like 'node:2 core:4 pu:2', or name an .xml file",
                       text);
    return TR_OK;
}

/* The order of a CPU's kind by speed; 0 where hwloc has no order of kinds. */
static int speed_of(hwloc_topology_t hw, hwloc_obj_t pu) {
    int kind = hwloc_cpukinds_get_by_cpuset(hw, pu->cpuset, 0);
    int efficiency = 0;
    if (kind < 0 || hwloc_cpukinds_get_info(hw, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0))
        return 0;
    return efficiency > 0 ? efficiency : 0;
}

/* What identifies a CPU's NUMA node: 1 + the index of the first of its nodes (a machine may give it
 * a fast and a large one), 0 where it has none. */
static int node_of(hwloc_obj_t pu) {
    return pu->nodeset != NULL ? hwloc_bitmap_first(pu->nodeset) + 1 : 0;
}

static void list_cpus(hwloc_topology_t hw, tr_topology *t) {
    hwloc_obj_t last_core = NULL, pu = NULL;
    for (int i = 0; i < t->n_cpus; i++) {
        pu = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_PU, pu);
        tr_cpu *cpu = &t->cpu[i];
        cpu->os = (int)pu->os_index;
        cpu->speed = speed_of(hw, pu);
        cpu->node = node_of(pu);
        if (cpu->node >= t->n_nodes) t->n_nodes = cpu->node + 1;

        /* hwloc lists a core's CPUs next to each other. No core known: each CPU is one. */
        hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(hw, HWLOC_OBJ_CORE, pu);
        bool sibling = core != NULL && core == last_core;
        cpu->smt = sibling ? t->cpu[i - 1].smt + 1 : 0;
        cpu->core = sibling ? t->cpu[i - 1].core : t->n_cores++;
        last_core = core;
    }
}

/* Each CPU a core, all on one node. */
static void list_flat(hwloc_const_bitmap_t set, tr_topology *t) {
    int os = -1;
    for (int i = 0; i < t->n_cpus; i++) {
        os = hwloc_bitmap_next(set, os);
        t->cpu[i] = (tr_cpu){.os = os, .core = i};
    }
    t->n_cores = t->n_cpus;
    t->n_nodes = 1;
}

static int make_list(tr_topology *t, int n_cpus, tr_error *err) {
    t->n_cpus = n_cpus;
    t->cpu = tr_alloc((size_t)n_cpus, sizeof *t->cpu, err);
    return t->cpu == NULL ? TR_ENOMEM : TR_OK;
}

static int fill_synthetic(const char *text, tr_topology *t, tr_error *err) {
    hwloc_topology_t hw;
    if (hwloc_topology_init(&hw) != 0)
        return tr_fail(err, TR_ENOMEM, "hwloc cannot start: out of memory");
    int code = load_synthetic(hw, text, err);
    if (code == TR_OK) code = make_list(t, hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_PU), err);
    if (code == TR_OK) list_cpus(hw, t);
    hwloc_topology_destroy(hw);
    t->binder = TR_BINDER_SYNTHETIC;
    t->n_runnable = t->n_cpus;
    t->limit = INT_MAX;
    return code;
}

/* Without hwloc the list is flat. It is not called where the system refuses to say which CPUs the
 * process may use: hwloc 2.9 repeats that call for ever. */
static int fill_real(tr_topology *t, tr_error *err) {
    hwloc_topology_t hw = NULL;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    t->binder = tr_real_binder();
    if (set == NULL || !find_cpus(set, &t->binder)) {
        hwloc_bitmap_free(set);
        return tr_fail(err, TR_ENOMEM, "out of memory for a list of CPUs");
    }
    if (tr_may_ask_hwloc() && hwloc_topology_init(&hw) != 0) hw = NULL;
    bool known = hw != NULL && load_real(hw, set);
    int code = make_list(
        t, known ? hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_PU) : hwloc_bitmap_weight(set), err);
    if (code == TR_OK && known) list_cpus(hw, t);
    if (code == TR_OK && !known) list_flat(set, t);
    if (hw != NULL) hwloc_topology_destroy(hw);
    hwloc_bitmap_free(set);
    t->n_runnable = tr_runnable(t->n_cpus, tr_cpu_quota());
    if (t->n_runnable < t->n_cpus && t->binder == TR_BINDER_SELF) t->binder = TR_BINDER_QUOTA;
    t->n_default = tr_default_threads();
    t->limit = tr_thread_limit();
    return code;
}

int tr_topology_load(const char *synthetic, tr_topology **out, tr_error *err) {
    *out = NULL;
    bool real = synthetic == NULL || synthetic[0] == '\0';
    tr_topology *t = tr_alloc(1, sizeof *t, err);
    if (t == NULL) return TR_ENOMEM;
    int code = real ? fill_real(t, err) : fill_synthetic(synthetic, t, err);
    if (code == TR_OK && t->n_cpus < 1)
        code = tr_fail(err, TR_ESYSTEM, "hwloc finds no CPU that this process may use");
    if (code) {
        tr_topology_free(t);
        return code;
    }
    *out = t;
    return TR_OK;
}

void tr_topology_free(tr_topology *topology) {
    if (topology == NULL) return;
    tr_free(topology->cpu);
    tr_free(topology);
}

int tr_topology_n_cpus(const tr_topology *topology) {
    return topology->n_cpus;
}
int tr_topology_n_runnable(const tr_topology *topology) {
    return topology->n_runnable;
}
int tr_topology_n_cores(const tr_topology *topology) {
    return topology->n_cores < topology->n_runnable ? topology->n_cores : topology->n_runnable;
}
int tr_topology_n_team(const tr_topology *topology) {
    return topology->n_runnable < topology->limit ? topology->n_runnable : topology->limit;
}
int tr_topology_n_auto(const tr_topology *topology) {
    int n = topology->n_default > 0 ? topology->n_default : tr_topology_n_cores(topology);
    return n < topology->limit ? n : topology->limit;
}
