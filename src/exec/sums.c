/* Sums: adding up leaves, and completing the tree over them. The only place where threads' sums,
 * those of passes and of executors meet.
 *
 * In slots: a thread adds each of its shards into the next free slot and merges as the tree says;
 * what remains is done element by element where the sum is used. By elements: whoever uses some
 * elements of a sum makes them, over all leaves. Both are the same additions in the same order.
 */
#include <string.h>

#include "exec/run.h"

static int64_t element_bytes(const tr_sum *sum) {
    return sum->wide ? (int64_t)sizeof(double) : (int64_t)sizeof(tr_real);
}

/* to = a + b, or what the sum has in place of that; to may be a or b. */
static void add(const tr_exec *exec, const tr_sum *sum, int64_t n, const void *a, const void *b,
                void *to) {
    if (sum->merge) {
        sum->merge(n, a, b, to);
        return;
    }
    if (!sum->wide) {
        exec->options.kernels->add(n, a, b, to);
        return;
    }
    const double *x = a, *y = b;
    double *out = to;
    for (int64_t i = 0; i < n; i++) out[i] = x[i] + y[i];
}

static char *slots_of(const tr_exec *exec, int thread, int buffer) {
    return exec->workers[thread].arena + exec->program->buffers[buffer].offset;
}

void tr_add_up(const tr_run *t, const tr_step *step, int n0, int n1) {
    const tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    int position = 2 * step->n_inputs + 2 + step->phase->sum, shard = exec->shard;
    int buffer = p->bound[step->first_bound + position];
    const tr_sum *sum = p->buffers[buffer].sum;
    tr_tree_stack stack;
    tr_tree_copy(&t->done, &stack);
    char *base = slots_of(exec, t->thread, buffer);
    int64_t bytes = p->buffers[buffer].bytes;
    tr_work w = tr_work_of(t, step);
    for (int n = n0, end; n < n1; n = end) {
        int slot = stack.n, last = (int)tr_min((n / shard + 1) * shard, exec->input->n);
        end = (int)tr_min(last, n1);
        tr_set_samples(t, &w, n, end);
        sum->add_leaf(&w, 0, sum->size, n % shard == 0, base + slot * bytes);
        if (end < last) return; /* the next chunk goes on with this shard */
        for (int merges = tr_tree_push(&stack, exec->first_shard + n / shard); merges > 0;
             merges--, slot--) {
            char *to = base + (slot - 1) * bytes;
            add(exec, sum, sum->size, to, base + slot * bytes, to);
        }
    }
}

/* ---- completing ---- */

static char *temporary(const tr_run *t, int i) {
    return t->me->tiles + i * t->exec->tile_bytes;
}

/* Elements a .. b-1 of a sum in slots, of which `at` gives the place of each stack's slot. */
typedef struct completion {
    const tr_exec *exec;
    const tr_sum *sum;
    int64_t a, b;
    char *temporaries; /* [][stride] */
    int64_t stride;
    char *(*slot)(const void *arg, int stack, int slot);
    const void *arg;
} completion;

static char *term(const completion *c, tr_tree_term x) {
    if (x.stack == TR_TREE_TEMPORARY) return c->temporaries + x.slot * c->stride;
    return c->slot(c->arg, x.stack, x.slot) + c->a * element_bytes(c->sum);
}

static void run_adds(const completion *c, const tr_tree_remaining *remaining) {
    for (int i = 0; i < remaining->n_adds; i++) {
        const tr_tree_add *x = &remaining->adds[i];
        add(c->exec, c->sum, c->b - c->a, term(c, x->left), term(c, x->right),
            c->temporaries + x->to * c->stride);
    }
}

typedef struct slot_place {
    const tr_exec *exec;
    int buffer, parameter;
} slot_place;

/* Stack 0 is what passes before left, the others are the threads'. */
static char *slot_at(const void *arg, int stack, int slot) {
    const slot_place *s = arg;
    int64_t bytes = s->exec->program->buffers[s->buffer].bytes;
    if (stack == 0) return s->exec->carry[s->parameter].slots + slot * bytes;
    return slots_of(s->exec, stack - 1, s->buffer) + slot * bytes;
}

void tr_complete_totals(const tr_run *t, const tr_step *step) {
    const tr_exec *exec = t->exec;
    const tr_program *p = exec->program;
    char *to = t->me->totals;
    int first = 2 * step->n_inputs + 2;
    for (int i = first; i < step->n_bound; i++) {
        int buffer = p->bound[step->first_bound + i];
        if (buffer == TR_NONE || p->buffers[buffer].kind != TR_SUM) continue;
        const tr_sum *sum = p->buffers[buffer].sum;
        int64_t unit = tr_max(1, sum->unit),
                tile = exec->tile_bytes / element_bytes(sum) / unit * unit;
        slot_place place = {exec, buffer, 0};
        for (int64_t a = 0; a < sum->size; a += tile) {
            completion c = {
                exec,    sum,   a, tr_min(a + tile, sum->size), t->me->tiles, exec->tile_bytes,
                slot_at, &place};
            run_adds(&c, &exec->whole);
            memcpy(to + a * element_bytes(sum), term(&c, exec->whole.term[0]),
                   (size_t)((c.b - a) * element_bytes(sum)));
        }
        t->me->total[i - first] = to;
        to += p->buffers[buffer].bytes;
    }
}

/* The sums that are open now, put where the next pass finds them. Those that a carry's slot holds
 * are in their place. */
static void put_aside(const completion *c, tr_carry *carry, int64_t bytes, int n,
                      const tr_tree_term *terms) {
    for (int i = 0; i < n; i++) {
        if (terms[i].stack == 0) continue;
        memcpy(carry->slots + i * bytes + c->a * element_bytes(c->sum), term(c, terms[i]),
               (size_t)((c->b - c->a) * element_bytes(c->sum)));
    }
}

static const char *complete_slots(const tr_run *t, const completion *c, int parameter, int buffer) {
    tr_exec *exec = t->exec;
    run_adds(c, &exec->joined);
    if (exec->complete) return term(c, exec->joined.term[0]);
    put_aside(c, &exec->carry[parameter], exec->program->buffers[buffer].bytes, exec->joined.open.n,
              exec->joined.term);
    return NULL;
}

/* The leaf that sample n0 of the pass is in: its samples end before *n1. */
static int64_t leaf_at(const tr_exec *exec, const tr_sum *sum, int n0, int *n1) {
    int64_t samples = (int64_t)sum->leaf * exec->shard;
    int64_t leaf = (exec->record.first + n0) / samples;
    *n1 = (int)tr_min(exec->input->n, (leaf + 1) * samples - exec->record.first);
    return leaf;
}

static bool ends_inside(const tr_exec *exec, const tr_sum *sum) {
    int64_t samples = (int64_t)sum->leaf * exec->shard;
    return !exec->complete && (exec->record.first + exec->input->n) % samples != 0;
}

static void merge(const completion *c, tr_tree_term *terms, int right) {
    char *to = c->temporaries + (right - 1) * c->stride;
    add(c->exec, c->sum, c->b - c->a, term(c, terms[right - 1]), term(c, terms[right]), to);
    terms[right - 1] = (tr_tree_term){TR_TREE_TEMPORARY, right - 1};
}

/* The stack of a sum by elements after this pass, from what it was. terms: where its sums are when
 * `c` is given, whose work makes them. */
static void push_leaves(const tr_exec *exec, const tr_sum *sum, const tr_run *t, tr_work *w,
                        const completion *c, tr_tree_stack *stack, tr_tree_term *terms) {
    for (int n0 = 0, n1; n0 < exec->input->n; n0 = n1) {
        int64_t leaf = leaf_at(exec, sum, n0, &n1);
        bool goes_on = stack->partial;
        int top = stack->n -= goes_on;
        stack->partial = n1 == exec->input->n && ends_inside(exec, sum);
        if (c) {
            char *to = c->temporaries + top * c->stride;
            if (goes_on)
                memcpy(to, term(c, terms[top]), (size_t)((c->b - c->a) * element_bytes(sum)));
            tr_set_samples(t, w, n0, n1);
            sum->add_leaf(w, c->a, c->b, !goes_on, to);
            terms[top] = (tr_tree_term){TR_TREE_TEMPORARY, top};
        }
        int merges = 0;
        if (stack->partial) {
            stack->level[stack->n] = 0;
            stack->start[stack->n++] = leaf;
        } else {
            merges = tr_tree_push(stack, leaf);
        }
        for (; c && merges > 0; merges--, top--) merge(c, terms, top);
    }
}

static const char *complete_elements(const tr_run *t, tr_work *w, const completion *c,
                                     int parameter, int buffer) {
    tr_exec *exec = t->exec;
    tr_tree_stack stack;
    tr_tree_term terms[TR_TREE_SLOTS];
    tr_tree_clear(&stack);
    if (exec->carry) tr_tree_copy(&exec->carry[parameter].stack, &stack);
    for (int i = 0; i < stack.n; i++) terms[i] = (tr_tree_term){0, i};
    push_leaves(exec, c->sum, t, w, c, &stack, terms);
    if (!exec->complete) {
        put_aside(c, &exec->carry[parameter], exec->program->buffers[buffer].bytes, stack.n, terms);
        return NULL;
    }
    while (stack.n > 1) merge(c, terms, --stack.n);
    return term(c, terms[0]);
}

/* Elements of a gradient from its completed sum. */
static const tr_real *finish(const tr_exec *exec, const tr_parameter *q, const tr_sum *sum,
                             int64_t e0, int64_t e1, const char *total, char *to) {
    tr_real *g = (tr_real *)(void *)to;
    if (q->plan.finish) {
        q->plan.finish(exec->graph->rows[q->row].node, e0, e1, total, g);
    } else if (sum->wide) {
        const double *from = (const double *)(const void *)total;
        for (int64_t i = 0; i < e1 - e0; i++) g[i] = (tr_real)from[i];
    } else {
        return (const tr_real *)(const void *)total;
    }
    return g;
}

/* Elements of the sum that make elements 0 .. e-1 of the gradient. */
static int64_t in_sum(const tr_exec *exec, const tr_parameter *q, int64_t e) {
    int64_t size = tr_row_state(&exec->graph->rows[q->row])->size;
    return q->plan.first + (q->plan.size ? e * q->plan.size / size : e);
}

const tr_real *tr_complete_tile(tr_run *t, int entry, tr_work *w, int parameter, int64_t e0,
                                int64_t e1) {
    tr_exec *exec = t->exec;
    const tr_parameter *q = &exec->program->parameters[parameter];
    const tr_sum *sum = exec->program->buffers[q->sum].sum;
    slot_place place = {exec, q->sum, parameter};
    completion c = {
        exec,    sum,   in_sum(exec, q, e0), in_sum(exec, q, e1), t->me->tiles, exec->tile_bytes,
        slot_at, &place};
    const char *total;
    if (sum->by_elements) {
        tr_charge(t, entry);
        total = complete_elements(t, w, &c, parameter, q->sum);
        tr_charge(t, tr_entry_of_gradient(exec, parameter));
    } else {
        total = complete_slots(t, &c, parameter, q->sum);
    }
    return total ? finish(exec, q, sum, e0, e1, total, temporary(t, exec->n_temporaries)) : NULL;
}

/* ---- between passes ---- */

void tr_carry_over(tr_exec *exec) {
    const tr_program *p = exec->program;
    for (int i = 0; exec->carry && i < p->n_parameters; i++) {
        if (p->parameters[i].sum == TR_NONE) continue;
        const tr_sum *sum = p->buffers[p->parameters[i].sum].sum;
        tr_tree_stack *stack = &exec->carry[i].stack;
        if (exec->complete)
            *stack = (tr_tree_stack){0};
        else if (sum->by_elements)
            push_leaves(exec, sum, NULL, NULL, NULL, stack, NULL);
        else
            *stack = exec->joined.open;
    }
    exec->slots_carried = exec->complete ? (tr_tree_stack){0} : exec->joined.open;
}

void tr_carry_nothing(tr_exec *exec) {
    for (int i = 0; exec->carry && i < exec->program->n_parameters; i++)
        exec->carry[i].stack = (tr_tree_stack){0};
    exec->slots_carried = (tr_tree_stack){0};
}

int tr_most_carried(const tr_exec *exec) {
    int64_t leaves = (exec->options.effective + exec->shard - 1) / exec->shard;
    return tr_tree_most_slots(leaves) + 1;
}

/* ---- executors that share an effective batch ---- */

typedef struct joining {
    tr_exec *const *execs;
    int parameter;
} joining;

static char *carried_slot(const void *arg, int stack, int slot) {
    const joining *j = arg;
    const tr_exec *exec = j->execs[stack];
    int buffer = exec->program->parameters[j->parameter].sum;
    return exec->carry[j->parameter].slots + slot * exec->program->buffers[buffer].bytes;
}

static void join(tr_exec *const *execs, int parameter, const tr_tree_remaining *remaining) {
    tr_exec *exec = execs[0];
    const tr_parameter *q = &exec->program->parameters[parameter];
    const tr_sum *sum = exec->program->buffers[q->sum].sum;
    const tr_state *state = tr_row_state(&exec->graph->rows[q->row]);
    tr_real *to = (tr_real *)(void *)(exec->batch + exec->program->buffers[q->gradient].offset);
    joining arg = {execs, parameter};
    for (int64_t e0 = 0, e1; e0 < state->size; e0 = e1) {
        e1 = tr_min(e0 + state->tile, state->size);
        completion c = {exec,
                        sum,
                        in_sum(exec, q, e0),
                        in_sum(exec, q, e1),
                        exec->workers[0].tiles,
                        exec->tile_bytes,
                        carried_slot,
                        &arg};
        run_adds(&c, remaining);
        const tr_real *g = finish(exec, q, sum, e0, e1, term(&c, remaining->term[0]),
                                  exec->workers[0].tiles + exec->n_temporaries * exec->tile_bytes);
        memcpy(to + e0, g, (size_t)(e1 - e0) * sizeof *g);
    }
}

int tr_exec_join(tr_exec *const *execs, int n, tr_error *err) {
    tr_tree_stack *stacks = tr_alloc((size_t)n, sizeof *stacks, err);
    tr_tree_remaining remaining = {
        .adds = tr_alloc((size_t)n * TR_TREE_SLOTS, sizeof *remaining.adds, err)};
    int code = stacks && remaining.adds ? TR_OK : TR_ENOMEM;
    for (int i = 0; code == TR_OK && i < execs[0]->program->n_parameters; i++) {
        if (execs[0]->program->parameters[i].sum == TR_NONE) continue;
        for (int r = 0; r < n; r++) stacks[r] = execs[r]->carry[i].stack;
        tr_tree_join(stacks, n, true, &remaining);
        join(execs, i, &remaining);
    }
    tr_free(stacks);
    tr_free(remaining.adds);
    return code;
}

/* ---- losses ---- */

double tr_sum_losses(const tr_exec *exec) {
    tr_tree_stack stack = {0};
    double sums[TR_TREE_SLOTS];
    for (int64_t s = 0; s < exec->n_shards; s++) {
        int slot = stack.n, n0 = (int)s * exec->shard;
        int n1 = (int)tr_min(n0 + exec->shard, exec->input->n);
        sums[slot] = 0;
        for (int i = n0; i < n1; i++) sums[slot] += (double)exec->loss[i];
        for (int merges = tr_tree_push(&stack, exec->first_shard + s); merges > 0; merges--, slot--)
            sums[slot - 1] += sums[slot];
    }
    while (stack.n > 1) stack.n--, sums[stack.n - 1] += sums[stack.n];
    return sums[0];
}
