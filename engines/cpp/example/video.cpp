#include "video.hpp"

#include <algorithm>
#include <cmath>
#include <system_error>
#include <utility>

#include <unistd.h>

#include <cgnet/segmenter.hpp>

namespace fs = std::filesystem;

namespace {

// In a row, these are the end, or as many as the file still announces: each damaged packet is one (Python's source.py).
constexpr long failed_reads = 1000;
constexpr long most_failed_reads = 250'000;

}  // namespace

Reader::Reader(const fs::path& path) : path_(path) {
  if (!fs::is_regular_file(path)) throw cgnet::Error(path.string() + " is not a file", 2);
  if (!capture_.open(path.string(), cv::CAP_FFMPEG) || !capture_.isOpened())
    throw cgnet::Error(path.string() + " is not a video that OpenCV can read", 2);
  const double fps = capture_.get(cv::CAP_PROP_FPS);
  if (!(fps > 0 && fps <= 1000)) return;  // NaN too: what OpenCV announces is the duration times that
  fps_ = fps;
  timeline_ = Timeline(fps);
  const double frames = capture_.get(cv::CAP_PROP_FRAME_COUNT);
  if (frames > 0 && frames < 1e9) announced_ = std::lround(frames);
}

cv::Mat Reader::next() {
  cv::Mat frame;  // a new one each time: another thread may still use the last one
  const long most = std::min(std::max(failed_reads, announced_ - read_), most_failed_reads);
  for (long failed = 0; !capture_.read(frame) || frame.empty();) {
    if (++failed < most) continue;
    if (read_ == 0) throw cgnet::Error(path_.string() + " holds no frame that can be read", 2);
    return {};
  }
  size_ = frame.size();
  ++read_;
  timeline_.place(capture_.get(cv::CAP_PROP_POS_MSEC) / 1000);
  return frame;
}

void Reader::check_complete() const {
  // A container may count by its duration, in which sound may outlast the pictures by a twentieth.
  if (static_cast<double>(announced_ - read_) > std::max(2.5, 0.05 * static_cast<double>(announced_)))
    throw cgnet::Error(path_.string() + " is cut or damaged: " + std::to_string(read_) +
                       " frames could be read, it announces " + std::to_string(announced_));
}

Temporary::Temporary(fs::path path) : path_(std::move(path)) {
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  if (fs::is_directory(path_) || !fs::is_directory(folder) || access(folder.c_str(), W_OK) != 0)
    throw cgnet::UsageError(path_.string() + " can't be written: is " + folder.string() +
                            " a folder that you may write to?");
  // The suffix stays last: OpenCV chooses the container by it.
  temporary_ = folder / ("." + path_.stem().string() + "." + std::to_string(getpid()) + ".tmp" +
                         path_.extension().string());
}

Temporary::~Temporary() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove(temporary_, ignored);
}

void Temporary::keep() {
  std::error_code error;
  fs::rename(temporary_, path_, error);
  if (error) throw cgnet::Error(path_.string() + " can't be written: " + error.message());
  temporary_.clear();
}

VideoFile::VideoFile(const fs::path& path, const std::string& codec, double fps)
    : file_(path), codec_(codec.empty() ? (path.extension() == ".avi" ? "MJPG" : "mp4v") : codec), fps_(fps) {}

void VideoFile::write(const cv::Mat& picture) {
  const int fourcc = cv::VideoWriter::fourcc(codec_[0], codec_[1], codec_[2], codec_[3]);
  if (written_ == 0 && !writer_.open(file_.path().string(), cv::CAP_FFMPEG, fourcc, fps_, picture.size()))
    throw cgnet::UsageError(file_.final_path().string() + " can't be written: this OpenCV has no encoder " + codec_ +
                            " for its suffix");
  writer_.write(picture);
  ++written_;
}

void VideoFile::finish() {
  writer_.release();
  if (written_ == 0) return;
  cv::VideoCapture check;
  const bool complete = check.open(file_.path().string(), cv::CAP_FFMPEG) &&
                     std::lround(check.get(cv::CAP_PROP_FRAME_COUNT)) >= written_ &&
                     // An AVI announces its frames at its start, however many follow.
                     check.set(cv::CAP_PROP_POS_FRAMES, static_cast<double>(written_ - 1)) && check.grab();
  if (!complete)
    throw cgnet::Error(file_.final_path().string() + " can't be written: the encoder lost frames; is the disk full?");
  file_.keep();
}

MaskFile::MaskFile(const fs::path& path) : file_(path), stream_(file_.path(), std::ios::binary) {}

void MaskFile::write(const unsigned char* labels, std::size_t bytes) {
  if (!stream_.write(reinterpret_cast<const char*>(labels), static_cast<std::streamsize>(bytes)))
    throw cgnet::Error(file_.final_path().string() + " can't be written: is the disk full?");
}

void MaskFile::finish() {
  stream_.close();
  if (!stream_) throw cgnet::Error(file_.final_path().string() + " can't be written: is the disk full?");
  file_.keep();
}
