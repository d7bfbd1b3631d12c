/* Blocks: what they are written out to, and their faults. */
#include <stdlib.h>

#include "graph/blocks.h"
#include "network.h"

static const tr_shape image = {false, 32, 32, 3};

/* ---- written out ---- */

typedef struct written {
    const char *text, *lines;
} written;

static const written cases[] = {
    /* without blocks: as they stand, from= last */
    {"[network]\na = relu\nb = add  from=a,input\nc = conv2d from=a out_channels=2\n",
     "a = relu\nb = add from=a,input\nc = conv2d out_channels=2 from=a\n"},
    /* arguments, defaults, and where a block's input comes from */
    {"[network]\na = relu\nb = two n=3\nc = two n=4 s=5\nd = two n=6 from=a\ne = relu from=c\n"
     "[block two n s=1]\nx = conv2d out_channels=$n stride=$s\ny = add from=x,in\n",
     "a = relu\n"
     "b.x = conv2d out_channels=3 stride=1 from=a\nb.y = add from=b.x,a\n"
     "c.x = conv2d out_channels=4 stride=5 from=b.y\nc.y = add from=c.x,b.y\n"
     "d.x = conv2d out_channels=6 stride=1 from=a\nd.y = add from=d.x,a\n"
     "e = relu from=c.y\n"},
    {"[network]\na = one n=2\n[block\tone\tn]\nx = linear out_features=$n\n",
     "a.x = linear out_features=2 from=input\n"},
    /* a block first of all reads the network's input */
    {"[network]\na = one\n[block one]\nx = relu\n", "a.x = relu from=input\n"},
    /* blocks within blocks; a later heading is as good; a name with a dot */
    {"[block outer w]\nl = inner w=$w\nm = inner w=${w}0 from=in\nn = add from=l,m,in\n"
     "[network]\nlayer1.0 = outer w=7\nlayer1.1 = outer w=8\n"
     "[block inner w]\nx = linear out_features=$w\n",
     "layer1.0.l.x = linear out_features=7 from=input\n"
     "layer1.0.m.x = linear out_features=70 from=input\n"
     "layer1.0.n = add from=layer1.0.l.x,layer1.0.m.x,input\n"
     "layer1.1.l.x = linear out_features=8 from=layer1.0.n\n"
     "layer1.1.m.x = linear out_features=80 from=layer1.0.n\n"
     "layer1.1.n = add from=layer1.1.l.x,layer1.1.m.x,layer1.0.n\n"},
    /* a layer's name as an argument; a look into a block from outside */
    {"[network]\na = does what=relu\nb = add from=a.x,a\n[block does what]\nx = $what\ny = $what\n",
     "a.x = relu from=input\na.y = relu\nb = add from=a.x,a.y\n"},
};
enum { N_CASES = sizeof cases / sizeof *cases };

START_TEST(written_out) {
    const written *c = &cases[_i];
    tr_doc *doc;
    tr_lines lines;
    tr_error err = {0};
    char text[2048] = "";
    int n;
    ck_assert_int_eq(tr_doc_parse("net.ini", c->text, strlen(c->text), &doc, &err), TR_OK);
    const tr_pair *network = tr_doc_section(doc, "network", &n, NULL);
    ck_assert_msg(tr_lines_create(doc, network, n, &lines, &err) == TR_OK, "%s", err.text);
    for (int i = 0; i < lines.n; i++) {
        const tr_line *line = &lines.line[i];
        strcat(strcat(strcat(text, line->name), " = "), line->class);
        for (int k = 0; k < line->n_args; k++)
            strcat(strcat(strcat(strcat(text, " "), line->args[k].key), "="), line->args[k].value);
        if (line->from) strcat(strcat(text, " from="), line->from);
        strcat(text, "\n");
    }
    ck_assert_str_eq(text, c->lines);
    tr_lines_free(&lines);
    tr_doc_free(doc);
}
END_TEST

#define TAIL "flat = flatten\nfc = linear out_features=10\n[loss]\ntype = cross_entropy\n"

/* The same network with and without a block: the same graph. */
START_TEST(same_graph) {
    static const char *const texts[] = {
        "[network]\nl.0.conv = conv2d out_channels=3 kernel_size=3 padding=1\nl.0.relu = relu\n"
        "l.0.sum = add from=l.0.relu,input\n" TAIL,
        "[network]\nl.0 = basic width=3\n" TAIL
        "[block basic width]\nconv = conv2d out_channels=$width kernel_size=3 padding=1\n"
        "relu = relu\nsum = add from=relu,in\n"};
    tr_graph *graph[2];
    for (int i = 0; i < 2; i++) {
        tr_error err = {0};
        ck_assert_msg(graph_of_text(texts[i], image, 10, &graph[i], &err) == TR_OK, "%s", err.text);
        tr_graph_init(graph[i], TR_PHILOX, 3);
    }
    ck_assert_int_eq(graph[0]->n_nodes, graph[1]->n_nodes);
    ck_assert_int_eq(graph[0]->n_elements, graph[1]->n_elements);
    for (int i = 0; i < graph[0]->n_nodes; i++) {
        const tr_node *a = &graph[0]->nodes[i], *b = &graph[1]->nodes[i];
        ck_assert_str_eq(a->name, b->name);
        ck_assert_ptr_eq(a->op, b->op);
        ck_assert_int_eq(a->n_inputs, b->n_inputs);
        for (int k = 0; k < a->n_inputs; k++) ck_assert_int_eq(a->input[k], b->input[k]);
        if (!a->op) continue; /* the input of the network has no arguments */
        tr_text args[2] = {{0}, {0}};
        tr_args_write(&a->op->schema, a->args, &args[0]);
        tr_args_write(&b->op->schema, b->args, &args[1]);
        char *line[2] = {tr_text_take(&args[0], NULL), tr_text_take(&args[1], NULL)};
        ck_assert_str_eq(line[0], line[1]);
        if (i == 1) ck_assert_ptr_nonnull(strstr(line[0], "out_channels=3"));
        tr_free(line[0]);
        tr_free(line[1]);
    }
    ck_assert_mem_eq(graph[0]->parameters, graph[1]->parameters,
                     (size_t)graph[0]->n_elements * sizeof(tr_real));
    for (int i = 0; i < 2; i++) tr_graph_free(graph[i]);
}
END_TEST

/* ---- faults ---- */

typedef struct golden {
    const char *text, *message;
} golden;

#define USE(line) "[network]\na = " line "\n" TAIL
#define KEYS                                                                                       \
    "keys a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 n=1 o=1 p=1 q=1 r=1 s=1 t=1 u=1 "    \
    "v=1 "                                                                                         \
    "w=1 x=1 y=1 z=1 aa=1 bb=1 cc=1 dd=1 ee=1 ff=1 gg=1"
static const golden faults[] = {
    {USE("basc w=1") "[block basic w]\nx = relu\n",
     "net.ini:2: a: unknown layer 'basc' (did you mean 'basic'?)"},
    {USE("basic w=1") "[block]\nx = relu\n",
     "net.ini:7: block: the block has no name, as in [block basic width stride=1]"},
    {USE("relu") "[block " KEYS "]\nx = relu\n", "net.ini:7: block " KEYS ": more than 32 keys"},
    {USE("relu") "[block relu]\nx = relu\n",
     "net.ini:7: block relu: 'relu' is the name of a layer"},
    {USE("b") "[block b]\nx = relu\n[block b w]\nx = relu\n",
     "net.ini:9: block b w: section given twice (first on line 7, as [block b])"},
    {USE("b") "[block b w w]\nx = relu\n",
     "net.ini:7: block b w w: the key 'w' stands there twice"},
    {USE("b") "[block b from]\nx = relu\n",
     "net.ini:7: block b from: 'from' cannot be a block's key"},
    {USE("b") "[block b w-1]\nx = relu\n", "net.ini:7: block b w-1: a heading is [block NAME key "
                                           "key=default ...], of letters, digits and "
                                           "'_'"},
    {USE("b") "[block b w=]\nx = relu\n",
     "net.ini:7: block b w=: a heading is [block NAME key key=default ...], of letters, digits and "
     "'_'"},
    {USE("b") "[block b=1]\nx = relu\n",
     "net.ini:7: block b=1: a heading is [block NAME key key=default ...], of letters, digits and "
     "'_'"},
    {USE("b") "[block b]\n", "net.ini:7: block b: the block has no lines"},
    {USE("b") "[block b w]\nx = relu\n", "net.ini:2: a: w=... must be given, as [block b w] says"},
    {USE("b w=1 h=2") "[block b w]\nx = relu\n", "net.ini:2: a.h: unknown key, allowed are w"},
    {USE("b widht=1") "[block b width=2]\nx = relu\n",
     "net.ini:2: a.widht: unknown key (did you mean 'width'?)"},
    {USE("b w=1 w=2") "[block b w]\nx = relu\n", "net.ini:2: a.w: given twice"},
    {USE("b from=input,input") "[block b]\nx = relu\n",
     "net.ini:2: a: the block 'b' reads one value, but from= names several"},
    {USE("b from=c") "[block b]\nx = relu\n", "net.ini:8: a.x: from=c names no layer above"},
    {USE("b w=1") "[block b w]\nx = linear out_features=$v\n",
     "net.ini:8: a.x: '$v' is no key of the block, allowed are w"},
    {USE("b width=1") "[block b width]\nx = linear out_features=$widht\n",
     "net.ini:8: a.x: '$widht' is no key of the block (did you mean 'width'?)"},
    {USE("b") "[block b w=1]\nx = linear out_features=${w\n",
     "net.ini:8: a.x: '$w' is no key of the block (did you mean 'w'?)"},
    {USE("b") "[block b]\nx = conv2d out_channels=$w\n",
     "net.ini:8: a.x: '$w' is no key of the block, there is none"},
    {USE("b") "[block b]\nin = relu\n", "net.ini:8: a.in: 'in' is the name of a block's input"},
    {USE("b") "[block b]\nx = relu\ninput = relu\n",
     "net.ini:9: a.input: 'input' is the name of the network's input"},
    {USE("b") "[block b]\nx = c\n[block c]\ninput = relu\n",
     "net.ini:10: a.x.input: 'input' is the name of the network's input"},
    /* a value that does not fit is told where it was written */
    {USE("b w=0") "[block b w]\nx = conv2d out_channels=$w kernel_size=3\n",
     "net.ini:2: a.x.out_channels: 0 is out of range, allowed are 1 to 65536"},
    {USE("b w=3") "[block b w k=0]\nx = conv2d out_channels=$w kernel_size=$k\n",
     "net.ini:7: a.x.kernel_size: 0 is out of range, allowed are 1 to 1024"},
    {USE("b k=33") "[block b k]\nx = c k=$k\n[block c k]\ny = conv2d out_channels=2 "
                   "kernel_size=$k\n",
     "net.ini:2: a.x.y: kernel_size=33 is larger than the padded input of 32 x 32, allowed are 1 "
     "to "
     "32"},
    {USE("b what=rleu") "[block b what]\nx = $what\n",
     "net.ini:2: a.x: unknown layer 'rleu' (did you mean 'relu'?)"},
    {USE("b w=\"1 2\"") "[block b w]\nx = linear out_features=$w\n",
     "net.ini:2: a.x.out_features: 1 2 is not an integer"},
    {USE("b w=1") "[block b w]\nx = linear out_features=$$w\n",
     "net.ini:8: a.x.out_features: $w is not an integer"},
    {USE("b") "[block b]\nx = relu\ny = add from=x,flat\n",
     "net.ini:9: a.y: from=a.flat names no layer above"},
    {USE("b") "[block b]\nx = relu from=y\ny = relu\n",
     "net.ini:8: a.x: from=a.y names a layer that comes later (line 9), allowed are layers above"},
    {USE("b") "[block b]\nx = relu from=in from=in\n", "net.ini:8: a.x: from= is given twice"},
    {USE("b") "[block b]\nx = conv2d out_channels=0 kernel_size=3\n",
     "net.ini:8: a.x.out_channels: 0 is out of range, allowed are 1 to 65536"},
    {USE("linear out_features=$w"), "net.ini:2: a.out_features: $w is not an integer"},
    {USE("b") "[block b]\nx = b\n",
     "net.ini:8: a.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x: more than 16 blocks within blocks"},
    {"[network]\na = b\na.x = relu\n" TAIL "[block b]\nx = relu\n",
     "net.ini:3: a.x: a layer of this name is there already"},
};
enum { N_FAULTS = sizeof faults / sizeof *faults };

START_TEST(faults_are_named) {
    tr_error err = {0};
    tr_graph *graph;
    ck_assert_int_eq(graph_of_text(faults[_i].text, image, 10, &graph, &err), TR_ECONFIG);
    ck_assert_ptr_null(graph);
    ck_assert_str_eq(err.text, faults[_i].message);
}
END_TEST

/* Blocks that double at each level: an end before the memory is full. */
START_TEST(too_many_lines) {
    char text[4096] = "[network]\na = b0\n" TAIL;
    for (int i = 0; i < 14; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "[block b%d]\nx = b%d\ny = b%d\n", i, i + 1,
                 i + 1);
    }
    strcat(text, "[block b14]\nx = relu\n");
    tr_error err = {0};
    tr_graph *graph;
    ck_assert_int_eq(graph_of_text(text, image, 10, &graph, &err), TR_ECONFIG);
    ck_assert_msg(strstr(err.text, "the network has more than 4094 layers") != NULL, "%s",
                  err.text);
}
END_TEST

START_TEST(long_lines) {
    /* Values grow with each level: a message, and not all of the memory. */
    char text[4096] =
        "[network]\na_name_of_thirty_characters_abc = b0 v=aaaaaaaaaaaaaaaaaaaa\n" TAIL;
    for (int i = 0; i < 12; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "[block b%d v]\nx = b%d v=$v$v$v$v$v$v$v$v\n", i,
                 i + 1);
    }
    strcat(text, "[block b12 v]\nx = relu\n");
    tr_error err = {0};
    tr_graph *graph;
    ck_assert_int_eq(graph_of_text(text, image, 10, &graph, &err), TR_ECONFIG);
    ck_assert_msg(strstr(err.text, "too long when its blocks are written out") != NULL, "%s",
                  err.text);
    snprintf(text, sizeof text,
             "[network]\na_name_of_forty_characters_abcdefghijklm = b\n" TAIL
             "[block b]\na_name_of_forty_characters_abcdefghijklm = c\n"
             "[block c]\na_name_of_forty_characters_abcdefghijklm = relu\n");
    err = (tr_error){0};
    ck_assert_int_eq(graph_of_text(text, image, 10, &graph, &err), TR_ECONFIG);
    ck_assert_msg(strstr(err.text, "a layer's name has at most 79 characters") != NULL, "%s",
                  err.text);
}
END_TEST

START_TEST(no_memory_is_an_error) {
    static const char text[] = USE("b w=3") "[block b w]\nx = c w=$w\ny = add from=x,in\n"
                                            "[block c w]\nz = relu\n";
    for (long n = 0;; n++) {
        tr_error err = {0};
        tr_doc *doc;
        tr_graph *graph;
        ck_assert_int_eq(tr_doc_parse("net.ini", text, strlen(text), &doc, &err), TR_OK);
        tr_alloc_fail_after(n);
        int code = tr_graph_create(doc, image, 10, &graph, &err);
        tr_alloc_fail_after(-1);
        tr_graph_free(graph);
        tr_doc_free(doc);
        if (code == TR_OK) {
            ck_assert_int_gt(n, 12);
            break;
        }
        ck_assert_int_eq(code, TR_ENOMEM);
    }
}
END_TEST

static Suite *blocks_suite(void) {
    Suite *suite = suite_create("blocks");
    TCase *all = tcase_create("blocks");
    tcase_add_loop_test(all, written_out, 0, N_CASES);
    tcase_add_test(all, same_graph);
    tcase_add_loop_test(all, faults_are_named, 0, N_FAULTS);
    tcase_add_test(all, too_many_lines);
    tcase_add_test(all, long_lines);
    tcase_add_test(all, no_memory_is_an_error);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(blocks_suite());
}
