// A network that runs: frames in, labels out.
#pragma once

#include <memory>
#include <string>

#include "pack.hpp"
#include "plan.hpp"
#include "threads.hpp"

namespace cgnet::native {

class Engine {
 public:
  // file: an ONNX file as `cgnet-export --target native` writes it. threads: 0 for one a core. instructions: see
  // kernels_for. bf16: compute a file of f32 in it. Throws Error.
  Engine(const uint8_t* file, size_t size, int threads, const char* instructions, bool bf16);

  // frames: (count, height, width, 3) u8 BGR; labels: (count, height, width) u8. Throws Error for a size out of bounds.
  void run(const uint8_t* frames, int count, int height, int width, uint8_t* labels);
  // The scores of the last frame that was run, (classes, ceil(height / 8), ceil(width / 8)).
  void scores(float* to) const;
  // From the next frame on, keep each thread but the caller's on a core of its own, or leave that to the system.
  void pin(bool on);
  // Add up the time of each operator from now on, over all threads and in ns, or stop it. The last two are those of the
  // gates and of the labels.
  void profile(bool on);
  std::vector<int64_t> times_ns() const;
  const Network& network() const { return net_; }
  const Kernels& kernels() const { return *kernels_; }
  int threads() const { return threads_; }
  size_t memory_bytes() const;

 private:
  struct Thread {
    Block memory;
    int image_row = -1;               // the output row whose three rows of the image are in memory
    int enlarged[2] = {-1, -1};       // the rows of the scores that are
    std::vector<int64_t> times_ns;
  };

  void bind(int height, int width);
  void draw_border(const Plane& plane, uint8_t* row, int y) const;
  void work(int pass, int item, int thread);
  void run_task(const Task& task, int begin, int end, Thread& thread);
  void run_row(const Op& op, size_t index, int y, Thread& thread, bool measure);
  void pool_row(const Op& op, size_t index, int y, Thread& thread);
  void image_rows(int y, Thread& thread);
  void sum_inputs(const Op& op, int y, const Thread& thread, float* sums) const;
  void mean_of(size_t index, float* mean) const;
  void gate(size_t index);
  void place_columns();
  void label_rows(int begin, int end, Thread& thread);
  void enlarge_row(int y, float* to) const;
  uint8_t* at(const Plane& plane, const Thread& thread, int y) const {
    return (plane.own ? thread.memory.data() : memory_.data()) + plane.offset + y * plane.row;
  }
  const Plane& plane(Source source) const { return plan_.planes[static_cast<size_t>(source.op)][static_cast<size_t>(source.out)]; }
  Store store_of(size_t index, size_t out, const Thread& thread, int y) const;

  Network net_;
  const Kernels* const kernels_;
  const int threads_;
  const std::vector<PackedOp> packed_;
  float frame_mean_[3], frame_scale_[3];  // in the order of the frame
  uint8_t frame_zero_[3];
  Plan plan_{};
  Block memory_;
  std::vector<Thread> own_;
  std::vector<int32_t> left_, right_;     // the columns of the scores that each column of labels lies between
  std::vector<float> weight_;             // of the right one
  const uint8_t* frame_ = nullptr;
  uint8_t* labels_ = nullptr;
  bool profiles_ = false, pins_ = false;
  std::unique_ptr<Threads> pool_;         // last: its threads stop before the rest goes
};

}  // namespace cgnet::native
