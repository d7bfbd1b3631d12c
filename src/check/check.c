/* tr_check: one step on the batch of a reference file, and a row for each tensor of its results.
 *
 * The step is the first one of a training as configured, from the file's parameters and buffers
 * (those of the configuration's seed where it has none), in the file's mode. What a step changes is
 * held against the change that PyTorch made: a learning rate of 0.001 hardly moves the weights, and
 * a wrong step would not show beside them.
 */
#include <float.h>
#include <math.h>

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
    tr_named_list tensors;
    const char *path;
    double tolerance; /* of all; 0: each kind's own */
    tr_real *x, *gradient, **before;
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

static void get_named(const void *from, int64_t first, int64_t n, double *out) {
    tr_named_get(from, first, n, out);
}

static void get_reals(const void *from, int64_t first, int64_t n, double *out) {
    const tr_real *values = from;
    for (int64_t i = 0; i < n; i++) out[i] = (double)values[first + i];
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

/* Whose small elements are left out, or {NULL}. */
typedef struct gradient_of {
    const tr_real *values;
    double least;
} gradient_of;

/* A tensor of the file against ours; `before` and `gradient` as tr_difference_add. */
static int compare(checking *c, int kind_, int tensor, source ours, const tr_real *before,
                   gradient_of gradient) {
    double a[PART], b[PART], was[PART], g[PART];
    const tr_stored *stored = &c->reference.file.tensors[tensor];
    result *r = &c->results[c->n_results++];
    *r = (result){.tensor = &stored->tensor, .kind = kind_};
    for (int64_t at = 0; at < stored->elements; at += PART) {
        int64_t n = tr_min(PART, stored->elements - at);
        int code = tr_safetensors_read(&c->reference.file, tensor, TR_FLOAT64, at, n, b, c->err);
        if (code) return code;
        ours.get(ours.from, at, n, a);
        if (before) get_reals(before, at, n, was);
        if (gradient.values) get_reals(gradient.values, at, n, g);
        tr_difference_add(&r->difference, n, a, b, before ? was : NULL, gradient.values ? g : NULL,
                          gradient.least);
    }
    return TR_OK;
}

static gradient_of small_gradients(checking *c, const tr_exec *exec, int i) {
    const tr_named *t = &c->tensors.v[i];
    gradient_of g = {NULL, 0};
    if (!c->session.experiment.optimizer->adaptive || t->buffer) return g;
    tr_named_gradient(exec, t, c->gradient);
    g.values = c->gradient;
    for (int64_t k = 0; k < t->n; k++) g.least = fmax(g.least, fabs((double)c->gradient[k]));
    g.least *= least_gradient;
    return g;
}

static int compare_named(checking *c, const tr_exec *exec, int group, int kind_) {
    int code = TR_OK;
    for (int i = 0; code == TR_OK && i < c->tensors.n; i++) {
        const tr_named *t = &c->tensors.v[i];
        int at = c->reference.match[group][i];
        source ours = {get_named, t};
        if (at < 0) continue;
        if (group == TR_GROUP_GRAD) {
            tr_named_gradient(exec, t, c->gradient);
            ours = (source){get_reals, c->gradient};
            code = compare(c, kind_, at, ours, NULL, (gradient_of){NULL, 0});
        } else { /* a step of a counter is 1: other buffers are not to be measured by that */
            int of = c->reference.file.tensors[at].parameter ? kind_ : COUNTERS;
            code = compare(c, of, at, ours, c->before[i], small_gradients(c, exec, i));
        }
    }
    return code;
}

static int compare_all(checking *c, const tr_exec *exec, double loss) {
    const tr_reference *r = &c->reference;
    const tr_graph *g = c->session.graph;
    const gradient_of none = {NULL, 0};
    samples logits = {exec, tr_exec_output, g->nodes[g->output].unfused},
            input = {exec, tr_exec_input_gradient, r->input_shape};
    int code = TR_OK;
    if (r->logits >= 0)
        code = compare(c, OUTPUTS, r->logits, (source){get_samples, &logits}, NULL, none);
    if (code == TR_OK && r->loss >= 0)
        code = compare(c, OUTPUTS, r->loss, (source){get_number, &loss}, NULL, none);
    if (code == TR_OK) code = compare_named(c, exec, TR_GROUP_GRAD, GRADIENTS);
    if (code == TR_OK && r->input_gradient >= 0)
        code = compare(c, INPUT_GRADIENT, r->input_gradient, (source){get_samples, &input}, NULL,
                       none);
    if (code == TR_OK) code = compare_named(c, exec, TR_GROUP_PARAM_AFTER, PARAMETERS);
    if (code == TR_OK) code = compare_named(c, exec, TR_GROUP_BUFFER_AFTER, BUFFERS);
    return code;
}

/* ---- the step ---- */

/* Parameters and buffers from the file, where it has them; a copy of all. */
static int set_state(checking *c) {
    double values[PART];
    for (int i = 0; i < c->tensors.n; i++) {
        const tr_named *t = &c->tensors.v[i];
        int at = c->reference.match[t->buffer ? TR_GROUP_BUFFER : TR_GROUP_PARAM][i];
        for (int64_t first = 0; first < t->n; first += PART) {
            int64_t n = tr_min(PART, t->n - first);
            if (at >= 0) {
                int code = tr_safetensors_read(&c->reference.file, at, TR_FLOAT64, first, n, values,
                                               c->err);
                if (code) return code;
                tr_named_set(t, first, n, values);
            }
            tr_named_get(t, first, n, values);
            for (int64_t k = 0; k < n; k++) c->before[i][first + k] = (tr_real)values[k];
        }
    }
    return TR_OK;
}

static int allocate(checking *c) {
    int64_t most = 0;
    size_t n = (size_t)c->tensors.n, all = (size_t)c->reference.file.n;
    c->x = tr_alloc((size_t)c->reference.n, (size_t)c->stride * sizeof *c->x, c->err);
    c->labels = tr_alloc((size_t)c->reference.n, sizeof *c->labels, c->err);
    c->results = tr_alloc(all, sizeof *c->results, c->err);
    c->before = tr_alloc(n, sizeof *c->before, c->err);
    if (!c->x || !c->labels || !c->results || !c->before) return TR_ENOMEM;
    for (int i = 0; i < c->tensors.n; i++) {
        most = tr_max(most, c->tensors.v[i].n);
        c->before[i] = tr_alloc((size_t)c->tensors.v[i].n, sizeof *c->before[i], c->err);
        if (c->before[i] == NULL) return TR_ENOMEM;
    }
    c->gradient = tr_alloc((size_t)most, sizeof *c->gradient, c->err);
    return c->gradient ? TR_OK : TR_ENOMEM;
}

/* Twice the parameters (what they were, a gradient), and the batch. */
static void account(const checking *c, const tr_exec *exec, tr_account *out) {
    tr_session_account(&c->session, out);
    tr_exec_account(exec, out);
    for (int i = 0; i < c->tensors.n; i++)
        tr_account_add(out, TR_MEMORY_TEST, 2 * tr_alloc_bytes(c->tensors.v[i].n, sizeof(tr_real)));
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

static int check(checking *c, tr_config *config) {
    int code = tr_reference_open(c->path, &c->reference, c->err);
    if (code) return code;
    code = tr_session_open_network(config->doc, c->reference.input_shape, &c->session, c->err);
    tr_config_keep_notes(config, &c->session.notes);
    if (code) return code;
    const tr_graph *g = c->session.graph;
    if ((code = tr_named_create(c->session.graph, &c->tensors, c->err))) return code;
    code = tr_reference_match(&c->reference, &c->tensors,
                              tr_shape_size(g->nodes[g->output].unfused), c->err);
    if (code == TR_OK) code = tr_team_run(&c->session.placement, run, c, c->err);
    if (code == TR_OK) code = c->code;
    return code ? code : make_rows(c);
}

typedef struct check_call {
    checking *checking;
    tr_config *config;
} check_call;

static int check_on_own_thread(tr_call *call, void *arg) {
    const check_call *c = arg;
    (void)call;
    return check(c->checking, c->config);
}

static void free_all(checking *c) {
    for (int i = 0; c->rows && i < c->n_results; i++) tr_free((int64_t *)c->rows[i].index);
    for (int i = 0; c->before && i < c->tensors.n; i++) tr_free(c->before[i]);
    tr_free(c->rows);
    tr_free(c->results);
    tr_free(c->before);
    tr_free(c->gradient);
    tr_free(c->labels);
    tr_free(c->x);
    tr_named_free(&c->tensors);
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
    int code = tr_call_run(check_on_own_thread, &(check_call){&c, config}, c.err);
    for (int i = 0; code == TR_OK && i < c.n_results; i++) {
        if (n_past) *n_past += c.rows[i].past;
        if (row) row(&c.rows[i], arg);
    }
    free_all(&c);
    return code;
}
