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

/* ---- what a phase reads and writes ---- */

typedef struct region {
    char *at;
    int64_t bytes;
} region;

enum { N_REGIONS = 5 };

/* All memory that a step can have to do with, of an executor with one thread. */
static void list_regions(const tr_exec *exec, region out[N_REGIONS]) {
    const tr_program *p = exec->program;
    const tr_worker *w = &exec->workers[0];
    out[0] = (region){exec->batch, p->batch_bytes};
    out[1] = (region){w->local, p->local_bytes * exec->chunk};
    out[2] = (region){w->arena, p->thread_bytes};
    out[3] = (region){(char *)exec->graph->parameters,
                      exec->graph->n_elements * (int64_t)sizeof(tr_real)};
    out[4] = (region){exec->graph->buffers, exec->graph->buffer_bytes};
}

static region extent(const tr_exec *exec, int buffer) {
    const tr_buffer *b = &exec->program->buffers[buffer];
    const tr_worker *w = &exec->workers[0];
    if (b->external) return (region){NULL, 0};
    if (b->state) {
        const tr_state *s = &b->node->state[b->index];
        int64_t element = s->type == TR_FLOAT32 ? (int64_t)sizeof(tr_real) : 8;
        return (region){s->value, s->size * element};
    }
    if (b->local) return (region){w->local + b->offset * exec->chunk, b->bytes * exec->chunk};
    if (b->kind == TR_THREAD_BUFFER) return (region){w->arena + b->offset, b->bytes};
    if (b->kind == TR_SUM)
        return (region){w->arena + b->offset, b->bytes * exec->program->options.n_slots};
    return (region){exec->batch + b->offset,
                    b->kind == TR_SAMPLE_BUFFER ? b->bytes * exec->options.batch : b->bytes};
}

typedef struct picture { /* of all memory, and of the losses */
    char *copy[N_REGIONS];
    tr_real *loss;
} picture;

static void take(const tr_exec *exec, picture *to) {
    region r[N_REGIONS];
    list_regions(exec, r);
    for (int i = 0; i < N_REGIONS; i++) memcpy(to->copy[i], r[i].at, (size_t)r[i].bytes);
    memcpy(to->loss, exec->loss, (size_t)exec->options.batch * sizeof *to->loss);
}

static void restore(const tr_exec *exec, const picture *from) {
    region r[N_REGIONS];
    list_regions(exec, r);
    for (int i = 0; i < N_REGIONS; i++) memcpy(r[i].at, from->copy[i], (size_t)r[i].bytes);
    memcpy(exec->loss, from->loss, (size_t)exec->options.batch * sizeof *from->loss);
}

static void free_picture(picture *p) {
    for (int i = 0; i < N_REGIONS; i++) tr_free(p->copy[i]);
    tr_free(p->loss);
}

static bool new_picture(const tr_exec *exec, picture *out) {
    region r[N_REGIONS];
    bool ok = true;
    list_regions(exec, r);
    for (int i = 0; i < N_REGIONS; i++)
        ok &= (out->copy[i] = tr_alloc((size_t)r[i].bytes, 1, NULL)) != NULL;
    out->loss = tr_alloc((size_t)exec->options.batch, sizeof *out->loss, NULL);
    return ok && out->loss;
}

/* Is this byte in a buffer that the step writes? */
static bool is_written(const tr_exec *exec, const tr_step *s, const char *at) {
    for (int j = 0; j < s->n_accesses; j++) {
        const tr_access *a = &exec->program->accesses[s->first_access + j];
        region e = extent(exec, a->buffer);
        if (a->writes && at >= e.at && at < e.at + e.bytes) return true;
    }
    return false;
}

/* Did the step change what it does not write? */
static bool strays(const tr_exec *exec, const tr_step *s, const picture *before) {
    region r[N_REGIONS];
    list_regions(exec, r);
    for (int i = 0; i < N_REGIONS; i++) {
        for (int64_t k = 0; k < r[i].bytes; k++) {
            if (r[i].at[k] != before->copy[i][k] && !is_written(exec, s, r[i].at + k)) return true;
        }
    }
    return false;
}

/* Is what the step writes, or the losses, other than it was in the picture? */
static bool differs(const tr_exec *exec, const tr_step *s, const picture *from) {
    region r[N_REGIONS];
    list_regions(exec, r);
    size_t losses = (size_t)exec->input->n * sizeof *from->loss;
    if (memcmp(exec->loss, from->loss, losses) != 0) return true;
    for (int j = 0; j < s->n_accesses; j++) {
        const tr_access *a = &exec->program->accesses[s->first_access + j];
        region e = extent(exec, a->buffer);
        for (int i = 0; a->writes && i < N_REGIONS; i++) {
            if (e.at < r[i].at || e.at >= r[i].at + r[i].bytes) continue;
            if (memcmp(e.at, from->copy[i] + (e.at - r[i].at), (size_t)e.bytes) != 0) return true;
        }
    }
    return false;
}

/* What a layer keeps for itself may be numbers of elements: those become 0. */
static void poison(const tr_exec *exec, int buffer) {
    const tr_buffer *b = &exec->program->buffers[buffer];
    region e = extent(exec, buffer);
    bool value = b->kind == TR_SAMPLE_BUFFER && b->index == TR_NONE;
    if (value || b->state || b->kind == TR_SUM)
        fill(e.at, e.bytes);
    else
        memset(e.at, 0, (size_t)e.bytes);
}

static char *complaint(const tr_exec *exec, const tr_step *s, const char *what, int buffer) {
    tr_text text = {0};
    const tr_buffer *b = buffer == TR_NONE ? NULL : &exec->program->buffers[buffer];
    tr_text_print(&text, "%s, %s: %s", s->node ? s->node->name : "", s->label, what);
    if (b)
        tr_text_print(&text, " (%s of %s, number %d)", b->state ? "state" : "a buffer",
                      b->node ? b->node->name : "the program", b->index);
    return tr_text_take(&text, NULL);
}

static char *check_step(tr_run *t, int i, picture *before, picture *after) {
    tr_exec *exec = t->exec;
    const tr_step *s = &exec->program->steps[i];
    take(exec, before);
    tr_run_steps(t, i, i + 1);
    if (strays(exec, s, before))
        return complaint(exec, s, "writes what it does not declare", TR_NONE);
    take(exec, after);
    for (int j = 0; j < s->n_accesses; j++) {
        const tr_access *a = &exec->program->accesses[s->first_access + j];
        if (a->writes || extent(exec, a->buffer).at == NULL) continue;
        restore(exec, before);
        poison(exec, a->buffer);
        tr_run_steps(t, i, i + 1);
        if (!differs(exec, s, after))
            return complaint(exec, s, "does not depend on what it declares to read", a->buffer);
    }
    restore(exec, after);
    return NULL;
}

char *tr_exec_check(tr_exec *exec, tr_team *team, const tr_input *input) {
    picture before = {0}, after = {0};
    char *found = NULL;
    tr_run t;
    if (!new_picture(exec, &before) || !new_picture(exec, &after))
        found = tr_strdup("out of memory", NULL);
    tr_begin_pass(exec, team, input, 0.1, 0);
    tr_begin_run(&t, exec, 0);
    for (int i = 0; found == NULL && i < exec->program->n_steps; i++)
        found = check_step(&t, i, &before, &after);
    tr_carry_over(exec);
    free_picture(&before);
    free_picture(&after);
    return found;
}
