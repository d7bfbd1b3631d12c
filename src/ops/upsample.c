/* upsample: an image of another size, by its nearest pixels or by weights of the four around each
 * place, torch.nn.Upsample. */
#include "ops/resample.h"

#include <math.h>

typedef struct upsample_args {
    tr_size2 size;          /* -1: none */
    tr_float2 scale_factor; /* the same */
    int mode;
    bool align_corners, recompute_scale_factor;
} upsample_args;

enum { NEAREST, BILINEAR };

static const tr_key keys[] = {
    {"size", TR_KEY_SIZE2, offsetof(upsample_args, size), "none", 1, 1 << 15, "none",
     "height and width of the output"},
    {"scale_factor", TR_KEY_FLOAT2, offsetof(upsample_args, scale_factor), "none", 0.001, 1024,
     "none", "what height and width are multiplied by, in place of a size"},
    {"mode", TR_KEY_CHOICE, offsetof(upsample_args, mode), "nearest", 0, 0, "nearest bilinear",
     "how pixels are made of the input's"},
    {"align_corners", TR_KEY_BOOL, offsetof(upsample_args, align_corners), "false", 0, 0, NULL,
     "bilinear: the corner pixels of both images are at one place, else their outer edges"},
    {"recompute_scale_factor", TR_KEY_BOOL, offsetof(upsample_args, recompute_scale_factor),
     "false", 0, 0, NULL,
     "go by the ratio of the sizes where they are not exactly scale_factor apart"},
};

/* ---- shape ---- */

static int fail(const tr_node *node, const char *key, const char *text, tr_error *err) {
    return tr_fail_at(err, tr_key_where(node, key), node->name, "%s", text);
}

static int shape(tr_node *node, tr_error *err) {
    const upsample_args *a = node->args;
    const tr_shape in = node->in[0];
    const bool sized = a->size.h > 0 || a->size.w > 0,
               scaled = a->scale_factor.h > 0 || a->scale_factor.w > 0;
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    if (sized == scaled)
        return fail(node, scaled ? "scale_factor" : "size",
                    sized ? "size and scale_factor exclude each other"
                          : "one of size and scale_factor must be given",
                    err);
    if (sized ? a->size.h < 0 || a->size.w < 0 : a->scale_factor.h < 0 || a->scale_factor.w < 0)
        return fail(node, sized ? "size" : "scale_factor",
                    "none for one of height and width, a number for the other: two numbers are "
                    "needed",
                    err);
    if (a->align_corners && a->mode != BILINEAR)
        return fail(node, "align_corners", "align_corners=true needs mode=bilinear", err);
    if (a->recompute_scale_factor && sized)
        return fail(node, "recompute_scale_factor",
                    "recompute_scale_factor=true needs a scale_factor, not a size", err);
    const double h = sized ? (double)a->size.h : floor(in.h * a->scale_factor.h),
                 w = sized ? (double)a->size.w : floor(in.w * a->scale_factor.w);
    char text[64];
    if (h < 1 || w < 1)
        return tr_fail_at(err, tr_key_where(node, "scale_factor"), node->name,
                          "scale_factor leaves no pixel of the input of %s",
                          tr_shape_text(in, text));
    node->unfused = (tr_shape){false, (int)h, (int)w, in.c};
    return TR_OK;
}

/* ---- where a pixel comes from ---- */

typedef struct side {
    int in, out;
    double step; /* from one pixel of the output to the next, in the input */
} side;

static side side_of(const tr_node *node, bool rows) {
    const upsample_args *a = node->args;
    const double factor = rows ? a->scale_factor.h : a->scale_factor.w;
    side s = {rows ? node->in[0].h : node->in[0].w, rows ? node->out.h : node->out.w, 0};
    if (a->align_corners)
        s.step = s.out > 1 ? (s.in - 1) / (double)(s.out - 1) : 0;
    else if (factor > 0 && !a->recompute_scale_factor)
        s.step = 1 / factor;
    else
        s.step = s.in / (double)s.out;
    return s;
}

/* The product is rounded to float first, as PyTorch does: 3 steps of 1/3 are one pixel. */
static int nearest_taps(const tr_node *node, bool rows, int o, tr_tap out[TR_MOST_TAPS]) {
    const side s = side_of(node, rows);
    out[0] = (tr_tap){(int)tr_min((int)floorf((float)(o * s.step)), s.in - 1), 1};
    return 1;
}

static int bilinear_taps(const tr_node *node, bool rows, int o, tr_tap out[TR_MOST_TAPS]) {
    const upsample_args *a = node->args;
    const side s = side_of(node, rows);
    const double at = a->align_corners ? o * s.step : fmax((o + 0.5) * s.step - 0.5, 0);
    const int i = (int)tr_min((int)at, s.in - 1);
    const double more = fmin(at - i, 1);
    out[0] = (tr_tap){i, 1 - more};
    out[1] = (tr_tap){(int)tr_min(i + 1, s.in - 1), more};
    return 2;
}

static bool is_bilinear(const tr_node *node) {
    return ((const upsample_args *)node->args)->mode == BILINEAR;
}

static void forward(const tr_work *w) {
    const bool bilinear = is_bilinear(w->node);
    tr_resample(w, bilinear ? bilinear_taps : nearest_taps, bilinear);
}

static void backward(const tr_work *w) {
    const bool bilinear = is_bilinear(w->node);
    tr_resample_dx(w, bilinear ? bilinear_taps : nearest_taps, bilinear);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    tr_resample_plan(node, request, out, forward, backward);
}

const tr_op tr_op_upsample = {
    .schema = {"upsample",
               "An image of another size, of the nearest pixels or bilinear, as torch.nn.Upsample.",
               keys, sizeof keys / sizeof *keys, sizeof(upsample_args), "torch.nn.Upsample"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
