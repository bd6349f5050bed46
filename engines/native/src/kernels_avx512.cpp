// For CPUs with AVX-512 (F, BW, DQ, VL) and VNNI.
#include "kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512VNNI__)
#include "kernels_wide.inl"

namespace cgnet::native {
namespace {
const Kernels kKernels = wide("avx512");
}  // namespace
const Kernels* avx512_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::avx512_kernels() { return nullptr; }
#endif
