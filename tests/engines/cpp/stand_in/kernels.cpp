// What kernels.cu does on a GPU: the same functions of host code, one pixel after the other.
#include <cstddef>
#include <cstdint>

#include "../../../../engines/cpp/src/kernels.hpp"
#include "gpu.hpp"

namespace cgnet::cuda {

cudaError_t to_tensor(const std::uint8_t* frames, float* planes, std::size_t n, std::size_t plane,
                      const PlaneSpec& spec, cudaStream_t stream) {
  const void* const source = gpu::holder(frames, 3 * n * plane, gpu::Place::device);
  const void* const target = gpu::holder(planes, 3 * n * plane * sizeof(float), gpu::Place::device);
  if (source == nullptr || target == nullptr) gpu::undefined("a kernel reads or writes what is not its own");
  if (const cudaError_t status = gpu::launchable(stream)) return gpu::given(status);
  const auto run = [=] {
    for (std::size_t i = 0; i < n * plane; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        planes[(i / plane * 3 + c) * plane + i % plane] =
            (static_cast<float>(frames[3 * i + static_cast<std::size_t>(spec.channel[c])]) - spec.mean[c]) / spec.std[c];
  };
  return stream->put({run, {source, target}}), cudaSuccess;
}

cudaError_t labels_of(const float* logits, std::uint8_t* labels, std::size_t n, std::size_t plane,
                      std::size_t classes, cudaStream_t stream) {
  const void* const source = gpu::holder(logits, classes * n * plane * sizeof(float), gpu::Place::device);
  const void* const target = gpu::holder(labels, n * plane, gpu::Place::device);
  if (source == nullptr || target == nullptr) gpu::undefined("a kernel reads or writes what is not its own");
  if (const cudaError_t status = gpu::launchable(stream)) return gpu::given(status);
  const auto run = [=] {
    for (std::size_t i = 0; i < n * plane; ++i) {
      std::size_t best = 0;
      const auto score = [&](std::size_t k) { return logits[(i / plane * classes + k) * plane + i % plane]; };
      for (std::size_t k = 1; k < classes; ++k)
        if (score(k) > score(best)) best = k;
      labels[i] = static_cast<std::uint8_t>(best);
    }
  };
  return stream->put({run, {source, target}}), cudaSuccess;
}

cudaError_t nv12_to_bgr(Plane luma, Plane chroma, std::uint8_t* bgr, std::size_t height, std::size_t width,
                        const Nv12& nv12, cudaStream_t stream) {
  const void* const bright = gpu::holder(luma.bytes, luma.pitch * (height - 1) + width, gpu::Place::device);
  const void* const coloured = gpu::holder(chroma.bytes, chroma.pitch * (height / 2 - 1) + width, gpu::Place::device);
  const void* const target = gpu::holder(bgr, 3 * height * width, gpu::Place::device);
  if (bright == nullptr || coloured == nullptr || target == nullptr)
    gpu::undefined("a kernel reads or writes what is not its own");
  if (const cudaError_t status = gpu::launchable(stream)) return gpu::given(status);
  const auto run = [=] {
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x) {
        const std::uint8_t* pair = chroma.bytes + y / 2 * chroma.pitch + x / 2 * 2;
        nv12_pixel(nv12, luma.bytes[y * luma.pitch + x], pair[0], pair[1], bgr + 3 * (y * width + x));
      }
  };
  return stream->put({run, {bright, coloured, target}}), cudaSuccess;
}

}  // namespace cgnet::cuda
