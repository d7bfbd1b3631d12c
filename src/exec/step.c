/* One thread's part of a step: its pass through the program. */
#include <string.h>

#include "exec/run.h"

typedef struct pass { /* one thread, one step */
    tr_exec *exec;
    tr_worker *me;
    int thread;
    int64_t shard0, shard1; /* its shards */
    int chunk0;             /* first sample of the current chunk */
    tr_tree_stack done;     /* gradient sums of the chunks before it */
    uint64_t mark;          /* profile: when the time of the next entry begins */
} pass;

/* Charge the time since the last call to an entry of the profile. */
static void charge(pass *t, int entry) {
    if (!t->exec->options.profile) return;
    uint64_t now = tr_now_ns();
    t->me->ns[entry] += now - t->mark;
    t->mark = now;
}

/* Leave out the time since the last call: barriers are what remains of the wall clock. */
static void skip(pass *t) {
    if (t->exec->options.profile) t->mark = tr_now_ns();
}

static char *sample(const pass *t, int buffer, int n0) {
    const tr_exec *exec = t->exec;
    const tr_buffer *b = &exec->program->buffers[buffer];
    if (b->local) return t->me->local + b->offset * exec->chunk + (n0 - t->chunk0) * b->bytes;
    return exec->batch + b->offset * exec->options.batch + n0 * b->bytes;
}

static tr_real *value(const pass *t, int buffer, int n0, int64_t *stride) {
    const tr_exec *exec = t->exec;
    if (buffer < 0) return NULL;
    if (buffer == exec->program->external) {
        *stride = exec->input->stride;
        return (tr_real *)exec->input->x + n0 * exec->input->stride;
    }
    *stride = exec->program->buffers[buffer].bytes / (int64_t)sizeof(tr_real);
    return (tr_real *)(void *)sample(t, buffer, n0);
}

/* The piece of work of a step for samples n0..n1-1. */
static tr_work work_of(const pass *t, const tr_step *step, int n0, int n1) {
    const tr_exec *exec = t->exec;
    tr_work w;
    w.node = step->node;
    w.kernels = exec->options.kernels;
    w.first = n0;
    w.n = n1 - n0;
    w.batch = exec->input->n;
    w.block = 0;
    w.n_blocks = step->phase.n_blocks;
    int n_inputs = step->node ? step->node->n_inputs : 2;
    for (int i = 0; i < n_inputs; i++) {
        w.x[i] = value(t, step->x[i], n0, &w.xs[i]);
        w.dx[i] = value(t, step->dx[i], n0, &w.xs[i]);
    }
    w.ys = 0;
    w.y = value(t, step->y, n0, &w.ys);
    w.dy = value(t, step->dy, n0, &w.ys);
    for (int i = 0; i < TR_N_AUX; i++) {
        w.aux[i] = NULL;
        w.aux_step[i] = 0;
        if (step->aux[i] < 0) continue;
        w.aux[i] = (unsigned char *)sample(t, step->aux[i], n0);
        w.aux_step[i] = exec->program->buffers[step->aux[i]].bytes;
    }
    w.shared = step->shared < 0 ? NULL : exec->shared + step->shared;
    w.per_thread = step->per_thread < 0 ? NULL : t->me->per_thread + step->per_thread;
    w.scratch = t->me->scratch;
    w.grad = NULL;
    w.labels = exec->input->labels + n0;
    w.loss = exec->loss + n0;
    w.best = exec->best + n0;
    return w;
}

/* A phase that sums gradients: each shard into the next free slot, then what the tree says. */
static void run_shards(const pass *t, const tr_step *step, int64_t s0, int64_t s1) {
    const tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    tr_tree_stack stack = t->done;
    int64_t size = p->plans[step->node->id].grad_size;
    tr_real *base = t->me->grads + p->grad_at[step->node->id];
    for (int64_t s = s0; s < s1; s++) {
        int n0 = (int)(s * exec->shard);
        tr_work w = work_of(t, step, n0, (int)tr_min(n0 + exec->shard, exec->input->n));
        int slot = stack.n;
        w.grad = base + slot * p->grad_elements;
        step->phase.run(&w);
        for (int merges = tr_tree_push(&stack, s); merges > 0; merges--, slot--) {
            tr_real *to = base + (slot - 1) * p->grad_elements;
            exec->options.kernels->add(size, to, base + slot * p->grad_elements, to);
        }
    }
}

static const tr_real *term(const pass *t, tr_tree_term x, int64_t at) {
    const tr_exec *exec = t->exec;
    if (x.thread == TR_TREE_TEMPORARY) return t->me->tiles + (1 + x.slot) * exec->tile;
    return exec->workers[x.thread].grads + x.slot * exec->program->grad_elements + at;
}

/* The gradient of the elements e0..e1-1 of a parameter over the whole batch. */
static const tr_real *gradient(pass *t, int entry, const tr_work *w, int param, int64_t e0,
                               int64_t e1) {
    const tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    int64_t place = p->plans[w->node->id].grad_at[param];
    if (place < 0) {
        charge(t, entry);
        w->node->op->grad(w, param, e0, e1, t->me->tiles);
        charge(t, tr_entry_of_grad(exec, w->node->id));
        return t->me->tiles;
    }
    int64_t at = p->grad_at[w->node->id] + place + e0;
    for (int i = 0; i < exec->remaining.n_adds; i++) {
        const tr_tree_add *a = &exec->remaining.adds[i];
        exec->options.kernels->add(e1 - e0, term(t, a->left, at), term(t, a->right, at),
                                   t->me->tiles + (1 + a->to) * exec->tile);
    }
    return term(t, exec->remaining.total, at);
}

static void update_tile(pass *t, int entry, const tr_work *w, int param, int64_t e0, int64_t e1) {
    const tr_exec *exec = t->exec;
    tr_real *weights = w->node->param[param].value + e0;
    int64_t place = weights - exec->graph->parameters;
    const tr_real *g = gradient(t, entry, w, param, e0, e1);
    if (exec->gradients) memcpy(exec->gradients + place, g, (size_t)(e1 - e0) * sizeof *g);
    if (exec->options.optimizer == NULL) return;
    tr_update u = {.n = e1 - e0, .p = weights, .g = g, .step = exec->step, .lr = exec->lr};
    for (int i = 0; i < TR_MAX_STATE; i++)
        u.state[i] = exec->state[i] ? exec->state[i] + place : NULL;
    exec->options.optimizer->update(exec->options.optimizer_args, exec->options.kernels, &u);
}

/* Part w->block of w->n_blocks of a node's parameters: the same thread's in each step, so that its
 * weights stay in one core's cache. */
static void update(pass *t, int entry, const tr_work *w) {
    for (int p = 0; p < w->node->n_params; p++) {
        const tr_param *param = &w->node->param[p];
        int64_t end = tr_part(param->n_blocks, w->block + 1, w->n_blocks);
        for (int64_t b = tr_part(param->n_blocks, w->block, w->n_blocks); b < end; b++) {
            int64_t e1 = tr_min(b * param->block + param->used, param->size);
            for (int64_t e = b * param->block; e < e1; e += param->tile)
                update_tile(t, entry, w, p, e, tr_min(e + param->tile, e1));
        }
    }
}

/* The steps first..end-1, one node's, by its blocks: all of them for one block, then the next, so
 * that what they share stays in the cache. */
static void run_blocks(pass *t, int first, int end) {
    tr_exec *exec = t->exec;
    const tr_step *steps = exec->program->steps;
    int n_blocks = steps[first].phase.n_blocks ? steps[first].phase.n_blocks : exec->active;
    int b1 = (int)tr_part(n_blocks, t->thread + 1, exec->active);
    for (int b = (int)tr_part(n_blocks, t->thread, exec->active); b < b1; b++) {
        for (int i = first; i < end; i++) {
            tr_work w = work_of(t, &steps[i], 0, exec->input->n);
            w.block = b;
            w.n_blocks = n_blocks;
            if (steps[i].update)
                update(t, i, &w);
            else
                steps[i].phase.run(&w);
            charge(t, i);
        }
    }
}

static void run_chunk(pass *t, int first, int end, int64_t s0, int64_t s1) {
    const tr_exec *exec = t->exec;
    const tr_input *input = exec->input;
    int n0 = (int)(s0 * exec->shard), n1 = (int)tr_min(s1 * exec->shard, input->n);
    t->chunk0 = n0;
    for (int i = first; i < end; i++) {
        const tr_step *step = &exec->program->steps[i];
        if (step->phase.partition == TR_BY_SHARDS) {
            run_shards(t, step, s0, s1);
        } else if (step->node == &exec->graph->nodes[0]) {
            tr_work w = work_of(t, step, n0, n1);
            uint64_t start = tr_now_ns();
            int code = input->load(input->arg, n0, n1, w.y, w.ys);
            t->me->load_ns += tr_now_ns() - start;
            if (code) t->me->code = code;
        } else if (step->node == NULL) {
            tr_work w = work_of(t, step, n0, n1);
            for (int j = 0; j < w.n; j++)
                w.kernels->add(w.ys, w.x[0] + j * w.xs[0], w.x[1] + j * w.xs[1], w.y + j * w.ys);
        } else {
            tr_work w = work_of(t, step, n0, n1);
            step->phase.run(&w);
        }
        charge(t, i);
    }
}

/* The steps first..end-1, between two barriers: packing, then either blocks or chunks of
 * samples. */
static void run_segment(pass *t, int first, int end) {
    tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    for (; first < end && p->steps[first].phase.partition == TR_PER_THREAD; first++) {
        tr_work w = work_of(t, &p->steps[first], 0, exec->input->n);
        p->steps[first].phase.run(&w);
        charge(t, first);
    }
    for (int stop; first < end && p->steps[first].phase.partition == TR_BY_BLOCKS; first = stop) {
        for (stop = first + 1; stop < end && p->steps[stop].node == p->steps[first].node;) stop++;
        run_blocks(t, first, stop);
    }
    if (first == end) return;
    tr_tree_stack before = t->done;
    int64_t chunk = exec->chunk / exec->shard;
    bool sums = false;
    for (int i = first; i < end; i++) sums |= p->steps[i].phase.partition == TR_BY_SHARDS;
    uint64_t start = exec->measures ? tr_now_ns() : 0;
    for (int64_t s = t->shard0; s < t->shard1; s += chunk) {
        int64_t stop = tr_min(s + chunk, t->shard1);
        run_chunk(t, first, end, s, stop);
        for (int64_t i = s; sums && i < stop; i++) tr_tree_push(&t->done, i);
    }
    if (exec->measures) t->me->busy_ns += tr_now_ns() - start;
    t->done = before; /* the next segment's sums are other layers' */
}

void tr_exec_run(int thread, void *arg) {
    tr_exec *exec = arg;
    const tr_program *p = exec->program;
    pass t = {.exec = exec,
              .me = &exec->workers[thread],
              .thread = thread,
              .shard0 = exec->step_partition[thread],
              .shard1 = exec->step_partition[thread + 1]};
    skip(&t);
    for (int first = 0, end; first < p->n_steps; first = end) {
        for (end = first + 1; end < p->n_steps && !p->steps[end].barrier;) end++;
        if (p->steps[first].barrier) {
            tr_team_barrier(exec->team, thread);
            skip(&t);
        }
        run_segment(&t, first, end);
    }
}
