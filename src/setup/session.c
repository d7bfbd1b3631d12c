/* Opening what a configuration names, in the order in which its errors should be found. */
#include "setup/setup.h"

#include <stdio.h>
#include <string.h>

/* A wrong name, or one that this CPU lacks, is reported at its key. */
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
    const tr_pair *pairs = tr_doc_section(e->doc, "transforms", &n, &where);
    return tr_pipeline_create(pairs, n, s->test.c, &s->pipeline, err);
}

int64_t tr_session_epoch_samples(const tr_session *s, const tr_loader_args *loader) {
    return loader->drop_last ? s->train.n / loader->batch_size * loader->batch_size : s->train.n;
}

int64_t tr_session_effective(const tr_session *s, const tr_loader_args *loader) {
    int64_t most = loader->batch_size * s->experiment.train.accumulate;
    return tr_min(most, tr_session_epoch_samples(s, loader));
}

/* Needs the data set's size. */
static int check_loader(tr_session *s, tr_error *err) {
    const tr_experiment *e = &s->experiment;
    tr_places keys = tr_doc_places(e->doc, "loader");
    int64_t n = s->train.n, batch = e->loader.batch_size;
    if (e->loader.drop_last && batch > n)
        return tr_fail_between(err, &keys, "batch_size", "drop_last",
                               "batch_size=%lld is more than the %lld training images, and "
                               "drop_last=true leaves no batch, allowed are 1 to %lld",
                               (long long)batch, (long long)n, (long long)n);
    int64_t batches = e->loader.drop_last ? n / batch : (n + batch - 1) / batch;
    s->steps = (batches + e->train.accumulate - 1) / e->train.accumulate;
    int64_t effective = tr_session_effective(s, &e->loader);
    int64_t shard = e->engine.shard > 0 ? e->engine.shard : tr_exec_shard(effective);
    if (effective > batch && batch % shard != 0) {
        tr_places train = tr_doc_places(e->doc, "train");
        return tr_fail_key(
            err, &train, "accumulate",
            "%lld batches of %lld samples: batch_size must be a multiple of the %lld "
            "samples of a shard (set engine.shard to a divisor of batch_size)",
            (long long)e->train.accumulate, (long long)batch, (long long)shard);
    }
    s->log_every = e->train.log_every > 0 ? e->train.log_every : tr_max(1, s->steps / 6);
    return TR_OK;
}

static int min_batch(const tr_node *node, bool training) {
    return node->op && node->op->min_batch ? node->op->min_batch(node, training) : 1;
}

int tr_session_check_batch(const tr_session *s, int64_t n, bool training, const char *source,
                           tr_error *err) {
    for (int i = 0; i < s->graph->n_nodes; i++) {
        const tr_node *node = &s->graph->nodes[i];
        const int least = min_batch(node, training);
        const char *verb = training ? "train" : "evaluate";
        char shape[64];
        if (least == TR_NO_BATCH)
            return tr_fail_at(err, node->where, node->name,
                              "%s cannot %s on inputs of %s: no batch is large enough",
                              node->op->schema.name, verb, tr_shape_text(node->in[0], shape));
        if (n < least)
            return tr_fail_at(err, node->where, node->name,
                              "%s %ss batches of %d images or more, but %s %lld",
                              node->op->schema.name, verb, least, source, (long long)n);
    }
    return TR_OK;
}

/* Needs the network: every batch of an epoch must be as large as its layers need it. */
static int check_batches(const tr_session *s, tr_error *err) {
    const tr_experiment *e = &s->experiment;
    tr_places keys = tr_doc_places(e->doc, "loader");
    int64_t batch = e->loader.batch_size, last = s->train.n % batch;
    for (int i = 0; i < s->graph->n_nodes; i++) {
        const tr_node *node = &s->graph->nodes[i];
        const int least = min_batch(node, true);
        if (least == TR_NO_BATCH) return tr_session_check_batch(s, batch, true, "", err);
        if (batch < least)
            return tr_fail_key(err, &keys, "batch_size",
                               "batch_size=%lld, but layer '%s' (%s) trains with %d images or more "
                               "in a batch",
                               (long long)batch, node->name, node->op->schema.name, least);
        if (last > 0 && last < least && !e->loader.drop_last)
            return tr_fail_key(err, &keys, "drop_last",
                               "the last batch of an epoch has %lld of the %lld training images, "
                               "but layer '%s' (%s) trains with %d or more: set drop_last=true, or "
                               "another batch_size than %lld",
                               (long long)last, (long long)s->train.n, node->name,
                               node->op->schema.name, least, (long long)batch);
    }
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

tr_loader_args tr_session_loader(const tr_session *s) {
    tr_loader_args args = s->experiment.loader;
    args.workers = s->workers;
    return args;
}

/* The images themselves, when everything else is checked and they are known to fit. */
static int load_data(tr_session *s, bool with_training, const tr_watch *watch, tr_error *err) {
    int code = look(watch);
    if (code == TR_OK && with_training) {
        tr_loader_args args = tr_session_loader(s);
        code = tr_batch_source_check(s, &s->train, &args, err);
        if (code == TR_OK) code = tr_dataset_load(&s->train, err);
    }
    if (code == TR_OK) code = look(watch);
    if (code == TR_OK) code = tr_dataset_load(&s->test, err);
    if (code == TR_OK && with_training && s->experiment.dataset->from_files)
        code = tr_dataset_note_repeats(&s->train, &s->test, &s->notes, err);
    return code;
}

/* n_classes 0: as many as it has outputs. */
static int open_network(tr_session *s, tr_shape input, int n_classes, tr_error *err) {
    const tr_doc *doc = s->experiment.doc;
    int code = tr_graph_create(doc, input, n_classes, &s->graph, err);
    if (code == TR_OK && n_classes == 0) {
        int64_t n = tr_shape_size(s->graph->nodes[s->graph->output].unfused);
        tr_graph_free(s->graph);
        code = tr_graph_create(doc, input, (int)n, &s->graph, err);
    }
    if (code == TR_OK) code = tr_topology_load(NULL, &s->topology, err);
    return code ? code : tr_session_place(s, s->experiment.run.threads, err);
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
    if ((code = open_network(s, image, s->test.n_classes, err))) return code;
    if (with_training && (code = check_batches(s, err))) return code;
    if (with_training && (code = tr_session_open_init(s, err))) return code;
    return load_data(s, with_training, watch, err);
}

int tr_session_open(const tr_doc *doc, bool with_training, const tr_watch *watch, tr_session *out,
                    tr_error *err) {
    *out = (tr_session){.resident = tr_resident_memory()};
    int code = open_all(doc, with_training, watch, out, err);
    if (code) tr_session_close(out);
    return code;
}

int tr_session_open_network(const tr_doc *doc, tr_shape input, tr_session *out, tr_error *err) {
    *out = (tr_session){.resident = tr_resident_memory()};
    int code = tr_experiment_parse(doc, &out->experiment, err);
    if (code == TR_OK) code = choose_kernels(out, err);
    if (code == TR_OK) code = open_network(out, input, 0, err);
    if (code == TR_OK) code = tr_session_open_init(out, err);
    if (code) tr_session_close(out);
    return code;
}

void tr_session_close(tr_session *s) {
    tr_topology_free(s->topology);
    tr_weights_close(&s->init);
    tr_graph_free(s->graph);
    tr_dataset_close(&s->train);
    tr_dataset_close(&s->test);
    tr_experiment_free(&s->experiment);
    tr_notes_free(&s->notes);
    *s = (tr_session){0};
}

tr_exec_options tr_session_options(const tr_session *s, int batch, bool training) {
    const tr_experiment *e = &s->experiment;
    tr_exec_options options = {.batch = batch, .training = training, .kernels = s->kernels};
    if (!training) return options;
    const tr_optimizer_args *args = e->optimizer_args;
    options.shard = (int)tr_min(tr_max(0, e->engine.shard), batch);
    options.clip_norm = args->clip_grad_norm;
    options.clip_value = args->clip_grad_value;
    options.optimizer = e->optimizer;
    options.optimizer_args = e->optimizer_args;
    return options;
}

/* A training image as test images are: normalised, not augmented. */
static int read_image(void *arg, int i, tr_real *image, tr_error *err) {
    const tr_session *s = arg;
    const unsigned char *pixels;
    int label, code = s->train.sample(&s->train, i, &pixels, &label, err);
    if (code == TR_OK) tr_pipeline_decode(&s->pipeline, pixels, s->train.h * s->train.w, image);
    return code;
}

/* Without a training set the weights come from a file. */
static int initialise(tr_session *s, tr_error *err) {
    const tr_train_args *train = &s->experiment.train;
    const tr_init_images images = {s->train.n, s->train.h, s->train.w, s->train.c, read_image, s};
    return tr_graph_initialise(s->graph, (tr_generator)train->generator, (uint64_t)train->seed,
                               s->train.n ? &images : NULL, err);
}

int tr_session_start(tr_session *s, tr_exec *exec, tr_team *team, tr_error *err) {
    bool first = s->graph->parameters == NULL;
    int code = first ? tr_graph_allocate(s->graph, err) : TR_OK;
    if (code == TR_OK) code = tr_exec_allocate(exec, team, err);
    if (code || !first) return code;
    code = initialise(s, err);
    return code ? code : tr_session_read_init(s, err);
}
