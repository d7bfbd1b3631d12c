/* Files of other formats given as safetensors: each is named, and one of PyTorch is refused with
 * the line of Python that converts it. */
#include "io_files.h"

#define BYTES(text) text, sizeof text - 1

static const struct {
    const char *bytes;
    size_t n;
    const char *what;
} others[] = {
    {BYTES("PK\3\4\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl"),
     "a PyTorch file (a zip archive by torch.save)"},
    {BYTES("PK\3\4\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0arr_0.npy"),
     "NumPy arrays (.npz)"},
    {BYTES("PK\3\4\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0x"), "a zip archive"},
    {BYTES("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8P\x19.\x80\x02M\xe9\x03."),
     "a PyTorch file (a pickle by torch.save)"},
    {BYTES("\x80\x04\x95\x0b\1\0\0\0\0\0\0}"), "a Python pickle"},
    {BYTES("\x89HDF\r\n\x1a\n\0\0\0\0"), "an HDF5 file"},
    {BYTES("GGUF\3\0\0\0\x23\1\0\0\0\0\0\0"), "a GGUF file"},
    {BYTES("\x08\x07\x12\x07pytorch\x1a\x05"
           "1.13.1"),
     "an ONNX file"},
    {BYTES("\x08\x03:\xd0\x01\x0a\x10"), "an ONNX file"},
    {BYTES("\x93NUMPY\1\0v\0{'descr': '<f4'}"), "a NumPy file"},
    {BYTES("\x1f\x8b\x08\0\0\0\0\0\0\3abcdef"), "compressed by gzip"},
    {BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:"), "a pointer of Git LFS"},
    {BYTES("<!DOCTYPE html><html></html>"), "a web page"},
    {BYTES("{\n  \"weight_map\": {}\n}"), "JSON text"},
    {BYTES(""), "empty"},
};

START_TEST(other_formats) {
    char message[100];
    snprintf(message, sizeof message, ": is %s", others[_i].what);
    write_file(in_folder("model"), others[_i].bytes, others[_i].n);
    must_fail(in_folder("model"), message, others[_i].what);
    must_fail(in_folder("model"), ", not a safetensors file", others[_i].what);
}
END_TEST

/* What torch.save wrote is refused with one line of Python: of this content, or in a file of such a
 * name. */
static const struct {
    const char *file, *bytes;
    size_t n;
    const char *load; /* NULL: no line */
} torch_files[] = {
    {"net", BYTES("PK\3\4\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0c\0\0\0net/data.pkl"),
     "torch.load"},
    {"net.safetensors", BYTES("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20j\xa8P\x19.\x80\x02M\xe9\x03."),
     "torch.load"},
    {"net.pt", BYTES("PK\3\4\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0a\0\0\0net/data/0"),
     "torch.jit.load"},
    {"net.PTH", BYTES("PK\3\4\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0x"),
     "torch.load"},
    {"net.ckpt", BYTES("\x80\x04\x95\x0b\1\0\0\0\0\0\0}"), "torch.load"},
    {"net.pkl", BYTES("\x80\x04\x95\x0b\1\0\0\0\0\0\0}"), NULL},
    {"net.zip", BYTES("PK\3\4\x14\0\0\0\0\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0x"), NULL},
    {"net.pth", BYTES("\x89HDF\r\n\x1a\n\0\0\0\0"), NULL},
    {"a\n'b\" \\c",
     BYTES("PK\3\4\0\0\x08\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0c\0\0\0net/data.pkl"),
     "torch.load"},
};
enum { N_TORCH = sizeof torch_files / sizeof *torch_files };

START_TEST(torch_file) {
    tr_error err = {0}, same = {0};
    tr_safetensors file;
    static const char last[] = "+ \".safetensors\")";
    char path[600];
    snprintf(path, sizeof path, "%s", in_folder(torch_files[_i].file));
    write_file(path, torch_files[_i].bytes, torch_files[_i].n);
    ck_assert_int_eq(tr_safetensors_open(path, &file, &err), TR_EIO);
    ck_assert_int_eq(tr_refuse_foreign(path, &same), TR_EIO);
    ck_assert_str_eq(err.text, same.text);
    ck_assert_ptr_null(strchr(err.text, '\n'));
    const char *line = strstr(err.text, "; this makes one of it: python3 -c 'import ");
    if (torch_files[_i].load == NULL) {
        ck_assert_msg(line == NULL, "%s", err.text);
        return;
    }
    ck_assert_msg(line != NULL, "%s", err.text);
    ck_assert_ptr_nonnull(strstr(line, torch_files[_i].load));
    ck_assert_ptr_nonnull(strstr(line, "map_location=\"cpu\""));
    /* A shell takes it as one word, and it is whole. */
    const char *word = strchr(line, '\'') + 1, *end = strchr(word, '\'');
    ck_assert_str_eq(end + 1, "");
    ck_assert_int_eq(strncmp(end - strlen(last), last, strlen(last)), 0);
    if (strchr(torch_files[_i].file, '\n'))
        ck_assert_ptr_nonnull(strstr(line, "a\\x0a\\x27b\\\" \\\\c\"; "));
}
END_TEST

/* A sound file whose header happens to have a length that looks like another's first bytes. */
START_TEST(no_other_format) {
    static const char begin[] = "{" T("a", "F32", "[4]", "[0,16]");
    tr_error err = {0};
    tr_safetensors file;
    const int lengths[] = {123 /* '{' */, 0x280 /* a pickle */, 0x12f08 /* ONNX */};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = (size_t)lengths[i];
        char *data = calloc(n + 24, 1);
        for (int b = 0; b < 4; b++) data[b] = (char)(lengths[i] >> 8 * b);
        memset(data + 8, ' ', n);
        memcpy(data + 8, begin, sizeof begin - 1);
        data[8 + n - 1] = '}';
        write_file(in_folder("sound"), data, n + 24);
        ck_assert_msg(!tr_safetensors_open(in_folder("sound"), &file, &err), "%s", err.text);
        tr_safetensors_close(&file);
        write_file(in_folder("sound"), data, n / 2); /* and damaged it is no other, either */
        must_fail(in_folder("sound"), "header length", "cut");
        free(data);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("foreign");
    TCase *tc = tcase_create("foreign");
    tcase_add_checked_fixture(tc, make_scratch, remove_scratch);
    tcase_add_loop_test(tc, other_formats, 0, (int)(sizeof others / sizeof *others));
    tcase_add_loop_test(tc, torch_file, 0, N_TORCH);
    tcase_add_test(tc, no_other_format);
    suite_add_tcase(suite, tc);
    return tr_check_run(suite);
}
