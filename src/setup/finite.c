/* Weights that are no numbers: looked for before a model is saved and after one is read. */
#include <stdio.h>

#include "setup/setup.h"

const char *tr_nonfinite_name(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits << 12 ? "not a number" : "infinite";
}

bool tr_weights_finite(const tr_graph *graph, tr_text *text) {
    enum { RUN = 1024 };
    double values[RUN];
    for (int r = 0; r < graph->n_rows; r++) {
        const tr_row *row = &graph->rows[r];
        for (int64_t first = 0; first < row->count; first += RUN) {
            int64_t n = tr_min(RUN, row->count - first);
            tr_row_read(row, tr_row_state(row)->value, first, n, values);
            for (int64_t i = 0; i < n; i++) {
                if (tr_is_finite(values[i])) continue;
                tr_text_print(text, "tensor '%s' holds a value that is %s", row->name,
                              tr_nonfinite_name(values[i]));
                return false;
            }
        }
    }
    return true;
}
