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

static bool is_made_in_update(const tr_exec *exec, int parameter) {
    int sum = exec->program->parameters[parameter].sum;
    return sum != TR_NONE && exec->program->buffers[sum].sum->by_elements;
}

/* A layer, or a parameter. */
static const char *name_of(const tr_exec *exec, const tr_step *s) {
    if (s->kind == TR_STEP_GRADIENT || s->kind == TR_STEP_UPDATE)
        return exec->graph->rows[exec->program->parameters[s->parameter].row].name;
    return s->node ? s->node->name : "";
}

int tr_exec_n_profile_rows(const tr_exec *exec) {
    int n = exec->program->n_steps + 1;
    for (int i = 0; i < exec->program->n_parameters; i++) n += is_made_in_update(exec, i);
    return n;
}

int tr_exec_profile(const tr_exec *exec, tr_profile_row *rows, int max) {
    const tr_program *p = exec->program;
    double remaining = 1e-9 * (double)exec->steps_ns;
    int n = 0;
    for (int i = 0; i < p->n_steps; i++) {
        const tr_step *s = &p->steps[i];
        bool own = s->kind == TR_STEP_PHASE || s->kind == TR_STEP_SUM || s->kind == TR_STEP_ADD;
        double seconds = mean_seconds(exec, i);
        remaining -= seconds;
        if (n == max) continue;
        rows[n++] = (tr_profile_row){name_of(exec, s), s->label, !own, seconds};
    }
    for (int i = 0; i < p->n_parameters; i++) {
        double seconds = mean_seconds(exec, tr_entry_of_gradient(exec, i));
        remaining -= seconds;
        if (!is_made_in_update(exec, i) || n == max) continue;
        const tr_sum *sum = p->buffers[p->parameters[i].sum].sum;
        const tr_row *row = &exec->graph->rows[p->parameters[i].row];
        rows[n++] = (tr_profile_row){row->node->name, sum->label, false, seconds};
    }
    if (n < max) rows[n++] = (tr_profile_row){"", "barrier", true, remaining};
    return n;
}
