// A network's weights and factors in the order in which the kernels of an instruction set read them.
#pragma once

#include <vector>

#include "block.hpp"
#include "kernels.hpp"
#include "network.hpp"

namespace cgnet::native {

struct PackedOut {
  Block scale, shift, slope;  // empty: none
  float inverse = 1;
  Element as = Element::kF32;
  std::vector<int> order;  // the channel of each element of a stored pixel, -1 for one that fills up
};

struct PackedOp {
  int slots = 0;           // channels, filled up
  std::vector<int> order;  // the channel of each slot, -1 for one that fills up
  int vectors = 0;         // of slots that a dense convolution computes: not the last ones, if none has a channel
  Block weights, scale, bias, slope;
  std::vector<Quad> quads;  // empty: in the order of the runs
  std::vector<PackedOut> outs;
  std::vector<int32_t> first, lane;  // of a depthwise one whose channels have other places than its input's, see kernels.hpp
  std::vector<Chunk> chunks;         // of a move
  std::vector<Part> parts;
};

// In the order of the network's operators. Throws Error.
std::vector<PackedOp> pack(const Network& network, const Kernels& kernels);

// What an operator's products are of: what it reads.
inline Element reads(const Op& op, const Network& network, const Kernels& kernels) {
  if (network.int8) return Element::kU8;
  return op.kind == Op::kDense && kernels.dense_bf16 ? Element::kBf16 : Element::kF32;  // frames are normalised in f32
}

// Of an element of the residual sums.
inline int trunk_bytes(const Network& network, const Kernels& kernels) {
  return network.int8 || kernels.dense_bf16 ? kernels.trunk_bytes : 4;
}

}  // namespace cgnet::native
