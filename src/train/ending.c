/* How a run ends: completed, stopped or failed, its folder says so.
 *
 * The model and the summary are written before pictures, which may fail. What a run leaves after a
 * stop is the model of its last step; after a failure that of its last epoch. A model that is not
 * finite is never saved.
 */
#include <math.h>
#include <string.h>

#include "train/training.h"

/* ---- the summary, as it comes to be known ---- */

static void describe_init(tr_training *t) {
    const char *path = t->session.experiment.train.init_from;
    char *whole = tr_absolute_path(path, NULL);
    t->summary->init_from = tr_config_keep(t->config, whole ? whole : path);
    tr_free(whole);
}

void tr_training_describe(tr_training *t) {
    const tr_session *s = &t->session;
    tr_summary *m = t->summary;
    m->seed = (uint64_t)s->experiment.train.seed;
    m->epochs = (int)s->experiment.train.epochs;
    m->threads = s->placement.n_threads;
    m->threads_run = (int)tr_min(s->placement.n_active, t->plan.n_shards);
    m->workers = s->workers;
    m->isa = s->kernels->name;
    m->batch_size = t->plan.batch_size;
    m->train_images = s->train.n;
    m->test_images = s->test.n;
    tr_summary_set_classes(m, t->config, s->test.n_classes);
    tr_cpu_name(t->config->cpu, sizeof t->config->cpu);
    m->cpu = t->config->cpu;
    if (*s->experiment.train.init_from) describe_init(t);
}

void tr_training_tested(tr_training *t) {
    tr_summary *m = t->summary;
    m->test_steps = t->event.global_step;
    m->test_loss = t->event.test_loss = t->test.loss;
    m->test_accuracy = t->event.test_accuracy = t->test.accuracy;
    tr_test_class_accuracy(&t->test, t->config->class_accuracy);
}

int tr_training_save(tr_training *t) {
    const tr_event *e = &t->event;
    tr_text problem = {0};
    char sha256[65];
    if (!tr_weights_finite(t->session.graph, &problem)) {
        int failed =
            tr_fail(t->err, TR_ENONFINITE,
                    "%s after step %lld (epoch %d, step %lld), it is not saved: try a smaller "
                    "optimizer.lr or weight_decay",
                    problem.failed ? "a tensor is not finite" : problem.at,
                    (long long)e->global_step, e->epoch, (long long)e->step);
        tr_text_free(&problem);
        return failed;
    }
    int code = tr_session_save(&t->session, t->dir.file[TR_FILE_MODEL], sha256, t->err);
    if (code) return code; /* what the summary says is still true */
    memcpy(t->summary->weights_sha256, sha256, sizeof sha256);
    t->summary->model_steps = e->global_step;
    return TR_OK;
}

static void measure(tr_training *t) {
    tr_summary *m = t->summary;
    tr_loader_stats stats;
    tr_loader_get_stats(t->loop.source.loader, &stats);
    m->steps = t->event.global_step;
    m->final_train_loss = t->event.train_loss;
    m->train_seconds = t->seconds;
    m->loader_wait_seconds = stats.worker_wait_seconds;
    m->peak_rss_bytes = tr_peak_memory();
    if (t->images == 0) return; /* nothing that a speed could be of */
    double waited = stats.consumer_wait_seconds + tr_exec_load_seconds(t->loop.exec);
    m->images_per_second = (double)t->images / t->seconds;
    m->data_wait_fraction = waited / t->seconds;
}

static int write_summary(tr_training *t, const char *status, const char *reason, tr_error *err) {
    measure(t);
    t->summary->status = status;
    t->summary->reason = tr_config_keep(t->config, reason);
    return tr_summary_save(t->dir.file[TR_FILE_SUMMARY], t->summary, err);
}

/* ---- pictures ---- */

int tr_training_draw(tr_training *t, bool before) {
    int code = TR_OK;
    t->drawing = !before;
    for (int i = 0; code == TR_OK && i < TR_N_PICTURES; i++) {
        const tr_picture *picture = &tr_pictures[i];
        if (picture->before != before) continue;
        tr_error failure = {0};
        int drawn =
            picture->draw(t->dir.file[picture->file], &t->session, &t->history, &t->test, &failure);
        code = tr_emit_warning(t, drawn, &failure);
        if (code == TR_OK) code = tr_emit_progress(t);
    }
    t->drawing = false;
    return code;
}

/* ---- three ends ---- */

static int complete(tr_training *t) {
    int code = write_summary(t, "completed", "", t->err);
    if (code == TR_OK) code = tr_training_draw(t, false);
    return code;
}

/* The weights have changed since they were saved. */
static int save_last_step(tr_training *t) {
    if (t->event.global_step == 0 || t->summary->model_steps == t->event.global_step) return TR_OK;
    tr_error stop = *t->err;
    *t->err = (tr_error){0};
    int code = tr_training_save(t);
    if (code == TR_OK) *t->err = stop;
    return code;
}

int tr_training_end(tr_training *t, int code) {
    if (code == TR_OK) code = complete(t);
    if (code == TR_ECANCELED) {
        int saved = save_last_step(t);
        if (saved) code = saved;
    }
    if (code) { /* the failure is reported whether this can be written or not */
        const char *reason = t->err->text[0] ? t->err->text : tr_error_meaning(code);
        write_summary(t, code == TR_ECANCELED ? "stopped" : "failed", reason, NULL);
    }
    tr_run_dir_release(&t->dir);
    if (code) return code;
    /* Nothing is missing: what the listener answers changes nothing. */
    tr_error ignored = {0}, *err = t->err;
    t->err = &ignored;
    t->event.summary = t->summary;
    tr_emit(t, TR_EVENT_END);
    t->event.summary = NULL;
    t->err = err;
    return TR_OK;
}
