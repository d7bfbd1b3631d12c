/* Other formats than safetensors, recognised by their first bytes, and refused: a PyTorch file with
 * the line of Python that converts it. No state. */
#include <string.h>
#include <strings.h>

#include "io/safetensors.h"

enum { MAGIC_BYTES = 512 }; /* of a file that are looked at */

/* Formats that torch.save has written: by themselves, or in a file whose name says so. */
static const char TORCH_ZIP[] = "a PyTorch file (a zip archive by torch.save)",
                  TORCH_SCRIPT[] = "a TorchScript archive (by torch.jit.save)",
                  TORCH_PICKLE[] = "a PyTorch file (a pickle by torch.save)",
                  ZIP[] = "a zip archive", PICKLE[] = "a Python pickle", TAR[] = "a tar archive";

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
    MAGIC(257, "ustar", TAR),
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
        return TORCH_ZIP;
    if (contains(p + HEAD, length, "/data/") || contains(p + HEAD, length, "/constants.pkl"))
        return TORCH_SCRIPT;
    return ZIP;
}

/* torch.save before 1.6 wrote a pickle that begins with the long 0x1950a86a20f9469cfc6c. */
static const char *pickle_format(const unsigned char *p, size_t n) {
    if (contains(p, tr_min((int64_t)n, 64), "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"))
        return TORCH_PICKLE;
    return PICKLE;
}

/* ONNX has no magic number: a protocol buffer whose field 1 is a small number (the version) and
 * whose next field is one that a model has. */
static bool is_onnx(const unsigned char *p, size_t n) {
    static const unsigned char next[] = {0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72};
    return n >= 3 && p[0] == 0x08 && p[1] >= 1 && p[1] <= 32 && memchr(next, p[2], sizeof next);
}

/* What the file is that begins with these bytes ("an HDF5 file"), or NULL where it is not known.
 * `size` of the whole file. */
static const char *format_of(const unsigned char *p, size_t n, int64_t size) {
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

/* A file by torch.save: what it is, or what it is in a file of such a name. */
static bool is_torch(const char *what, const char *path) {
    static const char *const endings[] = {".pth", ".pt", ".ckpt", ".th", ".bin", ".tar"};
    const char *ending = strrchr(path, '.');
    if (what == TORCH_ZIP || what == TORCH_SCRIPT || what == TORCH_PICKLE) return true;
    if (ending == NULL || (what != ZIP && what != PICKLE && what != TAR)) return false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(ending, endings[i]) == 0) return true;
    return false;
}

/* A literal of Python, which is also whole between a shell's single quotes. */
static void add_python_string(tr_text *out, const char *text) {
    tr_text_add(out, "\"", 1);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            tr_text_print(out, "\\%c", *text);
        else if (*text == '\'' || (unsigned char)*text < ' ' || *text == 127)
            tr_text_print(out, "\\x%02x", (unsigned)*text);
        else
            tr_text_add(out, text, 1);
    }
    tr_text_add(out, "\"", 1);
}

/* A state_dict, or a dictionary that holds one under a usual name, becomes safetensors. (Tensors
 * that share memory, or are not contiguous, safetensors does not save.) */
static int refuse_torch(const char *path, const char *what, tr_error *err) {
    tr_text name = {0};
    add_python_string(&name, path);
    char *literal = tr_text_take(&name, err);
    if (literal == NULL) return TR_ENOMEM;
    const char *load = what == TORCH_SCRIPT
                           ? "torch.jit.load(f, map_location=\"cpu\").state_dict()"
                           : "torch.load(f, map_location=\"cpu\", weights_only=True)";
    tr_fail(
        err, TR_EIO,
        "%s: is %s, not a safetensors file; this makes one of it: python3 -c 'import os, torch, "
        "safetensors.torch; f = %s; d = %s; "
        "d = next((d[k] for k in (\"state_dict\", \"net\", \"model\") if k in d), d); "
        "safetensors.torch.save_file({k: v.contiguous().clone() for k, v in d.items()}, "
        "os.path.splitext(f)[0] + \".safetensors\")'",
        path, what, literal, load);
    tr_free(literal);
    return TR_EIO;
}

int tr_foreign_refuse(const tr_file *file, tr_error *err) {
    unsigned char begin[MAGIC_BYTES];
    size_t n = (size_t)tr_min(file->size, sizeof begin);
    if (tr_read_at(file, 0, begin, n, NULL)) return TR_OK;
    const char *what = format_of(begin, n, file->size);
    if (what == NULL) return TR_OK;
    if (is_torch(what, file->path)) return refuse_torch(file->path, what, err);
    return tr_fail(err, TR_EIO, "%s: is %s, not a safetensors file", file->path, what);
}

int tr_refuse_foreign(const char *path, tr_error *err) {
    tr_file file;
    if (tr_open_file(path, &file, NULL)) return TR_OK;
    int code = tr_foreign_refuse(&file, err);
    tr_close_file(&file);
    return code;
}
