/* Chosen images through a trained network: tr_predict.
 *
 * Batches are as large as those of tr_evaluate, so that a prediction has the same bits there and
 * here, however many are requested.
 */
#include <math.h>

#include "train/here.h"
#include "train/run_dir.h"

typedef struct predicting {
    tr_session session;
    const char *const *class_names; /* of the configuration: they outlive the session */
    uint32_t *order;                /* of the test images */
    int32_t *labels;                /* of a batch */
    int count, first;               /* first: number of the batch's first image in `order` */
    tr_prediction *out;
    int n_top;
    tr_class_probability *top;
    pthread_mutex_t lock; /* protects err while the team loads */
    tr_error *err;
    int code;
} predicting;

/* Samples n0..n1-1 of a batch, on any thread of the team. */
static int load(void *arg, int n0, int n1, tr_real *x, int64_t stride) {
    predicting *p = arg;
    const tr_dataset *d = &p->session.test;
    for (int i = n0; i < n1; i++) {
        tr_error err = {0};
        const unsigned char *pixels;
        int truth;
        int code = d->sample(d, (int)p->order[p->first + i], &pixels, &truth, &err);
        if (code) {
            pthread_mutex_lock(&p->lock);
            tr_fail(p->err, code, "%s", err.text);
            pthread_mutex_unlock(&p->lock);
            return code;
        }
        p->labels[i] = truth;
        tr_pipeline_decode(&p->session.pipeline, pixels, d->h * d->w, x + (i - n0) * stride);
    }
    return TR_OK;
}

/* The most probable classes first; among equal ones the lower number, as in a result's `best`. */
static void list_top(const predicting *p, const tr_real *logits, double sum, double most,
                     tr_class_probability *top) {
    int n = p->session.test.n_classes, before = -1;
    for (int t = 0; t < p->n_top; t++) {
        int next = -1;
        for (int k = 0; k < n; k++) {
            bool listed = before >= 0 && (logits[k] > logits[before] ||
                                          (logits[k] == logits[before] && k <= before));
            if (!listed && (next < 0 || logits[k] > logits[next])) next = k;
        }
        top[t] = (tr_class_probability){NULL, 0};
        if (next < 0) continue;
        top[t].name = p->class_names[next];
        top[t].probability = exp((double)logits[next] - most) / sum;
        before = next;
    }
}

static int take(predicting *p, const tr_exec *exec, int i, int best) {
    const tr_real *logits = tr_exec_output(exec, i);
    double sum = 0, most = (double)logits[best];
    int n = p->session.test.n_classes, at = p->first + i;
    for (int k = 0; k < n; k++) sum += exp((double)logits[k] - most);
    if (!tr_is_finite(sum))
        return tr_fail(p->err, TR_ENONFINITE,
                       "the network's output for image %d is not a finite number",
                       (int)p->order[at]);
    p->out[at] = (tr_prediction){(int)p->order[at], p->class_names[p->labels[i]],
                                 p->class_names[best], 1 / sum};
    if (p->n_top) list_top(p, logits, sum, most, p->top + (int64_t)at * p->n_top);
    return TR_OK;
}

static int predict_all(predicting *p, tr_team *team, tr_exec *exec, int batch) {
    tr_account account;
    tr_session_account(&p->session, &account);
    tr_exec_account(exec, &account);
    int code = tr_account_check(&account, NULL, p->err);
    if (code == TR_OK) code = tr_exec_allocate(exec, team, p->err);
    for (; code == TR_OK && p->first < p->count; p->first += batch) {
        int n = (int)tr_min(batch, p->count - p->first);
        tr_input input = {.n = n, .labels = p->labels, .load = load, .arg = p};
        tr_result result;
        if ((code = tr_exec_step(exec, team, &input, 0, 0, &result))) break;
        for (int i = 0; code == TR_OK && i < n; i++) code = take(p, exec, i, result.best[i]);
    }
    return code;
}

static void predict(tr_team *team, void *arg) {
    predicting *p = arg;
    int batch = tr_test_batch(&p->session);
    tr_exec *exec = NULL;
    p->labels = tr_alloc((size_t)batch, sizeof *p->labels, p->err);
    p->code = p->labels ? tr_test_check_batches(&p->session, p->count, p->err) : TR_ENOMEM;
    if (p->code == TR_OK)
        p->code = tr_test_plan_exec(&p->session, true, tr_team_size(team), &exec, p->err);
    if (p->code == TR_OK) p->code = predict_all(p, team, exec, batch);
    tr_exec_free(exec);
    tr_free(p->labels);
}

static int draw(const predicting *p, const char *picture) {
    int images[TR_PREDICT_DRAWN], n = (int)tr_min(p->count, TR_PREDICT_DRAWN);
    int32_t classes[TR_PREDICT_DRAWN];
    for (int i = 0; i < n; i++) {
        images[i] = p->out[i].image;
        for (int k = 0; k < p->session.test.n_classes; k++)
            if (p->class_names[k] == p->out[i].predicted) classes[i] = k;
    }
    return tr_picture_images(picture, "Predictions on the test set", &p->session.test, images,
                             classes, n, p->err);
}

/* The images, no image twice. */
static int choose(predicting *p, uint64_t seed) {
    int n = p->session.test.n;
    if (p->count > n)
        return tr_fail(p->err, TR_ECONFIG, "count: %d is more than the %d test images", p->count,
                       n);
    p->order = tr_alloc((size_t)n, sizeof *p->order, p->err);
    if (p->order == NULL) return TR_ENOMEM;
    tr_permutation(seed, TR_STREAM_PREDICT, 0, p->order, (uint32_t)n);
    return TR_OK;
}

int tr_predict_here(tr_config *config, const char *run_dir, int count, uint64_t seed,
                    tr_prediction *out, int n_top, tr_class_probability *top, const char *picture,
                    tr_error *err) {
    tr_error local = {0};
    predicting p = {
        .count = count, .out = out, .n_top = n_top, .top = top, .err = err ? err : &local};
    char sha256[65];
    if (config == NULL || run_dir == NULL || out == NULL)
        return tr_fail(err, TR_ECONFIG,
                       "predict: the configuration, the run or the result is NULL");
    if (count < 1)
        return tr_fail(err, TR_ECONFIG, "count: %d is out of range, allowed are 1 and more", count);
    tr_config_begin(config);
    int code = tr_finished_open(config, run_dir, &p.session, sha256, p.err);
    if (code) return code;
    pthread_mutex_init(&p.lock, NULL);
    code = choose(&p, seed);
    if (code == TR_OK) code = tr_config_keep_classes(config, &p.session.test, p.err);
    p.class_names = config->class_names;
    if (code == TR_OK) code = tr_team_run(&p.session.placement, predict, &p, p.err);
    if (code == TR_OK) code = p.code;
    if (code == TR_OK && picture) code = draw(&p, picture);
    tr_free(p.order);
    pthread_mutex_destroy(&p.lock);
    tr_config_keep_notes(config, &p.session.notes);
    tr_session_close(&p.session);
    return code;
}
