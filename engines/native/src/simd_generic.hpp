// Vectors of 4 f32 and of 16 u8 in the compiler's own vector types: any CPU.
#pragma once

#include <cstdint>

#define CGNET_INLINE inline __attribute__((always_inline))

namespace {

struct Plain {
  static constexpr bool kPairs = false;
  static constexpr int kLanes = 4;
  static constexpr bool kHalf = false, kBf16 = false;
  typedef float F __attribute__((vector_size(16)));
  typedef int32_t I __attribute__((vector_size(16)));
  static CGNET_INLINE F load(const float* p) {
    F x;
    __builtin_memcpy(&x, p, 16);
    return x;
  }
  static CGNET_INLINE void store(float* p, F x) { __builtin_memcpy(p, &x, 16); }
  static CGNET_INLINE F splat(float x) { return F{x, x, x, x}; }
  static CGNET_INLINE F zero() { return F{}; }
  static CGNET_INLINE F add(F a, F b) { return a + b; }
  static CGNET_INLINE F sub(F a, F b) { return a - b; }
  static CGNET_INLINE F mul(F a, F b) { return a * b; }
  static CGNET_INLINE F fma(F a, F b, F c) { return a * b + c; }
  static CGNET_INLINE F prelu(F x, F slope) { return x < 0 ? x * slope : x; }
  static CGNET_INLINE F load_half(const uint8_t* p) { return load(reinterpret_cast<const float*>(p)); }
  static CGNET_INLINE void store_half(uint8_t* p, F x) { store(reinterpret_cast<float*>(p), x); }
  static CGNET_INLINE I no_sum() { return I{}; }
  static CGNET_INLINE I load_bytes(const uint8_t* p) {
    I x;
    __builtin_memcpy(&x, p, 16);
    return x;
  }
  static CGNET_INLINE I splat_four(const uint8_t* p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return I{four, four, four, four};
  }
  static CGNET_INLINE F to_f32(I x) { return __builtin_convertvector(x, F); }
  static CGNET_INLINE int32_t rounded(float x) {
    x = x < -128 ? -128 : x > 127 ? 127 : x;
    return static_cast<int32_t>(__builtin_rintf(x)) + 128;
  }
  static CGNET_INLINE void store_u8(uint8_t* p, F x) {
    for (int i = 0; i < 4; i++) p[i] = static_cast<uint8_t>(rounded(x[i]));
  }
  static CGNET_INLINE void mix(const uint8_t* p0, const uint8_t* p1, const uint8_t* p2, I c[4]) {
    for (int j = 0; j < 4; j++)
      for (int i = 0; i < 4; i++) c[j][i] = p0[4 * j + i] | p1[4 * j + i] << 8 | p2[4 * j + i] << 16;
  }
  static CGNET_INLINE void store_mixed(uint8_t* p, const F x[4]) {
    for (int j = 0; j < 4; j++) store_u8(p + 4 * j, x[j]);
  }
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  static CGNET_INLINE Bytes shuffle(Bytes from, Bytes index) {
    Bytes result{};
    for (int i = 0; i < 16; i++)
      if (index[i] < 128) result[i] = from[index[i] & 15];
    return result;
  }
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
    const I mask = x > best;
    labels = mask ? label : labels;
    best = mask ? x : best;
  }
  static CGNET_INLINE I splat_label(int label) { return I{label, label, label, label}; }
  static CGNET_INLINE void store_labels(uint8_t* p, I labels) {
    for (int i = 0; i < 4; i++) p[i] = static_cast<uint8_t>(labels[i]);
  }
};

// Four products a lane, of an unsigned and a signed byte each.
CGNET_INLINE void dot(Plain::I& sum, Plain::I u8, Plain::I s8) {
  sum += (u8 & 255) * (s8 << 24 >> 24) + (u8 >> 8 & 255) * (s8 << 16 >> 24) + (u8 >> 16 & 255) * (s8 << 8 >> 24) +
         (u8 >> 24 & 255) * (s8 >> 24);
}

}  // namespace
