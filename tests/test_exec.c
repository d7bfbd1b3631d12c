/* The executor: the same bits on any number of threads and any instruction set, and nothing but
 * arithmetic in a step (exec_run.h). */
#include <time.h>

#include "exec_run.h"

static const int batches[] = {1, 3, 4, 5, 16, 17, 128};
enum { N_BATCHES = sizeof batches / sizeof *batches };

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

/* ---- errors ---- */

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
    tcase_add_test(all, uneven_partitions);
    tcase_add_test(all, moving_partitions);
    tcase_add_test(all, shares_by_measured_time);
    tcase_add_test(all, odd_rows);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(exec_suite());
}
