/* Dropout's random factors; plain loops, compiled once per ISA like reference.c.
 *
 * Philox4x32-10 as in base/rng.c, for as many counters at a time as a vector has lanes: integers
 * are the same everywhere.
 */
#include <string.h>

#include "kernels/reference.h"

enum { COUNTERS = 16, TILE = 16 };

/* x[i] := numbers of the counters first .. first + COUNTERS - 1, four each. */
static void philox(uint64_t key, uint64_t place, uint32_t first, uint32_t x[4][COUNTERS]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int l = 0; l < COUNTERS; l++) {
        x[0][l] = first + (uint32_t)l;
        x[1][l] = (uint32_t)place;
        x[2][l] = (uint32_t)(place >> 32);
        x[3][l] = 0;
    }
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < COUNTERS; l++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * x[0][l], p1 = (uint64_t)0xCD9E8D57u * x[2][l];
            x[0][l] = (uint32_t)(p1 >> 32) ^ x[1][l] ^ k0;
            x[1][l] = (uint32_t)p1;
            x[2][l] = (uint32_t)(p0 >> 32) ^ x[3][l] ^ k1;
            x[3][l] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

static void dropout(int64_t n, uint64_t key, uint64_t place, uint32_t kept, tr_real scale,
                    tr_real *factor) {
    uint32_t x[4][COUNTERS];
    for (int64_t e = 0; e < n; e += TR_DROPOUT_STEP) {
        philox(key, place, (uint32_t)(e / 4), x);
        for (int l = 0; l < COUNTERS; l++) {
            for (int i = 0; i < 4; i++) factor[e + 4 * l + i] = x[i][l] >> 1 < kept ? scale : 0;
        }
    }
}

/* Tile by tile of pixels, so that what is read across stays in the cache. */
static void multiply_planar(int c, int64_t area, const tr_real *x, const tr_real *factor,
                            tr_real *y) {
    if (c == 1 || area == 1) {
        for (int64_t i = 0; i < c * area; i++) y[i] = x[i] * factor[i];
        return;
    }
    for (int64_t p0 = 0; p0 < area; p0 += TILE) {
        int64_t p1 = tr_min(p0 + TILE, area);
        for (int k0 = 0; k0 < c; k0 += TILE) {
            int k1 = (int)tr_min(k0 + TILE, c);
            for (int64_t p = p0; p < p1; p++) {
                for (int k = k0; k < k1; k++) y[p * c + k] = x[p * c + k] * factor[k * area + p];
            }
        }
    }
}

void TR_NAME(tr_kernels_fill_dropout)(tr_kernels *t) {
    t->dropout = dropout;
    t->multiply_planar = multiply_planar;
}
