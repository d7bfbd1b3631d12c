/* Whole files into memory, by several threads. Private to the module `data`. */
#ifndef TR_DATA_READ_H
#define TR_DATA_READ_H

#include "base/base.h"

/* Looks at bytes of `file` that were just read from `offset` on; called by several threads. */
typedef int tr_read_check(const tr_file *file, int64_t offset, const unsigned char *bytes,
                          int64_t n_bytes, tr_error *err);

/* Read files[0..n), one behind the other, into `out`, which has room for the sum of their sizes,
 * and give every piece to `check`: pieces begin at multiples of `unit` within their file. Of
 * several failures the first in the order of the files is reported, and so is a file that changed
 * meanwhile. */
int tr_read_files(const tr_file *files, int n, int64_t unit, tr_read_check *check,
                  unsigned char *out, tr_error *err);

#endif
