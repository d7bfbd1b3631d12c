/* What all data sets have in common: closing, a digest, repeated images, sizes that memory holds.
 *
 * Everything goes through tr_dataset's own functions; no state: thread-safe.
 */
#include <stdio.h>
#include <string.h>

#include "data/data.h"
#include "io/io.h"

int tr_dataset_load(tr_dataset *dataset, tr_error *err) {
    return dataset->load ? dataset->load(dataset, err) : TR_OK;
}

void tr_dataset_close(tr_dataset *dataset) {
    if (!dataset) return;
    if (dataset->close) dataset->close(dataset);
    memset(dataset, 0, sizeof *dataset);
}

static size_t image_bytes(const tr_dataset *set) {
    return (size_t)set->c * (size_t)set->h * (size_t)set->w;
}

/* ---- digest ---- */

static void add_integer(tr_sha256 *sha, int32_t value) {
    uint32_t bits = (uint32_t)value;
    unsigned char bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (unsigned char)(bits >> 8 * i);
    tr_sha256_add(sha, bytes, sizeof bytes);
}

int tr_dataset_digest(const tr_dataset *set, char hex[65], tr_error *err) {
    tr_sha256 sha;
    tr_sha256_start(&sha);
    const int head[] = {set->n, set->c, set->h, set->w, set->n_classes};
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) add_integer(&sha, head[i]);
    for (int i = 0; i < set->n; i++) {
        const unsigned char *pixels;
        int label;
        int code = set->sample(set, i, &pixels, &label, err);
        if (code < 0) return code;
        add_integer(&sha, label);
        tr_sha256_add(&sha, pixels, image_bytes(set));
    }
    tr_sha256_end(&sha, hex);
    return TR_OK;
}

/* ---- repeated images ---- */

/* A table of images, none of them twice: open addressing over a hash of all bytes. */
typedef struct image_table {
    uint32_t *slots; /* index in the set + 1; 0: free */
    size_t mask;
} image_table;

/* Four chains, so that a multiplication need not wait for the one before. */
static uint64_t hash_image(const unsigned char *pixels, size_t bytes) {
    enum { CHAINS = 4 };
    const uint64_t odd = 0x9e3779b97f4a7c15; /* 2^64 / golden ratio */
    uint64_t hash[CHAINS] = {1, 2, 3, 4}, word[CHAINS] = {0};
    while (bytes > 0) {
        size_t n = bytes < sizeof word ? bytes : sizeof word;
        memcpy(word, pixels, n);
        for (int i = 0; i < CHAINS; i++) {
            hash[i] = (hash[i] ^ word[i]) * odd;
            hash[i] ^= hash[i] >> 32;
        }
        pixels += n;
        bytes -= n;
    }
    for (int i = 1; i < CHAINS; i++) hash[0] = (hash[0] ^ hash[i]) * odd;
    return hash[0] >> 32 ^ hash[0];
}

/* 1: an image like sample i of `set` is in the table, whose images are those of `held`; 0: it is
 * not; then, with `add`, it is afterwards. */
static int look_up(image_table *table, const tr_dataset *held, const tr_dataset *set, int i,
                   bool add, tr_error *err) {
    const unsigned char *pixels, *other;
    int label;
    size_t bytes = image_bytes(set);
    int code = set->sample(set, i, &pixels, &label, err);
    if (code < 0) return code;
    size_t at = (size_t)hash_image(pixels, bytes) & table->mask;
    for (; table->slots[at]; at = (at + 1) & table->mask) {
        code = held->sample(held, (int)(table->slots[at] - 1), &other, &label, err);
        if (code < 0) return code;
        if (!memcmp(pixels, other, bytes)) return 1;
    }
    if (add) table->slots[at] = (uint32_t)i + 1;
    return 0;
}

int tr_dataset_repeats(const tr_dataset *train, const tr_dataset *test, tr_repeats *out,
                       tr_error *err) {
    *out = (tr_repeats){0};
    if (train->n == 0 || image_bytes(train) == 0) return TR_OK;
    size_t n_slots = 2;
    while (n_slots < 2 * (size_t)train->n) n_slots *= 2;
    image_table table = {tr_alloc(n_slots, sizeof *table.slots, err), n_slots - 1};
    if (!table.slots) return TR_ENOMEM;
    int found = 0;
    for (int i = 0; found >= 0 && i < train->n; i++) {
        found = look_up(&table, train, train, i, true, err);
        if (found > 0) out->train++;
    }
    bool same_size = train->c == test->c && train->h == test->h && train->w == test->w;
    for (int i = 0; found >= 0 && same_size && i < test->n; i++) {
        found = look_up(&table, train, test, i, false, err);
        if (found > 0) out->test++;
    }
    tr_free(table.slots);
    return found < 0 ? found : TR_OK;
}

int tr_dataset_note_repeats(const tr_dataset *train, const tr_dataset *test, tr_notes *notes,
                            tr_error *err) {
    enum { MOST = 1 << 22 }; /* images: takes a second and 32 MB */
    tr_repeats repeats;
    if (train->n > MOST) return TR_OK;
    int code = tr_dataset_repeats(train, test, &repeats, err);
    if (code < 0) return code;
    if (repeats.train > train->n / 100)
        tr_note(notes, "%d of the %d training images are there more than once", repeats.train,
                train->n);
    if (repeats.test > test->n / 100)
        tr_note(notes,
                "%d of the %d test images are in the training set, too: the test says little "
                "about new images",
                repeats.test, test->n);
    return TR_OK;
}

/* ---- memory ---- */

int tr_check_memory(const tr_places *places, const char *key, int64_t bytes, const char *what,
                    tr_error *err) {
    char wanted[32], allowed[32], used[32];
    const char *name;
    int64_t limit = tr_memory_limit(&name), held = tr_resident_memory();
    if (bytes <= limit - held) return TR_OK;
    return tr_fail_key(err, places, key, "%s need %s of memory; %s is %s, and %s of it is in use",
                       what, tr_format_bytes(bytes, wanted), name, tr_format_bytes(limit, allowed),
                       tr_format_bytes(held, used));
}
