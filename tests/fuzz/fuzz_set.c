/* Assignments as after --set, one a line, on top of a configuration. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "graph/graph.h"
#include "setup/setup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tr_config *config = NULL;
    char *text = malloc(size + 1), *rest = text;
    if (!text || tr_config_read(TR_TEST_ROOT "/../configs/smoke.ini", &config, NULL)) abort();
    memcpy(text, data, size);
    text[size] = 0;
    for (char *line; (line = strsep(&rest, "\n"));) tr_config_set(config, line, NULL);
    tr_experiment experiment = {0};
    tr_experiment_parse(config->doc, &experiment, NULL);
    tr_experiment_free(&experiment);
    tr_graph *graph = NULL;
    tr_graph_create(config->doc, (tr_shape){.h = 12, .w = 12, .c = 3}, 4, &graph, NULL);
    tr_graph_free(graph);
    tr_config_free(config);
    free(text);
    return 0;
}
