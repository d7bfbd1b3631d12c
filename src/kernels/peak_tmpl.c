/* As many fused multiply-adds as the core can do: the peak that benchmarks are held against. */
#include "kernels/reference.h"
#include "kernels/vec.h"

/* The widest vector that is one register. */
#ifdef TR_PAIR
#define V(f)  v8_##f
#define VTYPE v8
enum { LANES = 8 };
#else
#define V(f)  v16_##f
#define VTYPE v16
enum { LANES = 16 };
#endif

/* All different: of sums that start alike the compiler keeps one. */
#define PEAK_START(b, o) VTYPE a##b##o = V(all)(1 + 6 * (b) + (o));
#define PEAK_STEP(b, o)  a##b##o = V(fma)(a##b##o, factor, term);
#define PEAK_END(b, o)   V(store)(values, a##b##o), sum += values[0];

/* Two rows of six: enough independent sums to hide the latency, few enough for the registers. */
static int64_t peak(int64_t rounds, float *sink) {
    VTYPE factor = V(all)(0.999f), term = V(all)(1e-3f);
    float values[TR_LANES], sum = 0;
    TR_GRID_2(PEAK_START, 6)
    for (int64_t i = 0; i < rounds; i++) {
        TR_GRID_2(PEAK_STEP, 6)
    }
    TR_GRID_2(PEAK_END, 6)
    *sink = sum;
    return rounds * 12 * LANES * 2;
}

void TR_NAME(tr_kernels_fill_peak)(tr_kernels *t) {
    t->peak = peak;
}
