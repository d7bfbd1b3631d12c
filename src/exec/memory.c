/* What an executor holds: counted, allocated, and touched by the threads that will use it.
 *
 * What is counted and what is allocated come from one list. Nothing is touched twice by different
 * owners on purpose: of each arena a thread touches what the first step will give it, so that the
 * pages are on its NUMA node. All of it is resident before the first step.
 */
#include <string.h>

#include "exec/run.h"

typedef struct piece {
    void *at; /* address of the pointer to it */
    int64_t count, size;
    tr_memory_kind kind;
} piece;
enum { MOST_PIECES = 5 + TR_MAX_STATE };

/* What all threads share. */
static int shared_pieces(tr_exec *exec, piece out[MOST_PIECES]) {
    const tr_program *p = exec->program;
    const int64_t real = sizeof(tr_real), elements = exec->graph->n_elements;
    int n = 0, batch = exec->options.batch;
    out[n++] = (piece){&exec->batch, p->batch_bytes, batch, TR_MEMORY_BATCH};
    out[n++] = (piece){&exec->shared, p->shared_elements + TR_LANES, real, TR_MEMORY_BATCH};
    out[n++] = (piece){&exec->loss, batch, sizeof *exec->loss, TR_MEMORY_BATCH};
    out[n++] = (piece){&exec->best, batch, sizeof *exec->best, TR_MEMORY_BATCH};
    for (int i = 0; i < exec->n_state; i++)
        out[n++] = (piece){&exec->state[i], elements, real, TR_MEMORY_OPTIMIZER};
    if (exec->options.keep_gradients)
        out[n++] = (piece){&exec->gradients, elements, real, TR_MEMORY_OPTIMIZER};
    return n;
}

/* A thread's own. */
static int worker_pieces(const tr_exec *exec, tr_worker *w, piece out[MOST_PIECES]) {
    const tr_program *p = exec->program;
    const int64_t real = sizeof(tr_real);
    const tr_memory_kind kind = TR_MEMORY_THREADS;
    int n = 0;
    out[n++] = (piece){&w->local, p->local_bytes, exec->chunk, kind};
    out[n++] = (piece){&w->per_thread, p->per_thread_elements + TR_LANES, real, kind};
    out[n++] = (piece){&w->scratch, p->scratch_elements + TR_LANES, real, kind};
    out[n++] = (piece){&w->grads, p->grad_elements * exec->n_slots + TR_LANES, real, kind};
    out[n++] = (piece){&w->tiles, exec->tile * (1 + exec->n_temporaries), real, kind};
    out[n++] = (piece){&w->ns, tr_n_entries(exec), sizeof *w->ns, kind};
    return n;
}

static void count_pieces(const piece *pieces, int n, tr_account *account) {
    for (int i = 0; i < n; i++)
        tr_account_add(account, pieces[i].kind, tr_alloc_bytes(pieces[i].count, pieces[i].size));
}

void tr_exec_account(const tr_exec *exec, tr_account *account) {
    piece pieces[MOST_PIECES];
    count_pieces(pieces, shared_pieces((tr_exec *)exec, pieces), account);
    for (int i = 0; i < exec->n_threads; i++)
        count_pieces(pieces, worker_pieces(exec, &exec->workers[i], pieces), account);
}

static int allocate_pieces(const piece *pieces, int n, tr_error *err) {
    for (int i = 0; i < n; i++) {
        void *memory = tr_alloc((size_t)pieces[i].count, (size_t)pieces[i].size, err);
        if (memory == NULL) return TR_ENOMEM;
        memcpy(pieces[i].at, &memory, sizeof memory); /* pointers to all kinds of things */
    }
    return TR_OK;
}

/* Of memory laid out as the parameters: the blocks that this thread updates. */
static void touch_blocks(const tr_exec *exec, int thread, tr_real *memory) {
    const tr_graph *g = exec->graph;
    for (int i = 0; memory && i < g->n_nodes; i++) {
        int n_blocks = exec->program->plans[i].update_blocks;
        if (n_blocks == 0) n_blocks = exec->n_threads;
        for (int p = 0; p < g->nodes[i].n_params; p++) {
            const tr_param *param = &g->nodes[i].param[p];
            int64_t b0 = tr_part(n_blocks, thread, exec->n_threads),
                    b1 = tr_part(n_blocks, thread + 1, exec->n_threads);
            int64_t e0 = tr_min(param->size, tr_part(param->n_blocks, b0, n_blocks) * param->block),
                    e1 = tr_min(param->size, tr_part(param->n_blocks, b1, n_blocks) * param->block);
            tr_touch(memory + (param->value - g->parameters) + e0,
                     (e1 - e0) * (int64_t)sizeof *memory);
        }
    }
}

/* An equal part of it. */
static void touch_part(const tr_exec *exec, int thread, void *memory, int64_t bytes) {
    int64_t first = tr_part(bytes, thread, exec->n_threads);
    tr_touch((char *)memory + first, tr_part(bytes, thread + 1, exec->n_threads) - first);
}

/* Of the batch's arena: the samples that this thread starts with. */
static void touch_samples(const tr_exec *exec, int thread) {
    const tr_program *p = exec->program;
    int64_t n0 = tr_min(exec->options.batch, exec->partition[thread] * exec->shard),
            n1 = tr_min(exec->options.batch, exec->partition[thread + 1] * exec->shard);
    for (int i = 0; i < p->n_buffers; i++) {
        const tr_buffer *b = &p->buffers[i];
        if (b->local || b->last < 0 || i == p->external) continue;
        tr_touch(exec->batch + b->offset * exec->options.batch + n0 * b->bytes,
                 (n1 - n0) * b->bytes);
    }
}

typedef struct allocating {
    tr_exec *exec;
    tr_error *errors; /* [n_threads] */
} allocating;

static void allocate_worker(int thread, void *arg) {
    allocating *a = arg;
    tr_exec *exec = a->exec;
    tr_worker *w = &exec->workers[thread];
    piece pieces[MOST_PIECES];
    int n = worker_pieces(exec, w, pieces);
    w->code = allocate_pieces(pieces, n, &a->errors[thread]);
    for (int i = 0; w->code == TR_OK && i < n; i++) {
        void *memory;
        memcpy(&memory, pieces[i].at, sizeof memory);
        tr_touch(memory, pieces[i].count * pieces[i].size);
    }
    touch_samples(exec, thread);
    touch_part(exec, thread, exec->shared,
               (exec->program->shared_elements + TR_LANES) * (int64_t)sizeof(tr_real));
    touch_blocks(exec, thread, exec->graph->parameters);
    for (int i = 0; i < exec->n_state; i++) touch_blocks(exec, thread, exec->state[i]);
    touch_blocks(exec, thread, exec->gradients);
}

int tr_exec_allocate(tr_exec *exec, tr_team *team, tr_error *err) {
    piece pieces[MOST_PIECES];
    allocating a = {exec, NULL};
    int code = allocate_pieces(pieces, shared_pieces(exec, pieces), err);
    if (code) return code;
    a.errors = tr_alloc((size_t)exec->n_threads, sizeof *a.errors, err);
    if (a.errors == NULL) return TR_ENOMEM;
    tr_team_do(team, exec->n_threads, allocate_worker, &a);
    for (int i = 0; code == TR_OK && i < exec->n_threads; i++) {
        code = exec->workers[i].code;
        if (code) tr_fail(err, code, "%s", a.errors[i].text);
    }
    tr_free(a.errors);
    return code;
}
