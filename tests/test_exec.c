/* The executor: the same bits on any number of threads and any instruction set, and nothing but
 * arithmetic in a step.
 *
 * Linked so that calloc, malloc, realloc and free of this program and of the library go through the
 * counters below (tests/meson.build): what is allocated in a step is seen, and what a failed
 * creation leaves behind.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

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

static uint64_t mix(uint64_t hash, const void *data, size_t bytes) {
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

static void run_steps(tr_team *team, void *arg) {
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
static uint64_t bits_of(run *r, int n_threads) {
    tr_graph_init(r->graph, TR_PHILOX, 5);
    r->code = TR_OK;
    r->err = (tr_error){0};
    on_team(n_threads, run_steps, r);
    if (r->err.code || r->code) ck_abort_msg("%d: %s", r->code, r->err.text);
    return r->bits;
}

/* Everything at once: fan-out, fan-in, dense and gathered convolutions, both ways of linear. */
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

static const int batches[] = {1, 3, 4, 5, 16, 17, 128};
enum { N_BATCHES = sizeof batches / sizeof *batches };

static tr_real *pixels;
static int32_t *labels;
static const tr_shape image = {false, 32, 32, 3}, small_image = {false, 12, 11, 3};

static void make_data(void) {
    uint32_t seed = 9;
    pixels = samples(MOST_BATCH, image, 3); /* the small network's samples begin in them, too */
    labels = tr_alloc(MOST_BATCH, sizeof *labels, NULL);
    for (int i = 0; i < MOST_BATCH; i++) labels[i] = (int32_t)fabs(draw(&seed, 9, 1));
}
static void free_data(void) {
    tr_free(pixels);
    tr_free(labels);
}

static run new_run(const char *layers, tr_shape input, int batch, int shard, void *args) {
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

static void same_bits(const char *layers, tr_shape input, int batch, bool with_scalar) {
    static const int threads[] = {2, 3, 5, 8};
    void *args = sgd_args("momentum=0.9 weight_decay=1e-3 lr=0.05");
    for (int shard = 0; shard <= (int)tr_min(8, batch); shard++) {
        if (batch > 5 && shard != 0 && shard != 1 && shard != 3 && shard != 8) continue;
        run r = new_run(layers, input, batch, shard, args);
        uint64_t wanted = bits_of(&r, 1);
        ck_assert_int_eq(r.n_calls, 0);
        for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
            /* All numbers of threads, and the instruction sets in turn. */
            int isa = (int)(t + (size_t)shard) % tr_n_isas();
            r.options.kernels = kernels_of(isa > 0 || with_scalar ? tr_isa_name(isa) : "auto");
            if (r.options.kernels == NULL) continue;
            if (bits_of(&r, threads[t]) != wanted)
                ck_abort_msg("batch %d, shard %d, %d threads, %s: not the bits of one thread",
                             batch, shard, threads[t], r.options.kernels->name);
            if (r.n_calls) ck_abort_msg("%ld calls for memory in the steps", r.n_calls);
        }
        tr_graph_free(r.graph);
    }
    tr_free(args);
}

START_TEST(same_bits_lenet) {
    /* Without vectors LeNet takes a while: in the small batches only. */
    same_bits(lenet_layers, image, batches[_i], batches[_i] < 4);
}
END_TEST

START_TEST(same_bits_dag) {
    same_bits(dag_layers, small_image, batches[_i], batches[_i] < 17);
}
END_TEST

/* What the optimizer keeps is rows of the table, in PyTorch's words and layout: behind the first
 * step of plain momentum the buffer is the gradient, and the step is lr times it. */
START_TEST(optimizer_state_is_rows) {
    static const char *const names[] = {"conv1.weight", "conv2.bias", "fc1.weight", "fc3.bias"};
    enum { MOST = 48000 };
    static double before[MOST], after[MOST], buffer[MOST];
    void *args = sgd_args("momentum=0.9 lr=0.05");
    for (int k = 0; k < 4; k++) {
        run r = new_run(lenet_layers, image, 4, 1, args);
        char name[64];
        r.n_steps = 1;
        const tr_row *weight = row_of(r.graph, names[k]);
        tr_graph_init(r.graph, TR_PHILOX, 5);
        tr_row_read(weight, tr_row_state(weight)->value, 0, weight->count, before);
        bits_of(&r, 1 + k);
        tr_row_read(weight, tr_row_state(weight)->value, 0, weight->count, after);
        ck_assert_int_eq(r.graph->n_optimizer_rows, r.graph->n_rows);
        snprintf(name, sizeof name, "optimizer.%s.momentum_buffer", names[k]);
        const tr_row *row = row_of(r.graph, name);
        ck_assert_int_eq(tr_row_state(row)->kind, TR_OPTIMIZER);
        ck_assert_int_eq(row->count, weight->count);
        tr_row_read(row, tr_row_state(row)->value, 0, row->count, buffer);
        double sum = 0;
        for (int64_t i = 0; i < row->count; i++) {
            /* The weights, below 1, and the step are rounded to 2^-24 of themselves. */
            if (fabs(before[i] - after[i] - 0.05 * buffer[i]) > 2 * 0x1p-24)
                ck_abort_msg("%s: element %lld", name, (long long)i);
            sum += fabs(buffer[i]);
        }
        ck_assert_double_gt(sum, 1e-3);
        tr_graph_free(r.graph);
    }
    tr_free(args);
    args = sgd_args("lr=0.05"); /* keeps nothing */
    run r = new_run(lenet_layers, image, 4, 1, args);
    bits_of(&r, 1);
    ck_assert_int_eq(r.graph->n_optimizer_rows, 0);
    tr_graph_free(r.graph);
    tr_free(args);
}
END_TEST

/* Shards do show (their sums are added in another order), or the tests above would prove nothing.
 */
START_TEST(bits_depend_on_what_they_may) {
    void *args = sgd_args("lr=0.05 momentum=0.9");
    run a = new_run(lenet_layers, image, 16, 1, args),
        b = new_run(lenet_layers, image, 16, 3, args);
    ck_assert(bits_of(&a, 2) != bits_of(&b, 2));
    uint64_t before = bits_of(&a, 2);
    a.labels = labels + 1;
    ck_assert(bits_of(&a, 2) != before);
    tr_graph_free(a.graph);
    tr_graph_free(b.graph);
    tr_free(args);
}
END_TEST

/* ---- input that the team makes itself ---- */

static int load_late(void *arg, int n0, int n1, tr_real *x, int64_t stride) {
    const run *r = arg;
    struct timespec t = {0, 300 * 1000};
    if (n0 > 0) nanosleep(&t, NULL); /* all but the first thread are late */
    for (int i = n0; i < n1; i++)
        memcpy(x + (i - n0) * stride, r->x + i * r->stride,
               (size_t)tr_shape_size(r->graph->nodes[0].unfused) * sizeof *x);
    return TR_OK;
}

START_TEST(loading_in_the_step) {
    /* The second begins with a layer that reads the samples of all threads. */
    static const char *const networks[] = {
        lenet_layers,
        "f = flatten\nl = linear out_features=48\nr = relu\nm = linear out_features=10\n"};
    void *args = sgd_args("lr=0.05");
    for (int i = 0; i < 2; i++) {
        for (int batch = 4; batch <= 20; batch += 16) {
            run r = new_run(networks[i], i ? small_image : image, batch, 1, args);
            uint64_t wanted = bits_of(&r, 1);
            r.options.loads = true;
            r.load = load_late;
            ck_assert(bits_of(&r, 1) == wanted);
            ck_assert(bits_of(&r, 3) == wanted);
            ck_assert_int_eq(r.n_calls, 0);
            tr_graph_free(r.graph);
        }
    }
    tr_free(args);
}
END_TEST

static int load_fails(void *arg, int n0, int n1, tr_real *x, int64_t stride) {
    (void)arg, (void)stride;
    *x = 0;
    return n0 <= 3 && n1 > 3 ? TR_EDATA : TR_OK; /* sample 3 is damaged */
}

START_TEST(loading_fails) {
    void *args = sgd_args("lr=0.05");
    for (int threads = 1; threads <= 4; threads++) {
        run r = new_run(lenet_layers, image, 4, 1, args);
        r.options.loads = true;
        r.options.optimizer = NULL;
        r.load = load_fails;
        on_team(threads, run_steps, &r);
        ck_assert_int_eq(r.code, TR_EDATA);
        tr_graph_free(r.graph);
    }
    tr_free(args);
}
END_TEST

/* ---- evaluation ---- */

typedef struct evaluation {
    tr_graph *graph;
    tr_exec_options options;
    tr_input input;
    tr_result result;
    int32_t best[MOST_BATCH];
    float logits[MOST_BATCH][10];
    double trained_loss;
    tr_error err;
} evaluation;

static void evaluate(tr_team *team, void *arg) {
    evaluation *e = arg;
    tr_exec *exec;
    tr_result training;
    if (tr_exec_create(e->graph, &e->options, team, &exec, &e->err)) return;
    tr_exec_step(exec, team, &e->input, 0, 0, &e->result);
    for (int i = 0; i < e->input.n; i++) {
        e->best[i] = e->result.best[i];
        memcpy(e->logits[i], tr_exec_output(exec, i), sizeof e->logits[i]);
    }
    tr_exec_free(exec);
    e->options.training = true;
    if (tr_exec_create(e->graph, &e->options, team, &exec, &e->err)) return;
    tr_exec_step(exec, team, &e->input, 0, 0, &training);
    e->trained_loss = training.loss;
    tr_exec_free(exec);
}

START_TEST(evaluation_is_forward_alone) {
    static evaluation e;
    e.graph = graph_of(lenet_layers, image, 10);
    e.options = (tr_exec_options){.batch = 100, .kernels = kernels_of("auto")};
    e.input = (tr_input){.n = 99, .x = pixels, .stride = stride_of(image), .labels = labels};
    tr_graph_init(e.graph, TR_PHILOX, 2);
    on_team(2, evaluate, &e);
    ck_assert_msg(e.err.code == TR_OK, "%s", e.err.text);
    double loss = 0;
    int64_t correct = 0;
    for (int i = 0; i < e.input.n; i++) {
        int best = 0;
        double sum = 0;
        for (int k = 1; k < 10; k++) best = e.logits[i][k] > e.logits[i][best] ? k : best;
        for (int k = 0; k < 10; k++) sum += exp((double)e.logits[i][k]);
        loss += log(sum) - (double)e.logits[i][labels[i]];
        correct += best == labels[i];
        if (e.best[i] != best) ck_abort_msg("sample %d: best is %d, not %d", i, e.best[i], best);
    }
    ck_assert_int_eq(e.result.n_correct, correct);
    /* Ten float terms a sample, each rounded a few times to 2^-24; losses are about 2.3. */
    ck_assert_double_eq_tol(e.result.loss, loss / e.input.n, 32 * 0x1p-24 * 2.3);
    /* In a batch of 100 training goes the same way forward. */
    ck_assert(e.trained_loss == e.result.loss);
    tr_graph_free(e.graph);
}
END_TEST

/* A network of views has no buffer of its own for its output. */
static void view_only(tr_team *team, void *arg) {
    run *r = arg;
    tr_exec *exec;
    tr_result result;
    if (tr_exec_create(r->graph, &r->options, team, &exec, &r->err)) return;
    tr_input input = {.n = 3, .x = r->x, .stride = r->stride, .labels = r->labels};
    tr_exec_step(exec, team, &input, 0, 0, &result);
    for (int i = 0; i < 3; i++) {
        if (memcmp(tr_exec_output(exec, i), r->x + i * r->stride, 10 * sizeof(tr_real)) != 0)
            r->code = 1;
    }
    tr_exec_free(exec);
}

START_TEST(output_is_input) {
    run r = new_run("f = flatten\n", (tr_shape){false, 1, 1, 10}, 3, 0, NULL);
    r.options.optimizer = NULL;
    on_team(2, view_only, &r);
    ck_assert_msg(r.err.code == TR_OK, "%s", r.err.text);
    ck_assert_int_eq(r.code, 0);
    tr_graph_free(r.graph);
}
END_TEST

/* ---- errors, and what is reported ---- */

typedef struct failing {
    tr_graph *graph;
    tr_exec_options options;
    long n, leaked;
    int code;
    tr_error err;
} failing;

static void create_and_fail(tr_team *team, void *arg) {
    failing *f = arg;
    for (f->n = 0;; f->n++) {
        tr_exec *exec = (tr_exec *)(void *)f; /* must be overwritten */
        f->err = (tr_error){0};
        tr_graph_plan_optimizer(f->graph, NULL, NULL); /* its state is the graph's */
        long before = n_live;
        tr_alloc_fail_after(f->n);
        f->code = tr_exec_create(f->graph, &f->options, team, &exec, &f->err);
        tr_alloc_fail_after(-1);
        if (f->code == TR_OK) tr_exec_free(exec);
        tr_graph_plan_optimizer(f->graph, NULL, NULL);
        f->leaked = n_live - before;
        if (f->leaked || f->code == TR_OK || f->code != TR_ENOMEM || f->err.code != TR_ENOMEM ||
            exec)
            break;
    }
}

/* ---- an input whose samples lie as its owner has them ---- */

/* Everything that a first layer can be: what reads samples one by one, all of them, and twice. */
static const char *const first_layers[] = {
    "c = conv2d out_channels=5 kernel_size=3 padding=1 stride=2\nf = flatten\n"
    "l = linear out_features=10\n",
    "c = conv2d out_channels=6 kernel_size=3\np = max_pool2d kernel_size=2\nf = flatten\n"
    "l = linear out_features=10\n",
    "r = relu\nf = flatten\nl = linear out_features=10\n",
    "p = max_pool2d kernel_size=3 stride=2\nf = flatten\nl = linear out_features=10\n",
    "f = flatten\nl = linear out_features=10\n",
    "i = identity\nc = conv2d out_channels=3 kernel_size=3 padding=1\na = add from=c,input\n"
    "f = flatten\nl = linear out_features=10\n",
};

START_TEST(any_stride_of_the_input) {
    enum { BATCH = 18, FEWER = 4 }; /* FEWER: linear layers take another path */
    int64_t size = tr_shape_size(small_image), own = stride_of(small_image);
    const int64_t strides[] = {size, size + 1, own + 37, 3 * own};
    tr_real *copy = tr_alloc((size_t)(BATCH * 3 * own), sizeof *copy, NULL);
    tr_real *dx[2], *dw[2];
    tr_graph *graph = graph_of(first_layers[_i], small_image, 10);
    size_t n_dx = (size_t)(BATCH * size), n_dw = (size_t)tr_graph_count(graph);
    for (int k = 0; k < 2; k++) {
        dx[k] = tr_alloc(n_dx, sizeof *dx[k], NULL);
        dw[k] = tr_alloc(n_dw, sizeof *dw[k], NULL);
    }
    for (int batch = FEWER; batch <= BATCH; batch += BATCH - FEWER) {
        double losses[2];
        few_steps t = {.graph = graph,
                       .options = {.batch = batch,
                                   .training = true,
                                   .kernels = kernels_of("auto"),
                                   .keep_gradients = true,
                                   .input_gradient = true},
                       .input = {.n = batch, .x = pixels, .stride = own, .labels = labels},
                       .n_steps = 1,
                       .gradients = dw[0],
                       .input_gradient = dx[0],
                       .losses = &losses[0]};
        tr_graph_init(graph, TR_PHILOX, 6);
        run_on(2, &t);
        t.gradients = dw[1];
        t.input_gradient = dx[1];
        t.losses = &losses[1];
        for (size_t s = 0; s < sizeof strides / sizeof *strides; s++) {
            for (int64_t i = 0; i < 3 * own * BATCH; i++) copy[i] = (tr_real)NAN;
            for (int i = 0; i < batch; i++)
                memcpy(copy + i * strides[s], pixels + i * own, (size_t)size * sizeof *copy);
            t.input.x = copy;
            t.input.stride = strides[s];
            memset(dx[1], 0, n_dx * sizeof *copy);
            memset(dw[1], 0, n_dw * sizeof *copy);
            run_on(2, &t);
            if (losses[0] != losses[1] || memcmp(dw[0], dw[1], n_dw * sizeof *copy) ||
                memcmp(dx[0], dx[1], (size_t)(batch * size) * sizeof *copy))
                ck_abort_msg("batch %d, %lld elements apart: other values than %lld apart", batch,
                             (long long)strides[s], (long long)own);
        }
        bool any = false;
        for (int64_t i = 0; i < batch * size; i++) any |= dx[0][i] != 0;
        ck_assert(any);
    }
    for (int k = 0; k < 2; k++) {
        tr_free(dx[k]);
        tr_free(dw[k]);
    }
    tr_free(copy);
    tr_graph_free(graph);
}
END_TEST

START_TEST(creation_without_memory) {
    void *args = sgd_args("lr=0.05 momentum=0.9");
    for (int threads = 1; threads <= 3; threads++) {
        failing f = {.graph = graph_of(dag_layers, small_image, 10),
                     .options = {.batch = 8,
                                 .training = true,
                                 .kernels = kernels_of("auto"),
                                 .optimizer = tr_optimizers[0],
                                 .optimizer_args = args,
                                 .keep_gradients = true,
                                 .input_gradient = true}};
        on_team(threads, create_and_fail, &f);
        ck_assert_int_eq(f.leaked, 0);
        ck_assert_msg(f.code == TR_OK, "after %ld allocations: code %d, '%s'", f.n, f.code,
                      f.err.text);
        ck_assert_int_gt(f.n, 25 + 6 * threads);
        tr_graph_free(f.graph);
    }
    tr_free(args);
}
END_TEST

enum { MOST_ROWS = 200, PROFILED_STEPS = 200 };
typedef struct profiled {
    run run;
    int n, n_cut;
    tr_profile_row rows[MOST_ROWS];
    double least_barrier; /* of a step, as a share of its rows */
    double cover;         /* rows of a step, as a share of its wall clock: the most */
} profiled;

static void profile(tr_team *team, void *arg) {
    static tr_profile_row before[MOST_ROWS];
    profiled *p = arg;
    tr_exec *exec;
    tr_result result;
    if (tr_exec_create(p->run.graph, &p->run.options, team, &exec, &p->run.err)) return;
    tr_input input = {
        .n = p->run.sizes[0], .x = p->run.x, .stride = p->run.stride, .labels = p->run.labels};
    p->n = tr_exec_profile(exec, p->rows, MOST_ROWS);
    p->least_barrier = 1;
    for (int i = 0; i < PROFILED_STEPS; i++) {
        memcpy(before, p->rows, sizeof before);
        double start = tr_now(), sum = 0;
        tr_exec_step(exec, team, &input, 0.01, i, &result);
        double wall = tr_now() - start;
        tr_exec_profile(exec, p->rows, MOST_ROWS);
        for (int k = 0; k < p->n; k++) sum += p->rows[k].seconds - before[k].seconds;
        double barrier = (p->rows[p->n - 1].seconds - before[p->n - 1].seconds) / sum;
        p->least_barrier = fmin(p->least_barrier, barrier);
        p->cover = fmax(p->cover, sum / wall);
    }
    tr_profile_row few[3];
    p->n_cut = tr_exec_profile(exec, few, 3);
    tr_exec_free(exec);
}

static int count_rows(const profiled *p, const char *node, const char *phase) {
    int n = 0;
    for (int i = 0; i < p->n; i++)
        n += strcmp(p->rows[i].node, node) == 0 && strcmp(p->rows[i].phase, phase) == 0;
    return n;
}

/* Each phase has one row, and the rows are what a clock around the step shows. Timing is what it
 * is: of many steps the one that was disturbed least counts. */
START_TEST(profile_covers_the_step) {
    static profiled p;
    static const char *const layers[] = {"conv1", "conv2", "fc1", "fc2", "fc3"};
    void *args = sgd_args("lr=0.01");
    for (int batch = 4; batch <= 32; batch += 28) {
        for (int threads = 1; threads <= 2; threads++) {
            p = (profiled){.run = new_run(lenet_layers, image, batch, 1, args)};
            p.run.options.profile = true;
            on_team(threads, profile, &p);
            ck_assert_msg(p.run.err.code == TR_OK, "%s", p.run.err.text);
            ck_assert_int_lt(p.n, MOST_ROWS);
            ck_assert_int_eq(p.n_cut, 3);
            for (int i = 0; i < 5; i++) {
                ck_assert_int_eq(count_rows(&p, layers[i], "forward"), 1);
                ck_assert_int_eq(count_rows(&p, layers[i], "weight gradient") +
                                     count_rows(&p, layers[i], "input gradient and update"),
                                 1);
            }
            ck_assert_int_eq(count_rows(&p, "loss", "loss"), 1);
            ck_assert_str_eq(p.rows[p.n - 1].phase, "barrier");
            for (int i = 0; i < p.n; i++) {
                const tr_profile_row *row = &p.rows[i];
                ck_assert_msg(count_rows(&p, row->node, row->phase) == 1, "%s %s", row->node,
                              row->phase);
                bool barrier = i == p.n - 1;
                ck_assert_msg(barrier || row->seconds > 0, "%s %s", row->node, row->phase);
                ck_assert(!barrier || row->overhead);
                if (strstr(row->phase, "update") == row->phase) ck_assert(row->overhead);
            }
            /* No more than the clock around the step shows, and all but the way to it and back. */
            ck_assert_double_le(p.cover, 1 + 1e-6);
            ck_assert_double_ge(p.cover, 0.8);
            /* Nothing is counted twice; and one thread has no others to wait for. */
            ck_assert_double_ge(p.least_barrier, -1e-6);
            if (threads == 1) ck_assert_double_le(p.least_barrier, 0.2);
            tr_graph_free(p.run.graph);
        }
    }
    tr_free(args);
}
END_TEST

/* Faster threads take more shards: whoever takes how many, the bits are the same. */
START_TEST(uneven_partitions) {
    static const int64_t partitions[][4] = {
        {0, 5, 49, 64}, {0, 1, 2, 64}, {0, 31, 63, 64}, {0, 62, 63, 64}, {0, 21, 33, 64}};
    void *args = sgd_args("lr=0.05 momentum=0.9");
    run lenet = new_run(lenet_layers, image, 128, 2, args);
    run dag = new_run(dag_layers, small_image, 128, 2, args);
    uint64_t lenet_bits = bits_of(&lenet, 1), dag_bits = bits_of(&dag, 1);
    for (size_t i = 0; i < sizeof partitions / sizeof *partitions; i++) {
        lenet.options.partition = dag.options.partition = partitions[i];
        ck_assert_uint_eq(bits_of(&lenet, 3), lenet_bits);
        ck_assert_uint_eq(bits_of(&dag, 3), dag_bits);
    }
    tr_graph_free(lenet.graph);
    tr_graph_free(dag.graph);
    tr_free(args);
}
END_TEST

/* Shards that are partitioned anew between steps, and short batches between full ones. */
START_TEST(moving_partitions) {
    void *args = sgd_args("lr=0.05 momentum=0.9");
    static const int sizes[][N_STEPS] = {
        {128, 128, 128, 128}, {128, 128, 5, 128}, {128, 3, 128, 128}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        run r = new_run(dag_layers, small_image, 128, 2, args);
        memcpy(r.sizes, sizes[i], sizeof r.sizes);
        uint64_t bits = bits_of(&r, 1);
        r.uneven = true;
        for (int threads = 2; threads <= 5; threads += 3) {
            r.n_moves = 0;
            ck_assert_uint_eq(bits_of(&r, threads), bits);
            ck_assert_int_ge(r.n_moves, 1);
        }
        tr_graph_free(r.graph);
    }
    tr_free(args);
}
END_TEST

/* The first samples are slow to load: the thread that has them gets fewer, by what was measured. */
static int load_slowly(void *arg, int n0, int n1, tr_real *x, int64_t stride) {
    const run *r = arg;
    struct timespec t = {0, 1000 * 1000};
    if (n0 == 0 && r->uneven) nanosleep(&t, NULL);
    for (int i = n0; i < n1; i++)
        memcpy(x + (i - n0) * stride, r->x + i * r->stride,
               (size_t)tr_shape_size(r->graph->nodes[0].unfused) * sizeof *x);
    return TR_OK;
}

typedef struct measured_run {
    run r;
    int wanted;            /* steps; 0: until the first thread has fewer shards than at the start */
    int n_steps;           /* out */
    int64_t before, after; /* out: shards of the first thread */
} measured_run;

static void measured_steps(tr_team *team, void *arg) {
    measured_run *m = arg;
    run *r = &m->r;
    enum { MOST_STEPS = 64 * 40 };
    tr_exec *exec = NULL;
    if (tr_exec_create(r->graph, &r->options, team, &exec, &r->err)) return;
    m->before = exec->partition[1];
    uint64_t hash = 1;
    for (int i = 0; i < (m->wanted ? m->wanted : MOST_STEPS) && r->code == TR_OK; i++) {
        tr_input input = {.n = r->options.batch, .labels = r->labels, .load = r->load, .arg = r};
        tr_result result;
        r->code = tr_exec_step(exec, team, &input, 0.05, i, &result);
        hash = mix(hash, &result.loss, sizeof result.loss);
        m->n_steps = i + 1;
        m->after = exec->step_partition[1];
        if (m->wanted == 0 && m->after < m->before) break;
    }
    r->bits = mix(hash, r->graph->parameters, (size_t)r->graph->n_elements * sizeof(tr_real));
    tr_exec_free(exec);
}

START_TEST(shares_by_measured_time) {
    void *args = sgd_args("lr=0.05");
    measured_run m = {
        .r = new_run("f = flatten\nl = linear out_features=10\n", small_image, 64, 2, args)};
    m.r.options.loads = m.r.uneven = true;
    m.r.load = load_slowly;
    tr_graph_init(m.r.graph, TR_PHILOX, 5);
    on_team(2, measured_steps, &m);
    ck_assert_msg(m.r.code == TR_OK && m.r.err.code == TR_OK, "%s", m.r.err.text);
    ck_assert_int_eq(m.before, 16);
    ck_assert_int_lt(m.after, m.before);
    ck_assert_int_ge(m.after, 1);
    ck_assert_int_gt(m.n_steps, 64); /* not before there is something to measure */

    uint64_t bits = m.r.bits;
    m.wanted = m.n_steps;
    m.r.uneven = false;
    tr_graph_init(m.r.graph, TR_PHILOX, 5);
    on_team(1, measured_steps, &m);
    ck_assert_uint_eq(m.r.bits, bits);
    tr_graph_free(m.r.graph);
    tr_free(args);
}
END_TEST

/* Split-K linear layers, whose blocks are short or empty: ten rows in eight blocks of two. */
START_TEST(odd_rows) {
    static const char layers[] = "a = conv2d out_channels=5 kernel_size=11\n"
                                 "b = flatten\n"
                                 "c = linear out_features=512\n"
                                 "d = linear out_features=9\n"
                                 "e = linear out_features=513\n"
                                 "f = linear out_features=10\n";
    void *args = sgd_args("lr=0.001 momentum=0.9");
    run r = new_run(layers, small_image, 16, 1, args);
    uint64_t bits = bits_of(&r, 1);
    for (int threads = 2; threads <= 8; threads++) {
        for (int again = 0; again < 5; again++) ck_assert_uint_eq(bits_of(&r, threads), bits);
    }
    tr_graph_free(r.graph);
    tr_free(args);
}
END_TEST

typedef struct counted {
    tr_graph *graph;
    tr_exec_options options;
    int64_t reported, allocated;
    tr_error err;
} counted;

static void plan_and_allocate(tr_team *team, void *arg) {
    counted *c = arg;
    tr_exec *exec;
    tr_account before = {0}, after = {0};
    if (tr_exec_plan(c->graph, &c->options, tr_team_size(team), &exec, &c->err)) return;
    tr_exec_account(exec, &before);
    n_bytes = 0;
    tr_exec_allocate(exec, team, &c->err);
    c->allocated = n_bytes;
    tr_exec_account(exec, &after);
    c->reported = tr_account_total(&before);
    if (tr_account_total(&after) != c->reported) tr_fail(&c->err, TR_ECONFIG, "another sum");
    tr_exec_free(exec);
}

/* To the byte, but for the errors of the threads, which are gone when it returns. */
START_TEST(what_is_reported_is_allocated) {
    void *args = sgd_args("lr=0.05 momentum=0.9");
    for (int i = 0; i < 12; i++) {
        int threads = i % 3 + 1;
        counted c = {
            .graph = graph_of(i < 6 ? dag_layers : lenet_layers, i < 6 ? small_image : image, 10),
            .options = {.batch = i % 2 ? 3 : 100,
                        .training = i % 4 != 0,
                        .loads = i % 4 == 1,
                        .kernels = kernels_of("auto"),
                        .optimizer = i % 4 != 0 ? tr_optimizers[0] : NULL,
                        .optimizer_args = args,
                        .keep_gradients = i % 4 == 3}};
        on_team(threads, plan_and_allocate, &c);
        ck_assert_msg(c.err.code == TR_OK, "%s", c.err.text);
        ck_assert_int_gt(c.reported, 0);
        int64_t errors = tr_alloc_bytes((int64_t)tr_min(threads, 3), sizeof(tr_error));
        ck_assert_int_eq(c.allocated, c.reported + errors);
        tr_graph_free(c.graph);
    }
    tr_free(args);
}
END_TEST

START_TEST(memory_is_reported) {
    void *args = sgd_args("lr=0.05 momentum=0.9");
    run r = new_run(lenet_layers, image, 128, 0, args);
    bits_of(&r, 2);
    ck_assert_int_eq(r.shape.shard, 2); /* 128 over 64 */
    ck_assert_int_eq(r.shape.n_shards, 64);
    ck_assert_int_eq(r.shape.n_barriers, 1); /* before the update */
    ck_assert_int_eq(r.shape.chunk % r.shape.shard, 0);
    ck_assert_int_ge(r.account.bytes[TR_MEMORY_OPTIMIZER], 62006 * 4);
    ck_assert_int_gt(r.account.bytes[TR_MEMORY_THREADS], 0);
    ck_assert_int_gt(r.account.bytes[TR_MEMORY_BATCH], 0);
    tr_graph_free(r.graph);
    r = new_run(lenet_layers, image, 5, 2, args);
    bits_of(&r, 2);
    ck_assert_int_eq(r.shape.shard, 2);
    ck_assert_int_eq(r.shape.n_shards, 3);
    tr_graph_free(r.graph);
    tr_free(args);
}
END_TEST

static Suite *exec_suite(void) {
    Suite *suite = suite_create("exec");
    TCase *all = tcase_create("exec");
    tcase_set_timeout(all, 60);
    tcase_add_unchecked_fixture(all, make_data, free_data);
    tcase_add_loop_test(all, same_bits_lenet, 0, N_BATCHES);
    tcase_add_loop_test(all, same_bits_dag, 0, N_BATCHES);
    tcase_add_test(all, bits_depend_on_what_they_may);
    tcase_add_test(all, optimizer_state_is_rows);
    tcase_add_test(all, loading_in_the_step);
    tcase_add_test(all, loading_fails);
    tcase_add_test(all, evaluation_is_forward_alone);
    tcase_add_test(all, output_is_input);
    tcase_add_loop_test(all, any_stride_of_the_input, 0,
                        (int)(sizeof first_layers / sizeof *first_layers));
    tcase_add_test(all, creation_without_memory);
    tcase_add_test(all, profile_covers_the_step);
    tcase_add_test(all, uneven_partitions);
    tcase_add_test(all, moving_partitions);
    tcase_add_test(all, shares_by_measured_time);
    tcase_add_test(all, odd_rows);
    tcase_add_test(all, memory_is_reported);
    tcase_add_test(all, what_is_reported_is_allocated);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(exec_suite());
}
