// A TensorRT on the GPUs of cuda.cpp. A context has one caller at a time; before its input has a shape, open sides are -1,
// and switching profiles takes it back. A network takes device memory only, of its full size, at addresses that are
// multiples of 256, and runs where it was loaded.
//
// A plan here is the 28 bytes that every plan opens with, of this release alone, and a text:
//     IO CLASSES PROFILES  (N H W  N H W) for each profile: least and most
// Its network: the score of class k for a pixel whose three inputs are x, y, z is -|x + 2y + 3z - 97 (k + 1)|, and
// frames are taken as they are. STAND_IN_FAULT in the environment makes one thing fail.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "NvInferRuntime.h"
#include "gpu.hpp"

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

constexpr char version[] = {10, 13, 3, 9};
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
    if (busy_.test_and_set()) gpu::undefined("two threads call one context at once");
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
    return gpu::fault("output") ? Dims{3, {1, 1, 1}} : network_.output(shape_);
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
    if (gpu::fault("enqueue")) return refuse("out of resources\nand more");
    const std::size_t of_an_element = network_.frames ? 1 : sizeof(float);
    const void* const source = gpu::holder(given_, elements(shape_) * of_an_element, gpu::Place::device);
    const void* const target = gpu::holder(result_, elements(network_.output(shape_)) * of_an_element, gpu::Place::device);
    if (source == nullptr || target == nullptr) return refuse("an address that holds no tensor of that size");
    const auto work = [network = &network_, shape = shape_, in = given_, out = result_] { run(*network, shape, in, out); };
    stream->put({work, {source, target}});
    return true;
  }

 private:
  bool at_home(const CUstream_st* stream) const { return stream->device == device_ && gpu::current_device() == device_; }

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
    return gpu::fault("context") || gpu::current_device() != device_ ? nullptr : new Execution(network_, log_, device_);
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
    return network_.frames != gpu::fault("type") ? DataType::kUINT8 : DataType::kFLOAT;
  }
  TensorFormat getTensorFormat(const char*) const noexcept override { return TensorFormat::kLINEAR; }
  TensorLocation getTensorLocation(const char*) const noexcept override { return TensorLocation::kDEVICE; }

 private:
  Network network_;
  ILogger& log_;
  int device_ = gpu::current_device();
};

class Runtime final : public IRuntime {
 public:
  explicit Runtime(ILogger& log) : log_(log) {}
  ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept override {
    log_.log(ILogger::Severity::kWARNING, "a warning is not the reason");
    const auto* const bytes = static_cast<const char*>(blob);
    if (size < 28 || std::memcmp(bytes, "ftrt", 4) != 0 || std::memcmp(bytes + 24, version, 4) != 0) {
      log_.log(ILogger::Severity::kERROR, "the plan is of another release");
      return nullptr;
    }
    std::istringstream text(std::string(bytes + 28, size - 28));
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

IRuntime* createInferRuntime(ILogger& logger) noexcept { return gpu::fault("runtime") ? nullptr : new Runtime(logger); }

}  // namespace nvinfer1

extern "C" int32_t getInferLibMajorVersion() noexcept { return nvinfer1::version[0]; }
extern "C" int32_t getInferLibMinorVersion() noexcept { return nvinfer1::version[1]; }
extern "C" int32_t getInferLibPatchVersion() noexcept { return nvinfer1::version[2]; }
extern "C" int32_t getInferLibBuildVersion() noexcept { return nvinfer1::version[3]; }
