/* Command-line options: one table from which parsing, errors and help come. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRAIN = 1, EVAL = 2, PREDICT = 4, BENCH = 8, HELP = 16 };

static const struct {
    const char *name;
    int bit;
    const char *usage, *help;
} commands[] = {
    {"train", TRAIN, "trainer [train] --config FILE [OPTION]...",
     "Train a network and write a run directory (the default command)."},
    {"eval", EVAL, "trainer eval --model RUN_DIR [OPTION]...",
     "Test the network of a run: loss, accuracy, and accuracy of each class."},
    {"predict", PREDICT, "trainer predict --model RUN_DIR [OPTION]...",
     "Predict random test images, print truth and prediction, and draw them."},
    {"bench", BENCH, "trainer bench peak|step|loader|scaling [--config FILE] [OPTION]...",
     "Measure the FMA peak, where a step's time goes, the loader alone, or the scaling over "
     "threads."},
    {"help", HELP, "trainer help [COMMAND|SECTION|LAYER]",
     "Explain a command, a section of a configuration, or a layer."},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const struct {
    const char *name, *value;
    size_t at;
    int commands;
    const char *section, *key; /* of the configuration that it overrides, or NULL */
    const char *help;
} table[] = {
    {"--config", "FILE", offsetof(tr_options, config), TRAIN | BENCH, NULL, NULL,
     "configuration (INI); bench: configs/lenet.ini where it is left out"},
    {"--model", "RUN_DIR", offsetof(tr_options, model), EVAL | PREDICT, NULL, NULL,
     "run directory of a finished run"},
    {"--threads", "N|auto", offsetof(tr_options, threads), TRAIN | EVAL | PREDICT | BENCH, "run",
     "threads", "threads of the team (bench scaling: a list, 1,2,4)"},
    {"--workers", "N|auto", offsetof(tr_options, workers), TRAIN | EVAL | BENCH, "loader",
     "workers", "loader threads; 0: the team loads its own images"},
    {"--epochs", "N", offsetof(tr_options, epochs), TRAIN, "train", "epochs",
     "times through the training set"},
    {"--seed", "N", offsetof(tr_options, seed), TRAIN | PREDICT, "train", "seed",
     "start of all random numbers"},
    {"--data", "DIR", offsetof(tr_options, data), TRAIN | EVAL | PREDICT | BENCH, "data", "root",
     "folder of the data set"},
    {"--out", "DIR", offsetof(tr_options, out), TRAIN, "run", "out",
     "run directory; without it the next free runs/NAME"},
    {"--set", "SECTION.KEY=VALUE", 0, TRAIN | EVAL | PREDICT | BENCH, NULL, NULL,
     "override one value of the configuration; may be repeated"},
    {"--isa", "NAME", offsetof(tr_options, isa), TRAIN | EVAL | PREDICT | BENCH, "run", "isa",
     "instruction set: auto, scalar, avx2, ... (what this build has)"},
    {"--dry-run", NULL, offsetof(tr_options, dry_run), TRAIN, NULL, NULL,
     "check everything, print the tables, do not train"},
    {"--quiet", NULL, offsetof(tr_options, quiet), TRAIN, NULL, NULL,
     "print nothing but the run directory and errors"},
    {"--count", "N", offsetof(tr_options, count), PREDICT, NULL, NULL,
     "images to predict; default 4"},
    {"--picture", "FILE", offsetof(tr_options, picture), PREDICT | BENCH, NULL, NULL,
     "PNG to draw; predict: RUN_DIR/predict.png, bench scaling: scaling.png where it is left out"},
    {"--json", "FILE", offsetof(tr_options, json), BENCH, NULL, NULL,
     "write the result as JSON, too"},
    {"--seconds", "N", offsetof(tr_options, seconds), BENCH, NULL, NULL,
     "how long to measure; default 6"},
    {"--help", NULL, offsetof(tr_options, help), TRAIN | EVAL | PREDICT | BENCH | HELP, NULL, NULL,
     "explain the command"},
    {"--version", NULL, offsetof(tr_options, version), TRAIN | EVAL | PREDICT | BENCH | HELP, NULL,
     NULL, "print the version"},
};
enum { N_OPTIONS = sizeof table / sizeof *table };

static int find(const char *name, size_t length) {
    for (int i = 0; i < N_OPTIONS; i++) {
        if (strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0) return i;
    }
    return -1;
}

static int unknown_option(const char *word, tr_error *err) {
    const char *names[N_OPTIONS];
    for (int i = 0; i < N_OPTIONS; i++) names[i] = table[i].name;
    const char *near = tr_nearest(word, names, N_OPTIONS);
    return tr_fail(err, TR_ECONFIG, "%s: unknown option%s%s%s, see trainer help", word,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static int unknown_command(const char *word, tr_error *err) {
    const char *names[N_COMMANDS];
    if (tr_exists(word) && !tr_is_folder(word))
        return tr_fail(err, TR_ECONFIG, "%s: unknown command (did you mean '--config %s'?)", word,
                       word);
    for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i].name;
    return tr_fail_unknown(err, (tr_where){*word ? word : "''", 0}, NULL, "unknown command", word,
                           names, N_COMMANDS);
}

/* One option: its number in the table, its value taken from behind '=' or the next argument. */
static int parse_option(int argc, char **argv, int *i, tr_options *o, unsigned *seen,
                        tr_error *err) {
    const char *equals = strchr(argv[*i], '=');
    size_t length = equals ? (size_t)(equals - argv[*i]) : strlen(argv[*i]);
    int k = find(argv[*i], length);
    if (k < 0) {
        char word[TR_TEXT];
        snprintf(word, sizeof word, "%.*s", (int)tr_min((int64_t)length, TR_TEXT - 1), argv[*i]);
        return unknown_option(word, err);
    }
    if (table[k].value == NULL) {
        if (equals) return tr_fail(err, TR_ECONFIG, "%s: takes no value", table[k].name);
        *(bool *)(void *)((char *)o + table[k].at) = true;
        *seen |= 1U << k;
        return TR_OK;
    }
    const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
    if (value == NULL || *value == '\0')
        return tr_fail(err, TR_ECONFIG, "%s: wants a value: %s %s", table[k].name, table[k].name,
                       table[k].value);
    if (table[k].at == 0 && strcmp(table[k].name, "--set") == 0) {
        if (o->n_set == TR_MAX_SETS)
            return tr_fail(err, TR_ECONFIG, "--set: more than %d of them", TR_MAX_SETS);
        o->set[o->n_set++] = value;
    } else if (*seen & 1U << k) {
        return tr_fail(err, TR_ECONFIG, "%s: given twice", table[k].name);
    } else {
        *(const char **)(void *)((char *)o + table[k].at) = value;
    }
    *seen |= 1U << k;
    return TR_OK;
}

int tr_options_parse(int argc, char **argv, tr_options *o, tr_error *err) {
    unsigned seen = 0;
    *o = (tr_options){0};
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            int code = parse_option(argc, argv, &i, o, &seen, err);
            if (code) return code;
        } else if (o->n_positional == TR_MAX_POSITIONALS) {
            return tr_fail(err, TR_ECONFIG, "%s: too many arguments, see trainer help", argv[i]);
        } else {
            o->positional[o->n_positional++] = argv[i];
        }
    }
    const char *command = o->n_positional ? o->positional[0] : "train";
    int found = -1;
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(command, commands[i].name) == 0) found = i;
    }
    if (found < 0) return unknown_command(command, err);
    if (o->help || o->version) return TR_OK;
    for (int k = 0; k < N_OPTIONS; k++) {
        if ((seen & 1U << k) && !(table[k].commands & commands[found].bit))
            return tr_fail(err, TR_ECONFIG, "%s: is no option of '%s', see trainer help %s",
                           table[k].name, command, command);
    }
    int most = commands[found].bit & (BENCH | HELP) ? 2 : 1;
    if (o->n_positional > most)
        return tr_fail(err, TR_ECONFIG, "%s: '%s' takes no such argument, see trainer help %s",
                       o->positional[most], command, command);
    return TR_OK;
}

int tr_options_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *out,
                      tr_error *err) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == ' ')
        return tr_fail(err, TR_ECONFIG, "%s: '%s' is not a whole number", option, text);
    if (errno == ERANGE || value < min || value > max)
        return tr_fail(err, TR_ECONFIG, "%s: %s is out of range, allowed are %lld to %lld", option,
                       text, (long long)min, (long long)max);
    *out = value;
    return TR_OK;
}

int tr_options_apply(const tr_options *o, tr_config *config, tr_error *err) {
    int code = TR_OK;
    for (int i = 0; code == TR_OK && i < o->n_set; i++)
        code = tr_config_set(config, o->set[i], err);
    for (int k = 0; code == TR_OK && k < N_OPTIONS; k++) {
        if (table[k].section == NULL) continue;
        const char *value = *(const char *const *)(const void *)((const char *)o + table[k].at);
        if (value)
            code = tr_config_put(config, table[k].section, table[k].key, value, table[k].name, err);
    }
    return code;
}

static void print_options(int bits) {
    for (int k = 0; k < N_OPTIONS; k++) {
        char left[64];
        if (!(table[k].commands & bits)) continue;
        snprintf(left, sizeof left, "%s%s%s", table[k].name, table[k].value ? " " : "",
                 table[k].value ? table[k].value : "");
        printf("  %-24s %s\n", left, table[k].help);
    }
}

bool tr_print_usage(const char *command) {
    if (command) {
        for (int i = 0; i < N_COMMANDS; i++) {
            if (strcmp(command, commands[i].name) != 0) continue;
            printf("%s\n  %s\n\n", commands[i].usage, commands[i].help);
            print_options(commands[i].bit);
            return true;
        }
        return false;
    }
    printf("trainer %s: trains convolutional networks on the CPU.\n\n", tr_version());
    for (int i = 0; i < N_COMMANDS; i++) printf("%s\n  %s\n", commands[i].usage, commands[i].help);
    printf("\nOptions:\n");
    print_options(TRAIN | EVAL | PREDICT | BENCH | HELP);
    printf("\nExit codes: 0 fine, 1 failed while running, 2 the configuration or an option is "
           "wrong.\n\n");
    return true;
}
