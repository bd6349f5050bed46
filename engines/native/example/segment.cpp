// segment FILE VIDEO LABELS: the labels of each frame, u8, (frames, height, width), without a header.
#include <cstdio>
#include <fstream>
#include <memory>
#include <vector>

#include <cgnet_native.h>
#include <opencv2/videoio.hpp>

namespace {

int fail(const char* what) {
  std::fprintf(stderr, "segment: %s\n", what);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return fail("wanted FILE VIDEO LABELS");
  cgnet_native* opened = nullptr;
  if (const auto status = cgnet_native_open(argv[1], 0, nullptr, nullptr, &opened)) return fail(cgnet_native_error()), status;
  const std::unique_ptr<cgnet_native, decltype(&cgnet_native_close)> net(opened, cgnet_native_close);
  cv::VideoCapture video(argv[2]);
  std::ofstream output(argv[3], std::ios::binary);
  std::vector<std::uint8_t> labels;
  for (cv::Mat frame; video.read(frame);) {  // u8 BGR, without gaps between rows
    labels.resize(frame.total());
    if (const auto status = cgnet_native_run(net.get(), frame.data, 1, frame.rows, frame.cols, labels.data()))
      return fail(cgnet_native_error()), status;
    output.write(reinterpret_cast<const char*>(labels.data()), static_cast<std::streamsize>(labels.size()));
  }
  if (labels.empty()) return fail("VIDEO has no frames that OpenCV can read");
  return output.flush() ? 0 : (fail("LABELS can't be written"), 1);
}
