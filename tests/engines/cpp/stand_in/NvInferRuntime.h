// The part of TensorRT's API that the library calls, for machines without TensorRT or a GPU. Signatures are
// those of TensorRT 10 and 11; test_tensorrt.py compiles the same source against NVIDIA's own headers where they are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_runtime_api.h"

namespace nvinfer1 {

struct Dims {
  static constexpr int32_t MAX_DIMS = 8;
  int32_t nbDims;
  int64_t d[MAX_DIMS];
};

struct Dims4 : Dims {
  Dims4(int64_t a, int64_t b, int64_t c, int64_t e) : Dims{4, {a, b, c, e}} {}
};

enum class DataType : int32_t { kFLOAT = 0, kUINT8 = 5 };
enum class TensorFormat : int32_t { kLINEAR = 0 };
enum class TensorLocation : int32_t { kDEVICE = 0 };
enum class TensorIOMode : int32_t { kNONE = 0, kINPUT = 1, kOUTPUT = 2 };
enum class OptProfileSelector : int32_t { kMIN = 0, kOPT = 1, kMAX = 2 };

class ILogger {
 public:
  enum class Severity : int32_t { kINTERNAL_ERROR = 0, kERROR = 1, kWARNING = 2, kINFO = 3, kVERBOSE = 4 };
  virtual void log(Severity severity, const char* message) noexcept = 0;
  virtual ~ILogger() = default;
};

class IExecutionContext {
 public:
  virtual ~IExecutionContext() noexcept = default;
  virtual bool setOptimizationProfileAsync(int32_t profile, cudaStream_t stream) noexcept = 0;
  virtual bool setInputShape(const char* name, const Dims& dims) noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  virtual bool setTensorAddress(const char* name, void* data) noexcept = 0;
  virtual bool enqueueV3(cudaStream_t stream) noexcept = 0;
};

class ICudaEngine {
 public:
  virtual ~ICudaEngine() noexcept = default;
  virtual IExecutionContext* createExecutionContext() noexcept = 0;
  virtual int64_t getDeviceMemorySizeV2() const noexcept = 0;
  virtual int32_t getNbOptimizationProfiles() const noexcept = 0;
  virtual Dims getTensorShape(const char* name) const noexcept = 0;
  virtual Dims getProfileShape(const char* name, int32_t profile, OptProfileSelector select) const noexcept = 0;
  virtual int32_t getNbIOTensors() const noexcept = 0;
  virtual const char* getIOTensorName(int32_t index) const noexcept = 0;
  virtual TensorIOMode getTensorIOMode(const char* name) const noexcept = 0;
  virtual DataType getTensorDataType(const char* name) const noexcept = 0;
  virtual TensorFormat getTensorFormat(const char* name) const noexcept = 0;
  virtual TensorLocation getTensorLocation(const char* name) const noexcept = 0;
};

class IRuntime {
 public:
  virtual ~IRuntime() noexcept = default;
  virtual ICudaEngine* deserializeCudaEngine(const void* blob, std::size_t size) noexcept = 0;
};

IRuntime* createInferRuntime(ILogger& logger) noexcept;

}  // namespace nvinfer1

extern "C" int32_t getInferLibMajorVersion() noexcept;
extern "C" int32_t getInferLibMinorVersion() noexcept;
extern "C" int32_t getInferLibPatchVersion() noexcept;
extern "C" int32_t getInferLibBuildVersion() noexcept;
