// Which kernels this CPU runs.
#include <initializer_list>
#include <string>

#include "kernels.hpp"
#include "onnx.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace cgnet::native {
namespace {

#if defined(__aarch64__) && defined(__linux__)
// As the kernel numbers them; older headers name neither.
constexpr unsigned long kHasDotprod = 1ul << 20, kHasI8mm = 1ul << 13, kHasBf16 = 1ul << 14;
#endif

#if defined(__x86_64__)
// Linux saves tiles only for processes that ask for them.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr int kAskForState = 0x1023, kTiles = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
  return syscall(SYS_arch_prctl, kAskForState, kTiles) == 0;
#else
  return false;
#endif
}

// Not by __builtin_cpu_supports, to which some runtimes of compilers, zig's one of them, answer no whatever is asked.
struct Instructions {
  bool avx2 = false, avx_vnni = false, avx512 = false, bf16 = false, amx = false;

  Instructions() {
    const auto all = [](unsigned value, std::initializer_list<int> bits) {
      for (const int bit : bits)
        if (!(value >> bit & 1)) return false;
      return true;
    };
    unsigned a = 0, b = 0, c = 0, d = 0, saved = 0, high = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !all(c, {12, 27, 28, 29})) return;  // FMA, OSXSAVE, AVX, F16C
    asm volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));  // the registers that the system saves
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    avx2 = all(b, {5}) && all(saved, {1, 2});
    avx512 = avx2 && all(b, {16, 17, 30, 31}) && all(c, {11}) && all(saved, {5, 6, 7});  // F, DQ, BW, VL; VNNI
    amx = all(d, {22, 24, 25}) && all(saved, {17, 18}) && may_use_tiles();  // BF16, TILE, INT8
    if (a == 0 || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return;
    avx_vnni = avx2 && all(a, {4});
    bf16 = avx512 && all(a, {5});
    amx = amx && bf16;
  }
};
#endif

bool runs(const Kernels* kernels) {
  if (!kernels) return false;
#if defined(__x86_64__)
#ifdef CGNET_EMULATE
  constexpr bool kEmulates = true;
#else
  constexpr bool kEmulates = false;
#endif
  static const Instructions has;
  if (kernels == avx2_kernels()) return has.avx2;
  if (kernels == avx_vnni_kernels()) return has.avx_vnni || (kEmulates && has.avx2);
  if (kernels == avx512_kernels()) return has.avx512 || (kEmulates && has.avx2);
  if (kernels == avx512_bf16_kernels()) return has.bf16 || (kEmulates && has.avx2);
  if (kernels == amx_kernels() || kernels == amx_bf16_kernels()) return kEmulates ? has.avx2 : has.amx;
#elif defined(__aarch64__) && defined(__linux__)
  const bool dotprod = getauxval(AT_HWCAP) & kHasDotprod;
  if (kernels == i8mm_kernels()) return dotprod && getauxval(AT_HWCAP2) & kHasI8mm;
  if (kernels == dotprod_kernels()) return dotprod;
  if (kernels == neon_bf16_kernels()) return getauxval(AT_HWCAP2) & kHasBf16;
#endif
  return kernels == generic_kernels();
}

}  // namespace

const Kernels& kernels_for(const char* name, Element products) {
  const bool bf16 = products == Element::kBf16;
  const std::string wanted = name ? name : "";
  std::string able;
  for (const Kernels* kernels : {amx_bf16_kernels(), avx512_bf16_kernels(), amx_kernels(), avx512_kernels(), avx_vnni_kernels(), avx2_kernels(),
                                 neon_bf16_kernels(), i8mm_kernels(), dotprod_kernels(), generic_kernels()}) {
    if (!runs(kernels)) continue;
    const bool is_bf16 = kernels->dense_bf16, has = products == Element::kU8 ? kernels->dense_u8 : kernels->dense_f32;
    if (is_bf16 == bf16 && has && (wanted.empty() || wanted == kernels->name)) return *kernels;
    able += std::string(able.empty() ? "" : ", ") + kernels->name + (is_bf16 ? " in bf16" : "");
  }
  if (bf16 && wanted.empty()) throw Unavailable("this CPU has no bf16 (it runs " + able + ")");
  throw Unavailable("no kernels \"" + wanted.substr(0, 40) + "\"" + (bf16 ? " in bf16" : "") + " for this CPU, which runs " + able);
}

}  // namespace cgnet::native
