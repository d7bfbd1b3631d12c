/* The gradients of parameters and their updates: completed and applied tile by tile at once, or,
 * deferred, kept until all are there. */
#include "graph/build.h"

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
    tr_draft d;
    tr_draft_begin(b, &d,
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
        segment = tr_build_phase_earliest(b, node, phase, TR_BY_BLOCKS, key);
        if (updates) {
            tr_access writes = {state, true, TR_OWNER_BLOCKS};
            segment = (int)tr_max(segment, tr_build_earliest(b, TR_BY_BLOCKS, key, &writes));
        }
        tr_draft_uses(b, &d, phase, segment);
    } else {
        tr_draft_access(b, &d, q->sum, false, false);
    }
    if (updates)
        tr_draft_access(b, &d, state, true, true);
    else
        tr_draft_access(b, &d, q->gradient, true, true);
    if (kind == TR_STEP_GRADIENT) tr_draft_access(b, &d, q->norms, true, true);
    tr_draft_end(b, &d, segment);
}

static void add_kept_update(tr_builder *b, const tr_parameter *q, int key) {
    tr_program *p = b->program;
    const tr_row *row = &b->graph->rows[q->row];
    tr_draft d;
    tr_draft_begin(b, &d,
                   &(tr_step){.kind = TR_STEP_UPDATE,
                              .label = "update",
                              .node = row->node,
                              .partition = TR_BY_BLOCKS,
                              .key = key,
                              .n_blocks = q->plan.n_blocks,
                              .parameter = (int)(q - p->parameters),
                              .backward = true});
    tr_draft_access(b, &d, q->gradient, false, true);
    tr_draft_access(b, &d, p->norm, false, false);
    tr_draft_access(b, &d, b->first_state[row->node->id] + row->state, true, true);
    tr_draft_end(b, &d, 0);
}

static void add_norm(tr_builder *b) {
    tr_program *p = b->program;
    tr_draft d;
    tr_draft_begin(b, &d,
                   &(tr_step){.kind = TR_STEP_NORM,
                              .label = "gradient norm",
                              .partition = TR_PER_THREAD,
                              .backward = true});
    for (int i = 0; i < p->n_parameters; i++)
        tr_draft_access(b, &d, p->parameters[i].norms, false, false);
    tr_draft_access(b, &d, p->norm, true, false);
    tr_draft_end(b, &d, 0);
}

void tr_build_parameters(tr_builder *b) {
    tr_program *p = b->program;
    const tr_graph *g = b->graph;
    for (int r = 0; p->options.gradients && !b->failed && r < g->n_rows; r++) {
        const tr_node *node = g->rows[r].node;
        const tr_state *state = tr_row_state(&g->rows[r]);
        if (state->kind != TR_PARAMETER || !tr_is_real(node)) continue;
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

void tr_build_updates(tr_builder *b) {
    tr_program *p = b->program;
    int *keys = tr_alloc((size_t)p->n_parameters, sizeof *keys, b->err);
    if (keys == NULL) b->failed = true;
    /* Last layers first: their gradients are the first that are there. */
    for (int i = p->n_parameters - 1; !b->failed && i >= 0; i--) {
        const tr_parameter *q = &p->parameters[i];
        if (q->sum == TR_NONE) continue;
        keys[i] = tr_build_key(b, b->graph->rows[q->row].node, q->plan.n_blocks);
        add_completion(b, q, keys[i], p->options.deferred ? TR_STEP_GRADIENT : TR_STEP_UPDATE);
    }
    if (p->options.norm) add_norm(b);
    for (int i = p->n_parameters - 1; p->options.deferred && !b->failed && i >= 0; i--) {
        if (p->parameters[i].sum != TR_NONE) add_kept_update(b, &p->parameters[i], keys[i]);
    }
    tr_free(keys);
}
