/* Private to this room: the run directory and what is written into it. */
#ifndef TR_RUN_DIR_H
#define TR_RUN_DIR_H

#include "train/session.h"

/* Make the run directory: `run.out`, which must not hold a run, or the next free runs/NAME. out has
 * `bytes` bytes. Writes config.ini. */
int tr_run_dir_create(const tr_session *session, char *out, size_t bytes, tr_error *err);
/* Fails where tr_run_dir_create would because of what `run.out` names. Makes nothing. */
int tr_run_dir_check(const tr_session *session, tr_error *err);
/* DIR/NAME. Returns out. */
char *tr_run_dir_path(const char *dir, const char *name, char out[4352]);

/* What was logged, for the curves. */
typedef struct tr_history {
    int n_logs, n_epochs, log_room, epoch_room;
    double *log_x, *log_loss; /* x in epochs */
    double *epoch_x, *train_loss, *test_loss, *test_accuracy;
} tr_history;

/* One line of metrics.jsonl and one point of the history each. */
int tr_run_dir_log(const char *dir, tr_history *history, const tr_event *event, tr_error *err);
int tr_run_dir_epoch(const char *dir, tr_history *history, const tr_event *event, tr_error *err);
void tr_history_free(tr_history *history);

/* Memory that writing any of a run's files takes at most, bytes. */
int64_t tr_run_dir_bytes(const tr_session *session);
int tr_run_dir_summary(const char *dir, const tr_summary *summary, tr_error *err);

/* samples.png, before training. */
int tr_run_dir_samples(const char *dir, const tr_session *session, tr_error *err);
/* curves.png, predictions.png, confusion.png. */
int tr_run_dir_pictures(const char *dir, const tr_session *session, const tr_history *history,
                        const tr_test *test, tr_error *err);
/* A grid of images of a data set with their labels; with `predicted` classes under them, too,
 * unless it is NULL. */
int tr_picture_images(const char *path, const char *title, const tr_dataset *dataset,
                      const int *images, const int32_t *predicted, int n, tr_error *err);

#endif
