/* The module `cli`: arguments in, text out. The only code that prints and chooses exit codes: 0
 * fine, 1 failed at run time, 2 the configuration or the command line is wrong. */
#ifndef TR_CLI_H
#define TR_CLI_H

#include <stdio.h>

#include "base/base.h"
#include "trainer/trainer.h"

enum { TR_MAX_POSITIONALS = 8 };

typedef struct tr_words { /* the values of an option that may be repeated */
    const char **v;
    int n;
} tr_words;

typedef struct tr_options {
    const char *model, *data, *out, *isa, *threads, *workers, *epochs, *seed, *count, *json,
        *picture, *seconds, *reference, *tolerance;
    tr_words config, set; /* in the order of the command line: later ones win */
    bool dry_run, quiet, verbose, help, version, markdown, man;
    const char *positional[TR_MAX_POSITIONALS]; /* the command first */
    int n_positional;
} tr_options;

/* Fails on an unknown option (saying what was meant), a missing value, too many arguments, and an
 * option that the command does not take. The words stay the caller's; tr_options_free after a
 * failure, too. */
int tr_options_parse(int argc, char **argv, tr_options *out, tr_error *err);
void tr_options_free(tr_options *options);
/* An integer in min..max, or any number, from an option's text. */
int tr_options_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *out,
                      tr_error *err);
int tr_options_real(const char *option, const char *text, double min, double max, double *out,
                    tr_error *err);
/* Fails with TR_ECONFIG where the file that an option names could not be written, so that nothing
 * is computed in vain. NULL is fine. */
int tr_options_output(const char *option, const char *path, tr_error *err);
/* The first of STEM.png, STEM-2.png, ... that is not there; tr_free. */
int tr_options_free_name(const char *stem, char **out, tr_error *err);
/* The files of --config, read one over the other; `fallback` where there is none. */
int tr_options_read(const tr_options *options, const char *fallback, tr_config **out,
                    tr_error *err);
/* Overrides of a configuration: --threads, --data, --set ... */
int tr_options_apply(const tr_options *options, tr_config *config, tr_error *err);
/* The text of `trainer help` and of `trainer help COMMAND`; false for a name that is no command. */
bool tr_print_usage(FILE *out, const char *command);

/* All options' names, as tr_nearest takes them; what value number i takes ("FILE"), or NULL. */
const char *const *tr_option_names(int *n);
const char *tr_option_value(int i);
/* The option that overrides this key, or NULL; what value it takes to *value. */
const char *tr_option_of_key(const char *section, const char *key, const char **value);

/* Says what was meant by argv[i], an option that is none (unknown.c). TR_ECONFIG. */
int tr_unknown_option(int argc, char **argv, int i, tr_error *err);

/* ---- commands: they return a code, and print only what was requested ---- */
int tr_command_train(const tr_options *options, tr_error *err);
int tr_command_eval(const tr_options *options, tr_error *err);
int tr_command_predict(const tr_options *options, tr_error *err);
int tr_command_bench(const tr_options *options, tr_error *err);
int tr_command_check(const tr_options *options, tr_error *err);
int tr_command_help(const tr_options *options, tr_error *err);

/* A line where fewer threads ran than were requested (bench.c). */
void tr_print_fewer(int requested, int ran);
/* Notes of the calls with this configuration, on standard error. */
void tr_print_notes(const tr_config *config);
/* "Accuracy of the network on the 10,000 test images: 55.30 %", with so many decimals, and a line
 * for each class. */
void tr_print_accuracy(const tr_summary *summary, int decimals);

#endif
