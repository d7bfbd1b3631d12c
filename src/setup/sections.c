/* The sections of a configuration: their keys, and what may stand where. */
#include "setup/sections.h"

#include <string.h>

#include "ops/ops.h"
#include "setup/setup.h"

static const tr_key train_keys[] = {
    {"epochs", TR_KEY_INT, offsetof(tr_train_args, epochs), "1", 0, 1000000, NULL,
     "times through the training set"},
    {"seed", TR_KEY_INT, offsetof(tr_train_args, seed), "0", 0,
     9007199254740991.0 /* exact in double */, NULL,
     "start of all random numbers: weights, order of the data"},
    /* in the order of tr_generator */
    {"generator", TR_KEY_CHOICE, offsetof(tr_train_args, generator), "philox", 0, 0, "philox torch",
     "source of weights and order; torch: as PyTorch has them after torch.manual_seed(seed), its "
     "layers made in this order and its DataLoader shuffling"},
    {"init_from", TR_KEY_PATH, offsetof(tr_train_args, init_from), "", 0, 0, NULL,
     "safetensors file of the weights to start from, by PyTorch's names; empty: none"},
    {"init_strict", TR_KEY_BOOL, offsetof(tr_train_args, init_strict), "true", 0, 0, NULL,
     "init_from must hold all weights and no others; false: those that fit are taken, the rest is "
     "noted and starts as without init_from"},
    {"accumulate", TR_KEY_INT, offsetof(tr_train_args, accumulate), "1", 1, 1 << 20, NULL,
     "batches whose gradients are added up before each step; without batch norm the result is, to "
     "the bit, that of one batch of so many times the size"},
    {"log_every", TR_KEY_INT, offsetof(tr_train_args, log_every), "auto", 1, 1e12, "auto",
     "steps between two lines of loss; auto: about six in an epoch"},
};
const tr_schema tr_train_schema = {"train", "How long and from what seed to train.", train_keys,
                                   sizeof train_keys / sizeof *train_keys, sizeof(tr_train_args)};

static const tr_key engine_keys[] = {
    {"shard", TR_KEY_INT, offsetof(tr_engine_args, shard), "auto", 1, 1 << 20, "auto",
     "samples whose gradients are summed in order before the tree over shards; auto: batch_size x "
     "accumulate / 64, rounded up"},
};
const tr_schema tr_engine_schema = {
    "engine", "How the engine computes, where that may change the last bits of a result.",
    engine_keys, sizeof engine_keys / sizeof *engine_keys, sizeof(tr_engine_args)};

static const tr_key run_keys[] = {
    {"threads", TR_KEY_INT, offsetof(tr_run_args, threads), "auto", 1, TR_MAX_THREADS, "auto",
     "threads of the team; auto: OMP_NUM_THREADS where it is set, else one for each core; at most "
     "OMP_THREAD_LIMIT of them run, and no more than there are CPUs; never changes the result"},
    {"isa", TR_KEY_STRING, offsetof(tr_run_args, isa), "auto", 0, 0, NULL,
     "instruction set of the kernels; never changes the result"},
    {"numa", TR_KEY_CHOICE, offsetof(tr_run_args, numa), "spread", 0, 0, "spread compact",
     "place neighbouring threads on different NUMA nodes (bandwidth) or on one (latency)"},
    {"oversubscribe", TR_KEY_BOOL, offsetof(tr_run_args, oversubscribe), "false", 0, 0, NULL,
     "run all threads even where there are more than CPUs: slow, for tests"},
    /* the last: the effective file leaves it out */
    {"out", TR_KEY_PATH, offsetof(tr_run_args, out), "", 0, 0, NULL,
     "run directory; empty: the next free runs/NAME"},
};
const tr_schema tr_run_schema = {
    "run",
    "Where and on what to run; nothing here changes the result. Of OpenMP's variables, "
    "OMP_NUM_THREADS and OMP_THREAD_LIMIT count for threads; OMP_PROC_BIND, OMP_PLACES and "
    "GOMP_CPU_AFFINITY leave binding to OpenMP, and OMP_PROC_BIND=false to the system; a stack "
    "(OMP_STACKSIZE, else ulimit -s) must have 64 KiB. All others change nothing but what OpenMP "
    "itself prints.",
    run_keys, sizeof run_keys / sizeof *run_keys, sizeof(tr_run_args)};

/* In the order in which help and the effective file have them. */
const tr_section tr_sections[TR_N_SECTIONS] = {
    {"data", "The images: type = a data set, and its keys.", NULL, &tr_dataset_registry, false},
    {"transforms",
     "What happens to an image after its bytes became floats in [0, 1] (ToTensor), in the order of "
     "the lines: NAME = key=value ...",
     NULL, &tr_transform_registry, true},
    {"loader", NULL, &tr_loader_schema, NULL, false},
    {"network",
     "A line for each layer: NAME = LAYER key=value ... Its input is the line above, or what "
     "from=NAME,... names; the first layer's is called input.",
     NULL, &tr_layer_registry, true},
    {"block",
     "[block NAME key key=default ...] is a part of a network that lines of [network], and of "
     "other blocks, may name as if it were a layer: NAME key=value ... Its lines are like those of "
     "[network]. $key stands for a value, also for a class; ${key*4} is integer arithmetic; "
     "from=in is what the block reads, as its first line does by itself. Its value is that of its "
     "last line. In a line called layer1, a block's conv is layer1.conv. A line layer1 = NAME xN "
     "key=a,b makes N in a row, layer1.0 and so on; a list of values that is shorter than N "
     "repeats its last, and a comma in round brackets belongs to a value.",
     NULL, NULL, true},
    {"loss", "What the network's output is compared with: type = a loss, and its keys.", NULL,
     &tr_loss_registry, false},
    {"optimizer", "How gradients change the weights: type = an optimizer, and its keys.", NULL,
     &tr_optimizer_registry, false},
    {"schedule",
     "How the learning rate changes: type = a schedule, and its keys. Constant where the section "
     "is "
     "left out.",
     NULL, &tr_schedule_registry, false},
    {"train", NULL, &tr_train_schema, NULL, false},
    {"engine", NULL, &tr_engine_schema, NULL, false},
    {"run", NULL, &tr_run_schema, NULL, false},
};

const tr_value tr_values[TR_N_VALUES] = {
    {"weight_init", &tr_init_registry,
     "What the parameters of layers begin with: weight_init=NAME, or weight_init=NAME(key=value, "
     "...). With train.generator = torch they are PyTorch's: the layers' own are drawn first, as "
     "their constructors do, and then those that are written, layer by layer, the weight before "
     "the bias."},
};

/* ---- keys that stand in the wrong section ---- */

static const tr_schema *find_class(const tr_section *section, const char *name) {
    int i = section->classes ? tr_registry_find(section->classes, name) : -1;
    return i < 0 ? NULL : section->classes->schemas[i];
}

static bool has_key(const tr_schema *schema, const char *key) {
    for (int i = 0; schema && i < schema->n_keys; i++) {
        if (strcmp(schema->keys[i].name, key) == 0) return true;
    }
    return false;
}

/* The class of the section that has this key, or NULL. */
static const tr_schema *class_with(const tr_section *section, const char *key) {
    for (int i = 0; section->classes && i < section->classes->n; i++) {
        if (has_key(section->classes->schemas[i], key)) return section->classes->schemas[i];
    }
    return NULL;
}

/* Has the section this key: itself, or the class that its type names, or any class? */
static bool section_has(const tr_section *section, const tr_schema *class, const char *key) {
    if (section->lines) return false;
    if (has_key(section->schema, key)) return true;
    if (section->classes && strcmp(key, "type") == 0) return true;
    if (class) return has_key(class, key);
    return class_with(section, key) != NULL;
}

int tr_sections_check(const tr_doc *doc, tr_error *err) {
    const tr_section *sections = tr_sections;
    const char *names[TR_N_SECTIONS];
    for (int s = 0; s < TR_N_SECTIONS; s++) names[s] = sections[s].name;
    int code = tr_doc_check_sections(doc, names, TR_N_SECTIONS, "block", err);
    for (int s = 0; code == TR_OK && s < TR_N_SECTIONS; s++) {
        if (sections[s].lines) continue;
        tr_places keys = tr_doc_places(doc, sections[s].name);
        const tr_pair *type = tr_doc_find(doc, sections[s].name, "type");
        const tr_schema *class = type ? find_class(&sections[s], type->value) : NULL;
        for (int k = 0; k < keys.n; k++) {
            const char *key = keys.pairs[k].key;
            if (section_has(&sections[s], class, key) || strcmp(key, "type") == 0) continue;
            const tr_schema *twin = class ? class_with(&sections[s], key) : NULL;
            if (twin && type->where.line == 0 && keys.pairs[k].where.line > 0)
                return tr_fail_key(err, &keys, "type",
                                   "%s has no key '%s', which %s:%d gives (for %s)", class->name,
                                   key, keys.pairs[k].where.file, keys.pairs[k].where.line,
                                   twin->name);
            for (int other = 0; other < TR_N_SECTIONS; other++) {
                if (other == s || !section_has(&sections[other], NULL, key)) continue;
                return tr_fail_key(err, &keys, key, "unknown key (%s has it: write %s.%s)",
                                   sections[other].name, sections[other].name, key);
            }
        }
    }
    return code;
}
