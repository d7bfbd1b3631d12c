/* What layers that join values by arithmetic share (add, sub, mul): PyTorch's broadcasting. Private
 * to the module.
 *
 * An input has the shape of the value, or 1 where it differs. Full inputs, and a map of C x 1 x 1
 * beside a full one, go through kernels as they are; any other is brought to full size in scratch.
 */
#ifndef TR_JOIN_H
#define TR_JOIN_H

#include "ops/ops.h"

/* For shape(): sets node->unfused, or fails with the shapes that do not fit each other. */
int tr_join_shape(tr_node *node, tr_error *err);
bool tr_join_is_full(const tr_node *node, int j);

/* a joined with b. Of full ones this is full(); where one is a map of C x 1 x 1 and x the other, it
 * is (x - shift) * scale + offset, where MAP stands for the map. */
typedef enum tr_join_term {
    TR_JOIN_ZERO,
    TR_JOIN_ONE,
    TR_JOIN_MINUS_ONE,
    TR_JOIN_MAP
} tr_join_term;
typedef struct tr_join_affine {
    tr_join_term shift, scale, offset;
} tr_join_affine;
typedef struct tr_join_rule {
    void (*full)(const tr_kernels *kernels, int64_t n, const tr_real *a, const tr_real *b,
                 tr_real *y);
    tr_join_affine map_a, map_b; /* where a is the map, where b is */
} tr_join_rule;

/* Something of one sample; full: as large as the node's value. */
typedef struct tr_operand {
    const tr_real *at;
    tr_shape shape;
} tr_operand;
tr_operand tr_join_input(const tr_work *w, int j, int i);
tr_operand tr_join_full(const tr_work *w, const tr_real *at);

/* y, at full size, = a joined with b. y may be a where that is full. */
void tr_join_apply(const tr_work *w, const tr_join_rule *rule, tr_operand a, tr_operand b,
                   tr_real *y);
/* The phase of a forward: y = input 0 joined with input 1, with input 2, ... */
void tr_join_forward(const tr_work *w, const tr_join_rule *rule);
/* dx of input j, a smaller one, of sample i := the sum of g, or of g times `by` where that is not
 * NULL, over all that it was broadcast to. Both are full. */
void tr_join_reduce(const tr_work *w, int j, int i, const tr_real *g, const tr_real *by);
/* Full size, in scratch, that none of these functions uses. */
tr_real *tr_join_space(const tr_work *w);

/* Scratch, and the forward phase, which is pointwise. */
void tr_join_plan(const tr_node *node, tr_plan *out, void (*forward)(const tr_work *w));

#endif
