/* The program: phases in order, backward by reverse-mode differentiation, buffers, barriers.
 *
 * Order: packing, input, forward, loss, backward, update; a layer whose threads own blocks of its
 * weights is updated in its backward. A barrier stands before a step that may read what other
 * threads wrote: between phases partitioned by samples a thread only touches its own samples,
 * everywhere else it may touch any. Steps between two barriers are a segment; a buffer that one
 * segment touches only lives in the threads' arenas, where a chunk of samples fits the cache; the
 * others live in the batch's arena.
 */
#include "graph/graph.h"

typedef struct builder {
    tr_program *program;
    const tr_graph *graph;
    bool *need;  /* [n_nodes] the gradient of its value */
    int *y, *dy; /* [n_nodes] buffers */
    int (*dx)[TR_MAX_INPUTS];
    int (*aux)[TR_N_AUX];
    int64_t *shared, *per_thread;
} builder;

static bool trains(const tr_program *p) {
    return p->flags & TR_PROGRAM_TRAINS;
}

static bool is_real(const tr_node *node) {
    return node->op != NULL && !node->op->view && node->value == node->id;
}

/* The padding lets kernels read and write a vector past the end; it also keeps samples of different
 * threads off each other's cache lines. */
static int64_t value_bytes(tr_shape shape) {
    return (tr_round_up(tr_shape_size(shape), TR_LANES) + TR_LANES) * (int64_t)sizeof(tr_real);
}

static int new_buffer(tr_program *program, int64_t bytes) {
    program->buffers[program->n_buffers] =
        (tr_buffer){.bytes = bytes, .first = INT32_MAX, .last = -1};
    return program->n_buffers++;
}

static void touch(tr_program *program, int buffer, int step) {
    if (buffer < 0) return;
    tr_buffer *b = &program->buffers[buffer];
    if (step < b->first) b->first = step;
    if (step > b->last) b->last = step;
}

/* What a phase with `use` touches, as buffers of `step` number `at`. */
static void bind_step(builder *b, tr_step *step, const tr_node *node, unsigned use, int at) {
    tr_program *p = b->program;
    for (int i = 0; i < TR_MAX_INPUTS; i++) step->x[i] = step->dx[i] = TR_NO_BUFFER;
    step->node = node;
    step->y = step->dy = TR_NO_BUFFER;
    for (int i = 0; i < node->n_inputs; i++) {
        if (use & TR_USE_X) step->x[i] = b->y[b->graph->nodes[node->input[i]].value];
        if (use & TR_USE_DX) step->dx[i] = b->dx[node->id][i];
        touch(p, step->x[i], at);
        touch(p, step->dx[i], at);
    }
    if (use & TR_USE_Y) step->y = b->y[node->id];
    if (use & TR_USE_DY) step->dy = b->dy[node->id];
    touch(p, step->y, at);
    touch(p, step->dy, at);
    for (int i = 0; i < TR_N_AUX; i++) {
        bool used = use & (i == 0 ? TR_USE_AUX0 : TR_USE_AUX1);
        step->aux[i] = used ? b->aux[node->id][i] : TR_NO_BUFFER;
        touch(p, step->aux[i], at);
    }
    step->shared = b->shared[node->id];
    step->per_thread = b->per_thread[node->id];
}

static void add_phases(builder *b, const tr_node *node, const tr_phase *phases, int n,
                       bool backward) {
    for (int i = 0; i < n; i++) {
        tr_step *step = &b->program->steps[b->program->n_steps];
        step->phase = phases[i];
        step->backward = backward;
        bind_step(b, step, node, phases[i].use, b->program->n_steps);
        b->program->n_steps++;
    }
}

/* The update of a node's parameters, from the buffers that op->grad reads. */
static void add_update(builder *b, const tr_node *node, int n_blocks) {
    tr_program *p = b->program;
    tr_step *step = &p->steps[p->n_steps];
    bool sums = p->plans[node->id].grad_size > 0;
    step->phase = (tr_phase){.label = sums ? "reduce and update" : "update",
                             .partition = TR_BY_BLOCKS,
                             .n_blocks = n_blocks};
    step->backward = step->update = true;
    bind_step(b, step, node, node->op->grad_use, p->n_steps);
    p->n_steps++;
}

/* The gradient of a value with several readers: theirs, added in the order of the readers. */
static void add_gradient_sums(builder *b, int value) {
    tr_program *p = b->program;
    int sum = TR_NO_BUFFER;
    for (int i = 1; i < b->graph->n_nodes; i++) {
        const tr_node *node = &b->graph->nodes[i];
        for (int j = 0; is_real(node) && j < node->n_inputs; j++) {
            int part = b->dx[i][j];
            if (b->graph->nodes[node->input[j]].value != value || part < 0 || part == b->dy[value])
                continue;
            if (sum == TR_NO_BUFFER) {
                sum = part;
                continue;
            }
            tr_step *step = &p->steps[p->n_steps];
            bind_step(b, step, &b->graph->nodes[value], 0, p->n_steps);
            step->node = NULL;
            step->phase = (tr_phase){.label = "gradient sum", .partition = TR_BY_SAMPLES};
            step->backward = true;
            step->x[0] = sum;
            step->x[1] = part;
            step->y = b->dy[value];
            touch(p, sum, p->n_steps);
            touch(p, part, p->n_steps);
            touch(p, step->y, p->n_steps);
            sum = b->dy[value];
            p->n_steps++;
        }
    }
}

/* Which gradients are needed, the plan of each node, and its buffers. */
static void plan_nodes(builder *b) {
    const tr_graph *g = b->graph;
    tr_program *p = b->program;
    int *n_parts = b->dy; /* for a moment: how many gradients a value gets */
    for (int i = 0; i < g->n_nodes; i++) {
        const tr_node *node = &g->nodes[i];
        b->need[i] = node->n_params > 0 || (i == 0 && (p->flags & TR_PROGRAM_INPUT_GRADIENT));
        for (int j = 0; j < node->n_inputs; j++)
            b->need[i] |= b->need[g->nodes[node->input[j]].value];
        n_parts[i] = 0;
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const tr_node *node = &g->nodes[i];
        tr_request request = {.batch = p->batch, .training = trains(p)};
        b->y[i] = b->aux[i][0] = b->aux[i][1] = TR_NO_BUFFER;
        b->shared[i] = b->per_thread[i] = TR_NO_BUFFER;
        if (node->op == NULL) {
            b->y[i] = new_buffer(p, value_bytes(node->out));
            p->external = p->flags & TR_PROGRAM_LOADS ? TR_NO_BUFFER : b->y[i];
        }
        if (!is_real(node)) continue;
        for (int j = 0; j < node->n_inputs; j++) {
            int value = g->nodes[node->input[j]].value;
            request.need_dx[j] = trains(p) && b->need[value];
            n_parts[value] += request.need_dx[j];
        }
        tr_node_plan *plan = &p->plans[i];
        node->op->plan(node, &request, plan);
        b->y[i] = new_buffer(p, value_bytes(node->out));
        for (int j = 0; j < TR_N_AUX; j++) {
            if (plan->aux_bytes[j])
                b->aux[i][j] = new_buffer(p, tr_round_up(plan->aux_bytes[j], TR_ALIGN) + TR_ALIGN);
        }
        if (plan->shared_size) {
            b->shared[i] = p->shared_elements;
            p->shared_elements += tr_round_up(plan->shared_size, TR_LANES) + TR_LANES;
        }
        if (plan->per_thread_size) {
            b->per_thread[i] = p->per_thread_elements;
            p->per_thread_elements += tr_round_up(plan->per_thread_size, TR_LANES) + TR_LANES;
        }
        p->scratch_elements = tr_max(p->scratch_elements, plan->scratch_size);
        p->grad_at[i] = p->grad_elements;
        p->grad_elements += tr_round_up(plan->grad_size, TR_LANES);
    }
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const tr_node *node = &g->nodes[i];
        bool several = n_parts[i] > 1;
        b->dy[i] = n_parts[i] ? new_buffer(p, value_bytes(node->out)) : TR_NO_BUFFER;
        for (int r = 1; r < g->n_nodes; r++) { /* its readers' side */
            const tr_node *reader = &g->nodes[r];
            for (int j = 0; is_real(reader) && j < reader->n_inputs; j++) {
                if (g->nodes[reader->input[j]].value != i) continue;
                bool wanted = trains(p) && b->need[i];
                b->dx[r][j] = !wanted   ? TR_NO_BUFFER
                              : several ? new_buffer(p, value_bytes(node->out))
                                        : b->dy[i];
            }
        }
    }
}

static bool by_samples(tr_partition partition) {
    return partition == TR_BY_SAMPLES || partition == TR_BY_SHARDS;
}

static bool needs_barrier(const tr_step *before, const tr_step *now) {
    if (before->phase.partition == TR_PER_THREAD) return false;
    if (by_samples(before->phase.partition) && by_samples(now->phase.partition)) return false;
    /* An update after another, or after its own blocks: all that it reads was written before the
     * last barrier, and no other step reads what it writes. */
    bool behind =
        before->update || (before->phase.partition == TR_BY_BLOCKS && before->node == now->node &&
                           before->phase.n_blocks == now->phase.n_blocks);
    return !(now->update && behind);
}

/* Barriers, then which buffers are local, then offsets for both kinds. */
static int place_buffers(tr_program *p, tr_error *err) {
    int n = p->n_buffers, kept = 0;
    int *segment = tr_alloc((size_t)p->n_steps + 1, sizeof *segment, err);
    int *first = tr_alloc((size_t)n, sizeof *first, err);
    int *last = tr_alloc((size_t)n, sizeof *last, err);
    int *ids = tr_alloc((size_t)n, sizeof *ids, err);
    int64_t *bytes = tr_alloc((size_t)n, sizeof *bytes, err);
    int64_t *offset = tr_alloc((size_t)n, sizeof *offset, err);
    int code = segment && first && last && ids && bytes && offset ? TR_OK : TR_ENOMEM;
    for (int i = 1; code == TR_OK && i <= p->n_steps; i++) {
        bool barrier = i == p->n_steps || needs_barrier(&p->steps[i - 1], &p->steps[i]);
        if (i < p->n_steps) p->steps[i].barrier = barrier;
        segment[i] = segment[i - 1] + barrier;
    }
    for (int i = 0; code == TR_OK && i < n; i++) {
        tr_buffer *b = &p->buffers[i];
        if (b->last < 0 || i == p->external) continue;
        b->local = segment[b->first] == segment[b->last];
        for (int s = b->first; b->local && s <= b->last; s++)
            b->local = by_samples(p->steps[s].phase.partition);
    }
    for (int local = 0; code == TR_OK && local < 2; local++) {
        kept = 0;
        for (int i = 0; i < n; i++) {
            tr_buffer *b = &p->buffers[i];
            if (b->last < 0 || i == p->external || b->local != local) continue;
            ids[kept] = i;
            bytes[kept] = b->bytes;
            /* Threads of one segment are at different steps: only whole segments are disjoint in
             * time. */
            first[kept] = local ? b->first : segment[b->first];
            last[kept++] = local ? b->last : segment[b->last];
        }
        int64_t total = tr_plan_memory(kept, bytes, first, last, offset);
        for (int i = 0; total >= 0 && i < kept; i++) p->buffers[ids[i]].offset = offset[i];
        *(local ? &p->local_bytes : &p->batch_bytes) = total;
        if (total < 0)
            code = tr_fail(err, TR_ENOMEM, "the plan of the network does not fit in memory");
    }
    tr_free(segment);
    tr_free(first);
    tr_free(last);
    tr_free(ids);
    tr_free(bytes);
    tr_free(offset);
    return code;
}

static void build(builder *b) {
    const tr_graph *g = b->graph;
    tr_program *p = b->program;
    plan_nodes(b);
    for (int i = 1; i < g->n_nodes; i++)
        add_phases(b, &g->nodes[i], p->plans[i].pack, p->plans[i].n_pack, false);
    static const tr_phase load = {"load", TR_BY_SAMPLES, 0, TR_USE_Y, NULL};
    if (p->flags & TR_PROGRAM_LOADS) add_phases(b, &g->nodes[0], &load, 1, false);
    for (int i = 1; i < g->n_nodes; i++)
        add_phases(b, &g->nodes[i], p->plans[i].forward, p->plans[i].n_forward, false);
    for (int i = g->n_nodes - 1; trains(p) && i > 0; i--) {
        if (!is_real(&g->nodes[i]) || !b->need[i]) continue;
        add_gradient_sums(b, i);
        add_phases(b, &g->nodes[i], p->plans[i].backward, p->plans[i].n_backward, true);
        if (p->plans[i].update_blocks) add_update(b, &g->nodes[i], p->plans[i].update_blocks);
    }
    if (trains(p) && b->need[0]) add_gradient_sums(b, 0);
    for (int i = g->n_nodes - 1; trains(p) && i > 0; i--) {
        if (is_real(&g->nodes[i]) && g->nodes[i].n_params && !p->plans[i].update_blocks)
            add_update(b, &g->nodes[i], 0);
    }
    p->output = b->y[g->nodes[g->output].value];
    p->input_gradient = b->dy[0];
    touch(p, p->output, p->n_steps);
    touch(p, p->input_gradient, p->n_steps);
}

int tr_program_create(const tr_graph *graph, int batch, unsigned flags, tr_program **out,
                      tr_error *err) {
    size_t n = (size_t)graph->n_nodes;
    tr_program *p = tr_alloc(1, sizeof *p, err);
    builder b = {.program = p,
                 .graph = graph,
                 .need = tr_alloc(n, sizeof *b.need, err),
                 .y = tr_alloc(n, sizeof *b.y, err),
                 .dy = tr_alloc(n, sizeof *b.dy, err),
                 .dx = tr_alloc(n, sizeof *b.dx, err),
                 .aux = tr_alloc(n, sizeof *b.aux, err),
                 .shared = tr_alloc(n, sizeof *b.shared, err),
                 .per_thread = tr_alloc(n, sizeof *b.per_thread, err)};
    int code =
        p && b.need && b.y && b.dy && b.dx && b.aux && b.shared && b.per_thread ? TR_OK : TR_ENOMEM;
    *out = NULL;
    if (code == TR_OK) {
        p->graph = graph;
        p->batch = batch;
        p->flags = flags;
        /* Packing, phases forward and backward, sums of gradients, update; value, its gradient,
         * theirs, what is kept. */
        p->steps = tr_alloc(n * (2 * TR_MAX_PHASES + 2 + TR_MAX_INPUTS), sizeof *p->steps, err);
        p->buffers = tr_alloc(n * (2 + TR_MAX_INPUTS + TR_N_AUX), sizeof *p->buffers, err);
        p->plans = tr_alloc(n, sizeof *p->plans, err);
        p->grad_at = tr_alloc(n, sizeof *p->grad_at, err);
        code = p->steps && p->buffers && p->plans && p->grad_at ? TR_OK : TR_ENOMEM;
    }
    if (code == TR_OK) {
        build(&b);
        code = place_buffers(p, err);
    }
    tr_free(b.need);
    tr_free(b.y);
    tr_free(b.dy);
    tr_free(b.dx);
    tr_free(b.aux);
    tr_free(b.shared);
    tr_free(b.per_thread);
    if (code) {
        tr_program_free(p);
        return code;
    }
    *out = p;
    return TR_OK;
}

void tr_program_free(tr_program *program) {
    if (program == NULL) return;
    tr_free(program->steps);
    tr_free(program->buffers);
    tr_free(program->plans);
    tr_free(program->grad_at);
    tr_free(program);
}
