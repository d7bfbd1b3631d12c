/* The vocabulary that the *_tmpl.c files are written in: vectors of 8 and 16 floats, and of 8
 * doubles (d8; TR_D8_BLOCKS: four accumulators of so many fit the registers).
 *
 * TR_ISA_AVX2, TR_ISA_AVX512 or TR_ISA_NEON chooses; TR_NAME(f) gives f the ISA's suffix. Private
 * to this module.
 */
#ifndef TR_VEC_H
#define TR_VEC_H

#include "kernels/kernels.h"

#define TR_PASTE_(a, b) a##_##b
#define TR_PASTE(a, b)  TR_PASTE_(a, b)
#define TR_NAME(f)      TR_PASTE(f, TR_ISA)
#define TR_INLINE       static inline __attribute__((always_inline))

/* The size of even pieces, of at most `most`, that n is split into. */
TR_INLINE int even_piece(int n, int most) {
    int pieces = n > most ? (n + most - 1) / most : 1;
    return (n + pieces - 1) / pieces;
}

/* How many vectors of each width a tile may accumulate in registers: TR_ACC8 and TR_ACC16, and of
 * rows of two vectors of 16: TR_PAIR_ROWS. The widest vector that the ISA has instructions for:
 * vwide, TR_WIDE(f), TR_WIDTH lanes, TR_WIDE_ACC of them in pixel_tile.h. */
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
TR_INLINE v8 v8_add(v8 a, v8 b) {
    return _mm256_add_ps(a, b);
}
TR_INLINE v8 v8_sub(v8 a, v8 b) {
    return _mm256_sub_ps(a, b);
}
/* a where y is above zero, else zero */
TR_INLINE v8 v8_where_above0(v8 y, v8 a) {
    return _mm256_and_ps(a, _mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_GT_OQ));
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
/* Eight small integers as bytes. */
TR_INLINE void v8_store_bytes(uint8_t *p, v8 a) {
    __m256i i = _mm256_cvtps_epi32(a);
    __m128i s = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(s, s));
}
/* ((0+4) + (2+6)) + ((1+5) + (3+7)): the order of tr_reduce8 */
TR_INLINE float v8_reduce(v8 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
/* Transposes eight rows of eight floats: rows `fs` apart to rows `ts` apart. */
TR_INLINE void v8_transpose(const float *from, int64_t fs, float *to, int64_t ts) {
    __m256 a0 = v8_load(from), a1 = v8_load(from + fs), a2 = v8_load(from + 2 * fs),
           a3 = v8_load(from + 3 * fs), a4 = v8_load(from + 4 * fs), a5 = v8_load(from + 5 * fs),
           a6 = v8_load(from + 6 * fs), a7 = v8_load(from + 7 * fs);
    __m256 b0 = _mm256_unpacklo_ps(a0, a1), b1 = _mm256_unpackhi_ps(a0, a1),
           b2 = _mm256_unpacklo_ps(a2, a3), b3 = _mm256_unpackhi_ps(a2, a3),
           b4 = _mm256_unpacklo_ps(a4, a5), b5 = _mm256_unpackhi_ps(a4, a5),
           b6 = _mm256_unpacklo_ps(a6, a7), b7 = _mm256_unpackhi_ps(a6, a7);
    a0 = _mm256_shuffle_ps(b0, b2, 0x44), a1 = _mm256_shuffle_ps(b0, b2, 0xee);
    a2 = _mm256_shuffle_ps(b1, b3, 0x44), a3 = _mm256_shuffle_ps(b1, b3, 0xee);
    a4 = _mm256_shuffle_ps(b4, b6, 0x44), a5 = _mm256_shuffle_ps(b4, b6, 0xee);
    a6 = _mm256_shuffle_ps(b5, b7, 0x44), a7 = _mm256_shuffle_ps(b5, b7, 0xee);
    v8_store(to, _mm256_permute2f128_ps(a0, a4, 0x20));
    v8_store(to + ts, _mm256_permute2f128_ps(a1, a5, 0x20));
    v8_store(to + 2 * ts, _mm256_permute2f128_ps(a2, a6, 0x20));
    v8_store(to + 3 * ts, _mm256_permute2f128_ps(a3, a7, 0x20));
    v8_store(to + 4 * ts, _mm256_permute2f128_ps(a0, a4, 0x31));
    v8_store(to + 5 * ts, _mm256_permute2f128_ps(a1, a5, 0x31));
    v8_store(to + 6 * ts, _mm256_permute2f128_ps(a2, a6, 0x31));
    v8_store(to + 7 * ts, _mm256_permute2f128_ps(a3, a7, 0x31));
}
/* De-interleaves sixteen floats: those at even and those at odd indices. */
TR_INLINE void v8_apart2(v8 a, v8 b, v8 *even, v8 *odd) {
    __m256d e = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    __m256d o = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd));
    *even = _mm256_castpd_ps(_mm256_permute4x64_pd(e, 0xd8));
    *odd = _mm256_castpd_ps(_mm256_permute4x64_pd(o, 0xd8));
}
/* De-interleaves eight pixels of three channels. */
TR_INLINE void v8_apart3(const float *p, v8 *c0, v8 *c1, v8 *c2) {
    __m256 x = v8_load(p), y = v8_load(p + 8), z = v8_load(p + 16);
    __m256 p0 = _mm256_blend_ps(_mm256_blend_ps(x, y, 0x92), z, 0x24);
    __m256 p1 = _mm256_blend_ps(_mm256_blend_ps(x, y, 0x24), z, 0x49);
    __m256 p2 = _mm256_blend_ps(_mm256_blend_ps(x, y, 0x49), z, 0x92);
    *c0 = _mm256_permutevar8x32_ps(p0, _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5));
    *c1 = _mm256_permutevar8x32_ps(p1, _mm256_setr_epi32(1, 4, 7, 2, 5, 0, 3, 6));
    *c2 = _mm256_permutevar8x32_ps(p2, _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7));
}
#if defined(TR_ISA_AVX512)
#define TR_ACC8      14
#define TR_ACC16     14
#define TR_PAIR_ROWS 5
#define TR_WIDTH     16
#define TR_WIDE_ACC  24
#define TR_WIDE(f)   v16_##f
typedef __m512 vwide;
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
TR_INLINE v16 v16_sub(v16 a, v16 b) {
    return _mm512_sub_ps(a, b);
}
#define TR_D8_BLOCKS 2
typedef __m512d d8;
TR_INLINE d8 d8_zero(void) {
    return _mm512_setzero_pd();
}
TR_INLINE d8 d8_load(const double *p) {
    return _mm512_loadu_pd(p);
}
TR_INLINE void d8_store(double *p, d8 a) {
    _mm512_storeu_pd(p, a);
}
TR_INLINE d8 d8_from(v8 a) {
    return _mm512_cvtps_pd(a);
}
TR_INLINE d8 d8_add(d8 a, d8 b) {
    return _mm512_add_pd(a, b);
}
TR_INLINE d8 d8_sub(d8 a, d8 b) {
    return _mm512_sub_pd(a, b);
}
TR_INLINE d8 d8_mul(d8 a, d8 b) {
    return _mm512_mul_pd(a, b);
}
/* Eight words of 32 bits, each in a lane of 64. */
#define TR_WORDS 1
typedef __m512i w8;
TR_INLINE w8 w8_all(uint32_t x) {
    return _mm512_set1_epi64(x);
}
/* first .. first + 7, in the order that w8_store_factors wants */
TR_INLINE w8 w8_counters(uint32_t first) {
    return _mm512_add_epi32(w8_all(first), _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7));
}
TR_INLINE w8 w8_mul(w8 a, w8 b) {
    return _mm512_mul_epu32(a, b);
}
TR_INLINE w8 w8_high(w8 a) {
    return _mm512_srli_epi64(a, 32);
}
TR_INLINE w8 w8_xor(w8 a, w8 b) {
    return _mm512_xor_si512(a, b);
}
TR_INLINE void factors16(float *p, __m512i bits, int32_t most, float scale) {
    __mmask16 k = _mm512_cmple_epi32_mask(_mm512_srli_epi32(bits, 1), _mm512_set1_epi32(most));
    _mm512_storeu_ps(p, _mm512_maskz_mov_ps(k, _mm512_set1_ps(scale)));
}
/* p[4 * counter + i] = scale where word i, without its lowest bit, is at most `most`, else 0 */
TR_INLINE void w8_store_factors(float *p, w8 x0, w8 x1, w8 x2, w8 x3, int32_t most, float scale) {
    w8 a = _mm512_mask_blend_epi32(0xaaaa, x0, _mm512_slli_epi64(x1, 32)),
       b = _mm512_mask_blend_epi32(0xaaaa, x2, _mm512_slli_epi64(x3, 32));
    factors16(p, _mm512_unpacklo_epi64(a, b), most, scale);
    factors16(p + 16, _mm512_unpackhi_epi64(a, b), most, scale);
}
#else
#define TR_WORDS     1
typedef struct w8 {
    __m256i a, b;
} w8;
TR_INLINE w8 w8_all(uint32_t x) {
    return (w8){_mm256_set1_epi64x(x), _mm256_set1_epi64x(x)};
}
TR_INLINE w8 w8_counters(uint32_t first) {
    w8 x = w8_all(first);
    return (w8){_mm256_add_epi32(x.a, _mm256_setr_epi64x(0, 2, 1, 3)),
                _mm256_add_epi32(x.b, _mm256_setr_epi64x(4, 6, 5, 7))};
}
TR_INLINE w8 w8_mul(w8 a, w8 b) {
    return (w8){_mm256_mul_epu32(a.a, b.a), _mm256_mul_epu32(a.b, b.b)};
}
TR_INLINE w8 w8_high(w8 a) {
    return (w8){_mm256_srli_epi64(a.a, 32), _mm256_srli_epi64(a.b, 32)};
}
TR_INLINE w8 w8_xor(w8 a, w8 b) {
    return (w8){_mm256_xor_si256(a.a, b.a), _mm256_xor_si256(a.b, b.b)};
}
TR_INLINE void factors8(float *p, __m256i bits, int32_t most, float scale) {
    __m256i more = _mm256_cmpgt_epi32(_mm256_srli_epi32(bits, 1), _mm256_set1_epi32(most));
    _mm256_storeu_ps(p, _mm256_andnot_ps(_mm256_castsi256_ps(more), _mm256_set1_ps(scale)));
}
TR_INLINE void factors16(float *p, __m256i x0, __m256i x1, __m256i x2, __m256i x3, int32_t most,
                         float scale) {
    __m256i a = _mm256_blend_epi32(x0, _mm256_slli_epi64(x1, 32), 0xaa),
            b = _mm256_blend_epi32(x2, _mm256_slli_epi64(x3, 32), 0xaa);
    factors8(p, _mm256_unpacklo_epi64(a, b), most, scale);
    factors8(p + 8, _mm256_unpackhi_epi64(a, b), most, scale);
}
TR_INLINE void w8_store_factors(float *p, w8 x0, w8 x1, w8 x2, w8 x3, int32_t most, float scale) {
    factors16(p, x0.a, x1.a, x2.a, x3.a, most, scale);
    factors16(p + 16, x0.b, x1.b, x2.b, x3.b, most, scale);
}
#define TR_D8_BLOCKS 1
typedef struct d8 {
    __m256d a, b;
} d8;
TR_INLINE d8 d8_zero(void) {
    return (d8){_mm256_setzero_pd(), _mm256_setzero_pd()};
}
TR_INLINE d8 d8_load(const double *p) {
    return (d8){_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}
TR_INLINE void d8_store(double *p, d8 a) {
    _mm256_storeu_pd(p, a.a);
    _mm256_storeu_pd(p + 4, a.b);
}
TR_INLINE d8 d8_from(v8 a) {
    return (d8){_mm256_cvtps_pd(_mm256_castps256_ps128(a)),
                _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
}
TR_INLINE d8 d8_add(d8 a, d8 b) {
    return (d8){_mm256_add_pd(a.a, b.a), _mm256_add_pd(a.b, b.b)};
}
TR_INLINE d8 d8_sub(d8 a, d8 b) {
    return (d8){_mm256_sub_pd(a.a, b.a), _mm256_sub_pd(a.b, b.b)};
}
TR_INLINE d8 d8_mul(d8 a, d8 b) {
    return (d8){_mm256_mul_pd(a.a, b.a), _mm256_mul_pd(a.b, b.b)};
}
#define TR_ACC8      14
#define TR_ACC16     6
#define TR_PAIR_ROWS 3
#define TR_WIDTH     8
#define TR_WIDE_ACC  12
#define TR_WIDE(f)   v8_##f
#define TR_PAIR      1
typedef v8 vwide;
#endif
#elif defined(TR_ISA_NEON)
#include <arm_neon.h>
#define TR_ACC8      10
#define TR_ACC16     5
#define TR_PAIR      1
typedef struct v8 {
    float32x4_t a, b;
} v8;
#define TR_PAIR_ROWS 3
#define TR_WIDTH     8
#define TR_WIDE_ACC  12
#define TR_WIDE(f)   v8_##f
typedef v8 vwide;
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
TR_INLINE v8 v8_add(v8 a, v8 b) {
    return (v8){vaddq_f32(a.a, b.a), vaddq_f32(a.b, b.b)};
}
TR_INLINE v8 v8_sub(v8 a, v8 b) {
    return (v8){vsubq_f32(a.a, b.a), vsubq_f32(a.b, b.b)};
}
#define TR_D8_BLOCKS 1
typedef struct d8 {
    float64x2_t v[4];
} d8;
TR_INLINE d8 d8_zero(void) {
    float64x2_t z = vdupq_n_f64(0);
    return (d8){{z, z, z, z}};
}
TR_INLINE d8 d8_load(const double *p) {
    return (d8){{vld1q_f64(p), vld1q_f64(p + 2), vld1q_f64(p + 4), vld1q_f64(p + 6)}};
}
TR_INLINE void d8_store(double *p, d8 a) {
    vst1q_f64(p, a.v[0]);
    vst1q_f64(p + 2, a.v[1]);
    vst1q_f64(p + 4, a.v[2]);
    vst1q_f64(p + 6, a.v[3]);
}
TR_INLINE d8 d8_from(v8 a) {
    return (d8){{vcvt_f64_f32(vget_low_f32(a.a)), vcvt_high_f64_f32(a.a),
                 vcvt_f64_f32(vget_low_f32(a.b)), vcvt_high_f64_f32(a.b)}};
}
#define TR_D8_EACH(f, a, b)                                                                        \
    ((d8){{f((a).v[0], (b).v[0]), f((a).v[1], (b).v[1]), f((a).v[2], (b).v[2]),                    \
           f((a).v[3], (b).v[3])}})
TR_INLINE d8 d8_add(d8 a, d8 b) {
    return TR_D8_EACH(vaddq_f64, a, b);
}
TR_INLINE d8 d8_sub(d8 a, d8 b) {
    return TR_D8_EACH(vsubq_f64, a, b);
}
TR_INLINE d8 d8_mul(d8 a, d8 b) {
    return TR_D8_EACH(vmulq_f64, a, b);
}
TR_INLINE v8 v8_where_above0(v8 y, v8 a) {
    return (v8){vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(y.a), vreinterpretq_u32_f32(a.a))),
                vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(y.b), vreinterpretq_u32_f32(a.b)))};
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
TR_INLINE float v8_reduce(v8 a) {
    float32x4_t s = vaddq_f32(a.a, a.b);
    float32x2_t t = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}
TR_INLINE void v4_transpose(const float *from, int64_t fs, float *to, int64_t ts) {
    float32x4x2_t a = vtrnq_f32(vld1q_f32(from), vld1q_f32(from + fs));
    float32x4x2_t b = vtrnq_f32(vld1q_f32(from + 2 * fs), vld1q_f32(from + 3 * fs));
    vst1q_f32(to, vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0])));
    vst1q_f32(to + ts, vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1])));
    vst1q_f32(to + 2 * ts, vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0])));
    vst1q_f32(to + 3 * ts, vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1])));
}
TR_INLINE void v8_transpose(const float *from, int64_t fs, float *to, int64_t ts) {
    v4_transpose(from, fs, to, ts);
    v4_transpose(from + 4, fs, to + 4 * ts, ts);
    v4_transpose(from + 4 * fs, fs, to + 4, ts);
    v4_transpose(from + 4 * fs + 4, fs, to + 4 * ts + 4, ts);
}
TR_INLINE void v8_apart2(v8 a, v8 b, v8 *even, v8 *odd) {
    float32x4x2_t l = vuzpq_f32(a.a, a.b), h = vuzpq_f32(b.a, b.b);
    *even = (v8){l.val[0], h.val[0]};
    *odd = (v8){l.val[1], h.val[1]};
}
TR_INLINE void v8_apart3(const float *p, v8 *c0, v8 *c1, v8 *c2) {
    float32x4x3_t a = vld3q_f32(p), b = vld3q_f32(p + 12);
    *c0 = (v8){a.val[0], b.val[0]};
    *c1 = (v8){a.val[1], b.val[1]};
    *c2 = (v8){a.val[2], b.val[2]};
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
TR_INLINE v16 v16_sub(v16 a, v16 b) {
    return (v16){v8_sub(a.l, b.l), v8_sub(a.h, b.h)};
}
#endif

/* lanes 0..n-1 of a, zero in the others */
TR_INLINE void v16_store_first(float *p, v16 a, int n) {
    v16_store(p, a);
    if (n < 16) {
        v8_store(p, v8_first(v8_load(p), n));
        v8_store(p + 8, v8_first(v8_load(p + 8), n - 8));
    }
}
/* GRID_R(X, C) writes X(r, c) for r in 0..R-1 and c in 0..C-1: named accumulators, because gcc
 * keeps an array of them in memory. */
#define TR_COLS_1(X, r)  X(r, 0)
#define TR_COLS_2(X, r)  TR_COLS_1(X, r) X(r, 1)
#define TR_COLS_3(X, r)  TR_COLS_2(X, r) X(r, 2)
#define TR_COLS_4(X, r)  TR_COLS_3(X, r) X(r, 3)
#define TR_COLS_5(X, r)  TR_COLS_4(X, r) X(r, 4)
#define TR_COLS_6(X, r)  TR_COLS_5(X, r) X(r, 5)
#define TR_COLS_7(X, r)  TR_COLS_6(X, r) X(r, 6)
#define TR_COLS_8(X, r)  TR_COLS_7(X, r) X(r, 7)
#define TR_GRID_1(X, nc) TR_COLS_##nc(X, 0)
#define TR_GRID_2(X, nc) TR_GRID_1(X, nc) TR_COLS_##nc(X, 1)
#define TR_GRID_3(X, nc) TR_GRID_2(X, nc) TR_COLS_##nc(X, 2)
#define TR_GRID_4(X, nc) TR_GRID_3(X, nc) TR_COLS_##nc(X, 3)
#define TR_GRID_5(X, nc) TR_GRID_4(X, nc) TR_COLS_##nc(X, 4)
#define TR_GRID_6(X, nc) TR_GRID_5(X, nc) TR_COLS_##nc(X, 5)
#define TR_GRID_7(X, nc) TR_GRID_6(X, nc) TR_COLS_##nc(X, 6)
#define TR_GRID_8(X, nc) TR_GRID_7(X, nc) TR_COLS_##nc(X, 7)

#endif
