// For any CPU that the compiler knows.
#include "simd_generic.hpp"

#include "kernels.inl"

namespace cgnet::native {
namespace {

int group(int) { return 16; }
void flush_denormals() {
#if defined(__SSE2__)
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("msr fpcr, %0" : : "r"(control | 1u << 24));
#endif
}

const Kernels kKernels{
    "generic", 4, 2, 127, 4, 0, 0, group, dense<Plain, Element::kU8, 0, 4, 6>, dense<Plain, Element::kF32, 0, 4, 6>,
    depthwise_u8<Plain>, depthwise_f32<Plain>, move<Plain>, store<Plain>, column_sums_u8, column_sums_f32, row_sums<uint8_t, int32_t, 8>,
    row_sums<float, float, 8>, pool, normalise, enlarge<Plain>, labels<Plain>,
    flush_denormals};

}  // namespace
const Kernels* generic_kernels() { return &kKernels; }
}  // namespace cgnet::native
