/* An op in place of the loss, for tests that hold layers against PyTorch: it takes the network's
 * output and passes a given gradient of it back. */
#ifndef TR_TEST_PROBE_H
#define TR_TEST_PROBE_H

#include <math.h>

#include "network.h"
#include "reference.h"

static struct {
    tr_real *cotangent; /* [n][size], internal layout */
    tr_real *seen;      /* [n][size]: the output */
    int64_t size;
} probe;

static inline void probe_run(const tr_work *w) {
    for (int i = 0; i < w->n; i++) {
        const tr_real *y = tr_x(w, 0, i), *g = probe.cotangent + (w->first + i) * probe.size;
        w->loss[w->first + i] = 0;
        w->best[w->first + i] = 0;
        for (int64_t j = 0; j < probe.size; j++) {
            probe.seen[(w->first + i) * probe.size + j] = y[j];
            w->loss[w->first + i] += g[j] * y[j];
            if (tr_has_dx(w, 0)) tr_dx(w, 0, i)[j] = g[j];
        }
    }
}

static inline void probe_plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_phase(out, TR_FORWARD, "probe", TR_BY_SAMPLES, probe_run);
    tr_reads(out, TR_X, 0);
    if (request->need_dx[0]) tr_writes(out, TR_DX, 0);
}

static const tr_op probe_op = {.schema = {"probe", "", NULL, 0, 1}, .plan = probe_plan};

/* The graph of a case's layers, with the case's values in all its rows and the probe as its last
 * layer. */
static inline tr_graph *probed_case(const tr_reference_case *c) {
    const tr_reference_tensor *x = tr_reference_get(c, "input");
    char lines[2048] = "";
    for (int i = 0; i < c->n_layers; i++) strcat(strcat(lines, c->layers[i]), "\n");
    if (tr_reference_get(c, "output")->n_dims == 4) strcat(lines, "probed = flatten\n");
    tr_graph *graph =
        graph_of(lines, (tr_shape){false, (int)x->dim[2], (int)x->dim[3], (int)x->dim[1]}, 0);
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_reference_tensor *t = tr_reference_get(c, row->name);
        const tr_state *state = tr_row_state(row);
        ck_assert_int_eq(t->n, row->count);
        ck_assert_int_eq(t->n_dims, tr_max(state->n_dims, 1)); /* files have no scalars */
        for (int d = 0; d < state->n_dims; d++) ck_assert_int_eq(t->dim[d], state->dim[d]);
        tr_row_write(row, 0, row->count, t->v);
    }
    graph->nodes[graph->n_nodes - 1].op = &probe_op;
    return graph;
}

/* Training steps of a graph that ends in the probe, whose gradients are kept: with memory for
 * inputs (at *x), labels, the probe and all that comes out, everything zero. */
static inline few_steps probe_create(tr_graph *graph, tr_exec_options options, int n_steps,
                                     tr_real **x) {
    tr_shape in = graph->nodes[0].unfused;
    size_t n = (size_t)options.batch;
    options.training = options.keep_gradients = options.input_gradient = true;
    few_steps s = {.graph = graph,
                   .options = options,
                   .input = {.n = options.batch, .stride = stride_of(in)},
                   .n_steps = n_steps};
    s.input.x = *x = tr_alloc(n * (size_t)s.input.stride, sizeof **x, NULL);
    s.input.labels = tr_alloc(n, sizeof *s.input.labels, NULL);
    s.gradients = tr_alloc((size_t)tr_graph_count(graph) + 1, sizeof *s.gradients, NULL);
    s.input_gradient = tr_alloc(n * (size_t)tr_shape_size(in), sizeof *s.input_gradient, NULL);
    probe.size = tr_shape_size(graph->nodes[graph->output].unfused);
    probe.cotangent = tr_alloc(n * (size_t)probe.size, sizeof *probe.cotangent, NULL);
    probe.seen = tr_alloc(n * (size_t)probe.size, sizeof *probe.seen, NULL);
    return s;
}

static inline void probe_free(few_steps *s) {
    tr_free((void *)(uintptr_t)s->input.x);
    tr_free((void *)(uintptr_t)s->input.labels);
    tr_free(s->gradients);
    tr_free(s->input_gradient);
    tr_free(probe.cotangent);
    tr_free(probe.seen);
    tr_graph_free(s->graph);
}

/* Sample i of a tensor whose first dimension is the batch, in the internal layout. */
static inline void to_internal(const tr_reference_tensor *t, int64_t i, tr_shape shape,
                               tr_real *out) {
    int64_t size = tr_shape_size(shape);
    for (int64_t j = 0; j < size; j++) out[internal_index(shape, j)] = (tr_real)t->v[i * size + j];
}

/* Check writes a record for each of its assertions: not one for each element, then. */
static inline void near(const char *what, const char *name, int64_t i, double got, double wanted,
                        double bound) {
    if (fabs(got - wanted) <= bound) return;
    ck_abort_msg("%s: %s: element %lld is %.9g, PyTorch has %.9g", what, name, (long long)i, got,
                 wanted);
}

#endif
