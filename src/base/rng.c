/* Random numbers: Philox4x32-10, a keyed bijection of a 128-bit counter.
 *
 * The counter is the place (b low, b high, a, stream), the key is the seed. Nothing is remembered
 * between calls, so any thread may draw any number at any time and gets the same one. The mapping
 * is part of what a seed means: changing it changes every result ever published.
 */
#include "base/base.h"

void tr_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * x0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* the golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = x0;
    out[1] = x1;
    out[2] = x2;
    out[3] = x3;
}

void tr_random_words(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b, uint32_t out[4]) {
    const uint32_t counter[4] = {(uint32_t)b, (uint32_t)(b >> 32), a, stream};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    tr_philox(counter, key, out);
}

uint32_t tr_random(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b) {
    uint32_t bits[4];
    tr_random_words(seed, stream, a, b, bits);
    return bits[0];
}

float tr_random_unit(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b) {
    return (float)(tr_random(seed, stream, a, b) >> 8) * 0x1p-24f;
}

/* The upper half of the 128-bit product, in pieces that every compiler has. */
static uint64_t multiply_high(uint64_t x, uint64_t y) {
    uint64_t x0 = (uint32_t)x, x1 = x >> 32, y0 = (uint32_t)y, y1 = y >> 32;
    uint64_t middle = x1 * y0 + (x0 * y0 >> 32); /* at most (2^32 - 1) * 2^32: no overflow */
    uint64_t carry = x0 * y1 + (uint32_t)middle;
    return x1 * y1 + (middle >> 32) + (carry >> 32);
}

uint64_t tr_random_below(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b, uint64_t n) {
    uint32_t bits[4];
    tr_random_words(seed, stream, a, b, bits);
    return multiply_high((uint64_t)bits[1] << 32 | bits[0], n);
}

/* Fisher-Yates from the end, with the position as the index of the draw. */
void tr_permutation(uint64_t seed, uint32_t stream, uint32_t a, uint32_t *order, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n; i-- > 1;) {
        uint32_t j = (uint32_t)tr_random_below(seed, stream, a, i, (uint64_t)i + 1);
        uint32_t other = order[j];
        order[j] = order[i];
        order[i] = other;
    }
}
