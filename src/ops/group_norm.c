/* group_norm, instance_norm2d: (x - mean) / sqrt(variance + eps) * weight + bias, the mean and the
 * variance those of a group of neighbouring channels of one sample, torch.nn.GroupNorm, or of one
 * channel, torch.nn.InstanceNorm2d.
 *
 * Forward makes the moments of each group, and the value as a pointwise function of x: an affine
 * map of each channel. Backward makes one pair of sums for each channel of a sample, of dy and of
 * dy times the normalised x: their sums over the batch are the gradients of bias and weight,
 * weighted sums over a group make the input gradient. Features have weights of their own, and are
 * normalised as runs of them (norm_runs.h).
 *
 * With running statistics instance_norm2d takes them for those of every sample in evaluation; in
 * training a sum over the batch updates them.
 */
#include <stdio.h>
#include <string.h>

#include "ops/norm.h"
#include "ops/norm_runs.h"

typedef struct group_norm_args {
    tr_runs runs; /* first, as norm_runs.h wants it; of an image, n is the number of groups */
    int64_t num_groups, num_channels, num_features;
    double momentum;
    bool affine, track;
    tr_parameter_args parameters;
} group_norm_args;

#define ARG(name) offsetof(group_norm_args, name)
#define EPS                                                                                        \
    { "eps", TR_KEY_FLOAT, ARG(runs.eps), "1e-5", 0, 1e6, NULL, "added to the variance" }
#define AFFINE(fallback)                                                                           \
    {                                                                                              \
        "affine", TR_KEY_BOOL, ARG(affine), fallback, 0, 0, NULL,                                  \
            "multiply by a learnable weight of each channel and add a learnable bias"              \
    }

static const tr_key group_keys[] = {
    {"num_groups", TR_KEY_INT, ARG(num_groups), NULL, 1, TR_MAX_VALUE, NULL,
     "groups that the channels are divided into"},
    {"num_channels", TR_KEY_INT, ARG(num_channels), "input", 1, TR_MAX_VALUE, "input",
     "channels of the input, which is checked"},
    EPS,
    AFFINE("true"),
    TR_PARAMETER_KEYS(group_norm_args),
};

static const tr_key instance_keys[] = {
    {"num_features", TR_KEY_INT, ARG(num_features), "input", 1, TR_MAX_VALUE, "input",
     "channels of the input, which is checked"},
    EPS,
    {"momentum", TR_KEY_FLOAT, ARG(momentum), "0.1", 0, 1, "none",
     "weight of a batch in the running statistics; none: 0, as in PyTorch"},
    AFFINE("false"),
    {"track_running_stats", TR_KEY_BOOL, ARG(track), "false", 0, 0, NULL,
     "keep running statistics and use them in evaluation"},
    TR_PARAMETER_KEYS(group_norm_args),
};

enum {
    MOMENTS,  /* own: tr_moments of each group, per sample */
    CHANNELS, /* own: sums of dy, and of dy times the normalised x, of each channel, per sample */
    SUMS,     /* own sum: the same over the batch */
    MEANS,    /* own sum: means and variances of each channel over the batch, */
    TOTALS,   /* own: and its total, for each thread */
};

/* Rows of scratch, of reals: what is subtracted of x, and so on; the last for dx only. */
enum { SHIFT, SCALE, OFFSET, BY, N_ROWS };

static const group_norm_args *args_of(const tr_node *node) {
    return node->args;
}
static int64_t pixels(const tr_node *node) {
    return (int64_t)node->in[0].h * node->in[0].w;
}
static int64_t channels8(const tr_node *node) {
    return tr_round_up(node->in[0].c, TR_BLOCK8);
}
/* Channels of a group. */
static int group_size(const tr_node *node) {
    return (int)(node->in[0].c / args_of(node)->runs.n);
}
/* Elements of a group in a sample. */
static int64_t count_of(const tr_node *node) {
    return group_size(node) * pixels(node);
}
static void *value(const tr_node *node, const char *suffix) {
    int state = tr_find_state(node, suffix);
    return state < 0 ? NULL : tr_value_of(node, state);
}
static tr_real *row(const tr_work *w, int i) {
    return (tr_real *)w->scratch + i * channels8(w->node);
}

/* ---- shape and state ---- */

static int add_parameters(tr_node *node, tr_state weight, tr_error *err) {
    tr_state bias = weight;
    bias.suffix = "bias";
    weight.init_value = 1;
    if (!args_of(node)->affine) return TR_OK;
    return tr_add_state(node, &weight, err) && tr_add_state(node, &bias, err) ? TR_OK : TR_ENOMEM;
}

static int want_divisor(const tr_node *node, int64_t c, tr_error *err) {
    const int64_t given = args_of(node)->num_groups;
    if (c % given == 0) return TR_OK;
    char name[256], rule[64];
    int64_t below = tr_min(given, c), above = given;
    while (c % below) below--;
    while (above < c && c % above) above++;
    snprintf(name, sizeof name, "%s.num_groups", node->name);
    if (above < c || (above == c && below < c))
        snprintf(rule, sizeof rule, "the nearest that do are %lld and %lld", (long long)below,
                 (long long)above);
    else
        snprintf(rule, sizeof rule, "the nearest that does is %lld", (long long)below);
    return tr_fail_at(err, tr_key_where(node, "num_groups"), name,
                      "%lld does not divide the %lld %s of the input: %s", (long long)given,
                      (long long)c, node->in[0].flat ? "features" : "channels", rule);
}

static int group_shape(tr_node *node, tr_error *err) {
    group_norm_args *a = node->args;
    const tr_shape in = node->in[0];
    int64_t c = in.flat ? tr_shape_size(in) : in.c;
    int code = tr_want_number(node, "num_channels", a->num_channels, c, err);
    if (code == TR_OK) code = want_divisor(node, c, err);
    if (code) return code;
    a->runs.n = a->num_groups;
    a->runs.length = c / a->num_groups;
    a->runs.n_weights = c;
    a->runs.planar = in.flat && a->runs.n > 1 && in.c > 1 && pixels(node) > 1;
    node->unfused = in;
    return add_parameters(
        node, in.flat ? tr_runs_parameter(node, "weight", 1, &c) : tr_vector_parameter("weight", c),
        err);
}

static int instance_shape(tr_node *node, tr_error *err) {
    group_norm_args *a = node->args;
    int code = tr_want_image(node, 0, err);
    if (code == TR_OK)
        code = tr_want_number(node, "num_features", a->num_features, node->in[0].c, err);
    if (code) return code;
    if (pixels(node) == 1 && !a->track)
        return tr_fail_at(
            err, node->where, node->name,
            "instance_norm2d wants more than 1 spatial element, its input is of 1 x 1");
    tr_state vector = tr_vector_parameter("weight", node->in[0].c);
    tr_state mean = vector, variance = vector;
    tr_state batches = {
        .suffix = "num_batches_tracked", .kind = TR_BUFFER, .type = TR_INT64, .size = 1};
    a->runs.n = node->in[0].c;
    node->unfused = node->in[0];
    mean.suffix = "running_mean";
    variance.suffix = "running_var";
    mean.kind = variance.kind = TR_BUFFER;
    variance.init_value = 1;
    if ((code = add_parameters(node, vector, err))) return code;
    if (a->track && (!tr_add_state(node, &mean, err) || !tr_add_state(node, &variance, err) ||
                     !tr_add_state(node, &batches, err)))
        return TR_ENOMEM;
    return TR_OK;
}

/* One number is its own mean: PyTorch refuses a batch of which each part is one number. */
static int group_min_batch(const tr_node *node, bool training) {
    return training && args_of(node)->runs.length * (node->in[0].flat ? 1 : pixels(node)) == 1 ? 2
                                                                                               : 1;
}

static int instance_min_batch(const tr_node *node, bool training) {
    return training && pixels(node) == 1 ? TR_NO_BATCH : 1;
}

/* ---- forward ---- */

/* The shift of a group is its first element. */
static void statistics(const tr_work *w) {
    const int c = w->node->in[0].c, size = group_size(w->node);
    const int64_t c8 = channels8(w->node), n = count_of(w->node);
    double *shift = w->scratch, *sums = shift + c8;
    memset(shift, 0, (size_t)c8 * sizeof *shift);
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = tr_x(w, 0, i);
        tr_moments *m = tr_own(w, MOMENTS, i);
        for (int k = 0; k < c; k++) shift[k] = (double)x[k / size * size];
        memset(sums, 0, 2 * (size_t)c8 * sizeof *sums);
        w->kernels->moments(pixels(w->node), c, x, c, shift, sums);
        for (int k = 0; k < c; k += size) {
            double above = 0, squares = 0;
            for (int l = k; l < k + size; l++) above += sums[l], squares += sums[c8 + l];
            m[k / size] = tr_moments_of(shift[k], above, squares, n);
        }
    }
}

/* In evaluation, of every sample. */
static void running_statistics(const tr_work *w) {
    const tr_real *mean = value(w->node, "running_mean"), *variance = value(w->node, "running_var");
    for (int i = 0; i < w->n; i++) {
        tr_moments *m = tr_own(w, MOMENTS, i);
        for (int k = 0; k < w->node->in[0].c; k++)
            m[k] = (tr_moments){(double)mean[k], (double)variance[k]};
    }
}

static void set_map(const tr_work *w, int k, tr_affine map) {
    row(w, SHIFT)[k] = map.shift;
    row(w, SCALE)[k] = map.scale;
    row(w, OFFSET)[k] = map.offset;
}

/* The map of each channel of a sample; with_weights: the value's, else the normalised x's. */
static void set_maps(const tr_work *w, const tr_moments *m, bool with_weights) {
    const int size = group_size(w->node);
    const double eps = args_of(w->node)->runs.eps;
    const tr_real *weight = with_weights ? value(w->node, "weight") : NULL,
                  *bias = with_weights ? value(w->node, "bias") : NULL;
    for (int k = 0; k < w->node->in[0].c; k += size, m++) {
        const double inverse = tr_inverse_deviation(*m, eps);
        for (int l = k; l < k + size; l++)
            set_map(w, l,
                    tr_normal_map(m->mean, inverse, weight ? (double)weight[l] : 1,
                                  bias ? (double)bias[l] : 0));
    }
}

static void clear_maps(const tr_work *w) {
    memset(w->scratch, 0, (size_t)(N_ROWS * channels8(w->node)) * sizeof(tr_real));
}

static void normalise(const tr_work *w) {
    const int c = w->node->in[0].c;
    clear_maps(w);
    for (int i = 0; i < w->n; i++) {
        set_maps(w, tr_own(w, MOMENTS, i), true);
        w->kernels->affine(pixels(w->node), c, tr_x(w, 0, i), c, row(w, SHIFT), row(w, SCALE),
                           row(w, OFFSET), tr_y(w, i), c);
    }
}

/* ---- running statistics ---- */

static void add_means(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    const int64_t c8 = channels8(w->node);
    const double n = (double)pixels(w->node);
    double *means = sum, *variances = means + c8;
    (void)e0, (void)e1; /* all of it: it has slots */
    if (fresh) memset(sum, 0, 2 * (size_t)c8 * sizeof *means);
    for (int i = 0; i < w->n; i++) {
        const tr_moments *m = tr_own(w, MOMENTS, i);
        for (int k = 0; k < w->node->in[0].c; k++) {
            means[k] += m[k].mean;
            variances[k] += m[k].variance * (n / (n - 1));
        }
    }
}

static void keep_totals(const tr_work *w) {
    memcpy(tr_own(w, TOTALS, 0), tr_total(w, MEANS),
           2 * (size_t)channels8(w->node) * sizeof(double));
}

static void update_running(const tr_work *w) {
    const double part = args_of(w->node)->momentum < 0 ? 0 : args_of(w->node)->momentum,
                 n = (double)w->batch;
    const double *means = tr_own(w, TOTALS, 0), *variances = means + channels8(w->node);
    tr_real *running = value(w->node, "running_mean"), *variance = value(w->node, "running_var");
    for (int k = 0; k < w->node->in[0].c; k++) {
        running[k] = (tr_real)((1 - part) * (double)running[k] + part * (means[k] / n));
        variance[k] = (tr_real)((1 - part) * (double)variance[k] + part * (variances[k] / n));
    }
}

/* ---- backward ---- */

static void channel_sums(const tr_work *w) {
    const int c = w->node->in[0].c;
    clear_maps(w);
    for (int i = 0; i < w->n; i++) {
        double *sums = tr_own(w, CHANNELS, i);
        memset(sums, 0, 2 * (size_t)channels8(w->node) * sizeof *sums);
        set_maps(w, tr_own(w, MOMENTS, i), false);
        w->kernels->normal_sums(pixels(w->node), c, tr_x(w, 0, i), tr_dy(w, i), c, c, row(w, SHIFT),
                                row(w, SCALE), row(w, OFFSET), sums);
    }
}

static void add_sums(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    double *total = sum;
    (void)e0, (void)e1; /* all of it: it has slots */
    const int64_t n = 2 * channels8(w->node);
    if (fresh) memset(total, 0, (size_t)n * sizeof *total);
    for (int i = 0; i < w->n; i++) {
        const double *sums = tr_own(w, CHANNELS, i);
        for (int64_t e = 0; e < n; e++) total[e] += sums[e];
    }
}

static void input_gradient(const tr_work *w) {
    const int c = w->node->in[0].c, size = group_size(w->node);
    const int64_t c8 = channels8(w->node), n = count_of(w->node);
    const double eps = args_of(w->node)->runs.eps;
    const tr_real *weight = value(w->node, "weight");
    clear_maps(w);
    for (int i = 0; i < w->n; i++) {
        const tr_moments *m = tr_own(w, MOMENTS, i);
        const double *sums = tr_own(w, CHANNELS, i);
        for (int k = 0; k < c; k += size) {
            double sum = 0, product = 0;
            for (int l = k; l < k + size; l++) {
                const double by = weight ? (double)weight[l] : 1;
                sum += by * sums[l];
                product += by * sums[c8 + l];
            }
            const tr_normal_dx d = tr_normal_dx_of(m[k / size], eps, sum, product, n);
            for (int l = k; l < k + size; l++) {
                set_map(w, l, d.map);
                row(w, BY)[l] = (tr_real)(d.by * (weight ? (double)weight[l] : 1));
            }
        }
        w->kernels->affine_dx(pixels(w->node), c, tr_x(w, 0, i), c, row(w, SHIFT), row(w, SCALE),
                              row(w, OFFSET), tr_dy(w, i), c, row(w, BY), tr_dx(w, 0, i), c);
    }
}

/* Of statistics that are not x's: dy * scale. */
static void scale_gradient(const tr_work *w) {
    const int c = w->node->in[0].c;
    clear_maps(w);
    for (int i = 0; i < w->n; i++) {
        set_maps(w, tr_own(w, MOMENTS, i), true);
        memset(row(w, SHIFT), 0, (size_t)c * sizeof(tr_real));
        memset(row(w, OFFSET), 0, (size_t)c * sizeof(tr_real));
        w->kernels->affine(pixels(w->node), c, tr_dy(w, i), c, row(w, SHIFT), row(w, SCALE),
                           row(w, OFFSET), tr_dx(w, 0, i), c);
    }
}

/* ---- the plan ---- */

static bool is_running(const tr_node *node, bool training) {
    return !training && tr_find_state(node, "running_mean") >= 0;
}

static void reads_parameter(const tr_node *node, const char *suffix, tr_plan *out) {
    int state = tr_find_state(node, suffix);
    if (state >= 0) tr_reads(out, TR_STATE, state);
}

static void plan_running(const tr_node *node, tr_plan *out) {
    const int running = tr_find_state(node, "running_mean"); /* and the variance behind it */
    if (running < 0) return;
    tr_plan_add_up(out, TR_FORWARD, MEANS);
    tr_reads(out, TR_OWN, MOMENTS);
    tr_plan_phase(out, TR_FORWARD, "batch statistics", TR_PER_THREAD, keep_totals);
    tr_reads(out, TR_OWN, MEANS);
    tr_writes(out, TR_OWN, TOTALS);
    tr_plan_blocks(out, TR_FORWARD, "running statistics", 1, update_running);
    tr_reads(out, TR_OWN, TOTALS);
    for (int s = running; s < running + 2; s++) {
        tr_reads(out, TR_STATE, s);
        tr_writes(out, TR_STATE, s);
    }
}

static void plan_forward(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (is_running(node, request->training)) {
        tr_plan_phase(out, TR_FORWARD, "running statistics", TR_BY_SAMPLES, running_statistics);
        reads_parameter(node, "running_mean", out);
        reads_parameter(node, "running_var", out);
    } else {
        tr_plan_phase(out, TR_FORWARD, "statistics", TR_BY_SAMPLES, statistics);
        tr_reads(out, TR_X, 0);
    }
    tr_writes(out, TR_OWN, MOMENTS);
    if (request->training) plan_running(node, out);
    tr_plan_phase(out, TR_FORWARD, "normalise", TR_BY_SAMPLES, normalise);
    tr_plan_pointwise(out);
    tr_reads(out, TR_X, 0);
    tr_reads(out, TR_OWN, MOMENTS);
    reads_parameter(node, "weight", out);
    reads_parameter(node, "bias", out);
    tr_writes(out, TR_Y, 0);
}

static void plan_input_gradient(bool running, const tr_node *node, tr_plan *out) {
    tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES,
                  running ? scale_gradient : input_gradient);
    if (!running) {
        tr_reads(out, TR_X, 0);
        tr_reads(out, TR_OWN, CHANNELS);
    }
    tr_reads(out, TR_DY, 0);
    tr_reads(out, TR_OWN, MOMENTS);
    reads_parameter(node, "weight", out);
    tr_writes(out, TR_DX, 0);
}

static void plan_backward(const tr_node *node, const tr_request *request, tr_plan *out) {
    const bool running = is_running(node, request->training);
    const int weight = tr_find_state(node, "weight"), bias = tr_find_state(node, "bias");
    if (weight >= 0)
        tr_plan_gradient(out, weight, &(tr_gradient){.sum = SUMS, .first = channels8(node)});
    if (bias >= 0) tr_plan_gradient(out, bias, &(tr_gradient){.sum = SUMS});
    if (weight >= 0 || bias >= 0 || (request->need_dx[0] && !running)) {
        tr_plan_phase(out, TR_BACKWARD, "channel sums", TR_BY_SAMPLES, channel_sums);
        tr_reads(out, TR_X, 0);
        tr_reads(out, TR_DY, 0);
        tr_reads(out, TR_OWN, MOMENTS);
        tr_writes(out, TR_OWN, CHANNELS);
    }
    if (weight >= 0 || bias >= 0) {
        tr_plan_add_up(out, TR_BACKWARD, SUMS);
        tr_reads(out, TR_OWN, CHANNELS);
    }
    if (request->need_dx[0]) plan_input_gradient(running, node, out);
}

static void plan_channels(const tr_node *node, const tr_request *request, tr_plan *out) {
    const int64_t c8 = channels8(node), wide = sizeof(double);
    tr_plan_sample_buffer(out, args_of(node)->runs.n * (int64_t)sizeof(tr_moments));
    tr_plan_sample_buffer(out, 2 * c8 * wide);
    tr_sum sum = {
        .label = "gradient sums", .size = 2 * c8, .wide = true, .leaf = 1, .add_leaf = add_sums};
    tr_plan_sum(out, &sum);
    sum.label = "statistics sum";
    sum.add_leaf = add_means;
    tr_plan_sum(out, &sum);
    tr_plan_thread_buffer(out, 2 * c8 * wide);
    out->scratch_bytes = tr_max(3 * wide, N_ROWS * (int64_t)sizeof(tr_real)) * c8;
    plan_forward(node, request, out);
    if (request->gradients) plan_backward(node, request, out);
}

static void plan_group(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (node->in[0].flat)
        tr_plan_runs(node, request, out);
    else
        plan_channels(node, request, out);
}

const tr_op tr_op_group_norm = {
    .schema = {"group_norm",
               "Normalisation of each group of channels of a sample, as torch.nn.GroupNorm.",
               group_keys, sizeof group_keys / sizeof *group_keys, sizeof(group_norm_args),
               "torch.nn.GroupNorm"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = group_shape,
    .min_batch = group_min_batch,
    .plan = plan_group,
};

const tr_op tr_op_instance_norm2d = {
    .schema = {"instance_norm2d",
               "Normalisation of each channel of a sample, as torch.nn.InstanceNorm2d.",
               instance_keys, sizeof instance_keys / sizeof *instance_keys, sizeof(group_norm_args),
               "torch.nn.InstanceNorm2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = instance_shape,
    .min_batch = instance_min_batch,
    .plan = plan_channels,
};
