/* The table of state: everything that lives longer than a step, with PyTorch's names, order, shapes
 * and initial distributions. Model files, sums of weights and initial values (initial.c) are loops
 * over it. */
#include <string.h>

#include "graph/graph.h"

enum { RUN = 512 }; /* elements whose places are asked for at a time */

static int64_t count_of(const tr_state *state) {
    int64_t n = 1;
    for (int i = 0; i < state->n_dims; i++) n *= state->dim[i];
    return n;
}

static bool is_parameter(const tr_row *row) {
    return tr_row_state(row)->kind == TR_PARAMETER;
}

static size_t element_bytes(tr_type type) {
    return type == TR_FLOAT32   ? sizeof(tr_real)
           : type == TR_FLOAT64 ? sizeof(double)
                                : sizeof(int64_t);
}

/* "PREFIXnode.suffix" or, with a word, "PREFIXnode.suffix.word"; tr_free. */
static const char *name_of(const char *prefix, const char *node, const char *suffix,
                           const char *word, tr_error *err) {
    tr_text text = {0};
    tr_text_print(&text, "%s%s.%s%s%s", prefix, node, suffix, word ? "." : "", word ? word : "");
    return tr_text_take(&text, err);
}

int tr_graph_list_state(tr_graph *graph, tr_error *err) {
    for (int i = 0; i < graph->n_nodes; i++) {
        tr_node *node = &graph->nodes[i];
        for (int s = 0; s < node->n_state; s++) {
            tr_row *row = tr_grow(&graph->rows, graph->n_rows, sizeof *row, err);
            if (row == NULL) return TR_ENOMEM;
            *row = (tr_row){.node = node, .state = s, .count = count_of(&node->state[s])};
            graph->n_rows++;
            row->name = name_of("", node->name, node->state[s].suffix, NULL, err);
            if (row->name == NULL) return TR_ENOMEM;
        }
    }
    return TR_OK;
}

/* ---- what an optimizer keeps ---- */

static void free_names(const tr_row *rows, int n) {
    for (int i = 0; i < n; i++) tr_free((char *)rows[i].name);
}

static void drop_optimizer(tr_graph *graph) {
    free_names(graph->optimizer_rows, graph->n_optimizer_rows);
    for (int i = 0; i < graph->n_optimizer_rows; i++) tr_free(graph->optimizer_rows[i].own);
    for (int k = 0; k < graph->n_optimizer; k++) tr_free(graph->optimizer[k]);
    tr_free(graph->optimizer_rows);
    tr_free(graph->optimizer);
    graph->optimizer_rows = NULL;
    graph->optimizer = NULL;
    graph->n_optimizer_rows = graph->n_optimizer = 0;
}

static int add_optimizer_row(tr_graph *graph, const tr_row *parameter, const char *word,
                             tr_error *err) {
    tr_row *row = tr_grow(&graph->optimizer_rows, graph->n_optimizer_rows, sizeof *row, err);
    if (row == NULL) return TR_ENOMEM;
    *row = *parameter;
    row->name = NULL;
    row->own = tr_alloc(1, sizeof *row->own, err);
    if (row->own == NULL) return TR_ENOMEM;
    graph->n_optimizer_rows++;
    *row->own = *tr_row_state(&(tr_row){.node = parameter->node, .state = parameter->state});
    row->own->kind = TR_OPTIMIZER;
    row->own->init_range = row->own->init_value = 0;
    row->own->init = NULL;
    row->own->value = NULL;
    row->name = name_of("optimizer.", parameter->node->name, row->own->suffix, word, err);
    return row->name ? TR_OK : TR_ENOMEM;
}

int tr_graph_plan_optimizer(tr_graph *graph, const char *const *words, tr_error *err) {
    int n = 0, code = TR_OK;
    drop_optimizer(graph);
    if (words == NULL) return TR_OK;
    while (words[n]) n++;
    graph->optimizer = tr_alloc((size_t)n, sizeof *graph->optimizer, err);
    if (graph->optimizer == NULL) return TR_ENOMEM;
    graph->n_optimizer = n;
    for (int i = 0; i < graph->n_rows; i++) {
        bool trained = is_parameter(&graph->rows[i]) && !tr_row_state(&graph->rows[i])->frozen;
        for (int k = 0; k < n && code == TR_OK && trained; k++)
            code = add_optimizer_row(graph, &graph->rows[i], words[k], err);
    }
    return code;
}

int64_t tr_graph_optimizer_bytes(const tr_graph *graph) {
    int64_t one = tr_alloc_bytes(graph->n_trained, sizeof(tr_real)), all;
    return __builtin_mul_overflow(one, (int64_t)graph->n_optimizer, &all) ? INT64_MAX : all;
}

int tr_graph_allocate_optimizer(tr_graph *graph, tr_error *err) {
    for (int k = 0; k < graph->n_optimizer; k++) {
        tr_free(graph->optimizer[k]);
        graph->optimizer[k] = tr_alloc((size_t)graph->n_trained, sizeof(tr_real), err);
        if (graph->optimizer[k] == NULL) return TR_ENOMEM;
    }
    for (int i = 0; i < graph->n_optimizer_rows; i++) {
        const tr_row *row = &graph->optimizer_rows[i];
        const tr_real *parameter = row->node->state[row->state].value;
        row->own->value =
            graph->optimizer[i % graph->n_optimizer] + (parameter - graph->parameters);
    }
    return TR_OK;
}

static const tr_row *find_row(const tr_row *rows, int n, const char *name) {
    for (int i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    }
    return NULL;
}

const tr_row *tr_graph_row(const tr_graph *graph, const char *name) {
    const tr_row *row = find_row(graph->rows, graph->n_rows, name);
    return row ? row : find_row(graph->optimizer_rows, graph->n_optimizer_rows, name);
}

int64_t tr_graph_count(const tr_graph *graph) {
    int64_t n = 0;
    for (int i = 0; i < graph->n_rows; i++)
        if (is_parameter(&graph->rows[i])) n += graph->rows[i].count;
    return n;
}

/* ---- memory ---- */

/* A parameter's first element, from element *at on; where its blocks are pages, it has its pages
 * alone. */
static int64_t place_parameter(const tr_state *state, int64_t *at) {
    const int64_t page = TR_PAGE / (int64_t)sizeof(tr_real);
    const int64_t unit = state->block % page == 0 ? page : 1;
    int64_t first = tr_round_up(*at, unit);
    *at = tr_round_up(first + tr_round_up(state->size, TR_LANES) + TR_LANES, unit);
    return first;
}

static int64_t place_buffer(const tr_state *state, int64_t *at) {
    int64_t first = *at;
    *at += tr_round_up((state->size + TR_LANES) * (int64_t)element_bytes(state->type), TR_ALIGN);
    return first;
}

static int64_t place_parameters(tr_graph *graph, bool frozen, int64_t elements) {
    for (int i = 0; i < graph->n_rows; i++) {
        tr_state *state = &graph->rows[i].node->state[graph->rows[i].state];
        if (!is_parameter(&graph->rows[i]) || state->frozen != frozen) continue;
        int64_t at = place_parameter(state, &elements);
        state->value = graph->parameters ? graph->parameters + at : NULL;
    }
    return elements;
}

/* Gives every row its place; the values are set once there is memory. Frozen parameters come last:
 * an optimizer has memory for the others only. */
static void place(tr_graph *graph) {
    int64_t bytes = 0;
    graph->n_trained = place_parameters(graph, false, 0);
    graph->n_elements = place_parameters(graph, true, graph->n_trained);
    for (int i = 0; i < graph->n_rows; i++) {
        tr_state *state = &graph->rows[i].node->state[graph->rows[i].state];
        if (is_parameter(&graph->rows[i])) continue;
        int64_t at = place_buffer(state, &bytes);
        state->value = graph->buffers ? graph->buffers + at : NULL;
    }
    graph->buffer_bytes = bytes;
}

int64_t tr_graph_bytes(const tr_graph *graph) {
    int64_t parameters = tr_alloc_bytes(graph->n_elements, sizeof(tr_real)),
            buffers = tr_alloc_bytes(graph->buffer_bytes, 1);
    return parameters > INT64_MAX - buffers ? INT64_MAX : parameters + buffers;
}

int tr_graph_allocate(tr_graph *graph, tr_error *err) {
    graph->parameters = tr_alloc((size_t)graph->n_elements, sizeof(tr_real), err);
    graph->buffers = tr_alloc((size_t)graph->buffer_bytes, 1, err);
    if (graph->parameters == NULL || graph->buffers == NULL) {
        tr_free(graph->parameters);
        tr_free(graph->buffers);
        graph->parameters = NULL;
        graph->buffers = NULL;
        return TR_ENOMEM;
    }
    place(graph);
    return TR_OK;
}

void tr_graph_place_state(tr_graph *graph) {
    place(graph);
}

/* ---- values ---- */

/* Places of the n <= RUN elements of PyTorch's order from `first` on. */
static void find(const tr_row *row, int64_t first, int64_t n, int64_t at[RUN]) {
    const tr_state *state = tr_row_state(row);
    if (state->index) {
        state->index(row->node, first, n, at);
        return;
    }
    for (int64_t i = 0; i < n; i++) at[i] = first + i;
}

/* Moves the element at `at` of memory, which holds elements of a type, from or to values[i]. */
typedef void (*mover)(tr_type type, void *memory, int64_t at, void *values, int64_t i);

/* To and from where files have it: float, double or int64_t. */
static void to_file(tr_type type, void *memory, int64_t at, void *values, int64_t i) {
    if (type == TR_FLOAT32)
        ((float *)values)[i] = (float)((const tr_real *)memory)[at];
    else if (type == TR_FLOAT64)
        ((double *)values)[i] = ((const double *)memory)[at];
    else
        ((int64_t *)values)[i] = ((const int64_t *)memory)[at];
}

static void from_file(tr_type type, void *memory, int64_t at, void *values, int64_t i) {
    if (type == TR_FLOAT32)
        ((tr_real *)memory)[at] = (tr_real)((const float *)values)[i];
    else if (type == TR_FLOAT64)
        ((double *)memory)[at] = ((const double *)values)[i];
    else
        ((int64_t *)memory)[at] = ((const int64_t *)values)[i];
}

static void to_double(tr_type type, void *memory, int64_t at, void *values, int64_t i) {
    ((double *)values)[i] = type == TR_FLOAT32   ? (double)((const tr_real *)memory)[at]
                            : type == TR_FLOAT64 ? ((const double *)memory)[at]
                                                 : (double)((const int64_t *)memory)[at];
}

static void from_double(tr_type type, void *memory, int64_t at, void *values, int64_t i) {
    const double value = ((const double *)values)[i];
    if (type == TR_FLOAT32)
        ((tr_real *)memory)[at] = (tr_real)value;
    else if (type == TR_FLOAT64)
        ((double *)memory)[at] = value;
    else
        ((int64_t *)memory)[at] = (int64_t)value;
}

static void move_all(const tr_row *row, void *memory, int64_t first, int64_t n, void *values,
                     mover move) {
    int64_t at[RUN];
    for (int64_t done = 0; done < n; done += RUN) {
        int64_t run = tr_min(RUN, n - done);
        find(row, first + done, run, at);
        for (int64_t i = 0; i < run; i++)
            move(tr_row_state(row)->type, memory, at[i], values, done + i);
    }
}

void tr_row_get(const tr_row *row, int64_t first, int64_t n, void *values) {
    move_all(row, tr_row_state(row)->value, first, n, values, to_file);
}

void tr_row_set(const tr_row *row, int64_t first, int64_t n, const void *values) {
    move_all(row, tr_row_state(row)->value, first, n, (void *)values, from_file);
}

void tr_row_read(const tr_row *row, const void *memory, int64_t first, int64_t n, double *values) {
    move_all(row, (void *)memory, first, n, values, to_double);
}

void tr_row_write(const tr_row *row, int64_t first, int64_t n, const double *values) {
    move_all(row, tr_row_state(row)->value, first, n, (void *)values, from_double);
}

void tr_graph_free_state(tr_graph *graph) {
    drop_optimizer(graph);
    free_names(graph->rows, graph->n_rows);
    tr_free(graph->parameters);
    tr_free(graph->buffers);
    tr_free(graph->rows);
}
