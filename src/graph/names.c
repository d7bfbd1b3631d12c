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

/* A table for one more name, with at least half of it free. */
static int widen(tr_names *names, tr_error *err) {
    size_t wanted = 2 * ((size_t)names->n + 1);
    if (wanted <= names->n_slots) return TR_OK;
    int *slots = tr_alloc(2 * wanted, sizeof *slots, err);
    if (slots == NULL) return TR_ENOMEM;
    tr_free(names->slots);
    names->slots = slots;
    names->n_slots = 2 * wanted;
    for (int i = 0; i < names->n; i++)
        slots[slot_of(names, names->name[i], strlen(names->name[i]))] = i + 1;
    return TR_OK;
}

int tr_names_add(tr_names *names, const char *name, int number, tr_error *err) {
    const char **name_place = tr_grow(&names->name, names->n, sizeof *name_place, err);
    int *number_place = tr_grow(&names->number, names->n, sizeof *number_place, err);
    if (name_place == NULL || number_place == NULL || widen(names, err)) return TR_ENOMEM;
    *name_place = name;
    *number_place = number;
    names->slots[slot_of(names, name, strlen(name))] = names->n + 1;
    names->n++;
    return TR_OK;
}

void tr_names_free(tr_names *names) {
    tr_free(names->name);
    tr_free(names->number);
    tr_free(names->slots);
    *names = (tr_names){0};
}
