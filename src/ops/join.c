/* Broadcasting: shapes, values of two inputs, and gradients of the smaller one. */
#include "ops/join.h"

/* ---- shapes ---- */

static bool fits(int a, int b) {
    return a == b || a == 1 || b == 1;
}

/* The shape of `a` and `b` together; false: there is none. */
static bool broadcast(tr_shape a, tr_shape b, tr_shape *out) {
    *out = tr_shape_size(a) >= tr_shape_size(b) ? a : b;
    if (a.flat != b.flat) return false;
    if (tr_same_shape(a, b)) return true;
    if (a.flat) return tr_shape_size(a) == 1 || tr_shape_size(b) == 1;
    *out = (tr_shape){false, (int)tr_max(a.h, b.h), (int)tr_max(a.w, b.w), (int)tr_max(a.c, b.c)};
    return fits(a.h, b.h) && fits(a.w, b.w) && fits(a.c, b.c);
}

int tr_join_shape(tr_node *node, tr_error *err) {
    const char *name = node->op->schema.name;
    tr_shape all = node->in[0];
    for (int i = 1; i < node->n_inputs; i++) {
        tr_shape a = all, b = node->in[i];
        char s[64], t[64];
        if (broadcast(a, b, &all)) continue;
        tr_shape_text(a, s);
        tr_shape_text(b, t);
        if (a.flat != b.flat)
            return tr_fail_at(err, node->where, node->name,
                              "%s wants images or features, not both: %s and %s (unflatten makes "
                              "an image of features)",
                              name, s, t);
        if (a.flat && tr_shape_size(a) == tr_shape_size(b))
            return tr_fail_at(
                err, node->where, node->name,
                "%s wants inputs whose features are in one order, not a flattened image and "
                "other features",
                name);
        return tr_fail_at(err, node->where, node->name,
                          "%s wants inputs of one shape, %snot %s and %s", name,
                          a.flat ? "" : "or with 1 where they differ, ", s, t);
    }
    node->unfused = all;
    return TR_OK;
}

bool tr_join_is_full(const tr_node *node, int j) {
    return tr_shape_size(node->in[j]) == tr_shape_size(node->out);
}

static bool is_full(const tr_work *w, tr_operand a) {
    return tr_shape_size(a.shape) == tr_shape_size(w->node->out);
}

/* A map of C x 1 x 1 of an image with C channels. */
static bool is_map(const tr_work *w, tr_shape s) {
    return s.h == 1 && s.w == 1 && s.c == w->node->out.c;
}

static tr_broadcast broadcast_of(const tr_work *w, tr_shape s) {
    tr_shape out = w->node->out;
    return (tr_broadcast){.h = out.h,
                          .w = out.w,
                          .c = out.c,
                          .step_h = s.h > 1 ? (int64_t)s.w * s.c : 0,
                          .step_w = s.w > 1 ? s.c : 0,
                          .step_c = s.c > 1 || out.c == 1};
}

/* ---- scratch: rows of constants, sums, and two of full size ---- */

enum { N_TERMS = TR_JOIN_MAP, N_WIDE = 3 }; /* double: zeros, two sums */

static int64_t channels8(const tr_node *node) {
    return tr_round_up(node->out.c, TR_BLOCK8);
}
static int64_t full_size(const tr_node *node) {
    return tr_round_up(tr_shape_size(node->out), TR_LANES) + TR_LANES;
}
static double *wide(const tr_work *w, int row) {
    return (double *)w->scratch + row * channels8(w->node);
}
static tr_real *terms(const tr_work *w, int row) {
    return (tr_real *)(void *)wide(w, N_WIDE) + row * channels8(w->node);
}
static tr_real *expanded(const tr_work *w) {
    return terms(w, N_TERMS);
}
tr_real *tr_join_space(const tr_work *w) {
    return expanded(w) + full_size(w->node);
}

static const tr_real *term(const tr_work *w, tr_join_term which, const tr_real *map) {
    static const tr_real values[N_TERMS] = {
        [TR_JOIN_ZERO] = 0, [TR_JOIN_ONE] = 1, [TR_JOIN_MINUS_ONE] = -1};
    if (which == TR_JOIN_MAP) return map;
    tr_real *row = terms(w, which);
    for (int64_t i = 0; i < channels8(w->node); i++) row[i] = values[which];
    return row;
}

/* ---- values ---- */

tr_operand tr_join_input(const tr_work *w, int j, int i) {
    return (tr_operand){tr_x(w, j, i), w->node->in[j]};
}

tr_operand tr_join_full(const tr_work *w, const tr_real *at) {
    return (tr_operand){at, w->node->out};
}

static void apply_map(const tr_work *w, const tr_join_affine *rule, const tr_real *x,
                      const tr_real *map, tr_real *y) {
    const tr_shape s = w->node->out;
    w->kernels->affine((int64_t)s.h * s.w, s.c, x, s.c, term(w, rule->shift, map),
                       term(w, rule->scale, map), term(w, rule->offset, map), y, s.c);
}

/* At full size: where it is, or in `space`. */
static const tr_real *expand(const tr_work *w, tr_operand a, tr_real *space) {
    if (is_full(w, a)) return a.at;
    const tr_broadcast d = broadcast_of(w, a.shape);
    w->kernels->expand(&d, a.at, space);
    return space;
}

void tr_join_apply(const tr_work *w, const tr_join_rule *rule, tr_operand a, tr_operand b,
                   tr_real *y) {
    const bool a_full = is_full(w, a), b_full = is_full(w, b);
    if (a_full && !b_full && is_map(w, b.shape) && a.at != y) { /* affine reads behind a pixel */
        apply_map(w, &rule->map_b, a.at, b.at, y);
    } else if (b_full && !a_full && is_map(w, a.shape)) {
        apply_map(w, &rule->map_a, b.at, a.at, y);
    } else {
        const tr_real *full_a = expand(w, a, y), *full_b = expand(w, b, expanded(w));
        rule->full(w->kernels, tr_shape_size(w->node->out), full_a, full_b, y);
    }
}

void tr_join_forward(const tr_work *w, const tr_join_rule *rule) {
    for (int i = 0; i < w->n; i++) {
        tr_real *y = tr_y(w, i);
        tr_join_apply(w, rule, tr_join_input(w, 0, i), tr_join_input(w, 1, i), y);
        for (int j = 2; j < w->node->n_inputs; j++)
            tr_join_apply(w, rule, tr_join_full(w, y), tr_join_input(w, j, i), y);
    }
}

/* ---- gradients ---- */

static void zero(int64_t n, double *to) {
    for (int64_t i = 0; i < n; i++) to[i] = 0;
}

/* In double: the sum may be of many pixels. */
static void reduce_to_map(const tr_work *w, const tr_real *g, const tr_real *by, tr_real *dx) {
    const tr_shape s = w->node->out;
    const int64_t area = (int64_t)s.h * s.w, c8 = channels8(w->node);
    double *sums = wide(w, 1);
    zero(N_WIDE * c8, wide(w, 0));
    if (by) {
        const tr_real *zeros = term(w, TR_JOIN_ZERO, NULL), *ones = term(w, TR_JOIN_ONE, NULL);
        w->kernels->normal_sums(area, s.c, by, g, s.c, s.c, zeros, ones, zeros, sums);
        sums += c8;
    } else {
        w->kernels->moments(area, s.c, g, s.c, wide(w, 0), sums);
    }
    for (int i = 0; i < s.c; i++) dx[i] = (tr_real)sums[i];
}

void tr_join_reduce(const tr_work *w, int j, int i, const tr_real *g, const tr_real *by) {
    const tr_shape s = w->node->in[j];
    tr_real *dx = tr_dx(w, j, i);
    if (is_map(w, s)) {
        reduce_to_map(w, g, by, dx);
        return;
    }
    if (by) {
        w->kernels->mul(tr_shape_size(w->node->out), g, by, expanded(w));
        g = expanded(w);
    }
    const tr_broadcast d = broadcast_of(w, s);
    w->kernels->reduce(&d, g, dx, tr_shape_size(s));
}

/* ---- the plan ---- */

void tr_join_plan(const tr_node *node, tr_plan *out, void (*forward)(const tr_work *w)) {
    bool all_full = true;
    for (int j = 0; j < node->n_inputs; j++) all_full &= tr_join_is_full(node, j);
    if (!all_full)
        out->scratch_bytes = channels8(node) * (N_WIDE * (int64_t)sizeof(double) +
                                                N_TERMS * (int64_t)sizeof(tr_real)) +
                             2 * full_size(node) * (int64_t)sizeof(tr_real);
    tr_plan_phase(out, TR_FORWARD, "forward", TR_BY_SAMPLES, forward);
    tr_plan_pointwise(out);
    for (int j = 0; j < node->n_inputs; j++) tr_reads(out, TR_X, j);
    tr_writes(out, TR_Y, 0);
}
