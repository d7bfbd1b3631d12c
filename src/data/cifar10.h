/* Private to the module `data`: how cifar10.c looks for its files. */
#ifndef TR_CIFAR10_H
#define TR_CIFAR10_H

#include "base/base.h"

/* Are the files names[0..n) in the folder `root`? If not, TR_ECONFIG at the key "root", with what
 * was looked for, what is there instead, and what to do. */
int tr_cifar10_check_folder(const char *root, const char *const *names, int n,
                            const tr_places *places, tr_error *err);

#endif
