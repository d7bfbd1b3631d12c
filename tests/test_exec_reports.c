/* What the executor reports of itself: the times of its phases, its partition and its memory. */
#include "exec_run.h"

/* ---- times ---- */

enum { MOST_ROWS = 200, PROFILED_STEPS = 200 };
typedef struct profiled {
    run run;
    int n, n_cut;
    tr_profile_row rows[MOST_ROWS];
    double least_barrier; /* of a step, as a share of its rows */
    double cover;         /* rows of a step, as a share of its wall clock: the most */
} profiled;

static void profile(tr_team *team, void *arg) {
    static tr_profile_row before[MOST_ROWS];
    profiled *p = arg;
    tr_exec *exec;
    tr_result result;
    if (tr_exec_create(p->run.graph, &p->run.options, team, &exec, &p->run.err)) return;
    tr_input input = {
        .n = p->run.sizes[0], .x = p->run.x, .stride = p->run.stride, .labels = p->run.labels};
    p->n = tr_exec_profile(exec, p->rows, MOST_ROWS);
    p->least_barrier = 1;
    for (int i = 0; i < PROFILED_STEPS; i++) {
        memcpy(before, p->rows, sizeof before);
        double start = tr_now(), sum = 0;
        tr_exec_step(exec, team, &input, 0.01, i, &result);
        double wall = tr_now() - start;
        tr_exec_profile(exec, p->rows, MOST_ROWS);
        for (int k = 0; k < p->n; k++) sum += p->rows[k].seconds - before[k].seconds;
        double barrier = (p->rows[p->n - 1].seconds - before[p->n - 1].seconds) / sum;
        p->least_barrier = fmin(p->least_barrier, barrier);
        p->cover = fmax(p->cover, sum / wall);
    }
    tr_profile_row few[3];
    p->n_cut = tr_exec_profile(exec, few, 3);
    tr_exec_free(exec);
}

static int count_rows(const profiled *p, const char *node, const char *phase) {
    int n = 0;
    for (int i = 0; i < p->n; i++)
        n += strcmp(p->rows[i].node, node) == 0 && strcmp(p->rows[i].phase, phase) == 0;
    return n;
}

/* Each phase has one row, and the rows are what a clock around the step shows. Timing is what it
 * is: of many steps the one that was disturbed least counts. */
START_TEST(profile_covers_the_step) {
    static profiled p;
    static const char *const layers[] = {"conv1", "conv2", "fc1", "fc2", "fc3"};
    void *args = sgd_args("lr=0.01");
    for (int batch = 4; batch <= 32; batch += 28) {
        for (int threads = 1; threads <= 2; threads++) {
            p = (profiled){.run = new_run(lenet_layers, image, batch, 1, args)};
            p.run.options.profile = true;
            on_team(threads, profile, &p);
            ck_assert_msg(p.run.err.code == TR_OK, "%s", p.run.err.text);
            ck_assert_int_lt(p.n, MOST_ROWS);
            ck_assert_int_eq(p.n_cut, 3);
            for (int i = 0; i < 5; i++) {
                ck_assert_int_eq(count_rows(&p, layers[i], "forward"), 1);
                ck_assert_int_eq(count_rows(&p, layers[i], "weight gradient") +
                                     count_rows(&p, layers[i], "input gradient and update"),
                                 1);
            }
            ck_assert_int_eq(count_rows(&p, "loss", "loss"), 1);
            ck_assert_str_eq(p.rows[p.n - 1].phase, "barrier");
            for (int i = 0; i < p.n; i++) {
                const tr_profile_row *row = &p.rows[i];
                ck_assert_msg(count_rows(&p, row->node, row->phase) == 1, "%s %s", row->node,
                              row->phase);
                bool barrier = i == p.n - 1;
                ck_assert_msg(barrier || row->seconds > 0, "%s %s", row->node, row->phase);
                ck_assert(!barrier || row->overhead);
                if (strstr(row->phase, "update") == row->phase) ck_assert(row->overhead);
            }
            /* No more than the clock around the step shows, and all but the way to it and back. */
            ck_assert_double_le(p.cover, 1 + 1e-6);
            ck_assert_double_ge(p.cover, 0.8);
            /* Nothing is counted twice; and one thread has no others to wait for. */
            ck_assert_double_ge(p.least_barrier, -1e-6);
            if (threads == 1) ck_assert_double_le(p.least_barrier, 0.2);
            tr_graph_free(p.run.graph);
        }
    }
    tr_free(args);
}
END_TEST

/* ---- memory ---- */

typedef struct counted {
    tr_graph *graph;
    tr_exec_options options;
    int64_t reported, allocated;
    tr_error err;
} counted;

static void plan_and_allocate(tr_team *team, void *arg) {
    counted *c = arg;
    tr_exec *exec;
    tr_account before = {0}, after = {0};
    if (tr_exec_plan(c->graph, &c->options, tr_team_size(team), &exec, &c->err)) return;
    tr_exec_account(exec, &before);
    n_bytes = 0;
    tr_exec_allocate(exec, team, &c->err);
    c->allocated = n_bytes;
    tr_exec_account(exec, &after);
    c->reported = tr_account_total(&before);
    if (tr_account_total(&after) != c->reported) tr_fail(&c->err, TR_ECONFIG, "another sum");
    tr_exec_free(exec);
}

/* To the byte, but for the errors of the threads, which are gone when it returns. */
START_TEST(what_is_reported_is_allocated) {
    void *args = sgd_args("lr=0.05 momentum=0.9");
    for (int i = 0; i < 12; i++) {
        int threads = i % 3 + 1;
        counted c = {
            .graph = graph_of(i < 6 ? dag_layers : lenet_layers, i < 6 ? small_image : image, 10),
            .options = {.batch = i % 2 ? 3 : 100,
                        .training = i % 4 != 0,
                        .loads = i % 4 == 1,
                        .kernels = kernels_of("auto"),
                        .optimizer = i % 4 != 0 ? tr_optimizers[0] : NULL,
                        .optimizer_args = args,
                        .keep_gradients = i % 4 == 3}};
        on_team(threads, plan_and_allocate, &c);
        ck_assert_msg(c.err.code == TR_OK, "%s", c.err.text);
        ck_assert_int_gt(c.reported, 0);
        int64_t errors = tr_alloc_bytes((int64_t)tr_min(threads, 3), sizeof(tr_error));
        ck_assert_int_eq(c.allocated, c.reported + errors);
        tr_graph_free(c.graph);
    }
    tr_free(args);
}
END_TEST

START_TEST(memory_is_reported) {
    void *args = sgd_args("lr=0.05 momentum=0.9");
    run r = new_run(lenet_layers, image, 128, 0, args);
    bits_of(&r, 2);
    ck_assert_int_eq(r.shape.shard, 2); /* 128 over 64 */
    ck_assert_int_eq(r.shape.n_shards, 64);
    ck_assert_int_eq(r.shape.n_barriers, 1); /* before the update */
    ck_assert_int_eq(r.shape.chunk % r.shape.shard, 0);
    ck_assert_int_ge(r.account.bytes[TR_MEMORY_OPTIMIZER], 62006 * 4);
    ck_assert_int_gt(r.account.bytes[TR_MEMORY_THREADS], 0);
    ck_assert_int_gt(r.account.bytes[TR_MEMORY_BATCH], 0);
    tr_graph_free(r.graph);
    r = new_run(lenet_layers, image, 5, 2, args);
    bits_of(&r, 2);
    ck_assert_int_eq(r.shape.shard, 2);
    ck_assert_int_eq(r.shape.n_shards, 3);
    tr_graph_free(r.graph);
    tr_free(args);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exec_reports");
    TCase *all = tcase_create("exec_reports");
    setenv("CK_FORK", "no", 1);
    tcase_set_timeout(all, 60);
    tcase_add_unchecked_fixture(all, make_data, free_data);
    tcase_add_test(all, profile_covers_the_step);
    tcase_add_test(all, memory_is_reported);
    tcase_add_test(all, what_is_reported_is_allocated);
    suite_add_tcase(suite, all);
    return tr_check_run(suite);
}
