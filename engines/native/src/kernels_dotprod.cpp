// For Arm CPUs with dotprod (Armv8.4, and most cores since Cortex-A55).
#include "kernels.hpp"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "kernels_neon.inl"

namespace cgnet::native {
namespace {
const Kernels kKernels = neon("dotprod");
}  // namespace
const Kernels* dotprod_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::dotprod_kernels() { return nullptr; }
#endif
