/* The INI document: sections and pairs in file order, each with its place.
 *
 * Whatever fills it checks words first (words.h), so a document can always be written and read
 * again. Strings live as long as the document. Sections and keys are found by hashing, so that a
 * document of a million lines is read in linear time. A document belongs to one thread while it
 * changes.
 */
#include <stdio.h>
#include <string.h>

#include "config/words.h"

/* Numbers of elements by the hash of their names; open addressing, at most half full. */
typedef struct hash_table {
    int *slots; /* number + 1; 0: free */
    size_t capacity;
} hash_table;

typedef struct doc_section {
    const char *name; /* as in the heading, with single blanks */
    tr_piece id;      /* its first words */
    tr_where where;
    tr_pair *pairs;
    int n, capacity;
    hash_table keys;
} doc_section;

struct tr_doc {
    const char *name;
    doc_section *sections;
    int n, capacity;
    hash_table ids;
    tr_arena strings; /* everything that names, values and places point at */
};

/* ---- names to numbers ---- */

/* The blank of [block basic] is the dot of block.basic; no key has one. */
static char same_as(char c) {
    return c == ' ' ? '.' : c;
}

static size_t hash_of(tr_piece p) { /* FNV-1a */
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < p.n; i++)
        hash = (hash ^ (unsigned char)same_as(p.at[i])) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32);
}

static tr_piece piece_of(const char *text) {
    return (tr_piece){text, strlen(text)};
}

static bool is_equal(tr_piece a, tr_piece b) {
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (same_as(a.at[i]) != same_as(b.at[i])) return false;
    return true;
}

/* Of a heading, the words by which it is found: the first two. */
static tr_piece first_words(tr_piece name) {
    size_t n = 0;
    while (n < name.n && !tr_is_blank(name.at[n])) n++;
    for (n++; n < name.n && !tr_is_blank(name.at[n]);) n++;
    return (tr_piece){name.at, n < name.n ? n : name.n};
}

typedef tr_piece (*name_of)(const void *owner, int number);

static tr_piece id_of(const void *owner, int number) {
    return ((const tr_doc *)owner)->sections[number].id;
}

static tr_piece key_of(const void *owner, int number) {
    return piece_of(((const doc_section *)owner)->pairs[number].key);
}

static int look_up(const hash_table *t, const void *owner, name_of name, tr_piece word) {
    if (t->capacity == 0) return -1;
    for (size_t i = hash_of(word) % t->capacity; t->slots[i]; i = (i + 1) % t->capacity)
        if (is_equal(name(owner, t->slots[i] - 1), word)) return t->slots[i] - 1;
    return -1;
}

static void enter(hash_table *t, const void *owner, name_of name, int number) {
    size_t i = hash_of(name(owner, number)) % t->capacity;
    while (t->slots[i]) i = (i + 1) % t->capacity;
    t->slots[i] = number + 1;
}

static void enter_all(hash_table *t, const void *owner, name_of name, int n) {
    memset(t->slots, 0, t->capacity * sizeof *t->slots);
    for (int i = 0; i < n; i++) enter(t, owner, name, i);
}

/* Room for element n, of which the name need not be there yet. */
static int reserve_slot(hash_table *t, const void *owner, name_of name, int n, tr_error *err) {
    size_t needed = 2 * ((size_t)n + 1);
    if (needed <= t->capacity) return TR_OK;
    int *slots = tr_alloc(2 * needed + 16, sizeof *slots, err);
    if (!slots) return TR_ENOMEM;
    tr_free(t->slots);
    *t = (hash_table){slots, 2 * needed + 16};
    enter_all(t, owner, name, n);
    return TR_OK;
}

/* ---- filling it ---- */

/* Room for one more element: the array, moved where it was full, or NULL. */
static void *grow(void *array, int n, int *capacity, size_t size, tr_error *err) {
    if (n < *capacity) return array;
    if (n > INT32_MAX / 4) {
        tr_fail(err, TR_ENOMEM, "out of memory: more than %d lines", n);
        return NULL;
    }
    int more = *capacity ? 2 * *capacity : 8;
    void *moved = tr_alloc((size_t)more, size, err);
    if (!moved) return NULL;
    if (n > 0) memcpy(moved, array, (size_t)n * size);
    tr_free(array);
    *capacity = more;
    return moved;
}

const char *tr_doc_keep(tr_doc *doc, const char *text, tr_error *err) {
    return tr_arena_copy(&doc->strings, text, strlen(text), err);
}

int tr_doc_create(const char *name, tr_doc **out, tr_error *err) {
    *out = NULL;
    tr_doc *doc = tr_alloc(1, sizeof *doc, err);
    if (!doc) return TR_ENOMEM;
    doc->name = tr_doc_keep(doc, name, err);
    if (!doc->name) {
        tr_doc_free(doc);
        return TR_ENOMEM;
    }
    *out = doc;
    return TR_OK;
}

void tr_doc_free(tr_doc *doc) {
    if (!doc) return;
    for (int i = 0; i < doc->n; i++) {
        tr_free(doc->sections[i].pairs);
        tr_free(doc->sections[i].keys.slots);
    }
    tr_free(doc->sections);
    tr_free(doc->ids.slots);
    tr_arena_free(&doc->strings);
    tr_free(doc);
}

/* `name` with single blanks between its words. */
static char *tidy(tr_doc *doc, tr_piece name, tr_error *err) {
    char *copy = tr_arena_copy(&doc->strings, name.at, name.n, err);
    size_t used = 0;
    for (size_t i = 0; copy && i < name.n; i++) {
        char c = tr_is_blank(name.at[i]) ? ' ' : name.at[i];
        if (c != ' ' || copy[used - 1] != ' ') copy[used++] = c;
    }
    if (copy) copy[used] = '\0';
    return copy;
}

int tr_doc_add_section(tr_doc *doc, tr_piece name, tr_where where, int *section, tr_error *err) {
    doc_section new = {.where = where};
    doc_section *sections = grow(doc->sections, doc->n, &doc->capacity, sizeof *sections, err);
    if (!sections) return TR_ENOMEM;
    doc->sections = sections;
    new.name = tidy(doc, name, err);
    if (!new.name || reserve_slot(&doc->ids, doc, id_of, doc->n, err)) return TR_ENOMEM;
    new.id = first_words(piece_of(new.name));
    *section = look_up(&doc->ids, doc, id_of, new.id);
    if (*section >= 0) return 1;
    /* An empty section still has an array: that distinguishes it from one that is not there. */
    new.pairs = grow(NULL, 0, &new.capacity, sizeof *new.pairs, err);
    if (!new.pairs) return TR_ENOMEM;
    doc->sections[doc->n] = new;
    enter(&doc->ids, doc, id_of, doc->n);
    *section = doc->n++;
    return TR_OK;
}

int tr_doc_put_pair(tr_doc *doc, int section, tr_piece key, tr_piece value, tr_where where,
                    tr_error *err) {
    doc_section *s = &doc->sections[section];
    const char *kept = tr_arena_copy(&doc->strings, value.at, value.n, err);
    if (!kept) return TR_ENOMEM;
    int there = tr_doc_find_pair(doc, section, key);
    if (there >= 0) {
        s->pairs[there].value = kept;
        s->pairs[there].where = where;
        return TR_OK;
    }
    tr_pair *pairs = grow(s->pairs, s->n, &s->capacity, sizeof *pairs, err);
    if (!pairs) return TR_ENOMEM;
    s->pairs = pairs;
    const char *kept_key = tr_arena_copy(&doc->strings, key.at, key.n, err);
    if (!kept_key || reserve_slot(&s->keys, s, key_of, s->n, err)) return TR_ENOMEM;
    s->pairs[s->n] = (tr_pair){kept_key, kept, where, s->name};
    enter(&s->keys, s, key_of, s->n++);
    return TR_OK;
}

void tr_doc_remove_pair(tr_doc *doc, int section, int i) {
    doc_section *s = &doc->sections[section];
    memmove(&s->pairs[i], &s->pairs[i + 1], (size_t)(s->n - i - 1) * sizeof *s->pairs);
    s->n--;
    enter_all(&s->keys, s, key_of, s->n);
}

void tr_doc_move_pair(tr_doc *doc, int section, int from, int to) {
    doc_section *s = &doc->sections[section];
    tr_pair moved = s->pairs[from];
    for (; from > to; from--) s->pairs[from] = s->pairs[from - 1];
    for (; from < to; from++) s->pairs[from] = s->pairs[from + 1];
    s->pairs[to] = moved;
    enter_all(&s->keys, s, key_of, s->n);
}

int tr_doc_merge(tr_doc *doc, const tr_doc *over, tr_error *err) {
    const char *file = NULL, *kept = NULL; /* the place that was copied last */
    int code = TR_OK;
    for (int i = 0; i < over->n; i++) {
        const doc_section *from = &over->sections[i];
        for (int k = -1; code == TR_OK && k < from->n; k++) {
            tr_where where = k < 0 ? from->where : from->pairs[k].where;
            if (where.file != file) {
                file = where.file;
                kept = tr_doc_keep(doc, file, err);
                if (!kept) return TR_ENOMEM;
            }
            where.file = kept;
            int to = look_up(&doc->ids, doc, id_of, from->id);
            if (k >= 0) {
                code = tr_doc_put_pair(doc, to, piece_of(from->pairs[k].key),
                                       piece_of(from->pairs[k].value), where, err);
            } else if (to < 0) {
                code = tr_doc_add_section(doc, piece_of(from->name), where, &to, err);
            } else if (from->id.n < strlen(from->name)) { /* a block with arguments: its, now */
                doc_section *s = &doc->sections[to];
                const char *name = tr_doc_keep(doc, from->name, err);
                if (!name) return TR_ENOMEM;
                s->name = name;
                s->id = first_words(piece_of(name));
                s->where = where;
                for (int p = 0; p < s->n; p++) s->pairs[p].context = name;
            }
        }
        if (code) return code;
    }
    return TR_OK;
}

/* ---- questions ---- */

int tr_doc_find_section(const tr_doc *doc, tr_piece name) {
    return look_up(&doc->ids, doc, id_of, first_words(name));
}

int tr_doc_find_pair(const tr_doc *doc, int section, tr_piece key) {
    const doc_section *s = &doc->sections[section];
    return look_up(&s->keys, s, key_of, key);
}

const tr_pair *tr_doc_pair(const tr_doc *doc, int section, int i) {
    return &doc->sections[section].pairs[i];
}

int tr_doc_n_sections(const tr_doc *doc) {
    return doc->n;
}

const char *tr_doc_section_name(const tr_doc *doc, int i) {
    return doc->sections[i].name;
}

const tr_pair *tr_doc_section(const tr_doc *doc, const char *name, int *n, tr_where *where) {
    int i = tr_doc_find_section(doc, piece_of(name));
    const doc_section *s = i < 0 ? NULL : &doc->sections[i];
    if (n) *n = s ? s->n : 0;
    if (where) *where = s ? s->where : (tr_where){doc->name, 0};
    return s ? s->pairs : NULL;
}

tr_places tr_doc_places(const tr_doc *doc, const char *section) {
    tr_places given = {.context = section};
    given.pairs = tr_doc_section(doc, section, &given.n, &given.where);
    return given;
}

const tr_pair *tr_doc_find(const tr_doc *doc, const char *name, const char *key) {
    int section = tr_doc_find_section(doc, piece_of(name));
    int i = section < 0 ? -1 : tr_doc_find_pair(doc, section, piece_of(key));
    return i < 0 ? NULL : tr_doc_pair(doc, section, i);
}

int tr_doc_parse_class(const tr_doc *doc, const char *section, const tr_registry *registry,
                       const char *fallback, int *index, void **args, tr_error *err) {
    const tr_places given = tr_doc_places(doc, section);
    const tr_pair *type = tr_doc_find(doc, section, "type");
    const tr_pair implied = {"type", fallback, given.where, section};
    return tr_class_parse(registry, type ? type : &implied, &given, index, args, err);
}

const char *tr_doc_name(const tr_doc *doc) {
    return doc->name;
}

int tr_doc_check_sections(const tr_doc *doc, const char *const *names, int n, const char *heading,
                          tr_error *err) {
    size_t first = strlen(heading);
    for (int i = 0; i < doc->n; i++) {
        const doc_section *s = &doc->sections[i];
        bool known = !strncmp(s->name, heading, first) && tr_is_blank(s->name[first]);
        for (int j = 0; j < n && !known; j++) known = !strcmp(s->name, names[j]);
        if (!known)
            return tr_fail_unknown(err, s->where, s->name, "unknown section", s->name, names, n);
    }
    return TR_OK;
}
