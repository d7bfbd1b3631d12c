/* Private to this module: everything a configuration names, opened; and batches on their way to a
 * step. */
#ifndef TR_SESSION_H
#define TR_SESSION_H

#include "exec/exec.h"
#include "io/io.h"
#include "train/experiment.h"

typedef struct tr_session {
    tr_experiment experiment;
    tr_dataset train, test; /* train is empty where only the test set was asked for */
    tr_pipeline pipeline;
    tr_graph *graph;
    const tr_kernels *kernels;
    tr_topology *topology;
    tr_placement placement;
    int workers;              /* loader threads; 0: the team loads */
    int64_t log_every, steps; /* steps in an epoch */
    int64_t resident;         /* bytes that the process held before */
    tr_notes notes;           /* found while opening */
} tr_session;

/* Called before each part is opened, which may take long: other than 0 ends the opening. */
typedef struct tr_watch {
    int (*look)(void *arg); /* TR_OK or a code */
    void *arg;
} tr_watch;

/* Open data, network, kernels and placement. with_training: the training set, too. watch may be
 * NULL. The network has no memory for its weights yet. Nothing is left open on failure. */
int tr_session_open(const tr_doc *doc, bool with_training, const tr_watch *watch, tr_session *out,
                    tr_error *err);
/* The same for a finished run, with its weights and their sum. */
int tr_session_open_run(const tr_config *config, const char *run_dir, tr_session *out,
                        char sha256[65], tr_error *err);
void tr_session_close(tr_session *session);
/* Allocate what a planned executor holds and, the first time, the weights, drawn from the seed. On
 * thread 0 of the team. */
int tr_session_start(tr_session *session, tr_exec *exec, tr_team *team, tr_error *err);
/* Another number of threads (-1: auto). */
int tr_session_place(tr_session *session, int64_t threads, tr_error *err);

/* ---- weights and files (weights.c) ----
 * A few kilobytes at a time: no copy of the weights is made. */

/* Write the parameters in PyTorch's order; sha256 as tr_session_sha256. */
int tr_session_save(const tr_session *session, const char *path, char sha256[65], tr_error *err);
/* Take the parameters from a file. Names and shapes must be the network's; what stands in front of
 * every name ("module.") is left out, and tensors of integers, which are no parameters, are, too.
 */
int tr_session_load(tr_session *session, const char *path, tr_error *err);
/* SHA-256 of the parameters in that order, as float32. */
int tr_session_sha256(const tr_session *session, char sha256[65], tr_error *err);

/* Weights that are infinite or NaN (finite.c): are there none? Else `text` says where one is:
 * "tensor 'fc.weight' holds a value that is not a number". */
enum { TR_NONFINITE = TR_NAME + 96 };
bool tr_weights_finite(const tr_graph *graph, char text[TR_NONFINITE]);
/* "not a number" or "infinite". */
const char *tr_nonfinite_name(double value);

/* Batches of a data set as a step wants them. */
typedef struct tr_batch_source {
    tr_loader *loader;
    tr_batch *batch;
    pthread_mutex_t lock; /* protects error, which any thread of the team may set */
    tr_error error;
} tr_batch_source;
int tr_batch_source_open(const tr_session *session, const tr_dataset *dataset,
                         const tr_loader_args *args, tr_batch_source *out, tr_error *err);
/* Batches that loader threads have room for; 0 without them. */
int tr_batch_source_slots(const tr_session *session, const tr_dataset *dataset,
                          const tr_loader_args *args);
/* What it will hold, bytes. */
int64_t tr_batch_source_bytes(const tr_session *session, const tr_dataset *dataset,
                              const tr_loader_args *args);
/* 1: *input is the next batch, which ends with the next call or tr_batch_source_close; 0: the epoch
 * is over; or a failure. */
int tr_batch_source_next(tr_batch_source *source, tr_input *input, tr_error *err);
/* What a failed step (its code) is called: the failure of its loading. */
int tr_batch_source_failure(tr_batch_source *source, int code, tr_error *err);
void tr_batch_source_close(tr_batch_source *source);

/* ---- testing (evaluate.c) ---- */

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
/* In two steps, as an executor: what it will hold is known after tr_test_plan, and allocated by
 * tr_test_allocate on thread 0 of a team of n_threads. tr_test_close after either. */
int tr_test_plan(const tr_session *session, int n_threads, tr_test *out, tr_error *err);
int64_t tr_test_bytes(const tr_session *session, const tr_test *test);
int tr_test_allocate(const tr_session *session, tr_team *team, tr_test *test, tr_error *err);
/* Run the test set through the network. progress(done, arg) may be NULL; other than 0 stops. */
int tr_test_run(tr_test *test, tr_team *team, int (*progress)(int64_t done, void *arg), void *arg,
                tr_error *err);
void tr_test_close(tr_test *test);
/* Share of class k that was right, NAN where the test set has none. */
double tr_test_class_accuracy(const tr_test *test, int k);

/* ---- memory (account.c) ---- */

/* What a session with a planned executor and test will hold; both may be NULL: none. */
void tr_session_account(const tr_session *session, const tr_exec *exec, const tr_test *test,
                        tr_account *out);
/* Fails, with all kinds and the limit, where that is more than the process may hold: TR_ENOMEM, or
 * TR_ECONFIG at loader.batch_size where the account is that of a training (else NULL) which would
 * fit with a smaller batch. */
int tr_account_check(const tr_account *account, const tr_session *training, tr_error *err);

#endif
