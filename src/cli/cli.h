/* The room `cli`: arguments in, text out. The only code that prints and chooses exit codes: 0 fine,
 * 1 failed at run time, 2 the configuration or the command line is wrong. */
#ifndef TR_CLI_H
#define TR_CLI_H

#include "base/base.h"
#include "trainer/trainer.h"

enum { TR_MAX_SETS = 256, TR_MAX_POSITIONALS = 8 };

typedef struct tr_options {
    const char *config, *model, *data, *out, *isa, *threads, *workers, *epochs, *seed, *count,
        *json, *picture, *seconds;
    const char *set[TR_MAX_SETS];
    int n_set;
    bool dry_run, quiet, help, version;
    const char *positional[TR_MAX_POSITIONALS]; /* the command first */
    int n_positional;
} tr_options;

/* Fails on an unknown option (naming the nearest), a missing value, too many arguments, and an
 * option that the command does not take. */
int tr_options_parse(int argc, char **argv, tr_options *out, tr_error *err);
/* A whole number in min..max from an option's text. */
int tr_options_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *out,
                      tr_error *err);
/* Overrides of a configuration: --threads, --data, --set ... */
int tr_options_apply(const tr_options *options, tr_config *config, tr_error *err);
/* The text of `trainer help` and of `trainer help COMMAND`; false for a name that is no command. */
bool tr_print_usage(const char *command);

/* ---- commands: they return a code, and print only what was asked for ---- */
int tr_command_train(const tr_options *options, tr_error *err);
int tr_command_eval(const tr_options *options, tr_error *err);
int tr_command_predict(const tr_options *options, tr_error *err);
int tr_command_bench(const tr_options *options, tr_error *err);
int tr_command_help(const tr_options *options, tr_error *err);

/* "Accuracy of the network on the 10,000 test images: 55.3 %" and a line for each class. */
void tr_print_accuracy(const tr_summary *summary);

#endif
