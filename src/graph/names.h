/* Names and their numbers. Private to this module. */
#ifndef TR_NAMES_H
#define TR_NAMES_H

#include "base/base.h"

/* In the order in which they were added; {0} is an empty one. */
typedef struct tr_names {
    int n;
    const char **name; /* [n], memory of the caller's */
    int *number;       /* [n] */
    int *slots;        /* [n_slots] hash table: index + 1; 0: free */
    size_t n_slots;
} tr_names;

/* The index of the name text[0..n), or -1. */
int tr_names_find(const tr_names *names, const char *text, size_t n);
/* Add a name that is not there. */
int tr_names_add(tr_names *names, const char *name, int number, tr_error *err);
void tr_names_free(tr_names *names);

#endif
