/* Files of the tests of the module `io`, in a fresh folder (scratch.h), and their SHA-256. */
#ifndef TR_TEST_IO_FILES_H
#define TR_TEST_IO_FILES_H

#include "check_main.h"
#include "io/io.h"
#include "scratch.h"

static inline void write_file(const char *path, const void *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

/* The whole file, with a NUL behind it; free() it. */
static inline char *read_file(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    char *text = calloc(1, 1 << 20);
    *bytes = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    return text;
}

static inline const char *sha256(const void *data, size_t bytes, size_t step) {
    static char hex[65];
    const char *p = data;
    tr_sha256 sha;
    tr_sha256_start(&sha);
    for (size_t at = 0; at < bytes; at += step)
        tr_sha256_add(&sha, p + at, bytes - at < step ? bytes - at : step);
    tr_sha256_end(&sha, hex);
    return hex;
}

/* Opening the file fails with its name and this message, in one line. */
static inline void must_fail(const char *path, const char *message, const char *what) {
    tr_error err = {0};
    tr_safetensors file = {.n = 7};
    int rc = tr_safetensors_open(path, &file, &err);
    ck_assert_msg(rc == TR_EIO, "%s: %d %s", what, rc, err.text);
    ck_assert_msg(strstr(err.text, path) && strstr(err.text, message), "%s: %s", what, err.text);
    ck_assert_msg(!strchr(err.text, '\n'), "%s", err.text);
    ck_assert(!file.tensors && !file.header && !file.file.path && file.n == 0);
}

/* A tensor in the text of a safetensors header. */
#define T(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

#endif
