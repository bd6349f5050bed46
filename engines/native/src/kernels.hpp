// What runs on the CPU: one row of one operator at a time, in functions compiled once for each instruction set.
//
// Maps are stored pixel by pixel (NHWC), channels filled up with ones that weigh nothing, with a border of zeros where
// a 3x3 kernel reads them. u8 holds round(x / step) + 128, bf16 the upper half of an f32. No function allocates, and none
// reads beyond a map's border but for kPastEnd bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cgnet::native {

constexpr size_t kAlign = 64, kPastEnd = 256;
constexpr int kMaxOuts = 3;

enum class Element : uint8_t { kF32, kBf16, kU8 };  // of a map

constexpr int bytes_of(Element element) { return element == Element::kF32 ? 4 : element == Element::kBf16 ? 2 : 1; }

// One way of storing a result: PReLU(scale x + shift) times `inverse`. Null: no such step.
struct Store {
  uint8_t* at;        // of pixel 0
  ptrdiff_t pixel;    // bytes
  const float *scale, *shift, *slope;
  float inverse;
  Element as;
};

// What follows a convolution, see network.hpp. Arrays are per slot: a channel's place in the result.
struct Tail {
  const float *scale, *bias, *slope;  // slope: null for none
  uint8_t* trunk;                     // of pixel 0: f16, or f32 where the kernels or the network say so
  ptrdiff_t trunk_pixel;              // bytes
  bool adds, keeps;
  float* sums;                        // not null: only add the result up, for each slot
  int outs;
  Store out[kMaxOuts];
};

// A stretch of input bytes that a window covers, for output pixel 0: `steps` times four u8, two bf16 or one f32.
struct Run {
  const uint8_t* at;
  ptrdiff_t pixel;  // bytes from one output pixel's window to the next one's
  int steps;
};

// Four u8 of a window, where products are added up in 16 bits: which run's, and how far from its begin. The first of a
// group has how many steps' sums fit; they are of runs with the same `pixel`. A group of 0 ends a block of vectors.
struct Quad {
  int32_t offset;
  uint16_t run, group;
};

struct Dense {
  const Run* runs;
  int run_count, width, vectors;
  const uint8_t* weights;  // for each block of vectors, run and step: [vector][lane] of four s8, two bf16 or one f32
  const Quad* quads;       // not null: the order of the steps, for each block; weights has each group's sums first,
                           // without a pixel's products: [vector][lane] of two s16
  Tail tail;
};

struct Depthwise {
  const uint8_t* at;       // of pixel 0
  ptrdiff_t row, pixel;    // bytes
  int dilation, width, channels, slots;  // channels of the map, and of the result
  const uint8_t* weights;  // s8: for each group, column and vector: [lane][row]; f32: for each vector: [row][column][lane]
  Tail tail;
  // Not null: the result has channels at other places, and some that no filter has. A vector's begin at first[vector] of
  // the map's channels, and lane[slot] is how far from there; sums holds (width, channels) meanwhile.
  const int32_t *first, *lane;
  float* sums;
};

// One row of labels from scores at an eighth of the size, class by class.
struct Head {
  const float *above, *below;  // [class][padded width], enlarged to the width
  float weight;                // of `below`
  int classes, width;
  ptrdiff_t stride;            // floats from class to class
  uint8_t* labels;
};

// 16 bytes of a pixel's result: those of `parts` times 16 bytes of its source, each picked by `index`, one after the other.
// An index with its highest bit set picks nothing. half: only the first 8 are the pixel's.
struct Chunk {
  int32_t to, parts;
  bool half;
};
struct Part {
  int32_t from;
  uint8_t index[16];
};

struct Move {
  const uint8_t* from;
  ptrdiff_t from_pixel;  // bytes
  uint8_t* to;
  ptrdiff_t to_pixel;
  int width, chunk_count;
  const Chunk* chunks;
  const Part* parts;
};

struct Kernels {
  const char* name;
  int lanes;          // of a vector of f32
  int most_vectors;   // in a block
  int most_weight;    // of an int8 weight: 127, or 63 where products of pairs are added up in 16 bits
  int trunk_bytes;    // of an element of the trunk beside int8 or bf16: 2 or 4
  int dense_centre, depthwise_centre;  // what their products take from each u8: 128 where they make it signed, else 0

  // `channels`: of the map, u8. How many channels a depthwise kernel takes at once, in which order: see packing.hpp.
  int (*group)(int channels);
  void (*dense_u8)(const Dense&);  // null where there are none for u8, as is depthwise_u8; those of f32 alike
  void (*dense_f32)(const Dense&);
  void (*depthwise_u8)(const Depthwise&);
  void (*depthwise_f32)(const Depthwise&);
  void (*move)(const Move&);
  // Stores `count` f32 of which four make a pixel; arrays repeat every 16.
  void (*store)(const float* from, int count, const Store& out);
  // sums[i] = rows[0][i] + rows[1][i] + rows[2][i] - mean of as many rows; a null row is not there
  void (*column_sums_u8)(const uint8_t* const rows[3], const float mean[3], int count, float* sums);
  void (*column_sums_f32)(const float* const rows[3], int count, float* sums);
  // sums[c] = at[c] of all pixels of a row; channels: a multiple of 8, and of `lanes`
  void (*row_sums_u8)(const uint8_t* at, ptrdiff_t pixel, int width, int channels, float* sums);
  void (*row_sums_f32)(const uint8_t* at, ptrdiff_t pixel, int width, int channels, float* sums);
  // to[4 x + i] = factor[i] * (sums[2 step x + i] + sums[2 step x + step + i] + sums[2 step x + 2 step + i])
  void (*pool)(const float* sums, int step, int width, const float factor[4], float* to);
  // to[i] = (from[i] - mean[i % 3]) * scale[i % 3]
  void (*normalise)(const uint8_t* from, const float mean[3], const float scale[3], int count, float* to);
  // to[x] = from[left[x]] + weight[x] * (from[right[x]] - from[left[x]])
  void (*enlarge)(const float* from, const int32_t* left, const int32_t* right, const float* weight, int width, float* to);
  void (*labels)(const Head&);
  // What each thread does before it runs others of them, and after; begin's result is for end.
  uint64_t (*begin)();
  void (*end)(uint64_t before);
  // Only where they compute in bf16.
  void (*dense_bf16)(const Dense&) = nullptr;
  void (*row_sums_bf16)(const uint8_t* at, ptrdiff_t pixel, int width, int channels, float* sums) = nullptr;
  int run_steps = 1;  // the weights of a run, of u8 or bf16, fill up to a multiple of so many steps
};

const Kernels* generic_kernels();
const Kernels* avx2_kernels();    // null where this build has none, as below
const Kernels* avx_vnni_kernels();
const Kernels* avx512_kernels();
const Kernels* dotprod_kernels();
const Kernels* i8mm_kernels();
const Kernels* amx_kernels();
const Kernels* avx512_bf16_kernels();  // those of bf16 are for files in f32
const Kernels* amx_bf16_kernels();
const Kernels* neon_bf16_kernels();

// The fastest that this CPU runs, or those called `name`, for dense convolutions of `products`. Throws Unavailable where
// there are none.
const Kernels& kernels_for(const char* name, Element products);

}  // namespace cgnet::native
