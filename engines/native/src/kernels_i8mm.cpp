// For Arm CPUs with i8mm (Armv8.6).
#include "kernels.hpp"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD) && defined(__ARM_FEATURE_MATMUL_INT8)
#include "kernels_neon.inl"

namespace cgnet::native {
namespace {
const Kernels kKernels = neon("i8mm");
}  // namespace
const Kernels* i8mm_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::i8mm_kernels() { return nullptr; }
#endif
