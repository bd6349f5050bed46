// The int8 weights of a filter.
#pragma once

#include <vector>

#include "kernels.hpp"
#include "network.hpp"

namespace cgnet::native {

// Those of operator `op`'s filter, and their step. from: its `count` weights. Weights from the file keep their levels where
// those fit. elements: of a dense convolution, the weights in the order of its steps.
void levels(const Network& network, const Kernels& kernels, const Op& op, const float* from, size_t count, size_t filter,
            const std::vector<int>& elements, double& step, int8_t* to);

}  // namespace cgnet::native
