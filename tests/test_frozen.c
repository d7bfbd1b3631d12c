/* Frozen parameters, of every layer and in every combination that matters: they do not change, all
 * others get the bits that they get without them, and nothing is computed or kept for them. */
#include <stdlib.h>

#include "network.h"

/* Dense and gathered convolutions, a norm, and linear layers by samples and, in small batches,
 * split-K. */
static const struct {
    const char *line;
    bool has_parameters; /* a weight and a bias */
} lines[] = {
    {"c = conv2d out_channels=11 kernel_size=3 padding=1", true},
    {"r = relu", false},
    {"d = conv2d out_channels=9 kernel_size=3", true},
    {"s = relu", false},
    {"p = max_pool2d kernel_size=2", false},
    {"n = batch_norm2d", true},
    {"f = flatten", false},
    {"l = linear out_features=128", true},
    {"t = relu", false},
    {"o = batch_norm1d", true},
    {"k = linear out_features=4", true},
};
enum { N_LINES = sizeof lines / sizeof *lines, N_PARAMETERS = 12, ALL = (1 << N_PARAMETERS) - 1 };

static const tr_shape image = {false, 10, 9, 3};

/* Bit i of the mask: parameter i is frozen. */
static tr_graph *frozen_graph(unsigned mask) {
    char text[1024];
    int n = 0;
    for (int i = 0; i < N_LINES; i++) {
        static const char *const words[] = {"", " frozen=weight", " frozen=bias",
                                            " frozen=weight,bias"};
        const char *frozen = lines[i].has_parameters ? words[mask & 3] : "";
        if (lines[i].has_parameters) mask >>= 2;
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%s\n", lines[i].line, frozen);
    }
    return graph_of(text, image, 4);
}

/* Each by itself, both of a layer, all up to one, all from one on, all but one, all. */
static int draw_masks(unsigned out[64]) {
    int n = 0;
    for (int i = 0; i < N_PARAMETERS; i++) {
        out[n++] = 1u << i;
        if (i % 2) out[n++] = 3u << (i - 1);
        out[n++] = (2u << i) - 1;
        if (i % 3 == 0) out[n++] = ALL & ~(1u << i);
        if (i % 2 == 0) out[n++] = ALL & ~((1u << i) - 1);
    }
    return n;
}

/* ---- the program ---- */

static bool is_frozen(const tr_graph *graph, const tr_program *p, const tr_step *step) {
    bool updates = step->kind == TR_STEP_UPDATE || step->kind == TR_STEP_GRADIENT;
    return updates && tr_row_state(&graph->rows[p->parameters[step->parameter].row])->frozen;
}

/* The first node that trains something; the number of nodes where none does. */
static int first_trained(const tr_graph *graph) {
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_state *state = tr_row_state(&graph->rows[i]);
        if (state->kind == TR_PARAMETER && !state->frozen) return graph->rows[i].node->id;
    }
    return graph->n_nodes;
}

static int64_t memory_of(const tr_program *p) {
    int64_t slots = 0;
    for (int i = 0; i < p->n_buffers; i++)
        if (p->buffers[i].kind == TR_SUM && p->buffers[i].first <= p->buffers[i].last)
            slots += p->buffers[i].bytes;
    return p->batch_bytes + p->thread_bytes + p->local_bytes + slots;
}

static void check_program(const tr_program_options *options, unsigned mask, const tr_program *all) {
    tr_graph *graph = frozen_graph(mask);
    tr_program *p;
    ck_assert_int_eq(tr_program_create(graph, options, &p, NULL), TR_OK);
    char *conflict = tr_program_conflict(p);
    ck_assert_msg(conflict == NULL, "%x: %s", mask, conflict);
    int first = first_trained(graph);
    for (int i = 0; i < p->n_steps; i++) {
        const tr_step *step = &p->steps[i];
        ck_assert_msg(!is_frozen(graph, p, step), "%x: %s", mask, step->label);
        if (step->node && step->backward && !step->again)
            ck_assert_msg(step->node->id >= first, "%x: %s of %s", mask, step->label,
                          step->node->name);
        ck_assert_msg(!step->node || strcmp(step->node->name, "c") != 0 ||
                          strcmp(step->label, "input gradient") != 0,
                      "%x: of the input", mask);
    }
    ck_assert_int_lt(p->n_steps, all->n_steps);
    ck_assert_int_le(tr_program_barriers(p), tr_program_barriers(all));
    ck_assert_msg(memory_of(p) <= memory_of(all), "%x: %lld, not %lld", mask,
                  (long long)memory_of(p), (long long)memory_of(all));
    tr_program_free(p);
    tr_graph_free(graph);
}

static const tr_program_options programs[] = {
    {.batch = 20, .gradients = true, .training = true, .n_slots = 2},
    {.batch = 5, .gradients = true, .training = true, .n_slots = 2, .wide = 1},
    {.batch = 20, .gradients = true, .n_slots = 1},
    {.batch = 8, .gradients = true, .training = true, .n_slots = 1, .deferred = true, .norm = true},
};

START_TEST(nothing_is_computed) {
    unsigned masks[64];
    int n = draw_masks(masks);
    tr_graph *graph = frozen_graph(0);
    tr_program *all;
    ck_assert_int_eq(tr_program_create(graph, &programs[_i], &all, NULL), TR_OK);
    for (int i = 0; i < n; i++) check_program(&programs[_i], masks[i], all);
    tr_program_free(all);
    tr_graph_free(graph);
}
END_TEST

/* Labels of what the layer does in backward. */
static void backward_of(const char *text, const char *name, char out[400]) {
    tr_graph *graph = graph_of(text, image, 0);
    const tr_program_options options = {.batch = 9, .gradients = true, .training = true};
    tr_program *p;
    int n = 0;
    ck_assert_int_eq(tr_program_create(graph, &options, &p, NULL), TR_OK);
    out[0] = '\0';
    for (int i = 0; i < p->n_steps; i++) {
        if (p->steps[i].node && strcmp(p->steps[i].node->name, name) == 0 && p->steps[i].backward)
            n += snprintf(out + n, 400 - (size_t)n, "%s%s", n ? ", " : "", p->steps[i].label);
    }
    tr_program_free(p);
    tr_graph_free(graph);
}

/* What a layer computes for a frozen parameter alone is left out, too: gather lists, the padded
 * input. */
START_TEST(what_serves_nothing_is_left_out) {
    static const struct {
        const char *frozen, *conv, *pooled, *norm;
    } cases[] = {
        {"", "relu gradient, weight gradient, bias gradient, reduce and update, reduce and update",
         "gather lists, weight gradient, bias gradient, reduce and update, reduce and update",
         "gradient sums, reduce and update, reduce and update"},
        {" frozen=weight", "relu gradient, bias gradient, reduce and update",
         "bias gradient, reduce and update", "gradient sums, reduce and update"},
        {" frozen=bias", "relu gradient, weight gradient, reduce and update",
         "gather lists, weight gradient, reduce and update", "gradient sums, reduce and update"},
        {" frozen=weight,bias", "", "", ""},
    };
    for (int i = 0; i < 4; i++) {
        char text[300], got[400];
        snprintf(text, sizeof text,
                 "c = conv2d out_channels=4 kernel_size=3%s\nr = relu\nf = flatten\n",
                 cases[i].frozen);
        backward_of(text, "c", got);
        ck_assert_str_eq(got, cases[i].conv);
        snprintf(
            text, sizeof text,
            "c = conv2d out_channels=4 kernel_size=3%s\nr = relu\np = max_pool2d kernel_size=2\n"
            "f = flatten\n",
            cases[i].frozen);
        backward_of(text, "c", got);
        ck_assert_str_eq(got, cases[i].pooled);
        snprintf(text, sizeof text, "n = batch_norm2d%s\nf = flatten\n", cases[i].frozen);
        backward_of(text, "n", got);
        ck_assert_str_eq(got, cases[i].norm);
    }
}
END_TEST

/* ---- what an optimizer keeps ---- */

START_TEST(no_optimizer_state) {
    static const char *const words[] = {"exp_avg", "exp_avg_sq", NULL};
    tr_graph *all = frozen_graph(0);
    ck_assert_int_eq(tr_graph_plan_optimizer(all, words, NULL), TR_OK);
    ck_assert_int_eq(all->n_optimizer_rows, 2 * N_PARAMETERS);
    for (unsigned mask = 1; mask <= ALL; mask = mask * 2 + 1) {
        tr_graph *graph = frozen_graph(mask);
        int n = 0;
        ck_assert_int_eq(tr_graph_plan_optimizer(graph, words, NULL), TR_OK);
        ck_assert_int_eq(tr_graph_allocate_optimizer(graph, NULL), TR_OK);
        /* Blocks of pages lie on pages: what is small leaves a gap. */
        ck_assert_int_le(tr_graph_optimizer_bytes(graph), tr_graph_optimizer_bytes(all));
        if (mask >= 0x7f) /* l.weight */
            ck_assert_int_lt(tr_graph_optimizer_bytes(graph), tr_graph_optimizer_bytes(all) / 10);
        ck_assert_int_eq(tr_graph_count(graph), tr_graph_count(all));
        for (int i = 0; i < graph->n_rows; i++) {
            const tr_row *row = &graph->rows[i];
            char name[100];
            snprintf(name, sizeof name, "optimizer.%s.exp_avg_sq", row->name);
            bool trained = tr_row_state(row)->kind == TR_PARAMETER && !tr_row_state(row)->frozen;
            const tr_row *kept = tr_graph_row(graph, name);
            ck_assert_msg((kept != NULL) == trained, "%s", name);
            n += trained;
            if (!trained) continue;
            const tr_real *value = tr_row_state(kept)->value; /* in the optimizer's memory */
            ck_assert(value >= graph->optimizer[1] &&
                      value + row->count <= graph->optimizer[1] + graph->n_trained);
        }
        ck_assert_int_eq(graph->n_optimizer_rows, 2 * n);
        tr_graph_free(graph);
    }
    tr_graph_free(all);
}
END_TEST

/* ---- steps ---- */

typedef struct setting {
    int batch, threads, shard;
    int64_t wide;
    double clip_norm;
} setting;

enum { STEPS = 3 };

/* All parameters, in PyTorch's order, at the start and after one and more steps of SGD with
 * momentum and weight decay. */
static double *train(unsigned mask, const setting *s, int n_steps, int64_t *n) {
    tr_graph *graph = frozen_graph(mask);
    int32_t labels[32];
    void *args = sgd_args("lr=0.1 momentum=0.9 weight_decay=0.1");
    for (int i = 0; i < s->batch; i++) labels[i] = i % 4;
    tr_graph_init(graph, TR_PHILOX, 3);
    few_steps t = {.graph = graph,
                   .options = {.batch = s->batch,
                               .training = true,
                               .shard = s->shard,
                               .wide = s->wide,
                               .clip_norm = s->clip_norm,
                               .kernels = kernels_of("scalar"),
                               .optimizer = tr_optimizers[0],
                               .optimizer_args = args},
                   .input = {.n = s->batch,
                             .x = samples(s->batch, image, 5),
                             .stride = stride_of(image),
                             .labels = labels},
                   .n_steps = n_steps,
                   .lr = 0.1};
    if (n_steps) run_on(s->threads, &t);
    *n = 0;
    for (int i = 0; i < graph->n_rows; i++)
        if (tr_row_state(&graph->rows[i])->kind == TR_PARAMETER) *n += graph->rows[i].count;
    double *values = tr_alloc((size_t)*n, sizeof *values, NULL), *to = values;
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        if (tr_row_state(row)->kind != TR_PARAMETER) continue;
        tr_row_read(row, tr_row_state(row)->value, 0, row->count, to);
        to += row->count;
    }
    tr_free((void *)t.input.x);
    tr_free(args);
    tr_graph_free(graph);
    return values;
}

static void check_step(unsigned mask, const setting *s, const double *start, const double *after) {
    tr_graph *graph = frozen_graph(mask);
    int64_t n;
    double *got = train(mask, s, 1, &n);
    const double *at = got;
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        if (tr_row_state(row)->kind != TR_PARAMETER) continue;
        bool frozen = tr_row_state(row)->frozen;
        const double *wanted = (frozen ? start : after) + (at - got);
        ck_assert_msg(memcmp(at, wanted, (size_t)row->count * sizeof *at) == 0, "%x: %s%s", mask,
                      row->name, frozen ? " is frozen" : "");
        at += row->count;
    }
    tr_free(got);
    tr_graph_free(graph);
}

/* Of 4 MiB, where the optimizer keeps 16 KiB: nothing behind these is touched. */
START_TEST(large_frozen_matrix) {
    tr_shape in = {false, 32, 32, 1};
    int32_t labels[2] = {0, 1};
    void *args = sgd_args("lr=0.1 momentum=0.9");
    tr_graph *graph = graph_of("f = flatten\n"
                               "l = linear out_features=1024 frozen=weight\n"
                               "o = linear out_features=4\n",
                               in, 4);
    tr_graph_init(graph, TR_PHILOX, 3);
    double before, after;
    tr_row_read(row_of(graph, "l.weight"), tr_row_state(row_of(graph, "l.weight"))->value, 0, 1,
                &before);
    few_steps t = {
        .graph = graph,
        .options = {.batch = 2,
                    .training = true,
                    .kernels = kernels_of("scalar"),
                    .optimizer = tr_optimizers[0],
                    .optimizer_args = args},
        .input = {.n = 2, .x = samples(2, in, 5), .stride = stride_of(in), .labels = labels},
        .n_steps = 2,
        .lr = 0.1};
    run_on(2, &t);
    tr_row_read(row_of(graph, "l.weight"), tr_row_state(row_of(graph, "l.weight"))->value, 0, 1,
                &after);
    ck_assert(before == after);
    tr_free((void *)(uintptr_t)t.input.x);
    tr_free(args);
    tr_graph_free(graph);
}
END_TEST

static const setting settings[] = {
    {20, 2, 0, 0, 0}, {5, 1, 1, 0, 0}, {16, 3, 4, 1, 0}, {20, 2, 0, 0, 1e9}};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

START_TEST(others_do_not_notice) {
    const setting *s = &settings[_i];
    unsigned masks[64];
    int n_masks = draw_masks(masks);
    int64_t n;
    double *start = train(0, s, 0, &n), *after = train(0, s, 1, &n);
    for (int64_t i = 0; i < n; i++) ck_assert(start[i] != after[i] || start[i] == 0);
    for (int i = 0; i < n_masks; i++) check_step(masks[i], s, start, after);
    tr_free(start);
    tr_free(after);
}
END_TEST

START_TEST(same_bits) {
    static const unsigned masks[] = {1, 2, 3, 7, 0x2a, 0x15, 0x3c0, 0x9f3, ALL};
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
        int64_t n;
        double *wanted = NULL;
        for (int threads = 1; threads <= 8; threads += threads < 3 ? 1 : 5) {
            const setting s = {_i ? 6 : 24, threads, 2, threads == 2, _i ? 0.5 : 0};
            double *got = train(masks[m], &s, STEPS, &n);
            if (wanted) ck_assert_mem_eq(got, wanted, (size_t)n * sizeof *got);
            tr_free(wanted);
            wanted = got;
        }
        tr_free(wanted);
    }
}
END_TEST

static Suite *frozen_suite(void) {
    Suite *suite = suite_create("frozen");
    TCase *all = tcase_create("frozen");
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, nothing_is_computed, 0, sizeof programs / sizeof *programs);
    tcase_add_test(all, what_serves_nothing_is_left_out);
    tcase_add_test(all, no_optimizer_state);
    tcase_add_test(all, large_frozen_matrix);
    tcase_add_loop_test(all, others_do_not_notice, 0, N_SETTINGS);
    tcase_add_loop_test(all, same_bits, 0, 2);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    setenv("CK_FORK", "no", 1);
    return tr_check_run(frozen_suite());
}
