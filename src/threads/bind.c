/* Binding the calling thread to CPUs, through hwloc so that it is portable.
 *
 * hwloc needs a topology to bind by. One of this machine, as small as possible, is loaded at the
 * first use (about 4 ms) and kept for the life of the process: it is read-only, so threads share
 * it. Failure to bind is never an error: the thread runs elsewhere and the results are the same.
 */
#include <hwloc.h>

#include "threads/topology.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static hwloc_topology_t machine; /* NULL when it could not be loaded; written under `once` */

bool tr_may_ask_hwloc(void) {
    int n;
    int *cpus = tr_own_cpus(&n);
    tr_free(cpus);
    return cpus != NULL;
}

bool tr_sysfs_knows_cpus(void) {
    return tr_exists("/sys/devices/system/cpu/cpu0/topology") ||
           tr_exists("/sys/bus/cpu/devices/cpu0/topology");
}

static void load_machine(void) {
    if (!tr_may_ask_hwloc()) return;
    /* Discovery must not move the thread that calls this first. */
    const unsigned long flags =
        HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM | HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) != 0) return;
    if (!tr_sysfs_knows_cpus())
        hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "linux");
    if (hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE) != 0 ||
        hwloc_topology_set_flags(topology, flags) != 0 || hwloc_topology_load(topology) != 0) {
        hwloc_topology_destroy(topology);
        return;
    }
    machine = topology;
}

static bool ready(void) {
    pthread_once(&once, load_machine);
    return machine != NULL;
}

void tr_bind_self(const char *cpulist) {
    if (cpulist == NULL || cpulist[0] == '\0' || !ready()) return;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set == NULL) return;
    if (hwloc_bitmap_list_sscanf(set, cpulist) == 0 && !hwloc_bitmap_iszero(set))
        (void)hwloc_set_cpubind(machine, set, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(set);
}

void *tr_bind_push(int cpu) {
    if (cpu < 0 || !ready()) return NULL;
    hwloc_bitmap_t before = hwloc_bitmap_alloc();
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    bool bound = before != NULL && set != NULL &&
                 hwloc_get_cpubind(machine, before, HWLOC_CPUBIND_THREAD) == 0 &&
                 hwloc_bitmap_only(set, (unsigned)cpu) == 0 &&
                 hwloc_set_cpubind(machine, set, HWLOC_CPUBIND_THREAD) == 0;
    hwloc_bitmap_free(set);
    if (bound) return before;
    hwloc_bitmap_free(before);
    return NULL;
}

void tr_bind_pop(void *before) {
    if (before == NULL) return;
    (void)hwloc_set_cpubind(machine, before, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(before);
}
