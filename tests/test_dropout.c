/* Layers with random masks: dropout, dropout2d, drop_path. */
#include <math.h>
#include <stdlib.h>

#include "probe.h"

enum { PIXELS = 12, CHANNELS = 5, SIZE = PIXELS * CHANNELS };

typedef struct dropping {
    const char *layer;
    double p;
    int n, step, pass; /* samples, number of the step, samples of a pass */
    int threads;
    uint64_t seed;
    bool eval, flat;
    const char *before; /* layers in front of it */
} dropping;

static const char *const layers[] = {"dropout", "dropout2d", "drop_path"};
enum { N_LAYERS = sizeof layers / sizeof *layers };

/* Elements of a sample that share a factor, which are neighbours in PyTorch's order. */
static int shared_by(const char *layer) {
    return strcmp(layer, "dropout") == 0 ? 1 : strcmp(layer, "dropout2d") == 0 ? PIXELS : SIZE;
}

/* Ones, or what is in front makes of them, through the layer: what comes out, in PyTorch's order.
 */
static tr_real *dropped(const dropping *d) {
    tr_shape in = {false, 3, 4, CHANNELS};
    char lines[256];
    snprintf(lines, sizeof lines,
             d->flat ? "%sf = flatten\nd = %s p=%.17g\n" : "%sd = %s p=%.17g\nf = flatten\n",
             d->before ? d->before : "", d->layer, d->p);
    tr_graph *graph = graph_of(lines, in, 0);
    graph->nodes[graph->n_nodes - 1].op = &probe_op;
    int64_t stride = stride_of(in);
    tr_real *x = tr_alloc((size_t)(d->n * stride), sizeof *x, NULL),
            *y = tr_alloc((size_t)d->n * SIZE, sizeof *y, NULL), *cotangent = NULL;
    int32_t *labels = tr_alloc((size_t)d->n, sizeof *labels, NULL);
    for (int64_t i = 0; i < d->n * stride; i++) x[i] = 1;
    cotangent = tr_alloc((size_t)d->n * SIZE, sizeof *cotangent, NULL);
    for (int i = 0; i < d->n * SIZE; i++) cotangent[i] = 1;
    probe.seen = tr_alloc((size_t)d->n * SIZE, sizeof *probe.seen, NULL);
    probe.cotangent = cotangent;
    probe.size = SIZE;
    for (int first = 0; first < d->n; first += d->pass) {
        int n = (int)tr_min(d->pass, d->n - first);
        few_steps t = {.graph = graph,
                       .options = {.batch = d->pass,
                                   .effective = d->n,
                                   .training = true,
                                   .eval_mode = d->eval,
                                   .shard = 1,
                                   .kernels = kernels_of("auto"),
                                   .input_gradient = true},
                       .input = {.n = n,
                                 .first = first,
                                 .count = d->n,
                                 .seed = d->seed,
                                 .x = x + first * stride,
                                 .stride = stride,
                                 .labels = labels},
                       .n_steps = d->step + 1};
        t.input_gradient = tr_alloc((size_t)n * SIZE, sizeof *t.input_gradient, NULL);
        run_on(d->threads, &t);
        for (int i = 0; i < n * SIZE; i++) { /* of ones: value and gradient are the factor */
            int64_t j = i / SIZE * SIZE + internal_index(in, i % SIZE);
            if (d->before == NULL)
                ck_assert_msg(probe.seen[j] == t.input_gradient[j], "element %d", i);
            y[first * SIZE + i] = probe.seen[j];
        }
        tr_free(t.input_gradient);
    }
    tr_free(x);
    tr_free(labels);
    tr_free(cotangent);
    tr_free(probe.seen);
    tr_graph_free(graph);
    return y;
}

enum { N_USUAL = 24 };
static dropping usual_of(const char *layer) {
    return (dropping){
        .layer = layer, .p = 0.3, .n = N_USUAL, .step = 2, .pass = 24, .threads = 1, .seed = 11};
}

static int64_t differences(const dropping *d) {
    dropping usual = usual_of(d->layer);
    tr_real *a = dropped(&usual), *b = dropped(d);
    int64_t n = 0;
    for (int i = 0; i < N_USUAL * SIZE; i++) n += a[i] != b[i];
    tr_free(a);
    tr_free(b);
    return n;
}

/* Threads and passes change nothing; seed, step and layer do. */
START_TEST(mask_is_a_function) {
    const char *layer = layers[_i];
    for (int threads = 1; threads <= 3; threads++) {
        for (int pass = 1; pass <= 7; pass += 2) {
            dropping d = usual_of(layer);
            d.threads = threads;
            d.pass = pass;
            ck_assert_int_eq(differences(&d), 0);
        }
    }
    const int least = N_USUAL * SIZE / 8;
    dropping other = usual_of(layer);
    other.before = "i = relu\n";
    ck_assert_int_gt(differences(&other), least);
    other = usual_of(layer);
    other.seed = 12;
    ck_assert_int_gt(differences(&other), least);
    other.seed = 11 + ((uint64_t)1 << 40);
    ck_assert_int_gt(differences(&other), least);
    other = usual_of(layer);
    other.step = 1;
    ck_assert_int_gt(differences(&other), least);
}
END_TEST

/* An image or its features, number 1 and number 2 of the network: the same order of elements. */
START_TEST(features_as_images) {
    static const char *const both[] = {"dropout", "drop_path"};
    for (int k = 0; k < 2; k++) {
        dropping image = usual_of(both[k]), flat = image;
        image.before = "i = relu\n";
        flat.flat = true;
        tr_real *a = dropped(&image), *b = dropped(&flat);
        for (int i = 0; i < N_USUAL * SIZE; i++)
            ck_assert_msg(a[i] == b[i], "%s: element %d", both[k], i);
        tr_free(a);
        tr_free(b);
    }
}
END_TEST

/* Of 1000 samples; five deviations. Elements that share a factor are all kept or all dropped. */
START_TEST(drops_p) {
    static const double ps[] = {0.05, 0.3, 0.5, 0.9};
    const int run = shared_by(layers[_i]), n_factors = SIZE / run;
    for (size_t k = 0; k < sizeof ps / sizeof *ps; k++) {
        dropping d = {
            .layer = layers[_i], .p = ps[k], .n = 1000, .pass = 1000, .threads = 2, .seed = k};
        tr_real *y = dropped(&d), kept = (tr_real)(1 / (1 - ps[k]));
        int64_t n = d.n * n_factors, by_factor[SIZE] = {0}, zeros = 0;
        for (int64_t i = 0; i < d.n * SIZE; i++) {
            ck_assert_msg(y[i] == 0 || y[i] == kept, "%g", (double)y[i]);
            ck_assert_msg(y[i] == y[i / run * run], "element %lld", (long long)i);
            zeros += i % run == 0 && y[i] == 0;
            by_factor[i / run % n_factors] += i % run == 0 && y[i] == 0;
        }
        double one = ps[k] * (1 - ps[k]);
        ck_assert_double_le(fabs((double)zeros - (double)n * ps[k]), 5 * sqrt((double)n * one));
        for (int e = 0; e < n_factors; e++)
            ck_assert_double_le(fabs((double)by_factor[e] - d.n * ps[k]), 5 * sqrt(d.n * one));
        tr_free(y);
    }
}
END_TEST

START_TEST(none_and_all) {
    static const struct {
        double p;
        bool eval;
        tr_real wanted;
    } cases[] = {{0, false, 1}, {1, false, 0}, {0.5, true, 1}, {1, true, 1}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        dropping d = usual_of(layers[_i]);
        d.p = cases[k].p;
        d.eval = cases[k].eval;
        tr_real *y = dropped(&d);
        for (int i = 0; i < d.n * SIZE; i++) ck_assert_msg(y[i] == cases[k].wanted, "%d", i);
        tr_free(y);
    }
}
END_TEST

/* In front of an add: a sample whose branch is dropped goes on as it was. */
START_TEST(branch_is_dropped) {
    enum { N = 40 };
    tr_shape in = {false, 2, 2, 3};
    tr_graph *graph = graph_of("a = identity\nb = relu\nd = drop_path p=0.25\n"
                               "s = add from=a,d\nf = flatten\n",
                               in, 0);
    graph->nodes[graph->n_nodes - 1].op = &probe_op;
    tr_real *x;
    few_steps t =
        probe_create(graph, (tr_exec_options){.batch = N, .kernels = kernels_of("auto")}, 1, &x);
    for (int64_t i = 0; i < N * t.input.stride; i++) x[i] = 1 + (tr_real)(i % 5);
    run_on(2, &t);
    const tr_real kept = 1 + (tr_real)(1 / 0.75);
    int n_dropped = 0;
    for (int i = 0; i < N; i++) {
        bool is_dropped = probe.seen[i * 12] == x[i * t.input.stride];
        n_dropped += is_dropped;
        for (int j = 0; j < 12; j++) {
            tr_real value = x[i * t.input.stride + j], seen = probe.seen[i * 12 + j];
            double wanted = (double)(is_dropped ? value : value * kept);
            ck_assert_double_le(fabs((double)seen - wanted), 1e-6 * wanted);
        }
    }
    ck_assert_int_gt(n_dropped, 2);
    ck_assert_int_lt(n_dropped, N / 2);
    probe_free(&t);
}
END_TEST

START_TEST(errors_are_named) {
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"n = dropout p=1.5", "net.ini:2: n.p: 1.5 is out of range, allowed are 0 to 1"},
        {"n = dropout2d p=-0.5", "net.ini:2: n.p: -0.5 is out of range, allowed are 0 to 1"},
        {"n = drop_path",
         "net.ini:2: n.p: missing, it must be given (probability that a sample is zero)"},
        {"f = flatten\nn = dropout2d",
         "net.ini:3: n: dropout2d wants an image (channels x height x width) but its input has "
         "144 features"},
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

int main(void) {
    setenv("CK_FORK", "no", 1);
    Suite *suite = suite_create("dropout");
    TCase *all = tcase_create("dropout");
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, mask_is_a_function, 0, N_LAYERS);
    tcase_add_test(all, features_as_images);
    tcase_add_loop_test(all, drops_p, 0, N_LAYERS);
    tcase_add_loop_test(all, none_and_all, 0, N_LAYERS);
    tcase_add_test(all, branch_is_dropped);
    tcase_add_test(all, errors_are_named);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
