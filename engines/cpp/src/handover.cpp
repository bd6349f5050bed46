// Written against CUDA's documentation and headers; not yet run on a GPU.
#include "handover.hpp"

#include <utility>

#include "kernels.hpp"
#include "nv12.hpp"

namespace cgnet::cuda {
namespace {

/// Bytes from one row to the next, and from the first byte to behind the last.
struct Rows {
  std::size_t apart;
  std::size_t bytes;
};

Rows rows(std::size_t apart, std::size_t width, int height) {
  const std::size_t pitch = apart != 0 ? apart : width;
  return {pitch, pitch * static_cast<std::size_t>(height - 1) + width};
}

Rows rows_of(const DeviceFrame& frame) {
  const auto width = static_cast<std::size_t>(frame.width);
  return rows(frame.pitch, frame.format == Format::bgr ? 3 * width : width, frame.height);
}

Rows chroma_rows_of(const DeviceFrame& frame) {
  return rows(frame.chroma_pitch, static_cast<std::size_t>(frame.width), frame.height / 2);
}

}  // namespace

Handover::Handover(int device, std::string name)
    : device_(device), name_(std::move(name)), ready_(new_event()), done_(new_event()) {}

void Handover::check(const DeviceBatch& batch, const std::uint8_t* labels, cudaStream_t theirs) const {
  for (int n = 0; n < batch.count; ++n) {
    const DeviceFrame& frame = batch.frames[n];
    check_memory(frame.pixels, rows_of(frame).bytes, "a frame's pixels");
    if (frame.format != Format::bgr) check_memory(frame.chroma, chroma_rows_of(frame).bytes, "a frame's chroma");
  }
  check_memory(labels, batch.pixels(), "the memory for the labels");
  cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
  const cudaError_t status = cudaStreamIsCapturing(theirs, &capturing);
  if (status == cudaErrorStreamCaptureImplicit || (status == cudaSuccess && capturing != cudaStreamCaptureStatusNone)) {
    cudaGetLastError();
    throw FrameError("the stream is being captured into a graph; call this outside of the capture");
  }
  cuda::check(status, "asking for the state of the stream");
}

/// CUDA knows where an address lies, and not how much of it is the caller's: the first and the last byte are asked for.
void Handover::check_memory(const void* first, std::size_t bytes, const char* what) const {
  for (const std::size_t offset : {std::size_t{0}, bytes - 1}) {
    cudaPointerAttributes found{};
    const cudaError_t status = cudaPointerGetAttributes(&found, static_cast<const std::uint8_t*>(first) + offset);
    if (status != cudaSuccess) cudaGetLastError();
    if (status == cudaSuccess && found.type == cudaMemoryTypeManaged) continue;
    if (status == cudaSuccess && found.type == cudaMemoryTypeDevice) {
      if (found.device == device_) continue;
      throw FrameError(std::string(what) + ": on GPU " + std::to_string(found.device) + ", and this engine is on GPU " +
                       std::to_string(device_) + " (" + name_ + "); copy it there");
    }
    const char* wrong = offset == 0 ? ": not in the memory of a GPU; what is in the host's is a cgnet::Frame"
                                    : ": ends behind the memory of the GPU; check height and pitch";
    throw FrameError(what + std::string(wrong));
  }
}

void Handover::take(const DeviceBatch& batch, std::uint8_t* bgr, cudaStream_t theirs, cudaStream_t ours) const {
  const cudaError_t recorded = cudaEventRecord(ready_.get(), theirs);
  if (recorded == cudaErrorInvalidResourceHandle) {
    cudaGetLastError();
    throw FrameError("the stream is not one of GPU " + std::to_string(device_) + " (" + name_ +
                     "), on which this engine runs");
  }
  cuda::check(recorded, "marking the caller's stream");
  cuda::check(cudaStreamWaitEvent(ours, ready_.get(), 0), "waiting for the caller's stream");
  const auto height = static_cast<std::size_t>(batch.height);
  const auto width = static_cast<std::size_t>(batch.width);
  for (int n = 0; n < batch.count; ++n, bgr += 3 * height * width) {
    const DeviceFrame& frame = batch.frames[n];
    const std::size_t pitch = rows_of(frame).apart;
    if (frame.format == Format::bgr)
      cuda::check(cudaMemcpy2DAsync(bgr, 3 * width, frame.pixels, pitch, 3 * width, height, cudaMemcpyDeviceToDevice,
                                    ours),
                  "copying a frame");
    else
      cuda::check(nv12_to_bgr({frame.pixels, pitch}, {frame.chroma, chroma_rows_of(frame).apart}, bgr, height, width,
                              nv12_of(frame.format), ours),
                  "converting a frame");
  }
}

void Handover::give(const std::uint8_t* from, std::uint8_t* to, std::size_t bytes, cudaStream_t ours,
                    cudaStream_t theirs) const {
  cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, ours), "copying labels");
  cuda::check(cudaEventRecord(done_.get(), ours), "marking the end of the labels");
  cuda::check(cudaStreamWaitEvent(theirs, done_.get(), 0), "letting the caller's stream wait for the labels");
}

}  // namespace cgnet::cuda
