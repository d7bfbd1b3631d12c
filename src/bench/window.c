/* Training for a while, and the time that it takes. */
#include <stdlib.h>

#include "bench/bench.h"

int tr_bench_check(const tr_config *config, double seconds, const void *out, tr_error *err) {
    static const double most = 86400;
    if (config == NULL) return tr_fail(err, TR_ECONFIG, "bench: the configuration is NULL");
    if (out == NULL) return tr_fail(err, TR_ECONFIG, "bench: the place for the result is NULL");
    if (!(seconds > 0 && seconds <= most))
        return tr_fail(err, TR_ECONFIG,
                       "seconds: %g is out of range, allowed are more than 0 and up to %.0f",
                       seconds, most);
    return TR_OK;
}

int tr_bench_check_range(const char *name, int value, int min, int max, tr_error *err) {
    if (value >= min && value <= max) return TR_OK;
    return tr_fail(err, TR_ECONFIG, "%s: %d is out of range, allowed are %d to %d", name, value,
                   min, max);
}

int tr_bench_begin(tr_config *config, tr_session *out, tr_error *err) {
    tr_config_begin(config);
    return tr_session_open(config->doc, true, NULL, out, err);
}

void tr_bench_end(tr_config *config, tr_session *session) {
    tr_config_keep_notes(config, &session->notes);
    tr_session_close(session);
}

/* ---- training for a while ---- */

int tr_bench_open(tr_session *s, const tr_account *more, tr_team *team, tr_loop *out,
                  tr_error *err) {
    tr_loader_args loader = tr_session_loader(s);
    loader.batch_size = tr_min(loader.batch_size, s->train.n);
    loader.drop_last = true; /* a short batch is faster, and there may be one in every window */
    int code = tr_loop_plan(s, &loader, tr_team_size(team), out, err);
    if (code) return code;
    tr_account account;
    tr_session_account(s, &account);
    tr_loop_account(out, &account);
    for (int i = 0; more && i < TR_N_MEMORY_KINDS; i++)
        tr_account_add(&account, (tr_memory_kind)i, more->bytes[i]);
    code = tr_account_check(&account, s, err);
    if (code == TR_OK) code = tr_loop_allocate(out, team, err);
    return code ? code : tr_loop_begin(out, 0, err);
}

int tr_bench_train(tr_loop *loop, tr_team *team, double seconds, int fewest, tr_timed *out,
                   tr_error *err) {
    double start = tr_now();
    *out = (tr_timed){0};
    while (out->seconds < seconds || out->steps < fewest) {
        int code = tr_loop_step(loop, team, err);
        if (code == 0) code = tr_loop_begin(loop, loop->epoch + 1, err);
        if (code < 0) return code;
        if (code == 0) continue; /* another epoch */
        out->step_seconds += loop->step_seconds;
        out->seconds = loop->step_end - start;
        out->images += loop->n;
        out->steps++;
    }
    return TR_OK;
}

double tr_bench_flops(const tr_session *s) {
    double flops = 0;
    bool first = true;
    for (int i = 1; i < s->graph->n_nodes; i++) {
        const tr_node *node = &s->graph->nodes[i];
        if (node->op->multiply_adds == NULL) continue;
        /* The first layer with parameters needs no input gradient. */
        flops += 2.0 * (double)node->op->multiply_adds(node) * (first ? 2 : 3);
        first = false;
    }
    return flops;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void tr_bench_sort(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, ascending);
}

/* ---- windows ---- */

enum { FEWEST_WINDOWS = 100, MOST_WINDOWS = 1 << 14 };
static const double shortest_window = 0.5e-3;

int tr_windows_create(tr_windows *out, double seconds, int64_t bytes, tr_error *err) {
    bytes += (int64_t)(sizeof *out->window + sizeof *out->scratch);
    int max = (int)tr_max(FEWEST_WINDOWS, tr_min(MOST_WINDOWS, TR_WINDOWS_BYTES / bytes));
    double even = seconds / max;
    *out = (tr_windows){.max = max, .seconds = even > shortest_window ? even : shortest_window};
    out->window = tr_alloc((size_t)max, sizeof *out->window, err);
    out->scratch = tr_alloc((size_t)max, sizeof *out->scratch, err);
    return out->window && out->scratch ? TR_OK : TR_ENOMEM;
}

void tr_windows_free(tr_windows *windows) {
    tr_free(windows->window);
    tr_free(windows->scratch);
}

int tr_windows_add(tr_windows *windows, tr_loop *loop, tr_team *team, tr_error *err) {
    tr_timed *window = &windows->window[windows->n];
    int code = tr_bench_train(loop, team, windows->seconds, 1, window, err);
    windows->n += code == TR_OK;
    return code;
}

static double step_seconds(const tr_timed *time) {
    return time->seconds / (double)time->steps;
}

tr_timed tr_windows_fastest(const tr_windows *windows, int of, void (*chosen)(int i, void *arg),
                            void *arg) {
    tr_timed sum = {0};
    int n = windows->n;
    for (int i = 0; i < n; i++) windows->scratch[i] = step_seconds(&windows->window[i]);
    tr_bench_sort(windows->scratch, n);
    for (int i = 0; i < n; i++) {
        const tr_timed *window = &windows->window[i];
        if (step_seconds(window) > windows->scratch[(n - 1) / of]) continue;
        sum.seconds += window->seconds;
        sum.step_seconds += window->step_seconds;
        sum.steps += window->steps;
        sum.images += window->images;
        if (chosen) chosen(i, arg);
    }
    return sum;
}
