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
    options.effective = (int)tr_session_effective(s, &out->loader);
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

/* The next batch, as samples `first` and following of the step's `count`. */
static int run_pass(tr_loop *loop, tr_team *team, int64_t first, int64_t count, tr_error *err) {
    tr_input *input = &loop->input;
    tr_result result;
    int code = tr_batch_source_next(&loop->source, input, err);
    if (code <= 0) return code;
    input->first = first;
    input->count = count;
    input->seed = (uint64_t)loop->session->experiment.train.seed;
    input->epoch = loop->epoch;
    double start = tr_now();
    code = tr_exec_step(loop->exec, team, input, loop->lr, loop->global_step, &result);
    loop->step_end = tr_now();
    loop->step_seconds += loop->step_end - start;
    if (code) return tr_batch_source_failure(&loop->source, code, err);
    loop->step_loss += result.loss * input->n / (double)count;
    return 1;
}

int tr_loop_step(tr_loop *loop, tr_team *team, tr_error *err) {
    const tr_session *s = loop->session;
    int64_t effective = tr_session_effective(s, &loop->loader), done = loop->step * effective;
    int64_t count = tr_min(effective, tr_session_epoch_samples(s, &loop->loader) - done);
    loop->lr = learning_rate(loop);
    loop->n = 0;
    loop->step_loss = loop->step_seconds = 0;
    while (loop->n < count) {
        int code = run_pass(loop, team, loop->n, count, err);
        if (code <= 0) return code;
        loop->n += loop->input.n;
    }
    if (loop->n == 0) return tr_batch_source_next(&loop->source, &loop->input, err);
    loop->step++;
    loop->global_step++;
    if (!tr_is_finite(loop->step_loss))
        return tr_fail(err, TR_ENONFINITE,
                       "the loss is %s at step %lld (epoch %lld, step %lld): try a smaller "
                       "optimizer.lr than %g",
                       tr_nonfinite_name(loop->step_loss), (long long)loop->global_step,
                       (long long)loop->epoch + 1, (long long)loop->step, loop->lr);
    tr_mean_add(&loop->loss, loop->step_loss, loop->n);
    return 1;
}
