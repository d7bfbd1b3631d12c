/* One thread's part of a pass: the segments of the program, one after the other. */
#include <math.h>
#include <string.h>

#include "exec/run.h"

void tr_charge(tr_run *t, int entry) {
    if (!t->exec->options.profile) return;
    uint64_t now = tr_now_ns();
    t->me->ns[entry] += now - t->mark;
    t->mark = now;
}

/* Leave out the time since the last call: barriers are what is left of the wall clock. */
static void skip(tr_run *t) {
    if (t->exec->options.profile) t->mark = tr_now_ns();
}

tr_work tr_work_of(const tr_run *t, const tr_step *step) {
    const tr_exec *exec = t->exec;
    const tr_binding *bound = t->me->bindings + step->first_bound;
    return (tr_work){.node = step->node,
                     .kernels = exec->options.kernels,
                     .record = &exec->record,
                     .batch = exec->input->n,
                     .n_blocks = step->n_blocks,
                     .x = bound,
                     .dx = bound + step->n_inputs,
                     .y = bound + 2 * step->n_inputs,
                     .dy = bound + 2 * step->n_inputs + 1,
                     .own = bound + 2 * step->n_inputs + 2,
                     .scratch = t->me->scratch,
                     .totals = t->me->total,
                     .labels = exec->input->labels,
                     .loss = exec->loss,
                     .best = exec->best};
}

void tr_set_samples(const tr_run *t, tr_work *w, int n0, int n1) {
    w->first = n0;
    w->n = n1 - n0;
    w->origin[0] = n0;
    w->origin[1] = n0 - t->chunk0;
}

/* ---- updates ---- */

/* What the norm of all gradients makes of each. */
static tr_real clip_factor(const tr_run *t) {
    const tr_exec *exec = t->exec;
    int buffer = exec->program->norm;
    if (buffer == TR_NONE) return 1;
    double norm;
    memcpy(&norm, t->me->arena + exec->program->buffers[buffer].offset, sizeof norm);
    double factor = exec->options.clip_norm / (norm + 1e-6);
    return factor < 1 ? (tr_real)factor : 1; /* NaN stays: a norm that is none shows in the loss */
}

static char *kept(const tr_exec *exec, int buffer) {
    return exec->batch + exec->program->buffers[buffer].offset;
}

/* The gradient g of a tile, clipped; g itself where nothing is to be done. */
static const tr_real *clipped(const tr_run *t, int64_t n, const tr_real *g) {
    const tr_exec *exec = t->exec;
    tr_real factor = clip_factor(t), most = (tr_real)exec->options.clip_value;
    if (factor == 1 && most == 0) return g;
    tr_real *to = (tr_real *)(void *)(t->me->tiles + exec->n_temporaries * exec->tile_bytes);
    for (int64_t i = 0; i < n; i++) {
        tr_real x = g[i] * factor;
        if (most > 0) x = x > most ? most : x < -most ? -most : x;
        to[i] = x;
    }
    return to;
}

static void keep_tile(const tr_exec *exec, const tr_parameter *q, int64_t e0, int64_t e1,
                      int64_t tile, const tr_real *g) {
    tr_real *to = (tr_real *)(void *)kept(exec, q->gradient);
    double sum = 0;
    if (e0 < e1) memcpy(to + e0, g, (size_t)(e1 - e0) * sizeof *g);
    if (q->norms == TR_NONE) return;
    for (int64_t i = 0; i < e1 - e0; i++) sum += (double)g[i] * (double)g[i];
    ((double *)(void *)kept(exec, q->norms))[tile] = sum;
}

/* Elements e0 .. e1-1, tile number `tile`, of a parameter. */
static void update_tile(tr_run *t, int entry, const tr_step *step, tr_work *w, int64_t e0,
                        int64_t e1, int64_t tile) {
    tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    const tr_parameter *q = &p->parameters[step->parameter];
    bool stored = step->kind == TR_STEP_UPDATE && q->gradient != TR_NONE;
    const tr_real *g = stored ? (const tr_real *)(const void *)kept(exec, q->gradient) + e0
                              : tr_complete_tile(t, entry, w, step->parameter, e0, e1);
    if (g == NULL) return; /* put aside */
    if (step->kind == TR_STEP_GRADIENT) {
        keep_tile(exec, q, e0, e1, tile, g);
        return;
    }
    if (exec->options.optimizer == NULL) return;
    tr_real *weights = (tr_real *)tr_row_state(&exec->graph->rows[q->row])->value + e0;
    tr_update u = {.n = e1 - e0,
                   .p = weights,
                   .g = clipped(t, e1 - e0, g),
                   .state = t->me->state,
                   .step = exec->record.step,
                   .lr = exec->lr};
    for (int i = 0; i < exec->graph->n_optimizer; i++)
        t->me->state[i] = exec->graph->optimizer[i] + (weights - exec->graph->parameters);
    exec->options.optimizer->update(exec->options.optimizer_args, exec->options.kernels, &u);
}

/* Tiles i0 .. i1-1 of a parameter, which it has in each block of itself. */
static void update_tiles(tr_run *t, int entry, const tr_step *step, tr_work *w, int64_t i0,
                         int64_t i1) {
    const tr_exec *exec = t->exec;
    const tr_parameter *q = &exec->program->parameters[step->parameter];
    const tr_state *s = tr_row_state(&exec->graph->rows[q->row]);
    int64_t in_block = tr_parameter_tiles(s) / s->n_blocks;
    for (int64_t i = i0; i < i1; i++) {
        int64_t begin = i / in_block * s->block, e0 = begin + i % in_block * s->tile;
        int64_t end = tr_min(begin + s->used, s->size), e1 = tr_min(e0 + s->tile, end);
        if (e0 < e1)
            update_tile(t, entry, step, w, e0, e1, i);
        else if (step->kind == TR_STEP_GRADIENT)
            keep_tile(exec, q, e0, e0, i, NULL); /* of the last block, which is short */
    }
}

/* Does this pass update parameters at all? */
static bool is_idle(const tr_exec *exec, const tr_step *step) {
    const tr_parameter *q = &exec->program->parameters[step->parameter];
    return step->kind == TR_STEP_UPDATE && q->gradient != TR_NONE && !exec->complete;
}

/* Block w->block of w->n_blocks of a parameter. */
static void update_block(tr_run *t, int entry, const tr_step *step, tr_work *w) {
    const tr_exec *exec = t->exec;
    const tr_parameter *q = &exec->program->parameters[step->parameter];
    const tr_state *s = tr_row_state(&exec->graph->rows[q->row]);
    int64_t in_block = tr_parameter_tiles(s) / s->n_blocks;
    if (is_idle(exec, step)) return;
    update_tiles(t, entry, step, w, in_block * tr_part(s->n_blocks, w->block, w->n_blocks),
                 in_block * tr_part(s->n_blocks, w->block + 1, w->n_blocks));
}

/* ---- blocks ---- */

/* Where the share of thread `thread` of n things begins: as the shards of a full pass are
 * partitioned, so that a slower thread has fewer of them. */
static int64_t share(const tr_exec *exec, int64_t n, int thread) {
    if (exec->active < exec->n_threads) return tr_part(n, thread, exec->active);
    return tr_part(n, exec->partition[thread], exec->partition[exec->n_threads]);
}

/* The steps first .. end-1, which have one key: all of them for one block, then the next, so that
 * what they share stays in the cache. */
static void run_blocks(tr_run *t, int first, int end) {
    tr_exec *exec = t->exec;
    const tr_step *steps = exec->program->steps;
    int n_blocks = steps[first].n_blocks;
    if (n_blocks == 0) { /* the tiles of a parameter */
        for (int i = first; i < end; i++) {
            const tr_parameter *q = &exec->program->parameters[steps[i].parameter];
            const tr_state *s = tr_row_state(&exec->graph->rows[q->row]);
            int64_t n = tr_parameter_tiles(s);
            tr_work w = tr_work_of(t, &steps[i]);
            if (!is_idle(exec, &steps[i]))
                update_tiles(t, i, &steps[i], &w, share(exec, n, t->thread),
                             share(exec, n, t->thread + 1));
            tr_charge(t, i);
        }
        return;
    }
    int b1 = (int)share(exec, n_blocks, t->thread + 1);
    for (int b = (int)share(exec, n_blocks, t->thread); b < b1; b++) {
        for (int i = first; i < end; i++) {
            tr_work w = tr_work_of(t, &steps[i]);
            tr_set_samples(t, &w, 0, exec->input->n);
            w.block = b;
            w.n_blocks = n_blocks;
            if (steps[i].kind == TR_STEP_PHASE)
                steps[i].phase->run(&w);
            else
                update_block(t, i, &steps[i], &w);
            tr_charge(t, i);
        }
    }
}

/* ---- for each thread ---- */

static void find_norm(const tr_run *t) {
    const tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    double sum = 0;
    for (int i = 0; i < p->n_parameters; i++) {
        const tr_parameter *q = &p->parameters[i];
        if (q->norms == TR_NONE) continue;
        int64_t n = tr_parameter_tiles(tr_row_state(&exec->graph->rows[q->row]));
        const double *squares = (const double *)(const void *)kept(exec, q->norms);
        for (int64_t j = 0; j < n; j++) sum += squares[j];
    }
    double norm = sqrt(sum);
    memcpy(t->me->arena + p->buffers[p->norm].offset, &norm, sizeof norm);
}

static void run_per_thread(tr_run *t, int i) {
    tr_exec *exec = t->exec;
    const tr_step *step = &exec->program->steps[i];
    if (step->kind == TR_STEP_NORM) {
        if (exec->complete) find_norm(t);
    } else {
        tr_work w = tr_work_of(t, step);
        tr_complete_totals(t, step);
        tr_set_samples(t, &w, 0, exec->input->n);
        step->phase->run(&w);
    }
    tr_charge(t, i);
}

/* ---- by samples ---- */

static void run_load(tr_run *t, const tr_step *step, int n0, int n1) {
    const tr_input *input = t->exec->input;
    tr_work w = tr_work_of(t, step);
    tr_set_samples(t, &w, n0, n1);
    uint64_t start = tr_now_ns();
    int code = input->load(input->arg, n0, n1, tr_y(&w, 0), tr_stride(w.y));
    t->me->load_ns += tr_now_ns() - start;
    if (code) t->me->code = code;
}

static void run_add(const tr_run *t, const tr_step *step, int n0, int n1) {
    tr_work w = tr_work_of(t, step);
    tr_set_samples(t, &w, n0, n1);
    for (int j = 0; j < w.n; j++)
        w.kernels->add(tr_stride(w.y), tr_x(&w, 0, j), tr_x(&w, 1, j), tr_y(&w, j));
}

static void run_chunk(tr_run *t, int first, int end, int n0, int n1) {
    const tr_exec *exec = t->exec;
    t->chunk0 = n0;
    for (int i = first; i < end; i++) {
        const tr_step *step = &exec->program->steps[i];
        if (step->kind == TR_STEP_SUM) {
            tr_add_up(t, step, n0, n1);
        } else if (step->kind == TR_STEP_LOAD) {
            run_load(t, step, n0, n1);
        } else if (step->kind == TR_STEP_ADD) {
            run_add(t, step, n0, n1);
        } else {
            tr_work w = tr_work_of(t, step);
            tr_set_samples(t, &w, n0, n1);
            step->phase->run(&w);
        }
        tr_charge(t, i);
    }
}

/* The thread's samples, chunk by chunk. A chunk is whole shards, or a part of one. */
static void run_samples(tr_run *t, int first, int end) {
    tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    int n0 = (int)t->shard0 * exec->shard, shard = exec->shard;
    int stop = (int)tr_min(t->shard1 * exec->shard, exec->input->n);
    bool sums = false;
    for (int i = first; i < end; i++) sums |= p->steps[i].kind == TR_STEP_SUM;
    uint64_t start = exec->measures ? tr_now_ns() : 0;
    tr_tree_clear(&t->done);
    for (int n1; n0 < stop; n0 = n1) {
        n1 = (int)tr_min(stop, n0 + exec->chunk);
        if (exec->chunk < shard) n1 = (int)tr_min(n1, (n0 / shard + 1) * shard);
        run_chunk(t, first, end, n0, n1);
        for (int n = n0; sums && n < n1; n = (n / shard + 1) * shard) {
            if ((n / shard + 1) * shard <= n1 || n1 == stop)
                tr_tree_push(&t->done, exec->first_shard + n / shard);
        }
    }
    if (exec->measures) t->me->busy_ns += tr_now_ns() - start;
}

void tr_run_steps(tr_run *t, int first, int end) {
    const tr_step *steps = t->exec->program->steps;
    for (; first < end && steps[first].partition == TR_PER_THREAD; first++)
        run_per_thread(t, first);
    for (int stop; first < end && steps[first].partition == TR_BY_BLOCKS; first = stop) {
        for (stop = first + 1; stop < end && steps[stop].partition == TR_BY_BLOCKS &&
                               steps[stop].key == steps[first].key;)
            stop++;
        run_blocks(t, first, stop);
    }
    if (first < end) run_samples(t, first, end);
}

/* The input that the caller provides is elsewhere in each pass. */
static void bind_input(const tr_run *t) {
    const tr_program *p = t->exec->program;
    if (!p->buffers[p->input].external) return;
    for (int i = 0; i < p->n_bound; i++) {
        if (p->bound[i] != p->input) continue;
        t->me->bindings[i].at = (char *)t->exec->input->x;
        t->me->bindings[i].stride = t->exec->input->stride * (int64_t)sizeof(tr_real);
    }
}

void tr_begin_run(tr_run *t, tr_exec *exec, int thread) {
    t->exec = exec;
    t->me = &exec->workers[thread];
    t->thread = thread;
    t->shard0 = exec->step_partition[thread];
    t->shard1 = exec->step_partition[thread + 1];
    t->chunk0 = 0;
    t->mark = 0;
    tr_tree_clear(&t->done);
    bind_input(t);
    skip(t);
}

void tr_exec_run(int thread, void *arg) {
    tr_exec *exec = arg;
    const tr_program *p = exec->program;
    tr_run t;
    tr_begin_run(&t, exec, thread);
    for (int s = 0; s < p->n_segments; s++) {
        if (s > 0) {
            tr_team_barrier(exec->team, thread);
            skip(&t);
        }
        tr_run_steps(&t, p->segments[s], p->segments[s + 1]);
        if (exec->options.poison) tr_poison_dead(&t, s);
    }
}
