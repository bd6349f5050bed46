// Pixels in and out on the CPU, bit for bit what cgnet_deploy/pixels.py and engines/argmax.py compute.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend.hpp"

namespace cgnet {

/// The frames side by side without gaps, (N, H, W, 3), into `out`.
void pack(const Batch& batch, std::uint8_t* out);

/// The frames as (N, 3, H, W) f32: reorder, subtract the mean, divide by std.
void to_tensor(const Batch& batch, const InputSpec& spec, float* out);

/// (N, classes, H, W) logits to (N, H, W) labels: the first of the largest.
void labels_of(const float* logits, const Batch& batch, std::size_t classes, std::uint8_t* labels);

}  // namespace cgnet
