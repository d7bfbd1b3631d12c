/* What an executor holds: counted, allocated, and touched by the threads that use it.
 *
 * What is counted and what is allocated come from one list. Of each arena a thread touches what the
 * first step will give it, so that the pages are on its NUMA node. All of it is resident before the
 * first step.
 */
#include <string.h>

#include "exec/run.h"

typedef struct piece {
    void *at; /* address of the pointer to it */
    int64_t count, size;
    tr_memory_kind kind;
} piece;
enum { MOST_PIECES = 10 };

/* What all threads share. */
static int shared_pieces(tr_exec *exec, piece out[MOST_PIECES]) {
    const tr_program *p = exec->program;
    int n = 0, batch = exec->options.batch;
    out[n++] = (piece){&exec->batch, p->batch_bytes, 1, TR_MEMORY_BATCH};
    out[n++] = (piece){&exec->loss, batch, sizeof *exec->loss, TR_MEMORY_BATCH};
    out[n++] = (piece){&exec->best, batch, sizeof *exec->best, TR_MEMORY_BATCH};
    return n;
}

/* Between passes. */
static piece carry_piece(tr_exec *exec, int parameter) {
    int sum = exec->program->parameters[parameter].sum;
    int64_t bytes = sum == TR_NONE ? 0 : exec->program->buffers[sum].bytes;
    return (piece){&exec->carry[parameter].slots, bytes, exec->carry_slots, TR_MEMORY_OPTIMIZER};
}

/* The most own resources that a node has. */
static int64_t most_own(const tr_program *p) {
    int64_t most = 1;
    for (int i = 0; i < p->graph->n_nodes; i++) most = tr_max(most, p->plans[i].n_resources);
    return most;
}

/* Bytes of the memory of a thread that nothing outlasts a pass in. */
enum { LOCAL, ARENA, SCRATCH, TOTALS, TILES, N_LENT };
static void lent_bytes(const tr_exec *exec, int64_t out[N_LENT]) {
    const tr_program *p = exec->program;
    int64_t own[] = {p->local_bytes * exec->chunk, p->thread_bytes,
                     p->scratch_bytes + TR_LANES * (int64_t)sizeof(tr_real), p->total_bytes,
                     exec->tile_bytes * (exec->n_temporaries + 1)};
    for (int i = 0; i < N_LENT; i++) out[i] = tr_max(out[i], own[i]);
}

static char **lent_places(tr_worker *w, int i) {
    char **places[] = {&w->local, &w->arena, &w->scratch, &w->totals, &w->tiles};
    return places[i];
}

/* A thread's own. */
static int worker_pieces(const tr_exec *exec, tr_worker *w, piece out[MOST_PIECES]) {
    const tr_program *p = exec->program;
    const tr_memory_kind kind = TR_MEMORY_THREADS;
    int64_t bytes[N_LENT] = {0};
    int n = 0;
    lent_bytes(exec, bytes);
    if (exec->borrower) lent_bytes(exec->borrower, bytes);
    for (int i = 0; exec->lender == NULL && i < N_LENT; i++)
        out[n++] = (piece){lent_places(w, i), bytes[i], 1, kind};
    out[n++] = (piece){&w->bindings, p->n_bound, sizeof *w->bindings, kind};
    out[n++] = (piece){&w->total, most_own(p), sizeof *w->total, kind};
    out[n++] = (piece){&w->state, exec->graph->n_optimizer, sizeof *w->state, kind};
    out[n++] = (piece){&w->ns, tr_n_entries(exec), sizeof *w->ns, kind};
    return n;
}

void tr_exec_lend(tr_exec *lender, tr_exec *borrower) {
    if (lender->n_threads < borrower->n_threads) return;
    lender->borrower = borrower;
    borrower->lender = lender;
}

static void count_pieces(const piece *pieces, int n, tr_account *account) {
    for (int i = 0; i < n; i++)
        tr_account_add(account, pieces[i].kind, tr_alloc_bytes(pieces[i].count, pieces[i].size));
}

void tr_exec_account(const tr_exec *exec, tr_account *account) {
    piece pieces[MOST_PIECES];
    count_pieces(pieces, shared_pieces((tr_exec *)exec, pieces), account);
    if (exec->options.optimizer)
        tr_account_add(account, TR_MEMORY_OPTIMIZER, tr_graph_optimizer_bytes(exec->graph));
    for (int i = 0; exec->carry && i < exec->program->n_parameters; i++) {
        pieces[0] = carry_piece((tr_exec *)exec, i);
        count_pieces(pieces, 1, account);
    }
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

/* ---- bindings ---- */

static tr_binding binding_of(const tr_exec *exec, const tr_worker *w, int buffer) {
    const tr_buffer *b = buffer == TR_NONE ? NULL : &exec->program->buffers[buffer];
    if (b == NULL || b->external) return (tr_binding){0};
    if (b->local) return (tr_binding){w->local + b->offset * exec->chunk, b->bytes, true};
    if (b->kind == TR_THREAD_BUFFER || b->kind == TR_SUM)
        return (tr_binding){w->arena + b->offset, 0, false};
    return (tr_binding){exec->batch + b->offset, b->kind == TR_SAMPLE_BUFFER ? b->bytes : 0, false};
}

/* ---- touching ---- */

/* Of memory laid out as the parameters, for the first n elements of theirs: the blocks that this
 * thread updates. */
static void touch_blocks(const tr_exec *exec, int thread, tr_real *memory, int64_t n_elements) {
    const tr_program *p = exec->program;
    for (int i = 0; memory && i < p->n_parameters; i++) {
        const tr_state *s = tr_row_state(&exec->graph->rows[p->parameters[i].row]);
        int64_t n = s->n_blocks, first = tr_part(n, thread, exec->n_threads) * s->block,
                end = tr_part(n, thread + 1, exec->n_threads) * s->block;
        int64_t e0 = tr_min(s->size, first), e1 = tr_min(s->size, end);
        int64_t at = (const tr_real *)s->value - exec->graph->parameters;
        if (at < n_elements) tr_touch(memory + at + e0, (e1 - e0) * (int64_t)sizeof *memory);
    }
}

/* Of the batch's arena: the samples that this thread starts with, and a part of what belongs to
 * all. */
static void touch_batch(const tr_exec *exec, int thread) {
    const tr_program *p = exec->program;
    int64_t n0 = tr_min(exec->options.batch, exec->partition[thread] * exec->shard),
            n1 = tr_min(exec->options.batch, exec->partition[thread + 1] * exec->shard);
    for (int i = 0; i < p->n_buffers; i++) {
        const tr_buffer *b = &p->buffers[i];
        if (b->local || b->last < 0 || b->external || b->state) continue;
        if (b->kind == TR_SAMPLE_BUFFER) {
            tr_touch(exec->batch + b->offset + n0 * b->bytes, (n1 - n0) * b->bytes);
        } else if (b->kind == TR_BATCH_BUFFER) {
            int64_t first = tr_part(b->bytes, thread, exec->n_threads);
            tr_touch(exec->batch + b->offset + first,
                     tr_part(b->bytes, thread + 1, exec->n_threads) - first);
        }
    }
}

typedef struct allocating {
    tr_exec *exec;
    tr_error *errors; /* [n_threads] */
} allocating;

static void allocate_worker(int thread, void *arg) {
    allocating *a = arg;
    tr_exec *exec = a->exec;
    const tr_program *p = exec->program;
    tr_worker *w = &exec->workers[thread];
    piece pieces[MOST_PIECES];
    int n = worker_pieces(exec, w, pieces);
    w->code = allocate_pieces(pieces, n, &a->errors[thread]);
    for (int i = 0; w->code == TR_OK && i < n; i++) {
        void *memory;
        memcpy(&memory, pieces[i].at, sizeof memory);
        tr_touch(memory, pieces[i].count * pieces[i].size);
    }
    for (int i = 0; exec->lender && i < N_LENT; i++)
        *lent_places(w, i) = *lent_places(&exec->lender->workers[thread], i);
    for (int i = 0; w->code == TR_OK && i < p->n_bound; i++)
        w->bindings[i] = binding_of(exec, w, p->bound[i]);
    touch_batch(exec, thread);
    touch_blocks(exec, thread, exec->graph->parameters, exec->graph->n_elements);
    for (int i = 0; exec->options.optimizer && i < exec->graph->n_optimizer; i++)
        touch_blocks(exec, thread, exec->graph->optimizer[i], exec->graph->n_trained);
}

int tr_exec_allocate(tr_exec *exec, tr_team *team, tr_error *err) {
    piece pieces[MOST_PIECES];
    allocating a = {exec, NULL};
    int code = allocate_pieces(pieces, shared_pieces(exec, pieces), err);
    if (code == TR_OK && exec->options.optimizer)
        code = tr_graph_allocate_optimizer(exec->graph, err);
    for (int i = 0; code == TR_OK && exec->carry && i < exec->program->n_parameters; i++) {
        pieces[0] = carry_piece(exec, i);
        code = allocate_pieces(pieces, 1, err);
        if (code == TR_OK) tr_touch(exec->carry[i].slots, pieces[0].count * pieces[0].size);
    }
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
