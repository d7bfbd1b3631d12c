/* The module `io`: SHA-256 and JSON; safetensors have tests of their own. */
#include <math.h>

#include "io_files.h"

/* ---- SHA-256 ---- */

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

START_TEST(json_missing_files) {
    tr_error err = {0};
    json_t *json;
    ck_assert_int_lt(tr_json_load(in_folder("nothing"), &json, &err), 0);
    ck_assert_ptr_null(json);
    ck_assert_msg(strstr(err.text, "nothing"), "%s", err.text);
    err = (tr_error){0};
    ck_assert_int_lt(tr_json_save(in_folder("no/folder.json"), json_object(), &err), 0);
    ck_assert_int_eq(n_entries(folder), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("io");
    TCase *tc = tcase_create("sha256");
    tcase_add_test(tc, sha256_known_answers);
    tcase_add_test(tc, sha256_million);
    tcase_add_test(tc, sha256_pieces);
    suite_add_tcase(suite, tc);
    tc = tcase_create("json");
    tcase_add_checked_fixture(tc, make_scratch, remove_scratch);
    tcase_add_test(tc, json_saved_text);
    tcase_add_test(tc, json_floats_survive);
    tcase_add_test(tc, json_appended_lines);
    tcase_add_test(tc, json_rejected);
    tcase_add_test(tc, json_missing_files);
    suite_add_tcase(suite, tc);
    return tr_check_run(suite);
}
