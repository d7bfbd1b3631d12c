/* Random numbers: the published answers of Philox4x32-10, and what is built on it.
 *
 * All draws have fixed seeds, so a statistical test here passes always or never; its bounds say how
 * unlikely a correct generator was to miss them with a seed not tried before.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "check_main.h"

START_TEST(philox_known_answers) {
    static const struct { /* kat_vectors of Random123 */
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t out[4];
        tr_philox(cases[i].counter, cases[i].key, out);
        ck_assert_mem_eq(out, cases[i].out, sizeof out);
    }
}
END_TEST

START_TEST(a_place_is_a_counter) {
    /* The third known answer, by its place: this mapping is what a seed means. */
    const uint64_t seed = 0x299f31d0a4093822u, b = 0x85a308d3243f6a88u;
    ck_assert_uint_eq(tr_random(seed, 0x03707344, 0x13198a2e, b), 0xd16cfe09);
    ck_assert(tr_random_unit(seed, 0x03707344, 0x13198a2e, b) == (float)0xd16cfe * 0x1p-24f);
    /* 64 bits 94fdcceb d16cfe09, times 1000, over 2^64 */
    ck_assert_uint_eq(tr_random_below(seed, 0x03707344, 0x13198a2e, b, 1000), 581);
}
END_TEST

START_TEST(every_part_of_a_place_counts) {
    uint32_t v = tr_random(1, 2, 3, 4);
    ck_assert_uint_eq(v, tr_random(1, 2, 3, 4));
    ck_assert_uint_ne(v, tr_random(2, 2, 3, 4));
    ck_assert_uint_ne(v, tr_random(1 + (1ull << 32), 2, 3, 4));
    ck_assert_uint_ne(v, tr_random(1, 1, 3, 4));
    ck_assert_uint_ne(v, tr_random(1, 2, 4, 4));
    ck_assert_uint_ne(v, tr_random(1, 2, 3, 5));
    ck_assert_uint_ne(v, tr_random(1, 2, 3, 4 + (1ull << 32)));
}
END_TEST

START_TEST(below_is_the_upper_half_of_the_product) {
    static const uint64_t limits[] = {
        1, 2, 3, 1000, 1u << 31, 0xffffffffu, 1ull << 32, (1ull << 32) + 1, 1ull << 63, UINT64_MAX};
    bool right = true;
    for (uint64_t b = 0; b < 2000; b++) {
        const uint32_t counter[4] = {(uint32_t)b, 0, 7, 8}, key[2] = {9, 0};
        uint32_t bits[4];
        tr_philox(counter, key, bits);
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
            __extension__ typedef unsigned __int128 wide;
            wide product = (wide)((uint64_t)bits[1] << 32 | bits[0]) * limits[i];
            uint64_t value = tr_random_below(9, 8, 7, b, limits[i]);
            right &= value == (uint64_t)(product >> 64) && value < limits[i];
        }
    }
    ck_assert(right);
}
END_TEST

START_TEST(units_are_uniform) {
    enum { N = 200000, BINS = 16 };
    int count[BINS] = {0};
    double sum = 0, neighbours = 0;
    float before = 0.5f;
    bool right = true;
    for (uint64_t i = 0; i < N; i++) {
        float u = tr_random_unit(42, TR_STREAM_INIT, 0, i);
        if (!(u >= 0 && u < 1)) ck_abort_msg("%g is not in [0, 1)", (double)u);
        right &= u * 0x1p24f == floorf(u * 0x1p24f); /* 24 bits: nothing was rounded, up to 1 */
        count[(int)(u * BINS)]++;
        sum += (double)u;
        neighbours += ((double)u - 0.5) * ((double)before - 0.5);
        before = u;
    }
    ck_assert(right);
    /* Five standard deviations, exceeded once in 1.7 million seeds: of a mean of N uniform numbers
     * sqrt(1/12/N), of the mean product of neighbours 1/12/sqrt(N). */
    ck_assert_double_le(fabs(sum / N - 0.5), 5 * sqrt(1.0 / 12 / N));
    ck_assert_double_le(fabs(neighbours / N), 5 * (1.0 / 12) / sqrt(N));
    double chi2 = 0;
    for (int i = 0; i < BINS; i++) chi2 += pow(count[i] - (double)N / BINS, 2) / ((double)N / BINS);
    ck_assert_double_le(chi2, 56.5); /* 15 degrees of freedom: exceeded once in a million seeds */
}
END_TEST

static void expect_permutation(const uint32_t *order, uint32_t n) {
    unsigned char *seen = calloc(n + 1u, 1);
    for (uint32_t i = 0; i < n; i++) {
        if (order[i] >= n || seen[order[i]]) ck_abort_msg("%u of %u", order[i], n);
        seen[order[i]] = 1;
    }
    free(seen);
}

START_TEST(permutations_hold_everything_once) {
    static const uint32_t sizes[] = {0, 1, 2, 3, 10, 1000, 50000};
    static uint32_t order[50001];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        order[sizes[i]] = 0xabcdef; /* a guard */
        tr_permutation(1, TR_STREAM_SHUFFLE, 0, order, sizes[i]);
        expect_permutation(order, sizes[i]);
        ck_assert_uint_eq(order[sizes[i]], 0xabcdef);
    }
}
END_TEST

START_TEST(permutations_depend_on_their_place_alone) {
    enum { N = 1000 };
    uint32_t a[N], b[N];
    tr_permutation(1, TR_STREAM_SHUFFLE, 3, a, N);
    tr_permutation(1, TR_STREAM_SHUFFLE, 3, b, N);
    ck_assert_mem_eq(a, b, sizeof a);
    for (int other = 0; other < 3; other++) {
        tr_permutation(other == 0 ? 2 : 1, other == 1 ? TR_STREAM_SAMPLES : TR_STREAM_SHUFFLE,
                       other == 2 ? 4 : 3, b, N);
        int same = 0;
        for (int i = 0; i < N; i++) same += a[i] == b[i];
        ck_assert_int_le(same, 10); /* 1 is expected; 11 or more: once in 60 million seeds */
    }
}
END_TEST

START_TEST(all_permutations_are_equally_likely) {
    enum { N = 24000 };
    int count[24] = {0};
    for (uint32_t epoch = 0; epoch < N; epoch++) {
        uint32_t p[4];
        tr_permutation(5, TR_STREAM_SHUFFLE, epoch, p, 4);
        int rank = 0; /* in the mixed base 4, 3, 2 */
        for (int i = 0; i < 3; i++) {
            int smaller = 0;
            for (int j = i + 1; j < 4; j++) smaller += p[j] < p[i];
            rank = rank * (4 - i) + smaller;
        }
        count[rank]++;
    }
    double chi2 = 0;
    for (int i = 0; i < 24; i++) chi2 += pow(count[i] - N / 24.0, 2) / (N / 24.0);
    ck_assert_double_le(chi2, 70.5); /* 23 degrees of freedom: exceeded once in a million seeds */
}
END_TEST

static Suite *rng_suite(void) {
    Suite *suite = suite_create("rng");
    TCase *tests = tcase_create("rng");
    tcase_add_test(tests, philox_known_answers);
    tcase_add_test(tests, a_place_is_a_counter);
    tcase_add_test(tests, every_part_of_a_place_counts);
    tcase_add_test(tests, below_is_the_upper_half_of_the_product);
    tcase_add_test(tests, units_are_uniform);
    tcase_add_test(tests, permutations_hold_everything_once);
    tcase_add_test(tests, permutations_depend_on_their_place_alone);
    tcase_add_test(tests, all_permutations_are_equally_likely);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void) {
    return tr_check_run(rng_suite());
}
