/* Options that are none: what was meant, and how it is written.
 *
 * Every key of a configuration is looked for as if it were an option, '-' and '_' and capitals
 * aside, then words of other trainers, then what is spelled alike.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "setup/setup.h"

/* Words of other trainers: an option, or a key of the configuration. */
static const struct {
    const char *word, *means;
} others[] = {
    {"learning_rate", "optimizer.lr"},
    {"eta", "optimizer.lr"},
    {"wd", "optimizer.weight_decay"},
    {"optim", "optimizer.type"},
    {"opt", "optimizer.type"},
    {"criterion", "loss.type"},
    {"scheduler", "schedule.type"},
    {"lr_scheduler", "schedule.type"},
    {"dataset", "data.type"},
    {"batch", "loader.batch_size"},
    {"batchsize", "loader.batch_size"},
    {"bs", "loader.batch_size"},
    {"b", "loader.batch_size"},
    {"train_batch_size", "loader.batch_size"},
    {"log_interval", "train.log_every"},
    {"log_freq", "train.log_every"},
    {"print_freq", "train.log_every"},
    {"num_workers", "--workers"},
    {"n_workers", "--workers"},
    {"num_threads", "--threads"},
    {"n_threads", "--threads"},
    {"nproc", "--threads"},
    {"cpus", "--threads"},
    {"cores", "--threads"},
    {"jobs", "--threads"},
    {"j", "--threads"},
    {"t", "--threads"},
    {"epoch", "--epochs"},
    {"num_epochs", "--epochs"},
    {"n_epochs", "--epochs"},
    {"max_epochs", "--epochs"},
    {"num_train_epochs", "--epochs"},
    {"e", "--epochs"},
    {"random_seed", "--seed"},
    {"manual_seed", "--seed"},
    {"data_dir", "--data"},
    {"data_path", "--data"},
    {"data_root", "--data"},
    {"dataset_dir", "--data"},
    {"dataset_path", "--data"},
    {"dataroot", "--data"},
    {"output", "--out"},
    {"output_dir", "--out"},
    {"out_dir", "--out"},
    {"save_dir", "--out"},
    {"save_path", "--out"},
    {"log_dir", "--out"},
    {"logdir", "--out"},
    {"o", "--out"},
    {"c", "--config"},
    {"f", "--config"},
    {"cfg", "--config"},
    {"conf", "--config"},
    {"config_file", "--config"},
    {"m", "--model"},
    {"checkpoint", "--model"},
    {"ckpt", "--model"},
    {"weights", "--model"},
    {"run_dir", "--model"},
    {"n", "--dry-run"},
    {"dryrun", "--dry-run"},
    {"check", "--dry-run"},
    {"q", "--quiet"},
    {"silent", "--quiet"},
    {"v", "--verbose"},
    {"vv", "--verbose"},
    {"verbosity", "--verbose"},
};
static const char *const devices[] = {"gpu",         "gpus",   "num_gpus", "cuda",
                                      "no_cuda",     "device", "devices",  "gpu_id",
                                      "accelerator", "mps",    "cpu",      "use_gpu"};

enum { MOST = 256, TEXT = 512 };

typedef struct match { /* keys of one name */
    const char *name;
    char keys[TR_TEXT];      /* "optimizer.lr, schedule.lr" */
    char arguments[TR_TEXT]; /* layers and transforms: "conv2d, max_pool2d" */
    const char *section;     /* of the first key, or of the lines */
    const char *key;
    int n_keys;
    bool flag;
    bool is_section; /* the name is a section's */
} match;

/* "--Batch-Size" -> "batch_size". */
static void normalize(const char *word, char out[TR_TEXT]) {
    size_t n = 0;
    while (*word == '-' || ((unsigned char)*word & 0x80)) word++; /* odd dashes, too */
    for (; *word && n + 1 < TR_TEXT; word++) {
        char c = *word;
        out[n++] = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[n] = '\0';
}

static void append(char *list, const char *word) {
    size_t used = strlen(list);
    snprintf(list + used, TR_TEXT - used, "%s%s", used ? ", " : "", word);
}

static bool lists(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n) {
        bool starts = at == list || at[-1] == ' ', ends = at[n] == ',' || at[n] == '\0';
        if (starts && ends) return true;
    }
    return false;
}

/* `name` is a key's ("lr"), a full one ("optimizer.lr"), or a section's that has a type. */
static void find_key(const tr_key_place *place, void *arg) {
    match *m = arg;
    char full[TR_TEXT];
    snprintf(full, sizeof full, "%s.%s", place->section, place->key);
    bool is_type = strcmp(place->key, "type") == 0;
    if (strcmp(m->name, place->section) == 0) m->is_section = true;
    if (strcmp(m->name, place->key) != 0 && strcmp(m->name, full) != 0 &&
        !(is_type && strcmp(m->name, place->section) == 0))
        return;
    if (place->argument) {
        if (!m->section) m->section = place->section;
        if (!lists(m->arguments, place->class_name)) append(m->arguments, place->class_name);
        return;
    }
    if (m->n_keys == 0) {
        m->section = place->section;
        m->key = place->key;
        m->flag = place->flag;
    }
    if (!lists(m->keys, full)) {
        append(m->keys, full);
        m->n_keys++;
    }
}

static bool find(const char *name, match *out) {
    *out = (match){.name = name};
    tr_each_key(find_key, out);
    return out->section != NULL;
}

/* ---- the value that was given ---- */

static bool is_one_of(const char *word, const char *const *list, int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(word, list[i]) == 0) return true;
    return false;
}

static const char *truth_of(const char *word) {
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no",
                                                                                "off", "0"};
    return is_one_of(word, yes, 4) ? "true" : is_one_of(word, no, 4) ? "false" : NULL;
}

static const char *value_of(int argc, char **argv, int i, bool flag) {
    const char *equals = strchr(argv[i], '='), *next = i + 1 < argc ? argv[i + 1] : NULL;
    if (equals) next = equals + 1;
    if (flag) return next && truth_of(next) ? truth_of(next) : equals ? next : "true";
    if (equals) return next;
    bool number = next && next[0] == '-' && next[1] != '\0' && strchr("0123456789.", next[1]);
    return next && (next[0] != '-' || number) ? next : NULL;
}

/* Quoted for a shell. */
static const char *quote(const char *word, char out[TEXT]) {
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_-+=.,:/@%";
    size_t n = 0;
    if (*word && strspn(word, safe) == strlen(word)) return word;
    out[n++] = '\'';
    for (; *word && n + 6 < TEXT; word++) {
        if (*word == '\'')
            n += (size_t)snprintf(out + n, TEXT - n, "'\\''");
        else
            out[n++] = *word;
    }
    out[n++] = '\'';
    out[n] = '\0';
    return out;
}

/* ---- messages ---- */

static int say_option(const char *word, const char *option, const char *takes, const char *value,
                      tr_error *err) {
    char quoted[TEXT];
    const char *shown = takes == NULL ? "" : value ? quote(value, quoted) : takes;
    return tr_fail(err, TR_ECONFIG, "unknown option '%s': write %s%s%s", word, option,
                   *shown ? " " : "", shown);
}

static int say_key(const char *word, const match *m, const char *value, tr_error *err) {
    const char *takes,
        *option = m->n_keys == 1 ? tr_option_of_key(m->section, m->key, &takes) : NULL;
    if (m->n_keys == 0)
        return tr_fail(err, TR_ECONFIG,
                       "unknown option '%s': it is an argument of %s, written in a line of [%s]",
                       word, m->arguments, m->section);
    if (option) return say_option(word, option, takes, value, err);
    char assignment[TEXT], quoted[TEXT];
    snprintf(assignment, sizeof assignment, "%s.%s=%s", m->section, m->key,
             value ? value : "VALUE");
    const char *more = strchr(m->keys, ' ');
    return tr_fail(err, TR_ECONFIG, "unknown option '%s': write --set %s%s%s%s%s%s", word,
                   quote(assignment, quoted), more ? " (or " : "", more ? more + 1 : "",
                   more ? ")" : "", *m->arguments ? "; also an argument of " : "", m->arguments);
}

/* An option in another spelling. */
static int find_option(const char *name) {
    int n;
    const char *const *names = tr_option_names(&n);
    for (int i = 0; i < n; i++) {
        char spelling[TR_TEXT];
        normalize(names[i], spelling);
        if (strcmp(spelling, name) == 0) return i;
    }
    return -1;
}

typedef struct name_list {
    const char *names[MOST];
    int n;
} name_list;

static void add_name(const tr_key_place *place, void *arg) {
    name_list *list = arg;
    if (!place->argument && list->n < MOST) list->names[list->n++] = place->key;
}

static int say_nearest(const char *word, const char *name, int argc, char **argv, int i,
                       tr_error *err) {
    name_list list = {.n = 0};
    match m;
    int n;
    const char *const *names = tr_option_names(&n);
    char dashed[TR_TEXT + 2];
    snprintf(dashed, sizeof dashed, "--%s", name);
    const char *near = tr_nearest(dashed, names, n);
    if (near)
        return tr_fail(err, TR_ECONFIG,
                       "unknown option '%s' (did you mean '%s'?), see trainer help", word, near);
    tr_each_key(add_name, &list);
    near = tr_nearest(name, list.names, list.n);
    if (near == NULL || !find(near, &m))
        return tr_fail(err, TR_ECONFIG, "unknown option '%s', see trainer help", word);
    const char *value = value_of(argc, argv, i, m.flag);
    char assignment[TEXT], quoted[TEXT];
    snprintf(assignment, sizeof assignment, "%s.%s=%s", m.section, m.key, value ? value : "VALUE");
    return tr_fail(err, TR_ECONFIG, "unknown option '%s' (did you mean '--set %s'?)", word,
                   quote(assignment, quoted));
}

/* What the option table and the keys say of a word; 0 where it is in neither. */
static int say_known(const char *word, const char *name, int argc, char **argv, int i,
                     tr_error *err) {
    match m;
    int k = find_option(name), n;
    if (k >= 0) {
        const char *option = tr_option_names(&n)[k], *takes = tr_option_value(k);
        return say_option(word, option, takes, value_of(argc, argv, i, false), err);
    }
    if (!find(name, &m) && !m.is_section) return TR_OK;
    if (m.section == NULL)
        return tr_fail(err, TR_ECONFIG,
                       "unknown option '%s': it is a section of the configuration, see trainer "
                       "help %s",
                       word, name);
    return say_key(word, &m, value_of(argc, argv, i, m.flag), err);
}

int tr_unknown_option(int argc, char **argv, int i, tr_error *err) {
    char word[TR_TEXT], name[TR_TEXT];
    match m;
    int code;
    snprintf(word, sizeof word, "%s", argv[i]);
    word[strcspn(word, "=")] = '\0';
    normalize(word, name);
    if ((code = say_known(word, name, argc, argv, i, err))) return code;
    if (strncmp(name, "no_", 3) == 0 && find(name + 3, &m) && m.flag)
        return say_key(word, &m, "false", err);
    if (is_one_of(name, devices, sizeof devices / sizeof *devices))
        return tr_fail(err, TR_ECONFIG,
                       "unknown option '%s': trainer runs on the CPU, --threads N says on how many "
                       "cores",
                       word);
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        if (strcmp(name, others[k].word) != 0) continue;
        normalize(others[k].means, name);
        return say_known(word, name, argc, argv, i, err);
    }
    return say_nearest(word, name, argc, argv, i, err);
}
