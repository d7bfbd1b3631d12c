/* Blocks: what they expand to, and their errors. */
#include "graph/blocks.h"
#include "network.h"

static const tr_shape image = {false, 32, 32, 3};

/* ---- written out ---- */

typedef struct written {
    const char *text, *lines;
} written;

/* from= where it is not the line above. */
static const written cases[] = {
    /* without blocks: as they stand, from= last */
    {"[network]\na = relu\nb = add  from=a,input\nc = linear from=a out_features=2\n",
     "a = relu\nb = add from=a,input\nc = linear out_features=2 from=a\n"},
    /* arguments, defaults, and where a block's input comes from */
    {"[network]\na = relu\nb = two n=3\nc = two n=4 s=5\nd = two n=6 from=a\ne = relu from=c\n"
     "[block two n s=1]\nx = max_pool2d kernel_size=$n stride=$s\ny = add from=x,in\n",
     "a = relu\n"
     "b.x = max_pool2d kernel_size=3 stride=1\nb.y = add from=b.x,a\n"
     "c.x = max_pool2d kernel_size=4 stride=5\nc.y = add from=c.x,b.y\n"
     "d.x = max_pool2d kernel_size=6 stride=1 from=a\nd.y = add from=d.x,a\n"
     "e = relu from=c.y\n"},
    {"[network]\na = one n=2\n[block\tone\tn]\nx = linear out_features=$n\n",
     "a.x = linear out_features=2\n"},
    /* a block first of all reads the network's input */
    {"[network]\na = one\n[block one]\nx = relu\ny = add from=x,in\n",
     "a.x = relu\na.y = add from=a.x,input\n"},
    /* blocks within blocks; a later heading is as good; a name with a dot */
    {"[block outer w]\nl = inner w=$w\nm = inner w=${w}0 from=in\nn = add from=l,m,in\n"
     "[network]\nlayer1.0 = outer w=7\nlayer1.1 = outer w=8\n"
     "[block inner w]\nx = linear out_features=$w\n",
     "layer1.0.l.x = linear out_features=7\n"
     "layer1.0.m.x = linear out_features=70 from=input\n"
     "layer1.0.n = add from=layer1.0.l.x,layer1.0.m.x,input\n"
     "layer1.1.l.x = linear out_features=8\n"
     "layer1.1.m.x = linear out_features=80 from=layer1.0.n\n"
     "layer1.1.n = add from=layer1.1.l.x,layer1.1.m.x,layer1.0.n\n"},
    /* a layer's name as an argument; a look into a block from outside, also at one within it */
    {"[network]\na = does what=relu\nb = add from=a.x,a\n[block does what]\nx = $what\ny = $what\n",
     "a.x = relu\na.y = relu\nb = add from=a.x,a.y\n"},
    {"[network]\na = o\nb = add from=a.l,a\n[block o]\nl = i\nm = relu\nn = add from=l.x,l\n"
     "[block i]\nx = relu\ny = relu\n",
     "a.l.x = relu\na.l.y = relu\na.m = relu\na.n = add from=a.l.x,a.l.y\n"
     "b = add from=a.l.y,a.n\n"},
    /* a word chooses a block or a layer, and names where a value comes from */
    {"[network]\na = either what=one\nb = either what=relu src=x\n"
     "[block either what src=in]\nx = relu\ny = $what from=$src\n[block one]\n0 = relu\n1 = relu\n",
     "a.x = relu\na.y.0 = relu from=input\na.y.1 = relu\nb.x = relu\nb.y = relu\n"},
    /* first, in the middle and last: what the line reads */
    {"[network]\na = t k=one\nb = t k=identity from=a\n"
     "[block t k]\nx = $k n=1\ny = $k n=2\nz = add from=y,in\nw = $k n=3\n"
     "[block one n]\nl = linear out_features=$n\n",
     "a.x.l = linear out_features=1\na.y.l = linear out_features=2\na.z = add from=a.y.l,input\n"
     "a.w.l = linear out_features=3\n"
     "b.x = identity n=1\nb.y = identity n=2\nb.z = add from=b.y,a.w.l\nb.w = identity n=3\n"},
    /* identity ignores its arguments, as nn.Identity does */
    {"[network]\na = identity kernel_size=0 n=\"x y\"\n", "a = identity kernel_size=0 n=x y\n"},
    /* repeats: each reads the one before it; a short list repeats its last value */
    {"[network]\na = relu\nl = b x3 w=8 s=2,1 from=input\nc = add from=l,l.0,l.1.x\n"
     "[block b w s]\nx = max_pool2d kernel_size=$w stride=$s\ny = add from=x,in\n",
     "a = relu\n"
     "l.0.x = max_pool2d kernel_size=8 stride=2 from=input\nl.0.y = add from=l.0.x,input\n"
     "l.1.x = max_pool2d kernel_size=8 stride=1\nl.1.y = add from=l.1.x,l.0.y\n"
     "l.2.x = max_pool2d kernel_size=8 stride=1\nl.2.y = add from=l.2.x,l.1.y\n"
     "c = add from=l.2.y,l.0.y,l.1.x\n"},
    {"[network]\na = relu x1\nb = linear x2 out_features=4,5\nc = relu\n",
     "a.0 = relu\nb.0 = linear out_features=4\nb.1 = linear out_features=5\nc = relu\n"},
    /* as many as an argument says, of what an argument says, with a list that was handed on */
    {"[network]\ns = stage n=2 kind=one w=\"3, 4\"\n"
     "[block stage n kind w]\nl = $kind x$n w=$w\n[block one w]\nx = linear out_features=$w\n",
     "s.l.0.x = linear out_features=3\ns.l.1.x = linear out_features=4\n"},
    {"[network]\ns = stage depth=3\n[block stage depth]\nl = relu x${depth-1}\n",
     "s.l.0 = relu\ns.l.1 = relu\n"},
    /* without xN a comma is nothing of note */
    {"[network]\na = one what=x,in\n[block one what]\nx = relu\ny = add from=$what\n",
     "a.x = relu\na.y = add from=a.x,input\n"},
    /* arithmetic */
    {"[network]\na = m w=6 z=-2\n[block m w z]\n"
     "a = linear out_features=${w*4}\nb = linear out_features=${w+2*3}\n"
     "c = linear out_features=${(w+2)*3}\nd = linear out_features=\"${ ( w - 2 ) / 2 }\"\n"
     "e = linear out_features=${w-2-1}\nf = linear out_features=${-z*+3}\n"
     "g = linear out_features=${w/2/3}\nh = linear out_features=1${w-5}$w${w}\n"
     "i = linear out_features=${7}\n",
     "a.a = linear out_features=24\na.b = linear out_features=12\na.c = linear out_features=24\n"
     "a.d = linear out_features=2\na.e = linear out_features=3\na.f = linear out_features=6\n"
     "a.g = linear out_features=1\na.h = linear out_features=1166\na.i = linear out_features=7\n"},
    {"[network]\na = m w=9223372036854775807\n[block m w]\n"
     "a = identity n=${w} m=${w-1+1} l=${-w-1} k=$$w\n",
     "a.a = identity n=9223372036854775807 m=9223372036854775807 l=-9223372036854775808 k=$w\n"},
    /* kuangliu's and torchvision's ways */
    {"[network]\nlayer1 = basic x2 width=16\n"
     "layer2 = basic x2 width=32 stride=2,1 shortcut=projection,identity\n"
     "[block basic width stride=1 shortcut=identity]\n"
     "conv1 = conv2d out_channels=$width kernel_size=3 stride=$stride padding=1 bias=false\n"
     "shortcut = $shortcut width=$width stride=$stride from=in\n"
     "sum = add from=conv1,shortcut\n"
     "[block projection width stride]\n"
     "0 = conv2d out_channels=$width kernel_size=1 stride=$stride bias=false\n1 = relu\n",
     "layer1.0.conv1 = conv2d out_channels=16 kernel_size=3 stride=1 padding=1 bias=false\n"
     "layer1.0.shortcut = identity width=16 stride=1 from=input\n"
     "layer1.0.sum = add from=layer1.0.conv1,layer1.0.shortcut\n"
     "layer1.1.conv1 = conv2d out_channels=16 kernel_size=3 stride=1 padding=1 bias=false\n"
     "layer1.1.shortcut = identity width=16 stride=1 from=layer1.0.sum\n"
     "layer1.1.sum = add from=layer1.1.conv1,layer1.1.shortcut\n"
     "layer2.0.conv1 = conv2d out_channels=32 kernel_size=3 stride=2 padding=1 bias=false\n"
     "layer2.0.shortcut.0 = conv2d out_channels=32 kernel_size=1 stride=2 bias=false "
     "from=layer1.1.sum\n"
     "layer2.0.shortcut.1 = relu\n"
     "layer2.0.sum = add from=layer2.0.conv1,layer2.0.shortcut.1\n"
     "layer2.1.conv1 = conv2d out_channels=32 kernel_size=3 stride=1 padding=1 bias=false\n"
     "layer2.1.shortcut = identity width=32 stride=1 from=layer2.0.sum\n"
     "layer2.1.sum = add from=layer2.1.conv1,layer2.1.shortcut\n"},
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
        strcat(strcat(strcat(text, line->name), " = "), line->op->schema.name);
        for (int k = 0; k < line->given.n; k++) {
            const tr_pair *pair = &line->given.pairs[k];
            strcat(strcat(strcat(strcat(text, " "), pair->key), "="), pair->value);
        }
        for (int k = 0; k < line->n_inputs; k++) {
            if (line->n_inputs == 1 && line->input[0] == i) continue; /* the line above */
            strcat(text, k ? "," : " from=");
            strcat(text, line->input[k] ? lines.line[line->input[k] - 1].name : "input");
        }
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

/* ---- errors ---- */

typedef struct golden {
    const char *text, *message;
} golden;

#define USE(line) "[network]\na = " line "\n" TAIL
static const golden errors[] = {
    {USE("basc w=1") "[block basic w]\nx = relu\n",
     "net.ini:2: a: unknown layer 'basc' (did you mean 'basic'?)"},
    {USE("basic w=1") "[block]\nx = relu\n",
     "net.ini:7: block: the block has no name, as in [block basic width stride=1]"},
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
    {USE("b") "[block b w]\nx = relu\n",
     "net.ini:2: a.w: missing, it must be given (as [block b w] says)"},
    {USE("b w=1 h=2") "[block b w]\nx = relu\n", "net.ini:2: a.h: unknown key, allowed are w"},
    {USE("b widht=1") "[block b width=2]\nx = relu\n",
     "net.ini:2: a.widht: unknown key (did you mean 'width'?)"},
    {USE("b w=1 w=2") "[block b w]\nx = relu\n", "net.ini:2: a.w: given twice"},
    {USE("b from=input,input") "[block b]\nx = relu\n",
     "net.ini:2: a: the block 'b' reads one value, but from= names several"},
    {USE("b from=c") "[block b]\nx = relu\n", "net.ini:2: a: from=c names no layer above"},
    {USE("b w=1") "[block b w]\nx = linear out_features=$v\n",
     "net.ini:8: a.x: '$v' is no key of the block, allowed are w"},
    {USE("b width=1") "[block b width]\nx = linear out_features=$widht\n",
     "net.ini:8: a.x: '$widht' is no key of the block (did you mean 'width'?)"},
    {USE("b") "[block b w=1]\nx = linear out_features=${w\n",
     "net.ini:8: a.x: '${w' has no closing '}'"},
    {USE("b") "[block b]\nx = conv2d out_channels=$w\n",
     "net.ini:8: a.x: '$w' is no key of the block, there is none"},
    {USE("b") "[block b]\nin = relu\n", "net.ini:8: a.in: 'in' is the name of a block's input"},
    {USE("b") "[block b]\nx = relu\ninput = relu\n",
     "net.ini:9: a.input: 'input' is the name of the network's input"},
    {USE("b") "[block b]\nx = c\n[block c]\ninput = relu\n",
     "net.ini:10: a.x.input: 'input' is the name of the network's input"},
    /* a value that does not fit is reported where it was written */
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
     "net.ini:8: a.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x.x: more than 32 "
     "blocks within blocks"},
    {"[network]\na = b\na.x = relu\n" TAIL "[block b]\nx = relu\n",
     "net.ini:3: a.x: a layer of this name is there already"},
    {"[network]\na.x = relu\na = b\n" TAIL "[block b]\nx = relu\n",
     "net.ini:9: a.x: a layer of this name is there already"},
    {"[network]\na = relu x2\na.1 = relu\n" TAIL,
     "net.ini:3: a.1: a layer of this name is there already"},
    /* repeats */
    {"[network]\na-b = relu x2\n" TAIL,
     "net.ini:2: a-b: a layer's name has letters, digits, '_' and '.' only"},
    {"[network]\na.1 = relu\na = relu x2\n" TAIL,
     "net.ini:3: a.1: a layer of this name is there already"},
    {"[network]\na = b\n[block b]\na-b = relu\n" TAIL,
     "net.ini:4: a.a-b: a layer's name has letters, digits, '_' and '.' only"},
    {USE("relu x0"), "net.ini:2: a: 'x0' is no repeat, allowed are x1 to x65536"},
    {USE("relu x65537"), "net.ini:2: a: 'x65537' is no repeat, allowed are x1 to x65536"},
    {USE("relu x99999999999999999999"),
     "net.ini:2: a: 'x99999999999999999999' is no repeat, allowed are x1 to x65536"},
    {USE("relu x2y"), "net.ini:2: a: 'x2y' is no repeat, allowed are x1 to x65536"},
    {USE("relu x2 x2"), "net.ini:2: a: 'x2' is not of the form key=value (without white space)"},
    {USE("relu xy"), "net.ini:2: a: 'xy' is not of the form key=value (without white space)"},
    {USE("b w=1 x2") "[block b w]\nx = relu\n",
     "net.ini:2: a: 'x2' is not of the form key=value (without white space)"},
    {USE("b n=no") "[block b n]\nx = relu x$n\n",
     "net.ini:2: a.x: 'xno' is no repeat, allowed are x1 to x65536"},
    {USE("b x2 w=1,2,3") "[block b w]\nx = linear out_features=$w\n",
     "net.ini:2: a.w: 3 values for x2: 1,2,3"},
    {USE("b x3 w=1,,3") "[block b w]\nx = identity\n",
     "net.ini:2: a.w: a value is missing in the list '1,,3'"},
    {USE("conv2d x2 kernel_size=1 out_channels=3,0"),
     "net.ini:2: a.1.out_channels: 0 is out of range, allowed are 1 to 65536"},
    {USE("b x2 h=1") "[block b w]\nx = relu\n", "net.ini:2: a.0.h: unknown key, allowed are w"},
    {USE("relu x2 from=a.1"),
     "net.ini:2: a: from=a.1 names the layer itself, allowed are layers above"},
    {USE("relu x2 from=flat.x"),
     "net.ini:2: a: from=flat.x names a layer that comes later (line 3), allowed are layers above"},
    {"[network]\na = relu x2\nb = relu from=a.2\n" TAIL,
     "net.ini:3: b: from=a.2 names no layer above"},
    {"[network]\na = block_one x2\nb = relu from=a.0.covn\n" TAIL
     "[block block_one]\nconv = relu\n",
     "net.ini:3: b: from=a.0.covn names no layer above (did you mean 'a.0.conv'?)"},
    {"[network]\nconv = relu\na = b\n" TAIL "[block b]\nconv1 = relu\nx = relu from=con1\n",
     "net.ini:10: a.x: from=a.con1 names no layer above (did you mean 'a.conv1'?)"},
    /* arithmetic */
    {USE("b w=4") "[block b w]\nx = linear out_features=${w/3}\n",
     "net.ini:2: a.x: ${w/3}: 4 / 3 is not an integer"},
    {USE("b") "[block b w=4]\nx = linear out_features=${w/(w-4)}\n",
     "net.ini:7: a.x: ${w/(w-4)} divides 4 by zero"},
    {USE("b w=9223372036854775807") "[block b w]\nx = identity n=${w+1}\n",
     "net.ini:2: a.x: ${w+1} does not fit 64 bits"},
    {USE("b w=9223372036854775807") "[block b w]\nx = identity n=${-2-w}\n",
     "net.ini:2: a.x: ${-2-w} does not fit 64 bits"},
    {USE("b w=4611686018427387904") "[block b w]\nx = identity n=${w*2}\n",
     "net.ini:2: a.x: ${w*2} does not fit 64 bits"},
    {USE("b w=-9223372036854775808") "[block b w]\nx = identity n=${w/-1}\n",
     "net.ini:2: a.x: ${w/-1} does not fit 64 bits"},
    {USE("b w=-9223372036854775808") "[block b w]\nx = identity n=${-w}\n",
     "net.ini:2: a.x: ${-w} does not fit 64 bits"},
    {USE("b w=1") "[block b w]\nx = identity n=${w*9223372036854775808}\n",
     "net.ini:2: a.x: ${w*9223372036854775808} does not fit 64 bits"},
    {USE("b w=wide") "[block b w]\nx = linear out_features=${w*4}\n",
     "net.ini:2: a.x: ${w*4}: w=wide is not an integer"},
    {USE("b w=1.5") "[block b w]\nx = linear out_features=${2*w}\n",
     "net.ini:2: a.x: ${2*w}: w=1.5 is not an integer"},
    {USE("b w=1") "[block b w]\nx = linear out_features=${w*}\n",
     "net.ini:8: a.x: ${w*}: a number, a key or '(' is missing at '}'"},
    {USE("b w=1") "[block b w]\nx = linear out_features=${}\n", "net.ini:8: a.x: '${}' is empty"},
    {USE("b w=1") "[block b w]\nx = linear out_features=${(w+1}\n",
     "net.ini:8: a.x: ${(w+1}: ')' is missing at '}'"},
    {USE("b w=1") "[block b w]\nx = linear out_features=${w+1)}\n",
     "net.ini:8: a.x: ${w+1)}: an operator is missing at ')}'"},
    {USE("b w=1") "[block b w]\nx = linear out_features=${w%2}\n",
     "net.ini:8: a.x: ${w%2}: an operator is missing at '%2}'"},
    {USE("b w=1") "[block b w]\nx = linear out_features=${$w+2}\n",
     "net.ini:8: a.x: ${$w+2}: a number, a key or '(' is missing at '$w+2}'"},
    {USE("b w=1") "[block b w]\nx = linear out_features=${v*2}\n",
     "net.ini:8: a.x: '$v' is no key of the block, allowed are w"},
    {USE("b w=1") "[block b w]\nx = linear out_features=${2w}\n",
     "net.ini:8: a.x: '$2w' is no key of the block, allowed are w"},
    {USE("b w=1") "[block b w]\nx = linear "
                  "out_features=${-----------------------------------------------------------------"
                  "---w}\n",
     "net.ini:8: a.x: "
     "${--------------------------------------------------------------------w}: more than 64 "
     "parentheses within each other"},
    /* ignored arguments are checked as arguments */
    {USE("identity x=1 x=2"), "net.ini:2: a.x: given twice"},
    {USE("identity from=input,input"), "net.ini:2: a: identity reads one value, but from= names 2"},
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

/* The lines of [network] of a text, or the error. */
static int lines_of(const char *text, tr_lines *out, tr_error *err) {
    tr_doc *doc;
    int n;
    ck_assert_int_eq(tr_doc_parse("net.ini", text, strlen(text), &doc, err), TR_OK);
    const tr_pair *network = tr_doc_section(doc, "network", &n, NULL);
    int code = tr_lines_create(doc, network, n, out, err);
    tr_doc_free(doc); /* with the places that the lines keep */
    return code;
}

START_TEST(large_networks) {
    enum { LAYERS = 10000, INPUTS = 100, BLOCKS = 300, KEYS = 40 };
    tr_error err = {0};
    tr_text text = {0};
    tr_lines lines;
    /* Layers in a row, then the sum of the last hundred of them. */
    tr_text_print(&text, "[network]\n");
    for (int i = 0; i < LAYERS; i++) tr_text_print(&text, "layer%d = relu\n", i);
    tr_text_print(&text, "sum = add from=");
    for (int i = 0; i < INPUTS; i++)
        tr_text_print(&text, "%slayer%d", i ? "," : "", LAYERS - INPUTS + i);
    ck_assert_msg(lines_of(text.at, &lines, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(lines.n, LAYERS + 1);
    ck_assert_int_eq(lines.line[LAYERS].n_inputs, INPUTS);
    for (int i = 0; i < INPUTS; i++)
        ck_assert_int_eq(lines.line[LAYERS].input[i], LAYERS - INPUTS + i + 1);
    tr_lines_free(&lines);
    tr_text_free(&text);
    /* Many blocks; one with many keys, used often. */
    tr_text_print(&text, "[network]\n");
    for (int i = 0; i < BLOCKS; i++) tr_text_print(&text, "a%d = b%d\n", i, i);
    tr_text_print(&text, "c = wide x%d", LAYERS);
    for (int i = 0; i < KEYS; i++) tr_text_print(&text, " k%d=%d", i, i + 1);
    for (int i = 0; i < BLOCKS; i++) tr_text_print(&text, "\n[block b%d]\nx = relu", i);
    tr_text_print(&text, "\n[block wide");
    for (int i = 0; i < KEYS; i++) tr_text_print(&text, " k%d", i);
    tr_text_print(&text, "]\nx = linear out_features=${k39*k38}\n");
    ck_assert_msg(lines_of(text.at, &lines, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(lines.n, BLOCKS + LAYERS);
    ck_assert_str_eq(lines.line[lines.n - 1].name, "c.9999.x");
    tr_lines_free(&lines);
    tr_text_free(&text);
    /* As a graph. */
    tr_graph *graph;
    tr_text_print(&text, "[network]\nr = relu x%d\nsum = add from=r", LAYERS);
    for (int i = 1; i < INPUTS; i++) tr_text_print(&text, ",r.%d", i);
    tr_text_print(&text, "\n" TAIL);
    ck_assert_msg(graph_of_text(text.at, image, 10, &graph, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(graph->n_nodes, LAYERS + 5);
    const tr_node *sum = node_of(graph, "sum");
    ck_assert_int_eq(sum->n_inputs, INPUTS);
    ck_assert_int_eq(sum->input[0], LAYERS);
    ck_assert_int_eq(sum->input[INPUTS - 1], INPUTS); /* r.99 */
    tr_graph_free(graph);
    tr_text_free(&text);
}
END_TEST

/* Blocks that double at each level: an end before the memory is full. */
START_TEST(too_many_lines) {
    char text[4096] = "[network]\na = b0\n" TAIL;
    for (int i = 0; i < 17; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "[block b%d]\nx = b%d\ny = b%d\n", i, i + 1,
                 i + 1);
    }
    strcat(text, "[block b17]\nx = relu\n");
    tr_error err = {0};
    tr_graph *graph;
    ck_assert_int_eq(graph_of_text(text, image, 10, &graph, &err), TR_ECONFIG);
    ck_assert_msg(strstr(err.text, "the network has more than 65536 layers") != NULL, "%s",
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
    ck_assert_int_eq(graph_of_text(text, image, 10, &graph, &err), TR_OK); /* of any length */
    ck_assert_int_eq(strlen(graph->nodes[1].name), 3 * 40 + 2);
    tr_graph_free(graph);
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
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, written_out, 0, N_CASES);
    tcase_add_test(all, same_graph);
    tcase_add_loop_test(all, errors_are_named, 0, N_ERRORS);
    tcase_add_test(all, large_networks);
    tcase_add_test(all, too_many_lines);
    tcase_add_test(all, long_lines);
    tcase_add_test(all, no_memory_is_an_error);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(blocks_suite());
}
