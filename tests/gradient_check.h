/* Gradients of a network against central differences, in double.
 *
 * The engine's own sources, compiled with double as their element type over the plain kernels: what
 * differs from the program is the type and the order inside a vector, not the mathematics. The
 * difference is that of fourth order, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h, with h = 1e-4:
 * its own error is h^4 f5 / 30, about 1e-17, and the rounding of the losses (a few 1e-16 of the
 * loss each) over h, below 1e-11 of it. So a gradient must agree to 1e-6 of itself, or of 2e-5 of
 * the loss (of 1, where that is smaller) where it is smaller.
 *
 * At a kink of relu or max within 2h there is no derivative to compare with. There the differences
 * with h and with h/2 disagree with each other, whatever the engine says, as they do where the loss
 * is no number (a variance of 0 with eps=0); such elements are left out, and counted: they may be
 * few only.
 */
#ifndef TR_GRADIENT_CHECK_H
#define TR_GRADIENT_CHECK_H

#include <math.h>
#include <stdlib.h>

#include "network.h"

#define LARGEST_ERROR 1e-6
#define SMALLEST      2e-5

typedef struct check {
    tr_graph *graph; /* its own */
    tr_exec_options options;
    int64_t every; /* checks each element (1) or one of so many */
    tr_input input;
    tr_real *x;
    tr_exec *exec;
    tr_team *team;
    int64_t n_checked, n_kinks;
    double scale;       /* the loss, 1 at least */
    double worst;       /* relative error so far */
    char mismatch[256]; /* the first one above LARGEST_ERROR */
    tr_error err;       /* what failed */
} check;

/* Weights, biases and statistics that are not all one number, whatever they begin with. */
static inline void vary_constants(const tr_graph *graph, uint32_t seed) {
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *state = tr_row_state(row);
        for (int64_t e = 0; (state->init_range == 0 || state->init) && e < row->count; e++) {
            double value;
            tr_row_read(row, state->value, e, 1, &value);
            value += draw(&seed, 500, 1e-3);
            if (state->type == TR_FLOAT32) tr_row_write(row, e, 1, &value);
        }
    }
}

/* For a batch of random samples and labels. */
static inline void check_create(check *c, tr_graph *graph, int batch, uint32_t seed) {
    tr_shape in = graph->nodes[0].unfused;
    int classes = (int)tr_shape_size(graph->nodes[graph->output].unfused);
    int64_t stride = stride_of(in);
    int32_t *labels = tr_alloc((size_t)batch, sizeof *labels, NULL);
    *c = (check){.graph = graph,
                 .options = {.batch = batch,
                             .training = true,
                             .kernels = kernels_of("scalar"),
                             .keep_gradients = true,
                             .input_gradient = true},
                 .every = 1,
                 .x = tr_alloc((size_t)(batch * stride), sizeof *c->x, NULL)};
    tr_graph_init(graph, TR_PHILOX, 100 + (uint64_t)seed);
    vary_constants(graph, seed);
    for (int i = 0; i < batch; i++) {
        labels[i] = (int32_t)fabs(draw(&seed, classes - 1, 1));
        for (int64_t j = 0; j < tr_shape_size(in); j++)
            c->x[i * stride + j] = (tr_real)(draw(&seed, 1000, 1e-3) + draw(&seed, 1000, 1e-7));
    }
    c->input = (tr_input){.n = batch, .x = c->x, .stride = stride, .labels = labels};
}

static inline void check_free(check *c) {
    tr_free((void *)(uintptr_t)c->input.labels);
    tr_free(c->x);
    tr_graph_free(c->graph);
}

static inline double check_loss(check *c, tr_real *place, double value) {
    tr_result result = {0};
    *place = (tr_real)value;
    tr_exec_step(c->exec, c->team, &c->input, 0, 0, &result);
    return result.loss;
}

static inline double check_difference(check *c, tr_real *place, double h) {
    double at = (double)*place;
    double d = 8 * (check_loss(c, place, at + h) - check_loss(c, place, at - h)) -
               (check_loss(c, place, at + 2 * h) - check_loss(c, place, at - 2 * h));
    *place = (tr_real)at;
    return d / (12 * h);
}

static inline void check_element(check *c, const char *what, int64_t i, tr_real *place,
                                 double gradient) {
    const double h = 1e-4;
    double wide = check_difference(c, place, h), narrow = check_difference(c, place, h / 2);
    c->n_checked++;
    if (!(fabs(wide - narrow) <= 1e-7 * fabs(narrow) + 4e-11)) {
        c->n_kinks++;
        return;
    }
    double error =
        fabs(gradient - wide) / fmax(fmax(fabs(gradient), fabs(wide)), SMALLEST * c->scale);
    c->worst = error <= c->worst ? c->worst : error; /* NaN stays */
    if (!(error <= LARGEST_ERROR) && c->mismatch[0] == '\0')
        snprintf(c->mismatch, sizeof c->mismatch,
                 "%s: the gradient of element %lld is %.12g, the difference %.12g", what,
                 (long long)i, gradient, wide);
}

/* On thread 0 of a team. */
static inline void check_run(tr_team *team, void *arg) {
    check *c = arg;
    tr_graph *graph = c->graph;
    tr_result result;
    c->team = team;
    if (tr_exec_create(graph, &c->options, team, &c->exec, &c->err)) return;
    tr_exec_step(c->exec, team, &c->input, 0, 0, &result);
    c->scale = fmax(1, fabs(result.loss));

    /* Copies first: the steps below make new ones. */
    int64_t size = tr_shape_size(graph->nodes[0].unfused), n = size * c->input.n;
    tr_real *gradients = tr_alloc((size_t)(tr_graph_count(graph) + n), sizeof *gradients, &c->err);
    if (gradients == NULL) return;
    tr_real *to = read_gradients(c->exec, graph, gradients);
    for (int i = 0; i < c->input.n; i++)
        memcpy(to + i * size, tr_exec_input_gradient(c->exec, i), (size_t)size * sizeof *to);

    const tr_real *from = gradients;
    int64_t turn = 0;
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *state = tr_row_state(row);
        bool has = tr_exec_gradient(c->exec, row) != NULL;
        for (int64_t e = 0; has && e < row->count; e++, from++) {
            int64_t at = e;
            if (state->index) state->index(row->node, e, 1, &at);
            if (turn++ % c->every == 0 || e == 0)
                check_element(c, row->name, e, (tr_real *)state->value + at, (double)*from);
        }
    }
    for (int64_t e = 0; e < n; e++, from++) {
        if (turn++ % c->every == 0 || e == 0)
            check_element(c, "input", e, c->x + e / size * c->input.stride + e % size,
                          (double)*from);
    }
    tr_free(gradients);
    tr_exec_free(c->exec);
}

#endif
