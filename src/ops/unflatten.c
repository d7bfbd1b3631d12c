/* unflatten: features become an image, torch.nn.Unflatten, x.view(n, c, h, w): what leads from a
 * linear layer back to the channels of an image. */
#include <string.h>

#include "ops/ops.h"

typedef struct unflatten_args {
    int64_t dim;
    tr_floats size;
} unflatten_args;

enum { N_DIMS = 3 };

static const tr_key keys[] = {
    {"dim", TR_KEY_INT, offsetof(unflatten_args, dim), "1", -1, 1, NULL,
     "the dimension that is replaced: 1 (or -1), the features"},
    {"unflattened_size", TR_KEY_FLOATS, offsetof(unflatten_args, size), NULL, -1, TR_MAX_VALUE,
     NULL, "channels,height,width; -1 for one of them: what the others leave"},
};

static int fail(const tr_node *node, tr_error *err) {
    char text[64];
    return tr_fail_at(err, tr_key_where(node, "unflattened_size"), node->name,
                      "unflattened_size wants three numbers whose product is the %s features, as "
                      "in %s,1,1",
                      tr_shape_text(node->in[0], text), text);
}

static int shape(tr_node *node, tr_error *err) {
    const unflatten_args *a = node->args;
    const int64_t features = tr_shape_size(node->in[0]);
    int code = tr_want_features(node, 0, err);
    if (code) return code;
    if (a->dim == 0)
        return tr_fail_at(err, tr_key_where(node, "dim"), node->name,
                          "dim=0 is that of the samples, allowed are 1 and -1");
    int64_t size[N_DIMS], product = 1;
    int rest = -1;
    if (a->size.n != N_DIMS) return fail(node, err);
    for (int i = 0; i < N_DIMS; i++) {
        size[i] = (int64_t)a->size.v[i];
        if ((double)size[i] != a->size.v[i] || size[i] == 0 || (size[i] < 0 && rest >= 0))
            return fail(node, err);
        if (size[i] < 0)
            rest = i;
        else if (size[i] > features / product)
            return fail(node, err);
        else
            product *= size[i];
    }
    if (rest >= 0) size[rest] = features / product;
    if (size[0] * size[1] * size[2] != features) return fail(node, err);
    node->unfused = (tr_shape){false, (int)size[1], (int)size[2], (int)size[0]};
    return TR_OK;
}

/* Is [h][w][c] the order (c, h, w), too? */
static bool is_pytorchs(tr_shape s) {
    return s.c == 1 || (int64_t)s.h * s.w == 1;
}

/* Do the features lie as the elements of the image do? */
static bool in_order(const tr_node *node) {
    const tr_shape in = node->in[0], out = node->out;
    return (in.h == out.h && in.w == out.w) || (is_pytorchs(in) && is_pytorchs(out));
}

/* In scratch: where each element of an image lies that comes from, or goes to, the features of
 * another. Both have PyTorch's order (c, h, w) outside. */
static const int32_t *list(const tr_work *w, tr_shape to, tr_shape from) {
    int32_t *at = w->scratch;
    for (int64_t i = 0; i < tr_shape_size(to); i++)
        at[tr_feature_at(to, i)] = (int32_t)tr_feature_at(from, i);
    return at;
}

static void move(const tr_work *w, const tr_binding *x, tr_shape from, const tr_binding *y,
                 tr_shape to) {
    const int64_t n = tr_shape_size(to);
    const int32_t *at = in_order(w->node) ? NULL : list(w, to, from);
    for (int i = 0; i < w->n; i++) {
        if (at)
            w->kernels->pick(1, n, at, tr_at(w, x, i), n, tr_at(w, y, i), n);
        else
            memcpy(tr_at(w, y, i), tr_at(w, x, i), (size_t)n * sizeof(tr_real));
    }
}

static void forward(const tr_work *w) {
    move(w, &w->x[0], w->node->in[0], w->y, w->node->out);
}

static void backward(const tr_work *w) {
    move(w, w->dy, w->node->out, &w->dx[0], w->node->in[0]);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    if (!in_order(node)) out->scratch_bytes = tr_shape_size(node->out) * (int64_t)sizeof(int32_t);
    tr_plan_map(out, request, true, forward, backward);
}

const tr_op tr_op_unflatten = {
    .schema = {"unflatten",
               "Features become an image, as torch.nn.Unflatten: unflattened_size=-1,1,1 makes "
               "channels of them, by which mul can weigh those of an image.",
               keys, sizeof keys / sizeof *keys, sizeof(unflatten_args), "torch.nn.Unflatten"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
