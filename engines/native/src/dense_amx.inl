// Dense convolutions by AMX: a tile of sums is 16 pixels of 16 channels. What a run has behind its last whole tile of steps
// weighs nothing, see Kernels::run_steps.
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

// A step of tile M of a map, times those of N vectors of weights.
template <Element kReads, int N, int M>
CGNET_INLINE void add_products(const uint8_t* at, ptrdiff_t pixel, int bytes, int rows) {
  constexpr int kMap = kSumTiles + M % kMapTiles, kWeights = kSumTiles + kMapTiles;
  if (kReads == Element::kU8 || bytes >= kTileBytes) tile_load<kMap>(at + M * rows * pixel, pixel);
  else load_rest<kMap>(at + M * rows * pixel, pixel, bytes, rows);
  tile_dot<kReads, M * N, kMap, kWeights>();
  if constexpr (N > 1) tile_dot<kReads, M * N + 1, kMap, kWeights + 1>();
}

template <int N, int M>
CGNET_INLINE void store_sums(uint8_t* sums, int rows) {
  tile_store<M * N>(sums + M * rows * N * kTileBytes, N * kTileBytes);
  if constexpr (N > 1) tile_store<M * N + 1>(sums + (M * rows * N + 1) * kTileBytes, N * kTileBytes);
}

// The sums of tiles M of `rows` pixels each, from x on, times N vectors of channels: [pixel][vector][lane].
template <Element kReads, int N, int... M>
CGNET_INLINE void multiply_tiles(const Dense& d, const uint8_t* w, ptrdiff_t x, int rows, uint8_t* sums) {
  constexpr int kWeights = kSumTiles + kMapTiles;
  ((tile_zero<M * N>(), tile_zero<M * N + N - 1>()), ...);
  for (int r = 0; r < d.run_count; r++) {
    const ptrdiff_t pixel = d.runs[r].pixel;
    const uint8_t* at = d.runs[r].at + x * pixel;
    for (int bytes = 4 * d.runs[r].steps; bytes > 0; bytes -= kTileBytes, at += kTileBytes, w += N * kTileRows * kTileBytes) {
      tile_load<kWeights>(w, N * kTileBytes);
      if constexpr (N > 1) tile_load<kWeights + 1>(w + kTileBytes, N * kTileBytes);
      (add_products<kReads, N, M>(at, pixel, bytes, rows), ...);
    }
  }
  (store_sums<N, M>(sums, rows), ...);
}

// What follows the products of `pixels` from x on.
template <class Vec, int N, Element kReads>
CGNET_INLINE void finish_sums(const Tail& its, uint8_t* sums, int pixels, ptrdiff_t x, int slot) {
  const Tail tail = its;  // else bytes that are stored could change it, to the compiler
  constexpr bool kHalf = kHalfTrunk<Vec, kReads>;
  constexpr int L = Vec::kLanes;
  using Sums = Sum<Vec, kReads>;
  typename Vec::F scale[N], bias[N], slope[N];
  const bool bends = tail.slope;
  CGNET_UNROLL for (int n = 0; n < N; n++) {
    scale[n] = Vec::load(tail.scale + slot + n * L), bias[n] = Vec::load(tail.bias + slot + n * L);
    if (bends) slope[n] = Vec::load(tail.slope + slot + n * L);
  }
  const auto load = [&](int p, typename Vec::F* f) __attribute__((always_inline)) {
    CGNET_UNROLL for (int n = 0; n < N; n++) {
      typename Sums::Type sum;
      __builtin_memcpy(&sum, sums + (p * N + n) * kTileBytes, sizeof sum);
      f[n] = Vec::fma(Sums::to_f32(sum), scale[n], bias[n]);
      if (bends) f[n] = Vec::prelu(f[n], slope[n]);
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

// `count` vectors of a whole row, N at once, by tiles M; the last ones begin early, so that they end with the row. Gives
// the weights behind theirs.
template <class Vec, Element kReads, int N, int... M>
__attribute__((noinline)) const uint8_t* dense_tiles(const Dense& d, int steps, const uint8_t* w, int rows, int first, int count) {
  alignas(64) uint8_t sums[sizeof...(M) * N * kTileRows * kTileBytes];
  const int pixels = static_cast<int>(sizeof...(M)) * rows;
  for (int v = first; v < first + count; v += N, w += N * steps * kTileRows * kTileBytes)
    for (int done = 0; done < d.width; done += pixels) {
      const int x = done + pixels <= d.width ? done : d.width - pixels;
      multiply_tiles<kReads, N, M...>(d, w, x, rows, sums);
      finish_sums<Vec, N, kReads>(d.tail, sums + (done - x) * N * kTileBytes, x + pixels - done, done, v * Vec::kLanes);
    }
  return w;
}

template <class Vec, Element kReads>
void dense_amx(const Dense& d) {
  const int rows = d.width < kTileRows ? d.width : kTileRows, pairs = d.vectors / 2 * 2;
  if (rows < kTileRows) shape_tiles(rows);
  int steps = 0;  // of tiles
  for (int r = 0; r < d.run_count; r++) steps += (4 * d.runs[r].steps + kTileBytes - 1) / kTileBytes;
  const auto by_two = d.width >= 2 * kTileRows ? dense_tiles<Vec, kReads, 2, 0, 1> : dense_tiles<Vec, kReads, 2, 0>;
  const auto by_one = d.width >= 4 * kTileRows   ? dense_tiles<Vec, kReads, 1, 0, 1, 2, 3>
                      : d.width >= 2 * kTileRows ? dense_tiles<Vec, kReads, 1, 0, 1>
                                                 : dense_tiles<Vec, kReads, 1, 0>;
  const uint8_t* const w = by_two(d, steps, d.weights, rows, 0, pairs);
  by_one(d, steps, w, rows, pairs, d.vectors - pairs);
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
