// For any CPU that the compiler knows.
#include "simd_generic.hpp"

#include "kernels.inl"

namespace cgnet::native {
namespace {

int group(int) { return 16; }

const Kernels kKernels{
    "generic", 4, 2, 127, 4, 0, 0, group, dense<Plain, Element::kU8, 0, 4, 6>, dense<Plain, Element::kF32, 0, 4, 6>,
    depthwise_u8<Plain>, depthwise_f32<Plain>, move<Plain>, store<Plain>, column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 8>,
    row_sums<float, float, 8>, pool, normalise, enlarge<Plain>, labels<Plain>,
    flush_denormals, restore_denormals};

}  // namespace
const Kernels* generic_kernels() { return &kKernels; }
}  // namespace cgnet::native
