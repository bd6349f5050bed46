// Denormal numbers as zeros, for as long as a thread works: the official weights have so many that they cost milliseconds.
#pragma once

#include <cstdint>

namespace {

// How the thread treated them before.
[[maybe_unused]] uint64_t flush_denormals() {
#if defined(__SSE2__)
  const unsigned before = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(before | 0x8040);
  return before;
#elif defined(__aarch64__)
  uint64_t before;
  asm volatile("mrs %0, fpcr" : "=r"(before));
  asm volatile("msr fpcr, %0" : : "r"(before | 1u << 24));
  return before;
#else
  return 0;
#endif
}

[[maybe_unused]] void restore_denormals([[maybe_unused]] uint64_t before) {
#if defined(__SSE2__)
  __builtin_ia32_ldmxcsr(static_cast<unsigned>(before));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(before));
#endif
}

}  // namespace
