/* Batch norm: a layer that is different in training and in evaluation.
 *
 * It is held against PyTorch, whose values (float64) are in tests/reference: to 1e-8 by the
 * build of the engine in double, within rounding by the usual one.
 */
#include <math.h>
#include <stdlib.h>

#include "probe.h"

static const bool is_double = sizeof(tr_real) == sizeof(double);

/* ---- PyTorch's cases ---- */

typedef struct setting {
    int shard, threads;
} setting;
static const setting settings[] = {{0, 1}, {1, 3}, {2, 2}};

/* Each element within a part of the tensor's largest: in float 32 roundings of 2^-24, in double
 * 1e-8, which is far above rounding (2e-12 with the large means) and far below any other formula's
 * difference. */
static void check_tensor(const char *what, const tr_reference_tensor *t, const double *got) {
    double most = 1;
    for (size_t e = 0; e < t->n; e++) most = fmax(most, fabs(t->v[e]));
    for (size_t e = 0; e < t->n; e++)
        near(what, t->name, (int64_t)e, got[e], t->v[e], (is_double ? 1e-8 : 0x1p-19) * most);
}

static void check_images(const char *what, const tr_reference_tensor *t, tr_shape shape,
                         const tr_real *got) {
    int64_t size = tr_shape_size(shape);
    double *values = tr_alloc(t->n, sizeof *values, NULL);
    for (size_t e = 0; e < t->n; e++) {
        int64_t i = (int64_t)e / size, j = (int64_t)e % size;
        values[e] = (double)got[i * size + internal_index(shape, j)];
    }
    check_tensor(what, t, values);
    tr_free(values);
}

static void check_row(const char *what, const tr_reference_case *c, const char *prefix,
                      const tr_row *row, const void *memory) {
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, row->name);
    const tr_reference_tensor *t = tr_reference_get(c, name);
    double *values = tr_alloc(t->n, sizeof *values, NULL);
    ck_assert_int_eq(row->count, t->n);
    tr_row_read(row, memory, 0, row->count, values);
    check_tensor(what, t, values);
    tr_free(values);
}

static void check_norm(const tr_reference_case *c, const setting *s, const tr_kernels *kernels) {
    const tr_reference_tensor *x = tr_reference_get(c, "input"), *y = tr_reference_get(c, "output"),
                              *dy = tr_reference_get(c, "grad_output");
    char what[160];
    snprintf(what, sizeof what, "%s (%s, shard %d, %d threads)", c->name, kernels->name, s->shard,
             s->threads);
    tr_graph *graph = probed_case(c);
    tr_shape in = graph->nodes[0].unfused, out = graph->nodes[graph->output].unfused;
    int n = (int)x->dim[0];
    tr_real *data;
    few_steps t = probe_create(
        graph,
        (tr_exec_options){.batch = n, .eval_mode = c->eval, .shard = s->shard, .kernels = kernels},
        1, &data);
    for (int i = 0; i < n; i++) {
        to_internal(x, i, in, data + i * t.input.stride);
        to_internal(dy, i, out, probe.cotangent + i * probe.size);
    }
    run_on(s->threads, &t);

    check_images(what, y, out, probe.seen);
    check_images(what, tr_reference_get(c, "grad_input"), in, t.input_gradient);
    const tr_real *g = t.gradients;
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *state = tr_row_state(row);
        char name[128];
        if (state->kind == TR_BUFFER) {
            check_row(what, c, "after.", row, state->value);
            continue;
        }
        snprintf(name, sizeof name, "grad.%s", row->name);
        const tr_reference_tensor *wanted = tr_reference_find(c, name);
        ck_assert_msg((wanted == NULL) == state->frozen, "%s: %s", what, name);
        if (wanted == NULL) continue;
        double *values = tr_alloc(wanted->n, sizeof *values, NULL);
        for (size_t e = 0; e < wanted->n; e++) values[e] = (double)*g++;
        check_tensor(what, wanted, values);
        tr_free(values);
    }
    probe_free(&t);
}

static const char *const files[] = {"reference/batch_norm.txt", "reference/sample_norm.txt"};
enum { N_FILES = sizeof files / sizeof *files };

START_TEST(norms_are_pytorch) {
    tr_reference *reference = tr_reference_read(files[_i]);
    for (int k = 0; k < tr_n_isas(); k++) {
        const tr_kernels *kernels = kernels_of(tr_isa_name(k));
        for (int i = 0; kernels && i < reference->n_cases; i++) {
            for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
                check_norm(&reference->cases[i], &settings[s], kernels);
        }
    }
    tr_reference_free(reference);
}
END_TEST

/* ---- large means ---- */

enum { N_LARGE = 16, SIDE = 8, N_VALUES = N_LARGE * SIDE * SIDE };

static const struct large_norm {
    const char *line;
    int n; /* values that are normalised together */
} large_norms[] = {{"batch_norm2d momentum=1", N_VALUES},
                   {"group_norm num_groups=1", SIDE *SIDE},
                   {"instance_norm2d", SIDE *SIDE},
                   {"layer_norm", SIDE *SIDE},
                   {"layer_norm normalized_shape=8", SIDE}};
enum { N_LARGE_NORMS = sizeof large_norms / sizeof *large_norms };

/* y of n values by the formula in double; and as PyTorch computes it in float, x * alpha + beta. */
static void normalise(int n, const tr_real *x, double *y, double *torch_y) {
    double mean = 0, variance = 0;
    for (int i = 0; i < n; i++) mean += (double)x[i] / n;
    for (int i = 0; i < n; i++) variance += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
    double inverse = 1 / sqrt(variance + 1e-5);
    float alpha = (float)inverse, product = (float)mean * alpha, beta = 0 - product;
    for (int i = 0; i < n; i++) {
        y[i] = ((double)x[i] - mean) * inverse;
        torch_y[i] = (double)fmaf((float)x[i], alpha, beta);
    }
}

/* Not fmax: gcc 12 for Arm fails on a loop of it that it makes vectors of. */
static double larger(double a, double b) {
    return b > a ? b : a;
}

/* Of a channel of mean 1000 and deviation 0.01 PyTorch's float computation is off by 4e-3 here (its
 * beta is about -1e5, of which a float has no more than 1/128; PyTorch 2.9 itself: 6e-3, channels
 * last 4e-2), the engine by 2e-7. */
START_TEST(large_mean_loses_nothing) {
    static const struct {
        double mean, deviation;
    } cases[] = {{1000, 0.01}, {-1000, 0.01}, {1e6, 1}, {1e5, 0.1}};
    double bound = is_double ? 1e-9 : 1e-6;
    tr_shape in = {false, SIDE, SIDE, 1};
    const struct large_norm *norm = &large_norms[_i];
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char lines[128];
        snprintf(lines, sizeof lines, "n = %s\nf = flatten\n", norm->line);
        tr_graph *graph = graph_of(lines, in, 0);
        graph->nodes[graph->n_nodes - 1].op = &probe_op;
        tr_graph_init(graph, TR_PHILOX, 1);
        tr_real *x, *packed = tr_alloc(N_VALUES, sizeof *x, NULL);
        few_steps t = probe_create(
            graph, (tr_exec_options){.batch = N_LARGE, .kernels = kernels_of(tr_isa_name(0))}, 1,
            &x);
        double *y = tr_alloc(2 * N_VALUES, sizeof *y, NULL), ours = 0, torchs = 0;
        uint32_t seed = (uint32_t)k;
        for (int i = 0; i < N_VALUES; i++) {
            double normal = 0; /* of twelve */
            for (int j = 0; j < 12; j++) normal += draw(&seed, 500, 1e-3);
            packed[i] = (tr_real)(float)(cases[k].mean + cases[k].deviation * normal);
            x[i / (SIDE * SIDE) * t.input.stride + i % (SIDE * SIDE)] = packed[i];
        }
        for (int i = 0; i < N_VALUES; i += norm->n)
            normalise(norm->n, packed + i, y + i, y + N_VALUES + i);
        run_on(2, &t);
        for (int i = 0; i < N_VALUES; i++) {
            ours = larger(ours, fabs((double)probe.seen[i] - y[i]));
            torchs = larger(torchs, fabs(y[N_VALUES + i] - y[i]));
        }
        ck_assert_msg(ours <= bound && (is_double || ours <= torchs),
                      "%s: mean %g, deviation %g: off by %g, PyTorch's formula by %g", norm->line,
                      cases[k].mean, cases[k].deviation, ours, torchs);
        tr_free(packed);
        tr_free(y);
        probe_free(&t);
    }
}
END_TEST

/* ---- the executor ---- */

/* Nets of both batch norms, and of those of samples. */
static const char *const nets[] = {
    "c = conv2d out_channels=11 kernel_size=3 padding=1 bias=false\n"
    "n = batch_norm2d\n"
    "r = relu\n"
    "d = conv2d out_channels=11 kernel_size=3 padding=1\n"
    "m = batch_norm2d momentum=none frozen=bias\n"
    "a = add from=m,r\n"
    "s = relu\n"
    "f = flatten\n"
    "l = linear out_features=20\n"
    "o = batch_norm1d\n"
    "k = linear out_features=4\n",
    "c = conv2d out_channels=10 kernel_size=3 padding=1 bias=false\n"
    "n = group_norm num_groups=5\n"
    "e = local_response_norm size=3\n"
    "r = local_response_norm size=4 beta=0.6 alpha=0.5\n"
    "d = conv2d out_channels=10 kernel_size=3 padding=1\n"
    "m = instance_norm2d affine=true track_running_stats=true frozen=bias\n"
    "a = add from=m,r\n"
    "s = layer_norm\n"
    "t = layer_norm normalized_shape=6,5\n"
    "u = relu\n"
    "v = layer_norm normalized_shape=5 frozen=weight\n"
    "f = flatten\n"
    "w = group_norm num_groups=25\n"
    "l = linear out_features=20\n"
    "o = group_norm num_groups=4\n"
    "p = layer_norm elementwise_affine=false\n"
    "k = linear out_features=4\n"};
enum { N_NETS = sizeof nets / sizeof *nets };
enum { BATCH = 13, STEPS = 3 };

/* All state after some steps of that net, in double. */
static double *state_after(const char *lines, tr_exec_options options, int threads, int64_t *n,
                           double *batches) {
    tr_shape in = {false, 6, 5, 3};
    tr_graph *graph = graph_of(lines, in, 4);
    tr_graph_init(graph, TR_PHILOX, 3);
    int32_t labels[BATCH];
    for (int i = 0; i < BATCH; i++) labels[i] = i % 4;
    void *args = sgd_args("lr=0.1 momentum=0.9");
    options.batch = BATCH;
    options.training = true;
    options.optimizer = tr_optimizers[0];
    options.optimizer_args = args;
    few_steps t = {.graph = graph,
                   .options = options,
                   .input = {.n = BATCH,
                             .x = samples(BATCH, in, 5),
                             .stride = stride_of(in),
                             .labels = labels,
                             .count = options.effective},
                   .n_steps = STEPS,
                   .lr = 0.1};
    size_t bytes = (size_t)graph->n_elements * sizeof(tr_real);
    void *before = memcpy(tr_alloc(1, bytes, NULL), graph->parameters, bytes);
    run_on(threads, &t);
    ck_assert_int_eq(memcmp(before, graph->parameters, bytes) == 0, options.effective > 0);
    tr_free(before);
    *n = 0;
    for (int i = 0; i < graph->n_rows; i++) *n += graph->rows[i].count;
    double *values = tr_alloc((size_t)*n, sizeof *values, NULL);
    read_rows(graph, values);
    if (batches) {
        const tr_row *count = row_of(graph, "o.num_batches_tracked");
        tr_row_read(count, tr_row_state(count)->value, 0, 1, batches);
    }
    tr_free((void *)t.input.x);
    tr_free(args);
    tr_graph_free(graph);
    return values;
}

/* Statistics, updates and running statistics, on any number of threads, in any ISA, with gradients
 * in slots or by elements. */
START_TEST(same_bits) {
    int64_t n, m;
    double *wanted =
        state_after(nets[_i], (tr_exec_options){.kernels = kernels_of("scalar")}, 1, &n, NULL);
    for (int64_t i = 0; i < n; i++) ck_assert(isfinite(wanted[i]));
    for (int k = 0; k < tr_n_isas(); k++) {
        const tr_kernels *kernels = kernels_of(tr_isa_name(k));
        for (int threads = 1; kernels && threads <= 5; threads++) {
            /* Buffers that are dead are filled with NaN: nothing undeclared is used. */
            double *got = state_after(nets[_i],
                                      (tr_exec_options){.kernels = kernels,
                                                        .poison = threads % 2 == 0,
                                                        .wide = threads % 3 == 0},
                                      threads, &m, NULL);
            ck_assert_int_eq(m, n);
            ck_assert_msg(memcmp(got, wanted, (size_t)n * sizeof *got) == 0, "%s, %d threads",
                          kernels->name, threads);
            tr_free(got);
        }
    }
    tr_free(wanted);
}
END_TEST

/* Passes that are no whole effective batch update statistics, as PyTorch does between two calls of
 * optimizer.step(), and nothing else. */
START_TEST(statistics_are_of_passes) {
    int64_t n;
    double count;
    tr_exec_options options = {.kernels = kernels_of("auto"), .effective = 2 * BATCH, .shard = 1};
    tr_free(state_after(nets[0], options, 2, &n, &count));
    ck_assert_double_eq(count, STEPS);
}
END_TEST

/* ---- leaves ---- */

/* A leaf in two calls, as chunks make them, is the same leaf. */
static void check_leaf(const char *lines, const char *name, const tr_kernels *kernels) {
    enum { N = 9, CUT = 4 };
    tr_shape in = {false, 5, 4, 11};
    tr_graph *graph = graph_of(lines, in, 0);
    const tr_node *node = node_of(graph, name);
    const bool need_dx = true;
    tr_plan plan = {0};
    plan.gradients = tr_alloc((size_t)node->n_state, sizeof *plan.gradients, NULL);
    node->op->plan(
        node, &(tr_request){.batch = N, .gradients = true, .training = true, .need_dx = &need_dx},
        &plan);
    tr_shape shape = node->in[0];
    int64_t stride = stride_of(shape);
    tr_real *x = samples(N, shape, 1), *dy = samples(N, shape, 2);
    tr_binding own[8] = {0}, values = {.at = (char *)x, .stride = stride * (int64_t)sizeof *x},
               gradients = {.at = (char *)dy, .stride = values.stride};
    for (int r = 0; r < plan.n_resources; r++) {
        own[r].at = tr_alloc(1, (size_t)plan.resources[r].bytes + 64, NULL);
        if (plan.resources[r].kind != TR_THREAD_BUFFER) continue;
        tr_real *map = (tr_real *)(void *)own[r].at; /* any map */
        for (size_t i = 0; i < (size_t)plan.resources[r].bytes / sizeof *map; i++)
            map[i] = (tr_real)(i % 7) / 8;
    }
    tr_work w = {.node = node,
                 .kernels = kernels,
                 .batch = N,
                 .x = &values,
                 .dy = &gradients,
                 .own = own,
                 .scratch = tr_alloc(1, (size_t)plan.scratch_bytes, NULL)};
    int n_sums = 0;
    for (int r = 0; r < plan.n_resources; r++) {
        const tr_sum *sum = &plan.resources[r].sum;
        if (plan.resources[r].kind != TR_SUM) continue;
        size_t bytes = (size_t)plan.resources[r].bytes;
        char *whole = tr_alloc(2, bytes, NULL), *parts = whole + bytes;
        w.n = N;
        w.first = 0;
        w.origin[0] = 0;
        sum->add_leaf(&w, 0, sum->size, true, whole);
        w.n = CUT;
        sum->add_leaf(&w, 0, sum->size, true, parts);
        w.n = N - CUT;
        w.first = CUT;
        w.origin[0] = CUT;
        sum->add_leaf(&w, 0, sum->size, false, parts);
        ck_assert_msg(whole[0] != 0 || memcmp(whole, whole + 1, bytes - 1) != 0, "%s: %s: zero",
                      kernels->name, sum->label);
        ck_assert_msg(memcmp(whole, parts, bytes) == 0, "%s: %s", kernels->name, sum->label);
        tr_free(whole);
        n_sums++;
    }
    ck_assert_int_eq(n_sums, 2);
    for (int r = 0; r < plan.n_resources; r++) tr_free(own[r].at);
    tr_free(w.scratch);
    tr_free(x);
    tr_free(dy);
    tr_plan_free(&plan);
    tr_graph_free(graph);
}

START_TEST(leaf_in_two_calls) {
    for (int k = 0; k < tr_n_isas(); k++) {
        const tr_kernels *kernels = kernels_of(tr_isa_name(k));
        if (kernels == NULL) continue;
        check_leaf("n = batch_norm2d\nf = flatten\n", "n", kernels);
        check_leaf("f = flatten\nn = batch_norm1d\n", "n", kernels);
    }
}
END_TEST

/* In every mode: no two steps between two barriers are in conflict. */
START_TEST(no_conflicts) {
    tr_graph *graph = graph_of(nets[_i], (tr_shape){false, 6, 5, 3}, 4);
    for (int i = 0; i < 8; i++) {
        tr_program_options options = {.batch = 4,
                                      .gradients = i & 1,
                                      .training = i & 2,
                                      .input_gradient = i & 4,
                                      .n_slots = 4};
        tr_program *program;
        ck_assert_int_eq(tr_program_create(graph, &options, &program, NULL), TR_OK);
        char *conflict = tr_program_conflict(program);
        ck_assert_msg(conflict == NULL, "%s", conflict);
        tr_program_free(program);
    }
    tr_graph_free(graph);
}
END_TEST

/* ---- arguments ---- */

START_TEST(errors_are_named) {
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"n = batch_norm2d momentum=all",
         "net.ini:2: n.momentum: all is neither a number nor a known word, allowed are 0 to 1, or "
         "none"},
        {"n = batch_norm2d momentum=2",
         "net.ini:2: n.momentum: 2 is out of range, allowed are 0 to 1, or none"},
        {"n = batch_norm2d frozen=weigth",
         "net.ini:2: n.frozen: the layer has no parameter 'weigth' (did you mean 'weight'?)"},
        {"n = batch_norm2d frozen=weight,running_mean",
         "net.ini:2: n.frozen: the layer has no parameter 'running_mean', allowed are weight, "
         "bias"},
        {"n = batch_norm2d frozen=bias affine=false",
         "net.ini:2: n.frozen: the layer has no parameter 'bias', there is none"},
        {"n = batch_norm1d",
         "net.ini:2: n: batch_norm1d wants features but its input is an image of 3 x 8 x 6: put a "
         "flatten layer before it"},
        {"f = flatten\nn = batch_norm2d",
         "net.ini:3: n: batch_norm2d wants an image (channels x height x width) but its input has "
         "144 features"},
        {"n = group_norm", "net.ini:2: n.num_groups: missing, it must be given (groups that the "
                           "channels are divided into)"},
        {"n = group_norm num_groups=0",
         "net.ini:2: n.num_groups: 0 is out of range, allowed are 1 to 134217727"},
        {"n = group_norm num_groups=2",
         "net.ini:2: n.num_groups: 2 does not divide the 3 channels of the input: the nearest that "
         "do are 1 and 3"},
        {"n = group_norm num_groups=7",
         "net.ini:2: n.num_groups: 7 does not divide the 3 channels of the input: the nearest that "
         "does is 3"},
        {"f = flatten\nn = group_norm num_groups=5",
         "net.ini:3: n.num_groups: 5 does not divide the 144 features of the input: the nearest "
         "that do are 4 and 6"},
        {"n = group_norm num_groups=1 num_channels=4",
         "net.ini:2: n.num_channels: 4, but the input has 3 channels"},
        {"n = group_norm num_groups=1 num_channels=any",
         "net.ini:2: n.num_channels: any is neither an integer nor a known word, allowed are 1 to "
         "134217727, or input"},
        {"f = flatten\nn = group_norm num_groups=3 num_channels=3",
         "net.ini:3: n.num_channels: 3, but the input has 144 features"},
        {"n = layer_norm normalized_shape=8",
         "net.ini:2: n.normalized_shape: the input is 3 x 8 x 6, allowed are its last dimensions: "
         "6, or 8,6, or 3,8,6"},
        {"n = layer_norm normalized_shape=3,8,6,1",
         "net.ini:2: n.normalized_shape: the input is 3 x 8 x 6, allowed are its last dimensions: "
         "6, or 8,6, or 3,8,6"},
        {"n = layer_norm normalized_shape=5.5",
         "net.ini:2: n.normalized_shape: the input is 3 x 8 x 6, allowed are its last dimensions: "
         "6, or 8,6, or 3,8,6"},
        {"n = layer_norm normalized_shape=input,6",
         "net.ini:2: n.normalized_shape: the input is 3 x 8 x 6, allowed are its last dimensions: "
         "6, or 8,6, or 3,8,6"},
        {"f = flatten\nn = layer_norm normalized_shape=3,8,6",
         "net.ini:3: n.normalized_shape: the input has 144 features, allowed is 144"},
        {"n = layer_norm frozen=bias bias=false",
         "net.ini:2: n.frozen: the layer has no parameter 'bias', allowed are weight"},
        {"n = instance_norm2d num_features=5",
         "net.ini:2: n.num_features: 5, but the input has 3 channels"},
        {"n = local_response_norm",
         "net.ini:2: n.size: missing, it must be given (channels whose squares are averaged)"},
        {"n = local_response_norm size=0",
         "net.ini:2: n.size: 0 is out of range, allowed are 1 to 134217727"},
        {"n = local_response_norm size=5 k=-1",
         "net.ini:2: n.k: -1 is out of range, allowed are 0 to 1000000"},
        {"f = flatten\nn = local_response_norm size=5",
         "net.ini:3: n: local_response_norm wants an image (channels x height x width) but its "
         "input has 144 features"},
        {"p = adaptive_avg_pool2d output_size=1\nn = instance_norm2d",
         "net.ini:3: n: instance_norm2d wants more than 1 spatial element, its input is of 1 x 1"},
        {"f = flatten\nn = instance_norm2d",
         "net.ini:3: n: instance_norm2d wants an image (channels x height x width) but its input "
         "has 144 features"},
        {"n = instance_norm2d frozen=weight",
         "net.ini:2: n.frozen: the layer has no parameter 'weight', there is none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        tr_graph *graph;
        tr_error err = {0};
        snprintf(text, sizeof text, "[network]\n%s\n[loss]\ntype = cross_entropy\n", cases[i].line);
        ck_assert_int_eq(graph_of_text(text, (tr_shape){false, 8, 6, 3}, 0, &graph, &err),
                         TR_ECONFIG);
        ck_assert_str_eq(err.text, cases[i].message);
    }
}
END_TEST

/* What is written is read back: a word in place of a number, too. */
START_TEST(arguments_are_written) {
    tr_graph *graph = graph_of("g = group_norm num_groups=3\nh = layer_norm\n"
                               "i = layer_norm normalized_shape=3,2,2\n"
                               "n = batch_norm2d momentum=none frozen=weight,bias\n"
                               "f = flatten\nm = batch_norm1d momentum=1 eps=0\n",
                               (tr_shape){false, 2, 2, 3}, 0);
    tr_text text = {0};
    ck_assert_int_eq(tr_graph_write(graph, &text, NULL), TR_OK);
    ck_assert_msg(strstr(text.at, "n = batch_norm2d eps=1e-5 momentum=none affine=true "
                                  "track_running_stats=true frozen=weight,bias "
                                  "weight_init=default bias_init=default\n") != NULL,
                  "%s", text.at);
    ck_assert_msg(strstr(text.at, "m = batch_norm1d eps=0 momentum=1 ") != NULL, "%s", text.at);
    ck_assert_msg(strstr(text.at, "g = group_norm num_groups=3 num_channels=input ") != NULL, "%s",
                  text.at);
    ck_assert_msg(strstr(text.at, "h = layer_norm normalized_shape=input ") != NULL, "%s", text.at);
    ck_assert_msg(strstr(text.at, "i = layer_norm normalized_shape=3,2,2 ") != NULL, "%s", text.at);
    tr_text_free(&text);
    tr_graph_free(graph);
}
END_TEST

static Suite *norm_suite(void) {
    Suite *suite = suite_create("norm");
    TCase *all = tcase_create("norm");
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, norms_are_pytorch, 0, N_FILES);
    tcase_add_loop_test(all, large_mean_loses_nothing, 0, N_LARGE_NORMS);
    tcase_add_loop_test(all, same_bits, 0, N_NETS);
    tcase_add_test(all, statistics_are_of_passes);
    tcase_add_test(all, leaf_in_two_calls);
    tcase_add_loop_test(all, no_conflicts, 0, N_NETS);
    tcase_add_test(all, errors_are_named);
    tcase_add_test(all, arguments_are_written);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(norm_suite());
}
