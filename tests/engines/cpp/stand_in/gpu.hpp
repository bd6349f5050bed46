// What the parts of the stand-in share: two GPUs, their streams and memory, as strict as the real ones. What those refuse,
// or leave undefined, is refused here or ends the process. STAND_IN_FAULT in the environment makes one thing fail.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "cuda_runtime_api.h"

namespace gpu {

/// Where an event was recorded.
struct Mark {
  CUstream_st* stream;
  bool reached = false;
};

/// What a stream does, and the memory that it reads or writes; or a mark that it reaches or waits for.
struct Work {
  std::function<void()> run;
  std::vector<const void*> touches;
  std::shared_ptr<Mark> reaches = nullptr;
  std::shared_ptr<Mark> awaits = nullptr;
};

}  // namespace gpu

struct CUstream_st {
  int device;
  bool waits_for_the_default;  // not made with cudaStreamNonBlocking
  std::deque<gpu::Work> pending;
  std::vector<gpu::Work> recorded;
  bool recording;
  bool spoiled;
  std::thread::id recorder;
  void put(gpu::Work work);
};

namespace gpu {

enum class Place { device, pinned };

bool fault(const char* name);

/// Of the calling thread.
int current_device();

/// Ends the process: a real GPU leaves this undefined.
[[noreturn]] void undefined(const char* what);

/// Keeps a bad status for cudaGetLastError, and returns it.
cudaError_t given(cudaError_t status);

/// The start of the memory of `kind` that holds these bytes, null if none does.
const void* holder(const void* pointer, std::size_t bytes, Place kind);

/// Whether a kernel may be launched on `stream` by this thread, as it stands.
cudaError_t launchable(const CUstream_st* stream);

}  // namespace gpu
