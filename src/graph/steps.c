/* Steps of phases: the buffers that they find, and the segments in which they can run.
 *
 * A pointwise value without a buffer is made by an instance of its phase in each segment that reads
 * it: the one of the reader if that goes by samples, else the one before.
 */
#include "graph/build.h"

/* The padding lets kernels read and write a vector past the end; it also keeps samples of different
 * threads off each other's cache lines. */
static int64_t value_bytes(tr_shape shape) {
    return (tr_round_up(tr_shape_size(shape), TR_LANES) + TR_LANES) * (int64_t)sizeof(tr_real);
}

int tr_build_value(tr_builder *b, const tr_node *node) {
    return tr_build_buffer(b, &(tr_buffer){.kind = TR_SAMPLE_BUFFER,
                                           .bytes = value_bytes(node->out),
                                           .node = node,
                                           .index = TR_NONE});
}

/* The phase that makes a node's value, if it is pointwise. */
const tr_phase *tr_build_pointwise(const tr_builder *b, int value) {
    const tr_plan *plan = &b->program->plans[value];
    for (int i = 0; i < plan->n_phases; i++) {
        if (plan->phases[i].pointwise) return &plan->phases[i];
    }
    return NULL;
}

static tr_owner owner_of(const tr_builder *b, tr_partition partition, int buffer, bool own_block) {
    const tr_buffer *at = &b->program->buffers[buffer];
    if (partition == TR_BY_BLOCKS && own_block) return TR_OWNER_BLOCKS;
    bool samples = (at->kind == TR_SAMPLE_BUFFER || at->kind == TR_SUM) && !at->state;
    return partition == TR_BY_SAMPLES && samples ? TR_OWNER_SAMPLES : TR_OWNER_ANY;
}

void tr_draft_access(tr_builder *b, tr_draft *d, int buffer, bool writes, bool own_block) {
    if (b->failed || buffer == TR_NONE) return;
    tr_access *place = tr_grow(&d->accesses, d->n_accesses, sizeof *d->accesses, b->err);
    if (place == NULL) {
        b->failed = true;
        return;
    }
    *place = (tr_access){buffer, writes, owner_of(b, d->step.partition, buffer, own_block)};
    d->n_accesses++;
}

void tr_draft_begin(tr_builder *b, tr_draft *d, const tr_step *step) {
    const tr_node *node = step->node;
    *d = (tr_draft){.step = *step};
    d->step.n_inputs = node ? node->n_inputs : 2;
    int n_own = node ? b->program->plans[node->id].n_resources : 0;
    d->step.n_bound = 2 * d->step.n_inputs + 2 + n_own;
    d->bound = tr_alloc((size_t)d->step.n_bound, sizeof *d->bound, b->err);
    if (d->bound == NULL) b->failed = true;
    for (int i = 0; d->bound && i < d->step.n_bound; i++) d->bound[i] = TR_NONE;
}

void tr_draft_end(tr_builder *b, tr_draft *d, int segment) {
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
    return use->what == TR_X   ? tr_source(b->graph, node, use->index)
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
int tr_build_phase_earliest(const tr_builder *b, const tr_node *node, const tr_phase *phase,
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
            at = tr_build_phase_earliest(b, &b->graph->nodes[value], tr_build_pointwise(b, value),
                                         TR_BY_SAMPLES, 0) +
                 (partition != TR_BY_SAMPLES);
        }
        segment = (int)tr_max(segment, at);
    }
    return segment;
}

/* The buffer of a pointwise value made in this segment. */
static int instance(tr_builder *b, int value, int segment, bool backward) {
    const tr_node *node = &b->graph->nodes[value];
    const tr_phase *phase = tr_build_pointwise(b, value);
    bool again = false;
    for (int i = b->n_instances - 1; i >= 0; i--) {
        if (b->instances[i].value != value) continue;
        if (b->instances[i].segment == segment) return b->instances[i].buffer;
        again = true;
    }
    int buffer = tr_build_value(b, node);
    tr_draft d;
    tr_draft_begin(b, &d,
                   &(tr_step){.kind = TR_STEP_PHASE,
                              .label = phase->label,
                              .node = node,
                              .phase = phase,
                              .partition = TR_BY_SAMPLES,
                              .again = again,
                              .backward = backward});
    if (!b->failed) d.bound[2 * d.step.n_inputs] = buffer;
    tr_draft_access(b, &d, buffer, true, false);
    tr_draft_uses(b, &d, phase, segment);
    tr_draft_end(b, &d, segment);
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
void tr_draft_uses(tr_builder *b, tr_draft *d, const tr_phase *phase, int segment) {
    const tr_node *node = d->step.node;
    for (int i = 0; !b->failed && i < phase->n_uses; i++) {
        const tr_use *use = &b->program->plans[node->id].uses[phase->first_use + i];
        int buffer = buffer_used(b, node, use), at = position(&d->step, use);
        if (buffer == TR_NONE && use->writes) continue; /* its own instance, bound already */
        if (buffer == TR_NONE)
            buffer = instance(b, value_used(b, node, use),
                              segment - (d->step.partition != TR_BY_SAMPLES), d->step.backward);
        if (b->failed) return;
        tr_draft_access(b, d, buffer, use->writes, use->own_block);
        if (at != TR_NONE) d->bound[at] = buffer;
    }
}

/* The key of a node's partition into so many blocks. */
int tr_build_key(tr_builder *b, const tr_node *node, int n_blocks) {
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
    tr_draft d;
    tr_draft_begin(b, &d,
                   &(tr_step){.kind = sum ? TR_STEP_SUM : TR_STEP_PHASE,
                              .label = phase->label,
                              .node = node,
                              .phase = phase,
                              .partition = phase->partition,
                              .key = blocks ? tr_build_key(b, node, phase->n_blocks) : 0,
                              .n_blocks = phase->n_blocks,
                              .backward = phase->stage == TR_BACKWARD});
    int segment = tr_build_phase_earliest(b, node, phase, phase->partition, d.step.key);
    if (phase->stage == TR_BACKWARD && b->dy[node->id] != TR_NONE) {
        /* Not before the gradient is there, or what it makes would only be kept for longer. */
        tr_access reads = {b->dy[node->id], false, TR_OWNER_SAMPLES};
        segment = (int)tr_max(segment, tr_build_earliest(b, TR_BY_SAMPLES, 0, &reads));
    }
    tr_draft_uses(b, &d, phase, segment);
    if (sum && !b->failed) {
        int buffer = b->first_own[node->id] + phase->sum;
        tr_draft_access(b, &d, buffer, true, false);
        d.bound[2 * d.step.n_inputs + 2 + phase->sum] = buffer;
    }
    tr_draft_end(b, &d, segment);
}

void tr_build_stage(tr_builder *b, const tr_node *node, tr_stage stage) {
    if (!tr_is_real(node)) return;
    const tr_plan *plan = &b->program->plans[node->id];
    for (int i = 0; !b->failed && i < plan->n_phases; i++) {
        if (plan->phases[i].stage == stage) add_phase(b, node, &plan->phases[i]);
    }
}

/* The gradient of a value with several readers. */
void tr_build_gradient(tr_builder *b, int value) {
    const tr_graph *g = b->graph;
    int sum = TR_NONE;
    if (b->n_readers[value] < 2 || !b->need[value]) return;
    for (int r = value + 1; r < g->n_nodes; r++) {
        const tr_node *reader = &g->nodes[r];
        for (int j = 0; tr_is_real(reader) && j < reader->n_inputs; j++) {
            if (tr_source(g, reader, j) != value) continue;
            int part = b->dx[b->first_edge[r] + j];
            if (sum == TR_NONE) {
                sum = part;
                continue;
            }
            tr_draft d;
            tr_draft_begin(b, &d,
                           &(tr_step){.kind = TR_STEP_ADD,
                                      .label = "gradient sum",
                                      .partition = TR_BY_SAMPLES,
                                      .backward = true});
            tr_draft_access(b, &d, sum, false, false);
            tr_draft_access(b, &d, part, false, false);
            tr_draft_access(b, &d, b->dy[value], true, false);
            if (!b->failed) d.bound[0] = sum, d.bound[1] = part, d.bound[4] = b->dy[value];
            tr_draft_end(b, &d, 0);
            sum = b->dy[value];
        }
    }
}

void tr_build_load(tr_builder *b) {
    tr_draft d;
    tr_draft_begin(b, &d,
                   &(tr_step){.kind = TR_STEP_LOAD,
                              .label = "load",
                              .node = &b->graph->nodes[0],
                              .partition = TR_BY_SAMPLES});
    tr_draft_access(b, &d, b->value[0], true, false);
    if (!b->failed) d.bound[0] = b->value[0]; /* y */
    tr_draft_end(b, &d, 0);
}
