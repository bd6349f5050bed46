// NEON's kernels, included once for dotprod and once for i8mm.
#include "simd_neon.hpp"

#include "kernels.inl"

namespace {

int group(int) { return 16; }
void flush_denormals() {
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("msr fpcr, %0" : : "r"(control | 1u << 24));
}

// 32 registers: 16 sums, 4 weights and the pixels' bytes.
constexpr cgnet::native::Kernels neon(const char* name) {
  return {name, 4, 4, 127, 2, kCentre, group, dense<Neon, true, 4, 8, 8>, dense<Neon, false, 4, 8, 8>,
          depthwise_groups<Neon>, depthwise_f32<Neon>, store<Neon>, column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 8>, row_sums<float, float, 8>, pool, normalise,
          enlarge<Neon>, labels<Neon>, flush_denormals};
}

}  // namespace
