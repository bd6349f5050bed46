// Not yet run on a GPU. One thread per pixel: memory bounds both kernels, and neighbouring threads read neighbours.
#include "kernels.hpp"

namespace cgnet::cuda {
namespace {

constexpr unsigned threads = 256;

unsigned blocks_of(std::size_t pixels) { return static_cast<unsigned>((pixels + threads - 1) / threads); }

__global__ void to_tensor_kernel(const std::uint8_t* frames, float* planes, std::size_t pixels, std::size_t plane,
                                 PlaneSpec spec) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= pixels) return;
  const std::size_t n = i / plane;
  float* out = planes + 3 * n * plane + (i - n * plane);
  for (int c = 0; c < 3; ++c) {
    const float value = static_cast<float>(frames[3 * i + static_cast<std::size_t>(spec.channel[c])]);
    // The intrinsics round as IEEE 754 does, whatever --use_fast_math makes of `-` and `/`.
    out[static_cast<std::size_t>(c) * plane] = __fdiv_rn(__fsub_rn(value, spec.mean[c]), spec.std[c]);
  }
}

__global__ void labels_of_kernel(const float* logits, std::uint8_t* labels, std::size_t pixels, std::size_t plane,
                                 std::size_t classes) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= pixels) return;
  const std::size_t n = i / plane;
  const float* scores = logits + classes * n * plane + (i - n * plane);
  float best = scores[0];
  std::uint8_t label = 0;
  for (std::size_t k = 1; k < classes; ++k)
    if (scores[k * plane] > best) {  // strictly: the first of equals wins
      best = scores[k * plane];
      label = static_cast<std::uint8_t>(k);
    }
  labels[i] = label;
}

}  // namespace

cudaError_t to_tensor(const std::uint8_t* frames, float* planes, std::size_t n, std::size_t plane,
                      const PlaneSpec& spec, cudaStream_t stream) {
  to_tensor_kernel<<<blocks_of(n * plane), threads, 0, stream>>>(frames, planes, n * plane, plane, spec);
  return cudaGetLastError();
}

cudaError_t labels_of(const float* logits, std::uint8_t* labels, std::size_t n, std::size_t plane,
                      std::size_t classes, cudaStream_t stream) {
  labels_of_kernel<<<blocks_of(n * plane), threads, 0, stream>>>(logits, labels, n * plane, plane, classes);
  return cudaGetLastError();
}

}  // namespace cgnet::cuda
