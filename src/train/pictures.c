/* The pictures of a run: training samples, curves, predictions, confusion. */
#include <stdio.h>

#include "report/report.h"
#include "train/run_dir.h"

enum {
    GRID_IMAGES = 32,
    GRID_COLUMNS = 8,
};

int tr_picture_images(const char *path, const char *title, const tr_dataset *dataset,
                      const int *images, const int32_t *predicted, int n, tr_error *err) {
    tr_cell *cells = tr_alloc((size_t)n, sizeof *cells, err);
    int code = cells ? TR_OK : TR_ENOMEM;
    for (int i = 0; code == TR_OK && i < n; i++) {
        int label;
        cells[i] = (tr_cell){.h = dataset->h, .w = dataset->w, .c = dataset->c, .verdict = -1};
        code = dataset->sample(dataset, images[i], &cells[i].pixels, &label, err);
        if (code) break;
        cells[i].title = dataset->class_names[label];
        if (predicted == NULL) continue;
        cells[i].subtitle = dataset->class_names[predicted[i]];
        cells[i].verdict = predicted[i] == label;
    }
    if (code == TR_OK)
        code = tr_draw_grid(path, title, cells, n, n < GRID_COLUMNS ? n : GRID_COLUMNS, err);
    tr_free(cells);
    return code;
}

/* Random images of a data set, no image twice. */
static int choose(const tr_session *s, uint32_t which, int n_images, int *images, int *n,
                  tr_error *err) {
    uint32_t *order = tr_alloc((size_t)n_images, sizeof *order, err);
    if (order == NULL) return TR_ENOMEM;
    tr_permutation((uint64_t)s->experiment.train.seed, TR_STREAM_SAMPLES, which, order,
                   (uint32_t)n_images);
    *n = (int)tr_min(GRID_IMAGES, n_images);
    for (int i = 0; i < *n; i++) images[i] = (int)order[i];
    tr_free(order);
    return TR_OK;
}

int64_t tr_run_dir_bytes(const tr_session *s) {
    int64_t order = tr_alloc_bytes(tr_max(s->train.n, s->test.n), sizeof(uint32_t));
    return tr_max(order, tr_draw_bytes(s->test.n_classes)); /* one after the other */
}

static int draw_samples(const char *path, const tr_session *s, const tr_history *history,
                        const tr_test *test, tr_error *err) {
    int images[GRID_IMAGES], n;
    (void)history, (void)test;
    int code = choose(s, 0, s->train.n, images, &n, err);
    return code ? code
                : tr_picture_images(path, "Training images", &s->train, images, NULL, n, err);
}

static int draw_curves(const char *path, const tr_session *s, const tr_history *h,
                       const tr_test *test, tr_error *err) {
    char title[TR_TEXT + 32];
    const tr_series loss[] = {{"training loss", h->n_logs, h->log_x, h->log_loss, false},
                              {"test loss", h->n_epochs, h->epoch_x, h->test_loss, true}};
    const tr_series accuracy[] = {
        {"test accuracy", h->n_epochs, h->epoch_x, h->test_accuracy, true}};
    const tr_panel panels[] = {
        {"Loss", "epoch", "cross-entropy (nats)", loss, 2, 0, 0},
        {"Accuracy", "epoch", "share of test images", accuracy, 1, 0, 1},
    };
    (void)test;
    snprintf(title, sizeof title, "Training of %s", s->experiment.name);
    return tr_draw_panels(path, title, panels, 2, err);
}

static int draw_predictions(const char *path, const tr_session *s, const tr_history *history,
                            const tr_test *test, tr_error *err) {
    int images[GRID_IMAGES], n;
    int32_t predicted[GRID_IMAGES];
    (void)history;
    int code = choose(s, 1, s->test.n, images, &n, err);
    if (code) return code;
    for (int i = 0; i < n; i++) predicted[i] = test->predicted[images[i]];
    return tr_picture_images(path, "Test images: true and predicted classes", &s->test, images,
                             predicted, n, err);
}

static int draw_confusion(const char *path, const tr_session *s, const tr_history *history,
                          const tr_test *test, tr_error *err) {
    char title[128];
    (void)history;
    snprintf(title, sizeof title, "Confusion on the test set, accuracy %.2f %%",
             100 * test->accuracy);
    return tr_draw_confusion(path, title, s->test.class_names, test->n_classes, test->confusion,
                             err);
}

const tr_picture tr_pictures[TR_N_PICTURES] = {
    {TR_FILE_SAMPLES, draw_samples, true},
    {TR_FILE_CURVES, draw_curves, false},
    {TR_FILE_PREDICTIONS, draw_predictions, false},
    {TR_FILE_CONFUSION, draw_confusion, false},
};
