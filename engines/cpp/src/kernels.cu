// Not yet run on a GPU. One thread per pixel: memory bounds all kernels, and neighbouring threads read neighbours.
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

__global__ void nv12_to_bgr_kernel(Plane luma, Plane chroma, std::uint8_t* bgr, std::size_t pixels, std::size_t width,
                                   Nv12 nv12) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * threads + threadIdx.x;
  if (i >= pixels) return;
  const std::size_t y = i / width;
  const std::size_t x = i - y * width;
  const std::uint8_t* pair = chroma.bytes + y / 2 * chroma.pitch + x / 2 * 2;
  nv12_pixel(nv12, luma.bytes[y * luma.pitch + x], pair[0], pair[1], bgr + 3 * i);
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

cudaError_t nv12_to_bgr(Plane luma, Plane chroma, std::uint8_t* bgr, std::size_t height, std::size_t width,
                        const Nv12& nv12, cudaStream_t stream) {
  const std::size_t pixels = height * width;
  nv12_to_bgr_kernel<<<blocks_of(pixels), threads, 0, stream>>>(luma, chroma, bgr, pixels, width, nv12);
  return cudaGetLastError();
}

}  // namespace cgnet::cuda
