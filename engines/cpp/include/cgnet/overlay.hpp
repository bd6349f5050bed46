// Labels laid over their frame, pixel for pixel what cgnet_deploy.pixels.overlay gives.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <cgnet/segmenter.hpp>

namespace cgnet {

/// The colours of `classes` at one opacity: a table of what each (label, channel, value) becomes.
class CGNET_API Overlay {
 public:
  /// alpha: 0 shows the frame, 1 the labels. Throws UsageError if it is not 0 to 1.
  explicit Overlay(const std::vector<Class>& classes, double alpha = 0.5);

  /// Draw into `bgr`, (height, width, 3) bytes without gaps; it may be the frame itself. A label without a class is
  /// black.
  void draw(const Frame& frame, const std::uint8_t* labels, std::uint8_t* bgr) const noexcept;

 private:
  using Channel = std::array<std::uint8_t, 256>;
  std::vector<std::array<Channel, 3>> mixed_;  // label -> B, G, R -> value -> value
};

}  // namespace cgnet
