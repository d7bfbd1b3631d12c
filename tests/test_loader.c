/* The loader: what a batch holds whichever thread makes it, and that it starts, stops and fails at
 * any moment.
 *
 * The data set is made up: sample i has bytes that only i has, and a call may be slow or fail.
 * Times in here are bounds on hanging or burning CPU, wide enough for a machine that is busy
 * otherwise.
 */
#include "check_main.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/data.h"

enum { H = 2, W = 3, C = 3, FLOATS = H * W * C, CLASSES = 7, MOST = 300, STRIDE = FLOATS + 6 };

struct source {
    unsigned char pixels[MOST][FLOATS];
    atomic_int fail_at;          /* sample that cannot be read, or -1 */
    int bad_label_at, bad_label; /* sample with a label that no class has, or -1 */
    int sleep_us;                /* of each call */
    atomic_int calls, hints, late_hints;
    atomic_bool had[MOST]; /* samples that were read */
};

static int source_sample(const tr_dataset *set, int i, const unsigned char **pixels, int *label,
                         tr_error *err) {
    struct source *source = set->state;
    atomic_fetch_add(&source->calls, 1);
    atomic_store(&source->had[i], true);
    if (source->sleep_us > 0) usleep((useconds_t)source->sleep_us);
    if (i == source->fail_at) return tr_fail(err, TR_EDATA, "sample %d is damaged", i);
    *pixels = source->pixels[i];
    *label = i == source->bad_label_at ? source->bad_label : i % CLASSES;
    return TR_OK;
}

static void source_prefetch(const tr_dataset *set, int i) {
    struct source *source = set->state;
    atomic_fetch_add(&source->hints, 1);
    if (atomic_load(&source->had[i])) atomic_fetch_add(&source->late_hints, 1);
}

static struct source source;
static tr_dataset set;
static tr_pipeline pipeline;

static void make_set(int n) {
    tr_error err = {0};
    set = (tr_dataset){.n = n,
                       .h = H,
                       .w = W,
                       .c = C,
                       .n_classes = CLASSES,
                       .sample = source_sample,
                       .prefetch = source_prefetch,
                       .state = &source};
    source.fail_at = source.bad_label_at = -1;
    source.sleep_us = 0;
    atomic_store(&source.calls, 0);
    atomic_store(&source.hints, 0);
    atomic_store(&source.late_hints, 0);
    for (int i = 0; i < MOST; i++) atomic_store(&source.had[i], false);
    for (int i = 0; i < MOST; i++)
        for (int j = 0; j < FLOATS; j++)
            source.pixels[i][j] = (unsigned char)(tr_random(1, 99, (uint32_t)i, (uint64_t)j) >> 24);
    ck_assert_int_eq(tr_pipeline_create(NULL, 0, C, &pipeline, &err), TR_OK);
}

static tr_loader *make(tr_loader_options options) {
    tr_loader *loader = NULL;
    tr_error err = {0};
    if (options.args.prefetch == 0) options.args.prefetch = -1;
    options.stride = STRIDE;
    int code = tr_loader_create(&set, &pipeline, &options, &loader, &err);
    ck_assert_msg(code == TR_OK, "%s", err.text);
    return loader;
}

static tr_loader *simple(int batch_size, bool shuffle, int workers, int prefetch) {
    return make((tr_loader_options){.args = {.batch_size = batch_size,
                                             .shuffle = shuffle,
                                             .workers = workers,
                                             .prefetch = prefetch},
                                    .seed = 42});
}

static void begin(tr_loader *loader, int64_t epoch) {
    tr_error err = {0};
    ck_assert_int_eq(tr_loader_begin(loader, epoch, &err), TR_OK);
}

static tr_batch *next(tr_loader *loader) {
    tr_error err = {0};
    tr_batch *batch = NULL;
    int code = tr_loader_next(loader, &batch, &err);
    ck_assert_msg(code >= 0, "%s", err.text);
    ck_assert((code == 1) == (batch != NULL));
    return batch;
}

/* A batch holds the samples that it says it holds. */
static void check_batch(const tr_batch *batch, int64_t index) {
    ck_assert_int_eq(batch->index, index);
    ck_assert_int_eq(batch->stride, STRIDE);
    ck_assert_uint_eq((uintptr_t)batch->x % 64, 0);
    for (int i = 0; i < batch->n; i++) {
        uint32_t sample = batch->sample[i];
        ck_assert_uint_lt(sample, (uint32_t)set.n);
        if (batch->labels[i] != (int32_t)(sample % CLASSES)) ck_abort_msg("wrong label");
        for (int p = 0; p < H * W; p++)
            for (int c = 0; c < C; c++)
                if (batch->x[i * STRIDE + p * C + c] !=
                    (float)source.pixels[sample][c * H * W + p] / 255.0f)
                    ck_abort_msg("batch %d sample %d: wrong pixel", (int)index, i);
    }
}

/* Read an epoch to its end; the samples in order into seen[0..), their number returned. */
static int read_epoch(tr_loader *loader, int64_t epoch, uint32_t *seen) {
    tr_batch *batch;
    int n = 0;
    begin(loader, epoch);
    for (int64_t k = 0; (batch = next(loader)); k++) {
        if (!batch->decoded) { /* from the back, in two parts: any order is right */
            tr_error err = {0};
            int half = batch->n / 2;
            float *x = aligned_alloc(64, (size_t)(batch->n * STRIDE + 15) / 16 * 64);
            ck_assert_ptr_null(batch->x);
            ck_assert_int_eq(
                tr_batch_decode(loader, batch, half, batch->n, x + half * STRIDE, STRIDE, &err),
                TR_OK);
            ck_assert_int_eq(tr_batch_decode(loader, batch, 0, half, x, STRIDE, &err), TR_OK);
            batch->x = x;
        }
        check_batch(batch, k);
        if (!batch->decoded) {
            free(batch->x);
            batch->x = NULL;
        }
        for (int i = 0; i < batch->n; i++) seen[n++] = batch->sample[i];
        tr_loader_release(loader, batch);
    }
    ck_assert_ptr_null(next(loader)); /* the end stays the end */
    return n;
}

START_TEST(test_length_and_last_batch) {
    static const struct {
        int n, batch, drop, length, last;
    } cases[] = {
        {10, 4, 0, 3, 2}, {10, 4, 1, 2, 4}, {8, 4, 0, 2, 4}, {8, 4, 1, 2, 4}, {3, 4, 0, 1, 3},
        {1, 1, 0, 1, 1},  {4, 4, 1, 1, 4},  {7, 1, 1, 7, 1}, {9, 8, 0, 2, 1}, {9, 8, 1, 1, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int workers = 0; workers < 3; workers++) {
            make_set(cases[i].n);
            tr_loader *loader = make((tr_loader_options){.args = {.batch_size = cases[i].batch,
                                                                  .drop_last = cases[i].drop,
                                                                  .workers = workers}});
            ck_assert_int_eq(tr_loader_length(loader), cases[i].length);
            ck_assert_ptr_null(next(loader)); /* no epoch yet */
            begin(loader, 0);
            for (int k = 0; k < cases[i].length; k++) {
                tr_batch *batch = next(loader);
                ck_assert_ptr_nonnull(batch);
                int n = k == cases[i].length - 1 ? cases[i].last : cases[i].batch;
                ck_assert_int_eq(batch->n, n);
                tr_loader_release(loader, batch);
            }
            ck_assert_ptr_null(next(loader));
            tr_loader_free(loader);
        }
}
END_TEST

START_TEST(test_order_without_shuffle) {
    static uint32_t seen[MOST];
    make_set(101);
    for (int workers = 0; workers <= 3; workers++) {
        tr_loader *loader = simple(4, false, workers, -1);
        for (int epoch = 0; epoch < 2; epoch++) {
            ck_assert_int_eq(read_epoch(loader, epoch, seen), 101);
            for (uint32_t i = 0; i < 101; i++) ck_assert_uint_eq(seen[i], i);
        }
        tr_loader_free(loader);
    }
}
END_TEST

START_TEST(test_shuffle_takes_each_sample_once) {
    static uint32_t seen[3][MOST], expected[MOST];
    make_set(101);
    tr_loader *loader = simple(4, true, 2, -1);
    for (int epoch = 0; epoch < 3; epoch++) {
        bool had[101] = {false};
        ck_assert_int_eq(read_epoch(loader, epoch, seen[epoch]), 101);
        for (int i = 0; i < 101; i++) {
            ck_assert(!had[seen[epoch][i]]);
            had[seen[epoch][i]] = true;
        }
        tr_permutation(42, TR_STREAM_SHUFFLE, (uint32_t)epoch, expected, 101);
        ck_assert_mem_eq(seen[epoch], expected, 101 * sizeof expected[0]);
    }
    ck_assert_mem_ne(seen[0], seen[1], 101 * sizeof seen[0][0]);
    ck_assert_mem_ne(seen[1], seen[2], 101 * sizeof seen[0][0]);
    tr_loader_free(loader);

    /* drop_last leaves out what comes last in this epoch, not always the same. */
    loader = make((tr_loader_options){
        .args = {.batch_size = 50, .shuffle = true, .drop_last = true, .workers = 1}, .seed = 42});
    ck_assert_int_eq(read_epoch(loader, 1, seen[0]), 100);
    ck_assert_mem_eq(seen[0], seen[1], 100 * sizeof seen[0][0]);
    tr_loader_free(loader);
}
END_TEST

/* Batch k of epoch e is the same for every way to make it, and whatever epochs came before. */
START_TEST(test_batches_are_pure) {
    static uint32_t expected[3][MOST], seen[MOST];
    static const int prefetches[] = {1, 2, 7, -1};
    make_set(103);
    for (uint32_t e = 0; e < 3; e++) tr_permutation(42, TR_STREAM_SHUFFLE, e, expected[e], 103);
    for (int workers = 0; workers <= 5; workers++)
        for (int p = 0; p < 4; p++) {
            tr_loader *loader = simple(4, true, workers, prefetches[p]);
            for (int i = 0; i < 4; i++) {
                int epoch = (i * 2 + p) % 3;
                ck_assert_int_eq(read_epoch(loader, epoch, seen), 103);
                ck_assert_mem_eq(seen, expected[epoch], 103 * sizeof seen[0]);
            }
            tr_loader_free(loader);
        }
    tr_loader *lazy = make(
        (tr_loader_options){.args = {.batch_size = 4, .shuffle = true}, .seed = 42, .lazy = true});
    for (int epoch = 2; epoch >= 0; epoch--) {
        ck_assert_int_eq(read_epoch(lazy, epoch, seen), 103);
        ck_assert_mem_eq(seen, expected[epoch], 103 * sizeof seen[0]);
    }
    tr_loader_free(lazy);
}
END_TEST

/* Each sample but the first ones of an epoch is prefetched once, before it is read. */
START_TEST(test_hints) {
    static uint32_t seen[MOST];
    for (int way = 0; way < 3; way++) { /* lazy, no workers, one worker */
        make_set(103);
        tr_loader *loader = make(
            (tr_loader_options){.args = {.batch_size = 4, .shuffle = true, .workers = way == 2},
                                .seed = 42,
                                .lazy = way == 0});
        read_epoch(loader, 0, seen);
        tr_loader_free(loader);
        ck_assert_int_eq(source.hints, 103 - (way == 0 ? 4 : 2));
        ck_assert_int_eq(source.late_hints, 0);
    }
}
END_TEST

/* Begin again after j batches, with one in hand or not, over and over. */
START_TEST(test_cancel_in_mid_epoch) {
    static uint32_t seen[MOST], expected[MOST];
    make_set(103);
    for (int workers = 0; workers <= 3; workers++)
        for (int prefetch = 1; prefetch <= 3; prefetch += 2) {
            tr_loader *loader = simple(4, true, workers, prefetch);
            for (int round = 0; round < 40; round++) {
                begin(loader, round);
                tr_batch *batch = NULL;
                for (int j = 0; j < round % 27; j++) {
                    if (batch) tr_loader_release(loader, batch);
                    batch = next(loader);
                    if (batch) check_batch(batch, j);
                }
                if (batch && round % 2) tr_loader_release(loader, batch);
                if (batch && round % 4 == 0) {
                    begin(loader, round + 1);
                    tr_loader_release(loader, batch); /* taken back already: nothing happens */
                }
            }
            ck_assert_int_eq(read_epoch(loader, 5, seen), 103);
            tr_permutation(42, TR_STREAM_SHUFFLE, 5, expected, 103);
            ck_assert_mem_eq(seen, expected, 103 * sizeof seen[0]);
            tr_loader_free(loader);
        }
}
END_TEST

START_TEST(test_free_at_any_moment) {
    tr_loader_free(NULL);
    for (int workers = 0; workers <= 4; workers++)
        for (int moment = 0; moment < 7; moment++)
            for (int repeat = 0; repeat < 5; repeat++) {
                make_set(103);
                if (moment == 3) source.sleep_us = 500; /* the ring is empty, workers at work */
                tr_loader *loader = simple(4, true, workers, 2);
                if (moment > 0) begin(loader, 0); /* 1: just begun */
                if (moment == 2) usleep(1000);    /* the ring is full, workers wait */
                if (moment >= 4) next(loader);    /* a batch is in hand */
                if (moment == 5) usleep(200 * (useconds_t)repeat);
                if (moment == 6) {
                    static uint32_t seen[MOST];
                    begin(loader, 1);
                    read_epoch(loader, 2, seen);
                }
                tr_loader_free(loader);
            }
}
END_TEST

/* A batch of two seconds of work is given up at its next sample. */
START_TEST(test_stops_promptly) {
    make_set(100);
    source.sleep_us = 20000;
    tr_loader *loader = simple(100, false, 2, 2);
    begin(loader, 0);
    usleep(30000);
    double start = tr_now();
    begin(loader, 1);
    tr_loader_free(loader);
    ck_assert_double_lt(tr_now() - start, 1.0);
}
END_TEST

START_TEST(test_errors_reach_the_consumer) {
    static uint32_t seen[MOST];
    static const int workers[] = {0, 1, 3};
    for (int w = 0; w < 3; w++)
        for (int shuffle = 0; shuffle <= 1; shuffle++) {
            make_set(103);
            tr_loader *loader = simple(4, shuffle, workers[w], -1);
            for (int epoch = 0; epoch < 3; epoch++) {
                uint32_t order[103];
                for (uint32_t i = 0; i < 103; i++) order[i] = i;
                if (shuffle) tr_permutation(42, TR_STREAM_SHUFFLE, (uint32_t)epoch, order, 103);
                source.fail_at = 37;
                begin(loader, epoch);
                for (int k = 0; k < 26; k++) {
                    bool bad = false;
                    for (int i = 4 * k; i < 4 * k + 4 && i < 103; i++) bad |= order[i] == 37;
                    tr_error err = {0};
                    tr_batch *batch = &(tr_batch){0};
                    int code = tr_loader_next(loader, &batch, &err);
                    if (bad) {
                        ck_assert_int_eq(code, TR_EDATA);
                        ck_assert_int_eq(err.code, TR_EDATA);
                        ck_assert_str_eq(err.text, "sample 37 is damaged");
                        ck_assert_ptr_null(batch);
                    } else {
                        ck_assert_int_eq(code, 1);
                        check_batch(batch, k);
                        tr_loader_release(loader, batch);
                    }
                }
                ck_assert_ptr_null(next(loader));
                /* A failure leaves nothing behind, nor does one under way that is never reported.
                 */
                begin(loader, 0);
                atomic_store(&source.fail_at, -1);
                ck_assert_int_eq(read_epoch(loader, epoch, seen), 103);
            }
            tr_loader_free(loader);
        }
}
END_TEST

START_TEST(test_errors_of_lazy_batches) {
    make_set(103);
    source.fail_at = 37;
    tr_loader *loader =
        make((tr_loader_options){.args = {.batch_size = 50}, .seed = 1, .lazy = true});
    begin(loader, 0);
    tr_batch *batch = next(loader);
    tr_error err = {0};
    static float x[50 * STRIDE];
    ck_assert_int_eq(tr_batch_decode(loader, batch, 0, 37, x, STRIDE, &err), TR_OK);
    ck_assert_int_eq(tr_batch_decode(loader, batch, 38, 50, x, STRIDE, &err), TR_OK);
    ck_assert_int_eq(tr_batch_decode(loader, batch, 36, 38, x, STRIDE, &err), TR_EDATA);
    ck_assert_str_eq(err.text, "sample 37 is damaged");
    tr_loader_free(loader);
}
END_TEST

/* Several batches in hand, given back in another order. */
START_TEST(test_consumer_holds_several) {
    make_set(103);
    for (int workers = 1; workers <= 3; workers++) {
        tr_loader *loader = simple(4, true, workers, 4);
        for (int epoch = 0; epoch < 20; epoch++) {
            begin(loader, epoch);
            for (int k = 0; k < 24; k += 3) {
                tr_batch *held[3];
                for (int i = 0; i < 3; i++) held[i] = next(loader);
                for (int i = 0; i < 3; i++) check_batch(held[i], k + i);
                tr_loader_release(loader, held[1]);
                tr_loader_release(loader, held[2]);
                tr_loader_release(loader, held[0]);
            }
        }
        tr_loader_free(loader);
    }
}
END_TEST

/* A full ring of four batches and a sleeping worker: it is woken by half of the ring, without
 * a waiting consumer, and by a consumer that waits, however few slots are free. */
START_TEST(test_sleeping_worker_is_woken) {
    tr_batch *held[4];
    make_set(103);
    tr_loader *loader = simple(4, false, 1, 4);
    for (int needed = 0; needed < 2; needed++) {
        begin(loader, 0);
        usleep(30000);
        int calls = atomic_load(&source.calls);
        for (int i = 0; i < 4; i++) held[i] = next(loader);
        tr_loader_release(loader, held[0]);
        if (needed) {
            check_batch(next(loader), 4);
        } else {
            tr_loader_release(loader, held[1]);
            double start = tr_now();
            while (atomic_load(&source.calls) < calls + 8 && tr_now() - start < 2) usleep(1000);
            ck_assert_int_eq(atomic_load(&source.calls), calls + 8);
        }
    }
    tr_loader_free(loader);
}
END_TEST

START_TEST(test_many_epochs) {
    static uint32_t seen[MOST];
    make_set(50);
    for (int workers = 1; workers <= 5; workers += 2)
        for (int prefetch = 1; prefetch <= 4; prefetch += 3) {
            tr_loader *loader = simple(3, true, workers, prefetch);
            for (int epoch = 0; epoch < 150; epoch++)
                ck_assert_int_eq(read_epoch(loader, epoch, seen), 50);
            tr_loader_free(loader);
        }
}
END_TEST

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Neither workers without room nor a consumer without data burn a CPU. */
START_TEST(test_waiting_threads_sleep) {
    make_set(103);
    tr_loader *loader = simple(4, true, 4, 2);
    begin(loader, 0);
    usleep(20000);
    double start = cpu_seconds();
    usleep(200000);
    /* Five threads sleep for 0.2 s: even one that spun would need all of it. */
    ck_assert_double_lt(cpu_seconds() - start, 0.05);
    tr_loader_free(loader);

    make_set(8);
    source.sleep_us = 100000;
    loader = simple(1, false, 2, 1);
    begin(loader, 0);
    start = cpu_seconds();
    for (int i = 0; i < 4; i++) tr_loader_release(loader, next(loader));
    ck_assert_double_lt(cpu_seconds() - start, 0.05);
    tr_loader_free(loader);
}
END_TEST

START_TEST(test_stats) {
    tr_loader_stats stats;
    static uint32_t seen[MOST];
    make_set(20);
    source.sleep_us = 2000;
    for (int workers = 0; workers <= 1; workers++) {
        tr_loader *loader = simple(4, false, workers, 2);
        read_epoch(loader, 0, seen);
        tr_loader_get_stats(loader, &stats);
        ck_assert_int_eq(stats.batches, 5);
        ck_assert_int_eq(stats.samples, 20);
        /* 20 samples of 2 ms each, and the consumer does nothing but wait. */
        ck_assert_double_ge(stats.consumer_wait_seconds, 0.030);
        if (workers == 0) ck_assert_double_eq(stats.worker_wait_seconds, 0);
        read_epoch(loader, 0, seen);
        tr_loader_get_stats(loader, &stats);
        ck_assert_int_eq(stats.batches, 10); /* since it was made, not since the epoch */
        tr_loader_free(loader);
    }
    /* A slow consumer: two workers wait for a free slot for most of the 50 ms. */
    make_set(100);
    tr_loader *loader = simple(4, false, 2, 2);
    begin(loader, 0);
    usleep(50000);
    for (int i = 0; i < 20; i++) tr_loader_release(loader, next(loader));
    begin(loader, 0);
    tr_loader_get_stats(loader, &stats);
    ck_assert_double_ge(stats.worker_wait_seconds, 0.020);
    tr_loader_free(loader);
}
END_TEST

static void count_start(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
}

START_TEST(test_worker_start) {
    static uint32_t seen[MOST];
    atomic_int started = 0;
    make_set(103);
    tr_loader *loader = make((tr_loader_options){
        .args = {.batch_size = 4, .workers = 3},
        .worker_start = count_start,
        .worker_arg = &started,
    });
    read_epoch(loader, 0, seen);
    read_epoch(loader, 1, seen);
    tr_loader_free(loader);
    ck_assert_int_eq(atomic_load(&started), 3);
}
END_TEST

START_TEST(test_labels_out_of_range) {
    static const int labels[] = {CLASSES, -1, 255};
    for (int i = 0; i < 9; i++) {
        tr_error err = {0};
        tr_batch *batch;
        float x[4 * STRIDE];
        char text[64];
        make_set(12);
        source.bad_label_at = 5;
        source.bad_label = labels[i % 3];
        tr_loader *loader = make((tr_loader_options){
            .args = {.batch_size = 4, .workers = i / 3 == 2 ? 2 : 0}, .lazy = i / 3 == 1});
        begin(loader, 0);
        tr_loader_release(loader, next(loader));
        int code = tr_loader_next(loader, &batch, &err);
        if (i / 3 == 1) {
            ck_assert_int_eq(code, 1);
            code = tr_batch_decode(loader, batch, 0, 4, x, STRIDE, &err);
        }
        ck_assert_int_eq(code, TR_EDATA);
        snprintf(text, sizeof text, "sample 5 has the label %d, allowed are 0 to 6",
                 source.bad_label);
        ck_assert_str_eq(err.text, text);
        tr_loader_free(loader);
    }
}
END_TEST

START_TEST(test_wrong_use) {
    tr_loader *loader;
    tr_batch *batch;
    float x[4 * STRIDE];
    const tr_loader_options good = {.args = {.batch_size = 4, .prefetch = -1}, .stride = STRIDE};
    make_set(12);
    for (int i = 0; i < 9; i++) {
        tr_loader_options o = good;
        tr_pipeline other = pipeline;
        if (i == 0) o.args.batch_size = 0;
        if (i == 1) o.args.batch_size = INT64_MAX;
        if (i == 2) o.args.workers = -1;
        if (i == 3) o.args.workers = 257;
        if (i == 4) o.args.prefetch = 0;
        if (i == 5) o.args.prefetch = 4097;
        if (i == 6) o.stride = FLOATS - 1;
        if (i == 7) o.args.workers = o.lazy = true;
        if (i == 8) other.channels = C - 1;
        tr_error err = {0};
        ck_assert_int_eq(tr_loader_create(&set, &other, &o, &loader, &err), TR_ECONFIG);
        ck_assert_ptr_null(loader);
    }
    loader = make(good);
    begin(loader, 0);
    next(loader);
    batch = next(loader);
    tr_error err = {0};
    tr_batch *third;
    ck_assert_int_eq(tr_loader_next(loader, &third, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "loader: all 2 batches are held, release one first");
    ck_assert_int_eq(tr_batch_decode(loader, batch, 0, 4, x, STRIDE, NULL), TR_ECONFIG);
    tr_loader_free(loader);
    tr_loader_options lazy = good;
    lazy.lazy = true;
    loader = make(lazy);
    begin(loader, 0);
    batch = next(loader);
    ck_assert_int_eq(tr_batch_decode(loader, batch, 0, 5, x, STRIDE, NULL), TR_ECONFIG);
    ck_assert_int_eq(tr_batch_decode(loader, batch, -1, 2, x, STRIDE, NULL), TR_ECONFIG);
    ck_assert_int_eq(tr_batch_decode(loader, batch, 3, 2, x, STRIDE, NULL), TR_ECONFIG);
    ck_assert_int_eq(tr_batch_decode(loader, batch, 0, 4, x, STRIDE, NULL), TR_OK);
    tr_loader_free(loader);
}
END_TEST

/* The key that is most out of the ordinary; the set has no bytes and is as large as it says. */
START_TEST(test_no_memory) {
    static const struct {
        tr_loader_args args;
        const char *message;
    } cases[] = {
        {{.batch_size = 1 << 24, .workers = 1, .prefetch = -1},
         "a.ini:3: loader.batch_size: 2 "
         "batches of 16777216 images of 8 x 1024 x 1024 numbers need "},
        {{.batch_size = 128, .workers = 8, .prefetch = 4096},
         "a.ini:4: loader.prefetch: 32768 "
         "batches of 128 images of 8 x 1024 x 1024 numbers need "},
        {{.batch_size = 2048, .workers = 256, .prefetch = -1},
         "a.ini:2: loader.workers: 512 "
         "batches of 2048 images of 8 x 1024 x 1024 numbers need "},
    };
    const tr_pair pairs[] = {{"batch_size", "", {"a.ini", 3}, "loader"},
                             {"prefetch", "", {"a.ini", 4}, "loader"}};
    const tr_places places = {pairs, 2, {"a.ini", 2}, "loader"};
    const tr_dataset large = {.n = INT32_MAX, .h = 1024, .w = 1024, .c = 8, .n_classes = 2};
    for (int i = 0; i < 3; i++) {
        tr_error err = {0};
        tr_loader_options options = {.args = cases[i].args, .stride = 1 << 23};
        ck_assert_int_eq(tr_loader_check_memory(&large, &options, &places, &err), TR_ECONFIG);
        ck_assert_msg(strstr(err.text, cases[i].message) == err.text, "%s", err.text);
    }
    tr_error err = {0};
    tr_loader_options small = {.args = {.batch_size = 4, .prefetch = -1}, .stride = STRIDE};
    make_set(12);
    ck_assert_int_eq(tr_loader_check_memory(&set, &small, &places, &err), TR_OK);
}
END_TEST

START_TEST(test_create_fails) {
    tr_loader *loader;
    tr_error err = {0};
    tr_loader_options options = {.args = {.batch_size = 64, .drop_last = true, .prefetch = -1},
                                 .stride = STRIDE};
    make_set(50);
    ck_assert_int_eq(tr_loader_create(&set, &pipeline, &options, &loader, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "batch_size: 64 is more than the 50 samples of the data set, and "
                               "drop_last leaves no batch");
    ck_assert_ptr_null(loader);

    err = (tr_error){0};
    set.n = 0;
    options.args.drop_last = false;
    ck_assert_int_eq(tr_loader_create(&set, &pipeline, &options, &loader, &err), TR_EDATA);
    ck_assert_str_eq(err.text, "the data set is empty");

    make_set(50);
    err = (tr_error){0};
    options.stride = INT64_MAX / 2;
    ck_assert_int_eq(tr_loader_create(&set, &pipeline, &options, &loader, &err), TR_ENOMEM);
    options.stride = STRIDE;

    options.args.workers = 2;
    for (long n = 0;; n++) {
        ck_assert_int_lt(n, 100);
        err = (tr_error){0};
        tr_alloc_fail_after(n);
        int code = tr_loader_create(&set, &pipeline, &options, &loader, &err);
        tr_alloc_fail_after(-1);
        if (code == TR_OK) break;
        ck_assert_int_eq(code, TR_ENOMEM);
        ck_assert_ptr_null(loader);
    }
    err = (tr_error){0};
    ck_assert_int_eq(tr_loader_begin(loader, -1, &err), TR_ECONFIG);
    ck_assert_ptr_null(next(loader));
    tr_loader_free(loader);
}
END_TEST

/* After creation nothing is allocated: every allocation would fail here, and the epochs with it. */
START_TEST(test_allocates_nothing) {
    static uint32_t seen[MOST];
    make_set(103);
    for (int workers = 0; workers <= 2; workers++) {
        tr_loader *loader = simple(4, true, workers, -1);
        tr_alloc_fail_after(0);
        for (int epoch = 0; epoch < 3; epoch++)
            ck_assert_int_eq(read_epoch(loader, epoch, seen), 103);
        tr_error err = {0};
        ck_assert_ptr_null(tr_alloc(1, 1, &err)); /* the one that was to fail is still to come */
        tr_alloc_fail_after(-1);
        tr_loader_free(loader);
    }
}
END_TEST

START_TEST(test_schema) {
    tr_loader_args args;
    tr_error err = {0};
    const tr_where where = {"test.ini", 3};
    ck_assert_int_eq(tr_args_parse(&tr_loader_schema, NULL, 0, where, NULL, &args, &err), TR_OK);
    ck_assert(args.batch_size == 1 && !args.shuffle && !args.drop_last);
    ck_assert(args.workers == -1 && args.prefetch == -1);
    const tr_pair pairs[] = {{"workers", "0", where, NULL}, {"batch_size", "4", where, NULL}};
    ck_assert_int_eq(tr_args_parse(&tr_loader_schema, pairs, 2, where, NULL, &args, &err), TR_OK);
    ck_assert(args.batch_size == 4 && args.workers == 0);
}
END_TEST

static Suite *loader_suite(void) {
    Suite *suite = suite_create("loader");
    TCase *batches = tcase_create("batches");
    tcase_add_test(batches, test_length_and_last_batch);
    tcase_add_test(batches, test_hints);
    tcase_add_test(batches, test_order_without_shuffle);
    tcase_add_test(batches, test_shuffle_takes_each_sample_once);
    tcase_add_test(batches, test_batches_are_pure);
    tcase_add_test(batches, test_consumer_holds_several);
    tcase_add_test(batches, test_allocates_nothing);
    tcase_add_test(batches, test_schema);
    suite_add_tcase(suite, batches);

    TCase *moments = tcase_create("moments");
    tcase_set_timeout(moments, 30); /* these hang when they fail; a sanitizer is slow */
    tcase_add_test(moments, test_cancel_in_mid_epoch);
    tcase_add_test(moments, test_free_at_any_moment);
    tcase_add_test(moments, test_stops_promptly);
    tcase_add_test(moments, test_sleeping_worker_is_woken);
    tcase_add_test(moments, test_many_epochs);
    tcase_add_test(moments, test_waiting_threads_sleep);
    tcase_add_test(moments, test_stats);
    tcase_add_test(moments, test_worker_start);
    suite_add_tcase(suite, moments);

    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, test_errors_reach_the_consumer);
    tcase_add_test(errors, test_errors_of_lazy_batches);
    tcase_add_test(errors, test_create_fails);
    tcase_add_test(errors, test_labels_out_of_range);
    tcase_add_test(errors, test_wrong_use);
    tcase_add_test(errors, test_no_memory);
    suite_add_tcase(suite, errors);
    return suite;
}

int main(void) {
    return tr_check_run(loader_suite());
}
