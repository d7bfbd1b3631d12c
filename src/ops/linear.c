/* linear: x W^T + b, torch.nn.Linear; weights live as [in][out], in blocks of rows.
 *
 * Two algorithms, chosen by the batch and the size of the weights:
 *  - by samples: each thread multiplies its samples with the whole matrix.
 *  - split-K: in a small batch the matrix is larger than the data, and moving it between cores
 *    after each update costs more than the arithmetic. A thread then owns a block of rows: it
 *    computes their partial sum of the output for the whole batch and their input gradient, and
 *    updates them at once. Only activations move between cores. The number of blocks follows from
 *    the batch alone, and so do the sums.
 * In both, gradients of the weights are computed tile by tile over the whole batch where they are
 * used.
 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

typedef struct linear_args {
    int64_t out_features;
    bool bias;
} linear_args;

static const tr_key keys[] = {
    {"out_features", TR_KEY_INT, offsetof(linear_args, out_features), NULL, 1, 1 << 24, NULL,
     "features of the output"},
    {"bias", TR_KEY_BOOL, offsetof(linear_args, bias), "true", 0, 0, NULL,
     "add a learnable number to each output"},
};

enum {
    WEIGHT,
    BIAS,
    N_BLOCKS = 8,        /* of rows */
    TILE_ROWS = 28,      /* a tile of weights and its gradient fit the first-level cache */
    SMALL_BATCH = 16,    /* up to here split-K, ... */
    LARGE_MATRIX = 4096, /* ... if the matrix has this many elements; its blocks are then pages */
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
    return r / rows * node->param[WEIGHT].block + (int64_t)(r % rows) * out8_of(node);
}

/* PyTorch's feature (c, h, w) of a flattened image lies at (h, w, c). */
static int64_t index_weight(const tr_node *node, int64_t i) {
    tr_shape s = node->in[0];
    int64_t f = i % in_of(node), o = i / in_of(node), area = (int64_t)s.h * s.w;
    return row_at(node, (int)(f % area * s.c + f / area)) + o;
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
    node->n_params = 1 + a->bias;
    node->param[WEIGHT] =
        (tr_param){.suffix = "weight",
                   .n_dims = 2,
                   .dim = {a->out_features, in},
                   .size = (n_blocks - 1) * block + (in - (n_blocks - 1) * rows) * out8,
                   .n_blocks = N_BLOCKS,
                   .block = block,
                   .used = rows * out8,
                   .tile = TILE_ROWS * out8,
                   .init_range = bound,
                   .index = index_weight};
    node->param[BIAS] = (tr_param){.suffix = "bias",
                                   .n_dims = 1,
                                   .dim = {a->out_features},
                                   .size = out8,
                                   .n_blocks = 1,
                                   .block = out8,
                                   .used = out8,
                                   .tile = out8,
                                   .init_range = bound,
                                   .index = tr_index_same};
    return TR_OK;
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
    return node->n_params > BIAS ? node->param[BIAS].value : NULL;
}

/* Where block `block` of n begins: whole blocks of the weights. */
static int row_of(const tr_node *node, int block, int n) {
    return (int)tr_min(in_of(node), tr_part(N_BLOCKS, block, n) * rows_of(node));
}

/* ---- by samples ---- */

static void forward(const tr_work *w) {
    const tr_param *weight = &w->node->param[WEIGHT];
    w->kernels->linear(w->n, in_of(w->node), out8_of(w->node), w->x[0], w->xs[0], weight->value,
                       rows_of(w->node), weight->block, bias_of(w->node), w->node->epilogue.relu,
                       w->y, w->ys);
}

/* The gradient before the relu, zero in the padding, from dy to `to`. */
static void before_relu(const tr_work *w, tr_real *to, int64_t step) {
    int64_t out = tr_shape_size(w->node->out), out8 = out8_of(w->node);
    for (int i = 0; i < w->n; i++) {
        tr_real *z = to + i * step;
        const tr_real *dy = w->dy + i * w->ys;
        if (w->node->epilogue.relu)
            w->kernels->relu_dx(out, w->y + i * w->ys, dy, z);
        else if (z != dy)
            memcpy(z, dy, (size_t)out * sizeof *z);
        memset(z + out, 0, (size_t)(out8 - out) * sizeof *z);
    }
}

static void clean(const tr_work *w) {
    before_relu(w, w->dy, w->ys);
}

/* Features r0..r1-1 of the input gradient, from the gradient z; r0 begins a block. */
static void dx_of(const tr_work *w, const tr_real *z, int64_t zs, int r0, int r1) {
    const tr_param *weight = &w->node->param[WEIGHT];
    bool gaps = weight->block > weight->used;
    for (int rows = gaps ? rows_of(w->node) : r1 - r0; r0 < r1; r0 += rows)
        w->kernels->linear_dx(w->n, (int)tr_min(rows, r1 - r0), out8_of(w->node), z, zs,
                              w->node->param[WEIGHT].value + row_at(w->node, r0), w->dx[0] + r0,
                              w->xs[0]);
}

static void dx_of_samples(const tr_work *w) {
    dx_of(w, w->dy, w->ys, 0, in_of(w->node));
}

/* ---- split-K ---- */

/* The bias is in the last partial sum, whose thread updates it and is the only one to read it. */
static void forward_split_k(const tr_work *w) {
    const tr_param *weight = &w->node->param[WEIGHT];
    int out8 = out8_of(w->node), n = w->n_blocks, last = n - 1;
    int r0 = row_of(w->node, w->block, n), r1 = row_of(w->node, w->block + 1, n);
    w->kernels->linear(w->n, r1 - r0, out8, w->x[0] + r0, w->xs[0],
                       weight->value + row_at(w->node, r0), rows_of(w->node), weight->block,
                       w->block == last ? bias_of(w->node) : NULL, false,
                       w->shared + (int64_t)w->block * w->batch * out8, out8);
}

/* w->shared holds the partial sums of the whole batch; this call's samples begin at w->first. */
static void sum_split_k(const tr_work *w) {
    int out8 = out8_of(w->node);
    w->kernels->sum_partials(w->n, out8, w->shared + (int64_t)w->first * out8,
                             (int64_t)w->batch * out8, w->n_blocks, w->node->epilogue.relu, w->y,
                             w->ys);
}

static void clean_per_thread(const tr_work *w) {
    before_relu(w, w->per_thread, out8_of(w->node));
}

static void dx_split_k(const tr_work *w) {
    dx_of(w, w->per_thread, out8_of(w->node), row_of(w->node, w->block, w->n_blocks),
          row_of(w->node, w->block + 1, w->n_blocks));
}

/* ---- both ---- */

static void grad(const tr_work *w, int param, int64_t e0, int64_t e1, tr_real *g) {
    int out8 = out8_of(w->node);
    const tr_real *z = w->per_thread ? w->per_thread : w->dy;
    int64_t zs = w->per_thread ? out8 : w->ys;
    if (param == BIAS) {
        memset(g, 0, (size_t)out8 * sizeof *g);
        w->kernels->row_sum(w->n, out8, z, NULL, zs, g);
        return;
    }
    int64_t block = w->node->param[WEIGHT].block;
    int64_t first = e0 / block * rows_of(w->node) + e0 % block / out8;
    w->kernels->linear_dw(w->n, (int)((e1 - e0) / out8), out8, w->x[0] + first, w->xs[0], z, zs, g);
}

static void plan(const tr_node *node, const tr_request *request, tr_node_plan *out) {
    int64_t out8 = out8_of(node);
    bool split_k = request->training && request->batch <= SMALL_BATCH && is_large(node);
    /* No more threads than samples take part, and each partial sum has to move between cores. */
    int n_blocks = (int)tr_min(N_BLOCKS, request->batch);
    out->grad_at[WEIGHT] = out->grad_at[BIAS] = -1;
    if (!split_k) {
        out->forward[out->n_forward++] =
            (tr_phase){"forward", TR_BY_SAMPLES, 0, TR_USE_X | TR_USE_Y, forward};
    } else {
        out->shared_size = n_blocks * request->batch * out8;
        out->forward[out->n_forward++] = (tr_phase){"forward", TR_BY_BLOCKS, n_blocks,
                                                    TR_USE_X | TR_USE_SHARED, forward_split_k};
        out->forward[out->n_forward++] = (tr_phase){"forward sum", TR_BY_SAMPLES, n_blocks,
                                                    TR_USE_Y | TR_USE_SHARED, sum_split_k};
    }
    if (!request->training) return;
    if (!split_k) {
        out->backward[out->n_backward++] =
            (tr_phase){"relu gradient", TR_BY_SAMPLES, 0, TR_USE_Y | TR_USE_DY, clean};
        if (request->need_dx[0])
            out->backward[out->n_backward++] = (tr_phase){"input gradient", TR_BY_SAMPLES, 0,
                                                          TR_USE_DY | TR_USE_DX, dx_of_samples};
    } else {
        out->per_thread_size = request->batch * out8;
        out->update_blocks = n_blocks;
        out->backward[out->n_backward++] =
            (tr_phase){"relu gradient", TR_PER_THREAD, 0, TR_USE_Y | TR_USE_DY, clean_per_thread};
        if (request->need_dx[0])
            out->backward[out->n_backward++] =
                (tr_phase){"input gradient", TR_BY_BLOCKS, n_blocks, TR_USE_DX, dx_split_k};
    }
}

const tr_op tr_op_linear = {
    .schema =
        {"linear",
         "Fully connected layer, x W^T + b, as torch.nn.Linear. A relu after it is fused into it.",
         keys, sizeof keys / sizeof *keys, sizeof(linear_args)},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .fuse = fuse,
    .plan = plan,
    .grad = grad,
    .grad_use = TR_USE_X | TR_USE_DY,
    .multiply_adds = multiply_adds,
};
