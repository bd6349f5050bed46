// For CPUs with AVX-512 (F, BW, DQ, VL), VNNI and BF16: products in bf16. What is not of bf16 is in f32.
#include "kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512BF16__)
#include "kernels_wide.inl"

namespace cgnet::native {
namespace {
const Kernels kKernels = wide("avx512");
}  // namespace
const Kernels* avx512_bf16_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::avx512_bf16_kernels() { return nullptr; }
#endif
