/* Planning an executor, and the frame of a step. */
#include <string.h>

#include "exec/run.h"

enum {
    MOST_SHARDS = 64,         /* of a batch, where the configuration does not say */
    CHUNK_BYTES = 256 * 1024, /* of activations of a chunk: half of a small second-level cache */
    ENOUGH_SHARDS = 4,        /* for each thread: fewer cannot be partitioned any better */
    MEASURED = 64,            /* steps between two looks at how they are */
};

static int64_t largest_tile(const tr_graph *graph) {
    int64_t most = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int p = 0; p < graph->nodes[i].n_params; p++)
            most = tr_max(most, graph->nodes[i].param[p].tile);
    }
    return most;
}

static int plan(tr_exec *exec, int n_threads, tr_error *err) {
    const tr_exec_options *o = &exec->options;
    unsigned flags = (o->training ? TR_PROGRAM_TRAINS : 0) | (o->loads ? TR_PROGRAM_LOADS : 0) |
                     (o->input_gradient ? TR_PROGRAM_INPUT_GRADIENT : 0);
    int code = tr_program_create(exec->graph, o->batch, flags, &exec->program, err);
    if (code) return code;
    const tr_program *p = exec->program;
    exec->shard = o->shard ? o->shard : (o->batch + MOST_SHARDS - 1) / MOST_SHARDS;
    int n_shards = (o->batch + exec->shard - 1) / exec->shard;
    exec->n_threads = (int)tr_min(n_threads, n_shards);
    /* A chunk is whole shards. */
    int64_t fit = CHUNK_BYTES / tr_max(1, p->local_bytes) / exec->shard;
    int64_t own = (n_shards + exec->n_threads - 1) / exec->n_threads;
    exec->chunk = (int)tr_max(1, tr_min(fit, own)) * exec->shard;
    exec->tile = tr_round_up(largest_tile(exec->graph), TR_LANES);
    exec->remaining.adds =
        tr_alloc((size_t)exec->n_threads * TR_TREE_SLOTS, sizeof *exec->remaining.adds, err);
    exec->partition = tr_alloc((size_t)exec->n_threads + 1, sizeof *exec->partition, err);
    exec->step_partition = tr_alloc((size_t)exec->n_threads + 1, sizeof *exec->step_partition, err);
    exec->workers = tr_alloc((size_t)exec->n_threads, sizeof *exec->workers, err);
    if (!exec->remaining.adds || !exec->partition || !exec->step_partition || !exec->workers)
        return TR_ENOMEM;
    tr_balance_even(exec->n_threads, n_shards, exec->partition);
    exec->n_temporaries = exec->n_slots = tr_tree_most_slots(n_shards);
    exec->balances = exec->n_threads > 1 && n_shards >= exec->n_threads * ENOUGH_SHARDS;
    for (int i = 0; i < p->n_steps; i++) exec->n_barriers += p->steps[i].barrier;
    exec->n_state = o->optimizer ? o->optimizer->n_state(o->optimizer_args) : 0;
    return TR_OK;
}

int tr_exec_plan(tr_graph *graph, const tr_exec_options *options, int n_threads, tr_exec **out,
                 tr_error *err) {
    *out = NULL;
    tr_exec *exec = tr_alloc(1, sizeof *exec, err);
    if (exec == NULL) return TR_ENOMEM;
    exec->graph = graph;
    exec->options = *options;
    int code = plan(exec, n_threads, err);
    if (code) {
        tr_exec_free(exec);
        return code;
    }
    *out = exec;
    return TR_OK;
}

int tr_exec_create(tr_graph *graph, const tr_exec_options *options, tr_team *team, tr_exec **out,
                   tr_error *err) {
    int code = tr_exec_plan(graph, options, tr_team_size(team), out, err);
    if (code == TR_OK && (code = tr_exec_allocate(*out, team, err))) {
        tr_exec_free(*out);
        *out = NULL;
    }
    return code;
}

void tr_exec_free(tr_exec *exec) {
    if (exec == NULL) return;
    for (int i = 0; exec->workers && i < exec->n_threads; i++) {
        tr_worker *w = &exec->workers[i];
        tr_free(w->local);
        tr_free(w->per_thread);
        tr_free(w->scratch);
        tr_free(w->grads);
        tr_free(w->tiles);
        tr_free(w->ns);
    }
    tr_free(exec->workers);
    for (int i = 0; i < TR_MAX_STATE; i++) tr_free(exec->state[i]);
    tr_free(exec->gradients);
    tr_free(exec->batch);
    tr_free(exec->shared);
    tr_free(exec->loss);
    tr_free(exec->best);
    tr_free(exec->remaining.adds);
    tr_free(exec->partition);
    tr_free(exec->step_partition);
    tr_program_free(exec->program);
    tr_free(exec);
}

/* Threads that took longer for their shards of a full batch get fewer. */
static bool balance(tr_exec *exec) {
    uint64_t ns[TR_MAX_THREADS];
    if (exec->n_measured < MEASURED) return false;
    exec->n_measured = 0;
    for (int i = 0; i < exec->n_threads; i++) {
        ns[i] = exec->workers[i].busy_ns;
        exec->workers[i].busy_ns = 0;
    }
    return tr_balance(exec->n_threads, ns, exec->partition);
}

/* Who takes which of the n shards of this step. */
static void partition_shards(tr_exec *exec, int64_t n) {
    bool moved = balance(exec), same = n == exec->n_shards;
    exec->n_shards = n;
    exec->active = (int)tr_min(exec->n_threads, n);
    exec->measures = exec->balances && n == exec->partition[exec->n_threads];
    exec->n_measured += exec->measures;
    if (same && !moved) return;
    if (exec->active < exec->n_threads)
        tr_balance_even(exec->active, n, exec->step_partition);
    else
        tr_balance_scale(exec->active, exec->partition, n, exec->step_partition);
    tr_tree_finish(exec->step_partition, exec->active, &exec->remaining);
}

int tr_exec_step(tr_exec *exec, tr_team *team, const tr_input *input, double lr, int64_t step,
                 tr_result *result) {
    uint64_t start = exec->options.profile ? tr_now_ns() : 0;
    exec->team = team;
    exec->input = input;
    exec->x = input->x;
    exec->x_stride = input->stride;
    exec->lr = lr;
    exec->step = step;
    partition_shards(exec, (input->n + exec->shard - 1) / exec->shard);
    for (int i = 0; i < exec->active; i++) exec->workers[i].code = TR_OK;
    tr_team_do(team, exec->active, tr_exec_run, exec);
    for (int i = 0; i < exec->active; i++) {
        if (exec->workers[i].code) return exec->workers[i].code;
    }
    double sum = 0;
    result->n_correct = 0;
    for (int i = 0; i < input->n; i++) {
        sum += (double)exec->loss[i];
        result->n_correct += exec->best[i] == input->labels[i];
    }
    result->loss = sum / input->n;
    result->best = exec->best;
    if (exec->options.profile) exec->steps_ns += tr_now_ns() - start;
    return TR_OK;
}

void tr_exec_get_cut(const tr_exec *exec, tr_exec_cut *out) {
    *out = (tr_exec_cut){.chunk = exec->chunk,
                         .shard = exec->shard,
                         .n_shards = (exec->options.batch + exec->shard - 1) / exec->shard,
                         .n_barriers = exec->n_barriers};
}

void tr_exec_gradient(const tr_exec *exec, const tr_node *node, int param, tr_real *out) {
    const tr_param *p = &node->param[param];
    const tr_real *from = exec->gradients + (p->value - exec->graph->parameters);
    int64_t n = tr_param_count(p);
    for (int64_t i = 0; i < n; i++) out[i] = from[p->index(node, i)];
}

static const tr_real *kept(const tr_exec *exec, int buffer, int i) {
    if (buffer == exec->program->external)
        return exec->x + i * exec->x_stride; /* nothing but views */
    const tr_buffer *b = &exec->program->buffers[buffer];
    return (const tr_real *)(const void *)(exec->batch + b->offset * exec->options.batch +
                                           i * b->bytes);
}

const tr_real *tr_exec_output(const tr_exec *exec, int i) {
    return kept(exec, exec->program->output, i);
}

const tr_real *tr_exec_input_gradient(const tr_exec *exec, int i) {
    return kept(exec, exec->program->input_gradient, i);
}
