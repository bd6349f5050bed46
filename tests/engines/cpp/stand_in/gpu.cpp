// Two GPUs and a TensorRT for tests, as strict as the real ones: what they refuse, or leave undefined, is refused here
// or ends the process.
//
// - Work on a stream is put off until the stream is synchronised, so a missing wait shows in the labels. Memory and
//   handles are the heap's, so AddressSanitizer sees what is used after it was given back, or never given back. Pinned
//   memory that waiting work still reads is not given back.
// - Each thread has a current GPU, the first at its start. Kernels, contexts and networks need that of their stream.
// - Copies stay within the memory that was handed out. A network takes device memory only, of its full size, at addresses
//   that are multiples of 256.
// - While a thread records, it may neither allocate, free nor wait, and it ends what it began. Work on the default stream
//   spoils the recording of a stream that waits for that one.
// - A context has one caller at a time. Before its input has a shape, open sides are -1; switching profiles takes it back.
//
// A plan here is the 28 bytes that every plan opens with, and a text:
//     IO CLASSES PROFILES  (N H W  N H W) for each profile: least and most
// Its network: the score of class k for a pixel whose three inputs are x, y, z is -|x + 2y + 3z - 97 (k + 1)|, and
// frames are taken as they are. STAND_IN_FAULT in the environment makes one thing fail.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "NvInferRuntime.h"
#include "cuda_runtime_api.h"
#include "../../../../engines/cpp/src/kernels.hpp"

/// What a stream does, and the memory that it reads or writes.
struct Work {
  std::function<void()> run;
  std::vector<const void*> touches;
};

struct CUstream_st {
  int device;
  bool waits_for_the_default;  // not made with cudaStreamNonBlocking
  std::vector<Work> pending;
  std::vector<Work> recorded;
  bool recording;
  bool spoiled;
  std::thread::id recorder;
  void put(Work work);
};
struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};

namespace {

bool fault(const char* name) {
  const char* wanted = std::getenv("STAND_IN_FAULT");
  return wanted != nullptr && std::strcmp(wanted, name) == 0;
}

const std::thread::id main_thread = std::this_thread::get_id();

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = fault("second gpu") && std::this_thread::get_id() == main_thread ? 1 : 0;
thread_local CUstream_st* recorded_here = nullptr;

cudaError_t given(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

/// What a real GPU leaves undefined.
[[noreturn]] void undefined(const char* what) {
  std::cerr << "the stand-in: " << what << std::endl;
  std::abort();
}

/// A call that may not be made while a thread records: it spoils the recording.
bool refused_while_recording() {
  if (recorded_here == nullptr) return false;
  recorded_here->spoiled = true;
  return true;
}

enum class Place { device, pinned };
struct Block {
  std::size_t bytes;
  Place kind;
};

/// All memory that is handed out and all streams, so that a pointer or a handle can be judged.
std::mutex registry;
std::map<const void*, Block> memory;
std::set<CUstream_st*> streams;

cudaError_t allocate(void** out, std::size_t bytes, Place kind) {
  if (refused_while_recording()) return given(cudaErrorStreamCaptureUnsupported);
  if (fault("memory")) return given(cudaErrorMemoryAllocation);
  *out = ::operator new(bytes, std::align_val_t(256));
  const std::lock_guard lock(registry);
  memory[*out] = {bytes, kind};
  return cudaSuccess;
}

cudaError_t give_back(void* pointer, Place kind) {
  if (refused_while_recording()) return given(cudaErrorStreamCaptureUnsupported);
  if (pointer == nullptr) return cudaSuccess;
  {
    const std::lock_guard lock(registry);
    const auto found = memory.find(pointer);
    if (found == memory.end() || found->second.kind != kind) undefined("memory is given back that was not handed out");
    for (const CUstream_st* stream : streams)  // cudaFree waits for the GPU, cudaFreeHost does not
      for (const Work& work : stream->pending)
        if (kind == Place::pinned && std::count(work.touches.begin(), work.touches.end(), pointer) != 0)
          undefined("pinned memory is given back before the work that uses it is done");
    memory.erase(found);
  }
  ::operator delete(pointer, std::align_val_t(256));
  return cudaSuccess;
}

/// The start of the memory of `kind` that holds these bytes, null if none does.
const void* holder(const void* pointer, std::size_t bytes, Place kind) {
  const std::lock_guard lock(registry);
  auto next = memory.upper_bound(pointer);
  if (next == memory.begin()) return nullptr;
  const auto& [start, block] = *--next;
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(pointer) - static_cast<const char*>(start));
  return block.kind == kind && offset + bytes <= block.bytes ? start : nullptr;
}

/// Whether a kernel may be launched on `stream` by this thread, as it stands.
cudaError_t launchable(const CUstream_st* stream) {
  return stream->device == current_device ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

}  // namespace

void CUstream_st::put(Work work) {
  const std::lock_guard lock(registry);
  (recording ? recorded : pending).push_back(std::move(work));
}

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = fault("no gpu") ? 0 : 2;
  return fault("no gpu") ? given(cudaErrorNoDevice) : cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device > 1) return given(cudaErrorInvalidDevice);
  return current_device = device, cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "Stand-in");
  properties->major = 9;
  properties->minor = 0;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) { return error == cudaErrorNoDevice ? "no device" : "a bad call"; }

cudaError_t cudaMalloc(void** out, std::size_t bytes) { return allocate(out, bytes, Place::device); }
cudaError_t cudaFree(void* pointer) { return give_back(pointer, Place::device); }
cudaError_t cudaHostAlloc(void** out, std::size_t bytes, unsigned) { return allocate(out, bytes, Place::pinned); }
cudaError_t cudaFreeHost(void* pointer) { return give_back(pointer, Place::pinned); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const void* const target = holder(to, bytes, kind == cudaMemcpyDeviceToHost ? Place::pinned : Place::device);
  const void* const source = holder(from, bytes, kind == cudaMemcpyHostToDevice ? Place::pinned : Place::device);
  if (target == nullptr || source == nullptr || stream == nullptr) return given(cudaErrorInvalidValue);
  stream->put({[=] { std::memcpy(to, from, bytes); }, {target, source}});
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags > cudaStreamNonBlocking) return given(cudaErrorInvalidValue);
  *stream = new CUstream_st{current_device, flags != cudaStreamNonBlocking, {}, {}, false, false, {}};
  const std::lock_guard lock(registry);
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream->recording) undefined("a stream is destroyed while it records");
  {
    const std::lock_guard lock(registry);
    streams.erase(stream);
  }
  for (const Work& work : stream->pending) work.run();  // it is done all the same, whatever was given back meanwhile
  return delete stream, cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (refused_while_recording() || stream->recording) return given(cudaErrorStreamCaptureUnsupported);
  std::vector<Work> now;
  {
    const std::lock_guard lock(registry);
    now = std::exchange(stream->pending, {});
  }
  for (const Work& work : now) work.run();
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (mode != cudaStreamCaptureModeThreadLocal) undefined("other threads, which may allocate, would spoil the recording");
  if (stream == nullptr || stream->recording || recorded_here != nullptr) return given(cudaErrorInvalidValue);
  if (!stream->pending.empty()) undefined("a recording begins before the first run is done");
  recorded_here = stream;
  stream->recorder = std::this_thread::get_id();
  stream->recording = true;
  stream->spoiled = fault("default stream") && stream->waits_for_the_default;  // someone's work meanwhile
  stream->recorded.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (!stream->recording) return given(cudaErrorInvalidValue);
  if (stream->recorder != std::this_thread::get_id()) return given(cudaErrorStreamCaptureWrongThread);
  recorded_here = nullptr;
  stream->recording = false;
  if (fault("capture") || stream->spoiled) return given(cudaErrorStreamCaptureInvalidated);
  return *graph = new CUgraph_st{stream->recorded}, cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags) {
  if (graph == nullptr || flags != 0) return given(cudaErrorInvalidValue);
  return *executable = new CUgraphExec_st{graph->work}, cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const cudaError_t status = launchable(stream)) return given(status);
  for (const Work& work : executable->work) stream->put(work);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) { return delete executable, cudaSuccess; }

}  // extern "C"

// What kernels.cu does on a GPU.
namespace cgnet::cuda {

cudaError_t to_tensor(const std::uint8_t* frames, float* planes, std::size_t n, std::size_t plane,
                      const PlaneSpec& spec, cudaStream_t stream) {
  const void* const source = holder(frames, 3 * n * plane, Place::device);
  const void* const target = holder(planes, 3 * n * plane * sizeof(float), Place::device);
  if (source == nullptr || target == nullptr) undefined("a kernel reads or writes what is not its own");
  if (const cudaError_t status = launchable(stream)) return given(status);
  const auto run = [=] {
    for (std::size_t i = 0; i < n * plane; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        planes[(i / plane * 3 + c) * plane + i % plane] =
            (static_cast<float>(frames[3 * i + static_cast<std::size_t>(spec.channel[c])]) - spec.mean[c]) / spec.std[c];
  };
  return stream->put({run, {source, target}}), cudaSuccess;
}

cudaError_t labels_of(const float* logits, std::uint8_t* labels, std::size_t n, std::size_t plane,
                      std::size_t classes, cudaStream_t stream) {
  const void* const source = holder(logits, classes * n * plane * sizeof(float), Place::device);
  const void* const target = holder(labels, n * plane, Place::device);
  if (source == nullptr || target == nullptr) undefined("a kernel reads or writes what is not its own");
  if (const cudaError_t status = launchable(stream)) return given(status);
  const auto run = [=] {
    for (std::size_t i = 0; i < n * plane; ++i) {
      std::size_t best = 0;
      const auto score = [&](std::size_t k) { return logits[(i / plane * classes + k) * plane + i % plane]; };
      for (std::size_t k = 1; k < classes; ++k)
        if (score(k) > score(best)) best = k;
      labels[i] = static_cast<std::uint8_t>(best);
    }
  };
  return stream->put({run, {source, target}}), cudaSuccess;
}

}  // namespace cgnet::cuda

namespace nvinfer1 {
namespace {

/// Whether each of the four sides of an input is known.
bool known(const Dims& dims) { return std::count(dims.d, dims.d + 4, -1) == 0; }

struct Network {
  bool frames = true;
  std::int64_t classes = 0;
  std::vector<std::pair<Dims, Dims>> profiles;  // least, most

  Dims input(std::int64_t n, std::int64_t h, std::int64_t w) const {
    return frames ? Dims4(n, h, w, 3) : Dims4(n, 3, h, w);
  }

  /// Of the input: what all profiles agree on, -1 for the rest.
  Dims sides() const {
    Dims own = profiles[0].first;
    for (const auto& [least, most] : profiles)
      for (int i = 0; i < 4; ++i)
        if (least.d[i] != own.d[i] || most.d[i] != own.d[i]) own.d[i] = -1;
    return own;
  }

  Dims output(const Dims& input) const {
    if (frames) return Dims{3, {input.d[0], input.d[1], input.d[2]}};
    return Dims{4, {input.d[0], classes, input.d[2], input.d[3]}};
  }
};

constexpr Dims nothing{-1, {}};
bool is_input(const char* name) { return std::strcmp(name, "given") == 0; }
bool is_output(const char* name) { return std::strcmp(name, "result") == 0; }

std::size_t elements(const Dims& dims) {
  std::size_t product = 1;
  for (int i = 0; i < dims.nbDims; ++i) product *= static_cast<std::size_t>(dims.d[i]);
  return product;
}

float score(float x, float y, float z, std::int64_t k) {
  return -std::fabs(x + 2 * y + 3 * z - 97 * static_cast<float>(k + 1));
}

/// A context has one caller at a time.
class Alone {
 public:
  explicit Alone(std::atomic_flag& busy) : busy_(busy) {
    if (busy_.test_and_set()) undefined("two threads call one context at once");
  }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;
  ~Alone() { busy_.clear(); }

 private:
  std::atomic_flag& busy_;
};

class Execution final : public IExecutionContext {
 public:
  Execution(const Network& network, ILogger& log, int device)
      : network_(network), log_(log), device_(device), shape_(network.sides()) {}

  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t stream) noexcept override {
    const Alone alone(busy_);
    if (profile < 0 || static_cast<std::size_t>(profile) >= network_.profiles.size()) return refuse("no such profile");
    if (!at_home(stream)) return refuse("another GPU is current");
    profile_ = static_cast<std::size_t>(profile);
    shape_ = network_.sides();
    switched_ = stream;
    stream->put({[this] { switched_ = nullptr; }, {}});
    return true;
  }
  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    const Alone alone(busy_);
    const auto& [least, most] = network_.profiles[profile_];
    if (!is_input(name) || dims.nbDims != 4) return refuse("no such input");
    for (int i = 0; i < 4; ++i)
      if (dims.d[i] < least.d[i] || dims.d[i] > most.d[i]) return refuse("a shape outside of the profile");
    shape_ = dims;
    return true;
  }
  Dims getTensorShape(const char* name) const noexcept override {
    if (is_input(name)) return shape_;
    if (!is_output(name)) return nothing;
    return fault("output") ? Dims{3, {1, 1, 1}} : network_.output(shape_);
  }
  bool setTensorAddress(const char* name, void* data) noexcept override {
    const Alone alone(busy_);
    if (!is_input(name) && !is_output(name)) return refuse("no such tensor");
    if (reinterpret_cast<std::uintptr_t>(data) % 256 != 0) return refuse("an address that is no multiple of 256");
    (is_input(name) ? given_ : result_) = data;
    return true;
  }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    const Alone alone(busy_);
    if (stream == nullptr || !at_home(stream)) return refuse("another GPU is current, or the default stream is given");
    if (switched_ != nullptr) return refuse("the profile is not switched yet");
    if (!known(shape_)) return refuse("the input has no shape yet");
    if (fault("enqueue")) return refuse("out of resources\nand more");
    const std::size_t of_an_element = network_.frames ? 1 : sizeof(float);
    const void* const source = holder(given_, elements(shape_) * of_an_element, Place::device);
    const void* const target = holder(result_, elements(network_.output(shape_)) * of_an_element, Place::device);
    if (source == nullptr || target == nullptr) return refuse("an address that holds no tensor of that size");
    const auto work = [network = &network_, shape = shape_, in = given_, out = result_] { run(*network, shape, in, out); };
    stream->put({work, {source, target}});
    return true;
  }

 private:
  bool at_home(const CUstream_st* stream) const { return stream->device == device_ && current_device == device_; }

  bool refuse(const char* why) const {
    log_.log(ILogger::Severity::kERROR, why);
    return false;
  }

  static void run(const Network& network, const Dims& shape, const void* in, void* out) {
    const auto classes = static_cast<std::size_t>(network.classes);
    const auto n = static_cast<std::size_t>(shape.d[0]);
    if (network.frames) {
      const auto* pixels = static_cast<const std::uint8_t*>(in);
      auto* labels = static_cast<std::uint8_t*>(out);
      for (std::size_t i = 0; i < n * static_cast<std::size_t>(shape.d[1] * shape.d[2]); ++i, pixels += 3) {
        std::size_t best = 0;
        const auto of = [&](std::size_t k) {
          return score(pixels[0], pixels[1], pixels[2], static_cast<std::int64_t>(k));
        };
        for (std::size_t k = 1; k < classes; ++k)
          if (of(k) > of(best)) best = k;
        labels[i] = static_cast<std::uint8_t>(best);
      }
      return;
    }
    const auto plane = static_cast<std::size_t>(shape.d[2] * shape.d[3]);
    const auto* x = static_cast<const float*>(in);
    auto* logits = static_cast<float*>(out);
    for (std::size_t b = 0; b < n; ++b, x += 3 * plane)
      for (std::size_t k = 0; k < classes; ++k)
        for (std::size_t i = 0; i < plane; ++i)
          *logits++ = score(x[i], x[plane + i], x[2 * plane + i], static_cast<std::int64_t>(k));
  }

  const Network& network_;
  ILogger& log_;
  int device_;
  std::size_t profile_ = 0;
  Dims shape_;
  cudaStream_t switched_ = nullptr;  // the stream that still switches profiles
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  void* given_ = nullptr;
  void* result_ = nullptr;
};

class Loaded final : public ICudaEngine {
 public:
  Loaded(Network network, ILogger& log) : network_(std::move(network)), log_(log) {}
  IExecutionContext* createExecutionContext() noexcept override {
    return fault("context") || current_device != device_ ? nullptr : new Execution(network_, log_, device_);
  }
  int64_t getDeviceMemorySizeV2() const noexcept override { return 1000; }
  int32_t getNbOptimizationProfiles() const noexcept override { return static_cast<int32_t>(network_.profiles.size()); }
  Dims getTensorShape(const char* name) const noexcept override {
    return is_input(name) ? network_.sides() : is_output(name) ? network_.output(network_.sides()) : nothing;
  }
  /// A network of one size is built without a profile, so there is none to ask.
  Dims getProfileShape(const char* name, int32_t profile, OptProfileSelector select) const noexcept override {
    if (!is_input(name) || profile < 0 || profile >= getNbOptimizationProfiles() || known(network_.sides())) return nothing;
    const auto& [least, most] = network_.profiles[static_cast<std::size_t>(profile)];
    return select == OptProfileSelector::kMIN ? least : most;
  }
  int32_t getNbIOTensors() const noexcept override { return 2; }
  const char* getIOTensorName(int32_t index) const noexcept override { return index == 0 ? "result" : "given"; }
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return is_input(name) ? TensorIOMode::kINPUT : is_output(name) ? TensorIOMode::kOUTPUT : TensorIOMode::kNONE;
  }
  DataType getTensorDataType(const char*) const noexcept override {
    return network_.frames != fault("type") ? DataType::kUINT8 : DataType::kFLOAT;
  }
  TensorFormat getTensorFormat(const char*) const noexcept override { return TensorFormat::kLINEAR; }
  TensorLocation getTensorLocation(const char*) const noexcept override { return TensorLocation::kDEVICE; }

 private:
  Network network_;
  ILogger& log_;
  int device_ = current_device;
};

class Runtime final : public IRuntime {
 public:
  explicit Runtime(ILogger& log) : log_(log) {}
  ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept override {
    log_.log(ILogger::Severity::kWARNING, "a warning is not the reason");
    std::istringstream text(std::string(static_cast<const char*>(blob) + 28, size - 28));
    Network network;
    std::string io;
    std::size_t profiles = 0;
    if (!(text >> io >> network.classes >> profiles)) {
      log_.log(ILogger::Severity::kERROR, "the magic number\nis wrong");
      return nullptr;
    }
    network.frames = io == "frames";
    for (std::size_t i = 0; i < profiles; ++i) {
      std::int64_t s[6];
      for (std::int64_t& side : s) text >> side;
      network.profiles.emplace_back(network.input(s[0], s[1], s[2]), network.input(s[3], s[4], s[5]));
    }
    return new Loaded(std::move(network), log_);
  }

 private:
  ILogger& log_;
};

}  // namespace

IRuntime* createInferRuntime(ILogger& logger) noexcept { return fault("runtime") ? nullptr : new Runtime(logger); }

}  // namespace nvinfer1

extern "C" int32_t getInferLibMajorVersion() noexcept { return 10; }
extern "C" int32_t getInferLibMinorVersion() noexcept { return 13; }
extern "C" int32_t getInferLibPatchVersion() noexcept { return 3; }
extern "C" int32_t getInferLibBuildVersion() noexcept { return 9; }
