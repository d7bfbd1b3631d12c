/* Normalisation of runs of elements (norm_runs.h).
 *
 * Forward makes the moments of each run and, as a pointwise function of x, the value. Backward
 * makes the two sums of a run and its input gradient in one phase; gradients of the parameters are
 * a sum over the batch, tile by tile where they are large.
 *
 * A run that does not lie in one piece in memory (several groups of a flattened image's features,
 * or a normalised_shape without channels) is normalised in a planar copy of the sample.
 */
#include "ops/norm_runs.h"

#include <string.h>

#include "ops/norm.h"

enum {
    MOMENTS,      /* own: tr_moments of each run, per sample */
    GRADIENTS,    /* own sum: of the bias, then of the weight, each padded to 8 */
    TILE = 2048,  /* elements of a parameter */
    BLOCK = 8192, /* and of what one thread updates */
    ROW = 16,     /* elements of a run that moments are added up of, as columns */
    LARGE = 8,    /* times what is wide elsewhere: up to here slots cost less than x and dy again */
    N_PLANES = 3, /* planar copies of a sample: x, dy, and what is made */
};

static const tr_runs *runs_of(const tr_work *w) {
    return w->node->args;
}

void tr_index_elements(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    tr_shape s = node->in[0];
    int64_t area = (int64_t)s.h * s.w;
    for (int64_t i = 0; i < n; i++) at[i] = (first + i) % area * s.c + (first + i) / area;
}

tr_state tr_runs_parameter(const tr_node *node, const char *suffix, int n_dims,
                           const int64_t *dim) {
    const tr_runs *r = node->args;
    tr_state state = tr_vector_parameter(suffix, r->n_weights);
    state.n_dims = n_dims;
    memcpy(state.dim, dim, (size_t)n_dims * sizeof *dim);
    if (state.size > BLOCK) {
        state.n_blocks = (state.size + BLOCK - 1) / BLOCK;
        state.block = state.used = BLOCK;
    }
    state.tile = tr_min(state.tile, TILE);
    if (!r->planar && r->n_weights == tr_shape_size(node->in[0])) state.index = tr_index_elements;
    return state;
}

static const tr_real *value(const tr_node *node, const char *suffix) {
    int state = tr_find_state(node, suffix);
    return state < 0 ? NULL : tr_value_of(node, state);
}

/* Where the weights of run number i begin. */
static int64_t first_weight(const tr_runs *r, int64_t i) {
    return i * r->length % r->n_weights;
}

/* ---- planar copies ---- */

static int64_t plane_size(const tr_node *node) {
    return tr_round_up(tr_shape_size(node->in[0]), TR_LANES) + TR_LANES;
}

static tr_real *plane(const tr_work *w, int i) {
    return (tr_real *)w->scratch + i * plane_size(w->node);
}

/* A sample in the order of the runs: itself, or copy number i. */
static const tr_real *in_order(const tr_work *w, const tr_real *x, int i) {
    const tr_shape s = w->node->in[0];
    if (!runs_of(w)->planar) return x;
    w->kernels->transpose((int64_t)s.h * s.w, s.c, x, plane(w, i));
    return plane(w, i);
}

/* Where a result is made, and what puts it where it belongs. */
static tr_real *place_of(const tr_work *w, tr_real *y) {
    return runs_of(w)->planar ? plane(w, N_PLANES - 1) : y;
}
static void put(const tr_work *w, const tr_real *made, tr_real *y) {
    const tr_shape s = w->node->in[0];
    if (made != y) w->kernels->transpose(s.c, (int64_t)s.h * s.w, made, y);
}

/* ---- forward ---- */

static tr_affine normal_of(const tr_runs *r, tr_moments m) {
    return tr_normal_map(m.mean, tr_inverse_deviation(m, r->eps), 1, 0);
}

static tr_moments moments_of(const tr_work *w, int64_t n, const tr_real *x) {
    double shift[ROW], sums[2 * ROW] = {0}, last[2 * ROW] = {0}, above = 0, squares = 0;
    const int64_t rows = n / ROW;
    const int left = (int)(n % ROW);
    for (int l = 0; l < ROW; l++) shift[l] = (double)x[0];
    w->kernels->moments(rows, ROW, x, ROW, shift, sums);
    w->kernels->moments(1, left, x + rows * ROW, ROW, shift, last);
    for (int l = 0; l < ROW; l++) above += sums[l], squares += sums[ROW + l];
    for (int l = 0; l < left; l++)
        above += last[l], squares += last[tr_round_up(left, TR_BLOCK8) + l];
    return tr_moments_of(shift[0], above, squares, n);
}

static void statistics(const tr_work *w) {
    const tr_runs *r = runs_of(w);
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = in_order(w, tr_x(w, 0, i), 0);
        tr_moments *m = tr_own(w, MOMENTS, i);
        for (int64_t k = 0; k < r->n; k++) m[k] = moments_of(w, r->length, x + k * r->length);
    }
}

static void normalise(const tr_work *w) {
    const tr_runs *r = runs_of(w);
    const tr_real *weight = value(w->node, "weight"), *bias = value(w->node, "bias");
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = in_order(w, tr_x(w, 0, i), 0);
        tr_real *y = place_of(w, tr_y(w, i));
        const tr_moments *m = tr_own(w, MOMENTS, i);
        for (int64_t k = 0; k < r->n; k++) {
            const int64_t at = k * r->length, e = first_weight(r, k);
            w->kernels->affine_run(r->length, normal_of(r, m[k]), x + at,
                                   weight ? weight + e : NULL, bias ? bias + e : NULL, y + at);
        }
        put(w, y, tr_y(w, i));
    }
}

/* ---- backward ---- */

static void input_gradient(const tr_work *w) {
    const tr_runs *r = runs_of(w);
    const tr_real *weight = value(w->node, "weight");
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = in_order(w, tr_x(w, 0, i), 0), *dy = in_order(w, tr_dy(w, i), 1);
        tr_real *dx = place_of(w, tr_dx(w, 0, i));
        const tr_moments *m = tr_own(w, MOMENTS, i);
        for (int64_t k = 0; k < r->n; k++) {
            const int64_t at = k * r->length, e = first_weight(r, k);
            const tr_real *weights = weight ? weight + e : NULL;
            double sum[2];
            w->kernels->run_sums(r->length, normal_of(r, m[k]), x + at, dy + at, weights, sum);
            const tr_normal_dx d = tr_normal_dx_of(m[k], r->eps, sum[0], sum[1], r->length);
            w->kernels->affine_run_dx(r->length, d.map, x + at, dy + at, weights, (tr_real)d.by,
                                      dx + at);
        }
        put(w, dx, tr_dx(w, 0, i));
    }
}

/* What one sample adds to the gradients of weights a .. b-1; NULL: not of that parameter. fresh:
 * nothing is there yet. */
static void add_sample(const tr_work *w, int i, int64_t a, int64_t b, bool fresh, tr_real *dw,
                       tr_real *db) {
    const tr_runs *r = runs_of(w);
    const tr_real *x = in_order(w, tr_x(w, 0, i), 0), *dy = in_order(w, tr_dy(w, i), 1);
    const tr_moments *m = tr_own(w, MOMENTS, i);
    for (int64_t k = 0; k < r->n; k++) {
        const int64_t e = first_weight(r, k), from = tr_max(a, e), to = tr_min(b, e + r->length);
        const int64_t at = k * r->length + from - e;
        if (from >= to) continue;
        w->kernels->run_gradients(to - from, normal_of(r, m[k]), x + at, dy + at,
                                  fresh && k * r->length < r->n_weights, dw ? dw + from - a : NULL,
                                  db ? db + from - a : NULL);
    }
}

static void add_gradients(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    const int64_t n = runs_of(w)->n_weights, n8 = tr_round_up(n, TR_BLOCK8);
    const bool both = e1 - e0 == 2 * n8, weight = e0 >= n8;
    tr_real *to = sum;
    if (fresh && (w->n == 0 || both || e1 % n8 == 0)) /* the padding, too */
        memset(to, 0, (size_t)(e1 - e0) * sizeof *to);
    for (int i = 0; i < w->n; i++, fresh = false) {
        if (both)
            add_sample(w, i, 0, n, fresh, to + n8, to);
        else if (weight)
            add_sample(w, i, e0 - n8, tr_min(e1 - n8, n), fresh, to, NULL);
        else
            add_sample(w, i, e0, tr_min(e1, n), fresh, NULL, to);
    }
}

/* ---- the plan ---- */

static void reads_parameter(const tr_node *node, const char *suffix, tr_plan *out) {
    int state = tr_find_state(node, suffix);
    if (state >= 0) tr_reads(out, TR_STATE, state);
}

static void plan_forward(const tr_node *node, tr_plan *out) {
    tr_plan_phase(out, TR_FORWARD, "statistics", TR_BY_SAMPLES, statistics);
    tr_reads(out, TR_X, 0);
    tr_writes(out, TR_OWN, MOMENTS);
    tr_plan_phase(out, TR_FORWARD, "normalise", TR_BY_SAMPLES, normalise);
    if (!((const tr_runs *)node->args)->planar) tr_plan_pointwise(out);
    tr_reads(out, TR_X, 0);
    tr_reads(out, TR_OWN, MOMENTS);
    reads_parameter(node, "weight", out);
    reads_parameter(node, "bias", out);
    tr_writes(out, TR_Y, 0);
}

static void plan_backward(const tr_node *node, const tr_request *request, tr_plan *out) {
    const int64_t n8 = tr_round_up(((const tr_runs *)node->args)->n_weights, TR_BLOCK8);
    const int weight = tr_find_state(node, "weight"), bias = tr_find_state(node, "bias");
    if (weight >= 0) tr_plan_gradient(out, weight, &(tr_gradient){.sum = GRADIENTS, .first = n8});
    if (bias >= 0) tr_plan_gradient(out, bias, &(tr_gradient){.sum = GRADIENTS});
    if (weight >= 0 || bias >= 0) {
        tr_plan_add_up(out, TR_BACKWARD, GRADIENTS);
        tr_reads(out, TR_X, 0);
        tr_reads(out, TR_DY, 0);
        tr_reads(out, TR_OWN, MOMENTS);
    }
    if (!request->need_dx[0]) return;
    tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, input_gradient);
    tr_reads(out, TR_X, 0);
    tr_reads(out, TR_DY, 0);
    tr_reads(out, TR_OWN, MOMENTS);
    reads_parameter(node, "weight", out);
    tr_writes(out, TR_DX, 0);
}

void tr_plan_runs(const tr_node *node, const tr_request *request, tr_plan *out) {
    const tr_runs *r = node->args;
    const int64_t n8 = tr_round_up(r->n_weights, TR_BLOCK8);
    tr_plan_sample_buffer(out, r->n * (int64_t)sizeof(tr_moments));
    tr_plan_sum(out, &(tr_sum){.label = "gradient sums",
                               .size = 2 * n8,
                               .leaf = 1,
                               .by_elements = !r->planar && r->n_weights > LARGE * request->wide,
                               .add_leaf = add_gradients});
    if (r->planar) out->scratch_bytes = N_PLANES * plane_size(node) * (int64_t)sizeof(tr_real);
    plan_forward(node, out);
    if (request->gradients) plan_backward(node, request, out);
}
