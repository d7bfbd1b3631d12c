/* The training loop: batches of the training set through an executor that changes the weights. */
#include <math.h>

#include "train/train.h"

void tr_mean_add(tr_running_mean *m, double value, int64_t weight) {
    m->sum += value * (double)weight;
    m->n += weight;
}

double tr_mean_of(const tr_running_mean *m) {
    return m->n ? m->sum / (double)m->n : (double)NAN;
}

int tr_loop_plan(tr_session *s, const tr_loader_args *loader, int n_threads, tr_loop *out,
                 tr_error *err) {
    int batch = (int)tr_min(loader->batch_size, s->train.n);
    tr_exec_options options = tr_session_options(s, batch, true);
    options.loads = loader->workers == 0;
    *out = (tr_loop){.session = s, .loader = *loader};
    out->loader.batch_size = batch;
    return tr_exec_plan(s->graph, &options, n_threads, &out->exec, err);
}

void tr_loop_account(const tr_loop *loop, tr_account *account) {
    const tr_session *s = loop->session;
    tr_exec_account(loop->exec, account);
    tr_account_add(account, TR_MEMORY_LOADER, tr_batch_source_bytes(s, &s->train, &loop->loader));
}

int tr_loop_allocate(tr_loop *loop, tr_team *team, tr_error *err) {
    tr_session *s = loop->session;
    int code = tr_session_start(s, loop->exec, team, err);
    return code ? code : tr_batch_source_open(s, &s->train, &loop->loader, &loop->source, err);
}

void tr_loop_close(tr_loop *loop) {
    tr_batch_source_close(&loop->source);
    tr_exec_free(loop->exec);
    loop->exec = NULL;
}

int tr_loop_begin(tr_loop *loop, int64_t epoch, tr_error *err) {
    int code = tr_loader_begin(loop->source.loader, epoch, err);
    if (code) return code;
    loop->epoch = epoch;
    loop->step = 0;
    loop->loss = (tr_running_mean){0};
    return TR_OK;
}

static double learning_rate(const tr_loop *loop) {
    const tr_experiment *e = &loop->session->experiment;
    int64_t all = loop->session->steps * e->train.epochs;
    int64_t step = tr_max(0, tr_min(loop->global_step, all - 1));
    return tr_learning_rate(e, step, all);
}

int tr_loop_step(tr_loop *loop, tr_team *team, tr_error *err) {
    int code = tr_batch_source_next(&loop->source, &loop->input, err);
    if (code <= 0) return code;
    loop->lr = learning_rate(loop);
    loop->step_start = tr_now();
    code = tr_exec_step(loop->exec, team, &loop->input, loop->lr, loop->global_step, &loop->result);
    loop->step_end = tr_now();
    if (code) return tr_batch_source_failure(&loop->source, code, err);
    loop->step++;
    loop->global_step++;
    double loss = loop->result.loss;
    if (!tr_is_finite(loss))
        return tr_fail(err, TR_ENONFINITE,
                       "the loss is %s at step %lld (epoch %lld, step %lld): try a smaller "
                       "optimizer.lr than %g",
                       tr_nonfinite_name(loss), (long long)loop->global_step,
                       (long long)loop->epoch + 1, (long long)loop->step, loop->lr);
    tr_mean_add(&loop->loss, loss, loop->input.n);
    return 1;
}
