#include "legend.hpp"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

namespace {

constexpr int font = cv::FONT_HERSHEY_SIMPLEX;
constexpr int sharper = 4;  // text is drawn so many times larger and shrunk: OpenCV's strokes are coarse

}  // namespace

cv::Mat legend(const std::vector<cgnet::Class>& classes, cv::Size size) {
  const int count = static_cast<int>(classes.size());
  const int line = std::max(18, cvRound(size.height / 24.0)), gap = line / 3;
  const double scale = 0.62 * line / 30;
  int text_px = 0;
  for (const cgnet::Class& one : classes)
    text_px = std::max(text_px, cv::getTextSize(one.name, font, scale, 1, nullptr).width);
  const int columns = std::clamp((size.width - gap) / (line + gap + text_px + gap), 1, count);
  const int rows = (count + columns - 1) / columns;
  const double column_px = static_cast<double>(size.width - gap) / columns;
  cv::Mat big((rows * line + 2 * gap) * sharper, size.width * sharper, CV_8UC3, cv::Scalar::all(28));
  for (int k = 0; k < count; ++k) {
    const cgnet::Class& one = classes[static_cast<std::size_t>(k)];
    const int side = sharper * line, inset = side / 6;
    const cv::Point at(sharper * (gap + cvRound(k / rows * column_px)), sharper * (gap + k % rows * line));
    const cv::Rect swatch(at + cv::Point(0, inset), at + cv::Point(side - inset, side - inset));
    cv::rectangle(big, swatch, cv::Scalar(one.rgb[2], one.rgb[1], one.rgb[0]), cv::FILLED);
    cv::rectangle(big, swatch, cv::Scalar::all(110), sharper / 2);
    const int thick = cvRound(1.1 * sharper * std::max(1.0, scale));
    cv::putText(big, one.name, at + cv::Point(side + sharper * gap / 2, cvRound(0.72 * side)), font, scale * sharper,
                cv::Scalar::all(235), thick, cv::LINE_AA);
  }
  cv::Mat strip;
  cv::resize(big, strip, {size.width, big.rows / sharper}, 0, 0, cv::INTER_AREA);
  return strip.rowRange(0, strip.rows / 2 * 2);
}
