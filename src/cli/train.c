/* `trainer train`: the run as it goes, for display. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "report/report.h"

typedef struct console {
    const tr_options *options;
    tr_progress progress;
    bool warned;
    int code; /* of writing the file of --json */
    tr_error *err;
} console;

static void print_memory(const tr_plan_info *p) {
    char bytes[32];
    printf("memory     %s:", tr_format_bytes(p->memory_total, bytes));
    for (int i = 0; i < p->n_memory; i++)
        printf("%s %s %s", i ? "," : "", tr_format_bytes(p->memory[i].bytes, bytes),
               p->memory[i].name);
    printf("\n");
    if (p->memory_total > p->memory_limit / 10 * 9)
        printf("           %s what %s allows: %s\n",
               p->memory_total > p->memory_limit ? "more than" : "close to", p->memory_limit_name,
               tr_format_bytes(p->memory_limit, bytes));
}

/* A column of its own, with --verbose. */
static void print_kept(const char *text, bool verbose) {
    if (verbose) printf(" %12s", text);
}

static void print_layers(const tr_plan_info *p, bool verbose) {
    char a[32];
    int64_t kept = 0;
    int wide = 14, type = 12;
    for (int i = 0; i < p->n_layers; i++) {
        wide = (int)tr_max(wide, (int64_t)strlen(p->layers[i].name));
        type = (int)tr_max(type, (int64_t)strlen(p->layers[i].type));
        kept += p->layers[i].kept;
    }
    printf("%-*s %-*s %-16s", wide, "layer", type, "type", "output");
    print_kept("kept", verbose);
    printf(" %12s %10s%s\n", "parameters", "MFLOP", verbose ? " algorithm" : "");
    for (int i = 0; i < p->n_layers; i++) {
        const tr_layer_row *r = &p->layers[i];
        printf("%-*s %-*s %-16s", wide, r->name, type, r->type, r->output);
        print_kept(tr_format_count(r->kept, a), verbose);
        if (r->parameters || r->mflop > 0)
            printf(" %12s %10.3f", tr_format_count(r->parameters, a), r->mflop);
        else if (r->fused_into[0])
            printf(" %12s in %s", "", r->fused_into);
        if (verbose && r->algorithm[0]) printf(" %s", r->algorithm);
        printf("\n");
    }
    printf("%-*s %-*s %-16s", wide, "total", type, "", "");
    print_kept(tr_format_count(kept, a), verbose);
    printf(" %12s %10.3f\n\n", tr_format_count(p->parameters, a), p->mflop);
}

static void print_plan(const tr_plan_info *p, bool verbose) {
    char a[32], b[32], c[32];
    print_layers(p, verbose);
    printf("data       %s training and %s test images, %s step%s of %d an epoch\n",
           tr_format_count(p->train_images, a), tr_format_count(p->test_images, b),
           tr_format_count(p->steps, c), p->steps == 1 ? "" : "s", p->batch_size);
    print_memory(p);
    printf("plan       %d shard%s of %d, %d at a time, %d barrier%s a step\n", p->n_shards,
           p->n_shards == 1 ? "" : "s", p->shard, p->chunk, p->barriers,
           p->barriers == 1 ? "" : "s");
    printf("threads    %s, %s\n", p->placement, p->isa);
    if (p->workers)
        printf("loader     %d worker%s, %d batch%s ahead at most\n\n", p->workers,
               p->workers == 1 ? "" : "s", p->prefetch, p->prefetch == 1 ? "" : "es");
    else
        printf("loader     in the team\n\n");
}

void tr_print_accuracy(const tr_summary *s, int decimals) {
    char n[32];
    printf("Accuracy of the network on the %s test images: %.*f %%\n",
           tr_format_count(s->test_images, n), decimals, 100 * s->test_accuracy);
    for (int k = 0; k < s->n_classes; k++) {
        if (s->per_class_accuracy[k] == s->per_class_accuracy[k])
            printf("  %-12s %5.1f %%\n", s->class_names[k], 100 * s->per_class_accuracy[k]);
        else
            printf("  %-12s no test images\n", s->class_names[k]);
    }
}

static void show_progress(console *c, const tr_event *e) {
    const tr_plan_info *p = e->plan;
    char label[96], tail[64], loss[32];
    int n = snprintf(label, sizeof label, "epoch %d/%d", e->epoch, p->epochs);
    if (!c->progress.on) /* a log has space */
        snprintf(label + n, sizeof label - (size_t)n, ", step %lld/%lld", (long long)e->step,
                 (long long)p->steps);
    if (e->testing)
        snprintf(tail, sizeof tail, "testing");
    else
        snprintf(tail, sizeof tail, "loss %s", tr_format_fixed(e->loss, 3, loss));
    /* Of the whole run, in thirds of a training image's work: forward is about one. */
    int64_t epoch = 3 * p->steps * p->batch_size + p->test_images;
    int64_t done = (e->epoch - 1) * epoch + 3 * e->step * p->batch_size;
    tr_progress_update(&c->progress, label, done, p->epochs * epoch, e->images_per_second, tail);
}

static void print_speed(const tr_summary *s) {
    char rate[32], time[32];
    printf("\n%s images/s, %s of training, waited for data %.1f %% of it",
           tr_format_rate(s->images_per_second, rate), tr_format_seconds(s->train_seconds, time),
           100 * s->data_wait_fraction);
    if (s->workers)
        printf(" (loader threads waited for a free slot %.1f s)", s->loader_wait_seconds);
    printf("\n");
}

static int show(const tr_event *e, void *arg) {
    console *c = arg;
    char rate[32], a[32], b[32];
    bool stop = tr_caught_signal(NULL) != 0;
    if (e->kind == TR_EVENT_PLAN && c->options->json)
        c->code = tr_save(c->options->json, e->plan->json, strlen(e->plan->json), c->err);
    if (e->kind == TR_EVENT_WARNING) {
        tr_progress_clear(&c->progress);
        fprintf(stderr, "warning: %s\n", e->text);
        c->warned = true;
    }
    if (c->options->quiet) return stop;
    if (e->kind == TR_EVENT_PROGRESS) {
        if (e->epoch) show_progress(c, e);
        return stop;
    }
    tr_progress_clear(&c->progress);
    switch (e->kind) {
    case TR_EVENT_PLAN:
        print_plan(e->plan, c->options->verbose);
        break;
    case TR_EVENT_LOG:
        printf("[%d, %5lld] loss: %s  (%s images/s)\n", e->epoch, (long long)e->step,
               tr_format_fixed(e->loss, 3, a), tr_format_rate(e->images_per_second, rate));
        break;
    case TR_EVENT_EPOCH:
        printf("epoch %d: training loss %s, test loss %s, test accuracy %.2f %% (%.2f s, %s "
               "images/s)\n",
               e->epoch, tr_format_fixed(e->train_loss, 4, a), tr_format_fixed(e->test_loss, 4, b),
               100 * e->test_accuracy, e->epoch_seconds,
               tr_format_rate(e->images_per_second, rate));
        break;
    case TR_EVENT_END:
        printf("\n");
        tr_print_accuracy(e->summary, 2);
        if (tr_is_finite(e->summary->images_per_second)) print_speed(e->summary);
        printf("weights    sha256 %s\n", e->summary->weights_sha256);
        if (!c->warned)
            printf("pictures   samples.png curves.png predictions.png confusion.png in the run's "
                   "folder\n");
        break;
    case TR_EVENT_NOTE:
        fflush(stdout); /* behind the plan, where both go to one place */
        fprintf(stderr, "note: %s\n", e->text);
        break;
    case TR_EVENT_PROGRESS:
    case TR_EVENT_WARNING:
    case TR_EVENT_OPENING:
        break;
    }
    fflush(stdout);
    return stop;
}

/* The failure of a run, with what it leaves. */
static void report_end(const tr_summary *s, int code, const tr_error *failure, tr_error *err) {
    const char *signal;
    tr_caught_signal(&signal);
    if (code != TR_ECANCELED)
        tr_fail(err, code, "%s", failure->text);
    else if (s->model_steps < 0)
        tr_fail(err, code, "%s: %s", signal, failure->text);
    else
        tr_fail(err, code, "%s: %s, the model so far is in %s", signal, failure->text, s->run_dir);
}

int tr_command_train(const tr_options *o, tr_error *err) {
    tr_config *config;
    tr_summary summary;
    console c = {.options = o, .err = err};
    if (o->config.n == 0)
        return tr_fail(err, TR_ECONFIG,
                       "--config: is missing, as in trainer --config configs/lenet.ini");
    if (o->json && !o->dry_run)
        return tr_fail(err, TR_ECONFIG,
                       "--json: goes with --dry-run (a run writes summary.json and metrics.jsonl)");
    if (o->quiet && o->verbose)
        return tr_fail(err, TR_ECONFIG, "--verbose: does not go with --quiet");
    int code = tr_options_output("--json", o->json, err);
    if (code) return code;
    tr_progress_start(&c.progress, stdout);
    if ((code = tr_options_read(o, NULL, &config, err))) return code;
    code = tr_options_apply(o, config, err);
    if (code == TR_OK && o->dry_run) {
        code = tr_dry_run(config, show, &c, err);
        if (code == TR_OK) code = c.code;
    } else if (code == TR_OK) {
        tr_error failure = {0};
        tr_catch_signals();
        code = tr_train(config, show, &c, &summary, &failure);
        if (code == TR_OK) printf("run: %s\n", summary.run_dir);
        if (code) report_end(&summary, code, &failure, err);
    }
    tr_progress_clear(&c.progress);
    fflush(stdout);
    tr_config_free(config);
    return code;
}
