/* The network section, fusion and parameters. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "network.h"

static const tr_shape image = {false, 32, 32, 3};

/* ---- errors ---- */

typedef struct golden {
    const char *text, *message;
} golden;

#define LOSS "\n[loss]\ntype = cross_entropy\n"
#define TAIL "\nflat = flatten\nfc = linear out_features=10" LOSS
static const golden errors[] = {
    {"[loss]\ntype = cross_entropy\n",
     "net.ini: there is no network: add a section [network] with a line for each layer"},
    {"[network]" LOSS,
     "net.ini:1: there is no network: add a section [network] with a line for each layer"},
    {"[network]\nconv1 = conv2 out_channels=6 kernel_size=5" TAIL,
     "net.ini:2: conv1: unknown layer 'conv2' (did you mean 'conv2d'?)"},
    {"[network]\nconv1 =" TAIL, "net.ini:2: conv1: no layer is named, as in 'conv1 = conv2d ...'"},
    {"[network]\nconv1 = kernel_size=5" TAIL,
     "net.ini:2: conv1: no layer is named, as in 'conv1 = conv2d ...'"},
    {"[network]\nconv1 = conv2d out_channels=6 kernel=5" TAIL,
     "net.ini:2: conv1.kernel: unknown key (did you mean 'kernel_size'?)"},
    {"[network]\nconv1 = conv2d out_channels=6" TAIL,
     "net.ini:2: conv1.kernel_size: missing, it must be given (height and width of the kernel)"},
    {"[network]\nconv1 = conv2d out_channels=6 kernel_size=5 kernel_size=5" TAIL,
     "net.ini:2: conv1.kernel_size: given twice"},
    {"[network]\nconv1 = conv2d out_channels=6 kernel_size" TAIL,
     "net.ini:2: conv1: 'kernel_size' is not of the form key=value (without white space)"},
    {"[network]\na = relu\na = relu" TAIL, "net.ini:3: network.a: given twice (first on line 2)"},
    {"[network]\na = relu\nb = relu from=aa" TAIL,
     "net.ini:3: b: from=aa names no layer above (did you mean 'a'?)"},
    {"[network]\na = relu\nb = relu from=nothing_like_it" TAIL,
     "net.ini:3: b: from=nothing_like_it names no layer above"},
    {"[network]\na = relu\nb = relu from=" TAIL, "net.ini:3: b: from= names no layer above"},
    {"[network]\na = relu\nb = add from=a,,a" TAIL, "net.ini:3: b: from= names no layer above"},
    {"[network]\na = relu from=b\nb = relu" TAIL,
     "net.ini:2: a: from=b names a layer that comes later (line 3), allowed are layers above"},
    {"[network]\na = relu from=a" TAIL,
     "net.ini:2: a: from=a names the layer itself, allowed are layers above"},
    {"[network]\na = relu\nb = relu from=a from=a" TAIL, "net.ini:3: b: from= is given twice"},
    {"[network]\na = relu\nb = relu from=a,input" TAIL,
     "net.ini:3: b: relu reads one value, but from= names 2"},
    {"[network]\na = relu\nb = add from=a" TAIL,
     "net.ini:3: b: add reads 1 value, at least 2 are needed: name them with from=a,b"},
    {"[network]\nconv1 = conv2d out_channels=6 kernel_size=33" TAIL,
     "net.ini:2: conv1: kernel_size=33 is larger than the padded input of 32 x 32, allowed are 1 "
     "to 32"},
    {"[network]\nfc = linear out_features=10" LOSS,
     "net.ini:2: fc: linear wants features but its input is an image of 3 x 32 x 32: put a flatten "
     "layer before it"},
    {"[network]\nconv1 = conv2d out_channels=10 kernel_size=32" LOSS,
     "net.ini:2: conv1: the network's output is 10 x 1 x 1 but the data has 10 classes: end with a "
     "linear layer of out_features=10"},
    {"[network]\nflat = flatten\nfc = linear out_features=11" LOSS,
     "net.ini:3: fc: the network's output is 11 but the data has 10 classes: end with a linear "
     "layer of out_features=10"},
    {"[network]\nside = relu\na = relu from=input" TAIL,
     "net.ini:2: side: nothing reads this layer: name it in a from=, or take it out"},
    {"[network]\na b = relu" TAIL, "net.ini:2: 'a b' is not a key, a key is one word"},
    {"[network]\n.a = relu" TAIL,
     "net.ini:2: .a: a layer's name has letters, digits, '_' and '.' only"},
    {"[network]\na-b = relu" TAIL,
     "net.ini:2: a-b: a layer's name has letters, digits, '_' and '.' only"},
    {"[network]\ninput = relu" TAIL,
     "net.ini:2: input: 'input' is the name of the network's input"},
    {"[network]\nflat = flatten\nfc = linear out_features=10\n",
     "net.ini: there is no loss: add a section [loss] with type = cross_entropy"},
    {"[network]\nflat = flatten\nfc = linear out_features=10\n[loss]\n",
     "net.ini:4: there is no loss: add a section [loss] with type = cross_entropy"},
    {"[network]\nflat = flatten\nfc = linear out_features=10\n[loss]\nkind = cross_entropy\n",
     "net.ini:4: loss.type: is missing, as in type = cross_entropy"},
    {"[network]\nflat = flatten\nfc = linear out_features=10\n[loss]\ntype = crossentropy\n",
     "net.ini:5: loss.type: unknown loss 'crossentropy' (did you mean 'cross_entropy'?)"},
    {"[network]\nflat = flatten\nfc = linear out_features=10\n[loss]\ntype = cross_entropy\nsmooth "
     "= 1\n",
     "net.ini:6: loss.smooth: unknown key, there is none"},
};
enum { N_ERRORS = sizeof errors / sizeof *errors };

START_TEST(errors_are_named) {
    tr_error err = {0};
    tr_graph *graph;
    ck_assert_int_eq(graph_of_text(errors[_i].text, image, 10, &graph, &err), TR_ECONFIG);
    ck_assert_ptr_null(graph);
    ck_assert_str_eq(err.text, errors[_i].message);
}
END_TEST

/* A word that is near to none is answered with all of them, as many as the text holds. */
START_TEST(unknown_layer_lists_all) {
    tr_error err = {0};
    tr_graph *graph;
    char wanted[4096];
    int n = snprintf(wanted, sizeof wanted,
                     "net.ini:2: conv1: unknown layer 'transformer', allowed are ");
    for (int i = 0; i < tr_layer_registry.n; i++)
        n += snprintf(wanted + n, sizeof wanted - (size_t)n, "%s%s", i ? ", " : "",
                      tr_layer_registry.schemas[i]->name);
    ck_assert_int_eq(graph_of_text("[network]\nconv1 = transformer" TAIL, image, 10, &graph, &err),
                     TR_ECONFIG);
    wanted[TR_ERROR_TEXT - 8] = err.text[TR_ERROR_TEXT - 8] = '\0'; /* what ends with "..." */
    ck_assert_str_eq(err.text, wanted);
}
END_TEST

/* Features in the order of pixels are no classes, even if they are as many. */
START_TEST(output_is_classes) {
    tr_error err = {0};
    tr_graph *graph;
    const char *text = "[network]\nflat = flatten" LOSS;
    ck_assert_int_eq(graph_of_text(text, (tr_shape){false, 1, 1, 10}, 10, &graph, &err), TR_OK);
    tr_graph_free(graph);
    ck_assert_int_eq(graph_of_text(text, (tr_shape){false, 2, 5, 1}, 10, &graph, &err), TR_OK);
    tr_graph_free(graph);
    ck_assert_int_eq(graph_of_text(text, (tr_shape){false, 2, 1, 5}, 10, &graph, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "net.ini:2: flat: the network's output is a flattened image, whose "
                               "features are in no order of classes: end with a linear layer of "
                               "out_features=10");
}
END_TEST

START_TEST(no_memory_is_an_error) {
    for (long n = 0;; n++) {
        char text[1024];
        tr_error err = {0};
        tr_doc *doc;
        tr_graph *graph;
        snprintf(text, sizeof text, "[network]\n%s" LOSS, lenet_layers);
        ck_assert_int_eq(tr_doc_parse("net.ini", text, strlen(text), &doc, &err), TR_OK);
        tr_alloc_fail_after(n);
        int code = tr_graph_create(doc, image, 10, &graph, &err);
        tr_program *program = NULL;
        if (code == TR_OK) code = tr_graph_allocate(graph, &err);
        const tr_program_options options = {
            .batch = 4, .gradients = true, .training = true, .loads = true, .n_slots = 3};
        if (code == TR_OK) code = tr_program_create(graph, &options, &program, &err);
        tr_alloc_fail_after(-1);
        bool done = code == TR_OK;
        if (!done) {
            ck_assert_int_eq(code, TR_ENOMEM);
            ck_assert_int_eq(err.code, TR_ENOMEM);
            ck_assert_ptr_null(program);
        }
        tr_program_free(program);
        tr_graph_free(graph);
        tr_doc_free(doc);
        if (done) {
            ck_assert_int_gt(n, 20);
            break;
        }
    }
}
END_TEST

/* ---- shapes and counts ---- */

START_TEST(lenet) {
    tr_graph *graph = graph_of(lenet_layers, image, 10);
    int64_t multiply_adds = 0;
    for (int i = 1; i < graph->n_nodes; i++) {
        const tr_node *node = &graph->nodes[i];
        if (node->op->multiply_adds) multiply_adds += node->op->multiply_adds(node);
    }
    ck_assert_int_eq(tr_graph_count(graph), 62006);
    ck_assert_int_eq(multiply_adds, 651720);
    static const char *const shapes[][2] = {{"input", "3 x 32 x 32"}, {"conv1", "6 x 28 x 28"},
                                            {"pool1", "6 x 14 x 14"}, {"conv2", "16 x 10 x 10"},
                                            {"pool2", "16 x 5 x 5"},  {"flatten", "400"},
                                            {"fc1", "120"},           {"fc3", "10"}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char text[64];
        ck_assert_str_eq(tr_shape_text(node_of(graph, shapes[i][0])->unfused, text), shapes[i][1]);
    }
    tr_graph_free(graph);
}
END_TEST

START_TEST(parameters_in_pytorch_order) {
    char names[512] = "";
    tr_graph *graph = graph_of(lenet_layers, image, 10);
    for (int i = 0; i < graph->n_rows; i++) strcat(strcat(names, graph->rows[i].name), " ");
    ck_assert_str_eq(names, "conv1.weight conv1.bias conv2.weight conv2.bias fc1.weight fc1.bias "
                            "fc2.weight fc2.bias fc3.weight fc3.bias ");
    const tr_state *p = node_of(graph, "conv2")->state;
    ck_assert(p[0].n_dims == 4 && p[0].dim[0] == 16 && p[0].dim[1] == 6 && p[0].dim[2] == 5 &&
              p[0].dim[3] == 5);
    ck_assert(p[1].n_dims == 1 && p[1].dim[0] == 16);
    p = node_of(graph, "fc1")->state;
    ck_assert(p[0].n_dims == 2 && p[0].dim[0] == 120 && p[0].dim[1] == 400);
    tr_graph_free(graph);
}
END_TEST

/* ---- fusion ---- */

typedef struct fusion {
    const char *lines;
    const char *fused; /* "relu1>conv1 ...": the layers whose work another does */
} fusion;

static const fusion fusions[] = {
    {"c = conv2d out_channels=4 kernel_size=3\nr = relu\np = max_pool2d kernel_size=2\n",
     "r>c p>c "},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=2\nr = relu\n",
     "p>c r>c "},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=4\n", "p>c "},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=5\nr = relu\n", ""},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=3 stride=2\n", ""},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=1\n", ""},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=2x3\n", ""},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=2x2 stride=2x2\n",
     "p>c "},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=2 stride=2x3\n", ""},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=2 padding=1x0\n", ""},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=2 dilation=1x2\n", ""},
    {"c = conv2d out_channels=4 kernel_size=3\np = avg_pool2d kernel_size=2\n", ""},
    /* ceil_mode, without a last window that is cut, and with one */
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=3 ceil_mode=true\n",
     "p>c "},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=4 ceil_mode=true\n", ""},
    {"c = conv2d out_channels=4 kernel_size=3\np = max_pool2d kernel_size=2\nq = max_pool2d "
     "kernel_size=2"
     "\nr = relu\n",
     "p>c "},
    {"c = conv2d out_channels=4 kernel_size=3\nr = relu\ns = relu\n", "r>c s>c "},
    /* another reader sees the value before */
    {"c = conv2d out_channels=3 kernel_size=1\nr = relu\na = add from=c,r\n", ""},
    {"c = conv2d out_channels=3 kernel_size=1\nr = relu\np = max_pool2d kernel_size=2\nq = "
     "max_pool2d "
     "kernel_size=2 from=r\na = add from=p,q\n",
     "r>c "},
    {"c = conv2d out_channels=3 kernel_size=1\nr = relu\ns = relu from=c\na = add from=r,s\n", ""},
    /* not through a view, and not into what has no arithmetic of its own */
    {"c = conv2d out_channels=4 kernel_size=3\ni = identity\nr = relu\n", ""},
    {"f = flatten\nl = linear out_features=8\nr = relu\n", "r>l "},
    {"f = flatten\nl = linear out_features=8\ni = identity\nr = relu\n", ""},
    {"r = relu\n", ""},
    {"p = max_pool2d kernel_size=2\nr = relu\n", ""},
    {"a = identity\nb = add from=a,a\nr = relu\n", ""},
};
enum { N_FUSIONS = sizeof fusions / sizeof *fusions };

START_TEST(fusion_where_it_may) {
    char text[512], fused[128] = "";
    snprintf(text, sizeof text, "%s%s", fusions[_i].lines,
             fusions[_i].lines[0] == 'f' ? "" : "end = flatten\n");
    tr_graph *graph = graph_of(text, image, 0);
    for (int i = 1; i < graph->n_nodes; i++) {
        const tr_node *node = &graph->nodes[i], *host = &graph->nodes[node->value];
        if (node->op->view || node->value == i) continue;
        strcat(strcat(strcat(strcat(fused, node->name), ">"), host->name), " ");
        bool last = true;
        for (int j = i + 1; j < graph->n_nodes; j++)
            last &= graph->nodes[j].value != node->value || graph->nodes[j].op->view;
        if (last) ck_assert_int_eq(tr_shape_size(host->out), tr_shape_size(node->unfused));
    }
    ck_assert_str_eq(fused, fusions[_i].fused);
    tr_graph_free(graph);
}
END_TEST

/* ---- parameters ---- */

static const char *const layouts[] = {
    "c = conv2d out_channels=6 kernel_size=5\n",
    "c = conv2d out_channels=17 kernel_size=3 stride=2 padding=1 bias=false\n",
    "c = conv2d out_channels=33 kernel_size=1\n",
    "c = conv2d out_channels=24 kernel_size=2\nd = conv2d out_channels=9 kernel_size=3\n",
    "c = conv2d out_channels=17 kernel_size=3\nr = relu\np = max_pool2d kernel_size=2\n",
    "c = conv2d out_channels=5 kernel_size=4 bias=false\np = max_pool2d kernel_size=3\n",
    "f = flatten\nl = linear out_features=7\nm = linear out_features=16 bias=false\n",
    "p = max_pool2d kernel_size=4\nf = flatten\nl = linear out_features=13\n",
    "p = max_pool2d kernel_size=2\nf = flatten\nl = linear out_features=50\n",
};
enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };

static tr_graph *layout(int i) {
    char text[512];
    snprintf(text, sizeof text, "%s%s", layouts[i],
             strstr(layouts[i], "flatten") ? "" : "end = flatten\n");
    return graph_of(text, (tr_shape){false, 12, 10, 3}, 0);
}

START_TEST(get_what_was_set) {
    tr_graph *graph = layout(_i);
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *state = tr_row_state(row);
        const tr_real *value = state->value;
        int64_t n = row->count, filled = 0;
        float *in = tr_alloc((size_t)n, sizeof *in, NULL),
              *out = tr_alloc((size_t)n, sizeof *out, NULL);
        for (int64_t e = 0; e < n; e++) in[e] = (float)(e + 1);
        tr_row_set(row, 0, n, in);
        tr_row_get(row, 0, n, out);
        ck_assert_mem_eq(in, out, (size_t)n * sizeof *in);
        /* From any element on. */
        for (int64_t e = 0; e < n; e += 1 + n / 13) {
            tr_row_get(row, e, 1, out);
            if (out[0] != in[e]) ck_abort_msg("%s: element %lld", row->name, (long long)e);
        }
        /* Each element has a place of its own, and what pads is zero. */
        for (int64_t e = 0; e < state->size; e++) filled += value[e] != 0;
        ck_assert_int_eq(filled, n);
        ck_assert_int_eq(state->size % TR_BLOCK8, 0);
        ck_assert_int_eq(state->block % TR_BLOCK8, 0);
        ck_assert_int_le(state->used, state->block);
        /* Blocks of pages lie on pages. */
        if (state->block * (int64_t)sizeof(tr_real) % TR_PAGE == 0)
            ck_assert_int_eq((int64_t)((uintptr_t)value % TR_PAGE), 0);
        ck_assert_int_gt(state->tile, 0);
        tr_free(in);
        tr_free(out);
    }
    tr_graph_free(graph);
}
END_TEST

/* The layout of the weights, but not their values, depends on what a layer took in. */
START_TEST(initial_values) {
    tr_graph *graph = layout(_i), *again = layout(_i), *other = layout(_i);
    tr_graph_init(graph, TR_PHILOX, 7);
    tr_graph_init(again, TR_PHILOX, 1);
    tr_graph_init(again, TR_PHILOX, 7);
    tr_graph_init(other, TR_PHILOX, 8);
    size_t bytes = (size_t)graph->n_elements * sizeof *graph->parameters;
    ck_assert_mem_eq(graph->parameters, again->parameters, bytes);
    ck_assert_mem_ne(graph->parameters, other->parameters, bytes);
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *weight = &row->node->state[0];
        double range = tr_row_state(row)->init_range;
        int64_t n = row->count, inputs = 1;
        for (int d = 1; d < weight->n_dims; d++) inputs *= weight->dim[d];
        ck_assert_double_eq_tol(range, 1 / sqrt((double)inputs), 1e-15);
        float *v = tr_alloc((size_t)n, sizeof *v, NULL);
        double sum = 0, squares = 0;
        tr_row_get(row, 0, n, v);
        bool inside = true;
        for (int64_t e = 0; e < n; e++) {
            inside &= (double)v[e] >= -range * (1 + 1e-7) && (double)v[e] < range;
            sum += (double)v[e];
            squares += (double)v[e] * (double)v[e];
        }
        ck_assert(inside);
        /* A uniform variable has variance b^2/3, its square 4 b^4/45: five standard deviations. */
        double root = sqrt((double)n);
        ck_assert_double_le(fabs(sum), 5 * range / sqrt(3) * root);
        ck_assert_double_le(fabs(squares - (double)n * range * range / 3),
                            5 * 2 / sqrt(45) * range * range * root);
        tr_free(v);
    }
    tr_graph_free(graph);
    tr_graph_free(again);
    tr_graph_free(other);
}
END_TEST

START_TEST(parameters_draw_their_own) {
    double first[16]; /* of each parameter, as a share of its bound */
    int n = 0;
    tr_graph *graph = graph_of(lenet_layers, image, 10);
    tr_graph_init(graph, TR_PHILOX, 3);
    for (int i = 0; i < graph->n_rows; i++) {
        float value;
        tr_row_get(&graph->rows[i], 0, 1, &value);
        first[n++] = (double)value / tr_row_state(&graph->rows[i])->init_range;
        for (int k = 0; k < n - 1; k++) ck_assert_double_ge(fabs(first[k] - first[n - 1]), 1e-4);
    }
    ck_assert_int_eq(n, 10);
    tr_graph_free(graph);
}
END_TEST

START_TEST(initial_values_ignore_fusion) {
    tr_graph *plain =
        graph_of("c = conv2d out_channels=17 kernel_size=3\nend = flatten\n", image, 0);
    tr_graph *pooled =
        graph_of("c = conv2d out_channels=17 kernel_size=3\np = max_pool2d kernel_size=2\n"
                 "end = flatten\n",
                 image, 0);
    float a[17 * 27], b[17 * 27];
    tr_graph_init(plain, TR_PHILOX, 3);
    tr_graph_init(pooled, TR_PHILOX, 3);
    tr_row_get(row_of(plain, "c.weight"), 0, 17 * 27, a);
    tr_row_get(row_of(pooled, "c.weight"), 0, 17 * 27, b);
    ck_assert_mem_eq(a, b, sizeof a);
    tr_graph_free(plain);
    tr_graph_free(pooled);
}
END_TEST

static Suite *graph_suite(void) {
    Suite *suite = suite_create("graph");
    TCase *all = tcase_create("graph");
    tcase_set_timeout(all, 30);
    tcase_add_loop_test(all, errors_are_named, 0, N_ERRORS);
    tcase_add_test(all, unknown_layer_lists_all);
    tcase_add_test(all, output_is_classes);
    tcase_add_test(all, no_memory_is_an_error);
    tcase_add_test(all, lenet);
    tcase_add_test(all, parameters_in_pytorch_order);
    tcase_add_loop_test(all, fusion_where_it_may, 0, N_FUSIONS);
    tcase_add_loop_test(all, get_what_was_set, 0, N_LAYOUTS);
    tcase_add_loop_test(all, initial_values, 0, N_LAYOUTS);
    tcase_add_test(all, parameters_draw_their_own);
    tcase_add_test(all, initial_values_ignore_fusion);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(graph_suite());
}
