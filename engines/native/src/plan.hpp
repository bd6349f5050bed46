// What is run in which order for frames of one size, and where everything lies in memory.
//
// A pass is a list of operators that are run row by row, one after the other: none of them reads a row of another that
// is not the same row. What only the same pass reads is one row for each thread, and never leaves the first caches.
#pragma once

#include <vector>

#include "pack.hpp"

namespace cgnet::native {

// A stored result: a map with a border of `pad` pixels, or a row of it for each thread.
struct Plane {
  size_t offset = 0;  // of pixel (0, 0), in the shared or in a thread's memory
  ptrdiff_t row = 0, pixel = 0;  // bytes; row is 0 for what has one row
  int rows = 0, columns = 0, pad = 0;
  uint8_t zero = 0;    // every byte of a zero
  bool own = false;    // a thread's
  bool shares = false; // its memory, with maps of other shapes
};

struct Task {
  enum Kind { kRun, kMeasure, kGate, kLabels } kind;  // kMeasure: only the sums that a gate averages
  int index;                                          // of the operator, or of the gate
};

struct Pass {
  std::vector<Task> tasks;
  int rows, rows_of_item;
};

struct Plan {
  int height, width;
  int heights[4], widths[4];  // of each level
  std::vector<Pass> passes;
  std::vector<std::vector<Plane>> planes;  // of each operator's outs
  std::vector<Plane> trunks;
  std::vector<size_t> sums, sums_of_row;   // of each gated operator, (rows, sums_of_row) f32 in the shared memory
  std::vector<size_t> gated;               // scale and bias of each gated operator, in the shared memory
  std::vector<Plane> bordered;             // maps of u8 that nothing else writes over, so that their border stays
  size_t shared_bytes = 0, own_bytes = 0;
  // In a thread's memory: three rows of the image, their sums, a row of pooled pixels, two of enlarged scores.
  size_t filtered = 0;  // and a row of a depthwise convolution's sums before they are at their places
  size_t image = 0, image_row = 0, column_sums = 0, pooled = 0, enlarged[2] = {0, 0}, enlarged_stride = 0;
};

Plan make_plan(const Network& network, const std::vector<PackedOp>& packed, const Kernels& kernels, int height, int width,
               int threads);

}  // namespace cgnet::native
