/* Parameters in PyTorch's layout: names, order, shapes and initial distributions. */
#include <stdio.h>

#include "graph/graph.h"

void tr_graph_each_param(const tr_graph *graph, void (*visit)(tr_node *node, int param, void *arg),
                         void *arg) {
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int p = 0; p < graph->nodes[i].n_params; p++) visit(&graph->nodes[i], p, arg);
    }
}

int64_t tr_param_count(const tr_param *param) {
    int64_t n = 1;
    for (int i = 0; i < param->n_dims; i++) n *= param->dim[i];
    return n;
}

int64_t tr_graph_count(const tr_graph *graph) {
    int64_t n = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        for (int p = 0; p < graph->nodes[i].n_params; p++)
            n += tr_param_count(&graph->nodes[i].param[p]);
    }
    return n;
}

char *tr_param_name(const tr_node *node, int param, char *out) {
    snprintf(out, TR_NAME + 16, "%s.%s", node->name, node->param[param].suffix);
    return out;
}

void tr_param_get_range(const tr_node *node, int param, int64_t first, int64_t n, float *out) {
    const tr_param *p = &node->param[param];
    for (int64_t i = 0; i < n; i++) out[i] = (float)p->value[p->index(node, first + i)];
}

void tr_param_set_range(tr_node *node, int param, int64_t first, int64_t n, const float *in) {
    tr_param *p = &node->param[param];
    for (int64_t i = 0; i < n; i++) p->value[p->index(node, first + i)] = (tr_real)in[i];
}

void tr_param_get(const tr_node *node, int param, float *out) {
    tr_param_get_range(node, param, 0, tr_param_count(&node->param[param]), out);
}

void tr_param_set(tr_node *node, int param, const float *in) {
    tr_param_set_range(node, param, 0, tr_param_count(&node->param[param]), in);
}

/* As PyTorch 1.13 does on the CPU: 24 bits of a draw, the range rounded to float, everything else
 * in double, rounded once. */
static void init_torch(tr_graph *graph, uint64_t seed) {
    tr_mt19937 g;
    tr_mt19937_seed(&g, (uint32_t)seed);
    for (int i = 0; i < graph->n_nodes; i++) {
        tr_node *node = &graph->nodes[i];
        for (int p = 0; p < node->n_params; p++) {
            tr_param *param = &node->param[p];
            int64_t n = tr_param_count(param);
            double bound = (double)(float)param->init_range;
            for (int64_t e = 0; e < n; e++) {
                double u = (tr_mt19937_next(&g) & 0xffffff) * 0x1p-24;
                param->value[param->index(node, e)] = (tr_real)(float)(u * (2 * bound) - bound);
            }
        }
    }
}

static void init_philox(tr_graph *graph, uint64_t seed) {
    uint32_t number = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        tr_node *node = &graph->nodes[i];
        for (int p = 0; p < node->n_params; p++, number++) {
            tr_param *param = &node->param[p];
            int64_t n = tr_param_count(param);
            float bound = (float)param->init_range;
            for (int64_t e = 0; e < n; e++) {
                float u = tr_random_unit(seed, TR_STREAM_INIT, number, (uint64_t)e);
                param->value[param->index(node, e)] = (u - 0.5f) * (2 * bound);
            }
        }
    }
}

void tr_graph_init(tr_graph *graph, tr_generator generator, uint64_t seed) {
    (generator == TR_TORCH ? init_torch : init_philox)(graph, seed);
}
