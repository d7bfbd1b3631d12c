/* `trainer eval` and `trainer predict`: what a trained network does. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "io/io.h"
#include "report/report.h"
#include "train/train.h"

static int open_model(const tr_options *o, tr_config **config, tr_error *err) {
    if (o->model == NULL)
        return tr_fail(err, TR_ECONFIG, "--model: is missing, as in trainer %s --model runs/lenet",
                       o->positional[0]);
    int code = tr_config_of_run(o->model, config, err);
    return code ? code : tr_options_apply(o, *config, err);
}

static json_t *json_of_summary(const tr_options *o, const tr_summary *s) {
    json_t *object = tr_summary_json(s, true);
    json_t *model = json_string(o->model); /* NULL for a name that is not UTF-8 */
    if (object && model) json_object_set_new(object, "model", model);
    return object;
}

void tr_print_notes(const tr_config *config) {
    int n;
    const char *const *notes = tr_config_notes(config, &n);
    for (int i = 0; i < n; i++) fprintf(stderr, "note: %s\n", notes[i]);
}

int tr_command_eval(const tr_options *o, tr_error *err) {
    tr_config *config = NULL;
    tr_summary s;
    int code = tr_options_output("--json", o->json, err);
    if (code == TR_OK) code = open_model(o, &config, err);
    if (code == TR_OK) code = tr_evaluate(config, o->model, &s, err);
    tr_print_notes(config);
    if (code == TR_OK) {
        char loss[32], rate[32];
        tr_print_accuracy(&s, 3);
        printf("\ntest loss  %s\nspeed      %s images/s on %d thread%s, %s\nweights    sha256 %s\n",
               tr_format_fixed(s.test_loss, 5, loss), tr_format_rate(s.images_per_second, rate),
               s.threads_run, s.threads_run == 1 ? "" : "s", s.isa, s.weights_sha256);
        tr_print_fewer(s.threads, s.threads_run);
        if (o->json) code = tr_json_save(o->json, json_of_summary(o, &s), err);
    }
    tr_config_free(config);
    return code;
}

/* ---- predict ---- */

enum { TOP = 5, PRINTED = 3 }; /* classes of an image */

static void print_prediction(const tr_prediction *p, const tr_class_probability *top) {
    printf("%-8d %-12s %-12s %5.1f %%", p->image, p->truth, p->predicted, 100 * p->probability);
    for (int k = 1; k < PRINTED && top[k].name; k++)
        printf(", %s %.1f %%", top[k].name, 100 * top[k].probability);
    printf("%s\n", p->truth == p->predicted ? "" : "  wrong");
}

static json_t *json_of_predictions(const tr_prediction *p, const tr_class_probability *top, int n) {
    json_t *all = json_array();
    for (int i = 0; i < n; i++, top += TOP) {
        json_t *classes = json_array();
        for (int k = 0; k < TOP && top[k].name; k++)
            json_array_append_new(classes,
                                  json_pack("{s:s, s:o}", "class", top[k].name, "probability",
                                            tr_json_number(top[k].probability)));
        json_array_append_new(all, json_pack("{s:i, s:s, s:o}", "index", p[i].image, "truth",
                                             p[i].truth, "top", classes));
    }
    return all;
}

/* The picture to draw: the one that was named, or the next free RUN_DIR/predict.png. */
static int choose_picture(const tr_options *o, char **name, tr_error *err) {
    if (o->picture) {
        int code = tr_options_output("--picture", o->picture, err);
        if (code) return code;
        *name = tr_strdup(o->picture, err);
        return *name ? TR_OK : TR_ENOMEM;
    }
    char *stem = tr_path(o->model, "predict", err);
    int code = stem ? tr_options_free_name(stem, name, err) : TR_ENOMEM;
    tr_free(stem);
    return code;
}

int tr_command_predict(const tr_options *o, tr_error *err) {
    tr_config *config = NULL;
    tr_prediction *p = NULL;
    tr_class_probability *top = NULL;
    int64_t count = 4, seed = 0;
    char *picture = NULL;
    int code = o->count ? tr_options_number("--count", o->count, 1, 1 << 24, &count, err) : TR_OK;
    if (code == TR_OK && o->seed)
        code = tr_options_number("--seed", o->seed, 0, INT64_MAX, &seed, err);
    tr_options rest = *o;
    rest.seed = NULL; /* chooses the images, not the weights */
    if (code == TR_OK) code = open_model(&rest, &config, err);
    if (code == TR_OK) code = tr_options_output("--json", o->json, err);
    if (code == TR_OK) code = choose_picture(o, &picture, err);
    if (code == TR_OK) {
        p = tr_alloc((size_t)count, sizeof *p, err);
        top = tr_alloc((size_t)count, TOP * sizeof *top, err);
        code = p && top ? tr_predict_top(config, o->model, (int)count, (uint64_t)seed, p, TOP, top,
                                         picture, err)
                        : TR_ENOMEM;
    }
    tr_print_notes(config);
    for (int64_t i = 0; code == TR_OK && i < count; i++) {
        if (i == 0) printf("%-8s %-12s %-12s\n", "image", "truth", "prediction");
        print_prediction(&p[i], &top[i * TOP]);
    }
    if (code == TR_OK && count > TR_PREDICT_DRAWN)
        printf("picture: %s (the first %d)\n", picture, TR_PREDICT_DRAWN);
    else if (code == TR_OK)
        printf("picture: %s\n", picture);
    if (code == TR_OK && o->json)
        code = tr_json_save(o->json, json_of_predictions(p, top, (int)count), err);
    tr_free(p);
    tr_free(top);
    tr_free(picture);
    tr_config_free(config);
    return code;
}
