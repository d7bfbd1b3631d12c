/* A network from text, run on a team: what the tests of layers, gradients, graph and executor
 * share.
 *
 * Checks are made outside of the team only: a failed one jumps away, which no parallel region
 * bears. For the float and for the double build of the engine.
 */
#ifndef TR_TEST_NETWORK_H
#define TR_TEST_NETWORK_H

#include <stdio.h>
#include <string.h>

#include "check_main.h"
#include "exec/exec.h"
#include "on_team.h"

static const char lenet_layers[] = "conv1 = conv2d out_channels=6 kernel_size=5\n"
                                   "relu1 = relu\n"
                                   "pool1 = max_pool2d kernel_size=2 stride=2\n"
                                   "conv2 = conv2d out_channels=16 kernel_size=5\n"
                                   "relu2 = relu\n"
                                   "pool2 = max_pool2d kernel_size=2 stride=2\n"
                                   "flatten = flatten\n"
                                   "fc1 = linear out_features=120\n"
                                   "relu3 = relu\n"
                                   "fc2 = linear out_features=84\n"
                                   "relu4 = relu\n"
                                   "fc3 = linear out_features=10\n";

/* First values of a graph that has memory. */
static inline void tr_graph_init(tr_graph *graph, tr_generator generator, uint64_t seed) {
    tr_error err = {0};
    ck_assert_msg(tr_graph_initialise(graph, generator, seed, NULL, &err) == TR_OK, "%s", err.text);
}

/* The graph of a whole document, or the error. */
static inline int graph_of_text(const char *text, tr_shape input, int n_classes, tr_graph **out,
                                tr_error *err) {
    tr_doc *doc;
    *out = NULL;
    int code = tr_doc_parse("net.ini", text, strlen(text), &doc, err);
    if (code == TR_OK) code = tr_graph_create(doc, input, n_classes, out, err);
    tr_doc_free(doc);
    if (code == TR_OK && (code = tr_graph_allocate(*out, err))) {
        tr_graph_free(*out);
        *out = NULL;
    }
    return code;
}

/* The graph of these lines of [network], with cross_entropy; n_classes 0: any output. */
static inline tr_graph *graph_of(const char *layers, tr_shape input, int n_classes) {
    char text[4096];
    tr_error err = {0};
    tr_graph *graph;
    snprintf(text, sizeof text, "[network]\n%s\n[loss]\ntype = cross_entropy\n", layers);
    graph_of_text(text, input, n_classes, &graph, &err);
    ck_assert_msg(graph != NULL, "%s\n%s", err.text, text);
    return graph;
}

static inline tr_node *node_of(const tr_graph *graph, const char *name) {
    for (int i = 0; i < graph->n_nodes; i++) {
        if (strcmp(graph->nodes[i].name, name) == 0) return &graph->nodes[i];
    }
    ck_abort_msg("no layer %s", name);
    return NULL;
}

/* The kernels of an ISA, or NULL where this CPU lacks it. */
static inline const tr_kernels *kernels_of(const char *isa) {
    const tr_kernels *kernels = NULL;
    tr_error err = {0};
    return tr_kernels_get(isa, &kernels, &err) ? NULL : kernels;
}

/* Elements from one sample of an input to the next: as in the executor's own buffers. */
static inline int64_t stride_of(tr_shape shape) {
    return tr_round_up(tr_shape_size(shape), TR_LANES) + TR_LANES;
}

/* A small generator for data: integers in -limit..limit, times `unit`. */
static inline double draw(uint32_t *state, int limit, double unit) {
    *state = *state * 1664525u + 1013904223u;
    return unit * ((int)((*state >> 8) % (uint32_t)(2 * limit + 1)) - limit);
}

static inline tr_real *samples(int n, tr_shape shape, uint32_t seed) {
    int64_t stride = stride_of(shape);
    tr_real *x = tr_alloc((size_t)n * (size_t)stride, sizeof *x, NULL);
    for (int i = 0; i < n; i++) {
        for (int64_t j = 0; j < tr_shape_size(shape); j++)
            x[i * stride + j] = (tr_real)draw(&seed, 1000, 1e-3);
    }
    return x;
}

/* Where element i of PyTorch's order (c, h, w) is in the internal layout. */
static inline int64_t internal_index(tr_shape s, int64_t i) {
    int64_t area = (int64_t)s.h * s.w;
    return i % area * s.c + i / area;
}

/* The gradient of a parameter in PyTorch's order (nothing for other rows). Returns its elements. */
static inline int64_t read_gradient(const tr_exec *exec, const tr_row *row, tr_real *to) {
    const tr_real *gradient = tr_exec_gradient(exec, row);
    if (gradient == NULL) return 0;
    for (int64_t i = 0; i < row->count; i++) {
        double value;
        tr_row_read(row, gradient, i, 1, &value);
        to[i] = (tr_real)value;
    }
    return row->count;
}

/* The row of that name, which must be there. */
static inline const tr_row *row_of(const tr_graph *graph, const char *name) {
    const tr_row *row = tr_graph_row(graph, name);
    ck_assert_msg(row != NULL, "no row %s", name);
    return row;
}

/* Those of all parameters, one after the other. Returns what follows the last. */
static inline tr_real *read_gradients(const tr_exec *exec, const tr_graph *graph, tr_real *to) {
    for (int r = 0; r < graph->n_rows; r++) to += read_gradient(exec, &graph->rows[r], to);
    return to;
}

/* All rows in PyTorch's order, one after the other. */
static inline void read_rows(const tr_graph *graph, double *to) {
    for (int r = 0; r < graph->n_rows; to += graph->rows[r++].count)
        tr_row_read(&graph->rows[r], tr_row_state(&graph->rows[r])->value, 0, graph->rows[r].count,
                    to);
}

/* The arguments of SGD from text, as "lr=0.1"; free with tr_free. */
static inline void *sgd_args(const char *arguments) {
    const tr_optimizer *sgd = tr_optimizers[0];
    tr_args_words w;
    tr_arena memory = {0};
    tr_where where = {"test", 0};
    tr_error err = {0};
    void *args = tr_alloc(1, sgd->schema.args_bytes, NULL);
    ck_assert_int_eq(tr_args_split(arguments, where, "sgd", &memory, &w, &err), TR_OK);
    ck_assert_int_eq(tr_args_parse(&sgd->schema, w.pairs, w.n, where, "sgd", args, &err), TR_OK);
    tr_arena_free(&memory);
    return args;
}

/* A few steps of one network. */
typedef struct few_steps {
    tr_graph *graph;
    tr_exec_options options;
    tr_input input;
    int n_steps;
    double lr;
    /* What came out of the last step: memory of the caller's, or NULL where it is not wanted. */
    tr_real *gradients;      /* in PyTorch's order, one parameter after the other */
    tr_real *input_gradient; /* [n][size], internal layout */
    double *losses;          /* [n_steps] */
    tr_error err;            /* what failed */
} few_steps;

static inline void run_few_steps(tr_team *team, void *arg) {
    few_steps *s = arg;
    tr_exec *exec = NULL;
    tr_result result = {0};
    int code = tr_exec_create(s->graph, &s->options, team, &exec, &s->err);
    for (int i = 0; code == TR_OK && i < s->n_steps; i++) {
        code = tr_exec_step(exec, team, &s->input, s->lr, i, &result);
        if (s->losses) s->losses[i] = result.loss;
    }
    if (code) tr_fail(&s->err, code, "a step failed");
    if (code == TR_OK && s->gradients) read_gradients(exec, s->graph, s->gradients);
    int64_t size = tr_shape_size(s->graph->nodes[0].unfused);
    for (int i = 0; code == TR_OK && s->input_gradient && i < s->input.n; i++)
        memcpy(s->input_gradient + i * size, tr_exec_input_gradient(exec, i),
               (size_t)size * sizeof(tr_real));
    tr_exec_free(exec);
}

static inline void run_on(int n_threads, few_steps *s) {
    on_team(n_threads, run_few_steps, s);
    ck_assert_msg(s->err.code == TR_OK, "%s", s->err.text);
}

#endif
