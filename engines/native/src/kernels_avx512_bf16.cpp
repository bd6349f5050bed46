// For CPUs with AVX-512 (F, BW, DQ, VL), VNNI and BF16: products in bf16. What is not of bf16 is in f32.
#include "kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512BF16__)
#include "simd_avx512.hpp"

#include "kernels.inl"

namespace cgnet::native {
namespace {

int group(int) { return 32; }
void flush_denormals() { _mm_setcsr(_mm_getcsr() | 0x8040); }

const Kernels kKernels{
    "avx512", 16, 4, 127, 2, 0, 0, group, nullptr, dense<Wide, Element::kF32, 6, 12, 12>, nullptr, depthwise_f32<Wide>,
    move<Wide>, store<Wide>, column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 16>, row_sums<float, float, 16>, pool,
    normalise, enlarge<Wide>, labels<Wide>, flush_denormals, dense<Wide, Element::kBf16, 6, 12, 12>, row_sums<Bf16, float, 16>};

}  // namespace
const Kernels* avx512_bf16_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::avx512_bf16_kernels() { return nullptr; }
#endif
