// The arithmetic of pixels.cpp on the GPU, for plans that take planes and return logits, and that of nv12.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

#include "nv12.hpp"

namespace cgnet::cuda {

struct PlaneSpec {
  float mean[3];
  float std[3];
  int channel[3];  ///< which channel of a BGR pixel each plane reads
};

/// (N, H, W, 3) u8 to (N, 3, H, W) f32 on `stream`; `plane` is H * W. Returns the status of the launch.
cudaError_t to_tensor(const std::uint8_t* frames, float* planes, std::size_t n, std::size_t plane,
                      const PlaneSpec& spec, cudaStream_t stream);

/// (N, classes, H, W) f32 to (N, H, W) u8: the first of the largest. Returns the status of the launch.
cudaError_t labels_of(const float* logits, std::uint8_t* labels, std::size_t n, std::size_t plane,
                      std::size_t classes, cudaStream_t stream);

/// Rows of bytes, `pitch` apart.
struct Plane {
  const std::uint8_t* bytes;
  std::size_t pitch;
};

/// (H, W) luma and (H / 2, W / 2, 2) chroma to (H, W, 3) on `stream`. Returns the status of the launch.
cudaError_t nv12_to_bgr(Plane luma, Plane chroma, std::uint8_t* bgr, std::size_t height, std::size_t width,
                        const Nv12& nv12, cudaStream_t stream);

}  // namespace cgnet::cuda
