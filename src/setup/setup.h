/* The module `setup`: what a configuration means, and everything that it names, opened.
 *
 * Below it are the modules that read a part of the configuration each; above it those that run
 * what is opened here: `train` and `bench`.
 */
#ifndef TR_SETUP_H
#define TR_SETUP_H

#include "config/config.h"
#include "data/data.h"
#include "exec/exec.h"
#include "graph/graph.h"
#include "io/io.h"
#include "optim/optim.h"
#include "report/report.h"
#include "threads/threads.h"
#include "trainer/trainer.h"

/* ---- the meaning (experiment.c) ---- */

typedef struct tr_train_args { /* [train] */
    int64_t epochs, seed, log_every, accumulate;
    int generator;
    const char *init_from; /* "": none */
    bool init_strict;
} tr_train_args;

typedef struct tr_engine_args { /* [engine] */
    int64_t shard;              /* -1: auto */
} tr_engine_args;

typedef struct tr_run_args { /* [run] */
    int64_t threads;         /* -1: auto */
    int numa;
    bool oversubscribe;
    const char *isa, *out;
} tr_run_args;

typedef struct tr_experiment {
    const tr_doc *doc;
    char *name; /* of the (first) configuration file, without folder and ending */
    const tr_dataset_class *dataset;
    const tr_optimizer *optimizer;
    const tr_schedule *schedule;
    void *dataset_args, *optimizer_args, *schedule_args;
    tr_loader_args loader;
    tr_train_args train;
    tr_engine_args engine;
    tr_run_args run;
} tr_experiment;

/* All sections but [network], [loss] and [transforms], which the graph and the pipeline read. */
int tr_experiment_parse(const tr_doc *doc, tr_experiment *out, tr_error *err);
void tr_experiment_free(tr_experiment *experiment);
/* At step `step`, from 0, of `steps`. */
double tr_learning_rate(const tr_experiment *experiment, int64_t step, int64_t steps);
/* The effective configuration: every key of every section, layer and transform with its value,
 * paths from the root on; all but run.out. Read again it means the same. Freed with tr_free. */
char *tr_experiment_text(const tr_experiment *experiment, const tr_graph *graph, tr_error *err);

/* A key that a configuration may hold (keys.c). */
typedef struct tr_key_place {
    const char *section, *key;
    const char *class_name; /* the class that takes it ("sgd"), or NULL: the section itself */
    bool argument;          /* written as key=value in a line of the section ([network]) */
    bool flag;              /* true or false */
} tr_key_place;
/* Visit every key of every section, in the order of a configuration; one that several classes of a
 * section share comes once for each. */
void tr_each_key(void (*visit)(const tr_key_place *place, void *arg), void *arg);

/* The manual page trainer.ini(5): all sections, classes and keys (manual.c). */
void tr_manual_configuration(tr_manual *m);

/* ---- configurations (config.c) ---- */

struct tr_config {
    tr_doc *doc;
    tr_arena kept;       /* what the results of the last call point at, but for ... */
    tr_arena run_dirs;   /* ... the folders of runs, which callers pass to further calls */
    const char *run_dir; /* the last of them, or NULL */
    const char *const *class_names; /* tr_config_keep_classes; [n_classes] */
    double *class_accuracy;         /* [n_classes], NAN to begin with */
    char cpu[128], started[TR_DATE];
    tr_notes notes; /* of all calls, each once */
};
/* A call that computes begins: the results of the one before it end. */
void tr_config_begin(tr_config *config);
/* A copy that lives as long as results do, and one that lives as long as the configuration; ""
 * where there is no memory for one. */
const char *tr_config_keep(tr_config *config, const char *text);
const char *tr_config_keep_run_dir(tr_config *config, const char *path);
/* Fill class_names and class_accuracy for a data set. */
int tr_config_keep_classes(tr_config *config, const tr_dataset *dataset, tr_error *err);
/* Add a session's notes to those of tr_config_notes. */
void tr_config_keep_notes(tr_config *config, const tr_notes *notes);

/* ---- a model file, matched with a network (match.c, weights.c) ---- */

typedef struct tr_weights {
    const tr_graph *graph;
    tr_safetensors file;
    int *tensor; /* [rows of the graph] of the file; TR_NONE: the row keeps its value */
} tr_weights;

/* Names, shapes and types must be the network's: parameters and buffers. What stands in front of
 * every name ("module.") is left out; counters (num_batches_tracked) may be missing, and tensors of
 * integers left over. Not strict: what fits is enough, if anything does; what is missing, left over
 * or of another shape is noted. */
int tr_weights_open(const tr_graph *graph, const char *path, bool strict, tr_notes *notes,
                    tr_weights *out, tr_error *err);
/* Read all values; keep: into the state, which has memory. Fails (TR_ENONFINITE) where one is
 * infinite or NaN. */
int tr_weights_read(const tr_weights *weights, bool keep, tr_error *err);
void tr_weights_close(tr_weights *weights);

/* ---- what it names, opened (session.c) ---- */

typedef struct tr_session {
    tr_experiment experiment;
    tr_dataset train, test; /* train is empty where only the test set was requested */
    tr_pipeline pipeline;
    tr_graph *graph;
    tr_weights init; /* of train.init_from; {0}: none */
    const tr_kernels *kernels;
    tr_topology *topology;
    tr_placement placement;
    int workers;              /* loader threads; 0: the team loads */
    int64_t log_every, steps; /* steps, updates of the weights, in an epoch */
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
/* The same without data: the network for images of `input`, and as many classes as it has outputs.
 */
int tr_session_open_network(const tr_doc *doc, tr_shape input, tr_session *out, tr_error *err);
void tr_session_close(tr_session *session);
/* Samples of the training set that an epoch sees, and those between two updates at most, with
 * batches as `loader` says. */
int64_t tr_session_epoch_samples(const tr_session *session, const tr_loader_args *loader);
int64_t tr_session_effective(const tr_session *session, const tr_loader_args *loader);
/* How the configuration has its network executed, for batches of so many samples at most. */
/* Fails, at the layer, where one cannot work on a batch of n samples, in training or evaluation.
 * source: "the last batch of the test has", behind which n stands. */
int tr_session_check_batch(const tr_session *session, int64_t n, bool training, const char *source,
                           tr_error *err);
tr_exec_options tr_session_options(const tr_session *session, int batch, bool training);
/* Allocate what a planned executor holds and, the first time, the weights, drawn from the seed. On
 * thread 0 of the team. */
int tr_session_start(tr_session *session, tr_exec *exec, tr_team *team, tr_error *err);
/* Another number of threads (-1: auto). */
int tr_session_place(tr_session *session, int64_t threads, tr_error *err);
/* [loader] with the number of workers that there will be. */
tr_loader_args tr_session_loader(const tr_session *session);

/* ---- weights and files (weights.c) ----
 * A few kilobytes at a time: no copy of the weights is made. */

/* Write parameters and buffers in PyTorch's order; sha256 as tr_session_sha256. */
int tr_session_save(const tr_session *session, const char *path, char sha256[65], tr_error *err);
/* Take them from a file: tr_weights_open, strictly, and tr_weights_read. */
int tr_session_load(tr_session *session, const char *path, tr_error *err);
/* SHA-256 of parameters and buffers in that order, of the bytes that they have in a file. */
int tr_session_sha256(const tr_session *session, char sha256[65], tr_error *err);
/* train.init_from: look at all of the file; take its values. */
int tr_session_open_init(tr_session *session, tr_error *err);
int tr_session_read_init(tr_session *session, tr_error *err);

/* State that is infinite or NaN (finite.c): is there none? Else `text` says where some is:
 * "tensor 'fc.weight' holds a value that is not a number". */
bool tr_weights_finite(const tr_graph *graph, tr_text *text);
/* "not a number" or "infinite". */
const char *tr_nonfinite_name(double value);

/* ---- batches of a data set as a step takes them (source.c) ----
 * args->workers is a number, never auto; 0: the team decodes. */

typedef struct tr_batch_source {
    tr_loader *loader;
    tr_batch *batch;
    pthread_mutex_t lock; /* protects error, which any thread of the team may set */
    tr_error error;
} tr_batch_source;
int tr_batch_source_open(const tr_session *session, const tr_dataset *dataset,
                         const tr_loader_args *args, tr_batch_source *out, tr_error *err);
/* Fails at its key where the batches do not fit in memory. */
int tr_batch_source_check(const tr_session *session, const tr_dataset *dataset,
                          const tr_loader_args *args, tr_error *err);
/* Batches that the loader's ring holds; 0 without loader threads. */
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

/* ---- memory, and what will run (account.c, plan_info.c) ---- */

/* What a session holds or will hold: weights, data and the process itself. Executors and loaders
 * are added by those who plan them. */
void tr_session_account(const tr_session *session, tr_account *out);
/* Fails, with all kinds and the limit, where that is more than the process may hold: TR_ENOMEM, or
 * TR_ECONFIG at loader.batch_size where the account is that of a training (else NULL) which would
 * fit with a smaller batch. */
int tr_account_check(const tr_account *account, const tr_session *training, tr_error *err);

/* The plan, for display. Borrows names from the session; frees with tr_plan_info_free. */
int tr_plan_info_fill(const tr_session *session, const tr_exec *exec, const tr_account *account,
                      tr_plan_info *out, tr_error *err);
/* tr_plan_info.json; tr_free (describe.c). */
int tr_describe(const tr_session *session, char **out, tr_error *err);
void tr_plan_info_free(tr_plan_info *info);

#endif
