/* Private to this module: the configuration with its meaning. */
#ifndef TR_EXPERIMENT_H
#define TR_EXPERIMENT_H

#include "config/config.h"
#include "data/data.h"
#include "graph/graph.h"
#include "optim/optim.h"
#include "threads/threads.h"
#include "trainer/trainer.h"

typedef struct tr_train_args { /* [train] */
    int64_t epochs, seed, log_every;
    int generator;
} tr_train_args;

typedef struct tr_run_args { /* [run] */
    int64_t threads;         /* -1: auto */
    int64_t shard;           /* -1: auto */
    int numa;
    bool oversubscribe;
    const char *isa, *out;
} tr_run_args;

typedef struct tr_experiment {
    const tr_doc *doc;
    char *name; /* of the (first) configuration file, without folder and ending */
    const tr_dataset_class *dataset;
    const tr_optimizer *optimizer;
    const tr_schedule *schedule;
    void *dataset_args, *optimizer_args, *schedule_args;
    tr_loader_args loader;
    tr_train_args train;
    tr_run_args run;
} tr_experiment;

/* All sections but [network], [loss] and [transforms], which the graph and the pipeline read. */
int tr_experiment_parse(const tr_doc *doc, tr_experiment *out, tr_error *err);
void tr_experiment_free(tr_experiment *experiment);
/* The effective configuration: every key of every section, layer and transform with its value,
 * paths from the root on; all but run.out. Read again it means the same. Freed with tr_free. */
char *tr_experiment_text(const tr_experiment *experiment, const tr_graph *graph, tr_error *err);

struct tr_config {
    tr_doc *doc;
    /* What summaries and predictions of the last call point at. */
    char *run_dir, *reason; /* or NULL */
    char cpu[128], started[TR_DATE];
    const char **class_names;
    tr_notes notes; /* of all calls, each once */
};
/* Keep a copy of `text` in *place instead of what is there; returns it, or "" where there is no
 * memory for one. */
const char *tr_config_keep(char **place, const char *text);
/* Add what a session noted to what tr_config_notes tells. */
void tr_config_keep_notes(tr_config *config, const tr_notes *notes);
/* Copy the names of a data set's classes into config->class_names. */
int tr_config_keep_classes(tr_config *config, const tr_dataset *dataset, tr_error *err);

/* Sections, for help: their schemas (without classes' own keys) in the order of the file. */
typedef struct tr_section {
    const tr_schema *schema;         /* keys of its own, or NULL */
    const tr_schema *const *classes; /* what its `type` (or its lines) may name, or NULL */
    int n_classes;
    const char *kind; /* what those are called: "layer" */
    bool lines;       /* a line names a class (network, transforms), not `type` */
    const char *name, *help;
} tr_section;
int tr_sections(tr_section *out, int max);

#endif
