/* The table of contents: which command, and how its failure is reported. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(const tr_options *options, tr_error *err);
} commands[] = {{"train", tr_command_train},     {"eval", tr_command_eval},
                {"predict", tr_command_predict}, {"bench", tr_command_bench},
                {"check", tr_command_check},     {"help", tr_command_help}};

/* A file opened later must not land on a standard descriptor that the caller closed: what is
 * printed would go into it. Read-only, so that printing to one that was closed still fails. */
static void fill_standard_descriptors(void) {
    FILE *file;
    do file = fopen("/dev/null", "r");
    while (file && fileno(file) <= fileno(stderr));
    if (file) fclose(file);
}

static int run(int argc, char **argv, tr_options *options, tr_error *err) {
    int code = tr_options_parse(argc, argv, options, err);
    if (code) return code;
    const char *name = options->n_positional ? options->positional[0] : "train";
    if (options->help) {
        tr_print_usage(stdout, options->n_positional ? name : NULL);
        return TR_OK;
    }
    if (options->version) {
        printf("trainer %s\n", tr_version());
        return TR_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(options, err);
    }
    return TR_ECONFIG;
}

/* A program that a signal has stopped says which, as a shell does. */
static int exit_code(int code) {
    if (code == TR_ECANCELED && tr_caught_signal(NULL)) return 128 + tr_caught_signal(NULL);
    return code == TR_ECONFIG ? 2 : 1;
}

int main(int argc, char **argv) {
    tr_error err = {0};
    tr_options options = {0};
    tr_use_one_heap();
    fill_standard_descriptors();
    tr_ignore_write_signals();           /* `trainer ... | head` must not end a run in its middle */
    setenv("HWLOC_HIDE_ERRORS", "2", 0); /* the program works without what it misses */
    if (argc <= 1) {
        tr_print_usage(stderr, NULL);
        return 2;
    }
    int code = run(argc, argv, &options, &err);
    tr_options_free(&options);
    bool lost = fflush(stdout) != 0;
    if ((lost || ferror(stdout)) && code == TR_OK) {
        if (tr_is_closed_pipe(fileno(stdout)))
            return 1; /* its reader has seen enough: no message */
        code = tr_fail(&err, TR_EIO, "the output could not be written");
    }
    if (code == TR_OK) return 0;
    fprintf(stderr, "%s%s\n",
            code == TR_ECONFIG ? "" : "trainer: ", err.text[0] ? err.text : tr_error_meaning(code));
    return exit_code(code);
}
