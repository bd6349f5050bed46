// Reads a video, labels it, and writes the overlay or the labels: each in its own thread, so that the network waits for
// neither the decoder nor the encoder.
//
//   cgnet_video --engine cgnet.onnx --input drive.mp4 --output overlay.mp4
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgproc.hpp>

#include <cgnet/overlay.hpp>
#include <cgnet/segmenter.hpp>

#include "channel.hpp"
#include "legend.hpp"
#include "options.hpp"
#include "sizes.hpp"
#include "video.hpp"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t depth = 4;  // frames in each channel: enough to even out a decoder that works in bursts

constexpr std::size_t kept_samples = 100'000;  // a video may be days long, and memory must not grow

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "or a signal handler must not touch it");

extern "C" void interrupt(int) { interrupted = true; }

struct Labelled {
  cv::Mat frame;   // (H, W) u8 BGR
  cv::Mat labels;  // (H, W) u8
};

/// Labels of another size: each pixel takes the one under its centre. OpenCV's INTER_NEAREST_EXACT means the same, but
/// 4.6 and 5.0 differ where a centre falls between two pixels; integers don't.
cv::Mat nearest(const cv::Mat& labels, const cv::Size& size) {
  cv::Mat resized(size, CV_8UC1);
  const auto source = [](int i, int from, int to) {
    return static_cast<int>((2LL * i + 1) * from / (2LL * to));
  };
  for (int y = 0; y < size.height; ++y) {
    const auto* const from = labels.ptr<std::uint8_t>(source(y, labels.rows, size.height));
    auto* const to = resized.ptr<std::uint8_t>(y);
    for (int x = 0; x < size.width; ++x) to[x] = from[source(x, labels.cols, size.width)];
  }
  return resized;
}

/// Labels of a frame of any size. As in Python's Segmenter: the frame is resized linearly to the engine's size where
/// that is fixed, and its labels back by nearest neighbour.
cv::Mat labels_of(const cgnet::Segmenter& segmenter, const cv::Mat& frame) {
  const cgnet::Info& info = segmenter.info();
  const cv::Size own(info.width != 0 ? info.width : frame.cols, info.height != 0 ? info.height : frame.rows);
  cv::Mat fitted = frame;
  if (frame.size() != own) cv::resize(frame, fitted, own, 0, 0, cv::INTER_LINEAR);
  cv::Mat labels(own, CV_8UC1);
  segmenter.segment({fitted.data, fitted.rows, fitted.cols, fitted.step}, labels.data);
  return frame.size() == own ? labels : nearest(labels, frame.size());
}

class Progress {
 public:
  explicit Progress(long frames) : frames_(frames) {}

  void tick(long done) {
    const auto now = Clock::now();
    if (now - told_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10))) return;
    told_ = now;
    const double rate = static_cast<double>(done) / std::chrono::duration<double>(now - start_).count();
    const std::string of = frames_ > 0 ? " of " + std::to_string(frames_) : "";
    std::fprintf(stderr, "%s%ld%s frames, %.1f frames/s%s", terminal_ ? "\r" : "", done, of.c_str(), rate,
                 terminal_ ? "  " : "\n");
  }

  void end() const {
    if (terminal_) std::fprintf(stderr, "\r%50s\r", "");
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  long frames_;
  bool terminal_ = isatty(STDERR_FILENO) != 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point told_ = start_;
};

/// One thread of the engine between two channels. Reader and writer go through the lanes in turn, which keeps the
/// order.
struct Lane {
  Channel<cv::Mat> frames{depth};
  Channel<Labelled> labelled{depth};
  std::vector<double> engine_ms;  // the latest
  std::size_t done = 0;
  std::exception_ptr error;
  std::thread thread;

  void work(const cgnet::Segmenter& segmenter) noexcept {
    try {
      while (std::optional<cv::Mat> frame = frames.take()) {
        const auto before = Clock::now();
        cv::Mat labels = labels_of(segmenter, *frame);
        const double ms = std::chrono::duration<double, std::milli>(Clock::now() - before).count();
        if (engine_ms.size() < kept_samples)
          engine_ms.push_back(ms);
        else
          engine_ms[done % kept_samples] = ms;
        ++done;
        if (!labelled.put({std::move(*frame), std::move(labels)})) break;
      }
    } catch (...) {
      error = std::current_exception();
    }
    frames.leave();
    labelled.end();
  }
};

/// Reader and engines run in their own threads; the caller's thread writes.
class Pipeline {
 public:
  Pipeline(Reader& reader, const cgnet::Segmenter& segmenter, std::size_t lanes, long limit) : lanes_(lanes) {
    for (Lane& lane : lanes_) lane.thread = std::thread([&lane, &segmenter] { lane.work(segmenter); });
    reading_ = std::thread([this, &reader, limit] { read(reader, limit); });
  }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline() { stop(); }

  /// The next frame and its labels, in order; nothing at the end.
  std::optional<Labelled> next() { return turn(given_++).labelled.take(); }

  /// End all threads; frames in flight are lost.
  void stop() {
    for (Lane& lane : lanes_) {
      lane.labelled.leave();
      lane.frames.leave();
    }
    for (Lane& lane : lanes_)
      if (lane.thread.joinable()) lane.thread.join();
    if (reading_.joinable()) reading_.join();
  }

  /// What ended an engine, or null; after `stop`.
  std::exception_ptr engine_error() const {
    for (const Lane& lane : lanes_)
      if (lane.error) return lane.error;
    return nullptr;
  }
  std::exception_ptr read_error() const { return read_error_; }

  std::vector<double> engine_ms() const {
    std::vector<double> all;
    for (const Lane& lane : lanes_) all.insert(all.end(), lane.engine_ms.begin(), lane.engine_ms.end());
    return all;
  }

 private:
  Lane& turn(std::size_t count) { return lanes_[count % lanes_.size()]; }

  void read(Reader& reader, long limit) noexcept {
    try {
      for (long i = 0; (limit == 0 || i < limit) && !interrupted; ++i) {
        cv::Mat frame = reader.next();
        if (frame.empty() || !turn(static_cast<std::size_t>(i)).frames.put(std::move(frame))) break;
      }
    } catch (...) {
      read_error_ = std::current_exception();
    }
    for (Lane& lane : lanes_) lane.frames.end();
  }

  std::vector<Lane> lanes_;
  std::thread reading_;
  std::exception_ptr read_error_;
  std::size_t given_ = 0;
};

double percentile(std::vector<double> sorted, double share) {
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

std::string lacks(long missing) {
  return missing > 0 ? std::to_string(missing) + " missing by their time stamps" : "";
}

/// Two on a CPU: decoding or encoding on a core then delays one inference of two, not both halves of a single one.
int default_contexts(const std::filesystem::path& engine) { return engine.extension() == ".onnx" ? 2 : 1; }

int run(const Settings& settings) {
  Reader reader(settings.input);
  require_one_size(settings.input, settings.limit);
  std::optional<VideoFile> video;
  std::optional<MaskFile> masks;
  if (!settings.output.empty()) video.emplace(settings.output, settings.codec, reader.fps());
  if (!settings.masks.empty()) masks.emplace(settings.masks);
  cgnet::Options options;
  options.threads = settings.threads;
  options.backend = settings.backend;
  options.contexts = settings.contexts > 0 ? settings.contexts : default_contexts(settings.engine);
  const cgnet::Segmenter segmenter(settings.engine, options);
  if (!segmenter.info().warning.empty()) std::fprintf(stderr, "cgnet_video: %s\n", segmenter.info().warning.c_str());
  const cgnet::Overlay overlay(segmenter.info().classes, settings.alpha);
  std::fprintf(stderr, "%s on %s, %s\n", segmenter.info().backend.c_str(), segmenter.info().provider.c_str(),
               segmenter.info().precision.c_str());

  Progress progress(settings.limit > 0 ? settings.limit : reader.announced());
  Pipeline pipeline(reader, segmenter, static_cast<std::size_t>(options.contexts), settings.limit);
  cv::Mat picture, names;  // names: drawn once, since all frames have one size
  long done = 0;
  while (std::optional<Labelled> item = pipeline.next()) {
    const cv::Mat& frame = item->frame;
    if (masks) masks->write(item->labels.data, item->labels.total());
    if (video) {
      if (settings.legend && names.empty()) names = legend(segmenter.info().classes, frame.size());
      picture.create(frame.rows + names.rows, frame.cols, CV_8UC3);
      overlay.draw({frame.data, frame.rows, frame.cols, frame.step}, item->labels.data, picture.data);
      if (!names.empty()) names.copyTo(picture.rowRange(frame.rows, picture.rows));
      video->write(picture);
    }
    progress.tick(++done);
  }
  pipeline.stop();
  progress.end();
  // If an engine or an output fails, nothing is left; if the source ends early, the output up to there is complete.
  if (pipeline.engine_error()) std::rethrow_exception(pipeline.engine_error());
  if (done > 0) {
    if (video) video->finish();
    if (masks) masks->finish();
    const double seconds = progress.seconds();
    const std::vector<double> engine_ms = pipeline.engine_ms();
    const std::string lacking = lacks(reader.missing());
    std::printf("%ld frames of H=%d W=%d in %.2f s: %.1f frames/s%s; network p50 %.2f ms, p95 %.2f ms\n", done,
                reader.size().height, reader.size().width, seconds, static_cast<double>(done) / seconds,
                lacking.empty() ? "" : (", " + lacking + ": the input is damaged").c_str(),
                percentile(engine_ms, 0.5), percentile(engine_ms, 0.95));
  }
  if (pipeline.read_error()) std::rethrow_exception(pipeline.read_error());
  if (interrupted) {
    std::fprintf(stderr, "cgnet_video: stopped; the frames so far are written\n");
    return 130;  // as shells do for SIGINT
  }
  if (settings.limit == 0) reader.check_complete();
  if (settings.strict && reader.missing() > 0)
    throw cgnet::Error(settings.input.string() + " is damaged: of its frames " + lacks(reader.missing()) +
                       ", and --strict was given");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(usage, stdout);
    return 0;
  }
  // Errors are reported in one line of ours.
  cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", 0);
  setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", plain_videos, 0);
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  try {
    return run(parse(argc, argv));
  } catch (const cgnet::Error& error) {
    std::fprintf(stderr, "cgnet_video: %s\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cgnet_video: %s\n", error.what());
    return 1;
  }
}
