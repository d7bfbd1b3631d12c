/* How shards are partitioned among threads. Private to this module. A partition has n_threads + 1
 * places: thread i takes the shards partition[i] .. partition[i + 1] - 1. */
#ifndef TR_BALANCE_H
#define TR_BALANCE_H

#include "threads/threads.h"

/* n shards in equal parts, and one of n shards in the proportions of another. */
void tr_balance_even(int n_threads, int64_t n, int64_t *partition);
void tr_balance_scale(int n_threads, const int64_t *partition, int64_t n, int64_t *out);

/* A better partition, if there is one that would be faster by three percent: ns[i] is what thread i
 * took for its part of `partition`. Each keeps one shard at least; there are no more threads than
 * shards. Returns whether `partition` is new. */
bool tr_balance(int n_threads, const uint64_t *ns, int64_t *partition);

#endif
