// Vectors of 8 f32 and of 32 u8: AVX2, the same with AVX-VNNI, and AVX-512's of that width.
#pragma once

#include <immintrin.h>

#ifndef CGNET_INLINE
#define CGNET_INLINE inline __attribute__((always_inline))
#endif

namespace {

#if defined(__AVX512VNNI__)  // `dot` is that of simd_avx512.hpp
#elif defined(__AVXVNNI__)
// {vex}: without it, assemblers take AVX-512's encoding. By hand as there: GCC 12 spills sums around the intrinsic.
CGNET_INLINE void dot(__m256i& sum, __m256i u8, __m256i s8) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(u8), "x"(s8));
}
#else
// A pair's sum saturates beyond 16 bits, so weights have 7 bits here: 2 * 255 * 63 fits.
CGNET_INLINE void dot(__m256i& sum, __m256i u8, __m256i s8) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(u8, s8), _mm256_set1_epi16(1)));
}
#endif

struct Narrow {
  static constexpr int kLanes = 8;
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  static constexpr bool kPairs = false;
#else
  static constexpr bool kPairs = true;
  static CGNET_INLINE void add_pairs(__m256i& part, __m256i u8, __m256i s8) {
    __m256i products;  // from intrinsics GCC 12 makes all of them first, and spills the sums
    asm volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0" : "+x"(part), "=&x"(products) : "x"(u8), "x"(s8));
  }
  static CGNET_INLINE void widen(__m256i& sum, __m256i part) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(part, _mm256_set1_epi16(1)));
  }
#endif
  static constexpr bool kHalf = true, kBf16 = false;
  using F = __m256;
  using I = __m256i;
  static CGNET_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
  static CGNET_INLINE void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static CGNET_INLINE F splat(float x) { return _mm256_set1_ps(x); }
  static CGNET_INLINE F zero() { return _mm256_setzero_ps(); }
  static CGNET_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
  static CGNET_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static CGNET_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static CGNET_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static CGNET_INLINE F prelu(F x, F slope) { return _mm256_blendv_ps(x, _mm256_mul_ps(x, slope), x); }
  static CGNET_INLINE F load_half(const uint8_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static CGNET_INLINE void store_half(uint8_t* p, F x) {
    x = _mm256_min_ps(_mm256_max_ps(x, splat(-65504)), splat(65504));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static CGNET_INLINE I no_sum() { return _mm256_setzero_si256(); }
  static CGNET_INLINE I load_bytes(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static CGNET_INLINE I splat_four(const uint8_t* p) {
    int four;
    __builtin_memcpy(&four, p, 4);
    return _mm256_set1_epi32(four);
  }
  static CGNET_INLINE F to_f32(I x) { return _mm256_cvtepi32_ps(x); }
  static CGNET_INLINE void store_u8(uint8_t* p, F x) {
    const I i = _mm256_cvtps_epi32(x);
    const __m128i s = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_xor_si128(_mm_packs_epi16(s, s), _mm_set1_epi8(-128)));
  }
  static CGNET_INLINE void mix(const uint8_t* p0, const uint8_t* p1, const uint8_t* p2, I c[4]) {
    const I r0 = load_bytes(p0), r1 = load_bytes(p1), r2 = load_bytes(p2);
    const I a = _mm256_unpacklo_epi8(r0, r1), b = _mm256_unpackhi_epi8(r0, r1);
    const I e = _mm256_unpacklo_epi8(r2, r2), f = _mm256_unpackhi_epi8(r2, r2);
    c[0] = _mm256_unpacklo_epi16(a, e), c[1] = _mm256_unpackhi_epi16(a, e);
    c[2] = _mm256_unpacklo_epi16(b, f), c[3] = _mm256_unpackhi_epi16(b, f);
  }
  static CGNET_INLINE void store_mixed(uint8_t* p, const F x[4]) {
    const I a = _mm256_packs_epi32(_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
    const I b = _mm256_packs_epi32(_mm256_cvtps_epi32(x[2]), _mm256_cvtps_epi32(x[3]));
    _mm256_storeu_si256(reinterpret_cast<I*>(p), _mm256_xor_si256(_mm256_packs_epi16(a, b), _mm256_set1_epi8(-128)));
  }
  static CGNET_INLINE void store_unmixed(float* p, const F x[4]) {
    for (int j = 0; j < 4; j++) _mm_storeu_ps(p + 4 * j, _mm256_castps256_ps128(x[j]));
    for (int j = 0; j < 4; j++) _mm_storeu_ps(p + 16 + 4 * j, _mm256_extractf128_ps(x[j], 1));
  }
  static CGNET_INLINE F pick_lanes(const float* from, const int32_t* lane) {
    return _mm256_permutevar8x32_ps(load(from), _mm256_loadu_si256(reinterpret_cast<const I*>(lane)));
  }
  using Bytes = __m128i;
  static CGNET_INLINE Bytes shuffle(Bytes from, Bytes index) { return _mm_shuffle_epi8(from, index); }
  static CGNET_INLINE F pick(const float* from, const int32_t* index) {
    const I i = _mm256_loadu_si256(reinterpret_cast<const I*>(index));
    return _mm256_permutevar8x32_ps(load(from + index[0]), _mm256_sub_epi32(i, _mm256_set1_epi32(index[0])));
  }
  static CGNET_INLINE void larger(F x, I label, F& best, I& labels) {
    const F mask = _mm256_cmp_ps(x, best, _CMP_GT_OQ);
    labels = _mm256_blendv_epi8(labels, label, _mm256_castps_si256(mask));
    best = _mm256_max_ps(best, x);
  }
  static CGNET_INLINE I splat_label(int label) { return _mm256_set1_epi32(label); }
  static CGNET_INLINE void store_labels(uint8_t* p, I labels) {
    const __m128i s = _mm_packus_epi32(_mm256_castsi256_si128(labels), _mm256_extracti128_si256(labels, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(s, s));
  }
};

}  // namespace
