/* The meaning of a configuration: each section by its schema, and the effective file. */

#include <stdio.h>
#include <string.h>

#include "setup/sections.h"
#include "setup/setup.h"

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
    int i, code = tr_sections_check(doc, err);
    if (code) return code;
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
    if ((code = parse_section(doc, &tr_train_schema, &e->train, err))) return code;
    if ((code = parse_section(doc, &tr_engine_schema, &e->engine, err))) return code;
    return parse_section(doc, &tr_run_schema, &e->run, err);
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
    tr_args_clear(&tr_train_schema, &e->train);
    tr_args_clear(&tr_engine_schema, &e->engine);
    tr_args_clear(&tr_run_schema, &e->run);
    tr_free(e->dataset_args);
    tr_free(e->optimizer_args);
    tr_free(e->schedule_args);
    tr_free(e->name);
    *e = (tr_experiment){0};
}

double tr_learning_rate(const tr_experiment *e, int64_t step, int64_t steps) {
    const tr_optimizer_args *args = e->optimizer_args;
    return args->lr * e->schedule->factor(e->schedule_args, step, steps);
}

/* ---- the effective file ---- */

/* A section of the keys of `schema`; typed: it begins with `type`, the name of the schema. */
static int write_section(tr_text *out, const char *section, bool typed, const tr_schema *schema,
                         const void *args, tr_error *err) {
    tr_text_print(out, "\n[%s]\n", section);
    if (typed) tr_text_print(out, "type = %s\n", schema->name);
    return tr_doc_write_args(out, schema, args, err);
}

static int write_run(tr_text *out, const tr_run_args *args, tr_error *err) {
    /* All keys but the last, `out`. */
    tr_schema schema = tr_run_schema;
    schema.n_keys--;
    tr_text_print(out, "\n# out is left out: this file lies there, and another run has another.");
    return write_section(out, "run", false, &schema, args, err);
}

static int write_all(const tr_experiment *e, const tr_graph *graph, tr_text *out, tr_error *err) {
    tr_places transforms = tr_doc_places(e->doc, "transforms");
    const tr_schema *data = &e->dataset->schema, *optimizer = &e->optimizer->schema,
                    *schedule = &e->schedule->schema;
    tr_text_print(out,
                  "# The effective configuration of a run of trainer %s: every key with its "
                  "value.\n",
                  tr_version());
    int code = write_section(out, "data", true, data, e->dataset_args, err);
    if (transforms.n) tr_text_print(out, "\n[transforms]\n");
    if (code == TR_OK) code = tr_transforms_write(transforms.pairs, transforms.n, out, err);
    if (code == TR_OK)
        code = write_section(out, "loader", false, &tr_loader_schema, &e->loader, err);
    tr_text_print(out, "\n");
    if (code == TR_OK) code = tr_graph_write(graph, out, err);
    if (code == TR_OK)
        code = write_section(out, "optimizer", true, optimizer, e->optimizer_args, err);
    if (code == TR_OK) code = write_section(out, "schedule", true, schedule, e->schedule_args, err);
    if (code == TR_OK) code = write_section(out, "train", false, &tr_train_schema, &e->train, err);
    if (code == TR_OK)
        code = write_section(out, "engine", false, &tr_engine_schema, &e->engine, err);
    return code ? code : write_run(out, &e->run, err);
}

char *tr_experiment_text(const tr_experiment *e, const tr_graph *graph, tr_error *err) {
    tr_text text = {0};
    if (write_all(e, graph, &text, err) == TR_OK) return tr_text_take(&text, err);
    tr_text_free(&text);
    return NULL;
}
