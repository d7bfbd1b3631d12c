/* A training run of a network as a fingerprint of all its bits, and counters of the memory that it
 * asks for: what the tests of the executor share.
 *
 * Linked so that calloc, malloc, realloc and free of the test program and of the library go through
 * the counters below (tests/meson.build): what is allocated in a step is seen, and what a failed
 * creation leaves behind.
 */
#ifndef TR_TEST_EXEC_RUN_H
#define TR_TEST_EXEC_RUN_H

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "exec/run.h"
#include "network.h"

/* ---- counted memory ---- */

void *__real_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static atomic_long n_live, n_calls;
static _Atomic int64_t n_bytes; /* asked for zeroed */

void *__wrap_calloc(size_t n, size_t size) {
    void *p = __real_calloc(n, size);
    n_calls++;
    n_bytes += (int64_t)(n * size);
    n_live += p != NULL;
    return p;
}
void *__wrap_malloc(size_t size) {
    void *p = __real_malloc(size);
    n_calls++;
    n_live += p != NULL;
    return p;
}
void *__wrap_realloc(void *old, size_t size) {
    void *p = __real_realloc(old, size);
    n_calls++;
    n_live += old == NULL && p != NULL;
    return p;
}
void __wrap_free(void *memory) {
    n_calls++;
    n_live -= memory != NULL;
    __real_free(memory);
}

/* ---- one training run, as a fingerprint of all its bits ---- */

static inline uint64_t mix(uint64_t hash, const void *data, size_t bytes) {
    const char *p = data;
    for (size_t i = 0; i < bytes; i += 4) { /* all that is hashed is made of words */
        uint32_t word;
        memcpy(&word, p + i, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return hash;
}

enum { N_STEPS = 4, MOST_BATCH = 128 };

typedef struct run {
    /* what to do */
    tr_graph *graph;
    tr_exec_options options;
    int n_steps;        /* N_STEPS at most */
    int sizes[N_STEPS]; /* samples of each step */
    const tr_real *x;
    int64_t stride;
    const int32_t *labels;
    int (*load)(void *arg, int n0, int n1, tr_real *x, int64_t stride);
    bool uneven; /* make it believe that thread 0 is slower, then faster, in turns */
    int n_moves; /* out: how often the shards were partitioned anew for that */
    /* what came out */
    uint64_t bits; /* of losses, predictions, outputs, gradients and parameters */
    long n_calls;  /* for memory, in the steps */
    tr_exec_partition shape;
    tr_account account;
    int code; /* of the steps */
    tr_error err;
} run;

static inline void run_steps(tr_team *team, void *arg) {
    run *r = arg;
    tr_exec *exec = NULL;
    if (tr_exec_create(r->graph, &r->options, team, &exec, &r->err)) return;
    uint64_t hash = 1;
    size_t out = (size_t)tr_shape_size(r->graph->nodes[r->graph->output].unfused) * sizeof(tr_real);
    r->n_calls = 0;
    for (int i = 0; i < r->n_steps && r->code == TR_OK; i++) {
        tr_input input = {.n = r->sizes[i],
                          .x = r->x,
                          .stride = r->stride,
                          .labels = r->labels,
                          .load = r->load,
                          .arg = r};
        tr_result result;
        int64_t partition = exec->partition[1];
        for (int w = 0; r->uneven && w < exec->n_threads; w++)
            exec->workers[w].busy_ns = (uint64_t)(w == 0 && i % 4 < 2 ? 9000 : 3000);
        if (r->uneven) exec->n_measured = 1000;
        tr_alloc_fail_after(0); /* a step that asked tr_alloc would crash */
        long before = n_calls;
        r->code = tr_exec_step(exec, team, &input, 0.05, i, &result);
        r->n_calls += n_calls - before;
        tr_alloc_fail_after(-1);
        if (r->code) break;
        r->n_moves += exec->partition[1] != partition &&
                      (input.n < r->options.batch || exec->step_partition[1] == exec->partition[1]);
        hash = mix(hash, &result.loss, sizeof result.loss);
        hash = mix(hash, &result.n_correct, sizeof result.n_correct);
        hash = mix(hash, result.best, (size_t)input.n * sizeof *result.best);
        for (int s = 0; s < input.n; s++) hash = mix(hash, tr_exec_output(exec, s), out);
        for (int n = 0; r->options.keep_gradients && n < r->graph->n_rows; n++) {
            static tr_real gradient[1 << 16];
            int64_t count = read_gradient(exec, &r->graph->rows[n], gradient);
            hash = mix(hash, gradient, (size_t)count * sizeof *gradient);
        }
    }
    tr_exec_get_partition(exec, &r->shape);
    r->account = (tr_account){0};
    tr_exec_account(exec, &r->account);
    r->bits = mix(hash, r->graph->parameters, (size_t)r->graph->n_elements * sizeof(tr_real));
    tr_exec_free(exec);
}

/* The run of one network from the same start, on n threads. */
static inline uint64_t bits_of(run *r, int n_threads) {
    tr_graph_init(r->graph, TR_PHILOX, 5);
    r->code = TR_OK;
    r->err = (tr_error){0};
    on_team(n_threads, run_steps, r);
    if (r->err.code || r->code) ck_abort_msg("%d: %s", r->code, r->err.text);
    return r->bits;
}

/* Everything at once: fan-out, fan-in, dense and gathered convolutions, both algorithms of linear.
 */
static const char dag_layers[] = "a = conv2d out_channels=8 kernel_size=3 padding=1\n"
                                 "b = relu\n"
                                 "c = conv2d out_channels=8 kernel_size=3 padding=1 from=b\n"
                                 "d = conv2d out_channels=8 kernel_size=1 from=b\n"
                                 "e = add from=b,c,d\n"
                                 "f = relu\n"
                                 "g = conv2d out_channels=9 kernel_size=3 padding=1\n"
                                 "h = relu\n"
                                 "i = max_pool2d kernel_size=2\n"
                                 "j = max_pool2d kernel_size=3 stride=1\n"
                                 "k = flatten\n"
                                 "l = linear out_features=48\n"
                                 "m = relu\n"
                                 "n = linear out_features=48 from=k\n"
                                 "o = add from=m,n\n"
                                 "p = linear out_features=10\n";

static tr_real *pixels;
static int32_t *labels;
static const tr_shape image = {false, 32, 32, 3}, small_image = {false, 12, 11, 3};

static inline void make_data(void) {
    uint32_t seed = 9;
    pixels = samples(MOST_BATCH, image, 3); /* the small network's samples begin in them, too */
    labels = tr_alloc(MOST_BATCH, sizeof *labels, NULL);
    for (int i = 0; i < MOST_BATCH; i++) labels[i] = (int32_t)fabs(draw(&seed, 9, 1));
}
static inline void free_data(void) {
    tr_free(pixels);
    tr_free(labels);
}

static inline run new_run(const char *layers, tr_shape input, int batch, int shard, void *args) {
    run r = {.graph = graph_of(layers, input, 10),
             .options = {.batch = batch,
                         .training = true,
                         .shard = shard,
                         .kernels = kernels_of("auto"),
                         .optimizer = tr_optimizers[0],
                         .optimizer_args = args,
                         .keep_gradients = true},
             .n_steps = N_STEPS,
             /* Last batches are short. */
             .sizes = {batch, (batch * 2 + 2) / 3, batch, 1},
             .x = pixels,
             .stride = stride_of(input),
             .labels = labels};
    return r;
}

#endif
