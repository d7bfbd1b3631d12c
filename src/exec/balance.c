/* How many shards each thread takes, from how long it took for those of the steps before.
 *
 * Cores are not equally fast: there are slower kinds, and some share their units with a sibling or,
 * in a virtual machine, with strangers. Who sums which shards never shows in a result (tree.h), so
 * the cut may follow what was measured. Pure functions.
 */
#include "exec/balance.h"

enum { WORTH_IT = 32 }; /* a new cut has to be faster by one part in so many */

static uint64_t longest(int n_threads, const uint64_t *ns, const int64_t *before,
                        const int64_t *cut) {
    uint64_t most = 0;
    for (int i = 0; i < n_threads; i++) {
        uint64_t each = ns[i] / (uint64_t)(before[i + 1] - before[i]);
        uint64_t time = each * (uint64_t)(cut[i + 1] - cut[i]);
        if (time > most) most = time;
    }
    return most;
}

void tr_balance_even(int n_threads, int64_t n, int64_t *cut) {
    for (int i = 0; i <= n_threads; i++) cut[i] = tr_part(n, i, n_threads);
}

void tr_balance_scale(int n_threads, const int64_t *cut, int64_t n, int64_t *out) {
    int64_t whole = cut[n_threads];
    for (int i = 0; i <= n_threads; i++) out[i] = tr_part(n, cut[i], whole);
}

bool tr_balance(int n_threads, const uint64_t *ns, int64_t *cut) {
    int64_t n = cut[n_threads], next[TR_MAX_THREADS + 1] = {0};
    double speeds = 0, sum = 0;
    for (int i = 0; i < n_threads; i++) {
        if (ns[i] == 0 || cut[i + 1] == cut[i]) return false;
        speeds += (double)(cut[i + 1] - cut[i]) / (double)ns[i];
    }
    for (int i = 0; i < n_threads; i++) {
        sum += (double)(cut[i + 1] - cut[i]) / (double)ns[i];
        next[i + 1] = (int64_t)((double)n * sum / speeds + 0.5);
        /* Nobody is left without a shard, or it could not show that it is faster now. */
        next[i + 1] = tr_max(next[i + 1], next[i] + 1);
        next[i + 1] = tr_min(next[i + 1], n - (n_threads - 1 - i));
    }
    uint64_t now = longest(n_threads, ns, cut, cut), then = longest(n_threads, ns, cut, next);
    if (then >= now - now / WORTH_IT) return false;
    for (int i = 0; i <= n_threads; i++) cut[i] = next[i];
    return true;
}
