// A plan that TensorRT has loaded, and a context of it: a stream, buffers and recorded graphs for one (N, H, W).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <NvInferRuntime.h>

#include "artifact.hpp"
#include "backend.hpp"
#include "cuda.hpp"
#include "handover.hpp"

namespace cgnet {

/// Keeps the last error, on one line. TensorRT calls it from any thread.
class TensorRTLog final : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override;
  std::string reason() const;

 private:
  mutable std::mutex mutex_;
  std::string reason_ = "no reason given";
};

struct Gpu {
  int device = 0;
  std::string name;
  std::string architecture;  // such as sm_90
};

/// What all contexts of an engine share; each holds a reference, so none outlives it.
struct LoadedPlan {
  Artifact artifact;
  Gpu gpu;
  TensorRTLog log;  // before runtime and engine: they write to it until they are gone
  std::unique_ptr<nvinfer1::IRuntime> runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::string input;
  std::string output;
};

class TensorRTContext final : public Context {
 public:
  explicit TensorRTContext(std::shared_ptr<LoadedPlan> loaded);
  ~TensorRTContext() override;

  void run(const Batch& batch, std::uint8_t* labels) override;
  void run_on_device(const DeviceBatch& frames, std::uint8_t* labels, cudaStream_t theirs) override;
  std::size_t device_bytes() const noexcept override;
  bool replays_a_graph() const noexcept { return graph_ != nullptr; }

  /// Make buffers and graph for batches of this size. Throws FrameError if the plan does not accept it.
  void bind(const Batch& batch);

 private:
  void bind_if_new(const Batch& batch);
  void unbind();
  cuda::DeviceMemory device_memory(std::size_t bytes);

  /// Switch to the first profile of the plan that accepts this size. A fixed plan has none that could be asked.
  void choose_profile(const Batch& batch);

  /// The labels are copied into the caller's memory: the plan must return exactly one for each pixel.
  void check_output(const Batch& batch) const;

  /// Enqueue one full call on the stream: frames up, the network, labels down.
  void enqueue(const Batch& batch);

  /// Enqueue what lies between frames and labels in device memory.
  void network(const Batch& batch);

  // Created in this order and destroyed in the reverse one, the engine last.
  std::shared_ptr<LoadedPlan> loaded_;
  cuda::Stream stream_;
  std::optional<cuda::Handover> handover_;
  std::unique_ptr<nvinfer1::IExecutionContext> execution_;
  int profile_ = 0;  // what a new context has
  Shape bound_;      // zeros while nothing is bound
  cuda::DeviceMemory frames_, labels_, planes_, logits_;
  cuda::PinnedMemory frames_host_, labels_host_;
  cuda::GraphExec graph_, between_;
  std::size_t buffer_bytes_ = 0;
};

}  // namespace cgnet
