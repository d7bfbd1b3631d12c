/* Batches from the loader to a step. With workers they come decoded; without, a step's threads
 * decode their samples, and a failure of any of them is kept until the step is over. */
#include "setup/setup.h"

static void bind_worker(void *arg) {
    tr_bind_self(arg);
}

static tr_loader_options options_of(const tr_session *s, const tr_dataset *dataset,
                                    const tr_loader_args *args) {
    int64_t size = (int64_t)dataset->h * dataset->w * dataset->c;
    tr_loader_options options = {.args = *args,
                                 .generator = (tr_generator)s->experiment.train.generator,
                                 .seed = (uint64_t)s->experiment.train.seed,
                                 .n_before = s->graph->n_draws,
                                 .stride = tr_round_up(size, TR_LANES) + TR_LANES,
                                 .lazy = args->workers == 0,
                                 .worker_start = bind_worker,
                                 .worker_arg = (void *)s->placement.loaders};
    return options;
}

int tr_batch_source_check(const tr_session *s, const tr_dataset *dataset,
                          const tr_loader_args *args, tr_error *err) {
    tr_loader_options options = options_of(s, dataset, args);
    tr_places places = tr_doc_places(s->experiment.doc, "loader");
    return tr_loader_check_memory(dataset, &options, &places, err);
}

int tr_batch_source_slots(const tr_session *s, const tr_dataset *dataset,
                          const tr_loader_args *args) {
    tr_loader_options options = options_of(s, dataset, args);
    return args->workers ? tr_loader_slots(dataset, &options) : 0;
}

int64_t tr_batch_source_bytes(const tr_session *s, const tr_dataset *dataset,
                              const tr_loader_args *args) {
    tr_loader_options options = options_of(s, dataset, args);
    return tr_loader_bytes(dataset, &options);
}

int tr_batch_source_open(const tr_session *s, const tr_dataset *dataset, const tr_loader_args *args,
                         tr_batch_source *out, tr_error *err) {
    tr_loader_options options = options_of(s, dataset, args);
    *out = (tr_batch_source){0};
    pthread_mutex_init(&out->lock, NULL);
    int code = tr_loader_create(dataset, &s->pipeline, &options, &out->loader, err);
    if (code) tr_batch_source_close(out);
    return code;
}

static int decode(void *arg, int n0, int n1, tr_real *x, int64_t stride) {
    tr_batch_source *source = arg;
    tr_error err = {0};
    int code = tr_batch_decode(source->loader, source->batch, n0, n1, x, stride, &err);
    if (code) {
        pthread_mutex_lock(&source->lock);
        tr_fail(&source->error, code, "%s", err.text);
        pthread_mutex_unlock(&source->lock);
    }
    return code;
}

int tr_batch_source_next(tr_batch_source *source, tr_input *input, tr_error *err) {
    if (source->batch) tr_loader_release(source->loader, source->batch);
    source->batch = NULL;
    int code = tr_loader_next(source->loader, &source->batch, err);
    if (code <= 0) return code;
    const tr_batch *b = source->batch;
    *input = (tr_input){.n = b->n, .x = b->x, .stride = b->stride, .labels = b->labels};
    if (!b->decoded) {
        input->load = decode;
        input->arg = source;
    }
    return 1;
}

int tr_batch_source_failure(tr_batch_source *source, int code, tr_error *err) {
    return tr_fail(err, code, "%s",
                   source->error.code ? source->error.text : tr_error_meaning(code));
}

void tr_batch_source_close(tr_batch_source *source) {
    if (source->loader == NULL && source->batch == NULL) return;
    if (source->batch) tr_loader_release(source->loader, source->batch);
    tr_loader_free(source->loader);
    pthread_mutex_destroy(&source->lock);
    *source = (tr_batch_source){0};
}
