/* Planning an executor, and the frame of a pass. */
#include <string.h>

#include "exec/run.h"

enum {
    MOST_SHARDS = 64,         /* of an effective batch, where the configuration does not say */
    CHUNK_BYTES = 256 * 1024, /* of activations of a chunk: half of a small second-level cache */
    ENOUGH_SHARDS = 4,        /* for each thread: fewer cannot be partitioned any better */
    MEASURED = 64,            /* steps between two looks at how they are */
};

int tr_exec_shard(int64_t effective) {
    return (int)((effective + MOST_SHARDS - 1) / MOST_SHARDS);
}

/* Bytes of the largest tile of a gradient and of its sum. */
static int64_t largest_tile(const tr_program *p) {
    int64_t most = 4096; /* of completed statistics, at a time */
    const int64_t real = sizeof(tr_real), wide = sizeof(double);
    for (int i = 0; i < p->n_parameters; i++) {
        const tr_parameter *q = &p->parameters[i];
        if (q->sum == TR_NONE) continue;
        const tr_state *s = tr_row_state(&p->graph->rows[q->row]);
        int64_t elements = q->plan.size ? s->tile * q->plan.size / s->size : s->tile;
        bool is_wide = p->buffers[q->sum].sum->wide;
        most = tr_max(most, tr_max(s->tile * real, elements * (is_wide ? wide : real)));
    }
    return tr_round_up(most + TR_LANES * wide, TR_ALIGN);
}

/* A gradient has to be kept until all are there, or all of the effective batch was seen. */
static bool is_deferred(const tr_exec_options *o) {
    return o->keep_gradients || o->part || o->clip_norm > 0 || o->effective > o->batch;
}

static int plan_program(tr_exec *exec, int64_t n_shards, tr_error *err) {
    const tr_exec_options *o = &exec->options;
    exec->balances =
        exec->n_threads > 1 && n_shards >= exec->n_threads * ENOUGH_SHARDS && o->partition == NULL;
    /* The longest run of leaves that a thread may get, wherever it begins. */
    int64_t longest = exec->balances ? n_shards : 1;
    for (int i = 0; i < exec->n_threads; i++)
        longest = tr_max(longest, exec->partition[i + 1] - exec->partition[i]);
    tr_program_options options = {.batch = o->batch,
                                  .effective = o->effective,
                                  .gradients = o->training,
                                  .training = o->training && !o->eval_mode,
                                  .loads = o->loads,
                                  .input_gradient = o->input_gradient,
                                  .deferred = is_deferred(o),
                                  .keep_gradients = o->keep_gradients || o->part,
                                  .norm = o->clip_norm > 0,
                                  .n_slots = tr_tree_most_slots(longest),
                                  .wide = o->wide};
    return tr_program_create(exec->graph, &options, &exec->program, err);
}

static int plan(tr_exec *exec, int n_threads, tr_error *err) {
    tr_exec_options *o = &exec->options;
    o->effective = (int)tr_max(o->effective, o->batch);
    exec->shard = o->shard ? o->shard : tr_exec_shard(o->effective);
    int64_t n_shards = (o->batch + exec->shard - 1) / exec->shard;
    exec->n_threads = (int)tr_min(n_threads, n_shards);
    size_t n = (size_t)exec->n_threads;
    exec->partition = tr_alloc(n + 1, sizeof *exec->partition, err);
    exec->step_partition = tr_alloc(n + 1, sizeof *exec->step_partition, err);
    exec->stacks = tr_alloc(n + 1, sizeof *exec->stacks, err);
    exec->whole.adds = tr_alloc((n + 1) * TR_TREE_SLOTS, sizeof *exec->whole.adds, err);
    exec->joined.adds = tr_alloc((n + 1) * TR_TREE_SLOTS, sizeof *exec->joined.adds, err);
    exec->workers = tr_alloc(n, sizeof *exec->workers, err);
    if (!exec->partition || !exec->step_partition || !exec->stacks || !exec->whole.adds ||
        !exec->joined.adds || !exec->workers)
        return TR_ENOMEM;
    tr_balance_even(exec->n_threads, n_shards, exec->partition);
    if (o->partition) memcpy(exec->partition, o->partition, (n + 1) * sizeof *exec->partition);
    int code = plan_program(exec, n_shards, err);
    if (code) return code;
    const tr_program *p = exec->program;
    /* A chunk is whole shards, unless these are larger than the cache. */
    int64_t fit = tr_max(1, CHUNK_BYTES / tr_max(1, p->local_bytes));
    int64_t own = (n_shards + exec->n_threads - 1) / exec->n_threads * exec->shard;
    exec->chunk = (int)(o->poison ? own : tr_min(fit, own));
    if (exec->chunk > exec->shard) exec->chunk -= exec->chunk % exec->shard;
    exec->tile_bytes = largest_tile(p);
    /* From leaf 0 on there are no more open sums than levels of the tree. */
    int most = tr_most_carried(exec);
    exec->n_temporaries = o->part ? most + 1 : most / 2 + 3;
    if (o->optimizer) {
        code = tr_graph_plan_optimizer(exec->graph, o->optimizer->state(o->optimizer_args), err);
        if (code) return code;
    }
    if (o->part || o->effective > o->batch) {
        exec->carry_slots = tr_most_carried(exec);
        exec->carry = tr_alloc((size_t)p->n_parameters, sizeof *exec->carry, err);
        if (exec->carry == NULL) return TR_ENOMEM;
    }
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
        if (exec->lender == NULL) {
            tr_free(w->local);
            tr_free(w->arena);
            tr_free(w->scratch);
            tr_free(w->totals);
            tr_free(w->tiles);
        }
        tr_free(w->bindings);
        tr_free(w->total);
        tr_free(w->state);
        tr_free(w->ns);
    }
    tr_free(exec->workers);
    for (int i = 0; exec->carry && i < exec->program->n_parameters; i++)
        tr_free(exec->carry[i].slots);
    tr_free(exec->carry);
    tr_free(exec->batch);
    tr_free(exec->loss);
    tr_free(exec->best);
    tr_free(exec->whole.adds);
    tr_free(exec->joined.adds);
    tr_free(exec->stacks);
    tr_free(exec->partition);
    tr_free(exec->step_partition);
    tr_program_free(exec->program);
    tr_free(exec);
}

/* ---- a pass ---- */

/* Threads that took longer for their shards of a full pass get fewer. */
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

/* Who takes which of the n shards of this pass, and what remains of the tree then. */
static void partition_shards(tr_exec *exec, int64_t first, int64_t n, bool complete) {
    bool moved = balance(exec);
    if (first == 0) tr_carry_nothing(exec);
    bool same = n == exec->n_shards && first == exec->first_shard && complete == exec->complete;
    exec->first_shard = first;
    exec->n_shards = n;
    exec->complete = complete;
    exec->active = (int)tr_min(exec->n_threads, n);
    exec->measures = exec->balances && n == exec->partition[exec->n_threads];
    exec->n_measured += exec->measures;
    if (same && !moved && exec->carry == NULL) return;
    if (exec->active < exec->n_threads)
        tr_balance_even(exec->active, n, exec->step_partition);
    else
        tr_balance_scale(exec->active, exec->partition, n, exec->step_partition);
    exec->stacks[0] = (tr_tree_stack){0};
    for (int i = 0; i < exec->active; i++) {
        tr_tree_stack *stack = &exec->stacks[i + 1];
        *stack = (tr_tree_stack){0};
        for (int64_t s = exec->step_partition[i]; s < exec->step_partition[i + 1]; s++)
            tr_tree_push(stack, first + s);
    }
    tr_tree_join(exec->stacks, exec->active + 1, true, &exec->whole);
    exec->stacks[0] = exec->slots_carried;
    tr_tree_join(exec->stacks, exec->active + 1, complete, &exec->joined);
}

void tr_begin_pass(tr_exec *exec, tr_team *team, const tr_input *input, double lr, int64_t step) {
    int64_t count = input->count ? input->count : input->n;
    exec->team = team;
    exec->input = input;
    exec->x = input->x;
    exec->x_stride = input->stride;
    exec->lr = lr;
    exec->record = (tr_record){.seed = input->seed,
                               .epoch = input->epoch,
                               .step = step,
                               .first = input->first,
                               .count = count};
    partition_shards(exec, input->first / exec->shard, (input->n + exec->shard - 1) / exec->shard,
                     input->first + input->n == count && !exec->options.part);
}

int tr_exec_step(tr_exec *exec, tr_team *team, const tr_input *input, double lr, int64_t step,
                 tr_result *result) {
    uint64_t start = exec->options.profile ? tr_now_ns() : 0;
    tr_begin_pass(exec, team, input, lr, step);
    for (int i = 0; i < exec->active; i++) exec->workers[i].code = TR_OK;
    tr_team_do(team, exec->active, tr_exec_run, exec);
    tr_carry_over(exec);
    for (int i = 0; i < exec->active; i++) {
        if (exec->workers[i].code) return exec->workers[i].code;
    }
    result->loss = tr_sum_losses(exec) / input->n;
    result->n_correct = 0;
    for (int i = 0; i < input->n; i++) result->n_correct += exec->best[i] == input->labels[i];
    result->best = exec->best;
    if (exec->options.profile) exec->steps_ns += tr_now_ns() - start;
    return TR_OK;
}

/* ---- what came of it ---- */

void tr_exec_get_partition(const tr_exec *exec, tr_exec_partition *out) {
    *out = (tr_exec_partition){.chunk = exec->chunk,
                               .shard = exec->shard,
                               .n_shards = (exec->options.batch + exec->shard - 1) / exec->shard,
                               .n_barriers = tr_program_barriers(exec->program)};
}

int64_t tr_exec_kept(const tr_exec *exec, const tr_node *node) {
    return tr_program_kept(exec->program, node);
}

const tr_real *tr_exec_gradient(const tr_exec *exec, const tr_row *row) {
    const tr_program *p = exec->program;
    for (int i = 0; i < p->n_parameters; i++) {
        if (&exec->graph->rows[p->parameters[i].row] != row) continue;
        int buffer = p->parameters[i].gradient;
        return buffer == TR_NONE
                   ? NULL
                   : (const tr_real *)(const void *)(exec->batch + p->buffers[buffer].offset);
    }
    return NULL;
}

static const tr_real *kept(const tr_exec *exec, int buffer, int i) {
    const tr_buffer *b = &exec->program->buffers[buffer];
    if (b->external) return exec->x + i * exec->x_stride; /* nothing but views */
    return (const tr_real *)(const void *)(exec->batch + b->offset + i * b->bytes);
}

const tr_real *tr_exec_output(const tr_exec *exec, int i) {
    return kept(exec, exec->program->output, i);
}

const tr_real *tr_exec_input_gradient(const tr_exec *exec, int i) {
    return kept(exec, exec->program->input_gradient, i);
}
