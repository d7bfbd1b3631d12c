/* flatten: an image becomes features, torch.nn.Flatten. Nothing moves: the layers after it know
 * that the features lie in the order of the image (h, w, c) and translate PyTorch's (c, h, w). */
#include "ops/ops.h"

static int shape(tr_node *node, tr_error *err) {
    (void)err;
    node->unfused = node->in[0];
    node->unfused.flat = true;
    return TR_OK;
}

const tr_op tr_op_flatten = {
    .schema = {"flatten", "An image becomes a vector of features, as torch.flatten(x, 1).", NULL, 0,
               1, "torch.nn.Flatten"},
    .min_inputs = 1,
    .max_inputs = 1,
    .view = true,
    .shape = shape,
};
