/* A team of the tests: on this machine, of any number of threads. */
#ifndef TR_TEST_ON_TEAM_H
#define TR_TEST_ON_TEAM_H

#include "check_main.h"
#include "threads/topology.h"

static tr_topology *machine; /* loaded once: that takes longer than most of the tests */

static inline void load_machine(void) {
    tr_error err = {0};
    if (machine == NULL)
        ck_assert_msg(tr_topology_load(NULL, &machine, &err) == TR_OK, "%s", err.text);
}

/* Run `main` on n threads, more than CPUs if need be. */
static inline void on_team(int n, void (*main)(tr_team *team, void *arg), void *arg) {
    tr_error err = {0};
    tr_placement *place = tr_alloc(1, sizeof *place, &err);
    ck_assert_ptr_nonnull(place);
    load_machine();
    ck_assert_msg(tr_place(machine, n, TR_SPREAD, true, place, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(place->n_active, n);
    ck_assert_msg(tr_team_run(place, main, arg, &err) == TR_OK, "%s", err.text);
    tr_free(place);
}

#endif
