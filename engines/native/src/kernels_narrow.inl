// Kernels of 8 f32 and 32 u8, included once for AVX2 and once for AVX-VNNI.
#include "simd_avx2.hpp"

#include "kernels.inl"

namespace {

int group(int) { return 32; }

// Products of pairs are added up in 16 bits, or four in 32.
constexpr cgnet::native::Kernels narrow(const char* name) {
  constexpr int kMostWeight = Narrow::kPairs ? 63 : 127, kDenseCentre = Narrow::kPairs ? 128 : 0;
  return {name, 8, 2, kMostWeight, 2, kDenseCentre, 0, group, dense<Narrow, Element::kU8, 0, 6, 12>,
          dense<Narrow, Element::kF32, 0, 6, 12>, depthwise_u8<Narrow>, depthwise_f32<Narrow>, move<Narrow>, store<Narrow>,
          column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 8>, row_sums<float, float, 8>, pool, normalise,
          enlarge<Narrow>, labels<Narrow>, flush_denormals, restore_denormals};
}

}  // namespace
