/* channel_shuffle: the first channel of each group, then the second of each, ...,
 * torch.nn.ChannelShuffle. */
#include "ops/ops.h"

typedef struct shuffle_args {
    int64_t groups;
} shuffle_args;

static const tr_key keys[] = {
    {"groups", TR_KEY_INT, offsetof(shuffle_args, groups), NULL, 1, 1 << 20, NULL,
     "what the channels are divided into, in their order"},
};

static int shape(tr_node *node, tr_error *err) {
    const shuffle_args *a = node->args;
    int code = tr_want_image(node, 0, err);
    if (code) return code;
    if (node->in[0].c % a->groups)
        return tr_fail_at(err, tr_key_where(node, "groups"), node->name,
                          "groups=%lld does not divide the %d channels", (long long)a->groups,
                          node->in[0].c);
    node->unfused = node->in[0];
    return TR_OK;
}

/* In scratch: where each channel comes from, shuffled into so many groups. */
static const int32_t *list(const tr_work *w, int groups) {
    int32_t *at = w->scratch;
    const int c = w->node->out.c;
    for (int o = 0; o < c; o++) at[o] = o % groups * (c / groups) + o / groups;
    return at;
}

static int groups_of(const tr_node *node) {
    return (int)((const shuffle_args *)node->args)->groups;
}

static void forward(const tr_work *w) {
    const tr_shape s = w->node->out;
    const int32_t *at = list(w, groups_of(w->node));
    for (int i = 0; i < w->n; i++)
        w->kernels->pick((int64_t)s.h * s.w, s.c, at, tr_x(w, 0, i), s.c, tr_y(w, i), s.c);
}

/* The same into as many groups as one had channels. */
static void backward(const tr_work *w) {
    const tr_shape s = w->node->out;
    const int32_t *at = list(w, s.c / groups_of(w->node));
    for (int i = 0; i < w->n; i++)
        w->kernels->pick((int64_t)s.h * s.w, s.c, at, tr_dy(w, i), s.c, tr_dx(w, 0, i), s.c);
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    out->scratch_bytes = node->out.c * (int64_t)sizeof(int32_t);
    tr_plan_map(out, request, true, forward, backward);
}

const tr_op tr_op_channel_shuffle = {
    .schema = {"channel_shuffle",
               "The channels of an image dealt out anew: the first of each group, then the second "
               "of each, and so on, as torch.nn.ChannelShuffle.",
               keys, sizeof keys / sizeof *keys, sizeof(shuffle_args), "torch.nn.ChannelShuffle"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
