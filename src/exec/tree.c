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

int tr_tree_finish(int64_t n, int n_threads, tr_tree_add *adds) {
    struct {
        int thread, slot, level;
        int64_t start;
    } open[2 * TR_TREE_SLOTS];
    int n_adds = 0, top = -1;
    for (int t = 0; t < n_threads; t++) {
        tr_tree_stack stack = {0};
        int64_t end = tr_part(n, t + 1, n_threads);
        for (int64_t s = tr_part(n, t, n_threads); s < end; s++) tr_tree_push(&stack, s);
        for (int i = 0; i < stack.n; i++) {
            top++;
            open[top].thread = t;
            open[top].slot = i;
            open[top].level = stack.level[i];
            open[top].start = stack.start[i];
            while (top > 0 && pairs(open[top - 1].level, open[top - 1].start, open[top].level)) {
                adds[n_adds++] = (tr_tree_add){open[top - 1].thread, open[top - 1].slot,
                                               open[top].thread, open[top].slot};
                open[--top].level++;
            }
        }
    }
    for (; top > 0; top--) { /* right children that are missing leaves */
        adds[n_adds++] = (tr_tree_add){open[top - 1].thread, open[top - 1].slot, open[top].thread,
                                       open[top].slot};
    }
    return n_adds;
}
