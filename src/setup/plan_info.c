/* What will run: the network's table, memory, placement. */
#include <string.h>

#include "setup/setup.h"

int tr_plan_info_fill(const tr_session *s, const tr_exec *exec, const tr_account *account,
                      tr_plan_info *out, tr_error *err) {
    const tr_graph *g = s->graph;
    const tr_experiment *e = &s->experiment;
    tr_loader_args loader = tr_session_loader(s);
    tr_exec_partition partition;
    tr_exec_get_partition(exec, &partition);
    *out = (tr_plan_info){.network = e->name,
                          .parameters = tr_graph_count(g),
                          .train_images = s->train.n,
                          .test_images = s->test.n,
                          .steps = s->steps,
                          .batch_size = (int)tr_min(e->loader.batch_size, s->train.n),
                          .epochs = (int)e->train.epochs,
                          .memory_total = tr_account_total(account),
                          .shard = partition.shard,
                          .n_shards = partition.n_shards,
                          .chunk = partition.chunk,
                          .barriers = partition.n_barriers,
                          .placement = s->placement.text,
                          .isa = s->kernels->name,
                          .workers = s->workers,
                          .prefetch = tr_batch_source_slots(s, &s->train, &loader)};
    out->memory_limit = tr_memory_limit(&out->memory_limit_name);
    tr_layer_row *rows = tr_alloc((size_t)g->n_nodes, sizeof *rows, err);
    tr_memory_row *memory = tr_alloc(TR_N_MEMORY_KINDS, sizeof *memory, err);
    out->layers = rows;
    out->memory = memory;
    if (rows == NULL || memory == NULL) return TR_ENOMEM;
    for (int i = 0; i < TR_N_MEMORY_KINDS; i++)
        memory[out->n_memory++] = (tr_memory_row){tr_memory_name(i), account->bytes[i]};
    for (int i = 1; i <= g->output; i++) {
        const tr_node *node = &g->nodes[i];
        tr_layer_row *row = &rows[out->n_layers++];
        char text[64];
        row->name = node->name;
        row->type = node->op->schema.name;
        row->fused_into = node->value != i && !node->op->view ? g->nodes[node->value].name : "";
        row->output = tr_strdup(tr_shape_text(node->unfused, text), err);
        if (row->output == NULL) return TR_ENOMEM;
        for (int r = 0; r < g->n_rows; r++) {
            if (g->rows[r].node == node && tr_row_state(&g->rows[r])->kind == TR_PARAMETER)
                row->parameters += g->rows[r].count;
        }
        if (node->op->multiply_adds) row->mflop = 2e-6 * (double)node->op->multiply_adds(node);
        row->kept = tr_exec_kept(exec, node);
        row->algorithm = node->op->algorithm ? node->op->algorithm(node) : "";
        out->mflop += row->mflop;
    }
    char *json;
    int code = tr_describe(s, &json, err);
    out->json = json;
    return code;
}

void tr_plan_info_free(tr_plan_info *info) {
    for (int i = 0; i < info->n_layers; i++) tr_free((char *)info->layers[i].output);
    tr_free((tr_layer_row *)info->layers);
    tr_free((tr_memory_row *)info->memory);
    tr_free((char *)info->json);
    *info = (tr_plan_info){0};
}
