/* local_response_norm: x divided by (k + alpha times the mean of the squares of `size` neighbouring
 * channels)^beta, torch.nn.LocalResponseNorm: size / 2 of them in front of the channel, channels
 * that are not there are zeros.
 *
 * The value is a pointwise function of x; backward makes the powers again.
 */
#include "ops/ops.h"

typedef struct response_args {
    int64_t size;
    double alpha, beta, k;
} response_args;

static const tr_key keys[] = {
    {"size", TR_KEY_INT, offsetof(response_args, size), NULL, 1, TR_MAX_VALUE, NULL,
     "channels whose squares are averaged"},
    {"alpha", TR_KEY_FLOAT, offsetof(response_args, alpha), "1e-4", 0, 1e6, NULL,
     "what their mean is multiplied with"},
    {"beta", TR_KEY_FLOAT, offsetof(response_args, beta), "0.75", 0, 100, NULL, "exponent"},
    {"k", TR_KEY_FLOAT, offsetof(response_args, k), "1", 0, 1e6, NULL, "added to the mean"},
};

static int shape(tr_node *node, tr_error *err) {
    node->unfused = node->in[0];
    return tr_want_image(node, 0, err);
}

static tr_response response_of(const tr_node *node) {
    const response_args *a = node->args;
    const int c = node->in[0].c;
    return (tr_response){.c = c,
                         .before = (int)tr_min(a->size / 2, c - 1),
                         .behind = (int)tr_min((a->size - 1) / 2, c - 1),
                         .scale = (tr_real)(a->alpha / (double)a->size),
                         .k = (tr_real)a->k,
                         .beta = (tr_real)a->beta};
}

static void forward(const tr_work *w) {
    const tr_response d = response_of(w->node);
    const int64_t pixels = (int64_t)w->node->in[0].h * w->node->in[0].w;
    for (int i = 0; i < w->n; i++)
        w->kernels->response(&d, pixels, tr_x(w, 0, i), tr_y(w, i), w->scratch);
}

static void backward(const tr_work *w) {
    const tr_response d = response_of(w->node);
    const int64_t pixels = (int64_t)w->node->in[0].h * w->node->in[0].w;
    for (int i = 0; i < w->n; i++)
        w->kernels->response_dx(&d, pixels, tr_x(w, 0, i), tr_dy(w, i), tr_dx(w, 0, i), w->scratch);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    const tr_response d = response_of(node);
    tr_plan_map(out, request, true, forward, backward);
    if (request->need_dx[0]) tr_reads(out, TR_X, 0);
    out->scratch_bytes = tr_response_scratch(&d) * (int64_t)sizeof(tr_real);
}

const tr_op tr_op_local_response_norm = {
    .schema = {"local_response_norm",
               "Division of each element by a power of the mean square of neighbouring channels, "
               "as torch.nn.LocalResponseNorm.",
               keys, sizeof keys / sizeof *keys, sizeof(response_args),
               "torch.nn.LocalResponseNorm"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
