/* identity: the input as it is, torch.nn.Identity. A name for a value, at no cost. */
#include "ops/ops.h"

/* Where a block chooses between it and another layer, it has that one's arguments. */
static const tr_key keys[] = {{"*", TR_KEY_ANY, 0, "", 0, 0, NULL, "any arguments; ignored"}};

static int shape(tr_node *node, tr_error *err) {
    (void)err;
    node->unfused = node->in[0];
    return TR_OK;
}

const tr_op tr_op_identity = {
    .schema = {"identity", "Its input, unchanged, as torch.nn.Identity.", keys, 1, 1,
               "torch.nn.Identity"},
    .min_inputs = 1,
    .max_inputs = 1,
    .view = true,
    .shape = shape,
};
