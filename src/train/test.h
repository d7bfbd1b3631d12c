/* Private to this module: the test set through the network. */
#ifndef TR_TEST_H
#define TR_TEST_H

#include "setup/setup.h"

typedef struct tr_test {
    tr_exec *exec;
    tr_batch_source source;
    int n, n_classes;
    int32_t *predicted; /* [n] */
    int64_t *confusion; /* [truth * n_classes + predicted] */
    double loss, accuracy;
} tr_test;
/* Images in a batch of a test. */
int tr_test_batch(const tr_session *session);
/* Fails where a layer cannot evaluate so many images in such batches. */
int tr_test_check_batches(const tr_session *session, int64_t n, tr_error *err);
/* Plan an executor that tests. loads: tr_input.load makes the samples. */
int tr_test_plan_exec(const tr_session *session, bool loads, int n_threads, tr_exec **out,
                      tr_error *err);
/* In two steps, as an executor: what it will hold is known after tr_test_plan, and allocated by
 * tr_test_allocate on thread 0 of a team of n_threads. tr_test_close after either. */
int tr_test_plan(const tr_session *session, int n_threads, tr_test *out, tr_error *err);
int64_t tr_test_bytes(const tr_session *session, const tr_test *test);
int tr_test_allocate(const tr_session *session, tr_team *team, tr_test *test, tr_error *err);
/* Run the test set through the network. progress(done, arg) may be NULL; other than 0 stops. */
int tr_test_run(tr_test *test, tr_team *team, int (*progress)(int64_t done, void *arg), void *arg,
                tr_error *err);
void tr_test_close(tr_test *test);
/* out[k] := the share of class k that was right, NAN where the test set has none. */
void tr_test_class_accuracy(const tr_test *test, double *out);

#endif
