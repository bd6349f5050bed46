// CUDA's runtime, on two GPUs made of host memory.
//
// - Work on a stream is put off until somebody waits for it, so a missing wait shows in the labels; and the streams that
//   are waited for by events do first what they can, so a missing event shows as well. Memory and handles are the heap's,
//   so AddressSanitizer sees what is used after it was given back, or never given back. Pinned memory that waiting work
//   still reads is not given back.
// - Each thread has a current GPU, the first at its start. Kernels, contexts and networks need that of their stream, an
//   event that of the stream on which it is recorded.
// - Copies stay within the memory that was handed out, and rows within their pitch.
// - While a thread records, it may neither allocate, free nor wait, and it ends what it began. Work on the default stream
//   spoils the recording of a stream that waits for that one. No event draws another stream into a recording.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "cuda_runtime_api.h"
#include "gpu.hpp"

struct CUevent_st {
  int device;
  std::shared_ptr<gpu::Mark> mark;  // of the last record
};
struct CUgraph_st {
  std::vector<gpu::Work> work;
};
struct CUgraphExec_st {
  std::vector<gpu::Work> work;
};

namespace gpu {

bool fault(const char* name) {
  const char* wanted = std::getenv("STAND_IN_FAULT");
  return wanted != nullptr && std::strcmp(wanted, name) == 0;
}

void undefined(const char* what) {
  std::cerr << "the stand-in: " << what << std::endl;
  std::abort();
}

namespace {

const std::thread::id main_thread = std::this_thread::get_id();

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current = fault("second gpu") && std::this_thread::get_id() == main_thread ? 1 : 0;
thread_local CUstream_st* recorded_here = nullptr;

struct Block {
  std::size_t bytes;
  Place kind;
  int device;
};

/// All memory that is handed out and all streams, so that a pointer or a handle can be judged.
std::mutex registry;
std::map<const void*, Block> memory;
std::set<CUstream_st*> streams;
CUstream_st legacy[] = {{0, true, {}, {}, false, false, {}}, {1, true, {}, {}, false, false, {}}};

/// Held by whoever does the work of streams.
std::recursive_mutex executing;

CUstream_st* resolved(CUstream_st* stream) { return stream != nullptr ? stream : &legacy[current]; }

/// Takes the next work of `stream` if there is any, and, if `early`, if it needs not wait.
bool take(CUstream_st* stream, bool early, Work& work) {
  const std::lock_guard lock(registry);
  if (stream->pending.empty()) return false;
  const Work& next = stream->pending.front();
  if (early && next.awaits != nullptr && !next.awaits->reached) return false;
  work = std::move(stream->pending.front());
  stream->pending.pop_front();
  return true;
}

void finish(CUstream_st* stream, const Mark* until);

void execute(const Work& work) {
  if (work.awaits != nullptr && !work.awaits->reached) finish(work.awaits->stream, work.awaits.get());
  if (work.run) work.run();
  if (work.reaches != nullptr) work.reaches->reached = true;
}

/// Does what `stream` holds, to its end or up to `until`.
void finish(CUstream_st* stream, const Mark* until) {
  const std::lock_guard lock(executing);
  for (Work work; take(stream, false, work);) {
    execute(work);
    if (until != nullptr && until->reached) return;
  }
}

/// Does what `stream` holds. The streams that it waits for do first what they can.
void synchronize(CUstream_st* stream) {
  const std::lock_guard lock(executing);
  std::set<CUstream_st*> others;
  {
    const std::lock_guard registered(registry);
    for (const Work& work : stream->pending)
      if (work.awaits != nullptr && !work.awaits->reached) others.insert(work.awaits->stream);
  }
  for (CUstream_st* other : others)
    for (Work work; take(other, true, work);) execute(work);
  finish(stream, nullptr);
}

/// A call that may not be made while a thread records: it spoils the recording.
bool refused_while_recording() {
  if (recorded_here == nullptr) return false;
  const std::lock_guard lock(registry);
  recorded_here->spoiled = true;
  return true;
}

/// Whether work on `stream`, if it is the default one, spoils recordings of streams that wait for that one.
bool spoils_a_recording(const CUstream_st* stream) {
  if (stream != nullptr) return false;
  const std::lock_guard lock(registry);
  bool any = false;
  for (CUstream_st* other : streams)
    if (other->recording && other->waits_for_the_default && other->device == current) any = other->spoiled = true;
  return any;
}

cudaError_t allocate(void** out, std::size_t bytes, Place kind) {
  if (refused_while_recording()) return given(cudaErrorStreamCaptureUnsupported);
  if (fault("memory")) return given(cudaErrorMemoryAllocation);
  *out = ::operator new(bytes, std::align_val_t(256));
  const std::lock_guard lock(registry);
  memory[*out] = {bytes, kind, current};
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

/// The block that holds this byte, or its end.
std::map<const void*, Block>::const_iterator block_at(const void* pointer) {
  auto next = memory.upper_bound(pointer);
  if (next == memory.begin()) return memory.end();
  --next;
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(pointer) - static_cast<const char*>(next->first));
  return offset < next->second.bytes ? next : memory.end();
}

/// Of rows that lie `pitch` apart, from the first byte to behind the last.
std::size_t extent(std::size_t pitch, std::size_t width, std::size_t height) { return pitch * (height - 1) + width; }

}  // namespace

int current_device() { return current; }

cudaError_t given(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

const void* holder(const void* pointer, std::size_t bytes, Place kind) {
  const std::lock_guard lock(registry);
  const auto found = block_at(pointer);
  if (found == memory.end() || found->second.kind != kind) return nullptr;
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(pointer) - static_cast<const char*>(found->first));
  return offset + bytes <= found->second.bytes ? found->first : nullptr;
}

cudaError_t launchable(const CUstream_st* stream) {
  return stream->device == current ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

}  // namespace gpu

void CUstream_st::put(gpu::Work work) {
  const std::lock_guard lock(gpu::registry);
  if (recording)
    recorded.push_back(std::move(work));
  else
    pending.push_back(std::move(work));
}

using namespace gpu;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = fault("no gpu") ? 0 : 2;
  return fault("no gpu") ? given(cudaErrorNoDevice) : cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) { return *device = current, cudaSuccess; }
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device > 1) return given(cudaErrorInvalidDevice);
  return current = device, cudaSuccess;
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
  if (spoils_a_recording(stream)) return given(cudaErrorStreamCaptureImplicit);
  if (target == nullptr || source == nullptr || stream == nullptr) return given(cudaErrorInvalidValue);
  stream->put({[=] { std::memcpy(to, from, bytes); }, {target, source}});
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                              std::size_t height, cudaMemcpyKind kind, cudaStream_t stream) {
  if (spoils_a_recording(stream)) return given(cudaErrorStreamCaptureImplicit);
  if (width > to_pitch || width > from_pitch) return given(cudaErrorInvalidPitchValue);
  if (width == 0 || height == 0) return cudaSuccess;
  const Place there = kind == cudaMemcpyDeviceToHost ? Place::pinned : Place::device;
  const Place here = kind == cudaMemcpyHostToDevice ? Place::pinned : Place::device;
  const void* const target = holder(to, extent(to_pitch, width, height), there);
  const void* const source = holder(from, extent(from_pitch, width, height), here);
  if (target == nullptr || source == nullptr || stream == nullptr) return given(cudaErrorInvalidValue);
  const auto copy = [=] {
    for (std::size_t y = 0; y < height; ++y)
      std::memcpy(static_cast<char*>(to) + y * to_pitch, static_cast<const char*>(from) + y * from_pitch, width);
  };
  return stream->put({copy, {target, source}}), cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const std::lock_guard lock(registry);
  const auto found = block_at(pointer);
  *attributes = {cudaMemoryTypeUnregistered, -2};
  if (found == memory.end()) return cudaSuccess;
  attributes->type = found->second.kind == Place::device ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
  attributes->device = found->second.device;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (flags > 7) return given(cudaErrorInvalidValue);
  return *event = new CUevent_st{current, nullptr}, cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (spoils_a_recording(stream)) return given(cudaErrorStreamCaptureImplicit);
  stream = resolved(stream);
  if (stream->device != event->device) return given(cudaErrorInvalidResourceHandle);
  if (stream->recording) undefined("an event of a recording outlives it");
  event->mark = std::make_shared<Mark>(Mark{stream});
  return stream->put({nullptr, {}, event->mark, nullptr}), cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  if (spoils_a_recording(stream)) return given(cudaErrorStreamCaptureImplicit);
  stream = resolved(stream);
  if (flags != 0) return given(cudaErrorInvalidValue);
  if (stream->recording) return given(cudaErrorStreamCaptureIsolation);
  if (event->mark != nullptr) stream->put({nullptr, {}, nullptr, event->mark});
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const std::lock_guard lock(registry);
  for (const CUstream_st* other : streams)
    if (stream == nullptr && other->recording && other->waits_for_the_default && other->device == current)
      return given(cudaErrorStreamCaptureImplicit);
  const bool active = resolved(stream)->recording;
  return *status = active ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone, cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags > cudaStreamNonBlocking) return given(cudaErrorInvalidValue);
  *stream = new CUstream_st{current, flags != cudaStreamNonBlocking, {}, {}, false, false, {}};
  const std::lock_guard lock(registry);
  streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (stream->recording) undefined("a stream is destroyed while it records");
  finish(stream, nullptr);  // it is done all the same, whatever was given back meanwhile
  {
    const std::lock_guard lock(registry);
    streams.erase(stream);
  }
  return delete stream, cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (spoils_a_recording(stream)) return given(cudaErrorStreamCaptureImplicit);
  stream = resolved(stream);
  if (refused_while_recording() || stream->recording) return given(cudaErrorStreamCaptureUnsupported);
  return synchronize(stream), cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (mode != cudaStreamCaptureModeThreadLocal) undefined("other threads, which may allocate, would spoil the recording");
  if (stream == nullptr || stream->recording || recorded_here != nullptr) return given(cudaErrorInvalidValue);
  const std::lock_guard lock(registry);
  if (!stream->pending.empty()) undefined("a recording begins before the first run is done");
  recorded_here = stream;
  stream->recorder = std::this_thread::get_id();
  stream->recording = true;
  stream->spoiled = fault("default stream") && stream->waits_for_the_default;  // someone's work meanwhile
  stream->recorded.clear();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard lock(registry);
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
