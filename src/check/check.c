/* tr_check: one step on the batch of a reference file, and a row for each tensor of its results.
 *
 * The step is the first one of a training as configured, from the file's parameters and buffers
 * (those of the configuration's seed where it has none), in the file's mode. What a step changes is
 * held against the change that PyTorch made: a learning rate of 0.001 hardly moves the weights, and
 * a wrong step would not show beside them.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "check/check.h"

enum { PART = 2048 }; /* elements that are compared at a time */

typedef struct kind { /* of results, whose scales are compared with each other */
    double tolerance;
    bool after; /* the step */
} kind;
/* The loss is a difference of logits, so what is rounding in them is rounding in it. */
enum { OUTPUTS, GRADIENTS, INPUT_GRADIENT, PARAMETERS, BUFFERS, COUNTERS, N_KINDS };
static const kind kinds[N_KINDS] = {{1e-4, false}, {1e-2, false}, {1e-2, false},
                                    {1e-2, true},  {1e-2, true},  {1e-2, true}};
static const double double_tolerance = 1e-8; /* of all, where both sides compute in double */
/* Adaptive optimizers divide by the size of the gradient: where it is rounding, so is the step. */
static const double least_gradient = 1e-6; /* of the tensor's largest */

typedef struct result { /* a row before it is shown */
    const tr_tensor *tensor;
    tr_difference difference;
    int kind;
} result;

typedef struct checking {
    tr_session session;
    tr_reference reference;
    const char *path;
    double tolerance;     /* of all; 0: each kind's own */
    tr_real *x, **before; /* before: [rows of the graph] */
    int32_t *labels;
    int64_t stride;
    result *results;
    tr_check_row *rows; /* of the results */
    int n_results, code;
    tr_error *err;
} checking;

/* ---- values of both sides, a part at a time ---- */

typedef struct source {
    void (*get)(const void *from, int64_t first, int64_t n, double *out);
    const void *from;
} source;

typedef struct row_values { /* a row's state or gradient */
    const tr_row *row;
    const void *memory; /* NULL: zero */
} row_values;

static void get_row(const void *from, int64_t first, int64_t n, double *out) {
    const row_values *values = from;
    if (values->memory)
        tr_row_read(values->row, values->memory, first, n, out);
    else
        memset(out, 0, (size_t)n * sizeof *out);
}

static void get_number(const void *from, int64_t first, int64_t n, double *out) {
    (void)first, (void)n;
    *out = *(const double *)from;
}

typedef struct samples { /* the executor's, in PyTorch's order */
    const tr_exec *exec;
    const tr_real *(*sample)(const tr_exec *exec, int i);
    tr_shape shape;
} samples;

static void get_samples(const void *from, int64_t first, int64_t n, double *out) {
    const samples *s = from;
    int64_t size = tr_shape_size(s->shape);
    for (int64_t i = 0; i < n; i++) {
        const tr_real *values = s->sample(s->exec, (int)((first + i) / size));
        out[i] = (double)values[tr_inner_place(s->shape, (first + i) % size)];
    }
}

/* Elements below `least` are left out; row NULL: none are. */
typedef struct small_gradient {
    row_values values;
    double least;
} small_gradient;

/* A tensor of the file against ours; `before` and `small` as tr_difference_add. */
static int compare(checking *c, int kind_, int tensor, source ours, const tr_real *before,
                   const small_gradient *small) {
    double a[PART], b[PART], was[PART], g[PART];
    const tr_stored *stored = &c->reference.file.tensors[tensor];
    result *r = &c->results[c->n_results++];
    *r = (result){.tensor = &stored->tensor, .kind = kind_};
    for (int64_t at = 0; at < stored->elements; at += PART) {
        int64_t n = tr_min(PART, stored->elements - at);
        int code = tr_safetensors_read(&c->reference.file, tensor, TR_FLOAT64, at, n, b, c->err);
        if (code) return code;
        ours.get(ours.from, at, n, a);
        for (int64_t i = 0; before && i < n; i++) was[i] = (double)before[at + i];
        if (small) get_row(&small->values, at, n, g);
        tr_difference_add(&r->difference, n, a, b, before ? was : NULL, small ? g : NULL,
                          small ? small->least : 0);
    }
    return TR_OK;
}

static bool has_small_gradients(const checking *c, const tr_row *row) {
    return c->session.experiment.optimizer->adaptive && tr_row_state(row)->kind == TR_PARAMETER;
}

static small_gradient small_gradient_of(row_values gradient) {
    small_gradient small = {gradient, 0};
    double values[PART];
    for (int64_t at = 0; at < gradient.row->count; at += PART) {
        int64_t n = tr_min(PART, gradient.row->count - at);
        get_row(&gradient, at, n, values);
        for (int64_t i = 0; i < n; i++) small.least = fmax(small.least, fabs(values[i]));
    }
    small.least *= least_gradient;
    return small;
}

static int compare_row(checking *c, const tr_exec *exec, int i, int tensor, int kind_) {
    const tr_row *row = &c->session.graph->rows[i];
    row_values value = {row, tr_row_state(row)->value};
    row_values gradient = {row, tr_exec_gradient(exec, row)}; /* NULL: it is not trained */
    if (kind_ == GRADIENTS)
        return compare(c, kind_, tensor, (source){get_row, &gradient}, NULL, NULL);
    /* A step of a counter is 1: other buffers are not to be measured by that. */
    if (!c->reference.file.tensors[tensor].parameter) kind_ = COUNTERS;
    source ours = {get_row, &value};
    if (!has_small_gradients(c, row)) return compare(c, kind_, tensor, ours, c->before[i], NULL);
    small_gradient small = small_gradient_of(gradient);
    return compare(c, kind_, tensor, ours, c->before[i], &small);
}

static int compare_group(checking *c, const tr_exec *exec, int group, int kind_) {
    const int *match = c->reference.match[group];
    int code = TR_OK;
    for (int i = 0; code == TR_OK && i < c->session.graph->n_rows; i++)
        if (match[i] >= 0) code = compare_row(c, exec, i, match[i], kind_);
    return code;
}

static int compare_all(checking *c, const tr_exec *exec, double loss) {
    const tr_reference *r = &c->reference;
    const tr_graph *g = c->session.graph;
    samples logits = {exec, tr_exec_output, g->nodes[g->output].unfused},
            input = {exec, tr_exec_input_gradient, r->input_shape};
    int code = TR_OK;
    if (r->logits >= 0)
        code = compare(c, OUTPUTS, r->logits, (source){get_samples, &logits}, NULL, NULL);
    if (code == TR_OK && r->loss >= 0)
        code = compare(c, OUTPUTS, r->loss, (source){get_number, &loss}, NULL, NULL);
    if (code == TR_OK) code = compare_group(c, exec, TR_GROUP_GRAD, GRADIENTS);
    if (code == TR_OK && r->input_gradient >= 0)
        code = compare(c, INPUT_GRADIENT, r->input_gradient, (source){get_samples, &input}, NULL,
                       NULL);
    if (code == TR_OK) code = compare_group(c, exec, TR_GROUP_PARAM_AFTER, PARAMETERS);
    if (code == TR_OK) code = compare_group(c, exec, TR_GROUP_BUFFER_AFTER, BUFFERS);
    return code;
}

/* ---- the step ---- */

/* Parameters and buffers from the file, where it has them; a copy of all. */
static int set_state(checking *c) {
    double values[PART];
    for (int i = 0; i < c->session.graph->n_rows; i++) {
        const tr_row *row = &c->session.graph->rows[i];
        const tr_state *state = tr_row_state(row);
        int at = c->reference.match[state->kind == TR_BUFFER ? TR_GROUP_BUFFER : TR_GROUP_PARAM][i];
        for (int64_t first = 0; first < row->count; first += PART) {
            int64_t n = tr_min(PART, row->count - first);
            if (at >= 0) {
                int code = tr_safetensors_read(&c->reference.file, at, TR_FLOAT64, first, n, values,
                                               c->err);
                if (code) return code;
                tr_row_write(row, first, n, values);
            }
            tr_row_read(row, state->value, first, n, values);
            for (int64_t k = 0; k < n; k++) c->before[i][first + k] = (tr_real)values[k];
        }
    }
    return TR_OK;
}

static int allocate(checking *c) {
    const tr_graph *g = c->session.graph;
    c->x = tr_alloc((size_t)c->reference.n, (size_t)c->stride * sizeof *c->x, c->err);
    c->labels = tr_alloc((size_t)c->reference.n, sizeof *c->labels, c->err);
    c->results = tr_alloc((size_t)c->reference.file.n, sizeof *c->results, c->err);
    c->before = tr_alloc((size_t)g->n_rows, sizeof *c->before, c->err);
    if (!c->x || !c->labels || !c->results || !c->before) return TR_ENOMEM;
    for (int i = 0; i < g->n_rows; i++) {
        c->before[i] = tr_alloc((size_t)g->rows[i].count, sizeof *c->before[i], c->err);
        if (c->before[i] == NULL) return TR_ENOMEM;
    }
    return TR_OK;
}

/* What the parameters and buffers were, and the batch. */
static void account(const checking *c, const tr_exec *exec, tr_account *out) {
    const tr_graph *g = c->session.graph;
    tr_session_account(&c->session, out);
    tr_exec_account(exec, out);
    for (int i = 0; i < g->n_rows; i++)
        tr_account_add(out, TR_MEMORY_TEST, tr_alloc_bytes(g->rows[i].count, sizeof(tr_real)));
    tr_account_add(out, TR_MEMORY_TEST,
                   tr_alloc_bytes(c->reference.n, c->stride * (int64_t)sizeof(tr_real)));
}

static int step(checking *c, tr_team *team, tr_exec *exec) {
    const tr_experiment *e = &c->session.experiment;
    int64_t n_classes = tr_shape_size(c->session.graph->nodes[c->session.graph->output].unfused);
    tr_account sum;
    account(c, exec, &sum);
    int code = tr_account_check(&sum, NULL, c->err);
    if (code == TR_OK) code = allocate(c);
    if (code == TR_OK) code = tr_session_start(&c->session, exec, team, c->err);
    if (code == TR_OK) code = set_state(c);
    if (code == TR_OK)
        code = tr_reference_batch(&c->reference, n_classes, c->stride, c->x, c->labels, c->err);
    if (code) return code;
    double lr = tr_learning_rate(e, 0, tr_max(1, e->train.epochs));
    tr_input input = {.n = c->reference.n, .labels = c->labels, .x = c->x, .stride = c->stride};
    tr_result found;
    code = tr_exec_step(exec, team, &input, lr, 0, &found);
    return code ? tr_fail(c->err, code, "the step failed") : compare_all(c, exec, found.loss);
}

static void run(tr_team *team, void *arg) {
    checking *c = arg;
    const tr_reference *r = &c->reference;
    bool after = r->has[TR_GROUP_PARAM_AFTER] || r->has[TR_GROUP_BUFFER_AFTER];
    tr_exec_options options = tr_session_options(&c->session, r->n, true);
    if (!after) options.optimizer = NULL;
    options.eval_mode = !r->training;
    options.keep_gradients = true;
    options.input_gradient = r->input_gradient >= 0;
    tr_exec *exec = NULL;
    c->stride = tr_round_up(tr_shape_size(r->input_shape), TR_LANES) + TR_LANES;
    c->code = tr_session_check_batch(&c->session, r->n, r->training, "the reference has", c->err);
    if (c->code == TR_OK)
        c->code = tr_exec_plan(c->session.graph, &options, tr_team_size(team), &exec, c->err);
    if (c->code == TR_OK) c->code = step(c, team, exec);
    tr_exec_free(exec);
}

/* ---- rows ---- */

static int64_t *index_of(const tr_tensor *tensor, int64_t where, tr_error *err) {
    int64_t *index = tr_alloc((size_t)tensor->n_dims, sizeof *index, err);
    for (int d = tensor->n_dims - 1; index && d >= 0 && where > 0; d--) {
        index[d] = where % tensor->dim[d];
        where /= tensor->dim[d];
    }
    return index;
}

/* Do both sides compute in double? */
static bool is_double(const checking *c) {
    return sizeof(tr_real) == sizeof(double) && !c->reference.narrow;
}

static tr_check_row row_of(const checking *c, const result *r, double largest_scale) {
    const tr_difference *d = &r->difference;
    const kind *k = &kinds[r->kind];
    double tolerance = c->tolerance > 0 ? c->tolerance
                       : is_double(c)   ? double_tolerance
                                        : k->tolerance;
    /* Each side rounds the new value once, and one of them the old one. */
    double rounding = !k->after ? 0 : is_double(c) ? 2 * DBL_EPSILON : 2 * (double)FLT_EPSILON;
    tr_check_row row = {.name = r->tensor->name,
                        .relative = tr_difference_relative(d, largest_scale, rounding),
                        .tolerance = tr_difference_tolerance(d, largest_scale, rounding, tolerance),
                        .elements = d->n,
                        .left_out = d->left_out,
                        .largest = d->largest,
                        .n_dims = r->tensor->n_dims,
                        .ours = d->ours,
                        .theirs = d->theirs};
    row.past = !(row.relative <= row.tolerance);
    return row;
}

static int make_rows(checking *c) {
    double largest[N_KINDS] = {0};
    c->rows = tr_alloc((size_t)c->n_results, sizeof *c->rows, c->err);
    if (c->rows == NULL) return TR_ENOMEM;
    for (int i = 0; i < c->n_results; i++) {
        const result *r = &c->results[i];
        largest[r->kind] = fmax(largest[r->kind], sqrt(r->difference.scale_squares));
    }
    for (int i = 0; i < c->n_results; i++) {
        const result *r = &c->results[i];
        c->rows[i] = row_of(c, r, largest[r->kind]);
        c->rows[i].index = index_of(r->tensor, r->difference.where, c->err);
        if (c->rows[i].index == NULL) return TR_ENOMEM;
    }
    return TR_OK;
}

/* ---- the public call ---- */

/* The training images are not read: weights that are made of them must be given. */
static int check_images(const checking *c) {
    const tr_row *row = tr_graph_needs_images(c->session.graph);
    if (row == NULL || c->reference.has[TR_GROUP_PARAM] || c->session.init.graph) return TR_OK;
    return tr_fail(c->err, TR_EDATA,
                   "%s: '%s' is made of the training images (%s), which check does not read: the "
                   "file must hold the parameters, param.%s and all others",
                   c->path, row->name, tr_row_state(row)->init->schema.name, row->name);
}

static int check(checking *c, tr_config *config) {
    int code = tr_reference_open(c->path, &c->reference, c->err);
    if (code) return code;
    code = tr_session_open_network(config->doc, c->reference.input_shape, &c->session, c->err);
    tr_config_keep_notes(config, &c->session.notes);
    if (code) return code;
    code = tr_reference_match(&c->reference, c->session.graph, c->err);
    if (code == TR_OK) code = check_images(c);
    if (code == TR_OK) code = tr_team_run(&c->session.placement, run, c, c->err);
    if (code == TR_OK) code = c->code;
    return code ? code : make_rows(c);
}

typedef struct check_call {
    checking *checking;
    tr_config *config;
} check_call;

static int check_on_thread(tr_call *call, void *arg) {
    const check_call *c = arg;
    (void)call;
    return check(c->checking, c->config);
}

static void free_all(checking *c) {
    for (int i = 0; c->rows && i < c->n_results; i++) tr_free((int64_t *)c->rows[i].index);
    for (int i = 0; c->before && i < c->session.graph->n_rows; i++) tr_free(c->before[i]);
    tr_free(c->rows);
    tr_free(c->results);
    tr_free(c->before);
    tr_free(c->labels);
    tr_free(c->x);
    tr_session_close(&c->session);
    tr_reference_close(&c->reference);
}

int tr_check(tr_config *config, const char *reference, double tolerance,
             void (*row)(const tr_check_row *row, void *arg), void *arg, int *n_past,
             tr_error *err) {
    tr_error local = {0};
    checking c = {.path = reference, .tolerance = tolerance, .err = err ? err : &local};
    if (n_past) *n_past = 0;
    if (config == NULL || reference == NULL)
        return tr_fail(err, TR_ECONFIG, "check: the configuration or the reference is NULL");
    if (!(tolerance >= 0 && tr_is_finite(tolerance)))
        return tr_fail(err, TR_ECONFIG, "check: the tolerance is negative or not a finite number");
    int code = tr_call_run(check_on_thread, &(check_call){&c, config}, c.err);
    for (int i = 0; code == TR_OK && i < c.n_results; i++) {
        if (n_past) *n_past += c.rows[i].past;
        if (row) row(&c.rows[i], arg);
    }
    free_all(&c);
    return code;
}
