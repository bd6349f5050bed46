// Labels laid over their frame, pixel for pixel as cgnet_deploy.pixels.overlay does.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <cgnet/segmenter.hpp>

namespace cgnet {

/// The colours of `classes` at one opacity: a table of the result for each (label, channel, value).
class CGNET_API Overlay {
 public:
  /// alpha: 0 shows the frame, 1 the labels. Throws UsageError unless it is between 0 and 1.
  explicit Overlay(const std::vector<Class>& classes, double alpha = 0.5);

  /// Draw into `bgr`, (height, width, 3) bytes without gaps; it may be the frame itself. A label without a class is
  /// black.
  void draw(const Frame& frame, const std::uint8_t* labels, std::uint8_t* bgr) const noexcept;

 private:
  using Channel = std::array<std::uint8_t, 256>;
  std::vector<std::array<Channel, 3>> mixed_;  // label -> B, G, R -> value -> value
};

}  // namespace cgnet
