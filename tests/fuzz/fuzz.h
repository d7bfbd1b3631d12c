/* A fuzz target is a function of bytes that must neither crash nor leak, whatever they are. Built
 * with -Dfuzzing=true, libFuzzer calls it; otherwise replay.c does, with the files of a corpus. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A folder of this process, emptied and removed at its end. */
const char *fuzz_folder(void);
/* The file `name` in that folder, holding these bytes; its path is valid until the next call. */
const char *fuzz_file(const char *name, const void *data, size_t size);

#endif
