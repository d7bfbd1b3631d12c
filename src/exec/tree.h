/* The fixed tree in which gradients are summed over shards. Private to this module.
 *
 * Shards are the leaves 0..n-1. Node (level, i) is the sum of leaves i << level up to, but not
 * including, (i + 1) << level, as far as there are any: left child plus right child, or the left
 * child where there is no right one. A thread owns a run of leaves and sums the nodes that lie
 * wholly in it, like a binary counter; at most 2 log2(n) sums are left, one slot each. The
 * remaining reductions are a list of additions between slots, the same for each element, done where
 * the sum is used.
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

/* Leaf `start` goes to slot stack->n. Returns how many times the last slot is to be added to the
 * one before it (and dropped) after that. */
int tr_tree_push(tr_tree_stack *stack, int64_t start);

/* An operand: a thread's slot, or (thread TR_TREE_TEMPORARY) a buffer of the adding thread. */
typedef struct tr_tree_term {
    int thread, slot;
} tr_tree_term;
enum { TR_TREE_TEMPORARY = -1 };

typedef struct tr_tree_add { /* temporary `to` = left + right */
    int to;
    tr_tree_term left, right;
} tr_tree_add;

/* The reductions that remain after each thread has summed its leaves. The slots are only read,
 * so that a core's gradients stay in its cache. */
typedef struct tr_tree_remaining {
    int n_adds, n_temporaries;
    tr_tree_term total;
    tr_tree_add *adds; /* room for n_threads * TR_TREE_SLOTS */
} tr_tree_remaining;

/* Slots that the run of leaves a..b-1 needs while it is summed, and the most that any run of n
 * leaves needs. */
int tr_tree_slots(int64_t a, int64_t b);
int tr_tree_most_slots(int64_t n);
/* The remaining reductions when thread t has summed the leaves partition[t] .. partition[t + 1]
 * - 1. It has no more temporaries than tr_tree_most_slots of all leaves. */
void tr_tree_finish(const int64_t *partition, int n_threads, tr_tree_remaining *out);

#endif
