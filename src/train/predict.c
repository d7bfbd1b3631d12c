/* Single images through a trained network: tr_predict. */
#include <math.h>

#include "train/here.h"
#include "train/run_dir.h"
#include "train/session.h"

typedef struct predicting {
    tr_session session;
    const char *const *class_names; /* of the configuration: they outlive the session */
    int count;
    uint64_t seed;
    tr_prediction *out;
    tr_error *err;
    int code;
} predicting;

static int predict_one(predicting *p, tr_exec *exec, tr_team *team, float *x, int i) {
    const tr_session *s = &p->session;
    const tr_dataset *d = &s->test;
    const unsigned char *pixels;
    int32_t label;
    int truth;
    int image = (int)tr_random_below(p->seed, TR_STREAM_PREDICT, 0, (uint64_t)i, (uint64_t)d->n);
    int code = d->sample(d, image, &pixels, &truth, p->err);
    if (code) return code;
    tr_pipeline_decode(&s->pipeline, pixels, d->h * d->w, x);
    label = truth;
    tr_input input = {.n = 1, .x = x, .labels = &label};
    tr_result result;
    if ((code = tr_exec_step(exec, team, &input, 0, 0, &result))) return code;
    const tr_real *logits = tr_exec_output(exec, 0);
    double sum = 0;
    for (int k = 0; k < d->n_classes; k++) sum += exp((double)logits[k] - logits[result.best[0]]);
    p->out[i] =
        (tr_prediction){image, p->class_names[truth], p->class_names[result.best[0]], 1 / sum};
    return TR_OK;
}

static void predict(tr_team *team, void *arg) {
    predicting *p = arg;
    const tr_dataset *d = &p->session.test;
    tr_exec_options options = {.batch = 1, .kernels = p->session.kernels};
    tr_exec *exec = NULL;
    float *x = tr_alloc((size_t)(d->h * d->w * d->c), sizeof *x, p->err);
    p->code = x ? tr_exec_create(p->session.graph, &options, team, &exec, p->err) : TR_ENOMEM;
    for (int i = 0; p->code == TR_OK && i < p->count; i++)
        p->code = predict_one(p, exec, team, x, i);
    tr_exec_free(exec);
    tr_free(x);
}

int tr_predict_here(tr_config *config, const char *run_dir, int count, uint64_t seed,
                    tr_prediction *out, const char *picture, tr_error *err) {
    tr_error local = {0};
    predicting p = {.count = count, .seed = seed, .out = out, .err = err ? err : &local};
    char sha256[65];
    int code = tr_session_open_run(config, run_dir, &p.session, sha256, p.err);
    if (code) return code;
    code = tr_config_keep_classes(config, &p.session.test, p.err);
    p.class_names = config->class_names;
    if (code == TR_OK) code = tr_team_run(&p.session.placement, predict, &p, p.err);
    if (code == TR_OK) code = p.code;
    if (code == TR_OK && picture) {
        int *images = tr_alloc((size_t)count, sizeof *images, p.err);
        int32_t *classes = tr_alloc((size_t)count, sizeof *classes, p.err);
        code = images && classes ? TR_OK : TR_ENOMEM;
        for (int i = 0; code == TR_OK && i < count; i++) {
            images[i] = out[i].image;
            for (int k = 0; k < p.session.test.n_classes; k++)
                if (p.class_names[k] == out[i].predicted) classes[i] = k;
        }
        if (code == TR_OK)
            code = tr_picture_images(picture, "Predictions on the test set", &p.session.test,
                                     images, classes, count, p.err);
        tr_free(images);
        tr_free(classes);
    }
    tr_session_close(&p.session);
    return code;
}
