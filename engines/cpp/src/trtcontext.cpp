// How a context runs a plan.
//
// One engine holds the weights; each context has a stream, buffers and a recorded graph of its own, for one
// (N, H, W), and records again only when frames of another size arrive, which a plan with dynamic sides accepts. The
// graph holds the full call: upload, kernels where the plan takes planes and returns logits, the network, download. A
// frame thus costs one launch, a copy into pinned memory before it and one out of it afterwards. Frames in device memory
// are copied into the same buffers, and a second graph, recorded when the first of them comes, holds what lies between.
#include "trtcontext.hpp"

#include <array>
#include <cstring>
#include <utility>

#include <NvInferRuntime.h>
#include <cuda_runtime_api.h>

#include "cudagraph.hpp"
#include "kernels.hpp"
#include "pixels.hpp"
#include "plan.hpp"

namespace cgnet {
namespace {

namespace trt = nvinfer1;

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

cuda::PlaneSpec plane_spec(const InputSpec& input) {
  cuda::PlaneSpec spec{};
  for (std::size_t c = 0; c < 3; ++c) {
    spec.mean[c] = input.mean[c];
    spec.std[c] = input.std[c];
    spec.channel[c] = static_cast<int>(input.channels[c]);
  }
  return spec;
}

}  // namespace

TensorRTContext::TensorRTContext(std::shared_ptr<LoadedPlan> loaded) : loaded_(std::move(loaded)) {
  const cuda::Current current(loaded_->gpu.device);
  stream_ = cuda::new_stream();
  handover_.emplace(loaded_->gpu.device, loaded_->gpu.name);
  execution_.reset(loaded_->engine->createExecutionContext());
  if (execution_ == nullptr)
    throw Error("TensorRT can't make a context for " + loaded_->artifact.path.string() + " on " +
                loaded_->gpu.name + ": " + loaded_->log.reason());
}

TensorRTContext::~TensorRTContext() {
  cudaStreamSynchronize(stream_.get());  // nothing may still use what is freed now
}

void TensorRTContext::run(const Batch& batch, std::uint8_t* labels) {
  const cuda::Current current(loaded_->gpu.device);
  bind_if_new(batch);
  pack(batch, static_cast<std::uint8_t*>(frames_host_.get()));
  cuda::launch(graph_, stream_.get(), [&] { enqueue(batch); });
  cuda::check(cudaStreamSynchronize(stream_.get()), "running the network");
  std::memcpy(labels, labels_host_.get(), batch.pixels());
}

void TensorRTContext::run_on_device(const DeviceBatch& frames, std::uint8_t* labels, cudaStream_t theirs) {
  const cuda::Current current(loaded_->gpu.device);
  const Batch batch{nullptr, frames.count, frames.height, frames.width};
  handover_->check(frames, labels, theirs);
  bind_if_new(batch);
  if (graph_ != nullptr && between_ == nullptr) {
    cuda::check(cudaStreamSynchronize(stream_.get()), "finishing what came before");
    between_ = cuda::recorded(stream_.get(), [&] { network(batch); });
  }
  try {
    handover_->take(frames, static_cast<std::uint8_t*>(frames_.get()), theirs, stream_.get());
    cuda::launch(between_, stream_.get(), [&] { network(batch); });
    handover_->give(static_cast<const std::uint8_t*>(labels_.get()), labels, batch.pixels(), stream_.get(), theirs);
  } catch (...) {
    cudaStreamSynchronize(stream_.get());  // it may be reading the caller's frames, and their stream doesn't wait for it
    throw;
  }
}

std::size_t TensorRTContext::device_bytes() const noexcept {
  return static_cast<std::size_t>(loaded_->engine->getDeviceMemorySizeV2()) + buffer_bytes_;
}

void TensorRTContext::bind(const Batch& batch) {
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
  graph_ = cuda::recorded(stream_.get(), [&] { enqueue(batch); });
  bound_ = {batch.count, batch.height, batch.width};
}

void TensorRTContext::bind_if_new(const Batch& batch) {
  if (batch.count != bound_.batch || batch.height != bound_.height || batch.width != bound_.width) bind(batch);
}

void TensorRTContext::unbind() {
  bound_ = {};
  cudaStreamSynchronize(stream_.get());
  graph_.reset();
  between_.reset();
  for (cuda::DeviceMemory* memory : {&frames_, &labels_, &planes_, &logits_}) memory->reset();
  frames_host_.reset();
  labels_host_.reset();
  buffer_bytes_ = 0;
}

cuda::DeviceMemory TensorRTContext::device_memory(std::size_t bytes) {
  cuda::DeviceMemory memory = cuda::new_device_memory(bytes);
  buffer_bytes_ += bytes;
  return memory;
}

void TensorRTContext::choose_profile(const Batch& batch) {
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

void TensorRTContext::check_output(const Batch& batch) const {
  const trt::Dims actual = execution_->getTensorShape(loaded_->output.c_str());
  const auto classes = static_cast<std::int64_t>(loaded_->artifact.classes.size());
  const bool fits = loaded_->artifact.io == Io::frames
                        ? equal(actual, {batch.count, batch.height, batch.width, 0}, 3)
                        : equal(actual, {batch.count, classes, batch.height, batch.width}, 4);
  if (!fits)
    throw ArtifactError(loaded_->artifact.path.string() + " does not return a label for each pixel of " +
                        size_of(batch) + "; make it again with: " + rebuild(loaded_->artifact));
}

void TensorRTContext::enqueue(const Batch& batch) {
  const std::size_t pixels = batch.pixels();
  cuda::check(cudaMemcpyAsync(frames_.get(), frames_host_.get(), 3 * pixels, cudaMemcpyHostToDevice, stream_.get()),
              "uploading frames");
  network(batch);
  cuda::check(cudaMemcpyAsync(labels_host_.get(), labels_.get(), pixels, cudaMemcpyDeviceToHost, stream_.get()),
              "downloading labels");
}

void TensorRTContext::network(const Batch& batch) {
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

}  // namespace cgnet
