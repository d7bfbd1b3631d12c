/* Training: opening, epochs of steps, tests. Runs on thread 0 of the team; how a run ends is in
 * ending.c. */
#include <math.h>

#include "train/here.h"
#include "train/training.h"

/* One step, and the listener's events of it; 0: the epoch has no more. */
static int train_step(tr_training *t, tr_team *team) {
    const tr_loop *loop = &t->loop;
    int code = tr_loop_step(&t->loop, team, t->err);
    t->event.step = loop->step;
    t->event.global_step = loop->global_step;
    t->event.lr = loop->lr;
    if (code <= 0) return code;
    tr_mean_add(&t->since_log, loop->step_loss, loop->n);
    t->event.loss = tr_mean_of(&t->since_log);
    t->event.images_per_second = (double)t->since_log.n / (loop->step_end - t->log_start);
    return 1;
}

static int log_step(tr_training *t) {
    if (t->event.step % t->session.log_every != 0) return tr_emit_progress(t);
    int code = tr_metrics_log(&t->dir, &t->history, &t->event, t->err);
    if (code == TR_OK) code = tr_emit(t, TR_EVENT_LOG);
    t->since_log = (tr_running_mean){0};
    t->log_start = tr_now();
    return code;
}

static int train_epoch(tr_training *t, tr_team *team) {
    double start = tr_now();
    int code;
    t->since_log = (tr_running_mean){0};
    t->log_start = start;
    t->event.step = 0;
    while ((code = train_step(t, team)) > 0 && (code = log_step(t)) == TR_OK) {
    }
    double seconds = tr_now() - start;
    t->seconds += seconds;
    t->images += t->loop.loss.n;
    if (code) return code;
    t->event.train_loss = tr_mean_of(&t->loop.loss);
    t->event.epoch_seconds = seconds;
    t->event.images_per_second = (double)t->loop.loss.n / seconds;
    return TR_OK;
}

static int test_progress(int64_t done, void *arg) {
    (void)done;
    return tr_emit_progress(arg);
}

static int test(tr_training *t, tr_team *team) {
    tr_error inner = {0};
    t->event.testing = true;
    int code = tr_test_run(&t->test, team, test_progress, t, &inner);
    t->event.testing = false;
    if (code == TR_ENONFINITE)
        return tr_fail(t->err, code, "%s after step %lld (epoch %d, step %lld)", inner.text,
                       (long long)t->event.global_step, t->event.epoch, (long long)t->event.step);
    if (code) return tr_fail(t->err, code, "%s", inner.text);
    tr_training_tested(t);
    return TR_OK;
}

static int test_and_save(tr_training *t, tr_team *team) {
    int code = test(t, team);
    if (code == TR_OK) code = tr_training_save(t);
    return code ? code : tr_metrics_epoch(&t->dir, &t->history, &t->event, t->err);
}

static int run_epochs(tr_training *t, tr_team *team) {
    int64_t epochs = t->session.experiment.train.epochs;
    int code = epochs ? tr_loop_begin(&t->loop, 0, t->err) : test_and_save(t, team);
    for (int64_t epoch = 0; code == TR_OK && epoch < epochs; epoch++) {
        t->event.epoch = (int)epoch + 1;
        if ((code = train_epoch(t, team))) return code;
        /* The loader begins the next epoch during the test. */
        if (epoch + 1 < epochs && (code = tr_loop_begin(&t->loop, epoch + 1, t->err))) return code;
        if ((code = test_and_save(t, team))) return code;
        t->summary->epochs_done = t->event.epoch;
        code = tr_emit(t, TR_EVENT_EPOCH);
    }
    return code;
}

/* With a folder: from here on its summary records how the run ended. */
static int run(tr_training *t, tr_team *team) {
    tr_training_describe(t);
    int code = tr_emit_plan(t);
    if (code == TR_OK) code = tr_training_draw(t, true);
    if (code == TR_OK) code = run_epochs(t, team);
    return tr_training_end(t, code);
}

/* ---- opening ---- */

/* All that the run will hold. */
static int allocate(tr_training *t, tr_team *team) {
    tr_session *s = &t->session;
    int code = tr_emit(t, TR_EVENT_OPENING);
    if (code == TR_OK) code = tr_loop_allocate(&t->loop, team, t->err);
    if (code == TR_OK) code = tr_test_allocate(s, team, &t->test, t->err);
    return code ? code : tr_emit(t, TR_EVENT_OPENING);
}

static int train(tr_training *t, tr_team *team) {
    tr_session *s = &t->session;
    tr_loader_args loader = tr_session_loader(s);
    tr_account account;
    int n_threads = tr_team_size(team);
    int code = tr_loop_plan(s, &loader, n_threads, &t->loop, t->err);
    if (code) return code;
    if ((code = tr_test_plan(s, n_threads, &t->test, t->err))) return code;
    tr_exec_lend(t->loop.exec, t->test.exec);
    tr_session_account(s, &account);
    tr_loop_account(&t->loop, &account);
    tr_account_add(&account, TR_MEMORY_TEST, tr_test_bytes(s, &t->test));
    tr_account_add(&account, TR_MEMORY_OUTPUT, tr_run_dir_bytes(s));
    if ((code = tr_plan_info_fill(s, t->loop.exec, &account, &t->plan, t->err))) return code;
    if ((code = tr_run_dir_check(s, t->err))) return code;
    if (t->dry) return (code = tr_emit_plan(t)) ? code : tr_account_check(&account, s, t->err);
    /* Refused or allocated before the first step, and before the run has a folder. */
    if ((code = tr_account_check(&account, s, t->err)) || (code = allocate(t, team))) return code;
    if ((code = tr_run_dir_take(s, &t->dir, t->err))) return code;
    t->summary->run_dir = tr_config_keep_run_dir(t->config, t->dir.path);
    return run(t, team);
}

static void train_on_team(tr_team *team, void *arg) {
    tr_training *t = arg;
    t->code = train(t, team);
    tr_test_close(&t->test);
    tr_loop_close(&t->loop);
}

static int watch_opening(void *arg) {
    return tr_emit(arg, TR_EVENT_OPENING);
}

static int open_and_train(tr_config *config, bool dry, tr_listener listener, void *arg,
                          tr_summary *summary, tr_error *err) {
    tr_error local = {0};
    tr_training t = {.config = config,
                     .listener = listener,
                     .listener_arg = arg,
                     .summary = summary,
                     .err = err ? err : &local,
                     .dry = dry,
                     .event.train_loss = NAN}; /* until an epoch has been trained */
    const tr_watch watch = {watch_opening, &t};
    tr_summary_clear(summary);
    tr_config_begin(config);
    tr_date(config->started);
    summary->started = config->started;
    int code = tr_session_open(config->doc, true, &watch, &t.session, t.err);
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
    return open_and_train(config, false, listener, arg, summary ? summary : &local, err);
}

int tr_dry_run_here(tr_config *config, tr_listener listener, void *arg, tr_error *err) {
    tr_summary summary;
    return open_and_train(config, true, listener, arg, &summary, err);
}
