// A plan in TensorRT 10 or 11. Written against their documentation and headers; not yet run on a GPU.
//
// One engine holds the weights; each context has a stream, buffers and a recorded graph of its own, for one
// (N, H, W), and records again only when frames of another size arrive, which a plan with dynamic sides accepts. The
// graph holds the full call: upload, kernels where the plan takes planes and returns logits, the network, download. A
// frame thus costs one launch, a copy into pinned memory before it and one out of it afterwards. Frames in device memory
// are copied into the same buffers, and a second graph, recorded when the first of them comes, holds what lies between.
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include "backend.hpp"
#include "cuda.hpp"
#include "handover.hpp"
#include "kernels.hpp"
#include "pixels.hpp"
#include "plan.hpp"

namespace cgnet {
namespace {

namespace trt = nvinfer1;

/// Keeps the last error, on one line. TensorRT calls it from any thread.
class Log final : public trt::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override {
    if (severity > Severity::kERROR) return;
    try {
      const std::lock_guard lock(mutex_);
      reason_ = one_line(message);
    } catch (...) {  // running out of memory for a message must not end the process
    }
  }

  std::string reason() const {
    const std::lock_guard lock(mutex_);
    return reason_;
  }

 private:
  mutable std::mutex mutex_;
  std::string reason_ = "no reason given";
};

struct Gpu {
  int device = 0;
  std::string name;
  std::string architecture;  // such as sm_90
};

/// The GPU that is current in this thread. Throws EngineUnavailable if there is none.
Gpu find_gpu(const std::string& path) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    const char* reason = status == cudaSuccess ? "the driver reports none" : cudaGetErrorString(status);
    throw EngineUnavailable(path + " can't run here: no NVIDIA GPU: " + reason);
  }
  Gpu gpu;
  cuda::check(cudaGetDevice(&gpu.device), "querying the current GPU");
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, gpu.device), "querying the GPU's name");
  gpu.name = properties.name;
  gpu.architecture = "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
  return gpu;
}

/// The four sides of an input: (N, H, W, 3) of frames, (N, 3, H, W) of planes.
trt::Dims input_dims(Io io, const Batch& batch) {
  if (io == Io::frames) return trt::Dims4(batch.count, batch.height, batch.width, 3);
  return trt::Dims4(batch.count, 3, batch.height, batch.width);
}

bool equal(const trt::Dims& dims, const std::array<std::int64_t, 4>& sides, int count) {
  if (dims.nbDims != count) return false;
  for (int i = 0; i < count; ++i)
    if (dims.d[i] != sides[static_cast<std::size_t>(i)]) return false;
  return true;
}

bool within(const trt::Dims& least, const trt::Dims& dims, const trt::Dims& most) {
  if (least.nbDims != dims.nbDims || most.nbDims != dims.nbDims) return false;
  for (int i = 0; i < dims.nbDims; ++i)
    if (dims.d[i] < least.d[i] || dims.d[i] > most.d[i]) return false;
  return true;
}

std::string size_of(const Batch& batch) {
  return spelled({batch.count, batch.height, batch.width});
}

/// What all contexts of an engine share; each holds a reference, so none outlives it.
struct Loaded {
  Artifact artifact;
  Gpu gpu;
  Log log;  // before runtime and engine: they write to it until they are gone
  std::unique_ptr<trt::IRuntime> runtime;
  std::unique_ptr<trt::ICudaEngine> engine;
  std::string input;
  std::string output;
};

class TensorRTContext final : public Context {
 public:
  explicit TensorRTContext(std::shared_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {
    const cuda::Current current(loaded_->gpu.device);
    stream_ = cuda::new_stream();
    handover_.emplace(loaded_->gpu.device, loaded_->gpu.name);
    execution_.reset(loaded_->engine->createExecutionContext());
    if (execution_ == nullptr)
      throw Error("TensorRT can't make a context for " + loaded_->artifact.path.string() + " on " +
                  loaded_->gpu.name + ": " + loaded_->log.reason());
  }

  ~TensorRTContext() override {
    cudaStreamSynchronize(stream_.get());  // nothing may still use what is freed now
  }

  void run(const Batch& batch, std::uint8_t* labels) override {
    const cuda::Current current(loaded_->gpu.device);
    bind_if_new(batch);
    pack(batch, static_cast<std::uint8_t*>(frames_host_.get()));
    launch(graph_, [&] { enqueue(batch); });
    cuda::check(cudaStreamSynchronize(stream_.get()), "running the network");
    std::memcpy(labels, labels_host_.get(), batch.pixels());
  }

  void run_on_device(const DeviceBatch& frames, std::uint8_t* labels, cudaStream_t theirs) override {
    const cuda::Current current(loaded_->gpu.device);
    const Batch batch{nullptr, frames.count, frames.height, frames.width};
    handover_->check(frames, labels, theirs);
    bind_if_new(batch);
    if (graph_ != nullptr && between_ == nullptr) {
      cuda::check(cudaStreamSynchronize(stream_.get()), "finishing what came before");
      between_ = recorded([&] { network(batch); });
    }
    try {
      handover_->take(frames, static_cast<std::uint8_t*>(frames_.get()), theirs, stream_.get());
      launch(between_, [&] { network(batch); });
      handover_->give(static_cast<const std::uint8_t*>(labels_.get()), labels, batch.pixels(), stream_.get(), theirs);
    } catch (...) {
      cudaStreamSynchronize(stream_.get());  // it may be reading the caller's frames, and their stream doesn't wait for it
      throw;
    }
  }

  std::size_t device_bytes() const noexcept override {
    return static_cast<std::size_t>(loaded_->engine->getDeviceMemorySizeV2()) + buffer_bytes_;
  }

  bool replays_a_graph() const noexcept { return graph_ != nullptr; }

  /// Make buffers and graph for batches of this size. Throws FrameError if the plan does not accept it.
  void bind(const Batch& batch) {
    unbind();
    const Io io = loaded_->artifact.io;
    const char* input = loaded_->input.c_str();
    choose_profile(batch);
    if (!execution_->setInputShape(input, input_dims(io, batch)))
      throw FrameError("the plan was not built for " + size_of(batch) + ": " + loaded_->log.reason());
    check_output(batch);

    const std::size_t pixels = batch.pixels();
    const std::size_t classes = loaded_->artifact.classes.size();
    frames_host_ = cuda::new_pinned_memory(3 * pixels);
    labels_host_ = cuda::new_pinned_memory(pixels);
    frames_ = device_memory(3 * pixels);
    labels_ = device_memory(pixels);
    if (io == Io::tensor) {
      planes_ = device_memory(3 * pixels * sizeof(float));
      logits_ = device_memory(classes * pixels * sizeof(float));
    }
    void* const input_data = io == Io::frames ? frames_.get() : planes_.get();
    void* const result = io == Io::frames ? labels_.get() : logits_.get();
    if (!execution_->setTensorAddress(input, input_data) ||
        !execution_->setTensorAddress(loaded_->output.c_str(), result))
      throw Error("TensorRT refuses its buffers: " + loaded_->log.reason());

    std::memset(frames_host_.get(), 0, 3 * pixels);
    enqueue(batch);  // once without recording: a first run allocates, which can't be recorded
    cuda::check(cudaStreamSynchronize(stream_.get()), "running the network for the first time");
    graph_ = recorded([&] { enqueue(batch); });
    bound_ = {batch.count, batch.height, batch.width};
  }

 private:
  void bind_if_new(const Batch& batch) {
    if (batch.count != bound_.batch || batch.height != bound_.height || batch.width != bound_.width) bind(batch);
  }

  template <class Work>
  void launch(const cuda::GraphExec& graph, const Work& work) {
    if (graph != nullptr)
      cuda::check(cudaGraphLaunch(graph.get(), stream_.get()), "launching the graph");
    else
      work();
  }

  void unbind() {
    bound_ = {};
    cudaStreamSynchronize(stream_.get());
    graph_.reset();
    between_.reset();
    for (cuda::DeviceMemory* memory : {&frames_, &labels_, &planes_, &logits_}) memory->reset();
    frames_host_.reset();
    labels_host_.reset();
    buffer_bytes_ = 0;
  }

  cuda::DeviceMemory device_memory(std::size_t bytes) {
    cuda::DeviceMemory memory = cuda::new_device_memory(bytes);
    buffer_bytes_ += bytes;
    return memory;
  }

  /// Switch to the first profile of the plan that accepts this size. A fixed plan has none that could be asked.
  void choose_profile(const Batch& batch) {
    const trt::ICudaEngine& engine = *loaded_->engine;
    const char* input = loaded_->input.c_str();
    const trt::Dims wanted = input_dims(loaded_->artifact.io, batch);
    if (const trt::Dims fixed = engine.getTensorShape(input); within(fixed, wanted, fixed)) return;
    const int profiles = engine.getNbOptimizationProfiles();
    for (int i = 0; i < profiles; ++i) {
      const trt::Dims least = engine.getProfileShape(input, i, trt::OptProfileSelector::kMIN);
      const trt::Dims most = engine.getProfileShape(input, i, trt::OptProfileSelector::kMAX);
      if (!within(least, wanted, most)) continue;
      if (i != profile_) {
        if (!execution_->setOptimizationProfileAsync(i, stream_.get()))
          throw Error("TensorRT can't switch to profile " + std::to_string(i) + ": " + loaded_->log.reason());
        cuda::check(cudaStreamSynchronize(stream_.get()), "switching profiles");
        profile_ = i;
      }
      return;
    }
    throw FrameError("the plan was not built for " + size_of(batch) + "; build it for that size: " +
                     rebuild(loaded_->artifact));
  }

  /// The labels are copied into the caller's memory: the plan must return exactly one for each pixel.
  void check_output(const Batch& batch) const {
    const trt::Dims actual = execution_->getTensorShape(loaded_->output.c_str());
    const auto classes = static_cast<std::int64_t>(loaded_->artifact.classes.size());
    const bool fits = loaded_->artifact.io == Io::frames
                          ? equal(actual, {batch.count, batch.height, batch.width, 0}, 3)
                          : equal(actual, {batch.count, classes, batch.height, batch.width}, 4);
    if (!fits)
      throw ArtifactError(loaded_->artifact.path.string() + " does not return a label for each pixel of " +
                          size_of(batch) + "; make it again with: " + rebuild(loaded_->artifact));
  }

  /// Enqueue one full call on the stream: frames up, the network, labels down.
  void enqueue(const Batch& batch) {
    const std::size_t pixels = batch.pixels();
    cuda::check(cudaMemcpyAsync(frames_.get(), frames_host_.get(), 3 * pixels, cudaMemcpyHostToDevice, stream_.get()),
                "uploading frames");
    network(batch);
    cuda::check(cudaMemcpyAsync(labels_host_.get(), labels_.get(), pixels, cudaMemcpyDeviceToHost, stream_.get()),
                "downloading labels");
  }

  /// Enqueue what lies between frames and labels in device memory.
  void network(const Batch& batch) {
    const Artifact& artifact = loaded_->artifact;
    const auto n = static_cast<std::size_t>(batch.count);
    const std::size_t plane = batch.pixels() / n;
    const std::size_t classes = artifact.classes.size();
    cudaStream_t stream = stream_.get();
    auto* const frames = static_cast<std::uint8_t*>(frames_.get());
    auto* const labels = static_cast<std::uint8_t*>(labels_.get());

    if (artifact.io == Io::tensor) {
      const cuda::PlaneSpec spec = plane_spec(artifact.input);
      cuda::check(cuda::to_tensor(frames, static_cast<float*>(planes_.get()), n, plane, spec, stream),
                  "normalising frames");
    }
    if (!execution_->enqueueV3(stream)) throw Error("TensorRT can't start: " + loaded_->log.reason());
    if (artifact.io == Io::tensor)
      cuda::check(cuda::labels_of(static_cast<const float*>(logits_.get()), labels, n, plane, classes, stream),
                  "taking the largest class");
  }

  static cuda::PlaneSpec plane_spec(const InputSpec& input) {
    cuda::PlaneSpec spec{};
    for (std::size_t c = 0; c < 3; ++c) {
      spec.mean[c] = input.mean[c];
      spec.std[c] = input.std[c];
      spec.channel[c] = static_cast<int>(input.channels[c]);
    }
    return spec;
  }

  /// What `work` enqueues, as a graph. Where that fails there is none, and `work` is enqueued each time.
  template <class Work>
  cuda::GraphExec recorded(const Work& work) {
    // Other threads may allocate meanwhile: only this one must not while it records.
    cuda::check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "recording a graph");
    bool complete = true;
    try {
      work();
    } catch (const Error&) {
      complete = false;
    }
    cudaGraph_t raw = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream_.get(), &raw);
    const cuda::Graph graph(raw);
    cudaGraphExec_t executable = nullptr;
    if (!complete || ended != cudaSuccess || cudaGraphInstantiateWithFlags(&executable, raw, 0) != cudaSuccess) {
      cudaGetLastError();  // clears the error, which the next check would report
      return nullptr;
    }
    return cuda::GraphExec(executable);
  }

  // Created in this order and destroyed in the reverse one, the engine last.
  std::shared_ptr<Loaded> loaded_;
  cuda::Stream stream_;
  std::optional<cuda::Handover> handover_;
  std::unique_ptr<trt::IExecutionContext> execution_;
  int profile_ = 0;  // what a new context has
  Shape bound_;      // zeros while nothing is bound
  cuda::DeviceMemory frames_, labels_, planes_, logits_;
  cuda::PinnedMemory frames_host_, labels_host_;
  cuda::GraphExec graph_, between_;
  std::size_t buffer_bytes_ = 0;
};

class TensorRTEngine final : public Engine {
 public:
  TensorRTEngine(const File& file, const Shape& shape)
      : loaded_(std::make_shared<Loaded>()), shape_(shape), plan_bytes_(file.content.size()) {
    const std::string path = file.artifact.path.string();
    loaded_->artifact = file.artifact;
    loaded_->gpu = find_gpu(path);
    check_fits(file,
               {getInferLibMajorVersion(), getInferLibMinorVersion(), getInferLibPatchVersion(),
                getInferLibBuildVersion()},
               loaded_->gpu.name, loaded_->gpu.architecture);
    loaded_->runtime.reset(trt::createInferRuntime(loaded_->log));
    if (loaded_->runtime == nullptr) throw EngineUnavailable("TensorRT can't start: " + loaded_->log.reason());
    loaded_->engine.reset(loaded_->runtime->deserializeCudaEngine(file.content.data(), file.content.size()));
    if (loaded_->engine == nullptr)
      throw EngineUnavailable("TensorRT refuses " + path + " on " + loaded_->gpu.name + ": " +
                              loaded_->log.reason() + "; build it here again: " + rebuild(file.artifact));
    name_tensors();
  }

  std::unique_ptr<Context> new_context() override {
    auto context = std::make_unique<TensorRTContext>(loaded_);
    if (shape_.batch != 0 && shape_.height != 0 && shape_.width != 0) {
      const cuda::Current current(loaded_->gpu.device);
      context->bind({nullptr, shape_.batch, shape_.height, shape_.width});
      replays_ = context->replays_a_graph() ? ", CUDA graph" : ", no CUDA graph";
    }
    return context;
  }

  std::string backend() const override { return "tensorrt"; }

  // Whether a graph is replayed changes the latency of a small network, so it is reported where it is known.
  std::string provider() const override { return loaded_->gpu.name + replays_; }

  // TensorRT 10.3 does not report the memory of an engine's weights; the plan holds them and little else.
  std::size_t device_bytes() const noexcept override { return plan_bytes_; }

 private:
  /// Find the input and the output, and check them against the sidecar, which decides the size of their buffers.
  void name_tensors() {
    const trt::ICudaEngine& engine = *loaded_->engine;
    const bool frames = loaded_->artifact.io == Io::frames;
    const trt::DataType wanted = frames ? trt::DataType::kUINT8 : trt::DataType::kFLOAT;
    bool fits = engine.getNbIOTensors() == 2;
    for (int i = 0; fits && i < 2; ++i) {
      const char* name = engine.getIOTensorName(i);
      (engine.getTensorIOMode(name) == trt::TensorIOMode::kINPUT ? loaded_->input : loaded_->output) = name;
      fits = engine.getTensorDataType(name) == wanted && engine.getTensorFormat(name) == trt::TensorFormat::kLINEAR &&
             engine.getTensorLocation(name) == trt::TensorLocation::kDEVICE;
    }
    if (!fits || loaded_->input.empty() || loaded_->output.empty())
      throw ArtifactError(loaded_->artifact.path.string() + " is not a plan from " +
                          (frames ? "u8 frames to u8 labels" : "f32 planes to f32 logits") +
                          ", as its sidecar says; make it again with: " + rebuild(loaded_->artifact));
  }

  std::shared_ptr<Loaded> loaded_;
  Shape shape_;
  std::size_t plan_bytes_;
  std::string replays_;
};

}  // namespace

std::unique_ptr<Engine> open_tensorrt(const File& file, const Shape& shape, const Options& options) {
  static_cast<void>(options.threads);  // for a CPU's runtime only
  return std::make_unique<TensorRTEngine>(file, shape);
}

}  // namespace cgnet
