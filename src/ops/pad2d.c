/* zero_pad2d, reflection_pad2d, replication_pad2d: pixels around an image, torch.nn.ZeroPad2d,
 * ReflectionPad2d and ReplicationPad2d. A negative padding crops. */
#include "ops/resample.h"

typedef struct pad_args {
    tr_sides padding;
} pad_args;

enum { MOST = 1 << 15 };

static const tr_key keys[] = {
    {"padding", TR_KEY_SIDES, offsetof(pad_args, padding), NULL, -MOST, MOST, NULL,
     "pixels on all sides, or on the left, right, top and bottom; a negative number crops"},
};

/* ---- shape ---- */

/* One side of the image: its pixels, and how far its two ends are moved outward. */
typedef struct side {
    const char *name;
    int64_t in, before, after;
} side;

static side side_of(const tr_node *node, bool rows) {
    const tr_sides *p = &((const pad_args *)node->args)->padding;
    return rows ? (side){"height", node->in[0].h, p->top, p->bottom}
                : (side){"width", node->in[0].w, p->left, p->right};
}

/* Does the padding leave pixels, and, where those are mirrored, reach no further than they do? */
static int check_side(const tr_node *node, bool rows, bool mirrored, tr_error *err) {
    const side s = side_of(node, rows);
    const int64_t most = tr_max(s.before, s.after), out = s.in + s.before + s.after;
    char text[64];
    if (-s.before >= s.in || -s.after >= s.in || out < 1)
        return tr_fail_at(err, tr_key_where(node, "padding"), node->name,
                          "padding by %lld and %lld leaves no pixel of the %s of %s",
                          (long long)s.before, (long long)s.after, s.name,
                          tr_shape_text(node->in[0], text));
    if (mirrored && most >= s.in)
        return tr_fail_at(err, tr_key_where(node, "padding"), node->name,
                          "padding=%lld is not less than the %s of %s, allowed are up to %lld",
                          (long long)most, s.name, tr_shape_text(node->in[0], text),
                          (long long)s.in - 1);
    return TR_OK;
}

static int shape_of(tr_node *node, bool mirrored, tr_error *err) {
    int code = tr_want_image(node, 0, err);
    if (code == TR_OK) code = check_side(node, true, mirrored, err);
    if (code == TR_OK) code = check_side(node, false, mirrored, err);
    if (code) return code;
    const side rows = side_of(node, true), columns = side_of(node, false);
    node->unfused = (tr_shape){false, (int)(rows.in + rows.before + rows.after),
                               (int)(columns.in + columns.before + columns.after), node->in[0].c};
    return TR_OK;
}

static int shape(tr_node *node, tr_error *err) {
    return shape_of(node, false, err);
}

static int shape_mirrored(tr_node *node, tr_error *err) {
    return shape_of(node, true, err);
}

/* ---- where a pixel comes from ---- */

static int zero_taps(const tr_node *node, bool rows, int o, tr_tap out[TR_MOST_TAPS]) {
    const side s = side_of(node, rows);
    const int64_t i = o - s.before;
    if (i < 0 || i >= s.in) return 0;
    out[0] = (tr_tap){(int)i, 1};
    return 1;
}

static int reflection_taps(const tr_node *node, bool rows, int o, tr_tap out[TR_MOST_TAPS]) {
    const side s = side_of(node, rows);
    const int64_t i = o - s.before;
    out[0] = (tr_tap){(int)(i < 0 ? -i : i >= s.in ? 2 * (s.in - 1) - i : i), 1};
    return 1;
}

static int replication_taps(const tr_node *node, bool rows, int o, tr_tap out[TR_MOST_TAPS]) {
    const side s = side_of(node, rows);
    const int64_t i = o - s.before;
    out[0] = (tr_tap){(int)(i < 0 ? 0 : i >= s.in ? s.in - 1 : i), 1};
    return 1;
}

/* ---- the layers ---- */

#define PAD(name, shape_of_it, torch, help)                                                        \
    static void name##_forward(const tr_work *w) {                                                 \
        tr_resample(w, name##_taps, false);                                                        \
    }                                                                                              \
    static void name##_backward(const tr_work *w) {                                                \
        tr_resample_dx(w, name##_taps, false);                                                     \
    }                                                                                              \
    static void name##_plan(const tr_node *node, const tr_request *request, tr_plan *out) {        \
        tr_resample_plan(node, request, out, name##_forward, name##_backward);                     \
    }                                                                                              \
    const tr_op tr_op_##name##_pad2d = {                                                           \
        .schema = {#name "_pad2d", help, keys, sizeof keys / sizeof *keys, sizeof(pad_args),       \
                   torch},                                                                         \
        .min_inputs = 1,                                                                           \
        .max_inputs = 1,                                                                           \
        .shape = shape_of_it,                                                                      \
        .plan = name##_plan,                                                                       \
    };

PAD(zero, shape, "torch.nn.ZeroPad2d", "Zeros around an image, as torch.nn.ZeroPad2d.")
PAD(reflection, shape_mirrored, "torch.nn.ReflectionPad2d",
    "An image mirrored at its edge pixels, as torch.nn.ReflectionPad2d.")
PAD(replication, shape, "torch.nn.ReplicationPad2d",
    "An image whose edge pixels go on, as torch.nn.ReplicationPad2d.")
