/* dropout: in training each element is zero with probability p, else divided by 1 - p,
 * torch.nn.Dropout; in evaluation the value itself.
 *
 * What is dropped is a function of (seed, layer, step, place of the sample in the effective batch,
 * element in PyTorch's order), so that it is the same on any threads, in any passes, and again in
 * backward. The layer is its number in the network: names do not matter, layers before it do.
 */
#include <math.h>
#include <string.h>

#include "ops/ops.h"

typedef struct dropout_args {
    double p;
} dropout_args;

static const tr_key keys[] = {
    {"p", TR_KEY_FLOAT, offsetof(dropout_args, p), "0.5", 0, 1, NULL,
     "probability that an element is zero"},
};

static int shape(tr_node *node, tr_error *err) {
    (void)err;
    node->unfused = node->in[0];
    return TR_OK;
}

static double p_of(const tr_node *node) {
    return ((const dropout_args *)node->args)->p;
}

/* The key of the random numbers of a layer in a step. */
static uint64_t key_of(const tr_work *w) {
    const uint64_t seed = w->record->seed, step = (uint64_t)w->record->step;
    const uint32_t counter[4] = {(uint32_t)step, (uint32_t)(step >> 32), (uint32_t)w->node->id,
                                 TR_STREAM_DROPOUT},
                   key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t bits[4];
    tr_philox(counter, key, bits);
    return (uint64_t)bits[1] << 32 | bits[0];
}

/* y = x times the factors of sample i. */
static void apply(const tr_work *w, uint64_t key, int i, const tr_real *x, tr_real *y) {
    const double p = p_of(w->node);
    const tr_shape s = w->node->in[0];
    const int64_t n = tr_shape_size(s), area = (int64_t)s.h * s.w;
    const uint32_t kept = (uint32_t)floor((1 - p) * 0x1p31 + 0.5);
    tr_real *factor = w->scratch;
    w->kernels->dropout(n, key, (uint64_t)(w->record->first + w->first + i), kept,
                        p < 1 ? (tr_real)(1 / (1 - p)) : 0, factor);
    w->kernels->multiply_planar(s.c, area, x, factor, y);
}

static void forward(const tr_work *w) {
    const uint64_t key = key_of(w);
    for (int i = 0; i < w->n; i++) apply(w, key, i, tr_x(w, 0, i), tr_y(w, i));
}

static void backward(const tr_work *w) {
    const uint64_t key = key_of(w);
    for (int i = 0; i < w->n; i++) apply(w, key, i, tr_dy(w, i), tr_dx(w, 0, i));
}

static void copy(const tr_work *w) {
    size_t bytes = (size_t)tr_shape_size(w->node->out) * sizeof(tr_real);
    for (int i = 0; i < w->n; i++) memcpy(tr_y(w, i), tr_x(w, 0, i), bytes);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (request->training && p_of(node) > 0) {
        tr_plan_map(out, request, true, forward, backward);
        out->scratch_bytes =
            tr_round_up(tr_shape_size(node->out), TR_DROPOUT_STEP) * (int64_t)sizeof(tr_real);
        return;
    }
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, copy);
    tr_plan_pointwise(out);
    tr_reads(out, TR_X, 0);
    tr_writes(out, TR_Y, 0);
    out->passes_gradient = true;
}

const tr_op tr_op_dropout = {
    .schema = {"dropout",
               "Zero for random elements in training, the others divided by 1 - p, as "
               "torch.nn.Dropout.",
               keys, sizeof keys / sizeof *keys, sizeof(dropout_args), "torch.nn.Dropout"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
