/* summary.json: one table of its keys, and which of them are environment. */
#include <math.h>
#include <string.h>

#include "train/run_dir.h"
#include "train/train.h"

enum { FORMAT = 1 }; /* of summary.json: another number where a key changes its meaning */

typedef enum key_kind {
    TEXT,  /* const char *; "" and NULL: not known */
    CHARS, /* char[] */
    SEED,  /* uint64_t */
    INT,
    COUNT, /* int64_t; negative: not known */
    BYTES, /* int64_t; 0: not known */
    REAL,  /* double; NAN: not known */
} key_kind;

/* Environment: what may differ between two runs of one result (times, speeds, threads, instruction
 * set, workers, memory, machine). docs/design.md lists the same. */
static const struct {
    const char *key;
    key_kind kind;
    size_t offset;
    bool environment;
    bool test; /* a test of a finished run has it, too */
} keys[] = {
#define KEY(kind, key, field, environment)                                                         \
    { key, kind, offsetof(tr_summary, field), environment, false }
#define TEST_KEY(kind, key, field, environment)                                                    \
    { key, kind, offsetof(tr_summary, field), environment, true }
    KEY(TEXT, "version", version, false),
    KEY(TEXT, "status", status, false),
    KEY(TEXT, "reason", reason, false),
    KEY(TEXT, "started", started, true),
    KEY(TEXT, "cpu", cpu, true),
    KEY(SEED, "seed", seed, false),
    KEY(INT, "epochs", epochs, false),
    KEY(INT, "epochs_done", epochs_done, false),
    KEY(COUNT, "steps", steps, false),
    KEY(INT, "batch_size", batch_size, false),
    KEY(COUNT, "train_images", train_images, false),
    TEST_KEY(COUNT, "test_images", test_images, false),
    TEST_KEY(INT, "threads", threads, true),
    TEST_KEY(INT, "threads_run", threads_run, true),
    TEST_KEY(INT, "workers", workers, true),
    TEST_KEY(TEXT, "isa", isa, true),
    KEY(COUNT, "test_steps", test_steps, false),
    TEST_KEY(REAL, "test_accuracy", test_accuracy, false),
    TEST_KEY(REAL, "test_loss", test_loss, false),
    KEY(REAL, "train_loss", final_train_loss, false),
    KEY(REAL, "train_seconds", train_seconds, true),
    TEST_KEY(REAL, "images_per_second", images_per_second, true),
    KEY(REAL, "data_wait_fraction", data_wait_fraction, true),
    KEY(REAL, "loader_wait_seconds", loader_wait_seconds, true),
    KEY(BYTES, "peak_rss_bytes", peak_rss_bytes, true),
    KEY(COUNT, "model_steps", model_steps, false),
    TEST_KEY(CHARS, "weights_sha256", weights_sha256, false),
    KEY(TEXT, "init_from", init_from, true),
#undef TEST_KEY
#undef KEY
};
enum { N_KEYS = sizeof keys / sizeof *keys };

/* Keys of metrics.jsonl that no summary has. */
static const char *const environment_of_lines[] = {"seconds"};

bool tr_is_environment(const char *key) {
    for (size_t i = 0; i < sizeof environment_of_lines / sizeof *environment_of_lines; i++)
        if (strcmp(environment_of_lines[i], key) == 0) return true;
    for (int i = 0; i < N_KEYS; i++)
        if (strcmp(keys[i].key, key) == 0) return keys[i].environment;
    return false;
}

/* Text of any bytes; JSON takes UTF-8 only. */
static json_t *text(const char *value) {
    if (value == NULL || !*value) return json_null();
    json_t *string = json_string(value);
    if (string) return string;
    char *ascii = tr_strdup(value, NULL);
    if (ascii == NULL) return NULL;
    for (char *c = ascii; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    string = json_string(ascii);
    tr_free(ascii);
    return string;
}

static json_t *value_of(key_kind kind, const void *field) {
    int64_t count;
    switch (kind) {
    case TEXT:
        return text(*(const char *const *)field);
    case CHARS:
        return text(field);
    case SEED:
        return json_integer((json_int_t) * (const uint64_t *)field);
    case INT:
        return json_integer(*(const int *)field);
    case COUNT:
        count = *(const int64_t *)field;
        return count < 0 ? json_null() : json_integer(count);
    case BYTES:
        count = *(const int64_t *)field;
        return count <= 0 ? json_null() : json_integer(count);
    case REAL:
        return tr_json_number(*(const double *)field);
    }
    return NULL;
}

static json_t *classes_of(const tr_summary *s) {
    json_t *classes = json_object();
    bool failed = classes == NULL;
    for (int k = 0; k < s->n_classes; k++)
        failed |= json_object_set_new(classes, s->class_names[k],
                                      tr_json_number(s->per_class_accuracy[k])) != 0;
    if (!failed) return classes;
    json_decref(classes);
    return NULL;
}

json_t *tr_summary_json(const tr_summary *s, bool test) {
    json_t *object = json_object();
    bool failed = json_object_set_new(object, "format", json_integer(FORMAT)) != 0;
    for (int i = 0; i < N_KEYS; i++) {
        if (test && !keys[i].test) continue;
        json_t *value = value_of(keys[i].kind, (const char *)s + keys[i].offset);
        failed |= json_object_set_new(object, keys[i].key, value) != 0;
    }
    failed |= json_object_set_new(object, "per_class_accuracy", classes_of(s)) != 0;
    if (!failed) return object;
    json_decref(object);
    return NULL;
}

int tr_summary_save(const char *path, const tr_summary *s, tr_error *err) {
    return tr_json_save(path, tr_summary_json(s, false), err);
}

void tr_summary_clear(tr_summary *s) {
    *s = (tr_summary){.run_dir = "",
                      .isa = "",
                      .version = tr_version(),
                      .status = "",
                      .reason = "",
                      .started = "",
                      .cpu = "",
                      .init_from = "",
                      .test_accuracy = NAN,
                      .test_loss = NAN,
                      .final_train_loss = NAN,
                      .images_per_second = NAN,
                      .data_wait_fraction = NAN,
                      .test_steps = -1,
                      .model_steps = -1};
}

void tr_summary_set_classes(tr_summary *s, const tr_config *config, int n_classes) {
    s->n_classes = config->class_names ? n_classes : 0;
    s->class_names = config->class_names;
    s->per_class_accuracy = config->class_accuracy;
}
