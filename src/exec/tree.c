/* The binary counter of tree.h, by leaves and by threads' sums. Pure functions. */
#include "exec/tree.h"

/* Whether the last two sums are the children of one node. */
static bool pairs(int left_level, int64_t left_start, int right_level) {
    return left_level == right_level && (left_start >> left_level & 1) == 0;
}

int tr_tree_push(tr_tree_stack *stack, int64_t start) {
    int merges = 0, n = stack->n;
    stack->level[n] = 0;
    stack->start[n] = start;
    while (n > 0 && pairs(stack->level[n - 1], stack->start[n - 1], stack->level[n])) {
        stack->level[--n]++;
        merges++;
    }
    stack->n = n + 1;
    return merges;
}

int tr_tree_slots(int64_t a, int64_t b) {
    tr_tree_stack stack = {0};
    int most = 0;
    for (int64_t s = a; s < b; s++) {
        if (stack.n + 1 > most) most = stack.n + 1;
        tr_tree_push(&stack, s);
    }
    return most;
}

int tr_tree_most_slots(int64_t n) {
    int levels = 0;
    while ((int64_t)1 << levels < n) levels++;
    return (int)tr_max(1, 2 * levels); /* left of the highest node, and right of it */
}

typedef struct open_sum { /* a node of the tree whose parent is not summed yet */
    tr_tree_term term;
    int level;
    int64_t start;
} open_sum;

/* The last two open sums become one, in a temporary that neither of them needs any more. */
static void join(open_sum *open, int *top, bool *taken, tr_tree_remaining *out) {
    tr_tree_term left = open[*top - 1].term, right = open[*top].term;
    int to = 0;
    if (left.thread == TR_TREE_TEMPORARY) {
        to = left.slot;
    } else if (right.thread == TR_TREE_TEMPORARY) {
        to = right.slot;
    } else {
        while (taken[to]) to++;
    }
    if (right.thread == TR_TREE_TEMPORARY) taken[right.slot] = false;
    taken[to] = true;
    if (to >= out->n_temporaries) out->n_temporaries = to + 1;
    out->adds[out->n_adds++] = (tr_tree_add){to, left, right};
    open[--*top].term = (tr_tree_term){TR_TREE_TEMPORARY, to};
    open[*top].level++;
}

void tr_tree_finish(const int64_t *partition, int n_threads, tr_tree_remaining *out) {
    open_sum open[2 * TR_TREE_SLOTS];
    bool taken[2 * TR_TREE_SLOTS] = {false};
    int top = -1;
    out->n_adds = out->n_temporaries = 0;
    for (int t = 0; t < n_threads; t++) {
        tr_tree_stack stack = {0};
        for (int64_t s = partition[t]; s < partition[t + 1]; s++) tr_tree_push(&stack, s);
        for (int i = 0; i < stack.n; i++) {
            open[++top] = (open_sum){{t, i}, stack.level[i], stack.start[i]};
            while (top > 0 && pairs(open[top - 1].level, open[top - 1].start, open[top].level))
                join(open, &top, taken, out);
        }
    }
    while (top > 0) join(open, &top, taken, out); /* right children that are short of leaves */
    out->total = open[0].term;
}
