/* Every gradient against central differences, in double.
 *
 * The engine's own sources, compiled with double as their element type over the plain kernels: what
 * differs from the program is the type and the order inside a vector, not the mathematics. The
 * difference is that of fourth order, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h, with h = 1e-4:
 * its own error is h^4 f5 / 30, about 1e-17, and the rounding of the losses (a few 1e-16 each) over
 * h, below 1e-11. So a gradient must agree to 1e-6 of itself, with 2e-11 to spare where it is tiny.
 *
 * At a kink of relu or max within 2h there is no derivative to compare with. There the differences
 * with h and with h/2 disagree with each other, whatever the engine says; such elements are left
 * out, and counted: they may be few only.
 */
#include <math.h>
#include <stdlib.h>

#include "network.h"

typedef struct net {
    const char *name;
    tr_shape input;
    int batch, shard, threads;
    int every; /* checks each element (1) or one of so many */
    const char *lines;
    bool eval; /* in the mode of evaluation */
} net;

#define NET(name, h, w, c, batch, shard, threads, every, lines)                                    \
    { name, {false, h, w, c}, batch, shard, threads, every, lines, false }
#define EVAL(name, h, w, c, batch, shard, threads, every, lines)                                   \
    { name, {false, h, w, c}, batch, shard, threads, every, lines, true }

static const net nets[] = {
    NET("dense convolution", 7, 6, 3, 3, 1, 2, 1,
        "c = conv2d out_channels=5 kernel_size=3\n"
        "f = flatten\n"),
    NET("padded, strided, relu", 7, 6, 2, 2, 1, 1, 2,
        "c = conv2d out_channels=9 kernel_size=3 stride=2 padding=1\n"
        "r = relu\n"
        "d = conv2d out_channels=3 kernel_size=2 padding=2 bias=false\n"
        "f = flatten\n"),
    NET("convolutions in a row", 6, 6, 2, 3, 2, 2, 3,
        "a = conv2d out_channels=17 kernel_size=3\n"
        "r = relu\n"
        "b = conv2d out_channels=4 kernel_size=1 stride=2\n"
        "c = conv2d out_channels=7 kernel_size=2\n"
        "f = flatten\n"),
    NET("leftover rows and columns", 8, 9, 1, 2, 1, 1, 1,
        "a = conv2d out_channels=3 kernel_size=2 stride=3\n"
        "b = conv2d out_channels=4 kernel_size=2 stride=2\n"
        "f = flatten\n"),
    NET("pooled", 9, 8, 3, 3, 1, 2, 1,
        "c = conv2d out_channels=6 kernel_size=3\n"
        "r = relu\n"
        "p = max_pool2d kernel_size=2\n"
        "f = flatten\n"),
    NET("pooled without relu or bias", 8, 9, 2, 2, 1, 1, 1,
        "c = conv2d out_channels=5 kernel_size=2 bias=false\n"
        "p = max_pool2d kernel_size=3\n"
        "f = flatten\n"),
    NET("pooled behind pooled, padded and strided", 13, 12, 2, 3, 2, 2, 2,
        "a = conv2d out_channels=6 kernel_size=3 padding=1\n"
        "p = max_pool2d kernel_size=2\n"
        "r = relu\n"
        "b = conv2d out_channels=9 kernel_size=3 stride=1 padding=2\n"
        "s = relu\n"
        "q = max_pool2d kernel_size=3\n"
        "c = conv2d out_channels=4 kernel_size=2 stride=2 padding=1\n"
        "t = max_pool2d kernel_size=2\n"
        "f = flatten\n"),
    NET("dense behind pooled behind dense", 10, 9, 2, 2, 1, 2, 2,
        "a = conv2d out_channels=4 kernel_size=3\n"
        "r = relu\n"
        "b = conv2d out_channels=6 kernel_size=2\n"
        "p = max_pool2d kernel_size=2\n"
        "c = conv2d out_channels=3 kernel_size=3 padding=1\n"
        "f = flatten\n"),
    NET("pools by themselves", 9, 8, 2, 3, 1, 2, 1,
        "r = relu\n"
        "p = max_pool2d kernel_size=3 stride=2\n"
        "c = conv2d out_channels=5 kernel_size=2\n"
        "q = max_pool2d kernel_size=2 stride=1\n"
        "s = relu\n"
        "f = flatten\n"
        "l = linear out_features=4\n"),
    NET("linear by samples", 2, 3, 4, 3, 1, 2, 1,
        "f = flatten\n"
        "a = linear out_features=17\n"
        "r = relu\n"
        "b = linear out_features=7 bias=false\n"),
    NET("linear split-K", 3, 3, 8, 4, 1, 2, 23,
        "f = flatten\n"
        "a = linear out_features=65\n"
        "r = relu\n"
        "b = linear out_features=64\n"
        "c = relu\n"
        "d = linear out_features=80 bias=false\n"
        "e = linear out_features=5\n"),
    NET("the same matrices in a large batch", 3, 3, 8, 17, 2, 2, 61,
        "f = flatten\n"
        "a = linear out_features=65\n"
        "r = relu\n"
        "b = linear out_features=64\n"
        "c = relu\n"
        "d = linear out_features=80 bias=false\n"
        "e = linear out_features=5\n"),
    NET("residual", 5, 6, 3, 3, 1, 2, 3,
        "a = conv2d out_channels=4 kernel_size=3 padding=1\n"
        "r = relu\n"
        "b = conv2d out_channels=4 kernel_size=3 padding=1\n"
        "s = add from=b,r\n"
        "t = relu\n"
        "f = flatten\n"
        "l = linear out_features=5\n"),
    NET("one value, three readers", 5, 5, 2, 2, 1, 2, 1,
        "a = conv2d out_channels=3 kernel_size=2\n"
        "b = relu from=a\n"
        "c = conv2d out_channels=3 kernel_size=1 from=a\n"
        "d = conv2d out_channels=3 kernel_size=3 padding=1 from=a\n"
        "s = add from=b,c,d,a\n"
        "f = flatten\n"),
    NET("a value and itself", 4, 4, 2, 2, 1, 1, 1,
        "a = conv2d out_channels=3 kernel_size=2\n"
        "s = add from=a,a\n"
        "i = identity\n"
        "t = add from=i,s,a\n"
        "f = flatten\n"
        "g = identity from=f\n"
        "u = add from=f,g\n"),
    NET("the input, three readers", 4, 4, 3, 2, 1, 2, 1,
        "a = relu\n"
        "b = conv2d out_channels=3 kernel_size=3 padding=1 from=input\n"
        "s = add from=input,a,b\n"
        "f = flatten\n"),
    NET("branches of features, split-K", 2, 4, 8, 4, 2, 3, 41,
        "f = flatten\n"
        "a = linear out_features=70\n"
        "b = linear out_features=70 from=f\n"
        "r = relu\n"
        "s = add from=a,r,a\n"
        "c = linear out_features=64\n"
        "d = linear out_features=64 from=r\n"
        "t = add from=c,d\n"
        "e = linear out_features=4\n"),
    NET("weights with one copy for all", 3, 3, 64, 2, 1, 2, 2999,
        "a = conv2d out_channels=128 kernel_size=3 padding=1\n"
        "p = max_pool2d kernel_size=2\n"
        "b = conv2d out_channels=65 kernel_size=3 padding=1\n"
        "c = conv2d out_channels=128 kernel_size=3 padding=1\n"
        "f = flatten\n"
        "l = linear out_features=3\n"),
    NET("a small LeNet", 14, 14, 3, 4, 1, 3, 17,
        "conv1 = conv2d out_channels=6 kernel_size=3\n"
        "relu1 = relu\n"
        "pool1 = max_pool2d kernel_size=2\n"
        "conv2 = conv2d out_channels=16 kernel_size=3\n"
        "relu2 = relu\n"
        "pool2 = max_pool2d kernel_size=2\n"
        "flat = flatten\n"
        "fc1 = linear out_features=64\n"
        "relu3 = relu\n"
        "fc2 = linear out_features=10\n"),
    NET("normalised images", 4, 3, 3, 3, 1, 2, 1,
        "n = batch_norm2d\n"
        "f = flatten\n"),
    NET("normalised convolutions", 5, 6, 2, 5, 2, 2, 2,
        "a = conv2d out_channels=11 kernel_size=3 padding=1\n"
        "n = batch_norm2d eps=0.01 momentum=none\n"
        "r = relu\n"
        "b = conv2d out_channels=4 kernel_size=3 bias=false\n"
        "o = batch_norm2d affine=false track_running_stats=false\n"
        "f = flatten\n"),
    NET("one value of each channel in a sample", 1, 1, 9, 5, 2, 3, 1,
        "n = batch_norm2d\n"
        "c = conv2d out_channels=5 kernel_size=1\n"
        "o = batch_norm2d affine=false\n"
        "f = flatten\n"),
    NET("normalised features", 2, 3, 2, 6, 2, 2, 1,
        "f = flatten\n"
        "n = batch_norm1d\n"
        "l = linear out_features=17\n"
        "o = batch_norm1d\n"
        "r = relu\n"
        "k = linear out_features=4 bias=false\n"),
    NET("normalised residual, first and last relu", 4, 5, 3, 4, 1, 3, 3,
        "s = relu\n"
        "n = batch_norm2d\n"
        "a = conv2d out_channels=3 kernel_size=3 padding=1\n"
        "m = batch_norm2d frozen=weight\n"
        "t = add from=m,n\n"
        "r = relu\n"
        "o = batch_norm2d frozen=bias,weight\n"
        "f = flatten\n"
        "l = linear out_features=4\n"),
    EVAL("normalised by running statistics", 4, 5, 3, 3, 1, 2, 1,
         "n = batch_norm2d\n"
         "a = conv2d out_channels=5 kernel_size=3 padding=1\n"
         "m = batch_norm2d affine=false\n"
         "r = relu\n"
         "o = batch_norm2d track_running_stats=false\n"
         "f = flatten\n"
         "p = batch_norm1d frozen=weight\n"
         "l = linear out_features=4\n"),
};
enum { N_NETS = sizeof nets / sizeof *nets };

typedef struct check {
    const net *net;
    tr_graph *graph;
    tr_input input;
    tr_real *x, *gradients, *input_gradients;
    tr_exec *exec;
    tr_team *team;
    int64_t n_checked, n_kinks;
    char mismatch[256]; /* the first */
    tr_error err;
} check;

static double loss_at(check *c, tr_real *place, double value) {
    tr_result result;
    *place = value;
    tr_exec_step(c->exec, c->team, &c->input, 0, 0, &result);
    return result.loss;
}

static double difference(check *c, tr_real *place, double h) {
    double at = *place;
    double d = 8 * (loss_at(c, place, at + h) - loss_at(c, place, at - h)) -
               (loss_at(c, place, at + 2 * h) - loss_at(c, place, at - 2 * h));
    *place = at;
    return d / (12 * h);
}

static void check_element(check *c, const char *what, int64_t i, tr_real *place, double gradient) {
    const double h = 1e-4;
    double wide = difference(c, place, h), narrow = difference(c, place, h / 2);
    c->n_checked++;
    if (fabs(wide - narrow) > 1e-7 * fabs(narrow) + 4e-11) {
        c->n_kinks++;
        return;
    }
    if (fabs(gradient - wide) <= 1e-6 * fmax(fabs(gradient), fabs(wide)) + 2e-11) return;
    if (c->mismatch[0] == '\0')
        snprintf(c->mismatch, sizeof c->mismatch,
                 "%s: the gradient of element %lld is %.12g, the difference %.12g", what,
                 (long long)i, gradient, wide);
}

static void run_check(tr_team *team, void *arg) {
    check *c = arg;
    tr_exec_options options = {.batch = c->net->batch,
                               .training = true,
                               .eval_mode = c->net->eval,
                               .shard = c->net->shard,
                               .kernels = kernels_of("scalar"),
                               .keep_gradients = true,
                               .input_gradient = true};
    tr_result result;
    c->team = team;
    if (tr_exec_create(c->graph, &options, team, &c->exec, &c->err)) return;
    tr_exec_step(c->exec, team, &c->input, 0, 0, &result);

    /* Copies first: the steps below make new ones. */
    tr_real *to = c->gradients;
    for (int i = 0; i < c->graph->n_rows; i++) to += read_gradient(c->exec, &c->graph->rows[i], to);
    int64_t size = tr_shape_size(c->net->input);
    for (int i = 0; i < c->net->batch; i++)
        memcpy(c->input_gradients + i * size, tr_exec_input_gradient(c->exec, i),
               (size_t)size * sizeof(tr_real));

    const tr_real *from = c->gradients;
    int64_t turn = 0;
    for (int i = 0; i < c->graph->n_rows; i++) {
        const tr_row *row = &c->graph->rows[i];
        const tr_state *state = tr_row_state(row);
        bool trained = state->kind == TR_PARAMETER && !state->frozen;
        for (int64_t e = 0; trained && e < row->count; e++, from++) {
            int64_t at = e;
            if (state->index) state->index(row->node, e, 1, &at);
            if (turn++ % c->net->every == 0 || e == 0)
                check_element(c, row->name, e, (tr_real *)state->value + at, *from);
        }
    }
    for (int64_t e = 0; e < size * c->net->batch; e++) {
        if (turn++ % c->net->every == 0)
            check_element(c, "input", e, c->x + e / size * c->input.stride + e % size,
                          c->input_gradients[e]);
    }
    tr_exec_free(c->exec);
}

/* Weights, biases and statistics that are not all one number. */
static void vary_constants(const tr_graph *graph, uint32_t seed) {
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *state = tr_row_state(row);
        for (int64_t e = 0; state->init_range == 0 && e < row->count; e++) {
            double value = state->init_value + draw(&seed, 500, 1e-3);
            if (state->type == TR_FLOAT32) tr_row_write(row, e, 1, &value);
        }
    }
}

START_TEST(gradients) {
    const net *n = &nets[_i];
    tr_graph *graph = graph_of(n->lines, n->input, 0);
    int classes = (int)tr_shape_size(graph->nodes[graph->output].unfused);
    int64_t size = tr_shape_size(n->input), stride = stride_of(n->input);
    int32_t *labels = tr_alloc((size_t)n->batch, sizeof *labels, NULL);
    check c = {
        .net = n, .graph = graph, .x = tr_alloc((size_t)(n->batch * stride), sizeof *c.x, NULL)};
    uint32_t seed = (uint32_t)_i;
    for (int i = 0; i < n->batch; i++) {
        labels[i] = (int32_t)fabs(draw(&seed, classes - 1, 1));
        for (int64_t j = 0; j < size; j++)
            c.x[i * stride + j] = draw(&seed, 1000, 1e-3) + draw(&seed, 1000, 1e-7);
    }
    c.input = (tr_input){.n = n->batch, .x = c.x, .stride = stride, .labels = labels};
    c.gradients = tr_alloc((size_t)tr_graph_count(graph), sizeof *c.gradients, NULL);
    c.input_gradients = tr_alloc((size_t)(n->batch * size), sizeof *c.input_gradients, NULL);
    tr_graph_init(graph, TR_PHILOX, 100 + (uint64_t)_i);
    vary_constants(graph, (uint32_t)_i);
    on_team(n->threads, run_check, &c);
    ck_assert_msg(c.err.code == TR_OK, "%s: %s", n->name, c.err.text);
    ck_assert_msg(c.mismatch[0] == '\0', "%s: %s", n->name, c.mismatch);
    ck_assert_int_ge(c.n_checked, 50);
    ck_assert_msg(c.n_kinks * 25 <= c.n_checked, "%s: %lld of %lld elements lie at kinks", n->name,
                  (long long)c.n_kinks, (long long)c.n_checked);
    tr_free(labels);
    tr_free(c.x);
    tr_free(c.gradients);
    tr_free(c.input_gradients);
    tr_graph_free(graph);
}
END_TEST

static Suite *gradients_suite(void) {
    Suite *suite = suite_create("gradients");
    TCase *all = tcase_create("gradients");
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, gradients, 0, N_NETS);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(gradients_suite());
}
