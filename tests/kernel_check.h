/* Every SIMD table against the reference, bit by bit: what the tests of kernels share.
 *
 * A case is a shape and a seed: the same inputs go through both tables into outputs that start with
 * the same content. Outputs are compared as bits (two NaNs are the same: which operand's payload
 * survives is the compiler's choice). Behind an output lie the slack that a kernel may fill with
 * anything (TR_LANES elements) and a guard that it may not touch; behind an input lies slack that
 * holds NaN, so that one that leaks from there is seen.
 */
#ifndef TR_TEST_KERNEL_CHECK_H
#define TR_TEST_KERNEL_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "kernels/kernels.h"

static const tr_kernels *scalar, *tables[8];
static int n_tables;

static inline void find_tables(void) {
    for (int i = 0; i < tr_n_isas() && n_tables < 8; i++) {
        tr_error lacks = {0};
        if (strcmp(tr_isa_name(i), "scalar") != 0 &&
            tr_kernels_get(tr_isa_name(i), &tables[n_tables], &lacks) == TR_OK)
            n_tables++;
    }
}

static inline void find_scalar(void) {
    tr_error err = {0};
    ck_assert_int_eq(tr_kernels_get("scalar", &scalar, &err), TR_OK);
    tr_flush_subnormals();
}

/* ---- data ---- */

static uint32_t state;

static inline uint32_t bits32(void) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) ^ (state << 13);
}
static inline int below(int n) {
    return (int)((bits32() >> 4) % (uint32_t)n);
}
static inline int pick(const int *list, int n) {
    return list[below(n)];
}

typedef enum kind {
    SMALL,   /* integers: ties, exact sums, zeros of both signs */
    REAL,    /* anything around 1 */
    TINY,    /* products and sums that are flushed to zero, and inputs that are */
    SPECIAL, /* some infinities and NaNs */
    N_KINDS
} kind;

static inline float number(kind k) {
    int n = below(9) - 4;
    float unit = (float)(bits32() & 0xffffff) * 0x1p-24f;
    switch (k) {
    case SMALL:
        return n ? (float)n : below(2) ? -0.0f : 0.0f;
    case TINY:
        if (below(4) == 0) return (unit - 0.5f) * 0x1p-125f;
        return (unit - 0.5f) * 0x1p-62f;
    case SPECIAL:
        if (below(40) == 0) return below(3) == 0 ? NAN : below(2) ? INFINITY : -INFINITY;
        break;
    default:
        break;
    }
    if (below(16) == 0) return below(2) ? -0.0f : 0.0f;
    return (unit - 0.5f) * 4;
}

/* ---- buffers ---- */

enum { GUARD = 32, MAX_BUFFERS = 24 };

typedef struct buffer {
    void *data;
    size_t n, size; /* elements and bytes of each */
} buffer;

static buffer used[MAX_BUFFERS];
static int n_used;

static inline void *make(size_t n, size_t size, int filler) {
    void *data = tr_alloc(n + TR_LANES + GUARD, size, NULL);
    if (data == NULL || n_used == MAX_BUFFERS) ck_abort_msg("more than %d buffers", MAX_BUFFERS);
    memset(data, filler, (n + TR_LANES + GUARD) * size);
    used[n_used++] = (buffer){data, n, size};
    return data;
}

/* Filled with 0xff, the slack behind floats is NaN. */
static inline float *input(int64_t n, kind k) {
    float *x = make((size_t)n, sizeof *x, 0xff);
    for (int64_t i = 0; i < n; i++) x[i] = number(k);
    return x;
}

enum { UNTOUCHED = 0x5a };

/* Two outputs with the same content: for the reference and for the table that is held against it.
 */
typedef struct outputs {
    void *a, *b;
    size_t n, size;
} outputs;

static inline outputs output(int64_t n, size_t size) {
    outputs o = {make((size_t)n, size, UNTOUCHED), make((size_t)n, size, UNTOUCHED), (size_t)n,
                 size};
    return o;
}

/* An output that starts from these values. */
static inline outputs output_from(int64_t n, const float *start) {
    outputs o = output(n, sizeof *start);
    memcpy(o.a, start, (size_t)n * sizeof *start);
    memcpy(o.b, start, (size_t)n * sizeof *start);
    return o;
}

static inline void release(void) {
    while (n_used > 0) tr_free(used[--n_used].data);
}

static char label[256]; /* of the case, for messages */

static inline void check_guard(const void *data, size_t n, size_t size, const char *what) {
    const unsigned char *p = (const unsigned char *)data + (n + TR_LANES) * size;
    for (size_t i = 0; i < GUARD * size; i++) {
        if (p[i] != UNTOUCHED)
            ck_abort_msg("%s: %s: byte %zu past the slack is written", label, what, i);
    }
}

static inline void compare(outputs o, const char *what) {
    check_guard(o.a, o.n, o.size, what);
    check_guard(o.b, o.n, o.size, what);
    if (memcmp(o.a, o.b, o.n * o.size) == 0) return;
    for (size_t i = 0; i < o.n * o.size; i += o.size) {
        const char *a = (const char *)o.a + i, *b = (const char *)o.b + i;
        if (memcmp(a, b, o.size) == 0) continue;
        float x = 0, y = 0;
        double wide_x, wide_y;
        if (o.size == sizeof x) {
            memcpy(&x, a, sizeof x);
            memcpy(&y, b, sizeof y);
        }
        wide_x = (double)x, wide_y = (double)y;
        if (o.size == sizeof wide_x) {
            memcpy(&wide_x, a, sizeof wide_x);
            memcpy(&wide_y, b, sizeof wide_y);
        }
        if (isnan(wide_x) && isnan(wide_y)) continue;
        ck_abort_msg("%s: %s: element %zu differs: %.17g, the reference has %.17g", label, what,
                     i / o.size, wide_y, wide_x);
    }
}

/* Numbers of channels around those of vectors. */
enum { N_CHANNELS = 11 };
static inline int channels_at(int i) {
    static const int channels[N_CHANNELS] = {1, 3, 6, 7, 8, 9, 15, 16, 17, 24, 33};
    return channels[i % N_CHANNELS];
}

/* The case of a suite; find_tables() gives the number of loops. */
static inline TCase *kernel_tests(const char *name) {
    TCase *tests = tcase_create(name);
    find_tables();
    tcase_add_checked_fixture(tests, find_scalar, NULL);
    tcase_set_timeout(tests, 60);
    return tests;
}

#endif
