// Vectors of 16 f32 and of 64 u8 (AVX-512 with VNNI), and those of half the width for narrow maps.
#pragma once

#include <immintrin.h>

#define CGNET_INLINE inline __attribute__((always_inline))

namespace {

#ifdef CGNET_EMULATE
CGNET_INLINE void dot(__m512i& sum, __m512i u8, __m512i s8) { sum = _mm512_dpbusd_epi32(sum, u8, s8); }
CGNET_INLINE void dot(__m256i& sum, __m256i u8, __m256i s8) { sum = _mm256_dpbusd_epi32(sum, u8, s8); }
#ifdef __AVX512BF16__
CGNET_INLINE void dot(__m512& sum, __m512i a, __m512i b) { sum = _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
#endif
#else
// GCC 12 spills accumulators around the intrinsics: half the speed.
CGNET_INLINE void dot(__m512i& sum, __m512i u8, __m512i s8) { asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u8), "v"(s8)); }
CGNET_INLINE void dot(__m256i& sum, __m256i u8, __m256i s8) { asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u8), "v"(s8)); }
#ifdef __AVX512BF16__
CGNET_INLINE void dot(__m512& sum, __m512i a, __m512i b) { asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); }
#endif
#endif

struct Wide {
  static constexpr bool kPairs = false;
  static constexpr int kLanes = 16;
  static constexpr bool kHalf = true;
#ifdef __AVX512BF16__
  static constexpr bool kBf16 = true;
  static CGNET_INLINE void store_bf16(uint8_t* p, __m512 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(x));
  }
#else
  static constexpr bool kBf16 = false;
#endif
  using F = __m512;
  using I = __m512i;
  static CGNET_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
  static CGNET_INLINE void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static CGNET_INLINE F splat(float x) { return _mm512_set1_ps(x); }
  static CGNET_INLINE F zero() { return _mm512_setzero_ps(); }
  static CGNET_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
  static CGNET_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static CGNET_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static CGNET_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static CGNET_INLINE F prelu(F x, F slope) {
    return _mm512_mask_mul_ps(x, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), x, slope);
  }
  static CGNET_INLINE F load_half(const uint8_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static CGNET_INLINE void store_half(uint8_t* p, F x) {
    x = _mm512_min_ps(_mm512_max_ps(x, splat(-65504)), splat(65504));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static CGNET_INLINE I no_sum() { return _mm512_setzero_si512(); }
  static CGNET_INLINE I load_bytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static CGNET_INLINE I splat_four(const uint8_t* p) {
    int four;
    __builtin_memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
  }
  static CGNET_INLINE F to_f32(I x) { return _mm512_cvtepi32_ps(x); }
  static CGNET_INLINE void store_u8(uint8_t* p, F x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm_xor_si128(_mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)), _mm_set1_epi8(-128)));
  }
  // Three rows, byte by byte beside each other: lane 4 l + i of vector j has byte 16 l + 4 j + i of each.
  static CGNET_INLINE void mix(const uint8_t* p0, const uint8_t* p1, const uint8_t* p2, I c[4]) {
    const I r0 = load_bytes(p0), r1 = load_bytes(p1), r2 = load_bytes(p2);
    const I a = _mm512_unpacklo_epi8(r0, r1), b = _mm512_unpackhi_epi8(r0, r1);
    const I e = _mm512_unpacklo_epi8(r2, r2), f = _mm512_unpackhi_epi8(r2, r2);
    c[0] = _mm512_unpacklo_epi16(a, e), c[1] = _mm512_unpackhi_epi16(a, e);
    c[2] = _mm512_unpacklo_epi16(b, f), c[3] = _mm512_unpackhi_epi16(b, f);
  }
  // The way back.
  static CGNET_INLINE void store_mixed(uint8_t* p, const F x[4]) {
    const I a = _mm512_packs_epi32(_mm512_cvtps_epi32(x[0]), _mm512_cvtps_epi32(x[1]));
    const I b = _mm512_packs_epi32(_mm512_cvtps_epi32(x[2]), _mm512_cvtps_epi32(x[3]));
    _mm512_storeu_si512(p, _mm512_xor_si512(_mm512_packs_epi16(a, b), _mm512_set1_epi8(-128)));
  }
  // Sums of such columns, in the order of the bytes.
  static CGNET_INLINE void store_unmixed(float* p, const F x[4]) {
    for (int j = 0; j < 4; j++) _mm_storeu_ps(p + 4 * j, _mm512_castps512_ps128(x[j]));
    for (int j = 0; j < 4; j++) _mm_storeu_ps(p + 16 + 4 * j, _mm512_extractf32x4_ps(x[j], 1));
    for (int j = 0; j < 4; j++) _mm_storeu_ps(p + 32 + 4 * j, _mm512_extractf32x4_ps(x[j], 2));
    for (int j = 0; j < 4; j++) _mm_storeu_ps(p + 48 + 4 * j, _mm512_extractf32x4_ps(x[j], 3));
  }
  // from[lane], where lanes are less than 16.
  static CGNET_INLINE F pick_lanes(const float* from, const int32_t* lane) {
    return _mm512_permutexvar_ps(_mm512_loadu_si512(lane), load(from));
  }
  // from[index] of bytes, 0 where an index has its highest bit set.
  using Bytes = __m128i;
  static CGNET_INLINE Bytes shuffle(Bytes from, Bytes index) { return _mm_shuffle_epi8(from, index); }
  // from[index], where the indices of a vector lie within 16 of the first.
  static CGNET_INLINE F pick(const float* from, const int32_t* index) {
    const I i = _mm512_loadu_si512(index);
    return _mm512_permutexvar_ps(_mm512_sub_epi32(i, _mm512_set1_epi32(index[0])), load(from + index[0]));
  }
  // Where `x` is larger than `best`, it and `label` take their place.
  static CGNET_INLINE void larger(F x, I label, F& best, I& labels) {
    labels = _mm512_mask_mov_epi32(labels, _mm512_cmp_ps_mask(x, best, _CMP_GT_OQ), label);
    best = _mm512_max_ps(best, x);
  }
  static CGNET_INLINE I splat_label(int label) { return _mm512_set1_epi32(label); }
  static CGNET_INLINE void store_labels(uint8_t* p, I labels) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(labels));
  }
};

}  // namespace
