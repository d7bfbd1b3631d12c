/* The memory planner, and the program: its barriers, the lifetimes and the offsets of its buffers.
 */
#include <math.h>
#include <stdlib.h>

#include "network.h"

static const tr_shape image = {false, 32, 32, 3};

/* ---- the planner ---- */

typedef struct exact {
    int n;
    int64_t bytes[4];
    int first[4], last[4];
    int64_t total;
} exact;

START_TEST(planner_small_cases) {
    static const exact cases[] = {
        {0, {0}, {0}, {0}, 0},
        {1, {64}, {3}, {3}, 64},
        {2, {64, 64}, {0, 1}, {0, 1}, 64},             /* one after the other */
        {2, {64, 64}, {0, 0}, {1, 1}, 128},            /* at once */
        {2, {64, 64}, {0, 1}, {1, 2}, 128},            /* they meet in step 1 */
        {3, {64, 128, 64}, {0, 1, 2}, {1, 2, 3}, 192}, /* a chain: ends share */
        {3, {0, 0, 64}, {0, 0, 0}, {9, 9, 9}, 64},
        {4, {256, 64, 128, 64}, {0, 0, 2, 2}, {1, 1, 3, 3}, 320},
        {3, {128, 64, 64}, {0, 1, 0}, {0, 1, 1}, 192}, /* a gap below is used */
        {2, {INT64_MAX, 1}, {0, 0}, {0, 0}, -1},
        {2, {INT64_MAX - 1, 1}, {0, 0}, {0, 0}, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t offset[4];
        ck_assert_int_eq(
            tr_plan_memory(cases[i].n, cases[i].bytes, cases[i].first, cases[i].last, offset),
            cases[i].total);
    }
}
END_TEST

START_TEST(planner_random) {
    enum { MOST = 120, STEPS = 60 };
    uint32_t seed = 1;
    for (int round = 0; round < 600; round++) {
        int n = 1 + round % MOST, first[MOST], last[MOST];
        int64_t bytes[MOST], offset[MOST], again[MOST], sum = 0, live = 0, largest = 0;
        for (int i = 0; i < n; i++) {
            first[i] = (int)draw(&seed, STEPS / 2, 1) + STEPS / 2;
            last[i] = first[i] + (int)fabs(draw(&seed, 8, 1));
            bytes[i] = 64 * (int64_t)fabs(draw(&seed, round % 3 ? 50 : 3, 1));
            sum += bytes[i];
        }
        int64_t total = tr_plan_memory(n, bytes, first, last, offset);
        ck_assert_int_eq(tr_plan_memory(n, bytes, first, last, again), total);
        for (int i = 0; i < n; i++) {
            if (offset[i] != again[i] || offset[i] % 64 || offset[i] < 0 ||
                offset[i] + bytes[i] > total)
                ck_abort_msg("interval %d is at %lld", i, (long long)offset[i]);
            for (int j = 0; j < i; j++) {
                bool meet = first[i] <= last[j] && first[j] <= last[i];
                bool overlap = offset[i] < offset[j] + bytes[j] && offset[j] < offset[i] + bytes[i];
                if (meet && overlap) ck_abort_msg("intervals %d and %d overlap", i, j);
            }
        }
        for (int s = 0; s < 2 * STEPS; s++) {
            live = 0;
            for (int i = 0; i < n; i++) live += first[i] <= s && s <= last[i] ? bytes[i] : 0;
            largest = tr_max(largest, live);
        }
        ck_assert_int_ge(total, largest);
        ck_assert_int_le(total, sum);
    }
}
END_TEST

START_TEST(planner_without_memory) {
    int64_t bytes = 64, offset;
    int step = 0;
    for (long n = 0; n < 2; n++) {
        tr_alloc_fail_after(n);
        int64_t total = tr_plan_memory(1, &bytes, &step, &step, &offset);
        tr_alloc_fail_after(-1);
        ck_assert_int_eq(total, -1);
    }
}
END_TEST

/* ---- the program ---- */

static const char *const networks[] = {
    lenet_layers,
    "a = conv2d out_channels=8 kernel_size=3 padding=1\nb = relu\nc = conv2d out_channels=8 "
    "kernel_size=3 "
    "padding=1 from=b\nd = conv2d out_channels=8 kernel_size=1 from=b\ne = add from=b,c,d\nf = "
    "relu\n"
    "g = max_pool2d kernel_size=3 stride=2\nh = flatten\ni = linear out_features=10\n",
    "a = flatten\nb = linear out_features=16\nc = relu\nd = linear out_features=600 from=b\ne = "
    "linear "
    "out_features=600 from=c\nf = add from=d,e,d\ng = linear out_features=10\n",
    "a = conv2d out_channels=70 kernel_size=3\nb = conv2d out_channels=128 kernel_size=3\nc = "
    "max_pool2d "
    "kernel_size=2\nd = conv2d out_channels=64 kernel_size=3\ne = max_pool2d kernel_size=12\nf = "
    "flatten\n"
    "g = linear out_features=10\n",
    /* a split-K update before one at the end; blocks of rows that are short or empty */
    "a = flatten\nb = linear out_features=64\nc = relu\nd = linear out_features=10\n",
    "a = conv2d out_channels=10 kernel_size=32\nb = flatten\nc = linear out_features=600\n"
    "d = linear out_features=10\n",
    "a = conv2d out_channels=10 kernel_size=32\nb = flatten\n", /* the last phase is the updated's
                                                                 */
};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

/* Segment of a step; n_segments behind the last one. */
static int segment_of(const tr_program *p, int step) {
    return step == p->n_steps ? p->n_segments : p->steps[step].segment;
}

/* The arena that a buffer is in, or -1. */
static int arena_of(const tr_buffer *b) {
    if (b->state || b->external || b->last < 0) return -1;
    return b->local ? 0 : b->kind == TR_SAMPLE_BUFFER || b->kind == TR_BATCH_BUFFER ? 1 : 2;
}

static int64_t bytes_of(const tr_program *p, const tr_buffer *b) {
    return b->local                      ? b->bytes
           : b->kind == TR_SAMPLE_BUFFER ? b->bytes * p->options.batch
           : b->kind == TR_SUM           ? b->bytes * p->options.n_slots
                                         : b->bytes;
}

static void check_buffers(const tr_program *p) {
    const int64_t arenas[] = {p->local_bytes, p->batch_bytes, p->thread_bytes};
    for (int b = 0; b < p->n_buffers; b++) {
        const tr_buffer *buffer = &p->buffers[b];
        int first = INT32_MAX, last = -1;
        bool local = buffer->kind == TR_SAMPLE_BUFFER && !buffer->external;
        for (int i = 0; i < p->n_steps; i++) {
            for (int j = 0; j < p->steps[i].n_accesses; j++) {
                const tr_access *a = &p->accesses[p->steps[i].first_access + j];
                if (a->buffer != b) continue;
                first = (int)tr_min(first, i);
                last = i;
                local &= a->owner == TR_OWNER_SAMPLES;
            }
        }
        if (last < 0) continue;
        bool kept = b == p->output || b == p->input_gradient;
        for (int q = 0; p->options.keep_gradients && q < p->n_parameters; q++)
            kept |= b == p->parameters[q].gradient;
        if (kept) last = p->n_steps;
        ck_assert_int_eq(buffer->first, first);
        ck_assert_int_eq(buffer->last, last);
        ck_assert_int_eq(buffer->local, local && segment_of(p, first) == segment_of(p, last));
        if (arena_of(buffer) < 0) continue;
        ck_assert_int_eq(buffer->offset % TR_ALIGN, 0);
        ck_assert_int_le(buffer->offset + bytes_of(p, buffer), arenas[arena_of(buffer)]);
        /* Nothing else is in its place while it lives; other threads may be anywhere in a segment.
         */
        for (int o = 0; o < b; o++) {
            const tr_buffer *other = &p->buffers[o];
            if (arena_of(other) != arena_of(buffer)) continue;
            bool apart = buffer->local ? other->last < first || last < other->first
                                       : segment_of(p, other->last) < segment_of(p, first) ||
                                             segment_of(p, last) < segment_of(p, other->first);
            bool clear = buffer->offset + bytes_of(p, buffer) <= other->offset ||
                         other->offset + bytes_of(p, other) <= buffer->offset;
            if (!apart && !clear) ck_abort_msg("buffers %d and %d overlap", o, b);
        }
    }
}

static void check_program(const tr_program *p) {
    int updates[64] = {0}, order = 0;
    char *conflict = tr_program_conflict(p);
    ck_assert_msg(conflict == NULL, "%s", conflict);
    for (int i = 0; i < p->n_steps; i++) {
        const tr_step *s = &p->steps[i];
        int now = s->partition == TR_PER_THREAD ? 0 : s->partition == TR_BY_BLOCKS ? 1 : 2;
        ck_assert(p->options.gradients || !s->backward);
        ck_assert(i >= p->segments[s->segment] && i < p->segments[s->segment + 1]);
        if (i > p->segments[s->segment]) ck_assert_int_ge(now, order);
        order = now;
        if (s->kind == TR_STEP_UPDATE) updates[s->parameter]++;
    }
    int n_parameters = 0;
    for (int r = 0; p->options.gradients && r < p->graph->n_rows; r++)
        n_parameters += tr_row_state(&p->graph->rows[r])->kind == TR_PARAMETER;
    ck_assert_int_eq(p->n_parameters, n_parameters);
    for (int i = 0; i < p->n_parameters; i++) ck_assert_int_eq(updates[i], 1);
    check_buffers(p);
}

static tr_program *program_of(const tr_graph *graph, const tr_program_options *options) {
    tr_program *p;
    tr_error err = {0};
    ck_assert_msg(tr_program_create(graph, options, &p, &err) == TR_OK, "%s", err.text);
    return p;
}

START_TEST(programs) {
    static const int batches[] = {1, 4, 16, 17, 128};
    tr_graph *graph = graph_of(networks[_i], image, 10);
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        for (unsigned flags = 0; flags < 128; flags++) {
            tr_program_options o = {.batch = batches[b],
                                    .gradients = flags & 1,
                                    .training = flags & 1,
                                    .loads = flags & 2,
                                    .input_gradient = flags & 4,
                                    .deferred = flags & 8,
                                    .keep_gradients = flags & 8 && flags & 16,
                                    .norm = flags & 8 && flags & 32,
                                    .n_slots = 3,
                                    .wide = flags & 64 ? 1 : 0};
            tr_program *p = program_of(graph, &o);
            check_program(p);
            ck_assert_int_eq(p->buffers[p->input].external, !o.loads);
            ck_assert_int_eq(p->input_gradient >= 0, o.gradients && o.input_gradient);
            /* No input gradient of the first layer unless it is wanted. */
            for (int i = 0; i < p->n_steps; i++) {
                const tr_step *s = &p->steps[i];
                if (s->node == &graph->nodes[1] && !o.input_gradient)
                    ck_assert_int_eq(p->bound[s->first_bound + s->n_inputs], TR_NONE);
            }
            tr_program_free(p);
        }
    }
    tr_graph_free(graph);
}
END_TEST

/* A planted error of each sort is found. */
START_TEST(conflicts_are_found) {
    tr_graph *graph = graph_of(lenet_layers, image, 10);
    const tr_program_options o = {.batch = 4, .gradients = true, .training = true, .n_slots = 3};
    int found = 0;
    tr_program *good = program_of(graph, &o);
    for (int s = 1; s < good->n_segments; s++) {
        /* Without one of the barriers. */
        tr_program *p = program_of(graph, &o);
        for (int i = 0; i < p->n_steps; i++) p->steps[i].segment -= p->steps[i].segment >= s;
        char *conflict = tr_program_conflict(p);
        found += conflict != NULL;
        tr_free(conflict);
        tr_program_free(p);
    }
    ck_assert_int_eq(found, tr_program_barriers(good)); /* each of them is needed */
    ck_assert_int_gt(found, 3);
    tr_program_free(good);
    tr_graph_free(graph);
}
END_TEST

/* ---- the number of barriers ---- */

static int barriers_of(const char *lines, int batch, bool training) {
    tr_graph *graph = graph_of(lines, image, 10);
    tr_program *p = program_of(graph, &(tr_program_options){.batch = batch,
                                                            .gradients = training,
                                                            .training = training,
                                                            .loads = true,
                                                            .n_slots = 3});
    int n = tr_program_barriers(p);
    tr_program_free(p);
    tr_graph_free(graph);
    return n;
}

/* LeNet in a large batch has one, before the update; in a small one, two for each linear layer that
 * is split-K each way. Evaluation has none. */
START_TEST(lenet_barriers) {
    ck_assert_int_eq(barriers_of(lenet_layers, 128, true), 1);
    ck_assert_int_eq(barriers_of(lenet_layers, 17, true), 1);
    ck_assert_int_eq(barriers_of(lenet_layers, 4, true), 8);
    ck_assert_int_eq(barriers_of(lenet_layers, 4, false), 0);
    ck_assert_int_eq(barriers_of(lenet_layers, 256, false), 0);
}
END_TEST

/* Of a ResNet the convolutions' outputs are kept until backward, and the values with several
 * readers: relus behind a sum. */
static void check_kept(const tr_program *p) {
    for (int i = 1; i < p->graph->output; i++) {
        const tr_node *node = &p->graph->nodes[i];
        bool wanted = strcmp(node->op->schema.name, "conv2d") == 0;
        int readers = 0;
        for (int j = 0; j < p->graph->n_nodes; j++) {
            for (int k = 0; k < p->graph->nodes[j].n_inputs; k++)
                readers += p->graph->nodes[j].input[k] == i;
        }
        wanted |= strcmp(node->op->schema.name, "relu") == 0 && readers > 1;
        int64_t kept = tr_program_kept(p, node), size = tr_shape_size(node->out);
        if (!p->options.training || node->op->view) wanted = false;
        /* The last pool's value is what the linear layer's weights' gradient is made of. */
        if (p->options.training && strstr(node->op->schema.name, "avg_pool")) continue;
        if ((kept > 0) != wanted) ck_abort_msg("%s keeps %lld bytes", node->name, (long long)kept);
        if (wanted) ck_assert_int_ge(kept, size * (int64_t)sizeof(tr_real));
    }
}

/* One for each batch norm, each way, and one before the last updates; a shortcut's batch norm
 * shares its neighbour's. */
START_TEST(resnet_barriers) {
    static const struct {
        const char *config;
        int barriers;
    } cases[] = {{"resnet20", 2 * 19 + 1}, {"resnet18", 2 * 17 + 1}};
    for (int i = 0; i < 2; i++) {
        char path[4096];
        tr_error err = {0};
        tr_doc *doc;
        tr_graph *graph;
        snprintf(path, sizeof path, "%s/../configs/%s.ini", TR_TEST_ROOT, cases[i].config);
        ck_assert_msg(tr_doc_read(path, &doc, &err) == TR_OK, "%s", err.text);
        ck_assert_msg(tr_graph_create(doc, image, 10, &graph, &err) == TR_OK, "%s", err.text);
        for (int training = 0; training < 2; training++) {
            tr_program *p = program_of(graph, &(tr_program_options){.batch = 128,
                                                                    .gradients = training,
                                                                    .training = training,
                                                                    .n_slots = 3});
            char *conflict = tr_program_conflict(p);
            ck_assert_msg(conflict == NULL, "%s", conflict);
            ck_assert_int_eq(tr_program_barriers(p), training ? cases[i].barriers : 0);
            check_kept(p);
            tr_program_free(p);
        }
        tr_graph_free(graph);
        tr_doc_free(doc);
    }
}
END_TEST

static Suite *program_suite(void) {
    Suite *suite = suite_create("program");
    TCase *all = tcase_create("program");
    tcase_set_timeout(all, 30);
    tcase_add_test(all, planner_small_cases);
    tcase_add_test(all, planner_random);
    tcase_add_test(all, planner_without_memory);
    tcase_add_loop_test(all, programs, 0, N_NETWORKS);
    tcase_add_test(all, conflicts_are_found);
    tcase_add_test(all, lenet_barriers);
    tcase_add_test(all, resnet_barriers);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(program_suite());
}
