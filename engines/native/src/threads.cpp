#include "threads.hpp"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace cgnet::native {
namespace {

constexpr int kSpins = 4000;  // some 40 to 150 us, by how long a CPU pauses

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Keep a thread on one core: the nth of those that the process may use, counted again from the first where they end.
void stay([[maybe_unused]] std::thread& thread, [[maybe_unused]] size_t n) {
#if defined(__linux__)
  cpu_set_t all, one;
  if (sched_getaffinity(0, sizeof all, &all) || CPU_COUNT(&all) == 0) return;
  n %= static_cast<size_t>(CPU_COUNT(&all));
  size_t core = 0;
  while (!CPU_ISSET(core, &all) || n-- > 0) core++;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  pthread_setaffinity_np(thread.native_handle(), sizeof one, &one);  // where it isn't allowed, only speed is lost
#endif
}

}  // namespace

Threads::Threads(int count, std::vector<int> items, Work work, const Kernels& kernels, bool pin)
    : count_(count), items_(std::move(items)), work_(std::move(work)), kernels_(kernels),
      next_(items_.size() * static_cast<size_t>(count)), done_(items_.size()) {
  for (int thread = 1; thread < count_; thread++) {
    threads_.emplace_back([this, thread] { work_until_stopped(thread); });
    if (pin) stay(threads_.back(), static_cast<size_t>(thread));
  }
}

Threads::~Threads() {
  stop_ = true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    awake_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

int Threads::end_of(int pass, int owner) const { return items_[static_cast<size_t>(pass)] * (owner + 1) / count_; }

void Threads::run() {
  const uint32_t run = run_.load(std::memory_order_relaxed) + 1;
  const uint64_t number = static_cast<uint64_t>(run) << 32;
  for (size_t pass = 0; pass < items_.size(); pass++) {
    done_[pass].value.store(number, std::memory_order_relaxed);
    for (int owner = 0; owner < count_; owner++) {
      const auto begin = static_cast<uint64_t>(owner ? end_of(static_cast<int>(pass), owner - 1) : 0);
      next_[pass * static_cast<size_t>(count_) + static_cast<size_t>(owner)].value.store(number | begin, std::memory_order_release);
    }
  }
  run_.store(run, std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_seq_cst) > 0) {
    const std::lock_guard<std::mutex> lock(mutex_);
    awake_.notify_all();
  }
  take_part(run, 0);
}

void Threads::take_part(uint32_t run, int thread) {
  const uint64_t before = kernels_.begin();
  for (int pass = 0; pass < static_cast<int>(items_.size()); pass++) {
    for (int i = 0; i < count_; i++)
      while (take(run, pass, (thread + i) % count_, thread)) {
      }
    if (!wait_for(run, pass)) break;
  }
  kernels_.end(before);
}

bool Threads::take(uint32_t run, int pass, int owner, int thread) {
  std::atomic<uint64_t>& next = next_[static_cast<size_t>(pass) * static_cast<size_t>(count_) + static_cast<size_t>(owner)].value;
  const auto end = static_cast<uint32_t>(end_of(pass, owner));
  uint64_t at = next.load(std::memory_order_acquire);
  do {
    if (at >> 32 != run || static_cast<uint32_t>(at) >= end) return false;
  } while (!next.compare_exchange_weak(at, at + 1, std::memory_order_acq_rel, std::memory_order_acquire));
  work_(pass, static_cast<int>(static_cast<uint32_t>(at)), thread);
  done_[static_cast<size_t>(pass)].value.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

// Whether `run` still is the one that runs once the pass is done.
bool Threads::wait_for(uint32_t run, int pass) {
  const auto wanted = static_cast<uint32_t>(items_[static_cast<size_t>(pass)]);
  for (int spins = 0;; spins++) {
    const uint64_t done = done_[static_cast<size_t>(pass)].value.load(std::memory_order_acquire);
    if (done >> 32 != run) return false;
    if (static_cast<uint32_t>(done) == wanted) return true;
    if (spins < kSpins) pause();
    else std::this_thread::yield();
  }
}

void Threads::work_until_stopped(int thread) {
  uint32_t seen = 0;
  while (true) {
    for (int spins = 0; spins < kSpins && run_.load(std::memory_order_acquire) == seen && !stop_; spins++) pause();
    if (run_.load(std::memory_order_acquire) == seen && !stop_) {
      std::unique_lock<std::mutex> lock(mutex_);
      asleep_++;
      awake_.wait(lock, [&] { return stop_ || run_.load(std::memory_order_seq_cst) != seen; });
      asleep_--;
    }
    if (stop_) return;
    seen = run_.load(std::memory_order_acquire);
    take_part(seen, thread);
  }
}

}  // namespace cgnet::native
