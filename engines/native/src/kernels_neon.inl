// NEON's kernels, included once for dotprod, once for i8mm and once for bf16.
#include "simd_neon.hpp"

#include "kernels.inl"

namespace {

int group(int) { return 16; }

// 32 registers: 16 sums, 4 weights and the pixels' bytes.
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
constexpr cgnet::native::Kernels neon(const char* name) {
  return {name, 4, 4, 127, 2, 0, 0, group, nullptr, dense<Neon, Element::kF32, 4, 8, 8>, nullptr, depthwise_f32<Neon>,
          move<Neon>, store<Neon>, column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 8>, row_sums<float, float, 8>,
          pool, normalise, enlarge<Neon>, labels<Neon>, flush_denormals, restore_denormals,
          dense<Neon, Element::kBf16, 4, 8, 8>, row_sums<Bf16, float, 8>};
}
#else
constexpr cgnet::native::Kernels neon(const char* name) {
  return {name, 4, 4, 127, 2, kCentre, kCentre, group, dense<Neon, Element::kU8, 4, 8, 8>, dense<Neon, Element::kF32, 4, 8, 8>,
          depthwise_u8<Neon>, depthwise_f32<Neon>, move<Neon>, store<Neon>, column_sums_u8, column_sums_f32,
          row_sums<uint8_t, int32_t, 8>, row_sums<float, float, 8>, pool, normalise, enlarge<Neon>, labels<Neon>,
          flush_denormals, restore_denormals};
}
#endif

}  // namespace
