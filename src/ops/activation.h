/* What activations have in common. One is a layer whose value is a function of each element: its op
 * says which kernel that is (op->activation), and has the shape function tr_shape_of_input and this
 * plan.
 *
 * The value is pointwise, so it is not kept where only one layer reads it; backward reads x.
 */
#ifndef TR_ACTIVATION_H
#define TR_ACTIVATION_H

#include "ops/ops.h"

void tr_plan_activation(const tr_node *node, const tr_request *request, tr_plan *out);

#endif
