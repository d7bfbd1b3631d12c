/* scale: a value times a number, or times a learned factor for each channel, as LayerScale has it
 * (timm's gamma, a torch.nn.Parameter). */
#include <string.h>

#include "ops/ops.h"

typedef struct scale_args {
    double factor;
    bool learned;
    tr_parameter_args parameters;
} scale_args;

static const tr_key keys[] = {
    {"factor", TR_KEY_FLOAT, offsetof(scale_args, factor), "1", -1e30, 1e30, NULL,
     "what the value is multiplied by; where that is learned: what it begins with by default"},
    {"learned", TR_KEY_BOOL, offsetof(scale_args, learned), "false", 0, 0, NULL,
     "a factor for each channel, or feature, is learned: the parameter weight"},
    TR_WEIGHT_KEYS(scale_args),
};

enum { WEIGHT, SUM = 0 }; /* state; own sum: of dy x, [c8] */

static int channels(const tr_node *node) {
    return node->in[0].flat ? (int)tr_shape_size(node->in[0]) : node->in[0].c;
}
static int64_t pixels(const tr_node *node) {
    return tr_shape_size(node->in[0]) / channels(node);
}
static int64_t channels8(const tr_node *node) {
    return tr_round_up(channels(node), TR_BLOCK8);
}

/* ---- shape and state ---- */

static void index_features(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    for (int64_t i = 0; i < n; i++) at[i] = tr_feature_at(node->in[0], first + i);
}

static int shape(tr_node *node, tr_error *err) {
    const scale_args *a = node->args;
    node->unfused = node->in[0];
    if (a->learned) {
        tr_state weight = tr_vector_parameter("weight", channels(node));
        weight.init_value = a->factor;
        if (node->in[0].flat) weight.index = index_features;
        if (tr_add_state(node, &weight, err) == NULL) return TR_ENOMEM;
    }
    return TR_OK;
}

/* ---- by a number ---- */

static void multiply(const tr_work *w) {
    const tr_real factor = (tr_real)((const scale_args *)w->node->args)->factor;
    for (int i = 0; i < w->n; i++)
        w->kernels->scale(tr_shape_size(w->node->out), factor, tr_x(w, 0, i), tr_y(w, i));
}

static void multiply_dx(const tr_work *w) {
    const tr_real factor = (tr_real)((const scale_args *)w->node->args)->factor;
    for (int i = 0; i < w->n; i++)
        w->kernels->scale(tr_shape_size(w->node->out), factor, tr_dy(w, i), tr_dx(w, 0, i));
}

/* ---- by channel ---- */

/* Scratch: what normal_sums adds up, then two rows of constants. */
static double *sums(const tr_work *w) {
    return w->scratch;
}
static const tr_real *constants(const tr_work *w, int row, tr_real value) {
    tr_real *to = (tr_real *)(void *)(sums(w) + 2 * channels8(w->node)) + row * channels8(w->node);
    for (int64_t i = 0; i < channels8(w->node); i++) to[i] = value;
    return to;
}

/* y = x times the weight: of the pixels of each sample, or of one value each of all samples. */
static void apply(const tr_work *w, const tr_binding *x, const tr_binding *y) {
    const int c = channels(w->node);
    const bool one = pixels(w->node) == 1;
    const tr_real *zeros = constants(w, 0, 0), *weight = tr_value_of(w->node, WEIGHT);
    for (int i = 0; i < (one ? 1 : w->n); i++)
        w->kernels->affine(one ? w->n : pixels(w->node), c, tr_at(w, x, i), one ? tr_stride(x) : c,
                           zeros, weight, zeros, tr_at(w, y, i), one ? tr_stride(y) : c);
}

static void forward(const tr_work *w) {
    apply(w, &w->x[0], w->y);
}

static void input_gradient(const tr_work *w) {
    apply(w, w->dy, &w->dx[0]);
}

static void add_gradient(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    const int c = channels(w->node);
    const int64_t c8 = channels8(w->node);
    const tr_real *zeros = constants(w, 0, 0), *ones = constants(w, 1, 1);
    (void)e0, (void)e1; /* all of it: it has slots */
    memset(sums(w), 0, 2 * (size_t)c8 * sizeof(double));
    if (!fresh) memcpy(sums(w) + c8, sum, (size_t)c8 * sizeof(double));
    for (int i = 0; i < w->n; i++)
        w->kernels->normal_sums(pixels(w->node), c, tr_x(w, 0, i), tr_dy(w, i), c, c, zeros, ones,
                                zeros, sums(w));
    memcpy(sum, sums(w) + c8, (size_t)c8 * sizeof(double));
}

static void plan_learned(const tr_node *node, const tr_request *request, tr_plan *out) {
    const int64_t c8 = channels8(node);
    out->scratch_bytes = 2 * c8 * (int64_t)(sizeof(double) + sizeof(tr_real));
    tr_plan_sum(out, &(tr_sum){.label = "weight gradient",
                               .size = c8,
                               .wide = true,
                               .leaf = 1,
                               .add_leaf = add_gradient});
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_plan_pointwise(out);
    tr_reads(out, TR_X, 0);
    tr_reads(out, TR_STATE, WEIGHT);
    tr_writes(out, TR_Y, 0);
    if (request->gradients) {
        tr_plan_gradient(out, WEIGHT, &(tr_gradient){.sum = SUM});
        tr_plan_add_up(out, TR_BACKWARD, SUM);
        tr_reads(out, TR_X, 0);
        tr_reads(out, TR_DY, 0);
    }
    if (!request->need_dx[0]) return;
    tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, input_gradient);
    tr_reads(out, TR_DY, 0);
    tr_reads(out, TR_STATE, WEIGHT);
    tr_writes(out, TR_DX, 0);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (((const scale_args *)node->args)->learned)
        plan_learned(node, request, out);
    else
        tr_plan_map(out, request, true, multiply, multiply_dx);
}

const tr_op tr_op_scale = {
    .schema = {"scale",
               "A value times a number, x * factor, or times a factor for each channel that is "
               "learned, x * weight (LayerScale).",
               keys, sizeof keys / sizeof *keys, sizeof(scale_args), ""},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
