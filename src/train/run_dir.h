/* Private to this module: the run directory and what is written into it. */
#ifndef TR_RUN_DIR_H
#define TR_RUN_DIR_H

#include "train/test.h"

/* The files of a run, in one table: a folder in which anything has one of these names is refused,
 * and nothing else is written. */
typedef enum tr_run_file {
    TR_FILE_LOCK, /* there while the run is: who takes the folder makes it */
    TR_FILE_CONFIG,
    TR_FILE_MODEL,
    TR_FILE_METRICS,
    TR_FILE_SUMMARY,
    TR_FILE_SAMPLES,
    TR_FILE_CURVES,
    TR_FILE_PREDICTIONS,
    TR_FILE_CONFUSION,
    TR_N_RUN_FILES,
} tr_run_file;
/* "model.safetensors" */
const char *tr_run_file_name(tr_run_file file);

typedef struct tr_run_dir {
    char *path;                 /* as it was named; NULL: no folder is taken */
    char *file[TR_N_RUN_FILES]; /* PATH/NAME */
} tr_run_dir;

/* Take the folder `run.out`, which must be new or without any of the names above, or the next free
 * runs/NAME. Of several runs that try to take one folder at the same moment, one gets it. Writes
 * config.ini. After a failure nothing is left behind but folders above it. */
int tr_run_dir_take(const tr_session *session, tr_run_dir *out, tr_error *err);
/* The run is over: remove `lock`. An empty one is fine. */
void tr_run_dir_release(tr_run_dir *dir);
/* Fails where tr_run_dir_take would, as far as that is known without making anything. */
int tr_run_dir_check(const tr_session *session, tr_error *err);

/* Open a finished run (finished.c): its test set, and its network with its weights and their sum.
 * Nothing is left open on failure. */
int tr_finished_open(const tr_config *config, const char *run_dir, tr_session *out, char sha256[65],
                     tr_error *err);

/* What was logged, for the curves. */
typedef struct tr_history {
    int n_logs, n_epochs, log_capacity, epoch_capacity;
    double *log_x, *log_loss; /* x in epochs */
    double *epoch_x, *train_loss, *test_loss, *test_accuracy;
} tr_history;

/* One line of metrics.jsonl and one point of the history each. */
int tr_metrics_log(const tr_run_dir *dir, tr_history *history, const tr_event *event,
                   tr_error *err);
int tr_metrics_epoch(const tr_run_dir *dir, tr_history *history, const tr_event *event,
                     tr_error *err);
void tr_history_free(tr_history *history);

/* Memory that writing any of a run's files takes at most, bytes. */
int64_t tr_run_dir_bytes(const tr_session *session);

/* Nothing known: "", 0 and NAN. */
void tr_summary_clear(tr_summary *summary);
/* The classes that the configuration keeps, none where it keeps none. */
void tr_summary_set_classes(tr_summary *summary, const tr_config *config, int n_classes);
int tr_summary_save(const char *path, const tr_summary *summary, tr_error *err);
/* Is this a key of a summary or of a line of metrics.jsonl whose value may differ between two runs
 * of one result? */
bool tr_is_environment(const char *key);

/* The pictures of a run; the first before training, the others after it. */
typedef struct tr_picture {
    tr_run_file file;
    int (*draw)(const char *path, const tr_session *session, const tr_history *history,
                const tr_test *test, tr_error *err);
    bool before;
} tr_picture;
enum { TR_N_PICTURES = 4 };
extern const tr_picture tr_pictures[TR_N_PICTURES];
/* A grid of images of a data set with their labels; with `predicted` classes under them, too,
 * unless it is NULL. */
int tr_picture_images(const char *path, const char *title, const tr_dataset *dataset,
                      const int *images, const int32_t *predicted, int n, tr_error *err);

#endif
