// A fixed number of threads that share the items of a list of passes. A pass begins when the one before it is done.
//
// Each thread has a range of a pass's items, so that rows stay in its core's cache, and takes from the others' ranges
// when its own is empty. What is waited for are items, never threads: one that the system has put aside delays nobody,
// unless it holds an item. Waiting is a short spin, then giving the core away, and between runs sleeping.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels.hpp"

namespace cgnet::native {

class Threads {
 public:
  using Work = std::function<void(int pass, int item, int thread)>;

  // items: of each pass. `work` is called once for each item of each pass in `run`, by any of `count` threads, one of
  // which is the caller's, between `begin` and `end` of the kernels. pin: keep the others on a core each.
  Threads(int count, std::vector<int> items, Work work, const Kernels& kernels, bool pin);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  void run();

 private:
  struct alignas(64) Counter {
    std::atomic<uint64_t> value{0};  // the run's number << 32 | how far it is
  };

  void take_part(uint32_t run, int thread);
  bool take(uint32_t run, int pass, int owner, int thread);
  bool wait_for(uint32_t run, int pass);
  void work_until_stopped(int thread);
  int end_of(int pass, int owner) const;

  const int count_;
  const std::vector<int> items_;
  const Work work_;
  const Kernels& kernels_;
  std::vector<Counter> next_, done_;  // next_: pass * count + owner
  std::atomic<uint32_t> run_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int> asleep_{0};
  std::mutex mutex_;
  std::condition_variable awake_;
  std::vector<std::thread> threads_;
};

}  // namespace cgnet::native
