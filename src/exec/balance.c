/* How many shards each thread takes, from how long it took for those of earlier steps.
 *
 * Cores are not equally fast: there are slower kinds, and some share their units with a sibling or,
 * in a virtual machine, with other guests. Who sums which shards never shows in a result (tree.h),
 * so the partition may follow what was measured. Pure functions.
 */
#include "exec/balance.h"

enum { WORTH_IT = 32 }; /* a new partition has to be faster by one part in so many */

static uint64_t longest(int n_threads, const uint64_t *ns, const int64_t *before,
                        const int64_t *partition) {
    uint64_t most = 0;
    for (int i = 0; i < n_threads; i++) {
        uint64_t each = ns[i] / (uint64_t)(before[i + 1] - before[i]);
        uint64_t time = each * (uint64_t)(partition[i + 1] - partition[i]);
        if (time > most) most = time;
    }
    return most;
}

void tr_balance_even(int n_threads, int64_t n, int64_t *partition) {
    for (int i = 0; i <= n_threads; i++) partition[i] = tr_part(n, i, n_threads);
}

void tr_balance_scale(int n_threads, const int64_t *partition, int64_t n, int64_t *out) {
    int64_t whole = partition[n_threads];
    for (int i = 0; i <= n_threads; i++) out[i] = tr_part(n, partition[i], whole);
}

bool tr_balance(int n_threads, const uint64_t *ns, int64_t *partition) {
    int64_t n = partition[n_threads], next[TR_MAX_THREADS + 1] = {0};
    double speeds = 0, sum = 0;
    for (int i = 0; i < n_threads; i++) {
        if (ns[i] == 0 || partition[i + 1] == partition[i]) return false;
        speeds += (double)(partition[i + 1] - partition[i]) / (double)ns[i];
    }
    for (int i = 0; i < n_threads; i++) {
        sum += (double)(partition[i + 1] - partition[i]) / (double)ns[i];
        next[i + 1] = (int64_t)((double)n * sum / speeds + 0.5);
        /* Each thread keeps a shard: without one it could not be measured again. */
        next[i + 1] = tr_max(next[i + 1], next[i] + 1);
        next[i + 1] = tr_min(next[i + 1], n - (n_threads - 1 - i));
    }
    uint64_t now = longest(n_threads, ns, partition, partition),
             then = longest(n_threads, ns, partition, next);
    if (then >= now - now / WORTH_IT) return false;
    for (int i = 0; i <= n_threads; i++) partition[i] = next[i];
    return true;
}
