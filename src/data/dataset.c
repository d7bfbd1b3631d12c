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

/* A table of images, none of them twice: open addressing over a hash of a few places of each. */
typedef struct image_table {
    uint32_t *slots; /* index in the set + 1; 0: free */
    size_t mask;
} image_table;

/* Eight words spread over the image: of photographs that is enough to tell nearly all apart, and it
 * touches eight cache lines of each. */
static uint64_t hash_image(const unsigned char *pixels, size_t bytes) {
    enum { WORDS = 8 };
    uint64_t hash = 0, word = 0;
    for (size_t i = 0; i < WORDS; i++) {
        size_t n = bytes < sizeof word ? bytes : sizeof word, at = (bytes - n) * i / (WORDS - 1);
        memcpy(&word, pixels + at, n);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15; /* 2^64 / golden ratio */
        hash ^= hash >> 29;
    }
    return hash;
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
    tr_repeats repeats;
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

static const char *gib(int64_t bytes, char out[32]) {
    double gib = (double)bytes / (double)(1 << 30);
    snprintf(out, 32, gib < 10 ? "%.2f GiB" : "%.0f GiB", gib);
    return out;
}

int tr_check_room(const tr_places *places, const char *key, int64_t bytes, const char *what,
                  tr_error *err) {
    char asked[32], allowed[32], used[32];
    const char *name;
    int64_t limit = tr_memory_limit_under("", &name), held = tr_resident_memory();
    if (bytes <= limit - held) return TR_OK;
    return tr_fail_key(err, places, key, "%s need %s of memory; %s is %s, of which %s are in use",
                       what, gib(bytes, asked), name, gib(limit, allowed), gib(held, used));
}
