/* Gradients of every layer over generated arguments and shapes (gradient_check.h).
 *
 * For each layer of the registry networks are drawn around it: the shape of its input with the
 * edges (`edge_names`), each argument as its schema allows, what stands
 * before and behind it (which may be fused into it or it into them), threads, shards and how sums
 * are made; a layer that has a choice of algorithms is checked with each that fits. What the layer
 * refuses is skipped and counted. So a new layer or argument is checked
 * without a line here; an argument that is never used fails the test.
 *
 *     test_gradients_generated                     as a test
 *     test_gradients_generated --table [NETS [SEED]]   prints what was checked, too
 */
#include "gradient_check.h"
#include "ops/conv.h"

enum { MAX_LAYERS = 128, MAX_KEYS = 32, MAX_THREADS = 3, MIN_USES = 3, MOST_WORK = 200000 };

/* ---- drawing ---- */

typedef struct source {
    uint64_t seed, n;
} source;

static int below(source *s, int n) {
    return (int)tr_random_below(s->seed, 0, 0, s->n++, (uint64_t)n);
}

static bool one_in(source *s, int n) {
    return below(s, n) == 0;
}

#define PICK(s, list) (list)[below(s, (int)(sizeof(list) / sizeof *(list)))]

/* One of the words of a key, or NULL where it has none. */
static const char *draw_word(source *s, const char *choices, char out[32]) {
    int n = 1;
    if (choices == NULL) return NULL;
    for (const char *at = choices; *at; at++) n += *at == ' ';
    for (int skip = below(s, n); skip > 0; skip--) choices = strchr(choices, ' ') + 1;
    snprintf(out, 32, "%.*s", (int)strcspn(choices, " "), choices);
    return out;
}

/* A number of things, often that of the input's channels. */
static void draw_count(source *s, const tr_key *key, int channels, char out[32]) {
    if (one_in(s, 3) && draw_word(s, key->choices, out)) return;
    int64_t n = one_in(s, 3) ? below(s, 5) : channels * (1 + one_in(s, 4));
    snprintf(out, 32, "%lld", (long long)fmin(fmax((double)n, key->min), key->max));
}

/* From the least value on: mostly small ones, some past the images below. */
static void draw_int(source *s, const tr_key *key, char out[32]) {
    static const int more[] = {0, 0, 1, 1, 2, 2, 3, 4, 7, 16};
    if (one_in(s, 5) && draw_word(s, key->choices, out)) return;
    snprintf(out, 32, "%lld",
             (long long)tr_min((int64_t)key->min + PICK(s, more), (int64_t)key->max));
}

static void draw_float(source *s, const tr_key *key, const double *numbers, int n, char out[32]) {
    static const double any[] = {-2, -1, -0.5, -0.1, 0, 0.1, 0.25, 0.5, 0.9, 1, 2};
    if (key->choices && one_in(s, 4) && draw_word(s, key->choices, out)) return;
    if (key->min == 0 && key->max == 0) /* no range; 1e-5 as a divisor leaves few digits */
        snprintf(out, 32, "%g", PICK(s, any));
    else
        snprintf(out, 32, "%g", fmin(fmax(numbers[below(s, n)], key->min), key->max));
}

/* Of an image: few pixels more or less on each side. */
static void draw_sides(source *s, const tr_key *key, char out[80]) {
    static const int more[] = {0, 0, 1, 1, 2, 3, -1};
    int side[4];
    for (int i = 0; i < 4; i++) side[i] = (int)tr_max((int64_t)key->min, PICK(s, more));
    if (one_in(s, 3))
        snprintf(out, 80, "%d", side[0]);
    else
        snprintf(out, 80, "%dx%dx%dx%d", side[0], side[1], side[2], side[3]);
}

/* The last dimensions of an image, as lists of numbers name them; sometimes others. */
static void draw_dimensions(source *s, tr_shape in, char out[80]) {
    int w = in.w + one_in(s, 12);
    switch (below(s, 4)) {
    case 0:
        snprintf(out, 80, "%d", w);
        return;
    case 1:
        snprintf(out, 80, "%d,%d", in.h, w);
        return;
    case 2:
        snprintf(out, 80, "%d,%d,%d", in.c, in.h, w);
        return;
    default:
        snprintf(out, 80, "%d", in.c * in.h * in.w);
    }
}

enum { VALUE_BYTES = 256 };

static bool draw_value(source *s, const tr_key *key, tr_shape in, char out[VALUE_BYTES]);

/* NAME(key=value,...) */
static bool draw_class(source *s, const tr_registry *classes, tr_shape in, char out[VALUE_BYTES]) {
    const tr_schema *class = classes->schemas[below(s, classes->n)];
    int n = snprintf(out, VALUE_BYTES, "%s", class->name);
    for (int k = 0; k < class->n_keys; k++) {
        char value[VALUE_BYTES];
        if (draw_value(s, &class->keys[k], in, value))
            n += snprintf(out + n, VALUE_BYTES - (size_t)n, "%c%s=%.40s",
                          strchr(out, '(') ? ',' : '(', class->keys[k].name, value);
    }
    if (strchr(out, '(')) snprintf(out + n, VALUE_BYTES - (size_t)n, ")");
    return true;
}

/* The value of an argument as text. Returns false to leave it out. */
static bool draw_value(source *s, const tr_key *key, tr_shape in, char out[VALUE_BYTES]) {
    static const char *const parameters[] = {"weight", "bias", "weight,bias"};
    static const double numbers[] = {0, 1e-5, 0.1, 0.25, 0.5, 0.9, 1, 2},
                        ratios[] = {0.4, 0.5, 1, 1.5, 2, 2, 2.5, 3};
    char h[32], w[32];
    if (key->fallback && one_in(s, 3)) return false;
    switch (key->type) {
    case TR_KEY_INT:
        if (one_in(s, 2))
            draw_count(s, key, in.c, out);
        else
            draw_int(s, key, out);
        return true;
    case TR_KEY_SIZE2:
        draw_int(s, key, h);
        draw_int(s, key, w);
        snprintf(out, 80, "%sx%s", h, one_in(s, 2) ? h : w);
        return true;
    case TR_KEY_FLOAT:
        draw_float(s, key, numbers, sizeof numbers / sizeof *numbers, out);
        return true;
    case TR_KEY_FLOAT2:
        draw_float(s, key, ratios, sizeof ratios / sizeof *ratios, h);
        draw_float(s, key, ratios, sizeof ratios / sizeof *ratios, w);
        snprintf(out, 80, "%sx%s", h, one_in(s, 2) ? h : w);
        return true;
    case TR_KEY_SIDES:
        draw_sides(s, key, out);
        return true;
    case TR_KEY_BOOL:
        snprintf(out, 80, "%s", one_in(s, 2) ? "true" : "false");
        return true;
    case TR_KEY_CHOICE:
        return draw_word(s, key->choices, out) != NULL;
    case TR_KEY_STRING:
        snprintf(out, 80, "%s", PICK(s, parameters));
        return true;
    case TR_KEY_CLASS:
        return draw_class(s, key->classes, in, out);
    case TR_KEY_FLOATS:
        if (key->choices && one_in(s, 4)) return draw_word(s, key->choices, out) != NULL;
        draw_dimensions(s, in, out);
        return true;
    case TR_KEY_PATH:
    case TR_KEY_ANY:
        return false;
    }
    return false;
}

/* ---- what was checked ---- */

typedef enum edge {
    ONE_PIXEL,
    ONE_CHANNEL,
    ONE_SAMPLE,
    STRIDE_PAST,
    CUT_WINDOW,
    MORE_INPUTS,
    OTHER_SHAPE,
    N_EDGES
} edge;
static const char *const edge_names[] = {"one pixel",
                                         "one channel",
                                         "one sample",
                                         "stride past the end",
                                         "last window is cut",
                                         "three inputs",
                                         "inputs differ in shape"};

/* Convolutions: as the rule chooses, then by force. */
static const char *const algorithms[] = {NULL, "dense", "gather", "depthwise"};
enum { N_ALGORITHMS = sizeof algorithms / sizeof *algorithms };

typedef struct layer_result {
    const tr_op *op;
    int n_nets, n_refused, edges[N_EDGES], forced[N_ALGORITHMS];
    int64_t n_checked, n_kinks;
    double worst;
    int used[MAX_KEYS]; /* nets in which the argument was not at its default */
    char mismatch[1024];
} layer_result;

typedef struct run {
    int n_nets; /* accepted ones, of each layer on each number of threads */
    uint64_t seed;
    int n_threads;
    layer_result *results;
} run;

/* ---- networks ---- */

typedef struct drawn {
    char lines[2048];
    tr_shape input;
    int batch;
} drawn;

/* The inputs of a layer that reads several: `p`, the value before it, and others that are made of
 * it where they are named. */
static int draw_inputs(source *s, bool flat, char *from, char *out, size_t bytes) {
    static const struct {
        char name;
        const char *image, *features;
    } others[] = {{'g', "adaptive_avg_pool2d output_size=1", "linear out_features=1"},
                  {'o', "conv2d out_channels=1 kernel_size=1", "linear out_features=1"},
                  {'r', "adaptive_avg_pool2d output_size=1xnone", "relu"},
                  {'k', "conv2d out_channels=2 kernel_size=1", "linear out_features=2"}};
    static const char *const inputs[] = {"p",   "p,p", "p,input", "input,p,p", "p,g",   "g,p",
                                         "p,o", "o,p", "g,o",     "p,r",       "p,g,p", "o,p,g",
                                         "k,p", "p,k", "g,r",     "p,k,k"};
    int n = 0;
    snprintf(from, 32, " from=%s", PICK(s, inputs));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strchr(from + 6, others[i].name))
            n += snprintf(out + n, bytes - (size_t)n, "%c = %s from=p\n", others[i].name,
                          flat ? others[i].features : others[i].image);
    return n;
}

static void draw_net(source *s, const tr_op *op, drawn *d) {
    static const int sides[] = {1, 1, 2, 3, 4, 5, 7, 8}, channels[] = {1, 1, 2, 3, 5, 16, 17},
                     batches[] = {1, 2, 3, 5};
    static const char *const after[] = {"",
                                        "",
                                        "",
                                        "q = relu\n",
                                        "q = max_pool2d kernel_size=2\n",
                                        "q = relu\nz = max_pool2d kernel_size=2\n"};
    d->input = (tr_shape){false, PICK(s, sides), PICK(s, sides), PICK(s, channels)};
    if (one_in(s, 6)) d->input.h = d->input.w = 1;
    d->batch = PICK(s, batches);
    int n = 0;
    char *out = d->lines;
    const size_t bytes = sizeof d->lines;
    char before[80];
    snprintf(before, sizeof before, "conv2d kernel_size=3 padding=1 out_channels=%d", d->input.c);
    const char *const befores[] = {"identity", "relu", before, "flatten"};
    const char *p = PICK(s, befores);
    char from[32] = "";
    n += snprintf(out, bytes, "p = %s\n", p);
    if (op->max_inputs != 1)
        n += draw_inputs(s, strcmp(p, "flatten") == 0, from, out + n, bytes - (size_t)n);
    n += snprintf(out + n, bytes - (size_t)n, "t = %s", op->schema.name);
    for (int k = 0; k < op->schema.n_keys; k++) {
        char value[VALUE_BYTES];
        if (draw_value(s, &op->schema.keys[k], d->input, value))
            n += snprintf(out + n, bytes - (size_t)n, " %s=%s", op->schema.keys[k].name, value);
    }
    snprintf(out + n, bytes - (size_t)n, "%s\n%sf = flatten\nl = linear out_features=3\n", from,
             PICK(s, after));
}

static tr_graph *build(const drawn *d) {
    char text[2200];
    tr_graph *graph;
    tr_error err = {0};
    snprintf(text, sizeof text, "[network]\n%s[loss]\ntype = cross_entropy\n", d->lines);
    return graph_of_text(text, d->input, 0, &graph, &err) ? NULL : graph;
}

static const tr_key *key_of(const tr_op *op, const char *name) {
    for (int k = 0; k < op->schema.n_keys; k++)
        if (strcmp(op->schema.keys[k].name, name) == 0) return &op->schema.keys[k];
    return NULL;
}

static bool has_edge(const tr_op *op, edge e) {
    return e == STRIDE_PAST   ? key_of(op, "stride") != NULL
           : e == CUT_WINDOW  ? key_of(op, "ceil_mode") != NULL
           : e == MORE_INPUTS ? op->max_inputs == 0 || op->max_inputs > 2
           : e == OTHER_SHAPE ? op->max_inputs != 1
                              : true;
}

/* Is the second window of a row or column past the end? */
static bool is_stride_past(const tr_node *node) {
    const tr_key *key = key_of(node->op, "stride");
    if (key == NULL) return false;
    const int64_t *stride = (const int64_t *)((const char *)node->args + key->offset);
    int64_t w = key->type == TR_KEY_SIZE2 ? stride[1] : stride[0];
    return stride[0] > node->in[0].h || w > node->in[0].w;
}

/* Has the output a window less without ceil_mode? */
static bool is_window_cut(const tr_node *node) {
    const tr_key *key = key_of(node->op, "ceil_mode");
    if (key == NULL) return false;
    bool *ceil_mode = (bool *)((char *)node->args + key->offset), was = *ceil_mode;
    tr_node floor = *node;
    tr_error err = {0};
    floor.where = (tr_where){"net.ini", 0}; /* the document is gone, its name with it */
    *ceil_mode = false;
    bool fits = node->op->shape(&floor, &err) == TR_OK;
    *ceil_mode = was;
    return !fits || floor.unfused.h != node->unfused.h || floor.unfused.w != node->unfused.w;
}

static void count_edges(layer_result *r, const tr_node *node, int batch) {
    tr_shape in = node->in[0];
    r->edges[ONE_PIXEL] += in.h * in.w == 1;
    r->edges[ONE_CHANNEL] += in.c == 1;
    r->edges[ONE_SAMPLE] += batch == 1;
    r->edges[STRIDE_PAST] += is_stride_past(node);
    r->edges[CUT_WINDOW] += is_window_cut(node);
    r->edges[MORE_INPUTS] += node->n_inputs > 2;
    for (int j = 1; j < node->n_inputs; j++)
        if (!tr_same_shape(in, node->in[j])) {
            r->edges[OTHER_SHAPE]++;
            break;
        }
}

/* Which arguments differ from their defaults. */
static void count_uses(layer_result *r, const tr_node *node) {
    for (int k = 0; k < node->op->schema.n_keys; k++) {
        const tr_key *key = &node->op->schema.keys[k];
        tr_text value = {0};
        if (key->type == TR_KEY_ANY) continue;
        tr_args_format(key, node->args, &value);
        r->used[k] += key->fallback == NULL || strcmp(value.at, key->fallback) != 0;
        tr_text_free(&value);
    }
}

/* Every parameter can be frozen and has an initial value of its own. */
static void check_parameter_keys(layer_result *r, const tr_node *node) {
    for (int i = 0; i < node->n_state; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_init", node->state[i].suffix);
        if (node->state[i].kind != TR_PARAMETER || (key_of(r->op, name) && key_of(r->op, "frozen")))
            continue;
        snprintf(r->mismatch, sizeof r->mismatch, "no argument frozen or %s: TR_PARAMETER_KEYS",
                 name);
    }
}

/* The options of the check of a network, which are the same for each algorithm. */
typedef struct choice {
    uint32_t seed;
    int shard;
    bool wide, eval_mode;
} choice;

static void check_built(run *a, tr_team *team, layer_result *r, const drawn *d, const choice *o,
                        tr_graph *graph) {
    layer_result seen = {0};
    count_uses(&seen, node_of(graph, "t"));
    count_edges(&seen, node_of(graph, "t"), d->batch);
    check_parameter_keys(r, node_of(graph, "t"));
    check c;
    check_create(&c, graph, d->batch, o->seed);
    c.options.shard = o->shard;
    c.options.wide = o->wide;
    c.options.eval_mode = o->eval_mode;
    c.every = (tr_graph_count(graph) + tr_shape_size(d->input) * d->batch) / 30 + 1;
    check_run(team, &c);
    if (c.err.code == TR_ECONFIG) {
        r->n_refused++;
    } else {
        r->n_nets++;
        for (int e = 0; e < N_EDGES; e++) r->edges[e] += seen.edges[e];
        r->n_checked += c.n_checked;
        r->n_kinks += c.n_kinks;
        r->worst = c.worst <= r->worst ? r->worst : c.worst;
        for (int k = 0; k < MAX_KEYS; k++) r->used[k] += seen.used[k];
        if (c.err.code) snprintf(c.mismatch, sizeof c.mismatch, "%.200s", c.err.text);
        if (c.mismatch[0] && !r->mismatch[0])
            snprintf(r->mismatch, sizeof r->mismatch,
                     "%.200s\nin %d samples of %d x %d x %d, shard %d, wide %d, eval_mode %d, %d "
                     "threads, algorithm %s:\n%.600s",
                     c.mismatch, d->batch, d->input.c, d->input.h, d->input.w, o->shard,
                     (int)o->wide, o->eval_mode, a->n_threads,
                     tr_conv_forced ? tr_conv_forced : "as chosen", d->lines);
    }
    check_free(&c);
}

/* Multiply-adds of a sample, about: those of a transposed convolution with the zeros around its
 * input. Each element that is checked needs eight steps. */
static int64_t work_of(const tr_graph *graph) {
    int64_t work = 0;
    for (int i = 0; i < graph->n_rows; i++) {
        tr_shape out = graph->rows[i].node->unfused;
        work += graph->rows[i].count * out.h * out.w;
    }
    return work;
}

static void check_net(run *a, tr_team *team, layer_result *r, source *s) {
    drawn d;
    draw_net(s, r->op, &d);
    const choice o = {(uint32_t)below(s, 1 << 30), below(s, 3), one_in(s, 2), one_in(s, 4)};
    for (int i = 0; i < (r->op->algorithm ? N_ALGORITHMS : 1); i++) {
        tr_conv_forced = algorithms[i];
        tr_graph *graph = build(&d);
        tr_conv_forced = NULL;
        if (graph == NULL || work_of(graph) > MOST_WORK) {
            if (graph) tr_graph_free(graph);
            r->n_refused++;
            return;
        }
        const tr_node *node = node_of(graph, "t");
        if (algorithms[i] && strcmp(node->op->algorithm(node), algorithms[i]) != 0) {
            tr_graph_free(graph);
            continue;
        }
        r->forced[i]++;
        check_built(a, team, r, &d, &o, graph);
    }
}

static bool is_argument(const tr_key *key) {
    bool has_one = key->type == TR_KEY_CHOICE && strchr(key->choices, ' ') == NULL;
    return key->type != TR_KEY_ANY && !has_one;
}

/* Each argument and edge in some networks. */
static bool is_covered(const layer_result *r) {
    for (int k = 0; k < r->op->schema.n_keys; k++)
        if (is_argument(&r->op->schema.keys[k]) && r->used[k] < MIN_USES) return false;
    for (int e = 0; e < N_EDGES; e++)
        if (has_edge(r->op, (edge)e) && r->edges[e] < MIN_USES) return false;
    return true;
}

static void check_layers(tr_team *team, void *arg) {
    run *a = arg;
    for (int i = 0; i < tr_layer_registry.n; i++) {
        layer_result *r = &a->results[i];
        source s = {a->seed * 1000 + (uint64_t)(i * MAX_THREADS + a->n_threads), 0};
        int end = r->n_nets + a->n_nets, most = r->n_refused + 100 * a->n_nets;
        while ((r->n_nets < end || !is_covered(r)) && r->n_refused < most)
            check_net(a, team, r, &s);
    }
}

/* ---- the table ---- */

static void print_table(const run *a) {
    int64_t n_checked = 0, n_nets = 0;
    double worst = 0;
    printf("%-24s %7s %8s %8s %7s %8s\n", "layer or argument", "nets", "refused", "checks", "kinks",
           "worst");
    for (int i = 0; i < tr_layer_registry.n; i++) {
        const layer_result *r = &a->results[i];
        const tr_schema *schema = &r->op->schema;
        printf("%-24s %7d %8d %8lld %7lld %8.1e\n", schema->name, r->n_nets, r->n_refused,
               (long long)r->n_checked, (long long)r->n_kinks, r->worst);
        for (int k = 0; k < schema->n_keys; k++)
            if (is_argument(&schema->keys[k]))
                printf("  %-22s %7d\n", schema->keys[k].name, r->used[k]);
        for (int e = 0; e < N_EDGES; e++)
            if (has_edge(r->op, (edge)e))
                printf("  (%s) %*d\n", edge_names[e], (int)(28 - strlen(edge_names[e])),
                       r->edges[e]);
        for (int k = 1; k < N_ALGORITHMS && r->op->algorithm; k++)
            printf("  %-22s %7d\n", algorithms[k], r->forced[k]);
        n_nets += r->n_nets;
        n_checked += r->n_checked;
        worst = fmax(worst, r->worst);
        if (r->mismatch[0]) printf("%s\n", r->mismatch);
    }
    printf("%-24s %7lld %8s %8lld %7s %8.1e\n", "all", (long long)n_nets, "", (long long)n_checked,
           "", worst);
}

static run all = {.n_nets = 12, .seed = 1};

START_TEST(generated_gradients) {
    for (int k = 1; k <= MAX_THREADS; k++) {
        all.n_threads = k;
        on_team(k, check_layers, &all);
    }
}
END_TEST

START_TEST(layer_is_right) {
    const layer_result *r = &all.results[_i];
    const tr_schema *schema = &r->op->schema;
    ck_assert_msg(!r->mismatch[0], "%s: %s", schema->name, r->mismatch);
    ck_assert_msg(r->n_nets >= MAX_THREADS * all.n_nets, "%s: only %d networks, %d refused",
                  schema->name, r->n_nets, r->n_refused);
    for (int e = 0; e < N_EDGES; e++)
        ck_assert_msg(r->edges[e] > 0 || !has_edge(r->op, (edge)e), "%s: %s: never", schema->name,
                      edge_names[e]);
    ck_assert_msg(r->n_kinks * 10 <= r->n_checked, "%s: %lld of %lld elements lie at kinks",
                  schema->name, (long long)r->n_kinks, (long long)r->n_checked);
    for (int k = 0; k < schema->n_keys; k++)
        ck_assert_msg(r->used[k] > 0 || !is_argument(&schema->keys[k]), "%s: %s is never used",
                      schema->name, schema->keys[k].name);
}
END_TEST

static Suite *generated_suite(void) {
    Suite *suite = suite_create("gradients_generated");
    TCase *cases = tcase_create("gradients_generated");
    tcase_set_timeout(cases, 0);
    tcase_add_test(cases, generated_gradients);
    tcase_add_loop_test(cases, layer_is_right, 0, tr_layer_registry.n);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(int argc, char **argv) {
    static layer_result results[MAX_LAYERS];
    bool table = argc > 1 && strcmp(argv[1], "--table") == 0;
    if (argc > 1 + table) all.n_nets = atoi(argv[1 + table]);
    if (argc > 2 + table) all.seed = (uint64_t)atoi(argv[2 + table]);
    for (int i = 0; i < tr_layer_registry.n; i++) results[i].op = tr_layers[i];
    all.results = results;
    setenv("CK_FORK", "no", 1);
    int failed = tr_check_run(generated_suite());
    if (table) print_table(&all);
    return failed;
}
