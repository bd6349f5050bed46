// For Arm CPUs with bf16 (Armv8.6): products in bf16. What is not of bf16 is in f32.
#include "kernels.hpp"

#if defined(__aarch64__) && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#include "kernels_neon.inl"

namespace cgnet::native {
namespace {
const Kernels kKernels = neon("neon");
}  // namespace
const Kernels* neon_bf16_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::neon_bf16_kernels() { return nullptr; }
#endif
