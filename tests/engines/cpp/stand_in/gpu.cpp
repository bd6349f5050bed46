// A GPU and a TensorRT for tests. Work on a stream is put off until the stream is synchronised, so a missing wait
// shows in the labels; while a stream records, nothing may be allocated or waited for; memory and handles are the
// heap's, so AddressSanitizer sees what is used after it was given back, or never given back.
//
// A plan here is the 28 bytes that every plan opens with, and a text:
//     IO CLASSES PROFILES  (N H W  N H W) for each profile: least and most
// Its network: the score of class k for a pixel whose three inputs are x, y, z is -|x + 2y + 3z - 97 (k + 1)|, and
// frames are taken as they are. STAND_IN_FAULT in the environment makes one thing fail.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "NvInferRuntime.h"
#include "cuda_runtime_api.h"
#include "../../../../engines/cpp/src/kernels.hpp"

using Work = std::function<void()>;

struct CUstream_st {
  std::vector<Work> pending;
  std::vector<Work> recorded;
  bool recording = false;
  void put(Work work) { (recording ? recorded : pending).push_back(std::move(work)); }
};
struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};

namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;
thread_local bool thread_records = false;

bool fault(const char* name) {
  const char* wanted = std::getenv("STAND_IN_FAULT");
  return wanted != nullptr && std::strcmp(wanted, name) == 0;
}

cudaError_t given(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

/// What memory of the GPU is handed out, so that freeing anything else ends the process.
std::mutex memory_mutex;
std::map<void*, std::size_t> memory;

cudaError_t allocate(void** out, std::size_t bytes) {
  if (thread_records) return given(cudaErrorStreamCaptureUnsupported);
  if (fault("memory")) return given(cudaErrorMemoryAllocation);
  *out = ::operator new(bytes);
  const std::lock_guard lock(memory_mutex);
  memory[*out] = bytes;
  return cudaSuccess;
}

cudaError_t give_back(void* pointer) {
  {
    const std::lock_guard lock(memory_mutex);
    if (memory.erase(pointer) == 0) std::abort();
  }
  ::operator delete(pointer);
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = fault("no gpu") ? 0 : 2;
  return fault("no gpu") ? given(cudaErrorNoDevice) : cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return current_device = device, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "Stand-in");
  properties->major = 9;
  properties->minor = 0;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
const char* cudaGetErrorString(cudaError_t error) { return error == cudaErrorNoDevice ? "no device" : "a bad call"; }

cudaError_t cudaMalloc(void** out, std::size_t bytes) { return allocate(out, bytes); }
cudaError_t cudaFree(void* pointer) { return give_back(pointer); }
cudaError_t cudaHostAlloc(void** out, std::size_t bytes, unsigned) { return allocate(out, bytes); }
cudaError_t cudaFreeHost(void* pointer) { return give_back(pointer); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  stream->put([=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return *stream = new CUstream_st, cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return delete stream, cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->recording) return given(cudaErrorStreamCaptureUnsupported);
  for (const Work& work : std::exchange(stream->pending, {})) work();
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  thread_records = stream->recording = true;
  stream->recorded.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  thread_records = stream->recording = false;
  if (fault("capture")) return *graph = nullptr, given(cudaErrorStreamCaptureUnsupported);
  return *graph = new CUgraph_st{stream->recorded}, cudaSuccess;
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return *executable = new CUgraphExec_st{graph->work}, cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
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
  stream->put([=] {
    for (std::size_t i = 0; i < n * plane; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        planes[(i / plane * 3 + c) * plane + i % plane] =
            (static_cast<float>(frames[3 * i + static_cast<std::size_t>(spec.channel[c])]) - spec.mean[c]) / spec.std[c];
  });
  return cudaSuccess;
}

cudaError_t labels_of(const float* logits, std::uint8_t* labels, std::size_t n, std::size_t plane,
                      std::size_t classes, cudaStream_t stream) {
  stream->put([=] {
    for (std::size_t i = 0; i < n * plane; ++i) {
      std::size_t best = 0;
      const auto score = [&](std::size_t k) { return logits[(i / plane * classes + k) * plane + i % plane]; };
      for (std::size_t k = 1; k < classes; ++k)
        if (score(k) > score(best)) best = k;
      labels[i] = static_cast<std::uint8_t>(best);
    }
  });
  return cudaSuccess;
}

}  // namespace cgnet::cuda

namespace nvinfer1 {
namespace {

struct Network {
  bool frames = true;
  std::int64_t classes = 0;
  std::vector<std::pair<Dims, Dims>> profiles;  // least, most

  Dims input(std::int64_t n, std::int64_t h, std::int64_t w) const {
    return frames ? Dims4(n, h, w, 3) : Dims4(n, 3, h, w);
  }
};

float score(float x, float y, float z, std::int64_t k) {
  return -std::fabs(x + 2 * y + 3 * z - 97 * static_cast<float>(k + 1));
}

class Execution final : public IExecutionContext {
 public:
  Execution(const Network& network, ILogger& log) : network_(network), log_(log) {}

  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t) noexcept override {
    profile_ = static_cast<std::size_t>(profile);
    return true;
  }
  bool setInputShape(const char*, const Dims& dims) noexcept override {
    const auto& [least, most] = network_.profiles[profile_];
    for (int i = 0; i < 4; ++i)
      if (dims.d[i] < least.d[i] || dims.d[i] > most.d[i]) return refuse("a shape outside of the profile");
    shape_ = dims;
    return true;
  }
  Dims getTensorShape(const char* name) const noexcept override {
    if (std::strcmp(name, "given") == 0) return shape_;
    if (fault("output")) return Dims{3, {1, 1, 1}};
    if (network_.frames) return Dims{3, {shape_.d[0], shape_.d[1], shape_.d[2]}};
    return Dims{4, {shape_.d[0], network_.classes, shape_.d[2], shape_.d[3]}};
  }
  bool setTensorAddress(const char* name, void* data) noexcept override {
    (std::strcmp(name, "given") == 0 ? given_ : result_) = data;
    return true;
  }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    if (given_ == nullptr || result_ == nullptr || shape_.nbDims != 4) return refuse("nothing is bound");
    if (fault("enqueue")) return refuse("out of resources\nand more");
    stream->put([network = &network_, shape = shape_, in = given_, out = result_] { run(*network, shape, in, out); });
    return true;
  }

 private:
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
  std::size_t profile_ = 0;
  Dims shape_{0, {}};
  void* given_ = nullptr;
  void* result_ = nullptr;
};

class Loaded final : public ICudaEngine {
 public:
  Loaded(Network network, ILogger& log) : network_(std::move(network)), log_(log) {}
  IExecutionContext* createExecutionContext() noexcept override {
    return fault("context") ? nullptr : new Execution(network_, log_);
  }
  int64_t getDeviceMemorySizeV2() const noexcept override { return 1000; }
  int32_t getNbOptimizationProfiles() const noexcept override { return static_cast<int32_t>(network_.profiles.size()); }
  Dims getProfileShape(const char*, int32_t profile, OptProfileSelector select) const noexcept override {
    const auto& [least, most] = network_.profiles[static_cast<std::size_t>(profile)];
    return select == OptProfileSelector::kMIN ? least : most;
  }
  int32_t getNbIOTensors() const noexcept override { return 2; }
  const char* getIOTensorName(int32_t index) const noexcept override { return index == 0 ? "result" : "given"; }
  TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return std::strcmp(name, "given") == 0 ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  DataType getTensorDataType(const char*) const noexcept override {
    return network_.frames != fault("type") ? DataType::kUINT8 : DataType::kFLOAT;
  }
  TensorFormat getTensorFormat(const char*) const noexcept override { return TensorFormat::kLINEAR; }
  TensorLocation getTensorLocation(const char*) const noexcept override { return TensorLocation::kDEVICE; }

 private:
  Network network_;
  ILogger& log_;
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
