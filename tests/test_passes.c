/* Sums over several passes and several executors, by slots and by elements; clipping; and whether
 * what the layers declare is true. */
#include <math.h>
#include <stdlib.h>

#include "exec/run.h"
#include "network.h"

enum { MOST = 48, N_THREADS = 3 };

static const tr_shape image = {false, 12, 11, 3};

static const char *const networks[] = {
    /* fan-out, fan-in, dense and gathered convolutions, padding, strides, linear layers */
    "a = conv2d out_channels=8 kernel_size=3 padding=1\nb = relu\n"
    "c = conv2d out_channels=8 kernel_size=3 padding=1 from=b\n"
    "d = conv2d out_channels=8 kernel_size=1 from=b\ne = add from=b,c,d\nf = relu\n"
    "g = conv2d out_channels=9 kernel_size=3 padding=1\nh = relu\ni = max_pool2d kernel_size=2\n"
    "j = max_pool2d kernel_size=3 stride=1\nk = flatten\nl = linear out_features=48\nm = relu\n"
    "n = linear out_features=48 from=k\no = add from=m,n\np = linear out_features=10\n",
    "a = conv2d out_channels=20 kernel_size=3 stride=2 padding=1\nb = max_pool2d kernel_size=2\n"
    "c = relu\nd = conv2d out_channels=5 kernel_size=2 bias=false\ne = flatten\n"
    "f = linear out_features=10 bias=false\n",
    "a = flatten\nb = linear out_features=64\nc = relu\nd = linear out_features=10\n",
    /* joins, and values that are made again where they are read (the factor is small, or its
     * clipped update would be lost in rounding) */
    "a = conv2d out_channels=8 kernel_size=3 padding=1\nb = adaptive_avg_pool2d output_size=1\n"
    "c = conv2d out_channels=8 kernel_size=1\nd = mul from=a,c\ne = scale learned=true "
    "factor=0.01\n"
    "f = concat from=e,a\ng = conv2d out_channels=1 kernel_size=1 from=a\nh = sub from=f,g\n"
    "i = mul from=h,g,f\nj = slice start=2 end=14\nk = pixel_shuffle upscale_factor=2\n"
    "l = zero_pad2d padding=1\nm = upsample size=7 mode=bilinear\nn = adaptive_max_pool2d "
    "output_size=3\no = channel_shuffle groups=3\np = scale factor=50\nq = flatten\n"
    "r = linear out_features=10\n",
};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

/* Whose passes are not those of a larger batch. A bias in front of them has no gradient, and is
 * left out. */
static const char *const normalised[] = {
    "a = conv2d out_channels=9 kernel_size=3 padding=1 bias=false\nb = batch_norm2d\nc = relu\n"
    "d = conv2d out_channels=9 kernel_size=3 padding=1 bias=false\ne = batch_norm2d momentum=none\n"
    "f = add from=e,c\ng = relu\nh = batch_norm2d affine=false track_running_stats=false\ni = "
    "flatten\n"
    "j = linear out_features=17 bias=false\nk = batch_norm1d frozen=bias\nl = dropout p=0.25\n"
    "m = linear out_features=10\n",
    "b = batch_norm2d affine=false\nc = dropout\ni = flatten\nm = linear out_features=10\n",
};
enum { N_NORMALISED = sizeof normalised / sizeof *normalised };

static tr_real *pixels;
static int32_t *labels;

static void make_data(void) {
    uint32_t seed = 9;
    pixels = samples(MOST, image, 3);
    labels = tr_alloc(MOST, sizeof *labels, NULL);
    for (int i = 0; i < MOST; i++) labels[i] = (int32_t)fabs(draw(&seed, 9, 1));
}
static void free_data(void) {
    tr_free(pixels);
    tr_free(labels);
}

static tr_input part_of(int first, int n, int count) {
    int64_t stride = stride_of(image);
    return (tr_input){.n = n,
                      .first = first,
                      .count = count,
                      .x = pixels + first * stride,
                      .stride = stride,
                      .labels = labels + first};
}

/* ---- one step, in passes ---- */

typedef struct passes {
    tr_graph *graph;
    tr_exec_options options;
    int count, step; /* samples in all, and of a pass */
    tr_real *gradients;
    tr_error err;
} passes;

static void run_passes(tr_team *team, void *arg) {
    passes *p = arg;
    tr_exec *exec = NULL;
    tr_result result;
    int code = tr_exec_create(p->graph, &p->options, team, &exec, &p->err);
    for (int again = 0; again < 2; again++) { /* the second step finds the buffers used */
        for (int first = 0; code == TR_OK && first < p->count; first += p->step) {
            tr_input input = part_of(first, (int)tr_min(p->step, p->count - first), p->count);
            code = tr_exec_step(exec, team, &input, 0.1, again, &result);
        }
    }
    if (code)
        tr_fail(&p->err, code, "a step failed");
    else
        read_gradients(exec, p->graph, p->gradients);
    tr_exec_free(exec);
}

static passes new_passes(tr_graph *graph, int count, int step) {
    passes p = {.graph = graph,
                .options = {.batch = step,
                            .effective = count,
                            .training = true,
                            .kernels = kernels_of("auto"),
                            .keep_gradients = true},
                .count = count,
                .step = step};
    p.gradients = tr_alloc((size_t)tr_graph_count(graph), sizeof *p.gradients, NULL);
    tr_graph_init(graph, TR_PHILOX, 5);
    return p;
}

static void run_them(passes *p, int n_threads) {
    on_team(n_threads, run_passes, p);
    ck_assert_msg(p->err.code == TR_OK, "%s", p->err.text);
}

static void same_gradients(const tr_graph *graph, const tr_real *a, const tr_real *b,
                           const char *what) {
    for (int64_t i = 0; i < tr_graph_count(graph); i++) {
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            ck_abort_msg("%s: gradient %lld is %.9g, not %.9g", what, (long long)i, (double)b[i],
                         (double)a[i]);
    }
}

/* Several passes are one batch, to the bit: of each size of pass that is whole shards, with the
 * last one short, on any number of threads, in slots and by elements. */
START_TEST(passes_are_one_batch) {
    static const int sizes[][2] = {{16, 4}, {16, 8}, {12, 5}, {7, 3}, {48, 16}, {48, 1}, {40, 24}};
    tr_graph *graph = graph_of(networks[_i], image, 10);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        passes whole = new_passes(graph, sizes[s][0], sizes[s][0]);
        run_them(&whole, 1);
        for (int variant = 0; variant < 4; variant++) {
            passes cut = new_passes(graph, sizes[s][0], sizes[s][1]);
            cut.options.wide = variant % 2 ? 1 : INT64_MAX;
            run_them(&cut, variant < 2 ? N_THREADS : 1);
            same_gradients(graph, whole.gradients, cut.gradients, "passes");
            tr_free(cut.gradients);
        }
        tr_free(whole.gradients);
    }
    tr_graph_free(graph);
}
END_TEST

/* Shards of more samples than one: passes of whole shards are one batch, too. */
START_TEST(passes_of_larger_shards) {
    tr_graph *graph = graph_of(networks[_i], image, 10);
    passes whole = new_passes(graph, 24, 24);
    whole.options.shard = 3;
    run_them(&whole, 2);
    for (int step = 3; step < 24; step += 3) {
        passes cut = new_passes(graph, 24, step);
        cut.options.shard = 3;
        run_them(&cut, 1 + step % 3);
        same_gradients(graph, whole.gradients, cut.gradients, "passes");
        tr_free(cut.gradients);
    }
    passes other = new_passes(graph, 24, 24); /* or nothing would be shown */
    run_them(&other, 1);
    ck_assert_mem_ne(whole.gradients, other.gradients,
                     (size_t)tr_graph_count(graph) * sizeof *other.gradients);
    tr_free(whole.gradients);
    tr_free(other.gradients);
    tr_graph_free(graph);
}
END_TEST

/* ---- ranks ---- */

enum { MOST_RANKS = 4 };

typedef struct ranks {
    tr_graph *graph;
    int n, threads;
    int first[MOST_RANKS + 1]; /* samples of each */
    tr_real *gradients;
    tr_error err;
} ranks;

static void run_ranks(tr_team *team, void *arg) {
    ranks *r = arg;
    tr_exec *execs[MOST_RANKS] = {NULL};
    tr_result result;
    int code = TR_OK;
    for (int i = 0; code == TR_OK && i < r->n; i++) {
        tr_exec_options options = {.batch = r->first[i + 1] - r->first[i],
                                   .effective = MOST,
                                   .training = true,
                                   .part = true,
                                   .kernels = kernels_of("auto")};
        code = tr_exec_create(r->graph, &options, team, &execs[i], &r->err);
        tr_input input = part_of(r->first[i], options.batch, MOST);
        if (code == TR_OK) code = tr_exec_step(execs[i], team, &input, 0, 0, &result);
    }
    if (code == TR_OK) code = tr_exec_join(execs, r->n, &r->err);
    if (code)
        tr_fail(&r->err, code, "a step failed");
    else
        read_gradients(execs[0], r->graph, r->gradients);
    for (int i = 0; i < r->n; i++) tr_exec_free(execs[i]);
}

/* Executors that each see a part of the batch, as ranks will: parts begin at whole leaves of all
 * sums, which linear layers have of 16 shards. */
START_TEST(ranks_are_one_executor) {
    static const struct {
        int n, first[MOST_RANKS + 1];
    } cases[] = {{2, {0, 16, 48}}, {2, {0, 32, 48}}, {3, {0, 16, 32, 48}}};
    tr_graph *graph = graph_of(networks[_i], image, 10);
    passes whole = new_passes(graph, MOST, MOST);
    run_them(&whole, 2);
    tr_graph_init(graph, TR_PHILOX, 5);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        ranks r = {.graph = graph, .n = cases[c].n};
        memcpy(r.first, cases[c].first, sizeof r.first);
        r.gradients = tr_alloc((size_t)tr_graph_count(graph), sizeof *r.gradients, NULL);
        on_team(1 + (int)c, run_ranks, &r);
        ck_assert_msg(r.err.code == TR_OK, "%s", r.err.text);
        same_gradients(graph, whole.gradients, r.gradients, "ranks");
        tr_free(r.gradients);
    }
    tr_free(whole.gradients);
    tr_graph_free(graph);
}
END_TEST

/* Without linear layers leaves are shards: four ranks of unequal parts. */
START_TEST(four_ranks) {
    tr_graph *graph = graph_of("a = conv2d out_channels=20 kernel_size=3 stride=2 padding=1\n"
                               "b = max_pool2d kernel_size=2\nc = relu\n"
                               "d = conv2d out_channels=10 kernel_size=3\ne = flatten\n",
                               image, 10);
    passes whole = new_passes(graph, MOST, MOST);
    run_them(&whole, 3);
    ranks r = {.graph = graph, .n = 4, .first = {0, 5, 19, 20, 48}};
    r.gradients = tr_alloc((size_t)tr_graph_count(graph), sizeof *r.gradients, NULL);
    on_team(2, run_ranks, &r);
    ck_assert_msg(r.err.code == TR_OK, "%s", r.err.text);
    same_gradients(graph, whole.gradients, r.gradients, "ranks");
    tr_free(r.gradients);
    tr_free(whole.gradients);
    tr_graph_free(graph);
}
END_TEST

/* ---- declarations ---- */

typedef struct checked {
    tr_graph *graph;
    tr_exec_options options;
    int n;
    int wrong_buffer; /* its last use is forgotten; -1: none */
    char *found;
    double losses[2];
    tr_error err;
} checked;

static void run_check(tr_team *team, void *arg) {
    checked *c = arg;
    tr_exec *exec = NULL;
    if (tr_exec_create(c->graph, &c->options, team, &exec, &c->err)) return;
    tr_input input = part_of(0, c->n, c->n);
    c->found = tr_exec_check(exec, team, &input);
    tr_exec_free(exec);
}

static const struct {
    bool training, input_gradient, keep;
    int64_t wide;
    int batch;
} variants[] = {{true, true, false, 0, 4},
                {true, false, true, 1, 4},
                {true, true, true, 0, 20},
                {true, true, false, 1, 20},
                {false, false, false, 0, 5}};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static checked new_checked(tr_graph *graph, int variant) {
    tr_graph_init(graph, TR_PHILOX, 5);
    return (checked){.graph = graph,
                     .options = {.batch = variants[variant].batch,
                                 .training = variants[variant].training,
                                 .input_gradient = variants[variant].input_gradient,
                                 .keep_gradients = variants[variant].keep,
                                 .clip_norm = variants[variant].keep ? 1e-3 : 0,
                                 .wide = variants[variant].wide,
                                 .optimizer = tr_optimizers[0],
                                 .kernels = kernels_of("auto"),
                                 .poison = true},
                     .n = variants[variant].batch,
                     .wrong_buffer = -1};
}

START_TEST(declarations_are_true) {
    tr_graph *graph =
        graph_of(_i < N_NETWORKS ? networks[_i] : normalised[_i - N_NETWORKS], image, 10);
    void *args = sgd_args("lr=0.1");
    for (int v = 0; v < N_VARIANTS; v++) {
        checked c = new_checked(graph, v);
        c.options.optimizer_args = args;
        on_team(1, run_check, &c);
        ck_assert_msg(c.err.code == TR_OK, "%s", c.err.text);
        ck_assert_msg(c.found == NULL, "variant %d: %s", v, c.found);
    }
    tr_free(args);
    tr_graph_free(graph);
}
END_TEST

/* Declarations that are wrong: relu as it is, and one thing more. */
static void bad_backward(const tr_work *w) {
    int64_t size = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++) {
        w->kernels->relu_dx(size, tr_y(w, i), tr_dy(w, i), tr_dx(w, 0, i));
        ((tr_real *)tr_dy(w, i))[0] += 1;
    }
}

static const tr_op *relu_op(void) {
    int i = 0;
    while (strcmp(tr_layers[i]->schema.name, "relu") != 0) i++;
    return tr_layers[i];
}

static void plan_with(const tr_node *node, const tr_request *request, tr_plan *out, int sort) {
    relu_op()->plan(node, request, out);
    if (sort == 0) {
        tr_reads(out, TR_X, 0);
    } else {
        out->phases[out->n_phases - 1].run = bad_backward;
    }
}
static void plan_reads_more(const tr_node *node, const tr_request *request, tr_plan *out) {
    plan_with(node, request, out, 0);
}
static void plan_writes_more(const tr_node *node, const tr_request *request, tr_plan *out) {
    plan_with(node, request, out, 1);
}

START_TEST(wrong_declarations_are_found) {
    static const char *const wanted[] = {"does not depend on what it declares to read",
                                         "writes what it does not declare"};
    void *args = sgd_args("lr=0.1");
    for (int sort = 0; sort < 2; sort++) {
        tr_graph *graph = graph_of("a = conv2d out_channels=4 kernel_size=3\nv = flatten\n"
                                   "r = relu\nd = linear out_features=10\n",
                                   image, 10);
        tr_op bad = *relu_op();
        bad.plan = sort ? plan_writes_more : plan_reads_more;
        node_of(graph, "r")->op = &bad;
        checked c = new_checked(graph, 0);
        c.options.optimizer_args = args;
        on_team(1, run_check, &c);
        ck_assert_msg(c.found != NULL && strstr(c.found, wanted[sort]) != NULL, "%d: %s", sort,
                      c.found ? c.found : "nothing was found");
        ck_assert_msg(strncmp(c.found, "r, ", 3) == 0, "%s", c.found);
        tr_free(c.found);
        tr_graph_free(graph);
    }
    tr_free(args);
}
END_TEST

static void run_poisoned(tr_team *team, void *arg) {
    checked *c = arg;
    tr_exec *exec = NULL;
    if (tr_exec_create(c->graph, &c->options, team, &exec, &c->err)) return;
    tr_input input = part_of(0, c->n, c->n);
    tr_result result;
    if (c->wrong_buffer >= 0) {
        tr_buffer *b = &exec->program->buffers[c->wrong_buffer];
        b->last = exec->program->segments[exec->program->steps[b->last].segment] - 1;
    }
    int code = TR_OK;
    for (int i = 0; i < 2 && code == TR_OK; i++) {
        code = tr_exec_step(exec, team, &input, 0.1, i, &result);
        c->losses[i] = result.loss;
    }
    if (code) tr_fail(&c->err, code, "a step failed");
    tr_exec_free(exec);
}

static void run_poisoned_on(int n_threads, checked *c) {
    on_team(n_threads, run_poisoned, c);
    ck_assert_msg(c->err.code == TR_OK, "%s", c->err.text);
}

/* Nothing is read after its last declared use: buffers that are filled with NaN there do not show.
 * A last use that is forgotten does. */
START_TEST(nothing_is_read_too_late) {
    void *args = sgd_args("lr=0.1");
    int n_forgotten = 0;
    for (int v = 0; v < N_VARIANTS; v++) {
        tr_graph *graph = graph_of(networks[_i], image, 10); /* NaN stays in what pads weights */
        checked plain = new_checked(graph, v);
        plain.options.poison = false;
        plain.options.optimizer_args = args;
        run_poisoned_on(2, &plain);
        checked poisoned = new_checked(graph, v);
        poisoned.options.optimizer_args = args;
        run_poisoned_on(3, &poisoned);
        for (int i = 0; i < 2; i++)
            if (!(plain.losses[i] == poisoned.losses[i]))
                ck_abort_msg("variant %d, step %d: %g, poisoned %g", v, i, plain.losses[i],
                             poisoned.losses[i]);
        if (!plain.options.training) {
            tr_graph_free(graph);
            continue;
        }
        /* A value of which the weights' gradients are made, in an update of a later segment. */
        tr_program *p;
        tr_exec *exec;
        ck_assert_int_eq(tr_exec_plan(graph, &poisoned.options, 2, &exec, NULL), TR_OK);
        p = exec->program;
        int wrong = -1;
        for (int b = 0; b < p->n_buffers; b++) {
            const tr_buffer *at = &p->buffers[b];
            if (at->last < 0 || at->last >= p->n_steps || at->external || at->state) continue;
            if (p->steps[at->last].kind == TR_STEP_UPDATE && at->kind != TR_BATCH_BUFFER &&
                p->steps[at->first].segment < p->steps[at->last].segment)
                wrong = b;
        }
        tr_exec_free(exec);
        checked forgotten = new_checked(graph, v);
        forgotten.options.optimizer_args = args;
        forgotten.wrong_buffer = wrong;
        if (wrong >= 0) {
            run_poisoned_on(2, &forgotten);
            ck_assert_double_ne(forgotten.losses[1], plain.losses[1]);
            n_forgotten++;
        }
        tr_graph_free(graph);
    }
    ck_assert_int_gt(n_forgotten, 0);
    tr_free(args);
}
END_TEST

/* ---- clipping ---- */

typedef struct clipped {
    tr_graph *graph;
    tr_exec_options options;
    tr_real *gradients;
    tr_error err;
} clipped;

static void run_clipped(tr_team *team, void *arg) {
    clipped *c = arg;
    tr_exec *exec = NULL;
    tr_result result;
    if (tr_exec_create(c->graph, &c->options, team, &exec, &c->err)) return;
    tr_input input = part_of(0, c->options.batch, c->options.batch);
    int code = tr_exec_step(exec, team, &input, 1, 0, &result);
    if (code)
        tr_fail(&c->err, code, "a step failed");
    else
        read_gradients(exec, c->graph, c->gradients);
    tr_exec_free(exec);
}

/* The step of plain SGD with lr = 1 is the clipped gradient. */
START_TEST(gradients_are_clipped) {
    tr_graph *graph = graph_of(networks[_i], image, 10);
    int64_t n = tr_graph_count(graph);
    double *before = tr_alloc((size_t)n, sizeof *before, NULL),
           *after = tr_alloc((size_t)n, sizeof *after, NULL), norm = 0;
    tr_real *g = tr_alloc((size_t)n, sizeof *g, NULL);
    void *args = sgd_args("lr=0.1");
    const double norms[] = {0, 0.01, 1e6}, values[] = {0, 0.003};
    for (int k = 0; k < 6; k++) {
        clipped c = {.graph = graph,
                     .options = {.batch = 20,
                                 .training = true,
                                 .kernels = kernels_of("auto"),
                                 .optimizer = tr_optimizers[0],
                                 .optimizer_args = args,
                                 .keep_gradients = true,
                                 .clip_norm = norms[k % 3],
                                 .clip_value = values[k / 3]},
                     .gradients = g};
        tr_graph_init(graph, TR_PHILOX, 5);
        read_rows(graph, before);
        on_team(1 + k % 3, run_clipped, &c);
        ck_assert_msg(c.err.code == TR_OK, "%s", c.err.text);
        read_rows(graph, after);
        norm = 0;
        for (int64_t i = 0; i < n; i++) norm += (double)g[i] * (double)g[i];
        norm = sqrt(norm);
        double factor = norms[k % 3] > 0 ? fmin(1, norms[k % 3] / (norm + 1e-6)) : 1;
        int64_t n_clamped = 0;
        for (int64_t i = 0; i < n; i++) {
            double wanted = (double)g[i] * factor;
            n_clamped += values[k / 3] > 0 && fabs(wanted) > values[k / 3];
            if (values[k / 3] > 0) wanted = fmax(-values[k / 3], fmin(values[k / 3], wanted));
            /* The weights, below 1, and their step are rounded to 2^-24 of themselves. */
            if (fabs(before[i] - after[i] - wanted) > 4 * 0x1p-24)
                ck_abort_msg("case %d: step %lld is %.9g, not %.9g", k, (long long)i,
                             before[i] - after[i], wanted);
        }
        ck_assert(norm > norms[1] && norm < norms[2]);
        if (k == 3) ck_assert_int_gt(n_clamped, 0);
    }
    tr_free(args);
    tr_free(before);
    tr_free(after);
    tr_free(g);
    tr_graph_free(graph);
}
END_TEST

static Suite *passes_suite(void) {
    Suite *suite = suite_create("passes");
    TCase *all = tcase_create("passes");
    tcase_set_timeout(all, 60);
    tcase_add_unchecked_fixture(all, make_data, free_data);
    tcase_add_loop_test(all, passes_are_one_batch, 0, N_NETWORKS);
    tcase_add_loop_test(all, passes_of_larger_shards, 0, N_NETWORKS);
    tcase_add_loop_test(all, ranks_are_one_executor, 0, N_NETWORKS);
    tcase_add_test(all, four_ranks);
    tcase_add_loop_test(all, declarations_are_true, 0, N_NETWORKS + N_NORMALISED);
    tcase_add_test(all, wrong_declarations_are_found);
    tcase_add_loop_test(all, nothing_is_read_too_late, 0, N_NETWORKS);
    tcase_add_loop_test(all, gradients_are_clipped, 0, N_NETWORKS);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(passes_suite());
}
