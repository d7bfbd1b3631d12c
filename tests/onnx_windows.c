/* Operators of ONNX that move pixels or window them, as layers: images of one side are images of
 * one row. */
#include "onnx_windows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- windows ---- */

typedef struct side {
    int64_t in, kernel, stride, dilation, begin, end; /* begin, end: pixels that are padded */
} side;

typedef struct window {
    int n_sides; /* of the image in ONNX */
    side h, w;
} window;

static side read_side(const onnx_net *net, const Onnx__NodeProto *node, const onnx_tensor *x,
                      const onnx_tensor *weight, size_t k, size_t n) {
    (void)net;
    side s = {.in = x->dim[k + 2], .stride = onnx_nth(node, "strides", k, 1)};
    s.kernel = onnx_nth(node, "kernel_shape", k, weight ? weight->dim[k + 2] : 1);
    s.dilation = onnx_nth(node, "dilations", k, 1);
    s.begin = onnx_nth(node, "pads", k, 0);
    s.end = onnx_nth(node, "pads", k + n, 0);
    return s;
}

/* As many windows as there are strides, padded alike on both ends, or by one more at one of them.
 */
static void pad_same(side *s, bool upper) {
    int64_t out = (s->in + s->stride - 1) / s->stride, span = (s->kernel - 1) * s->dilation + 1;
    int64_t over = tr_max((out - 1) * s->stride + span - s->in, 0);
    s->begin = upper ? over / 2 : over - over / 2;
    s->end = over - s->begin;
}

static bool read_window(onnx_net *net, const Onnx__NodeProto *node, const onnx_tensor *x,
                        const onnx_tensor *weight, window *out) {
    if (x == NULL) return onnx_refuse(net, "sizes are computed");
    size_t n = (size_t)x->n_dims - 2;
    if (x->n_dims < 3 || x->n_dims > 4) return onnx_refuse(net, "images of three sides");
    *out = (window){.n_sides = (int)n, .h = {1, 1, 1, 1, 0, 0}};
    if (n == 2) out->h = read_side(net, node, x, weight, 0, n);
    out->w = read_side(net, node, x, weight, n - 1, n);
    if (onnx_is(node, "auto_pad", "SAME_UPPER") || onnx_is(node, "auto_pad", "SAME_LOWER")) {
        bool upper = onnx_is(node, "auto_pad", "SAME_UPPER");
        if (n == 2) pad_same(&out->h, upper);
        pad_same(&out->w, upper);
    }
    return true;
}

static bool is_even(const window *w) {
    return w->h.begin == w->h.end && w->w.begin == w->w.end;
}

/* A layer of zeros around the image, in the place of the layer's own. */
static const char *zeros(onnx_net *net, const char *from, window *w) {
    from = onnx_line_of(net, "pad", from, "zero_pad2d padding=%lldx%lldx%lldx%lld",
                        (long long)w->w.begin, (long long)w->w.end, (long long)w->h.begin,
                        (long long)w->h.end);
    w->h.begin = w->h.end = w->w.begin = w->w.end = 0;
    return from;
}

/* " NAME=HxW", nothing for the default. */
static void add_size(char *text, size_t bytes, const char *name, int64_t h, int64_t w,
                     int64_t fallback) {
    size_t n = strlen(text);
    if (h == fallback && w == fallback) return;
    if (h == w)
        snprintf(text + n, bytes - n, " %s=%lld", name, (long long)h);
    else
        snprintf(text + n, bytes - n, " %s=%lldx%lld", name, (long long)h, (long long)w);
}

static void add_window(char *text, size_t bytes, const window *w, int64_t stride) {
    add_size(text, bytes, "kernel_size", w->h.kernel, w->w.kernel, 0);
    add_size(text, bytes, "stride", w->h.stride, w->w.stride, stride);
    add_size(text, bytes, "padding", w->h.begin, w->w.begin, 0);
    add_size(text, bytes, "dilation", w->h.dilation, w->w.dilation, 1);
}

/* ---- convolutions ---- */

static bool set_weights(onnx_net *net, const Onnx__NodeProto *node, const char *line,
                        const onnx_tensor *weight) {
    const onnx_tensor *bias;
    if (!onnx_numbers(net, node, 2, &bias)) return false;
    onnx_set_row(net, line, "weight", weight);
    if (bias) onnx_set_row(net, line, "bias", bias);
    onnx_result(net, node, 0, line, NULL);
    return true;
}

static bool begin(onnx_net *net, const Onnx__NodeProto *node, const char **from,
                  const onnx_tensor **weight, window *w) {
    const onnx_tensor *x;
    *weight = NULL;
    if (node->n_input > 1 && !onnx_numbers(net, node, 1, weight)) return false;
    return onnx_see(net, ONNX_SAMPLES, 1) && onnx_data(net, node, 0, from, &x) &&
           read_window(net, node, x, *weight, w);
}

bool onnx_conv(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *weight;
    const char *from;
    window w;
    char text[240];
    if (!begin(net, node, &from, &weight, &w)) return false;
    if (!is_even(&w)) from = zeros(net, from, &w);
    int64_t groups = onnx_int(node, "group", 1);
    snprintf(text, sizeof text, "conv2d out_channels=%lld bias=%s", (long long)weight->dim[0],
             onnx_input(node, 2) ? "true" : "false");
    add_window(text, sizeof text, &w, 1);
    add_size(text, sizeof text, "groups", groups, groups, 1);
    return set_weights(net, node, onnx_line_of(net, "", from, "%s", text), weight);
}

/* What output_shape or auto_pad wants of a side: pixels more at its end, or some cut at both, the
 * odd one at the end. */
static void cut_side(side *s, int64_t wanted, int64_t *output_padding) {
    int64_t full = (s->in - 1) * s->stride + (s->kernel - 1) * s->dilation + 1 + *output_padding;
    if (wanted == 0) return;
    int64_t over = full - wanted;
    if (over < 0) *output_padding -= over;
    s->begin = over > 0 ? over / 2 : 0;
    s->end = over > 0 ? over - over / 2 : 0;
}

/* Cuts that differ at two ends: a padding of less than nothing, behind the layer. */
static const char *cut(onnx_net *net, const char *from, const window *w) {
    return onnx_line_of(net, "cut", from, "zero_pad2d padding=%lldx%lldx%lldx%lld",
                        -(long long)w->w.begin, -(long long)w->w.end, -(long long)w->h.begin,
                        -(long long)w->h.end);
}

bool onnx_conv_transpose(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *weight;
    const char *from;
    window w;
    char text[240];
    if (!begin(net, node, &from, &weight, &w)) return false;
    size_t last = (size_t)w.n_sides - 1;
    int64_t groups = onnx_int(node, "group", 1);
    int64_t h_more = last ? onnx_nth(node, "output_padding", 0, 0) : 0,
            w_more = onnx_nth(node, "output_padding", last, 0);
    int64_t h_out = last ? onnx_nth(node, "output_shape", 0, 0) : 0,
            w_out = onnx_nth(node, "output_shape", last, 0);
    if (onnx_is(node, "auto_pad", "SAME_UPPER")) {
        h_out = last ? w.h.in * w.h.stride : 0;
        w_out = w.w.in * w.w.stride;
    }
    cut_side(&w.h, h_out, &h_more);
    cut_side(&w.w, w_out, &w_more);
    const window uneven = w;
    if (!is_even(&uneven)) w.h.begin = w.h.end = w.w.begin = w.w.end = 0;
    snprintf(text, sizeof text, "conv_transpose2d out_channels=%lld bias=%s",
             (long long)(weight->dim[1] * groups), onnx_input(node, 2) ? "true" : "false");
    add_window(text, sizeof text, &w, 1);
    add_size(text, sizeof text, "output_padding", h_more, w_more, 0);
    add_size(text, sizeof text, "groups", groups, groups, 1);
    if (!set_weights(net, node, onnx_line_of(net, "", from, "%s", text), weight)) return false;
    if (is_even(&uneven)) return true;
    char line[16];
    snprintf(line, sizeof line, "%s", net->lines[net->n_lines - 1].name);
    onnx_result(net, node, 0, cut(net, line, &uneven), NULL);
    return true;
}

/* ---- pools ---- */

/* PyTorch pads a pool by half of its window at most. */
static bool is_wide(const window *w) {
    return 2 * w->h.begin > w->h.kernel || 2 * w->w.begin > w->w.kernel;
}

static bool pool(onnx_net *net, const Onnx__NodeProto *node, const char *layer) {
    const onnx_tensor *weight;
    const char *from;
    window w;
    char text[240];
    bool average = strncmp(layer, "avg", 3) == 0, counts = onnx_int(node, "count_include_pad", 0);
    if (!begin(net, node, &from, &weight, &w)) return false;
    if ((!is_even(&w) || is_wide(&w)) && average && counts) from = zeros(net, from, &w);
    if (!is_even(&w)) return onnx_refuse(net, "padding differs at two ends");
    if (is_wide(&w)) return onnx_refuse(net, "padding of more than half of the window");
    snprintf(text, sizeof text, "%s%s%s", layer,
             onnx_int(node, "ceil_mode", 0) ? " ceil_mode=true" : "",
             average && !counts ? " count_include_pad=false" : "");
    size_t n = strlen(text);
    add_window(text + n, sizeof text - n, &w, 0);
    onnx_result(net, node, 0, onnx_line_of(net, "", from, "%s", text), NULL);
    return true;
}

bool onnx_average_pool(onnx_net *net, const Onnx__NodeProto *node) {
    return pool(net, node, "avg_pool2d");
}

bool onnx_max_pool(onnx_net *net, const Onnx__NodeProto *node) {
    return pool(net, node, "max_pool2d");
}

/* A layer of the first input, seen as an image, whose arguments are `text`. */
static bool of_image(onnx_net *net, const Onnx__NodeProto *node, const char *text) {
    const char *from;
    if (!onnx_see(net, ONNX_SAMPLES, 1) || !onnx_data(net, node, 0, &from, NULL)) return false;
    onnx_result(net, node, 0, onnx_line_of(net, "", from, "%s", text), NULL);
    return true;
}

bool onnx_global_average(onnx_net *net, const Onnx__NodeProto *node) {
    return of_image(net, node, "adaptive_avg_pool2d output_size=1");
}

bool onnx_global_max(onnx_net *net, const Onnx__NodeProto *node) {
    return of_image(net, node, "adaptive_max_pool2d output_size=1");
}

/* ---- pixels that move ---- */

bool onnx_depth_to_space(onnx_net *net, const Onnx__NodeProto *node) {
    const char *from;
    int64_t block = onnx_int(node, "blocksize", 0);
    if (!onnx_see(net, ONNX_SAMPLES, 1) || !onnx_data(net, node, 0, &from, NULL)) return false;
    /* DCR has the channels of a block innermost: they are shuffled to where CRD has them. */
    if (!onnx_is(node, "mode", "CRD"))
        from = onnx_line_of(net, "order", from, "channel_shuffle groups=%lld",
                            (long long)(block * block));
    onnx_result(net, node, 0,
                onnx_line_of(net, "", from, "pixel_shuffle upscale_factor=%lld", (long long)block),
                NULL);
    return true;
}

bool onnx_concat(onnx_net *net, const Onnx__NodeProto *node) {
    const char *from[4];
    int axis;
    if (!onnx_axis(net, node, 1, &axis) || !onnx_see(net, ONNX_SAMPLES, axis)) return false;
    if (node->n_input > 4) return onnx_refuse(net, "more inputs than the test joins");
    for (size_t i = 0; i < node->n_input; i++)
        if (!onnx_data(net, node, i, &from[i], NULL)) return false;
    const char *line = onnx_line_of(net, "", from[0], "concat");
    for (size_t i = 1; i < node->n_input; i++) onnx_also_from(net, from[i]);
    onnx_result(net, node, 0, line, NULL);
    return true;
}

/* Numbers of an input, or the attribute of that name in early opsets. */
static bool list_of(onnx_net *net, const Onnx__NodeProto *node, size_t input, const char *name,
                    const onnx_tensor **out) {
    const Onnx__AttributeProto *a = onnx_attribute(node, name);
    if (a == NULL) return onnx_numbers(net, node, input, out);
    int64_t n = (int64_t)a->n_ints;
    double *v = onnx_new(net, 1, &n, out);
    for (int64_t i = 0; i < n; i++) v[i] = (double)a->ints[i];
    return true;
}

bool onnx_pad(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *pads, *value;
    const char *layer = onnx_is(node, "mode", "reflect") ? "reflection_pad2d"
                        : onnx_is(node, "mode", "edge")  ? "replication_pad2d"
                                                         : "zero_pad2d";
    char text[120];
    if (!list_of(net, node, 1, "pads", &pads) || !onnx_numbers(net, node, 2, &value)) return false;
    if ((value && value->v[0] != 0) || onnx_float(node, "value", 0) != 0)
        return onnx_refuse(net, "padding with a number that is not 0");
    if (pads->n != 8 || pads->v[0] != 0 || pads->v[1] != 0 || pads->v[4] != 0 || pads->v[5] != 0)
        return onnx_refuse(net, "padding that is not of an image's sides");
    snprintf(text, sizeof text, "%s padding=%lldx%lldx%lldx%lld", layer,
             (long long)onnx_at(pads, 3), (long long)onnx_at(pads, 7), (long long)onnx_at(pads, 2),
             (long long)onnx_at(pads, 6));
    return of_image(net, node, text);
}

/* ---- slices ---- */

/* Elements begin .. end-1 along the view's axis. */
static const char *slice_of(onnx_net *net, const char *part, const char *from, int64_t begin,
                            int64_t end) {
    return onnx_line_of(net, part, from, "slice start=%lld end=%lld", (long long)begin,
                        (long long)end);
}

/* Where a negative number counts from the end, cut to the size. */
static int64_t place_of(int64_t at, int64_t size) {
    return tr_max(0, tr_min(at < 0 ? at + size : at, size));
}

bool onnx_slice(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *starts, *ends, *axes, *steps, *x = onnx_given(net->model, node->input[0]);
    const char *from;
    int axis = -1;
    int64_t begin = 0, end = 0;
    if (!list_of(net, node, 1, "starts", &starts) || !list_of(net, node, 2, "ends", &ends) ||
        !list_of(net, node, 3, "axes", &axes) || !onnx_numbers(net, node, 4, &steps))
        return false;
    if (x == NULL || starts == NULL || ends == NULL) return onnx_refuse(net, "sizes are computed");
    for (int64_t i = 0; i < starts->n; i++) {
        int64_t d = axes ? onnx_at(axes, i) : i;
        if (d < 0) d += x->n_dims;
        if (steps && onnx_at(steps, i) != 1) return onnx_refuse(net, "every other element");
        int64_t from_here = place_of(onnx_at(starts, i), x->dim[d]),
                to_here = place_of(onnx_at(ends, i), x->dim[d]);
        if (from_here >= to_here) return onnx_refuse(net, "no elements");
        if (from_here == 0 && to_here == x->dim[d]) continue;
        if (axis >= 0) return onnx_refuse(net, "along several axes");
        axis = (int)d;
        begin = from_here;
        end = to_here;
    }
    if (!onnx_see(net, ONNX_SAMPLES, axis < 0 ? 0 : axis) || !onnx_data(net, node, 0, &from, NULL))
        return false;
    if (axis >= 0) from = slice_of(net, "", from, begin, end); /* else it is all of it */
    onnx_result(net, node, 0, from, NULL);
    return true;
}

/* A slice for each output. */
bool onnx_split(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *sizes, *x = onnx_given(net->model, node->input[0]);
    const char *from;
    int axis;
    int64_t begin = 0;
    if (!list_of(net, node, 1, "split", &sizes) || !onnx_axis(net, node, 0, &axis)) return false;
    if (!onnx_see(net, ONNX_SAMPLES, axis) || !onnx_data(net, node, 0, &from, NULL)) return false;
    for (size_t i = 0; i < node->n_output; i++) {
        char part[32];
        int64_t size = sizes ? onnx_at(sizes, (int64_t)i) : x->dim[axis] / (int64_t)node->n_output;
        if (size == 0) return onnx_refuse(net, "no elements");
        snprintf(part, sizeof part, "s%zu", i);
        onnx_result(net, node, i, slice_of(net, part, from, begin, begin + size), NULL);
        begin += size;
    }
    return true;
}

/* ---- sizes ---- */

typedef struct resize {
    int64_t in, out;
    double scale;
} resize;

/* The place in the input, by the rule of ONNX, that pixel i of the output is of. */
static double source(const Onnx__NodeProto *node, const resize *r, int64_t i) {
    const char *mode = "coordinate_transformation_mode";
    if (onnx_is(node, mode, "asymmetric") || strcmp(node->op_type, "Upsample") == 0)
        return (double)i / r->scale;
    if (onnx_is(node, mode, "align_corners")) /* of a size that need be no integer */
        return i > 0 ? (double)(i * (r->in - 1)) / ((double)r->in * r->scale - 1) : 0;
    if (onnx_is(node, mode, "tf_half_pixel_for_nn")) return ((double)i + 0.5) / r->scale;
    if (onnx_is(node, mode, "pytorch_half_pixel") && r->out == 1) return 0;
    return ((double)i + 0.5) / r->scale - 0.5;
}

static int64_t nearest(const Onnx__NodeProto *node, const resize *r, int64_t i) {
    double at = source(node, r, i), rounded = ceil(at - 0.5);
    if (onnx_is(node, "nearest_mode", "round_prefer_ceil")) rounded = floor(at + 0.5);
    if (onnx_is(node, "nearest_mode", "floor") || strcmp(node->op_type, "Upsample") == 0)
        rounded = floor(at);
    if (onnx_is(node, "nearest_mode", "ceil")) rounded = ceil(at);
    return tr_max(0, tr_min((int64_t)rounded, r->in - 1));
}

/* Does PyTorch's rule read the same places? Nearest: i / scale rounded down. */
static bool is_pytorch(const Onnx__NodeProto *node, const resize *r, bool linear, bool corners) {
    for (int64_t i = 0; i < r->out; i++) {
        double x = (double)i;
        double place = !linear   ? floor(x / r->scale)
                       : corners ? x * (double)(r->in - 1) / (double)tr_max(r->out - 1, 1)
                                 : (x + 0.5) / r->scale - 0.5;
        double wanted = linear ? source(node, r, i) : (double)nearest(node, r, i);
        if (fabs(place - wanted) > 1e-6) return false;
    }
    return true;
}

bool onnx_resize(onnx_net *net, const Onnx__NodeProto *node) {
    const onnx_tensor *scales, *sizes = NULL, *x = onnx_given(net->model, onnx_input(node, 0));
    bool upsample = strcmp(node->op_type, "Upsample") == 0;
    char text[120];
    if (!onnx_numbers(net, node, upsample ? 1 : 2, &scales) ||
        (!upsample && !onnx_numbers(net, node, 3, &sizes)))
        return false;
    if (onnx_is(node, "mode", "cubic")) return onnx_refuse(net, "cubic");
    if (onnx_is(node, "coordinate_transformation_mode", "tf_crop_and_resize"))
        return onnx_refuse(net, "it crops, too");
    if (x == NULL || x->n_dims != 4) return onnx_refuse(net, "no image");
    bool linear = onnx_is(node, "mode", "linear"),
         corners = onnx_is(node, "coordinate_transformation_mode", "align_corners");
    resize r[2];
    for (int k = 0; k < 2; k++) {
        r[k].in = x->dim[k + 2];
        r[k].out = sizes ? onnx_at(sizes, k + 2) : (int64_t)((double)r[k].in * scales->v[k + 2]);
        r[k].scale = sizes ? (double)r[k].out / (double)r[k].in : scales->v[k + 2];
        if (!is_pytorch(node, &r[k], linear, corners))
            return onnx_refuse(net, "PyTorch reads other pixels");
    }
    if (sizes)
        snprintf(text, sizeof text, "upsample size=%lldx%lld", (long long)r[0].out,
                 (long long)r[1].out);
    else if (r[0].scale == r[1].scale)
        snprintf(text, sizeof text, "upsample scale_factor=%.9g", r[0].scale);
    else
        snprintf(text, sizeof text, "upsample scale_factor=%.9gx%.9g", r[0].scale, r[1].scale);
    if (linear) strcat(text, " mode=bilinear");
    if (linear && corners) strcat(text, " align_corners=true");
    return of_image(net, node, text);
}
