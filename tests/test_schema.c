/* Argument schemas: values that survive being written and read, and every error in an argument by
 * its exact text. The messages are part of what the program promises: a change
 * of one shows here, and is made here.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "check_main.h"

/* ---- values written and read ---- */

typedef struct values {
    int64_t count;
    double rate;
    bool bias;
    int mode;
    const char *path;
    tr_floats mean;
    tr_size2 size;
    tr_float2 ratio;
    tr_sides sides;
} values;

static const tr_key value_keys[] = {
    {"count", TR_KEY_INT, offsetof(values, count), "auto", -10, 0x1p63, "auto all", "How many"},
    {"rate", TR_KEY_FLOAT, offsetof(values, rate), "0.001", 0, 0, NULL, "How fast"},
    {"bias", TR_KEY_BOOL, offsetof(values, bias), "true", 0, 0, NULL, "Whether"},
    {"mode", TR_KEY_CHOICE, offsetof(values, mode), "zeros", 0, 0, "zeros reflect", "Which"},
    {"path", TR_KEY_STRING, offsetof(values, path), "", 0, 0, NULL, "Where"},
    {"mean", TR_KEY_FLOATS, offsetof(values, mean), "0.5,0.25", 0, 0, NULL, "Around what"},
    {"size", TR_KEY_SIZE2, offsetof(values, size), "3x1", -10, 99, "none max", "How large"},
    {"ratio", TR_KEY_FLOAT2, offsetof(values, ratio), "none", 0.5, 99, "none", "How much"},
    {"sides", TR_KEY_SIDES, offsetof(values, sides), "1x2x3x4", -10, 99, NULL, "How far"},
};
static const tr_schema value_schema = {"values", "All types", value_keys, 9, sizeof(values)};

/* What `text` is written as after it was read for key `k`; *args is to be cleared. */
static const char *again(int k, const char *text, values *args) {
    static tr_text out;
    tr_error err = {0};
    tr_pair pair = {value_keys[k].name, text, {"f", 1}, NULL};
    memset(args, 0xff, sizeof *args);
    ck_assert_msg(!tr_args_parse(&value_schema, &pair, 1, pair.where, NULL, args, &err), "%s",
                  err.text);
    tr_text_free(&out);
    tr_args_format(&value_keys[k], args, &out);
    return out.at;
}

START_TEST(defaults_are_filled_in) {
    values args;
    memset(&args, 0xff, sizeof args);
    ck_assert_int_eq(tr_args_parse(&value_schema, NULL, 0, (tr_where){0}, NULL, &args, NULL),
                     TR_OK);
    ck_assert(args.count == -1 && args.rate == 0.001 && args.bias && args.mode == 0);
    ck_assert(!args.path[0] && args.mean.n == 2 && args.mean.v[0] == 0.5 && args.mean.v[1] == 0.25);
    ck_assert(args.size.h == 3 && args.size.w == 1);
    ck_assert(args.ratio.h == -1 && args.ratio.w == -1);
    ck_assert(args.sides.left == 1 && args.sides.right == 2);
    ck_assert(args.sides.top == 3 && args.sides.bottom == 4);
    tr_args_clear(&value_schema, &args);
    ck_assert(!args.path && !args.mean.v && args.mean.n == 0);
}
END_TEST

START_TEST(formats_are_short_and_plain) {
    static const struct {
        int key;
        const char *from, *to;
    } cases[] = {
        {0, "auto", "auto"},
        {0, "all", "all"},
        {0, "-0007", "-7"},
        {0, "9223372036854775807", "9223372036854775807"},
        {0, "+3", "3"},
        {1, "0.0010", "0.001"},
        {1, "1e5", "100000"},
        {1, "1e-5", "1e-5"},
        {1, "1e20", "1e20"},
        {1, ".5", "0.5"},
        {1, "5.", "5"},
        {1, "0.1", "0.1"},
        {1, "-2.5E+03", "-2500"},
        {1, "1.3304348e-3", "0.0013304348"},
        {1, "0", "0"},
        {1, "0.30000000000000004", "0.30000000000000004"},
        {1, "1e-300", "1e-300"},
        {2, "false", "false"},
        {2, "true", "true"},
        {3, "reflect", "reflect"},
        {4, "a b = c", "a b = c"},
        {4, "", ""},
        {5, "0.5 , .25,1", "0.5,0.25,1"},
        {5, "1,2,3,4,5,6,7,8", "1,2,3,4,5,6,7,8"},
        {6, "3", "3"},
        {6, "3x3", "3"},
        {6, "3x01", "3x1"},
        {6, "+1x3", "1x3"},
        {6, "none", "none"},
        {6, "nonexnone", "none"},
        {6, "nonex3", "nonex3"},
        {6, "3xnone", "3xnone"},
        {6, "max", "max"},
        {6, "-10x99", "-10x99"},
        {7, "2", "2"},
        {7, "2.50x2.5", "2.5"},
        {7, "1e1x0.5", "10x0.5"},
        {7, "none", "none"},
        {7, "nonex3", "nonex3"},
        {8, "2", "2"},
        {8, "2x2x2x2", "2"},
        {8, "-1x+2x03x0", "-1x2x3x0"},
    };
    values args;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_str_eq(again(cases[i].key, cases[i].from, &args), cases[i].to);
        tr_args_clear(&value_schema, &args);
    }
}
END_TEST

START_TEST(doubles_survive) {
    values args;
    for (uint64_t i = 0; i < 3000; i++) {
        union {
            uint64_t bits;
            double value;
        } x = {.bits = (uint64_t)tr_random(1, 0, 0, i) << 32 | tr_random(1, 0, 1, i)};
        if (i == 0) x.value = DBL_MAX;
        if (i == 1) x.value = DBL_MIN;
        if (i == 2) x.value = DBL_TRUE_MIN;
        if (i == 3) x.value = -0.0;
        if (i == 4) x.value = 999999999999999.0;
        if (i == 5) x.value = 1e15;
        if (i == 6) x.value = 0x1p53 + 2;
        if (!isfinite(x.value)) continue;
        tr_text text = {0};
        args.rate = x.value;
        tr_args_format(&value_keys[1], &args, &text);
        ck_assert_uint_le(text.n, 24);
        again(1, text.at, &args);
        ck_assert_msg(!memcmp(&args.rate, &x.value, sizeof x.value), "%s", text.at);
        tr_args_clear(&value_schema, &args);
        tr_text_free(&text);
    }
}
END_TEST

START_TEST(values_of_any_length) {
    enum { N = 5000, BYTES = 100000 };
    values args;
    tr_text list = {0}, text = {0};
    for (int i = 0; i < N; i++) tr_text_print(&list, "%s%d.5e-300", i ? "," : "", i % 9 + 1);
    ck_assert_str_eq(again(5, list.at, &args), list.at);
    ck_assert(args.mean.n == N && args.mean.v[N - 1] == (N - 1) % 9 * 1e-300 + 1.5e-300);
    tr_args_clear(&value_schema, &args);
    for (int i = 0; i < BYTES; i++) tr_text_add(&text, "p", 1);
    ck_assert_str_eq(again(4, text.at, &args), text.at);
    tr_args_clear(&value_schema, &args);
    tr_text_free(&list);
    tr_text_free(&text);
}
END_TEST

/* Arguments with any bytes in their strings, written as one line and read again. */
START_TEST(lines_survive) {
    static const char bytes[] = "ab =\"\\#;$\n\t\x01\x7f\xff\xc3\xa4\xe2\x80\xa8\xc2\x85";
    tr_where where = {"f", 1};
    for (uint32_t i = 0; i < 2000; i++) {
        char path[16] = "";
        size_t n = (size_t)tr_random_below(5, 0, i, 0, sizeof path);
        for (size_t k = 0; k < n; k++)
            path[k] = bytes[tr_random_below(5, 0, i, 1 + k, sizeof bytes - 1)];
        tr_pair pair = {"path", path, where, NULL};
        tr_args_words w;
        tr_arena memory = {0};
        tr_error err = {0};
        tr_text line = {0};
        values args, read;
        ck_assert_int_eq(tr_args_parse(&value_schema, &pair, 1, where, NULL, &args, &err), TR_OK);
        tr_args_write(&value_schema, &args, &line);
        ck_assert_msg(tr_args_split(line.at, where, "x", &memory, &w, &err) == TR_OK, "%s",
                      err.text);
        ck_assert(!w.class && !w.times);
        ck_assert_int_eq(w.n, value_schema.n_keys);
        ck_assert_int_eq(tr_args_parse(&value_schema, w.pairs, w.n, where, NULL, &read, &err),
                         TR_OK);
        ck_assert_str_eq(read.path, path);
        ck_assert(read.count == args.count && read.mean.n == args.mean.n);
        tr_text_free(&line);
        tr_arena_free(&memory);
        tr_args_clear(&value_schema, &args);
        tr_args_clear(&value_schema, &read);
    }
}
END_TEST

/* ---- arguments ---- */

typedef struct conv_args {
    int64_t out_channels, kernel_size, workers;
    double lr;
    bool bias;
    int mode;
    const char *from;
    tr_floats mean;
    tr_size2 stride;
} conv_args;

static const tr_key conv_keys[] = {
    {"out_channels", TR_KEY_INT, offsetof(conv_args, out_channels), NULL, 1, 65536, NULL,
     "Channels of the output"},
    {"kernel_size", TR_KEY_INT, offsetof(conv_args, kernel_size), "3", 1, 1024, NULL, "Window"},
    {"workers", TR_KEY_INT, offsetof(conv_args, workers), "auto", 0, 256, "auto all", "Threads"},
    {"lr", TR_KEY_FLOAT, offsetof(conv_args, lr), "0.1", 0, 1e300, NULL, "Learning rate"},
    {"bias", TR_KEY_BOOL, offsetof(conv_args, bias), "true", 0, 0, NULL, "Add a bias"},
    {"mode", TR_KEY_CHOICE, offsetof(conv_args, mode), "zeros", 0, 0, "zeros reflect", "Border"},
    {"from", TR_KEY_STRING, offsetof(conv_args, from), "", 0, 0, NULL, "Inputs"},
    {"mean", TR_KEY_FLOATS, offsetof(conv_args, mean), "0", -10.5, 10.5, NULL, "Mean"},
    {"stride", TR_KEY_SIZE2, offsetof(conv_args, stride), "auto", 1, 1024, "auto", "Step"},
};
static const tr_schema conv_schema = {"conv2d", "A convolution", conv_keys, 9, sizeof(conv_args)};
static const tr_schema relu_schema = {"relu", "A rectifier", NULL, 0, 0};

/* "conv2d a=1 b=2" on line 7 for the layer conv1. */
static int parse_args(const tr_schema *schema, const char *line, void *args, tr_error *err) {
    tr_where where = {"a.ini", 7};
    tr_args_words w;
    tr_arena memory = {0};
    int code = tr_args_split(line, where, "conv1", &memory, &w, err);
    if (code == TR_OK) code = tr_args_parse(schema, w.pairs, w.n, where, "conv1", args, err);
    tr_arena_free(&memory);
    return code;
}

static const struct {
    const char *line, *message;
} args_errors[] = {
    {"conv2d", "a.ini:7: conv1.out_channels: missing, it must be given (Channels of the output)"},
    {"conv2d out_channels=6 kernelsize=5",
     "a.ini:7: conv1.kernelsize: unknown key (did you mean 'kernel_size'?)"},
    {"conv2d colour=red", "a.ini:7: conv1.colour: unknown key, allowed are out_channels, "
                          "kernel_size, workers, lr, bias, "
                          "mode, from, mean, stride"},
    {"conv2d kernel_size=0",
     "a.ini:7: conv1.kernel_size: 0 is out of range, allowed are 1 to 1024"},
    {"conv2d kernel_size=1025",
     "a.ini:7: conv1.kernel_size: 1025 is out of range, allowed are 1 to 1024"},
    {"conv2d kernel_size=99999999999999999999",
     "a.ini:7: conv1.kernel_size: 99999999999999999999 is out of range, allowed are 1 to 1024"},
    {"conv2d kernel_size=1.5", "a.ini:7: conv1.kernel_size: 1.5 is not an integer"},
    {"conv2d kernel_size=1e3", "a.ini:7: conv1.kernel_size: 1e3 is not an integer"},
    {"conv2d kernel_size=0x10", "a.ini:7: conv1.kernel_size: 0x10 is not an integer"},
    {"conv2d kernel_size=5x", "a.ini:7: conv1.kernel_size: 5x is not an integer"},
    {"conv2d kernel_size=-", "a.ini:7: conv1.kernel_size: - is not an integer"},
    {"conv2d kernel_size=", "a.ini:7: conv1.kernel_size: the value is missing"},
    {"conv2d stride=", "a.ini:7: conv1.stride: the value is missing"},
    {"conv2d stride=0", "a.ini:7: conv1.stride: 0 is out of range, allowed are 1 to 1024, or auto"},
    {"conv2d stride=2x1025",
     "a.ini:7: conv1.stride: 1025 is out of range, allowed are 1 to 1024, or auto"},
    {"conv2d stride=2x",
     "a.ini:7: conv1.stride: 2x is not a size, such as 3 or 3x1, allowed are 1 to 1024, or auto"},
    {"conv2d stride=x2",
     "a.ini:7: conv1.stride: x2 is not a size, such as 3 or 3x1, allowed are 1 to 1024, or auto"},
    {"conv2d stride=2x3x4", "a.ini:7: conv1.stride: 2x3x4 is not a size, such as 3 or 3x1, allowed "
                            "are 1 to 1024, or auto"},
    {"conv2d stride=2,3",
     "a.ini:7: conv1.stride: 2,3 is not a size, such as 3 or 3x1, allowed are 1 to 1024, or auto"},
    {"conv2d stride=2.5",
     "a.ini:7: conv1.stride: 2.5 is not a size, such as 3 or 3x1, allowed are 1 to 1024, or auto"},
    {"conv2d stride=autox", "a.ini:7: conv1.stride: autox is not a size, such as 3 or 3x1, allowed "
                            "are 1 to 1024, or auto"},
    {"conv2d stride=2x99999999999999999999",
     "a.ini:7: conv1.stride: 99999999999999999999 is out of range, allowed are 1 to 1024, or auto"},
    {"conv2d kernel_size=5 kernel_size=5", "a.ini:7: conv1.kernel_size: given twice"},
    {"conv2d workers=auot",
     "a.ini:7: conv1.workers: auot is neither an integer nor a known word, allowed are 0 to "
     "256, or auto, or all"},
    {"conv2d workers=many",
     "a.ini:7: conv1.workers: many is neither an integer nor a known word, allowed are 0 to "
     "256, or auto, or all"},
    {"conv2d workers=-1",
     "a.ini:7: conv1.workers: -1 is out of range, allowed are 0 to 256, or auto, or all"},
    {"conv2d lr=0.1x", "a.ini:7: conv1.lr: 0.1x is not a number"},
    {"conv2d lr=nan", "a.ini:7: conv1.lr: nan is not a number"},
    {"conv2d lr=inf", "a.ini:7: conv1.lr: inf is not a number"},
    {"conv2d lr=0x1p3", "a.ini:7: conv1.lr: 0x1p3 is not a number"},
    {"conv2d lr=.", "a.ini:7: conv1.lr: . is not a number"},
    {"conv2d lr=1e", "a.ini:7: conv1.lr: 1e is not a number"},
    {"conv2d lr=1e+", "a.ini:7: conv1.lr: 1e+ is not a number"},
    {"conv2d lr=0,1", "a.ini:7: conv1.lr: 0,1 is not a number"},
    {"conv2d lr=1e999", "a.ini:7: conv1.lr: 1e999 is too large for a floating-point number"},
    {"conv2d lr=1e-999", "a.ini:7: conv1.lr: 1e-999 is too small for a floating-point number"},
    {"conv2d lr=-0.1", "a.ini:7: conv1.lr: -0.1 is out of range, allowed are 0 and more"},
    {"conv2d bias=yes", "a.ini:7: conv1.bias: 'yes' is not true or false"},
    {"conv2d bias=True", "a.ini:7: conv1.bias: 'True' is not true or false"},
    {"conv2d bias=1", "a.ini:7: conv1.bias: '1' is not true or false"},
    {"conv2d mode=zeroes", "a.ini:7: conv1.mode: unknown value 'zeroes' (did you mean 'zeros'?)"},
    {"conv2d mode=wrap", "a.ini:7: conv1.mode: unknown value 'wrap', allowed are zeros, reflect"},
    {"conv2d mean=1,,2", "a.ini:7: conv1.mean: a number is missing in the list '1,,2'"},
    {"conv2d mean=1,", "a.ini:7: conv1.mean: a number is missing in the list '1,'"},
    {"conv2d mean=1,2x", "a.ini:7: conv1.mean: 2x is not a number"},
    {"conv2d mean=1,11", "a.ini:7: conv1.mean: 11 is out of range, allowed are -10.5 to 10.5"},
    {"conv2d from=\"a b", "a.ini:7: conv1: from: the quote has no end on this line"},
    {"conv2d from=\"a\"b", "a.ini:7: conv1: text after the closing quote: 'b'"},
    {"conv2d from=\"\\t\"",
     "a.ini:7: conv1: from: after '\\' in quotes stands one of \\\" \\\\ \\n \\xNN"},
    {"conv2d from=\"\\x00\"", "a.ini:7: conv1: from: \\x00 would end the text"},
    {"conv2d from=a\"b", "a.ini:7: conv1: a quote within 'from=a\"b': write key=\"...\""},
    {"\"conv2d\"", "a.ini:7: conv1: a quote within '\"conv2d\"': write key=\"...\""},
    {"conv2d a=b=\"c\"", "a.ini:7: conv1: 'a=b=\"c\"' has more than one '='"},
    {"conv2d =5", "a.ini:7: conv1: '=5' has no key before the '='"},
    {"conv2d a==", "a.ini:7: conv1: 'a==' has more than one '='"},
    {"conv2d out_channels=6 bias",
     "a.ini:7: conv1: 'bias' is not of the form key=value (without white space)"},
    {"conv2d kernel_size = 5",
     "a.ini:7: conv1: 'kernel_size' is not of the form key=value (without white space)"},
    {"out_channels=6 conv2d",
     "a.ini:7: conv1: 'conv2d' is not of the form key=value (without white space)"},
};

START_TEST(errors_in_arguments) {
    conv_args args;
    tr_error err = {0};
    ck_assert_int_eq(parse_args(&conv_schema, args_errors[_i].line, &args, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, args_errors[_i].message);
}
END_TEST

START_TEST(arguments) {
    conv_args args;
    tr_error err = {0};
    int code =
        parse_args(&conv_schema,
                   "\tconv2d  out_channels=65536 kernel_size=1 workers=all lr=1e-3 bias=false "
                   "mode=reflect from=a=b,c mean=-10.5,10.5 ",
                   &args, &err);
    ck_assert_msg(!code, "%s", err.text);
    ck_assert(args.out_channels == 65536 && args.kernel_size == 1 && args.workers == -2);
    ck_assert(args.lr == 0.001 && !args.bias && args.mode == 1);
    ck_assert_str_eq(args.from, "a=b,c"); /* only the first '=' divides */
    ck_assert(args.mean.n == 2 && args.mean.v[0] == -10.5 && args.mean.v[1] == 10.5);
    tr_args_clear(&conv_schema, &args);
    code = parse_args(&conv_schema, "c from=\"a \\\"b\\\\ = \\n\\x41#\" out_channels=\"3\"", &args,
                      &err);
    ck_assert_msg(!code, "%s", err.text);
    ck_assert_str_eq(args.from, "a \"b\\ = \nA#");
    ck_assert_int_eq(args.out_channels, 3);
    tr_args_clear(&conv_schema, &args);
}
END_TEST

START_TEST(splitting) {
    tr_where where = {"a.ini", 7};
    tr_arena memory = {0};
    tr_args_words w;
    ck_assert_int_eq(tr_args_split(" \t ", where, "x", &memory, &w, NULL), TR_OK);
    ck_assert(!w.class && !w.times && w.n == 0);
    ck_assert_int_eq(tr_args_split("relu", where, "x", &memory, &w, NULL), TR_OK);
    ck_assert_str_eq(w.class, "relu");
    ck_assert(!w.times && w.n == 0);
    ck_assert_int_eq(tr_args_split("a=1 b=", where, "x", &memory, &w, NULL), TR_OK);
    ck_assert(!w.class && w.n == 2);
    ck_assert_str_eq(w.pairs[0].value, "1");
    ck_assert_str_eq(w.pairs[1].key, "b");
    ck_assert_str_eq(w.pairs[1].value, "");
    ck_assert_str_eq(w.pairs[1].context, "x");
    ck_assert_int_eq(w.pairs[1].where.line, 7);
    ck_assert_int_eq(tr_args_split("basic x12\tw=1,2", where, "x", &memory, &w, NULL), TR_OK);
    ck_assert_str_eq(w.class, "basic");
    ck_assert_str_eq(w.times, "x12");
    ck_assert_str_eq(w.pairs[0].value, "1,2");
    ck_assert_int_eq(tr_args_split("x3 x$n", where, "x", &memory, &w, NULL), TR_OK);
    ck_assert_str_eq(w.class, "x3");
    ck_assert_str_eq(w.times, "x$n");
    tr_arena_free(&memory);
}
END_TEST

/* No number of arguments is too many. */
START_TEST(long_line) {
    enum { N = 5000 };
    tr_where where = {"a.ini", 7};
    tr_arena memory = {0};
    tr_args_words w;
    tr_text line = {0};
    tr_text_print(&line, "concat");
    for (int i = 0; i < N; i++) tr_text_print(&line, " k%d=%d", i, i);
    ck_assert_int_eq(tr_args_split(line.at, where, "x", &memory, &w, NULL), TR_OK);
    ck_assert_int_eq(w.n, N);
    ck_assert_str_eq(w.pairs[N - 1].key, "k4999");
    tr_text_free(&line);
    tr_arena_free(&memory);
}
END_TEST

START_TEST(errors_in_sections) {
    /* Pairs of different lines: a section of a file, with the section's name before the key. */
    static const tr_pair pairs[] = {{"lr", "0.1", {"a.ini", 3}, "optimizer"},
                                    {"lr", "0.2", {"a.ini", 9}, "optimizer"}};
    conv_args args;
    tr_error err = {0};
    tr_args_parse(&conv_schema, pairs, 2, (tr_where){"a.ini", 2}, "optimizer", &args, &err);
    ck_assert_str_eq(err.text, "a.ini:9: optimizer.lr: given twice (first on line 3)");
    err = (tr_error){0};
    tr_args_parse(&conv_schema, pairs, 1, (tr_where){"a.ini", 2}, "optimizer", &args, &err);
    ck_assert_str_eq(err.text,
                     "a.ini:2: optimizer.out_channels: missing, it must be given (Channels "
                     "of the output)");
    err = (tr_error){0};
    const tr_pair set = {"lr", "fast", {"--set", 0}, NULL};
    tr_args_parse(&conv_schema, &set, 1, (tr_where){"a.ini", 2}, NULL, &args, &err);
    ck_assert_str_eq(err.text, "--set: lr: fast is not a number");
    err = (tr_error){0};
    tr_args_parse(&relu_schema, pairs, 1, (tr_where){"a.ini", 2}, "relu1", &args, &err);
    ck_assert_str_eq(err.text, "a.ini:3: optimizer.lr: unknown key, there is none");
}
END_TEST

START_TEST(ranges_without_an_end) {
    typedef struct {
        int64_t i;
        double f;
    } numbers;
    static const tr_key keys[] = {
        {"any", TR_KEY_INT, offsetof(numbers, i), "0", 0, 0, NULL, ""},
        {"most", TR_KEY_INT, offsetof(numbers, i), "0", -0x1p63, 5, NULL, ""},
        {"least", TR_KEY_INT, offsetof(numbers, i), "6", 5, 0x1p63, NULL, ""},
        {"free", TR_KEY_FLOAT, offsetof(numbers, f), "0", 0, 0, NULL, ""},
        {"all", TR_KEY_INT, offsetof(numbers, i), "0", -0x1p63, 0x1p63, NULL, ""},
    };
    static const tr_schema schema = {"numbers", "", keys, 5, sizeof(numbers)};
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"x any=9223372036854775808",
         "a.ini:7: conv1.any: 9223372036854775808 is out of range, it must fit 64 bits"},
        {"x most=6", "a.ini:7: conv1.most: 6 is out of range, allowed are 5 and less"},
        {"x least=4", "a.ini:7: conv1.least: 4 is out of range, allowed are 5 and more"},
        {"x all=-9223372036854775809",
         "a.ini:7: conv1.all: -9223372036854775809 is out of range, it "
         "must fit 64 bits"},
        {"x any=-9223372036854775808 free=-1e308", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        numbers args;
        tr_error err = {0};
        parse_args(&schema, cases[i].line, &args, &err);
        ck_assert_str_eq(err.text, cases[i].message);
    }
}
END_TEST

START_TEST(classes_are_found) {
    static const tr_schema *const list[] = {&conv_schema, &relu_schema};
    const tr_registry layers = {"layer", list, 2};
    const tr_where where = {"a.ini", 7}, heading = {"a.ini", 6};
    const tr_pair pairs[] = {{"type", "conv2d", where, "part"},
                             {"out_channels", "3", where, "part"}};
    tr_error err = {0};
    int index = -1;
    void *args;
    /* A section: the pair that names the class is no argument. */
    const tr_places section = {pairs, 2, heading, "part"};
    ck_assert_msg(!tr_class_parse(&layers, &pairs[0], &section, &index, &args, &err), "%s",
                  err.text);
    ck_assert_int_eq(index, 0);
    ck_assert_int_eq(((conv_args *)args)->out_channels, 3);
    tr_args_clear(&conv_schema, args);
    tr_free(args);
    static const struct {
        tr_pair class;
        int n;
        const char *message;
    } errors[] = {
        {{NULL, "conv2", {"a.ini", 7}, "conv1"},
         0,
         "a.ini:7: conv1: unknown layer 'conv2' (did you mean 'conv2d'?)"},
        {{NULL, "softmax", {"a.ini", 7}, "fc1"},
         0,
         "a.ini:7: fc1: unknown layer 'softmax', allowed are conv2d, relu"},
        {{NULL, NULL, {"a.ini", 7}, "fc1"},
         0,
         "a.ini:7: fc1: no layer is named, as in 'fc1 = conv2d ...'"},
        {{"type", NULL, {"a.ini", 7}, "part"},
         0,
         "a.ini:7: part.type: is missing, as in type = conv2d"},
        {{"type", "con2d", {"a.ini", 7}, "part"},
         0,
         "a.ini:7: part.type: unknown layer 'con2d' (did you mean 'conv2d'?)"},
        {{"type", "conv2d", {"a.ini", 7}, "part"},
         0,
         "a.ini:6: part.out_channels: missing, it must be given (Channels of the output)"},
        {{"type", "relu", {"a.ini", 7}, "part"},
         2,
         "a.ini:7: part.type: unknown key, there is none"},
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        const tr_places given = {pairs, errors[i].n, heading, "part"};
        err = (tr_error){0};
        ck_assert_int_eq(tr_class_parse(&layers, &errors[i].class, &given, &index, &args, &err),
                         TR_ECONFIG);
        ck_assert_ptr_null(args);
        ck_assert_str_eq(err.text, errors[i].message);
    }
}
END_TEST

/* A schema that takes all keys: they are checked as keys, and left out of what is written. */
START_TEST(any_key) {
    static const tr_key keys[] = {
        {"size", TR_KEY_INT, 0, "3", 1, 9, NULL, "Size"},
        {"*", TR_KEY_ANY, 0, "", 0, 0, NULL, "ignored"},
    };
    static const tr_schema schema = {"open", "", keys, 2, sizeof(int64_t)};
    int64_t size;
    tr_error err = {0};
    tr_text text = {0};
    ck_assert_msg(!parse_args(&schema, "open a= size=4 b=\"x y\"", &size, &err), "%s", err.text);
    ck_assert_int_eq(size, 4);
    tr_args_write(&schema, &size, &text);
    ck_assert_str_eq(text.at, " size=4");
    tr_text_free(&text);
    ck_assert_int_eq(parse_args(&schema, "open a=1 a=2", &size, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "a.ini:7: conv1.a: given twice");
    err = (tr_error){0};
    ck_assert_int_eq(parse_args(&schema, "open size=10", &size, &err), TR_ECONFIG);
    ck_assert_str_eq(err.text, "a.ini:7: conv1.size: 10 is out of range, allowed are 1 to 9");
}
END_TEST

START_TEST(errors_at_a_key) {
    const tr_pair pairs[] = {{"a", "1", {"a.ini", 3}, "data"}, {"b", "2", {"--set", 0}, "data"}};
    const tr_places places = {pairs, 2, {"a.ini", 2}, "data"}, bare = {NULL, 0, {NULL, 0}, NULL};
    static const char *const keys[] = {"a", "b", "c"};
    static const char *const messages[] = {"a.ini:3: data.a: is 7", "--set: data.b: is 7",
                                           "a.ini:2: data.c: is 7"};
    for (int i = 0; i < 3; i++) {
        tr_error err = {0};
        ck_assert_int_eq(tr_fail_key(&err, &places, keys[i], "is %d", 7), TR_ECONFIG);
        ck_assert_str_eq(err.text, messages[i]);
    }
    tr_error err = {0};
    ck_assert_int_eq(tr_fail_key(&err, &bare, "a", "is %d", 7), TR_ECONFIG);
    ck_assert_str_eq(err.text, "a: is 7");
}
END_TEST

START_TEST(errors_between_keys) {
    const tr_pair pairs[] = {{"a", "1", {"a.ini", 3}, "data"},
                             {"b", "2", {"--set", 0}, "data"},
                             {"d", "3", {"a.ini", 9}, "data"}};
    const tr_places places = {pairs, 3, {"a.ini", 2}, "data"};
    static const char *const cases[][3] = {
        {"a", "d", "a.ini:3: data.a: is 7"}, /* both in the file: the one that requires the other */
        {"d", "a", "a.ini:9: data.d: is 7"},
        {"a", "b", "--set: data.b: is 7"}, /* the command line broke it */
        {"b", "a", "--set: data.b: is 7"},
        {"a", "c", "a.ini:3: data.a: is 7"}, /* a default cannot be changed where it stands */
        {"c", "a", "a.ini:3: data.a: is 7"},
        {"c", "e", "a.ini:2: data.c: is 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tr_error err = {0};
        tr_fail_between(&err, &places, cases[i][0], cases[i][1], "is %d", 7);
        ck_assert_str_eq(err.text, cases[i][2]);
    }
}
END_TEST

#define N_OF(table) (int)(sizeof(table) / sizeof((table)[0]))

static Suite *schema_suite(void) {
    Suite *suite = suite_create("schema");
    TCase *values_case = tcase_create("values");
    tcase_add_test(values_case, defaults_are_filled_in);
    tcase_add_test(values_case, formats_are_short_and_plain);
    tcase_add_test(values_case, doubles_survive);
    tcase_add_test(values_case, values_of_any_length);
    tcase_add_test(values_case, lines_survive);
    suite_add_tcase(suite, values_case);
    TCase *args = tcase_create("arguments");
    tcase_add_test(args, arguments);
    tcase_add_test(args, splitting);
    tcase_add_test(args, long_line);
    tcase_add_test(args, any_key);
    tcase_add_loop_test(args, errors_in_arguments, 0, N_OF(args_errors));
    tcase_add_test(args, errors_in_sections);
    tcase_add_test(args, ranges_without_an_end);
    tcase_add_test(args, classes_are_found);
    tcase_add_test(args, errors_at_a_key);
    tcase_add_test(args, errors_between_keys);
    suite_add_tcase(suite, args);
    return suite;
}

int main(void) {
    return tr_check_run(schema_suite());
}
