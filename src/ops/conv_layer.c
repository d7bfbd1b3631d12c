/* What conv2d and conv_transpose2d have in common as layers: the choice of the algorithm, checks,
 * parameters. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/conv.h"

enum {
    SMALLEST_BLOCK = 256, /* elements of the weights that are worth a thread's while */
    MANY_GROUPS = 8,      /* groups that fill a vector ... */
    FEW_CHANNELS = 4,     /* ... better than the channels of one do */
};

/* ---- algorithms ---- */

const char *tr_conv_forced;

const tr_conv_algorithm *tr_conv_choose(const tr_conv_spec *s) {
    static const tr_conv_algorithm *const all[] = {&tr_conv_dense, &tr_conv_gather,
                                                   &tr_conv_depthwise};
    for (size_t i = 0; tr_conv_forced && i < sizeof all / sizeof *all; i++) {
        if (strcmp(tr_conv_forced, all[i]->name)) continue;
        if (all[i]->fits(s)) return all[i];
        if (s->pool > 1) return NULL;
    }
    if (s->pool > 1) return tr_conv_gather.fits(s) ? &tr_conv_gather : NULL;
    const int least = (int)tr_min(s->c, s->k) / s->groups;
    return s->groups >= MANY_GROUPS && least <= FEW_CHANNELS ? &tr_conv_depthwise : &tr_conv_dense;
}

const char *tr_conv_algorithm_name(const tr_node *node) {
    return tr_conv_of(node)->algorithm->name;
}

/* ---- checks ---- */

const char *tr_conv_size_text(int64_t h, int64_t w, char out[TR_SIZE_TEXT]) {
    if (h == w)
        snprintf(out, TR_SIZE_TEXT, "%" PRId64, h);
    else
        snprintf(out, TR_SIZE_TEXT, "%" PRId64 "x%" PRId64, h, w);
    return out;
}

int tr_conv_check_channels(const tr_node *node, int64_t in_channels, int64_t out_channels,
                           int64_t groups, tr_error *err) {
    const int c = node->in[0].c;
    if (in_channels > 0 && in_channels != c)
        return tr_fail_at(err, tr_key_where(node, "in_channels"), node->name,
                          "in_channels=%lld but the input has %d channels: write that, or leave "
                          "the key out",
                          (long long)in_channels, c);
    if (c % groups)
        return tr_fail_at(err, tr_key_where(node, "groups"), node->name,
                          "groups=%lld does not divide the %d channels of the input",
                          (long long)groups, c);
    if (out_channels % groups == 0) return TR_OK;
    return tr_fail_at(err, tr_key_where(node, "out_channels"), node->name,
                      "out_channels=%lld is no multiple of groups=%lld, the nearest is %lld",
                      (long long)out_channels, (long long)groups,
                      (long long)(tr_max(1, (out_channels + groups / 2) / groups) * groups));
}

/* What is copied of a sample, whether it will be needed or not, and its planes. */
static int check_copies(const tr_node *node, const tr_conv_layer *layer, tr_error *err) {
    const tr_conv_spec *s = &layer->spec;
    int64_t most = tr_max(layer->algorithm->scratch ? layer->algorithm->scratch(s) : 0,
                          tr_max(tr_conv_bordered_size(s), layer->algorithm->packed(s)));
    if (most <= INT32_MAX) return TR_OK;
    char kernel[TR_SIZE_TEXT];
    const int out_channels = layer->transposed ? s->c : s->k;
    return tr_fail_at(err, tr_key_where(node, "kernel_size"), node->name,
                      "kernel_size=%s with out_channels=%d makes copies of %lld numbers for the "
                      "input gradient, allowed are up to %d",
                      tr_conv_size_text(s->h.kernel, s->w.kernel, kernel), out_channels,
                      (long long)most, INT32_MAX);
}

static int check_sizes(const tr_node *node, const tr_conv_layer *layer, const int64_t dim[4],
                       tr_error *err) {
    const tr_conv_spec *s = &layer->spec;
    const int64_t lanes = tr_round_up(dim[0], TR_LANES) + (s->groups - 1) * TR_LANES;
    const int64_t weights =
        dim[1] * dim[2] * dim[3] * (s->groups > 1 ? lanes : tr_round_up(dim[0], TR_LANES));
    const tr_shape image = tr_conv_padded(s);
    if (weights > TR_MAX_WEIGHTS)
        return tr_fail_at(
            err, tr_key_where(node, "out_channels"), node->name,
            "out_channels=%lld of %lld x %lld x %lld makes %lld weights, allowed are up to %d",
            (long long)(layer->transposed ? s->c : s->k), (long long)dim[1], (long long)dim[2],
            (long long)dim[3], (long long)weights, TR_MAX_WEIGHTS);
    if (tr_shape_size(image) <= TR_MAX_VALUE) return check_copies(node, layer, err);
    char padding[TR_SIZE_TEXT];
    return tr_fail_at(err, tr_key_where(node, "padding"), node->name,
                      "padding=%s makes an input of %d x %d x %d numbers, allowed are up to %d",
                      tr_conv_size_text(s->h.before, s->w.before, padding), image.c, image.h,
                      image.w, TR_MAX_VALUE);
}

/* ---- parameters ---- */

static void index_of(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    const tr_conv_layer *layer = tr_conv_of(node);
    const int64_t *dim = node->state[TR_CONV_WEIGHT].dim;
    int64_t w = first % dim[3], h = first / dim[3] % dim[2], c = first / (dim[3] * dim[2]) % dim[1],
            k = first / (dim[3] * dim[2] * dim[1]);
    for (int64_t i = 0; i < n; i++) {
        at[i] = layer->algorithm->place(&layer->spec, k, c, h, w);
        if (++w < dim[3]) continue;
        w = 0;
        if (++h < dim[2]) continue;
        h = 0;
        if (++c < dim[1]) continue;
        c = 0;
        k++;
    }
}

int tr_conv_add_parameters(tr_node *node, tr_conv_layer *layer, const int64_t dim[4], bool bias,
                           tr_error *err) {
    const tr_conv_spec *s = &layer->spec;
    layer->algorithm = tr_conv_choose(s);
    int code = check_sizes(node, layer, dim, err);
    if (code) return code;
    const tr_conv_algorithm *algorithm = layer->algorithm;
    double range = 1 / sqrt((double)(dim[1] * dim[2] * dim[3])); /* kaiming_uniform, a = sqrt(5) */
    int64_t size = algorithm->size(s), block = algorithm->block(s);
    block *= SMALLEST_BLOCK / block + 1;
    tr_state weight = {.suffix = "weight",
                       .kind = TR_PARAMETER,
                       .n_dims = 4,
                       .dim = {dim[0], dim[1], dim[2], dim[3]},
                       .size = size,
                       .n_blocks = (size + block - 1) / block,
                       .block = block,
                       .used = block,
                       .tile = block,
                       .init_range = range,
                       .index = index_of};
    if (algorithm->largest_tile) weight.tile = tr_min(block, algorithm->largest_tile);
    tr_state offset = tr_vector_parameter("bias", layer->transposed ? s->c : s->k);
    offset.init_range = range;
    if (!tr_add_state(node, &weight, err)) return TR_ENOMEM;
    return bias && !tr_add_state(node, &offset, err) ? TR_ENOMEM : TR_OK;
}

int64_t tr_conv_multiply_adds(const tr_node *node) {
    const tr_conv_spec *s = &tr_conv_of(node)->spec;
    return (int64_t)s->h.out * s->w.out * s->k * s->h.kernel * s->w.kernel * (s->c / s->groups);
}
