/* The configuration: the INI grammar, and every error by its exact text.
 *
 * The messages are part of what the program promises: a change of one shows here, and is made here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_main.h"
#include "config/config.h"

/* ---- what is allowed ---- */

static int set(tr_doc *doc, const char *assignment, tr_error *err) {
    static const char *const lines[] = {"network", "transforms", "block"};
    return tr_doc_set(doc, assignment, lines, 3, err);
}

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
                        "seed\t=  7  # not indented\n"                          /* 6 */
                        "name = a b;c#d=e:f \t; the rest\n"                     /* 7 */
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

/* What a value is written as, and what it is: the section [a], the key x. */
static const struct {
    const char *text, *value;
} value_cases[] = {
    {"x = \"\"\n", ""},
    {"x = \" a \"  ; comment\n", " a "},
    {"x=\"\\\"\\\\\\n\\x41\\xff;#\" # comment\n", "\"\\\nA\xff;#"},
    {"x = a\\b\n", "a\\b"},
    {"x = a;b#c ;; comment ; more\n", "a;b#c"},
    {"x = a ;\n", "a"},
    {"x = a ##\n", "a"},
    {"x = conv2d path=\"a # b\" k=3 # comment\n", "conv2d path=\"a # b\" k=3"},
    {"x = c a=\"\\\"\\\\\" b=\"\"\n", "c a=\"\\\"\\\\\" b=\"\""},
    /* what goes on in the next line */
    {"x = a \\\nb\\\n c\n", "a b c"},
    {"x = a ; one\n  b # two\n\tc=1\n", "a b c=1"},
    {"x = a\n; comment\n  # comment\n  b\n", "a b"},
    {"x = a\\\n# comment\n b\n", "a b"},
    {"x =\n  a\n", "a"},
    {"x = \\\n\"a b\"\n", "a b"},
    {"x = a\\\n\ny = 2\n", "a"},
    {"x = a\r\n  b\\\r\n  c\r\n", "a b c"},
    {"x = c a=\"b\" \\\n  d=\"e\"\n", "c a=\"b\" d=\"e\""},
    {"x = 1\n  \ny = 2\n", "1"},
};

START_TEST(values) {
    tr_text text = {0};
    tr_text_print(&text, "[a]\n%s", value_cases[_i].text);
    tr_doc *doc = parse(text.at);
    expect_value(doc, "a", "x", value_cases[_i].value, 2);
    tr_doc_free(doc);
    tr_text_free(&text);
}
END_TEST

START_TEST(words_and_lines_of_any_length) {
    enum { LONG = 300000 };
    tr_text key = {0}, value = {0}, text = {0};
    for (int i = 0; i < LONG; i++) {
        tr_text_add(&key, "k", 1);
        tr_text_print(&value, "%s%d", i ? " " : "", i % 10);
    }
    tr_text_print(&text, "; %s\n[%s]\n%s = %s ; %s\nnext = 1\n", value.at, key.at, key.at, value.at,
                  key.at);
    tr_doc *doc = parse(text.at);
    expect_value(doc, key.at, key.at, value.at, 3);
    expect_value(doc, key.at, "next", "1", 4);
    tr_doc_free(doc);
    tr_text_free(&key);
    tr_text_free(&value);
    tr_text_free(&text);
}
END_TEST

/* So many that anything but linear time would end in a timeout. */
START_TEST(lines_without_number) {
    enum { LINES = 200000, SECTIONS = 50000 };
    tr_text text = {0};
    for (int i = 0; i < SECTIONS; i++) tr_text_print(&text, "[s%d]\n", i);
    for (int i = 0; i < LINES; i++) tr_text_print(&text, "k%d=%d\n", i, i);
    tr_text_print(&text, "last = a\n");
    for (int i = 0; i < LINES; i++) tr_text_add(&text, " b\n", 3);
    tr_doc *doc = parse(text.at);
    expect_value(doc, "s49999", "k199999", "199999", SECTIONS + LINES);
    ck_assert_uint_eq(strlen(tr_doc_find(doc, "s49999", "last")->value), 1 + 2 * LINES);
    tr_doc *merged = parse("[s7]\nk = 1\n");
    ck_assert_int_eq(tr_doc_merge(merged, doc, NULL), TR_OK);
    expect_value(merged, "s49999", "k77", "77", SECTIONS + 78);
    tr_doc_free(merged);
    tr_doc_free(doc);
    tr_text_free(&text);
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

static const struct {
    const char *text, *message;
} file_errors[] = {
    {"epochs = 2\n", "a.ini:1: the key 'epochs' stands before the first [section]"},
    {"[a]\n\nepochs 2\n", "a.ini:3: 'epochs 2' is neither [section] nor key = value"},
    {"[a]\nepochs: 2\n", "a.ini:2: 'epochs:' should be 'epochs ='"},
    {"[a]\nurl : http://x?a=b\n", "a.ini:2: 'url:' should be 'url ='"},
    {"[a]\n= 2\n", "a.ini:2: the key is missing"},
    {"[a]\nconv1 conv2d out_channels=6\n",
     "a.ini:2: 'conv1 conv2d out_channels' is not a key, a key is one word"},
    {"[a]\nx[0] = 2\n", "a.ini:2: 'x[0]' is not a key, it holds a '['"},
    {"[a]\nx;y = 2\n", "a.ini:2: 'x;y' is not a key, it holds a ';'"},
    {"[a]\n\"x\" = 2\n", "a.ini:2: '\"x\"' is not a key, it holds a '\"'"},
    {"[a]\nx = 1\ny = 2\nx = 1\n", "a.ini:4: a.x: given twice (first on line 2)"},
    {"[a\nx = 1\n", "a.ini:1: the section heading '[a' has no ']'"},
    {"[a ;]\n", "a.ini:1: the section heading '[a' has no ']'"},
    {"[a] x = 1\n", "a.ini:1: text after the section heading '[a]', allowed is only a comment"},
    {"[a]]\n", "a.ini:1: text after the section heading '[a]', allowed is only a comment"},
    {"[[a]\n", "a.ini:1: '[a' is not a section name, it holds a '['"},
    {"[ ]\n", "a.ini:1: the section name is missing"},
    {"[a]\nx=1\n[b]\n[a]\ny=1\n", "a.ini:4: a: section given twice (first on line 1, as [a])"},
    {"[block  b\tw=1]\nx=1\n[block b]\ny=1\n",
     "a.ini:3: block b: section given twice (first on line 1, as [block b w=1])"},
    {"include = b.ini\n[a]\n", "a.ini:1: include: only a file can include another"},
    {"[a]\ninclude = b.ini\n", "a.ini:2: include stands before the first [section] only"},
    /* quotes and comments */
    {"[a]\nx = \"b\n", "a.ini:2: a.x: column 5: the quote has no end on this line"},
    {"[a]\nx = \"b\\\"\n", "a.ini:2: a.x: column 5: the quote has no end on this line"},
    {"[a]\nx = \"\xc3\xa4\" b\n",
     "a.ini:2: a.x: column 9: text behind the closing quote (a quote within is written \\\")"},
    {"[a]\nx = \"a\";\n",
     "a.ini:2: a.x: column 8: text behind the closing quote (a quote within is written \\\")"},
    {"[a]\nx = \"a\\t\"\n",
     "a.ini:2: a.x: column 8: after '\\' in quotes stands one of \\\" \\\\ \\n \\xNN"},
    {"[a]\nx = \"\\x4\"\n",
     "a.ini:2: a.x: column 7: after '\\' in quotes stands one of \\\" \\\\ \\n \\xNN"},
    {"[a]\nx = \"\\x00\"\n", "a.ini:2: a.x: column 9: \\x00 would end the text"},
    {"[a]\nx = a\"b\"\n",
     "a.ini:2: a.x: column 6: a quote within a value: put the whole in quotes, "
     "a quote within as \\\""},
    {"[a]\nx = c k=\"v\"w\n",
     "a.ini:2: a.x: column 12: text behind the closing quote (a quote within is written \\\")"},
    {"[a]\nx = c k=\"v w\n", "a.ini:2: a.x: column 9: the quote has no end on this line"},
    {"[a]\nx = #mini\n",
     "a.ini:2: a.x: column 5: the value begins with what begins a comment: write "
     "it in quotes, or \"\" for none"},
    {"[a]\nx = ; mini\n", "a.ini:2: a.x: column 5: the value begins with what begins a comment: "
                          "write it in quotes, or \"\" for none"},
    {"[a]\nx = /data/my #1 set\n",
     "a.ini:2: a.x: column 14: comment or value? Put white space behind the mark for a comment, "
     "quotes around the value if it belongs to it"},
    {"[a]\nx = a ;b\n",
     "a.ini:2: a.x: column 7: comment or value? Put white space behind the mark for a comment, "
     "quotes around the value if it belongs to it"},
    /* lines that go on */
    {" x = 1\n", "a.ini:1: an indented line goes on with the one above, but above is nothing: take "
                 "the white space away"},
    {"\t[a]\n", "a.ini:1: an indented line goes on with the one above, but above is nothing: take "
                "the white space away"},
    {"[a]\n  x = 1\n", "a.ini:2: an indented line goes on with the one above, but above is a "
                       "heading: take the white space away"},
    {"[a]\nx = 1\n\n  y\n", "a.ini:4: an indented line goes on with the one above, but above is a "
                            "blank line: take the white space away"},
    {"[a]\nx = 1\n  y = 2\n",
     "a.ini:3: a.x: goes on with line 2, as it is indented, but looks like "
     "a line of its own: 'y ='"},
    {"[a]\nx = 1\n  [b]\n",
     "a.ini:3: a.x: goes on with line 2, as it is indented, but looks like a heading"},
    {"[a]\nx = 1 \\\n[b]\n",
     "a.ini:3: a.x: goes on with line 2, as the line above ends in '\\', but looks like a heading"},
    {"[a]\nx = 1 \\\ny = 2\n", "a.ini:3: a.x: goes on with line 2, as the line above ends in '\\', "
                               "but looks like a line of its own: 'y ='"},
    {"[a]\nx = 1 \\", "a.ini:2: a.x: the last line ends in '\\'"},
    {"[a]\nx = 1 \\  \n",
     "a.ini:2: a.x: column 7: '\\' at the end of a value goes on with the next "
     "line, and must be the last character of its own (in quotes it is "
     "written \\\\)"},
    {"[a]\nx = 1 ; b \\\ny = 1\n",
     "a.ini:2: a.x: column 7: the line ends in '\\', but in a comment: "
     "put it before the comment's line"},
    {"[a]\nx = \"1\"\n  2\n", "a.ini:3: a.x: column 3: text behind the closing quote"},
    {"[a]\nx = 1\n  \"2\"\n", "a.ini:3: a.x: column 3: a quote within a value: put the whole in "
                              "quotes, a quote within as \\\""},
    /* bytes */
    {"[a]\nx = \x01\n", "a.ini:2: column 5: the control character 0x01"},
    {"[a]\rx = 1\n", "a.ini:1: column 4: the control character 0x0d"},
    {"\n; \x7f\n", "a.ini:2: column 3: the control character 0x7f"},
    {"\xff\xfe[", "a.ini:1: column 1: the byte 0xff is not UTF-8 (in quotes it is written \\xff)"},
    {"[a]\nx = \xe4\n", /* Latin-1 */
     "a.ini:2: column 5: the byte 0xe4 is not UTF-8 (in quotes it is written \\xe4)"},
    {"[a]\nx = \xc3\xa4\xc0\xaf\n", /* '/' in two bytes */
     "a.ini:2: column 6: the byte 0xc0 is not UTF-8 (in quotes it is written \\xc0)"},
    {"[a]\nx = \xe0\x9f\xbf\n",
     "a.ini:2: column 5: the byte 0xe0 is not UTF-8 (in quotes it is written \\xe0)"},
    {"[a]\nx = \xed\xa0\x80\n", /* a surrogate */
     "a.ini:2: column 5: the byte 0xed is not UTF-8 (in quotes it is written \\xed)"},
    {"[a]\nx = \xf4\x90\x80\x80\n",
     "a.ini:2: column 5: the byte 0xf4 is not UTF-8 (in quotes it is written \\xf4)"},
    {"[a]\nx = \xe2\x82", /* cut short */
     "a.ini:2: column 5: the byte 0xe2 is not UTF-8 (in quotes it is written \\xe2)"},
};

START_TEST(errors_in_files) {
    const char *text = file_errors[_i].text;
    tr_doc *doc = (tr_doc *)&doc;
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_parse("a.ini", text, strlen(text), &doc, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, file_errors[_i].message);
    ck_assert_ptr_null(doc);
}
END_TEST

START_TEST(binary_files) {
    tr_doc *doc;
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_parse("a.ini", "[a]\nx\0 = 1\n", 11, &doc, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "a.ini:2: column 2: a NUL byte, this is not text");
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
    ck_assert_int_eq(set(doc, "foo.bar=1", &err), TR_OK);
    tr_doc_check_sections(doc, names, 2, "block", &err);
    ck_assert_str_eq(err.text, "--set: foo: unknown section, allowed are data, train");
    tr_doc_free(doc);
}
END_TEST

/* ---- the command line ---- */

START_TEST(values_are_overridden) {
    tr_doc *doc = parse("[train]\nepochs = 2\nseed = 1\n[network]\nlayer1.0 = relu\n");
    tr_error err = {0};
    ck_assert_int_eq(set(doc, "train.epochs=5", &err), TR_OK);
    ck_assert_int_eq(set(doc, " network . layer1.0 = conv2d out_channels=6 ", &err), TR_OK);
    ck_assert_int_eq(set(doc, "train.new=", &err), TR_OK);
    ck_assert_int_eq(set(doc, "out.folder=a ;b #c\n\xff", &err), TR_OK);
    ck_assert_int_eq(set(doc, "out.quoted= \" \\x41 \" ", &err), TR_OK);
    expect_value(doc, "train", "epochs", "5", 0);
    expect_value(doc, "train", "seed", "1", 3);
    expect_value(doc, "train", "new", "", 0);
    expect_value(doc, "network", "layer1.0", "conv2d out_channels=6", 0);
    expect_value(doc, "out", "folder", "a ;b #c\n\xff", 0);
    expect_value(doc, "out", "quoted", " A ", 0);
    ck_assert_int_eq(tr_doc_put(doc, "out", "raw", " \"#\n", "--set", &err), TR_OK);
    expect_value(doc, "out", "raw", " \"#\n", 0);
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
} set_errors[] = {
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
    {"a\nb.x=1", "--set: column 2: the control character 0x0a"},
    {"a.x=\"b", "--set: a.x: character 1: the quote has no end on this line"},
    {"a.x=\"b\" c",
     "--set: a.x: character 4: text behind the closing quote (a quote within is written \\\")"},
    {"a.include=b", "--set: include stands before the first [section] of a file"},
    {"network.y=", "--set: there is no section [network] with lines"},
    {"network.y=relu before=z", "--set: there is no section [network] with lines"},
};

START_TEST(errors_in_assignments) {
    tr_doc *doc = parse("[a]\nx = 1\n");
    tr_error err = {0};
    ck_assert_int_eq(set(doc, set_errors[_i].assignment, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, set_errors[_i].message);
    expect_value(doc, "a", "x", "1", 2);
    ck_assert_int_eq(tr_doc_n_sections(doc), 1);
    tr_doc_free(doc);
}
END_TEST

START_TEST(errors_name_their_place) {
    tr_doc *doc = parse("");
    tr_error err = {0};
    ck_assert_int_eq(tr_doc_put(doc, "data", "fol\x01", "a", "--data", &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "--data: column 4: the control character 0x01");
    tr_doc_free(doc);
}
END_TEST

/* ---- lines whose order counts ---- */

static void expect_keys(const tr_doc *doc, const char *section, const char *keys) {
    char all[256] = "";
    int n;
    const tr_pair *pairs = tr_doc_section(doc, section, &n, NULL);
    for (int i = 0; i < n; i++) {
        strcat(strcat(all, pairs[i].key), " ");
        ck_assert_ptr_eq(tr_doc_find(doc, section, pairs[i].key), &pairs[i]);
    }
    ck_assert_str_eq(all, keys);
}

START_TEST(lines_are_placed) {
    tr_doc *doc = parse("[network]\na = relu\nb = basic w=1\nc = relu\n"
                        "[block basic w]\nconv1 = relu\nconv1.x = relu\n"
                        "[optimizer]\nlr = 1\n[optimizer.bn]\nlr = 2\n[transforms]\nn = k=1\n");
    tr_error err = {0};
    static const char *const steps[] = {"network.new=relu before=a",
                                        "network.b=",
                                        "network.a=add before=c x=1",
                                        "network.end=relu",
                                        "network.end=identity before=new",
                                        "block.basic.conv2=relu before=conv1.x",
                                        "block.basic.conv1.x=identity",
                                        "block basic w.conv3=relu",
                                        "optimizer.bn.lr=3",
                                        "optimizer.lr=4",
                                        "transforms.m=k=2 before=n"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        ck_assert_msg(set(doc, steps[i], &err) == TR_OK, "%s: %s", steps[i], err.text);
    expect_keys(doc, "network", "end new a c ");
    expect_value(doc, "network", "a", "add x=1", 0);
    expect_value(doc, "network", "end", "identity", 0);
    ck_assert_str_eq(tr_doc_find(doc, "network", "c")->value, "relu");
    expect_keys(doc, "block.basic", "conv1 conv2 conv1.x conv3 ");
    expect_keys(doc, "block basic w", "conv1 conv2 conv1.x conv3 ");
    expect_value(doc, "optimizer", "lr", "4", 0);
    expect_value(doc, "optimizer.bn", "lr", "3", 0);
    expect_keys(doc, "transforms", "m n ");
    tr_doc_free(doc);
}
END_TEST

static const struct {
    const char *assignment, *message;
} line_errors[] = {
    {"network.conw1=", "--set: network.conw1: 'conw1' names no line of [network] (did you mean "
                       "'conv1'?)"},
    {"network.x=relu before=fc9",
     "--set: network.x: before='fc9' names no other line of [network], allowed are conv1, fc1"},
    {"network.fc1=relu before=fc1",
     "--set: network.fc1: before='fc1' names no other line of [network] (did you mean 'fc1'?)"},
    {"network.x=relu before=", "--set: network.x: before='' names no other line of [network], "
                               "allowed are conv1, fc1"},
    {"network.x=before=fc1", "--set: 'before=fc1' says where the line goes, but not what it is"},
};

START_TEST(errors_in_placing) {
    tr_doc *doc = parse("[network]\nconv1 = relu\nfc1 = relu\n");
    tr_error err = {0};
    ck_assert_int_eq(set(doc, line_errors[_i].assignment, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, line_errors[_i].message);
    expect_keys(doc, "network", "conv1 fc1 ");
    tr_doc_free(doc);
}
END_TEST

/* ---- files that include others ---- */

static char folder[256];

static void write_text(const char *name, const char *text) {
    tr_error err = {0};
    ck_assert_msg(tr_save(name, text, strlen(text), &err) == TR_OK, "%s", err.text);
}

static void enter_folder(void) {
    const char *top = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/trainer-config-XXXXXX", top && *top ? top : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(mkdir("sub", 0777), 0);
}

static void leave_folder(void) {
    static const char *const files[] = {"a.ini", "sub/b.ini", "sub/c.ini", "sub/d #1.ini", "sub"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) remove(files[i]);
    if (chdir("/") == 0) rmdir(folder);
}

static void expect_place(const tr_doc *doc, const char *section, const char *key, const char *value,
                         const char *file, int line) {
    const tr_pair *pair = tr_doc_find(doc, section, key);
    ck_assert_msg(pair != NULL, "%s.%s", section, key);
    ck_assert_str_eq(pair->value, value);
    ck_assert_str_eq(pair->where.file, file);
    ck_assert_int_eq(pair->where.line, line);
}

START_TEST(files_are_included) {
    tr_doc *doc;
    tr_error err = {0};
    write_text("a.ini", "; first\ninclude = sub/b.ini\n\ninclude = \"sub/d \\x231.ini\" ; last\n"
                        "[train]\nepochs = 9\n[network]\nfc = linear\n[block b w k=2]\nz = relu\n");
    write_text("sub/b.ini", "include = c.ini\n[train]\nepochs = 1\nseed = 2\n");
    write_text("sub/c.ini", "[train]\nseed = 3\nlog_every = 4\n[network]\nconv = relu\nfc = b\n"
                            "act = relu\n[block b w]\ny = relu\n");
    write_text("sub/d #1.ini", "[train]\nseed = 5\n");
    ck_assert_msg(tr_doc_read("a.ini", &doc, &err) == TR_OK, "%s", err.text);
    ck_assert_str_eq(tr_doc_name(doc), "a.ini");
    expect_place(doc, "train", "epochs", "9", "a.ini", 6);
    expect_place(doc, "train", "seed", "5", "sub/d #1.ini", 2);
    expect_place(doc, "train", "log_every", "4", "sub/c.ini", 3);
    expect_keys(doc, "network", "conv fc act "); /* what was there keeps its place */
    expect_place(doc, "network", "fc", "linear", "a.ini", 8);
    expect_keys(doc, "block.b", "y z ");
    ck_assert_str_eq(tr_doc_find(doc, "block.b", "y")->context, "block b w k=2");
    tr_doc *over = parse("[block b]\ny = identity\n");
    ck_assert_int_eq(tr_doc_merge(doc, over, &err), TR_OK);
    expect_place(doc, "block b w k=2", "y", "identity", "a.ini", 2);
    ck_assert_str_eq(tr_doc_section_name(doc, 2), "block b w k=2");
    tr_doc_free(over);
    tr_doc_free(doc);
}
END_TEST

static const struct {
    const char *a, *b, *message;
} include_errors[] = {
    {"include = none.ini\n", NULL,
     "a.ini:1: include: none.ini: cannot open: No such file or "
     "directory"},
    {"\ninclude = sub/b.ini\n", "include = none.ini\n",
     "sub/b.ini:1: include: sub/none.ini: cannot open: No such file or directory"},
    {"include = sub\n", NULL, "a.ini:1: include: sub: is a folder, not a file"},
    {"include =\n", NULL, "a.ini:1: include: names no file"},
    {"include = ./a.ini\n", NULL, "a.ini:1: include: './a.ini' is this file itself"},
    {"\ninclude = sub/b.ini\n", "\n\ninclude = ../a.ini\n",
     "sub/b.ini:3: include: 'sub/../a.ini' includes this file: line 2 there names 'sub/b.ini'"},
    {"include = sub/b.ini\n", "[a]\nx\n", "sub/b.ini:2: 'x' is neither [section] nor key = value"},
    {"include = sub/b.ini\n[a]\nx = 1\nx = 2\n", "[a]\nx = 3\n",
     "a.ini:4: a.x: given twice (first on line 3)"},
};

START_TEST(errors_in_includes) {
    tr_doc *doc;
    tr_error err = {0};
    write_text("a.ini", include_errors[_i].a);
    if (include_errors[_i].b) write_text("sub/b.ini", include_errors[_i].b);
    ck_assert_int_eq(tr_doc_read("a.ini", &doc, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, include_errors[_i].message);
    ck_assert_ptr_null(doc);
}
END_TEST

START_TEST(files_within_files_have_an_end) {
    tr_doc *doc;
    tr_error err = {0};
    char name[32], text[64];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "%d.ini", i);
        snprintf(text, sizeof text, "include = %d.ini\n[s%d]\nk = 1\n", i + 1, i);
        write_text(name, i < 19 ? text : "[s19]\nk = 1\n");
    }
    ck_assert_int_eq(tr_doc_read("0.ini", &doc, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "15.ini:1: include: '16.ini' is the 17th of files that include each "
                               "other, at most 16 are allowed");
    ck_assert_msg(tr_doc_read("4.ini", &doc, &err) == TR_OK, "%s", err.text);
    ck_assert_int_eq(tr_doc_n_sections(doc), 16);
    tr_doc_free(doc);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "%d.ini", i);
        remove(name);
    }
}
END_TEST

/* ---- written and read ---- */

/* Whatever bytes a value has, what is written for it is read as it. */
START_TEST(any_value_survives) {
    static const char bytes[] = "ab =\"\\#;[]$\n\t\x01\x7f\xff\xc3\xa4\xe2\x80\xa8\xc2\x85:\r";
    for (uint32_t i = 0; i < 20000; i++) {
        char value[24] = "";
        size_t n = (size_t)tr_random_below(3, 0, i, 0, sizeof value);
        for (size_t k = 0; k < n; k++)
            value[k] = bytes[tr_random_below(3, 0, i, 1 + k, sizeof bytes - 1)];
        tr_text text = {0}, again = {0};
        tr_error err = {0};
        tr_doc *doc;
        tr_text_print(&text, "[a]\nx = ");
        tr_doc_write_value(&text, value);
        tr_text_print(&text, "\ny = 1\n");
        ck_assert_msg(tr_doc_parse("a.ini", text.at, text.n, &doc, &err) == TR_OK, "%s\n%s",
                      err.text, text.at);
        ck_assert_str_eq(tr_doc_find(doc, "a", "x")->value, value);
        ck_assert_str_eq(tr_doc_find(doc, "a", "y")->value, "1");
        tr_text_print(&again, "[a]\nx = ");
        tr_doc_write_value(&again, tr_doc_find(doc, "a", "x")->value);
        tr_text_print(&again, "\ny = 1\n");
        ck_assert_str_eq(text.at, again.at);
        tr_text_free(&text);
        tr_text_free(&again);
        tr_doc_free(doc);
    }
}
END_TEST

/* What needs no quotes gets none. */
START_TEST(plain_values_stay_plain) {
    static const char *const cases[][2] = {
        {"", ""},
        {"a b", "a b"},
        {"a;b#c:d=e", "a;b#c:d=e"},
        {"conv2d path=\"a # b\" k=1", "conv2d path=\"a # b\" k=1"},
        {"#mini", "\"#mini\""},
        {" a", "\" a\""},
        {"a # b", "\"a # b\""},
        {"a\\", "\"a\\\\\""},
        {"a\\b", "a\\b"},
        {"say \"x\"", "\"say \\\"x\\\"\""},
        {"\xc3\xa4\n\xff", "\"\xc3\xa4\\n\\xff\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tr_text text = {0};
        tr_text_add(&text, "", 0);
        tr_doc_write_value(&text, cases[i][0]);
        ck_assert_str_eq(text.at, cases[i][1]);
        tr_text_free(&text);
    }
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
            code = set(doc, assignment, &err);
        }
        if (!code) code = set(doc, "new.x=new", &err);
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
    ck_assert_int_ge(failures, 20);
}
END_TEST

#define N_OF(table) (int)(sizeof(table) / sizeof((table)[0]))

static Suite *config_suite(void) {
    Suite *suite = suite_create("config");
    TCase *doc = tcase_create("document");
    tcase_set_timeout(doc, 30);
    tcase_add_test(doc, grammar);
    tcase_add_test(doc, empty_documents);
    tcase_add_loop_test(doc, values, 0, N_OF(value_cases));
    tcase_add_test(doc, lines_without_number);
    tcase_add_test(doc, lines_are_placed);
    tcase_add_loop_test(doc, errors_in_placing, 0, N_OF(line_errors));
    tcase_add_test(doc, any_value_survives);
    tcase_add_test(doc, plain_values_stay_plain);
    tcase_add_test(doc, words_and_lines_of_any_length);
    tcase_add_test(doc, many_of_everything);
    tcase_add_loop_test(doc, errors_in_files, 0, N_OF(file_errors));
    tcase_add_test(doc, binary_files);
    tcase_add_test(doc, files_that_cannot_be_read);
    tcase_add_test(doc, files_are_read);
    tcase_add_test(doc, sections_are_checked);
    tcase_add_test(doc, values_are_overridden);
    tcase_add_loop_test(doc, errors_in_assignments, 0, N_OF(set_errors));
    tcase_add_test(doc, errors_name_their_place);
    tcase_add_test(doc, every_allocation_may_fail);
    suite_add_tcase(suite, doc);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, enter_folder, leave_folder);
    tcase_add_test(files, files_are_included);
    tcase_add_loop_test(files, errors_in_includes, 0, N_OF(include_errors));
    tcase_add_test(files, files_within_files_have_an_end);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void) {
    return tr_check_run(config_suite());
}
