// AVX-512's intrinsics for any x86 CPU with AVX2: SIMDe's, and those that SIMDe 0.7 has not, of two halves. CMake's
// CGNET_EMULATE includes this before all else, and what asks for the instructions then finds them.
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wignored-attributes"
#pragma GCC diagnostic ignored "-Wpsabi"
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

namespace emulated {

template <class Whole, class Half>
struct Halves {
  Half low, high;
  static Halves of(Whole whole) {
    static_assert(sizeof(Halves) == sizeof(Whole));
    Halves halves;
    __builtin_memcpy(&halves, &whole, sizeof whole);
    return halves;
  }
  Whole whole() const {
    Whole both;
    __builtin_memcpy(&both, this, sizeof both);
    return both;
  }
};
using Floats = Halves<__m512, __m256>;
using Ints = Halves<__m512i, __m256i>;
using Shorts = Halves<__m256i, __m128i>;

inline __m512 cvtph_ps(__m256i x) {
  const Shorts s = Shorts::of(x);
  return Floats{_mm256_cvtph_ps(s.low), _mm256_cvtph_ps(s.high)}.whole();
}
inline __m256i cvtps_ph(__m512 x) {
  const Floats f = Floats::of(x);
  return Shorts{_mm256_cvtps_ph(f.low, _MM_FROUND_TO_NEAREST_INT), _mm256_cvtps_ph(f.high, _MM_FROUND_TO_NEAREST_INT)}.whole();
}
inline __m512i cvtps_epi32(__m512 x) {
  const Floats f = Floats::of(x);
  return Ints{_mm256_cvtps_epi32(f.low), _mm256_cvtps_epi32(f.high)}.whole();
}
inline __m512 cvtepi32_ps(__m512i x) {
  const Ints i = Ints::of(x);
  return Floats{_mm256_cvtepi32_ps(i.low), _mm256_cvtepi32_ps(i.high)}.whole();
}
inline __m128i cvtepi32_epi8(__m512i x) {
  int lanes[16];
  unsigned char bytes[16];
  __m128i low;
  __builtin_memcpy(lanes, &x, sizeof x);
  for (int i = 0; i < 16; i++) bytes[i] = static_cast<unsigned char>(lanes[i]);
  __builtin_memcpy(&low, bytes, sizeof low);
  return low;
}

}  // namespace emulated

#define _mm512_cvtph_ps(x) emulated::cvtph_ps(x)
#define _mm512_cvtps_ph(x, rounding) emulated::cvtps_ph(x)
#define _mm512_cvtps_epi32(x) emulated::cvtps_epi32(x)
#define _mm512_cvtepi32_ps(x) emulated::cvtepi32_ps(x)
#define _mm512_cvtepi32_epi8(x) emulated::cvtepi32_epi8(x)

#define __AVX512F__ 1
#define __AVX512VNNI__ 1
