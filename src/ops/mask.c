/* Random masks of training (mask.h). */
#include "ops/mask.h"

#include <math.h>
#include <string.h>

uint64_t tr_mask_key(const tr_work *w) {
    const uint64_t seed = w->record->seed, step = (uint64_t)w->record->step;
    const uint32_t counter[4] = {(uint32_t)step, (uint32_t)(step >> 32), (uint32_t)w->node->id,
                                 TR_STREAM_DROPOUT},
                   key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t bits[4];
    tr_philox(counter, key, bits);
    return (uint64_t)bits[1] << 32 | bits[0];
}

void tr_mask_factors(const tr_work *w, uint64_t key, int i, double p, int64_t n, tr_real *factor) {
    const uint32_t kept = (uint32_t)floor((1 - p) * 0x1p31 + 0.5);
    w->kernels->dropout(n, key, (uint64_t)(w->record->first + w->first + i), kept,
                        p < 1 ? (tr_real)(1 / (1 - p)) : 0, factor);
}

void tr_mask_channels(const tr_work *w, const tr_real *x, const tr_real *factor, tr_real *y) {
    enum { CHUNK = 256 }; /* channels at a time, the last ones first: rows end with slack */
    static const tr_real zero[CHUNK];
    const tr_shape s = w->node->in[0];
    for (int k = (s.c - 1) / CHUNK * CHUNK; k >= 0; k -= CHUNK)
        w->kernels->affine((int64_t)s.h * s.w, (int)tr_min(CHUNK, s.c - k), x + k, s.c, zero,
                           factor + k, zero, y + k, s.c);
}

static void copy(const tr_work *w) {
    size_t bytes = (size_t)tr_shape_size(w->node->out) * sizeof(tr_real);
    for (int i = 0; i < w->n; i++) memcpy(tr_y(w, i), tr_x(w, 0, i), bytes);
}

void tr_plan_mask(tr_plan *plan, const tr_request *request, double p, int64_t n,
                  void (*forward)(const tr_work *w), void (*backward)(const tr_work *w)) {
    if (request->training && p > 0) {
        tr_plan_map(plan, request, true, forward, backward);
        plan->scratch_bytes = tr_round_up(n, TR_DROPOUT_STEP) * (int64_t)sizeof(tr_real);
        return;
    }
    tr_plan_phase(plan, TR_FORWARD, "forward", TR_BY_SAMPLES, copy);
    tr_plan_pointwise(plan);
    tr_reads(plan, TR_X, 0);
    tr_writes(plan, TR_Y, 0);
    plan->passes_gradient = true;
}
