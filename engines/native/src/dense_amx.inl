// Dense convolutions by AMX: a tile of sums is 16 pixels of 16 channels. What a run has behind its last whole tile of steps
// weighs nothing, see Kernels::run_steps.
#include <utility>

#include "simd_amx.hpp"

namespace {

// A map's tile of what is left of a run. No number times nothing is no number, so in bf16 the pixel's neighbours stay out.
template <int kTile>
CGNET_INLINE void load_rest(const uint8_t* at, ptrdiff_t pixel, int bytes, int rows) {
  alignas(64) uint8_t rest[kTileRows * kTileBytes];
  const auto steps = static_cast<__mmask16>((1 << bytes / 4) - 1);
  for (int row = 0; row < rows; row++)
    _mm512_storeu_si512(rest + row * kTileBytes, _mm512_maskz_loadu_epi32(steps, at + row * pixel));
  tile_load<kTile>(rest, kTileBytes);
}

template <Element kReads, int kSum, int kMap, int kWeights>
CGNET_INLINE void tile_dot() {
  if constexpr (kReads == Element::kU8) tile_dot_u8<kSum, kMap, kWeights>();
  else tile_dot_bf16<kSum, kMap, kWeights>();
}

// The sums of M tiles of `rows` pixels from x on, times N vectors of channels: [pixel][vector][lane].
template <Element kReads, int N, size_t... M>
CGNET_INLINE void multiply_tiles(const Dense& d, const uint8_t* w, ptrdiff_t x, int rows, uint8_t* sums, std::index_sequence<M...>) {
  constexpr int kWeights = kSumTiles + kMapTiles;
  ((tile_zero<M * N>(), N > 1 ? tile_zero<M * N + N - 1>() : void()), ...);
  for (int r = 0; r < d.run_count; r++) {
    const ptrdiff_t pixel = d.runs[r].pixel;
    const uint8_t* at = d.runs[r].at + x * pixel;
    for (int bytes = 4 * d.runs[r].steps; bytes > 0; bytes -= kTileBytes, at += kTileBytes, w += N * kTileRows * kTileBytes) {
      tile_load<kWeights>(w, N * kTileBytes);
      if constexpr (N > 1) tile_load<kWeights + 1>(w + kTileBytes, N * kTileBytes);
      const auto add = [&](auto m) __attribute__((always_inline)) {
        constexpr int kM = m, kMap = kSumTiles + kM % kMapTiles;
        const uint8_t* const from = at + kM * rows * pixel;
        if (kReads == Element::kU8 || bytes >= kTileBytes) tile_load<kMap>(from, pixel);
        else load_rest<kMap>(from, pixel, bytes, rows);
        tile_dot<kReads, kM * N, kMap, kWeights>();
        if constexpr (N > 1) tile_dot<kReads, kM * N + 1, kMap, kWeights + 1>();
      };
      (add(std::integral_constant<int, M>()), ...);
    }
  }
  const auto store = [&](auto m) __attribute__((always_inline)) {
    constexpr int kM = m;
    uint8_t* const to = sums + kM * rows * N * kTileBytes;
    tile_store<kM * N>(to, N * kTileBytes);
    if constexpr (N > 1) tile_store<kM * N + 1>(to + kTileBytes, N * kTileBytes);
  };
  (store(std::integral_constant<int, M>()), ...);
}

// What follows the products of `pixels` from x on.
template <class Vec, int N, Element kReads>
CGNET_INLINE void finish_sums(const Tail& tail, uint8_t* sums, int pixels, ptrdiff_t x, int slot) {
  constexpr bool kHalf = kHalfTrunk<Vec, kReads>;
  constexpr int L = Vec::kLanes;
  using Sums = Sum<Vec, kReads>;
  typename Vec::F scale[N], bias[N], slope[N];
  CGNET_UNROLL for (int n = 0; n < N; n++) {
    scale[n] = Vec::load(tail.scale + slot + n * L), bias[n] = Vec::load(tail.bias + slot + n * L);
    if (tail.slope) slope[n] = Vec::load(tail.slope + slot + n * L);
  }
  const auto load = [&](int p, typename Vec::F* f) __attribute__((always_inline)) {
    CGNET_UNROLL for (int n = 0; n < N; n++) {
      typename Sums::Type sum;
      __builtin_memcpy(&sum, sums + (p * N + n) * kTileBytes, sizeof sum);
      f[n] = Vec::fma(Sums::to_f32(sum), scale[n], bias[n]);
      if (tail.slope) f[n] = Vec::prelu(f[n], slope[n]);
    }
  };
  typename Vec::F f[N];
  if (tail.outs == 1 && !tail.sums) {
    const Store out = tail.out[0];
    const Constants<Vec, N> with(out, slot);
    CGNET_LOOP for (int p = 0; p < pixels; p++) {
      load(p, f);
      add_trunk<Vec, N, kHalf>(tail, f, x + p, slot);
      put<Vec, N, false>(out, with, f, x + p, slot);
    }
    return;
  }
  auto* const tile = reinterpret_cast<float*>(sums);
  CGNET_LOOP for (int p = 0; p < pixels; p++) {
    load(p, f);
    CGNET_UNROLL for (int n = 0; n < N; n++) Vec::store(tile + (p * N + n) * L, f[n]);
  }
  finish_tile<Vec, N, false, kHalf>(tail, tile, pixels, x, slot);
}

// A whole row, M tiles at once; the last ones begin early, so that they end with the row. While sums are finished, the next
// ones are multiplied.
template <class Vec, Element kReads, int M, int N>
__attribute__((noinline)) void dense_tiles(const Dense& d, const uint8_t* w, int rows, int slot) {
  alignas(64) uint8_t sums[2][M * N * kTileRows * kTileBytes];
  const auto multiply = [&](int from, int into) __attribute__((always_inline)) {
    multiply_tiles<kReads, N>(d, w, from, rows, sums[into], std::make_index_sequence<M>());
  };
  const int pixels = M * rows;
  multiply(0, 0);
  for (int x = 0, done = 0, i = 0; done < d.width; i = 1 - i) {
    const int begin = x, first = done;
    done = x + pixels;
    if (done < d.width) {
      x = done + pixels <= d.width ? done : d.width - pixels;
      multiply(x, 1 - i);
    }
    finish_sums<Vec, N, kReads>(d.tail, sums[i] + (first - begin) * N * kTileBytes, begin + pixels - first, first, slot);
  }
}

template <class Vec, Element kReads>
void dense_amx(const Dense& d) {
  const int rows = d.width < kTileRows ? d.width : kTileRows;
  if (rows < kTileRows) shape_tiles(rows);
  ptrdiff_t tiles = 0;
  for (int r = 0; r < d.run_count; r++) tiles += (4 * d.runs[r].steps + kTileBytes - 1) / kTileBytes;
  const uint8_t* w = d.weights;
  int v = 0;
  for (; v + 2 <= d.vectors; v += 2, w += 2 * tiles * kTileRows * kTileBytes)
    (d.width >= 2 * kTileRows ? dense_tiles<Vec, kReads, 2, 2> : dense_tiles<Vec, kReads, 1, 2>)(d, w, rows, v * Vec::kLanes);
  if (v < d.vectors)
    (d.width >= 4 * kTileRows   ? dense_tiles<Vec, kReads, 4, 1>
     : d.width >= 2 * kTileRows ? dense_tiles<Vec, kReads, 2, 1>
                                : dense_tiles<Vec, kReads, 1, 1>)(d, w, rows, v * Vec::kLanes);
  if (rows < kTileRows) shape_tiles(kTileRows);
}

uint64_t begin_tiles() {
  shape_tiles(kTileRows);
  return flush_denormals();
}
void end_tiles(uint64_t before) {
  tile_release();
  restore_denormals(before);
}


constexpr cgnet::native::Kernels with_tiles(cgnet::native::Kernels kernels) {
  kernels.most_vectors = 2, kernels.run_steps = kTileRows;
  kernels.begin = begin_tiles, kernels.end = end_tiles;
  return kernels;
}

}  // namespace
