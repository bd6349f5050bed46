// Frames that already lie in the memory of a GPU, as a decoder leaves them: labels without a copy to the host.
//
//     cgnet::DeviceFrame frame{pixels, height, width, pitch};  // BGR
//     segmenter.segment(frame, labels, stream);                // labels: height * width bytes of the GPU; a cudaStream_t
//
// A plan only. Not yet run on a GPU. This header, too, needs the standard library only.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cgnet/segmenter.hpp>

namespace cgnet {

/// What the bytes of a frame are. A video says which NV12 it is (AVFrame::colorspace and color_range, matrix_coefficients
/// and video_full_range_flag of a decoder); where it doesn't, HD is mostly BT.709 in limited range, SD BT.601.
enum class Format { bgr, nv12_bt601_limited, nv12_bt601_full, nv12_bt709_limited, nv12_bt709_full };

/// A picture in the memory of the GPU that the engine runs on, which the caller owns.
struct DeviceFrame {
  const std::uint8_t* pixels = nullptr;  ///< rows of B, G, R bytes; of NV12 the luma, a byte a pixel
  int height = 0;
  int width = 0;
  std::size_t pitch = 0;  ///< bytes from one row of `pixels` to the next; 0 means no gap
  Format format = Format::bgr;
  const std::uint8_t* chroma = nullptr;  ///< of NV12: height / 2 rows of width / 2 pairs Cb, Cr; both sides are even
  std::size_t chroma_pitch = 0;          ///< bytes from one row of `chroma` to the next; 0 means no gap
};

}  // namespace cgnet
