/* What a run will hold, summed by kind before it is allocated, and held against the limit. */
#include <stdio.h>

#include "report/report.h"
#include "setup/setup.h"

void tr_session_account(const tr_session *s, tr_account *out) {
    const tr_graph *g = s->graph;
    int64_t data = s->train.bytes + s->test.bytes;
    int64_t parameters = tr_graph_bytes(g);
    int64_t held = data + (g->parameters ? parameters : 0);
    *out = (tr_account){0};
    tr_account_add(out, TR_MEMORY_PARAMETERS, parameters);
    /* Copies while the initial values are made. */
    tr_account_add(out, TR_MEMORY_PARAMETERS,
                   tr_graph_initial_bytes(g, (tr_generator)s->experiment.train.generator));
    tr_account_add(out, TR_MEMORY_DATA, data);
    tr_account_add(out, TR_MEMORY_PROGRAM, tr_max(s->resident, tr_resident_memory() - held));
}

/* Would it fit with one image where there is a batch? */
static bool fits_one(const tr_account *a, int64_t batch_size, int64_t limit) {
    tr_account one = *a;
    one.bytes[TR_MEMORY_BATCH] /= batch_size;
    one.bytes[TR_MEMORY_LOADER] /= batch_size;
    int64_t total = tr_account_total(&one);
    return batch_size > 1 && total <= limit && total < INT64_MAX;
}

int tr_account_check(const tr_account *a, const tr_session *training, tr_error *err) {
    const char *limit_name;
    int64_t limit = tr_memory_limit(&limit_name), total = tr_account_total(a);
    char kinds[512], number[32], of[32];
    size_t used = 0;
    if (total <= limit && total < INT64_MAX) return TR_OK;
    for (int i = 0; i < TR_N_MEMORY_KINDS; i++) {
        if (a->bytes[i] == 0) continue;
        used += (size_t)snprintf(kinds + used, sizeof kinds - used, "%s%s %s", used ? ", " : "",
                                 tr_format_bytes(a->bytes[i], number), tr_memory_name(i));
    }
    char text[TR_ERROR_TEXT];
    snprintf(text, sizeof text, "out of memory: %s would be needed (%s), %s allows %s",
             tr_format_bytes(total, number), kinds,
             limit < INT64_MAX ? limit_name : "the address space", tr_format_bytes(limit, of));
    if (training == NULL) return tr_fail(err, TR_ENOMEM, "%s", text);
    const tr_experiment *e = &training->experiment;
    int64_t batch_size = tr_min(e->loader.batch_size, training->train.n);
    if (!fits_one(a, batch_size, limit)) return tr_fail(err, TR_ENOMEM, "%s", text);
    tr_places loader = tr_doc_places(e->doc, "loader");
    return tr_fail_key(err, &loader, "batch_size", "%lld is too large: %s",
                       (long long)e->loader.batch_size, text);
}
