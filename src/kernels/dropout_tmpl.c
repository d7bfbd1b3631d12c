/* Dropout's random factors in vectors: eight counters of Philox4x32-10 at a time, each word in a
 * lane of 64 bits, whose upper half is not used. */
#include "kernels/reference.h"
#include "kernels/vec.h"

#ifdef TR_WORDS
static void dropout(int64_t n, uint64_t key, uint64_t place, uint32_t kept, float scale,
                    float *factor) {
    const w8 m0 = w8_all(0xD2511F53u), m1 = w8_all(0xCD9E8D57u);
    for (int64_t e = 0; e < n; e += 32) {
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        w8 x0 = w8_counters((uint32_t)(e / 4)), x1 = w8_all((uint32_t)place),
           x2 = w8_all((uint32_t)(place >> 32)), x3 = w8_all(0);
        for (int round = 0; round < 10; round++) {
            w8 p0 = w8_mul(m0, x0), p1 = w8_mul(m1, x2);
            x0 = w8_xor(w8_xor(w8_high(p1), x1), w8_all(k0));
            x1 = p1;
            x2 = w8_xor(w8_xor(w8_high(p0), x3), w8_all(k1));
            x3 = p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        w8_store_factors(factor + e, x0, x1, x2, x3, (int32_t)(kept - 1), scale);
    }
}

void TR_NAME(tr_kernels_fill_words)(tr_kernels *t) {
    t->dropout = dropout;
}
#else
void TR_NAME(tr_kernels_fill_words)(tr_kernels *t) {
    (void)t;
}
#endif
