// The kernels, once for every instruction set: a file of that set includes its vectors, then this.
//
// Nothing of the standard library is included or called here: an inline function of it, compiled for this set, could be
// the one that the linker keeps for all.
#include "denormals.hpp"
#include "kernels.hpp"

#define CGNET_UNROLL _Pragma("GCC unroll 16")
#define CGNET_LOOP _Pragma("GCC unroll 1")

namespace {

using cgnet::native::bytes_of, cgnet::native::Dense, cgnet::native::Depthwise, cgnet::native::Element, cgnet::native::Head,
    cgnet::native::Chunk, cgnet::native::Move, cgnet::native::Part, cgnet::native::Quad, cgnet::native::Run,
    cgnet::native::Store, cgnet::native::Tail;

// The trunk's elements. bf16 has eight bits, too few for sums.
template <class Vec, Element kReads>
constexpr bool kHalfTrunk = Vec::kHalf && (Vec::kBf16 || kReads == Element::kU8);

// Of a Store, for N vectors from `slot` on.
template <class Vec, int N>
struct Constants {
  typename Vec::F scale[N], shift[N], slope[N];
  bool bends;

  CGNET_INLINE Constants(const Store& out, int slot) : bends(out.scale && out.slope) {
    CGNET_UNROLL for (int n = 0; n < N; n++) {
      const int at = slot + n * Vec::kLanes;
      scale[n] = out.scale ? Vec::load(out.scale + at) : Vec::splat(out.inverse);
      shift[n] = out.scale ? Vec::load(out.shift + at) : Vec::zero();
      if (bends) slope[n] = Vec::load(out.slope + at);
    }
  }
};

// f, N vectors of pixel x from `slot` on, through a Store. Mixed: their order is that of Vec::mix.
template <class Vec, int N, bool kMixed>
CGNET_INLINE void put(const Store& out, const Constants<Vec, N>& with, typename Vec::F* f, ptrdiff_t x, int slot) {
  constexpr int L = Vec::kLanes;
  CGNET_UNROLL for (int n = 0; n < N; n++) {
    f[n] = Vec::fma(f[n], with.scale[n], with.shift[n]);
    if (with.bends) f[n] = Vec::prelu(f[n], with.slope[n]);
  }
  uint8_t* const to = out.at + x * out.pixel;
  if (out.as == Element::kF32)
    CGNET_UNROLL for (int n = 0; n < N; n++) Vec::store(reinterpret_cast<float*>(to) + slot + n * L, f[n]);
  else if constexpr (Vec::kBf16)
    CGNET_UNROLL for (int n = 0; n < N; n++) Vec::store_bf16(to + 2 * (slot + n * L), f[n]);
  else if constexpr (kMixed)
    Vec::store_mixed(to + slot, f);
  else
    CGNET_UNROLL for (int n = 0; n < N; n++) Vec::store_u8(to + slot + n * L, f[n]);
}

// The sum with the trunk. half: it is in f16.
template <class Vec, int N, bool kHalf>
CGNET_INLINE void add_trunk(const Tail& tail, typename Vec::F* f, ptrdiff_t x, int slot) {
  constexpr int L = Vec::kLanes, kBytes = kHalf ? 2 : 4;
  uint8_t* const trunk = tail.trunk + x * tail.trunk_pixel + slot * kBytes;
  if (tail.adds)
    CGNET_UNROLL for (int n = 0; n < N; n++) {
      const uint8_t* const from = trunk + n * L * kBytes;
      f[n] = Vec::add(f[n], kHalf ? Vec::load_half(from) : Vec::load(reinterpret_cast<const float*>(from)));
    }
  if (tail.keeps)
    CGNET_UNROLL for (int n = 0; n < N; n++) {
      uint8_t* const to = trunk + n * L * kBytes;
      kHalf ? Vec::store_half(to, f[n]) : Vec::store(reinterpret_cast<float*>(to), f[n]);
    }
}

template <class Vec, int N>
CGNET_INLINE void add_up(float* sums, const typename Vec::F* f) {
  CGNET_UNROLL for (int n = 0; n < N; n++) Vec::store(sums + n * Vec::kLanes, Vec::add(Vec::load(sums + n * Vec::kLanes), f[n]));
}

// All that follows a convolution, of one pixel.
template <class Vec, int N, bool kMixed, bool kHalf>
CGNET_INLINE void finish(const Tail& tail, typename Vec::F* f, ptrdiff_t x, int slot) {
  if (tail.slope)
    CGNET_UNROLL for (int n = 0; n < N; n++) f[n] = Vec::prelu(f[n], Vec::load(tail.slope + slot + n * Vec::kLanes));
  if (tail.sums) return add_up<Vec, N>(tail.sums + slot, f);
  add_trunk<Vec, N, kHalf>(tail, f, x, slot);
  for (int i = 0; i < tail.outs; i++) {
    typename Vec::F g[N];
    CGNET_UNROLL for (int n = 0; n < N; n++) g[n] = f[n];
    put<Vec, N, kMixed>(tail.out[i], Constants<Vec, N>(tail.out[i], slot), g, x, slot);
  }
}

// The same of a tile, whose pixels are in memory one after the other, but for the slopes: what is the same for all stays
// in registers, and loops keep the code within the cache of decoded instructions.
template <class Vec, int N, bool kMixed, bool kHalf>
CGNET_INLINE void finish_tile(const Tail& tail, float* tile, int pixels, ptrdiff_t x, int slot) {
  constexpr int L = Vec::kLanes;
  typename Vec::F f[N];
  const auto load = [&](int p) __attribute__((always_inline)) {
    CGNET_UNROLL for (int n = 0; n < N; n++) f[n] = Vec::load(tile + (p * N + n) * L);
  };
  if (tail.sums) {
    CGNET_LOOP for (int p = 0; p < pixels; p++) load(p), add_up<Vec, N>(tail.sums + slot, f);
    return;
  }
  if (tail.adds || tail.keeps)
    CGNET_LOOP for (int p = 0; p < pixels; p++) {
      load(p);
      add_trunk<Vec, N, kHalf>(tail, f, x + p, slot);
      CGNET_UNROLL for (int n = 0; n < N; n++) Vec::store(tile + (p * N + n) * L, f[n]);
    }
  for (int i = 0; i < tail.outs; i++) {
    const Store out = tail.out[i];
    const Constants<Vec, N> with(out, slot);
    CGNET_LOOP for (int p = 0; p < pixels; p++) load(p), put<Vec, N, kMixed>(out, with, f, x + p, slot);
  }
}

// The products of a tile where the CPU adds pairs of them up in 16 bits: a group's sums begin with what stands before its
// weights, stay in registers, and are added to those of 32 bits, which are in memory, all at once.
template <class Vec, int PX, int N>
CGNET_INLINE void multiply_pairs(const Dense& d, const uint8_t* w, const Quad* quad, ptrdiff_t x, typename Vec::I* sums) {
  constexpr int L = Vec::kLanes;
  CGNET_UNROLL for (int i = 0; i < PX * N; i++) sums[i] = Vec::no_sum();
  while (quad->group) {
    const ptrdiff_t pixel = d.runs[quad->run].pixel, first = x * pixel;
    typename Vec::I part[PX][N];
    CGNET_UNROLL for (int n = 0; n < N; n++) part[0][n] = Vec::load_bytes(w + 4 * L * n);
    CGNET_UNROLL for (int p = 1; p < PX; p++) CGNET_UNROLL for (int n = 0; n < N; n++) part[p][n] = part[0][n];
    w += 4 * L * N;
    for (const Quad* const end = quad + quad->group; quad < end; quad++, w += 4 * L * N) {
      const uint8_t* const at = d.runs[quad->run].at + quad->offset + first;
      typename Vec::I b[N];
      CGNET_UNROLL for (int n = 0; n < N; n++) b[n] = Vec::load_bytes(w + 4 * L * n);
      CGNET_UNROLL for (int p = 0; p < PX; p++) {
        const typename Vec::I a = Vec::splat_four(at + p * pixel);
        CGNET_UNROLL for (int n = 0; n < N; n++) Vec::add_pairs(part[p][n], a, b[n]);
      }
    }
    asm volatile("" : : "r"(sums) : "memory");  // else they are kept in registers, and the parts are not
    CGNET_UNROLL for (int p = 0; p < PX; p++) CGNET_UNROLL for (int n = 0; n < N; n++) Vec::widen(sums[p * N + n], part[p][n]);
  }
}

// What sums of products are added up in.
template <class Vec, Element kReads>
struct Sum {
  using Type = typename Vec::I;
  static CGNET_INLINE typename Vec::F to_f32(Type x) { return Vec::to_f32(x); }
};
template <class Vec>
struct Sum<Vec, Element::kBf16> {
  using Type = typename Vec::F;
  static CGNET_INLINE Type to_f32(Type x) { return x; }
};

// A tile of a dense convolution: PX pixels from x on, N vectors of channels.
template <class Vec, int PX, int N, Element kReads>
__attribute__((noinline)) void tile(const Dense& d, const uint8_t* w, const Quad* quads, ptrdiff_t x, int slot) {
  constexpr int L = Vec::kLanes;
  typename Vec::F f[PX][N];
  if constexpr (kReads == Element::kU8 && Vec::kPairs) {
    typename Vec::I sums[PX * N];
    multiply_pairs<Vec, PX, N>(d, w, quads, x, sums);
    CGNET_UNROLL for (int p = 0; p < PX; p++) CGNET_UNROLL for (int n = 0; n < N; n++) f[p][n] = Vec::to_f32(sums[p * N + n]);
  } else if constexpr (kReads != Element::kF32) {
    using Sums = Sum<Vec, kReads>;
    typename Sums::Type sum[PX][N];
    CGNET_UNROLL for (int p = 0; p < PX; p++) CGNET_UNROLL for (int n = 0; n < N; n++) sum[p][n] = typename Sums::Type{};
    for (int r = 0; r < d.run_count; r++) {
      const ptrdiff_t pixel = d.runs[r].pixel;
      const uint8_t* at = d.runs[r].at + x * pixel;
      for (int k = d.runs[r].steps; k > 0; k--) {
        typename Vec::I b[N];
        CGNET_UNROLL for (int n = 0; n < N; n++) b[n] = Vec::load_bytes(w + 4 * L * n);
        CGNET_UNROLL for (int p = 0; p < PX; p++) {
          const typename Vec::I a = Vec::splat_four(at + p * pixel);
          CGNET_UNROLL for (int n = 0; n < N; n++) dot(sum[p][n], a, b[n]);
        }
        w += 4 * L * N, at += 4;
      }
    }
    CGNET_UNROLL for (int p = 0; p < PX; p++) CGNET_UNROLL for (int n = 0; n < N; n++) f[p][n] = Sums::to_f32(sum[p][n]);
  } else {
    CGNET_UNROLL for (int p = 0; p < PX; p++) CGNET_UNROLL for (int n = 0; n < N; n++) f[p][n] = Vec::zero();
    for (int r = 0; r < d.run_count; r++) {
      const ptrdiff_t pixel = d.runs[r].pixel;
      const uint8_t* at = d.runs[r].at + x * pixel;
      for (int k = d.runs[r].steps; k > 0; k--) {
        typename Vec::F b[N];
        CGNET_UNROLL for (int n = 0; n < N; n++) b[n] = Vec::load(reinterpret_cast<const float*>(w) + L * n);
        CGNET_UNROLL for (int p = 0; p < PX; p++) {
          const typename Vec::F a = Vec::splat(*reinterpret_cast<const float*>(at + p * pixel));
          CGNET_UNROLL for (int n = 0; n < N; n++) f[p][n] = Vec::fma(a, b[n], f[p][n]);
        }
        w += 4 * L * N, at += 4;
      }
    }
  }
  alignas(64) float results[PX * N * L];
  CGNET_UNROLL for (int n = 0; n < N; n++) {
    const typename Vec::F scale = Vec::load(d.tail.scale + slot + n * L), bias = Vec::load(d.tail.bias + slot + n * L);
    CGNET_UNROLL for (int p = 0; p < PX; p++) f[p][n] = Vec::fma(f[p][n], scale, bias);
  }
  if (d.tail.slope)
    CGNET_UNROLL for (int n = 0; n < N; n++) {
      const typename Vec::F slope = Vec::load(d.tail.slope + slot + n * L);
      CGNET_UNROLL for (int p = 0; p < PX; p++) f[p][n] = Vec::prelu(f[p][n], slope);
    }
  CGNET_UNROLL for (int p = 0; p < PX; p++) CGNET_UNROLL for (int n = 0; n < N; n++) Vec::store(results + (p * N + n) * L, f[p][n]);
  finish_tile<Vec, N, false, kHalfTrunk<Vec, kReads>>(d.tail, results, PX, x, slot);
}

template <class Vec, int PX, int N, Element kReads>
CGNET_INLINE void tiles(const Dense& d, const uint8_t* w, const Quad* quads, int slot) {
  int x = 0;
  for (; x + PX <= d.width; x += PX) tile<Vec, PX, N, kReads>(d, w, quads, x, slot);
  if constexpr (PX > 1)
    for (; x + PX / 2 <= d.width; x += PX / 2) tile<Vec, PX / 2, N, kReads>(d, w, quads, x, slot);
  for (; x < d.width; x++) tile<Vec, 1, N, kReads>(d, w, quads, x, slot);
}

// PX4, PX2, PX1: pixels of a tile with so many vectors; what fits into the registers.
template <class Vec, Element kReads, int PX4, int PX2, int PX1>
void dense(const Dense& d) {
  constexpr int L = Vec::kLanes;
  ptrdiff_t count = 0;
  for (int r = 0; r < d.run_count; r++) count += d.runs[r].steps;
  const uint8_t* w = d.weights;
  const Quad* quads = d.quads;
  int v = 0;
  const auto done = [&](int n) {
    if constexpr (kReads == Element::kU8 && Vec::kPairs) {
      const Quad* const begin = quads;
      ptrdiff_t groups = 0;
      for (; quads->group; groups++) quads += quads->group;
      count = groups + (quads++ - begin);
    }
    w += count * 4 * L * n, v += n;
  };
  if constexpr (PX4 > 0)
    while (v + 4 <= d.vectors) tiles<Vec, PX4, 4, kReads>(d, w, quads, v * L), done(4);
  while (v + 2 <= d.vectors) tiles<Vec, PX2, 2, kReads>(d, w, quads, v * L), done(2);
  while (v < d.vectors) tiles<Vec, PX1, 1, kReads>(d, w, quads, v * L), done(1);
}

// Channels of one group of an int8 depthwise row. A column of three pixels, mixed once, serves three outputs. kFinishes:
// else the sums are only put down.
template <class Vec, bool kFinishes>
__attribute__((noinline)) void depthwise_group(const Depthwise& d, int channel, const uint8_t* weights) {
  constexpr int L = Vec::kLanes;
  const uint8_t *const middle = d.at + channel, *const upper = middle - d.dilation * d.row, *const lower = middle + d.dilation * d.row;
  typename Vec::I w[12];
  CGNET_UNROLL for (int i = 0; i < 12; i++) w[i] = Vec::load_bytes(weights + 4 * L * i);
  const auto column = [&](ptrdiff_t x, typename Vec::I* c) __attribute__((always_inline)) {
    Vec::mix(upper + x * d.pixel, middle + x * d.pixel, lower + x * d.pixel, c);
  };
  for (int phase = 0; phase < d.dilation && phase < d.width; phase++) {
    typename Vec::I left[4], centre[4], right[4];
    column(phase - d.dilation, left);
    column(phase, centre);
    for (int x = phase; x < d.width; x += d.dilation) {
      column(x + d.dilation, right);
      typename Vec::F f[4];
      CGNET_UNROLL for (int j = 0; j < 4; j++) {
        typename Vec::I sum = Vec::no_sum();
        dot(sum, left[j], w[j]), dot(sum, centre[j], w[4 + j]), dot(sum, right[j], w[8 + j]);
        const int slot = channel + j * L;
        f[j] = Vec::to_f32(sum);
        if constexpr (kFinishes) f[j] = Vec::fma(f[j], Vec::load(d.tail.scale + slot), Vec::load(d.tail.bias + slot));
        left[j] = centre[j], centre[j] = right[j];
      }
      if constexpr (kFinishes) finish<Vec, 4, true, Vec::kHalf>(d.tail, f, x, channel);
      else Vec::store_unmixed(d.sums + x * d.channels + channel, f);
    }
  }
}

template <class Vec>
CGNET_INLINE void depthwise_groups(const Depthwise& d) {
  for (int c = 0; c < d.channels; c += 4 * Vec::kLanes)
    (d.first ? depthwise_group<Vec, false> : depthwise_group<Vec, true>)(d, c, d.weights + 12 * c);
}

// Sums that were put down, each at its place.
template <class Vec>
CGNET_INLINE typename Vec::F placed(const Depthwise& d, const float* sums, int slot) {
  return Vec::pick_lanes(sums + d.first[slot / Vec::kLanes], d.lane + slot);
}

template <class Vec>
CGNET_INLINE void place_groups(const Depthwise& d) {
  constexpr int L = Vec::kLanes, kTile = 16;
  for (int slot = 0; slot < d.slots; slot += 4 * L)
    for (int x = 0; x < d.width; x += kTile) {
      const int pixels = x + kTile < d.width ? kTile : d.width - x;
      alignas(64) float results[kTile * 4 * L];
      CGNET_UNROLL for (int j = 0; j < 4; j++) {
        const int at = slot + j * L;
        const typename Vec::F scale = Vec::load(d.tail.scale + at), bias = Vec::load(d.tail.bias + at);
        CGNET_LOOP for (int p = 0; p < pixels; p++) {
          typename Vec::F f = Vec::fma(placed<Vec>(d, d.sums + (x + p) * d.channels, at), scale, bias);
          if (d.tail.slope) f = Vec::prelu(f, Vec::load(d.tail.slope + at));
          Vec::store(results + (4 * p + j) * L, f);
        }
      }
      finish_tile<Vec, 4, true, Vec::kHalf>(d.tail, results, pixels, x, slot);
    }
}

template <class Vec>
void depthwise_u8(const Depthwise& d) {
  depthwise_groups<Vec>(d);
  if (d.first) place_groups<Vec>(d);
}

// PX pixels of a vector of channels, from x on: each waits for its own sums alone. step: floats between their sums.
template <class Vec, int PX>
CGNET_INLINE void depthwise_pixels(const Depthwise& d, const typename Vec::F* w, ptrdiff_t x, int channel, float* to, int step) {
  typename Vec::F f[PX];
  CGNET_UNROLL for (int p = 0; p < PX; p++) f[p] = Vec::zero();
  CGNET_UNROLL for (int dy = 0; dy < 3; dy++) CGNET_UNROLL for (int dx = 0; dx < 3; dx++) {
    const uint8_t* const at = d.at + d.dilation * ((dy - 1) * d.row + (dx - 1) * d.pixel) + x * d.pixel;
    CGNET_UNROLL for (int p = 0; p < PX; p++)
      f[p] = Vec::fma(Vec::load(reinterpret_cast<const float*>(at + p * d.pixel) + channel), w[3 * dy + dx], f[p]);
  }
  CGNET_UNROLL for (int p = 0; p < PX; p++) Vec::store(to + p * step, f[p]);
}

template <class Vec>
CGNET_INLINE void depthwise_tile(const Depthwise& d, ptrdiff_t x, int pixels, int channel, float* to, int step) {
  constexpr int kAtOnce = 4;
  const float* const weights = reinterpret_cast<const float*>(d.weights) + 9 * channel;
  typename Vec::F w[9];
  CGNET_UNROLL for (int i = 0; i < 9; i++) w[i] = Vec::load(weights + Vec::kLanes * i);
  int p = 0;
  for (; p + kAtOnce <= pixels; p += kAtOnce) depthwise_pixels<Vec, kAtOnce>(d, w, x + p, channel, to + p * step, step);
  for (; p < pixels; p++) depthwise_pixels<Vec, 1>(d, w, x + p, channel, to + p * step, step);
}

// Tile by tile, and all channels of each, so that a tile of the trunk, which is in no near cache, can be fetched ahead.
template <class Vec>
void depthwise_f32(const Depthwise& d) {
  constexpr bool kHalf = kHalfTrunk<Vec, Element::kF32>;
  constexpr int L = Vec::kLanes, kTile = 16, kBytes = kHalf ? 2 : 4;
  for (int x = 0; x < d.width; x += kTile) {
    const int pixels = x + kTile < d.width ? kTile : d.width - x;
    if (d.tail.adds)
      for (int p = 0; p < pixels; p++)
        for (int c = 0; c < d.slots; c += 64 / kBytes) __builtin_prefetch(d.tail.trunk + (x + p) * d.tail.trunk_pixel + kBytes * c);
    if (d.first)
      for (int c = 0; c < d.channels; c += L) depthwise_tile<Vec>(d, x, pixels, c, d.sums + c, d.channels);
    for (int c = 0; c < d.slots; c += L) {
      alignas(64) float results[kTile * L];
      if (!d.first) depthwise_tile<Vec>(d, x, pixels, c, results, L);
      const typename Vec::F scale = Vec::load(d.tail.scale + c), bias = Vec::load(d.tail.bias + c);
      CGNET_LOOP for (int p = 0; p < pixels; p++) {
        const typename Vec::F sum = d.first ? placed<Vec>(d, d.sums + p * d.channels, c) : Vec::load(results + p * L);
        typename Vec::F f = Vec::fma(sum, scale, bias);
        if (d.tail.slope) f = Vec::prelu(f, Vec::load(d.tail.slope + c));
        Vec::store(results + p * L, f);
      }
      finish_tile<Vec, 1, false, kHalf>(d.tail, results, pixels, x, c);
    }
  }
}

// A chunk of a whole row. kParts: how many it has, so that their indices stay in registers; 0 for any number.
template <class Vec, int kParts>
CGNET_INLINE void move_chunk(const Move& m, const Chunk& chunk, const Part* parts) {
  using Bytes = typename Vec::Bytes;
  const auto load = [](const uint8_t* from) __attribute__((always_inline)) {
    Bytes bytes;
    __builtin_memcpy(&bytes, from, sizeof bytes);
    return bytes;
  };
  Bytes index[kParts ? kParts : 1];
  CGNET_UNROLL for (int i = 0; i < kParts; i++) index[i] = load(parts[i].index);
  CGNET_LOOP for (int x = 0; x < m.width; x++) {
    const uint8_t* const from = m.from + x * m.from_pixel;
    Bytes result{};
    if constexpr (kParts > 0)
      CGNET_UNROLL for (int i = 0; i < kParts; i++) result |= Vec::shuffle(load(from + parts[i].from), index[i]);
    else
      for (int i = 0; i < chunk.parts; i++) result |= Vec::shuffle(load(from + parts[i].from), load(parts[i].index));
    __builtin_memcpy(m.to + x * m.to_pixel + chunk.to, &result, chunk.half ? 8 : 16);
  }
}

template <class Vec>
void move(const Move& m) {
  const Part* parts = m.parts;
  for (const Chunk* chunk = m.chunks; chunk < m.chunks + m.chunk_count; parts += chunk++->parts)
    switch (chunk->parts) {
      case 1: move_chunk<Vec, 1>(m, *chunk, parts); break;
      case 2: move_chunk<Vec, 2>(m, *chunk, parts); break;
      case 3: move_chunk<Vec, 3>(m, *chunk, parts); break;
      default: move_chunk<Vec, 0>(m, *chunk, parts);
    }
}

template <class Vec>
void store(const float* from, int count, const Store& out) {
  constexpr int L = Vec::kLanes;
  const int bytes = bytes_of(out.as);
  Store next = out;
  for (int i = 0; i < count; i += L) {
    typename Vec::F f = Vec::load(from + i);
    next.at = out.at + (i & ~15) * bytes;  // arrays repeat, the result goes on
    alignas(64) uint8_t last[16 * 4];
    const bool whole = i + L <= count;  // what lies behind the row is the border's
    if (!whole) next.at = last;
    put<Vec, 1, false>(next, Constants<Vec, 1>(next, i & 15), &f, 0, i & 15);
    if (!whole) __builtin_memcpy(out.at + i * bytes, last + (i & 15) * bytes, static_cast<size_t>((count - i) * bytes));
  }
}

void column_sums_u8(const uint8_t* const rows[3], const float mean[3], int count, float* sums) {
  float there = 0;
  for (int i = 0; i < count; i++) sums[i] = 0;
  for (int r = 0; r < 3; r++) {
    if (!rows[r]) continue;
    there++;
    const uint8_t* const row = rows[r];
    for (int i = 0; i < count; i++) sums[i] += static_cast<float>(row[i]);
  }
  const float m[3] = {there * mean[0], there * mean[1], there * mean[2]};
  for (int i = 0; i + 2 < count; i += 3) sums[i] -= m[0], sums[i + 1] -= m[1], sums[i + 2] -= m[2];
}

void column_sums_f32(const float* const rows[3], int count, float* sums) {
  for (int i = 0; i < count; i++) sums[i] = 0;
  for (int r = 0; r < 3; r++)
    if (rows[r])
      for (int i = 0; i < count; i++) sums[i] += rows[r][i];
}

struct Bf16 {
  uint16_t upper;
  CGNET_INLINE operator float() const {
    const uint32_t bits = static_cast<uint32_t>(upper) << 16;
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
  }
};

template <class T, class Total, int kLanes>
void row_sums(const uint8_t* at, ptrdiff_t pixel, int width, int channels, float* sums) {
  for (int c = 0; c < channels; c += kLanes) {
    Total sum[kLanes] = {};
    for (int x = 0; x < width; x++) {
      const T* const from = reinterpret_cast<const T*>(at + x * pixel) + c;
      for (int i = 0; i < kLanes; i++) sum[i] += from[i];
    }
    for (int i = 0; i < kLanes; i++) sums[c + i] = static_cast<float>(sum[i]);
  }
}

void pool(const float* sums, int step, int width, const float factor[4], float* to) {
  for (int x = 0; x < width; x++) {
    const float* const at = sums + 2 * step * x;
    for (int i = 0; i < 4; i++) to[4 * x + i] = factor[i] * (at[i] + at[step + i] + at[2 * step + i]);
  }
}

void normalise(const uint8_t* from, const float mean[3], const float scale[3], int count, float* to) {
  for (int i = 0; i + 2 < count; i += 3)
    for (int c = 0; c < 3; c++) to[i + c] = (static_cast<float>(from[i + c]) - mean[c]) * scale[c];
}

template <class Vec>
void enlarge(const float* from, const int32_t* left, const int32_t* right, const float* weight, int width, float* to) {
  for (int x = 0; x < width; x += Vec::kLanes) {
    const typename Vec::F l = Vec::pick(from, left + x), r = Vec::pick(from, right + x);
    Vec::store(to + x, Vec::fma(Vec::load(weight + x), Vec::sub(r, l), l));
  }
}

template <class Vec>
void labels(const Head& h) {
  const typename Vec::F weight = Vec::splat(h.weight);
  for (int x = 0; x < h.width; x += Vec::kLanes) {
    const auto score = [&](int k) __attribute__((always_inline)) {
      const typename Vec::F a = Vec::load(h.above + k * h.stride + x);
      return Vec::fma(weight, Vec::sub(Vec::load(h.below + k * h.stride + x), a), a);
    };
    typename Vec::F best = score(0);
    typename Vec::I label = Vec::splat_label(0);
    for (int k = 1; k < h.classes; k++) Vec::larger(score(k), Vec::splat_label(k), best, label);
    if (x + Vec::kLanes <= h.width) {
      Vec::store_labels(h.labels + x, label);
    } else {
      uint8_t last[Vec::kLanes];
      Vec::store_labels(last, label);
      for (int i = 0; x + i < h.width; i++) h.labels[x + i] = last[i];
    }
  }
}

}  // namespace
