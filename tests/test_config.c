/* The configuration: the INI grammar, and every fault by the exact text that a person sees.
 *
 * The messages are part of what the program promises: a change of one shows here, and is made here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "config/config.h"

/* ---- what is allowed ---- */

static tr_doc *parse(const char *text) {
    tr_doc *doc;
    tr_error err = {0};
    ck_assert_msg(!tr_doc_parse("a.ini", text, strlen(text), &doc, &err), "%s", err.text);
    return doc;
}

static void expect_value(const tr_doc *doc, const char *section, const char *key, const char *value,
                         int line) {
    const tr_pair *pair = tr_doc_find(doc, section, key);
    ck_assert_msg(pair != NULL, "%s.%s", section, key);
    ck_assert_str_eq(pair->key, key);
    ck_assert_str_eq(pair->value, value);
    ck_assert_str_eq(pair->context, section);
    ck_assert_int_eq(pair->where.line, line);
    ck_assert_str_eq(pair->where.file, line ? "a.ini" : "--set");
}

START_TEST(grammar) {
    tr_doc *doc = parse("\xef\xbb\xbf; a comment after the byte order mark\r\n" /* 1 */
                        "# another\n"                                           /* 2 */
                        "  \t \n"                                               /* 3 */
                        "[ train ]  ; of a heading\r\n"                         /* 4 */
                        "epochs=2\n"                                            /* 5 */
                        "  seed  =  7  # indented: still a line of its own\n"   /* 6 */
                        "\tname = a b;c#d=e:f \t; the rest\n"                   /* 7 */
                        "empty =\n"                                             /* 8 */
                        "path = \xc3\xa4/x\n"                                   /* 9 */
                        "[empty]\n"                                             /* 10 */
                        "[block basic width=16] #\n"                            /* 11 */
                        "layer1.0 = add from=a,b");                             /* 12, no newline */
    ck_assert_str_eq(tr_doc_name(doc), "a.ini");
    ck_assert_int_eq(tr_doc_n_sections(doc), 3);
    ck_assert_str_eq(tr_doc_section_name(doc, 0), "train");
    ck_assert_str_eq(tr_doc_section_name(doc, 1), "empty");
    ck_assert_str_eq(tr_doc_section_name(doc, 2), "block basic width=16");
    expect_value(doc, "train", "epochs", "2", 5);
    expect_value(doc, "train", "seed", "7", 6);
    expect_value(doc, "train", "name", "a b;c#d=e:f", 7);
    expect_value(doc, "train", "empty", "", 8);
    expect_value(doc, "train", "path", "\xc3\xa4/x", 9);
    expect_value(doc, "block basic width=16", "layer1.0", "add from=a,b", 12);

    int n = -1;
    tr_where where;
    const tr_pair *pairs = tr_doc_section(doc, "train", &n, &where);
    ck_assert_int_eq(n, 5);
    ck_assert_int_eq(where.line, 4);
    ck_assert_str_eq(pairs[0].key, "epochs");
    ck_assert_str_eq(pairs[4].key, "path");
    ck_assert_ptr_nonnull(tr_doc_section(doc, "empty", &n, &where));
    ck_assert(n == 0 && where.line == 10);
    ck_assert_ptr_null(tr_doc_section(doc, "none", &n, &where));
    ck_assert(n == 0 && where.line == 0);
    ck_assert_ptr_null(tr_doc_find(doc, "train", "none"));
    ck_assert_ptr_null(tr_doc_find(doc, "none", "epochs"));
    tr_doc_free(doc);
}
END_TEST

START_TEST(empty_documents) {
    static const char *const texts[] = {"", "\n", "; only this", "\xef\xbb\xbf", "\r\n\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        tr_doc *doc = parse(texts[i]);
        ck_assert_int_eq(tr_doc_n_sections(doc), 0);
        tr_doc_free(doc);
    }
    tr_doc *doc;
    ck_assert_int_eq(tr_doc_parse("nothing", NULL, 0, &doc, NULL), TR_OK);
    tr_doc_free(doc);
    tr_doc_free(NULL);
}
END_TEST

START_TEST(the_longest_words_and_lines) {
    char text[2000], key[50], value[200], longest[200];
    memset(key, 'k', 49);
    memset(value, 'v', 197 - 49 - 3);
    key[49] = value[197 - 49 - 3] = 0;
    memset(longest, ' ', 199); /* neither indentation nor comments count */
    longest[199] = 0;
    snprintf(text, sizeof text, ";%s\n[%s]\n%s%s = %s %s;%s\n", longest, key, longest, key, value,
             longest, longest);
    tr_doc *doc = parse(text);
    expect_value(doc, key, key, value, 3);
    tr_doc_free(doc);
}
END_TEST

START_TEST(many_of_everything) {
    enum { SECTIONS = 40, KEYS = 40 };
    static char text[SECTIONS * KEYS * 20];
    size_t used = 0;
    for (int s = 0; s < SECTIONS; s++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "[s%d]\n", s);
        for (int k = 0; k < KEYS; k++)
            used += (size_t)snprintf(text + used, sizeof text - used, "k%d=%d\n", k, s * k);
    }
    tr_doc *doc = parse(text);
    ck_assert_int_eq(tr_doc_n_sections(doc), SECTIONS);
    for (int s = 0; s < SECTIONS; s++) {
        char name[16], value[16];
        int n;
        snprintf(name, sizeof name, "s%d", s);
        snprintf(value, sizeof value, "%d", s * (KEYS - 1));
        const tr_pair *pairs = tr_doc_section(doc, name, &n, NULL);
        ck_assert_int_eq(n, KEYS);
        ck_assert_str_eq(pairs[KEYS - 1].value, value);
        ck_assert_str_eq(pairs[0].context, name);
    }
    tr_doc_free(doc);
}
END_TEST

/* ---- what is not, and what is said then ---- */

#define TEN      "0123456789"
#define FIFTY    TEN TEN TEN TEN TEN
#define LINE_198 FIFTY FIFTY FIFTY TEN TEN TEN TEN "=2345678"

static const struct {
    const char *text, *message;
} file_faults[] = {
    {"epochs = 2\n", "a.ini:1: the key 'epochs' stands before the first [section]"},
    {"[a]\n\nepochs 2\n", "a.ini:3: 'epochs 2' is neither [section] nor key = value"},
    {"[a]\nepochs: 2\n", "a.ini:2: 'epochs:' should be 'epochs ='"},
    {"[a]\nurl : http://x?a=b\n", "a.ini:2: 'url:' should be 'url ='"},
    {"[a]\n = 2\n", "a.ini:2: the key is missing"},
    {"[a]\nconv1 conv2d out_channels=6\n",
     "a.ini:2: 'conv1 conv2d out_channels' is not a key, a key is one word"},
    {"[a]\nx[0] = 2\n", "a.ini:2: 'x[0]' is not a key, it holds a '['"},
    {"[a]\nx;y = 2\n", "a.ini:2: 'x;y' is not a key, it holds a ';'"},
    {"[a]\nx = 1\ny = 2\nx = 1\n", "a.ini:4: a.x: given twice (first on line 2)"},
    {"[a\nx = 1\n", "a.ini:1: the section heading '[a' has no ']'"},
    {"[a ;]\n", "a.ini:1: the section heading '[a' has no ']'"},
    {"[a] x = 1\n", "a.ini:1: text after the section heading '[a]', allowed is only a comment"},
    {"[a]]\n", "a.ini:1: text after the section heading '[a]', allowed is only a comment"},
    {"[[a]\n", "a.ini:1: '[a' is not a section name, it holds a '['"},
    {"[ ]\n", "a.ini:1: the section name is missing"},
    {"[a]\nx=1\n[b]\n[a]\ny=1\n", "a.ini:4: a: section given twice (first on line 1)"},
    {"[" FIFTY "]\n",
     "a.ini:1: the section name '" TEN TEN TEN TEN "012345678' is too long (50 bytes), at most 49"},
    {"[a]\n" FIFTY "=1\n",
     "a.ini:2: the key '" TEN TEN TEN TEN "012345678' is too long (50 bytes), at most 49"},
    {"[a]\n" LINE_198 "\n", "a.ini:2: the line is too long (198 bytes), at most 197"},
    {"[a]\nx = \x01\n", "a.ini:2: holds the control character 0x01"},
    {"[a]\rx = 1\n", "a.ini:1: holds the control character 0x0d"},
    {"\n; \x7f\n", "a.ini:2: holds the control character 0x7f"},
    {"\xff\xfe[", "a.ini:1: holds the byte 0xff, not UTF-8"},
    {"[a]\nx = \xe4\n", "a.ini:2: holds the byte 0xe4, not UTF-8"},     /* Latin-1 */
    {"[a]\nx = \xc0\xaf\n", "a.ini:2: holds the byte 0xc0, not UTF-8"}, /* '/' in two bytes */
    {"[a]\nx = \xe0\x9f\xbf\n", "a.ini:2: holds the byte 0xe0, not UTF-8"},
    {"[a]\nx = \xed\xa0\x80\n", "a.ini:2: holds the byte 0xed, not UTF-8"}, /* a surrogate */
    {"[a]\nx = \xf4\x90\x80\x80\n", "a.ini:2: holds the byte 0xf4, not UTF-8"},
    {"[a]\nx = \xe2\x82", "a.ini:2: holds the byte 0xe2, not UTF-8"}, /* cut short */
};

START_TEST(faults_in_files) {
    const char *text = file_faults[_i].text;
    tr_doc *doc = (tr_doc *)&doc;
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_parse("a.ini", text, strlen(text), &doc, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, file_faults[_i].message);
    ck_assert_ptr_null(doc);
}
END_TEST

START_TEST(binary_files) {
    tr_doc *doc;
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_parse("a.ini", "[a]\nx\0 = 1\n", 11, &doc, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "a.ini:2: holds a NUL byte, this is not text");
}
END_TEST

START_TEST(files_that_cannot_be_read) {
    tr_doc *doc;
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_read("no/such.ini", &doc, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "no/such.ini: cannot open: No such file or directory");
    ck_assert_ptr_null(doc);
    err = (tr_error){0};
    ck_assert_int_eq(tr_doc_read("/", &doc, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "/: is a folder, not a file");
}
END_TEST

START_TEST(files_are_read) {
    const char *top = getenv("TMPDIR");
    char path[256];
    snprintf(path, sizeof path, "%s/trainer-config-XXXXXX", top && *top ? top : "/tmp");
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    static const char text[] = "[train]\nepochs = 2\n";
    tr_error err = {0};
    tr_doc *doc = NULL;
    int saved = tr_save(path, text, strlen(text), &err);
    int read = tr_doc_read(path, &doc, &err);
    unlink(path);
    ck_assert_msg(!saved && !read, "%s", err.text);
    ck_assert_str_eq(tr_doc_name(doc), path);
    ck_assert_str_eq(tr_doc_find(doc, "train", "epochs")->value, "2");
    tr_doc_free(doc);
}
END_TEST

START_TEST(sections_are_checked) {
    static const char *const names[] = {"data", "train"};
    tr_doc *doc = parse("[data]\n[trian]\n");
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_check_sections(doc, names, 2, "block", &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "a.ini:2: trian: unknown section (did you mean 'train'?)");
    tr_doc_free(doc);

    doc = parse("[train]\n[data]\n");
    ck_assert_int_eq(tr_doc_check_sections(doc, names, 2, "block", NULL), TR_OK);
    err = (tr_error){0};
    ck_assert_int_eq(tr_doc_set(doc, "foo.bar=1", &err), TR_OK);
    tr_doc_check_sections(doc, names, 2, "block", &err);
    ck_assert_str_eq(err.text, "--set: foo: unknown section, allowed are data, train");
    tr_doc_free(doc);
}
END_TEST

/* ---- the command line ---- */

START_TEST(values_are_overridden) {
    tr_doc *doc = parse("[train]\nepochs = 2\nseed = 1\n[network]\nlayer1.0 = relu\n");
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_set(doc, "train.epochs=5", &err), TR_OK);
    ck_assert_int_eq(tr_doc_set(doc, " network . layer1.0 = conv2d out_channels=6 ", &err), TR_OK);
    ck_assert_int_eq(tr_doc_set(doc, "train.new=", &err), TR_OK);
    ck_assert_int_eq(tr_doc_set(doc, "out.folder=a;b#c", &err), TR_OK);
    expect_value(doc, "train", "epochs", "5", 0);
    expect_value(doc, "train", "seed", "1", 3);
    expect_value(doc, "train", "new", "", 0);
    expect_value(doc, "network", "layer1.0", "conv2d out_channels=6", 0);
    expect_value(doc, "out", "folder", "a;b#c", 0);
    int n;
    tr_where where;
    ck_assert_str_eq(tr_doc_section(doc, "train", &n, NULL)[0].key, "epochs"); /* keeps its place */
    ck_assert_int_eq(n, 3);
    ck_assert_ptr_nonnull(tr_doc_section(doc, "out", &n, &where));
    ck_assert(!strcmp(where.file, "--set") && where.line == 0);

    char place[] = "--epochs"; /* the document keeps its own copy of all words */
    ck_assert_int_eq(tr_doc_put(doc, "train", "epochs", "9", place, &err), TR_OK);
    place[0] = 'x';
    ck_assert_str_eq(tr_doc_find(doc, "train", "epochs")->where.file, "--epochs");
    for (int i = 0; i < 100; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        ck_assert_int_eq(tr_doc_put(doc, "train", value, value, "--set", &err), TR_OK);
    }
    expect_value(doc, "train", "99", "99", 0);
    expect_value(doc, "train", "0", "0", 0);
    tr_doc_free(doc);
}
END_TEST

static const struct {
    const char *assignment, *message;
} set_faults[] = {
    {"epochs", "--set: 'epochs' is not of the form section.key=value"},
    {"epochs=2", "--set: 'epochs=2' is not of the form section.key=value"},
    {"epochs=a.b", "--set: 'epochs=a.b' is not of the form section.key=value"},
    {"", "--set: '' is not of the form section.key=value"},
    {".x=1", "--set: the section name is missing"},
    {"a.=1", "--set: the key is missing"},
    {"a.x y=1", "--set: 'x y' is not a key, a key is one word"},
    {"a.x:y=1", "--set: 'x:y' is not a key, it holds a ':'"},
    {"a]b.x=1", "--set: 'a]b' is not a section name, it holds a ']'"},
    {"a;b.x=1", "--set: 'a;b' is not a section name, it holds a ';'"},
    {"a\nb.x=1", "--set: holds the control character 0x0a"},
    {"a.x=1\n[b]", "--set: a.x: holds the control character 0x0a"},
    {"a.x=\xff", "--set: a.x: holds the byte 0xff, not UTF-8"},
    {"a.x=run #2", "--set: a.x: 'run #2': a comment would start at '#'"},
    {"a.x=;", "--set: a.x: ';': a comment would start at ';'"},
    {"a." FIFTY "=1",
     "--set: the key '" TEN TEN TEN TEN "012345678' is too long (50 bytes), at most 49"},
    {"a.x=" LINE_198, "--set: a.x: the value is too long (198 bytes), at most 193"},
};

START_TEST(faults_in_assignments) {
    tr_doc *doc = parse("[a]\nx = 1\n");
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_set(doc, set_faults[_i].assignment, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, set_faults[_i].message);
    expect_value(doc, "a", "x", "1", 2);
    ck_assert_int_eq(tr_doc_n_sections(doc), 1);
    tr_doc_free(doc);
}
END_TEST

START_TEST(faults_name_their_place) {
    tr_doc *doc = parse("");
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_put(doc, "data", "folder", "a\x01", "--data", &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "--data: data.folder: holds the control character 0x01");
    tr_doc_free(doc);
}
END_TEST

/* ---- memory ---- */

START_TEST(every_allocation_may_fail) {
    static const char text[] = "[a]\nx=1\n[b]\ny=2\n[c]\n[d]\n[e]\n[f]\n[g]\n[h]\n[i]\n";
    int failures = 0;
    for (long left = 0;; left++) {
        tr_error err = {0};
        tr_doc *doc = NULL;
        tr_alloc_fail_after(left);
        int code = tr_doc_parse("a.ini", text, strlen(text), &doc, &err);
        for (int i = 0; !code && i < 9; i++) {
            char assignment[] = "a.0=new";
            assignment[2] = (char)('0' + i);
            code = tr_doc_set(doc, assignment, &err);
        }
        if (!code) code = tr_doc_set(doc, "new.x=new", &err);
        tr_alloc_fail_after(-1);
        if (code) {
            ck_assert_int_eq(code, TR_ENOMEM);
            ck_assert_int_eq(err.code, TR_ENOMEM);
            failures++;
        } else {
            expect_value(doc, "new", "x", "new", 0);
        }
        tr_doc_free(doc);
        if (!code) break;
    }
    ck_assert_int_ge(failures, 50);
}
END_TEST

#define N_OF(table) (int)(sizeof(table) / sizeof((table)[0]))

static Suite *config_suite(void) {
    Suite *suite = suite_create("config");
    TCase *doc = tcase_create("document");
    tcase_add_test(doc, grammar);
    tcase_add_test(doc, empty_documents);
    tcase_add_test(doc, the_longest_words_and_lines);
    tcase_add_test(doc, many_of_everything);
    tcase_add_loop_test(doc, faults_in_files, 0, N_OF(file_faults));
    tcase_add_test(doc, binary_files);
    tcase_add_test(doc, files_that_cannot_be_read);
    tcase_add_test(doc, files_are_read);
    tcase_add_test(doc, sections_are_checked);
    tcase_add_test(doc, values_are_overridden);
    tcase_add_loop_test(doc, faults_in_assignments, 0, N_OF(set_faults));
    tcase_add_test(doc, faults_name_their_place);
    tcase_add_test(doc, every_allocation_may_fail);
    suite_add_tcase(suite, doc);
    return suite;
}

int main(void) {
    return tr_check_run(config_suite());
}
