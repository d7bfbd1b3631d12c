/* batch_norm2d, batch_norm1d: (x - mean) / sqrt(variance + eps) * weight + bias for each channel,
 * torch.nn.BatchNorm2d and BatchNorm1d.
 *
 * Training: the statistics of the batch are a sum of deviations from a shift and of their squares,
 * merged in the tree, so that a large mean loses nothing. When it is complete each thread makes
 * the affine map of it, by which the value is a pointwise function of x, and one thread updates the
 * running statistics. Backward is one sum, of dy and of dy times the normalised x, which are the
 * gradients of bias and weight, and then again a map for each channel.
 * Evaluation: the running statistics make the map, where they are kept. Backward goes on with dy
 * times the scale.
 *
 * The mean is subtracted as a float, and what that leaves of it goes into the offset.
 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

typedef struct batch_norm_args {
    double eps, momentum;
    bool affine, track;
    tr_parameter_args parameters;
} batch_norm_args;

static const tr_key keys[] = {
    {"eps", TR_KEY_FLOAT, offsetof(batch_norm_args, eps), "1e-5", 0, 1e6, NULL,
     "added to the variance"},
    {"momentum", TR_KEY_FLOAT, offsetof(batch_norm_args, momentum), "0.1", 0, 1, "none",
     "weight of a batch in the running statistics; none: the mean over all batches"},
    {"affine", TR_KEY_BOOL, offsetof(batch_norm_args, affine), "true", 0, 0, NULL,
     "multiply by a learnable weight and add a learnable bias"},
    {"track_running_stats", TR_KEY_BOOL, offsetof(batch_norm_args, track), "true", 0, 0, NULL,
     "keep running statistics and use them in evaluation"},
    TR_PARAMETER_KEYS(batch_norm_args),
};

enum {
    STATISTICS, /* own sum: units of 8 channels, below */
    MAP,        /* own buffer of a thread: the statistics, and what maps x */
    SUMS,       /* own sum: dy, and dy times the normalised x, each [c8] */
    MAP_DX,     /* own buffer of a thread: what maps x and dy to dx */
    UNIT = 32,  /* of STATISTICS: a shift[8], sums of what x is above it[8], of its squares[8], */
    ABOVE = 8,
    SQUARE = 16,
    NUMBER = 24, /* and how many there are, up to the end */
};

/* Rows of MAP: of doubles, then of reals. Rows of MAP_DX: what is
 * added to dy times the last of them is affine in x. */
enum { MEAN, SQUARES, INVERSE, N_DOUBLES };
enum { SHIFT, SCALE, OFFSET, NORMAL_SCALE, NORMAL_OFFSET, N_REALS };
enum { DX_SCALE, DX_OFFSET, DX_BY, N_DX };

/* Channels, and values of each in a sample. */
static int channels(const tr_node *node) {
    return node->in[0].flat ? (int)tr_shape_size(node->in[0]) : node->in[0].c;
}
static int64_t pixels(const tr_node *node) {
    return node->in[0].flat ? 1 : (int64_t)node->in[0].h * node->in[0].w;
}
static int64_t channels8(const tr_node *node) {
    return tr_round_up(channels(node), TR_BLOCK8);
}

static double *doubles(const tr_work *w, int row) {
    return (double *)tr_own(w, MAP, 0) + row * channels8(w->node);
}
static tr_real *reals(const tr_work *w, int row) {
    return (tr_real *)(void *)doubles(w, N_DOUBLES) + row * channels8(w->node);
}
static tr_real *reals_dx(const tr_work *w, int row) {
    return (tr_real *)tr_own(w, MAP_DX, 0) + row * channels8(w->node);
}

/* A state's values, or NULL where the node has none of that name. */
static void *value(const tr_node *node, const char *suffix) {
    int state = tr_find_state(node, suffix);
    return state < 0 ? NULL : tr_value_of(node, state);
}

/* ---- shape and state ---- */

/* PyTorch's feature (c, h, w) of a flattened image lies at (h, w, c). */
static void index_features(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    tr_shape s = node->in[0];
    int64_t area = (int64_t)s.h * s.w;
    for (int64_t i = 0; i < n; i++) at[i] = (first + i) % area * s.c + (first + i) / area;
}

static int add_states(tr_node *node, tr_error *err) {
    const batch_norm_args *a = node->args;
    tr_state vector = tr_vector_parameter("weight", channels(node));
    if (node->in[0].flat) vector.index = index_features;
    tr_state weight = vector, bias = vector, mean = vector, variance = vector;
    tr_state batches = {
        .suffix = "num_batches_tracked", .kind = TR_BUFFER, .type = TR_INT64, .size = 1};
    weight.init_value = variance.init_value = 1;
    bias.suffix = "bias";
    mean.suffix = "running_mean";
    variance.suffix = "running_var";
    mean.kind = variance.kind = TR_BUFFER;
    if (a->affine && (!tr_add_state(node, &weight, err) || !tr_add_state(node, &bias, err)))
        return TR_ENOMEM;
    if (a->track && (!tr_add_state(node, &mean, err) || !tr_add_state(node, &variance, err) ||
                     !tr_add_state(node, &batches, err)))
        return TR_ENOMEM;
    return TR_OK;
}

static int shape2d(tr_node *node, tr_error *err) {
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    node->unfused = node->in[0];
    return add_states(node, err);
}

static int shape1d(tr_node *node, tr_error *err) {
    int code = tr_want_features(node, 0, err);
    if (code) return code;
    node->unfused = node->in[0];
    return add_states(node, err);
}

static bool uses_batch(const tr_node *node, bool training) {
    return training || !((const batch_norm_args *)node->args)->track;
}

/* One value has no variance. */
static int min_batch(const tr_node *node, bool training) {
    return pixels(node) == 1 && uses_batch(node, training) ? 2 : 1;
}

/* ---- statistics ---- */

/* The shift is the leaf's first value, so that a large mean loses nothing. A leaf may come in
 * several calls: each sample is added to what is there. */
static void add_statistics(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    const int c = channels(w->node);
    const int64_t c8 = channels8(w->node);
    double *shift = w->scratch, *sums = shift + c8, *unit = sum;
    (void)e0, (void)e1; /* all of it: it has slots */
    if (w->n == 0) return;
    for (int64_t i = 0; i < c8; i++) {
        double *place = unit + i / 8 * UNIT + i % 8;
        if (fresh) place[0] = i < c ? (double)tr_x(w, 0, 0)[i] : 0;
        if (fresh) place[ABOVE] = place[SQUARE] = place[NUMBER] = 0;
        shift[i] = place[0];
        sums[i] = place[ABOVE];
        sums[c8 + i] = place[SQUARE];
        place[NUMBER] += (double)(pixels(w->node) * w->n);
    }
    for (int i = 0; i < w->n; i++)
        w->kernels->moments(pixels(w->node), c, tr_x(w, 0, i), c, shift, sums);
    for (int64_t i = 0; i < c8; i++) {
        double *place = unit + i / 8 * UNIT + i % 8;
        place[ABOVE] = sums[i];
        place[SQUARE] = sums[c8 + i];
    }
}

/* Two parts make the whole: the second one's sums, seen from the first one's shift. */
static void merge_statistics(int64_t n, const double *a, const double *b, double *to) {
    for (int64_t i = 0; i < n; i += UNIT, a += UNIT, b += UNIT, to += UNIT) {
        for (int l = 0; l < 8; l++) {
            double d = b[l] - a[l], count = b[NUMBER + l], above = b[ABOVE + l];
            double squares = b[SQUARE + l] + d * (2 * above + d * count);
            to[l] = a[l];
            to[ABOVE + l] = a[ABOVE + l] + (above + d * count);
            to[SQUARE + l] = a[SQUARE + l] + squares;
            to[NUMBER + l] = a[NUMBER + l] + count;
        }
    }
}

/* ---- the map ---- */

/* From MEAN and INVERSE. */
static void make_map(const tr_work *w) {
    const int c = channels(w->node);
    const tr_real *weight = value(w->node, "weight"), *bias = value(w->node, "bias");
    const double *mean = doubles(w, MEAN), *inverse = doubles(w, INVERSE);
    tr_real *shift = reals(w, SHIFT), *scale = reals(w, SCALE), *offset = reals(w, OFFSET),
            *normal_scale = reals(w, NORMAL_SCALE), *normal_offset = reals(w, NORMAL_OFFSET);
    memset(shift, 0, (size_t)(N_REALS * channels8(w->node)) * sizeof *shift);
    for (int i = 0; i < c; i++) {
        shift[i] = (tr_real)mean[i];
        double left = mean[i] - (double)shift[i];
        double a = inverse[i] * (weight ? (double)weight[i] : 1);
        scale[i] = (tr_real)a;
        offset[i] = (tr_real)((bias ? (double)bias[i] : 0) - left * a);
        normal_scale[i] = (tr_real)inverse[i];
        normal_offset[i] = (tr_real)(-left * inverse[i]);
    }
}

static void map_of_batch(const tr_work *w) {
    const batch_norm_args *a = w->node->args;
    const double *unit = tr_total(w, STATISTICS);
    double *mean = doubles(w, MEAN), *squares = doubles(w, SQUARES), *inverse = doubles(w, INVERSE);
    for (int64_t o = 0; o < channels8(w->node); o += 8, unit += UNIT) {
        for (int l = 0; l < 8; l++) {
            const double above = unit[ABOVE + l], n = unit[NUMBER + l];
            const double deviations = unit[SQUARE + l] - above * (above / n);
            mean[o + l] = unit[l] + above / n;
            squares[o + l] = deviations < 0 ? 0 : deviations;
            inverse[o + l] = 1 / sqrt(squares[o + l] / n + a->eps);
        }
    }
    make_map(w);
}

static void map_of_running(const tr_work *w) {
    const batch_norm_args *a = w->node->args;
    const tr_real *running = value(w->node, "running_mean"),
                  *variance = value(w->node, "running_var");
    double *mean = doubles(w, MEAN), *inverse = doubles(w, INVERSE);
    for (int i = 0; i < channels(w->node); i++) {
        mean[i] = (double)running[i];
        inverse[i] = 1 / sqrt((double)variance[i] + a->eps);
    }
    make_map(w);
}

static void update_running(const tr_work *w) {
    const batch_norm_args *a = w->node->args;
    const double *mean = doubles(w, MEAN), *squares = doubles(w, SQUARES);
    const double n = (double)(w->batch * pixels(w->node));
    tr_real *running = value(w->node, "running_mean"), *variance = value(w->node, "running_var");
    int64_t *batches = value(w->node, "num_batches_tracked");
    *batches += 1;
    double part = a->momentum < 0 ? 1 / (double)*batches : a->momentum;
    for (int i = 0; i < channels(w->node); i++) {
        running[i] = (tr_real)((1 - part) * (double)running[i] + part * mean[i]);
        variance[i] = (tr_real)((1 - part) * (double)variance[i] + part * (squares[i] / (n - 1)));
    }
}

/* The map goes over runs of rows: the pixels of a sample, or one value each of all samples. */
static int64_t n_rows(const tr_work *w) {
    return pixels(w->node) == 1 ? w->n : pixels(w->node);
}
static int n_runs(const tr_work *w) {
    return pixels(w->node) == 1 ? 1 : w->n;
}
static int64_t step_of(const tr_work *w, const tr_binding *b) {
    return pixels(w->node) == 1 ? tr_stride(b) : channels(w->node);
}

static void normalise(const tr_work *w) {
    for (int i = 0; i < n_runs(w); i++)
        w->kernels->affine(n_rows(w), channels(w->node), tr_x(w, 0, i), step_of(w, &w->x[0]),
                           reals(w, SHIFT), reals(w, SCALE), reals(w, OFFSET), tr_y(w, i),
                           step_of(w, w->y));
}

/* ---- backward ---- */

static void add_sums(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    const int c = channels(w->node);
    (void)e0, (void)e1; /* all of it: it has slots */
    if (fresh) memset(sum, 0, 2 * (size_t)channels8(w->node) * sizeof(double));
    for (int i = 0; i < w->n; i++)
        w->kernels->normal_sums(pixels(w->node), c, tr_x(w, 0, i), tr_dy(w, i), c, c,
                                reals(w, SHIFT), reals(w, NORMAL_SCALE), reals(w, NORMAL_OFFSET),
                                sum);
}

/* dx = (dy - mean of dy - normalised x * mean of dy * normalised x) * scale */
static void map_dx_of_batch(const tr_work *w) {
    const int64_t c8 = channels8(w->node);
    const double *sums = tr_total(w, SUMS), *mean = doubles(w, MEAN),
                 *inverse = doubles(w, INVERSE);
    const tr_real *weight = value(w->node, "weight"), *shift = reals(w, SHIFT);
    const double n = (double)(w->batch * pixels(w->node));
    memset(reals_dx(w, 0), 0, (size_t)(N_DX * c8) * sizeof(tr_real));
    for (int i = 0; i < channels(w->node); i++) {
        double a = inverse[i] * (weight ? (double)weight[i] : 1);
        double by_x = -a * inverse[i] * (sums[c8 + i] / n), left = mean[i] - (double)shift[i];
        reals_dx(w, DX_BY)[i] = (tr_real)a;
        reals_dx(w, DX_SCALE)[i] = (tr_real)by_x;
        reals_dx(w, DX_OFFSET)[i] = (tr_real)(-a * (sums[i] / n) - by_x * left);
    }
}

static void input_gradient(const tr_work *w) {
    for (int i = 0; i < n_runs(w); i++)
        w->kernels->affine_dx(n_rows(w), channels(w->node), tr_x(w, 0, i), step_of(w, &w->x[0]),
                              reals(w, SHIFT), reals_dx(w, DX_SCALE), reals_dx(w, DX_OFFSET),
                              tr_dy(w, i), step_of(w, w->dy), reals_dx(w, DX_BY), tr_dx(w, 0, i),
                              step_of(w, &w->dx[0]));
}

/* Of a map that is not of the batch: dy * scale. */
static void scale_gradient(const tr_work *w) {
    tr_real *nothing = w->scratch;
    memset(nothing, 0, (size_t)channels8(w->node) * sizeof *nothing);
    for (int i = 0; i < n_runs(w); i++)
        w->kernels->affine(n_rows(w), channels(w->node), tr_dy(w, i), step_of(w, w->dy), nothing,
                           reals(w, SCALE), nothing, tr_dx(w, 0, i), step_of(w, &w->dx[0]));
}

/* ---- the plan ---- */

static void plan_forward(const tr_node *node, const tr_request *request, tr_plan *out) {
    const int running = tr_find_state(node, "running_mean"); /* and the two behind it */
    if (uses_batch(node, request->training)) {
        tr_plan_add_up(out, TR_FORWARD, STATISTICS);
        tr_reads(out, TR_X, 0);
        tr_plan_phase(out, TR_FORWARD, "statistics", TR_PER_THREAD, map_of_batch);
        tr_reads(out, TR_OWN, STATISTICS);
    } else {
        tr_plan_phase(out, TR_PACK, "running statistics", TR_PER_THREAD, map_of_running);
        tr_reads(out, TR_STATE, running);
        tr_reads(out, TR_STATE, running + 1);
    }
    for (int s = 0; s < node->n_state; s++)
        if (node->state[s].kind == TR_PARAMETER) tr_reads(out, TR_STATE, s);
    tr_writes(out, TR_OWN, MAP);
    if (request->training && running >= 0) {
        tr_plan_blocks(out, TR_FORWARD, "running statistics", 1, update_running);
        tr_reads(out, TR_OWN, MAP);
        for (int s = running; s < node->n_state; s++) {
            tr_reads(out, TR_STATE, s);
            tr_writes(out, TR_STATE, s);
        }
    }
    tr_plan_phase(out, TR_FORWARD, "normalise", TR_BY_SAMPLES, normalise);
    tr_plan_pointwise(out);
    tr_reads(out, TR_X, 0);
    tr_reads(out, TR_OWN, MAP);
    tr_writes(out, TR_Y, 0);
}

static void plan_input_gradient(bool of_batch, const tr_node *node, tr_plan *out) {
    if (of_batch) {
        tr_plan_phase(out, TR_BACKWARD, "gradient statistics", TR_PER_THREAD, map_dx_of_batch);
        tr_reads(out, TR_OWN, SUMS);
        tr_reads(out, TR_OWN, MAP);
        if (tr_find_state(node, "weight") >= 0)
            tr_reads(out, TR_STATE, tr_find_state(node, "weight"));
        tr_writes(out, TR_OWN, MAP_DX);
    }
    tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES,
                  of_batch ? input_gradient : scale_gradient);
    tr_reads(out, TR_OWN, MAP);
    tr_reads(out, TR_DY, 0);
    if (of_batch) {
        tr_reads(out, TR_X, 0);
        tr_reads(out, TR_OWN, MAP_DX);
    }
    tr_writes(out, TR_DX, 0);
}

static void plan_backward(const tr_node *node, const tr_request *request, tr_plan *out) {
    const bool of_batch = uses_batch(node, request->training);
    const int weight = tr_find_state(node, "weight"), bias = tr_find_state(node, "bias");
    if (weight >= 0)
        tr_plan_gradient(out, weight, &(tr_gradient){.sum = SUMS, .first = channels8(node)});
    if (bias >= 0) tr_plan_gradient(out, bias, &(tr_gradient){.sum = SUMS});
    if (weight >= 0 || bias >= 0 || (of_batch && request->need_dx[0])) {
        tr_plan_add_up(out, TR_BACKWARD, SUMS);
        tr_reads(out, TR_X, 0);
        tr_reads(out, TR_DY, 0);
        tr_reads(out, TR_OWN, MAP);
    }
    if (request->need_dx[0]) plan_input_gradient(of_batch, node, out);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    const int64_t c8 = channels8(node), real = sizeof(tr_real), wide = sizeof(double);
    tr_plan_sum(out, &(tr_sum){.label = "statistics sum",
                               .size = c8 / 8 * UNIT,
                               .wide = true,
                               .leaf = 1,
                               .add_leaf = add_statistics,
                               .unit = UNIT,
                               .merge = merge_statistics});
    tr_plan_thread_buffer(out, c8 * (N_DOUBLES * wide + N_REALS * real));
    tr_plan_sum(out, &(tr_sum){.label = "gradient sums",
                               .size = 2 * c8,
                               .wide = true,
                               .leaf = 1,
                               .add_leaf = add_sums});
    tr_plan_thread_buffer(out, c8 * N_DX * real);
    out->scratch_bytes = 3 * c8 * wide;
    plan_forward(node, request, out);
    if (request->gradients) plan_backward(node, request, out);
}

const tr_op tr_op_batch_norm2d = {
    .schema = {"batch_norm2d",
               "Normalisation of each channel of images by the statistics of the batch, as "
               "torch.nn.BatchNorm2d.",
               keys, sizeof keys / sizeof *keys, sizeof(batch_norm_args), "torch.nn.BatchNorm2d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape2d,
    .min_batch = min_batch,
    .plan = plan,
};

const tr_op tr_op_batch_norm1d = {
    .schema = {"batch_norm1d",
               "Normalisation of each feature by the statistics of the batch, as "
               "torch.nn.BatchNorm1d.",
               keys, sizeof keys / sizeof *keys, sizeof(batch_norm_args), "torch.nn.BatchNorm1d"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape1d,
    .min_batch = min_batch,
    .plan = plan,
};
