/* Other formats than safetensors, recognised by their first bytes. No state. */
#include <string.h>

#include "io/safetensors.h"

typedef struct magic {
    size_t offset, n;
    const char *bytes, *what;
} magic;
#define MAGIC(offset, bytes, what)                                                                 \
    { offset, sizeof bytes - 1, bytes, what }

static const magic formats[] = {
    MAGIC(0, "\x89HDF\r\n\x1a\n", "an HDF5 file (Keras and others)"),
    MAGIC(0, "GGUF", "a GGUF file (llama.cpp)"),
    MAGIC(0, "\x93NUMPY", "a NumPy file (.npy)"),
    MAGIC(4, "TFL3", "a TensorFlow Lite file"),
    MAGIC(0, "\x1f\x8b\x08", "compressed by gzip"),
    MAGIC(0, "\x28\xb5\x2f\xfd", "compressed by zstd"),
    MAGIC(0,
          "\xfd"
          "7zXZ",
          "compressed by xz"),
    MAGIC(0, "BZh", "compressed by bzip2"),
    MAGIC(257, "ustar", "a tar archive"),
    MAGIC(0, "version https://git-lfs", "a pointer of Git LFS, not the file itself"),
    MAGIC(0, "<!DOCTYPE", "a web page"),
    MAGIC(0, "<!doctype", "a web page"),
    MAGIC(0, "<html", "a web page"),
};

static bool contains(const unsigned char *text, size_t n, const char *word) {
    return memmem(text, n, word, strlen(word)) != NULL;
}

/* The name of a zip archive's first entry identifies its format. */
static const char *zip_format(const unsigned char *p, size_t n) {
    enum { HEAD = 30 };
    size_t length = n > HEAD ? (size_t)p[26] | (size_t)p[27] << 8 : 0;
    if (length > n - HEAD) length = n - HEAD;
    if (contains(p + HEAD, length, ".npy")) return "NumPy arrays (.npz)";
    if (contains(p + HEAD, length, "data.pkl") || contains(p + HEAD, length, "/.format_version") ||
        contains(p + HEAD, length, "/byteorder"))
        return "a PyTorch file (a zip archive by torch.save)";
    return "a zip archive";
}

/* torch.save before 1.6 wrote a pickle that begins with the long 0x1950a86a20f9469cfc6c. */
static const char *pickle_format(const unsigned char *p, size_t n) {
    if (contains(p, tr_min((int64_t)n, 64), "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"))
        return "a PyTorch file (a pickle by torch.save)";
    return "a Python pickle";
}

/* ONNX has no magic number: a protocol buffer whose field 1 is a small number (the version) and
 * whose next field is one that a model has. */
static bool is_onnx(const unsigned char *p, size_t n) {
    static const unsigned char next[] = {0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72};
    return n >= 3 && p[0] == 0x08 && p[1] >= 1 && p[1] <= 32 && memchr(next, p[2], sizeof next);
}

const char *tr_foreign_format(const unsigned char *p, size_t n, int64_t size) {
    if (size == 0) return "empty";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const magic *m = &formats[i];
        if (n >= m->offset + m->n && !memcmp(p + m->offset, m->bytes, m->n)) return m->what;
    }
    if (n > 30 && !memcmp(p, "PK\3\4", 4)) return zip_format(p, n);
    /* Less telling: not where the first 8 bytes could be the length of a damaged file's header. */
    if (n >= 8 && !memcmp(p + 4, "\0\0\0", 4)) return NULL;
    if (p[0] == '{') return "JSON text";
    if (n > 2 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5) return pickle_format(p, n);
    if (is_onnx(p, n)) return "an ONNX file";
    return NULL;
}
