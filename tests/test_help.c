/* `trainer help`: pages by topic, and the documents that the build installs. */
#include <string.h>

#include "program.h"

/* Every section and class that `trainer help` lists has a page. */
START_TEST(help_pages) {
    static const char *const commands[] = {"train", "eval", "predict", "bench", "help"};
    program p, page;
    int n = 0;
    RUN(&p, "help");
    ck_assert_int_eq(p.code, 0);
    char *rest = strstr(p.out, "Sections of a configuration");
    ck_assert_ptr_nonnull(rest);
    while (rest && *rest) {
        char *line = strsep(&rest, "\n"), *close = strchr(line, ']'), *colon = strchr(line, ':');
        if (line[0] != ' ') continue;
        if (close) {
            *close = '\0';
            RUN(&page, "help", strchr(line, '[') + 1);
            ck_assert_msg(page.code == 0 && strchr(page.out, '['), "%s: %s%s", line, page.out,
                          page.err);
            n++;
        }
        /* What it may name, also on the lines that follow. */
        for (char *words = colon   ? colon + 1
                           : close ? NULL
                                   : line,
                  *word;
             words && (word = strsep(&words, ","));) {
            word += strspn(word, " ");
            if (!*word) continue;
            RUN(&page, "help", word);
            ck_assert_msg(page.code == 0 && strstr(page.out, word), "%s: %s", word, page.err);
            n++;
        }
    }
    ck_assert_int_ge(n, 11 + 20); /* sections; layers, losses, ... */
    for (int i = 0; i < 5; i++) {
        RUN(&page, "help", commands[i]);
        ck_assert_int_eq(page.code, 0);
        ck_assert_ptr_eq(strstr(page.out, "trainer "), page.out);
    }
    RUN(&page, "help", "train"); /* a command and a section */
    ck_assert_ptr_nonnull(strstr(page.out, "--config FILE"));
    ck_assert_ptr_nonnull(strstr(page.out, "\n[train]\n"));
    /* A key: where it stands, everywhere. */
    static const struct {
        const char *topic, *text;
    } keys[] = {
        {"lr", "lr (key)\n  optimizer.lr (sgd): number, 0 to 1000000; must be given\n"
               "      learning rate\n"},
        {"optimizer.lr", "optimizer.lr (key)\n  optimizer.lr (sgd): number"},
        {"isa", "isa (key)\n  run.isa: text; default auto\n"},
        {"batch_size", "batch_size (key)\n  loader.batch_size: integer, 1 to 16777216; default 1"},
        {"momentum", "\n  optimizer.momentum (sgd): number, 0 to 1; default 0\n"},
        {"kernel_size", "\n  kernel_size=... of the layer max_pool2d, in a line of [network]: "
                        "size, 3 or 3x1, 1 to "
                        "1024; must be given"},
        {"avg_pool2d.stride",
         "  stride=... of the layer avg_pool2d, in a line of [network]: size, 3 "
         "or 3x1, 1 to 1024, or kernel_size; default kernel_size"},
        {"conv2d.kernel_size", "  kernel_size=... of the layer conv2d, in a line of [network]: "
                               "size, 3 or 3x1, 1 to 1024; must be given\n      height and "
                               "width"},
        {"root", "  data.root (cifar10): file or folder; default data/cifar-10-batches-bin\n"},
        {"type", "\n  optimizer.type: the optimizer, one of sgd\n"},
        {"from", "  from=NAME,... in a line of [network] or [block ...]\n"},
        {"train", "\n\ntrain (key)\n  data.train (synthetic): integer"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        RUN(&page, "help", keys[i].topic);
        ck_assert_int_eq(page.code, 0);
        ck_assert_msg(strstr(page.out, keys[i].text) != NULL, "%s: %s", keys[i].topic, page.out);
    }
    RUN(&page, "help", "momentun");
    ck_assert_str_eq(page.err, "help: there is no page 'momentun' (did you mean 'momentum'?)\n");
    RUN(&page, "--version");
    ck_assert_int_eq(page.code, 0);
    ck_assert_str_eq(page.out, "trainer " TR_VERSION "\n");
}
END_TEST

/* The documents that the build installs. */
START_TEST(documents) {
    program p, same;
    RUN(&p, "help", "--markdown");
    ck_assert_int_eq(p.code, 0);
    ck_assert_ptr_eq(strstr(p.out, "# trainer: trains convolutional networks on the CPU\n"), p.out);
    ck_assert_ptr_nonnull(strstr(p.out, "\n| `--threads N\\|auto` | threads of the team; of train, "
                                        "eval, predict, bench, check |\n"));
    ck_assert_ptr_nonnull(strstr(p.out, "\n| `model.safetensors` | "));
    ck_assert_ptr_nonnull(strstr(p.out, "\n| `2` | the configuration or an option is wrong |\n"));
    ck_assert_ptr_nonnull(strstr(p.out, "\n# trainer.ini: configuration of trainer\n"));
    ck_assert_ptr_nonnull(strstr(p.out, "\n### conv2d\n"));
    RUN(&p, "help", "--man");
    ck_assert_int_eq(p.code, 0);
    ck_assert_ptr_eq(strstr(p.out, ".TH \"TRAINER\" \"1\" \"\" \"trainer " TR_VERSION "\""), p.out);
    ck_assert_ptr_nonnull(strstr(p.out, "\n\\fB\\-\\-dry\\-run\\fR\n"));
    RUN(&same, "help", "trainer", "--man");
    ck_assert_str_eq(same.out, p.out);
    RUN(&p, "help", "trainer.ini", "--man");
    ck_assert_int_eq(p.code, 0);
    ck_assert_ptr_eq(strstr(p.out, ".TH \"TRAINER.INI\" \"5\" "), p.out);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("help");
    TCase *tc = tcase_create("help");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, help_pages);
    tcase_add_test(tc, documents);
    suite_add_tcase(suite, tc);
    return program_main(suite);
}
