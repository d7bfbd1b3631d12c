/* The effective configuration: whatever is accepted, written out and read again, is accepted, means
 * the same, and is written as the same text.
 *
 * Configurations are drawn at random: sections, layers and blocks in all their ways of being
 * written, values from the schemas, names of folders with any bytes. Number i is always the same.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "graph/graph.h"
#include "setup/sections.h"
#include "setup/setup.h"

enum { N_CONFIGURATIONS = 1500, PARTS = 10, CLASSES = 10 };

static const tr_shape image = {false, 16, 16, 3};

/* ---- drawing ---- */

typedef struct draws {
    uint32_t number;
    uint64_t next;
} draws;

static int below(draws *d, int n) {
    return (int)tr_random_below(11, 0, d->number, d->next++, (uint64_t)n);
}

static bool one_in(draws *d, int n) {
    return below(d, n) == 0;
}

static const char *word_of(draws *d, const char *const *words, int n) {
    return words[below(d, n)];
}
#define PICK(d, ...)                                                                               \
    word_of(d, (const char *const[]){__VA_ARGS__},                                                 \
            (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

/* White space between two words of a line, which may go on in the next one. */
static const char *gap(draws *d) {
    return one_in(d, 8)
               ? PICK(d, "\n  ", " \\\n", "\t", "   ", " # why\n\t", "\n; so\n # and so\n ")
               : " ";
}

static void end_line(draws *d, tr_text *out) {
    tr_text_print(out, "%s\n", one_in(d, 6) ? PICK(d, "  ", " ; comment", "\t# 1 \"", "\r") : "");
    if (one_in(d, 10)) tr_text_print(out, "%s", PICK(d, "\n", "; line\n", "  # x = \"\n", "\n\n"));
}

/* A value in quotes for no reason, with every byte in one of its ways. */
static void add_quoted(draws *d, tr_text *out, const char *value) {
    tr_text_add(out, "\"", 1);
    for (const char *c = value; *c; c++) {
        bool plain =
            (unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f && *c != '"' && *c != '\\';
        if (*c == '\n' && one_in(d, 2))
            tr_text_print(out, "\\n");
        else if ((*c == '"' || *c == '\\') && one_in(d, 2))
            tr_text_print(out, "\\%c", *c);
        else if (plain && !one_in(d, 9))
            tr_text_add(out, c, 1);
        else
            tr_text_print(out, "\\x%02x", (unsigned char)*c);
    }
    tr_text_add(out, "\"", 1);
}

/* "key = value" of a section. */
static void add_key(draws *d, tr_text *out, const char *key, const char *value) {
    tr_text_print(out, "%s%s=%s", key, PICK(d, " ", "", "  "), PICK(d, " ", "", "\t"));
    if (one_in(d, 4))
        add_quoted(d, out, value);
    else
        tr_doc_write_value(out, value);
    end_line(d, out);
}

/* Any bytes that the name of a folder may have. */
static void draw_path(draws *d, char *path, size_t room) {
    static const char bytes[] = "ab/. =\"\\#;$[]:\n\t\x01\x7f\xff\xc3\xa4\xe2\x80\xa8";
    size_t n = 1 + (size_t)below(d, (int)room - 1);
    for (size_t i = 0; i < n; i++) path[i] = bytes[below(d, sizeof bytes - 1)];
    path[n] = '\0';
}

static void draw_number(draws *d, double min, double max, char out[32]) {
    double u = below(d, 1 << 20) / (double)(1 << 20), value = min + u * (max - min);
    if (one_in(d, 5)) value = min;
    switch (below(d, 4)) {
    case 0:
        snprintf(out, 32, "%.17g", value);
        break;
    case 1:
        snprintf(out, 32, "%.3e", value);
        break;
    case 2:
        snprintf(out, 32, "%.6f", value);
        break;
    default:
        snprintf(out, 32, "%+g", value);
    }
}

/* ---- sections ---- */

static void draw_data(draws *d, tr_text *out) {
    char text[64];
    tr_text_print(out, "[data]\n");
    if (one_in(d, 2)) {
        draw_path(d, text, sizeof text);
        add_key(d, out, "type", "cifar10");
        if (!one_in(d, 5)) { /* written as it is where that can be, else in quotes */
            tr_text_print(out, "root = ");
            if (one_in(d, 2))
                add_quoted(d, out, text);
            else
                tr_doc_write_value(out, text);
            tr_text_add(out, "\n", 1);
        }
    } else {
        add_key(d, out, "type", "synthetic");
        if (one_in(d, 2)) add_key(d, out, "train", PICK(d, "12", "+0020"));
        if (one_in(d, 2)) add_key(d, out, "noise", PICK(d, "0", ".25", "1e-3", "0.1"));
    }
}

static void draw_transforms(draws *d, tr_text *out) {
    if (one_in(d, 3)) return;
    tr_text_print(out, "[transforms]%s\n", PICK(d, "", " ; of images"));
    if (one_in(d, 5)) return;
    bool swap = one_in(d, 2), quoted = one_in(d, 3);
    const char *mean = PICK(d, "0.5", "0.485,0.456,.406", "0,0,0", "1e-7"),
               *std = PICK(d, "0.5", "0.229,0.224,0.225", "1", "2.5e2,1,1");
    tr_text_print(out, "normalize =");
    for (int i = 0; i < 2; i++) {
        bool is_mean = (i == 0) != swap;
        tr_text_print(out, "%s%s=", i ? gap(d) : " ", is_mean ? "mean" : "std");
        if (quoted)
            add_quoted(d, out, is_mean ? mean : std);
        else
            tr_text_print(out, "%s", is_mean ? mean : std);
    }
    end_line(d, out);
}

static void draw_rest(draws *d, tr_text *out) {
    char number[32];
    tr_text_print(out, "[loss]\ntype = cross_entropy\n[optimizer]\n");
    add_key(d, out, "type", "sgd");
    draw_number(d, 1e-4, 0.5, number);
    add_key(d, out, "lr", number);
    bool nesterov = one_in(d, 3);
    if (nesterov) add_key(d, out, "nesterov", "true");
    if (nesterov || one_in(d, 2)) {
        draw_number(d, 0.001, 1, number);
        add_key(d, out, "momentum", number);
    }
    if (!nesterov && one_in(d, 3)) add_key(d, out, "dampening", "0.1");
    if (one_in(d, 3)) tr_text_print(out, "[schedule]\n");
    if (one_in(d, 2)) {
        tr_text_print(out, "[train]\n");
        if (one_in(d, 2)) add_key(d, out, "seed", PICK(d, "9007199254740991", "0", "+7"));
        if (one_in(d, 2)) add_key(d, out, "generator", PICK(d, "torch", "philox"));
        if (one_in(d, 2)) add_key(d, out, "init_from", PICK(d, "m.safetensors", "../a b"));
        if (one_in(d, 2)) add_key(d, out, "accumulate", PICK(d, "1", "2", "7"));
        if (one_in(d, 2)) add_key(d, out, "init_strict", PICK(d, "true", "false"));
        if (one_in(d, 2)) add_key(d, out, "log_every", PICK(d, "auto", "10"));
    }
    if (one_in(d, 2)) {
        tr_text_print(out, "[run]\n");
        if (one_in(d, 2)) add_key(d, out, "threads", PICK(d, "auto", "1", "1024"));
        if (one_in(d, 2)) add_key(d, out, "isa", PICK(d, "auto", "scalar", "#7", " b", "a ;c"));
        if (one_in(d, 3)) add_key(d, out, "oversubscribe", PICK(d, "true", "false"));
        if (one_in(d, 3)) add_key(d, out, "out", "here");
    }
    if (one_in(d, 3)) {
        tr_text_print(out, "[engine]\n");
        if (one_in(d, 2)) add_key(d, out, "shard", PICK(d, "auto", "3"));
    }
    if (one_in(d, 2)) {
        tr_text_print(out, "[loader]\n");
        if (one_in(d, 2)) add_key(d, out, "batch_size", PICK(d, "4", "128"));
        if (one_in(d, 2)) add_key(d, out, "workers", PICK(d, "auto", "0", "3"));
        if (one_in(d, 2)) add_key(d, out, "shuffle", PICK(d, "true", "false"));
    }
}

/* ---- networks ---- */

/* An argument, in quotes or not. */
static void add_arg(draws *d, tr_text *out, const char *key, const char *value) {
    tr_text_print(out, "%s%s=", gap(d), key);
    if (one_in(d, 6))
        add_quoted(d, out, value);
    else
        tr_text_print(out, "%s", value);
}

/* Lines that keep the shape of an image of three channels: `lines` of a block or the network. */
static void draw_layers(draws *d, tr_text *out, int lines, const char *names, const char *width,
                        const char *kernel) {
    for (int i = 0; i < lines; i++) {
        tr_text_print(out, "%s%d =%s", names, i, PICK(d, " ", "", "\n  ", " \\\n", "\n; so\n "));
        switch (below(d, 5)) {
        case 0:
            tr_text_print(out, "relu");
            break;
        case 1:
            tr_text_print(out, "identity");
            break;
        case 2:
            tr_text_print(out, "max_pool2d");
            add_arg(d, out, "kernel_size", PICK(d, "1", "1x1", "+1x01"));
            if (one_in(d, 2)) add_arg(d, out, "stride", PICK(d, "1", "kernel_size"));
            if (one_in(d, 4)) add_arg(d, out, "dilation", PICK(d, "3", "2x3"));
            break;
        case 3:
            if (i > 0) {
                char from[32];
                snprintf(from, sizeof from, "%s%d,%s%d", names, i - 1, names, below(d, i));
                tr_text_print(out, "add");
                add_arg(d, out, "from", from);
                break;
            } /* fall through */
        default:
            tr_text_print(out, "conv2d");
            add_arg(d, out, "out_channels", width);
            if (one_in(d, 2)) add_arg(d, out, "bias", PICK(d, "true", "false"));
            add_arg(d, out, "kernel_size", kernel);
            add_arg(d, out, "padding", kernel[0] == '3' || kernel[0] == '$' ? "1" : "0");
            if (one_in(d, 3)) add_arg(d, out, "frozen", "weight");
            if (one_in(d, 2))
                add_arg(d, out, "weight_init",
                        PICK(d, "default", "zeros", "kaiming_normal( a=1e-1 ,mode=fan_out )",
                             "normal(std=0.1)", "trunc_normal()"));
        }
        end_line(d, out);
    }
}

static void draw_network(draws *d, tr_text *out) {
    int n = below(d, 4);
    bool blocks = one_in(d, 2), before = one_in(d, 2);
    const char *heading = PICK(d, "[block basic width act=relu kernel=3 kind=identity]",
                               "[ block  basic\twidth act=relu  kernel=3\tkind=identity ]");
    tr_text text = {0};
    tr_text_print(&text, "%s\n", heading);
    int parts = 1 + below(d, 4);
    draw_layers(d, &text, parts, "part", PICK(d, "$width", "${width}"), "$kernel");
    if (one_in(d, 2)) tr_text_print(&text, "sum = add from=part%d,in\n", parts - 1);
    tr_text_print(&text, "mid = $kind n=%s\n", PICK(d, "${width*2-3}", "\"${ 12 / (7-width) }\""));
    tr_text_print(&text, "last = $act\n");
    tr_text_print(&text, "[block pair n]\n0 = conv2d out_channels=$n kernel_size=1\n1 = relu\n");
    tr_text_print(&text, "[block deep act=relu]\none = basic%swidth=3\ntwo = $act\n", gap(d));
    if (blocks && before) tr_text_add(out, text.at, text.n);
    tr_text_print(out, "[network]\n");
    draw_layers(d, out, n, "c", "3", PICK(d, "1", "3"));
    if (blocks) {
        int uses = 1 + below(d, 3);
        for (int i = 0; i < uses; i++) {
            tr_text_print(out, "layer%d.%d = %s", i, below(d, 3), one_in(d, 3) ? "deep" : "basic");
            bool deep = out->at[out->n - 1] == 'p', repeated = one_in(d, 3);
            if (repeated) tr_text_print(out, "%sx%d", gap(d), 2 + below(d, 2));
            if (!deep) add_arg(d, out, "width", "3");
            if (!deep && one_in(d, 2)) add_arg(d, out, "kind", PICK(d, "pair", "identity"));
            if (one_in(d, 2))
                add_arg(d, out, "act",
                        repeated ? PICK(d, "relu,identity", "identity")
                                 : PICK(d, "relu", "identity"));
            end_line(d, out);
        }
    }
    tr_text_print(out, "flat = flatten\n");
    for (int i = below(d, 3); i > 0; i--) {
        tr_text_print(out, "h%d = linear", i);
        add_arg(d, out, "out_features", PICK(d, "5", "12"));
        end_line(d, out);
    }
    tr_text_print(out, "fc = linear out_features=%d\n", CLASSES);
    if (blocks && !before) tr_text_add(out, text.at, text.n);
    tr_text_free(&text);
}

static void draw_configuration(draws *d, tr_text *out) {
    bool first = one_in(d, 2);
    if (one_in(d, 8)) tr_text_print(out, "\xef\xbb\xbf; from Windows\r\n");
    if (first) draw_network(d, out);
    draw_data(d, out);
    draw_transforms(d, out);
    if (!first) draw_network(d, out);
    draw_rest(d, out);
}

/* What the command line changes. */
static void draw_sets(draws *d, tr_config *config) {
    static const char *const sets[] = {
        "network.fc=linear bias=false out_features=10",
        "network.new=relu before=flat",
        "network.new=\"identity before=flat\"",
        "optimizer.lr=0.5",
        "network.h1=",
        "transforms.normalize=",
        "data.root=#mini",
        "data.root= a ;b #c ",
        "data.root=\" \\xff\\n \"",
        "run.isa=x y",
        "block.basic.last=identity",
        "block.basic.extra=relu before=last",
        "train.epochs=7",
        "network.c0=",
    };
    tr_error err = {0};
    for (int i = below(d, 4); i > 0; i--) { /* some cannot be: then nothing changes */
        err = (tr_error){0};
        tr_config_set(config, sets[below(d, sizeof sets / sizeof *sets)], &err);
    }
    if (one_in(d, 6)) {
        char path[64];
        draw_path(d, path, sizeof path);
        tr_config_put(config, "data", "root", path, "--data", &err);
    }
}

/* ---- comparing ---- */

typedef struct meaning {
    tr_config *config;
    tr_experiment experiment;
    tr_graph *graph;
} meaning;

static void forget(meaning *m) {
    tr_graph_free(m->graph);
    tr_experiment_free(&m->experiment);
    tr_config_free(m->config);
}

static int understand(meaning *m, tr_error *err) {
    int n, code = tr_experiment_parse(m->config->doc, &m->experiment, err);
    const tr_pair *lines = tr_doc_section(m->config->doc, "transforms", &n, NULL);
    tr_pipeline pipeline;
    if (code == TR_OK) code = tr_pipeline_create(lines, n, image.c, &pipeline, err);
    return code ? code : tr_graph_create(m->config->doc, image, CLASSES, &m->graph, err);
}

/* From text, as from the file a.ini. */
static int read_text(const char *text, size_t bytes, meaning *m, tr_error *err) {
    *m = (meaning){.config = tr_alloc(1, sizeof *m->config, err)};
    return tr_doc_parse("a.ini", text, bytes, &m->config->doc, err);
}

static void same_args(const tr_schema *schema, const void *a, const void *b) {
    for (int k = 0; k < schema->n_keys; k++) {
        const tr_key *key = &schema->keys[k];
        tr_text x = {0}, y = {0};
        if (strcmp(key->name, "out") == 0 && schema->args_bytes == sizeof(tr_run_args)) continue;
        tr_args_format(key, a, &x);
        tr_args_format(key, b, &y);
        if (key->type == TR_KEY_PATH && x.n) {
            char *whole = tr_absolute_path(x.at, NULL);
            ck_assert_str_eq(whole, y.at);
            tr_free(whole);
        } else {
            ck_assert_str_eq(x.at, y.at);
        }
        tr_text_free(&x);
        tr_text_free(&y);
    }
}

static void same_graph(const tr_graph *a, const tr_graph *b) {
    ck_assert_int_eq(a->n_nodes, b->n_nodes);
    ck_assert_int_eq(a->output, b->output);
    ck_assert_int_eq(a->n_elements, b->n_elements);
    for (int i = 1; i < a->n_nodes; i++) {
        const tr_node *x = &a->nodes[i], *y = &b->nodes[i];
        ck_assert_str_eq(x->name, y->name);
        ck_assert_ptr_eq(x->op, y->op);
        ck_assert_int_eq(x->n_inputs, y->n_inputs);
        ck_assert_mem_eq(x->input, y->input, sizeof x->input);
        ck_assert_mem_eq(&x->out, &y->out, sizeof x->out);
        ck_assert_int_eq(x->value, y->value);
        same_args(&x->op->schema, x->args, y->args);
    }
}

static void same_transforms(const meaning *a, const meaning *b) {
    tr_pipeline x, y;
    tr_places p = tr_doc_places(a->config->doc, "transforms"),
              q = tr_doc_places(b->config->doc, "transforms");
    ck_assert_int_eq(p.n, q.n);
    ck_assert_int_eq(tr_pipeline_create(p.pairs, p.n, image.c, &x, NULL), TR_OK);
    ck_assert_int_eq(tr_pipeline_create(q.pairs, q.n, image.c, &y, NULL), TR_OK);
    ck_assert_mem_eq(x.table, y.table, sizeof x.table);
}

static void same_meaning(const meaning *a, const meaning *b) {
    const tr_experiment *x = &a->experiment, *y = &b->experiment;
    ck_assert_ptr_eq(x->dataset, y->dataset);
    ck_assert_ptr_eq(x->optimizer, y->optimizer);
    ck_assert_ptr_eq(x->schedule, y->schedule);
    same_args(&x->dataset->schema, x->dataset_args, y->dataset_args);
    same_args(&x->optimizer->schema, x->optimizer_args, y->optimizer_args);
    same_args(&x->schedule->schema, x->schedule_args, y->schedule_args);
    same_args(&tr_loader_schema, &x->loader, &y->loader);
    same_args(&tr_train_schema, &x->train, &y->train);
    same_args(&tr_engine_schema, &x->engine, &y->engine);
    same_args(&tr_run_schema, &x->run, &y->run);
    same_transforms(a, b);
    same_graph(a->graph, b->graph);
}

/* ---- the property ---- */

START_TEST(written_and_read_again) {
    int accepted = 0, with_blocks = 0;
    for (int i = _i; i < N_CONFIGURATIONS; i += PARTS) {
        draws d = {(uint32_t)i, 0};
        meaning first, second;
        tr_text text = {0};
        tr_error err = {0};
        draw_configuration(&d, &text);
        ck_assert_msg(read_text(text.at, text.n, &first, &err) == TR_OK, "%d: %s\n%s", i, err.text,
                      text.at);
        draw_sets(&d, first.config);
        int code = understand(&first, &err);
        /* What --set removes may be missed, and data.root is no key of synthetic. */
        ck_assert_msg(code == TR_OK || strncmp(err.text, "--", 2) == 0 ||
                          strstr(err.text, "names no layer above"),
                      "%d: %s\n%s", i, err.text, text.at);
        if (code == TR_OK) {
            char *written = tr_experiment_text(&first.experiment, first.graph, &err), *again;
            ck_assert_msg(written != NULL, "%d: %s", i, err.text);
            ck_assert_msg(read_text(written, strlen(written), &second, &err) == TR_OK &&
                              understand(&second, &err) == TR_OK,
                          "%d: %s\n%s", i, err.text, written);
            same_meaning(&first, &second);
            again = tr_experiment_text(&second.experiment, second.graph, &err);
            ck_assert_str_eq(written, again);
            accepted++;
            with_blocks += strstr(text.at, "deep") != NULL;
            tr_free(written);
            tr_free(again);
            forget(&second);
        }
        forget(&first);
        tr_text_free(&text);
    }
    ck_assert_int_ge(accepted, N_CONFIGURATIONS / PARTS / 2);
    ck_assert_int_ge(with_blocks, N_CONFIGURATIONS / PARTS / 4);
}
END_TEST

/* Every key of every section, layer and transform stands in it. */
START_TEST(every_key_is_there) {
    static const char text[] =
        "[data]\ntype = cifar10\nroot = \"#mini\"\n[transforms]\nnormalize = mean=0 std=1\n"
        "[network]\na = basic w=3\nflat = flatten\nfc = linear out_features=10\n"
        "[block basic w k=3]\nc = conv2d out_channels=$w kernel_size=$k\n"
        "p = max_pool2d kernel_size=2\n[loss]\ntype = cross_entropy\n"
        "[optimizer]\ntype = sgd\nlr = 0.1\n";
    meaning m;
    tr_error err = {0};
    char folder[4096], wanted[8192];
    ck_assert_ptr_nonnull(getcwd(folder, sizeof folder));
    ck_assert_int_eq(read_text(text, strlen(text), &m, &err), TR_OK);
    ck_assert_msg(understand(&m, &err) == TR_OK, "%s", err.text);
    char *written = tr_experiment_text(&m.experiment, m.graph, &err);
    snprintf(wanted, sizeof wanted,
             "# The effective configuration of a run of trainer %s: every key with its value.\n\n"
             "[data]\ntype = cifar10\nroot = %s/#mini\n\n"
             "[transforms]\nnormalize = mean=0 std=1\n\n"
             "[loader]\nbatch_size = 1\nshuffle = false\ndrop_last = false\nworkers = auto\n"
             "prefetch = auto\n\n"
             "[network]\na.c = conv2d in_channels=input out_channels=3 kernel_size=3 stride=1 "
             "padding=0 dilation=1 groups=1 bias=true padding_mode=zeros frozen= "
             "weight_init=default bias_init=default\n"
             "a.p = max_pool2d kernel_size=2 stride=kernel_size padding=0 dilation=1 "
             "ceil_mode=false\nflat = flatten start_dim=1 end_dim=-1\n"
             "fc = linear out_features=10 bias=true frozen= weight_init=default "
             "bias_init=default\n\n"
             "[loss]\ntype = cross_entropy\n\n"
             "[optimizer]\ntype = sgd\nlr = 0.1\nclip_grad_norm = 0\nclip_grad_value = 0\n"
             "momentum = 0\ndampening = 0\nweight_decay = 0\n"
             "nesterov = false\n\n"
             "[schedule]\ntype = constant\n\n"
             "[train]\nepochs = 1\nseed = 0\ngenerator = philox\ninit_from = \ninit_strict = "
             "true\naccumulate = 1\nlog_every = auto\n\n"
             "[engine]\nshard = auto\n\n"
             "# out is left out: this file lies there, and another run has another.\n"
             "[run]\nthreads = auto\nisa = auto\nnuma = spread\noversubscribe = false\n",
             tr_version(), folder);
    ck_assert_str_eq(written, wanted);
    tr_free(written);
    forget(&m);
}
END_TEST

START_TEST(no_memory_is_an_error) {
    static const char text[] =
        "[data]\ntype = cifar10\nroot = \"a b\"\n[transforms]\nnormalize = mean=0,0,0 std=1\n"
        "[network]\nflat = flatten\nfc = linear out_features=10\n[loss]\ntype = cross_entropy\n"
        "[optimizer]\ntype = sgd\nlr = 0.1\n";
    for (long n = 0;; n++) {
        meaning m = {0};
        tr_error err = {0};
        ck_assert_int_eq(read_text(text, strlen(text), &m, &err), TR_OK);
        tr_alloc_fail_after(n);
        int code = understand(&m, &err);
        char *written = NULL;
        if (code == TR_OK) {
            written = tr_experiment_text(&m.experiment, m.graph, &err);
            if (written == NULL) code = err.code;
        }
        tr_alloc_fail_after(-1);
        tr_free(written);
        forget(&m);
        if (code == TR_OK) {
            ck_assert_int_gt(n, 40);
            break;
        }
        ck_assert_int_eq(code, TR_ENOMEM);
    }
}
END_TEST

static Suite *effective_suite(void) {
    Suite *suite = suite_create("effective");
    TCase *all = tcase_create("effective");
    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, written_and_read_again, 0, PARTS);
    tcase_add_test(all, every_key_is_there);
    tcase_add_test(all, no_memory_is_an_error);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return tr_check_run(effective_suite());
}
