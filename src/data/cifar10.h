/* Private to the module `data`: what the two files of the class cifar10 share. */
#ifndef TR_CIFAR10_H
#define TR_CIFAR10_H

#include "base/base.h"

/* "FOLDER/NAME" (tr_free). */
char *tr_cifar10_path(const char *folder, const char *name, tr_error *err);

/* Are the files names[0..n) in the folder `root`? If not, TR_ECONFIG at the key "root", with what
 * was looked for, what is there instead, and what to do. */
int tr_cifar10_check_folder(const char *root, const char *const *names, int n,
                            const tr_places *places, tr_error *err);

#endif
