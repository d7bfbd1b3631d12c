/* The loader: batches in order, made ahead of time by the workers of a ring, or on demand.
 *
 * It owns the batches (one per slot of the ring), the order of the epoch and nothing of the data
 * set, which must outlive it. Batch k of epoch e holds the samples order[k * batch_size ...] of the
 * permutation for (seed, e), so it does not matter who makes it, when, or ahead of what. After
 * creation nothing is allocated. All functions but tr_batch_decode belong to the one consumer
 * thread; workers write only the slot they were given.
 */
#include <stdio.h>

#include "data/data.h"
#include "data/ring.h"

enum {
    MAX_WORKERS = 256,
    MAX_PREFETCH = 4096,
    MAX_BATCH = 1 << 24,
    /* Automatic prefetch: two batches a worker, so that one is made while the other waits, and
     * where batches are tiny so many samples that waking a worker, some 30 us of the consumer's
     * time for half of a ring, does not count; as long as they take little memory. */
    AUTO_BATCHES = 2,
    AUTO_SAMPLES = 256,
    AUTO_BYTES = 4 << 20,
    MIN_SLOTS = 2, /* one batch in use while the next is made */
    /* Samples that a worker prefetches: memory takes about as long as decoding one. */
    AHEAD = 2,
};

static const tr_key loader_keys[] = {
    {"batch_size", TR_KEY_INT, offsetof(tr_loader_args, batch_size), "1", 1, MAX_BATCH, NULL,
     "samples in a batch"},
    {"shuffle", TR_KEY_BOOL, offsetof(tr_loader_args, shuffle), "false", 0, 0, NULL,
     "take the samples in another random order in every epoch"},
    {"drop_last", TR_KEY_BOOL, offsetof(tr_loader_args, drop_last), "false", 0, 0, NULL,
     "leave out the last batch of an epoch where it is not full"},
    {"workers", TR_KEY_INT, offsetof(tr_loader_args, workers), "auto", 0, MAX_WORKERS, "auto",
     "threads that make batches ahead; 0: the training threads decode them"},
    {"prefetch", TR_KEY_INT, offsetof(tr_loader_args, prefetch), "auto", 1, MAX_PREFETCH, "auto",
     "batches made ahead by each worker"},
};

const tr_schema tr_loader_schema = {
    .name = "loader",
    .help = "How batches are put together, and by which threads.",
    .keys = loader_keys,
    .n_keys = sizeof loader_keys / sizeof loader_keys[0],
    .args_bytes = sizeof(tr_loader_args),
};

struct slot {
    tr_batch batch; /* first: a tr_batch handed out is its slot */
    int32_t *labels;
    bool held;      /* by the consumer, who alone looks at this */
    tr_error error; /* of the worker that made the batch */
};

struct tr_loader {
    const tr_dataset *dataset;
    tr_pipeline pipeline;
    tr_generator generator;
    uint64_t seed;
    int64_t n_before;
    int64_t stride, batch_size, length;
    bool shuffle, lazy;

    uint32_t *order; /* [dataset->n] */
    tr_real *x;      /* [n_slots][batch_size][stride], each slot on a cache line */
    int32_t *labels; /* [n_slots][batch_size] */
    struct slot *slots;
    int n_slots;
    tr_ring *ring; /* NULL without workers */

    bool running;
    int64_t next; /* batch the consumer gets next */
    uint64_t consumer_wait_ns;
    int64_t n_batches, n_samples; /* handed out */
};

/* Prefetch the sample at this position of the epoch. */
static void prefetch_sample(const tr_loader *loader, int64_t position) {
    const tr_dataset *set = loader->dataset;
    if (set->prefetch && position < set->n) set->prefetch(set, (int)loader->order[position]);
}

/* Samples n0..n1-1 of a slot, the first of them to x. `ahead`: how far ahead to prefetch, or
 * 0. */
static int decode(const tr_loader *loader, struct slot *slot, int n0, int n1, tr_real *x,
                  int64_t stride, int ahead, const atomic_bool *canceled, tr_error *err) {
    const tr_dataset *set = loader->dataset;
    int64_t first = slot->batch.index * loader->batch_size;
    for (int i = n0; i < n1; i++) {
        if (ahead) prefetch_sample(loader, first + i + ahead);
        if (canceled && atomic_load_explicit(canceled, memory_order_relaxed)) return TR_ECANCELED;
        const unsigned char *pixels = NULL;
        int label = 0;
        int sample = (int)slot->batch.sample[i];
        int code = set->sample(set, sample, &pixels, &label, err);
        if (code < 0) return tr_fail(err, code, "sample %d could not be read", sample);
        if (label < 0 || label >= set->n_classes)
            return tr_fail(err, TR_EDATA, "sample %d has the label %d, allowed are 0 to %d", sample,
                           label, set->n_classes - 1);
        slot->labels[i] = label;
        tr_pipeline_decode(&loader->pipeline, pixels, set->h * set->w, x + (i - n0) * stride);
    }
    return TR_OK;
}

/* Everything about batch `number` but its pixels and labels. */
static void address(const tr_loader *loader, struct slot *slot, int64_t number) {
    int64_t first = number * loader->batch_size;
    slot->batch.index = number;
    slot->batch.n = (int)tr_min(loader->batch_size, loader->dataset->n - first);
    slot->batch.sample = loader->order + first;
    slot->error.code = TR_OK;
    slot->error.text[0] = '\0';
}

/* The ring's workers come here. A failure travels with the batch to tr_loader_next. */
static bool make_batch(void *arg, int index, int64_t number, const atomic_bool *canceled) {
    tr_loader *loader = arg;
    struct slot *slot = &loader->slots[index];
    address(loader, slot, number);
    return decode(loader, slot, 0, slot->batch.n, slot->batch.x, loader->stride, AHEAD, canceled,
                  &slot->error) != TR_ECANCELED;
}

static int64_t auto_prefetch(int64_t batch_size, int64_t stride) {
    int64_t sample_bytes = tr_min(stride, AUTO_BYTES) * (int64_t)sizeof(tr_real);
    int64_t samples = tr_min(AUTO_SAMPLES, AUTO_BYTES / sample_bytes);
    return tr_max(AUTO_BATCHES, (samples + batch_size - 1) / batch_size);
}

static int64_t count_slots(const tr_loader *loader, const tr_loader_args *args) {
    if (args->workers == 0) return MIN_SLOTS;
    int64_t prefetch = args->prefetch;
    if (prefetch < 0) prefetch = auto_prefetch(loader->batch_size, loader->stride);
    return tr_min(tr_max(MIN_SLOTS, args->workers * prefetch), loader->length);
}

/* The options of a loader, without its memory. */
static void set_up(tr_loader *loader, const tr_dataset *dataset, const tr_loader_options *options) {
    const tr_loader_args *args = &options->args;
    loader->dataset = dataset;
    loader->generator = options->generator;
    loader->seed = options->seed;
    loader->n_before = options->n_before;
    loader->stride = options->stride;
    loader->batch_size = tr_min(args->batch_size, dataset->n);
    loader->length = dataset->n / loader->batch_size;
    if (!args->drop_last && dataset->n % loader->batch_size != 0) loader->length++;
    loader->shuffle = args->shuffle;
    loader->lazy = options->lazy;
    loader->n_slots = (int)count_slots(loader, args);
}

/* Bytes of a slot's images, up to a cache line; INT64_MAX: more than fits. */
static int64_t slot_bytes(const tr_loader *loader) {
    int64_t bytes;
    if (__builtin_mul_overflow(loader->batch_size, loader->stride, &bytes) ||
        __builtin_mul_overflow(bytes, (int64_t)sizeof *loader->x, &bytes) ||
        bytes > INT64_MAX - TR_ALIGN)
        return INT64_MAX;
    return tr_round_up(bytes, TR_ALIGN);
}

int tr_loader_slots(const tr_dataset *dataset, const tr_loader_options *options) {
    tr_loader l = {0};
    if (dataset->n <= 0) return 0;
    set_up(&l, dataset, options);
    return l.n_slots;
}

int64_t tr_loader_bytes(const tr_dataset *dataset, const tr_loader_options *options) {
    tr_loader l = {0};
    tr_account sum = {0};
    if (dataset->n <= 0) return 0;
    set_up(&l, dataset, options);
    if (!l.lazy) tr_account_add(&sum, TR_MEMORY_LOADER, tr_alloc_bytes(l.n_slots, slot_bytes(&l)));
    tr_account_add(&sum, TR_MEMORY_LOADER,
                   tr_alloc_bytes(l.n_slots, l.batch_size * (int64_t)sizeof *l.labels));
    tr_account_add(&sum, TR_MEMORY_LOADER, tr_alloc_bytes(dataset->n, sizeof *l.order));
    tr_account_add(&sum, TR_MEMORY_LOADER, tr_alloc_bytes(l.n_slots, sizeof *l.slots));
    return tr_account_total(&sum);
}

int tr_loader_check_memory(const tr_dataset *dataset, const tr_loader_options *options,
                           const tr_places *places, tr_error *err) {
    const tr_loader_args *args = &options->args;
    tr_loader l = {0};
    char what[128];
    if (dataset->n <= 0) return TR_OK;
    set_up(&l, dataset, options);
    /* The key that is most out of the ordinary. */
    const char *key = "batch_size";
    double most = (double)args->batch_size / 128;
    if ((double)args->prefetch / AUTO_BATCHES > most) {
        key = "prefetch";
        most = (double)args->prefetch / AUTO_BATCHES;
    }
    if ((double)args->workers / 2 > most) key = "workers";
    snprintf(what, sizeof what, "%d batch%s of %lld images of %d x %d x %d numbers", l.n_slots,
             l.n_slots == 1 ? "" : "es", (long long)l.batch_size, dataset->c, dataset->h,
             dataset->w);
    return tr_check_memory(places, key, tr_loader_bytes(dataset, options), what, err);
}

static int make_slots(tr_loader *loader, tr_error *err) {
    int64_t bytes = slot_bytes(loader), per_slot = bytes / (int64_t)sizeof *loader->x;
    size_t n_slots = (size_t)loader->n_slots, batch_size = (size_t)loader->batch_size;
    loader->slots = tr_alloc(n_slots, sizeof *loader->slots, err);
    if (!loader->lazy) loader->x = tr_alloc(n_slots, (size_t)bytes, err);
    loader->labels = tr_alloc(n_slots, batch_size * sizeof *loader->labels, err);
    loader->order = tr_alloc((size_t)loader->dataset->n, sizeof *loader->order, err);
    if (!loader->slots || !loader->labels || !loader->order) return TR_ENOMEM;
    if (!loader->lazy && !loader->x) return TR_ENOMEM;
    /* Any worker may fill any slot: which NUMA node the pages are on does not matter. */
    if (loader->x) tr_touch(loader->x, loader->n_slots * bytes);
    tr_touch(loader->labels,
             loader->n_slots * loader->batch_size * (int64_t)sizeof *loader->labels);

    for (int i = 0; i < loader->n_slots; i++) {
        struct slot *slot = &loader->slots[i];
        slot->labels = loader->labels + (int64_t)i * loader->batch_size;
        slot->batch = (tr_batch){
            .x = loader->lazy ? NULL : loader->x + i * per_slot,
            .stride = loader->stride,
            .labels = slot->labels,
            .decoded = !loader->lazy,
        };
    }
    for (int i = 0; i < loader->dataset->n; i++) loader->order[i] = (uint32_t)i;
    return TR_OK;
}

int tr_loader_create(const tr_dataset *dataset, const tr_pipeline *pipeline,
                     const tr_loader_options *options, tr_loader **out, tr_error *err) {
    const tr_loader_args *args = &options->args;
    int64_t n = dataset->n;
    *out = NULL;
    if (args->batch_size < 1 || args->batch_size > MAX_BATCH || args->workers < 0 ||
        args->workers > MAX_WORKERS || args->prefetch == 0 || args->prefetch > MAX_PREFETCH)
        return tr_fail(err, TR_ECONFIG,
                       "loader: batch_size %lld, workers %lld or prefetch %lld is out of range",
                       (long long)args->batch_size, (long long)args->workers,
                       (long long)args->prefetch);
    if (pipeline->channels != dataset->c || (options->lazy && args->workers > 0) ||
        options->stride < (int64_t)dataset->h * dataset->w * dataset->c)
        return tr_fail(err, TR_ECONFIG, "loader: the options do not suit the data set");
    if (n <= 0) return tr_fail(err, TR_EDATA, "the data set is empty");
    if (args->drop_last && args->batch_size > n)
        return tr_fail(err, TR_ECONFIG,
                       "batch_size: %lld is more than the %lld samples of the data set, and "
                       "drop_last leaves no batch",
                       (long long)args->batch_size, (long long)n);

    tr_loader *loader = tr_alloc(1, sizeof *loader, err);
    if (!loader) return TR_ENOMEM;
    loader->pipeline = *pipeline;
    set_up(loader, dataset, options);

    int code = make_slots(loader, err);
    if (code < 0) goto fail;
    if (args->workers > 0) {
        tr_ring_options ring = {
            .n_slots = loader->n_slots,
            .n_workers = (int)args->workers,
            .make = make_batch,
            .arg = loader,
            .worker_start = options->worker_start,
            .worker_arg = options->worker_arg,
        };
        code = tr_ring_create(&ring, &loader->ring, err);
        if (code < 0) goto fail;
    }
    *out = loader;
    return TR_OK;
fail:
    tr_loader_free(loader);
    return code;
}

int64_t tr_loader_length(const tr_loader *loader) {
    return loader->length;
}

int tr_loader_begin(tr_loader *loader, int64_t epoch, tr_error *err) {
    if (loader->ring) tr_ring_stop(loader->ring);
    loader->running = false;
    if (epoch < 0 || epoch > UINT32_MAX)
        return tr_fail(err, TR_ECONFIG, "epoch %lld is out of range: 0 to %lu", (long long)epoch,
                       (unsigned long)UINT32_MAX);
    /* A batch that the consumer still holds is taken back. */
    for (int i = 0; i < loader->n_slots; i++) loader->slots[i].held = false;
    uint32_t n = (uint32_t)loader->dataset->n;
    if (loader->shuffle && loader->generator == TR_TORCH)
        tr_torch_permutation(loader->seed, loader->n_before, (uint32_t)epoch, loader->order, n);
    else if (loader->shuffle)
        tr_permutation(loader->seed, TR_STREAM_SHUFFLE, (uint32_t)epoch, loader->order, n);
    loader->next = 0;
    loader->running = true;
    if (loader->ring) tr_ring_begin(loader->ring, loader->length);
    return TR_OK;
}

int tr_loader_next(tr_loader *loader, tr_batch **out, tr_error *err) {
    *out = NULL;
    if (!loader->running || loader->next >= loader->length) return 0;
    int64_t number = loader->next;
    struct slot *slot = &loader->slots[number % loader->n_slots];
    if (slot->held)
        return tr_fail(err, TR_ECONFIG, "loader: all %d batches are held, release one first",
                       loader->n_slots);

    if (loader->ring) {
        loader->consumer_wait_ns += tr_ring_await(loader->ring, number);
    } else {
        address(loader, slot, number);
        if (!loader->lazy) {
            uint64_t start = tr_now_ns();
            decode(loader, slot, 0, slot->batch.n, slot->batch.x, loader->stride, AHEAD, NULL,
                   &slot->error);
            loader->consumer_wait_ns += tr_now_ns() - start;
        }
    }
    loader->next++;
    slot->held = true;
    if (slot->error.code < 0) {
        int code = tr_fail(err, slot->error.code, "%s", slot->error.text);
        tr_loader_release(loader, &slot->batch);
        return code;
    }
    loader->n_batches++;
    loader->n_samples += slot->batch.n;
    *out = &slot->batch;
    return 1;
}

void tr_loader_release(tr_loader *loader, tr_batch *batch) {
    struct slot *slot = (struct slot *)batch;
    if (!slot->held) return; /* tr_loader_begin took it back */
    slot->held = false;
    if (loader->ring) tr_ring_release(loader->ring, batch->index);
}

int tr_batch_decode(const tr_loader *loader, tr_batch *batch, int n0, int n1, tr_real *x,
                    int64_t stride, tr_error *err) {
    if (n0 < 0 || n0 > n1 || n1 > batch->n || batch->decoded)
        return tr_fail(err, TR_ECONFIG, "loader: no samples %d to %d to decode in batch %lld", n0,
                       n1, (long long)batch->index);
    /* The same thread will probably decode the same positions of the next batch. */
    int64_t next = (batch->index + 1) * loader->batch_size;
    for (int i = n0; i < n1; i++) prefetch_sample(loader, next + i);
    return decode(loader, (struct slot *)batch, n0, n1, x, stride, 0, NULL, err);
}

void tr_loader_get_stats(const tr_loader *loader, tr_loader_stats *out) {
    uint64_t worker_wait_ns = loader->ring ? tr_ring_worker_wait(loader->ring) : 0;
    *out = (tr_loader_stats){
        .consumer_wait_seconds = (double)loader->consumer_wait_ns * 1e-9,
        .worker_wait_seconds = (double)worker_wait_ns * 1e-9,
        .batches = loader->n_batches,
        .samples = loader->n_samples,
    };
}

void tr_loader_free(tr_loader *loader) {
    if (!loader) return;
    tr_ring_free(loader->ring);
    tr_free(loader->order);
    tr_free(loader->labels);
    tr_free(loader->x);
    tr_free(loader->slots);
    tr_free(loader);
}
