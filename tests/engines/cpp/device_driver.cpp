// device_driver ENGINE FRAMES N H W BATCH FORMAT THREADS WRONG LABELS
//
// FRAMES holds N frames as FORMAT says (bgr, nv12_bt601_limited, ...), without gaps. Each thread has a stream of its own,
// or the default one where WRONG is "default stream", and one piece of device memory for the frames of a call, whose rows
// have gaps, and another for its labels: on its stream, each call's frames are uploaded there, labelled, downloaded and
// overwritten, and only at the end is the stream waited for. LABELS gets (THREADS, N, H, W) u8. WRONG breaks one rule.
#include <cstdint>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <cgnet/device.hpp>
#include <cgnet/segmenter.hpp>
#include <cuda_runtime_api.h>

#include "guarded.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t gap = 24;

const std::map<std::string, cgnet::Format> formats = {{"bgr", cgnet::Format::bgr},
                                                      {"nv12_bt601_limited", cgnet::Format::nv12_bt601_limited},
                                                      {"nv12_bt601_full", cgnet::Format::nv12_bt601_full},
                                                      {"nv12_bt709_limited", cgnet::Format::nv12_bt709_limited},
                                                      {"nv12_bt709_full", cgnet::Format::nv12_bt709_full}};

void check(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error("the driver: CUDA says " + std::to_string(status));
}

/// Device or pinned memory until the end of a scope.
class Memory {
 public:
  Memory(std::size_t bytes, bool device) : device_(device) {
    void* memory = nullptr;
    check(device ? cudaMalloc(&memory, bytes) : cudaHostAlloc(&memory, bytes, cudaHostAllocDefault));
    at = static_cast<std::uint8_t*>(memory);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { device_ ? cudaFree(at) : cudaFreeHost(at); }

  std::uint8_t* at = nullptr;

 private:
  bool device_;
};

struct Job {
  const cgnet::Segmenter& segmenter;
  const Bytes& frames;
  std::size_t n, height, width, batch;
  cgnet::Format format;
  std::string wrong;
};

/// Turns a sound call into one that must be refused.
void spoil(const std::string& wrong, std::vector<cgnet::DeviceFrame>& frames, std::uint8_t*& labels, std::uint8_t* host) {
  cgnet::DeviceFrame& frame = frames.back();
  if (wrong == "host frame") frame.pixels = host;
  if (wrong == "host chroma") frame.chroma = host;
  if (wrong == "host labels") labels = host;
  if (wrong == "no labels") labels = nullptr;
  if (wrong == "no frame") frame.pixels = nullptr;
  if (wrong == "no chroma") frame.chroma = nullptr;
  if (wrong == "chroma of bgr") frame.chroma = frame.pixels;
  if (wrong == "pitch") frame.pitch = static_cast<std::size_t>(frame.width) - 1;
  if (wrong == "chroma pitch") frame.chroma_pitch = static_cast<std::size_t>(frame.width) - 1;
  if (wrong == "too short") frame.pitch += 4096;
  if (wrong == "odd") ++frame.height;
  if (wrong == "size") frame.height += 2;
  if (wrong == "format") frame.format = static_cast<cgnet::Format>(9);
}

void work(const Job& job, std::uint8_t* labels_out) {
  const std::size_t row = job.format == cgnet::Format::bgr ? 3 * job.width : job.width;
  const std::size_t rows = job.format == cgnet::Format::bgr ? job.height : job.height * 3 / 2;  // NV12: chroma below luma
  const std::size_t pitch = row + gap;
  const std::size_t pixels = job.batch * job.height * job.width;
  if (job.wrong == "other gpu") check(cudaSetDevice(1));
  const Memory frames(job.batch * rows * pitch, true), labels(pixels, true);
  if (job.wrong == "stream of other gpu") check(cudaSetDevice(1));
  cudaStream_t stream = nullptr;
  if (job.wrong != "default stream") check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const Memory pinned(job.n * rows * row, false), zeros(job.batch * rows * pitch, false), out(job.n * pixels / job.batch, false);
  std::memcpy(pinned.at, job.frames.data(), job.n * rows * row);
  std::memset(zeros.at, 0, job.batch * rows * pitch);
  if (job.wrong == "other gpu" || job.wrong == "stream of other gpu") check(cudaSetDevice(0));
  std::exception_ptr error;
  try {
    for (std::size_t call = 0; call < job.n / job.batch; ++call) {
      const std::uint8_t* const from = pinned.at + call * job.batch * rows * row;
      if (stream != nullptr)
        check(cudaMemcpy2DAsync(frames.at, pitch, from, row, row, job.batch * rows, cudaMemcpyHostToDevice, stream));
      else
        for (std::size_t y = 0; y < job.batch * rows; ++y) std::memcpy(frames.at + y * pitch, from + y * row, row);
      std::vector<cgnet::DeviceFrame> given;
      for (std::size_t b = 0; b < job.batch; ++b) {
        const std::uint8_t* const at = frames.at + b * rows * pitch;
        given.push_back({at, static_cast<int>(job.height), static_cast<int>(job.width), pitch, job.format});
        if (job.format == cgnet::Format::bgr) continue;
        given.back().chroma = at + job.height * pitch;
        given.back().chroma_pitch = pitch;
      }
      std::uint8_t* result = labels.at;
      spoil(job.wrong, given, result, pinned.at);
      if (job.wrong == "capture") check(cudaStreamSynchronize(stream));
      if (job.wrong == "capture") check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
      job.segmenter.segment(given.data(), given.size(), result, stream);
      if (stream == nullptr) {  // the default stream carries no work of its own here
        check(cudaStreamSynchronize(stream));
        std::memcpy(out.at + call * pixels, labels.at, pixels);
        continue;
      }
      check(cudaMemcpyAsync(out.at + call * pixels, labels.at, pixels, cudaMemcpyDeviceToHost, stream));
      check(cudaMemcpyAsync(frames.at, zeros.at, job.batch * rows * pitch, cudaMemcpyHostToDevice, stream));
      check(cudaMemcpyAsync(labels.at, zeros.at, pixels, cudaMemcpyHostToDevice, stream));
    }
  } catch (...) {
    error = std::current_exception();
  }
  cudaGraph_t graph = nullptr;
  if (job.wrong == "capture") check(cudaStreamEndCapture(stream, &graph)), cudaGraphDestroy(graph);
  check(cudaStreamSynchronize(stream));
  if (stream != nullptr) cudaStreamDestroy(stream);
  if (error) std::rethrow_exception(error);
  std::memcpy(labels_out, out.at, job.n * pixels / job.batch);
}

/// What the same BGR frames give from host memory, through the same contexts.
void compare_with_the_host(const Job& job, const std::uint8_t* labels) {
  Bytes expected(job.batch * job.height * job.width);
  const std::size_t bytes = job.height * job.width * 3;
  for (std::size_t first = 0; first < job.n; first += job.batch, labels += expected.size()) {
    std::vector<cgnet::Frame> frames;
    for (std::size_t b = 0; b < job.batch; ++b)
      frames.push_back({job.frames.data() + (first + b) * bytes, static_cast<int>(job.height), static_cast<int>(job.width)});
    job.segmenter.segment(frames.data(), job.batch, expected.data());
    if (std::memcmp(expected.data(), labels, expected.size()) != 0) throw std::runtime_error("the driver: labels differ");
  }
}

int run(char** argv) {
  std::ifstream file(argv[2], std::ios::binary);
  const Bytes frames{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  cgnet::Options options;
  options.contexts = 2;
  const cgnet::Segmenter segmenter(argv[1], options);
  const auto number = [&](int i) { return static_cast<std::size_t>(std::stoi(argv[i])); };
  const Job job{segmenter, frames, number(3), number(4), number(5), number(6), formats.at(argv[7]), argv[9]};
  const std::size_t bytes = job.n * job.height * job.width;
  Bytes labels(number(8) * bytes);
  std::vector<std::exception_ptr> errors(number(8));
  std::vector<std::thread> running;
  for (std::size_t t = 0; t < errors.size(); ++t)
    running.emplace_back([&, t] {
      try {
        work(job, labels.data() + t * bytes);
        if (job.format == cgnet::Format::bgr) compare_with_the_host(job, labels.data() + t * bytes);
      } catch (...) {
        errors[t] = std::current_exception();
      }
    });
  for (std::thread& thread : running) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  std::ofstream(argv[10], std::ios::binary)
      .write(reinterpret_cast<const char*>(labels.data()), static_cast<std::streamsize>(labels.size()));
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return guarded(run, 10, argc, argv); }
