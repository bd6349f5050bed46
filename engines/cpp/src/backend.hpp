// What a backend provides: an engine that is loaded once, and contexts that each run one call at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <cgnet/device.hpp>
#include <cgnet/segmenter.hpp>

#include "artifact.hpp"

namespace cgnet {

/// `count` checked frames: all of one size that the engine takes, none without pixels.
template <class F>
struct BatchOf {
  const F* frames;
  int count;
  int height;
  int width;

  std::size_t pixels() const noexcept {
    return static_cast<std::size_t>(count) * static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  }
};

using Batch = BatchOf<Frame>;
using DeviceBatch = BatchOf<DeviceFrame>;

class Context {
 public:
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context() = default;

  /// Frames to batch.pixels() labels, blocking. Throws Error; the context stays usable if the runtime does.
  virtual void run(const Batch& batch, std::uint8_t* labels) = 0;

  /// Device memory to device memory, after what `stream` holds and before what it gets next. Throws EngineUnavailable
  /// where the engine isn't on a GPU.
  virtual void run_on_device(const DeviceBatch& batch, std::uint8_t* labels, CUstream_st* stream);

  /// Memory of a GPU that this context and its buffers hold, in bytes.
  virtual std::size_t device_bytes() const noexcept { return 0; }
};

class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  virtual std::unique_ptr<Context> new_context() = 0;
  virtual std::string backend() const = 0;
  virtual std::string provider() const = 0;
  virtual std::size_t device_bytes() const noexcept { return 0; }
};

// Each is compiled in where CMake chose its backend. `file` is checked; `shape` is what it is opened for.
std::unique_ptr<Engine> open_native(const File& file, const Options& options);
std::unique_ptr<Engine> open_openvino(const File& file, const Shape& shape, const Options& options);
std::unique_ptr<Engine> open_tensorrt(const File& file, const Shape& shape, const Options& options);

}  // namespace cgnet
