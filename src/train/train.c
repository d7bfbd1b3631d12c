/* The training loop: epochs of steps, logs, tests, files. Runs on rank 0 of the team. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/here.h"
#include "train/plan_info.h"
#include "train/run_dir.h"
#include "train/session.h"

#ifndef TR_VERSION
#error "the build gives TR_VERSION"
#endif

const char *tr_version(void) {
    return TR_VERSION;
}

enum { PROGRESS_MILLISECONDS = 50 };

typedef struct training {
    tr_session session;
    tr_config *config;
    tr_listener listener;
    void *listener_arg;
    tr_summary *summary;
    tr_error *err;
    int code;
    bool dry;
    tr_exec *exec;
    tr_feed feed;
    tr_test test;
    tr_history history;
    tr_plan_info plan;
    tr_event event;
    double next_progress;
    double seconds; /* in steps and waiting for batches, all epochs */
    int64_t images;
} training;

static int tell(training *t, tr_event_kind kind) {
    t->event.kind = kind;
    t->event.plan = &t->plan;
    t->event.run_dir = t->config->run_dir;
    if (t->listener && t->listener(&t->event, t->listener_arg))
        return tr_fail(t->err, TR_ECANCELED, "stopped in epoch %d after step %lld", t->event.epoch,
                       (long long)t->event.step);
    return TR_OK;
}

static int tell_text(training *t, tr_event_kind kind, const char *text) {
    t->event.text = text;
    int code = tell(t, kind);
    t->event.text = NULL;
    return code;
}

static int tell_plan(training *t) {
    const tr_notes *notes = &t->session.notes;
    int code = tell(t, TR_EVENT_PLAN);
    for (int i = 0; code == TR_OK && i < notes->n; i++)
        code = tell_text(t, TR_EVENT_NOTE, notes->text[i]);
    return code;
}

/* What a failure that ends nothing costs: a line. */
static int warn(training *t, int code, const tr_error *err) {
    return code ? tell_text(t, TR_EVENT_WARNING, err->text[0] ? err->text : tr_error_meaning(code))
                : TR_OK;
}

static int maybe_progress(training *t) {
    double now = tr_now();
    if (now < t->next_progress) return TR_OK;
    t->next_progress = now + 1e-3 * PROGRESS_MILLISECONDS;
    return tell(t, TR_EVENT_PROGRESS);
}

static int test_progress(int64_t done, void *arg) {
    (void)done;
    return maybe_progress(arg);
}

typedef struct running_mean { /* in the order of the steps, so that it is the same everywhere */
    double sum;
    int64_t n;
} running_mean;

static void add_to(running_mean *m, double value, int64_t weight) {
    m->sum += value * (double)weight;
    m->n += weight;
}
static double mean_of(const running_mean *m) {
    return m->n ? m->sum / (double)m->n : (double)NAN;
}

static int train_epoch(training *t, tr_team *team) {
    const tr_session *s = &t->session;
    const tr_experiment *e = &s->experiment;
    running_mean since_log = {0}, epoch = {0};
    double start = tr_now(), log_start = start;
    int64_t log_images = 0;
    t->event.step = 0;
    for (;;) {
        tr_input input;
        tr_result result;
        int code = tr_feed_next(&t->feed, &input, t->err);
        if (code < 0) return code;
        if (code == 0) break;
        t->event.lr =
            e->optimizer->lr(e->optimizer_args) *
            e->schedule->factor(e->schedule_args, t->event.global_step, s->steps * e->train.epochs);
        code = tr_exec_step(t->exec, team, &input, t->event.lr, t->event.global_step, &result);
        if (code) return tr_feed_failed(&t->feed, code, t->err);
        t->event.step++;
        t->event.global_step++;
        if (!isfinite(result.loss))
            return tr_fail(t->err, TR_ENONFINITE,
                           "the loss is %s at step %lld (epoch %d, step %lld): try a smaller "
                           "optimizer.lr than %g",
                           isnan(result.loss) ? "not a number" : "infinite",
                           (long long)t->event.global_step, t->event.epoch,
                           (long long)t->event.step, t->event.lr);
        add_to(&since_log, result.loss, input.n);
        add_to(&epoch, result.loss, input.n);
        log_images += input.n;
        t->event.loss = mean_of(&since_log);
        t->event.images_per_second = (double)log_images / (tr_now() - log_start);
        if (t->event.step % s->log_every == 0) {
            code = tr_run_dir_log(t->config->run_dir, &t->history, &t->event, t->err);
            if (code == TR_OK) code = tell(t, TR_EVENT_LOG);
            since_log = (running_mean){0};
            log_images = 0;
            log_start = tr_now();
        } else {
            code = maybe_progress(t);
        }
        if (code) return code;
    }
    double seconds = tr_now() - start;
    t->event.train_loss = mean_of(&epoch);
    t->event.epoch_seconds = seconds;
    t->event.images_per_second = (double)epoch.n / seconds;
    t->seconds += seconds;
    t->images += epoch.n;
    return TR_OK;
}

static int test_and_save(training *t, tr_team *team) {
    char path[4352];
    t->event.testing = true;
    int code = tr_test_run(&t->test, team, test_progress, t, t->err);
    t->event.testing = false;
    if (code) return code;
    t->event.test_loss = t->test.loss;
    t->event.test_accuracy = t->test.accuracy;
    code =
        tr_session_save(&t->session, tr_run_dir_path(t->config->run_dir, "model.safetensors", path),
                        t->summary->weights_sha256, t->err);
    if (code) return code;
    return tr_run_dir_epoch(t->config->run_dir, &t->history, &t->event, t->err);
}

static int run_epochs(training *t, tr_team *team) {
    int64_t epochs = t->session.experiment.train.epochs;
    int code = epochs ? tr_loader_begin(t->feed.loader, 0, t->err) : test_and_save(t, team);
    for (int64_t epoch = 0; code == TR_OK && epoch < epochs; epoch++) {
        t->event.epoch = (int)epoch + 1;
        if ((code = train_epoch(t, team))) return code;
        /* The loader prepares the next epoch during the test. */
        if (epoch + 1 < epochs && (code = tr_loader_begin(t->feed.loader, epoch + 1, t->err)))
            return code;
        if ((code = test_and_save(t, team))) return code;
        code = tell(t, TR_EVENT_EPOCH);
    }
    return code;
}

static void fill_summary(training *t) {
    const tr_session *s = &t->session;
    tr_summary *m = t->summary;
    tr_loader_stats stats;
    tr_loader_get_stats(t->feed.loader, &stats);
    m->run_dir = t->config->run_dir;
    m->seed = (uint64_t)s->experiment.train.seed;
    m->epochs = (int)s->experiment.train.epochs;
    m->steps = t->event.global_step;
    m->threads = s->placement.n_threads;
    m->workers = s->workers;
    m->isa = s->kernels->name;
    m->test_images = s->test.n;
    m->test_accuracy = t->test.accuracy;
    m->test_loss = t->test.loss;
    m->final_train_loss = t->event.train_loss;
    m->n_classes = s->test.n_classes;
    m->class_names = t->config->class_names;
    for (int k = 0; k < m->n_classes; k++)
        m->per_class_accuracy[k] = tr_test_class_accuracy(&t->test, k);
    m->train_seconds = t->seconds;
    m->images_per_second = t->seconds > 0 ? (double)t->images / t->seconds : 0;
    double waited = stats.consumer_wait_seconds + tr_exec_load_seconds(t->exec);
    m->data_wait_fraction = t->seconds > 0 ? waited / t->seconds : 0;
    m->loader_wait_seconds = stats.worker_wait_seconds;
    m->peak_rss_bytes = tr_peak_memory();
}

static int finish(training *t) {
    const char *dir = t->config->run_dir;
    fill_summary(t);
    int code = tr_run_dir_pictures(dir, &t->session, &t->history, &t->test, t->err);
    if (code == TR_OK) code = tr_run_dir_summary(dir, t->summary, t->err);
    t->event.summary = t->summary;
    if (code == TR_OK) code = tell(t, TR_EVENT_END);
    t->event.summary = NULL;
    return code;
}

/* All that the run will hold. */
static int allocate(training *t, tr_team *team) {
    tr_session *s = &t->session;
    int code = tr_session_start(s, t->exec, team, t->err);
    if (code) return code;
    code = tr_feed_open(s, &s->train, &s->experiment.loader, &t->feed, t->err);
    return code ? code : tr_test_allocate(s, team, &t->test, t->err);
}

static int train(training *t, tr_team *team) {
    tr_session *s = &t->session;
    const tr_experiment *e = &s->experiment;
    int batch = (int)tr_min(e->loader.batch_size, s->train.n);
    tr_exec_options options = {.batch = batch,
                               .training = true,
                               .loads = s->workers == 0,
                               .shard = (int)tr_min(tr_max(0, e->run.shard), batch),
                               .kernels = s->kernels,
                               .optimizer = e->optimizer,
                               .optimizer_args = e->optimizer_args};
    tr_account account;
    int n_threads = tr_team_size(team);
    int code = tr_exec_plan(s->graph, &options, n_threads, &t->exec, t->err);
    if (code) return code;
    if ((code = tr_test_plan(s, n_threads, &t->test, t->err))) return code;
    tr_session_account(s, t->exec, &t->test, &account);
    tr_account_add(&account, TR_MEMORY_OUTPUT, tr_run_dir_bytes(s));
    if ((code = tr_plan_info_fill(s, t->exec, &account, &t->plan, t->err))) return code;
    if (t->dry) {
        if ((code = tr_run_dir_check(s, t->err)) || (code = tell_plan(t))) return code;
        return tr_account_check(&account, t->err);
    }
    /* Refused or allocated before the first step, and before the run has a folder. */
    if ((code = tr_account_check(&account, t->err)) || (code = allocate(t, team))) return code;
    code = tr_run_dir_create(s, t->config->run_dir, sizeof t->config->run_dir, t->err);
    if (code || (code = tell_plan(t))) return code;
    tr_error inner = {0};
    code = tr_run_dir_samples(t->config->run_dir, s, &inner);
    if ((code = warn(t, code, &inner))) return code;
    if ((code = run_epochs(t, team))) return code;
    return finish(t);
}

static void train_on_team(tr_team *team, void *arg) {
    training *t = arg;
    t->code = train(t, team);
    tr_test_close(&t->test);
    tr_feed_close(&t->feed);
    tr_exec_free(t->exec);
}

static int run(tr_config *config, bool dry, tr_listener listener, void *arg, tr_summary *summary,
               tr_error *err) {
    tr_error local = {0};
    training t = {.config = config,
                  .listener = listener,
                  .listener_arg = arg,
                  .summary = summary,
                  .err = err ? err : &local,
                  .dry = dry,
                  .event.train_loss = NAN}; /* until an epoch has been trained */
    config->run_dir[0] = '\0';
    *summary = (tr_summary){.run_dir = config->run_dir};
    int code = tr_session_open(config->doc, true, &t.session, t.err);
    if (code) return code;
    code = tr_config_keep_classes(config, &t.session.test, t.err);
    if (code == TR_OK) code = tr_team_run(&t.session.placement, train_on_team, &t, t.err);
    if (code == TR_OK) code = t.code;
    tr_history_free(&t.history);
    tr_plan_info_free(&t.plan);
    tr_session_close(&t.session);
    return code;
}

int tr_train_here(tr_config *config, tr_listener listener, void *arg, tr_summary *summary,
                  tr_error *err) {
    tr_summary local;
    return run(config, false, listener, arg, summary ? summary : &local, err);
}

int tr_dry_run_here(tr_config *config, tr_listener listener, void *arg, tr_error *err) {
    tr_summary summary;
    return run(config, true, listener, arg, &summary, err);
}
