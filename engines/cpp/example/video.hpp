// Video files by OpenCV, with the errors that it does not report: a video that is cut, a full disk.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "timeline.hpp"

/// What FFmpeg may open, as in Python's source.py. Not playlists, which name other files and hosts, nor text,
/// which FFmpeg would draw.
inline const char* const plain_videos =
    "protocol_whitelist;file|format_whitelist;"
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,mxf,gif,h264,hevc,m4v,mjpeg,ivf,yuv4mpegpipe";

class Reader {
 public:
  /// Throws cgnet::Error with exit code 2 if it is not a video.
  explicit Reader(const std::filesystem::path& path);

  /// The next frame, (H, W) of u8 BGR in new memory; an empty one at the end. What is damaged is passed over.
  cv::Mat next();

  cv::Size size() const noexcept { return size_; }  ///< of the frames read
  double fps() const noexcept { return fps_; }
  long announced() const noexcept { return announced_; }  ///< frames, 0 if not known
  long read() const noexcept { return read_; }
  long missing() const { return timeline_.missing(); }  ///< frames that the file lacks by its time stamps so far

  /// Throws cgnet::Error if fewer frames could be read than the file announces, beyond the error of that estimate.
  void check_complete() const;

 private:
  std::filesystem::path path_;
  cv::VideoCapture capture_;
  cv::Size size_;
  double fps_ = 25;
  long announced_ = 0;
  long read_ = 0;
  Timeline timeline_{fps_};
};

/// A file under a temporary name in the same folder, renamed by `keep`, else removed.
class Temporary {
 public:
  explicit Temporary(std::filesystem::path path);
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary();
  const std::filesystem::path& path() const noexcept { return temporary_; }
  const std::filesystem::path& final_path() const noexcept { return path_; }
  void keep();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
};

/// An overlay video. OpenCV does not report whether a frame was written: `finish` counts them in the file.
class VideoFile {
 public:
  VideoFile(const std::filesystem::path& path, const std::string& codec, double fps);
  void write(const cv::Mat& picture);
  void finish();

 private:
  Temporary file_;
  std::string codec_;
  double fps_;
  cv::VideoWriter writer_;
  long written_ = 0;
};

/// Labels as they are, frame after frame.
class MaskFile {
 public:
  explicit MaskFile(const std::filesystem::path& path);
  void write(const unsigned char* labels, std::size_t bytes);
  void finish();

 private:
  Temporary file_;
  std::ofstream stream_;
};
