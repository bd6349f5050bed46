// For CPUs with AVX-512 (F, BW, DQ, VL) and VNNI.
#include "kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512VNNI__)
#include "simd_avx512.hpp"
#include "simd_avx2.hpp"

#include "kernels.inl"

namespace cgnet::native {
namespace {

int group(int channels) { return channels % 64 == 0 ? 64 : 32; }
void depthwise_any(const Depthwise& d) {
  group(d.channels) == 64 ? depthwise_groups<Wide>(d) : depthwise_groups<Narrow>(d);
  if (d.first) group(d.slots) == 64 ? place_groups<Wide>(d) : place_groups<Narrow>(d);
}
void flush_denormals() { _mm_setcsr(_mm_getcsr() | 0x8040); }

const Kernels kKernels{
    "avx512", 16, 4, 127, 2, 0, 0, group, dense<Wide, Element::kU8, 6, 12, 12>, dense<Wide, Element::kF32, 6, 12, 12>,
    depthwise_any, depthwise_f32<Wide>, move<Wide>, store<Wide>, column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 16>,
    row_sums<float, float, 16>, pool, normalise, enlarge<Wide>, labels<Wide>,
    flush_denormals};

}  // namespace
const Kernels* avx512_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::avx512_kernels() { return nullptr; }
#endif
