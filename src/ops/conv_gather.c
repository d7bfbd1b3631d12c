/* Convolution behind which a max pool was fused: each window passes its gradient to one pixel.
 *
 * Forward keeps the number of each window's winner. Backward makes a list for each output channel
 * of those gradients that are not zero, a quarter of the pixels or less for windows of 2 x 2, and
 * works through it. A list touches all of one output channel's kernel, so weights lie in gather
 * layout, where that is contiguous; forward layout is packed at the start of each step.
 */
#include <string.h>

#include "ops/conv.h"

/* Own resources: the padded input; forward layout; each window's winner; the lists of a sample,
 * behind their counts. */
enum { PACKED = TR_CONV_PADDED + 1, WINNERS, LISTS };

static bool fits(const tr_conv_spec *s) {
    const bool no_gaps =
        (s->h.dilation == 1 || s->h.kernel == 1) && (s->w.dilation == 1 || s->w.kernel == 1);
    return s->pool > 1 && s->groups == 1 && no_gaps;
}

/* Elements of a row of one output channel's kernel, and of all of it. */
static int64_t run8_of(const tr_conv_spec *s) {
    return tr_round_up((int64_t)s->w.kernel * s->c, TR_BLOCK8);
}
static int64_t block(const tr_conv_spec *s) {
    return s->h.kernel * run8_of(s);
}

static int64_t size(const tr_conv_spec *s) {
    return s->k * block(s);
}

static int64_t place(const tr_conv_spec *s, int64_t k, int64_t c, int64_t h, int64_t w) {
    return k * block(s) + h * run8_of(s) + w * s->c + c;
}

/* The pixels that a pool reads. */
static tr_conv geometry(const tr_conv_spec *s) {
    tr_shape in = tr_conv_padded(s);
    const int64_t row = (int64_t)in.w * in.c;
    const int pw = s->w.out / s->pool;
    return (tr_conv){.c = in.c,
                     .k = s->k,
                     .kh = s->h.kernel,
                     .kw = s->w.kernel,
                     .runs = 1,
                     .run = s->w.kernel * in.c,
                     .tap_h = row,
                     .tap_w = in.c,
                     .pixel = in.c,
                     .row = row,
                     .step_w = (int64_t)s->w.stride * in.c,
                     .step_h = s->h.stride * row,
                     .y_pixel = s->k,
                     .y_row = (int64_t)pw * s->k,
                     .oh = s->h.out / s->pool * s->pool,
                     .ow = pw * s->pool,
                     .pool = s->pool,
                     .relu = s->relu};
}

/* ---- forward ---- */

/* Gather layout -> forward layout. */
static void pack(const tr_work *w) {
    tr_conv d = geometry(&tr_conv_of(w->node)->spec);
    int k0, k1;
    int64_t run8 = run8_of(&tr_conv_of(w->node)->spec);
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
    const tr_conv_spec *s = &tr_conv_of(w->node)->spec;
    tr_conv d = geometry(s);
    const bool is_padded = tr_conv_copy_size(s) > 0;
    const tr_real *bias =
        w->node->n_state > TR_CONV_BIAS ? tr_value_of(w->node, TR_CONV_BIAS) : NULL;
    tr_real *copy = w->scratch, *scratch = copy + tr_conv_piece(tr_conv_copy_size(s));
    for (int i = 0; i < w->n; i++) {
        if (is_padded) tr_conv_fill(s, tr_x(w, 0, i), copy);
        w->kernels->conv(&d, is_padded ? copy : tr_x(w, 0, i), tr_own(w, PACKED, 0), bias,
                         tr_y(w, i), tr_own(w, WINNERS, i), scratch);
    }
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
    tr_conv d = geometry(&tr_conv_of(w->node)->spec);
    for (int i = 0; i < w->n; i++) /* without a relu y does not matter */
        w->kernels->gather(&d, d.relu ? tr_y(w, i) : tr_dy(w, i), tr_dy(w, i),
                           tr_own(w, WINNERS, i), lists_of(w, i), counts_of(w, i));
}

/* What is left of a padded image without its padding. */
static void crop(const tr_conv_spec *s, const tr_real *padded, tr_real *to) {
    const int64_t row = (int64_t)s->w.in * s->c, from_row = tr_conv_extent(&s->w) * (int64_t)s->c;
    for (int h = 0; h < s->h.in; h++)
        memcpy(to + h * row, padded + (h + s->h.before) * from_row + (int64_t)s->w.before * s->c,
               (size_t)row * sizeof *to);
}

static void input_gradient(const tr_work *w) {
    const tr_conv_spec *s = &tr_conv_of(w->node)->spec;
    tr_conv d = geometry(s);
    const bool is_padded = tr_conv_copy_size(s) > 0;
    for (int i = 0; i < w->n; i++) {
        tr_real *dx = tr_dx(w, 0, i), *to = is_padded ? w->scratch : dx;
        w->kernels->gather_dx(&d, lists_of(w, i), counts_of(w, i),
                              tr_value_of(w->node, TR_CONV_WEIGHT), to,
                              tr_shape_size(tr_conv_padded(s)));
        if (!is_padded) continue;
        if (s->mode == TR_PAD_ZEROS)
            crop(s, to, dx);
        else
            tr_conv_fold(s, w->kernels, to, dx);
    }
}

static void add_weight(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    tr_conv d = geometry(&tr_conv_of(w->node)->spec);
    int64_t kernel = block(&tr_conv_of(w->node)->spec);
    if (fresh) memset(sum, 0, (size_t)(e1 - e0) * sizeof(tr_real));
    for (int i = 0; i < w->n; i++) {
        w->kernels->gather_dw(&d, tr_conv_padded_input(w, i, w->scratch), lists_of(w, i),
                              counts_of(w, i), (int)(e0 / kernel), (int)(e1 / kernel), sum);
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

/* Weights in forward layout. */
static int64_t packed(const tr_conv_spec *s) {
    return (int64_t)s->h.kernel * s->w.kernel * s->c * tr_round_up(s->k, TR_BLOCK8);
}

static int64_t scratch(const tr_conv_spec *s) {
    tr_conv d = geometry(s);
    return tr_conv_piece(tr_conv_copy_size(s)) + tr_conv_scratch(&d);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    const tr_conv_spec *s = &tr_conv_of(node)->spec;
    const int64_t real = sizeof(tr_real);
    out->scratch_bytes = scratch(s) * real;
    tr_conv_plan_padded(node, out);
    (packed(s) >= TR_CONV_SHARED ? tr_plan_batch_buffer : tr_plan_thread_buffer)(out,
                                                                                 packed(s) * real);
    tr_plan_sample_buffer(out, tr_shape_size(node->out) + TR_LANES);
    tr_plan_sample_buffer(out, counts_bytes(node) +
                                   tr_shape_size(node->out) * (int64_t)sizeof(tr_gather));
    tr_conv_plan_pack(node, out, PACKED, packed(s), pack);
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_reads(out, TR_X, 0);
    tr_reads(out, TR_OWN, PACKED);
    if (node->n_state > TR_CONV_BIAS) tr_reads(out, TR_STATE, TR_CONV_BIAS);
    tr_writes(out, TR_Y, 0);
    tr_writes(out, TR_OWN, WINNERS);
    if (request->gradients) plan_backward(node, request, out);
}

const tr_conv_algorithm tr_conv_gather = {
    .name = "gather",
    .fits = fits,
    .size = size,
    .block = block,
    .place = place,
    .plan = plan,
    .packed = packed,
    .scratch = scratch,
};
