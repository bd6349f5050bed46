#include "frames.hpp"

#include <limits>
#include <string>

namespace cgnet {
namespace {

std::string size_of(int height, int width) { return std::to_string(height) + "x" + std::to_string(width); }

/// Rows that lie so far apart hold `least` bytes each; 0 stands for exactly as many.
void check_rows(std::size_t apart, std::size_t least, const std::string& size, const char* wanted) {
  if (apart != 0 && apart < least)
    throw FrameError("a frame " + size + " whose rows are " + std::to_string(apart) + " bytes apart; wanted " + wanted);
}

void check(const Frame& frame, const std::string& size) {
  check_rows(frame.stride, 3 * static_cast<std::size_t>(frame.width), size, "3 bytes a pixel");
}

void check(const DeviceFrame& frame, const std::string& size) {
  const auto width = static_cast<std::size_t>(frame.width);
  if (frame.format == Format::bgr) {
    check_rows(frame.pitch, 3 * width, size, "3 bytes a pixel");
    if (frame.chroma != nullptr) throw FrameError("a BGR frame " + size + " with chroma; say which NV12 it is");
    return;
  }
  if (frame.format < Format::bgr || frame.format > Format::nv12_bt709_full)
    throw FrameError("a frame " + size + " of an unknown format; wanted one of cgnet::Format");
  if (frame.chroma == nullptr) throw FrameError("an NV12 frame " + size + " without chroma");
  if (frame.height % 2 != 0 || frame.width % 2 != 0)
    throw FrameError("an NV12 frame " + size + ": both sides must be even");
  check_rows(frame.pitch, width, size, "a byte a pixel of luma");
  check_rows(frame.chroma_pitch, width, size, "a byte a pixel in each row of chroma");
}

template <class F>
BatchOf<F> of_one_size(const F* frames, std::size_t count, const Shape& shape) {
  if (frames == nullptr || count == 0) throw FrameError("no frames; wanted 1 or more of (H, W, 3), BGR");
  if (count > static_cast<std::size_t>(std::numeric_limits<int>::max())) throw FrameError("too many frames at once");
  const F& first = frames[0];
  for (std::size_t i = 0; i < count; ++i) {
    const F& frame = frames[i];
    const std::string size = size_of(frame.height, frame.width);
    if (frame.pixels == nullptr || frame.height <= 0 || frame.width <= 0)
      throw FrameError("a frame of " + size + " without pixels; wanted (H, W, 3), BGR");
    check(frame, size);
    if (frame.height != first.height || frame.width != first.width)
      throw FrameError("frames of " + size_of(first.height, first.width) + " and " + size +
                       " in one batch; wanted one size");
  }
  const BatchOf<F> batch{frames, static_cast<int>(count), first.height, first.width};
  const auto differs = [](int want, int got) { return want != 0 && want != got; };
  if (differs(shape.batch, batch.count) || differs(shape.height, batch.height) || differs(shape.width, batch.width))
    throw FrameError("frames are " + spelled({batch.count, batch.height, batch.width}) +
                     ", this engine takes " + spelled(shape) + "; resize them, or export for that size");
  return batch;
}

}  // namespace

Batch checked(const Frame* frames, std::size_t count, const Shape& shape) { return of_one_size(frames, count, shape); }

DeviceBatch checked(const DeviceFrame* frames, std::size_t count, const Shape& shape) {
  return of_one_size(frames, count, shape);
}

}  // namespace cgnet
