/* Where the time of the steps went, from what the threads measured. */
#include <stdio.h>

#include "exec/run.h"

void tr_exec_set_profile(tr_exec *exec, bool on) {
    exec->options.profile = on;
}

static double mean_seconds(const tr_exec *exec, int entry) {
    uint64_t sum = 0;
    for (int i = 0; i < exec->n_threads; i++) sum += exec->workers[i].ns[entry];
    return 1e-9 * (double)sum / exec->n_threads;
}

double tr_exec_load_seconds(const tr_exec *exec) {
    uint64_t sum = 0;
    for (int i = 0; i < exec->n_threads; i++) sum += exec->workers[i].load_ns;
    return 1e-9 * (double)sum / exec->n_threads;
}

static bool makes_gradient(const tr_exec *exec, int node) {
    const tr_program *p = exec->program;
    for (int i = 0; i < p->n_steps; i++) {
        if (p->steps[i].update && p->steps[i].node->id == node)
            return p->steps[i].node->op->grad != NULL;
    }
    return false;
}

int tr_exec_profile(const tr_exec *exec, tr_profile_row *rows, int max) {
    const tr_program *p = exec->program;
    double remaining = 1e-9 * (double)exec->steps_ns;
    int n = 0;
    for (int i = 0; i < p->n_steps; i++) {
        double seconds = mean_seconds(exec, i);
        remaining -= seconds;
        const tr_step *step = &p->steps[i];
        if (n < max)
            rows[n++] =
                (tr_profile_row){step->node ? step->node->name : "", step->phase.label,
                                 step->update || step->node == &exec->graph->nodes[0], seconds};
    }
    for (int i = 1; i < exec->graph->n_nodes; i++) {
        double seconds = mean_seconds(exec, tr_entry_of_grad(exec, i));
        remaining -= seconds;
        if (makes_gradient(exec, i) && n < max)
            rows[n++] =
                (tr_profile_row){exec->graph->nodes[i].name, "weight gradient", false, seconds};
    }
    if (n < max) rows[n++] = (tr_profile_row){"", "barrier", true, remaining};
    return n;
}
