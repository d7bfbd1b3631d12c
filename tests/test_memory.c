/* Memory of a run: all of it is there before the first step, the sum that is printed is what the
 * process holds at its peak, and a run whose sum is above a limit is refused before it starts.
 *
 * Sanitizers hold memory, many times the program's: built with one, only what needs no numbers
 * is tested.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/base.h"
#include "program.h"
#include "trainer/trainer.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef COUNTS_LINES
#define COUNTS_LINES 0
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { MIB = 1 << 20 };

#define REST                                                                                       \
    "[loss]\ntype = cross_entropy\n"                                                               \
    "[optimizer]\ntype = sgd\nlr = 0.0001\nmomentum = 0.9\n"

/* Networks of more than 100 MiB, each in another kind. */
static const struct network {
    const char *name, *text;
} networks[] = {
    {"parameters", "[data]\ntype = synthetic\ntrain = 16\ntest = 16\n"
                   "[loader]\nbatch_size = 4\n"
                   "[network]\nflat = flatten\nfc1 = linear out_features=4096\nrelu1 = relu\n"
                   "fc2 = linear out_features=2048\nrelu2 = relu\nfc3 = linear "
                   "out_features=10\n" REST},
    {"convolutions",
     "[data]\ntype = synthetic\ntrain = 3\ntest = 3\nheight = 224\nwidth = 224\n"
     "[loader]\nbatch_size = 1\n"
     "[network]\nc1 = conv2d out_channels=64 kernel_size=11 stride=4 padding=2\nr1 = relu\n"
     "p1 = max_pool2d kernel_size=3 stride=2\nc2 = conv2d out_channels=192 kernel_size=5 "
     "padding=2\nr2 = relu\np2 = max_pool2d kernel_size=3 stride=2\n"
     "c3 = conv2d out_channels=384 kernel_size=3 padding=1\nr3 = relu\n"
     "c4 = conv2d out_channels=256 kernel_size=3 padding=1\nr4 = relu\n"
     "p4 = max_pool2d kernel_size=3 stride=2\nflat = flatten\n"
     "f1 = linear out_features=1024\nr5 = relu\nf2 = linear out_features=10\n" REST},
    {"batch", "[data]\ntype = synthetic\ntrain = 12000\ntest = 16\n"
              "[loader]\nbatch_size = 12000\nworkers = 1\n"
              "[network]\nc1 = conv2d out_channels=8 kernel_size=3\nr1 = relu\nflat = flatten\n"
              "fc3 = linear out_features=10\n" REST},
    {"samples", "[data]\ntype = synthetic\ntrain = 40000\ntest = 16\n"
                "[loader]\nbatch_size = 10000\nshuffle = true\ndrop_last = true\n"
                "[network]\nflat = flatten\nfc1 = linear out_features=10\n" REST},
    {"test", "[data]\ntype = synthetic\ntrain = 2\ntest = 256\nheight = 160\nwidth = 160\n"
             "[loader]\nbatch_size = 1\nworkers = 2\n"
             "[network]\nc1 = conv2d out_channels=32 kernel_size=3 padding=1\n"
             "c2 = conv2d out_channels=32 kernel_size=1\nc3 = add from=c1,c2\n"
             "p = max_pool2d kernel_size=8\nflat = flatten\nf = linear out_features=10\n" REST},
};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

static void write_network(int i) {
    write_whole("net.ini", networks[i].text, strlen(networks[i].text));
}

/* ---- before the first step ---- */

typedef struct seen {
    int64_t total, output, resident;
    int n_events, prefetch;
} seen;

static int look(const tr_event *event, void *arg) {
    seen *s = arg;
    if (event->kind != TR_EVENT_PLAN) return 0;
    s->n_events++;
    s->total = event->plan->memory_total;
    for (int i = 0; i < event->plan->n_memory; i++)
        if (strcmp(event->plan->memory[i].name, "output") == 0)
            s->output = event->plan->memory[i].bytes;
    s->prefetch = event->plan->prefetch;
    s->resident = tr_resident_memory();
    return 1; /* before anything runs */
}

/* All but the buffers for files and pictures, which are not kept, is resident when the plan is
 * printed. */
START_TEST(all_is_there) {
    tr_config *config;
    tr_error err = {0};
    seen s = {0};
    write_network(_i);
    ck_assert_msg(tr_config_read("net.ini", &config, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(tr_train(config, look, &s, NULL, &err), TR_ECANCELED);
    tr_config_free(config);
    ck_assert_int_eq(s.n_events, 1);
    ck_assert_int_gt(s.total, 100 * MIB);
    double wanted = (double)(s.total - s.output), share = (double)s.resident / wanted;
    if (!SANITIZED)
        ck_assert_msg(fabs(share - 1) < 0.03, "%s: %.1f MiB are resident, %.1f are planned",
                      networks[_i].name, (double)s.resident / MIB, wanted / MIB);
}
END_TEST

/* A dry run prints the same sum and allocates none of it. */
START_TEST(a_dry_run_holds_nothing) {
    tr_config *config;
    tr_error err = {0};
    seen s = {0};
    write_network(0);
    ck_assert_msg(tr_config_read("net.ini", &config, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(tr_dry_run(config, look, &s, &err), TR_ECANCELED);
    tr_config_free(config);
    ck_assert_int_gt(s.total, 100 * MIB);
    if (!SANITIZED) ck_assert_int_lt(tr_peak_memory(), 40 * MIB);
}
END_TEST

/* A benchmark holds no more than the training that it measures. */
START_TEST(a_benchmark_holds_it_once) {
    static tr_bench_step_result result;
    tr_config *config;
    tr_error err = {0};
    seen s = {0};
    write_network(0);
    ck_assert_msg(tr_config_read("net.ini", &config, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(tr_dry_run(config, look, &s, &err), TR_ECANCELED);
    err = (tr_error){0};
    ck_assert_msg(tr_bench_step(config, 0.1, &result, &err) == TR_OK, "%s", err.text);
    ck_assert_int_gt(result.n_rows, 5);
    tr_config_free(config);
    if (!SANITIZED) ck_assert_int_lt(tr_peak_memory(), s.total);
}
END_TEST

/* Batches that the plan says are ready at most are those that the loader has room for. */
START_TEST(prefetch_is_told) {
    static const struct {
        const char *sets[3];
        int prefetch;
    } cases[] = {{{"loader.workers=0"}, 0},
                 {{"loader.workers=2", "loader.prefetch=1"}, 2},
                 {{"loader.workers=1", "loader.prefetch=3"}, 3},
                 {{"loader.workers=2", "loader.prefetch=3"}, 4}, /* an epoch has no more */
                 {{"loader.workers=1", "loader.prefetch=1"}, 2}, /* one in training, one at work */
                 {{"loader.workers=1", "loader.batch_size=16"}, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tr_config *config;
        tr_error err = {0};
        seen s = {0};
        write_network(0); /* 16 images in batches of 4 */
        ck_assert_msg(tr_config_read("net.ini", &config, &err) == TR_OK, "%s", err.text);
        for (int j = 0; cases[i].sets[j]; j++)
            ck_assert_int_eq(tr_config_set(config, cases[i].sets[j], &err), TR_OK);
        ck_assert_int_eq(tr_dry_run(config, look, &s, &err), TR_ECANCELED);
        tr_config_free(config);
        ck_assert_int_eq(s.prefetch, cases[i].prefetch);
    }
}
END_TEST

/* ---- limits ---- */

/* "memory     248 MiB: ..." -> bytes */
static double printed_total(const char *out) {
    const char *line = strstr(out, "\nmemory ");
    char unit[8] = "";
    double number = 0;
    ck_assert_msg(line != NULL, "no line 'memory': %s", out);
    ck_assert_int_eq(sscanf(line + strlen("\nmemory "), "%lf %7[A-Za-z]", &number, unit), 2);
    return number * (strcmp(unit, "GiB") == 0 ? 1024 * MIB : MIB);
}

static void run_limited(program *p, int resource, double bytes, const char *out, const char *dry) {
    struct rlimit before, limit;
    ck_assert_int_eq(getrlimit(resource, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)bytes;
    ck_assert_int_eq(setrlimit(resource, &limit), 0);
    RUN(p, "--config", "net.ini", "--threads", "1", "--out", out, dry);
    ck_assert_int_eq(setrlimit(resource, &before), 0);
}

START_TEST(above_a_limit_it_is_refused) {
    static const int resources[] = {RLIMIT_AS, RLIMIT_DATA};
    static const char *const names[] = {"(ulimit -v) allows", "(ulimit -d) allows"};
    static const char *const wanted[] = {"trainer: out of memory: ",
                                         "would be needed (",
                                         "MiB parameters, ",
                                         "MiB optimizer, ",
                                         " threads, ",
                                         " data, ",
                                         " test, ",
                                         " program), "};
    program p;
    write_network(0);
    RUN(&p, "--config", "net.ini", "--threads", "1", "--dry-run");
    ck_assert_msg(p.code == 0, "%s", p.err);
    double total = printed_total(p.out);
    for (int dry = 0; dry < 2; dry++) {
        run_limited(&p, resources[_i], 0.9 * total, "refused", dry ? "--dry-run" : NULL);
        ck_assert_msg(p.code == 1, "exit code %d: %s", p.code, p.err);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            ck_assert_msg(strstr(p.err, wanted[i]) != NULL, "no '%s': %s", wanted[i], p.err);
        ck_assert_msg(strstr(p.err, names[_i]) != NULL, "no '%s': %s", names[_i], p.err);
        ck_assert_ptr_eq(strchr(p.err, '\n'), p.err + strlen(p.err) - 1);
        ck_assert(!tr_exists("refused"));
        if (dry) /* the plan is printed all the same */
            ck_assert_msg(strstr(p.out, "more than what the limit on ") != NULL, "%s", p.out);
        else
            ck_assert_str_eq(p.out, "");
    }
}
END_TEST

/* Steps, tests, saving and pictures included. */
START_TEST(the_peak_is_what_was_printed) {
    program p;
    const char *run = networks[_i].name;
    write_network(_i);
    RUN(&p, "--config", "net.ini", "--out", run);
    ck_assert_msg(p.code == 0, "%s", p.err);
    json_t *summary = load_json(run, "summary.json");
    double peak = json_number_value(json_object_get(summary, "peak_rss_bytes"));
    double total = printed_total(p.out);
    json_decref(summary);
    ck_assert_msg(fabs(peak / total - 1) < 0.1, "%s: the peak is %.1f MiB, %.1f were printed", run,
                  peak / MIB, total / MIB);
}
END_TEST

/* A limit that leaves the sum and little more: nothing fails later. */
START_TEST(within_a_limit_it_ends_well) {
    program p;
    write_network(0);
    RUN(&p, "--config", "net.ini", "--threads", "1", "--dry-run");
    ck_assert_msg(p.code == 0, "%s", p.err);
    /* Addresses that are never resident: stacks and arenas of threads. */
    run_limited(&p, RLIMIT_DATA, printed_total(p.out) + 64 * MIB, "limited", NULL);
    ck_assert_msg(p.code == 0, "%s", p.err);
    ck_assert_str_eq(p.err, "");
    ck_assert(tr_exists("limited/model.safetensors") && tr_exists("limited/confusion.png"));
}
END_TEST

/* Where it is the batch that is too large, its key is named. */
START_TEST(a_smaller_batch_is_advised) {
    program p;
    write_network(2);
    RUN(&p, "--config", "net.ini", "--threads", "1", "--dry-run");
    ck_assert_msg(p.code == 0, "%s", p.err);
    run_limited(&p, RLIMIT_DATA, 0.8 * printed_total(p.out), "refused", "--dry-run");
    ck_assert_int_eq(p.code, 2);
    ck_assert_msg(
        strstr(p.err, "net.ini:6: loader.batch_size: 12000 is too large: out of memory: "), "%s",
        p.err);
    write_network(0);
    run_limited(&p, RLIMIT_DATA, 100 * MIB, "refused", "--dry-run");
    ck_assert_int_eq(p.code, 1);
    ck_assert_msg(strstr(p.err, "batch_size") == NULL, "%s", p.err);
}
END_TEST

/* Under any limit on addresses the program reports an error or trains and draws; and where it
 * trains, it does so with more, too. */
START_TEST(under_any_limit_it_ends_well) {
    char command[4096];
    bool trained = false;
    write_config("net.ini", 0, NULL);
    for (int mib = 12; mib <= 220; mib += mib < 64 ? 1 : 12) {
        size_t bytes;
        snprintf(command, sizeof command,
                 "ulimit -v %d && exec '%s' --config net.ini --threads 2 --workers 1 --quiet --out "
                 "any-%d > any.out 2> any.err",
                 mib * 1024, program_path(), mib);
        int status = system(command);
        char *text = read_whole("any.err", &bytes);
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
        /* 127: not enough for the program's libraries. */
        ck_assert_msg(code < 3 || code == 127, "%d MiB: exit code %d: %s", mib, code, text);
        ck_assert_msg(code == 0 || bytes > 0, "%d MiB: no message", mib);
        ck_assert_msg(code == 0 || !trained, "%d MiB: exit code %d: %s", mib, code, text);
        trained = code == 0;
        free(text);
    }
    ck_assert_msg(trained, "it never trained");
}
END_TEST

/* Sizes that fit no machine, and sums that fit no 64 bits. */
START_TEST(sums_that_fit_nothing) {
    static const char *const sets[] = {"network.fc1=linear out_features=16777216",
                                       "loader.batch_size=16777216"};
    program p;
    write_network(0);
    RUN(&p, "--config", "net.ini", "--dry-run", "--set", sets[0]);
    ck_assert_int_eq(p.code, 2);
    ck_assert_msg(strstr(p.err, "--set: fc1: out_features=16777216 for 3072 features ") != NULL,
                  "%s", p.err);
    /* The data set has no more. */
    RUN(&p, "--config", "net.ini", "--dry-run", "--set", sets[1]);
    ck_assert_msg(p.code == 0, "%s", p.err);
}
END_TEST

static Suite *memory_suite(void) {
    Suite *suite = suite_create("memory");
    TCase *all = tcase_create("memory");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, all_is_there, 0, N_NETWORKS);
    tcase_add_test(all, a_dry_run_holds_nothing);
    tcase_add_test(all, a_benchmark_holds_it_once);
    tcase_add_test(all, prefetch_is_told);
    if (!SANITIZED) tcase_add_loop_test(all, above_a_limit_it_is_refused, 0, 2);
    if (!SANITIZED) tcase_add_loop_test(all, the_peak_is_what_was_printed, 0, N_NETWORKS);
    if (!SANITIZED) tcase_add_test(all, within_a_limit_it_ends_well);
    if (!SANITIZED) tcase_add_test(all, a_smaller_batch_is_advised);
    /* A program that counts lines needs more memory at its end than any that is planned. */
    if (!SANITIZED && !COUNTS_LINES) tcase_add_test(all, under_any_limit_it_ends_well);
    tcase_add_test(all, sums_that_fit_nothing);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return program_main(memory_suite());
}
