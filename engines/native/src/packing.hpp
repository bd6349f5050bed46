// What the parts of `pack` share: pack.cpp decides how pixels and results are stored, one file each arranges the weights
// of dense and of depthwise convolutions.
#pragma once

#include <vector>

#include "pack.hpp"

namespace cgnet::native {

struct Packing {
  const Network& net;
  const Kernels& kernels;
  std::vector<PackedOp> packed;  // in the order of the network's operators; those before the current one are done

  const PackedOut& plane(Source source) const {
    return packed[static_cast<size_t>(source.op)].outs[static_cast<size_t>(source.out)];
  }
};

// One number for each slot; those that fill up get 0.
Block per_slot(const std::vector<float>& numbers, const std::vector<int>& order, double factor = 1);

// An int8 depthwise kernel mixes the elements of a group of G: number 16 l + 4 j + i becomes number j G/4 + 4 l + i.
size_t mixed(size_t element, size_t group);

// Weights, scale and bias. inverse: of the step of the stored result, 1 if it is stored as it is.
void pack_dense(const Packing& packing, const Op& op, double inverse, PackedOp& to);
void pack_depthwise(const Packing& packing, const Op& op, double inverse, PackedOp& to);

}  // namespace cgnet::native
