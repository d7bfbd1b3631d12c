/* `trainer help`: the command line from its tables, the rest from the schemas of a configuration.
 */
#include <string.h>

#include "cli/table.h"
#include "setup/setup.h"
#include "train/train.h"

static const char summary[] = "trains convolutional networks on the CPU";

static void print(const char *text, void *arg) {
    fprintf(arg, "%s\n", text);
}

static void add_option(tr_text *out, const tr_option *option) {
    tr_text_print(out, "%s%s%s", option->name, option->value ? " " : "",
                  option->value ? option->value : "");
}

/* ---- on a terminal ---- */

enum { WIDTH = 100, INDENT = 2, HELP_INDENT = 27 };

static void print_command(tr_manual *m, const tr_command *command) {
    tr_manual_print(m, "%s", command->usage);
    tr_manual_wrap(m, NULL, command->help, INDENT, WIDTH);
}

static void print_options(tr_manual *m, int bits) {
    for (int k = 0; k < TR_N_OPTIONS; k++) {
        tr_text head = {0};
        if (!(tr_option_table[k].commands & bits)) continue;
        tr_text_print(&head, "%*s", INDENT, "");
        add_option(&head, &tr_option_table[k]);
        tr_manual_wrap(m, head.at, tr_option_table[k].help, HELP_INDENT, WIDTH);
        tr_text_free(&head);
    }
}

static void print_entry(tr_manual *m, const tr_entry *e) {
    tr_text head = {0};
    tr_text_print(&head, "%*s%s", INDENT, "", e->name);
    tr_manual_wrap(m, head.at, e->help, HELP_INDENT, WIDTH);
    tr_text_free(&head);
}

bool tr_print_usage(FILE *out, const char *command) {
    tr_manual m = {.format = &tr_manual_plain, .line = print, .arg = out};
    for (int i = 0; command && i < TR_N_COMMANDS; i++) {
        if (strcmp(command, tr_commands[i].name) != 0) continue;
        print_command(&m, &tr_commands[i]);
        tr_manual_print(&m, "%s", "");
        print_options(&m, tr_commands[i].bit);
        return true;
    }
    if (command) return false;
    tr_manual_print(&m, "trainer %s: %s.", tr_version(), summary);
    tr_manual_print(&m, "%s", "");
    for (int i = 0; i < TR_N_COMMANDS; i++) print_command(&m, &tr_commands[i]);
    tr_manual_print(&m, "%s", "");
    tr_manual_print(&m, "Options:");
    print_options(&m, TR_DO_ALL);
    tr_manual_print(&m, "%s", "");
    tr_manual_print(&m, "Variables:");
    for (int i = 0; i < TR_N_VARIABLES; i++) print_entry(&m, &tr_variables[i]);
    tr_manual_print(&m, "%s", "");
    tr_manual_print(&m, "Exit codes:");
    for (int i = 0; i < TR_N_EXIT_CODES; i++) print_entry(&m, &tr_exit_codes[i]);
    tr_manual_print(&m, "%s", "");
    return true;
}

/* ---- as a manual page ---- */

static void list(tr_manual *m, const char *title, const tr_entry *entries, int n) {
    m->format->heading(m, 1, title, NULL);
    m->format->list(m, false);
    for (int i = 0; i < n; i++) m->format->entry(m, &entries[i]);
}

/* "...; of train, eval"; nothing for an option of all commands. */
static void list_options(tr_manual *m) {
    m->format->heading(m, 1, "Options", NULL);
    m->format->list(m, false);
    for (int k = 0; k < TR_N_OPTIONS; k++) {
        const tr_option *option = &tr_option_table[k];
        tr_text name = {0}, help = {0};
        const char *between = "; of ";
        add_option(&name, option);
        tr_text_print(&help, "%s", option->help);
        for (int i = 0; i < TR_N_COMMANDS; i++) {
            bool all = (option->commands & TR_DO_ALL) == TR_DO_ALL;
            if (all || !(option->commands & tr_commands[i].bit)) continue;
            tr_text_print(&help, "%s%s", between, tr_commands[i].name);
            between = ", ";
        }
        m->format->entry(m, &(tr_entry){name.n ? name.at : "", NULL, "", help.n ? help.at : ""});
        tr_text_free(&name);
        tr_text_free(&help);
    }
}

static void write_program(tr_manual *m) {
    int n_files;
    const char *synopsis[TR_N_COMMANDS];
    const tr_entry *files = tr_run_files(&n_files);
    m->format->title(m, "trainer", 1, summary);
    m->format->heading(m, 1, "Synopsis", NULL);
    for (int i = 0; i < TR_N_COMMANDS; i++) synopsis[i] = tr_commands[i].usage;
    m->format->example(m, synopsis, TR_N_COMMANDS);
    m->format->heading(m, 1, "Description", NULL);
    m->format->text(
        m,
        "A configuration, trainer.ini(5), names data, network, loss and optimizer. The same "
        "program, "
        "configuration and seed give the same weights, bit for bit, for any number of threads and "
        "every instruction set.");
    m->format->heading(m, 1, "Commands", NULL);
    m->format->list(m, false);
    for (int i = 0; i < TR_N_COMMANDS; i++)
        m->format->entry(m, &(tr_entry){tr_commands[i].name, NULL, "", tr_commands[i].help});
    list_options(m);
    list(m, "Environment", tr_variables, TR_N_VARIABLES);
    list(m, "Files of a run's folder", files, n_files);
    list(m, "Exit status", tr_exit_codes, TR_N_EXIT_CODES);
    m->format->heading(m, 1, "See also", NULL);
    m->format->text(m, "trainer.ini(5)");
}

/* ---- the command ---- */

/* --markdown, --man: whole documents. */
static int write_documents(const tr_options *o, const char *topic, tr_error *err) {
    tr_manual m = {
        .format = o->man ? &tr_manual_roff : &tr_manual_markdown, .line = print, .arg = stdout};
    bool program = topic == NULL || strcmp(topic, "trainer") == 0,
         configuration = topic && strcmp(topic, "trainer.ini") == 0;
    if (o->man && o->markdown)
        return tr_fail(err, TR_ECONFIG, "--man: does not go with --markdown");
    if (!program && !configuration)
        return tr_fail(err, TR_ECONFIG,
                       "%s: there is no document '%s', allowed are trainer and trainer.ini",
                       o->man ? "--man" : "--markdown", topic);
    if (program) write_program(&m);
    if (configuration || (o->markdown && topic == NULL)) tr_manual_configuration(&m);
    return TR_OK;
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
    if (o->markdown || o->man) return write_documents(o, topic, err);
    bool usage = tr_print_usage(stdout, topic), gap = usage && topic;
    /* A word may be a command and a section ("train"), or a command alone. */
    int code = tr_help(topic, print_line, &gap, usage ? &none : err);
    return usage ? TR_OK : code;
}
