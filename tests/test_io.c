/* Tests of the room `io`: SHA-256, safetensors, JSON.
 *
 * Every file is made in a fresh folder that the fixture removes. Damaged safetensors files are
 * written as text here, each wrong in one way, and the message must name what is wrong.
 */
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "io/io.h"

static char folder[PATH_MAX];

static void setup(void) {
    const char *root = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/trainer-io-XXXXXX", root ? root : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static const char *in_folder(const char *name) {
    static char path[PATH_MAX + 256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int count_files(bool remove_them) {
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    int n = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (remove_them) remove(in_folder(e->d_name));
        n++;
    }
    closedir(dir);
    return n;
}

static void teardown(void) {
    count_files(true);
    rmdir(folder);
}

static void write_file(const char *path, const void *data, size_t bytes) {
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

/* The whole file, with a NUL behind it; free() it. */
static char *read_file(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    char *text = calloc(1, 1 << 20);
    *bytes = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    return text;
}

/* ---- SHA-256 ---- */

static const char *sha256(const void *data, size_t bytes, size_t step) {
    static char hex[65];
    const char *p = data;
    tr_sha256 sha;
    tr_sha256_start(&sha);
    for (size_t at = 0; at < bytes; at += step)
        tr_sha256_add(&sha, p + at, bytes - at < step ? bytes - at : step);
    tr_sha256_end(&sha, hex);
    return hex;
}

/* The examples of FIPS 180-4 and NIST's short messages. */
START_TEST(sha256_known_answers) {
    static const struct {
        const char *text, *hex;
    } known[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqr"
         "lmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
        {"\xbd", "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"},
        {"\xc9\x8c\x8e\x55", "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        ck_assert_str_eq(sha256(known[i].text, strlen(known[i].text), 1000), known[i].hex);
}
END_TEST

START_TEST(sha256_million) {
    static char a[1000000];
    memset(a, 'a', sizeof a);
    const char *hex = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    ck_assert_str_eq(sha256(a, sizeof a, sizeof a), hex);
    ck_assert_str_eq(sha256(a, sizeof a, 61), hex);
}
END_TEST

/* Every length around the block and padding borders, in pieces of every size. */
START_TEST(sha256_pieces) {
    char data[200], whole[65];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (char)(i * 7 + 3);
    for (size_t n = 0; n <= sizeof data; n++) {
        strcpy(whole, sha256(data, n, sizeof data));
        for (size_t step = 1; step < 130; step += 3) ck_assert_str_eq(sha256(data, n, step), whole);
    }
    /* The length of NIST's zero-filled messages: one block exactly, and the border of the padding.
     */
    char zero[64] = {0};
    ck_assert_str_eq(sha256(zero, 55, 64),
                     "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7");
    ck_assert_str_eq(sha256(zero, 56, 64),
                     "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb");
    ck_assert_str_eq(sha256(zero, 64, 64),
                     "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
}
END_TEST

/* ---- safetensors: what is written comes back ---- */

static float weight[6] = {1, -2, 0.5f, 3e-40f, INFINITY, -0.0f};
static float bias[1] = {42};
static float scalar[1] = {-1};

static int make_tensors(tr_tensor out[4]) {
    /* A name that sorts before its predecessor: the order is the caller's, not the alphabet's. */
    out[0] = (tr_tensor){"fc.weight", 2, {2, 3}, weight};
    out[1] = (tr_tensor){"bias", 1, {1}, bias};
    out[2] = (tr_tensor){"empty", 2, {0, 5}, NULL};
    out[3] = (tr_tensor){"a.scalar", 0, {0}, scalar};
    return 4;
}

START_TEST(safetensors_round_trip) {
    tr_error err = {0};
    tr_tensor in[4], *out = NULL;
    int n_in = make_tensors(in), n = 0;
    uint32_t payload = 0x7fa12345; /* a signaling NaN: moving it as a float may change its bits */
    memcpy(&weight[2], &payload, sizeof payload);
    const char *const metadata[][2] = {{"format", "pt"}, {"note", "quote \" and \xC3\xA9"}};
    const char *path = in_folder("model.safetensors");
    ck_assert_msg(!tr_safetensors_save(path, in, n_in, metadata, 2, &err), "%s", err.text);
    ck_assert_int_eq(count_files(false), 1);
    ck_assert_msg(!tr_safetensors_load(path, &out, &n, &err), "%s", err.text);
    ck_assert_int_eq(n, n_in);
    for (int i = 0; i < n; i++) {
        ck_assert_str_eq(out[i].name, in[i].name);
        ck_assert_int_eq(out[i].n_dims, in[i].n_dims);
        ck_assert_mem_eq(out[i].dim, in[i].dim, sizeof in[i].dim);
        ck_assert_uint_eq((uintptr_t)out[i].data % TR_ALIGN, 0);
    }
    ck_assert_mem_eq(out[0].data, weight, sizeof weight);
    ck_assert_mem_eq(out[1].data, bias, sizeof bias);
    ck_assert_mem_eq(out[3].data, scalar, sizeof scalar);
    char a[65], b[65];
    tr_tensors_sha256(in, n, a);
    tr_tensors_sha256(out, n, b);
    ck_assert_str_eq(a, b);
    tr_tensors_free(out, n);
    tr_tensors_free(NULL, 0);
}
END_TEST

/* The bytes of a small file, one by one: the format itself, not only our reading of it. */
START_TEST(safetensors_bytes) {
    tr_error err = {0};
    float x[2] = {1, -2};
    tr_tensor in = {"w", 1, {2}, x};
    const char *path = in_folder("w.safetensors");
    ck_assert_int_eq(tr_safetensors_save(path, &in, 1, NULL, 0, &err), 0);
    size_t bytes;
    char *file = read_file(path, &bytes);
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    size_t padded = (strlen(header) + 7) / 8 * 8;
    ck_assert_uint_eq(bytes, 8 + padded + 8);
    ck_assert_uint_eq((unsigned char)file[0], padded);
    for (int i = 1; i < 8; i++) ck_assert_int_eq(file[i], 0);
    ck_assert_mem_eq(file + 8, header, strlen(header));
    for (size_t i = 8 + strlen(header); i < 8 + padded; i++) ck_assert_int_eq(file[i], ' ');
    ck_assert_mem_eq(file + 8 + padded, "\0\0\x80\x3f\0\0\0\xc0", 8);
    free(file);
}
END_TEST

/* sha256sum over the four bytes 00 00 80 3f, and over nothing. */
START_TEST(tensors_sha256_known) {
    float one = 1;
    char hex[65], direct[65];
    tr_tensor t = {"one", 0, {0}, &one};
    tr_tensors_sha256(&t, 1, hex);
    strcpy(direct, sha256("\0\0\x80\x3f", 4, 4));
    ck_assert_str_eq(hex, direct);
    tr_tensors_sha256(NULL, 0, hex);
    ck_assert_str_eq(hex, sha256("", 0, 1));
    /* More than one chunk, and cut over two tensors. */
    static float many[5000];
    for (int i = 0; i < 5000; i++) many[i] = (float)i;
    tr_tensor whole = {"a", 1, {5000}, many};
    tr_tensor parts[2] = {{"a", 2, {3, 1000}, many}, {"b", 1, {2000}, many + 3000}};
    char a[65], b[65];
    tr_tensors_sha256(&whole, 1, a);
    tr_tensors_sha256(parts, 2, b);
    ck_assert_str_eq(a, b);
}
END_TEST

START_TEST(safetensors_no_tensors) {
    tr_error err = {0};
    tr_tensor *out;
    int n;
    const char *path = in_folder("none");
    ck_assert_int_eq(tr_safetensors_save(path, NULL, 0, NULL, 0, &err), 0);
    ck_assert_msg(!tr_safetensors_load(path, &out, &n, &err), "%s", err.text);
    ck_assert_int_eq(n, 0);
    tr_tensors_free(out, n);
}
END_TEST

START_TEST(safetensors_save_refuses) {
    static const struct {
        tr_tensor tensor[2];
        const char *message;
    } bad[] = {
        {{{"a", 1, {1}, bias}, {"a", 1, {1}, bias}}, "tensor 'a': the name is taken"},
        {{{"a", 1, {1}, bias}, {"__metadata__", 1, {1}, bias}},
         "'__metadata__': the name is taken"},
        {{{"a", 1, {1}, bias}, {"\xff", 1, {1}, bias}}, "the name is not UTF-8"},
        {{{"a", 1, {1}, bias}, {"b", 2, {INT64_MAX, 4}, bias}}, "'b': the shape is too large"},
        {{{"a", 1, {1}, bias}, {"b", 1, {-1}, bias}}, "'b': the shape is too large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tr_error err = {0};
        ck_assert_int_lt(tr_safetensors_save(in_folder("bad"), bad[i].tensor, 2, NULL, 0, &err), 0);
        ck_assert_msg(strstr(err.text, bad[i].message), "%s", err.text);
        ck_assert_int_eq(count_files(false), 0);
    }
    tr_error err = {0};
    const char *const metadata[][2] = {{"format", "\xff"}};
    ck_assert_int_lt(tr_safetensors_save(in_folder("bad"), NULL, 0, metadata, 1, &err), 0);
    ck_assert_msg(strstr(err.text, "metadata 'format' is not UTF-8"), "%s", err.text);
}
END_TEST

/* ---- safetensors: damaged files ---- */

/* Load must fail with one line that names the file and holds `message`, and give nothing. */
static void must_fail(const char *path, const char *message, const char *what) {
    tr_error err = {0};
    tr_tensor *out = (tr_tensor *)folder;
    int n = 7;
    int rc = tr_safetensors_load(path, &out, &n, &err);
    ck_assert_msg(rc == TR_EIO, "%s: %d %s", what, rc, err.text);
    ck_assert_msg(strstr(err.text, path) && strstr(err.text, message), "%s: %s", what, err.text);
    ck_assert_msg(!strchr(err.text, '\n'), "%s", err.text);
    ck_assert_ptr_null(out);
    ck_assert_int_eq(n, 0);
}

START_TEST(safetensors_truncated) {
    tr_error err = {0};
    tr_tensor in[4];
    int n = make_tensors(in);
    const char *const metadata[][2] = {{"format", "pt"}};
    ck_assert_int_eq(tr_safetensors_save(in_folder("whole"), in, n, metadata, 1, &err), 0);
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

#define T(name, dtype, shape, offsets)                                                             \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

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
    {"{" T("a", "F64", "[2]", "[0,16]") "}", "tensor 'a': dtype is F64, only F32"},
    {"{" T("a", "f32", "[4]", "[0,16]") "}", "dtype is f32"},
    {"{" T("a", "F\\n2", "[4]", "[0,16]") "}", "only F32"},
    {"{" T("a", "F32", "4", "[0,16]") "}", "shape is missing or not a list"},
    {"{" T("a", "F32", "[4.0]", "[0,16]") "}", "shape[0] is not a whole number"},
    {"{" T("a", "F32", "[1,-4]", "[0,16]") "}", "shape[1] is not a whole number"},
    {"{" T("a", "F32", "[\"4\"]", "[0,16]") "}", "shape[0] is not a whole number"},
    {"{" T("a", "F32", "[99999999999999999999]", "[0,16]") "}", "not valid JSON"},
    {"{" T("a", "F32", "[1,1,1,1,4]", "[0,16]") "}", "5 dimensions"},
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
    {"{" T(
         "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
         "89012345",
         "F32", "[4]", "[0,16]") "}",
     "the name has 96 bytes, at most 95 fit"},
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
    tr_tensor *out;
    int n;
    const char *path = in_folder("odd");
    write_with_header(path,
                      "{" T("z", "F32", "[2]", "[8,16]") "," T("e", "F32", "[3,0]", "[8,8]") "," T(
                          "a", "F32", "[1,2]", "[0,8]") "}",
                      "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40");
    ck_assert_msg(!tr_safetensors_load(path, &out, &n, &err), "%s", err.text);
    ck_assert_int_eq(n, 3);
    ck_assert_str_eq(out[0].name, "a");
    ck_assert_str_eq(out[1].name, "e");
    ck_assert_str_eq(out[2].name, "z");
    ck_assert_float_eq(out[0].data[0], 1);
    ck_assert_float_eq(out[2].data[1], 4);
    ck_assert_int_eq(out[1].dim[1], 0);
    tr_tensors_free(out, n);
}
END_TEST

START_TEST(safetensors_no_memory) {
    tr_error err = {0};
    tr_tensor in[4], *out;
    int n_in = make_tensors(in), n, failures = 0;
    ck_assert_int_eq(tr_safetensors_save(in_folder("m"), in, n_in, NULL, 0, &err), 0);
    for (long allowed = 0;; allowed++) {
        err = (tr_error){0};
        tr_alloc_fail_after(allowed);
        int rc = tr_safetensors_load(in_folder("m"), &out, &n, &err);
        tr_alloc_fail_after(-1);
        if (rc == 0) break;
        ck_assert_int_eq(rc, TR_ENOMEM);
        ck_assert_int_eq(err.code, TR_ENOMEM);
        failures++;
    }
    /* Two lists and four tensors. */
    ck_assert_int_ge(failures, 6);
    tr_tensors_free(out, n);
    tr_alloc_fail_after(0);
    ck_assert_int_eq(tr_safetensors_save(in_folder("n"), in, n_in, NULL, 0, &err), TR_ENOMEM);
    tr_alloc_fail_after(-1);
    ck_assert_int_eq(count_files(false), 1);
}
END_TEST

START_TEST(missing_files) {
    tr_error err = {0};
    tr_tensor *out;
    int n;
    ck_assert_int_lt(tr_safetensors_load(in_folder("nothing"), &out, &n, &err), 0);
    ck_assert_msg(strstr(err.text, "nothing"), "%s", err.text);
    err = (tr_error){0};
    json_t *json;
    ck_assert_int_lt(tr_json_load(in_folder("nothing"), &json, &err), 0);
    ck_assert_ptr_null(json);
    err = (tr_error){0};
    ck_assert_int_lt(tr_json_save(in_folder("no/folder.json"), json_object(), &err), 0);
    err = (tr_error){0};
    ck_assert_int_lt(tr_safetensors_save(in_folder("no/folder"), NULL, 0, NULL, 0, &err), 0);
    ck_assert_int_eq(count_files(false), 0);
}
END_TEST

/* ---- JSON ---- */

static json_t *example(void) {
    return json_pack("{s:s, s:i, s:o, s:o, s:o, s:[o, o]}", "event", "epoch", "epoch", 2, "loss",
                     tr_json_number(0.1), "nan", tr_json_number(NAN), "inf",
                     tr_json_number(-INFINITY), "accuracy", tr_json_number(0.5512),
                     tr_json_number(1234.5));
}

START_TEST(json_saved_text) {
    tr_error err = {0};
    size_t bytes;
    ck_assert_msg(!tr_json_save(in_folder("a.json"), example(), &err), "%s", err.text);
    char *text = read_file(in_folder("a.json"), &bytes);
    ck_assert_str_eq(text, "{\n  \"event\": \"epoch\",\n  \"epoch\": 2,\n  \"loss\": 0.1,\n"
                           "  \"nan\": null,\n  \"inf\": null,\n  \"accuracy\": [\n    0.5512,\n"
                           "    1234.5\n  ]\n}\n");
    free(text);
    json_t *back;
    ck_assert_msg(!tr_json_load(in_folder("a.json"), &back, &err), "%s", err.text);
    ck_assert_int_eq(json_integer_value(json_object_get(back, "epoch")), 2);
    json_decref(back);
}
END_TEST

/* 9 significant digits bring every float back. */
START_TEST(json_floats_survive) {
    tr_error err = {0};
    json_t *list = json_array(), *back;
    enum { N = 2000 };
    static float value[N];
    for (int i = 0; i < N; i++) {
        uint32_t bits = (uint32_t)i * 2654435761u;
        memcpy(&value[i], &bits, sizeof bits);
        json_array_append_new(list, tr_json_number(value[i]));
    }
    ck_assert_int_eq(tr_json_save(in_folder("f.json"), list, &err), 0);
    ck_assert_msg(!tr_json_load(in_folder("f.json"), &back, &err), "%s", err.text);
    for (int i = 0; i < N; i++) {
        const json_t *item = json_array_get(back, (size_t)i);
        if (isfinite(value[i]))
            ck_assert_float_eq((float)json_real_value(item), value[i]);
        else
            ck_assert(json_is_null(item));
    }
    json_decref(back);
}
END_TEST

START_TEST(json_appended_lines) {
    tr_error err = {0};
    size_t bytes;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(tr_json_append(in_folder("m.jsonl"),
                                        json_pack("{s:i, s:s}", "step", i, "text", "a\nb"), &err),
                         0);
    char *text = read_file(in_folder("m.jsonl"), &bytes);
    ck_assert_str_eq(text,
                     "{\"step\": 0, \"text\": \"a\\nb\"}\n{\"step\": 1, \"text\": \"a\\nb\"}\n"
                     "{\"step\": 2, \"text\": \"a\\nb\"}\n");
    free(text);
}
END_TEST

START_TEST(json_rejected) {
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "is empty"},
        {"{\n\"a\": }", ":2: not JSON"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{} {}", "not JSON"},
        {"\xff", "not JSON"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tr_error err = {0};
        json_t *out = NULL;
        write_file(in_folder("bad.json"), bad[i].text, strlen(bad[i].text));
        ck_assert_int_eq(tr_json_load(in_folder("bad.json"), &out, &err), TR_EIO);
        ck_assert_msg(strstr(err.text, bad[i].message), "%s", err.text);
        ck_assert_ptr_null(out);
    }
    /* What jansson could not build arrives as NULL. */
    tr_error err = {0};
    json_t *impossible = json_pack("{s:f}", "loss", NAN);
    ck_assert_ptr_null(impossible);
    ck_assert_int_lt(tr_json_save(in_folder("n.json"), impossible, &err), 0);
    ck_assert_msg(strstr(err.text, "n.json"), "%s", err.text);
    err = (tr_error){0};
    ck_assert_int_lt(tr_json_append(in_folder("n.json"), NULL, &err), 0);
    ck_assert(!tr_exists(in_folder("n.json")));
}
END_TEST

static Suite *io_suite(void) {
    Suite *suite = suite_create("io");
    TCase *tc = tcase_create("sha256");
    tcase_add_test(tc, sha256_known_answers);
    tcase_add_test(tc, sha256_million);
    tcase_add_test(tc, sha256_pieces);
    suite_add_tcase(suite, tc);

    tc = tcase_create("safetensors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, safetensors_round_trip);
    tcase_add_test(tc, safetensors_bytes);
    tcase_add_test(tc, tensors_sha256_known);
    tcase_add_test(tc, safetensors_no_tensors);
    tcase_add_test(tc, safetensors_save_refuses);
    tcase_add_test(tc, safetensors_truncated);
    tcase_add_test(tc, safetensors_header_length);
    tcase_add_loop_test(tc, safetensors_damaged, 0, (int)(sizeof damaged / sizeof damaged[0]));
    tcase_add_test(tc, safetensors_odd_but_valid);
    tcase_add_test(tc, safetensors_no_memory);
    tcase_add_test(tc, missing_files);
    suite_add_tcase(suite, tc);

    tc = tcase_create("json");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, json_saved_text);
    tcase_add_test(tc, json_floats_survive);
    tcase_add_test(tc, json_appended_lines);
    tcase_add_test(tc, json_rejected);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void) {
    return tr_check_run(io_suite());
}
