/* slice: some of the channels of an image, or of features, x[:, start:end].
 *
 * Features that were flattened from an image stay in its order where whole channels are taken, else
 * they have PyTorch's order afterwards. */
#include <string.h>

#include "ops/ops.h"

typedef struct slice_args {
    int64_t start, end; /* end -1: none */
} slice_args;

static const tr_key keys[] = {
    {"start", TR_KEY_INT, offsetof(slice_args, start), "0", 0, TR_MAX_VALUE, NULL,
     "the first channel, or feature, from 0"},
    {"end", TR_KEY_INT, offsetof(slice_args, end), "none", 1, TR_MAX_VALUE, "none",
     "behind the last of them; none: all to the end"},
};

static int64_t n_channels(tr_shape s) {
    return s.flat ? tr_shape_size(s) : s.c;
}

typedef struct range {
    int64_t start, n;
    bool whole; /* channels, of each pixel; else features in PyTorch's order */
} range;

static range range_of(const tr_node *node) {
    const slice_args *a = node->args;
    const tr_shape s = node->in[0];
    const int64_t end = a->end < 0 ? n_channels(s) : a->end, area = (int64_t)s.h * s.w;
    range r = {a->start, end - a->start, true};
    if (!s.flat || area == 1) return r;
    if (r.start % area || r.n % area) r.whole = false;
    return r.whole ? (range){r.start / area, r.n / area, true} : r;
}

static int shape(tr_node *node, tr_error *err) {
    const slice_args *a = node->args;
    const tr_shape s = node->in[0];
    const char *what = s.flat ? "features" : "channels";
    if (a->end > n_channels(s))
        return tr_fail_at(err, tr_key_where(node, "end"), node->name,
                          "end=%lld is behind the %lld %s", (long long)a->end,
                          (long long)n_channels(s), what);
    if (a->start >= n_channels(s))
        return tr_fail_at(err, tr_key_where(node, "start"), node->name,
                          "start=%lld is none of the %lld %s", (long long)a->start,
                          (long long)n_channels(s), what);
    if (a->end >= 0 && a->start >= a->end)
        return tr_fail_at(err, tr_key_where(node, "end"), node->name,
                          "start=%lld and end=%lld leave no %s", (long long)a->start,
                          (long long)a->end, what);
    const range r = range_of(node);
    node->unfused =
        r.whole ? (tr_shape){s.flat, s.h, s.w, (int)r.n} : (tr_shape){true, 1, 1, (int)r.n};
    return TR_OK;
}

static void forward(const tr_work *w) {
    const tr_shape s = w->node->in[0];
    const range r = range_of(w->node);
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = tr_x(w, 0, i);
        tr_real *y = tr_y(w, i);
        if (r.whole)
            w->kernels->copy_rows((int64_t)s.h * s.w, r.n, x + r.start, s.c, y, r.n);
        else
            for (int64_t e = 0; e < r.n; e++) y[e] = x[tr_feature_at(s, r.start + e)];
    }
}

static void backward(const tr_work *w) {
    const tr_shape s = w->node->in[0];
    const range r = range_of(w->node);
    for (int i = 0; i < w->n; i++) {
        const tr_real *dy = tr_dy(w, i);
        tr_real *dx = tr_dx(w, 0, i);
        memset(dx, 0, (size_t)tr_shape_size(s) * sizeof *dx);
        if (r.whole)
            w->kernels->copy_rows((int64_t)s.h * s.w, r.n, dy, r.n, dx + r.start, s.c);
        else
            for (int64_t e = 0; e < r.n; e++) dx[tr_feature_at(s, r.start + e)] = dy[e];
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_map(out, request, true, forward, backward);
}

const tr_op tr_op_slice = {
    .schema = {"slice",
               "Channels of an image (or features) from start to before end, x[:, start:end].",
               keys, sizeof keys / sizeof *keys, sizeof(slice_args), ""},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
