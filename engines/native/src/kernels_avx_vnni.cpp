// For CPUs with AVX2 and AVX-VNNI but without AVX-512: Intel's client CPUs since Alder Lake.
#include "kernels.hpp"

#ifdef __AVXVNNI__
#include "kernels_narrow.inl"

namespace cgnet::native {
namespace {
const Kernels kKernels = narrow("avx_vnni");
}  // namespace
const Kernels* avx_vnni_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::avx_vnni_kernels() { return nullptr; }
#endif
