/* The vocabulary that the *_tmpl.c files are written in: vectors of 8 and 16 floats.
 *
 * TR_ISA_AVX2, TR_ISA_AVX512 or TR_ISA_NEON chooses; TR_NAME(f) gives f the ISA's suffix. Private
 * to this room.
 */
#ifndef TR_VEC_H
#define TR_VEC_H

#include "kernels/kernels.h"

#define TR_PASTE_(a, b) a##_##b
#define TR_PASTE(a, b)  TR_PASTE_(a, b)
#define TR_NAME(f)      TR_PASTE(f, TR_ISA)
#define TR_INLINE       static inline __attribute__((always_inline))

/* How many vectors of each width a tile may accumulate in registers: TR_ACC8 and TR_ACC16. */
#if defined(TR_ISA_AVX2) || defined(TR_ISA_AVX512)
#include <immintrin.h>
typedef __m256 v8;
TR_INLINE v8 v8_zero(void) {
    return _mm256_setzero_ps();
}
TR_INLINE v8 v8_load(const float *p) {
    return _mm256_loadu_ps(p);
}
TR_INLINE void v8_store(float *p, v8 a) {
    _mm256_storeu_ps(p, a);
}
TR_INLINE v8 v8_all(float s) {
    return _mm256_set1_ps(s);
}
TR_INLINE v8 v8_fma(v8 a, v8 b, v8 c) {
    return _mm256_fmadd_ps(a, b, c);
}
/* b where it is larger, equal or not a number; else a */
TR_INLINE v8 v8_max(v8 a, v8 b) {
    return _mm256_max_ps(a, b);
}
/* lanes 0..n-1 of a, zero in the others */
TR_INLINE v8 v8_first(v8 a, int n) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane)));
}
/* One step of a running maximum: where b > *best or b is not a number, b and its number. */
TR_INLINE void v8_take(v8 *best, v8 *at, v8 b, float number) {
    v8 more = _mm256_or_ps(_mm256_cmp_ps(b, *best, _CMP_GT_OQ), _mm256_cmp_ps(b, b, _CMP_UNORD_Q));
    *best = _mm256_blendv_ps(*best, b, more);
    *at = _mm256_blendv_ps(*at, _mm256_set1_ps(number), more);
}
/* Eight small whole numbers as bytes. */
TR_INLINE void v8_store_bytes(uint8_t *p, v8 a) {
    __m256i i = _mm256_cvtps_epi32(a);
    __m128i s = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(s, s));
}
/* ((0+4) + (2+6)) + ((1+5) + (3+7)): the order of tr_fold8 */
TR_INLINE float v8_fold(v8 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
#if defined(TR_ISA_AVX512)
#define TR_ACC8  14
#define TR_ACC16 14
typedef __m512 v16;
TR_INLINE v16 v16_zero(void) {
    return _mm512_setzero_ps();
}
TR_INLINE v16 v16_load(const float *p) {
    return _mm512_loadu_ps(p);
}
TR_INLINE void v16_store(float *p, v16 a) {
    _mm512_storeu_ps(p, a);
}
TR_INLINE v16 v16_all(float s) {
    return _mm512_set1_ps(s);
}
TR_INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
    return _mm512_fmadd_ps(a, b, c);
}
TR_INLINE v16 v16_max(v16 a, v16 b) {
    return _mm512_max_ps(a, b);
}
#else
#define TR_ACC8  14
#define TR_ACC16 6
#define TR_PAIR  1
#endif
#elif defined(TR_ISA_NEON)
#include <arm_neon.h>
#define TR_ACC8  10
#define TR_ACC16 5
#define TR_PAIR  1
typedef struct v8 {
    float32x4_t a, b;
} v8;
TR_INLINE v8 v8_all(float s) {
    return (v8){vdupq_n_f32(s), vdupq_n_f32(s)};
}
TR_INLINE v8 v8_zero(void) {
    return v8_all(0);
}
TR_INLINE v8 v8_load(const float *p) {
    return (v8){vld1q_f32(p), vld1q_f32(p + 4)};
}
TR_INLINE void v8_store(float *p, v8 a) {
    vst1q_f32(p, a.a);
    vst1q_f32(p + 4, a.b);
}
TR_INLINE v8 v8_fma(v8 a, v8 b, v8 c) {
    return (v8){vfmaq_f32(c.a, a.a, b.a), vfmaq_f32(c.b, a.b, b.b)};
}
TR_INLINE float32x4_t v4_max(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
TR_INLINE v8 v8_max(v8 a, v8 b) {
    return (v8){v4_max(a.a, b.a), v4_max(a.b, b.b)};
}
TR_INLINE v8 v8_first(v8 a, int n) {
    float t[8];
    v8_store(t, a);
    for (int i = n < 0 ? 0 : n; i < 8; i++) t[i] = 0;
    return v8_load(t);
}
TR_INLINE void v8_take(v8 *best, v8 *at, v8 b, float number) {
    uint32x4_t p = vorrq_u32(vcgtq_f32(b.a, best->a), vmvnq_u32(vceqq_f32(b.a, b.a)));
    uint32x4_t q = vorrq_u32(vcgtq_f32(b.b, best->b), vmvnq_u32(vceqq_f32(b.b, b.b)));
    *best = (v8){vbslq_f32(p, b.a, best->a), vbslq_f32(q, b.b, best->b)};
    float32x4_t s = vdupq_n_f32(number);
    *at = (v8){vbslq_f32(p, s, at->a), vbslq_f32(q, s, at->b)};
}
TR_INLINE void v8_store_bytes(uint8_t *p, v8 a) {
    uint16x4_t l = vmovn_u32(vcvtq_u32_f32(a.a)), h = vmovn_u32(vcvtq_u32_f32(a.b));
    vst1_u8(p, vmovn_u16(vcombine_u16(l, h)));
}
TR_INLINE float v8_fold(v8 a) {
    float32x4_t s = vaddq_f32(a.a, a.b);
    float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}
#endif

#ifdef TR_PAIR /* sixteen lanes as two vectors of eight */
typedef struct v16 {
    v8 l, h;
} v16;
TR_INLINE v16 v16_all(float s) {
    return (v16){v8_all(s), v8_all(s)};
}
TR_INLINE v16 v16_zero(void) {
    return (v16){v8_zero(), v8_zero()};
}
TR_INLINE v16 v16_load(const float *p) {
    return (v16){v8_load(p), v8_load(p + 8)};
}
TR_INLINE void v16_store(float *p, v16 a) {
    v8_store(p, a.l);
    v8_store(p + 8, a.h);
}
TR_INLINE v16 v16_fma(v16 a, v16 b, v16 c) {
    return (v16){v8_fma(a.l, b.l, c.l), v8_fma(a.h, b.h, c.h)};
}
TR_INLINE v16 v16_max(v16 a, v16 b) {
    return (v16){v8_max(a.l, b.l), v8_max(a.h, b.h)};
}
#endif

/* GRID_R(X, C) writes X(r, c) for r in 0..R-1 and c in 0..C-1: named accumulators, because gcc
 * keeps an array of them in memory. */
#define TR_COLS_1(X, r)  X(r, 0)
#define TR_COLS_2(X, r)  TR_COLS_1(X, r) X(r, 1)
#define TR_COLS_3(X, r)  TR_COLS_2(X, r) X(r, 2)
#define TR_COLS_4(X, r)  TR_COLS_3(X, r) X(r, 3)
#define TR_COLS_5(X, r)  TR_COLS_4(X, r) X(r, 4)
#define TR_COLS_6(X, r)  TR_COLS_5(X, r) X(r, 5)
#define TR_COLS_7(X, r)  TR_COLS_6(X, r) X(r, 6)
#define TR_GRID_1(X, nc) TR_COLS_##nc(X, 0)
#define TR_GRID_2(X, nc) TR_GRID_1(X, nc) TR_COLS_##nc(X, 1)
#define TR_GRID_3(X, nc) TR_GRID_2(X, nc) TR_COLS_##nc(X, 2)
#define TR_GRID_4(X, nc) TR_GRID_3(X, nc) TR_COLS_##nc(X, 3)
#define TR_GRID_5(X, nc) TR_GRID_4(X, nc) TR_COLS_##nc(X, 4)

#endif
