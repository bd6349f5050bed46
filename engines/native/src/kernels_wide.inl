// Kernels of 16 f32 and 64 u8, included once for each of AVX-512's and AMX's int8 and bf16.
#include "simd_avx512.hpp"
#include "simd_avx2.hpp"

#include "kernels.inl"

namespace {

#ifdef __AVX512BF16__
int group(int) { return 32; }

constexpr cgnet::native::Kernels wide(const char* name) {
  return {name, 16, 4, 127, 2, 0, 0, group, nullptr, dense<Wide, Element::kF32, 6, 12, 12>, nullptr, depthwise_f32<Wide>, move<Wide>,
          store<Wide>, column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 16>, row_sums<float, float, 16>, pool, normalise,
          enlarge<Wide>, labels<Wide>, flush_denormals, restore_denormals, dense<Wide, Element::kBf16, 6, 12, 12>,
          row_sums<Bf16, float, 16>};
}
#else
int group(int channels) { return channels % 64 == 0 ? 64 : 32; }

void depthwise_any(const Depthwise& d) {
  group(d.channels) == 64 ? depthwise_groups<Wide>(d) : depthwise_groups<Narrow>(d);
  if (d.first) group(d.slots) == 64 ? place_groups<Wide>(d) : place_groups<Narrow>(d);
}

constexpr cgnet::native::Kernels wide(const char* name) {
  return {name, 16, 4, 127, 2, 0, 0, group, dense<Wide, Element::kU8, 6, 12, 12>, dense<Wide, Element::kF32, 6, 12, 12>,
          depthwise_any, depthwise_f32<Wide>, move<Wide>, store<Wide>, column_sums_u8, column_sums_f32,
          row_sums<uint8_t, int32_t, 16>, row_sums<float, float, 16>, pool, normalise, enlarge<Wide>, labels<Wide>,
          flush_denormals, restore_denormals};
}
#endif

}  // namespace
