/* The library in a host program: what it leaves alone, and that nothing ends or hangs the host.
 *
 * Each case is a host of its own: this program, started anew with the name of the case, an
 * environment and limits, because variables of OpenMP and what a process has done with threads are
 * settled for its life. A host says on standard output what its run came to and ends with 0; a
 * check that fails ends it with a line on standard error. No host uses Check: its longjmp must not
 * leave a listener.
 */
#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "check_main.h"
#include "trainer/trainer.h"

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Sanitizers start threads of their own and end a process that cannot read its affinity. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static const char configuration[] = "[data]\ntype = synthetic\ntrain = 96\ntest = 32\n"
                                    "height = 8\nwidth = 8\n"
                                    "[loader]\nbatch_size = 8\nshuffle = true\n"
                                    "[network]\nconv = conv2d out_channels=4 kernel_size=3\n"
                                    "relu = relu\npool = max_pool2d kernel_size=2\n"
                                    "flatten = flatten\nfc = linear out_features=10\n"
                                    "[loss]\ntype = cross_entropy\n"
                                    "[optimizer]\ntype = sgd\nlr = 0.0503\nmomentum = 0.9\n"
                                    "[train]\nepochs = 2\nlog_every = 5\n";

/* ---- what hosts have in common ---- */

static tr_config *new_config(const char *assignment) {
    tr_error err = {0};
    tr_config *config;
    const char *more = getenv("HOST_MORE");
    if (tr_config_read("net.ini", &config, &err) ||
        (assignment && tr_config_set(config, assignment, &err)) ||
        (more && tr_config_set(config, more, &err))) {
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    return config;
}

static int train_with(const char *assignment, tr_listener listener, void *arg, tr_summary *summary,
                      tr_error *err) {
    tr_config *config = new_config(assignment);
    int code = tr_train(config, listener, arg, summary, err);
    tr_config_free(config);
    return code;
}

/* A training whose weights are said on standard output, or the failure, which ends the host. */
static void train_and_say(const char *assignment, tr_listener listener, void *arg) {
    tr_error err = {0};
    tr_summary summary;
    int code = train_with(assignment, listener, arg, &summary, &err);
    if (code) {
        fprintf(stderr, "%d: %s\n", code, err.text);
        _exit(3);
    }
    printf("%s\n", summary.weights_sha256);
}

/* ---- hosts ---- */

static int say_placement(const tr_event *event, void *arg) {
    (void)arg;
    if (event->kind == TR_EVENT_PLAN) printf("%s\n", event->plan->placement);
    return 0;
}

static int host_plain(void) {
    train_and_say(getenv("HOST_SET"), NULL, NULL);
    return 0;
}

static int host_placement(void) {
    tr_error err = {0};
    tr_config *config = new_config(getenv("HOST_SET"));
    REQUIRE(tr_dry_run(config, say_placement, NULL, &err) == TR_OK);
    tr_config_free(config);
    return 0;
}

static int host_placement_and_run(void) {
    host_placement();
    train_and_say(getenv("HOST_SET"), NULL, NULL);
    return 0;
}

/* All that the library can do, pictures included. */
static int host_all(void) {
    static tr_bench_step_result step;
    static tr_summary summary;
    tr_error err = {0};
    tr_config *config = new_config(getenv("HOST_SET")), *of_run;
    tr_prediction predictions[2];
    tr_bench_loader_result loader;
    tr_bench_scaling_row rows[2];
    const int threads[] = {1, 2};
    double gflops;
    REQUIRE(tr_train(config, NULL, NULL, &summary, &err) == TR_OK);
    printf("%s\n", summary.weights_sha256);
    char run_dir[64];
    snprintf(run_dir, sizeof run_dir, "%s", summary.run_dir);
    REQUIRE(tr_config_of_run(run_dir, &of_run, &err) == TR_OK);
    REQUIRE(tr_evaluate(of_run, run_dir, &summary, &err) == TR_OK);
    REQUIRE(tr_predict(of_run, run_dir, 2, 1, predictions, "predicted.png", &err) == TR_OK);
    REQUIRE(tr_bench_peak("auto", 2, 1, &gflops, &err) == TR_OK);
    REQUIRE(tr_bench_step(config, 0.05, &step, &err) == TR_OK);
    REQUIRE(tr_bench_loader(config, 1, 0.05, &loader, &err) == TR_OK);
    REQUIRE(tr_bench_scaling(config, threads, 2, 0.05, rows, "scaling.png", &err) == TR_OK);
    REQUIRE(tr_bench_cores() >= 1);
    tr_config_free(of_run);
    tr_config_free(config);
    return 0;
}

/* A host's thread as it was before the call. */
typedef struct self {
    pthread_t thread;
    int rounding;
    float subnormal;
    cpu_set_t cpus;
    sigset_t blocked;
    char locale[64];
    int events;
} self;

static float half(float x) {
    volatile float y = x;
    return y * 0.5f;
}

static bool same_signals(const sigset_t *a, const sigset_t *b) {
    for (int s = 1; s < NSIG; s++)
        if (sigismember(a, s) != sigismember(b, s)) return false;
    return true;
}

static self look(void) {
    self s = {.thread = pthread_self(), .rounding = fegetround(), .subnormal = half(FLT_MIN)};
    REQUIRE(sched_getaffinity(0, sizeof s.cpus, &s.cpus) == 0);
    REQUIRE(pthread_sigmask(SIG_SETMASK, NULL, &s.blocked) == 0);
    snprintf(s.locale, sizeof s.locale, "%s", setlocale(LC_ALL, NULL));
    return s;
}

static void require_same(const self *before) {
    self now = look();
    REQUIRE(pthread_equal(now.thread, before->thread));
    REQUIRE(now.rounding == before->rounding);
    REQUIRE(now.subnormal == before->subnormal);
    REQUIRE(CPU_EQUAL(&now.cpus, &before->cpus));
    REQUIRE(same_signals(&now.blocked, &before->blocked));
    REQUIRE(strcmp(now.locale, before->locale) == 0);
    REQUIRE(!omp_in_parallel());
}

static int require_untouched(const tr_event *event, void *arg) {
    self *before = arg;
    (void)event;
    before->events++;
    require_same(before);
    return 0;
}

/* The caller's modes neither change nor matter. The locale with commas is there where one is
 * installed. */
static int host_modes(void) {
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "comma"};
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    REQUIRE(pthread_sigmask(SIG_BLOCK, &some, NULL) == 0);
    for (size_t i = 0; i < sizeof commas / sizeof *commas; i++)
        if (setlocale(LC_ALL, commas[i])) break;
    static const int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++) {
        REQUIRE(fesetround(roundings[i]) == 0);
        self before = look();
        train_and_say(i % 2 ? NULL : "loader.workers=2", require_untouched, &before);
        require_same(&before);
        REQUIRE(before.events > 5);
    }
    REQUIRE(fesetround(FE_TONEAREST) == 0);
    feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW); /* SIGFPE, were it inherited */
    train_and_say(NULL, NULL, NULL);
    return 0;
}

static pthread_t main_thread;
static atomic_int n_handled, n_elsewhere;

static void handle(int signal) {
    (void)signal;
    atomic_fetch_add(pthread_equal(pthread_self(), main_thread) ? &n_handled : &n_elsewhere, 1);
}

/* Signals of the process, sent by it while it trains, are handled by its own thread; those of the
 * file-size limit and of pipes do not end it. */
static int send_signals(const tr_event *event, void *arg) {
    (void)event, (void)arg;
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    /* Nobody of the library's takes what this thread does not want now. */
    REQUIRE(pthread_sigmask(SIG_BLOCK, &one, &before) == 0);
    kill(getpid(), SIGUSR1);
    sched_yield();
    REQUIRE(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return 0;
}

static int host_signals(void) {
    struct sigaction action = {.sa_handler = handle};
    main_thread = pthread_self();
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    train_and_say("loader.workers=2", send_signals, NULL);
    REQUIRE(n_handled > 5);
    REQUIRE(n_elsewhere == 0);
    return 0;
}

/* ---- forks ---- */

/* Wait for a child, which has twenty seconds. */
static int code_of(pid_t child) {
    int status;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void require_refused(int code, const tr_error *err) {
    REQUIRE(code == TR_ESYSTEM);
    REQUIRE(strstr(err->text, "forked") != NULL);
}

static int host_fork_after(void) {
    train_and_say(NULL, NULL, NULL);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        tr_error err = {0};
        tr_summary summary;
        double gflops;
        alarm(20);
        require_refused(train_with(NULL, NULL, NULL, &summary, &err), &err);
        err = (tr_error){0};
        require_refused(train_with("run.threads=1", NULL, NULL, NULL, &err), &err);
        err = (tr_error){0};
        require_refused(tr_bench_peak("auto", 2, 1, &gflops, &err), &err);
        REQUIRE(tr_bench_cores() >= 1);
        _exit(0);
    }
    REQUIRE(code_of(child) == 0);
    train_and_say(NULL, NULL, NULL); /* the parent goes on */
    return 0;
}

static int fork_once(const tr_event *event, void *arg) {
    pid_t *child = arg;
    if (event->kind == TR_EVENT_LOG && *child < 0) {
        *child = fork();
        if (*child == 0) alarm(20);
    }
    return 0;
}

static int host_fork_in_listener(void) {
    pid_t child = -1;
    tr_error err = {0};
    tr_summary summary;
    int code = train_with(NULL, fork_once, &child, &summary, &err);
    if (child == 0) {
        require_refused(code, &err);
        _exit(0);
    }
    REQUIRE(code == TR_OK);
    REQUIRE(code_of(child) == 0);
    return 0;
}

/* The host has used OpenMP and libraries before it forks, but not this one. */
static int host_fork_before(void) {
    int sum = 0;
#pragma omp parallel num_threads(3) reduction(+ : sum)
    sum += 1;
    REQUIRE(sum == 3);
    tr_config_free(new_config(NULL));
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        train_and_say(NULL, NULL, NULL);
        fflush(stdout);
        _exit(0);
    }
    REQUIRE(code_of(child) == 0);
    return 0;
}

/* ---- threads ---- */

static int host_in_region(void) {
    int n_refused = 0;
#pragma omp parallel num_threads(2) reduction(+ : n_refused)
    {
        tr_error err = {0};
        tr_summary summary;
        int code = train_with(NULL, NULL, NULL, &summary, &err);
        REQUIRE(code == TR_ESYSTEM);
        REQUIRE(strstr(err.text, "parallel region") != NULL);
        n_refused++;
    }
    REQUIRE(n_refused == 2);
    train_and_say(NULL, NULL, NULL);
    return 0;
}

static void *train_beside(void *arg) {
    tr_error err = {0};
    REQUIRE(train_with("loader.workers=1", NULL, NULL, arg, &err) == TR_OK);
    return NULL;
}

static int host_two_at_once(void) {
    static tr_summary summaries[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&threads[i], NULL, train_beside, &summaries[i]) == 0);
    for (int i = 0; i < 2; i++) REQUIRE(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 2; i++) printf("%s\n", summaries[i].weights_sha256);
    return 0;
}

/* A run from a listener: of another configuration, while the first one waits. */
static int train_inside(const tr_event *event, void *arg) {
    (void)arg;
    if (event->kind == TR_EVENT_EPOCH) train_and_say(NULL, NULL, NULL);
    return 0;
}

static int host_nested(void) {
    train_and_say(NULL, train_inside, NULL);
    return 0;
}

/* After it was refused the host goes on. */
static int host_refused(void) {
    tr_error err = {0};
    tr_summary summary;
    int code = train_with(getenv("HOST_SET"), NULL, NULL, &summary, &err);
    printf("%d %s\n", code, err.text);
    return 0;
}

/* Again and again where just so many threads are allowed: those of one call are gone, for the
 * system, too, when the next starts its own. */
static int host_again(void) {
    for (int i = 0; i < 4; i++) train_and_say("run.oversubscribe=true", NULL, NULL);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} hosts[] = {
    {"plain", host_plain},
    {"placement", host_placement},
    {"placement_and_run", host_placement_and_run},
    {"all", host_all},
    {"modes", host_modes},
    {"signals", host_signals},
    {"fork_after", host_fork_after},
    {"fork_in_listener", host_fork_in_listener},
    {"fork_before", host_fork_before},
    {"in_region", host_in_region},
    {"two_at_once", host_two_at_once},
    {"nested", host_nested},
    {"refused", host_refused},
    {"again", host_again},
};

static int be_host(const char *name) {
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        if (strcmp(hosts[i].name, name) == 0) {
            int code = hosts[i].run();
            return fflush(stdout) ? 1 : code;
        }
    }
    return 2;
}

/* ---- starting a host ---- */

enum { MOST_VARIABLES = 4, OUTPUT = 8192 };
#define FOUR "HOST_SET=run.threads=4", "HOST_MORE=run.oversubscribe=true"

typedef struct host {
    const char *name;
    const char *set[MOST_VARIABLES]; /* "NAME=VALUE" */
    void (*limit)(void);             /* in the host's process, before it starts */
    int code;
    char out[OUTPUT], err[OUTPUT];
} host;

static char folder[64], weights[65];

static void read_back(FILE *file, char text[OUTPUT]) {
    rewind(file);
    text[fread(text, 1, OUTPUT - 1, file)] = '\0';
    fclose(file);
}

static void start_host(host *h) {
    FILE *out = tmpfile(), *err = tmpfile();
    int status;
    ck_assert(out && err);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        for (int i = 0; i < MOST_VARIABLES && h->set[i]; i++) putenv((char *)(uintptr_t)h->set[i]);
        dup2(fileno(out), 1);
        dup2(fileno(err), 2);
        if (chdir(folder)) _exit(126);
        alarm(50);
        if (h->limit) h->limit();
        execl("/proc/self/exe", "test_embed", h->name, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    h->code = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
    read_back(out, h->out);
    read_back(err, h->err);
}

/* Start it: it ends well, and every line of its output that is a sum of weights is the plain one.
 * Returns how many those were. */
static int run_host(host *h) {
    start_host(h);
    ck_assert_msg(h->code == 0, "%s %s: code %d: %s%s", h->name, h->set[0] ? h->set[0] : "",
                  h->code, h->err, h->out);
    int n = 0;
    for (const char *line = h->out; *line; line++) {
        size_t length = strcspn(line, "\n");
        if (length == 64) {
            ck_assert_msg(strncmp(line, weights, 64) == 0, "%s %s: other weights", h->name,
                          h->set[0] ? h->set[0] : "");
            n++;
        }
        line += length;
        if (!*line) break;
    }
    return n;
}

static void make_folder(void) {
    snprintf(folder, sizeof folder, "%s/trainer-embed-XXXXXX", P_tmpdir);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char path[128];
    snprintf(path, sizeof path, "%s/runs", folder);
    ck_assert(mkdir(path, 0777) == 0 && chmod(path, 0777) == 0 && chmod(folder, 0777) == 0);
    snprintf(path, sizeof path, "%s/net.ini", folder);
    FILE *file = fopen(path, "w");
    ck_assert(file && fputs(configuration, file) >= 0 && fclose(file) == 0);
    host h = {.name = "plain"};
    start_host(&h);
    ck_assert_msg(h.code == 0 && strlen(h.out) == 65, "%s", h.err);
    memcpy(weights, h.out, 64);
}

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

/* ---- tests ---- */

START_TEST(untouched) {
    host h = {.name = "modes"};
    ck_assert_int_eq(run_host(&h), 5);
}
END_TEST

START_TEST(signals) {
    host h = {.name = "signals"};
    ck_assert_int_eq(run_host(&h), 1);
}
END_TEST

START_TEST(forks) {
    host after = {.name = "fork_after"}, inside = {.name = "fork_in_listener"},
         before = {.name = "fork_before"};
    ck_assert_int_eq(run_host(&after), 2);
    run_host(&inside);
    ck_assert_int_eq(run_host(&before), 1);
}
END_TEST

START_TEST(several) {
    host region = {.name = "in_region"}, two = {.name = "two_at_once"}, nested = {.name = "nested"};
    ck_assert_int_eq(run_host(&region), 1);
    ck_assert_int_eq(run_host(&two), 2);
    ck_assert_int_eq(run_host(&nested), 3);
}
END_TEST

static void small_stack(void) {
    struct rlimit limit = {64 << 10, 64 << 10};
    setrlimit(RLIMIT_STACK, &limit);
}

/* From 64 KiB on a stack is enough, for the team, the loader and the host's own thread. */
START_TEST(stacks) {
    static host h[] = {
        {.name = "all", .set = {"OMP_STACKSIZE=64k", "HOST_SET=loader.workers=1"}},
        {.name = "all", .set = {"HOST_SET=loader.workers=1"}, .limit = small_stack},
        {.name = "all", .set = {"HOST_SET=run.oversubscribe=true"}, .limit = small_stack},
    };
    ck_assert_int_eq(run_host(&h[_i]), 1);
}
END_TEST

static void check_refusal(host *h, const char *part) {
    start_host(h);
    ck_assert_msg(h->code == 0 && atoi(h->out) == TR_ESYSTEM && strstr(h->out, part),
                  "%s %s: code %d: %s%s", h->name, h->set[0] ? h->set[0] : "", h->code, h->err,
                  h->out);
}

/* Smaller ones are refused, and what OpenMP calls invalid is none: never a crash. */
START_TEST(wrong_stacks) {
    static host small = {.name = "refused", .set = {"OMP_STACKSIZE=17k", FOUR}},
                large = {.name = "refused", .set = {"OMP_STACKSIZE=100000g", FOUR}};
    check_refusal(&small, "OMP_STACKSIZE");
    check_refusal(&large, "only 1 of 4 threads can be started");
    static const char *const invalid[] = {"OMP_STACKSIZE=0", "OMP_STACKSIZE=1k", "OMP_STACKSIZE=-1",
                                          "OMP_STACKSIZE=lots", "OMP_STACKSIZE="};
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++) {
        host h = {.name = "plain", .set = {invalid[i], FOUR}};
        ck_assert_int_eq(run_host(&h), 1);
    }
}
END_TEST

/* A user of its own for each host, where root may make one: no other process's threads count then,
 * and root's own never do. */
static void allow_threads(rlim_t n) {
    struct rlimit limit = {n, n};
    const uid_t nobody = 100000 + (uid_t)getpid();
    if (setrlimit(RLIMIT_NPROC, &limit) || setgid(nobody) || setuid(nobody)) _exit(125);
}

static void allow_1(void) {
    allow_threads(1);
}
static void allow_3(void) {
    allow_threads(3);
}
static void allow_5(void) {
    allow_threads(5);
}

START_TEST(few_threads) {
    if (geteuid() != 0 || SANITIZED) return;
    host h = {.name = "refused", .set = {FOUR}, .limit = allow_1};
    start_host(&h);
    if (h.code == 125 || h.code == 127) return; /* no such user here, or none of its business */
    check_refusal(&h, "a thread cannot be started");
    h.limit = allow_3; /* the caller's, the call's, and one */
    check_refusal(&h, "only 2 of 4 threads can be started");
    h = (host){.name = "again", .set = {"OMP_NUM_THREADS=4"}, .limit = allow_5};
    ck_assert_int_eq(run_host(&h), 4);
}
END_TEST

/* ---- OpenMP's variables ---- */

static const struct {
    const char *set[MOST_VARIABLES];
    const char *placement; /* the line begins so; NULL: any */
    bool silent;           /* nothing on standard error */
} variables[] = {
    {{"OMP_NUM_THREADS=1"}, "1 thread on 1 core", true},
    {{"OMP_NUM_THREADS=3"}, "3 threads", true},
    {{"OMP_NUM_THREADS= 3 , 2"}, "3 threads", true},
    {{"OMP_NUM_THREADS=3", "HOST_SET=run.threads=1"}, "1 thread on", true},
    {{"OMP_NUM_THREADS=100000"}, "1024 threads requested", true},
    {{"OMP_NUM_THREADS=0"}, NULL, false},
    {{"OMP_NUM_THREADS=-3"}, NULL, false},
    {{"OMP_NUM_THREADS=many"}, NULL, false},
    {{"OMP_THREAD_LIMIT=1"}, "1 thread on 1 core", true},
    {{"OMP_THREAD_LIMIT=1", "HOST_SET=run.threads=3"}, "3 threads requested, 1 runs", true},
    {{"OMP_THREAD_LIMIT=2", "HOST_SET=run.oversubscribe=true", "OMP_NUM_THREADS=5"},
     "2 threads on",
     true},
    {{"OMP_THREAD_LIMIT=0"}, NULL, false},
    {{"OMP_DYNAMIC=true", FOUR}, "4 threads on", true},
    {{"OMP_MAX_ACTIVE_LEVELS=0", FOUR}, "4 threads on", true},
    {{"OMP_MAX_ACTIVE_LEVELS=1", FOUR}, "4 threads on", true},
    {{"OMP_NESTED=true", FOUR}, "4 threads on", true},
    {{"OMP_WAIT_POLICY=active", FOUR}, "4 threads on", true},
    {{"OMP_WAIT_POLICY=passive", FOUR}, "4 threads on", true},
    {{"GOMP_SPINCOUNT=infinite", FOUR}, "4 threads on", true},
    {{"OMP_CANCELLATION=true", FOUR}, "4 threads on", true},
    {{"OMP_SCHEDULE=dynamic,4", FOUR}, "4 threads on", true},
    {{"OMP_DISPLAY_ENV=true", FOUR}, "4 threads on", false},
    {{"OMP_PROC_BIND=true"}, NULL, true},
    {{"OMP_PROC_BIND=false"}, NULL, true},
    {{"OMP_PROC_BIND=master"}, NULL, true},
    {{"OMP_PLACES=cores"}, NULL, true},
    {{"OMP_PLACES=nowhere"}, NULL, false},
    {{"GOMP_CPU_AFFINITY=0"}, NULL, true},
    {{"OMP_PROC_BIND=true", FOUR}, "4 threads on", true},
};
enum { N_VARIABLES = sizeof variables / sizeof *variables };

START_TEST(openmp) {
    host h = {.name = "placement"};
    memcpy(h.set, variables[_i].set, sizeof h.set);
    run_host(&h); /* a dry run opens the team, too */
    const char *placement = variables[_i].placement;
    if (placement)
        ck_assert_msg(strncmp(h.out, placement, strlen(placement)) == 0, "%s: %s", h.set[0], h.out);
    if (variables[_i].silent) ck_assert_str_eq(h.err, "");
}
END_TEST

START_TEST(openmp_and_weights) {
    static host h[] = {
        {.name = "plain", .set = {"OMP_DYNAMIC=true", "OMP_MAX_ACTIVE_LEVELS=0", FOUR}},
        {.name = "plain", .set = {"OMP_PROC_BIND=true", "OMP_PLACES=cores", FOUR}},
        {.name = "plain", .set = {"OMP_NUM_THREADS=3", "HOST_SET=run.oversubscribe=true"}},
        {.name = "plain", .set = {"OMP_THREAD_LIMIT=2", "OMP_WAIT_POLICY=active", FOUR}},
    };
    ck_assert_int_eq(run_host(&h[_i]), 1);
}
END_TEST

/* ---- sandboxes ---- */

/* From now on the system calls are refused; they are put through where seccomp is not there. */
static void refuse(const int *calls, int n, int reason) {
    enum { MOST = 4 };
    struct sock_filter filter[MOST * 2 + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0 /* the number of the call */)};
    int length = 1;
    for (int i = 0; i < n && i < MOST; i++) {
        filter[length++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
        filter[length++] =
            (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)reason);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)length, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit(125);
}

static void no_affinity(void) {
    refuse((const int[]){SYS_sched_getaffinity, SYS_sched_setaffinity}, 2, EPERM);
}
static void unknown_affinity(void) {
    refuse((const int[]){SYS_sched_getaffinity, SYS_sched_setaffinity}, 2, ENOSYS);
}
static void no_binding(void) {
    refuse((const int[]){SYS_sched_setaffinity}, 1, EPERM);
}
static void no_reading(void) {
    refuse((const int[]){SYS_sched_getaffinity}, 1, EPERM);
}
static void no_threads(void) {
    refuse((const int[]){SYS_clone,
#ifdef SYS_clone3
                         SYS_clone3
#else
                         SYS_clone
#endif
           },
           2, EAGAIN);
}

/* Nothing of the system's is in /sys, or in /proc either. */
static void empty_folder(const char *path) {
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", path, "tmpfs", 0, NULL))
        _exit(125);
}
static void no_sys(void) {
    empty_folder("/sys");
}

START_TEST(sandboxes) {
    static void (*const limits[])(void) = {no_affinity, unknown_affinity, no_binding, no_reading,
                                           no_sys};
    host h = {.name = "placement_and_run", .limit = limits[_i]};
    if (SANITIZED) return;
    start_host(&h);
    if (h.code == 125) return; /* not here, or not by this user */
    ck_assert_int_eq(run_host(&h), 1);
    ck_assert_str_eq(h.err, "");
    if (_i < 2) ck_assert_msg(strstr(h.out, "the system does not say"), "%s", h.out);
}
END_TEST

START_TEST(no_thread) {
    host h = {.name = "refused", .limit = no_threads};
    if (SANITIZED) return;
    start_host(&h);
    if (h.code == 125) return;
    check_refusal(&h, "a thread cannot be started");
}
END_TEST

/* Variables that override what hwloc finds, valid or not. */
START_TEST(strange_machines) {
    static const char *const set[] = {
        "HWLOC_SYNTHETIC=core:64 pu:2", "HWLOC_SYNTHETIC=core:1 pu:1(indexes=77)",
        "HWLOC_SYNTHETIC=nonsense",     "HWLOC_XMLFILE=/nowhere.xml",
        "HWLOC_FSROOT=/nowhere",        "HWLOC_COMPONENTS=no_os",
        "HWLOC_COMPONENTS=stop",        "HWLOC_CPUID_PATH=/nowhere",
    };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        host h = {.name = "placement", .set = {set[i]}};
        run_host(&h);
    }
}
END_TEST

static Suite *embed_suite(void) {
    Suite *suite = suite_create("embed");
    TCase *all = tcase_create("embed");
    tcase_set_timeout(all, 60);
    tcase_add_unchecked_fixture(all, make_folder, remove_folder);
    tcase_add_test(all, untouched);
    tcase_add_test(all, signals);
    tcase_add_test(all, forks);
    tcase_add_test(all, several);
    tcase_add_loop_test(all, stacks, 0, 3);
    tcase_add_test(all, wrong_stacks);
    tcase_add_test(all, few_threads);
    tcase_add_loop_test(all, openmp, 0, N_VARIABLES);
    tcase_add_loop_test(all, openmp_and_weights, 0, 4);
    tcase_add_loop_test(all, sandboxes, 0, 5);
    tcase_add_test(all, no_thread);
    tcase_add_test(all, strange_machines);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv) {
    if (argc > 1) return be_host(argv[1]);
    return tr_check_run(embed_suite());
}
