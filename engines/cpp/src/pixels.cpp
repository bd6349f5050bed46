// Compiled without contraction into fused multiply-adds: each operation rounds on its own, as in NumPy.
#include "pixels.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <cgnet/overlay.hpp>

namespace cgnet {
namespace {

const std::uint8_t* row(const Frame& frame, std::size_t y) {
  const std::size_t stride = frame.stride != 0 ? frame.stride : 3 * static_cast<std::size_t>(frame.width);
  return frame.pixels + y * stride;
}

}  // namespace

void pack(const Batch& batch, std::uint8_t* out) {
  const auto bytes = 3 * static_cast<std::size_t>(batch.width);
  for (int n = 0; n < batch.count; ++n)
    for (std::size_t y = 0; y < static_cast<std::size_t>(batch.height); ++y, out += bytes)
      std::memcpy(out, row(batch.frames[n], y), bytes);
}

void to_tensor(const Batch& batch, const InputSpec& spec, float* out) {
  const auto height = static_cast<std::size_t>(batch.height);
  const auto width = static_cast<std::size_t>(batch.width);
  for (int n = 0; n < batch.count; ++n)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t y = 0; y < height; ++y, out += width) {
        const std::uint8_t* pixel = row(batch.frames[n], y) + spec.channels[c];
        for (std::size_t x = 0; x < width; ++x)
          out[x] = (static_cast<float>(pixel[3 * x]) - spec.mean[c]) / spec.std[c];
      }
}

void labels_of(const float* logits, const Batch& batch, std::size_t classes, std::uint8_t* labels) {
  const std::size_t plane = static_cast<std::size_t>(batch.height) * static_cast<std::size_t>(batch.width);
  std::vector<float> best(plane);
  for (int n = 0; n < batch.count; ++n, labels += plane, logits += classes * plane) {
    std::copy_n(logits, plane, best.begin());
    std::fill_n(labels, plane, std::uint8_t{0});
    for (std::size_t k = 1; k < classes; ++k) {
      const float* planes = logits + k * plane;
      for (std::size_t i = 0; i < plane; ++i)
        if (planes[i] > best[i]) {
          best[i] = planes[i];
          labels[i] = static_cast<std::uint8_t>(k);
        }
    }
  }
}

Overlay::Overlay(const std::vector<Class>& classes, double alpha) : mixed_(256) {
  if (!(alpha >= 0 && alpha <= 1)) throw UsageError("alpha " + std::to_string(alpha) + ": must be between 0 and 1");
  const auto frame_part = static_cast<float>(1 - alpha);
  const auto class_part = static_cast<float>(alpha);
  for (std::size_t label = 0; label < mixed_.size(); ++label)
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint8_t colour = label < classes.size() ? classes[label].rgb[2 - c] : std::uint8_t{0};
      const float added = class_part * static_cast<float>(colour);
      for (std::size_t value = 0; value < 256; ++value) {
        const float kept = frame_part * static_cast<float>(value);
        mixed_[label][c][value] = static_cast<std::uint8_t>(std::nearbyint(kept + added));  // ties to even, as rint
      }
    }
}

void Overlay::draw(const Frame& frame, const std::uint8_t* labels, std::uint8_t* bgr) const noexcept {
  const auto width = static_cast<std::size_t>(frame.width);
  for (std::size_t y = 0; y < static_cast<std::size_t>(frame.height); ++y, labels += width, bgr += 3 * width) {
    const std::uint8_t* pixel = row(frame, y);
    for (std::size_t x = 0; x < width; ++x) {
      const auto& tables = mixed_[labels[x]];
      for (std::size_t c = 0; c < 3; ++c) bgr[3 * x + c] = tables[c][pixel[3 * x + c]];
    }
  }
}

}  // namespace cgnet
