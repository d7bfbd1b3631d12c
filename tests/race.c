/* A race on purpose, with vectors between two threads of a team: ThreadSanitizer must report it, or
 * its silence about everything else would mean nothing. Built with -Db_sanitize=thread only. */
#include <stdio.h>
#include <stdlib.h>

#include "threads/threads.h"

enum { N = 64 };
static float shared[N];

static void job(int thread, void *arg) {
    (void)arg;
    for (int i = 0; i < N; i++) shared[i] += (float)thread;
}

static void start(tr_team *team, void *arg) {
    for (int i = 0; i < 100; i++) tr_team_do(team, 2, job, arg);
}

int main(void) {
    tr_error err = {0};
    tr_topology *machine = NULL;
    tr_placement *placement = calloc(1, sizeof *placement);
    if (!placement || tr_topology_load(NULL, &machine, &err) ||
        tr_place(machine, 2, TR_SPREAD, true, placement, &err) ||
        tr_team_run(placement, start, NULL, &err))
        fprintf(stderr, "%s\n", err.text);
    printf("%g\n", (double)shared[0]);
    tr_topology_free(machine);
    free(placement);
    return 0;
}
