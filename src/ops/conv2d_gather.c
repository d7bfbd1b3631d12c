/* Convolution behind which a max pool was fused: each window passes its gradient to one pixel.
 *
 * Forward keeps the number of each window's winner. Backward makes a list for each output channel
 * of those gradients that are not zero, a quarter of the pixels or less for windows of 2 x 2, and
 * works through it. A list touches all of one output channel's kernel, so weights lie in gather
 * layout, where that is contiguous; forward layout is packed at the start of each step.
 */
#include <string.h>

#include "ops/conv2d.h"

/* Own resources: the padded input; forward layout; each window's winner; the lists of a sample,
 * behind their counts. */
enum { PACKED = TR_CONV_PADDED + 1, WINNERS, LISTS };

static int64_t run8_of(const tr_node *node) {
    const tr_conv_args *a = node->args;
    return tr_round_up(a->kernel_size * node->in[0].c, TR_BLOCK8);
}

/* Elements of one output channel's kernel. */
static int64_t block(const tr_node *node) {
    return ((const tr_conv_args *)node->args)->kernel_size * run8_of(node);
}

static int64_t size(const tr_node *node) {
    return ((const tr_conv_args *)node->args)->out_channels * block(node);
}

static int64_t place(const tr_node *node, int64_t k, int64_t c, int64_t h, int64_t w) {
    return k * block(node) + h * run8_of(node) + w * node->in[0].c + c;
}

static void index_of(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    tr_conv_each(node, first, n, at, place);
}

/* ---- forward ---- */

/* Gather layout -> forward layout. */
static void pack(const tr_work *w) {
    tr_conv d = tr_conv_geometry(w->node);
    int k0, k1;
    int64_t run8 = run8_of(w->node);
    tr_conv_pack_range(w, &k0, &k1);
    const tr_real *weight = tr_value_of(w->node, TR_CONV_WEIGHT);
    tr_real *out = tr_own(w, PACKED, 0);
    for (int k = k0; k < k1; k++) {
        int first = k / TR_LANES * TR_LANES, lanes = tr_conv_lanes(d.k, first);
        tr_real *to = out + (int64_t)first * d.kh * d.run + k % TR_LANES;
        for (int r = 0; r < d.kh; r++) {
            const tr_real *from = weight + ((int64_t)k * d.kh + r) * run8;
            for (int j = 0; j < d.run; j++, to += lanes) *to = from[j];
        }
    }
}

static void forward(const tr_work *w) {
    const tr_conv_args *a = w->node->args;
    tr_conv d = tr_conv_geometry(w->node);
    const tr_real *bias = a->bias ? tr_value_of(w->node, TR_CONV_BIAS) : NULL;
    tr_real *copy = w->scratch, *scratch = copy + tr_conv_copy_size(w->node);
    for (int i = 0; i < w->n; i++)
        w->kernels->conv(&d, tr_conv_pad(w, i, copy), tr_own(w, PACKED, 0), bias, tr_y(w, i),
                         tr_own(w, WINNERS, i), scratch);
}

/* ---- backward ---- */

static int64_t counts_bytes(const tr_node *node) {
    return tr_round_up(node->out.c * (int64_t)sizeof(int32_t), TR_ALIGN);
}
static int32_t *counts_of(const tr_work *w, int i) {
    return tr_own(w, LISTS, i);
}
static tr_gather *lists_of(const tr_work *w, int i) {
    return (tr_gather *)(void *)((char *)tr_own(w, LISTS, i) + counts_bytes(w->node));
}

static void gather(const tr_work *w) {
    tr_conv d = tr_conv_geometry(w->node);
    for (int i = 0; i < w->n; i++) /* without a relu y does not matter */
        w->kernels->gather(&d, d.relu ? tr_y(w, i) : tr_dy(w, i), tr_dy(w, i),
                           tr_own(w, WINNERS, i), lists_of(w, i), counts_of(w, i));
}

static void input_gradient(const tr_work *w) {
    const tr_conv_args *a = w->node->args;
    tr_conv d = tr_conv_geometry(w->node);
    tr_shape in = w->node->in[0], padded = tr_conv_padded(w->node);
    int64_t row = (int64_t)in.w * in.c;
    for (int i = 0; i < w->n; i++) {
        tr_real *dx = tr_dx(w, 0, i), *to = a->padding ? w->scratch : dx;
        w->kernels->gather_dx(&d, lists_of(w, i), counts_of(w, i),
                              tr_value_of(w->node, TR_CONV_WEIGHT), to, tr_shape_size(padded));
        for (int h = 0; a->padding && h < in.h; h++)
            memcpy(dx + h * row, to + ((h + a->padding) * padded.w + a->padding) * in.c,
                   (size_t)row * sizeof *dx);
    }
}

static void add_weight(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    tr_conv d = tr_conv_geometry(w->node);
    int64_t kernel = block(w->node);
    if (fresh) memset(sum, 0, (size_t)(e1 - e0) * sizeof(tr_real));
    for (int i = 0; i < w->n; i++) {
        w->kernels->gather_dw(&d, tr_conv_padded_input(w, i), lists_of(w, i), counts_of(w, i),
                              (int)(e0 / kernel), (int)(e1 / kernel), sum);
    }
}

static void add_bias(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    tr_shape out = w->node->out;
    bool relu = w->node->epilogue.relu;
    if (fresh) memset(sum, 0, (size_t)(e1 - e0) * sizeof(tr_real));
    for (int i = 0; i < w->n; i++)
        w->kernels->row_sum((int64_t)out.h * out.w, out.c, tr_dy(w, i), relu ? tr_y(w, i) : NULL,
                            out.c, sum);
}

/* ---- plan ---- */

static void plan_backward(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_plan_phase(out, TR_BACKWARD, "gather lists", TR_BY_SAMPLES, gather);
    if (node->epilogue.relu) tr_reads(out, TR_Y, 0);
    tr_reads(out, TR_DY, 0);
    tr_reads(out, TR_OWN, WINNERS);
    tr_writes(out, TR_OWN, LISTS);
    if (request->need_dx[0]) {
        tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, input_gradient);
        tr_reads(out, TR_OWN, LISTS);
        tr_reads(out, TR_STATE, TR_CONV_WEIGHT);
        tr_writes(out, TR_DX, 0);
    }
    tr_conv_plan_pad(node, request, out);
    tr_conv_plan_sum(node, request, out, TR_CONV_WEIGHT, add_weight);
    tr_conv_reads_padded(node, request, out);
    tr_reads(out, TR_OWN, LISTS);
    if (node->n_state <= TR_CONV_BIAS) return;
    tr_conv_plan_sum(node, request, out, TR_CONV_BIAS, add_bias);
    tr_reads(out, TR_DY, 0);
    if (node->epilogue.relu) tr_reads(out, TR_Y, 0);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    const tr_conv_args *a = node->args;
    const int64_t real = sizeof(tr_real);
    tr_conv d = tr_conv_geometry(node);
    int64_t packed =
        a->kernel_size * a->kernel_size * node->in[0].c * tr_round_up(a->out_channels, TR_BLOCK8);
    out->scratch_bytes = (tr_conv_copy_size(node) + tr_conv_scratch(&d)) * real;
    tr_conv_plan_padded(node, out);
    (packed >= TR_CONV_SHARED ? tr_plan_batch_buffer : tr_plan_thread_buffer)(out, packed * real);
    tr_plan_sample_buffer(out, tr_shape_size(node->out) + TR_LANES);
    tr_plan_sample_buffer(out, counts_bytes(node) +
                                   tr_shape_size(node->out) * (int64_t)sizeof(tr_gather));
    tr_conv_plan_pack(node, out, PACKED, packed, pack);
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_reads(out, TR_X, 0);
    tr_reads(out, TR_OWN, PACKED);
    if (a->bias) tr_reads(out, TR_STATE, TR_CONV_BIAS);
    tr_writes(out, TR_Y, 0);
    tr_writes(out, TR_OWN, WINNERS);
    if (request->gradients) plan_backward(node, request, out);
}

const tr_conv_algorithm tr_conv_gather = {
    .size = size, .block = block, .index = index_of, .plan = plan};
