// For CPUs with AMX, AVX-512 and VNNI: dense convolutions in int8 by AMX.
#include "kernels.hpp"

#if defined(__AVX512F__) && defined(__AVX512VNNI__) && defined(__AMX_INT8__)
#include "kernels_wide.inl"

#include "dense_amx.inl"

namespace cgnet::native {
namespace {

constexpr Kernels amx() {
  Kernels kernels = with_tiles(wide("amx"));
  kernels.dense_u8 = dense_amx<Wide, Element::kU8>;
  kernels.dense_f32 = nullptr, kernels.depthwise_f32 = nullptr;
  return kernels;
}
const Kernels kKernels = amx();

}  // namespace
const Kernels* amx_kernels() { return &kKernels; }
}  // namespace cgnet::native
#else
const cgnet::native::Kernels* cgnet::native::amx_kernels() { return nullptr; }
#endif
