// Frames and labels in a caller's device memory, on a caller's stream: what comes before and after the network.
//
// Nothing here waits on the host. The engine's stream waits for what the caller's holds so far; the caller's waits for
// the labels, and so whatever it does later to the frames comes after they were read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "backend.hpp"
#include "cuda.hpp"

namespace cgnet::cuda {

class Handover {
 public:
  /// Of the current GPU, `device`, which errors call `name`.
  Handover(int device, std::string name);

  /// Throw FrameError unless the frames and the memory of the labels are in this GPU, and `theirs` isn't recording.
  void check(const DeviceBatch& batch, const std::uint8_t* labels, cudaStream_t theirs) const;

  /// The frames to `bgr`, (N, H, W, 3). Throws FrameError for a stream of another GPU.
  void take(const DeviceBatch& batch, std::uint8_t* bgr, cudaStream_t theirs, cudaStream_t ours) const;

  /// The labels to where the caller wants them.
  void give(const std::uint8_t* from, std::uint8_t* to, std::size_t bytes, cudaStream_t ours,
            cudaStream_t theirs) const;

 private:
  void check_memory(const void* first, std::size_t bytes, const char* what) const;

  int device_;
  std::string name_;
  Event ready_, done_;
};

}  // namespace cgnet::cuda
