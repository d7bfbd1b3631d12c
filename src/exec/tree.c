/* The binary counter of tree.h, by leaves and by stacks. Pure functions. */
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

/* The last two open sums become one, in a temporary that neither of them needs any more. */
static void merge(tr_tree_remaining *out, bool *taken) {
    int top = out->open.n - 1, to = 0;
    tr_tree_term left = out->term[top - 1], right = out->term[top];
    if (left.stack == TR_TREE_TEMPORARY) {
        to = left.slot;
    } else if (right.stack == TR_TREE_TEMPORARY) {
        to = right.slot;
    } else {
        while (taken[to]) to++;
    }
    if (right.stack == TR_TREE_TEMPORARY) taken[right.slot] = false;
    taken[to] = true;
    if (to >= out->n_temporaries) out->n_temporaries = to + 1;
    out->adds[out->n_adds++] = (tr_tree_add){to, left, right};
    out->term[top - 1] = (tr_tree_term){TR_TREE_TEMPORARY, to};
    out->open.level[top - 1]++;
    out->open.n = top;
}

void tr_tree_join(const tr_tree_stack *stacks, int n_stacks, bool complete,
                  tr_tree_remaining *out) {
    bool taken[TR_TREE_SLOTS] = {false};
    tr_tree_stack *open = &out->open;
    out->n_adds = out->n_temporaries = 0;
    *open = (tr_tree_stack){0};
    for (int s = 0; s < n_stacks; s++) {
        const tr_tree_stack *stack = &stacks[s];
        for (int i = 0; i < stack->n; i++) {
            out->term[open->n] = (tr_tree_term){s, i};
            open->level[open->n] = stack->level[i];
            open->start[open->n++] = stack->start[i];
            while (open->n > 1 && pairs(open->level[open->n - 2], open->start[open->n - 2],
                                        open->level[open->n - 1]))
                merge(out, taken);
        }
    }
    while (complete && open->n > 1) merge(out, taken); /* right children that are short of leaves */
}
