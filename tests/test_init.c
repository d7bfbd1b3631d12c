/* Initial values: PyTorch's numbers (tests/reference/init.txt, whiten.txt), the distributions of
 * our own, what the whole tensor must be, and the errors. */
#include <math.h>
#include <stdlib.h>

#include "init/init.h"
#include "network.h"
#include "reference.h"

static const tr_shape image = {false, 5, 5, 2};

/* ---- arithmetic ---- */

/* Against the C library, whose own error is about 1e-16. Logarithm and cosine are short sums, small
 * terms first. The argument of exp is rounded, 1e-16 of up to 400, and so is that of erf's, 1e-16
 * of 9; erf's sum has up to 100 terms, none of them negative. erfinv against its inverse. */
START_TEST(functions_are_exact) {
    for (int i = 1; i < 4000; i++) {
        double x = i * 0x1.3p-9, u = (i * 17 % 4096) / 4096.0, turn = 8 * atan(1) * u;
        ck_assert_double_le(fabs(tr_init_log(x) - log(x)), 4e-16 * (1 + fabs(log(x))));
        ck_assert_double_le(fabs(tr_init_log(x * 1e-12) / log(x * 1e-12) - 1), 4e-16);
        for (int sign = -1; sign <= 1; sign += 2) {
            double y = sign * x;
            ck_assert_double_le(fabs(tr_init_exp(40 * y) / exp(40 * y) - 1), 2e-14);
            ck_assert_double_le(fabs(tr_init_erf(y) - erf(y)), 2e-15);
            double inverse = tr_init_erfinv(sign * u);
            double slope = 2 / sqrt(4 * atan(1)) * exp(-inverse * inverse);
            ck_assert_double_le(fabs(erf(inverse) - sign * u), 1e-15 + 1e-15 * slope);
        }
        ck_assert_double_le(fabs(tr_init_cos_turn(u) - cos(turn)), 1e-15);
        ck_assert_double_le(fabs(tr_init_sin_turn(u) - sin(turn)), 1e-15);
    }
    ck_assert(tr_init_log(1) == 0 && tr_init_exp(0) == 1 && tr_init_erf(0) == 0);
    ck_assert(tr_init_cos_turn(0.25) == 0 && tr_init_cos_turn(0.5) == -1 &&
              tr_init_sin_turn(0) == 0);
    for (double x = 1e-300; x < 1e-3; x *= 7) /* down to where 1 - x is 1 */
        ck_assert_double_le(fabs(erfc(tr_init_erfinv(1 - x)) - (1 - (1 - x))), 2e-15 * 8);
}
END_TEST

/* A matrix with known eigenvalues: its vectors are orthonormal, and make it again. */
START_TEST(eigenvectors) {
    enum { MOST = 40 };
    static double a[MOST * MOST], copy[MOST * MOST], values[MOST], vectors[MOST * MOST];
    uint32_t seed = 7;
    for (int n = 1; n <= MOST; n += n < 6 ? 1 : 17) {
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++)
                copy[i * n + j] = copy[j * n + i] = i == j && i % 3 == 0 ? 1 : draw(&seed, 8, 1);
        memcpy(a, copy, sizeof a);
        ck_assert_int_eq(tr_init_eigen(n, a, values, vectors, NULL), TR_OK);
        for (int i = 0; i < n; i++) {
            double largest = 0;
            ck_assert(i == 0 || values[i - 1] <= values[i]);
            for (int j = 0; j < n; j++) {
                double dot = 0, again = 0;
                for (int k = 0; k < n; k++) dot += vectors[i * n + k] * vectors[j * n + k];
                for (int k = 0; k < n; k++)
                    again += values[k] * vectors[k * n + i] * vectors[k * n + j];
                ck_assert_double_le(fabs(dot - (i == j)), 1e-13);
                ck_assert_double_le(fabs(again - copy[i * n + j]), 1e-11);
                if (fabs(vectors[i * n + j]) > fabs(largest)) largest = vectors[i * n + j];
            }
            ck_assert_double_gt(largest, 0);
        }
    }
    memset(a, 0, sizeof a); /* nothing to rotate */
    ck_assert_int_eq(tr_init_eigen(3, a, values, vectors, NULL), TR_OK);
    ck_assert(values[2] == 0 && vectors[4] == 1);
}
END_TEST

/* ---- graphs ---- */

static tr_graph *with_lines(const char *lines, tr_shape input) {
    return graph_of(lines, input, 0);
}

static double *values_of(const tr_graph *graph, const char *name, int64_t *n) {
    const tr_row *row = tr_graph_row(graph, name);
    ck_assert_msg(row != NULL, "%s", name);
    double *values = tr_alloc((size_t)row->count, sizeof *values, NULL);
    tr_row_read(row, tr_row_state(row)->value, 0, row->count, values);
    *n = row->count;
    return values;
}

/* ---- PyTorch ---- */

static tr_graph *graph_of_case(const tr_reference_case *c, tr_shape input) {
    tr_text text = {0};
    for (int i = 0; i < c->n_layers; i++) tr_text_print(&text, "%s\n", c->layers[i]);
    if (c->n_layers == 1) tr_text_print(&text, "flat = flatten\n");
    tr_graph *graph = with_lines(text.at, input);
    tr_text_free(&text);
    return graph;
}

/* What may be between a number and PyTorch's: nothing where it is uniform or a constant. A normal
 * one is off by the error of its logarithm and cosine in single precision (1e-6 of the largest, 5
 * deviations). An orthogonal matrix was decomposed in single precision: the rounding of 2^-24 times
 * the condition of matrices of at most 20 rows. */
static double tolerance_of(const char *name) {
    if (strstr(name, "orthogonal")) return 2e-5;
    return strstr(name, "normal") ? 2e-6 : 0;
}

START_TEST(values_are_pytorch) {
    tr_reference *file = tr_reference_read("reference/init.txt");
    ck_assert_int_gt(file->n_cases, 10);
    for (int i = 0; i < file->n_cases; i++) {
        const tr_reference_case *c = &file->cases[i];
        tr_graph *graph = graph_of_case(c, image);
        uint64_t seed = (uint64_t)tr_reference_get(c, "seed")->v[0];
        tr_graph_init(graph, TR_TORCH, seed);
        for (int j = 0; j < graph->n_rows; j++) {
            int64_t n;
            const char *name = graph->rows[j].name;
            double *got = values_of(graph, name, &n);
            const tr_reference_tensor *want = tr_reference_get(c, name);
            ck_assert_int_eq(n, (int64_t)want->n);
            for (int64_t e = 0; e < n; e++) {
                double wanted = (double)(float)want->v[e];
                if (!(fabs(got[e] - wanted) <= tolerance_of(c->name) * fmax(1, fabs(wanted))))
                    ck_abort_msg("%s: %s: element %lld is %.9g, PyTorch has %.9g", c->name, name,
                                 (long long)e, got[e], wanted);
            }
            tr_free(got);
        }
        /* As many numbers were drawn: the next ones are the order of the samples. */
        const tr_reference_tensor *order = tr_reference_get(c, "order0");
        uint32_t mine[16];
        tr_torch_permutation(seed, graph->n_draws, 0, mine, (uint32_t)order->n);
        for (size_t e = 0; e < order->n; e++)
            ck_assert_msg(mine[e] == order->v[e], "%s: order", c->name);
        tr_graph_free(graph);
    }
    tr_reference_free(file);
}
END_TEST

static int read_reference(void *arg, int i, tr_real *to, tr_error *err) {
    const tr_reference_tensor *t = arg;
    const int64_t c = t->dim[1], h = t->dim[2], w = t->dim[3];
    (void)err;
    for (int64_t k = 0; k < c * h * w; k++)
        to[k % (h * w) * c + k / (h * w)] = (tr_real)t->v[i * c * h * w + k];
    return TR_OK;
}

START_TEST(whiten_is_pytorch) {
    tr_reference *file = tr_reference_read("reference/whiten.txt");
    for (int i = 0; i < file->n_cases; i++) {
        const tr_reference_case *c = &file->cases[i];
        const tr_reference_tensor *t = tr_reference_get(c, "images"),
                                  *want = tr_reference_get(c, "conv.weight");
        tr_shape input = {false, (int)t->dim[2], (int)t->dim[3], (int)t->dim[1]};
        const tr_init_images images = {(int)t->dim[0], input.h,        input.w,
                                       input.c,        read_reference, (void *)(uintptr_t)t};
        tr_graph *graph = graph_of_case(c, input);
        int64_t n;
        ck_assert_int_eq(tr_graph_initialise(graph, TR_PHILOX, 1, &images, NULL), TR_OK);
        double *got = values_of(graph, "conv.weight", &n);
        ck_assert_int_eq(n, (int64_t)want->n);
        for (int64_t e = 0; e < n; e++) /* a float of at most 45 */
            ck_assert_msg(fabs(got[e] - want->v[e]) <= 4e-6, "%s: element %lld is %.9g, not %.9g",
                          c->name, (long long)e, got[e], want->v[e]);
        tr_free(got);
        tr_graph_free(graph);
    }
    tr_reference_free(file);
}
END_TEST

/* ---- our own numbers ---- */

typedef struct distribution {
    const char *init;
    double mean, std, low, high; /* low: the least value there may be */
} distribution;

/* Of a weight of 96 x 50, fan_in 50 and fan_out 96. The truncated ones: of a standard normal
 * variable between a and b the mean is (f(a) - f(b)) / Z, the variance 1 + (a f(a) - b f(b)) / Z -
 * mean^2. */
static const distribution distributions[] = {
    {"default", 0, 0.14142135623730950 / 1.7320508075688772, -0.14142136, 0.14142136},
    {"uniform", 0.5, 0.28867513459481287, 0, 1},
    {"uniform(a=-3,b=-1)", -2, 0.57735026918962573, -3, -1},
    {"normal", 0, 1, -7, 7},
    {"normal(mean=4,std=0.5)", 4, 0.5, 0, 8},
    {"kaiming_normal", 0, 0.2, -1.4, 1.4},
    {"kaiming_uniform", 0, 0.2, -0.34641017, 0.34641017},
    {"kaiming_normal(mode=fan_out,nonlinearity=linear)", 0, 0.10206207261596575, -1, 1},
    {"kaiming_normal(a=1)", 0, 0.14142135623730950, -1, 1},
    {"kaiming_uniform(nonlinearity=tanh)", 0, 0.23570226039551584, -0.40824830, 0.40824830},
    {"xavier_normal(gain=2)", 0, 0.23408229439226114, -2, 2},
    {"xavier_uniform", 0, 0.11704114719613057, -0.2027212, 0.2027212},
    {"trunc_normal", 0, 0.87962566103423978, -2, 2},
    {"trunc_normal(a=0,b=3)", 0.79115675, 0.58941318, 0, 3},
    {"trunc_normal(mean=1,std=0.5,a=2,b=2.5)", 2.15791295, 0.12400300, 2, 2.5},
    {"constant(val=-0.25)", -0.25, 0, -0.25, -0.25},
    {"zeros", 0, 0, 0, 0},
    {"ones", 1, 0, 1, 1},
};
enum { N_DISTRIBUTIONS = sizeof distributions / sizeof *distributions };

/* A mean is within five of its deviations, std / sqrt(n); so is a standard deviation, whose own is
 * at most std / sqrt(n) for all of these (sqrt((kurtosis - 1) / 4), 0.71 of it for normal ones). */
static void check_moments(const distribution *d, tr_generator generator) {
    char lines[200];
    int64_t n;
    snprintf(lines, sizeof lines, "flat = flatten\nfc = linear out_features=96 weight_init=%s\n",
             d->init);
    tr_graph *graph = with_lines(lines, image);
    tr_graph_init(graph, generator, 5);
    double *v = values_of(graph, "fc.weight", &n), sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += v[i];
    const double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        ck_assert_msg(v[i] >= d->low && v[i] <= d->high, "%s: %g", d->init, v[i]);
        squares += (v[i] - mean) * (v[i] - mean);
    }
    const double std = sqrt(squares / (double)n), most = 5 * d->std / sqrt((double)n);
    ck_assert_msg(fabs(mean - d->mean) <= most, "%s: mean %.9g, not %.9g", d->init, mean, d->mean);
    ck_assert_msg(fabs(std - d->std) <= most, "%s: std %.9g, not %.9g", d->init, std, d->std);
    tr_free(v);
    tr_graph_free(graph);
}

START_TEST(distributions_are_right) {
    check_moments(&distributions[_i], TR_PHILOX);
    check_moments(&distributions[_i], TR_TORCH);
}
END_TEST

/* The numbers of a tensor do not depend on those before it, on fusion or on the layout. */
START_TEST(each_tensor_by_itself) {
    static const char *const nets[] = {
        "c = conv2d out_channels=7 kernel_size=3 weight_init=normal bias_init=normal\nf = "
        "flatten\n",
        "c = conv2d out_channels=7 kernel_size=3 weight_init=normal bias_init=normal\nr = relu\n"
        "p = max_pool2d kernel_size=2\nf = flatten\n",
        "c = conv2d out_channels=7 kernel_size=3 weight_init=normal bias_init=normal\nf = flatten\n"
        "l = linear out_features=3 weight_init=orthogonal\n"};
    double first[7 * 18 + 7];
    for (int i = 0; i < 3; i++) {
        int64_t n, m;
        tr_graph *graph = with_lines(nets[i], image);
        tr_graph_init(graph, TR_PHILOX, 9);
        double *w = values_of(graph, "c.weight", &n), *b = values_of(graph, "c.bias", &m);
        if (i == 0) memcpy(first, w, (size_t)n * sizeof *w);
        if (i == 0) memcpy(first + n, b, (size_t)m * sizeof *b);
        ck_assert_mem_eq(first, w, (size_t)n * sizeof *w);
        ck_assert_mem_eq(first + n, b, (size_t)m * sizeof *b);
        for (int64_t e = 0; e < m; e++) ck_assert(b[e] != w[e]);
        tr_free(w);
        tr_free(b);
        tr_graph_free(graph);
    }
}
END_TEST

/* ---- whole tensors ---- */

/* [out][in] of a conv with so many outputs, or of a linear layer. 1e-6: the values are float, and
 * dots of at most 600 of them; in double, of the values before they are rounded, 1e-12. */
static void check_orthogonal(const char *line, const char *name, double gain) {
    char lines[300];
    int64_t n;
    snprintf(lines, sizeof lines, "c = conv2d out_channels=24 kernel_size=3 padding=1\n%s\n%s",
             line, strstr(line, "conv2d") ? "flat = flatten\n" : "");
    tr_graph *graph = with_lines(lines, image);
    tr_graph_init(graph, TR_PHILOX, 3);
    double *v = values_of(graph, name, &n);
    int64_t rows = tr_row_state(tr_graph_row(graph, name))->dim[0], columns = n / rows;
    bool high = rows > columns;
    int64_t vectors = high ? columns : rows, length = high ? rows : columns,
            step = high ? columns : 1, next = high ? 1 : columns;
    for (int64_t i = 0; i < vectors; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double dot = 0;
            for (int64_t k = 0; k < length; k++)
                dot += v[i * next + k * step] * v[j * next + k * step];
            ck_assert_msg(fabs(dot - (i == j) * gain * gain) <= 1e-6 * gain * gain,
                          "%s: %lld %lld: %g", line, (long long)i, (long long)j, dot);
        }
    }
    tr_free(v);
    tr_graph_free(graph);
}

START_TEST(orthogonal_is) {
    check_orthogonal("d = conv2d out_channels=16 kernel_size=3 weight_init=orthogonal", "d.weight",
                     1);
    check_orthogonal("d = conv2d out_channels=100 kernel_size=2 weight_init=orthogonal(gain=3)",
                     "d.weight", 3);
    check_orthogonal("f = flatten\nl = linear out_features=7 weight_init=orthogonal", "l.weight",
                     1);
    check_orthogonal("f = flatten\nl = linear out_features=600 weight_init=orthogonal", "l.weight",
                     1);
    const tr_init *init = tr_inits[tr_registry_find(&tr_init_registry, "orthogonal")];
    const double gain = 1;
    const tr_init_tensor t = {.n_dims = 2, .dim = {40, 40}};
    static double v[1600];
    tr_init_draws draws;
    tr_init_draws_begin(&draws, TR_PHILOX, 4);
    tr_distribution p = init->distribution(&gain, &t);
    ck_assert_int_eq(tr_init_draw(&p, &draws, 0, 1600, 1600, v, NULL), TR_OK);
    ck_assert_int_eq(init->finish(&gain, &t, NULL, v, NULL), TR_OK);
    for (int i = 0; i < 1600; i++) {
        double dot = 0;
        for (int k = 0; k < 40; k++) dot += v[i / 40 * 40 + k] * v[i % 40 * 40 + k];
        ck_assert_double_le(fabs(dot - (i / 40 == i % 40)), 1e-12);
    }
}
END_TEST

/* Second moments of what whitened filters make of the patches: 1 for each, 0 for two, but for eps.
 */
static int draw_image(void *arg, int i, tr_real *to, tr_error *err) {
    const tr_init_images *images = arg;
    uint32_t seed = (uint32_t)i + 1;
    (void)err;
    for (int k = 0; k < images->h * images->w; k++) {
        double common = draw(&seed, 1000, 1e-3);
        for (int c = 0; c < images->c; c++)
            to[k * images->c + c] = (tr_real)(common + 0.3 * draw(&seed, 1000, 1e-3));
    }
    return TR_OK;
}

START_TEST(whiten_whitens) {
    enum { N = 60, C = 3, SIDE = 8, PATCH = 27 };
    const tr_shape input = {false, SIDE, SIDE, C};
    tr_init_images images = {N, SIDE, SIDE, C, draw_image, &images};
    tr_graph *graph = with_lines("w = conv2d out_channels=54 kernel_size=3 "
                                 "weight_init=whiten(images=50,eps=1e-6) frozen=weight\n"
                                 "f = flatten\n",
                                 input);
    int64_t n;
    ck_assert_int_eq(tr_graph_initialise(graph, TR_PHILOX, 1, &images, NULL), TR_OK);
    ck_assert_str_eq(tr_graph_needs_images(graph)->name, "w.weight");
    double *w = values_of(graph, "w.weight", &n), moments[PATCH][PATCH] = {{0}};
    for (int i = 0; i < n / 2; i++) ck_assert(w[i] == -w[n / 2 + i]);
    int64_t n_patches = 0;
    for (int i = 0; i < 50; i++) {
        tr_real pixels[SIDE * SIDE * C];
        draw_image(&images, i, pixels, NULL);
        for (int at = 0; at < (SIDE - 2) * (SIDE - 2); at++, n_patches++) {
            double out[PATCH] = {0};
            int y = at / (SIDE - 2), x = at % (SIDE - 2);
            for (int k = 0; k < PATCH * PATCH; k++) {
                int j = k % PATCH, pixel = (y + j / 3 % 3) * SIDE + x + j % 3;
                out[k / PATCH] += w[k] * (double)pixels[pixel * C + j / 9];
            }
            for (int k = 0; k < PATCH * PATCH; k++)
                moments[k / PATCH][k % PATCH] += out[k / PATCH] * out[k % PATCH];
        }
    }
    /* eps is 1e-6 over the least eigenvalue, about 0.01; the weights are float. */
    for (int k = 0; k < PATCH * PATCH; k++)
        ck_assert_double_le(
            fabs(moments[k / PATCH][k % PATCH] / (double)n_patches - (k / PATCH == k % PATCH)),
            5e-4);
    tr_free(w);
    /* Without images it keeps the default. */
    tr_graph_init(graph, TR_PHILOX, 1);
    w = values_of(graph, "w.weight", &n);
    ck_assert(w[0] != -w[n / 2] && fabs(w[0]) <= 1 / sqrt(27.0));
    tr_free(w);
    tr_graph_free(graph);
}
END_TEST

static int fail_image(void *arg, int i, tr_real *to, tr_error *err) {
    (void)arg, (void)to;
    return i < 3 ? TR_OK : tr_fail(err, TR_EDATA, "image %d is gone", i);
}

START_TEST(failures_are_passed_on) {
    const tr_init_images images = {9, 5, 5, 2, fail_image, NULL};
    tr_graph *graph = with_lines("w = conv2d out_channels=8 kernel_size=2 weight_init=whiten\n"
                                 "d = conv2d out_channels=8 kernel_size=2 weight_init=orthogonal\n"
                                 "f = flatten\n",
                                 image);
    tr_error err = {0};
    ck_assert_int_eq(tr_graph_initialise(graph, TR_PHILOX, 1, &images, &err), TR_EDATA);
    ck_assert_str_eq(err.text, "image 3 is gone");
    err = (tr_error){0};
    tr_alloc_fail_after(0);
    int code = tr_graph_initialise(graph, TR_PHILOX, 1, NULL, &err);
    tr_alloc_fail_after(-1);
    ck_assert_int_eq(code, TR_ENOMEM);
    tr_graph_free(graph);
}
END_TEST

/* ---- blocks ---- */

static const char repeated[] =
    "[network]\n"
    "a = part x3 init=normal( std = 0.5, mean=1 ),zeros freeze=(weight,bias),weight\n"
    "b = part x2 init=constant(val=3)\n"
    "f = flatten\n"
    "[block part init freeze=() other=uniform(a=0, b=2)]\n"
    "c = conv2d out_channels=2 kernel_size=1 weight_init=$init bias_init=$other frozen=$freeze\n"
    "[loss]\ntype = cross_entropy\n";

START_TEST(brackets_protect_commas) {
    static const char *const inits[] = {"normal(mean=1,std=0.5)", "zeros", "zeros",
                                        "constant(val=3)", "constant(val=3)"};
    static const bool frozen[][2] = {{1, 1}, {1, 0}, {1, 0}, {0, 0}, {0, 0}};
    tr_error err = {0};
    tr_graph *graph;
    ck_assert_msg(graph_of_text(repeated, image, 0, &graph, &err) == TR_OK, "%s", err.text);
    tr_text text = {0};
    ck_assert_int_eq(tr_graph_write(graph, &text, NULL), TR_OK);
    for (int i = 0; i < 5; i++) {
        char line[200], name[16];
        snprintf(line, sizeof line, "weight_init=%s bias_init=uniform(a=0,b=2)\n", inits[i]);
        snprintf(name, sizeof name, "%c.%d.c", i < 3 ? 'a' : 'b', i < 3 ? i : i - 3);
        const tr_node *node = node_of(graph, name);
        const char *at = strstr(text.at, name);
        ck_assert_msg(at && strstr(at, line) && strstr(at, line) < strchr(at, '\n'), "%s", text.at);
        for (int s = 0; s < 2; s++) ck_assert_int_eq(node->state[s].frozen, frozen[i][s]);
    }
    tr_graph *again; /* what is written means the same */
    ck_assert_msg(graph_of_text(text.at, image, 0, &again, &err) == TR_OK, "%s", err.text);
    tr_text more = {0};
    ck_assert_int_eq(tr_graph_write(again, &more, NULL), TR_OK);
    ck_assert_str_eq(text.at, more.at);
    tr_text_free(&text);
    tr_text_free(&more);
    tr_graph_free(graph);
    tr_graph_free(again);
}
END_TEST

/* ---- errors ---- */

#define CONV  "c = conv2d out_channels=8 kernel_size=3 "
#define WHERE "net.ini:2: c."
static const struct {
    const char *line, *message;
} errors[] = {
    {CONV "weight_init=kaiming_norml",
     WHERE "weight_init: unknown initial value 'kaiming_norml' (did you mean 'kaiming_normal'?)"},
    {CONV "weight_init=Kaiming_Normal(mode=fan_in)",
     WHERE "weight_init: unknown initial value 'Kaiming_Normal' (did you mean 'kaiming_normal'?)"},
    {CONV "bias_init=", WHERE "bias_init: the value is missing"},
    {CONV "bias_init=()",
     WHERE "bias_init: unknown initial value '', allowed are default, kaiming_uniform, "
           "kaiming_normal, xavier_uniform, xavier_normal, normal, trunc_normal, uniform, "
           "constant, zeros, ones, orthogonal, dirac, dirac_overlay, whiten"},
    {CONV "weight_init=normal(std=1", WHERE "weight_init: 'normal(std=1' has no closing ')'"},
    {CONV "weight_init=normal(std=(1)", WHERE "weight_init: 'normal(std=(1)' has no closing ')'"},
    {CONV "weight_init=normal(std=1)2",
     WHERE "weight_init: 'normal(std=1)2' goes on behind its ')'"},
    {CONV "weight_init=normal(0.1)",
     WHERE "weight_init: normal: '0.1' is not of the form key=value, its keys are mean=, std="},
    {CONV "weight_init=zeros(1)",
     WHERE "weight_init: zeros: '1' is not of the form key=value: it has no keys"},
    {CONV "weight_init=zeros(a=1)", WHERE "weight_init.a: unknown key, there is none"},
    {CONV "weight_init=normal(std=1,,mean=0)",
     WHERE "weight_init: normal: an argument is missing beside a comma"},
    {CONV "weight_init=normal(sdt=1)", WHERE "weight_init.sdt: unknown key (did you mean 'std'?)"},
    {CONV "weight_init=normal(std=1,std=2)", WHERE "weight_init.std: given twice"},
    {CONV "weight_init=normal(std=-1)",
     WHERE "weight_init.std: -1 is out of range, allowed are 0 to 1e18"},
    {CONV "weight_init=normal(std=one)", WHERE "weight_init.std: one is not a number"},
    {CONV "weight_init=kaiming_normal(mode=fan)",
     WHERE "weight_init.mode: unknown value 'fan', allowed are fan_in, fan_out"},
    {CONV "weight_init=constant", WHERE "weight_init.val: missing, it must be given (the value)"},
    {CONV "weight_init=constant(val=1e39)",
     WHERE "weight_init.val: 1e39 is out of range, allowed are -1e18 to 1e18"},
    {CONV "weight_init=uniform(a=2)",
     WHERE "weight_init.a: the lower bound 2 is above the upper bound b=1"},
    {CONV "weight_init=trunc_normal(a=2)",
     WHERE "weight_init.a: the lower bound 2 is not below the upper bound b=2"},
    {CONV "weight_init=trunc_normal(mean=9)",
     WHERE "weight_init.mean: 9 is more than 6 standard deviations of 1 outside of a=-2 and b=2"},
    {CONV "bias_init=kaiming_uniform",
     WHERE "bias_init: fan_in and fan_out need a parameter of 2 dimensions or more, this one has "
           "1"},
    {CONV "bias_init=xavier_normal",
     WHERE "bias_init: fan_in and fan_out need a parameter of 2 dimensions or more, this one has "
           "1"},
    {CONV "bias_init=orthogonal",
     WHERE "bias_init: orthogonal needs a parameter of 2 dimensions or more, this one has 1"},
    {CONV "bias_init=dirac",
     WHERE "bias_init: dirac needs the weight of a convolution, this parameter has 1 dimension"},
    {CONV "weight_init=dirac(groups=3)",
     WHERE "weight_init.groups: 3 does not divide the 8 filters"},
    {CONV "bias=false bias_init=zeros",
     "net.ini:2: c: bias_init=zeros: the layer has no parameter 'bias'"},
    {CONV "weight_init=whiten",
     WHERE "weight_init: whiten makes 18 filters of 2 x 3 x 3 elements, or twice as many with "
           "their negatives: out_channels is 8, allowed are 18 and 36"},
    {"r = relu\nc = conv2d out_channels=8 kernel_size=2 weight_init=whiten",
     "net.ini:3: c.weight_init: whiten needs the weight of a convolution that reads the network's "
     "input, without groups and with a kernel that fits in the image"},
    {CONV "frozen=weights",
     WHERE "frozen: the layer has no parameter 'weights' (did you mean 'weight'?)"},
    {CONV "frozen=weight,",
     WHERE "frozen: the layer has no parameter '', allowed are weight, bias"},
    {CONV "frozen=(weight,bais)",
     WHERE "frozen: the layer has no parameter 'bais' (did you mean 'bias'?)"},
    {"r = relu frozen=weight", "net.ini:2: r.frozen: unknown key, there is none"},
};
enum { N_ERRORS = sizeof errors / sizeof *errors };

START_TEST(errors_are_named) {
    char text[500];
    tr_graph *graph;
    tr_error err = {0};
    snprintf(text, sizeof text, "[network]\n%s\nf = flatten\n[loss]\ntype = cross_entropy\n",
             errors[_i].line);
    ck_assert_int_eq(graph_of_text(text, image, 0, &graph, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, errors[_i].message);
}
END_TEST

static Suite *init_suite(void) {
    Suite *suite = suite_create("init");
    TCase *all = tcase_create("init");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, functions_are_exact);
    tcase_add_test(all, eigenvectors);
    tcase_add_test(all, values_are_pytorch);
    tcase_add_test(all, whiten_is_pytorch);
    tcase_add_loop_test(all, distributions_are_right, 0, N_DISTRIBUTIONS);
    tcase_add_test(all, each_tensor_by_itself);
    tcase_add_test(all, orthogonal_is);
    tcase_add_test(all, whiten_whitens);
    tcase_add_test(all, failures_are_passed_on);
    tcase_add_test(all, brackets_protect_commas);
    tcase_add_loop_test(all, errors_are_named, 0, N_ERRORS);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(init_suite());
}
