/* Private to cli: the tables of the command line (table.c). */
#ifndef TR_CLI_TABLE_H
#define TR_CLI_TABLE_H

#include "cli/cli.h"
#include "report/report.h"

/* Bits: which commands an option is for. */
enum {
    TR_DO_TRAIN = 1,
    TR_DO_EVAL = 2,
    TR_DO_PREDICT = 4,
    TR_DO_BENCH = 8,
    TR_DO_HELP = 16,
    TR_DO_CHECK = 32,
    TR_DO_ALL = 63,
    TR_OPTION_REPEATS = 64, /* an option whose values are tr_words */
};

typedef struct tr_command {
    const char *name;
    int bit;
    const char *usage, *help;
} tr_command;
enum { TR_N_COMMANDS = 6 };
extern const tr_command tr_commands[TR_N_COMMANDS];

typedef struct tr_option {
    const char *name, *value; /* value: what it takes ("FILE"), or NULL */
    size_t at;                /* in tr_options */
    int commands;
    const char *section, *key; /* of the configuration that it overrides, or NULL */
    const char *help;
} tr_option;
enum { TR_N_OPTIONS = 23 };
extern const tr_option tr_option_table[TR_N_OPTIONS];

enum { TR_N_VARIABLES = 5, TR_N_EXIT_CODES = 4 };
extern const tr_entry tr_variables[TR_N_VARIABLES], tr_exit_codes[TR_N_EXIT_CODES];

#endif
