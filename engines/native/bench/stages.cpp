// stages FILE THREADS [HxW [FRAMES [f32|bf16 [INSTRUCTIONS]]]]: the time of each stage against its roofline, a Markdown table.
//
// The roofline is what a stage would take if it only multiplied, or only read and wrote each of its maps once, by what
// loops of this instruction set reach on as many threads: the longer of the two. Medians of FRAMES frames.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "engine.hpp"
#if defined(__AVX512VNNI__)
#include "simd_amx.hpp"
#include "simd_avx512.hpp"
using Vectors = Wide;
#define REGISTER "v"
#elif defined(__AVX2__)
#include "simd_avx2.hpp"
using Vectors = Narrow;
#define REGISTER "x"
#elif defined(__ARM_FEATURE_DOTPROD)
#include "simd_neon.hpp"
using Vectors = Neon;
#define REGISTER "w"
#else
#error "this CPU has none of the vectors that the engine has kernels for"
#endif

namespace {

using cgnet::native::bytes_of, cgnet::native::Element, cgnet::native::Engine, cgnet::native::Network, cgnet::native::Op, cgnet::native::Out;
using Clock = std::chrono::steady_clock;

constexpr int kSums = 12, kTries = 100;
constexpr size_t kBuffer = size_t{1} << 21;  // as much as the largest maps have

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> numbers) {
  std::nth_element(numbers.begin(), numbers.begin() + static_cast<ptrdiff_t>(numbers.size() / 2), numbers.end());
  return numbers[numbers.size() / 2];
}

// Multiply-adds.
template <class Vec, Element kOf>
double multiply() {
  constexpr int kRounds = 20000;
  alignas(64) static const uint8_t bytes[64] = {1, 2, 3};
  alignas(64) static const float numbers[16] = {};
  alignas(64) static thread_local float result[16];
  typename Vec::I a = Vec::load_bytes(bytes), b = a, sums[kSums];
  typename Vec::F f = Vec::load(numbers), g = f, reals[kSums];
#pragma GCC unroll 12  // else they are in memory
  for (int k = 0; k < kSums; k++) {
    sums[k] = Vec::no_sum(), reals[k] = Vec::zero();
    asm volatile("" : "+" REGISTER(sums[k]), "+" REGISTER(reals[k]));  // else they are one
  }
  for (int i = 0; i < kRounds; i++) {
    // New factors, to the compiler.
    asm volatile("" : "+" REGISTER(a), "+" REGISTER(b), "+" REGISTER(f), "+" REGISTER(g));
#pragma GCC unroll 12
    for (int k = 0; k < kSums; k++) {
      if constexpr (kOf == Element::kF32) reals[k] = Vec::fma(f, g, reals[k]);
      else if constexpr (kOf == Element::kBf16) dot(reals[k], a, b);
      else if constexpr (Vec::kPairs) Vec::add_pairs(sums[k], a, b);
      else dot(sums[k], a, b);
    }
  }
  typename Vec::F all = Vec::zero();
#pragma GCC unroll 12
  for (int k = 0; k < kSums; k++) all = Vec::add(all, Vec::add(reals[k], Vec::to_f32(sums[k])));
  Vec::store(result, all);
  asm volatile("" : : "r"(result) : "memory");
  return double{kRounds} * kSums * Vec::kLanes * 4 / bytes_of(kOf);
}

#ifdef __AMX_INT8__
template <Element kOf>
double multiply_tiles() {
  constexpr int kRounds = 5000;
  shape_tiles(kTileRows);
  for (int i = 0; i < kRounds; i++) {
    if constexpr (kOf == Element::kU8) tile_dot_u8<0, 4, 6>(), tile_dot_u8<1, 4, 7>(), tile_dot_u8<2, 5, 6>(), tile_dot_u8<3, 5, 7>();
    else tile_dot_bf16<0, 4, 6>(), tile_dot_bf16<1, 4, 7>(), tile_dot_bf16<2, 5, 6>(), tile_dot_bf16<3, 5, 7>();
  }
  tile_release();
  return double{kRounds} * kSumTiles * kTileRows * 16 * kTileBytes / bytes_of(kOf);
}
#endif

// The loop of products that a network's dense convolutions are made of.
std::function<double()> products_of(const Engine& engine) {
  const bool int8 = engine.network().int8, bf16 = engine.kernels().dense_bf16;
#ifdef __AMX_INT8__
  if (engine.kernels().run_steps == kTileRows) return int8 ? multiply_tiles<Element::kU8> : multiply_tiles<Element::kBf16>;
#endif
  if constexpr (Vectors::kBf16)
    if (bf16) return multiply<Vectors, Element::kBf16>;
  return int8 ? multiply<Vectors, Element::kU8> : multiply<Vectors, Element::kF32>;
}

// Bytes read and written.
double copy() {
  static thread_local std::vector<uint8_t> from(kBuffer, 1), to(kBuffer);
  std::memcpy(to.data(), from.data(), kBuffer);
  asm volatile("" : : "r"(to.data()) : "memory");
  return 2.0 * kBuffer;
}

// The most that `threads` together reach of `work` in a second.
double rate(int threads, const std::function<double()>& work) {
  double best = 0;  // of short tries: one that nothing else disturbs
  for (int i = 0; i < kTries; i++) {
    std::vector<double> rates(static_cast<size_t>(threads));
    std::vector<std::thread> pool;
    for (double& each : rates)
      pool.emplace_back([&each, &work] {
        work();
        const auto start = Clock::now();
        double done = 0;
        while (seconds_since(start) < 0.002) done += work();
        each = done / seconds_since(start);
      });
    for (std::thread& thread : pool) thread.join();
    best = std::max(best, std::accumulate(rates.begin(), rates.end(), 0.0));
  }
  return best;
}

struct Stage {
  double macs = 0, bytes = 0, ms = 0;
  int operators = 0;
};

// "stem.1.conv/Conv" is of stem.1; blocks of a stage after its first are alike.
std::string stage_of(const std::string& name) {
  const size_t first = name.find('.'), second = name.find_first_of("./", first + 1);
  if (name.find("Pool") != std::string::npos) return "halved image";
  if (first == std::string::npos) return name.substr(0, name.find('/'));
  const bool later = name.compare(0, 5, "stage") == 0 && name.compare(first, second - first, ".0") != 0;
  return later ? name.substr(0, first) + ", other blocks" : name.substr(0, second);
}

// Of an element of a map, as `reader` takes it.
int bytes_read(const Engine& engine, const Op& reader) {
  if (engine.network().int8) return 1;
  return engine.kernels().dense_bf16 && reader.kind == Op::kDense ? 2 : 4;
}

// Bytes that an operator reads and writes.
double traffic_of(const Engine& engine, const Op& op, double pixels, double frame) {
  const Network& net = engine.network();
  const bool bf16 = engine.kernels().dense_bf16;
  const double trunk = (net.int8 || bf16 ? 2 : 4) * op.channels * pixels;
  double bytes = static_cast<double>(op.macs) * bytes_read(engine, op) + (op.adds + op.keeps) * trunk;
  if (op.inputs.empty()) bytes += 3 * frame;
  for (size_t i = 0; i < op.inputs.size(); i++) {
    const Op& from = net.ops[static_cast<size_t>(op.inputs[i].op)];
    bytes += bytes_read(engine, op) * op.input_channels[i] * frame / (1 << 2 * from.level);
  }
  for (size_t out = 0; out < op.outs.size(); out++) {
    int size = net.int8 && op.outs[out].step > 0 ? 1 : 4;
    for (const Op& reader : net.ops)
      for (const cgnet::native::Source& source : reader.inputs)
        if (&net.ops[static_cast<size_t>(source.op)] == &op && source.out == static_cast<int>(out)) size = bytes_read(engine, reader);
    bytes += size * op.channels * pixels;
  }
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  int height = 360, width = 480;
  if (count < 3 || (count > 3 && std::sscanf(arguments[3], "%dx%d", &height, &width) != 2))
    return std::fprintf(stderr, "stages: wanted FILE THREADS [HxW [FRAMES [f32|bf16 [INSTRUCTIONS]]]]\n"), 2;
  const int threads = std::max(1, std::atoi(arguments[2]));
  const int frames = count > 4 ? std::max(1, std::atoi(arguments[4])) : 100;
  const bool bf16 = count > 5 && std::strcmp(arguments[5], "bf16") == 0;
  std::ifstream stream(arguments[1], std::ios::binary);
  const std::vector<char> file((std::istreambuf_iterator<char>(stream)), {});
  const auto pixels = static_cast<size_t>(height) * static_cast<size_t>(width);
  std::vector<uint8_t> frame(3 * pixels), labels(pixels);
  for (size_t i = 0; i < frame.size(); i++) frame[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
  std::vector<std::string> order;
  std::map<std::string, Stage> stages;
  try {
    Engine engine(reinterpret_cast<const uint8_t*>(file.data()), file.size(), threads, count > 6 ? arguments[6] : "", bf16);
    const Network& net = engine.network();
    const auto run = [&] { engine.run(frame.data(), 1, height, width, labels.data()); };
    for (int i = 0; i < 5; i++) run();
    std::vector<double> whole;
    std::map<std::string, std::vector<double>> times;
    for (int i = 0; i < frames; i++) {
      const auto start = Clock::now();
      run();
      whole.push_back(seconds_since(start) * 1e3);
      engine.profile(true);
      run();
      engine.profile(false);
      std::map<std::string, double> sums;
      const std::vector<int64_t> ns = engine.times_ns();
      for (size_t k = 0; k < ns.size(); k++) {
        const char* const other = k == net.ops.size() ? "gates" : "labels";
        const std::string stage = k < net.ops.size() ? stage_of(net.ops[k].name) : other;
        if (i == 0 && std::find(order.begin(), order.end(), stage) == order.end()) order.push_back(stage);
        sums[stage] += static_cast<double>(ns[k]) * 1e-6 / threads;
      }
      for (const auto& [stage, ms] : sums) times[stage].push_back(ms);
    }
    for (const Op& op : net.ops) {
      Stage& stage = stages[stage_of(op.name)];
      const double size = static_cast<double>(pixels), there = size / (1 << 2 * op.level);
      stage.macs += static_cast<double>(op.kind == Op::kPool ? 9 * op.channels : op.macs) * there;
      stage.bytes += traffic_of(engine, op, there, size);
    }
    stages["labels"].bytes = static_cast<double>(pixels) + 4.0 * net.classes * static_cast<double>(pixels) / 64;
    const double macs = rate(threads, products_of(engine)), bytes = rate(threads, copy);
    std::printf("%dx%d, %s, %s, threads: %d; peak %.0f GMAC/s, copies in 4 MiB a thread %.0f GB/s\n\n", height, width,
                net.int8 ? "int8" : bf16 ? "bf16" : "f32", engine.kernels().name, threads, macs * 1e-9, bytes * 1e-9);
    std::puts("| stage | ms | MMAC | MB | GMAC/s | roofline, ms | of it reached |\n|---|---|---|---|---|---|---|");
    Stage all;
    for (const std::string& name : order) {
      Stage& stage = stages[name];
      stage.ms = median(times[name]);
      if (stage.ms == 0) continue;
      const double roof = std::max(stage.macs / macs, stage.bytes / bytes) * 1e3;
      std::printf("| %s | %.2f | %.0f | %.1f | %.0f | %.2f | %.0f %% |\n", name.c_str(), stage.ms, stage.macs * 1e-6,
                  stage.bytes * 1e-6, stage.macs * 1e-6 / stage.ms, roof, 100 * roof / stage.ms);
      all.ms += stage.ms, all.macs += stage.macs, all.bytes += roof;
    }
    std::printf("| all | %.2f | %.0f | | %.0f | %.2f | %.0f %% |\n\nA frame, not profiled: %.2f ms.\n", all.ms,
                all.macs * 1e-6, all.macs * 1e-6 / all.ms, all.bytes, 100 * all.bytes / all.ms, median(whole));
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "stages: %s\n", error.what()), 2;
  }
}
