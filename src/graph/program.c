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
            b->need[i] |= b->need[tr_source(g, node, j)];
            if (tr_is_real(node)) b->n_readers[tr_source(g, node, j)]++;
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
            need[j] = trains(b->program) && b->need[tr_source(b->graph, node, j)];
        node->op->plan(node, &request, plan);
        tr_plan_trim(node, plan);
        b->failed |= plan->failed;
    }
    tr_free(need);
}

/* How many pointwise values in a row end with this one, had it no buffer. */
static int depth_of(const tr_builder *b, const tr_node *node) {
    int depth = 0;
    for (int j = 0; j < node->n_inputs; j++) {
        int value = tr_source(b->graph, node, j);
        if (b->value[value] == TR_NONE) depth = (int)tr_max(depth, b->depth[value]);
    }
    return depth + 1;
}

/* Buffers of a node's value, own resources, and state. */
static void add_buffers(tr_builder *b, const tr_node *node) {
    tr_program *p = b->program;
    const tr_plan *plan = &p->plans[node->id];
    b->depth[node->id] = depth_of(b, node);
    bool stored = tr_build_pointwise(b, node->id) == NULL || b->n_readers[node->id] != 1 ||
                  b->depth[node->id] > DEEPEST ||
                  node->id == b->graph->nodes[b->graph->output].value;
    b->value[node->id] = stored ? tr_build_value(b, node) : TR_NONE;
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

/* Is the gradient of input j that of the value itself? */
static bool passes_gradient(const tr_plan *plan, int j) {
    bool makes = false;
    for (int i = 0; i < plan->n_uses; i++) {
        const tr_use *use = &plan->uses[i];
        makes |= use->what == TR_DX && use->index == j && use->writes;
    }
    return plan->passes_gradient && !makes;
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
            for (int j = 0; tr_is_real(reader) && j < reader->n_inputs; j++) {
                if (tr_source(g, reader, j) != i) continue;
                only =
                    passes_gradient(&b->program->plans[r], j) ? b->dy[r] : tr_build_value(b, node);
                b->dx[b->first_edge[r] + j] = only;
            }
        }
        if (b->n_readers[i] > 0) b->dy[i] = b->n_readers[i] == 1 ? only : tr_build_value(b, node);
    }
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
        if (tr_is_real(&g->nodes[i]) && !b->failed) plan_node(b, &g->nodes[i]);
    }
    b->value[0] = p->input = tr_build_value(b, &g->nodes[0]);
    if (!b->failed) p->buffers[p->input].external = !p->options.loads;
    for (int i = 1; i < g->n_nodes && !b->failed; i++) {
        if (tr_is_real(&g->nodes[i])) add_buffers(b, &g->nodes[i]);
    }
    if (!b->failed) add_gradient_buffers(b);
    for (int i = 1; i < g->n_nodes; i++) tr_build_stage(b, &g->nodes[i], TR_PACK);
    if (p->options.loads) tr_build_load(b);
    for (int i = 1; i < g->n_nodes; i++) tr_build_stage(b, &g->nodes[i], TR_FORWARD);
    for (int i = g->n_nodes - 1; trains(p) && i >= 0; i--) {
        if (i > 0 && (!tr_is_real(&g->nodes[i]) || !b->need[i])) continue;
        tr_build_gradient(b, i);
        if (i > 0) tr_build_stage(b, &g->nodes[i], TR_BACKWARD);
    }
    tr_build_parameters(b);
    if (trains(p)) tr_build_updates(b);
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
