// For CPUs with AMX and AVX-512 with VNNI and BF16: dense convolutions in bf16 by AMX. What is not of bf16 is in f32.
#include "kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512BF16__) && defined(__AMX_BF16__)
#include "kernels_wide.inl"

#include "dense_amx.inl"

namespace cgnet::native {
namespace {

constexpr Kernels amx() {
  Kernels kernels = with_tiles(wide("amx"));
  kernels.dense_bf16 = dense_amx<Wide, Element::kBf16>;
  kernels.dense_f32 = dense<Wide, Element::kF32, 0, 12, 12>;
  return kernels;
}
const Kernels kKernels = amx();

}  // namespace
const Kernels* amx_bf16_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::amx_bf16_kernels() { return nullptr; }
#endif
