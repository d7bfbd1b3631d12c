/* PyTorch's random numbers: the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), and the
 * order that its DataLoader makes of it.
 *
 * Unlike Philox it is a sequence: a number is found by drawing all before it. The sequence of
 * torch.manual_seed(seed) is used up by the initial weights, one number each, and then by every
 * epoch of the loader, which draws a seed for its workers and one for its order, two numbers each.
 */
#include "base/base.h"

enum { SHIFT = 397 };

void tr_mt19937_seed(tr_mt19937 *g, uint32_t seed) {
    g->state[0] = seed;
    for (uint32_t i = 1; i < TR_MT19937_WORDS; i++)
        g->state[i] = 1812433253u * (g->state[i - 1] ^ g->state[i - 1] >> 30) + i;
    g->next = TR_MT19937_WORDS;
}

static void twist(uint32_t *s) {
    for (int i = 0; i < TR_MT19937_WORDS; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % TR_MT19937_WORDS] & 0x7fffffffu);
        s[i] = s[(i + SHIFT) % TR_MT19937_WORDS] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
    }
}

uint32_t tr_mt19937_next(tr_mt19937 *g) {
    if (g->next == TR_MT19937_WORDS) {
        twist(g->state);
        g->next = 0;
    }
    uint32_t y = g->state[g->next++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

void tr_torch_permutation(uint64_t seed, int64_t n_before, uint32_t epoch, uint32_t *order,
                          uint32_t n) {
    tr_mt19937 g;
    tr_mt19937_seed(&g, (uint32_t)seed);
    /* Up to the lower half of this epoch's second 64-bit number; of it all else is cut off. */
    for (int64_t i = n_before + 4 * (int64_t)epoch + 3; i > 0; i--) tr_mt19937_next(&g);
    tr_mt19937_seed(&g, tr_mt19937_next(&g));
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t j = i + tr_mt19937_next(&g) % (n - i);
        uint32_t other = order[j];
        order[j] = order[i];
        order[i] = other;
    }
}
