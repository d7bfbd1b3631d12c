/* An op in place of the loss, for tests that hold layers against PyTorch: it takes the network's
 * output and passes a given gradient of it back. */
#ifndef TR_TEST_PROBE_H
#define TR_TEST_PROBE_H

#include <math.h>

#include "network.h"
#include "reference.h"

static struct {
    const tr_real *cotangent; /* [n][size], internal layout */
    tr_real *seen;            /* [n][size]: the output */
    int64_t size;
} probe;

static inline void probe_run(const tr_work *w) {
    for (int i = 0; i < w->n; i++) {
        const tr_real *y = tr_x(w, 0, i), *g = probe.cotangent + (w->first + i) * probe.size;
        w->loss[w->first + i] = 0;
        w->best[w->first + i] = 0;
        for (int64_t j = 0; j < probe.size; j++) {
            probe.seen[(w->first + i) * probe.size + j] = y[j];
            w->loss[w->first + i] += g[j] * y[j];
            if (tr_has_dx(w, 0)) tr_dx(w, 0, i)[j] = g[j];
        }
    }
}

static inline void probe_plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_phase(out, TR_FORWARD, "probe", TR_BY_SAMPLES, probe_run);
    tr_reads(out, TR_X, 0);
    if (request->need_dx[0]) tr_writes(out, TR_DX, 0);
}

static const tr_op probe_op = {.schema = {"probe", "", NULL, 0, 1}, .plan = probe_plan};

/* Sample i of a tensor whose first dimension is the batch, in the internal layout. */
static inline void to_internal(const tr_reference_tensor *t, int64_t i, tr_shape shape,
                               tr_real *out) {
    int64_t size = tr_shape_size(shape);
    for (int64_t j = 0; j < size; j++) out[internal_index(shape, j)] = (tr_real)t->v[i * size + j];
}

/* Check writes a record for each of its assertions: not one for each element, then. */
static inline void near(const char *what, const char *name, int64_t i, double got, double wanted,
                        double bound) {
    if (fabs(got - wanted) <= bound) return;
    ck_abort_msg("%s: %s: element %lld is %.9g, PyTorch has %.9g", what, name, (long long)i, got,
                 wanted);
}

#endif
