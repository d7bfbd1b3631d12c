/* PyTorch's random numbers: the published answer of MT19937, and first weights, buffers and orders
 * of PyTorch itself (tests/reference/random.txt). All comparisons are exact. */
#include <stdio.h>
#include <string.h>

#include "check_main.h"
#include "data/data.h"
#include "graph/graph.h"
#include "network.h"
#include "reference.h"

START_TEST(known_answer) {
    /* The C++ standard, [rand.predef]: the 10000th number of a default mt19937, seed 5489. */
    tr_mt19937 g;
    tr_mt19937_seed(&g, 5489);
    for (int i = 1; i < 10000; i++) tr_mt19937_next(&g);
    ck_assert_uint_eq(tr_mt19937_next(&g), 4123659995u);
}
END_TEST

static tr_reference *file;

static void open_file(void) {
    file = tr_reference_read("reference/random.txt");
}
static void close_file(void) {
    tr_reference_free(file);
}

static uint64_t seed_of(const tr_reference_case *c) {
    const tr_reference_tensor *words = tr_reference_get(c, "seed");
    uint64_t seed = 0;
    for (size_t i = 0; i < words->n; i++) seed |= (uint64_t)words->v[i] << 16 * i;
    return seed;
}

static tr_graph *network(const tr_reference_case *c) {
    char text[1024] = "[network]\n";
    for (int i = 0; i < c->n_layers; i++) strcat(strcat(text, c->layers[i]), "\n");
    strcat(text, "[loss]\ntype = cross_entropy\n");
    tr_error err = {0};
    tr_doc *doc;
    tr_graph *graph = NULL;
    ck_assert_int_eq(tr_doc_parse("net.ini", text, strlen(text), &doc, &err), TR_OK);
    int code = tr_graph_create(doc, (tr_shape){false, 5, 5, 2}, 4, &graph, &err);
    if (code == TR_OK) code = tr_graph_allocate(graph, &err);
    ck_assert_msg(code == TR_OK, "%s", err.text);
    tr_doc_free(doc);
    return graph;
}

enum { DRAWN = 6 }; /* cases of weights and orders; the last has batch norm, which draws nothing */

static const int drawn[DRAWN] = {57 + 140 + 20, 57 + 140 + 20, 57 + 140 + 20,
                                 57 + 140 + 20, 57 + 140 + 20, 57 + 48 + 68};

START_TEST(first_state) {
    for (int i = 0; i < DRAWN; i++) {
        const tr_reference_case *c = &file->cases[i];
        tr_graph *graph = network(c);
        tr_graph_init(graph, TR_TORCH, seed_of(c));
        ck_assert_int_eq(graph->n_draws, drawn[i]);
        for (int j = 0; j < graph->n_rows; j++) {
            const tr_row *row = &graph->rows[j];
            const tr_reference_tensor *want = tr_reference_get(c, row->name);
            double got[256];
            ck_assert_uint_eq(want->n, (size_t)row->count);
            tr_row_read(row, tr_row_state(row)->value, 0, row->count, got);
            for (size_t e = 0; e < want->n; e++) {
                if (got[e] != (double)(float)want->v[e])
                    ck_abort_msg("%s: %s: element %zu is %.9g, PyTorch has %.9g", c->name,
                                 row->name, e, got[e], want->v[e]);
            }
        }
        ck_assert_int_eq(c->n_tensors, graph->n_rows + 1 + 3); /* the seed, three orders */
        tr_graph_free(graph);
    }
}
END_TEST

START_TEST(orders) {
    for (int i = 0; i < DRAWN; i++) {
        const tr_reference_case *c = &file->cases[i];
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            char name[16];
            uint32_t order[1001];
            snprintf(name, sizeof name, "order%u", (unsigned)epoch);
            const tr_reference_tensor *want = tr_reference_get(c, name);
            order[want->n] = 0xabcdef; /* a guard */
            tr_torch_permutation(seed_of(c), drawn[i], epoch, order, (uint32_t)want->n);
            for (size_t e = 0; e < want->n; e++) {
                if (order[e] != want->v[e])
                    ck_abort_msg("%s: %s: sample %zu is %u, PyTorch has %.0f", c->name, name, e,
                                 (unsigned)order[e], want->v[e]);
            }
            ck_assert_uint_eq(order[want->n], 0xabcdef);
        }
    }
}
END_TEST

/* ---- through the loader ---- */

static int blank(const tr_dataset *dataset, int i, const unsigned char **pixels, int *label,
                 tr_error *err) {
    static const unsigned char pixel = 0;
    (void)dataset, (void)i, (void)err;
    *pixels = &pixel;
    *label = 0;
    return TR_OK;
}

START_TEST(the_loader_uses_them) {
    const tr_reference_case *c = &file->cases[2];
    const tr_reference_tensor *want = tr_reference_get(c, "order1");
    tr_dataset set = {.n = (int)want->n, .h = 1, .w = 1, .c = 1, .n_classes = 1, .sample = blank};
    tr_pipeline pipeline;
    tr_loader *loader;
    tr_batch *batch;
    tr_error err = {0};
    ck_assert_int_eq(tr_pipeline_create(NULL, 0, 1, &pipeline, &err), TR_OK);
    for (int workers = 0; workers < 3; workers++) {
        tr_loader_options options = {
            .args = {.batch_size = 16, .shuffle = true, .workers = workers, .prefetch = 2},
            .generator = TR_TORCH,
            .seed = seed_of(c),
            .n_before = 217,
            .stride = TR_LANES};
        ck_assert_int_eq(tr_loader_create(&set, &pipeline, &options, &loader, &err), TR_OK);
        ck_assert_int_eq(tr_loader_begin(loader, 1, &err), TR_OK);
        size_t at = 0;
        while (tr_loader_next(loader, &batch, &err) > 0) {
            for (int i = 0; i < batch->n; i++, at++)
                ck_assert_uint_eq(batch->sample[i], (uint32_t)want->v[at]);
            tr_loader_release(loader, batch);
        }
        ck_assert_uint_eq(at, want->n);
        tr_loader_free(loader);
    }
}
END_TEST

static Suite *torch_random_suite(void) {
    Suite *suite = suite_create("torch_random");
    TCase *all = tcase_create("torch_random");
    tcase_add_unchecked_fixture(all, open_file, close_file);
    tcase_add_test(all, known_answer);
    tcase_add_test(all, first_state);
    tcase_add_test(all, orders);
    tcase_add_test(all, the_loader_uses_them);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(torch_random_suite());
}
