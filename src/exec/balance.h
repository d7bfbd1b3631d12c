/* How shards are shared out among threads. Private to this room. A cut has n_threads + 1 places:
 * thread i takes the shards cut[i] .. cut[i + 1] - 1. */
#ifndef TR_BALANCE_H
#define TR_BALANCE_H

#include "threads/threads.h"

/* n shards in equal parts, and one of n shards in the proportions of another. */
void tr_balance_even(int n_threads, int64_t n, int64_t *cut);
void tr_balance_scale(int n_threads, const int64_t *cut, int64_t n, int64_t *out);

/* A better cut, if there is one that would be faster by three percent: ns[i] is what thread i took
 * for its part of `cut`. Each keeps one shard at least; there are no more threads than shards.
 * Returns whether `cut` is new. */
bool tr_balance(int n_threads, const uint64_t *ns, int64_t *cut);

#endif
