/* Private to this module: one call of tr_train or tr_dry_run, from its opening to its end. */
#ifndef TR_TRAINING_H
#define TR_TRAINING_H

#include "train/run_dir.h"
#include "train/train.h"

typedef struct tr_training {
    tr_session session;
    tr_config *config;
    tr_listener listener;
    void *listener_arg;
    tr_summary *summary; /* filled as soon as a thing is known */
    tr_error *err;
    int code;
    bool dry;
    tr_loop loop;
    tr_test test;
    tr_run_dir dir;
    tr_history history;
    tr_plan_info plan;
    tr_event event;
    bool drawing;
    double next_progress;
    tr_running_mean since_log; /* loss */
    double log_start;
    double seconds; /* in steps and waiting for batches, all epochs */
    int64_t images;
} tr_training;

/* ---- events (events.c) ----
 * Each returns TR_OK, or TR_ECANCELED when the listener stops the run. */
int tr_emit(tr_training *training, tr_event_kind kind);
/* Behind the plan come the session's notes. */
int tr_emit_plan(tr_training *training);
/* What a failure that ends nothing costs: a line. code TR_OK: none. */
int tr_emit_warning(tr_training *training, int code, const tr_error *failure);
/* TR_EVENT_PROGRESS, unless there was one just now. */
int tr_emit_progress(tr_training *training);

/* ---- the end of a run (ending.c) ---- */

/* What is known of the run before its first step. */
void tr_training_describe(tr_training *training);
/* The outcome of a test that is complete. */
void tr_training_tested(tr_training *training);
/* Save the weights as they are, if all of them are finite. */
int tr_training_save(tr_training *training);
/* Those pictures that belong before training, or behind it. One that fails costs a warning. */
int tr_training_draw(tr_training *training, bool before);
/* The run is over with `code`: its model, its summary, its pictures. Returns what the run came to,
 * TR_OK where nothing is missing. */
int tr_training_end(tr_training *training, int code);

#endif
