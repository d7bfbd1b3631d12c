/* Filling a layer's plan: lists that grow by one, and a flag where there was no memory. */
#include <string.h>

#include "ops/ops.h"

/* Room for one more element of a list; NULL after a failure. */
static void *one_more(tr_plan *plan, void *list, int n, size_t size) {
    void *place = plan->failed ? NULL : tr_grow(list, n, size, NULL);
    if (place == NULL) plan->failed = true;
    return place;
}

static int add_resource(tr_plan *plan, const tr_resource *resource) {
    tr_resource *place =
        one_more(plan, &plan->resources, plan->n_resources, sizeof *plan->resources);
    if (place == NULL) return 0;
    *place = *resource;
    return plan->n_resources++;
}

int tr_plan_sample_buffer(tr_plan *plan, int64_t bytes) {
    return add_resource(plan, &(tr_resource){.kind = TR_SAMPLE_BUFFER, .bytes = bytes});
}

int tr_plan_batch_buffer(tr_plan *plan, int64_t bytes) {
    return add_resource(plan, &(tr_resource){.kind = TR_BATCH_BUFFER, .bytes = bytes});
}

int tr_plan_thread_buffer(tr_plan *plan, int64_t bytes) {
    return add_resource(plan, &(tr_resource){.kind = TR_THREAD_BUFFER, .bytes = bytes});
}

int tr_plan_sum(tr_plan *plan, const tr_sum *sum) {
    int64_t element = sum->wide ? sizeof(double) : sizeof(tr_real);
    return add_resource(plan,
                        &(tr_resource){.kind = TR_SUM, .bytes = sum->size * element, .sum = *sum});
}

void tr_plan_gradient(tr_plan *plan, int state, const tr_gradient *gradient) {
    plan->gradients[state] = *gradient;
}

static void add_phase(tr_plan *plan, const tr_phase *phase) {
    tr_phase *place = one_more(plan, &plan->phases, plan->n_phases, sizeof *plan->phases);
    if (place == NULL) return;
    *place = *phase;
    place->first_use = plan->n_uses;
    plan->n_phases++;
}

void tr_plan_phase(tr_plan *plan, tr_stage stage, const char *label, tr_partition partition,
                   void (*run)(const tr_work *w)) {
    add_phase(
        plan,
        &(tr_phase){.label = label, .stage = stage, .partition = partition, .sum = -1, .run = run});
}

void tr_plan_blocks(tr_plan *plan, tr_stage stage, const char *label, int n_blocks,
                    void (*run)(const tr_work *w)) {
    add_phase(plan, &(tr_phase){.label = label,
                                .stage = stage,
                                .partition = TR_BY_BLOCKS,
                                .n_blocks = n_blocks,
                                .sum = -1,
                                .run = run});
}

void tr_plan_add_up(tr_plan *plan, tr_stage stage, int sum) {
    if (plan->failed) return;
    add_phase(plan, &(tr_phase){.label = plan->resources[sum].sum.label,
                                .stage = stage,
                                .partition = TR_BY_SAMPLES,
                                .sum = sum});
}

static void add_use(tr_plan *plan, tr_use use) {
    tr_use *place = one_more(plan, &plan->uses, plan->n_uses, sizeof *plan->uses);
    if (place == NULL) return;
    *place = use;
    plan->n_uses++;
    plan->phases[plan->n_phases - 1].n_uses++;
}

void tr_reads(tr_plan *plan, tr_what what, int index) {
    add_use(plan, (tr_use){what, index, false, false});
}

void tr_writes(tr_plan *plan, tr_what what, int index) {
    add_use(plan, (tr_use){what, index, true, false});
}

void tr_reads_block(tr_plan *plan, tr_what what, int index) {
    add_use(plan, (tr_use){what, index, false, true});
}

void tr_writes_block(tr_plan *plan, tr_what what, int index) {
    add_use(plan, (tr_use){what, index, true, true});
}

void tr_plan_pointwise(tr_plan *plan) {
    if (!plan->failed) plan->phases[plan->n_phases - 1].pointwise = true;
}

void tr_plan_map(tr_plan *plan, const tr_request *request, bool pointwise,
                 void (*forward)(const tr_work *w), void (*backward)(const tr_work *w)) {
    tr_plan_phase(plan, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    if (pointwise) tr_plan_pointwise(plan);
    tr_reads(plan, TR_X, 0);
    tr_writes(plan, TR_Y, 0);
    if (!request->need_dx[0]) return;
    tr_plan_phase(plan, TR_BACKWARD, "input gradient", TR_BY_SAMPLES, backward);
    tr_reads(plan, TR_DY, 0);
    tr_writes(plan, TR_DX, 0);
}

void tr_plan_keep_number(tr_plan *plan, int number) {
    if (!plan->failed) plan->phases[plan->n_phases - 1].n_blocks = number;
}

/* ---- frozen parameters ---- */

static bool drop_frozen(const tr_node *node, tr_plan *plan) {
    bool any = false;
    for (int s = 0; s < node->n_state; s++) {
        if (!node->state[s].frozen) continue;
        plan->gradients[s].sum = -1;
        any = true;
    }
    return any;
}

/* Is something that it writes wanted? wanted: of own resources. */
static bool is_wanted(const tr_plan *plan, const tr_phase *phase, const bool *wanted) {
    if (phase->sum >= 0 && wanted[phase->sum]) return true;
    for (int i = 0; i < phase->n_uses; i++) {
        const tr_use *use = &plan->uses[phase->first_use + i];
        if (use->writes && (use->what != TR_OWN || wanted[use->index])) return true;
    }
    return false;
}

/* What the phase reads is wanted. True where some of it was not before. */
static bool want_reads(const tr_plan *plan, const tr_phase *phase, bool *wanted) {
    bool more = false;
    for (int i = 0; i < phase->n_uses; i++) {
        const tr_use *use = &plan->uses[phase->first_use + i];
        if (use->writes || use->what != TR_OWN || wanted[use->index]) continue;
        more = wanted[use->index] = true;
    }
    return more;
}

void tr_plan_trim(const tr_node *node, tr_plan *plan) {
    if (plan->failed || !drop_frozen(node, plan)) return;
    bool *wanted = tr_alloc((size_t)plan->n_resources, sizeof *wanted, NULL);
    if (wanted == NULL) {
        plan->failed = true;
        return;
    }
    for (int s = 0; s < node->n_state; s++)
        if (plan->gradients[s].sum >= 0) wanted[plan->gradients[s].sum] = true;
    for (bool more = true; more;) {
        more = false;
        for (int i = plan->n_phases - 1; i >= 0; i--)
            if (is_wanted(plan, &plan->phases[i], wanted))
                more |= want_reads(plan, &plan->phases[i], wanted);
    }
    int n = 0;
    for (int i = 0; i < plan->n_phases; i++)
        if (is_wanted(plan, &plan->phases[i], wanted)) plan->phases[n++] = plan->phases[i];
    plan->n_phases = n;
    tr_free(wanted);
}

void tr_plan_free(tr_plan *plan) {
    tr_free(plan->resources);
    tr_free(plan->uses);
    tr_free(plan->phases);
    tr_free(plan->gradients);
    *plan = (tr_plan){0};
}
