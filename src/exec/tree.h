/* The fixed tree in which gradients are summed over shards. Private to this room.
 *
 * Shards are the leaves 0..n-1. Node (level, i) is the sum of leaves i << level up to, but not
 * including, (i + 1) << level, as far as there are any: left child plus right child, or the left child
 * where there is no right one. A thread owns a run of leaves and adds up what lies whole in it, like a
 * binary counter; at most 2 log2(n) sums are left, one slot each. The rest of the tree is a list of
 * additions between slots, the same for each element, done where the sum is used.
 */
#ifndef TR_TREE_H
#define TR_TREE_H

#include "base/base.h"

enum { TR_TREE_SLOTS = 64 };

typedef struct tr_tree_stack { /* one thread's sums: slot i holds (level[i], start[i]) */
    int n;
    int level[TR_TREE_SLOTS];
    int64_t start[TR_TREE_SLOTS];
} tr_tree_stack;

/* Leaf `start` goes to slot stack->n. Returns how many times the last slot is to be added to the one
 * before it (and dropped) after that. */
int tr_tree_push(tr_tree_stack *stack, int64_t start);

typedef struct tr_tree_add { /* slot `from_slot` of thread `from` is added to `to_slot` of `to` */
    int to, to_slot, from, from_slot;
} tr_tree_add;

/* Slots that the run of leaves a..b-1 needs while it is summed. */
int tr_tree_slots(int64_t a, int64_t b);
/* The additions left after threads 0..n_threads-1 summed their parts of n leaves; at most
 * n_threads * TR_TREE_SLOTS. The total is in slot 0 of thread 0. Returns their number. */
int tr_tree_finish(int64_t n, int n_threads, tr_tree_add *adds);

#endif
