/* linear: x W^T + b, torch.nn.Linear; weights live as [in][out], in blocks of rows.
 *
 * Two algorithms, chosen by the batch and the size of the weights:
 *  - by samples: each thread multiplies its samples with the whole matrix.
 *  - split-K: in a small batch the matrix is larger than the data, and moving it between cores
 *    after each update costs more than the arithmetic. A thread then owns a block of rows: it
 *    computes their partial sum of the output for the whole batch and their input gradient, and
 *    updates them at once. Only activations move between cores. The number of blocks follows from
 *    the batch alone, and so do the sums. A matrix that fits no second-level cache is always
 *    multiplied so: by samples it would be read once for each chunk of them.
 * In both, gradients of the weights are computed tile by tile over the whole batch where they are
 * used.
 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

typedef struct linear_args {
    int64_t out_features;
    bool bias;
    tr_parameter_args parameters;
} linear_args;

static const tr_key keys[] = {
    {"out_features", TR_KEY_INT, offsetof(linear_args, out_features), NULL, 1, 1 << 24, NULL,
     "features of the output"},
    {"bias", TR_KEY_BOOL, offsetof(linear_args, bias), "true", 0, 0, NULL,
     "add a learnable number to each output"},
    TR_PARAMETER_KEYS(linear_args),
};

enum {
    WEIGHT,
    BIAS,
    N_BLOCKS = 16,         /* of rows */
    TILE_ROWS = 28,        /* a tile of weights and its gradient fit the first-level cache: */
    LEAST_ROWS = 7,        /* so many rows at most, these at least, */
    LARGEST_TILE = 8192,   /* else so many elements */
    LEAF = 16,             /* shards in a leaf of the gradients' sums */
    SMALL_BATCH = 16,      /* up to here split-K, ... */
    LARGE_MATRIX = 4096,   /* ... if the matrix has this many elements; its blocks are then pages */
    HUGE_MATRIX = 1 << 20, /* of so many elements: split-K for all batches */
};

static int in_of(const tr_node *node) {
    return (int)tr_shape_size(node->in[0]);
}
static int out8_of(const tr_node *node) {
    return (int)tr_round_up(((const linear_args *)node->args)->out_features, TR_BLOCK8);
}

static bool is_large(const tr_node *node) {
    return (int64_t)in_of(node) * out8_of(node) >= LARGE_MATRIX;
}
/* Rows of a block of weights. */
static int rows_of(const tr_node *node) {
    return (in_of(node) + N_BLOCKS - 1) / N_BLOCKS;
}
/* Where row r of the weights begins. */
static int64_t row_at(const tr_node *node, int r) {
    int rows = rows_of(node);
    return r / rows * node->state[WEIGHT].block + (int64_t)(r % rows) * out8_of(node);
}

/* PyTorch's feature (c, h, w) of a flattened image lies at (h, w, c). */
static void index_weight(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    tr_shape s = node->in[0];
    int64_t in = in_of(node), area = (int64_t)s.h * s.w;
    int64_t o = first / in, c = first % in / area, pixel = first % area;
    for (int64_t i = 0; i < n; i++) {
        at[i] = row_at(node, (int)(pixel * s.c + c)) + o;
        if (++pixel < area) continue;
        pixel = 0;
        if (++c < s.c) continue;
        c = 0;
        o++;
    }
}

static int shape(tr_node *node, tr_error *err) {
    const linear_args *a = node->args;
    int code = tr_want_features(node, 0, err);
    if (code) return code;
    int64_t in = in_of(node), out8 = out8_of(node);
    if (in * out8 > TR_MAX_WEIGHTS)
        return tr_fail_at(
            err, tr_key_where(node, "out_features"), node->name,
            "out_features=%lld for %lld features makes %lld weights, allowed are up to "
            "%d",
            (long long)a->out_features, (long long)in, (long long)(in * out8), TR_MAX_WEIGHTS);
    int64_t rows = rows_of(node), n_blocks = (in + rows - 1) / rows, block = rows * out8;
    if (is_large(node)) block = tr_round_up(block, TR_PAGE / (int64_t)sizeof(tr_real));
    node->unfused = (tr_shape){true, 1, 1, (int)a->out_features};
    double bound = 1 / sqrt((double)in); /* kaiming_uniform with a = sqrt(5) */
    int64_t tile = tr_max(LEAST_ROWS, tr_min(TILE_ROWS, LARGEST_TILE / out8)) * out8;
    tr_state weight = {.suffix = "weight",
                       .kind = TR_PARAMETER,
                       .n_dims = 2,
                       .dim = {a->out_features, in},
                       .size = (n_blocks - 1) * block + (in - (n_blocks - 1) * rows) * out8,
                       .n_blocks = N_BLOCKS,
                       .block = block,
                       .used = rows * out8,
                       .tile = tr_min(tile, rows * out8),
                       .init_range = bound,
                       .index = index_weight};
    tr_state bias = tr_vector_parameter("bias", a->out_features);
    bias.init_range = bound;
    if (!tr_add_state(node, &weight, err)) return TR_ENOMEM;
    return a->bias && !tr_add_state(node, &bias, err) ? TR_ENOMEM : TR_OK;
}

static bool fuse(tr_node *node, const tr_epilogue *e) {
    if (e->pool) return false;
    node->epilogue.relu = true;
    return true;
}

static int64_t multiply_adds(const tr_node *node) {
    const linear_args *a = node->args;
    return in_of(node) * a->out_features;
}

static const tr_real *bias_of(const tr_node *node) {
    return node->n_state > BIAS ? tr_value_of(node, BIAS) : NULL;
}

/* Where block `block` of n begins: whole blocks of the weights. */
static int row_of(const tr_node *node, int block, int n) {
    return (int)tr_min(in_of(node), tr_part(N_BLOCKS, block, n) * rows_of(node));
}

/* Own resources: the gradient before the relu, zero in the padding, [out8] a sample or, split-K,
 * for each thread the whole batch's; the partial sums of the output, [block][batch][out8]. */
enum { Z, PARTIALS };

/* ---- by samples ---- */

static void forward(const tr_work *w) {
    const tr_state *weight = &w->node->state[WEIGHT];
    w->kernels->linear(w->n, in_of(w->node), out8_of(w->node), tr_x(w, 0, 0), tr_stride(&w->x[0]),
                       weight->value, rows_of(w->node), weight->block, bias_of(w->node),
                       w->node->epilogue.relu, tr_y(w, 0), tr_stride(w->y));
}

/* Is the gradient of the value not what the weights' and the input's gradients are made of? */
static bool needs_z(const tr_node *node) {
    return node->epilogue.relu || out8_of(node) != tr_shape_size(node->out);
}

static void before_relu(const tr_work *w) {
    int64_t out = tr_shape_size(w->node->out), out8 = out8_of(w->node);
    int64_t step = w->own[Z].stride ? tr_stride(&w->own[Z]) : out8;
    tr_real *z = tr_own(w, Z, 0);
    for (int i = 0; i < w->n; i++, z += step) {
        if (w->node->epilogue.relu)
            w->kernels->relu_dx(out, tr_y(w, i), tr_dy(w, i), z);
        else
            memcpy(z, tr_dy(w, i), (size_t)out * sizeof *z);
        memset(z + out, 0, (size_t)(out8 - out) * sizeof *z);
    }
}

/* The gradient before the relu of this call's samples, and the step from one to the next. */
static const tr_real *z_of(const tr_work *w, int64_t *step) {
    if (!tr_has_own(w, Z)) {
        *step = tr_stride(w->dy);
        return tr_dy(w, 0);
    }
    *step = w->own[Z].stride ? tr_stride(&w->own[Z]) : out8_of(w->node);
    return (const tr_real *)tr_own(w, Z, 0) + (w->own[Z].stride ? 0 : w->first * *step);
}

/* Features r0..r1-1 of the input gradient; r0 begins a block. */
static void input_gradient(const tr_work *w, int r0, int r1) {
    const tr_state *weight = &w->node->state[WEIGHT];
    bool gaps = weight->block > weight->used;
    int64_t zs;
    const tr_real *z = z_of(w, &zs), *values = weight->value;
    for (int rows = gaps ? rows_of(w->node) : r1 - r0; r0 < r1; r0 += rows)
        w->kernels->linear_dx(w->n, (int)tr_min(rows, r1 - r0), out8_of(w->node), z, zs,
                              values + row_at(w->node, r0), tr_dx(w, 0, 0) + r0,
                              tr_stride(&w->dx[0]));
}

static void dx_by_samples(const tr_work *w) {
    input_gradient(w, 0, in_of(w->node));
}

/* ---- split-K ---- */

/* The bias is in the last partial sum. */
static void forward_split_k(const tr_work *w) {
    const tr_state *weight = &w->node->state[WEIGHT];
    int out8 = out8_of(w->node), n = w->n_blocks, last = n - 1;
    int r0 = row_of(w->node, w->block, n), r1 = row_of(w->node, w->block + 1, n);
    tr_real *partials = tr_own(w, PARTIALS, 0);
    w->kernels->linear(w->n, r1 - r0, out8, tr_x(w, 0, 0) + r0, tr_stride(&w->x[0]),
                       (const tr_real *)weight->value + row_at(w->node, r0), rows_of(w->node),
                       weight->block, w->block == last ? bias_of(w->node) : NULL, false,
                       partials + (int64_t)w->block * w->batch * out8, out8);
}

static void sum_split_k(const tr_work *w) {
    int64_t out8 = out8_of(w->node);
    const tr_real *partials = tr_own(w, PARTIALS, 0);
    w->kernels->sum_partials(w->n, (int)out8, partials + w->first * out8, w->batch * out8,
                             w->n_blocks, w->node->epilogue.relu, tr_y(w, 0), tr_stride(w->y));
}

static void dx_split_k(const tr_work *w) {
    input_gradient(w, row_of(w->node, w->block, w->n_blocks),
                   row_of(w->node, w->block + 1, w->n_blocks));
}

/* ---- gradients ---- */

static void add_weight(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    int out8 = out8_of(w->node);
    int64_t zs, block = w->node->state[WEIGHT].block;
    const tr_real *z = z_of(w, &zs);
    int64_t row = e0 / block * rows_of(w->node) + e0 % block / out8;
    w->kernels->linear_dw(w->n, (int)((e1 - e0) / out8), out8, tr_x(w, 0, 0) + row,
                          tr_stride(&w->x[0]), z, zs, !fresh, sum);
}

static void add_bias(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    int64_t zs;
    const tr_real *z = z_of(w, &zs);
    if (fresh) memset(sum, 0, (size_t)(e1 - e0) * sizeof *z);
    w->kernels->row_sum(w->n, out8_of(w->node), z, NULL, zs, sum);
}

/* ---- plan ---- */

static void plan_sum(const tr_node *node, tr_plan *out, int state, int n_blocks) {
    tr_sum sum = {.label = state == WEIGHT ? "weight gradient" : "bias gradient",
                  .size = node->state[state].size,
                  .leaf = LEAF,
                  .by_elements = true,
                  .add_leaf = state == WEIGHT ? add_weight : add_bias};
    int number = tr_plan_sum(out, &sum);
    tr_plan_gradient(out, state, &(tr_gradient){.sum = number, .n_blocks = n_blocks});
    tr_plan_add_up(out, TR_BACKWARD, number);
    if (state == WEIGHT) tr_reads(out, TR_X, 0);
    tr_reads(out, needs_z(node) || n_blocks ? TR_OWN : TR_DY, Z);
}

static void plan_backward(const tr_node *node, const tr_request *request, tr_plan *out,
                          int n_blocks) {
    bool z = needs_z(node) || n_blocks;
    if (z) {
        tr_plan_phase(out, TR_BACKWARD, "relu gradient", n_blocks ? TR_PER_THREAD : TR_BY_SAMPLES,
                      before_relu);
        if (node->epilogue.relu) tr_reads(out, TR_Y, 0);
        tr_reads(out, TR_DY, 0);
        tr_writes(out, TR_OWN, Z);
    }
    if (request->need_dx[0]) {
        if (n_blocks)
            tr_plan_blocks(out, TR_BACKWARD, "input gradient", n_blocks, dx_split_k);
        else
            tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, dx_by_samples);
        tr_reads(out, z ? TR_OWN : TR_DY, Z);
        (n_blocks ? tr_reads_block : tr_reads)(out, TR_STATE, WEIGHT);
        tr_writes(out, TR_DX, 0);
    }
    for (int s = 0; s < node->n_state; s++) plan_sum(node, out, s, n_blocks);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    int64_t out8 = out8_of(node), row = out8 * (int64_t)sizeof(tr_real);
    bool small = request->gradients && request->effective <= SMALL_BATCH && is_large(node);
    bool split_k = small || (int64_t)in_of(node) * out8 >= HUGE_MATRIX;
    /* There are no more threads than samples, and each partial sum has to be moved. */
    int n_blocks = small ? (int)tr_min(N_BLOCKS, request->effective) : split_k ? N_BLOCKS : 0;
    if (split_k) {
        tr_plan_thread_buffer(out, request->batch * row);
        tr_plan_batch_buffer(out, n_blocks * request->batch * row);
        tr_plan_blocks(out, TR_FORWARD, "forward", n_blocks, forward_split_k);
        tr_writes_block(out, TR_OWN, PARTIALS);
    } else {
        tr_plan_sample_buffer(out, row);
        tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
        tr_writes(out, TR_Y, 0);
    }
    tr_reads(out, TR_X, 0);
    for (int s = 0; s < node->n_state; s++) tr_reads(out, TR_STATE, s);
    if (split_k) {
        tr_plan_phase(out, TR_FORWARD, "forward sum", TR_BY_SAMPLES, sum_split_k);
        tr_plan_keep_number(out, n_blocks);
        tr_reads(out, TR_OWN, PARTIALS);
        tr_writes(out, TR_Y, 0);
    }
    if (request->gradients) plan_backward(node, request, out, n_blocks);
}

const tr_op tr_op_linear = {
    .schema =
        {"linear",
         "Fully connected layer, x W^T + b, as torch.nn.Linear. A relu after it is fused into it.",
         keys, sizeof keys / sizeof *keys, sizeof(linear_args), "torch.nn.Linear"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .fuse = fuse,
    .plan = plan,
    .multiply_adds = multiply_adds,
};
