// CUDA's runtime with owners: every resource is freed, and a bad status is an Error of one line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

#include <cuda_runtime_api.h>

#include <cgnet/segmenter.hpp>

namespace cgnet::cuda {

inline void check(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // clears the error, which the next caller of CUDA would see
  if (status == cudaErrorMemoryAllocation) throw Error(std::string("the GPU has no memory left: ") + doing);
  throw Error(std::string("CUDA: ") + doing + ": " + cudaGetErrorString(status));
}

/// Makes a GPU current in this thread until the end of a scope, then restores the previous one.
class Current {
 public:
  explicit Current(int device) {
    check(cudaGetDevice(&before_), "asking for the current GPU");
    if (before_ != device) check(cudaSetDevice(device), "choosing the GPU");
    changed_ = before_ != device;
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  ~Current() {
    if (changed_) cudaSetDevice(before_);
  }

 private:
  int before_ = 0;
  bool changed_ = false;
};

struct Deleter {
  void operator()(CUstream_st* stream) const noexcept { cudaStreamDestroy(stream); }
  void operator()(CUevent_st* event) const noexcept { cudaEventDestroy(event); }
  void operator()(CUgraph_st* graph) const noexcept { cudaGraphDestroy(graph); }
  void operator()(CUgraphExec_st* graph) const noexcept { cudaGraphExecDestroy(graph); }
};
struct DeviceDeleter {
  void operator()(void* memory) const noexcept { cudaFree(memory); }
};
struct PinnedDeleter {
  void operator()(void* memory) const noexcept { cudaFreeHost(memory); }
};

using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Deleter>;
using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Deleter>;
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, Deleter>;
using GraphExec = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, Deleter>;
using DeviceMemory = std::unique_ptr<void, DeviceDeleter>;
using PinnedMemory = std::unique_ptr<void, PinnedDeleter>;

inline Stream new_stream() {
  cudaStream_t stream = nullptr;
  // Not blocking: work on the legacy default stream, a user's for instance, must not wait for ours.
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return Stream(stream);
}

inline Event new_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  return Event(event);
}

inline DeviceMemory new_device_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "a buffer");
  return DeviceMemory(memory);
}

inline PinnedMemory new_pinned_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "a pinned buffer");
  return PinnedMemory(memory);
}

}  // namespace cgnet::cuda
