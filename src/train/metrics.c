/* metrics.jsonl, in whole lines, and the same numbers kept for the curves. */
#include <string.h>

#include "train/run_dir.h"

/* Space for one more in n arrays that have `n` entries each. */
static int grow(double **arrays[], int n_arrays, int n, int *capacity, tr_error *err) {
    if (n < *capacity) return TR_OK;
    int more = *capacity ? 2 * *capacity : 64;
    for (int i = 0; i < n_arrays; i++) {
        double *larger = tr_alloc((size_t)more, sizeof *larger, err);
        if (larger == NULL) return TR_ENOMEM;
        if (n) memcpy(larger, *arrays[i], (size_t)n * sizeof *larger);
        tr_free(*arrays[i]);
        *arrays[i] = larger;
    }
    *capacity = more;
    return TR_OK;
}

int tr_metrics_log(const tr_run_dir *dir, tr_history *h, const tr_event *e, tr_error *err) {
    double **arrays[] = {&h->log_x, &h->log_loss};
    int code = grow(arrays, 2, h->n_logs, &h->log_capacity, err);
    if (code) return code;
    h->log_x[h->n_logs] = e->epoch - 1 + (double)e->step / (double)e->plan->steps;
    h->log_loss[h->n_logs++] = e->loss;
    json_t *line =
        json_pack("{s:s, s:i, s:I, s:o, s:o, s:o}", "event", "log", "epoch", e->epoch, "step",
                  (json_int_t)e->global_step, "loss", tr_json_number(e->loss), "lr",
                  tr_json_number(e->lr), "images_per_second", tr_json_number(e->images_per_second));
    return tr_json_append(dir->file[TR_FILE_METRICS], line, err);
}

int tr_metrics_epoch(const tr_run_dir *dir, tr_history *h, const tr_event *e, tr_error *err) {
    double **arrays[] = {&h->epoch_x, &h->train_loss, &h->test_loss, &h->test_accuracy};
    int code = grow(arrays, 4, h->n_epochs, &h->epoch_capacity, err);
    if (code) return code;
    h->epoch_x[h->n_epochs] = e->epoch;
    h->train_loss[h->n_epochs] = e->train_loss;
    h->test_loss[h->n_epochs] = e->test_loss;
    h->test_accuracy[h->n_epochs++] = e->test_accuracy;
    json_t *line =
        json_pack("{s:s, s:i, s:I, s:o, s:o, s:o, s:o, s:o}", "event", "epoch", "epoch", e->epoch,
                  "step", (json_int_t)e->global_step, "train_loss", tr_json_number(e->train_loss),
                  "test_loss", tr_json_number(e->test_loss), "test_accuracy",
                  tr_json_number(e->test_accuracy), "seconds", tr_json_number(e->epoch_seconds),
                  "images_per_second", tr_json_number(e->images_per_second));
    return tr_json_append(dir->file[TR_FILE_METRICS], line, err);
}

void tr_history_free(tr_history *h) {
    tr_free(h->log_x);
    tr_free(h->log_loss);
    tr_free(h->epoch_x);
    tr_free(h->train_loss);
    tr_free(h->test_loss);
    tr_free(h->test_accuracy);
    *h = (tr_history){0};
}
