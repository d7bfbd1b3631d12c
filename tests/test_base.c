/* The heart of the module `base`: errors, did-you-mean, checked sizes, memory that fails on
 * purpose.
 */
#include <string.h>

#include "base/base.h"
#include "check_main.h"

/* ---- errors ---- */

START_TEST(first_failure_wins) {
    tr_error err = {0};
    ck_assert_int_eq(tr_fail(&err, TR_EIO, "%s %d", "first", 1), TR_EIO);
    ck_assert_int_eq(tr_fail(&err, TR_ENOMEM, "second"), TR_ENOMEM);
    ck_assert_int_eq(tr_fail_at(&err, (tr_where){"f", 1}, "k", "third"), TR_ECONFIG);
    ck_assert_int_eq(err.code, TR_EIO);
    ck_assert_str_eq(err.text, "first 1");
    ck_assert_int_eq(tr_fail(NULL, TR_EDATA, "no receiver"), TR_EDATA);
    ck_assert_int_eq(tr_fail_at(NULL, (tr_where){"f", 1}, "k", "no receiver"), TR_ECONFIG);
}
END_TEST

START_TEST(text_names_the_place) {
    static const struct {
        tr_where where;
        const char *key, *text;
    } cases[] = {
        {{"a.ini", 12}, "optimizer.lr", "a.ini:12: optimizer.lr: wrong 7"},
        {{"a.ini", 0}, "optimizer.lr", "a.ini: optimizer.lr: wrong 7"},
        {{"a.ini", 3}, NULL, "a.ini:3: wrong 7"},
        {{NULL, 3}, "key", "key: wrong 7"},
        {{NULL, 0}, NULL, "wrong 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tr_error err = {0};
        tr_fail_at(&err, cases[i].where, cases[i].key, "wrong %d", 7);
        ck_assert_str_eq(err.text, cases[i].text);
    }
}
END_TEST

START_TEST(text_is_one_ended_line) {
    tr_error err = {0};
    tr_fail(&err, TR_EIO,
            "a\nb\tc\x7f"
            "d \xc3\xa4 \xe4\xc2\x85\xe2\x80\xae");
    ck_assert_str_eq(err.text, "a\\nb\\x09c\\x7fd \xc3\xa4 \\xe4\\xc2\\x85\\xe2\\x80\\xae");

    char big[3 * TR_ERROR_TEXT];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = 0;
    for (int at = 0; at < 2; at++) { /* cut inside the message, and already inside the key */
        err = (tr_error){0};
        if (at == 0) tr_fail(&err, TR_EIO, "%s", big);
        if (at == 1) tr_fail_at(&err, (tr_where){"f", 1}, big, "lost");
        ck_assert_uint_eq(strlen(err.text), TR_ERROR_TEXT - 1);
        ck_assert_str_eq(err.text + TR_ERROR_TEXT - 5, "x...");
    }
    for (int shift = 0; shift < 3; shift++) { /* never within a character */
        char text[3 * TR_ERROR_TEXT] = "";
        size_t n = (size_t)shift;
        memset(text, 'x', n);
        for (; n + 3 < sizeof text; n += 3) memcpy(text + n, "\xe2\x82\xac", 3);
        text[n] = 0;
        err = (tr_error){0};
        tr_fail(&err, TR_EIO, "%s", text);
        n = strlen(err.text);
        ck_assert_str_eq(err.text + n - 6, "\xe2\x82\xac...");
        ck_assert_uint_ge(n, TR_ERROR_TEXT - 4);
        memset(text, '\n', sizeof text - 1);
        err = (tr_error){0};
        tr_fail(&err, TR_EIO, "%s", text);
        n = strlen(err.text);
        ck_assert_uint_lt(n, TR_ERROR_TEXT);
        ck_assert_str_eq(err.text + n - 3, "...");
    }
}
END_TEST

START_TEST(every_code_has_a_meaning) {
    ck_assert_str_eq(tr_error_meaning(TR_OK), "no error");
    ck_assert_str_eq(tr_error_meaning(TR_ENOMEM), "out of memory");
    for (int code = -7; code <= 0; code++)
        ck_assert_str_ne(tr_error_meaning(code), "unknown error");
    ck_assert_str_eq(tr_error_meaning(1), "unknown error");
    ck_assert_str_eq(tr_error_meaning(-8), "unknown error");
}
END_TEST

/* Other spellings of a name. */
START_TEST(spellings_are_offered) {
    static const char *const names[] = {
        "conv2d",      "max_pool2d",   "relu",          "linear",   "flatten",   "identity",
        "add",         "sgd",          "cross_entropy", "cifar10",  "synthetic", "normalize",
        "lr",          "momentum",     "weight_decay",  "nesterov", "epochs",    "batch_size",
        "kernel_size", "out_channels", "--threads",     "eval",     "train",     "scalar"};
    static const char *const cases[][2] = {
        /* other letters, the same word */
        {"Conv2d", "conv2d"},
        {"ReLU", "relu"}, /* PyTorch's spelling */
        {"MaxPool2d", "max_pool2d"},
        {"maxpool2d", "max_pool2d"},
        {"max-pool2d", "max_pool2d"},
        {"crossentropy", "cross_entropy"},
        {"CrossEntropyLoss", "cross_entropy"},
        {"nn.Conv2d", "conv2d"},
        {"torch.optim.SGD", "sgd"},
        {"CIFAR10", "cifar10"},
        {"cifar_10", "cifar10"},
        {"batchsize", "batch_size"},
        {"BATCH_SIZE", "batch_size"},
        {"kernelsize", "kernel_size"},
        /* typing errors */
        {"ocnv2d", "conv2d"},
        {"cov2d", "conv2d"},
        {"convd2", "conv2d"},
        {"conv2", "conv2d"},
        {"linaer", "linear"},
        {"lniaer", "linear"},
        {"flaten", "flatten"},
        {"flattern", "flatten"},
        {"rlu", "relu"},
        {"reluu", "relu"},
        {"sdg", "sgd"},
        {"lrr", "lr"},
        {"rl", "lr"},
        {"momentun", "momentum"},
        {"momentm", "momentum"},
        {"nestorov", "nesterov"},
        {"normalise", "normalize"},
        {"weigth_decay", "weight_decay"},
        {"wieght_decy", "weight_decay"},
        {"weight-deacy", "weight_decay"},
        {"epoch", "epochs"},
        {"epcohs", "epochs"},
        {"out_chanels", "out_channels"},
        {"outchanels", "out_channels"},
        {"max_poll2d", "max_pool2d"},
        {"cross_entrpy", "cross_entropy"},
        {"--thread", "--threads"},
        {"--thraeds", "--threads"},
        {"evl", "eval"},
        {"evil", "eval"},
        {"trian", "train"},
        {"sclar", "scalar"},
        {"syntetic", "synthetic"},
        /* cut short */
        {"conv", "conv2d"},
        {"cifar", "cifar10"},
        {"kernel", "kernel_size"},
        {"max_pool", "max_pool2d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *near = tr_nearest(cases[i][0], names, sizeof names / sizeof *names);
        ck_assert_msg(near && !strcmp(near, cases[i][1]), "%s: %s", cases[i][0],
                      near ? near : "none");
    }
    static const char *const two[] = {"workerr", "worker"}; /* the nearer, not the first */
    ck_assert_str_eq(tr_nearest("wokrer", two, 2), "worker");
    ck_assert_ptr_null(tr_nearest("relu", two, 0));
}
END_TEST

/* Names of other things are not: { word, the name that must not be offered }. */
START_TEST(other_meanings_are_not) {
    static const char *const cases[][2] = {
        {"avg_pool2d", "max_pool2d"},
        {"AvgPool2d", "max_pool2d"},
        {"lp_pool2d", "max_pool2d"},
        {"min_pool2d", "max_pool2d"},
        {"max_pool1d", "max_pool2d"},
        {"max_pool3d", "max_pool2d"},
        {"max_unpool2d", "max_pool2d"},
        {"conv1d", "conv2d"},
        {"conv3d", "conv2d"},
        {"conv1", "conv2"},
        {"layer1", "layer10"},
        {"batch_norm1d", "batch_norm2d"},
        {"cifar100", "cifar10"},
        {"cifar1", "cifar10"},
        {"cifar10", "cifar100"},
        {"mnist", "cifar10"},
        {"relu6", "relu"},
        {"gelu", "relu"},
        {"elu", "relu"},
        {"selu", "relu"},
        {"celu", "relu"},
        {"silu", "relu"},
        {"prelu", "relu"},
        {"rrelu", "prelu"},
        {"bilinear", "linear"},
        {"adamw", "adam"},
        {"adam", "adamw"},
        {"adamax", "adam"},
        {"nadam", "adam"},
        {"radam", "adam"},
        {"asgd", "sgd"},
        {"sgdw", "sgd"},
        {"softmin", "softmax"},
        {"softplus", "softmax"},
        {"mse_loss", "mae_loss"},
        {"mse", "mae"},
        {"nll", "mse"},
        {"l1_loss", "l2_loss"},
        {"dropout2d", "dropout"},
        {"width", "weight"},
        {"height", "weight"},
        {"min", "max"},
        {"mean", "max"},
        {"train", "test"},
        {"avx", "avx2"},
        {"avx2", "avx512"},
        {"sse2", "avx2"},
        {"evaluate", "validate"},
        {"bfloat16", "float16"},
        {"float32", "float16"},
        {"softmax", "softmin"},
        {"out", "out_channels"},
        {"r", "lr"},
        {"x", "lr"},
        {"linxyz", "linear"},
        {"", "lr"},
        {"_", "lr"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(!tr_nearest(cases[i][0], &cases[i][1], 1), "%s: %s", cases[i][0],
                      cases[i][1]);
    char longest[100];
    memset(longest, 'a', sizeof longest);
    longest[99] = 0;
    const char *const one[] = {longest};
    ck_assert_ptr_null(tr_nearest(longest, one, 1));
    ck_assert_ptr_null(tr_nearest("aaa", one, 1));
}
END_TEST

START_TEST(unknown_words) {
    static const char *const names[] = {"train", "loader"};
    tr_error err = {0};
    ck_assert_int_eq(tr_fail_unknown(&err, (tr_where){"a.ini", 3}, "trian", "unknown section",
                                     "trian", names, 2),
                     TR_ECONFIG);
    ck_assert_str_eq(err.text, "a.ini:3: trian: unknown section (did you mean 'train'?)");
    err = (tr_error){0};
    tr_fail_unknown(&err, (tr_where){0}, NULL, "unknown section 'foo'", "foo", names, 2);
    ck_assert_str_eq(err.text, "unknown section 'foo', allowed are train, loader");
    err = (tr_error){0};
    tr_fail_unknown(&err, (tr_where){0}, NULL, "unknown section 'foo'", "foo", names, 0);
    ck_assert_str_eq(err.text, "unknown section 'foo', there is none");
}
END_TEST

/* ---- memory ---- */

START_TEST(notes_are_lines) {
    tr_notes notes = {0};
    char longer[2 * TR_ERROR_TEXT];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    tr_note(NULL, "no receiver");
    tr_note(&notes, "%s has %d images", "a", 1);
    tr_note(&notes, "b has 1 image");
    tr_note(&notes, "a has 1 images"); /* known */
    tr_note(&notes, "two\nlines\x1b");
    tr_note(&notes, "%s", longer);
    tr_alloc_fail_after(0);
    tr_note(&notes, "no memory");
    tr_alloc_fail_after(1);
    tr_note(&notes, "none for the line");
    tr_alloc_fail_after(2);
    tr_note(&notes, "none for the list");
    tr_alloc_fail_after(-1);
    ck_assert_int_eq(notes.n, 4);
    ck_assert_str_eq(notes.text[0], "a has 1 images");
    ck_assert_str_eq(notes.text[1], "b has 1 image");
    ck_assert_str_eq(notes.text[2], "two\\nlines\\x1b");
    ck_assert_str_eq(notes.text[3], longer);
    tr_notes_free(&notes);
    ck_assert_int_eq(notes.n, 0);
    tr_notes_free(&notes);
}
END_TEST

START_TEST(finite_by_bits) {
    static const double finite[] = {0, -0.0, 1, 1e308, -5e-324};
    static const uint64_t others[] = {0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
                                      0xfff0000000000001};
    for (size_t i = 0; i < sizeof finite / sizeof *finite; i++) {
        ck_assert(tr_is_finite(finite[i]));
        ck_assert(i > 2 || tr_is_finite_float((float)finite[i]));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        double x;
        float y;
        uint32_t bits = (uint32_t)(others[i] >> 32);
        bits = (bits & 0x80000000) | 0x7f800000 | (others[i] << 12 ? 0x400001 : 0);
        memcpy(&x, &others[i], sizeof x);
        memcpy(&y, &bits, sizeof y);
        ck_assert(!tr_is_finite(x));
        ck_assert(!tr_is_finite_float(y));
    }
}
END_TEST

START_TEST(sizes_are_checked) {
    size_t r = 7;
    ck_assert(tr_mul(SIZE_MAX / 2, 2, &r) && r == SIZE_MAX - 1);
    ck_assert(!tr_mul(SIZE_MAX / 2 + 1, 2, &r) && r == SIZE_MAX - 1);
    ck_assert(tr_add(SIZE_MAX - 1, 1, &r) && r == SIZE_MAX);
    r = 7;
    ck_assert(!tr_add(SIZE_MAX, 1, &r) && r == 7);
    ck_assert(tr_round_up(0, 8) == 0 && tr_round_up(1, 8) == 8 && tr_round_up(16, 8) == 16);
}
END_TEST

START_TEST(parts_cover_everything_once) {
    for (int64_t n = 0; n < 40; n++)
        for (int64_t count = 1; count < 12; count++) {
            ck_assert(tr_part(n, 0, count) == 0 && tr_part(n, count, count) == n);
            for (int64_t thread = 0; thread < count; thread++) {
                int64_t size = tr_part(n, thread + 1, count) - tr_part(n, thread, count);
                ck_assert(size == n / count || size == n / count + (n % count != 0));
            }
        }
}
END_TEST

START_TEST(memory_is_aligned_zero_and_slack) {
    for (size_t n = 0; n < 300; n++) {
        tr_error err = {0};
        unsigned char *p = tr_alloc(n, 1, &err);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % TR_ALIGN, 0);
        unsigned char any = 0;
        for (size_t i = 0; i < n + TR_ALIGN; i++) any |= p[i];
        ck_assert_uint_eq(any, 0);
        memset(p, 0xa5, n + TR_ALIGN); /* under a sanitizer: the slack may be written */
        tr_free(p);
    }
    tr_free(NULL);
    char *copy = tr_strdup("text", NULL);
    ck_assert_str_eq(copy, "text");
    tr_free(copy);
}
END_TEST

START_TEST(too_much_memory) {
    tr_error err = {0};
    ck_assert_ptr_null(tr_alloc(SIZE_MAX / 4, 8, &err));
    ck_assert_int_eq(err.code, TR_ENOMEM);
    ck_assert_str_eq(err.text,
                     "out of memory: 4611686018427387903 x 8 bytes do not fit the address space");
    ck_assert_ptr_null(
        tr_alloc(SIZE_MAX, 1, NULL)); /* the product fits, with the slack it does not */
    ck_assert_ptr_null(tr_alloc(PTRDIFF_MAX, 1, NULL));
}
END_TEST

START_TEST(allocation_fails_on_purpose) {
    tr_error err = {0};
    tr_alloc_fail_after(2);
    void *a = tr_alloc(1, 1, &err), *b = tr_alloc(1, 1, &err);
    ck_assert(a && b && !err.code);
    ck_assert_ptr_null(tr_strdup("abc", &err));
    ck_assert_int_eq(err.code, TR_ENOMEM);
    ck_assert_str_eq(err.text, "out of memory (asked for 4 bytes)");
    void *c = tr_alloc(1, 1, NULL); /* one fails, not all from there */
    ck_assert_ptr_nonnull(c);
    tr_alloc_fail_after(0);
    tr_alloc_fail_after(-1);
    void *d = tr_alloc(1, 1, NULL);
    ck_assert_ptr_nonnull(d);
    tr_free(a), tr_free(b), tr_free(c), tr_free(d);
}
END_TEST

START_TEST(accounts) {
    tr_account account = {0};
    ck_assert_int_eq(tr_account_total(&account), 0);
    tr_account_add(&account, TR_MEMORY_DATA, 5);
    tr_account_add(&account, TR_MEMORY_DATA, 6);
    tr_account_add(&account, TR_MEMORY_PROGRAM, 100);
    ck_assert_int_eq(account.bytes[TR_MEMORY_DATA], 11);
    ck_assert_int_eq(tr_account_total(&account), 111);
    /* What does not fit stays the most that does. */
    tr_account_add(&account, TR_MEMORY_DATA, INT64_MAX);
    tr_account_add(&account, TR_MEMORY_DATA, 1);
    ck_assert_int_eq(account.bytes[TR_MEMORY_DATA], INT64_MAX);
    ck_assert_int_eq(tr_account_total(&account), INT64_MAX);
    ck_assert_int_eq(tr_alloc_bytes(INT64_MAX / 2, 3), INT64_MAX);
    ck_assert_int_eq(tr_alloc_bytes(INT64_MAX, 1), INT64_MAX);
    ck_assert_int_eq(tr_alloc_bytes(-1, 1), INT64_MAX);
    ck_assert_int_ge(tr_alloc_bytes(1000, 1000), 1000000 + TR_PAGE);
    ck_assert_int_le(tr_alloc_bytes(1000, 1000), 1000000 + 2 * TR_PAGE);
}
END_TEST

START_TEST(touching_changes_nothing) {
    enum { BYTES = 5 * TR_PAGE + 7 };
    unsigned char *memory = tr_alloc(BYTES, 1, NULL);
    for (int i = 0; i < BYTES; i++) memory[i] = (unsigned char)(i * 7);
    tr_touch(memory, BYTES);
    tr_touch(memory + BYTES, 0);
    tr_touch(NULL, 0);
    for (int i = 0; i < BYTES; i++) ck_assert_int_eq(memory[i], (unsigned char)(i * 7));
    tr_free(memory);
}
END_TEST

static Suite *base_suite(void) {
    Suite *suite = suite_create("base");
    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, first_failure_wins);
    tcase_add_test(errors, text_names_the_place);
    tcase_add_test(errors, text_is_one_ended_line);
    tcase_add_test(errors, every_code_has_a_meaning);
    tcase_add_test(errors, spellings_are_offered);
    tcase_add_test(errors, other_meanings_are_not);
    tcase_add_test(errors, unknown_words);
    tcase_add_test(errors, notes_are_lines);
    suite_add_tcase(suite, errors);
    TCase *memory = tcase_create("memory");
    tcase_add_test(memory, finite_by_bits);
    tcase_add_test(memory, sizes_are_checked);
    tcase_add_test(memory, parts_cover_everything_once);
    tcase_add_test(memory, memory_is_aligned_zero_and_slack);
    tcase_add_test(memory, too_much_memory);
    tcase_add_test(memory, allocation_fails_on_purpose);
    tcase_add_test(memory, accounts);
    tcase_add_test(memory, touching_changes_nothing);
    suite_add_tcase(suite, memory);
    return suite;
}

int main(void) {
    return tr_check_run(base_suite());
}
