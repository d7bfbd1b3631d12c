/* The text of a configuration: the document, the sections' meaning, the network. */
#include "config/config.h"
#include "fuzz.h"
#include "graph/graph.h"
#include "setup/setup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tr_doc *doc = NULL;
    if (tr_doc_parse("fuzz.ini", (const char *)data, size, &doc, NULL)) return 0;
    tr_experiment experiment = {0};
    tr_experiment_parse(doc, &experiment, NULL);
    tr_experiment_free(&experiment);
    tr_graph *graph = NULL;
    tr_graph_create(doc, (tr_shape){.h = 32, .w = 32, .c = 3}, 10, &graph, NULL);
    tr_graph_free(graph);
    tr_doc_free(doc);
    return 0;
}
