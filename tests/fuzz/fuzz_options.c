/* The words of a command line, one a line. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "fuzz.h"

enum { MAX_WORDS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char program[] = "trainer", *words[MAX_WORDS + 1] = {program};
    char *text = malloc(size + 1), *rest = text;
    int n = 1;
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = 0;
    for (char *word; n < MAX_WORDS && (word = strsep(&rest, "\n"));) words[n++] = word;
    tr_options options;
    if (tr_options_parse(n, words, &options, NULL) == TR_OK) {
        tr_config *config = NULL;
        if (tr_config_read(TR_TEST_ROOT "/../configs/smoke.ini", &config, NULL)) abort();
        tr_options_apply(&options, config, NULL);
        tr_config_free(config);
    }
    tr_options_free(&options);
    free(text);
    return 0;
}
