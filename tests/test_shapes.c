/* Layers that join values and change shapes: what they refuse, and in which words. Their values and
 * gradients are in test_ops.c, test_gradients.c and test_gradients_generated.c. */
#include "network.h"

#define IMAGE                                                                                      \
    { false, 8, 6, 3 }

typedef struct golden {
    tr_shape input;
    const char *lines, *message;
} golden;

static const golden messages[] = {
    {IMAGE, "c = conv2d out_channels=4 kernel_size=3\na = add from=c,input",
     "net.ini:3: a: add wants inputs of one shape, or with 1 where they differ, not 4 x 6 x 4 and "
     "3 x 8 x 6"},
    {IMAGE, "c = conv2d out_channels=2 kernel_size=1\na = mul from=c,input",
     "net.ini:3: a: mul wants inputs of one shape, or with 1 where they differ, not 2 x 8 x 6 and "
     "3 x 8 x 6"},
    {IMAGE,
     "p = max_pool2d kernel_size=8x6\nq = max_pool2d kernel_size=4x3 from=input\n"
     "a = mul from=p,input,q",
     "net.ini:4: a: mul wants inputs of one shape, or with 1 where they differ, not 3 x 8 x 6 and "
     "3 x 2 x 2"},
    {IMAGE, "f = flatten\na = add from=f,input",
     "net.ini:3: a: add wants images or features, not both: 144 and 3 x 8 x 6"},
    {IMAGE, "f = flatten\nl = linear out_features=3\na = mul from=input,l",
     "net.ini:4: a: mul wants images or features, not both: 3 x 8 x 6 and 3"},
    {IMAGE, "f = flatten\nfc = linear out_features=144\na = add from=f,fc",
     "net.ini:4: a: add wants inputs whose features are in one order, not a flattened image and "
     "other features"},
    {IMAGE, "f = flatten\nl = linear out_features=9\na = sub from=f,l",
     "net.ini:4: a: sub wants inputs of one shape, not 144 and 9"},
    {IMAGE, "a = relu\ns = sub from=a,input,a",
     "net.ini:3: s: sub reads 2 values, but from= names 3"},
    {IMAGE, "a = sub",
     "net.ini:2: a: sub reads 1 value, at least 2 are needed: name them with from=a,b"},
    {IMAGE, "p = max_pool2d kernel_size=2\na = concat from=p,input",
     "net.ini:3: a: concat wants images of one height and width, not 3 x 4 x 3 and 3 x 8 x 6"},
    {IMAGE, "f = flatten\na = concat from=input,f",
     "net.ini:3: a: concat wants images or features, not both: 3 x 8 x 6 and 144"},
    {IMAGE, "a = concat",
     "net.ini:2: a: concat reads 1 value, at least 2 are needed: name them with from=a,b"},
    {IMAGE, "a = concat from=input,input dim=1", "net.ini:2: a.dim: unknown key, there is none"},
    {{false, 1 << 11, 1 << 11, 16},
     "a = identity\nb = concat from=a,a,a",
     "net.ini:3: b: its output would be too large: 201326592 numbers, allowed are up to 134217727"},
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

int main(void) {
    Suite *suite = suite_create("shapes");
    TCase *all = tcase_create("shapes");
    tcase_add_loop_test(all, errors_are_named, 0, N_MESSAGES);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
