/* The machine as this process may use it: hwloc's tree made into a flat list of CPUs.
 *
 * hwloc lives only while a topology is loaded; the list is all that placement (place.c) needs, so
 * that placement is a pure function and a synthetic machine tests it like a real one. A loaded
 * topology never changes: any thread may read it.
 */
#include <hwloc.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "threads/topology.h"

int tr_runnable(int n_cpus, double quota) {
    if (!(quota > 0) || quota >= n_cpus) return n_cpus;
    return quota <= 1 ? 1 : (int)ceil(quota);
}

/* Who binds on the real machine. OMP_PROC_BIND=false cannot be told from no wish at all through
 * OpenMP's own functions, hence the environment. */
static tr_binder real_binder(void) {
    if (omp_get_proc_bind() != omp_proc_bind_false) return TR_BINDER_OPENMP;
    return getenv("OMP_PROC_BIND") != NULL ? TR_BINDER_USER : TR_BINDER_SELF;
}

/* Where OpenMP binds, it has already bound the initial thread to its first place: the process' own
 * binding says nothing, the places do. */
static int restrict_to_places(hwloc_topology_t hw) {
    int n_places = omp_get_num_places();
    if (n_places <= 0) return 0;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set == NULL) return -1;
    int rc = 0;
    for (int p = 0; p < n_places && rc == 0; p++) {
        int n = omp_get_place_num_procs(p);
        if (n <= 0) continue;
        int *ids = malloc((size_t)n * sizeof *ids);
        if (ids == NULL) {
            rc = -1;
            break;
        }
        omp_get_place_proc_ids(p, ids);
        for (int i = 0; i < n && rc == 0; i++)
            if (ids[i] >= 0) rc = hwloc_bitmap_set(set, (unsigned)ids[i]);
        free(ids);
    }
    if (rc == 0 && !hwloc_bitmap_iszero(set)) rc = hwloc_topology_restrict(hw, set, 0);
    hwloc_bitmap_free(set);
    return rc;
}

static int load_real(hwloc_topology_t hw, tr_binder binder, tr_error *err) {
    /* Without these two flags hwloc shows CPUs that taskset or a batch system took away. */
    unsigned long flags = HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM;
    if (binder != TR_BINDER_OPENMP) flags |= HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING;
    if (hwloc_topology_set_flags(hw, flags) != 0 || hwloc_topology_load(hw) != 0)
        return tr_fail(err, TR_ESYSTEM, "hwloc cannot read the topology of this machine");
    if (binder == TR_BINDER_OPENMP && restrict_to_places(hw) != 0)
        return tr_fail(err, TR_ESYSTEM, "hwloc cannot be cut to the places of OpenMP (OMP_PLACES)");
    return TR_OK;
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

/* The rank of a CPU's kind; 0 where hwloc knows no order among kinds. */
static int speed_of(hwloc_topology_t hw, hwloc_obj_t pu) {
    int kind = hwloc_cpukinds_get_by_cpuset(hw, pu->cpuset, 0);
    int efficiency = 0;
    if (kind < 0 || hwloc_cpukinds_get_info(hw, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0))
        return 0;
    return efficiency > 0 ? efficiency : 0;
}

/* What tells a CPU's memory node: 1 + the index of the first of its nodes (a machine may give it a
 * fast and a large one), 0 where it has none. */
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

int tr_topology_load(const char *synthetic, tr_topology **out, tr_error *err) {
    *out = NULL;
    bool real = synthetic == NULL || synthetic[0] == '\0';
    hwloc_topology_t hw = NULL;
    int rc = TR_OK;
    tr_topology *t = tr_alloc(1, sizeof *t, err);
    if (t == NULL) return TR_ENOMEM;
    if (hwloc_topology_init(&hw) != 0) {
        hw = NULL;
        rc = tr_fail(err, TR_ENOMEM, "hwloc cannot start: out of memory");
        goto fail;
    }
    t->binder = real ? real_binder() : TR_BINDER_SYNTHETIC;
    rc = real ? load_real(hw, t->binder, err) : load_synthetic(hw, synthetic, err);
    if (rc != TR_OK) goto fail;

    t->n_cpus = hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_PU);
    if (t->n_cpus < 1) {
        rc = tr_fail(err, TR_ESYSTEM, "hwloc finds no CPU that this process may use");
        goto fail;
    }
    t->cpu = tr_alloc((size_t)t->n_cpus, sizeof *t->cpu, err);
    if (t->cpu == NULL) {
        rc = TR_ENOMEM;
        goto fail;
    }
    list_cpus(hw, t);
    hwloc_topology_destroy(hw);
    t->n_runnable = tr_runnable(t->n_cpus, real ? tr_cpu_quota() : 0);
    if (t->n_runnable < t->n_cpus && t->binder == TR_BINDER_SELF) t->binder = TR_BINDER_QUOTA;
    *out = t;
    return TR_OK;

fail:
    if (hw != NULL) hwloc_topology_destroy(hw);
    tr_topology_free(t);
    return rc;
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
