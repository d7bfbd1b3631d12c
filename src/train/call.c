/* The public calls that compute, each on a new thread: see threads/call.c.
 *
 * A listener runs on the thread of its caller, as the caller left it.
 */
#include "threads/threads.h"
#include "train/here.h"
#include "train/run_dir.h"

/* ---- training ---- */

typedef struct training_call {
    tr_config *config;
    tr_listener listener;
    void *listener_arg;
    tr_summary *summary;
    tr_error *err;
    bool dry;
    tr_call *call;
    const tr_event *event; /* that the listener is to be called with */
} training_call;

static int call_listener(void *arg) {
    training_call *c = arg;
    return c->listener(c->event, c->listener_arg);
}

static int relay(const tr_event *event, void *arg) {
    training_call *c = arg;
    c->event = event;
    return tr_call_host(c->call, call_listener, c);
}

static int train(tr_call *call, void *arg) {
    training_call *c = arg;
    tr_listener listener = c->listener ? relay : NULL;
    c->call = call;
    return c->dry ? tr_dry_run_here(c->config, listener, c, c->err)
                  : tr_train_here(c->config, listener, c, c->summary, c->err);
}

int tr_train(tr_config *config, tr_listener listener, void *arg, tr_summary *summary,
             tr_error *err) {
    training_call c = {config, listener, arg, summary, err, false, NULL, NULL};
    if (summary) tr_summary_clear(summary);
    if (config == NULL) return tr_fail(err, TR_ECONFIG, "train: the configuration is NULL");
    return tr_call_run(train, &c, err);
}

int tr_dry_run(tr_config *config, tr_listener listener, void *arg, tr_error *err) {
    training_call c = {config, listener, arg, NULL, err, true, NULL, NULL};
    if (config == NULL) return tr_fail(err, TR_ECONFIG, "train: the configuration is NULL");
    return tr_call_run(train, &c, err);
}

/* ---- using a trained network ---- */

typedef struct run_call {
    tr_config *config;
    const char *run_dir;
    int count;
    uint64_t seed;
    const char *picture;
    tr_summary *summary;
    tr_prediction *predictions;
    int n_top;
    tr_class_probability *top;
    tr_error *err;
} run_call;

static int evaluate(tr_call *call, void *arg) {
    const run_call *c = arg;
    (void)call;
    return tr_evaluate_here(c->config, c->run_dir, c->summary, c->err);
}

int tr_evaluate(tr_config *config, const char *run_dir, tr_summary *summary, tr_error *err) {
    run_call c = {.config = config, .run_dir = run_dir, .summary = summary, .err = err};
    if (summary) tr_summary_clear(summary);
    return tr_call_run(evaluate, &c, err);
}

static int predict(tr_call *call, void *arg) {
    const run_call *c = arg;
    (void)call;
    return tr_predict_here(c->config, c->run_dir, c->count, c->seed, c->predictions, c->n_top,
                           c->top, c->picture, c->err);
}

int tr_predict(tr_config *config, const char *run_dir, int count, uint64_t seed, tr_prediction *out,
               const char *picture, tr_error *err) {
    run_call c = {.config = config,
                  .run_dir = run_dir,
                  .count = count,
                  .seed = seed,
                  .picture = picture,
                  .predictions = out,
                  .err = err};
    return tr_call_run(predict, &c, err);
}

int tr_predict_top(tr_config *config, const char *run_dir, int count, uint64_t seed,
                   tr_prediction *out, int n_top, tr_class_probability *top, const char *picture,
                   tr_error *err) {
    run_call c = {.config = config,
                  .run_dir = run_dir,
                  .count = count,
                  .seed = seed,
                  .picture = picture,
                  .predictions = out,
                  .n_top = n_top,
                  .top = top,
                  .err = err};
    if (n_top < 1 || top == NULL)
        return tr_fail(err, TR_ECONFIG,
                       "predict: the most probable classes need a place, and a number from 1 on");
    return tr_call_run(predict, &c, err);
}
