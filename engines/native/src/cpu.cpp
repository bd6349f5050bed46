// Which kernels this CPU runs.
#include <string>

#include "kernels.hpp"
#include "onnx.hpp"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace cgnet::native {
namespace {

#if defined(__aarch64__) && defined(__linux__)
// As the kernel numbers them; older headers name neither.
constexpr unsigned long kHasDotprod = 1ul << 20, kHasI8mm = 1ul << 13, kHasBf16 = 1ul << 14;
#endif

bool runs(const Kernels* kernels) {
  if (!kernels) return false;
#if defined(__x86_64__)
#ifdef CGNET_EMULATE
  constexpr bool kEmulates = true;
#else
  constexpr bool kEmulates = false;
#endif
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  if (kernels == avx2_kernels()) return avx2;
  const bool avx512 = avx2 && (kEmulates || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                                             __builtin_cpu_supports("avx512vnni")));
  if (kernels == avx512_kernels()) return avx512;
  if (kernels == avx512_bf16_kernels()) return avx512 && (kEmulates || __builtin_cpu_supports("avx512bf16"));
#elif defined(__aarch64__) && defined(__linux__)
  const bool dotprod = getauxval(AT_HWCAP) & kHasDotprod;
  if (kernels == i8mm_kernels()) return dotprod && getauxval(AT_HWCAP2) & kHasI8mm;
  if (kernels == dotprod_kernels()) return dotprod;
  if (kernels == neon_bf16_kernels()) return getauxval(AT_HWCAP2) & kHasBf16;
#endif
  return kernels == generic_kernels();
}

}  // namespace

const Kernels& kernels_for(const char* name, bool bf16) {
  const std::string wanted = name ? name : "";
  std::string able;
  for (const Kernels* kernels : {avx512_bf16_kernels(), avx512_kernels(), avx2_kernels(), neon_bf16_kernels(), i8mm_kernels(),
                                 dotprod_kernels(), generic_kernels()}) {
    if (!runs(kernels)) continue;
    const bool is_bf16 = kernels->dense_bf16;
    if (is_bf16 == bf16 && (wanted.empty() || wanted == kernels->name)) return *kernels;
    able += std::string(able.empty() ? "" : ", ") + kernels->name + (is_bf16 ? " in bf16" : "");
  }
  if (bf16 && wanted.empty()) throw Unavailable("this CPU has no bf16 (it runs " + able + ")");
  throw Unavailable("no kernels \"" + wanted.substr(0, 40) + "\"" + (bf16 ? " in bf16" : "") + " for this CPU, which runs " + able);
}

}  // namespace cgnet::native
