/* Command-line options, as the table has them. */
#include "cli/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int find(const char *name, size_t length) {
    for (int i = 0; i < TR_N_OPTIONS; i++) {
        if (strlen(tr_option_table[i].name) == length &&
            strncmp(tr_option_table[i].name, name, length) == 0)
            return i;
    }
    return -1;
}

const char *const *tr_option_names(int *n) {
    static const char *names[TR_N_OPTIONS];
    for (int i = 0; i < TR_N_OPTIONS; i++) names[i] = tr_option_table[i].name;
    *n = TR_N_OPTIONS;
    return names;
}

const char *tr_option_value(int i) {
    return tr_option_table[i].value;
}

const char *tr_option_of_key(const char *section, const char *key, const char **value) {
    for (int i = 0; i < TR_N_OPTIONS; i++) {
        if (!tr_option_table[i].section || strcmp(tr_option_table[i].section, section) ||
            strcmp(tr_option_table[i].key, key))
            continue;
        *value = tr_option_table[i].value;
        return tr_option_table[i].name;
    }
    return NULL;
}

static int unknown_command(const char *word, tr_error *err) {
    const char *names[TR_N_COMMANDS];
    char text[2 * TR_TEXT];
    if (tr_exists(word) && !tr_is_folder(word))
        return tr_fail(err, TR_ECONFIG, "unknown command '%s' (did you mean '--config %s'?)", word,
                       word);
    for (int i = 0; i < TR_N_COMMANDS; i++) names[i] = tr_commands[i].name;
    snprintf(text, sizeof text, "unknown command '%.*s'", TR_TEXT, word);
    return tr_fail_unknown(err, (tr_where){NULL, 0}, NULL, text, word, names, TR_N_COMMANDS);
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
static int parse_option(int argc, char **argv, int *i, tr_options *o, bool seen[TR_N_OPTIONS],
                        tr_error *err) {
    const char *word = in_full(argv[*i]), *equals = strchr(word, '=');
    int k = find(word, equals ? (size_t)(equals - word) : strlen(word));
    if (k < 0) return tr_unknown_option(argc, argv, *i, err);
    void *at = (char *)o + tr_option_table[k].at;
    bool again = seen[k];
    seen[k] = true;
    if (tr_option_table[k].value == NULL) {
        if (equals) return tr_fail(err, TR_ECONFIG, "%s: takes no value", tr_option_table[k].name);
        *(bool *)at = true;
        return TR_OK;
    }
    const char *value = equals                                    ? equals + 1
                        : *i + 1 < argc && is_value(argv[*i + 1]) ? argv[++*i]
                                                                  : NULL;
    if (value == NULL || *value == '\0')
        return tr_fail(err, TR_ECONFIG, "%s: needs a value: %s %s", tr_option_table[k].name,
                       tr_option_table[k].name, tr_option_table[k].value);
    if (tr_option_table[k].commands & TR_OPTION_REPEATS) {
        tr_words *words = at;
        if (words->v == NULL && !(words->v = tr_alloc((size_t)argc, sizeof *words->v, err)))
            return TR_ENOMEM;
        words->v[words->n++] = value;
        return TR_OK;
    }
    if (again) return tr_fail(err, TR_ECONFIG, "%s: given twice", tr_option_table[k].name);
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
    for (int i = 0; i < TR_N_COMMANDS; i++) {
        if (strcmp(command, tr_commands[i].name) != 0) continue;
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
    bool seen[TR_N_OPTIONS] = {false}, help = requests_help(argc, argv), only_words = false;
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
    for (int k = 0; k < TR_N_OPTIONS; k++) {
        if (seen[k] && !(tr_option_table[k].commands & tr_commands[found].bit))
            return tr_fail(err, TR_ECONFIG, "%s: is no option of '%s', see trainer help %s",
                           tr_option_table[k].name, tr_commands[found].name,
                           tr_commands[found].name);
    }
    int most = tr_commands[found].bit & (TR_DO_BENCH | TR_DO_HELP) ? 2 : 1;
    if (o->n_positional > most)
        return tr_fail(err, TR_ECONFIG, "%s: '%s' takes no such argument, see trainer help %s",
                       o->positional[most], tr_commands[found].name, tr_commands[found].name);
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
    for (int k = 0; code == TR_OK && k < TR_N_OPTIONS; k++) {
        if (tr_option_table[k].section == NULL) continue;
        const char *value =
            *(const char *const *)(const void *)((const char *)o + tr_option_table[k].at);
        if (value)
            code = tr_config_put(config, tr_option_table[k].section, tr_option_table[k].key, value,
                                 tr_option_table[k].name, err);
    }
    return code;
}
