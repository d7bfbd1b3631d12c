/* The memory planner: a pure function from lifetimes to offsets.
 *
 * Largest first, each at the lowest offset where it fits between those that live at the same time.
 */
#include <stdlib.h>

#include "graph/graph.h"

typedef struct item {
    int64_t bytes;
    int id;
} item;

static int larger_first(const void *a, const void *b) {
    const item *p = a, *q = b;
    if (p->bytes != q->bytes) return p->bytes < q->bytes ? 1 : -1;
    return p->id - q->id; /* the same places whatever the sort does with equals */
}

int64_t tr_plan_memory(int n, const int64_t *bytes, const int *first, const int *last,
                       int64_t *offset) {
    item *items = tr_alloc((size_t)n, sizeof *items, NULL);
    int *placed = tr_alloc((size_t)n, sizeof *placed, NULL); /* by offset */
    int64_t total = items && placed ? 0 : -1;
    for (int i = 0; total >= 0 && i < n; i++) items[i] = (item){bytes[i], i};
    if (total >= 0) qsort(items, (size_t)n, sizeof *items, larger_first);
    for (int i = 0; total >= 0 && i < n; i++) {
        int id = items[i].id, at = i;
        int64_t from = 0, end;
        for (int j = 0; j < i; j++) {
            int other = placed[j];
            if (last[other] < first[id] || last[id] < first[other]) continue;
            if (offset[other] - from >= bytes[id]) break;
            if (offset[other] + bytes[other] > from) from = offset[other] + bytes[other];
        }
        if (__builtin_add_overflow(from, bytes[id], &end)) {
            total = -1;
            break;
        }
        offset[id] = from;
        if (end > total) total = end;
        for (; at > 0 && offset[placed[at - 1]] > from; at--) placed[at] = placed[at - 1];
        placed[at] = id;
    }
    tr_free(items);
    tr_free(placed);
    return total;
}
