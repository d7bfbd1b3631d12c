/* Opening what a configuration names, in the order in which its faults should be found. */
#include "train/run_dir.h"

#include <stdio.h>
#include <string.h>

/* A wrong name, or one that this CPU lacks, is told with its place. */
static int choose_kernels(tr_session *s, tr_error *err) {
    enum { MOST = 16 };
    const char *isa = s->experiment.run.isa, *names[MOST] = {"auto"};
    const tr_pair *pair = tr_doc_find(s->experiment.doc, "run", "isa");
    bool known = strcmp(isa, names[0]) == 0;
    int n = 1;
    for (int i = 0; i < tr_n_isas() && n < MOST; i++) {
        names[n++] = tr_isa_name(i);
        known |= strcmp(isa, tr_isa_name(i)) == 0;
    }
    if (pair && !known) {
        char text[2 * TR_TEXT];
        snprintf(text, sizeof text, "no instruction set '%s' in this build", isa);
        return tr_fail_unknown(err, pair->where, "run.isa", text, isa, names, n);
    }
    tr_error inner = {0};
    int code = tr_kernels_get(isa, &s->kernels, &inner);
    if (code == TR_OK) return TR_OK;
    /* `auto` is never wrong, but the variable TRAINER_ISA may be. */
    return pair && strcmp(isa, names[0]) != 0
               ? tr_fail_at(err, pair->where, "run.isa", "%s", inner.text)
               : tr_fail(err, code, "%s", inner.text);
}

static int look(const tr_watch *watch) {
    return watch ? watch->look(watch->arg) : TR_OK;
}

static int open_data(tr_session *s, bool with_training, const tr_watch *watch, tr_error *err) {
    const tr_experiment *e = &s->experiment;
    tr_dataset_request request = {.args = e->dataset_args,
                                  .places = tr_doc_places(e->doc, "data"),
                                  .split = TR_TRAIN,
                                  .seed = (uint64_t)e->train.seed,
                                  .notes = &s->notes};
    int code = TR_OK, n;
    tr_where where;
    if (with_training && (code = e->dataset->open(&request, &s->train, err))) return code;
    request.split = TR_TEST;
    if ((code = look(watch)) || (code = e->dataset->open(&request, &s->test, err))) return code;
    if (s->test.n_classes > TR_MAX_CLASSES)
        return tr_fail(err, TR_ECONFIG, "the data has more than %d classes", TR_MAX_CLASSES);
    const tr_pair *pairs = tr_doc_section(e->doc, "transforms", &n, &where);
    return tr_pipeline_create(pairs, n, s->test.c, &s->pipeline, err);
}

/* What only the data set's size can tell. */
static int check_loader(tr_session *s, tr_error *err) {
    const tr_experiment *e = &s->experiment;
    tr_places keys = tr_doc_places(e->doc, "loader");
    int64_t n = s->train.n, batch = e->loader.batch_size;
    if (e->loader.drop_last && batch > n)
        return tr_fail_between(err, &keys, "batch_size", "drop_last",
                               "batch_size=%lld is more than the %lld training images, and "
                               "drop_last=true leaves no batch, allowed are 1 to %lld",
                               (long long)batch, (long long)n, (long long)n);
    s->steps = e->loader.drop_last ? n / batch : (n + batch - 1) / batch;
    s->log_every = e->train.log_every > 0 ? e->train.log_every : tr_max(1, s->steps / 6);
    return TR_OK;
}

int tr_session_place(tr_session *s, int64_t threads, tr_error *err) {
    const tr_run_args *run = &s->experiment.run;
    int n = threads > 0 ? (int)threads : TR_AUTO_THREADS;
    int code =
        tr_place(s->topology, n, (tr_spread)run->numa, run->oversubscribe, &s->placement, err);
    int spare = tr_topology_n_runnable(s->topology) - s->placement.n_active;
    s->workers = s->experiment.loader.workers >= 0 ? (int)s->experiment.loader.workers
                                                   : (int)tr_max(0, tr_min(2, spare));
    return code;
}

static void bind_worker(void *arg) {
    tr_bind_self(arg);
}

static tr_loader_options options_of(const tr_session *s, const tr_dataset *dataset,
                                    const tr_loader_args *args) {
    int64_t size = (int64_t)dataset->h * dataset->w * dataset->c;
    tr_loader_options options = {.args = *args,
                                 .generator = (tr_generator)s->experiment.train.generator,
                                 .seed = (uint64_t)s->experiment.train.seed,
                                 .n_before = tr_graph_count(s->graph),
                                 .stride = tr_round_up(size, TR_LANES) + TR_LANES,
                                 .lazy = s->workers == 0,
                                 .worker_start = bind_worker,
                                 .worker_arg = (void *)s->placement.loaders};
    options.args.workers = s->workers;
    return options;
}

/* The images themselves, when nothing else can be wrong and they are known to have room. */
static int load_data(tr_session *s, bool with_training, const tr_watch *watch, tr_error *err) {
    int code = look(watch);
    if (code == TR_OK && with_training) {
        const tr_loader_args *args = &s->experiment.loader;
        tr_loader_options options = options_of(s, &s->train, args);
        tr_places places = tr_doc_places(s->experiment.doc, "loader");
        code = tr_loader_check_room(&s->train, &options, &places, err);
        if (code == TR_OK) code = tr_dataset_load(&s->train, err);
    }
    if (code == TR_OK) code = look(watch);
    if (code == TR_OK) code = tr_dataset_load(&s->test, err);
    if (code == TR_OK && with_training && s->experiment.dataset->from_files)
        code = tr_dataset_note_repeats(&s->train, &s->test, &s->notes, err);
    return code;
}

static int open_all(const tr_doc *doc, bool with_training, const tr_watch *watch, tr_session *s,
                    tr_error *err) {
    int code = tr_experiment_parse(doc, &s->experiment, err);
    if (code) return code;
    if ((code = choose_kernels(s, err))) return code;
    if ((code = look(watch)) || (code = open_data(s, with_training, watch, err))) return code;
    if (with_training && (code = check_loader(s, err))) return code;
    if ((code = look(watch))) return code;
    tr_shape image = {false, s->test.h, s->test.w, s->test.c};
    if ((code = tr_graph_create(doc, image, s->test.n_classes, &s->graph, err))) return code;
    if ((code = tr_topology_load(NULL, &s->topology, err))) return code;
    if ((code = tr_session_place(s, s->experiment.run.threads, err))) return code;
    return load_data(s, with_training, watch, err);
}

int tr_session_open(const tr_doc *doc, bool with_training, const tr_watch *watch, tr_session *out,
                    tr_error *err) {
    *out = (tr_session){.resident = tr_resident_memory()};
    int code = open_all(doc, with_training, watch, out, err);
    if (code) tr_session_close(out);
    return code;
}

void tr_session_close(tr_session *s) {
    tr_topology_free(s->topology);
    tr_graph_free(s->graph);
    tr_dataset_close(&s->train);
    tr_dataset_close(&s->test);
    tr_experiment_free(&s->experiment);
    tr_notes_free(&s->notes);
    *s = (tr_session){0};
}

int tr_session_start(tr_session *s, tr_exec *exec, tr_team *team, tr_error *err) {
    const tr_train_args *train = &s->experiment.train;
    bool first = s->graph->parameters == NULL;
    int code = first ? tr_graph_allocate(s->graph, err) : TR_OK;
    if (code == TR_OK) code = tr_exec_allocate(exec, team, err);
    if (code == TR_OK && first)
        tr_graph_init(s->graph, (tr_generator)train->generator, (uint64_t)train->seed);
    return code;
}

/* ---- a finished run ---- */

/* The weights in the file, finite ones only. */
static int load_finite(tr_session *s, const char *path, tr_error *err) {
    char fault[TR_NONFINITE];
    int code = tr_session_load(s, path, err);
    if (code || tr_weights_finite(s->graph, fault)) return code;
    return tr_fail(err, TR_ENONFINITE, "%s: %s", path, fault);
}

static int load_run(tr_session *s, const char *run_dir, char sha256[65], tr_error *err) {
    tr_account account;
    tr_session_account(s, NULL, NULL, &account);
    int code = tr_account_check(&account, NULL, err);
    if (code == TR_OK) code = tr_graph_allocate(s->graph, err);
    if (code) return code;
    char *path = tr_path(run_dir, tr_run_file_name(TR_FILE_MODEL), err);
    code = path ? load_finite(s, path, err) : TR_ENOMEM;
    tr_free(path);
    return code ? code : tr_session_sha256(s, sha256, err);
}

int tr_session_open_run(const tr_config *config, const char *run_dir, tr_session *s,
                        char sha256[65], tr_error *err) {
    tr_clear_temporaries(run_dir);
    int code = tr_session_open(config->doc, false, NULL, s, err);
    if (code) return code;
    if ((code = load_run(s, run_dir, sha256, err))) tr_session_close(s);
    return code;
}

/* ---- batches ---- */

int tr_batch_source_slots(const tr_session *s, const tr_dataset *dataset,
                          const tr_loader_args *args) {
    tr_loader_options options = options_of(s, dataset, args);
    return s->workers ? tr_loader_slots(dataset, &options) : 0;
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
