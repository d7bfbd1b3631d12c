/* The memory planner, and the program: its waits, the lives and the places of its buffers. */
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
    /* an update by rows before one at the end; blocks of rows that are short or empty */
    "a = flatten\nb = linear out_features=64\nc = relu\nd = linear out_features=10\n",
    "a = conv2d out_channels=10 kernel_size=32\nb = flatten\nc = linear out_features=600\n"
    "d = linear out_features=10\n",
    "a = conv2d out_channels=10 kernel_size=32\nb = flatten\n", /* the last phase is the updated's
                                                                 */
};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

static bool by_samples(const tr_step *s) {
    return s->phase.partition == TR_BY_SAMPLES || s->phase.partition == TR_BY_SHARDS;
}

/* Step i reads or writes the buffer. */
static bool touches(const tr_step *s, int buffer) {
    bool yes = s->y == buffer || s->dy == buffer;
    for (int i = 0; i < TR_MAX_INPUTS; i++) yes |= s->x[i] == buffer || s->dx[i] == buffer;
    for (int i = 0; i < TR_N_AUX; i++) yes |= s->aux[i] == buffer;
    return yes;
}

static void check_program(const tr_program *p, bool training) {
    int *segment = tr_alloc((size_t)p->n_steps + 1, sizeof *segment, NULL);
    bool backward = false;
    int updates[16] = {0};
    for (int i = 1; i < p->n_steps; i++) segment[i] = segment[i - 1] + p->steps[i].barrier;
    segment[p->n_steps] = segment[p->n_steps - 1] + 1;
    for (int i = 0; i < p->n_steps; i++) {
        const tr_step *s = &p->steps[i];
        ck_assert(training || !s->backward);
        ck_assert(s->backward || !backward);
        backward = s->backward;
        if (s->update) {
            /* Once, when all that needs the parameters is done. */
            ck_assert_int_eq(updates[s->node->id]++, 0);
            for (int j = i + 1; j < p->n_steps; j++) ck_assert_ptr_ne(p->steps[j].node, s->node);
            /* Gradients that others summed: never without a wait behind them. */
            if (p->plans[s->node->id].grad_size)
                for (int j = i; !p->steps[j].barrier; j--) ck_assert(p->steps[j].update);
        }
        for (int j = 0; j < i && segment[j] <= segment[i]; j++) {
            /* In one segment: samples follow samples; what each does for itself comes first; work
             * on blocks is alone behind that, but for the update of the same blocks, and those
             * behind it. */
            const tr_step *before = &p->steps[j];
            if (segment[j] != segment[i]) continue;
            bool updated = before->phase.partition == TR_BY_BLOCKS && before->node &&
                           p->plans[before->node->id].update_blocks == before->phase.n_blocks;
            ck_assert(before->phase.partition == TR_PER_THREAD ||
                      (by_samples(before) && by_samples(s)) ||
                      (s->update && (before->update || updated)));
        }
        /* A wait stands only where it must. */
        if (s->barrier) ck_assert(!by_samples(s) || !by_samples(s - 1));
    }
    for (int i = 0; i < p->graph->n_nodes; i++)
        ck_assert_int_eq(updates[i], training && p->graph->nodes[i].n_params > 0);
    for (int b = 0; b < p->n_buffers; b++) {
        const tr_buffer *buffer = &p->buffers[b];
        int first = INT32_MAX, last = -1;
        bool local = true;
        for (int i = 0; i < p->n_steps; i++) {
            if (!touches(&p->steps[i], b)) continue;
            first = (int)tr_min(first, i);
            last = i;
        }
        if (b == p->output || b == p->input_gradient) last = p->n_steps;
        if (last < 0) continue;
        ck_assert_int_eq(buffer->first, tr_min(first, last));
        ck_assert_int_eq(buffer->last, last);
        if (b == p->external) continue;
        if (last < p->n_steps && segment[first] == segment[last]) {
            for (int i = first; i <= last; i++) local &= by_samples(&p->steps[i]);
        } else {
            local = false;
        }
        ck_assert_int_eq(buffer->local, local);
        ck_assert_int_eq(buffer->offset % TR_ALIGN, 0);
        ck_assert_int_le(buffer->offset + buffer->bytes, local ? p->local_bytes : p->batch_bytes);
        /* Nobody else is in its place while it lives; other threads may be anywhere in a segment.
         */
        for (int o = 0; o < b; o++) {
            const tr_buffer *other = &p->buffers[o];
            if (o == p->external || other->last < 0 || other->local != local) continue;
            bool apart = local ? other->last < first || last < other->first
                               : segment[other->last] < segment[first] ||
                                     segment[last] < segment[other->first];
            bool clear = buffer->offset + buffer->bytes <= other->offset ||
                         other->offset + other->bytes <= buffer->offset;
            if (!apart && !clear) ck_abort_msg("buffers %d and %d overlap", o, b);
        }
    }
    tr_free(segment);
}

START_TEST(programs) {
    static const int batches[] = {1, 4, 16, 17, 128};
    tr_graph *graph = graph_of(networks[_i], image, 10);
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        for (unsigned flags = 0; flags < 8; flags++) {
            tr_program *p;
            tr_error err = {0};
            bool training = flags & TR_PROGRAM_TRAINS;
            ck_assert_int_eq(tr_program_create(graph, batches[b], flags, &p, &err), TR_OK);
            check_program(p, training);
            ck_assert_int_eq(p->external >= 0, !(flags & TR_PROGRAM_LOADS));
            ck_assert_int_eq(p->input_gradient >= 0,
                             training && (flags & TR_PROGRAM_INPUT_GRADIENT));
            /* No input gradient of the first layer unless somebody wants it. */
            for (int i = 0; i < p->n_steps; i++) {
                const tr_step *s = &p->steps[i];
                if (s->node == &graph->nodes[1] && !(flags & TR_PROGRAM_INPUT_GRADIENT))
                    ck_assert_int_eq(s->dx[0], TR_NO_BUFFER);
            }
            tr_program_free(p);
        }
    }
    tr_graph_free(graph);
}
END_TEST

/* LeNet in a large batch waits for nobody before the update; in a small one, around linear layers,
 * too. */
/* The update of a layer behind another's, which was by rows, waits for nobody. */
START_TEST(updates_in_a_row) {
    tr_graph *graph =
        graph_of("a = flatten\nb = linear out_features=64\nc = relu\nd = linear out_features=10\n",
                 image, 10);
    tr_program *p;
    ck_assert_int_eq(tr_program_create(graph, 4, TR_PROGRAM_TRAINS, &p, NULL), TR_OK);
    const tr_step *last = &p->steps[p->n_steps - 1];
    ck_assert(last->update && strcmp(last->node->name, "d") == 0 && !last->barrier);
    ck_assert(last[-1].update && strcmp(last[-1].node->name, "b") == 0 && !last[-1].barrier);
    tr_program_free(p);
    tr_graph_free(graph);
}
END_TEST

START_TEST(lenet_barriers) {
    tr_graph *graph = graph_of(lenet_layers, image, 10);
    static const struct {
        int batch;
        unsigned flags;
        int barriers;
    } cases[] = {{128, TR_PROGRAM_TRAINS, 1},
                 {128, TR_PROGRAM_TRAINS | TR_PROGRAM_LOADS, 1},
                 {4, 0, 0},
                 {256, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tr_program *p;
        int barriers = 0;
        ck_assert_int_eq(tr_program_create(graph, cases[i].batch, cases[i].flags, &p, NULL), TR_OK);
        for (int s = 0; s < p->n_steps; s++) barriers += p->steps[s].barrier;
        ck_assert_int_eq(barriers, cases[i].barriers);
        tr_program_free(p);
    }
    tr_program *p;
    ck_assert_int_eq(tr_program_create(graph, 4, TR_PROGRAM_TRAINS, &p, NULL), TR_OK);
    for (int s = 1; s < p->n_steps; s++) {
        const tr_node *node = p->steps[s].node, *before = p->steps[s - 1].node;
        if (!p->steps[s].barrier) continue;
        ck_assert(strncmp(node->name, "fc", 2) == 0 || strncmp(before->name, "fc", 2) == 0);
    }
    tr_program_free(p);
    tr_graph_free(graph);
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
    tcase_add_test(all, updates_in_a_row);
    tcase_add_test(all, lenet_barriers);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(program_suite());
}
