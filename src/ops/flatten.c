/* flatten: an image becomes features, torch.nn.Flatten. Nothing moves: the layers after it know
 * that the features lie in the order of the image (h, w, c) and translate PyTorch's (c, h, w). */
#include "ops/ops.h"

typedef struct flatten_args {
    int64_t start, end;
} flatten_args;

static const tr_key keys[] = {
    {"start_dim", TR_KEY_INT, offsetof(flatten_args, start), "1", -4, 3, NULL,
     "the first dimension that becomes one with those behind it: 1 is the channels, 2 the height; "
     "a negative number counts from the end"},
    {"end_dim", TR_KEY_INT, offsetof(flatten_args, end), "-1", -4, 3, NULL, "the last of them"},
};

/* The dimension from 0, the samples, or -1 where there is none. */
static int dimension(int64_t dim, int n_dims) {
    if (dim < 0) dim += n_dims;
    return dim < n_dims ? (int)dim : -1;
}

static int shape(tr_node *node, tr_error *err) {
    const flatten_args *a = node->args;
    const tr_shape in = node->in[0];
    const int n_dims = in.flat ? 2 : 4, start = dimension(a->start, n_dims),
              end = dimension(a->end, n_dims);
    const char *key = start < 0 ? "start_dim" : "end_dim";
    char text[64];
    tr_shape_text(in, text);
    if (start < 0 || end < 0)
        return tr_fail_at(err, tr_key_where(node, key), node->name,
                          "%s=%lld is no dimension of samples x %s, allowed are %d to %d", key,
                          (long long)(start < 0 ? a->start : a->end), text, -n_dims, n_dims - 1);
    if (start > end)
        return tr_fail_at(err, tr_key_where(node, "end_dim"), node->name,
                          "end_dim=%lld is before start_dim=%lld", (long long)a->end,
                          (long long)a->start);
    if (start == 0 && end > 0)
        return tr_fail_at(err, tr_key_where(node, "start_dim"), node->name,
                          "start_dim=%lld would make one of all samples, 1 and more keep them "
                          "apart",
                          (long long)a->start);
    if (start == 1 && end == 2)
        return tr_fail_at(err, tr_key_where(node, "end_dim"), node->name,
                          "channels and height alone cannot become one here: end_dim=-1 flattens "
                          "the image, start_dim=2 its height and width");
    node->unfused = in;
    if (start == 1 && end == 3) node->unfused.flat = true;
    if (start == 2 && end == 3) node->unfused = (tr_shape){false, 1, in.h * in.w, in.c};
    return TR_OK;
}

const tr_op tr_op_flatten = {
    .schema = {"flatten",
               "An image becomes a vector of features, as torch.flatten(x, 1). start_dim=2 makes "
               "one dimension of height and width: C x 1 x H W.",
               keys, sizeof keys / sizeof *keys, sizeof(flatten_args), "torch.nn.Flatten"},
    .min_inputs = 1,
    .max_inputs = 1,
    .view = true,
    .shape = shape,
};
