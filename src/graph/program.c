/* The program: the phases of all layers as steps, backward by reverse-mode differentiation.
 *
 * Order: packed weights, input, forward, loss, backward, gradients and updates; schedule.c moves a
 * step up to where its barriers allow it. A pointwise value is not kept: the step that makes it is
 * repeated in each segment that reads it, right where it is read, unless several layers read it. A
 * value's gradient is what its readers make, added in their order.
 */
#include "graph/build.h"

enum {
    WIDE = 32 * 1024, /* parameters of more elements have gradients by elements */
    DEEPEST = 16,     /* pointwise values in a row that are not kept */
};

static bool trains(const tr_program *p) {
    return p->options.gradients;
}

static bool is_real(const tr_node *node) {
    return node->op != NULL && !node->op->view && node->value == node->id;
}

/* The node whose value input j is. */
static int source(const tr_graph *g, const tr_node *node, int j) {
    return g->nodes[node->input[j]].value;
}

/* The padding lets kernels read and write a vector past the end; it also keeps samples of different
 * threads off each other's cache lines. */
static int64_t value_bytes(tr_shape shape) {
    return (tr_round_up(tr_shape_size(shape), TR_LANES) + TR_LANES) * (int64_t)sizeof(tr_real);
}

static int new_value(tr_builder *b, const tr_node *node) {
    return tr_build_buffer(
        b, &(tr_buffer){.kind = TR_SAMPLE_BUFFER, .bytes = value_bytes(node->out), .node = node});
}

/* ---- what each node needs ---- */

/* Which gradients are wanted, and how many layers read each value. */
static void find_needs(tr_builder *b) {
    const tr_graph *g = b->graph;
    for (int i = 0; i < g->n_nodes; i++) {
        const tr_node *node = &g->nodes[i];
        b->need[i] = i == 0 && b->program->options.input_gradient;
        for (int s = 0; s < node->n_state; s++)
            b->need[i] |= node->state[s].kind == TR_PARAMETER && !node->state[s].frozen;
        for (int j = 0; j < node->n_inputs; j++) {
            b->need[i] |= b->need[source(g, node, j)];
            if (is_real(node)) b->n_readers[source(g, node, j)]++;
        }
    }
}

static void plan_node(tr_builder *b, const tr_node *node) {
    const tr_program_options *o = &b->program->options;
    tr_plan *plan = &b->program->plans[node->id];
    bool *need = tr_alloc((size_t)node->n_inputs, sizeof *need, b->err);
    plan->gradients = tr_alloc((size_t)node->n_state, sizeof *plan->gradients, b->err);
    if (need == NULL || plan->gradients == NULL) {
        b->failed = true;
    } else {
        tr_request request = {.batch = o->batch,
                              .effective = o->effective ? o->effective : o->batch,
                              .gradients = o->gradients,
                              .training = o->training,
                              .need_dx = need,
                              .wide = o->wide ? o->wide : WIDE};
        for (int s = 0; s < node->n_state; s++) plan->gradients[s].sum = TR_NONE;
        for (int j = 0; j < node->n_inputs; j++)
            need[j] = trains(b->program) && b->need[source(b->graph, node, j)];
        node->op->plan(node, &request, plan);
        b->failed |= plan->failed;
    }
    tr_free(need);
}

/* The phase that makes a node's value, if it is pointwise. */
static const tr_phase *pointwise(const tr_builder *b, int value) {
    const tr_plan *plan = &b->program->plans[value];
    for (int i = 0; i < plan->n_phases; i++) {
        if (plan->phases[i].pointwise) return &plan->phases[i];
    }
    return NULL;
}

/* How many pointwise values in a row end with this one, had it no buffer. */
static int depth_of(const tr_builder *b, const tr_node *node) {
    int depth = 0;
    for (int j = 0; j < node->n_inputs; j++) {
        int value = source(b->graph, node, j);
        if (b->value[value] == TR_NONE) depth = (int)tr_max(depth, b->depth[value]);
    }
    return depth + 1;
}

/* Buffers of a node's value, own resources, and state. */
static void add_buffers(tr_builder *b, const tr_node *node) {
    tr_program *p = b->program;
    const tr_plan *plan = &p->plans[node->id];
    b->depth[node->id] = depth_of(b, node);
    bool stored = pointwise(b, node->id) == NULL || b->n_readers[node->id] != 1 ||
                  b->depth[node->id] > DEEPEST ||
                  node->id == b->graph->nodes[b->graph->output].value;
    b->value[node->id] = stored ? new_value(b, node) : TR_NONE;
    b->first_own[node->id] = p->n_buffers;
    for (int i = 0; i < plan->n_resources; i++) {
        const tr_resource *r = &plan->resources[i];
        int64_t bytes = tr_round_up(r->bytes, TR_ALIGN) + TR_ALIGN;
        if (r->kind == TR_BATCH_BUFFER || r->kind == TR_THREAD_BUFFER)
            bytes += TR_LANES * (int64_t)sizeof(tr_real);
        tr_build_buffer(b, &(tr_buffer){.kind = r->kind,
                                        .bytes = bytes,
                                        .sum = r->kind == TR_SUM ? &r->sum : NULL,
                                        .node = node,
                                        .index = i});
    }
    b->first_state[node->id] = p->n_buffers;
    for (int s = 0; s < node->n_state; s++)
        tr_build_buffer(
            b, &(tr_buffer){.kind = TR_BATCH_BUFFER, .state = true, .node = node, .index = s});
    p->scratch_bytes = tr_max(p->scratch_bytes, plan->scratch_bytes);
}

/* Buffers of gradients: of each value, and of what each reader makes of it. Where there is one
 * reader they are the same; and the same as the reader's own where that passes its gradient on. */
static void add_gradient_buffers(tr_builder *b) {
    const tr_graph *g = b->graph;
    for (int i = 0; i < b->first_edge[g->n_nodes]; i++) b->dx[i] = TR_NONE;
    for (int i = g->n_nodes - 1; trains(b->program) && i >= 0; i--) {
        const tr_node *node = &g->nodes[i];
        if (!b->need[i] || node->value != i || (node->op && node->op->view)) continue;
        int only = TR_NONE;
        for (int r = i + 1; r < g->n_nodes; r++) {
            const tr_node *reader = &g->nodes[r];
            for (int j = 0; is_real(reader) && j < reader->n_inputs; j++) {
                if (source(g, reader, j) != i) continue;
                only = b->program->plans[r].passes_gradient ? b->dy[r] : new_value(b, node);
                b->dx[b->first_edge[r] + j] = only;
            }
        }
        if (b->n_readers[i] > 0) b->dy[i] = b->n_readers[i] == 1 ? only : new_value(b, node);
    }
}

/* ---- steps ---- */

static tr_owner owner_of(const tr_builder *b, tr_partition partition, int buffer, bool own_block) {
    const tr_buffer *at = &b->program->buffers[buffer];
    if (partition == TR_BY_BLOCKS && own_block) return TR_OWNER_BLOCKS;
    bool samples = (at->kind == TR_SAMPLE_BUFFER || at->kind == TR_SUM) && !at->state;
    return partition == TR_BY_SAMPLES && samples ? TR_OWNER_SAMPLES : TR_OWNER_ANY;
}

/* The list of a step under construction: accesses and bound buffers. */
typedef struct draft {
    tr_step step;
    int n_accesses;
    tr_access *accesses;
    int *bound; /* [step.n_bound] */
} draft;

static void access_of(tr_builder *b, draft *d, int buffer, bool writes, bool own_block) {
    if (b->failed || buffer == TR_NONE) return;
    tr_access *place = tr_grow(&d->accesses, d->n_accesses, sizeof *d->accesses, b->err);
    if (place == NULL) {
        b->failed = true;
        return;
    }
    *place = (tr_access){buffer, writes, owner_of(b, d->step.partition, buffer, own_block)};
    d->n_accesses++;
}

static void begin(tr_builder *b, draft *d, const tr_step *step) {
    const tr_node *node = step->node;
    *d = (draft){.step = *step};
    d->step.n_inputs = node ? node->n_inputs : 2;
    int n_own = node ? b->program->plans[node->id].n_resources : 0;
    d->step.n_bound = 2 * d->step.n_inputs + 2 + n_own;
    d->bound = tr_alloc((size_t)d->step.n_bound, sizeof *d->bound, b->err);
    if (d->bound == NULL) b->failed = true;
    for (int i = 0; d->bound && i < d->step.n_bound; i++) d->bound[i] = TR_NONE;
}

static void end(tr_builder *b, draft *d, int segment) {
    tr_program *p = b->program;
    d->step.first_bound = p->n_bound;
    for (int i = 0; !b->failed && i < d->step.n_bound; i++) {
        int *place = tr_grow(&p->bound, p->n_bound, sizeof *p->bound, b->err);
        if (place)
            *place = d->bound[i], p->n_bound++;
        else
            b->failed = true;
    }
    tr_build_step(b, &d->step, segment, d->n_accesses, d->accesses);
    tr_free(d->accesses);
    tr_free(d->bound);
}

/* Position of a use in the bound buffers; TR_NONE: it has none (state). */
static int position(const tr_step *step, const tr_use *use) {
    int n = step->n_inputs;
    return use->what == TR_X     ? use->index
           : use->what == TR_DX  ? n + use->index
           : use->what == TR_Y   ? 2 * n
           : use->what == TR_DY  ? 2 * n + 1
           : use->what == TR_OWN ? 2 * n + 2 + use->index
                                 : TR_NONE;
}

/* The value that a use reads or writes, or TR_NONE. */
static int value_used(const tr_builder *b, const tr_node *node, const tr_use *use) {
    return use->what == TR_X   ? source(b->graph, node, use->index)
           : use->what == TR_Y ? node->id
                               : TR_NONE;
}

/* The buffer of a use; TR_NONE: an instance of a pointwise value. */
static int buffer_used(const tr_builder *b, const tr_node *node, const tr_use *use) {
    int value = value_used(b, node, use);
    if (value != TR_NONE) return b->value[value];
    return use->what == TR_DX    ? b->dx[b->first_edge[node->id] + use->index]
           : use->what == TR_DY  ? b->dy[node->id]
           : use->what == TR_OWN ? b->first_own[node->id] + use->index
                                 : b->first_state[node->id] + use->index;
}

/* The first segment in which this phase, with its partition and key, can run, as far as the buffers
 * are there already; a pointwise value that it reads has to be made there, too, or, unless the
 * phase goes by samples itself, in the segment before. */
static int earliest(const tr_builder *b, const tr_node *node, const tr_phase *phase,
                    tr_partition partition, int key) {
    int segment = 0;
    for (int i = 0; i < phase->n_uses; i++) {
        const tr_use *use = &b->program->plans[node->id].uses[phase->first_use + i];
        int buffer = buffer_used(b, node, use), at;
        if (buffer != TR_NONE) {
            tr_access access = {buffer, use->writes,
                                owner_of(b, partition, buffer, use->own_block)};
            at = tr_build_earliest(b, partition, key, &access);
        } else if (use->writes) {
            at = 0; /* its own instance */
        } else {
            int value = value_used(b, node, use);
            at = earliest(b, &b->graph->nodes[value], pointwise(b, value), TR_BY_SAMPLES, 0) +
                 (partition != TR_BY_SAMPLES);
        }
        segment = (int)tr_max(segment, at);
    }
    return segment;
}

static void add_uses(tr_builder *b, draft *d, const tr_phase *phase, int segment);

/* The buffer of a pointwise value made in this segment. */
static int instance(tr_builder *b, int value, int segment, bool backward) {
    const tr_node *node = &b->graph->nodes[value];
    const tr_phase *phase = pointwise(b, value);
    bool again = false;
    for (int i = b->n_instances - 1; i >= 0; i--) {
        if (b->instances[i].value != value) continue;
        if (b->instances[i].segment == segment) return b->instances[i].buffer;
        again = true;
    }
    int buffer = new_value(b, node);
    draft d;
    begin(b, &d,
          &(tr_step){.kind = TR_STEP_PHASE,
                     .label = phase->label,
                     .node = node,
                     .phase = phase,
                     .partition = TR_BY_SAMPLES,
                     .again = again,
                     .backward = backward});
    if (!b->failed) d.bound[2 * d.step.n_inputs] = buffer;
    access_of(b, &d, buffer, true, false);
    add_uses(b, &d, phase, segment);
    end(b, &d, segment);
    tr_instance *place =
        b->failed ? NULL : tr_grow(&b->instances, b->n_instances, sizeof *b->instances, b->err);
    if (place == NULL) {
        b->failed = true;
        return buffer;
    }
    *place = (tr_instance){value, segment, buffer};
    b->n_instances++;
    return buffer;
}

/* What a phase touches, in this segment. */
static void add_uses(tr_builder *b, draft *d, const tr_phase *phase, int segment) {
    const tr_node *node = d->step.node;
    for (int i = 0; !b->failed && i < phase->n_uses; i++) {
        const tr_use *use = &b->program->plans[node->id].uses[phase->first_use + i];
        int buffer = buffer_used(b, node, use), at = position(&d->step, use);
        if (buffer == TR_NONE && use->writes) continue; /* its own instance, bound already */
        if (buffer == TR_NONE)
            buffer = instance(b, value_used(b, node, use),
                              segment - (d->step.partition != TR_BY_SAMPLES), d->step.backward);
        if (b->failed) return;
        access_of(b, d, buffer, use->writes, use->own_block);
        if (at != TR_NONE) d->bound[at] = buffer;
    }
}

/* The key of a node's partition into so many blocks. */
static int key_of(tr_builder *b, const tr_node *node, int n_blocks) {
    for (int i = 0; i < b->program->n_steps; i++) {
        const tr_step *s = &b->program->steps[i];
        if (s->node == node && s->partition == TR_BY_BLOCKS && s->n_blocks == n_blocks && n_blocks)
            return s->key;
    }
    return ++b->n_keys;
}

static void add_phase(tr_builder *b, const tr_node *node, const tr_phase *phase) {
    const tr_plan *plan = &b->program->plans[node->id];
    bool sum = phase->sum != TR_NONE;
    if (phase->pointwise && b->value[node->id] == TR_NONE) return;  /* made where it is read */
    if (sum && plan->resources[phase->sum].sum.by_elements) return; /* where it is used */
    bool blocks = phase->partition == TR_BY_BLOCKS;
    draft d;
    begin(b, &d,
          &(tr_step){.kind = sum ? TR_STEP_SUM : TR_STEP_PHASE,
                     .label = phase->label,
                     .node = node,
                     .phase = phase,
                     .partition = phase->partition,
                     .key = blocks ? key_of(b, node, phase->n_blocks) : 0,
                     .n_blocks = phase->n_blocks,
                     .backward = phase->stage == TR_BACKWARD});
    int segment = earliest(b, node, phase, phase->partition, d.step.key);
    if (phase->stage == TR_BACKWARD && b->dy[node->id] != TR_NONE) {
        /* Not before the gradient is there, or what it makes would only be kept for longer. */
        tr_access reads = {b->dy[node->id], false, TR_OWNER_SAMPLES};
        segment = (int)tr_max(segment, tr_build_earliest(b, TR_BY_SAMPLES, 0, &reads));
    }
    add_uses(b, &d, phase, segment);
    if (sum && !b->failed) {
        int buffer = b->first_own[node->id] + phase->sum;
        access_of(b, &d, buffer, true, false);
        d.bound[2 * d.step.n_inputs + 2 + phase->sum] = buffer;
    }
    end(b, &d, segment);
}

static void add_stage(tr_builder *b, const tr_node *node, tr_stage stage) {
    if (!is_real(node)) return;
    const tr_plan *plan = &b->program->plans[node->id];
    for (int i = 0; !b->failed && i < plan->n_phases; i++) {
        if (plan->phases[i].stage == stage) add_phase(b, node, &plan->phases[i]);
    }
}

/* The gradient of a value with several readers. */
static void add_gradients(tr_builder *b, int value) {
    const tr_graph *g = b->graph;
    int sum = TR_NONE;
    if (b->n_readers[value] < 2 || !b->need[value]) return;
    for (int r = value + 1; r < g->n_nodes; r++) {
        const tr_node *reader = &g->nodes[r];
        for (int j = 0; is_real(reader) && j < reader->n_inputs; j++) {
            if (source(g, reader, j) != value) continue;
            int part = b->dx[b->first_edge[r] + j];
            if (sum == TR_NONE) {
                sum = part;
                continue;
            }
            draft d;
            begin(b, &d,
                  &(tr_step){.kind = TR_STEP_ADD,
                             .label = "gradient sum",
                             .partition = TR_BY_SAMPLES,
                             .backward = true});
            access_of(b, &d, sum, false, false);
            access_of(b, &d, part, false, false);
            access_of(b, &d, b->dy[value], true, false);
            if (!b->failed) d.bound[0] = sum, d.bound[1] = part, d.bound[4] = b->dy[value];
            end(b, &d, 0);
            sum = b->dy[value];
        }
    }
}

static void add_load(tr_builder *b) {
    draft d;
    begin(b, &d,
          &(tr_step){.kind = TR_STEP_LOAD,
                     .label = "load",
                     .node = &b->graph->nodes[0],
                     .partition = TR_BY_SAMPLES});
    access_of(b, &d, b->value[0], true, false);
    if (!b->failed) d.bound[0] = b->value[0]; /* y */
    end(b, &d, 0);
}

/* ---- gradients of parameters and updates ---- */

/* The phase that adds up sum number `sum` of a node. */
static const tr_phase *sum_phase(const tr_plan *plan, int sum) {
    for (int i = 0; i < plan->n_phases; i++) {
        if (plan->phases[i].sum == sum) return &plan->phases[i];
    }
    return NULL;
}

int64_t tr_parameter_tiles(const tr_state *s) {
    return s->n_blocks * ((s->used + s->tile - 1) / s->tile);
}

/* What completes a gradient: the sum's slots, or, by elements, what its leaves read. */
static void add_completion(tr_builder *b, const tr_parameter *q, int key, tr_step_kind kind) {
    const tr_graph *g = b->graph;
    tr_program *p = b->program;
    const tr_row *row = &g->rows[q->row];
    const tr_node *node = row->node;
    const tr_plan *plan = &p->plans[node->id];
    const tr_sum *sum = p->buffers[q->sum].sum;
    const tr_phase *phase = sum_phase(plan, q->plan.sum);
    bool updates = kind == TR_STEP_UPDATE;
    draft d;
    begin(b, &d,
          &(tr_step){.kind = kind,
                     .label = !updates           ? "gradient"
                              : sum->by_elements ? "update"
                                                 : "reduce and update",
                     .node = node,
                     .partition = TR_BY_BLOCKS,
                     .key = key,
                     .n_blocks = q->plan.n_blocks,
                     .parameter = (int)(q - p->parameters),
                     .backward = true});
    int state = b->first_state[node->id] + row->state, segment = 0;
    if (sum->by_elements) {
        segment = earliest(b, node, phase, TR_BY_BLOCKS, key);
        if (updates) {
            tr_access writes = {state, true, TR_OWNER_BLOCKS};
            segment = (int)tr_max(segment, tr_build_earliest(b, TR_BY_BLOCKS, key, &writes));
        }
        add_uses(b, &d, phase, segment);
    } else {
        access_of(b, &d, q->sum, false, false);
    }
    if (updates)
        access_of(b, &d, state, true, true);
    else
        access_of(b, &d, q->gradient, true, true);
    if (kind == TR_STEP_GRADIENT) access_of(b, &d, q->norms, true, true);
    end(b, &d, segment);
}

static void add_kept_update(tr_builder *b, const tr_parameter *q, int key) {
    tr_program *p = b->program;
    const tr_row *row = &b->graph->rows[q->row];
    draft d;
    begin(b, &d,
          &(tr_step){.kind = TR_STEP_UPDATE,
                     .label = "update",
                     .node = row->node,
                     .partition = TR_BY_BLOCKS,
                     .key = key,
                     .n_blocks = q->plan.n_blocks,
                     .parameter = (int)(q - p->parameters),
                     .backward = true});
    access_of(b, &d, q->gradient, false, true);
    access_of(b, &d, p->norm, false, false);
    access_of(b, &d, b->first_state[row->node->id] + row->state, true, true);
    end(b, &d, 0);
}

static void add_norm(tr_builder *b) {
    tr_program *p = b->program;
    draft d;
    begin(b, &d,
          &(tr_step){.kind = TR_STEP_NORM,
                     .label = "gradient norm",
                     .partition = TR_PER_THREAD,
                     .backward = true});
    for (int i = 0; i < p->n_parameters; i++)
        access_of(b, &d, p->parameters[i].norms, false, false);
    access_of(b, &d, p->norm, true, false);
    end(b, &d, 0);
}

static void list_parameters(tr_builder *b) {
    tr_program *p = b->program;
    const tr_graph *g = b->graph;
    for (int r = 0; trains(p) && !b->failed && r < g->n_rows; r++) {
        const tr_node *node = g->rows[r].node;
        const tr_state *state = tr_row_state(&g->rows[r]);
        if (state->kind != TR_PARAMETER || !is_real(node)) continue;
        tr_parameter *q = tr_grow(&p->parameters, p->n_parameters, sizeof *q, b->err);
        if (q == NULL) {
            b->failed = true;
            return;
        }
        p->n_parameters++;
        *q = (tr_parameter){.row = r, .sum = TR_NONE, .gradient = TR_NONE, .norms = TR_NONE};
        q->plan = p->plans[node->id].gradients[g->rows[r].state];
        if (q->plan.sum == TR_NONE) continue;
        q->sum = b->first_own[node->id] + q->plan.sum;
        if (p->options.deferred)
            q->gradient =
                tr_build_buffer(b, &(tr_buffer){.kind = TR_BATCH_BUFFER,
                                                .bytes = state->size * (int64_t)sizeof(tr_real),
                                                .node = node});
        if (p->options.norm)
            q->norms = tr_build_buffer(
                b, &(tr_buffer){.kind = TR_BATCH_BUFFER,
                                .bytes = tr_parameter_tiles(state) * (int64_t)sizeof(double)});
    }
    if (!p->options.norm) return;
    p->norm = tr_build_buffer(b, &(tr_buffer){.kind = TR_THREAD_BUFFER, .bytes = sizeof(double)});
}

static void add_updates(tr_builder *b) {
    tr_program *p = b->program;
    int *keys = tr_alloc((size_t)p->n_parameters, sizeof *keys, b->err);
    if (keys == NULL) b->failed = true;
    /* Last layers first: their gradients are the first that are there. */
    for (int i = p->n_parameters - 1; !b->failed && i >= 0; i--) {
        const tr_parameter *q = &p->parameters[i];
        if (q->sum == TR_NONE) continue;
        keys[i] = key_of(b, b->graph->rows[q->row].node, q->plan.n_blocks);
        add_completion(b, q, keys[i], p->options.deferred ? TR_STEP_GRADIENT : TR_STEP_UPDATE);
    }
    if (p->options.norm) add_norm(b);
    for (int i = p->n_parameters - 1; p->options.deferred && !b->failed && i >= 0; i--) {
        if (p->parameters[i].sum != TR_NONE) add_kept_update(b, &p->parameters[i], keys[i]);
    }
    tr_free(keys);
}

/* ---- all of it ---- */

static void find_totals(tr_program *p) {
    for (int i = 0; i < p->n_steps; i++) {
        const tr_step *s = &p->steps[i];
        int64_t bytes = 0;
        for (int j = 0; s->partition == TR_PER_THREAD && j < s->n_accesses; j++) {
            const tr_buffer *buffer = &p->buffers[p->accesses[s->first_access + j].buffer];
            if (buffer->kind == TR_SUM) bytes += buffer->bytes;
        }
        p->total_bytes = tr_max(p->total_bytes, bytes);
    }
}

static void build(tr_builder *b) {
    const tr_graph *g = b->graph;
    tr_program *p = b->program;
    find_needs(b);
    for (int i = 0; i < g->n_nodes; i++) {
        b->value[i] = b->dy[i] = TR_NONE;
        if (is_real(&g->nodes[i]) && !b->failed) plan_node(b, &g->nodes[i]);
    }
    b->value[0] = p->input = new_value(b, &g->nodes[0]);
    if (!b->failed) p->buffers[p->input].external = !p->options.loads;
    for (int i = 1; i < g->n_nodes && !b->failed; i++) {
        if (is_real(&g->nodes[i])) add_buffers(b, &g->nodes[i]);
    }
    if (!b->failed) add_gradient_buffers(b);
    for (int i = 1; i < g->n_nodes; i++) add_stage(b, &g->nodes[i], TR_PACK);
    if (p->options.loads) add_load(b);
    for (int i = 1; i < g->n_nodes; i++) add_stage(b, &g->nodes[i], TR_FORWARD);
    for (int i = g->n_nodes - 1; trains(p) && i >= 0; i--) {
        if (i > 0 && (!is_real(&g->nodes[i]) || !b->need[i])) continue;
        add_gradients(b, i);
        if (i > 0) add_stage(b, &g->nodes[i], TR_BACKWARD);
    }
    list_parameters(b);
    if (trains(p)) add_updates(b);
    p->output = b->value[g->nodes[g->output].value];
    p->input_gradient = b->dy[0];
    find_totals(p);
}

static int *new_list(tr_builder *b, int n) {
    int *list = tr_alloc((size_t)n, sizeof *list, b->err);
    if (list == NULL) b->failed = true;
    return list;
}

static void free_builder(tr_builder *b) {
    tr_free(b->need);
    tr_free(b->n_readers);
    tr_free(b->value);
    tr_free(b->dy);
    tr_free(b->depth);
    tr_free(b->first_edge);
    tr_free(b->dx);
    tr_free(b->first_own);
    tr_free(b->first_state);
    tr_free(b->newest);
    tr_free(b->touches);
    tr_free(b->instances);
}

int tr_program_create(const tr_graph *graph, const tr_program_options *options, tr_program **out,
                      tr_error *err) {
    const int n = graph->n_nodes;
    tr_program *p = tr_alloc(1, sizeof *p, err);
    *out = NULL;
    if (p == NULL) return TR_ENOMEM;
    tr_builder b = {.program = p, .graph = graph, .err = err};
    p->graph = graph;
    p->options = *options;
    p->norm = TR_NONE;
    p->plans = tr_alloc((size_t)n, sizeof *p->plans, err);
    b.need = tr_alloc((size_t)n, sizeof *b.need, err);
    b.failed = p->plans == NULL || b.need == NULL;
    b.n_readers = new_list(&b, n);
    b.value = new_list(&b, n);
    b.dy = new_list(&b, n);
    b.depth = new_list(&b, n);
    b.first_own = new_list(&b, n);
    b.first_state = new_list(&b, n);
    b.first_edge = new_list(&b, n + 1);
    for (int i = 0; !b.failed && i < n; i++)
        b.first_edge[i + 1] = b.first_edge[i] + graph->nodes[i].n_inputs;
    if (!b.failed) b.dx = new_list(&b, b.first_edge[n]);
    if (!b.failed) build(&b);
    int code = b.failed ? tr_fail(err, TR_ENOMEM, "out of memory") : tr_program_schedule(p, err);
    if (code == TR_OK) code = tr_program_place(p, err);
    free_builder(&b);
    if (code) {
        tr_program_free(p);
        return code;
    }
    *out = p;
    return TR_OK;
}

void tr_program_free(tr_program *p) {
    if (p == NULL) return;
    for (int i = 0; p->plans && i < p->graph->n_nodes; i++) tr_plan_free(&p->plans[i]);
    tr_free(p->plans);
    tr_free(p->steps);
    tr_free(p->segments);
    tr_free(p->buffers);
    tr_free(p->accesses);
    tr_free(p->bound);
    tr_free(p->parameters);
    tr_free(p);
}
