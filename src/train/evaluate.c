/* tr_evaluate: the test set through a finished run's network. */
#include <string.h>

#include "train/here.h"
#include "train/run_dir.h"

typedef struct evaluation {
    tr_session session;
    tr_config *config;
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
    tr_exec_partition partition;
    v->code = tr_test_plan(&v->session, tr_team_size(team), &test, v->err);
    if (v->code) return;
    tr_exec_get_partition(test.exec, &partition);
    v->summary->threads_run = (int)tr_min(tr_team_size(team), partition.n_shards);
    tr_session_account(&v->session, &account);
    tr_account_add(&account, TR_MEMORY_TEST, tr_test_bytes(&v->session, &test));
    v->code = tr_account_check(&account, NULL, v->err);
    if (v->code == TR_OK) v->code = tr_test_allocate(&v->session, team, &test, v->err);
    if (v->code == TR_OK) v->code = run_test(v, &test, team);
    if (v->code == TR_OK) {
        v->summary->test_loss = test.loss;
        v->summary->test_accuracy = test.accuracy;
        tr_test_class_accuracy(&test, v->config->class_accuracy);
    }
    tr_test_close(&test);
}

int tr_evaluate_here(tr_config *config, const char *run_dir, tr_summary *summary, tr_error *err) {
    tr_error local = {0};
    evaluation v = {.config = config, .summary = summary, .err = err ? err : &local};
    if (config == NULL || run_dir == NULL || summary == NULL)
        return tr_fail(err, TR_ECONFIG,
                       "evaluate: the configuration, the run or the result is NULL");
    tr_summary_clear(summary);
    tr_config_begin(config);
    int code = tr_finished_open(config, run_dir, &v.session, summary->weights_sha256, v.err);
    if (code) return code;
    summary->run_dir = tr_config_keep_run_dir(config, run_dir);
    summary->seed = (uint64_t)v.session.experiment.train.seed;
    summary->threads = v.session.placement.n_threads;
    summary->workers = v.session.workers;
    summary->isa = v.session.kernels->name;
    summary->test_images = v.session.test.n;
    code = tr_config_keep_classes(config, &v.session.test, v.err);
    tr_summary_set_classes(summary, config, v.session.test.n_classes);
    double start = tr_now();
    if (code == TR_OK) code = tr_team_run(&v.session.placement, evaluate, &v, v.err);
    if (code == TR_OK) code = v.code;
    summary->images_per_second = v.session.test.n / (tr_now() - start);
    summary->peak_rss_bytes = tr_peak_memory();
    tr_config_keep_notes(config, &v.session.notes);
    tr_session_close(&v.session);
    return code;
}
