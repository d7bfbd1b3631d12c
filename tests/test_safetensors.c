/* Safetensors: what is written is read again; damaged files are written as text here, each wrong in
 * one way, and the message must name what is wrong. */
#include <math.h>

#include "io_files.h"

/* ---- what is written comes back ---- */

static const double doubles[3] = {0.1, -1e308, 5e-324};
static const int64_t counts[2] = {-1, INT64_MAX};
static const int64_t counter[1] = {1234567890123};
static float weight[6] = {1, -2, 0.5f, 3e-40f, INFINITY, -0.0f};
static float bias[1] = {42};
static float scalar[1] = {-1};

/* A tensor with its values. */
typedef struct given {
    const char *name;
    int n_dims;
    int64_t dim[5];
    const void *data;
    tr_type type;
} given;

/* A name that sorts before its predecessor: the order is the caller's, not the alphabet's. */
static const given some[] = {
    {"fc.weight", 2, {2, 3}, weight, TR_FLOAT32}, {"counts", 1, {2}, counts, TR_INT64},
    {"bias", 1, {1}, bias, TR_FLOAT32},           {"empty", 2, {0, 5}, NULL, TR_FLOAT32},
    {"a.scalar", 0, {0}, scalar, TR_FLOAT32},     {"counter", 0, {0}, counter, TR_INT64},
    {"doubles", 2, {3, 1}, doubles, TR_FLOAT64}};
enum { N_SOME = sizeof some / sizeof *some };
static const char *const dtypes[] = {"F32", "F64", "I64"};

static size_t size_of(tr_type type) {
    return type == TR_FLOAT32 ? 4 : 8;
}

static void get(void *arg, int tensor, int64_t first, int64_t n, void *out) {
    const given *t = (const given *)arg + tensor;
    size_t size = size_of(t->type);
    memcpy(out, (const char *)t->data + (size_t)first * size, (size_t)n * size);
}

/* Up to 8 tensors. */
static tr_tensor_source source_of(const given *list, int n) {
    static tr_tensor tensors[8];
    for (int i = 0; i < n; i++)
        tensors[i] = (tr_tensor){list[i].name, list[i].n_dims, list[i].dim, list[i].type};
    return (tr_tensor_source){n, tensors, get, (void *)(uintptr_t)list};
}

static int save(const char *path, const given *list, int n, const char *const (*metadata)[2],
                int n_metadata, tr_error *err) {
    char sha[65], again[65];
    tr_tensor_source source = source_of(list, n);
    int code = tr_safetensors_save(path, &source, metadata, n_metadata, sha, err);
    if (code) return code;
    tr_tensors_sha256(&source, again);
    ck_assert_str_eq(sha, again);
    return code;
}

/* All values of a tensor, read in parts of `step`. */
static void *values_of(const tr_safetensors *f, int tensor, int64_t step) {
    tr_error err = {0};
    int64_t n = f->tensors[tensor].elements;
    tr_type type = f->tensors[tensor].tensor.type;
    char *out = calloc((size_t)n + 1, size_of(type));
    for (int64_t at = 0; at < n; at += step)
        ck_assert_msg(!tr_safetensors_read(f, tensor, type, at, n - at < step ? n - at : step,
                                           out + (size_t)at * size_of(type), &err),
                      "%s", err.text);
    return out;
}

START_TEST(safetensors_round_trip) {
    tr_error err = {0};
    tr_safetensors file;
    uint32_t payload = 0x7fa12345; /* a signaling NaN: moving it as a float may change its bits */
    memcpy(&weight[2], &payload, sizeof payload);
    const char *const metadata[][2] = {{"format", "pt"}, {"note", "quote \" and \xC3\xA9"}};
    const char *path = in_folder("model.safetensors");
    ck_assert_msg(!save(path, some, N_SOME, metadata, 2, &err), "%s", err.text);
    ck_assert_int_eq(n_entries(folder), 1);
    ck_assert_msg(!tr_safetensors_open(path, &file, &err), "%s", err.text);
    ck_assert_int_eq(file.n, N_SOME);
    for (int i = 0; i < N_SOME; i++) {
        const tr_tensor *t = &file.tensors[i].tensor;
        size_t bytes = (size_t)file.tensors[i].elements * size_of(some[i].type);
        ck_assert_str_eq(t->name, some[i].name);
        ck_assert_int_eq(t->n_dims, some[i].n_dims);
        if (t->n_dims) ck_assert_mem_eq(t->dim, some[i].dim, (size_t)t->n_dims * sizeof *t->dim);
        ck_assert_int_eq(t->type, some[i].type);
        ck_assert_str_eq(file.tensors[i].dtype, dtypes[some[i].type]);
        for (int step = 1; step < 4; step++) {
            void *got = values_of(&file, i, step);
            if (bytes) ck_assert_mem_eq(got, some[i].data, bytes);
            free(got);
        }
    }
    tr_safetensors_close(&file);
    tr_safetensors_close(&file); /* none is fine */
}
END_TEST

/* The bytes of a small file, one by one: the format itself, not only our reading of it. */
START_TEST(safetensors_bytes) {
    tr_error err = {0};
    float x[2] = {1, -2};
    double y = 1;
    int64_t z[1] = {-2};
    const given in[] = {
        {"w", 1, {2}, x, TR_FLOAT32}, {"d", 1, {1}, &y, TR_FLOAT64}, {"n", 0, {0}, z, TR_INT64}};
    const char *path = in_folder("w.safetensors");
    ck_assert_int_eq(save(path, in, 3, NULL, 0, &err), 0);
    size_t bytes;
    char *file = read_file(path, &bytes), hex[65];
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"d\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[8,16]},"
                                 "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[16,24]}}";
    static const char data[] =
        "\0\0\x80\x3f\0\0\0\xc0\0\0\0\0\0\0\xf0\x3f\xfe\xff\xff\xff\xff\xff\xff\xff";
    size_t padded = (strlen(header) + 7) / 8 * 8;
    ck_assert_uint_eq(bytes, 8 + padded + 24);
    ck_assert_uint_eq((unsigned char)file[0], padded);
    for (int i = 1; i < 8; i++) ck_assert_int_eq(file[i], 0);
    ck_assert_mem_eq(file + 8, header, strlen(header));
    for (size_t i = 8 + strlen(header); i < 8 + padded; i++) ck_assert_int_eq(file[i], ' ');
    ck_assert_mem_eq(file + 8 + padded, data, 24);
    free(file);
    tr_tensor_source source = source_of(in, 3);
    tr_tensors_sha256(&source, hex);
    ck_assert_str_eq(hex, sha256(data, 24, 24));
}
END_TEST

/* sha256sum over the four bytes 00 00 80 3f, and over nothing. */
START_TEST(tensors_sha256_known) {
    float one = 1;
    char hex[65], direct[65];
    given t = {"one", 0, {0}, &one, TR_FLOAT32};
    tr_tensor_source source = source_of(&t, 1);
    tr_tensors_sha256(&source, hex);
    strcpy(direct, sha256("\0\0\x80\x3f", 4, 4));
    ck_assert_str_eq(hex, direct);
    source = source_of(NULL, 0);
    tr_tensors_sha256(&source, hex);
    ck_assert_str_eq(hex, sha256("", 0, 1));
    /* More than one part, and cut over two tensors. */
    static float many[5000];
    for (int i = 0; i < 5000; i++) many[i] = (float)i;
    given whole = {"a", 1, {5000}, many, TR_FLOAT32};
    given parts[2] = {{"a", 2, {3, 1000}, many, TR_FLOAT32},
                      {"b", 1, {2000}, many + 3000, TR_FLOAT32}};
    char a[65], b[65];
    source = source_of(&whole, 1);
    tr_tensors_sha256(&source, a);
    source = source_of(parts, 2);
    tr_tensors_sha256(&source, b);
    ck_assert_str_eq(a, b);
}
END_TEST

/* Any number of dimensions, names of any length, more than one part; out of the file's order. */
START_TEST(safetensors_large_shapes) {
    tr_error err = {0};
    tr_safetensors file;
    static float many[10000];
    char name[5000];
    for (int i = 0; i < 10000; i++) many[i] = (float)i;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    const given in[2] = {{name, 5, {2, 5, 1, 10, 100}, many, TR_FLOAT32},
                         {"b", 1, {3}, many, TR_FLOAT32}};
    ck_assert_msg(!save(in_folder("large"), in, 2, NULL, 0, &err), "%s", err.text);
    ck_assert_msg(!tr_safetensors_open(in_folder("large"), &file, &err), "%s", err.text);
    ck_assert_str_eq(file.tensors[0].tensor.name, name);
    ck_assert_int_eq(file.tensors[0].tensor.n_dims, 5);
    float *b = values_of(&file, 1, 100), *a = values_of(&file, 0, 9999);
    ck_assert_mem_eq(b, many, 3 * sizeof *many);
    ck_assert_mem_eq(a, many, sizeof many);
    free(a);
    free(b);
    /* Cut while it is open. */
    ck_assert_int_eq(truncate(in_folder("large"), 30000), 0);
    static float got[10000];
    ck_assert_int_eq(tr_safetensors_read(&file, 0, TR_FLOAT32, 0, 10000, got, &err), TR_EIO);
    ck_assert_msg(strstr(err.text, "large: ends at byte 30000"), "%s", err.text);
    tr_safetensors_close(&file);
}
END_TEST

static void get_number(void *arg, int tensor, int64_t first, int64_t n, void *out) {
    (void)arg, (void)tensor;
    for (int64_t i = 0; i < n; i++) ((float *)out)[i] = (float)(first + i);
}

/* 16 MiB are written and read, and no 16 MiB are held. */
START_TEST(safetensors_without_a_copy) {
    enum { N = 1 << 22, MOST = 4 << 20 };
    tr_error err = {0};
    tr_safetensors file;
    char sha[65];
    float got[1000];
    const int64_t dim[1] = {N};
    tr_tensor tensor = {"large", 1, dim, TR_FLOAT32};
    tr_tensor_source source = {1, &tensor, get_number, NULL};
    int64_t before = tr_peak_memory();
    ck_assert_msg(!tr_safetensors_save(in_folder("large"), &source, NULL, 0, sha, &err), "%s",
                  err.text);
    ck_assert_msg(!tr_safetensors_open(in_folder("large"), &file, &err), "%s", err.text);
    for (int64_t at = 0; at < N; at += 1000) {
        int64_t part = N - at < 1000 ? N - at : 1000;
        ck_assert_int_eq(tr_safetensors_read(&file, 0, TR_FLOAT32, at, part, got, &err), TR_OK);
        ck_assert_float_eq(got[part - 1], (float)(at + part - 1));
    }
    tr_safetensors_close(&file);
    ck_assert_int_lt(tr_peak_memory() - before, MOST);
}
END_TEST

START_TEST(safetensors_no_tensors) {
    tr_error err = {0};
    tr_safetensors file;
    const char *path = in_folder("none");
    ck_assert_int_eq(save(path, NULL, 0, NULL, 0, &err), 0);
    ck_assert_msg(!tr_safetensors_open(path, &file, &err), "%s", err.text);
    ck_assert_int_eq(file.n, 0);
    tr_safetensors_close(&file);
}
END_TEST

START_TEST(safetensors_save_refuses) {
    static const struct {
        given tensor[2];
        const char *message;
    } bad[] = {
        {{{"a", 1, {1}, bias, TR_FLOAT32}, {"a", 1, {1}, bias, TR_FLOAT32}},
         "tensor 'a': the name is taken"},
        {{{"a", 1, {1}, bias, TR_FLOAT32}, {"__metadata__", 1, {1}, bias, TR_FLOAT32}},
         "'__metadata__': the name is taken"},
        {{{"a", 1, {1}, bias, TR_FLOAT32}, {"\xff", 1, {1}, bias, TR_FLOAT32}},
         "the name is not UTF-8"},
        {{{"a", 1, {1}, bias, TR_FLOAT32}, {"b", 2, {INT64_MAX, 4}, bias, TR_FLOAT32}},
         "'b': the shape is too large"},
        {{{"a", 1, {1}, bias, TR_FLOAT32}, {"b", 1, {-1}, bias, TR_FLOAT32}},
         "'b': the shape is too large"},
        {{{"a", 1, {1}, bias, TR_FLOAT32}, {"b", 1, {INT64_MAX / 8 + 1}, counts, TR_INT64}},
         "'b': the shape is too large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tr_error err = {0};
        ck_assert_int_lt(save(in_folder("bad"), bad[i].tensor, 2, NULL, 0, &err), 0);
        ck_assert_msg(strstr(err.text, bad[i].message), "%s", err.text);
        ck_assert_int_eq(n_entries(folder), 0);
    }
    tr_error err = {0};
    const char *const metadata[][2] = {{"format", "\xff"}};
    ck_assert_int_lt(save(in_folder("bad"), NULL, 0, metadata, 1, &err), 0);
    ck_assert_msg(strstr(err.text, "metadata 'format' is not UTF-8"), "%s", err.text);
}
END_TEST

/* ---- damaged files ---- */

/* Opening must fail with one line that names the file and holds `message`, and give nothing. */
START_TEST(safetensors_truncated) {
    tr_error err = {0};
    const char *const metadata[][2] = {{"format", "pt"}};
    ck_assert_int_eq(save(in_folder("whole"), some, N_SOME, metadata, 1, &err), 0);
    size_t bytes;
    char *file = read_file(in_folder("whole"), &bytes), what[32];
    for (size_t length = 0; length < bytes; length++) {
        const char *path = in_folder("cut");
        write_file(path, file, length);
        snprintf(what, sizeof what, "%zu bytes", length);
        must_fail(path, "", what);
    }
    file[bytes] = 'x';
    write_file(in_folder("cut"), file, bytes + 1);
    must_fail(in_folder("cut"), "1 bytes follow the last tensor", "a byte too many");
    free(file);
}
END_TEST

START_TEST(safetensors_header_length) {
    static const struct {
        unsigned char length[8];
        const char *message;
    } bad[] = {
        {{0}, "does not start with '{'"},
        {{3}, "header length 3: at most 100000000 bytes are allowed and 2 are in the file"},
        {{0, 0, 0, 6}, "header length 100663296"},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "header length 18446744073709551615"},
        {{0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "at most 100000000"},
        {{0, 0, 0, 0, 0, 0, 0, 0x80}, "header length 9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        unsigned char file[10] = {0};
        memcpy(file, bad[i].length, 8);
        memcpy(file + 8, "{}", 2);
        write_file(in_folder("length"), file, sizeof file);
        must_fail(in_folder("length"), bad[i].message, bad[i].message);
    }
}
END_TEST

/* 16 bytes of data stand behind each of these headers. */
static const struct {
    const char *header, *message;
} damaged[] = {
    {"", "does not start with '{'"},
    {" {}", "does not start with '{'"},
    {"[]", "does not start with '{'"},
    {"{", "not valid JSON"},
    {"{}x", "not valid JSON"},
    {"{" T("a", "F32", "[4]", "[0,16]") "", "not valid JSON"},
    {"{\"a\n\":1}", "not valid JSON"},
    {"{\"\\u0000\":1}", "not valid JSON"},
    {"{\"\xff\":1}", "not valid JSON"},
    {"{}", "16 bytes follow the last tensor"},
    {"{\"a\":1}", "tensor 'a': its description is not an object"},
    {"{\"a\":{}}", "tensor 'a': dtype is missing"},
    {"{\"a\":{\"dtype\":\"F32\"}}", "tensor 'a': shape is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}", "tensor 'a': data_offsets is not"},
    {"{\"a\":{\"dtype\":1,\"shape\":[4],\"data_offsets\":[0,16]}}", "dtype is missing or not text"},
    {"{" T("a", "F64", "[4]", "[0,16]") "}", "the shape needs 32 bytes, data_offsets hold 16"},
    {"{" T("a", "BF16", "[4]", "[0,16]") "}", "the shape needs 8 bytes"},
    {"{" T("a", "I64", "[4]", "[0,16]") "}", "the shape needs 32 bytes"},
    {"{" T("a", "F32", "4", "[0,16]") "}", "shape is missing or not a list"},
    {"{" T("a", "F32", "[4.0]", "[0,16]") "}", "shape[0] is not an integer"},
    {"{" T("a", "F32", "[1,-4]", "[0,16]") "}", "shape[1] is not an integer"},
    {"{" T("a", "F32", "[\"4\"]", "[0,16]") "}", "shape[0] is not an integer"},
    {"{" T("a", "F32", "[99999999999999999999]", "[0,16]") "}", "not valid JSON"},
    {"{" T("a", "F32", "[3]", "[0,16]") "}", "the shape needs 12 bytes, data_offsets hold 16"},
    {"{" T("a", "F32", "[5]", "[0,16]") "}", "the shape needs 20 bytes"},
    {"{" T("a", "F32", "[0]", "[0,16]") "}", "the shape needs 0 bytes"},
    /* 2^62 * 4 and 2^63: products that are small again once they have overflowed. */
    {"{" T("a", "F32", "[4611686018427387908]", "[0,16]") "}", "the shape is too large"},
    {"{" T("a", "F32", "[4294967296,4294967296,4]", "[0,0]") "}", "the shape is too large"},
    {"{" T("a", "F32", "[4]", "[0,16,16]") "}", "data_offsets is not"},
    {"{" T("a", "F32", "[4]", "[16]") "}", "data_offsets is not"},
    {"{" T("a", "F32", "[4]", "{}") "}", "data_offsets is not"},
    {"{" T("a", "F32", "[4]", "[16,0]") "}", "data_offsets is not"},
    {"{" T("a", "F32", "[4]", "[-16,0]") "}", "data_offsets is not"},
    {"{" T("a", "F32", "[4]", "[0.0,16]") "}", "data_offsets is not"},
    {"{" T("a", "F32", "[4]", "[1,17]") "}", "data_offsets end at 17, the file has 16"},
    {"{" T("a", "F32", "[5]", "[0,20]") "}", "data_offsets end at 20, the file has 16"},
    {"{" T("a", "F32", "[2]", "[0,8]") "}", "8 bytes follow the last tensor"},
    {"{" T("a", "F32", "[2]", "[8,16]") "}", "bytes 0 to 8 of the data belong to no tensor"},
    {"{" T("a", "F32", "[1]", "[0,4]") "," T("b", "F32", "[2]", "[8,16]") "}",
     "bytes 4 to 8 of the data belong to no tensor (before 'b')"},
    {"{" T("a", "F32", "[3]", "[0,12]") "," T("b", "F32", "[2]", "[8,16]") "}",
     "tensors 'a' and 'b' overlap at byte 8"},
    {"{" T("a", "F32", "[4]", "[0,16]") "," T("b", "F32", "[4]", "[0,16]") "}",
     "tensors 'a' and 'b' overlap at byte 0"},
    {"{" T("a", "F32", "[4]", "[0,16]") "," T("b", "F32", "[0]", "[8,8]") "}", "overlap at byte 8"},
    {"{" T("a", "F32", "[2]", "[0,8]") "," T("a", "F32", "[2]", "[8,16]") "}", "duplicate"},
    {"{\"__metadata__\":1," T("a", "F32", "[4]", "[0,16]") "}", "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"k\":1}," T("a", "F32", "[4]", "[0,16]") "}", "'k' is not text"},
};

static void write_with_header(const char *path, const char *header, const char *data) {
    char file[1024] = {0};
    size_t length = strlen(header);
    file[0] = (char)length;
    file[1] = (char)(length >> 8);
    memcpy(file + 8, header, length);
    memcpy(file + 8 + length, data, 16);
    write_file(path, file, 8 + length + 16);
}

START_TEST(safetensors_damaged) {
    write_with_header(in_folder("damaged"), damaged[_i].header, "0123456789abcdef");
    must_fail(in_folder("damaged"), damaged[_i].message, damaged[_i].header);
}
END_TEST

/* What looks odd and is allowed: an unpadded header, tensors out of order, empty ones at a seam. */
START_TEST(safetensors_odd_but_valid) {
    tr_error err = {0};
    tr_safetensors file;
    const char *path = in_folder("odd");
    write_with_header(path,
                      "{\"__metadata__\":null," T("z", "F32", "[2]", "[8,16]") "," T(
                          "e", "F32", "[3,0]", "[8,8]") "," T("a", "F32", "[1,2]", "[0,8]") "}",
                      "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40");
    ck_assert_msg(!tr_safetensors_open(path, &file, &err), "%s", err.text);
    ck_assert_int_eq(file.n, 3);
    ck_assert_str_eq(file.tensors[0].tensor.name, "a");
    ck_assert_str_eq(file.tensors[1].tensor.name, "e");
    ck_assert_str_eq(file.tensors[2].tensor.name, "z");
    ck_assert_int_eq(file.tensors[1].tensor.dim[1], 0);
    float *a = values_of(&file, 0, 2), *z = values_of(&file, 2, 2);
    ck_assert_float_eq(a[0], 1);
    ck_assert_float_eq(z[1], 4);
    free(a);
    free(z);
    tr_safetensors_close(&file);
}
END_TEST

/* Types that no parameter can have stand beside others; they are refused when they are read. */
START_TEST(safetensors_other_types) {
    static const struct {
        const char *dtype;
        bool parameter;
    } types[] = {{"I64", false}, {"U64", false}, {"F4", true}, {"Q8_new", true}, {"F\\n2", true}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        tr_error err = {0};
        tr_safetensors file;
        char header[200];
        float x[2];
        snprintf(header, sizeof header,
                 "{" T("f", "F32", "[2]", "[8,16]") ",\"n\":{\"dtype\":"
                                                    "\"%s\",\"shape\":[],\"data_offsets\":[0,8]}}",
                 types[i].dtype);
        write_with_header(in_folder("types"), header, "0123456789abcdef");
        ck_assert_msg(!tr_safetensors_open(in_folder("types"), &file, &err), "%s", err.text);
        ck_assert(file.tensors[0].parameter == types[i].parameter && file.tensors[1].parameter);
        ck_assert_int_eq(tr_safetensors_read(&file, 1, TR_FLOAT32, 0, 2, x, &err), TR_OK);
        double wide;
        bool integer = types[i].dtype[1] == '6';
        ck_assert_int_eq(tr_safetensors_read(&file, 0, TR_FLOAT32, 0, 1, x, &err), TR_EIO);
        ck_assert_int_eq(tr_safetensors_read(&file, 0, TR_FLOAT64, 0, 1, &wide, NULL),
                         integer ? TR_OK : TR_EIO);
        ck_assert_ptr_null(tr_safetensors_metadata(&file, "mode"));
        ck_assert_msg(strstr(err.text, "types: tensor 'n': dtype is ") &&
                          strstr(err.text, "those that are read are F32, F16, BF16, F64") &&
                          !strchr(err.text, '\n'),
                      "%s", err.text);
        tr_safetensors_close(&file);
    }
}
END_TEST

START_TEST(safetensors_no_memory) {
    tr_error err = {0};
    tr_safetensors file;
    int failures = 0;
    ck_assert_int_eq(save(in_folder("m"), some, N_SOME, NULL, 0, &err), 0);
    for (long allowed = 0;; allowed++) {
        err = (tr_error){0};
        tr_alloc_fail_after(allowed);
        int rc = tr_safetensors_open(in_folder("m"), &file, &err);
        tr_alloc_fail_after(-1);
        if (rc == 0) break;
        ck_assert_int_eq(rc, TR_ENOMEM);
        ck_assert_int_eq(err.code, TR_ENOMEM);
        failures++;
    }
    ck_assert_int_ge(failures, 4); /* path, header, tensors, dimensions */
    tr_safetensors_close(&file);
    tr_alloc_fail_after(0);
    ck_assert_int_eq(save(in_folder("n"), some, N_SOME, NULL, 0, &err), TR_ENOMEM);
    tr_alloc_fail_after(-1);
    ck_assert_int_eq(n_entries(folder), 1);
}
END_TEST

START_TEST(safetensors_missing_files) {
    tr_error err = {0};
    tr_safetensors file;
    ck_assert_int_lt(tr_safetensors_open(in_folder("nothing"), &file, &err), 0);
    ck_assert_msg(strstr(err.text, "nothing"), "%s", err.text);
    err = (tr_error){0};
    ck_assert_int_lt(save(in_folder("no/folder"), NULL, 0, NULL, 0, &err), 0);
    ck_assert_int_eq(n_entries(folder), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("safetensors");
    TCase *tc = tcase_create("safetensors");
    tcase_add_checked_fixture(tc, make_scratch, remove_scratch);
    tcase_add_test(tc, safetensors_round_trip);
    tcase_add_test(tc, safetensors_bytes);
    tcase_add_test(tc, tensors_sha256_known);
    tcase_add_test(tc, safetensors_large_shapes);
    tcase_add_test(tc, safetensors_without_a_copy);
    tcase_add_test(tc, safetensors_other_types);
    tcase_add_test(tc, safetensors_no_tensors);
    tcase_add_test(tc, safetensors_save_refuses);
    tcase_add_test(tc, safetensors_truncated);
    tcase_add_test(tc, safetensors_header_length);
    tcase_add_loop_test(tc, safetensors_damaged, 0, (int)(sizeof damaged / sizeof damaged[0]));
    tcase_add_test(tc, safetensors_odd_but_valid);
    tcase_add_test(tc, safetensors_no_memory);
    tcase_add_test(tc, safetensors_missing_files);
    suite_add_tcase(suite, tc);
    return tr_check_run(suite);
}
