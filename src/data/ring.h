/* A bounded ring of numbered items, made ahead of time by a pool of threads and taken in order.
 *
 * Private to the module `data`. The ring handles order and waiting only; what an item is, is the
 * business of `make`. Every function is called by one thread, the consumer; `make` runs in the
 * workers.
 */
#ifndef TR_DATA_RING_H
#define TR_DATA_RING_H

#include <stdatomic.h>

#include "base/base.h"

typedef struct tr_ring tr_ring;

typedef struct tr_ring_options {
    int n_slots;   /* items ready, in work or held by the consumer at most; >= 1 */
    int n_workers; /* >= 1 */
    /* Make item `number` in `slot` (= number % n_slots). False: `canceled` became true on the way
     * and the item is abandoned. Called by several workers at once, never for one slot. */
    bool (*make)(void *arg, int slot, int64_t number, const atomic_bool *canceled);
    void *arg;
    void (*worker_start)(void *arg); /* once in each worker, first thing; may be NULL */
    void *worker_arg;
} tr_ring_options;

/* Start the workers, asleep. Fails on no memory or no thread. */
int tr_ring_create(const tr_ring_options *options, tr_ring **out, tr_error *err);
/* Let the workers make items 0..n_items-1. The ring must be new or stopped. */
void tr_ring_begin(tr_ring *ring, int64_t n_items);
/* Abandon what is in work and return when no worker touches a slot any more. */
void tr_ring_stop(tr_ring *ring);
/* Return when item `number` is ready; items are awaited in order, once each. Nanoseconds waited. */
uint64_t tr_ring_await(tr_ring *ring, int64_t number);
/* Give the slot of an awaited item back. */
void tr_ring_release(tr_ring *ring, int64_t number);
/* Nanoseconds that workers waited for a free slot, summed over workers. */
uint64_t tr_ring_worker_wait(tr_ring *ring);
/* Stop, end and join the workers. NULL is fine. */
void tr_ring_free(tr_ring *ring);

#endif
