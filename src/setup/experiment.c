/* The meaning of a configuration: each section by its schema, and the effective file. */

#include <stdio.h>
#include <string.h>

#include "ops/ops.h"
#include "setup/sections.h"
#include "setup/setup.h"

static const tr_key train_keys[] = {
    {"epochs", TR_KEY_INT, offsetof(tr_train_args, epochs), "1", 0, 1000000, NULL,
     "times through the training set"},
    {"seed", TR_KEY_INT, offsetof(tr_train_args, seed), "0", 0,
     9007199254740991.0 /* exact in double */, NULL,
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
     "place neighbouring threads on different NUMA nodes (bandwidth) or on one (latency)"},
    {"oversubscribe", TR_KEY_BOOL, offsetof(tr_run_args, oversubscribe), "false", 0, 0, NULL,
     "run all threads even where there are more than CPUs: slow, for tests"},
    {"shard", TR_KEY_INT, offsetof(tr_run_args, shard), "auto", 1, 1 << 20, "auto",
     "samples whose gradients are summed in order before the tree over shards; auto: batch / 64; "
     "changes the last bits"},
    /* the last: write_run leaves it out */
    {"out", TR_KEY_PATH, offsetof(tr_run_args, out), "", 0, 0, NULL,
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

enum { MAX_SECTIONS = 16 };

#define CLASSES(registry) (registry).schemas, (registry).n, (registry).kind
int tr_sections(tr_section *out, int max) {
    const tr_section all[] = {
        {NULL, CLASSES(tr_dataset_registry), false, "data",
         "The images: type = a data set, and its keys."},
        {NULL, CLASSES(tr_transform_registry), true, "transforms",
         "What happens to an image after its bytes became floats in [0, 1] (ToTensor), in the "
         "order "
         "of the lines: NAME = key=value ..."},
        {&tr_loader_schema, NULL, 0, NULL, false, "loader", tr_loader_schema.help},
        {NULL, CLASSES(tr_layer_registry), true, "network",
         "A line for each layer: NAME = LAYER key=value ... Its input is the line above, or what "
         "from=NAME,... names; the first layer's is called input."},
        {NULL, NULL, 0, "lines as in [network]", true, "block",
         "[block NAME key key=default ...] is a part of a network that lines of [network], and of "
         "other blocks, may name as if it were a layer: NAME key=value ... Its lines are like "
         "those "
         "of [network]. $key stands for a value, also for a class; ${key*4} is integer arithmetic; "
         "from=in is what the block reads, as its first line does by itself. Its value is that of "
         "its last line. In a line called layer1, a block's conv is layer1.conv. A line layer1 = "
         "NAME xN key=a,b makes N in a row, layer1.0 and so on; a list of values that is shorter "
         "than N repeats its last."},
        {NULL, CLASSES(tr_loss_registry), false, "loss",
         "What the network's output is compared with: type = a loss, and its keys."},
        {NULL, CLASSES(tr_optimizer_registry), false, "optimizer",
         "How gradients change the weights: type = an optimizer, and its keys."},
        {NULL, CLASSES(tr_schedule_registry), false, "schedule",
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
#undef CLASSES

/* ---- keys that stand in the wrong section ---- */

static const tr_schema *find_class(const tr_section *section, const char *name) {
    for (int i = 0; i < section->n_classes; i++) {
        if (strcmp(section->classes[i]->name, name) == 0) return section->classes[i];
    }
    return NULL;
}

static bool has_key(const tr_schema *schema, const char *key) {
    for (int i = 0; schema && i < schema->n_keys; i++) {
        if (strcmp(schema->keys[i].name, key) == 0) return true;
    }
    return false;
}

/* The class of the section that has this key, or NULL. */
static const tr_schema *class_with(const tr_section *section, const char *key) {
    for (int i = 0; i < section->n_classes; i++) {
        if (has_key(section->classes[i], key)) return section->classes[i];
    }
    return NULL;
}

/* Has the section this key: itself, or the class that its type names, or any class? */
static bool section_has(const tr_section *section, const tr_schema *class, const char *key) {
    if (section->lines) return false;
    if (has_key(section->schema, key)) return true;
    if (section->classes && strcmp(key, "type") == 0) return true;
    if (class) return has_key(class, key);
    return class_with(section, key) != NULL;
}

/* Fails at a key that its section does not have, but another one; and at a type from the command
 * line that does not go with a key of the file. */
static int check_homes(const tr_doc *doc, const tr_section *sections, int n, tr_error *err) {
    for (int s = 0; s < n; s++) {
        if (sections[s].lines) continue;
        tr_places keys = tr_doc_places(doc, sections[s].name);
        const tr_pair *type = tr_doc_find(doc, sections[s].name, "type");
        const tr_schema *class = type ? find_class(&sections[s], type->value) : NULL;
        for (int k = 0; k < keys.n; k++) {
            const char *key = keys.pairs[k].key;
            if (section_has(&sections[s], class, key) || strcmp(key, "type") == 0) continue;
            const tr_schema *twin = class ? class_with(&sections[s], key) : NULL;
            if (twin && type->where.line == 0 && keys.pairs[k].where.line > 0)
                return tr_fail_key(err, &keys, "type",
                                   "%s has no key '%s', which %s:%d gives (for %s)", class->name,
                                   key, keys.pairs[k].where.file, keys.pairs[k].where.line,
                                   twin->name);
            for (int other = 0; other < n; other++) {
                if (other == s || !section_has(&sections[other], NULL, key)) continue;
                return tr_fail_key(err, &keys, key, "unknown key (%s has it: write %s.%s)",
                                   sections[other].name, sections[other].name, key);
            }
        }
    }
    return TR_OK;
}

/* ---- parsing ---- */

/* A section whose keys are those of one schema. */
static int parse_section(const tr_doc *doc, const tr_schema *schema, void *args, tr_error *err) {
    tr_places keys = tr_doc_places(doc, schema->name);
    return tr_args_parse(schema, keys.pairs, keys.n, keys.where, schema->name, args, err);
}

/* The name of a file without its folder and ending. */
static char *name_of(const char *path, tr_error *err) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *name = tr_strdup(base, err), *dot = name ? strrchr(name, '.') : NULL;
    if (dot && dot != name) *dot = '\0';
    return name;
}

static int parse(const tr_doc *doc, tr_experiment *e, tr_error *err) {
    const char *names[MAX_SECTIONS] = {0};
    tr_section sections[MAX_SECTIONS] = {{0}};
    int code, i, n = tr_sections(sections, MAX_SECTIONS);
    for (int k = 0; k < n; k++) names[k] = sections[k].name;
    if ((code = tr_doc_check_sections(doc, names, n, "block", err))) return code;
    if ((code = check_homes(doc, sections, n, err))) return code;
    e->doc = doc;
    if ((e->name = name_of(tr_doc_name(doc), err)) == NULL) return TR_ENOMEM;
    code = tr_doc_parse_class(doc, "data", &tr_dataset_registry, NULL, &i, &e->dataset_args, err);
    if (code) return code;
    e->dataset = tr_dataset_classes[i];
    if ((code = parse_section(doc, &tr_loader_schema, &e->loader, err))) return code;
    code = tr_doc_parse_class(doc, "optimizer", &tr_optimizer_registry, NULL, &i,
                              &e->optimizer_args, err);
    if (code) return code;
    e->optimizer = tr_optimizers[i];
    tr_places keys = tr_doc_places(doc, "optimizer");
    if (e->optimizer->check && (code = e->optimizer->check(e->optimizer_args, &keys, err)))
        return code;
    code = tr_doc_parse_class(doc, "schedule", &tr_schedule_registry, "constant", &i,
                              &e->schedule_args, err);
    if (code) return code;
    e->schedule = tr_schedules[i];
    if ((code = parse_section(doc, &train_schema, &e->train, err))) return code;
    return parse_section(doc, &run_schema, &e->run, err);
}

int tr_experiment_parse(const tr_doc *doc, tr_experiment *out, tr_error *err) {
    *out = (tr_experiment){0};
    int code = parse(doc, out, err);
    if (code) tr_experiment_free(out);
    return code;
}

void tr_experiment_free(tr_experiment *e) {
    if (e->dataset) tr_args_clear(&e->dataset->schema, e->dataset_args);
    if (e->optimizer) tr_args_clear(&e->optimizer->schema, e->optimizer_args);
    if (e->schedule) tr_args_clear(&e->schedule->schema, e->schedule_args);
    tr_args_clear(&tr_loader_schema, &e->loader);
    tr_args_clear(&train_schema, &e->train);
    tr_args_clear(&run_schema, &e->run);
    tr_free(e->dataset_args);
    tr_free(e->optimizer_args);
    tr_free(e->schedule_args);
    tr_free(e->name);
    *e = (tr_experiment){0};
}

/* ---- the effective file ---- */

static int write_run(tr_text *out, const tr_run_args *args, tr_error *err) {
    /* All keys but the last, `out`. */
    tr_schema schema = run_schema;
    schema.n_keys--;
    tr_text_print(out, "\n# out is left out: this file lies there, and another run has another.\n"
                       "[run]\n");
    return tr_doc_write_args(out, &schema, args, err);
}

static int write_all(const tr_experiment *e, const tr_graph *graph, tr_text *out, tr_error *err) {
    int code;
    tr_places transforms = tr_doc_places(e->doc, "transforms");
    tr_text_print(out,
                  "# The effective configuration of a run of trainer %s: every key with its "
                  "value.\n\n",
                  tr_version());
    tr_text_print(out, "[data]\ntype = %s\n", e->dataset->schema.name);
    if ((code = tr_doc_write_args(out, &e->dataset->schema, e->dataset_args, err))) return code;
    if (transforms.n) tr_text_print(out, "\n[transforms]\n");
    if ((code = tr_transforms_write(transforms.pairs, transforms.n, out, err))) return code;
    tr_text_print(out, "\n[loader]\n");
    if ((code = tr_doc_write_args(out, &tr_loader_schema, &e->loader, err))) return code;
    tr_text_print(out, "\n");
    if ((code = tr_graph_write(graph, out, err))) return code;
    tr_text_print(out, "\n[optimizer]\ntype = %s\n", e->optimizer->schema.name);
    if ((code = tr_doc_write_args(out, &e->optimizer->schema, e->optimizer_args, err))) return code;
    tr_text_print(out, "\n[schedule]\ntype = %s\n", e->schedule->schema.name);
    if ((code = tr_doc_write_args(out, &e->schedule->schema, e->schedule_args, err))) return code;
    tr_text_print(out, "\n[train]\n");
    if ((code = tr_doc_write_args(out, &train_schema, &e->train, err))) return code;
    return write_run(out, &e->run, err);
}

char *tr_experiment_text(const tr_experiment *e, const tr_graph *graph, tr_error *err) {
    tr_text text = {0};
    if (write_all(e, graph, &text, err) == TR_OK) return tr_text_take(&text, err);
    tr_text_free(&text);
    return NULL;
}
