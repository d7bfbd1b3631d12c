/* Elements of safetensors files, of every type, read as float32, float64 and int64. */
#include <math.h>

#include "io_files.h"

/* One element of `dtype` with these bits, read as float32; the error's code. */
static int convert(const char *dtype, int bytes, uint64_t bits, uint32_t *out) {
    tr_error err = {0};
    tr_safetensors file;
    unsigned char data[256] = {0};
    float value;
    int n =
        snprintf((char *)data + 8, 200,
                 "{\"x\":{\"dtype\":\"%s\",\"shape\":[1],\"data_offsets\":[0,%d]}}", dtype, bytes);
    data[0] = (unsigned char)n;
    for (int b = 0; b < bytes; b++) data[8 + n + b] = (unsigned char)(bits >> 8 * b);
    write_file(in_folder("one"), data, (size_t)(8 + n + bytes));
    ck_assert_msg(!tr_safetensors_open(in_folder("one"), &file, &err), "%s", err.text);
    int code = tr_safetensors_read(&file, 0, TR_FLOAT32, 0, 1, &value, &err);
    memcpy(out, &value, sizeof value);
    if (code)
        ck_assert_msg(strstr(err.text, "'x': element 0 is finite and too large for float32"), "%s",
                      err.text);
    tr_safetensors_close(&file);
    return code;
}

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Doubles: nothing is lost of a type that fits; integers by their sign. */
START_TEST(values_as_doubles) {
    static const struct {
        const char *dtype;
        int bytes;
        uint64_t bits;
        double value;
    } cases[] = {
        {"F64", 8, 0x3fb999999999999a, 0.1},
        {"F64", 8, 0x7fe1ccf385ebc8a0, 1e308},
        {"F32", 4, 0xbf000001, -0.50000005960464478},
        {"F16", 2, 0x3c01, 1.0009765625},
        {"BF16", 2, 0x3f81, 1.0078125},
        {"I64", 8, 0xffffffffffffffff, -1},
        {"I64", 8, 0x8000000000000000, -9223372036854775808.0},
        {"I64", 8, 0x0020000000000000, 9007199254740992.0},
        {"U64", 8, 0x8000000000000000, 9223372036854775808.0},
        {"I32", 4, 0xfffffffe, -2},
        {"U32", 4, 0xfffffffe, 4294967294.0},
        {"I16", 2, 0x8000, -32768},
        {"I8", 1, 0x80, -128},
        {"I8", 1, 0x7f, 127},
        {"U8", 1, 0xff, 255},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char data[300] = {0};
        tr_error err = {0};
        tr_safetensors file;
        double value = -7;
        int bytes = cases[i].bytes;
        int n =
            snprintf((char *)data + 8, 200,
                     "{\"__metadata__\":{\"mode\":\"eval\"},\"x\":{\"dtype\":\"%s\",\"shape\":[2],"
                     "\"data_offsets\":[0,%d]}}",
                     cases[i].dtype, 2 * bytes);
        data[0] = (unsigned char)n;
        for (int b = 0; b < bytes; b++)
            data[8 + n + bytes + b] = (unsigned char)(cases[i].bits >> 8 * b);
        write_file(in_folder("double"), data, (size_t)(8 + n + 2 * bytes));
        ck_assert_msg(!tr_safetensors_open(in_folder("double"), &file, &err), "%s", err.text);
        ck_assert_int_eq(tr_safetensors_read(&file, 0, TR_FLOAT64, 1, 1, &value, &err), TR_OK);
        ck_assert_msg(value == cases[i].value, "%s: %.17g", cases[i].dtype, value);
        ck_assert_str_eq(tr_safetensors_metadata(&file, "mode"), "eval");
        ck_assert_ptr_null(tr_safetensors_metadata(&file, "seed"));
        tr_safetensors_close(&file);
    }
}
END_TEST

/* Counters, whatever type a program gave them. */
START_TEST(values_as_integers) {
    static const struct {
        const char *dtype;
        int bytes;
        uint64_t bits;
        int64_t value;
        bool fails;
    } cases[] = {
        {"I64", 8, 0xffffffffffffffff, -1, false},
        {"I64", 8, 0x7fffffffffffffff, INT64_MAX, false},
        {"I64", 8, 0x8000000000000000, INT64_MIN, false},
        {"I64", 8, 0x0020000000000001, 9007199254740993, false},
        {"U64", 8, 0x7fffffffffffffff, INT64_MAX, false},
        {"U64", 8, 0x8000000000000000, 0, true},
        {"I32", 4, 0xfffffffe, -2, false},
        {"U32", 4, 0xfffffffe, 4294967294, false},
        {"I16", 2, 0x8000, -32768, false},
        {"I8", 1, 0x80, -128, false},
        {"U8", 1, 0xff, 255, false},
        {"F32", 4, 0x44fa2000, 2001, false},
        {"F32", 4, 0x44fa2001, 0, true},
        {"F32", 4, 0x7fc00000, 0, true},
        {"F32", 4, 0x5f000000, 0, true}, /* 2^63 */
        {"F64", 8, 0xc3e0000000000000, INT64_MIN, false},
        {"F64", 8, 0x7ff0000000000000, 0, true},
        {"F16", 2, 0x6400, 1024, false},
        {"BF16", 2, 0x447a, 1000, false},
        {"BOOL", 1, 1, 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char data[300] = {0};
        tr_error err = {0};
        tr_safetensors file;
        int64_t value[2];
        int bytes = cases[i].bytes;
        int n = snprintf((char *)data + 8, 200,
                         "{\"x\":{\"dtype\":\"%s\",\"shape\":[2],\"data_offsets\":[0,%d]}}",
                         cases[i].dtype, 2 * bytes);
        data[0] = (unsigned char)n;
        for (int b = 0; b < bytes; b++)
            data[8 + n + bytes + b] = (unsigned char)(cases[i].bits >> 8 * b);
        write_file(in_folder("integer"), data, (size_t)(8 + n + 2 * bytes));
        ck_assert_msg(!tr_safetensors_open(in_folder("integer"), &file, &err), "%s", err.text);
        int code = tr_safetensors_read(&file, 0, TR_INT64, 0, 2, value, &err);
        ck_assert_msg(code == (cases[i].fails ? TR_EIO : TR_OK), "%s %llx: %s", cases[i].dtype,
                      (unsigned long long)cases[i].bits, err.text);
        if (!code)
            ck_assert_int_eq(value[1], cases[i].value);
        else if (bytes > 1)
            ck_assert_msg(strstr(err.text, "'x': element 1 is no integer that int64 holds"), "%s",
                          err.text);
        tr_safetensors_close(&file);
    }
}
END_TEST

START_TEST(conversions) {
    static const struct {
        const char *dtype;
        int bytes;
        uint64_t bits;
        uint32_t value;
    } known[] = {
        {"F16", 2, 0x3c00, 0x3f800000}, /* 1 */
        {"F16", 2, 0xc500, 0xc0a00000}, /* -5 */
        {"F16", 2, 0x7bff, 0x477fe000}, /* 65504, the largest */
        {"F16", 2, 0x0400, 0x38800000}, /* 2^-14, the least normal */
        {"F16", 2, 0x0001, 0x33800000}, /* 2^-24, the least subnormal */
        {"F16", 2, 0x83ff, 0xb87fc000}, /* -1023 * 2^-24 */
        {"F16", 2, 0x0000, 0},
        {"F16", 2, 0x8000, 0x80000000},
        {"F16", 2, 0x7c00, 0x7f800000},
        {"F16", 2, 0xfc00, 0xff800000},
        {"F16", 2, 0x7d55, 0x7faaa000}, /* a NaN and what it carries */
        {"BF16", 2, 0x3f80, 0x3f800000},
        {"BF16", 2, 0xc0a0, 0xc0a00000},
        {"BF16", 2, 0x0001, 0x00010000}, /* a subnormal of float32 */
        {"BF16", 2, 0x7f80, 0x7f800000},
        {"BF16", 2, 0xffc1, 0xffc10000},
        {"F64", 8, 0x3ff0000000000000, 0x3f800000},
        {"F64", 8, 0xbfb999999999999a, 0xbdcccccd}, /* -0.1 */
        {"F64", 8, 0x3ff0000010000000, 0x3f800000}, /* ties to even: down */
        {"F64", 8, 0x3ff0000030000000, 0x3f800002}, /* up */
        {"F64", 8, 0x3ff0000010000001, 0x3f800001}, /* a bit more than the tie */
        {"F64", 8, 0x3fffffffffffffff, 0x40000000}, /* carries into the exponent */
        {"F64", 8, 0x47efffffefffffff, 0x7f7fffff}, /* rounds to the largest */
        {"F64", 8, 0x36a0000000000000, 0x00000001}, /* 2^-149 */
        {"F64", 8, 0x3690000000000000, 0},          /* its half: ties to even */
        {"F64", 8, 0x3690000000000001, 0x00000001},
        {"F64", 8, 0x380fffffffffffff, 0x00800000}, /* up to the least normal */
        {"F64", 8, 0x8000000000000001, 0x80000000}, /* float64's own subnormal */
        {"F64", 8, 0x7ff0000000000000, 0x7f800000},
        {"F64", 8, 0xfff0000000000000, 0xff800000},
        {"F64", 8, 0x7ff0000000000001, 0x7f800001}, /* a NaN stays one */
        {"F64", 8, 0x7ff8000000000000, 0x7fc00000},
    };
    uint32_t got;
    tr_flush_subnormals(); /* the thread's mode has no say */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ck_assert_int_eq(convert(known[i].dtype, known[i].bytes, known[i].bits, &got), TR_OK);
        ck_assert_msg(got == known[i].value, "%s %llx: %08x, not %08x", known[i].dtype,
                      (unsigned long long)known[i].bits, got, known[i].value);
    }
    /* The first that would round to infinity, and the largest. */
    ck_assert_int_eq(convert("F64", 8, 0x47effffff0000000, &got), TR_EIO);
    ck_assert_int_eq(convert("F64", 8, bits_of(-1e300), &got), TR_EIO);
}
END_TEST

/* All of float64's range against the processor's own rounding. */
START_TEST(double_as_the_processor) {
    enum { N = 20000 };
    static double x[N];
    static unsigned char data[128 + 8 * N];
    static float got[N];
    tr_error err = {0};
    tr_safetensors file;
    for (int i = 0; i < N; i++) {
        uint64_t bits = tr_random(1, 2, 3, (uint64_t)i) | (uint64_t)tr_random(1, 2, 4, (uint64_t)i)
                                                              << 32;
        if (i % 2) bits = (bits & 0x800fffffffffffff) | (uint64_t)(860 + i % 300) << 52;
        if (i % 4 == 3) bits &= 0xffffffffe0000000 | (i % 8 == 3 ? 0x10000000 : 0);
        memcpy(&x[i], &bits, sizeof bits);
        if (!(fabs(x[i]) < 3.4e38)) x[i] = i;
    }
    int n = snprintf((char *)data + 8, 100, "{" T("x", "F64", "[20000]", "[0,160000]") "}");
    data[0] = (unsigned char)n;
    memcpy(data + 8 + n, x, sizeof x);
    write_file(in_folder("x"), data, (size_t)(8 + n) + sizeof x);
    ck_assert_msg(!tr_safetensors_open(in_folder("x"), &file, &err), "%s", err.text);
    ck_assert_msg(!tr_safetensors_read(&file, 0, TR_FLOAT32, 0, N, got, &err), "%s", err.text);
    for (int i = 0; i < N; i++) {
        float want = (float)x[i];
        ck_assert_msg(!memcmp(&want, &got[i], sizeof want), "%d: %a: %a, not %a", i, x[i],
                      (double)got[i], (double)want);
    }
    tr_safetensors_close(&file);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("conversions");
    TCase *tc = tcase_create("conversions");
    tcase_add_checked_fixture(tc, make_scratch, remove_scratch);
    tcase_add_test(tc, double_as_the_processor);
    tcase_add_test(tc, conversions);
    tcase_add_test(tc, values_as_doubles);
    tcase_add_test(tc, values_as_integers);
    suite_add_tcase(suite, tc);
    return tr_check_run(suite);
}
