/* Command-line options: one table from which parsing, errors and help come. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRAIN = 1,
    EVAL = 2,
    PREDICT = 4,
    BENCH = 8,
    HELP = 16,
    CHECK = 64,
    REPEATS = 32, /* an option whose values are tr_words */
};

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
     "threads.\n"
     "  Without --config: configs/lenet.ini. scaling takes a list of threads: --threads 1,2,4."},
    {"check", CHECK, "trainer check --config FILE --reference FILE.safetensors [OPTION]...",
     "Compute one batch and one step, and hold them against a file of what PyTorch computed\n"
     "  (tools/torch_check.py writes one): logits, loss, gradients, and parameters and buffers "
     "after\n"
     "  the step. A line for each tensor: the L2 difference relative to the reference (after the\n"
     "  step: to the change that it made), its tolerance, and the largest difference of an "
     "element.\n"
     "  Exit code 1 where a tensor is past its tolerance. Dropout draws other masks than PyTorch:\n"
     "  use p = 0, or a reference of mode eval."},
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
    {"--config", "FILE", offsetof(tr_options, config), TRAIN | BENCH | CHECK | REPEATS, NULL, NULL,
     "configuration (INI); may be repeated: later files win"},
    {"--reference", "FILE", offsetof(tr_options, reference), CHECK, NULL, NULL,
     "safetensors file with input, target, and what is to be compared"},
    {"--tolerance", "T", offsetof(tr_options, tolerance), CHECK, NULL, NULL,
     "of every tensor; without it 1e-4 for logits and loss, 1e-2 for the others"},
    {"--model", "RUN_DIR", offsetof(tr_options, model), EVAL | PREDICT, NULL, NULL,
     "run directory of a finished run"},
    {"--threads", "N|auto", offsetof(tr_options, threads), TRAIN | EVAL | PREDICT | BENCH | CHECK,
     "run", "threads", "threads of the team"},
    {"--workers", "N|auto", offsetof(tr_options, workers), TRAIN | EVAL | BENCH, "loader",
     "workers", "loader threads; 0: the team decodes the images"},
    {"--epochs", "N", offsetof(tr_options, epochs), TRAIN, "train", "epochs",
     "times through the training set"},
    {"--seed", "N", offsetof(tr_options, seed), TRAIN | PREDICT | CHECK, "train", "seed",
     "start of all random numbers"},
    {"--data", "DIR", offsetof(tr_options, data), TRAIN | EVAL | PREDICT | BENCH, "data", "root",
     "folder of the data set"},
    {"--out", "DIR", offsetof(tr_options, out), TRAIN, "run", "out",
     "run directory; without it the next free runs/NAME"},
    {"--set", "SECTION.KEY=VALUE", offsetof(tr_options, set),
     TRAIN | EVAL | PREDICT | BENCH | CHECK | REPEATS, NULL, NULL,
     "override one value of the configuration; may be repeated; network.NAME= removes a line"},
    {"--isa", "NAME", offsetof(tr_options, isa), TRAIN | EVAL | PREDICT | BENCH | CHECK, "run",
     "isa", "instruction set: auto, scalar, avx2, ... (what this build has)"},
    {"--dry-run", NULL, offsetof(tr_options, dry_run), TRAIN, NULL, NULL,
     "check everything, print the tables, do not train"},
    {"--quiet", NULL, offsetof(tr_options, quiet), TRAIN, NULL, NULL,
     "print nothing but the run directory and errors"},
    {"--verbose", NULL, offsetof(tr_options, verbose), TRAIN, NULL, NULL,
     "print what each layer keeps between forward and backward, too: bytes an image; also -v"},
    {"--count", "N", offsetof(tr_options, count), PREDICT, NULL, NULL,
     "test images to predict, none twice; default 4"},
    {"--picture", "FILE", offsetof(tr_options, picture), PREDICT | BENCH, NULL, NULL,
     "PNG to draw; where it is left out the next free RUN_DIR/predict.png or, for bench scaling, "
     "scaling.png"},
    {"--json", "FILE", offsetof(tr_options, json), TRAIN | EVAL | PREDICT | BENCH, NULL, NULL,
     "write the result as JSON, too; with --dry-run: the network with every layer and argument"},
    {"--seconds", "N", offsetof(tr_options, seconds), BENCH, NULL, NULL,
     "how long to measure, 0.5 as well; default 6"},
    {"--help", NULL, offsetof(tr_options, help), TRAIN | EVAL | PREDICT | BENCH | CHECK | HELP,
     NULL, NULL, "explain the command; also -h"},
    {"--version", NULL, offsetof(tr_options, version),
     TRAIN | EVAL | PREDICT | BENCH | CHECK | HELP, NULL, NULL, "print the version; also -V"},
};
enum { N_OPTIONS = sizeof table / sizeof *table };

static int find(const char *name, size_t length) {
    for (int i = 0; i < N_OPTIONS; i++) {
        if (strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0) return i;
    }
    return -1;
}

const char *const *tr_option_names(int *n) {
    static const char *names[N_OPTIONS];
    for (int i = 0; i < N_OPTIONS; i++) names[i] = table[i].name;
    *n = N_OPTIONS;
    return names;
}

const char *tr_option_value(int i) {
    return table[i].value;
}

const char *tr_option_of_key(const char *section, const char *key, const char **value) {
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!table[i].section || strcmp(table[i].section, section) || strcmp(table[i].key, key))
            continue;
        *value = table[i].value;
        return table[i].name;
    }
    return NULL;
}

static int unknown_command(const char *word, tr_error *err) {
    const char *names[N_COMMANDS];
    char text[2 * TR_TEXT];
    if (tr_exists(word) && !tr_is_folder(word))
        return tr_fail(err, TR_ECONFIG, "unknown command '%s' (did you mean '--config %s'?)", word,
                       word);
    for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i].name;
    snprintf(text, sizeof text, "unknown command '%.*s'", TR_TEXT, word);
    return tr_fail_unknown(err, (tr_where){NULL, 0}, NULL, text, word, names, N_COMMANDS);
}

/* The option that a word is short for, else the word. */
static const char *in_full(const char *word) {
    static const char *const shorts[][2] = {
        {"-h", "--help"}, {"-v", "--verbose"}, {"-V", "--version"}};
    for (int i = 0; i < 3; i++) {
        if (strcmp(word, shorts[i][0]) == 0) return shorts[i][1];
    }
    return word;
}

/* What stands for an option's value is none where it is an option itself: the value was left out.
 * (A value that begins with "--" is written --option=--value.) */
static bool is_value(const char *word) {
    return strncmp(in_full(word), "--", 2) != 0;
}

/* One option: its number in the table, its value taken from behind '=' or the next argument. */
static int parse_option(int argc, char **argv, int *i, tr_options *o, bool seen[N_OPTIONS],
                        tr_error *err) {
    const char *word = in_full(argv[*i]), *equals = strchr(word, '=');
    int k = find(word, equals ? (size_t)(equals - word) : strlen(word));
    if (k < 0) return tr_unknown_option(argc, argv, *i, err);
    void *at = (char *)o + table[k].at;
    bool again = seen[k];
    seen[k] = true;
    if (table[k].value == NULL) {
        if (equals) return tr_fail(err, TR_ECONFIG, "%s: takes no value", table[k].name);
        *(bool *)at = true;
        return TR_OK;
    }
    const char *value = equals                                    ? equals + 1
                        : *i + 1 < argc && is_value(argv[*i + 1]) ? argv[++*i]
                                                                  : NULL;
    if (value == NULL || *value == '\0')
        return tr_fail(err, TR_ECONFIG, "%s: needs a value: %s %s", table[k].name, table[k].name,
                       table[k].value);
    if (table[k].commands & REPEATS) {
        tr_words *words = at;
        if (words->v == NULL && !(words->v = tr_alloc((size_t)argc, sizeof *words->v, err)))
            return TR_ENOMEM;
        words->v[words->n++] = value;
        return TR_OK;
    }
    if (again) return tr_fail(err, TR_ECONFIG, "%s: given twice", table[k].name);
    *(const char **)at = value;
    return TR_OK;
}

/* Help is shown whatever else is wrong. */
static bool requests_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) return true;
    return false;
}

/* The number of the command, the first positional. */
static int find_command(const tr_options *o, int *found, tr_error *err) {
    const char *command = o->n_positional ? o->positional[0] : "train";
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(command, commands[i].name) != 0) continue;
        *found = i;
        return TR_OK;
    }
    return unknown_command(command, err);
}

static bool begins_with(const char *word, const char *start) {
    return strncmp(word, start, strlen(start)) == 0;
}

/* Dashes that programs for text put in the place of "--" and "-": U+2013, U+2014, U+2212. */
static bool has_odd_dash(const char *word) {
    return begins_with(word, "\xE2\x80\x93") || begins_with(word, "\xE2\x80\x94") ||
           begins_with(word, "\xE2\x88\x92");
}

int tr_options_parse(int argc, char **argv, tr_options *o, tr_error *err) {
    bool seen[N_OPTIONS] = {false}, help = requests_help(argc, argv), only_words = false;
    int found = 0, code;
    *o = (tr_options){.help = help};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        bool option = !only_words && (has_odd_dash(word) || (word[0] == '-' && word[1] != '\0'));
        if (option && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (option) {
            tr_error *report = help ? NULL : err;
            if ((code = parse_option(argc, argv, &i, o, seen, report)) && !help) return code;
        } else if (o->n_positional < TR_MAX_POSITIONALS) {
            o->positional[o->n_positional++] = word;
        } else if (!help) {
            return tr_fail(err, TR_ECONFIG, "%s: too many arguments, see trainer help", word);
        }
    }
    if ((code = find_command(o, &found, err)) || o->help || o->version) return code;
    for (int k = 0; k < N_OPTIONS; k++) {
        if (seen[k] && !(table[k].commands & commands[found].bit))
            return tr_fail(err, TR_ECONFIG, "%s: is no option of '%s', see trainer help %s",
                           table[k].name, commands[found].name, commands[found].name);
    }
    int most = commands[found].bit & (BENCH | HELP) ? 2 : 1;
    if (o->n_positional > most)
        return tr_fail(err, TR_ECONFIG, "%s: '%s' takes no such argument, see trainer help %s",
                       o->positional[most], commands[found].name, commands[found].name);
    return TR_OK;
}

void tr_options_free(tr_options *o) {
    tr_free(o->config.v);
    tr_free(o->set.v);
    o->config = o->set = (tr_words){0};
}

int tr_options_number(const char *option, const char *text, int64_t min, int64_t max, int64_t *out,
                      tr_error *err) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || text[0] == ' ')
        return tr_fail(err, TR_ECONFIG, "%s: '%s' is not an integer", option, text);
    if (errno == ERANGE || value < min || value > max)
        return tr_fail(err, TR_ECONFIG, "%s: %s is out of range, allowed are %lld to %lld", option,
                       text, (long long)min, (long long)max);
    *out = value;
    return TR_OK;
}

int tr_options_real(const char *option, const char *text, double min, double max, double *out,
                    tr_error *err) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || strspn(text, "0123456789.eE+-") != strlen(text))
        return tr_fail(err, TR_ECONFIG, "%s: '%s' is not a number", option, text);
    if (!(value >= min && value <= max))
        return tr_fail(err, TR_ECONFIG, "%s: %s is out of range, allowed are %g to %g", option,
                       text, min, max);
    *out = value;
    return TR_OK;
}

static int try_output(const char *option, const char *path, tr_error *err) {
    tr_error cause = {0};
    int code = tr_check_output(path, &cause);
    return code ? tr_fail(err, TR_ECONFIG, "%s: %s", option, cause.text) : TR_OK;
}

int tr_options_output(const char *option, const char *path, tr_error *err) {
    if (path == NULL) return TR_OK;
    if (tr_is_folder(path))
        return tr_fail(err, TR_ECONFIG, "%s: '%s' is a folder, not a file", option, path);
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) return try_output(option, path, err);
    char *folder = tr_strdup(path, err);
    if (folder == NULL) return TR_ENOMEM;
    folder[slash - path] = '\0';
    int code = tr_is_folder(folder)
                   ? TR_OK
                   : tr_fail(err, TR_ECONFIG, "%s: there is no folder '%s'", option, folder);
    tr_free(folder);
    return code ? code : try_output(option, path, err);
}

int tr_options_free_name(const char *stem, char **out, tr_error *err) {
    for (int i = 1;; i++) {
        tr_text name = {0};
        if (i == 1)
            tr_text_print(&name, "%s.png", stem);
        else
            tr_text_print(&name, "%s-%d.png", stem, i);
        *out = tr_text_take(&name, err);
        if (*out == NULL) return TR_ENOMEM;
        if (!tr_exists(*out)) return TR_OK;
        tr_free(*out);
    }
}

int tr_options_read(const tr_options *o, const char *fallback, tr_config **out, tr_error *err) {
    int code = tr_config_read(o->config.n ? o->config.v[0] : fallback, out, err);
    for (int i = 1; code == TR_OK && i < o->config.n; i++)
        code = tr_config_merge(*out, o->config.v[i], err);
    if (code == TR_OK) return TR_OK;
    tr_config_free(*out);
    *out = NULL;
    return code;
}

int tr_options_apply(const tr_options *o, tr_config *config, tr_error *err) {
    int code = TR_OK;
    for (int i = 0; code == TR_OK && i < o->set.n; i++)
        code = tr_config_set(config, o->set.v[i], err);
    for (int k = 0; code == TR_OK && k < N_OPTIONS; k++) {
        if (table[k].section == NULL) continue;
        const char *value = *(const char *const *)(const void *)((const char *)o + table[k].at);
        if (value)
            code = tr_config_put(config, table[k].section, table[k].key, value, table[k].name, err);
    }
    return code;
}

static void print_options(FILE *out, int bits) {
    for (int k = 0; k < N_OPTIONS; k++) {
        char left[64];
        if (!(table[k].commands & bits)) continue;
        snprintf(left, sizeof left, "%s%s%s", table[k].name, table[k].value ? " " : "",
                 table[k].value ? table[k].value : "");
        fprintf(out, "  %-24s %s\n", left, table[k].help);
    }
}

bool tr_print_usage(FILE *out, const char *command) {
    for (int i = 0; command && i < N_COMMANDS; i++) {
        if (strcmp(command, commands[i].name) != 0) continue;
        fprintf(out, "%s\n  %s\n\n", commands[i].usage, commands[i].help);
        print_options(out, commands[i].bit);
        return true;
    }
    if (command) return false;
    fprintf(out, "trainer %s: trains convolutional networks on the CPU.\n\n", tr_version());
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "%s\n  %s\n", commands[i].usage, commands[i].help);
    fprintf(out, "\nOptions:\n");
    print_options(out, TRAIN | EVAL | PREDICT | BENCH | CHECK | HELP);
    fprintf(
        out,
        "\nThe environment variable TRAINER_ISA names the instruction set where --isa and "
        "run.isa do not.\n"
        "\nExit codes: 0 fine, 1 failed while running, 2 the configuration or an option "
        "is wrong,\n130 and 143 a training was stopped by SIGINT or SIGTERM (129 by SIGHUP).\n\n");
    return true;
}
