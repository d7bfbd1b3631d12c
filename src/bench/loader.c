/* `bench loader`: the loader alone against what training consumes, alternately. */
#include <string.h>

#include "bench/bench.h"

enum {
    ROUNDS = 3,       /* rounds of each side; the median counts */
    FEWEST_STEPS = 3, /* of a round, where steps are long */
};

static double median(double *values, int n) {
    tr_bench_sort(values, n);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

typedef struct loader_run {
    tr_session session;
    int workers;
    double seconds;
    tr_bench_loader_result *out;
    tr_error *err;
    int code;
} loader_run;

/* The loader that is measured. */
static tr_loader_args args_of(const loader_run *r) {
    tr_loader_args args = r->session.experiment.loader;
    args.workers = r->workers;
    return args;
}

/* Elements that a batch takes, where there is no worker to decode it. */
static size_t decoded_size(const loader_run *r) {
    const tr_dataset *d = &r->session.train;
    int64_t images = tr_min(r->session.experiment.loader.batch_size, d->n);
    return r->workers ? 0 : (size_t)images * (size_t)(d->h * d->w * d->c);
}

/* Batches through the loader and away. */
static int drain(const loader_run *r, double seconds, double *images_per_second, tr_error *err) {
    const tr_session *s = &r->session;
    tr_loader_args args = args_of(r);
    tr_batch_source source = {0};
    tr_input input;
    int64_t images = 0, epoch = 0;
    int64_t stride = (int64_t)s->train.h * s->train.w * s->train.c;
    tr_real *decoded = tr_alloc(decoded_size(r), sizeof *decoded, err);
    int code = decoded ? tr_batch_source_open(s, &s->train, &args, &source, err) : TR_ENOMEM;
    if (code == TR_OK) code = tr_loader_begin(source.loader, epoch, err);
    double start = tr_now(), now = start;
    while (code == TR_OK && (images == 0 || now - start < seconds)) {
        int more = tr_batch_source_next(&source, &input, err);
        if (more > 0 && input.load) {
            code = input.load(input.arg, 0, input.n, decoded, stride);
            if (code) code = tr_batch_source_failure(&source, code, err);
        }
        if (more > 0)
            images += input.n;
        else
            code = more < 0 ? more : tr_loader_begin(source.loader, ++epoch, err);
        now = tr_now();
    }
    *images_per_second = (double)images / (now - start);
    tr_batch_source_close(&source);
    tr_free(decoded);
    return code;
}

static int bench_loader(loader_run *r, tr_team *team) {
    tr_loop t = {0};
    tr_timed time;
    tr_account more = {0};
    tr_loader_args args = args_of(r);
    double alone[ROUNDS], training[ROUNDS];
    int64_t loader = tr_batch_source_bytes(&r->session, &r->session.train, &args);
    tr_account_add(&more, TR_MEMORY_LOADER, loader);
    tr_account_add(&more, TR_MEMORY_LOADER,
                   tr_alloc_bytes((int64_t)decoded_size(r), sizeof(tr_real)));
    int code = tr_bench_open(&r->session, &more, team, &t, r->err);
    if (code == TR_OK)
        code = tr_bench_train(&t, team, 0.1 * r->seconds, FEWEST_STEPS, &time, r->err);
    for (int i = 0; code == TR_OK && i < ROUNDS; i++) {
        double part = r->seconds / (2 * ROUNDS);
        code = drain(r, part, &alone[i], r->err);
        if (code == TR_OK) code = tr_bench_train(&t, team, part, FEWEST_STEPS, &time, r->err);
        training[i] = (double)time.images / time.seconds;
    }
    tr_loop_close(&t);
    if (code) return code;
    *r->out = (tr_bench_loader_result){r->workers, median(alone, ROUNDS), median(training, ROUNDS),
                                       tr_team_size(team), r->session.placement.n_threads};
    return TR_OK;
}

static void loader_main(tr_team *team, void *arg) {
    loader_run *r = arg;
    r->code = bench_loader(r, team);
}

/* `workers` does not pass through the configuration here, but its rule holds. */
static int check_workers(int workers, tr_error *err) {
    const tr_key *key = tr_loader_schema.keys;
    while (strcmp(key->name, "workers") != 0) key++;
    return tr_bench_check_range("workers", workers, (int)key->min, (int)key->max, err);
}

int tr_bench_loader_here(tr_config *config, int workers, double seconds,
                         tr_bench_loader_result *out, tr_error *err) {
    loader_run run = {.workers = workers, .seconds = seconds, .out = out, .err = err};
    int code = tr_bench_check(config, seconds, out, err);
    if (code == TR_OK && workers != -1) code = check_workers(workers, err);
    if (code == TR_OK) code = tr_bench_begin(config, &run.session, err);
    if (code) return code;
    if (workers == -1) run.workers = run.session.workers;
    code = tr_team_run(&run.session.placement, loader_main, &run, err);
    tr_bench_end(config, &run.session);
    return code ? code : run.code;
}
