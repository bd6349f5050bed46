// What a plan of planes and logits lacks, on the GPU: the arithmetic of pixels.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_runtime_api.h>

namespace cgnet::cuda {

struct PlaneSpec {
  float mean[3];
  float std[3];
  int channel[3];  ///< of a BGR pixel, which one each plane reads
};

/// (N, H, W, 3) u8 to (N, 3, H, W) f32 on `stream`; `plane` is H * W. Gives what launching gives.
cudaError_t to_tensor(const std::uint8_t* frames, float* planes, std::size_t n, std::size_t plane,
                      const PlaneSpec& spec, cudaStream_t stream);

/// (N, classes, H, W) f32 to (N, H, W) u8: the first of the largest. Gives what launching gives.
cudaError_t labels_of(const float* logits, std::uint8_t* labels, std::size_t n, std::size_t plane,
                      std::size_t classes, cudaStream_t stream);

}  // namespace cgnet::cuda
