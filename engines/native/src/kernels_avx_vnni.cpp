// For CPUs with AVX2 and AVX-VNNI but without AVX-512: Intel's since Alder Lake that are no servers.
#include "kernels.hpp"

#ifdef __AVXVNNI__
#include "simd_avx2.hpp"

#include "kernels.inl"

namespace cgnet::native {
namespace {

int group(int) { return 32; }
void flush_denormals() { _mm_setcsr(_mm_getcsr() | 0x8040); }

const Kernels kKernels{
    "avx_vnni", 8, 2, 127, 2, 0, 0, group, dense<Narrow, Element::kU8, 0, 6, 12>, dense<Narrow, Element::kF32, 0, 6, 12>,
    depthwise_u8<Narrow>, depthwise_f32<Narrow>, move<Narrow>, store<Narrow>, column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 8>,
    row_sums<float, float, 8>, pool, normalise, enlarge<Narrow>,
    labels<Narrow>, flush_denormals};

}  // namespace
const Kernels* avx_vnni_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::avx_vnni_kernels() { return nullptr; }
#endif
