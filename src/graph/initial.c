/* Initial values: each row is drawn element by element in PyTorch's order, a few at a time; of a
 * tensor that is made as a whole (orthogonal, whiten) there is a copy in double meanwhile. */
#include "graph/graph.h"

enum { RUN = 512 }; /* elements at a time, a multiple of 16 */

static tr_distribution default_of(const tr_state *state) {
    if (state->init_range > 0)
        return (tr_distribution){
            .kind = TR_UNIFORM, .a = -state->init_range, .b = state->init_range};
    return (tr_distribution){.kind = TR_CONSTANT, .a = state->init_value};
}

static int draw_runs(const tr_row *row, const tr_distribution *p, tr_init_draws *draws,
                     tr_error *err) {
    double values[RUN + TR_INIT_LEAST];
    int code = TR_OK;
    for (int64_t first = 0, n; code == TR_OK && first < row->count; first += n) {
        n = row->count - first;
        if (n >= RUN + TR_INIT_LEAST) n = RUN;
        code = tr_init_draw(p, draws, first, n, row->count, values, err);
        tr_row_write(row, first, n, values);
    }
    return code;
}

static tr_distribution distribution_of(const tr_row *row) {
    const tr_state *state = tr_row_state(row);
    tr_init_tensor tensor = tr_init_tensor_of(row->node, state);
    return state->init->distribution(state->init_args, &tensor);
}

/* Is a copy of the whole tensor needed? */
static bool is_whole(const tr_row *row) {
    return tr_row_state(row)->init->finish || distribution_of(row).kind == TR_TRUNC_NORMAL;
}

static int draw_whole(const tr_row *row, const tr_distribution *p, tr_init_draws *draws,
                      const tr_init_images *images, tr_error *err) {
    const tr_state *state = tr_row_state(row);
    tr_init_tensor tensor = tr_init_tensor_of(row->node, state);
    double *values = tr_alloc((size_t)row->count, sizeof *values, err);
    if (values == NULL) return TR_ENOMEM;
    tr_row_read(row, state->value, 0, row->count, values);
    int code = tr_init_draw(p, draws, 0, row->count, row->count, values, err);
    if (code == TR_OK && state->init->finish)
        code = state->init->finish(state->init_args, &tensor, images, values, err);
    if (code == TR_OK) tr_row_write(row, 0, row->count, values);
    tr_free(values);
    return code;
}

static int draw_chosen(const tr_row *row, tr_init_draws *draws, const tr_init_images *images,
                       tr_error *err) {
    const tr_init *init = tr_row_state(row)->init;
    tr_distribution p = distribution_of(row);
    if (init->needs_images && images == NULL) return TR_OK;
    if (is_whole(row)) return draw_whole(row, &p, draws, images, err);
    return p.kind == TR_KEEP ? TR_OK : draw_runs(row, &p, draws, err);
}

int tr_graph_initialise(tr_graph *graph, tr_generator generator, uint64_t seed,
                        const tr_init_images *images, tr_error *err) {
    tr_init_draws draws;
    tr_init_draws_begin(&draws, generator, seed);
    int code = TR_OK;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t number = 0;
        for (int i = 0; code == TR_OK && i < graph->n_rows; i++) {
            const tr_row *row = &graph->rows[i];
            const tr_state *state = tr_row_state(row);
            tr_distribution p = default_of(state);
            draws.tensor = number;
            number += state->kind == TR_PARAMETER;
            if (pass == 0)
                code = draw_runs(row, &p, &draws, err);
            else if (state->init)
                code = draw_chosen(row, &draws, images, err);
        }
    }
    graph->n_draws = draws.n;
    return code;
}

const tr_row *tr_graph_needs_images(const tr_graph *graph) {
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_init *init = tr_row_state(&graph->rows[i])->init;
        if (init && init->needs_images) return &graph->rows[i];
    }
    return NULL;
}

int64_t tr_graph_initial_bytes(const tr_graph *graph, tr_generator generator) {
    int64_t most = 0;
    for (int i = 0; i < graph->n_rows; i++) {
        const tr_row *row = &graph->rows[i];
        const tr_state *state = tr_row_state(row);
        if (state->init == NULL || !is_whole(row)) continue;
        tr_init_tensor tensor = tr_init_tensor_of(row->node, state);
        tr_distribution p = distribution_of(row);
        int64_t bytes = tr_alloc_bytes(row->count, sizeof(double)) +
                        tr_init_draw_bytes(&p, generator, row->count);
        if (state->init->bytes) bytes += state->init->bytes(&tensor);
        most = tr_max(most, bytes);
    }
    return most;
}
