/* The meaning of a configuration: each section by its schema, and the effective file. */
#include "train/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"

static const tr_key train_keys[] = {
    {"epochs", TR_KEY_INT, offsetof(tr_train_args, epochs), "1", 0, 1000000, NULL,
     "times through the training set"},
    {"seed", TR_KEY_INT, offsetof(tr_train_args, seed), "0", 0,
     9007199254740991.0 /* doubles tell all of them apart */, NULL,
     "start of all random numbers: weights, order of the data"},
    /* in the order of tr_generator */
    {"generator", TR_KEY_CHOICE, offsetof(tr_train_args, generator), "philox", 0, 0, "philox torch",
     "source of weights and order; torch: as PyTorch has them after torch.manual_seed(seed), its "
     "layers made in this order and its DataLoader shuffling"},
    {"log_every", TR_KEY_INT, offsetof(tr_train_args, log_every), "auto", 1, 1e12, "auto",
     "steps between two lines of loss; auto: about six in an epoch"},
};
static const tr_schema train_schema = {"train", "How long and from what seed to train.", train_keys,
                                       sizeof train_keys / sizeof *train_keys,
                                       sizeof(tr_train_args)};

static const tr_key run_keys[] = {
    {"threads", TR_KEY_INT, offsetof(tr_run_args, threads), "auto", 1, TR_MAX_THREADS, "auto",
     "threads of the team; auto: OMP_NUM_THREADS where it is set, else one for each core; at most "
     "OMP_THREAD_LIMIT of them run, and no more than there are CPUs; never changes the result"},
    {"isa", TR_KEY_STRING, offsetof(tr_run_args, isa), "auto", 0, 0, NULL,
     "instruction set of the kernels; never changes the result"},
    {"numa", TR_KEY_CHOICE, offsetof(tr_run_args, numa), "spread", 0, 0, "spread compact",
     "place neighbouring threads on different memory nodes (bandwidth) or on one (short ways)"},
    {"oversubscribe", TR_KEY_BOOL, offsetof(tr_run_args, oversubscribe), "false", 0, 0, NULL,
     "run all threads even where there are more than CPUs: slow, for tests"},
    {"shard", TR_KEY_INT, offsetof(tr_run_args, shard), "auto", 1, 1 << 20, "auto",
     "samples whose gradients are summed in order before the tree over shards; auto: batch / 64; "
     "changes the last bits"},
    {"out", TR_KEY_STRING, offsetof(tr_run_args, out), "", 0, 0, NULL,
     "run directory; empty: the next free runs/NAME"},
};
static const tr_schema run_schema = {
    "run",
    "Where and on what to run. Of OpenMP's variables, OMP_NUM_THREADS and OMP_THREAD_LIMIT count "
    "for "
    "threads; OMP_PROC_BIND, OMP_PLACES and GOMP_CPU_AFFINITY leave binding to OpenMP, and "
    "OMP_PROC_BIND=false to the system; a stack (OMP_STACKSIZE, else ulimit -s) must have 64 KiB. "
    "All others change nothing but what OpenMP itself prints, and none changes the result.",
    run_keys, sizeof run_keys / sizeof *run_keys, sizeof(tr_run_args)};

/* ---- the sections ---- */

enum { MAX_CLASSES = 64 };
static const tr_schema *layer_schemas[MAX_CLASSES], *loss_schemas[MAX_CLASSES],
    *dataset_schemas[MAX_CLASSES], *transform_schemas[MAX_CLASSES], *optimizer_schemas[MAX_CLASSES],
    *schedule_schemas[MAX_CLASSES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void list_schemas(void) {
    for (int i = 0; i < tr_n_layers; i++) layer_schemas[i] = &tr_layers[i]->schema;
    for (int i = 0; i < tr_n_losses; i++) loss_schemas[i] = &tr_losses[i]->schema;
    for (int i = 0; i < tr_n_dataset_classes; i++)
        dataset_schemas[i] = &tr_dataset_classes[i]->schema;
    for (int i = 0; i < tr_n_transform_classes; i++)
        transform_schemas[i] = &tr_transform_classes[i]->schema;
    for (int i = 0; i < tr_n_optimizers; i++) optimizer_schemas[i] = &tr_optimizers[i]->schema;
    for (int i = 0; i < tr_n_schedules; i++) schedule_schemas[i] = &tr_schedules[i]->schema;
}

int tr_sections(tr_section *out, int max) {
    pthread_once(&once, list_schemas);
    const tr_section all[] = {
        {NULL, dataset_schemas, tr_n_dataset_classes, "data set", false, "data",
         "The images: type = a data set, and its keys."},
        {NULL, transform_schemas, tr_n_transform_classes, "transform", true, "transforms",
         "What happens to an image after its bytes became floats in [0, 1] (ToTensor), in the "
         "order "
         "of the lines: NAME = key=value ..."},
        {&tr_loader_schema, NULL, 0, NULL, false, "loader", tr_loader_schema.help},
        {NULL, layer_schemas, tr_n_layers, "layer", true, "network",
         "A line for each layer: NAME = LAYER key=value ... Its input is the line above, or what "
         "from=NAME,... names; the first layer's is called input."},
        {NULL, NULL, 0, "lines as in [network]", true, "block",
         "[block NAME key key=default ...] is a part of a network that lines of [network], and of "
         "other blocks, may name as if it were a layer: NAME key=value ... Its lines are like "
         "those "
         "of [network]; $key stands for a value, and from=in for what the block reads, as its "
         "first "
         "line does by itself. Its value is that of its last line. In a line called layer1, a "
         "block's conv is layer1.conv."},
        {NULL, loss_schemas, tr_n_losses, "loss", false, "loss",
         "What the network's output is held against: type = a loss, and its keys."},
        {NULL, optimizer_schemas, tr_n_optimizers, "optimizer", false, "optimizer",
         "How gradients change the weights: type = an optimizer, and its keys."},
        {NULL, schedule_schemas, tr_n_schedules, "schedule", false, "schedule",
         "How the learning rate changes: type = a schedule, and its keys. Constant where the "
         "section is "
         "left out."},
        {&train_schema, NULL, 0, NULL, false, "train", train_schema.help},
        {&run_schema, NULL, 0, NULL, false, "run", run_schema.help},
    };
    int n = (int)(sizeof all / sizeof *all);
    for (int i = 0; i < n && i < max; i++) out[i] = all[i];
    return n < max ? n : max;
}

/* ---- parsing ---- */

enum { MAX_PAIRS = 64 };

/* A section whose keys are those of one schema. */
static int parse_section(const tr_doc *doc, const tr_schema *schema, void *args, tr_error *err) {
    tr_where where = {tr_doc_name(doc), 0};
    int n;
    const tr_pair *pairs = tr_doc_section(doc, schema->name, &n, &where);
    return tr_args_parse(schema, pairs, n, where, schema->name, args, err);
}

/* A section whose `type` names a class: the class, and its arguments from the other keys. */
static int parse_class(const tr_doc *doc, const char *section, const tr_schema *const *classes,
                       int n_classes, const char *kind, const char *fallback, const tr_schema **out,
                       void **args, tr_error *err) {
    tr_where where = {tr_doc_name(doc), 0};
    char key[TR_TEXT];
    tr_pair kept[MAX_PAIRS];
    int n, n_kept = 0;
    const tr_pair *pairs = tr_doc_section(doc, section, &n, &where);
    const tr_pair *type = tr_doc_find(doc, section, "type");
    snprintf(key, sizeof key, "%s.type", section);
    if (type == NULL && fallback == NULL)
        return tr_fail_at(err, where, key, "is missing, as in type = %s", classes[0]->name);
    *out = tr_schema_find(classes, n_classes, type ? type->value : fallback, kind,
                          type ? type->where : where, key, err);
    if (*out == NULL) return TR_ECONFIG;
    if (n > MAX_PAIRS) return tr_fail_at(err, where, section, "has more than %d keys", MAX_PAIRS);
    for (int i = 0; i < n; i++) {
        if (&pairs[i] != type) kept[n_kept++] = pairs[i];
    }
    *args = tr_alloc(1, (*out)->args_bytes, err);
    if (*args == NULL) return TR_ENOMEM;
    return tr_args_parse(*out, kept, n_kept, where, section, *args, err);
}

static void name_of(const char *path, char *out) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    snprintf(out, TR_TEXT, "%s", base);
    char *dot = strrchr(out, '.');
    if (dot && dot != out) *dot = '\0';
}

static int parse(const tr_doc *doc, tr_experiment *e, tr_error *err) {
    const tr_schema *schema;
    const char *names[MAX_CLASSES];
    tr_section sections[MAX_CLASSES];
    int code, n = tr_sections(sections, MAX_CLASSES);
    for (int i = 0; i < n; i++) names[i] = sections[i].name;
    if ((code = tr_doc_check_sections(doc, names, n, "block", err))) return code;
    e->doc = doc;
    name_of(tr_doc_name(doc), e->name);
    code = parse_class(doc, "data", dataset_schemas, tr_n_dataset_classes, "data set", NULL,
                       &schema, &e->dataset_args, err);
    for (int i = 0; code == 0 && i < tr_n_dataset_classes; i++) {
        if (&tr_dataset_classes[i]->schema == schema) e->dataset = tr_dataset_classes[i];
    }
    if (code || (code = parse_section(doc, &tr_loader_schema, &e->loader, err))) return code;
    code = parse_class(doc, "optimizer", optimizer_schemas, tr_n_optimizers, "optimizer", NULL,
                       &schema, &e->optimizer_args, err);
    for (int i = 0; code == 0 && i < tr_n_optimizers; i++) {
        if (&tr_optimizers[i]->schema == schema) e->optimizer = tr_optimizers[i];
    }
    if (code) return code;
    tr_where where = {tr_doc_name(doc), 0};
    tr_doc_section(doc, "optimizer", &n, &where);
    if (e->optimizer->check && (code = e->optimizer->check(e->optimizer_args, where, err)))
        return code;
    code = parse_class(doc, "schedule", schedule_schemas, tr_n_schedules, "schedule", "constant",
                       &schema, &e->schedule_args, err);
    for (int i = 0; code == 0 && i < tr_n_schedules; i++) {
        if (&tr_schedules[i]->schema == schema) e->schedule = tr_schedules[i];
    }
    if (code || (code = parse_section(doc, &train_schema, &e->train, err))) return code;
    return parse_section(doc, &run_schema, &e->run, err);
}

int tr_experiment_parse(const tr_doc *doc, tr_experiment *out, tr_error *err) {
    *out = (tr_experiment){0};
    int code = parse(doc, out, err);
    if (code) tr_experiment_free(out);
    return code;
}

void tr_experiment_free(tr_experiment *experiment) {
    tr_free(experiment->dataset_args);
    tr_free(experiment->optimizer_args);
    tr_free(experiment->schedule_args);
    *experiment = (tr_experiment){0};
}

/* ---- the effective file ---- */

static void write_args(FILE *f, const tr_schema *schema, const void *args) {
    for (int i = 0; i < schema->n_keys; i++) {
        char text[TR_TEXT];
        tr_args_format(&schema->keys[i], args, text);
        if (text[0]) fprintf(f, "%s = %s\n", schema->keys[i].name, text);
    }
}

static void write_lines(FILE *f, const tr_doc *doc, const char *section) {
    int n;
    tr_where where;
    const tr_pair *pairs = tr_doc_section(doc, section, &n, &where);
    if (n == 0) return;
    fprintf(f, "\n[%s]\n", section);
    for (int i = 0; i < n; i++) fprintf(f, "%s = %s\n", pairs[i].key, pairs[i].value);
}

char *tr_experiment_text(const tr_experiment *e, tr_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) {
        tr_fail(err, TR_ENOMEM, "out of memory");
        return NULL;
    }
    fprintf(f,
            "# The effective configuration of a run of trainer %s: every key with its value.\n\n",
            tr_version());
    fprintf(f, "[data]\ntype = %s\n", e->dataset->schema.name);
    write_args(f, &e->dataset->schema, e->dataset_args);
    write_lines(f, e->doc, "transforms");
    fprintf(f, "\n[loader]\n");
    write_args(f, &tr_loader_schema, &e->loader);
    write_lines(f, e->doc, "network");
    for (int i = 0; i < tr_doc_n_sections(e->doc); i++) {
        const char *section = tr_doc_section_name(e->doc, i);
        if (strncmp(section, "block", 5) == 0) write_lines(f, e->doc, section);
    }
    write_lines(f, e->doc, "loss");
    fprintf(f, "\n[optimizer]\ntype = %s\n", e->optimizer->schema.name);
    write_args(f, &e->optimizer->schema, e->optimizer_args);
    fprintf(f, "\n[schedule]\ntype = %s\n", e->schedule->schema.name);
    write_args(f, &e->schedule->schema, e->schedule_args);
    fprintf(f, "\n[train]\n");
    write_args(f, &train_schema, &e->train);
    fprintf(f, "\n[run]\n");
    for (int i = 0; i < run_schema.n_keys; i++) { /* `out` is where this file lies */
        char value[TR_TEXT];
        tr_args_format(&run_keys[i], &e->run, value);
        if (strcmp(run_keys[i].name, "out") != 0) fprintf(f, "%s = %s\n", run_keys[i].name, value);
    }
    if (fclose(f) != 0) {
        free(text);
        tr_fail(err, TR_ENOMEM, "out of memory");
        return NULL;
    }
    char *copy = tr_strdup(text, err);
    free(text);
    return copy;
}
