/* Activations as layers: what they refuse, and in which words; prelu's first weights. Their values
 * and gradients are in test_ops.c and test_gradients_generated.c, their kernels in
 * test_kernels_activation.c and test_kernels_softmax.c. */
#include "network.h"

static const tr_shape image = {false, 5, 6, 3};

typedef struct golden {
    const char *lines, *message;
} golden;

static const golden messages[] = {
    {"a = hard_tanh min_val=1", "net.ini:2: a.min_val: max_val=1 is not above min_val=1"},
    {"a = hard_tanh max_val=-2", "net.ini:2: a.max_val: max_val=-2 is not above min_val=-1"},
    {"a = hard_tanh min_val=0.5 max_val=0.25",
     "net.ini:2: a.max_val: max_val=0.25 is not above min_val=0.5"},
    {"a = celu alpha=0",
     "net.ini:2: a.alpha: alpha=0 divides by zero: any other number is allowed"},
    {"a = softplus beta=-0",
     "net.ini:2: a.beta: beta=0 divides by zero: any other number is allowed"},
    {"a = threshold value=1",
     "net.ini:2: a.threshold: missing, it must be given (x above which the value is x)"},
    {"a = threshold threshold=1",
     "net.ini:2: a.value: missing, it must be given (the value of all others)"},
    {"a = gelu approximate=tan",
     "net.ini:2: a.approximate: unknown value 'tan', allowed are none, tanh"},
    {"a = elu alpha=inf", "net.ini:2: a.alpha: inf is not a number"},
    {"a = silu inplace=true", "net.ini:2: a.inplace: unknown key, there is none"},
    {"a = hardswish", "net.ini:2: a: unknown layer 'hardswish' (did you mean 'hard_swish'?)"},
    {"a = prelu num_parameters=2",
     "net.ini:2: a.num_parameters: 2, allowed are 1 and 3, the channels of the input"},
    {"f = flatten\na = prelu num_parameters=3",
     "net.ini:3: a.num_parameters: 3, allowed are 1 and 90, the features of the input"},
    {"a = prelu num_parameters=0",
     "net.ini:2: a.num_parameters: 0 is out of range, allowed are 1 to 134217727"},
    {"a = prelu frozen=bias",
     "net.ini:2: a.frozen: the layer has no parameter 'bias', allowed are weight"},
    {"a = softmax dim=0",
     "net.ini:2: a.dim: 0 is no dimension of a sample of an image, allowed are 1 to 3 and -3 to "
     "-1"},
    {"f = flatten\na = softmax dim=2",
     "net.ini:3: a.dim: 2 is no dimension of a sample of features, allowed are 1 and -1"},
    {"f = flatten\na = log_softmax dim=-2",
     "net.ini:3: a.dim: -2 is no dimension of a sample of features, allowed are 1 and -1"},
    {"a = log_softmax dim=4", "net.ini:2: a.dim: 4 is out of range, allowed are -3 to 3"},
};
enum { N_MESSAGES = sizeof messages / sizeof *messages };

START_TEST(errors_are_named) {
    char text[1024];
    tr_graph *graph;
    tr_error err = {0};
    snprintf(text, sizeof text, "[network]\n%s\n[loss]\ntype = cross_entropy\n",
             messages[_i].lines);
    ck_assert_int_eq(graph_of_text(text, image, 0, &graph, &err), TR_ECONFIG);
    ck_assert_ptr_null(graph);
    ck_assert_str_eq(err.text, messages[_i].message);
}
END_TEST

/* torch.nn.PReLU's argument, or the key that all weights have. */
START_TEST(first_weights_of_prelu) {
    static const struct {
        const char *line;
        int n;
        double value;
    } cases[] = {
        {"a = prelu", 1, 0.25},
        {"a = prelu num_parameters=3 init=-0.5", 3, -0.5},
        {"a = prelu num_parameters=3 init=0", 3, 0},
        {"a = prelu num_parameters=3 init=2 weight_init=constant(val=0.125)", 3, 0.125},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char lines[128];
        snprintf(lines, sizeof lines, "%s\nf = flatten", cases[i].line);
        tr_graph *graph = graph_of(lines, image, 0);
        tr_graph_init(graph, i % 2 ? TR_TORCH : TR_PHILOX, 3);
        ck_assert_int_eq(graph->n_rows, 1);
        ck_assert_str_eq(graph->rows[0].name, "a.weight");
        ck_assert_int_eq(graph->rows[0].count, cases[i].n);
        for (int e = 0; e < cases[i].n; e++) {
            double value;
            tr_row_read(&graph->rows[0], tr_row_state(&graph->rows[0])->value, e, 1, &value);
            ck_assert_double_eq(value, cases[i].value);
        }
        tr_graph_free(graph);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("activation");
    TCase *all = tcase_create("activation");
    tcase_add_loop_test(all, errors_are_named, 0, N_MESSAGES);
    tcase_add_test(all, first_weights_of_prelu);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
