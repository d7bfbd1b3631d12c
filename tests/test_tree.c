/* The tree of gradient sums: any number of threads, and any cut of the leaves, adds up the same
 * tree. How the leaves are partitioned.
 *
 * Sums are symbols: a leaf is its number, a sum a hash of its two terms in their order. What
 * threads and the rest of the tree make of them must be what the definition in tree.h makes.
 */
#include <string.h>

#include "check_main.h"
#include "exec/balance.h"
#include "exec/tree.h"

static uint64_t join(uint64_t left, uint64_t right) {
    uint64_t hash = (left + 0x632be59bd9b4e019u) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ hash >> 29 ^ right) * 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 32;
}

/* Node (level, i) as tree.h defines it. */
static uint64_t node(int level, int64_t i, int64_t n) {
    if (level == 0) return (uint64_t)i;
    uint64_t left = node(level - 1, 2 * i, n);
    return (2 * i + 1) << (level - 1) < n ? join(left, node(level - 1, 2 * i + 1, n)) : left;
}

static uint64_t whole(int64_t n) {
    int level = 0;
    while ((int64_t)1 << level < n) level++;
    return node(level, 0, n);
}

/* Leaves partition[0] .. partition[threads] - 1. */
static void check_tree(const int64_t *partition, int threads) {
    enum { MOST_THREADS = 64 };
    static uint64_t slots[MOST_THREADS][TR_TREE_SLOTS], temporaries[2 * TR_TREE_SLOTS];
    static tr_tree_add adds[MOST_THREADS * TR_TREE_SLOTS];
    const int64_t n = partition[threads];
    for (int t = 0; t < threads; t++) {
        tr_tree_stack stack = {0};
        int64_t a = partition[t], b = partition[t + 1];
        int most = tr_tree_slots(a, b);
        ck_assert_int_le(most, tr_tree_most_slots(n));
        for (int64_t s = a; s < b; s++) {
            int slot = stack.n;
            if (slot >= most)
                ck_abort_msg("leaf %lld goes to slot %d of %d", (long long)s, slot, most);
            slots[t][slot] = (uint64_t)s;
            for (int merges = tr_tree_push(&stack, s); merges > 0; merges--, slot--)
                slots[t][slot - 1] = join(slots[t][slot - 1], slots[t][slot]);
            if (stack.n != slot + 1) ck_abort_msg("the stack holds %d, not %d", stack.n, slot + 1);
        }
    }
    tr_tree_remaining rest = {.adds = adds};
    static tr_tree_stack stacks[MOST_THREADS];
    for (int t = 0; t < threads; t++) {
        stacks[t] = (tr_tree_stack){0};
        for (int64_t s = partition[t]; s < partition[t + 1]; s++) tr_tree_push(&stacks[t], s);
    }
    tr_tree_join(stacks, threads, true, &rest);
    ck_assert_int_eq(rest.open.n, 1);
    ck_assert_int_le(rest.n_temporaries, tr_tree_most_slots(n) / 2 + 1);
    ck_assert_int_le(rest.n_adds, threads * TR_TREE_SLOTS);
    for (int i = 0; i <= rest.n_adds; i++) {
        const tr_tree_add last = {0, rest.term[0], rest.term[0]};
        const tr_tree_add *add = i < rest.n_adds ? &adds[i] : &last;
        uint64_t terms[2];
        for (int k = 0; k < 2; k++) {
            tr_tree_term x = k ? add->right : add->left;
            if (x.stack == TR_TREE_TEMPORARY && x.slot >= rest.n_temporaries)
                ck_abort_msg("temporary %d of %d", x.slot, rest.n_temporaries);
            terms[k] = x.stack == TR_TREE_TEMPORARY ? temporaries[x.slot] : slots[x.stack][x.slot];
        }
        if (i < rest.n_adds) {
            if (add->to >= rest.n_temporaries) ck_abort_msg("temporary %d", add->to);
            temporaries[add->to] = join(terms[0], terms[1]);
        } else if (terms[0] != whole(n)) {
            ck_abort_msg("%lld leaves on %d threads: another tree", (long long)n, threads);
        }
    }
}

static int64_t next(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void check_even(int64_t n, int threads) {
    int64_t partition[65];
    tr_balance_even(threads, n, partition);
    check_tree(partition, threads);
}

START_TEST(tree_is_the_definition) {
    for (int64_t n = 1; n <= 130; n++) {
        for (int threads = 1; threads <= (int)tr_min(n, 20); threads++) check_even(n, threads);
    }
    uint32_t seed = 4;
    for (int i = 0; i < 500; i++) {
        int64_t n = 1 + next(&seed) % 5000;
        check_even(n, (int)(1 + next(&seed) % tr_min(n, 64)));
    }
}
END_TEST

START_TEST(any_partition_is_the_same_tree) {
    for (int64_t n = 1; n <= 66; n++) {
        for (int64_t a = 0; a <= n; a++) {
            for (int64_t b = a; b <= n; b++) check_tree((const int64_t[]){0, a, b, n}, 3);
        }
    }
}
END_TEST

/* What `partition` would take when thread i needs slow[i] for a shard. */
static void times(const int64_t *partition, int threads, const int *slow, uint64_t *ns) {
    for (int i = 0; i < threads; i++)
        ns[i] = (uint64_t)((partition[i + 1] - partition[i]) * slow[i]);
}

START_TEST(shards_follow_speed) {
    static const struct {
        int threads, n;
        int slow[4];
        int64_t partition[5];
    } cases[] = {
        {2, 64, {100, 100}, {0, 32, 64}},
        {2, 64, {100, 103}, {0, 32, 64}}, /* half a shard: not worth it */
        {2, 64, {100, 125}, {0, 36, 64}},
        {2, 64, {300, 100}, {0, 16, 64}},
        {2, 4, {100, 125}, {0, 2, 4}},
        {2, 4, {100, 300}, {0, 3, 4}},
        {2, 8, {1, 1000}, {0, 7, 8}}, /* one is always left */
        {2, 8, {1000, 1}, {0, 1, 8}},
        {4, 64, {100, 100, 200, 200}, {0, 21, 43, 53, 64}}, /* two fast cores, two slow ones */
        {3, 3, {1, 50, 7}, {0, 1, 2, 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t partition[5];
        uint64_t ns[4];
        int threads = cases[i].threads;
        tr_balance_even(threads, cases[i].n, partition);
        times(partition, threads, cases[i].slow, ns);
        bool moved =
            memcmp(partition, cases[i].partition, (size_t)(threads + 1) * sizeof *partition) != 0;
        ck_assert_int_eq(tr_balance(threads, ns, partition), moved);
        for (int t = 0; t <= threads; t++) ck_assert_int_eq(partition[t], cases[i].partition[t]);
        /* As long as nothing changes it stays. */
        times(partition, threads, cases[i].slow, ns);
        ck_assert(!tr_balance(threads, ns, partition));
    }
    int64_t partition[] = {0, 48, 64}, part[3];
    ck_assert(!tr_balance(2, (const uint64_t[]){0, 5}, partition)); /* a clock that stood still */
    tr_balance_scale(2, partition, 9, part);
    ck_assert_int_eq(part[1], 6);
    ck_assert_int_eq(part[2], 9);
}
END_TEST

static Suite *tree_suite(void) {
    Suite *suite = suite_create("tree");
    TCase *all = tcase_create("tree");
    tcase_set_timeout(all, 30);
    tcase_add_test(all, tree_is_the_definition);
    tcase_add_test(all, any_partition_is_the_same_tree);
    tcase_add_test(all, shards_follow_speed);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(tree_suite());
}
