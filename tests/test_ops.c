/* Layers, loss and optimizer against PyTorch, through the real graph and executor.
 *
 * The values in tests/reference are sums of small multiples of 1/8 (tools/torch_reference.py),
 * exact in float32 in whatever order they are added up: layers are compared with ==. Those of
 * layers that divide were made in float64, and have a bound in `files`. The build in double runs
 * the layers only and agrees to 1e-8 with all of them. The probe (probe.h) is in place of the loss.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "probe.h"

/* ---- one case of a file ---- */

typedef struct setting {
    int extra; /* samples before and after those of the file, whose gradient is zero */
    int shard, threads;
} setting;

static const setting settings[] = {{0, 0, 1}, {0, 1, 3}, {1, 2, 2}, {9, 3, 2}, {9, 8, 1}};

/* How far a layer's results may be from PyTorch's. */
static double tolerance;

static void same(const char *what, const char *name, double got, double wanted, int64_t i) {
    near(what, name, i, got, wanted, tolerance * fmax(1, fabs(wanted)));
}

static void check_gradients(const tr_graph *graph, const tr_reference_case *c, const tr_real *got) {
    char name[128];
    for (int i = 0; i < graph->n_rows; i++) {
        if (tr_row_state(&graph->rows[i])->kind != TR_PARAMETER) continue;
        snprintf(name, sizeof name, "grad.%s", graph->rows[i].name);
        const tr_reference_tensor *t = tr_reference_get(c, name);
        for (size_t e = 0; e < t->n; e++) same(c->name, name, (double)*got++, t->v[e], (int64_t)e);
    }
}

static void check_case(const tr_reference_case *c, const setting *s, const tr_kernels *kernels) {
    const tr_reference_tensor *x = tr_reference_get(c, "input"), *y = tr_reference_get(c, "output"),
                              *dy = tr_reference_get(c, "grad_output"),
                              *dx = tr_reference_get(c, "grad_input");
    char what[160];
    snprintf(what, sizeof what, "%s (%s, %d more samples, shard %d, %d threads)", c->name,
             kernels->name, s->extra, s->shard, s->threads);

    tr_graph *graph = probed_case(c);
    tr_shape in = graph->nodes[0].unfused, out = graph->nodes[graph->output].unfused;
    ck_assert_int_eq(tr_shape_size(out) * y->dim[0], (int64_t)y->n);

    int n = (int)x->dim[0], batch = n + 2 * s->extra;
    int64_t in_size = tr_shape_size(in), out_size = tr_shape_size(out);
    tr_real *data;
    few_steps t = probe_create(
        graph, (tr_exec_options){.batch = batch, .shard = s->shard, .kernels = kernels},
        2, /* the second finds the buffers used */
        &data);
    for (int i = 0; i < batch; i++)
        to_internal(x, (i + n * batch - s->extra) % n, in, data + i * t.input.stride);
    for (int i = 0; i < n; i++)
        to_internal(dy, i, out, probe.cotangent + (i + s->extra) * out_size);
    run_on(s->threads, &t);

    for (int i = 0; i < batch; i++) {
        int from = (i + n * batch - s->extra) % n;
        bool ours = i >= s->extra && i < s->extra + n;
        for (int64_t j = 0; j < out_size; j++)
            same(what, "output", (double)probe.seen[i * out_size + internal_index(out, j)],
                 y->v[from * out_size + j], i * out_size + j);
        for (int64_t j = 0; j < in_size; j++)
            same(what, "grad_input", (double)t.input_gradient[i * in_size + internal_index(in, j)],
                 ours ? dx->v[from * in_size + j] : 0, i * in_size + j);
    }
    check_gradients(graph, c, t.gradients);
    probe_free(&t);
}

/* Averages: sums of at most 30 numbers below 4 are exact, a division is rounded, and the gradients
 * of at most 16 windows are added up: 32 roundings of 2^-24. Activations: up to 8 roundings
 * (test_kernels_activation.c) of numbers up to 4. Upsample: products with two weights, each of
 * which is rounded; gradients add up to 16 of them. */
static const struct {
    const char *name;
    double tolerance;
} files[] = {{"conv2d", 0},
             {"conv2d_arguments", 0},
             {"conv_transpose2d", 0},
             {"max_pool2d", 0},
             {"avg_pool2d", 0x1p-19},
             {"adaptive_avg_pool2d", 0x1p-19},
             {"subsample", 0},
             {"pad_channels", 0},
             {"relu", 0},
             {"activation", 0x1p-19},
             {"linear", 0},
             {"flatten", 0},
             {"identity", 0},
             {"add", 0},
             {"sub", 0},
             {"mul", 0},
             {"concat", 0},
             {"scale", 0},
             {"slice", 0},
             {"flatten_dims", 0},
             {"unflatten", 0},
             {"adaptive_max_pool2d", 0},
             {"upsample", 0x1p-18},
             {"zero_pad2d", 0},
             {"reflection_pad2d", 0},
             {"replication_pad2d", 0},
             {"pixel_shuffle", 0},
             {"channel_shuffle", 0},
             {"chains", 0}};
enum { N_FILES = sizeof files / sizeof *files };

START_TEST(layers_are_pytorch) {
    char path[64];
    snprintf(path, sizeof path, "reference/%s.txt", files[_i].name);
    tolerance = sizeof(tr_real) == sizeof(double) ? 1e-8 : files[_i].tolerance;
    tr_reference *reference = tr_reference_read(path);
    for (int k = 0; k < tr_n_isas(); k++) {
        const tr_kernels *kernels = kernels_of(tr_isa_name(k));
        for (int i = 0; kernels && i < reference->n_cases; i++) {
            for (size_t s = 0; s < sizeof settings / sizeof *settings; s++)
                check_case(&reference->cases[i], &settings[s], kernels);
        }
    }
    tr_reference_free(reference);
}
END_TEST

/* ---- linear, both of its algorithms ----
 * The files' matrices are small; here are some that are split-K in a small batch. Values are
 * multiples of 1/4 up to 1, so sums of 4100 products are integers below 2^20 in units of 1/16:
 * exact. */

typedef struct matrix {
    int in, out;
    int split_k; /* in batches up to so many */
} matrix;
static const matrix matrices[] = {{64, 64, 16},  {63, 64, 0},   {100, 48, 16}, {513, 1, 16},
                                  {511, 8, 0},   {33, 128, 16}, {7, 600, 16},  {5, 1000, 16},
                                  {409, 10, 16}, {17, 33, 0},   {1, 4096, 16}, {4099, 256, 1000}};
static const int batches[] = {1, 3, 16, 17, 40};

static void check_matrix(const matrix *m, int batch, bool relu, int threads, int shard,
                         const tr_kernels *kernels) {
    char lines[128];
    snprintf(lines, sizeof lines, "flat = flatten\nfc = linear out_features=%d\n%s", m->out,
             relu ? "act = relu\n" : "");
    tr_shape in = {false, 1, 1, m->in};
    tr_graph *graph = graph_of(lines, in, 0);
    const tr_program_options options = {
        .batch = batch, .gradients = true, .training = true, .n_slots = 1};
    tr_program *program;
    ck_assert_int_eq(tr_program_create(graph, &options, &program, NULL), TR_OK);
    int n_split = 0;
    for (int i = 0; i < program->n_steps; i++)
        n_split += strcmp(program->steps[i].label, "forward sum") == 0;
    ck_assert_int_eq(n_split, batch <= m->split_k);
    tr_program_free(program);
    graph->nodes[graph->n_nodes - 1].op = &probe_op;

    uint32_t seed = (uint32_t)(m->in * 7 + batch);
    size_t n_w = (size_t)m->in * (size_t)m->out, n_x = (size_t)batch * (size_t)m->in,
           n_y = (size_t)batch * (size_t)m->out, n_p = n_w + (size_t)m->out;
    float *w = tr_alloc(n_p, sizeof *w, NULL), *bias = w + n_w;
    double *y = tr_alloc(n_y, sizeof *y, NULL), *dx = tr_alloc(n_x, sizeof *dx, NULL),
           *dw = tr_alloc(n_p, sizeof *dw, NULL);
    tr_real *x, *g;
    few_steps t = probe_create(
        graph, (tr_exec_options){.batch = batch, .shard = shard, .kernels = kernels}, 2, &x);
    int64_t stride = t.input.stride;
    g = probe.cotangent;
    for (size_t i = 0; i < n_p; i++) w[i] = (float)draw(&seed, 4, 0.25);
    for (size_t i = 0; i < n_y; i++) g[i] = (tr_real)draw(&seed, 4, 0.25);
    for (int i = 0; i < batch; i++) {
        for (int j = 0; j < m->in; j++) x[i * stride + j] = (tr_real)draw(&seed, 4, 0.25);
    }
    tr_row_set(row_of(graph, "fc.weight"), 0, (int64_t)n_w, w);
    tr_row_set(row_of(graph, "fc.bias"), 0, m->out, bias);
    for (int i = 0; i < batch; i++) {
        for (int o = 0; o < m->out; o++) {
            double sum = (double)bias[o], d = (double)g[i * m->out + o];
            for (int j = 0; j < m->in; j++)
                sum += (double)x[i * stride + j] * (double)w[o * m->in + j];
            if (relu && sum <= 0) sum = d = 0;
            y[i * m->out + o] = sum;
            dw[n_w + (size_t)o] += d;
            for (int j = 0; j < m->in; j++) {
                dx[i * m->in + j] += d * (double)w[o * m->in + j];
                dw[o * m->in + j] += d * (double)x[i * stride + j];
            }
        }
    }

    run_on(threads, &t);
    for (size_t i = 0; i < n_y; i++) same(lines, "output", (double)probe.seen[i], y[i], (int64_t)i);
    for (size_t i = 0; i < n_x; i++)
        same(lines, "grad_input", (double)t.input_gradient[i], dx[i], (int64_t)i);
    for (size_t i = 0; i < n_p; i++)
        same(lines, "gradient", (double)t.gradients[i], dw[i], (int64_t)i);
    tr_free(w);
    tr_free(y);
    tr_free(dx);
    tr_free(dw);
    probe_free(&t);
}

START_TEST(linear_both_algorithms) {
    tolerance = 0;
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        for (int k = 0; k < tr_n_isas(); k++) {
            const tr_kernels *kernels = kernels_of(tr_isa_name(k));
            if (kernels == NULL) continue;
            int variant = (int)b + k;
            check_matrix(&matrices[_i], batches[b], variant & 1, 1 + variant % 3, variant % 4,
                         kernels);
        }
    }
}
END_TEST

/* ---- loss ---- */

/* Each logit, difference, exponential, quotient and logarithm is rounded once or a few times, each
 * by at most 2^-24 of its size; the sum has n terms. (n + 16) times that, relative to the larger of
 * the value and 1 (the logits' differences are of that size where the result is smaller), covers
 * all of them. */
static double loss_bound(int n, double value) {
    return (n + 16) * 0x1p-24 * fmax(1, fabs(value));
}

START_TEST(cross_entropy_is_pytorch) {
    tr_reference *reference = tr_reference_read("reference/cross_entropy.txt");
    for (int k = 0; k < tr_n_isas(); k++) {
        const tr_kernels *kernels = kernels_of(tr_isa_name(k));
        for (int i = 0; kernels && i < reference->n_cases; i++) {
            const tr_reference_case *c = &reference->cases[i];
            const tr_reference_tensor *logits = tr_reference_get(c, "logits"),
                                      *labels = tr_reference_get(c, "labels"),
                                      *grad = tr_reference_get(c, "grad_logits");
            int n = (int)logits->dim[0], classes = (int)logits->dim[1];
            tr_shape in = {false, 1, 1, classes};
            int64_t stride = stride_of(in);
            tr_graph *graph = graph_of("flat = flatten", in, classes);
            tr_real *x = tr_alloc((size_t)(n * stride), sizeof *x, NULL);
            int32_t *label = tr_alloc((size_t)n, sizeof *label, NULL);
            tr_real *dx = tr_alloc(logits->n, sizeof *dx, NULL);
            double loss[1];
            for (int s = 0; s < n; s++) {
                to_internal(logits, s, in, x + s * stride);
                label[s] = (int32_t)labels->v[s];
            }
            few_steps t = {.graph = graph,
                           .options = {.batch = n,
                                       .training = true,
                                       .shard = 1 + i % 2,
                                       .kernels = kernels,
                                       .input_gradient = true},
                           .input = {.n = n, .x = x, .stride = stride, .labels = label},
                           .n_steps = 1,
                           .losses = loss,
                           .input_gradient = dx};
            run_on(1 + i % 3, &t);
            double wanted = tr_reference_get(c, "loss")->v[0];
            near(c->name, "loss", 0, loss[0], wanted, loss_bound(classes, wanted));
            for (size_t e = 0; e < grad->n; e++)
                near(c->name, "gradient", (int64_t)e, (double)dx[e], grad->v[e],
                     loss_bound(classes, 0) / n);
            tr_free(x);
            tr_free(label);
            tr_free(dx);
            tr_graph_free(graph);
        }
    }
    tr_reference_free(reference);
}
END_TEST

/* ---- optimizer ---- */

START_TEST(sgd_is_pytorch) {
    tr_reference *reference = tr_reference_read("reference/sgd.txt");
    const tr_optimizer *sgd = tr_optimizers[0];
    ck_assert_str_eq(sgd->schema.name, "sgd");
    for (int k = 0; k < tr_n_isas(); k++) {
        const tr_kernels *kernels = kernels_of(tr_isa_name(k));
        for (int i = 0; kernels && i < reference->n_cases; i++) {
            const tr_reference_case *c = &reference->cases[i];
            const tr_reference_tensor *param = tr_reference_get(c, "param"),
                                      *grads = tr_reference_get(c, "grads"),
                                      *params = tr_reference_get(c, "params");
            tr_where where = {"sgd.txt", 0};
            tr_args_words w;
            tr_arena memory = {0};
            tr_error err = {0};
            void *args = tr_alloc(1, sgd->schema.args_bytes, NULL);
            ck_assert_int_eq(tr_args_split(c->optimizer, where, "sgd", &memory, &w, &err), TR_OK);
            ck_assert_msg(
                tr_args_parse(&sgd->schema, w.pairs, w.n, where, "sgd", args, &err) == TR_OK &&
                    sgd->check(args, &(tr_places){w.pairs, w.n, where, "sgd"}, &err) == TR_OK,
                "%s", err.text);
            tr_arena_free(&memory);
            tr_real *p = tr_alloc(param->n, sizeof *p, NULL),
                    *g = tr_alloc(param->n, sizeof *g, NULL),
                    *state = tr_alloc(param->n, sizeof *state, NULL);
            for (size_t e = 0; e < param->n; e++) p[e] = (tr_real)param->v[e];
            for (int64_t s = 0; s < grads->dim[0]; s++) {
                for (size_t e = 0; e < param->n; e++) g[e] = (tr_real)grads->v[s * 9 + (int64_t)e];
                tr_update u = {.n = (int64_t)param->n,
                               .p = p,
                               .g = g,
                               .state = &state,
                               .step = s,
                               .lr = ((const tr_optimizer_args *)args)->lr};
                sgd->update(args, kernels, &u);
                /* Hyperparameters are rounded once, a step rounds four times: 2^-24 each of numbers
                 * that momentum and gradients up to 2 keep below 8. Four steps add up. */
                for (size_t e = 0; e < param->n; e++) {
                    near(c->name, "parameter", s * 9 + (int64_t)e, (double)p[e],
                         params->v[s * 9 + (int64_t)e], (double)(s + 1) * 8 * 8 * 0x1p-24);
                }
            }
            tr_free(args);
            tr_free(p);
            tr_free(g);
            tr_free(state);
        }
    }
    tr_reference_free(reference);
}
END_TEST

/* ---- messages ---- */

typedef struct golden {
    tr_shape input;
    const char *lines, *message;
} golden;

#define IMAGE                                                                                      \
    { false, 8, 6, 3 }
static const golden messages[] = {
    {IMAGE, "c = conv2d kernel_size=3",
     "net.ini:2: c.out_channels: missing, it must be given (channels of the output)"},
    {IMAGE, "c = conv2d out_channels=4",
     "net.ini:2: c.kernel_size: missing, it must be given (height and width of the kernel)"},
    {IMAGE, "c = conv2d out_channels=0 kernel_size=3",
     "net.ini:2: c.out_channels: 0 is out of range, allowed are 1 to 65536"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3x",
     "net.ini:2: c.kernel_size: 3x is not a size, such as 3 or 3x1, allowed are 1 to 1024"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 stride=0",
     "net.ini:2: c.stride: 0 is out of range, allowed are 1 to 1024"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 padding=-1",
     "net.ini:2: c.padding: -1 is out of range, allowed are 0 to 1024, or same, or valid"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 bias=maybe",
     "net.ini:2: c.bias: 'maybe' is not true or false"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 in_channels=4",
     "net.ini:2: c: in_channels=4 but the input has 3 channels: write that, or leave the key out"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 groups=2",
     "net.ini:2: c: groups=2 does not divide the 3 channels of the input"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 groups=3",
     "net.ini:2: c: out_channels=4 is no multiple of groups=3, the nearest is 3"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 padding=same stride=1x2",
     "net.ini:2: c: padding=same wants stride=1, not stride=1x2"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 padding=samex1",
     "net.ini:2: c: padding mixes a word with another: write same or valid alone, or two numbers"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 padding=some",
     "net.ini:2: c.padding: some is not a size, such as 3 or 3x1, allowed are 0 to 1024, or same, "
     "or valid"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3x4 dilation=2 padding=valid",
     "net.ini:2: c: kernel_size=3x4 with dilation=2 is larger than the padded input of 8 x 6, "
     "allowed are 1 to 4x3"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 padding=2x6 padding_mode=reflect",
     "net.ini:2: c: padding=2x6 is too much for padding_mode=reflect of an input of 8 x 6, allowed "
     "are 0 to 7x5"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=15 padding=same padding_mode=circular",
     "net.ini:2: c: padding=same, 7 is too much for padding_mode=circular of an input of 8 x 6, "
     "allowed are 0 to 8x6"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3 padding_mode=mirror",
     "net.ini:2: c.padding_mode: unknown value 'mirror', allowed are zeros, reflect, replicate, "
     "circular"},
    {IMAGE, "c = conv_transpose2d out_channels=4 kernel_size=3 stride=2 output_padding=2x1",
     "net.ini:2: c: output_padding=2x1 must be smaller than stride or dilation, allowed are 0 to "
     "1"},
    {IMAGE, "c = conv_transpose2d out_channels=4 kernel_size=1 padding=4x3",
     "net.ini:2: c: padding=4x3 leaves nothing of the output of an input of 3 x 8 x 6, allowed are "
     "0 to 3x2"},
    {IMAGE, "c = conv_transpose2d out_channels=8 kernel_size=2 stride=1024",
     "net.ini:2: c: its output would be too large: 8 x 7170 x 5122, allowed are up to 134217727 "
     "numbers and sides of 32768"},
    {IMAGE, "c = conv_transpose2d out_channels=4 kernel_size=1024 dilation=1024",
     "net.ini:2: c: its output would be too large: 4 x 1047560 x 1047558, allowed are up to "
     "134217727 numbers and sides of 32768"},
    {IMAGE, "f = flatten\nc = conv_transpose2d out_channels=4 kernel_size=3",
     "net.ini:3: c: conv_transpose2d wants an image (channels x height x width) but its input has "
     "144 features"},
    {IMAGE, "c = conv2d out_channels=4 kernelsize=3",
     "net.ini:2: c.kernelsize: unknown key (did you mean 'kernel_size'?)"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=7",
     "net.ini:2: c: kernel_size=7 is larger than the padded input of 8 x 6, allowed are 1 to 6"},
    {IMAGE, "c = conv2d out_channels=4 kernel_size=9 padding=1",
     "net.ini:2: c: kernel_size=9 is larger than the padded input of 10 x 8, allowed are 1 to 8"},
    {IMAGE, "c = conv2d out_channels=65536 kernel_size=6 padding=512",
     "net.ini:2: c: its output would be too large: 65536 x 1027 x 1025, allowed are up to "
     "134217727 "
     "numbers and sides of 32768"},
    {IMAGE, "c = conv2d out_channels=65536 kernel_size=100 padding=512",
     "net.ini:2: c: out_channels=65536 of 3 x 100 x 100 makes 1966080000 weights, allowed are up "
     "to "
     "536870911"},
    {IMAGE,
     "c = conv2d out_channels=4096 kernel_size=1\nd = conv2d out_channels=4 kernel_size=2 "
     "padding=512 stride=512\np = max_pool2d kernel_size=2",
     "net.ini:3: d: padding=512 makes an input of 4096 x 1032 x 1030 numbers, allowed are up to "
     "134217727"},
    /* The gradient of the output inside of zeros ... */
    {{false, 224, 224, 1},
     "c = conv2d out_channels=65536 kernel_size=64 stride=1024",
     "net.ini:2: c: kernel_size=64 with out_channels=65536 makes copies of 2147483648 numbers for "
     "the input gradient, allowed are up to 2147483647"},
    /* ... and the rotated kernel, whose single channel takes the space of eight. */
    {{false, 8, 8, 1},
     "c = conv2d out_channels=65536 kernel_size=90 padding=41 stride=1024",
     "net.ini:2: c: kernel_size=90 with out_channels=65536 makes copies of 4246732800 numbers for "
     "the input gradient, allowed are up to 2147483647"},
    {IMAGE, "f = flatten\nc = conv2d out_channels=4 kernel_size=3",
     "net.ini:3: c: conv2d wants an image (channels x height x width) but its input has 144 "
     "features"},
    {IMAGE, "p = max_pool2d",
     "net.ini:2: p.kernel_size: missing, it must be given (height and width of the window)"},
    {IMAGE, "p = max_pool2d kernel_size=7",
     "net.ini:2: p: kernel_size=7 is larger than the input of 3 x 8 x 6, allowed are 1 to 6"},
    {IMAGE, "p = max_pool2d kernel_size=2 strde=2",
     "net.ini:2: p.strde: unknown key (did you mean 'stride'?)"},
    {IMAGE, "p = max_pool2d kernel_size=9x5",
     "net.ini:2: p: kernel_size=9x5 is larger than the input of 3 x 8 x 6, allowed are 1 to 8x6"},
    {IMAGE, "p = max_pool2d kernel_size=11x7 padding=1x3",
     "net.ini:2: p: kernel_size=11x7 is larger than the input of 3 x 8 x 6 with padding=1x3, "
     "allowed are 1 to 10x12"},
    {IMAGE, "p = max_pool2d kernel_size=5 dilation=2",
     "net.ini:2: p: kernel_size=5 with dilation=2 is larger than the input of 3 x 8 x 6, allowed "
     "are 1 to 3"},
    {IMAGE, "p = max_pool2d kernel_size=9 dilation=1x2 padding=1x4 stride=2 ceil_mode=true",
     "net.ini:2: p: kernel_size=9 with dilation=1x2 is larger than the input of 3 x 8 x 6 with "
     "padding=1x4, allowed are 1 to 8"},
    {IMAGE, "p = max_pool2d kernel_size=3 padding=2",
     "net.ini:2: p: padding=2 is more than half of kernel_size=3, allowed are 0 to 1"},
    {IMAGE, "p = avg_pool2d kernel_size=4x1 padding=1",
     "net.ini:2: p: padding=1 is more than half of kernel_size=4x1, allowed are 0 to 0"},
    {IMAGE, "p = avg_pool2d kernel_size=4x1 padding=3x0",
     "net.ini:2: p: padding=3x0 is more than half of kernel_size=4x1, allowed are 0 to 2x0"},
    {IMAGE, "p = max_pool2d kernel_size=3 stride=2xkernel_size",
     "net.ini:2: p: stride mixes kernel_size and a number: write the word alone, or two numbers"},
    {IMAGE, "p = max_pool2d kernel_size=2 stride=none",
     "net.ini:2: p.stride: none is not a size, such as 3 or 3x1, allowed are 1 to 1024, or "
     "kernel_size"},
    {{false, 1, 6, 3},
     "p = max_pool2d kernel_size=2 stride=1 padding=1 dilation=2x1",
     "net.ini:2: p: dilation=2x1 makes windows that hold no pixel of the input of 3 x 1 x 6, only "
     "padding: a smaller dilation or padding is needed"},
    {IMAGE, "p = avg_pool2d kernel_size=2 dilation=2",
     "net.ini:2: p.dilation: unknown key, allowed are kernel_size, stride, padding, ceil_mode, "
     "count_include_pad, divisor_override"},
    {IMAGE, "p = avg_pool2d kernel_size=2 divisor_override=0",
     "net.ini:2: p.divisor_override: 0 is out of range, allowed are 1 to 2147483647, or none"},
    {IMAGE, "p = avg_pool2d kernel_size=9",
     "net.ini:2: p: kernel_size=9 is larger than the input of 3 x 8 x 6, allowed are 1 to 6"},
    {IMAGE, "f = flatten\np = avg_pool2d kernel_size=2",
     "net.ini:3: p: avg_pool2d wants an image (channels x height x width) but its input has 144 "
     "features"},
    {IMAGE, "p = adaptive_avg_pool2d",
     "net.ini:2: p.output_size: missing, it must be given (height and width of the output, none: "
     "those of the input)"},
    {IMAGE, "p = adaptive_avg_pool2d output_size=65536",
     "net.ini:2: p: its output would be too large: 3 x 65536 x 65536, allowed are up to 134217727 "
     "numbers and sides of 32768"},
    {IMAGE, "f = flatten\np = adaptive_avg_pool2d output_size=1",
     "net.ini:3: p: adaptive_avg_pool2d wants an image (channels x height x width) but its input "
     "has 144 features"},
    {IMAGE, "s = subsample",
     "net.ini:2: s.stride: missing, it must be given (step from one pixel "
     "that is kept to the next)"},
    {IMAGE, "s = subsample stride=0",
     "net.ini:2: s.stride: 0 is out of range, allowed are 1 to 1024"},
    {IMAGE, "f = flatten\ns = subsample stride=2",
     "net.ini:3: s: subsample wants an image (channels x height x width) but its input has 144 "
     "features"},
    {IMAGE, "p = pad_channels after=-1",
     "net.ini:2: p.after: -1 is out of range, allowed are 0 to 65536"},
    {IMAGE, "f = flatten\np = pad_channels after=1",
     "net.ini:3: p: pad_channels wants an image (channels x height x width) but its input has 144 "
     "features"},
    {IMAGE, "f = flatten\np = max_pool2d kernel_size=2",
     "net.ini:3: p: max_pool2d wants an image (channels x height x width) but its input has 144 "
     "features"},
    {IMAGE, "fc = linear out_features=10",
     "net.ini:2: fc: linear wants features but its input is an image of 3 x 8 x 6: put a flatten "
     "layer before it"},
    {IMAGE, "f = flatten\nfc = linear",
     "net.ini:3: fc.out_features: missing, it must be given (features of the output)"},
    {IMAGE, "f = flatten\nfc = linear out_features=16777216",
     "net.ini:3: fc: out_features=16777216 for 144 features makes 2415919104 weights, allowed are "
     "up "
     "to 536870911"},
    {IMAGE, "r = relu inplace=true", "net.ini:2: r.inplace: unknown key, there is none"},
    {IMAGE, "a = add",
     "net.ini:2: a: add reads 1 value, at least 2 are needed: name them with from=a,b"},
    {IMAGE, "a = relu\nb = relu from=a,input",
     "net.ini:3: b: relu reads one value, but from= names 2"},
    {IMAGE, "a = identity\ns = add from=a,a,a,a,a,a,a,a,a",
     "net.ini:5: loss: cross_entropy wants features but its input is an image of 3 x 8 x 6: put a "
     "flatten layer before it"}, /* any number of inputs */
    {IMAGE, "r = relu",
     "net.ini:4: loss: cross_entropy wants features but its input is an image of 3 x 8 x 6: put a "
     "flatten layer before it"},
};
enum { N_MESSAGES = sizeof messages / sizeof *messages };

START_TEST(errors_are_named) {
    const golden *g = &messages[_i];
    char text[1024];
    tr_graph *graph;
    tr_error err = {0};
    snprintf(text, sizeof text, "[network]\n%s\n[loss]\ntype = cross_entropy\n", g->lines);
    ck_assert_int_eq(graph_of_text(text, g->input, 0, &graph, &err), TR_ECONFIG);
    ck_assert_ptr_null(graph);
    ck_assert_str_eq(err.text, g->message);
}
END_TEST

START_TEST(sgd_errors_are_named) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"sgd", "net.ini:7: optimizer.lr: missing, it must be given (learning rate)"},
        {"sgd lr=-1", "net.ini:7: optimizer.lr: -1 is out of range, allowed are 0 to 1000000"},
        {"sgd lr=0.1 momentum=1.5",
         "net.ini:7: optimizer.momentum: 1.5 is out of range, allowed are 0 to 1"},
        {"sgd lr=0.1 nesterov=true",
         "net.ini:7: optimizer.nesterov: nesterov=true needs a momentum above 0 and a dampening of "
         "0, not 0 and 0"},
        {"sgd lr=0.1 nesterov=true momentum=0.9 dampening=0.5",
         "net.ini:7: optimizer.nesterov: nesterov=true needs a momentum above 0 and a dampening of "
         "0, not 0.9 and 0.5"},
        {"sgd lr=0.1 momentun=0.9",
         "net.ini:7: optimizer.momentun: unknown key (did you mean 'momentum'?)"},
    };
    const tr_optimizer *sgd = tr_optimizers[0];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tr_where where = {"net.ini", 7};
        tr_args_words w;
        tr_arena memory = {0};
        tr_error err = {0};
        void *args = tr_alloc(1, sgd->schema.args_bytes, NULL);
        ck_assert_int_eq(tr_args_split(cases[i].text, where, "optimizer", &memory, &w, &err),
                         TR_OK);
        if (tr_args_parse(&sgd->schema, w.pairs, w.n, where, "optimizer", args, &err) == TR_OK)
            sgd->check(args, &(tr_places){w.pairs, w.n, where, "optimizer"}, &err);
        ck_assert_str_eq(err.text, cases[i].message);
        tr_arena_free(&memory);
        tr_free(args);
    }
}
END_TEST

static void add_others(TCase *all) {
    tcase_add_loop_test(all, linear_both_algorithms, 0, sizeof matrices / sizeof *matrices);
    tcase_add_test(all, cross_entropy_is_pytorch);
    tcase_add_test(all, sgd_is_pytorch);
    tcase_add_loop_test(all, errors_are_named, 0, N_MESSAGES);
    tcase_add_test(all, sgd_errors_are_named);
}

static Suite *ops_suite(void) {
    Suite *suite = suite_create("ops");
    TCase *all = tcase_create("ops");
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, layers_are_pytorch, 0, N_FILES);
    if (sizeof(tr_real) == sizeof(float)) add_others(all);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(ops_suite());
}
