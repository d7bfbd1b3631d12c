/* Names and their numbers: an array, and a hash table over it with open addressing, at most half
 * full. */
#include "graph/names.h"

static size_t slot_of(const tr_names *names, const char *text, size_t n) {
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    size_t slot = (size_t)(hash ^ hash >> 32) % names->n_slots;
    for (; names->slots[slot]; slot = (slot + 1) % names->n_slots) {
        const char *name = names->name[names->slots[slot] - 1];
        if (strncmp(name, text, n) == 0 && name[n] == '\0') break;
    }
    return slot;
}

int tr_names_find(const tr_names *names, const char *text, size_t n) {
    return names->n ? names->slots[slot_of(names, text, n)] - 1 : -1;
}

static int grow(tr_names *names, tr_error *err) {
    size_t room = 2 * (size_t)names->room + 16;
    if (room > INT32_MAX / 2) return tr_fail(err, TR_ENOMEM, "out of memory: too many names");
    tr_names more = {names->n,
                     (int)room,
                     tr_alloc(room, sizeof *more.name, err),
                     tr_alloc(room, sizeof *more.number, err),
                     tr_alloc(2 * room, sizeof *more.slots, err),
                     2 * room};
    if (!more.name || !more.number || !more.slots) {
        tr_names_free(&more);
        return TR_ENOMEM;
    }
    for (int i = 0; i < names->n; i++) {
        more.name[i] = names->name[i];
        more.number[i] = names->number[i];
        more.slots[slot_of(&more, more.name[i], strlen(more.name[i]))] = i + 1;
    }
    tr_names_free(names);
    *names = more;
    return TR_OK;
}

int tr_names_add(tr_names *names, const char *name, int number, tr_error *err) {
    if (names->n == names->room && grow(names, err)) return TR_ENOMEM;
    names->name[names->n] = name;
    names->number[names->n] = number;
    size_t slot = slot_of(names, name, strlen(name));
    names->slots[slot] = ++names->n;
    return TR_OK;
}

void tr_names_free(tr_names *names) {
    tr_free(names->name);
    tr_free(names->number);
    tr_free(names->slots);
    *names = (tr_names){0};
}
