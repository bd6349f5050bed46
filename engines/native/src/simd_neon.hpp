// Vectors of 4 f32 and of 16 u8 for Arm's NEON, with the products of dotprod or of i8mm.
#pragma once

#include <arm_neon.h>

#define CGNET_INLINE inline __attribute__((always_inline))

namespace {

struct Neon {
  static constexpr bool kPairs = false;
  static constexpr int kLanes = 4;
  static constexpr bool kHalf = true;
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
  static constexpr bool kBf16 = true;
  static CGNET_INLINE void store_bf16(uint8_t* p, float32x4_t x) { vst1_bf16(reinterpret_cast<bfloat16_t*>(p), vcvt_bf16_f32(x)); }
#else
  static constexpr bool kBf16 = false;
#endif
  using F = float32x4_t;
  using I = int32x4_t;
  static CGNET_INLINE F load(const float* p) { return vld1q_f32(p); }
  static CGNET_INLINE void store(float* p, F x) { vst1q_f32(p, x); }
  static CGNET_INLINE F splat(float x) { return vdupq_n_f32(x); }
  static CGNET_INLINE F zero() { return vdupq_n_f32(0); }
  static CGNET_INLINE F add(F a, F b) { return vaddq_f32(a, b); }
  static CGNET_INLINE F sub(F a, F b) { return vsubq_f32(a, b); }
  static CGNET_INLINE F mul(F a, F b) { return vmulq_f32(a, b); }
  static CGNET_INLINE F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static CGNET_INLINE F prelu(F x, F slope) { return vbslq_f32(vcltzq_f32(x), vmulq_f32(x, slope), x); }
  static CGNET_INLINE F load_half(const uint8_t* p) { return vcvt_f32_f16(vld1_f16(reinterpret_cast<const float16_t*>(p))); }
  static CGNET_INLINE void store_half(uint8_t* p, F x) {
    x = vminq_f32(vmaxq_f32(x, splat(-65504)), splat(65504));
    vst1_f16(reinterpret_cast<float16_t*>(p), vcvt_f16_f32(x));
  }
  static CGNET_INLINE I no_sum() { return vdupq_n_s32(0); }
  static CGNET_INLINE I load_bytes(const uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
  static CGNET_INLINE I splat_four(const uint8_t* p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return vdupq_n_s32(four);
  }
  static CGNET_INLINE F to_f32(I x) { return vcvtq_f32_s32(x); }
  static CGNET_INLINE int16x4_t rounded(F x) { return vqmovn_s32(vcvtnq_s32_f32(x)); }
  static CGNET_INLINE void store_u8(uint8_t* p, F x) {
    const int8x8_t s = vqmovn_s16(vcombine_s16(rounded(x), vdup_n_s16(0)));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(veor_u8(vreinterpret_u8_s8(s), vdup_n_u8(128))), 0);
    __builtin_memcpy(p, &four, 4);
  }
  // Three rows, byte by byte beside each other: lane i of vector j has byte 4 j + i of each.
  static CGNET_INLINE void mix(const uint8_t* p0, const uint8_t* p1, const uint8_t* p2, I c[4]) {
    const uint8x16_t r0 = vld1q_u8(p0), r1 = vld1q_u8(p1), r2 = vld1q_u8(p2);
    const uint16x8_t a = vreinterpretq_u16_u8(vzip1q_u8(r0, r1)), b = vreinterpretq_u16_u8(vzip2q_u8(r0, r1));
    const uint16x8_t e = vreinterpretq_u16_u8(vzip1q_u8(r2, r2)), f = vreinterpretq_u16_u8(vzip2q_u8(r2, r2));
    c[0] = vreinterpretq_s32_u16(vzip1q_u16(a, e)), c[1] = vreinterpretq_s32_u16(vzip2q_u16(a, e));
    c[2] = vreinterpretq_s32_u16(vzip1q_u16(b, f)), c[3] = vreinterpretq_s32_u16(vzip2q_u16(b, f));
  }
  static CGNET_INLINE void store_mixed(uint8_t* p, const F x[4]) {
    const int8x8_t a = vqmovn_s16(vcombine_s16(rounded(x[0]), rounded(x[1])));
    const int8x8_t b = vqmovn_s16(vcombine_s16(rounded(x[2]), rounded(x[3])));
    vst1q_u8(p, veorq_u8(vreinterpretq_u8_s8(vcombine_s8(a, b)), vdupq_n_u8(128)));
  }
  using Bytes = uint8x16_t;
  static CGNET_INLINE Bytes shuffle(Bytes from, Bytes index) { return vqtbl1q_u8(from, index); }
  static CGNET_INLINE void store_unmixed(float* p, const F x[4]) {
    for (int j = 0; j < 4; j++) store(p + 4 * j, x[j]);
  }
  static CGNET_INLINE F pick_lanes(const float* from, const int32_t* lane) {
    return F{from[lane[0]], from[lane[1]], from[lane[2]], from[lane[3]]};
  }
  static CGNET_INLINE F pick(const float* from, const int32_t* index) {
    return F{from[index[0]], from[index[1]], from[index[2]], from[index[3]]};
  }
  static CGNET_INLINE void larger(F x, I label, F& best, I& labels) {
    labels = vbslq_s32(vcgtq_f32(x, best), label, labels);
    best = vmaxq_f32(best, x);
  }
  static CGNET_INLINE I splat_label(int label) { return vdupq_n_s32(label); }
  static CGNET_INLINE void store_labels(uint8_t* p, I labels) {
    const uint8x8_t s = vmovn_u16(vcombine_u16(vmovn_u32(vreinterpretq_u32_s32(labels)), vdup_n_u16(0)));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(s), 0);
    __builtin_memcpy(p, &four, 4);
  }
};

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
CGNET_INLINE void dot(float32x4_t& sum, int32x4_t a, int32x4_t b) {
  sum = vbfdotq_f32(sum, vreinterpretq_bf16_s32(a), vreinterpretq_bf16_s32(b));
}
#endif

#ifdef __ARM_FEATURE_MATMUL_INT8
constexpr int kCentre = 0;
CGNET_INLINE void dot(int32x4_t& sum, int32x4_t u8, int32x4_t s8) {
  sum = vusdotq_s32(sum, vreinterpretq_u8_s32(u8), vreinterpretq_s8_s32(s8));
}
#else
// Both factors are signed here, so 128 is taken from the first; packing knows.
constexpr int kCentre = 128;
CGNET_INLINE void dot(int32x4_t& sum, int32x4_t u8, int32x4_t s8) {
  const uint8x16_t centred = veorq_u8(vreinterpretq_u8_s32(u8), vdupq_n_u8(128));
  sum = vdotq_s32(sum, vreinterpretq_s8_u8(centred), vreinterpretq_s8_s32(s8));
}
#endif

}  // namespace
