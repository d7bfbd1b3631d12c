/* `trainer check`: a line for each tensor. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

enum { NAME = 46, INDEX = 18 }; /* columns */

typedef struct table {
    int n, n_past;
    int64_t n_left_out;
    char *worst; /* name of the first that is past its tolerance */
} table;

static void print_row(const tr_check_row *row, void *arg) {
    table *t = arg;
    tr_text index = {0};
    if (t->n++ == 0)
        printf("%-*s %9s %9s %9s %-*s %13s %13s\n", NAME, "tensor", "relative", "tolerance",
               "largest", INDEX, "at", "ours", "reference");
    tr_text_print(&index, "[");
    for (int d = 0; d < row->n_dims; d++)
        tr_text_print(&index, "%s%lld", d ? ", " : "", (long long)row->index[d]);
    tr_text_print(&index, "]");
    printf("%-*s %9.2e %9.2e %9.2e %-*s %13.7g %13.7g", NAME, row->name, row->relative,
           row->tolerance, row->largest, INDEX, index.failed ? "" : index.at, row->ours,
           row->theirs);
    if (row->left_out)
        printf("  %lld of %lld left out", (long long)row->left_out, (long long)row->elements);
    printf("%s\n", row->past ? "  PAST" : "");
    tr_text_free(&index);
    if (row->past && t->n_past++ == 0) t->worst = tr_strdup(row->name, NULL);
}

int tr_command_check(const tr_options *o, tr_error *err) {
    tr_config *config;
    table t = {0};
    double tolerance = 0;
    int code;
    if (o->config.n == 0 || o->reference == NULL)
        return tr_fail(err, TR_ECONFIG,
                       "%s: is missing, as in trainer check --config configs/lenet.ini --reference "
                       "lenet.safetensors",
                       o->config.n ? "--reference" : "--config");
    if (o->tolerance &&
        (code = tr_options_real("--tolerance", o->tolerance, 1e-300, 1e300, &tolerance, err)))
        return code;
    if ((code = tr_options_read(o, NULL, &config, err))) return code;
    code = tr_options_apply(o, config, err);
    if (code == TR_OK) code = tr_check(config, o->reference, tolerance, print_row, &t, NULL, err);
    tr_print_notes(config);
    tr_config_free(config);
    if (code == TR_OK && t.n_past)
        code = tr_fail(err, TR_EDATA, "%s: %d of %d tensors past their tolerance, first '%s'",
                       o->reference, t.n_past, t.n, t.worst ? t.worst : "");
    if (code == TR_OK) printf("%d tensors, all within their tolerance\n", t.n);
    tr_free(t.worst);
    return code;
}
