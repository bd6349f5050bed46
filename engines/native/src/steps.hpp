// In which order the steps of a dense int8 convolution are taken where products are added up in 16 bits.
#pragma once

#include <vector>

#include "pack.hpp"

namespace cgnet::native {

// A run's steps, and which map they are of: those of one map lie equally far apart from pixel to pixel.
struct RunOf {
  int steps, source;
};

// Puts an operator's steps, packed in the order of its runs, in groups whose sums fit into 16 bits whatever the maps
// hold, and leaves out those without weight. The fewer the groups, the fewer the sums in 32 bits.
void order_steps(PackedOp& op, const std::vector<RunOf>& runs, size_t lanes, size_t most_vectors);

}  // namespace cgnet::native
