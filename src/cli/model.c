/* `trainer eval` and `trainer predict`: what a trained network does. */
#include <stdio.h>

#include "cli/cli.h"
#include "report/report.h"

static int open_model(const tr_options *o, tr_config **config, tr_error *err) {
    if (o->model == NULL)
        return tr_fail(err, TR_ECONFIG, "--model: is missing, as in trainer %s --model runs/lenet",
                       o->positional[0]);
    int code = tr_config_of_run(o->model, config, err);
    return code ? code : tr_options_apply(o, *config, err);
}

int tr_command_eval(const tr_options *o, tr_error *err) {
    tr_config *config = NULL;
    tr_summary s;
    int code = open_model(o, &config, err);
    if (code == TR_OK) code = tr_evaluate(config, o->model, &s, err);
    if (code == TR_OK) {
        char n[32];
        tr_print_accuracy(&s);
        printf(
            "\ntest loss  %.4f\nspeed      %s images/s on %d thread%s, %s\nweights    sha256 %s\n",
            s.test_loss, tr_format_count((int64_t)s.images_per_second, n), s.threads,
            s.threads == 1 ? "" : "s", s.isa, s.weights_sha256);
    }
    tr_config_free(config);
    return code;
}

int tr_command_predict(const tr_options *o, tr_error *err) {
    enum { MOST = 400 };
    static tr_prediction p[MOST];
    tr_config *config = NULL;
    int64_t count = 4, seed = 0;
    char picture[4352];
    int code = o->count ? tr_options_number("--count", o->count, 1, MOST, &count, err) : TR_OK;
    if (code == TR_OK && o->seed)
        code = tr_options_number("--seed", o->seed, 0, INT64_MAX, &seed, err);
    tr_options rest = *o;
    rest.seed = NULL; /* chooses the images, not the weights */
    if (code == TR_OK) code = open_model(&rest, &config, err);
    if (code == TR_OK) {
        snprintf(picture, sizeof picture, "%s/predict.png", o->model);
        code = tr_predict(config, o->model, (int)count, (uint64_t)seed, p,
                          o->picture ? o->picture : picture, err);
    }
    for (int64_t i = 0; code == TR_OK && i < count; i++) {
        if (i == 0) printf("%-8s %-12s %-12s\n", "image", "truth", "prediction");
        printf("%-8d %-12s %-12s %5.1f %%%s\n", p[i].image, p[i].truth, p[i].predicted,
               100 * p[i].probability, p[i].truth == p[i].predicted ? "" : "  wrong");
    }
    if (code == TR_OK) printf("picture: %s\n", o->picture ? o->picture : picture);
    tr_config_free(config);
    return code;
}

/* arg: whether an empty line comes first. */
static void print_line(const char *text, void *arg) {
    bool *gap = arg;
    printf("%s%s\n", *gap ? "\n" : "", text);
    *gap = false;
}

int tr_command_help(const tr_options *o, tr_error *err) {
    const char *topic = o->n_positional > 1 ? o->positional[1] : NULL;
    tr_error none = {0};
    bool usage = tr_print_usage(stdout, topic), gap = usage && topic;
    /* A word may be a command and a section ("train"), or a command alone. */
    int code = tr_help(topic, print_line, &gap, usage ? &none : err);
    return usage ? TR_OK : code;
}
