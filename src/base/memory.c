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

/* Where a block of count * size bytes begins in its whole, and how many bytes that has. */
static bool layout(size_t count, size_t size, size_t *align, size_t *bytes, size_t *total) {
    if (!tr_mul(count, size, bytes)) return false;
    *align = *bytes >= TR_LARGE ? TR_PAGE : TR_ALIGN;
    /* From the front: up to align - 1 bytes to align, the address of the whole, the block,
     * slack. */
    return tr_add(*bytes, *align + sizeof(void *) + TR_ALIGN, total) && *total <= PTRDIFF_MAX;
}

int64_t tr_alloc_bytes(int64_t count, int64_t size) {
    size_t align, bytes, total;
    if (count < 0 || size < 0 || !layout((size_t)count, (size_t)size, &align, &bytes, &total))
        return INT64_MAX;
    return (int64_t)total;
}

void tr_touch(void *memory, int64_t bytes) {
    char *first = memory;
    /* Atomic, so that two threads may meet at a page; "or 0" writes and changes nothing. */
    for (int64_t i = 0; i < bytes; i += TR_PAGE) __atomic_fetch_or(first + i, 0, __ATOMIC_RELAXED);
    if (bytes > 0) __atomic_fetch_or(first + bytes - 1, 0, __ATOMIC_RELAXED);
}

const char *tr_memory_name(tr_memory_kind kind) {
    static const char *const names[TR_N_MEMORY_KINDS] = {
        [TR_MEMORY_PARAMETERS] = "parameters",
        [TR_MEMORY_OPTIMIZER] = "optimizer",
        [TR_MEMORY_BATCH] = "batch",
        [TR_MEMORY_THREADS] = "threads",
        [TR_MEMORY_DATA] = "data",
        [TR_MEMORY_LOADER] = "loader",
        [TR_MEMORY_TEST] = "test",
        [TR_MEMORY_OUTPUT] = "output",
        [TR_MEMORY_PROGRAM] = "program",
    };
    return names[kind];
}

void tr_account_add(tr_account *account, tr_memory_kind kind, int64_t bytes) {
    int64_t *sum = &account->bytes[kind];
    if (__builtin_add_overflow(*sum, bytes, sum)) *sum = INT64_MAX;
}

int64_t tr_account_total(const tr_account *account) {
    tr_account sum = {0};
    for (int i = 0; i < TR_N_MEMORY_KINDS; i++) tr_account_add(&sum, 0, account->bytes[i]);
    return sum.bytes[0];
}

void *tr_alloc(size_t count, size_t size, tr_error *err) {
    size_t align, bytes, total;
    if (!layout(count, size, &align, &bytes, &total)) {
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

void *tr_grow(void *list, int n, size_t size, tr_error *err) {
    void *old, *moved;
    memcpy(&old, list, sizeof old); /* a pointer to whatever the list is of */
    if (n == 0 || (n & (n - 1)) == 0) {
        moved = tr_alloc(n ? 2 * (size_t)n : 1, size, err);
        if (moved == NULL) return NULL;
        if (n) memcpy(moved, old, (size_t)n * size);
        tr_free(old);
        memcpy(list, &moved, sizeof moved);
        old = moved;
    }
    return (char *)old + (size_t)n * size;
}
