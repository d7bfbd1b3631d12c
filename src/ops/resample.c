/* Rows and columns as lists of taps, which are made in scratch for each call: they are few beside
 * the pixels of a sample. */
#include "ops/resample.h"

#include <string.h>

/* Of one side, in scratch: tr_taps that can be written. */
typedef struct side {
    int32_t *first, *at;
    tr_real *weight;
} side;

typedef struct sides {
    side rows, columns;
} sides;

static int in_of(const tr_node *node, bool rows) {
    return rows ? node->in[0].h : node->in[0].w;
}
static int out_of(const tr_node *node, bool rows) {
    return rows ? node->out.h : node->out.w;
}
static int64_t most_taps(const tr_node *node, bool rows) {
    return (int64_t)TR_MOST_TAPS * out_of(node, rows);
}
static int64_t n_first(const tr_node *node, bool rows) {
    return tr_max(in_of(node, rows), out_of(node, rows)) + 1;
}

static sides sides_of(const tr_work *w) {
    const tr_node *node = w->node;
    sides s;
    s.rows.weight = w->scratch;
    s.columns.weight = s.rows.weight + most_taps(node, true);
    s.rows.at = (int32_t *)(void *)(s.columns.weight + most_taps(node, false));
    s.columns.at = s.rows.at + most_taps(node, true);
    s.rows.first = s.columns.at + most_taps(node, false);
    s.columns.first = s.rows.first + n_first(node, true);
    return s;
}

static tr_taps lists_of(const tr_work *w, tr_side_taps taps, bool rows, bool weighted,
                        const side *s) {
    const int n = out_of(w->node, rows);
    int32_t end = 0;
    for (int o = 0; o < n; o++) {
        tr_tap tap[TR_MOST_TAPS];
        const int count = taps(w->node, rows, o, tap);
        s->first[o] = end;
        for (int k = 0; k < count; k++, end++) {
            s->at[end] = tap[k].at;
            s->weight[end] = (tr_real)tap[k].weight;
        }
    }
    s->first[n] = end;
    return (tr_taps){n, s->first, s->at, weighted ? s->weight : NULL};
}

/* For each input the outputs that it goes to. */
static tr_taps reversed_lists_of(const tr_work *w, tr_side_taps taps, bool rows, bool weighted,
                                 const side *s) {
    const int n = in_of(w->node, rows), n_out = out_of(w->node, rows);
    tr_tap tap[TR_MOST_TAPS];
    memset(s->first, 0, ((size_t)n + 1) * sizeof *s->first);
    for (int o = 0; o < n_out; o++)
        for (int k = taps(w->node, rows, o, tap) - 1; k >= 0; k--) s->first[tap[k].at + 1]++;
    for (int i = 0; i < n; i++) s->first[i + 1] += s->first[i];
    for (int o = 0; o < n_out; o++) {
        const int count = taps(w->node, rows, o, tap);
        for (int k = 0; k < count; k++) {
            const int32_t place = s->first[tap[k].at]++; /* moves on to the next list's first */
            s->at[place] = o;
            s->weight[place] = (tr_real)tap[k].weight;
        }
    }
    memmove(s->first + 1, s->first, (size_t)n * sizeof *s->first);
    s->first[0] = 0;
    return (tr_taps){n, s->first, s->at, weighted ? s->weight : NULL};
}

void tr_resample(const tr_work *w, tr_side_taps taps, bool weighted) {
    const sides s = sides_of(w);
    const tr_taps rows = lists_of(w, taps, true, weighted, &s.rows),
                  columns = lists_of(w, taps, false, weighted, &s.columns);
    const tr_shape in = w->node->in[0];
    for (int i = 0; i < w->n; i++)
        w->kernels->resample(&rows, &columns, in.w, in.c, tr_x(w, 0, i), tr_y(w, i));
}

void tr_resample_dx(const tr_work *w, tr_side_taps taps, bool weighted) {
    const sides s = sides_of(w);
    const tr_taps rows = reversed_lists_of(w, taps, true, weighted, &s.rows),
                  columns = reversed_lists_of(w, taps, false, weighted, &s.columns);
    const tr_shape out = w->node->out;
    for (int i = 0; i < w->n; i++)
        w->kernels->resample(&rows, &columns, out.w, out.c, tr_dy(w, i), tr_dx(w, 0, i));
}

void tr_resample_plan(const tr_node *node, const tr_request *request, tr_plan *out,
                      void (*forward)(const tr_work *w), void (*backward)(const tr_work *w)) {
    const int64_t taps = most_taps(node, true) + most_taps(node, false);
    out->scratch_bytes = taps * (int64_t)(sizeof(tr_real) + sizeof(int32_t)) +
                         (n_first(node, true) + n_first(node, false)) * (int64_t)sizeof(int32_t);
    tr_plan_map(out, request, true, forward, backward);
}
