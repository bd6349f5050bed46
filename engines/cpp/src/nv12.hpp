// NV12 to BGR in integers, the same on a host and on a GPU.
//
// With Kr, Kb of the matrix, Kg = 1 - Kr - Kb, and Y, Cb, Cr brought to full range:
//
//     R = Y + 2 (1 - Kr) Cr    B = Y + 2 (1 - Kb) Cb    G = Y - 2 (1 - Kr) Kr / Kg Cr - 2 (1 - Kb) Kb / Kg Cb
//
// Each factor is rounded to a multiple of 2^-20, sums are exact in 32 bits, and a result is rounded half up and cut to
// 0..255. Each Cb, Cr is that of the four pixels it stands for, and in limited range a luma below 16 is 16, as in
// OpenCV, whose cv::cvtColor (BT.601, limited) differs by 1 at most.
#pragma once

#include <cstdint>

#include <cgnet/device.hpp>

#ifdef __CUDACC__
#define CGNET_ANYWHERE __host__ __device__
#else
#define CGNET_ANYWHERE
#endif

namespace cgnet {

/// In multiples of 2^-20, all positive.
struct Nv12 {
  int black;  ///< the luma of black
  int luma;
  int cr_red, cr_green, cb_green, cb_blue;
};

constexpr int nv12_shift = 20;

/// Of one of the four formats nv12_*.
constexpr Nv12 nv12_of(Format format) {
  const bool bt709 = format == Format::nv12_bt709_limited || format == Format::nv12_bt709_full;
  const bool limited = format == Format::nv12_bt601_limited || format == Format::nv12_bt709_limited;
  const double red = bt709 ? 0.2126 : 0.299;
  const double blue = bt709 ? 0.0722 : 0.114;
  const double green = 1 - red - blue;
  const double one = 1 << nv12_shift;
  const double chroma = limited ? one * 255 / 224 : one;
  const auto rounded = [](double factor) { return static_cast<int>(factor + 0.5); };
  return {limited ? 16 : 0,
          rounded(limited ? one * 255 / 219 : one),
          rounded(chroma * 2 * (1 - red)),
          rounded(chroma * 2 * (1 - red) * red / green),
          rounded(chroma * 2 * (1 - blue) * blue / green),
          rounded(chroma * 2 * (1 - blue))};
}

CGNET_ANYWHERE inline std::uint8_t nv12_channel(int scaled) {
  const int rounded = scaled + (1 << (nv12_shift - 1));
  if (rounded < 0) return 0;
  const int value = rounded >> nv12_shift;
  return static_cast<std::uint8_t>(value > 255 ? 255 : value);
}

/// One pixel into `bgr`.
CGNET_ANYWHERE inline void nv12_pixel(const Nv12& nv12, int y, int cb, int cr, std::uint8_t* bgr) {
  const int luma = nv12.luma * (y > nv12.black ? y - nv12.black : 0);
  bgr[0] = nv12_channel(luma + nv12.cb_blue * (cb - 128));
  bgr[1] = nv12_channel(luma - nv12.cb_green * (cb - 128) - nv12.cr_green * (cr - 128));
  bgr[2] = nv12_channel(luma + nv12.cr_red * (cr - 128));
}

}  // namespace cgnet
