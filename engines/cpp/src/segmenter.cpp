#include <cgnet/segmenter.hpp>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "artifact.hpp"
#include "backend.hpp"
#include "frames.hpp"
#include "plan.hpp"

namespace cgnet {

// Out of line: each class then has one type_info across all shared libraries of a process.
Error::~Error() = default;
UsageError::~UsageError() = default;
ArtifactError::~ArtifactError() = default;
FrameError::~FrameError() = default;
EngineUnavailable::~EngineUnavailable() = default;

void Context::run_on_device(const DeviceBatch&, std::uint8_t*, CUstream_st*) {
  throw EngineUnavailable("this engine runs on a CPU and takes frames in host memory; make a plan for frames on a GPU");
}

namespace {

/// Our own CPU engine where it takes the file and nobody chose another, else OpenVINO.
std::unique_ptr<Engine> open_onnx(const File& file, [[maybe_unused]] const Shape& shape, const Options& options) {
  const bool chosen = options.backend == "native" || options.backend == "native-bf16";
  [[maybe_unused]] const std::string path = file.artifact.path.string();
#ifdef CGNET_NATIVE
  if (options.backend != "openvino") {
    try {
      return open_native(file, options);
    } catch (const ArtifactError&) {  // a file of another target
#ifdef CGNET_OPENVINO
      if (chosen) throw;
#else
      throw;
#endif
    }
  }
#endif
#ifdef CGNET_OPENVINO
  if (!chosen) return open_openvino(file, shape, options);
#endif
  throw EngineUnavailable(path + (chosen ? " needs the CPU engine, which this build of cgnet lacks: -DCGNET_NATIVE=ON"
                                         : " needs OpenVINO, which this build of cgnet lacks: -DCGNET_OPENVINO=ON"));
}

std::unique_ptr<Engine> open_engine(const File& file, const Shape& shape, const Options& options) {
  const std::string path = file.artifact.path.string();
  switch (file.artifact.kind) {
    case Kind::onnx:
      return open_onnx(file, shape, options);
    case Kind::plan:
      check_plan(file);
#ifdef CGNET_TENSORRT
      return open_tensorrt(file, shape, options);
#else
      throw EngineUnavailable(path + " needs TensorRT, which this build of cgnet lacks: -DCGNET_TENSORRT=ON");
#endif
    case Kind::checkpoint:
      break;
  }
  throw ArtifactError(path + " is a checkpoint; wanted an ONNX file or a plan: make one with cgnet-export");
}

}  // namespace

class Segmenter::Impl {
 public:
  Impl(const std::filesystem::path& path, const Options& options) {
    if (options.contexts < 1 || options.contexts > 64)
      throw UsageError("contexts " + std::to_string(options.contexts) + ": must be between 1 and 64");
    if (options.threads < 0) throw UsageError("threads " + std::to_string(options.threads) + ": must be 0 or more");
    const std::string& backend = options.backend;
    if (!backend.empty() && backend != "native" && backend != "native-bf16" && backend != "openvino")
      throw UsageError("backend " + backend + ": wanted native, native-bf16 or openvino, or none for the file's own");
    const File file = read_file(path);
    const Artifact& artifact = file.artifact;
    shape_ = narrowed(artifact, {options.batch, options.height, options.width});
    engine_ = open_engine(file, shape_, options);
    for (int i = 0; i < options.contexts; ++i) contexts_.push_back(engine_->new_context());
    for (const auto& context : contexts_) idle_.push_back(context.get());
    info_.backend = engine_->backend();
    info_.provider = engine_->provider();
    info_.precision = artifact.precision;
    info_.sha256 = artifact.sha256;
    info_.warning = artifact.warning;
    info_.classes = artifact.classes;
    info_.ignore_label = artifact.ignore_label;
    info_.batch = shape_.batch;
    info_.height = shape_.height;
    info_.width = shape_.width;
  }

  const Info& info() const noexcept { return info_; }

  void run(const Frame* frames, std::size_t count, std::uint8_t* labels) {
    const Batch batch = checked(frames, count, shape_);
    if (labels == nullptr) throw FrameError("no memory for the labels; wanted a byte a pixel");
    const Borrowed context(*this);
    context->run(batch, labels);
  }

  void run(const DeviceFrame* frames, std::size_t count, std::uint8_t* labels, CUstream_st* stream) {
    const DeviceBatch batch = checked(frames, count, shape_);
    if (labels == nullptr) throw FrameError("no memory for the labels; wanted a byte a pixel");
    const Borrowed context(*this);
    context->run_on_device(batch, labels, stream);
  }

  std::size_t device_bytes() const noexcept {
    std::size_t bytes = engine_->device_bytes();
    for (const auto& context : contexts_) bytes += context->device_bytes();
    return bytes;
  }

 private:
  /// A context, from when it is free until its call ends, also by an exception.
  class Borrowed {
   public:
    explicit Borrowed(Impl& owner) : owner_(owner) {
      std::unique_lock lock(owner_.mutex_);
      owner_.freed_.wait(lock, [&] { return !owner_.idle_.empty(); });
      context_ = owner_.idle_.back();
      owner_.idle_.pop_back();
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    ~Borrowed() {
      {
        const std::lock_guard lock(owner_.mutex_);
        owner_.idle_.push_back(context_);  // never beyond the capacity that the constructor reserved
      }
      owner_.freed_.notify_one();
    }
    Context* operator->() const { return context_; }

   private:
    Impl& owner_;
    Context* context_ = nullptr;
  };

  Shape shape_;
  Info info_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Context>> contexts_;  // after engine_: they are destroyed first
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<Context*> idle_;  // guarded by mutex_
};

Segmenter::Segmenter(const std::filesystem::path& file, const Options& options)
    : impl_(std::make_unique<Impl>(file, options)) {}
Segmenter::~Segmenter() = default;
Segmenter::Segmenter(Segmenter&&) noexcept = default;
Segmenter& Segmenter::operator=(Segmenter&&) noexcept = default;

const Info& Segmenter::info() const noexcept { return impl_->info(); }

std::vector<std::uint8_t> Segmenter::segment(const Frame& frame) const {
  if (frame.height <= 0 || frame.width <= 0) throw FrameError("a frame without pixels; wanted (H, W, 3), BGR");
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(frame.height) * static_cast<std::size_t>(frame.width));
  segment(frame, labels.data());
  return labels;
}

void Segmenter::segment(const Frame& frame, std::uint8_t* labels) const { impl_->run(&frame, 1, labels); }

void Segmenter::segment(const Frame* frames, std::size_t count, std::uint8_t* labels) const {
  impl_->run(frames, count, labels);
}

void Segmenter::segment(const DeviceFrame& frame, std::uint8_t* labels, CUstream_st* stream) const {
  impl_->run(&frame, 1, labels, stream);
}

void Segmenter::segment(const DeviceFrame* frames, std::size_t count, std::uint8_t* labels, CUstream_st* stream) const {
  impl_->run(frames, count, labels, stream);
}

std::size_t Segmenter::device_bytes() const noexcept { return impl_->device_bytes(); }

}  // namespace cgnet
