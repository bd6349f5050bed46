// AVX-512's intrinsics for any x86 CPU with AVX2: SIMDe's, and those that SIMDe 0.7 has not, of two halves. AMX's tiles. CMake's
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

inline __m512i maskz_loadu_epi32(unsigned mask, const void* from) {
  __m512i all{};
  for (size_t i = 0; i < 16; i++)
    if (mask >> i & 1) __builtin_memcpy(reinterpret_cast<char*>(&all) + 4 * i, static_cast<const char*>(from) + 4 * i, 4);
  return all;
}

// Two products a lane, of bf16, whose bits are the upper ones of f32: first the odd ones, each rounded once.
inline __m256 dpbf16(__m256 sum, __m256i a, __m256i b) {
  const __m256i odd = _mm256_set1_epi32(static_cast<int>(0xffff0000));
  sum = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(a, odd)), _mm256_castsi256_ps(_mm256_and_si256(b, odd)), sum);
  return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(b, 16)), sum);
}
inline __m512 dpbf16_ps(__m512 sum, __m512i a, __m512i b) {
  const Floats s = Floats::of(sum);
  const Ints x = Ints::of(a), y = Ints::of(b);
  return Floats{dpbf16(s.low, x.low, y.low), dpbf16(s.high, x.high, y.high)}.whole();
}
// Rounded to the nearest bf16, the even one of two.
inline __m256i cvtneps_pbh(__m512 x) {
  unsigned lanes[16];
  unsigned short rounded[16];
  __m256i low;
  __builtin_memcpy(lanes, &x, sizeof x);
  for (int i = 0; i < 16; i++) rounded[i] = static_cast<unsigned short>((lanes[i] + 0x7fff + (lanes[i] >> 16 & 1)) >> 16);
  __builtin_memcpy(&low, rounded, sizeof low);
  return low;
}

}  // namespace emulated

#define _mm512_cvtph_ps(x) emulated::cvtph_ps(x)
#define _mm512_cvtps_ph(x, rounding) emulated::cvtps_ph(x)
#define _mm512_cvtps_epi32(x) emulated::cvtps_epi32(x)
#define _mm512_cvtepi32_ps(x) emulated::cvtepi32_ps(x)
#define _mm512_cvtepi32_epi8(x) emulated::cvtepi32_epi8(x)
#undef _mm512_maskz_loadu_epi32
#define _mm512_maskz_loadu_epi32(mask, from) emulated::maskz_loadu_epi32(mask, from)
#undef _mm512_dpbf16_ps
#define _mm512_dpbf16_ps(sum, a, b) emulated::dpbf16_ps(sum, (__m512i)(a), (__m512i)(b))
#define _mm512_cvtneps_pbh(x) emulated::cvtneps_pbh(x)

#ifdef CGNET_EMULATE_AMX
#include <cstdint>

// AMX's tiles: Intel's manual, volume 2, the operations of its TILE and TDP instructions.
namespace emulated {

struct Tile {
  uint8_t bytes[16][64] = {};
  int rows = 0;  // 0: not configured, and nothing below does anything
};
inline thread_local Tile tiles[8];

struct Bf16 {
  uint16_t upper;
  explicit operator float() const {
    const uint32_t bits = static_cast<uint32_t>(upper) << 16;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
};

template <class T>
T element(const Tile& tile, int row, int index) {
  T value;
  __builtin_memcpy(&value, tile.bytes[row] + sizeof(T) * static_cast<size_t>(index), sizeof value);
  return value;
}

// Four bytes of the map's row meet four of each lane of the weights.
template <class Sum, class Map, class Weight>
void tile_dot(Tile& sum, const Tile& map, const Tile& weights) {
  constexpr int kEach = 4 / sizeof(Map);
  for (int row = 0; row < sum.rows && row < map.rows; row++)
    for (int k = 0; k < weights.rows; k++)
      for (int lane = 0; lane < 16; lane++) {
        Sum value = element<Sum>(sum, row, lane);
        for (int i = 0; i < kEach; i++)
          value += static_cast<Sum>(element<Map>(map, row, kEach * k + i)) * static_cast<Sum>(element<Weight>(weights, k, kEach * lane + i));
        __builtin_memcpy(sum.bytes[row] + 4 * lane, &value, sizeof value);
      }
}

}  // namespace emulated

template <class Shapes>
void tile_shapes(const Shapes& shapes) {
  for (int i = 0; i < 8; i++) emulated::tiles[i].rows = shapes.palette == 1 && shapes.bytes[i] == 64 ? shapes.rows[i] : 0;
}
inline void tile_release() {
  for (emulated::Tile& tile : emulated::tiles) tile = {};
}
template <int kTile>
void tile_zero() {
  __builtin_memset(emulated::tiles[kTile].bytes, 0, sizeof emulated::tiles[kTile].bytes);
}
template <int kTile>
void tile_load(const uint8_t* at, ptrdiff_t stride) {
  emulated::Tile& tile = emulated::tiles[kTile];
  for (int row = 0; row < tile.rows; row++) __builtin_memcpy(tile.bytes[row], at + row * stride, 64);
}
template <int kTile>
void tile_store(uint8_t* at, ptrdiff_t stride) {
  const emulated::Tile& tile = emulated::tiles[kTile];
  for (int row = 0; row < tile.rows; row++) __builtin_memcpy(at + row * stride, tile.bytes[row], 64);
}
template <int kSum, int kMap, int kWeights>
void tile_dot_u8() {
  using namespace emulated;
  tile_dot<int32_t, uint8_t, int8_t>(tiles[kSum], tiles[kMap], tiles[kWeights]);
}
template <int kSum, int kMap, int kWeights>
void tile_dot_bf16() {
  using namespace emulated;
  tile_dot<float, Bf16, Bf16>(tiles[kSum], tiles[kMap], tiles[kWeights]);
}
#define __AMX_INT8__ 1
#define __AMX_BF16__ 1
#endif

#define __AVX512F__ 1
#define __AVX512VNNI__ 1
#ifdef CGNET_EMULATE_BF16
#define __AVX512BF16__ 1
#endif
