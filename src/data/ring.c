/* The ring of items and its workers: who may touch a slot, and who sleeps when.
 *
 * Slot number % n_slots carries a sequence number: 2 * number says "free, for item `number`", 2 *
 * number + 1 says "holds item `number`". Workers claim numbers in order, and only while the slot is
 * free, so no worker sleeps on a claim. The fast paths take no lock. Everything else is under
 * `mutex`.
 *
 * Waking costs a system call, so a release wakes sleeping workers only when half of the ring is
 * free. That cannot lose a wake-up: a consumer that finds its item missing wakes them however few
 * slots are free, before it waits itself. Each side announces that it sleeps and then reads the
 * sequence number; the other writes the sequence number and then looks for sleepers; all are
 * sequentially consistent, so at least one sees the other's write.
 */
#include "data/ring.h"

#include <assert.h>
#include <string.h>

enum {
    SPIN_NS = 20000, /* the consumer spins no longer than this, then sleeps */
    SPIN_PAUSES = 32 /* pauses between two readings of the clock: some 1 us */
};

/* On its own cache line: workers and consumer write neighbouring slots at the same time. */
struct sequence {
    _Alignas(TR_ALIGN) _Atomic int64_t value;
};

struct tr_ring {
    tr_ring_options options;
    int64_t enough_free;       /* free slots that make waking a worker worth its while */
    struct sequence *sequence; /* [n_slots] */
    pthread_t *threads;        /* [n_workers] */
    int n_threads;             /* started */
    bool have_mutex, have_wake, have_ready;

    pthread_mutex_t mutex;
    pthread_cond_t wake;  /* workers wait: for an epoch, for a free slot */
    pthread_cond_t ready; /* the consumer waits: for an item, for idle workers */

    /* Under mutex. */
    bool quit;
    uint64_t serial; /* counts epochs, so that a worker joins each once */
    int n_busy;      /* workers in an epoch */
    uint64_t worker_wait_ns;

    int64_t n_items;    /* changed only while no worker is busy */
    int64_t n_released; /* the consumer's */

    _Alignas(TR_ALIGN) _Atomic int64_t next_claim;
    atomic_bool canceled;
    _Alignas(TR_ALIGN) _Atomic int64_t awaited; /* the item the consumer sleeps for, or -1 */
    atomic_int n_sleeping; /* workers that wait for a free slot; changed under mutex */
};

static bool is_free(tr_ring *ring, int64_t number) {
    return atomic_load(&ring->sequence[number % ring->options.n_slots].value) == 2 * number;
}

static bool is_ready(tr_ring *ring, int64_t number) {
    const struct sequence *sequence = &ring->sequence[number % ring->options.n_slots];
    return atomic_load_explicit(&sequence->value, memory_order_acquire) == 2 * number + 1;
}

/* Something for a worker to do: a free slot, or the end of the epoch to notice. */
static bool has_work(tr_ring *ring) {
    int64_t number = atomic_load(&ring->next_claim);
    return number >= ring->n_items || is_free(ring, number);
}

/* Whoever has announced that it sleeps holds the mutex until it does: passing through the mutex is
 * enough to be heard, and a thread that is woken does not run into a mutex that is still held. */
static void wake_workers(tr_ring *ring) {
    pthread_mutex_lock(&ring->mutex);
    pthread_mutex_unlock(&ring->mutex);
    pthread_cond_broadcast(&ring->wake);
}

static void wake_consumer(tr_ring *ring) {
    pthread_mutex_lock(&ring->mutex);
    pthread_mutex_unlock(&ring->mutex);
    pthread_cond_signal(&ring->ready);
}

static void wait_for_slot(tr_ring *ring) {
    pthread_mutex_lock(&ring->mutex);
    uint64_t start = tr_now_ns();
    atomic_fetch_add(&ring->n_sleeping, 1);
    while (!atomic_load(&ring->canceled) && !has_work(ring))
        pthread_cond_wait(&ring->wake, &ring->mutex);
    atomic_fetch_sub(&ring->n_sleeping, 1);
    ring->worker_wait_ns += tr_now_ns() - start;
    pthread_mutex_unlock(&ring->mutex);
}

/* One worker's share of an epoch: returns when every item is claimed, or when canceled. */
static void make_items(tr_ring *ring) {
    const tr_ring_options *o = &ring->options;
    while (!atomic_load(&ring->canceled)) {
        int64_t number = atomic_load(&ring->next_claim);
        if (number >= ring->n_items) return;
        if (!is_free(ring, number)) {
            wait_for_slot(ring); /* returns at once if the claim has moved on meanwhile */
            continue;
        }
        /* The slot stays free for `number` until the one worker that claims it publishes it. */
        if (!atomic_compare_exchange_weak(&ring->next_claim, &number, number + 1)) continue;
        int slot = (int)(number % o->n_slots);
        if (!o->make(o->arg, slot, number, &ring->canceled)) return;
        atomic_store(&ring->sequence[slot].value, 2 * number + 1);
        if (atomic_load(&ring->awaited) == number) wake_consumer(ring);
    }
}

static void *worker_main(void *arg) {
    tr_ring *ring = arg;
    uint64_t seen = 0;
    if (ring->options.worker_start) ring->options.worker_start(ring->options.worker_arg);

    pthread_mutex_lock(&ring->mutex);
    for (;;) {
        while (!ring->quit && (atomic_load(&ring->canceled) || ring->serial == seen))
            pthread_cond_wait(&ring->wake, &ring->mutex);
        if (ring->quit) break;
        seen = ring->serial;
        ring->n_busy++;
        pthread_mutex_unlock(&ring->mutex);

        make_items(ring);

        pthread_mutex_lock(&ring->mutex);
        ring->n_busy--;
        if (ring->n_busy == 0) pthread_cond_signal(&ring->ready);
        /* No item is left to claim: workers that wait for a free slot wait for an epoch instead. */
        if (atomic_load(&ring->n_sleeping) > 0) pthread_cond_broadcast(&ring->wake);
    }
    pthread_mutex_unlock(&ring->mutex);
    return NULL;
}

int tr_ring_create(const tr_ring_options *options, tr_ring **out, tr_error *err) {
    assert(options->n_slots >= 1 && options->n_workers >= 1);
    *out = NULL;
    tr_ring *ring = tr_alloc(1, sizeof *ring, err);
    if (!ring) return TR_ENOMEM;
    int code = TR_ENOMEM;
    ring->options = *options;
    ring->enough_free = tr_max(1, options->n_slots / 2);
    atomic_init(&ring->next_claim, 0);
    atomic_init(&ring->canceled, true);
    atomic_init(&ring->awaited, -1);
    atomic_init(&ring->n_sleeping, 0);

    ring->sequence = tr_alloc((size_t)options->n_slots, sizeof *ring->sequence, err);
    if (!ring->sequence) goto fail;
    ring->threads = tr_alloc((size_t)options->n_workers, sizeof *ring->threads, err);
    if (!ring->threads) goto fail;
    ring->have_mutex = pthread_mutex_init(&ring->mutex, NULL) == 0;
    ring->have_wake = pthread_cond_init(&ring->wake, NULL) == 0;
    ring->have_ready = pthread_cond_init(&ring->ready, NULL) == 0;
    if (!ring->have_mutex || !ring->have_wake || !ring->have_ready) {
        code = tr_fail(err, TR_ESYSTEM, "the loader's locks could not be made");
        goto fail;
    }
    for (; ring->n_threads < options->n_workers; ring->n_threads++) {
        int rc = pthread_create(&ring->threads[ring->n_threads], NULL, worker_main, ring);
        if (rc != 0) {
            code = tr_fail(err, TR_ESYSTEM, "loader worker %d of %d could not be started: %s",
                           ring->n_threads + 1, options->n_workers, strerror(rc));
            goto fail;
        }
    }
    *out = ring;
    return TR_OK;
fail:
    tr_ring_free(ring);
    return code;
}

void tr_ring_begin(tr_ring *ring, int64_t n_items) {
    pthread_mutex_lock(&ring->mutex);
    assert(atomic_load(&ring->canceled) && ring->n_busy == 0);
    ring->n_items = n_items;
    ring->n_released = 0;
    for (int i = 0; i < ring->options.n_slots; i++)
        atomic_store(&ring->sequence[i].value, 2 * (int64_t)i);
    atomic_store(&ring->next_claim, 0);
    atomic_store(&ring->canceled, false);
    ring->serial++;
    pthread_cond_broadcast(&ring->wake);
    pthread_mutex_unlock(&ring->mutex);
}

void tr_ring_stop(tr_ring *ring) {
    pthread_mutex_lock(&ring->mutex);
    atomic_store(&ring->canceled, true);
    pthread_cond_broadcast(&ring->wake);
    while (ring->n_busy > 0) pthread_cond_wait(&ring->ready, &ring->mutex);
    pthread_mutex_unlock(&ring->mutex);
}

/* The consumer is about to wait: no worker may sleep while a slot is free. */
static void wake_sleepers(tr_ring *ring) {
    if (atomic_load(&ring->n_sleeping) > 0 && has_work(ring)) wake_workers(ring);
}

uint64_t tr_ring_await(tr_ring *ring, int64_t number) {
    if (is_ready(ring, number)) return 0;
    uint64_t start = tr_now_ns();
    wake_sleepers(ring);
    do {
        for (int i = 0; i < SPIN_PAUSES; i++) {
            if (is_ready(ring, number)) return tr_now_ns() - start;
            tr_pause();
        }
    } while (tr_now_ns() - start < SPIN_NS);

    pthread_mutex_lock(&ring->mutex);
    atomic_store(&ring->awaited, number);
    while (atomic_load(&ring->sequence[number % ring->options.n_slots].value) != 2 * number + 1)
        pthread_cond_wait(&ring->ready, &ring->mutex);
    atomic_store(&ring->awaited, -1);
    pthread_mutex_unlock(&ring->mutex);
    return tr_now_ns() - start;
}

void tr_ring_release(tr_ring *ring, int64_t number) {
    int64_t n_slots = ring->options.n_slots;
    assert(is_ready(ring, number));
    atomic_store(&ring->sequence[number % n_slots].value, 2 * (number + n_slots));
    ring->n_released++;
    if (atomic_load(&ring->n_sleeping) == 0) return;
    int64_t in_use = atomic_load(&ring->next_claim) - ring->n_released;
    if (n_slots - in_use >= ring->enough_free) wake_workers(ring);
}

uint64_t tr_ring_worker_wait(tr_ring *ring) {
    pthread_mutex_lock(&ring->mutex);
    uint64_t ns = ring->worker_wait_ns;
    pthread_mutex_unlock(&ring->mutex);
    return ns;
}

void tr_ring_free(tr_ring *ring) {
    if (!ring) return;
    if (ring->n_threads > 0) {
        pthread_mutex_lock(&ring->mutex);
        ring->quit = true;
        atomic_store(&ring->canceled, true);
        pthread_cond_broadcast(&ring->wake);
        pthread_mutex_unlock(&ring->mutex);
        for (int i = 0; i < ring->n_threads; i++) pthread_join(ring->threads[i], NULL);
    }
    if (ring->have_ready) pthread_cond_destroy(&ring->ready);
    if (ring->have_wake) pthread_cond_destroy(&ring->wake);
    if (ring->have_mutex) pthread_mutex_destroy(&ring->mutex);
    tr_free(ring->threads);
    tr_free(ring->sequence);
    tr_free(ring);
}
