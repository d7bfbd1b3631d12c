/* prelu: x above 0, else weight * x, with one weight or one for each channel, torch.nn.PReLU.
 *
 * The kernels want a slope for each element: the weights, over and over again up to a piece of some
 * length. The value is pointwise; backward reads x. The weight's gradient is a sum over pixels and
 * samples, of each channel, or, where there is one weight, of LANES elements side by side, which
 * are added up in the end.
 */
#include <stdio.h>

#include "ops/ops.h"

typedef struct prelu_args {
    int64_t num_parameters;
    double init;
    tr_parameter_args parameters;
} prelu_args;

static const tr_key keys[] = {
    {"num_parameters", TR_KEY_INT, offsetof(prelu_args, num_parameters), "1", 1, TR_MAX_VALUE, NULL,
     "number of weights: 1, or that of the channels"},
    {"init", TR_KEY_FLOAT, offsetof(prelu_args, init), "0.25", 0, 0, NULL,
     "default initial value of the weights"},
    TR_WEIGHT_KEYS(prelu_args),
};

enum {
    SUM,         /* own: the weight's gradient */
    LANES = 64,  /* of a single weight's */
    PIECE = 512, /* elements, or more where there are more weights */
};

/* Weights, channels (of features: all of them) and values of each. */
static int64_t n_weights(const tr_node *node) {
    return ((const prelu_args *)node->args)->num_parameters;
}
static int64_t channels(const tr_node *node) {
    return node->in[0].flat ? tr_shape_size(node->in[0]) : node->in[0].c;
}

static void index_features(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    for (int64_t i = 0; i < n; i++) at[i] = tr_feature_at(node->in[0], first + i);
}

static int shape(tr_node *node, tr_error *err) {
    const prelu_args *a = node->args;
    char name[256];
    tr_state weight = tr_vector_parameter("weight", a->num_parameters);
    weight.init_value = a->init;
    node->unfused = node->in[0];
    if (a->num_parameters > 1 && node->in[0].flat) weight.index = index_features;
    if (a->num_parameters == 1 || a->num_parameters == channels(node))
        return tr_add_state(node, &weight, err) ? TR_OK : TR_ENOMEM;
    snprintf(name, sizeof name, "%s.num_parameters", node->name);
    return tr_fail_at(err, tr_key_where(node, "num_parameters"), name,
                      "%lld, allowed are 1 and %lld, the %s of the input",
                      (long long)a->num_parameters, (long long)channels(node),
                      node->in[0].flat ? "features" : "channels");
}

/* ---- the map ---- */

/* Elements of a piece: all weights, some times. */
static int64_t piece_of(const tr_node *node) {
    const int64_t c = n_weights(node);
    return tr_min(tr_shape_size(node->in[0]), c >= PIECE ? c : PIECE / c * c);
}

static const tr_real *slopes(const tr_work *w) {
    const tr_real *weight = tr_value_of(w->node, 0);
    const int64_t c = n_weights(w->node), n = piece_of(w->node);
    tr_real *all = w->scratch;
    for (int64_t i = 0, k = 0; i < n; i++, k = k + 1 < c ? k + 1 : 0) all[i] = weight[k];
    return all;
}

static void forward(const tr_work *w) {
    const int64_t size = tr_shape_size(w->node->out), piece = piece_of(w->node);
    const tr_real *slope = slopes(w);
    for (int i = 0; i < w->n; i++) {
        for (int64_t e = 0; e < size; e += piece)
            w->kernels->prelu(tr_min(piece, size - e), slope, tr_x(w, 0, i) + e, tr_y(w, i) + e);
    }
}

static void backward(const tr_work *w) {
    const int64_t size = tr_shape_size(w->node->out), piece = piece_of(w->node);
    const tr_real *slope = slopes(w);
    for (int i = 0; i < w->n; i++) {
        for (int64_t e = 0; e < size; e += piece)
            w->kernels->prelu_dx(tr_min(piece, size - e), slope, tr_x(w, 0, i) + e, tr_dy(w, i) + e,
                                 tr_dx(w, 0, i) + e);
    }
}

/* ---- the weight's gradient ---- */

static int64_t sum_size(const tr_node *node) {
    return n_weights(node) == 1 ? LANES : tr_round_up(n_weights(node), TR_BLOCK8);
}

static void add_products(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    const int64_t size = tr_shape_size(w->node->in[0]);
    const int64_t c = n_weights(w->node) == 1 ? LANES : n_weights(w->node), rest = size % c;
    double *to = sum;
    (void)e0, (void)e1; /* all of it: it has slots */
    for (int64_t e = 0; fresh && e < sum_size(w->node); e++) to[e] = 0;
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = tr_x(w, 0, i), *dy = tr_dy(w, i);
        w->kernels->prelu_sums(size / c, c, x, dy, to);
        if (rest) w->kernels->prelu_sums(1, rest, x + size - rest, dy + size - rest, to);
    }
}

static void add_lanes(const tr_node *node, int64_t e0, int64_t e1, const void *total, tr_real *g) {
    const double *lanes = total;
    double all = 0;
    (void)node, (void)e0;
    for (int l = 0; l < LANES; l++) all += lanes[l];
    for (int64_t e = 0; e < e1; e++) g[e] = e == 0 ? (tr_real)all : 0;
}

/* ---- the plan ---- */

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_plan_sum(out, &(tr_sum){.label = "weight gradient",
                               .size = sum_size(node),
                               .wide = true,
                               .leaf = 1,
                               .add_leaf = add_products});
    out->scratch_bytes = piece_of(node) * (int64_t)sizeof(tr_real);
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_plan_pointwise(out);
    tr_reads(out, TR_X, 0);
    tr_reads(out, TR_STATE, 0);
    tr_writes(out, TR_Y, 0);
    if (request->gradients) {
        tr_plan_gradient(out, 0,
                         n_weights(node) == 1
                             ? &(tr_gradient){.sum = SUM, .size = LANES, .finish = add_lanes}
                             : &(tr_gradient){.sum = SUM});
        tr_plan_add_up(out, TR_BACKWARD, SUM);
        tr_reads(out, TR_X, 0);
        tr_reads(out, TR_DY, 0);
    }
    if (request->need_dx[0]) {
        tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, backward);
        tr_reads(out, TR_X, 0);
        tr_reads(out, TR_STATE, 0);
        tr_reads(out, TR_DY, 0);
        tr_writes(out, TR_DX, 0);
    }
}

const tr_op tr_op_prelu = {
    .schema = {"prelu",
               "x where it is above 0, else a learnable weight times x, as torch.nn.PReLU.", keys,
               sizeof keys / sizeof *keys, sizeof(prelu_args), "torch.nn.PReLU"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
