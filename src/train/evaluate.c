/* The test set through the network: loss, accuracy, confusion; and tr_evaluate. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/here.h"
#include "train/run_dir.h"

enum { TEST_BATCH = 256 };

int tr_test_batch(const tr_session *s) {
    return (int)tr_min(TEST_BATCH, s->test.n);
}

static tr_loader_args loader_of(const tr_session *s) {
    return (tr_loader_args){.batch_size = tr_test_batch(s), .prefetch = -1};
}

int tr_test_plan(const tr_session *s, int n_threads, tr_test *out, tr_error *err) {
    tr_exec_options options = {
        .batch = tr_test_batch(s), .loads = s->workers == 0, .kernels = s->kernels};
    *out = (tr_test){.n = s->test.n, .n_classes = s->test.n_classes};
    return tr_exec_plan(s->graph, &options, n_threads, &out->exec, err);
}

int64_t tr_test_bytes(const tr_session *s, const tr_test *t) {
    tr_account sum = {0};
    tr_loader_args args = loader_of(s);
    int64_t cells = (int64_t)t->n_classes * t->n_classes;
    tr_exec_account(t->exec, &sum);
    tr_account_add(&sum, TR_MEMORY_TEST, tr_batch_source_bytes(s, &s->test, &args));
    tr_account_add(&sum, TR_MEMORY_TEST, tr_alloc_bytes(t->n, sizeof *t->predicted));
    tr_account_add(&sum, TR_MEMORY_TEST, tr_alloc_bytes(cells, sizeof *t->confusion));
    return tr_account_total(&sum);
}

int tr_test_allocate(const tr_session *s, tr_team *team, tr_test *t, tr_error *err) {
    tr_loader_args args = loader_of(s);
    size_t classes = (size_t)t->n_classes;
    t->predicted = tr_alloc((size_t)t->n, sizeof *t->predicted, err);
    t->confusion = tr_alloc(classes * classes, sizeof *t->confusion, err);
    if (!t->predicted || !t->confusion) return TR_ENOMEM;
    tr_touch(t->predicted, t->n * (int64_t)sizeof *t->predicted);
    tr_touch(t->confusion, (int64_t)(classes * classes * sizeof *t->confusion));
    int code = tr_exec_allocate(t->exec, team, err);
    return code ? code : tr_batch_source_open(s, &s->test, &args, &t->source, err);
}

int tr_test_run(tr_test *t, tr_team *team, int (*progress)(int64_t done, void *arg), void *arg,
                tr_error *err) {
    tr_input input;
    tr_result result;
    int64_t done = 0, correct = 0;
    double loss = 0;
    memset(t->confusion, 0, (size_t)t->n_classes * (size_t)t->n_classes * sizeof *t->confusion);
    int code = tr_loader_begin(t->source.loader, 0, err);
    while (code == TR_OK) {
        int more = tr_batch_source_next(&t->source, &input, err);
        if (more <= 0) {
            code = more;
            break;
        }
        code = tr_exec_step(t->exec, team, &input, 0, 0, &result);
        if (code) return tr_batch_source_failure(&t->source, code, err);
        if (!tr_is_finite(result.loss))
            return tr_fail(err, TR_ENONFINITE, "the test loss is %s in images %lld to %lld",
                           tr_nonfinite_name(result.loss), (long long)done,
                           (long long)done + input.n - 1);
        for (int i = 0; i < input.n; i++) {
            t->predicted[done + i] = result.best[i];
            t->confusion[input.labels[i] * t->n_classes + result.best[i]]++;
        }
        done += input.n;
        correct += result.n_correct;
        loss += result.loss * input.n;
        if (progress && progress(done, arg)) return tr_fail(err, TR_ECANCELED, "stopped");
    }
    t->loss = loss / (double)t->n;
    t->accuracy = (double)correct / (double)t->n;
    return code;
}

void tr_test_close(tr_test *t) {
    tr_batch_source_close(&t->source);
    tr_exec_free(t->exec);
    tr_free(t->predicted);
    tr_free(t->confusion);
    *t = (tr_test){0};
}

double tr_test_class_accuracy(const tr_test *t, int k) {
    int64_t n = 0;
    for (int i = 0; i < t->n_classes; i++) n += t->confusion[k * t->n_classes + i];
    return n ? (double)t->confusion[k * t->n_classes + k] / (double)n : (double)NAN;
}

/* ---- tr_evaluate ---- */

typedef struct evaluation {
    tr_session session;
    tr_summary *summary;
    tr_error *err;
    int code;
} evaluation;

static int run_test(evaluation *v, tr_test *test, tr_team *team) {
    tr_error inner = {0};
    int code = tr_test_run(test, team, NULL, NULL, &inner);
    if (code == TR_ENONFINITE)
        return tr_fail(v->err, code, "%s/%s: %s", v->summary->run_dir,
                       tr_run_file_name(TR_FILE_MODEL), inner.text);
    return code ? tr_fail(v->err, code, "%s", inner.text) : TR_OK;
}

static void evaluate(tr_team *team, void *arg) {
    evaluation *v = arg;
    tr_test test;
    tr_account account;
    tr_exec_cut cut;
    v->code = tr_test_plan(&v->session, tr_team_size(team), &test, v->err);
    if (v->code) return;
    tr_exec_get_cut(test.exec, &cut);
    v->summary->threads_run = (int)tr_min(tr_team_size(team), cut.n_shards);
    tr_session_account(&v->session, NULL, &test, &account);
    v->code = tr_account_check(&account, NULL, v->err);
    if (v->code == TR_OK) v->code = tr_test_allocate(&v->session, team, &test, v->err);
    if (v->code == TR_OK) v->code = run_test(v, &test, team);
    if (v->code == TR_OK) {
        v->summary->test_loss = test.loss;
        v->summary->test_accuracy = test.accuracy;
        for (int k = 0; k < test.n_classes; k++)
            v->summary->per_class_accuracy[k] = tr_test_class_accuracy(&test, k);
    }
    tr_test_close(&test);
}

int tr_evaluate_here(tr_config *config, const char *run_dir, tr_summary *summary, tr_error *err) {
    tr_error local = {0};
    evaluation v = {.summary = summary, .err = err ? err : &local};
    if (config == NULL || run_dir == NULL || summary == NULL)
        return tr_fail(err, TR_ECONFIG,
                       "evaluate: the configuration, the run or the result is NULL");
    tr_summary_clear(summary);
    int code = tr_session_open_run(config, run_dir, &v.session, summary->weights_sha256, v.err);
    if (code) return code;
    summary->run_dir = tr_config_keep(&config->run_dir, run_dir);
    summary->seed = (uint64_t)v.session.experiment.train.seed;
    summary->threads = v.session.placement.n_threads;
    summary->workers = v.session.workers;
    summary->isa = v.session.kernels->name;
    summary->test_images = v.session.test.n;
    summary->n_classes = v.session.test.n_classes;
    code = tr_config_keep_classes(config, &v.session.test, v.err);
    summary->class_names = config->class_names;
    double start = tr_now();
    if (code == TR_OK) code = tr_team_run(&v.session.placement, evaluate, &v, v.err);
    if (code == TR_OK) code = v.code;
    summary->images_per_second = v.session.test.n / (tr_now() - start);
    summary->peak_rss_bytes = tr_peak_memory();
    tr_config_keep_notes(config, &v.session.notes);
    tr_session_close(&v.session);
    return code;
}
