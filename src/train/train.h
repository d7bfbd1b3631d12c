/* What `train` shows the module `cli` beyond the public interface. */
#ifndef TR_TRAIN_H
#define TR_TRAIN_H

#include "base/base.h"

/* A key that a configuration may hold. */
typedef struct tr_key_place {
    const char *section, *key;
    const char *class_name; /* the class that takes it ("sgd"), or NULL: the section itself */
    bool argument;          /* written as key=value in a line of the section ([network]) */
    bool flag;              /* true or false */
} tr_key_place;

/* Visit every key of every section, in the order of a configuration; one that several classes of a
 * section share comes once for each. */
void tr_each_key(void (*visit)(const tr_key_place *place, void *arg), void *arg);

#endif
