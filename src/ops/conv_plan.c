/* The phases of convolutions and transposed convolutions, whatever the algorithm.
 *
 * The two sides of a convolution are its image and what it makes of it. The layer's input is the
 * image, its value what is made; for a transposed one they are exchanged, and so are forward and
 * the input gradient. */
#include <string.h>

#include "ops/conv.h"

/* Own resources: the padded image; packed weights; the gradient before a fused relu. */
enum { PACKED = TR_CONV_PADDED + 1, Z };

/* ---- what algorithms with phases of their own use, too ---- */

void tr_conv_plan_pack(const tr_node *node, tr_plan *out, int resource, int64_t elements,
                       void (*run)(const tr_work *w)) {
    if (elements >= TR_CONV_SHARED) {
        int blocks = (tr_conv_of(node)->spec.k + TR_LANES - 1) / TR_LANES;
        tr_plan_blocks(out, TR_PACK, "pack weights", blocks, run);
    } else {
        tr_plan_phase(out, TR_PACK, "pack weights", TR_PER_THREAD, run);
    }
    tr_reads(out, TR_STATE, TR_CONV_WEIGHT);
    (elements >= TR_CONV_SHARED ? tr_writes_block : tr_writes)(out, TR_OWN, resource);
}

void tr_conv_pack_range(const tr_work *w, int *k0, int *k1) {
    const int k = tr_conv_of(w->node)->spec.k;
    int blocks = (int)tr_max(1, w->n_blocks);
    *k0 = (int)tr_part(k, w->block, blocks);
    *k1 = (int)tr_part(k, w->block + 1, blocks);
}

static bool is_by_elements(const tr_node *node, const tr_request *request, int state) {
    bool in_slots = state == TR_CONV_WEIGHT && tr_conv_of(node)->algorithm->only_in_slots;
    return node->state[state].size > request->wide && !in_slots;
}

/* Is the padded image kept for the gradient of the weights? */
static bool is_padded(const tr_node *node, const tr_request *request) {
    return is_by_elements(node, request, TR_CONV_WEIGHT) &&
           tr_conv_copy_size(&tr_conv_of(node)->spec) > 0;
}

/* The gradient before the relu, and where it is. */
static const tr_real *z_of(const tr_work *w, int i) {
    return tr_has_own(w, Z) ? tr_own(w, Z, i) : tr_dy(w, i);
}
static void reads_z(const tr_node *node, tr_plan *out) {
    tr_reads(out, tr_conv_of(node)->spec.relu ? TR_OWN : TR_DY, Z);
}

/* The image of the convolution in backward, and what is made of it, or its gradient. */
static const tr_real *image_of(const tr_work *w, int i) {
    return tr_conv_of(w->node)->transposed ? z_of(w, i) : tr_x(w, 0, i);
}
static const tr_real *made_of(const tr_work *w, int i) {
    return tr_conv_of(w->node)->transposed ? tr_x(w, 0, i) : z_of(w, i);
}
static void reads_image(const tr_node *node, tr_plan *out) {
    if (tr_conv_of(node)->transposed)
        reads_z(node, out);
    else
        tr_reads(out, TR_X, 0);
}

static void pad(const tr_work *w) {
    for (int i = 0; i < w->n; i++)
        tr_conv_fill(&tr_conv_of(w->node)->spec, image_of(w, i), tr_own(w, TR_CONV_PADDED, i));
}

void tr_conv_plan_padded(const tr_node *node, tr_plan *out) {
    tr_plan_sample_buffer(out,
                          tr_conv_copy_size(&tr_conv_of(node)->spec) * (int64_t)sizeof(tr_real));
}

void tr_conv_plan_pad(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (!is_padded(node, request)) return;
    tr_plan_phase(out, TR_BACKWARD, "pad input", TR_BY_SAMPLES, pad);
    reads_image(node, out);
    tr_writes(out, TR_OWN, TR_CONV_PADDED);
}

void tr_conv_reads_padded(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (is_padded(node, request))
        tr_reads(out, TR_OWN, TR_CONV_PADDED);
    else
        reads_image(node, out);
}

const tr_real *tr_conv_padded_input(const tr_work *w, int i, tr_real *scratch) {
    const tr_conv_spec *s = &tr_conv_of(w->node)->spec;
    if (tr_has_own(w, TR_CONV_PADDED)) return tr_own(w, TR_CONV_PADDED, i);
    if (tr_conv_copy_size(s) == 0) return image_of(w, i);
    tr_conv_fill(s, image_of(w, i), scratch);
    return scratch;
}

void tr_conv_plan_sum(const tr_node *node, const tr_request *request, tr_plan *out, int state,
                      tr_leaf add_leaf) {
    tr_sum sum = {.label = state == TR_CONV_WEIGHT ? "weight gradient" : "bias gradient",
                  .size = node->state[state].size,
                  .leaf = 1,
                  .by_elements = is_by_elements(node, request, state),
                  .add_leaf = add_leaf};
    int number = tr_plan_sum(out, &sum);
    tr_plan_gradient(out, state, &(tr_gradient){.sum = number});
    tr_plan_add_up(out, TR_BACKWARD, number);
}

/* ---- one phase each ---- */

static const tr_real *bias_of(const tr_work *w) {
    return w->node->n_state > TR_CONV_BIAS ? tr_value_of(w->node, TR_CONV_BIAS) : NULL;
}

static void pack(const tr_work *w) {
    const tr_conv_layer *layer = tr_conv_of(w->node);
    int k0, k1;
    tr_conv_pack_range(w, &k0, &k1);
    layer->algorithm->pack(&layer->spec, tr_value_of(w->node, TR_CONV_WEIGHT), k0, k1,
                           tr_own(w, PACKED, 0));
}

static void forward(const tr_work *w) {
    const tr_conv_layer *layer = tr_conv_of(w->node);
    const bool relu = layer->spec.relu;
    for (int i = 0; i < w->n; i++) {
        if (layer->transposed)
            layer->algorithm->input_gradient(&layer->spec, w->kernels, tr_x(w, 0, i),
                                             tr_own(w, PACKED, 0), bias_of(w), relu, tr_y(w, i),
                                             w->scratch);
        else
            layer->algorithm->forward(&layer->spec, w->kernels, tr_x(w, 0, i),
                                      tr_value_of(w->node, TR_CONV_WEIGHT), bias_of(w), relu,
                                      tr_y(w, i), w->scratch);
    }
}

static void before_relu(const tr_work *w) {
    int64_t n = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++) w->kernels->relu_dx(n, tr_y(w, i), tr_dy(w, i), tr_own(w, Z, i));
}

static void input_gradient(const tr_work *w) {
    const tr_conv_layer *layer = tr_conv_of(w->node);
    for (int i = 0; i < w->n; i++) {
        if (layer->transposed)
            layer->algorithm->forward(&layer->spec, w->kernels, z_of(w, i),
                                      tr_value_of(w->node, TR_CONV_WEIGHT), NULL, false,
                                      tr_dx(w, 0, i), w->scratch);
        else
            layer->algorithm->input_gradient(&layer->spec, w->kernels, z_of(w, i),
                                             tr_own(w, PACKED, 0), NULL, false, tr_dx(w, 0, i),
                                             w->scratch);
    }
}

static void add_weight(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    const tr_conv_layer *layer = tr_conv_of(w->node);
    tr_real *scratch = w->scratch, *rest = scratch + tr_conv_piece(tr_conv_copy_size(&layer->spec));
    if (fresh) memset(sum, 0, (size_t)(e1 - e0) * sizeof(tr_real));
    for (int i = 0; i < w->n; i++)
        layer->algorithm->add_weight(&layer->spec, w->kernels, tr_conv_padded_input(w, i, scratch),
                                     made_of(w, i), e0, e1, sum, rest);
}

static void add_bias(const tr_work *w, int64_t e0, int64_t e1, bool fresh, void *sum) {
    tr_shape out = w->node->out;
    if (fresh) memset(sum, 0, (size_t)(e1 - e0) * sizeof(tr_real));
    for (int i = 0; i < w->n; i++)
        w->kernels->row_sum((int64_t)out.h * out.w, out.c, z_of(w, i), NULL, out.c, sum);
}

/* ---- all of them ---- */

static void plan_backward(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (tr_conv_of(node)->spec.relu) {
        tr_plan_phase(out, TR_BACKWARD, "relu gradient", TR_BY_SAMPLES, before_relu);
        tr_reads(out, TR_Y, 0);
        tr_reads(out, TR_DY, 0);
        tr_writes(out, TR_OWN, Z);
    }
    if (request->need_dx[0]) {
        tr_plan_phase(out, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, input_gradient);
        reads_z(node, out);
        if (tr_conv_of(node)->transposed)
            tr_reads(out, TR_STATE, TR_CONV_WEIGHT);
        else
            tr_reads(out, TR_OWN, PACKED);
        tr_writes(out, TR_DX, 0);
    }
    tr_conv_plan_pad(node, request, out);
    for (int s = 0; s < node->n_state; s++) {
        tr_conv_plan_sum(node, request, out, s, s == TR_CONV_WEIGHT ? add_weight : add_bias);
        reads_z(node, out);
        if (s != TR_CONV_WEIGHT) continue;
        tr_conv_reads_padded(node, request, out);
        if (tr_conv_of(node)->transposed) tr_reads(out, TR_X, 0);
    }
}

void tr_conv_plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    const int64_t real = sizeof(tr_real);
    const tr_conv_layer *layer = tr_conv_of(node);
    if (layer->algorithm->plan) {
        layer->algorithm->plan(node, request, out);
        return;
    }
    const bool dx = request->gradients && request->need_dx[0];
    const int64_t packed = layer->algorithm->packed(&layer->spec);
    out->scratch_bytes = layer->algorithm->scratch(&layer->spec) * real;
    tr_conv_plan_padded(node, out);
    (packed >= TR_CONV_SHARED ? tr_plan_batch_buffer : tr_plan_thread_buffer)(out, packed * real);
    tr_plan_sample_buffer(out, tr_shape_size(node->out) * real);
    if (dx || layer->transposed) tr_conv_plan_pack(node, out, PACKED, packed, pack);
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_reads(out, TR_X, 0);
    if (layer->transposed)
        tr_reads(out, TR_OWN, PACKED);
    else
        tr_reads(out, TR_STATE, TR_CONV_WEIGHT);
    if (node->n_state > TR_CONV_BIAS) tr_reads(out, TR_STATE, TR_CONV_BIAS);
    tr_writes(out, TR_Y, 0);
    if (request->gradients) plan_backward(node, request, out);
}
