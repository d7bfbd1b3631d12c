/* Private to base: what os_files.c and os_save.c share. */
#ifndef TR_OS_FILES_H
#define TR_OS_FILES_H

#include <stddef.h>

#include "trainer/error.h"

/* open(2), not disturbed by signals, closed in programs that are started. */
int tr_os_open(const char *path, int flags);
/* "PATH: ..." with the text in full, of which a path that is longer leaves its beginning away. */
int tr_os_message(tr_error *err, int code, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "PATH: cannot WHAT: the system's words for `reason`": TR_EIO, or TR_ENOMEM where that is it. */
int tr_os_failure(tr_error *err, const char *path, const char *what, int reason);

/* write(2) of all bytes, which gives EFBIG and EPIPE and raises no signal. -1 with errno. */
int tr_os_write(int file, const void *data, size_t bytes);

#endif
