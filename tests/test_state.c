/* The table of state and model files: every type, PyTorch's order, and files that fit in part. */
#include <math.h>

#include "network.h"
#include "scratch.h"
#include "setup/setup.h"

/* Buffers as a normalisation has them, and one of each other sort. */
static const tr_state buffers[] = {
    {.suffix = "running_mean", .kind = TR_BUFFER, .n_dims = 1, .dim = {3}, .size = 3},
    {.suffix = "running_var",
     .kind = TR_BUFFER,
     .n_dims = 1,
     .dim = {3},
     .size = 3,
     .init_value = 1},
    {.suffix = "num_batches_tracked", .kind = TR_BUFFER, .type = TR_INT64, .size = 1},
};

static void reversed(const tr_node *node, int64_t first, int64_t n, int64_t *at) {
    (void)node;
    for (int64_t i = 0; i < n; i++) at[i] = 599 - (first + i);
}
static const tr_state wide = {.suffix = "wide",
                              .kind = TR_BUFFER,
                              .type = TR_FLOAT64,
                              .n_dims = 2,
                              .dim = {2, 300},
                              .size = 600,
                              .index = reversed};

enum { COUNT = 4 * 2 * 3 * 3 + 4 + 5 * 36 }; /* of parameters */

/* conv1 with the buffers, fc with `wide`. */
static tr_graph *make_graph(void) {
    static const char text[] = "[network]\n"
                               "conv1 = conv2d out_channels=4 kernel_size=3\n"
                               "flatten = flatten\n"
                               "fc = linear out_features=5 bias=false\n"
                               "[loss]\ntype = cross_entropy\n";
    tr_error err = {0};
    tr_doc *doc;
    tr_graph *graph;
    ck_assert_int_eq(tr_doc_parse("net.ini", text, strlen(text), &doc, &err), TR_OK);
    int code = tr_graph_create(doc, (tr_shape){false, 5, 5, 2}, 5, &graph, &err);
    ck_assert_msg(code == TR_OK, "%s", err.text);
    tr_doc_free(doc);
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        ck_assert_ptr_nonnull(tr_add_state(&graph->nodes[1], &buffers[i], &err));
    tr_node *fc = graph->rows[graph->n_rows - 1].node;
    ck_assert_ptr_nonnull(tr_add_state(fc, &wide, &err));
    for (int i = 0; i < graph->n_rows; i++) tr_free((char *)graph->rows[i].name);
    tr_free(graph->rows);
    graph->rows = NULL;
    graph->n_rows = 0;
    ck_assert_int_eq(tr_graph_list_state(graph, &err), TR_OK);
    tr_graph_place_state(graph);
    ck_assert_int_eq(tr_graph_allocate(graph, &err), TR_OK);
    return graph;
}

static const char *const names[] = {"conv1.weight",
                                    "conv1.bias",
                                    "conv1.running_mean",
                                    "conv1.running_var",
                                    "conv1.num_batches_tracked",
                                    "fc.weight",
                                    "fc.wide"};
static const char *const dtypes[] = {"F32", "F32", "F32", "F32", "I64", "F32", "F64"};
enum { ROWS = 7, COUNTER = 4 };

/* A value of its own for each element, exact in its type. */
static double value_of(int row, int64_t i) {
    if (row == COUNTER) return 1234567890123;
    return row == ROWS - 1 ? 0.1 * (double)(i + 1) : (double)row + (double)i / 1024;
}

static void fill(tr_graph *graph) {
    for (int r = 0; r < graph->n_rows; r++)
        for (int64_t i = 0; i < graph->rows[r].count; i++) {
            double value = value_of(r, i);
            tr_row_write(&graph->rows[r], i, 1, &value);
        }
}

/* Does row r hold value_of(r, ...)? */
static bool is_filled(const tr_graph *graph, int r) {
    const tr_row *row = &graph->rows[r];
    for (int64_t i = 0; i < row->count; i++) {
        double value;
        tr_row_read(row, tr_row_state(row)->value, i, 1, &value);
        if (value != value_of(r, i)) return false;
    }
    return true;
}

START_TEST(rows_in_order) {
    tr_graph *graph = make_graph();
    ck_assert_int_eq(graph->n_rows, ROWS);
    for (int r = 0; r < ROWS; r++) ck_assert_str_eq(graph->rows[r].name, names[r]);
    ck_assert_int_eq(graph->rows[COUNTER].count, 1);
    ck_assert_int_eq(tr_graph_count(graph), COUNT);
    ck_assert_ptr_eq(tr_graph_row(graph, "fc.wide"), &graph->rows[6]);
    ck_assert_ptr_null(tr_graph_row(graph, "fc.bias"));
    fill(graph);
    for (int r = 0; r < ROWS; r++) ck_assert(is_filled(graph, r));
    /* PyTorch's first element is where the index says. */
    ck_assert_double_eq(((const double *)tr_row_state(&graph->rows[6])->value)[599], 0.1);
    tr_graph_free(graph);
}
END_TEST

/* Constants draw no numbers: those behind them are what they would be without. */
START_TEST(initial_values) {
    tr_graph *graph = make_graph();
    for (int g = 0; g < 2; g++) {
        tr_mt19937 generator;
        float bias[4], weight[2];
        double mean[3], var[3];
        int64_t counter;
        fill(graph);
        tr_graph_init(graph, g ? TR_TORCH : TR_PHILOX, 7);
        ck_assert_int_eq(graph->n_draws, g ? COUNT : 0);
        tr_row_get(&graph->rows[1], 0, 4, bias);
        tr_row_read(&graph->rows[2], tr_row_state(&graph->rows[2])->value, 0, 3, mean);
        tr_row_read(&graph->rows[3], tr_row_state(&graph->rows[3])->value, 0, 3, var);
        tr_row_get(&graph->rows[4], 0, 1, &counter);
        tr_row_get(&graph->rows[5], 0, 2, weight);
        for (int i = 0; i < 3; i++) ck_assert(mean[i] == 0 && var[i] == 1);
        ck_assert_int_eq(counter, 0);
        if (g == 0) continue;
        tr_mt19937_seed(&generator, 7);
        for (int i = 0; i < 4 * 2 * 9 + 4; i++) tr_mt19937_next(&generator);
        double u = (tr_mt19937_next(&generator) & 0xffffff) * 0x1p-24;
        double range = (double)(float)(1 / sqrt(36.0));
        ck_assert(weight[0] == (float)(u * (2 * range) - range));
        ck_assert(weight[0] != weight[1] && bias[0] != bias[1]);
    }
    tr_graph_free(graph);
}
END_TEST

START_TEST(files_hold_every_type) {
    tr_error err = {0};
    tr_session s = {.graph = make_graph()};
    char sha[65], again[65];
    tr_safetensors file;
    const char *path = in_folder("m.safetensors");
    fill(s.graph);
    ck_assert_msg(!tr_session_save(&s, path, sha, &err), "%s", err.text);
    ck_assert_int_eq(tr_session_sha256(&s, again, &err), TR_OK);
    ck_assert_str_eq(sha, again);
    ck_assert_msg(!tr_safetensors_open(path, &file, &err), "%s", err.text);
    ck_assert_int_eq(file.n, ROWS);
    for (int r = 0; r < ROWS; r++) {
        ck_assert_str_eq(file.tensors[r].tensor.name, names[r]);
        ck_assert_str_eq(file.tensors[r].dtype, dtypes[r]);
    }
    ck_assert_int_eq(file.tensors[COUNTER].tensor.n_dims, 0);
    ck_assert_str_eq(tr_safetensors_metadata(&file, "format"), "pt");
    tr_safetensors_close(&file);
    /* Each row counts. */
    for (int r = 0; r < ROWS; r++) {
        double other = 77;
        int64_t last = s.graph->rows[r].count - 1;
        fill(s.graph);
        tr_row_write(&s.graph->rows[r], last, 1, &other);
        ck_assert_int_eq(tr_session_sha256(&s, again, &err), TR_OK);
        ck_assert_str_ne(sha, again);
    }
    tr_graph_init(s.graph, TR_PHILOX, 1);
    for (int r = 0; r < ROWS; r++) ck_assert(!is_filled(s.graph, r));
    ck_assert_msg(!tr_session_load(&s, path, &err), "%s", err.text);
    for (int r = 0; r < ROWS; r++) ck_assert(is_filled(s.graph, r));
    tr_graph_free(s.graph);
}
END_TEST

/* ---- files that fit in part ---- */

typedef struct given {
    const char *name;
    int n_dims;
    int64_t dim[4];
    tr_type type;
    int row; /* values of, or -1: NaN */
} given;

static void get(void *arg, int tensor, int64_t first, int64_t n, void *out) {
    const given *t = (const given *)arg + tensor;
    for (int64_t i = 0; i < n; i++) {
        double value = t->row < 0 ? (double)NAN : value_of(t->row, first + i);
        if (t->type == TR_FLOAT32)
            ((float *)out)[i] = (float)value;
        else if (t->type == TR_FLOAT64)
            ((double *)out)[i] = value;
        else
            ((int64_t *)out)[i] = (int64_t)value;
    }
}

enum { MOST = 12 };

static void write_file(const char *path, const given *list, int n) {
    tr_error err = {0};
    char sha[65];
    tr_tensor tensors[MOST];
    for (int i = 0; i < n; i++)
        tensors[i] = (tr_tensor){list[i].name, list[i].n_dims, list[i].dim, list[i].type};
    tr_tensor_source source = {n, tensors, get, (void *)(uintptr_t)list};
    ck_assert_msg(!tr_safetensors_save(path, &source, NULL, 0, sha, &err), "%s", err.text);
}

/* All of the network, in another order, and of types that PyTorch could have made of them. */
static const given whole[ROWS] = {{"fc.wide", 2, {2, 300}, TR_FLOAT64, 6},
                                  {"fc.weight", 2, {5, 36}, TR_FLOAT64, 5},
                                  {"conv1.num_batches_tracked", 0, {0}, TR_INT64, 4},
                                  {"conv1.running_var", 1, {3}, TR_FLOAT32, 3},
                                  {"conv1.running_mean", 1, {3}, TR_FLOAT64, 2},
                                  {"conv1.weight", 4, {4, 2, 3, 3}, TR_FLOAT32, 0},
                                  {"conv1.bias", 1, {4}, TR_FLOAT32, 1}};

typedef struct partial {
    const char *what, *change; /* name of the tensor in `whole` that is another; NULL: none */
    given to;                  /* name NULL: it is left out */
    bool strict;
    int code, kept;    /* rows that keep their values, a bit each */
    const char *error; /* of it, or of all notes, behind the path and ": "; "" none */
} partial;

static const partial partials[] = {
    {"whole", NULL, {0}, true, TR_OK, 0, ""},
    {"whole", NULL, {0}, false, TR_OK, 0, ""},
    {"old", "conv1.num_batches_tracked", {0}, true, TR_OK, 1 << 4, ""},
    {"old", "conv1.num_batches_tracked", {0}, false, TR_OK, 1 << 4, ""},
    {"float counter",
     "conv1.num_batches_tracked",
     {"conv1.num_batches_tracked", 0, {0}, TR_FLOAT64, 4},
     true,
     TR_OK,
     0,
     ""},
    {"counter of a dimension",
     "conv1.num_batches_tracked",
     {"conv1.num_batches_tracked", 1, {1}, TR_INT64, 4},
     true,
     TR_OK,
     0,
     ""},
    {"other counter",
     "conv1.num_batches_tracked",
     {"conv2.num_batches_tracked", 0, {0}, TR_INT64, 4},
     true,
     TR_OK,
     1 << 4,
     ""},
    {"no buffer",
     "conv1.running_var",
     {0},
     true,
     TR_EDATA,
     0,
     "has no tensor 'conv1.running_var', which the network needs: missing are 1 of the network's "
     "6"},
    {"no buffer",
     "conv1.running_var",
     {0},
     false,
     TR_OK,
     1 << 3,
     "missing are 1 of the network's 6 tensors, which keep their initial values: "
     "'conv1.running_var'"},
    {"another name",
     "fc.weight",
     {"fc_weight", 2, {5, 36}, TR_FLOAT32, 5},
     true,
     TR_EDATA,
     0,
     "has no tensor 'fc.weight', which the network needs (the nearest is 'fc_weight'): missing are "
     "1 of the network's 6, left over are 1 of the file's 6, first 'fc_weight'"},
    {"another name",
     "fc.weight",
     {"fc\n1", 2, {5, 36}, TR_FLOAT32, 5},
     false,
     TR_OK,
     1 << 5,
     "missing are 1 of the network's 6 tensors, which keep their initial values: 'fc.weight'|"
     "left over are 1 of the file's 6 tensors: 'fc\\n1'"},
    {"more",
     "conv1.num_batches_tracked",
     {"head.weight", 2, {5, 36}, TR_FLOAT32, 5},
     true,
     TR_EDATA,
     0,
     "has tensors that the network does not have: left over are 1 of the file's 7, first "
     "'head.weight'"},
    {"another shape",
     "fc.weight",
     {"fc.weight", 2, {10, 36}, TR_FLOAT32, 5},
     true,
     TR_EDATA,
     0,
     "tensor 'fc.weight' is 10 x 36, the network's is 5 x 36"},
    {"another shape",
     "fc.weight",
     {"fc.weight", 2, {10, 36}, TR_FLOAT32, 5},
     false,
     TR_OK,
     1 << 5,
     "of another shape are 1 of the network's 6 tensors, which keep their initial values: "
     "'fc.weight' (is 10 x 36, the network's is 5 x 36)"},
    {"the same size",
     "conv1.weight",
     {"conv1.weight", 2, {4, 18}, TR_FLOAT32, 0},
     true,
     TR_EDATA,
     0,
     "tensor 'conv1.weight' is 4 x 18, the network's is 4 x 2 x 3 x 3"},
    {"integers",
     "conv1.bias",
     {"conv1.bias", 1, {4}, TR_INT64, 4},
     false,
     TR_EIO,
     0,
     "tensor 'conv1.bias': dtype is I64, those that are read are F32, F16, BF16, F64"},
    {"not finite",
     "conv1.running_var",
     {"conv1.running_var", 1, {3}, TR_FLOAT32, -1},
     true,
     TR_ENONFINITE,
     0,
     "tensor 'conv1.running_var' holds a value that is not a number"},
};

/* Opened and read, once without and once with a prefix in front of every name. */
START_TEST(partly_fitting) {
    const partial *p = &partials[_i];
    const char *path = in_folder("part.safetensors");
    for (int prefixed = 0; prefixed < 2; prefixed++) {
        static char text[MOST][80];
        given list[MOST];
        int n = 0;
        for (int i = 0; i < ROWS; i++) {
            bool changed = p->change && !strcmp(whole[i].name, p->change);
            if (changed && !p->to.name) continue;
            list[n] = changed ? p->to : whole[i];
            snprintf(text[n], sizeof text[n], "%s%s", prefixed ? "module._orig_mod." : "",
                     list[n].name);
            list[n].name = text[n];
            n++;
        }
        write_file(path, list, n);
        tr_graph *graph = make_graph();
        tr_error err = {0};
        tr_notes notes = {0};
        tr_weights weights;
        tr_text got = {0};
        int code = tr_weights_open(graph, path, p->strict, &notes, &weights, &err);
        if (code == TR_OK) {
            code = tr_weights_read(&weights, false, &err);
            for (int r = 0; r < ROWS; r++) ck_assert(!is_filled(graph, r)); /* it only looked */
            if (code == TR_OK) code = tr_weights_read(&weights, true, &err);
            tr_weights_close(&weights);
        }
        ck_assert_msg(code == p->code, "%s: %d %s", p->what, code, err.text);
        for (int i = 0; i < notes.n; i++) {
            ck_assert_msg(!strncmp(notes.text[i], path, strlen(path)), "%s", notes.text[i]);
            tr_text_print(&got, "%s%s", i ? "|" : "", notes.text[i] + strlen(path) + 2);
        }
        /* Names in errors are without the prefix, but for the tensors that a row has. */
        const char *text_of = code ? err.text + strlen(path) + 2 : got.n ? got.at : "";
        const char *rest = strstr(text_of, "module._orig_mod.");
        if (rest)
            ck_assert_msg(prefixed && !strcmp(rest + 17, strstr(p->error, "'") + 1), "%s", text_of);
        else
            ck_assert_msg(!strcmp(text_of, p->error), "%s: %s", p->what, text_of);
        for (int r = 0; r < ROWS && code == TR_OK; r++)
            ck_assert_msg(is_filled(graph, r) == !(p->kept >> r & 1), "%s: %s", p->what, names[r]);
        tr_text_free(&got);
        tr_notes_free(&notes);
        tr_graph_free(graph);
    }
}
END_TEST

/* All that is wrong is counted in one line. */
START_TEST(everything_is_wrong) {
    static const given list[3] = {{"conv1.weight", 1, {4}, TR_FLOAT32, 1},
                                  {"conv1.bias", 1, {5}, TR_FLOAT32, 1},
                                  {"conv1.runing_mean", 1, {3}, TR_FLOAT32, 2}};
    tr_error err = {0};
    tr_weights weights;
    tr_graph *graph = make_graph();
    const char *path = in_folder("wrong.safetensors");
    write_file(path, list, 3);
    ck_assert_int_eq(tr_weights_open(graph, path, true, NULL, &weights, &err), TR_EDATA);
    ck_assert_str_eq(err.text + strlen(path) + 2,
                     "has no tensor 'conv1.running_mean', which the network needs (the nearest is "
                     "'conv1.runing_mean'): missing are 4 of the network's 6, of another shape are "
                     "2, left over are 1 of the file's 3, first 'conv1.runing_mean'");
    tr_graph_free(graph);
}
END_TEST

/* Between the look and the reading. */
START_TEST(changed_meanwhile) {
    tr_error err = {0};
    tr_weights weights;
    tr_graph *graph = make_graph();
    const char *path = in_folder("changing.safetensors");
    write_file(path, whole, ROWS);
    ck_assert_int_eq(tr_weights_open(graph, path, true, NULL, &weights, &err), TR_OK);
    ck_assert_int_eq(tr_weights_read(&weights, false, &err), TR_OK);
    FILE *file = fopen(path, "ab");
    fputc('x', file);
    fclose(file);
    ck_assert_int_eq(tr_weights_read(&weights, true, &err), TR_EIO);
    for (int r = 0; r < ROWS; r++) ck_assert(!is_filled(graph, r));
    tr_weights_close(&weights);
    /* Another file under its name is not the one that was looked at. */
    write_file(path, whole, ROWS);
    err = (tr_error){0};
    ck_assert_int_eq(tr_weights_open(graph, path, true, NULL, &weights, &err), TR_OK);
    write_file(path, whole, 2);
    ck_assert_msg(!tr_weights_read(&weights, true, &err), "%s", err.text);
    for (int r = 0; r < ROWS; r++) ck_assert(is_filled(graph, r));
    tr_weights_close(&weights);
    tr_graph_free(graph);
}
END_TEST

START_TEST(nothing_fits) {
    static const given list[2] = {{"a.weight", 1, {4}, TR_FLOAT32, 1},
                                  {"conv1.bias", 1, {5}, TR_FLOAT32, 1}};
    tr_error err = {0};
    tr_weights weights;
    tr_graph *graph = make_graph();
    const char *path = in_folder("other.safetensors");
    write_file(path, list, 2);
    ck_assert_int_eq(tr_weights_open(graph, path, false, NULL, &weights, &err), TR_EDATA);
    ck_assert_msg(strstr(err.text, "none of its 2 tensors has a name and a shape of the network's "
                                   "6"),
                  "%s", err.text);
    ck_assert_ptr_null(weights.tensor);
    write_file(path, list, 0);
    err = (tr_error){0};
    ck_assert_int_eq(tr_weights_open(graph, path, true, NULL, &weights, &err), TR_EDATA);
    ck_assert_msg(strstr(err.text, "missing are 6 of the network's 6"), "%s", err.text);
    tr_graph_free(graph);
}
END_TEST

START_TEST(no_memory) {
    tr_graph *graph = make_graph();
    const char *path = in_folder("whole.safetensors");
    int failures = 0;
    write_file(path, whole, ROWS);
    for (long allowed = 0;; allowed++) {
        tr_error err = {0};
        tr_weights weights;
        tr_alloc_fail_after(allowed);
        int code = tr_weights_open(graph, path, true, NULL, &weights, &err);
        tr_alloc_fail_after(-1);
        tr_weights_close(&weights);
        if (code == TR_OK) break;
        ck_assert_int_eq(code, TR_ENOMEM);
        failures++;
    }
    ck_assert_int_ge(failures, 6); /* the file's four, the match, what is taken */
    tr_graph_free(graph);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("state");
    TCase *group = tcase_create("state");
    tcase_add_checked_fixture(group, make_scratch, remove_scratch);
    tcase_add_test(group, rows_in_order);
    tcase_add_test(group, initial_values);
    tcase_add_test(group, files_hold_every_type);
    tcase_add_loop_test(group, partly_fitting, 0, (int)(sizeof partials / sizeof *partials));
    tcase_add_test(group, everything_is_wrong);
    tcase_add_test(group, changed_meanwhile);
    tcase_add_test(group, nothing_fits);
    tcase_add_test(group, no_memory);
    suite_add_tcase(suite, group);
    return tr_check_run(suite);
}
