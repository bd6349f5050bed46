// For CPUs with AVX2, FMA and F16C.
#include "kernels.hpp"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "kernels_narrow.inl"

namespace cgnet::native {
namespace {
const Kernels kKernels = narrow("avx2");
}  // namespace
const Kernels* avx2_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::avx2_kernels() { return nullptr; }
#endif
