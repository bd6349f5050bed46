// A CGNet in a video pipeline: frames in, a label for each pixel out.
//
//     cgnet::Segmenter segmenter("cgnet.onnx");  // or cgnet.plan
//     std::vector<std::uint8_t> labels = segmenter.segment({pixels, height, width});
//
// A file comes from cgnet-export and has its sidecar (cgnet.plan.json) beside it; an ONNX file may be without, its own
// metadata hold the same but for the sha256. Description, sha256 and, for a plan, builder, version and architecture are
// checked before a runtime sees a byte of the file. Every failure is an exception of the tree below, whose what() is one line: what came, what was wanted, what to do.
//
// This header needs the standard library only; the engines stay behind it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#define CGNET_API __attribute__((visibility("default")))

struct CUstream_st;  // a cudaStream_t points to it

namespace cgnet {

/// The run failed, through a user, a file or a machine. exit_code() is the exit code of cgnet's programs.
class CGNET_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, int exit_code = 1) : std::runtime_error(what), exit_code_(exit_code) {}
  ~Error() override;
  Error(const Error&) = default;
  Error& operator=(const Error&) = default;
  int exit_code() const noexcept { return exit_code_; }

 private:
  int exit_code_;
};

/// An argument that makes no sense, or sizes that the file was not made for.
class CGNET_API UsageError : public Error {
 public:
  explicit UsageError(const std::string& what) : Error(what, 2) {}
  ~UsageError() override;
};

/// A file or a sidecar that can't be used.
class CGNET_API ArtifactError : public Error {
 public:
  explicit ArtifactError(const std::string& what) : Error(what, 2) {}
  ~ArtifactError() override;
};

/// Frames whose size, number or layout this engine doesn't take.
class CGNET_API FrameError : public Error {
 public:
  explicit FrameError(const std::string& what) : Error(what, 2) {}
  ~FrameError() override;
};

/// The file is sound but can't run here: no GPU, another TensorRT or architecture, or a backend that was not built in.
class CGNET_API EngineUnavailable : public Error {
 public:
  explicit EngineUnavailable(const std::string& what) : Error(what, 5) {}
  ~EngineUnavailable() override;
};

/// A picture that the caller owns: rows of B, G, R bytes, as OpenCV and cameras give them.
struct Frame {
  const std::uint8_t* pixels = nullptr;
  int height = 0;
  int width = 0;
  std::size_t stride = 0;  ///< bytes from one row to the next; 0 means 3 * width
};

struct DeviceFrame;  // of <cgnet/device.hpp>

/// What a label means, and the colour in which to show it.
struct Class {
  std::string name;
  std::array<std::uint8_t, 3> rgb;
};

/// What runs. A side is 0 where any is taken.
struct Info {
  std::string backend;    ///< "native", "openvino" or "tensorrt"
  std::string provider;   ///< what actually executes it, as reported by the runtime after loading
  std::string precision;  ///< "f32", "f16" or "int8"
  std::string sha256;     ///< of the file
  std::string warning;    ///< that another tool rewrote the file, which kept its metadata; else empty
  std::vector<Class> classes;
  int ignore_label = 255;
  int batch = 0;
  int height = 0;
  int width = 0;
};

/// A side of 0 leaves what the file leaves open.
struct Options {
  int batch = 0;
  int height = 0;
  int width = 0;
  int contexts = 1;  ///< how many calls may run at once, 1 to 64; on a GPU each holds its own memory
  int threads = 0;   ///< of a CPU's runtime, all contexts together; 0 leaves it to the runtime
  std::string backend;  ///< of an ONNX file, "native", "native-bf16" or "openvino"; empty for native where it takes the file
};

/// One network, loaded. Any number of threads may call it: `Options::contexts` of them run, the others wait.
class CGNET_API Segmenter {
 public:
  /// Load `file`, a .onnx for our CPU engine or OpenVINO, or a .plan or .engine for TensorRT.
  /// Throws UsageError, ArtifactError, EngineUnavailable, or Error if the runtime fails or has no memory left.
  explicit Segmenter(const std::filesystem::path& file, const Options& options = {});
  ~Segmenter();
  Segmenter(Segmenter&&) noexcept;  ///< what was moved from may only be destroyed or assigned to
  Segmenter& operator=(Segmenter&&) noexcept;

  const Info& info() const noexcept;

  /// One frame to its (height, width) labels, row by row. Throws FrameError, or Error if the runtime fails.
  std::vector<std::uint8_t> segment(const Frame& frame) const;

  /// The same into the caller's memory: height * width bytes. Nothing is allocated once the size is known.
  void segment(const Frame& frame, std::uint8_t* labels) const;

  /// `count` frames of one size in one inference, to (count, height, width) labels.
  void segment(const Frame* frames, std::size_t count, std::uint8_t* labels) const;

  /// The same in the memory of the GPU: the frame of <cgnet/device.hpp>, and (height, width) bytes for the labels. They are
  /// read after what `stream` holds, and what it gets next comes after the labels are there; the host doesn't wait,
  /// except at the first call for a size. null is the legacy default stream. Throws FrameError, EngineUnavailable
  /// if the file is no plan, or Error.
  void segment(const DeviceFrame& frame, std::uint8_t* labels, CUstream_st* stream) const;

  /// `count` such frames of one size in one inference, to (count, height, width) labels.
  void segment(const DeviceFrame* frames, std::size_t count, std::uint8_t* labels, CUstream_st* stream) const;

  /// GPU memory, in bytes, that the engine, its contexts and their buffers hold now; 0 on a CPU.
  std::size_t device_bytes() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cgnet
