/* The test set through the network: loss, accuracy, confusion. */
#include "train/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TEST_BATCH = 256 };

int tr_test_batch(const tr_session *s) {
    return (int)tr_min(TEST_BATCH, s->test.n);
}

static tr_loader_args loader_of(const tr_session *s) {
    return (tr_loader_args){.batch_size = tr_test_batch(s), .prefetch = -1, .workers = s->workers};
}

int tr_test_check_batches(const tr_session *s, int64_t n, tr_error *err) {
    const int64_t batch = tr_min(tr_test_batch(s), n), last = (n - 1) % batch + 1;
    char source[64];
    snprintf(source, sizeof source, "the last batch of %lld test images has", (long long)n);
    return tr_session_check_batch(s, last, false, source, err);
}

int tr_test_plan_exec(const tr_session *s, bool loads, int n_threads, tr_exec **out,
                      tr_error *err) {
    tr_exec_options options = tr_session_options(s, tr_test_batch(s), false);
    options.loads = loads;
    return tr_exec_plan(s->graph, &options, n_threads, out, err);
}

int tr_test_plan(const tr_session *s, int n_threads, tr_test *out, tr_error *err) {
    *out = (tr_test){.n = s->test.n, .n_classes = s->test.n_classes};
    int code = tr_test_check_batches(s, s->test.n, err);
    if (code) return code;
    return tr_test_plan_exec(s, s->workers == 0, n_threads, &out->exec, err);
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
            t->confusion[(int64_t)input.labels[i] * t->n_classes + result.best[i]]++;
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

void tr_test_class_accuracy(const tr_test *t, double *out) {
    for (int k = 0; k < t->n_classes; k++) {
        const int64_t *row = t->confusion + (int64_t)k * t->n_classes;
        int64_t n = 0;
        for (int i = 0; i < t->n_classes; i++) n += row[i];
        out[k] = n ? (double)row[k] / (double)n : (double)NAN;
    }
}
