// A plan in TensorRT 10 or 11: the GPU, the plan that is loaded on it, and what it takes and gives. Written against their
// documentation and headers; not yet run on a GPU.
#include <memory>
#include <mutex>
#include <string>

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include "backend.hpp"
#include "cuda.hpp"
#include "plan.hpp"
#include "trtcontext.hpp"

namespace cgnet {
namespace {

namespace trt = nvinfer1;

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

class TensorRTEngine final : public Engine {
 public:
  TensorRTEngine(const File& file, const Shape& shape)
      : loaded_(std::make_shared<LoadedPlan>()), shape_(shape), plan_bytes_(file.content.size()) {
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

  std::shared_ptr<LoadedPlan> loaded_;
  Shape shape_;
  std::size_t plan_bytes_;
  std::string replays_;
};

}  // namespace

void TensorRTLog::log(Severity severity, const char* message) noexcept {
  if (severity > Severity::kERROR) return;
  try {
    const std::lock_guard lock(mutex_);
    reason_ = one_line(message);
  } catch (...) {  // running out of memory for a message must not end the process
  }
}

std::string TensorRTLog::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

std::unique_ptr<Engine> open_tensorrt(const File& file, const Shape& shape, const Options& options) {
  static_cast<void>(options.threads);  // for a CPU's runtime only
  return std::make_unique<TensorRTEngine>(file, shape);
}

}  // namespace cgnet
