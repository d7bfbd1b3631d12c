/* Layers and losses against models that nobody here wrote: ONNX's own tests of its operators,
 * Debian's package libonnx-testdata. Each model is run as a network of ours, or stands in
 * onnx_not_run.c with the reason why not: one that does neither fails, and so does a line there
 * that no model needs, or that a model does not need any longer.
 *
 *     TR_ONNX_DATA   another folder than /usr/share/libonnx-testdata/data
 *
 * Where the folder is missing the test is skipped.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "onnx_import.h"
#include "onnx_not_run.h"
#include "probe.h"

/* The models' numbers were computed by numpy or PyTorch and rounded to float32, ours are float32:
 * both are off by some roundings of 2^-24 of the largest number, more with the length of a sum (450
 * products at most) and behind exp. All models hold 2^-21 of the output's largest number; ONNX's
 * own runner takes 1e-3 of each. */
static const double tolerance = 0x1p-20;

static const char *const folders[] = {"node", "pytorch-converted", "pytorch-operator", "simple"};
enum { MAX_MODELS = 4096 };

static const char *data_folder(void) {
    const char *given = getenv("TR_ONNX_DATA");
    return given ? given : "/usr/share/libonnx-testdata/data";
}

/* ---- running one network ---- */

/* In the place of a layer: writes what is fed to it. */
static struct {
    const onnx_feed *feed;
    const tr_node *node;
} fed[ONNX_FEEDS];
static int n_fed;

static const onnx_feed *feed_of(const tr_node *node) {
    for (int i = 0; i < n_fed; i++)
        if (fed[i].node == node) return fed[i].feed;
    return NULL;
}

static void feed_run(const tr_work *w) {
    const onnx_feed *feed = feed_of(w->node);
    const onnx_tensor *t = feed->values;
    tr_shape shape;
    int64_t n = onnx_shape(&feed->view, t, &shape);
    for (int64_t i = 0; i < t->n; i++) {
        int64_t sample, place;
        onnx_place(&feed->view, t, i, &sample, &place);
        for (int s = 0; s < w->n; s++) /* one sample serves for all */
            if ((w->first + s) % n == sample) tr_y(w, s)[place] = (tr_real)t->v[i];
    }
}

static void feed_plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    (void)request;
    tr_plan_phase(out, TR_FORWARD, "feed", TR_BY_SAMPLES, feed_run);
    tr_writes(out, TR_Y, 0);
}

static const tr_op feed_op = {.schema = {"feed", "", NULL, 0, 1}, .plan = feed_plan};

/* The graph of a network, or NULL and why not. */
static tr_graph *graph_of_net(const onnx_net *net, int64_t *n, tr_error *err) {
    char text[4096];
    tr_shape in;
    tr_graph *graph;
    *n = onnx_shape(&net->in, net->input, &in);
    int length = snprintf(text, sizeof text, "[network]\n");
    onnx_lines(net, text + length, sizeof text - (size_t)length - 200);
    char end[120];
    snprintf(end, sizeof end, "probed = flatten from=%s\n[loss]\ntype = cross_entropy\n",
             net->value[0] ? net->value : net->lines[net->n_lines - 1].name);
    strcat(text, end);
    if (graph_of_text(text, in, 0, &graph, err)) return NULL;
    return graph;
}

static bool set_rows(const onnx_net *net, tr_graph *graph, char why[200]) {
    for (int i = 0; i < net->n_rows; i++) {
        const tr_row *row = tr_graph_row(graph, net->rows[i].name);
        if (row == NULL || row->count != net->rows[i].values->n) {
            snprintf(why, 200, "%s has %lld elements, not %lld", net->rows[i].name,
                     row ? (long long)row->count : 0, (long long)net->rows[i].values->n);
            return false;
        }
        tr_row_write(row, 0, row->count, net->rows[i].values->v);
    }
    return true;
}

static void differ(char why[200], const char *name, int64_t i, double got, double wanted,
                   double most) {
    if (fabs(got - wanted) <= tolerance * fmax(most, 1e-6) || why[0]) return;
    snprintf(why, 200, "%s: element %lld is %.9g, not %.9g", name, (long long)i, got, wanted);
}

static double largest(const onnx_tensor *t) {
    double most = 0;
    for (int64_t i = 0; i < t->n; i++) most = fmax(most, fabs(t->v[i]));
    return most;
}

static void compare_output(const onnx_net *net, tr_shape out, int64_t n, char why[200]) {
    const onnx_tensor *t = net->wanted;
    tr_shape shape;
    double most = largest(t);
    int64_t samples = onnx_shape(&net->out, t, &shape), size = tr_shape_size(out);
    bool same = shape.h == out.h && shape.w == out.w && shape.c == out.c,
         features = shape.h == 1 && shape.w == 1 && shape.c == size;
    if (samples != n || (!same && !features)) {
        char text[64];
        snprintf(why, 200, "%s: %lld samples of %s", t->name, (long long)n,
                 tr_shape_text(out, text));
        return;
    }
    for (int64_t i = 0; i < t->n; i++) {
        int64_t sample, place;
        onnx_place(&net->out, t, i, &sample, &place);
        if (features) place = internal_index(out, place); /* of a flattened image */
        differ(why, t->name, i, (double)probe.seen[sample * probe.size + place], t->v[i], most);
    }
}

static void compare_after(const onnx_net *net, const tr_graph *graph, char why[200]) {
    for (int r = 0; r < net->n_after; r++) {
        const onnx_tensor *t = net->after[r].values;
        const tr_row *row = row_of(graph, net->after[r].name);
        double most = largest(t), value;
        for (int64_t i = 0; i < t->n; i++) {
            tr_row_read(row, tr_row_state(row)->value, i, 1, &value);
            differ(why, net->after[r].name, i, value, t->v[i], most);
        }
    }
}

/* One network on some threads, with or without backward. Returns false where it cannot be made. */
static bool run_net(const onnx_net *net, const tr_kernels *kernels, int threads, bool backward,
                    char why[200]) {
    tr_error err = {0};
    int64_t n;
    tr_graph *graph = graph_of_net(net, &n, &err);
    if (graph == NULL) {
        snprintf(why, 200, "%.190s", err.text);
        return false;
    }
    bool made = set_rows(net, graph, why);
    n_fed = 0;
    for (int i = 0; i < net->n_feeds; i++) {
        tr_node *node = node_of(graph, net->feeds[i].name);
        node->op = &feed_op;
        fed[n_fed].feed = &net->feeds[i];
        fed[n_fed++].node = node;
    }
    if (net->labels == NULL) graph->nodes[graph->n_nodes - 1].op = &probe_op;
    tr_real *x;
    tr_shape out = graph->nodes[graph->output].unfused;
    few_steps t = probe_create(
        graph,
        (tr_exec_options){
            .batch = (int)n, .eval_mode = !net->training, .poison = true, .kernels = kernels},
        1, &x);
    if (!backward) {
        t.options.training = t.options.keep_gradients = t.options.input_gradient = false;
        tr_free(t.gradients);
        tr_free(t.input_gradient);
        t.gradients = t.input_gradient = NULL;
    }
    for (int64_t i = 0; i < net->input->n; i++) {
        int64_t sample, place;
        onnx_place(&net->in, net->input, i, &sample, &place);
        x[sample * t.input.stride + place] = (tr_real)net->input->v[i];
    }
    double loss;
    t.losses = &loss;
    for (int64_t i = 0; net->labels && i < n; i++)
        ((int32_t *)(uintptr_t)t.input.labels)[i] = (int32_t)net->labels->v[i];
    if (made) {
        run_on(threads, &t);
        if (net->labels)
            differ(why, "loss", 0, loss, net->wanted->v[0], fabs(net->wanted->v[0]));
        else if (net->value[0])
            compare_output(net, out, n, why);
        compare_after(net, graph, why);
    }
    probe_free(&t);
    return made;
}

/* ---- all models ---- */

typedef enum outcome { RAN, REFUSED, WRONG } outcome;

typedef struct model {
    char name[160]; /* "node/relu" */
    outcome outcome;
    char why[400];
    char unknown[40]; /* an operator, or empty */
} model;

static model models[MAX_MODELS];
static int n_models;

static int by_name(const void *a, const void *b) {
    return strcmp(((const model *)a)->name, ((const model *)b)->name);
}

static void find_models(void) {
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", data_folder(), folders[f]);
        DIR *folder = opendir(path);
        for (struct dirent *e; folder && (e = readdir(folder));) {
            if (strncmp(e->d_name, "test_", 5) != 0) continue;
            ck_assert_int_lt(n_models, MAX_MODELS);
            snprintf(models[n_models++].name, sizeof models->name, "%s/%.120s", folders[f],
                     e->d_name + 5);
        }
        if (folder) closedir(folder);
    }
    qsort(models, (size_t)n_models, sizeof *models, by_name);
}

static void run_output(onnx_model *onnx, int output, model *m) {
    onnx_net net;
    char why[200] = "";
    if (!onnx_import(onnx, output, &net)) {
        m->outcome = REFUSED;
        snprintf(m->why, sizeof m->why, "%s", net.why);
        if (net.unknown) snprintf(m->unknown, sizeof m->unknown, "%s", net.unknown);
        return;
    }
    for (int k = 0; k < tr_n_isas() && !why[0]; k++) {
        const tr_kernels *kernels = kernels_of(tr_isa_name(k));
        if (kernels == NULL) continue;
        /* A mode of training has no forward pass alone. */
        bool made = net.training || run_net(&net, kernels, 1, false, why);
        if (made && !why[0]) made = run_net(&net, kernels, 2, true, why);
        m->outcome = why[0] || !made ? WRONG : RAN;
    }
    if (m->outcome == RAN) return;
    char lines[2000];
    onnx_lines(&net, lines, sizeof lines);
    snprintf(m->why, sizeof m->why, "%s\n%.150s", why, lines);
}

static void run_model(model *m) {
    char path[512];
    const char *base = strchr(m->name, '/') + 1;
    onnx_model onnx;
    snprintf(path, sizeof path, "%s/%.*s/test_%s", data_folder(), (int)(base - 1 - m->name),
             m->name, base);
    onnx_read(path, &onnx);
    run_output(&onnx, 0, m);
    for (int i = 1; m->outcome == RAN && i < onnx.n_outputs; i++) {
        if (onnx_is_by_product(onnx.outputs[i].name)) continue;
        run_output(&onnx, i, m);
        if (m->outcome == REFUSED) m->outcome = WRONG;
    }
    onnx_free(&onnx);
}

START_TEST(models_run) {
    int wrong = 0;
    find_models();
    for (int i = 0; i < n_models; i++) {
        run_model(&models[i]);
        if (getenv("TR_ONNX_VERBOSE"))
            fprintf(stderr, "%s %s %s\n",
                    models[i].outcome == RAN       ? "ran"
                    : models[i].outcome == REFUSED ? "not"
                                                   : "WRONG",
                    models[i].name, models[i].why);
        if (models[i].outcome != WRONG) continue;
        fprintf(stderr, "%s: %s\n", models[i].name, models[i].why);
        wrong++;
    }
    ck_assert_msg(wrong == 0, "%d of %d models are wrong", wrong, n_models);
}
END_TEST

START_TEST(others_are_listed) {
    int faults = 0;
    for (int i = 0; i < n_models; i++) {
        const char *reason = onnx_reason(models[i].name, models[i].why,
                                         models[i].unknown[0] ? models[i].unknown : NULL);
        bool ran = models[i].outcome == RAN;
        if (ran == (reason == NULL)) continue;
        fprintf(stderr, "%s: %s%s\n", models[i].name,
                ran ? "runs, but is listed: " : "is not listed: ", ran ? reason : models[i].why);
        faults++;
    }
    faults += onnx_print_unneeded();
    ck_assert_msg(faults == 0, "%d faults of the list", faults);
}
END_TEST

int main(void) {
    struct stat found;
    if (stat(data_folder(), &found) != 0) {
        printf("1..0 # SKIP there is no %s: install libonnx-testdata\n", data_folder());
        return 77;
    }
    Suite *suite = suite_create("onnx");
    TCase *cases = tcase_create("onnx");
    tcase_set_timeout(cases, 0);
    tcase_add_test(cases, models_run);
    tcase_add_test(cases, others_are_listed);
    suite_add_tcase(suite, cases);
    return tr_check_run(suite);
}
