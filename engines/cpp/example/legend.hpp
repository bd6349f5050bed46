#pragma once

#include <vector>

#include <cgnet/segmenter.hpp>
#include <opencv2/core.hpp>

/// A strip for below a picture of `size`: a swatch and a name for each class, as cgnet-video draws it. Its height is even.
cv::Mat legend(const std::vector<cgnet::Class>& classes, cv::Size size);
