/* The fixed tree in which sums are added up over their leaves. Private to this module.
 *
 * Leaves are numbered 0..n-1 over the effective batch. Node (level, i) is the sum of leaves
 * i << level up to, but not including, (i + 1) << level, as far as there are any: left child plus
 * right child, or the left child where there is no right one. A run of leaves is added up as far as
 * nodes lie whole in it, like a binary counter; at most 2 log2(n) sums are left: its stack, one
 * slot for each. Stacks of neighbouring runs, be they of threads, of passes one after the other or
 * of ranks, are joined by tr_tree_join into a list of additions, the same for each element, which
 * is done where the sum is used. So it cannot show who added what.
 */
#ifndef TR_TREE_H
#define TR_TREE_H

#include "base/base.h"

enum { TR_TREE_SLOTS = 64 };

typedef struct tr_tree_stack { /* sums of a run of leaves: slot i holds (level[i], start[i]) */
    int n;
    bool partial; /* the last one is a leaf that lacks samples, with which the next run goes on */
    int level[TR_TREE_SLOTS];
    int64_t start[TR_TREE_SLOTS];
} tr_tree_stack;

/* No sums, and those of another stack: what lies behind the last one is not touched. */
static inline void tr_tree_clear(tr_tree_stack *stack) {
    stack->n = 0;
    stack->partial = false;
}
static inline void tr_tree_copy(const tr_tree_stack *from, tr_tree_stack *to) {
    tr_tree_clear(to);
    to->partial = from->partial;
    for (; to->n < from->n; to->n++) {
        to->level[to->n] = from->level[to->n];
        to->start[to->n] = from->start[to->n];
    }
}

/* Leaf `start` goes to slot stack->n. Returns how many times the last slot is to be added to the
 * one before it (and dropped) after that. */
int tr_tree_push(tr_tree_stack *stack, int64_t start);

/* A sum that is there: slot `slot` of stack number `stack`, or (TR_TREE_TEMPORARY) a buffer of
 * whoever adds. */
typedef struct tr_tree_term {
    int stack, slot;
} tr_tree_term;
enum { TR_TREE_TEMPORARY = -1 };

typedef struct tr_tree_add { /* temporary `to` = left + right */
    int to;
    tr_tree_term left, right;
} tr_tree_add;

/* What remains of the tree after runs of leaves were added up. The slots are only read, so that a
 * core's sums stay in its cache. */
typedef struct tr_tree_remaining {
    int n_adds, n_temporaries;
    tr_tree_add *adds;                /* room for n_stacks * TR_TREE_SLOTS */
    tr_tree_stack open;               /* what is left: one sum, the total, after the last run */
    tr_tree_term term[TR_TREE_SLOTS]; /* [open.n] where they are */
} tr_tree_remaining;

/* Slots that the run of leaves a..b-1 needs while it is added up, and the most that any run of n
 * leaves needs, wherever it begins. */
int tr_tree_slots(int64_t a, int64_t b);
int tr_tree_most_slots(int64_t n);
/* Joins the stacks of neighbouring runs, none of them partial. complete: no leaf follows. There are
 * no more temporaries than tr_tree_most_slots of all leaves. */
void tr_tree_join(const tr_tree_stack *stacks, int n_stacks, bool complete, tr_tree_remaining *out);

#endif
