/* Aligned, zeroed memory, and failing allocations on purpose.
 *
 * A block is cut out of a larger one from calloc, whose address stands just below it. Zeroes come
 * from calloc and not from memset, so that the pages of a large block are first touched by the
 * thread that uses them and land on its NUMA node. Thread-safe.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Allocations left before one fails; negative: none fails. */
static atomic_long left_before_failure = -1;

void tr_alloc_fail_after(long n) {
    atomic_store(&left_before_failure, n < 0 ? -1 : n);
}

static bool must_fail(void) {
    long left = atomic_load(&left_before_failure);
    while (left >= 0)
        if (atomic_compare_exchange_weak(&left_before_failure, &left, left - 1)) return left == 0;
    return false;
}

void *tr_alloc(size_t count, size_t size, tr_error *err) {
    size_t bytes, total = 0;
    bool fits = tr_mul(count, size, &bytes);
    const size_t align = fits && bytes >= TR_LARGE ? TR_PAGE : TR_ALIGN;
    /* From the front: up to align - 1 bytes to align, the address of the whole, the block,
     * slack. */
    const size_t extra = align + sizeof(void *) + TR_ALIGN;
    if (!fits || !tr_add(bytes, extra, &total) || total > PTRDIFF_MAX) {
        tr_fail(err, TR_ENOMEM, "out of memory: %zu x %zu bytes do not fit the address space",
                count, size);
        return NULL;
    }
    char *whole = must_fail() ? NULL : calloc(1, total);
    if (!whole) {
        tr_fail(err, TR_ENOMEM, "out of memory (asked for %zu bytes)", bytes);
        return NULL;
    }
    uintptr_t first = (uintptr_t)whole + sizeof(void *);
    size_t shift = (align - first % align) % align;
    char *block = whole + sizeof(void *) + shift;
    memcpy(block - sizeof(void *), &whole, sizeof(void *));
    return block;
}

void tr_release(void *memory) {
    if (!memory) return;
    void *whole;
    memcpy(&whole, (char *)memory - sizeof(void *), sizeof(void *));
    free(whole);
}

char *tr_strdup(const char *text, tr_error *err) {
    size_t bytes = strlen(text) + 1;
    char *copy = tr_alloc(bytes, 1, err);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}
