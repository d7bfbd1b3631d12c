/* For tests: are the layers' declarations true? */
#include <math.h>
#include <string.h>

#include "exec/run.h"

/* ---- poison behind the last use ---- */

static void fill(void *at, int64_t bytes) {
    tr_real *to = at;
    for (int64_t i = 0; i < bytes / (int64_t)sizeof *to; i++) to[i] = (tr_real)NAN;
}

/* Samples of the pass that a thread has. */
static void samples_of(const tr_run *t, int *n0, int *n1) {
    const tr_exec *exec = t->exec;
    *n0 = (int)tr_min(exec->input->n, t->shard0 * exec->shard);
    *n1 = (int)tr_min(exec->input->n, t->shard1 * exec->shard);
}

/* Each thread fills its own part of what it used; what all used together is the first one's, who
 * has to wait for the others. */
void tr_poison_dead(const tr_run *t, int segment) {
    const tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    int n0, n1;
    samples_of(t, &n0, &n1);
    tr_team_barrier(exec->team, t->thread);
    for (int i = 0; i < p->n_buffers; i++) {
        const tr_buffer *b = &p->buffers[i];
        if (b->state || b->external || b->last < 0 || b->last >= p->n_steps) continue;
        if (p->steps[b->last].segment != segment) continue;
        if (b->kind == TR_THREAD_BUFFER)
            fill(t->me->arena + b->offset, b->bytes);
        else if (b->kind == TR_SUM)
            fill(t->me->arena + b->offset, b->bytes * p->options.n_slots);
        else if (b->local)
            fill(t->me->local + b->offset * exec->chunk, b->bytes * exec->chunk);
        else if (b->kind == TR_SAMPLE_BUFFER)
            fill(exec->batch + b->offset + n0 * b->bytes, (n1 - n0) * b->bytes);
        else if (t->thread == 0)
            fill(exec->batch + b->offset, b->bytes);
    }
    tr_team_barrier(exec->team, t->thread);
}
