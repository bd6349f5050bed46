// driver ENGINE FRAMES N H W THREADS CONTEXTS BATCH CROPS LABELS
//
// FRAMES holds (N, H, W, 3) u8. Each thread labels all of it, `BATCH` frames a call, each thread from another frame
// on; call i takes the upper left of the size CROPS[i % len], such as 40x56,32x40, so that rows have gaps.
// LABELS gets (THREADS, calls, BATCH, h, w) u8. stdout: backend, provider and GPU memory, before the first call and
// after the last.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <cgnet/segmenter.hpp>

#include "guarded.hpp"

namespace {

struct Size {
  int height;
  int width;
};

std::vector<Size> sizes_of(const std::string& text) {
  std::vector<Size> sizes;
  std::istringstream stream(text);
  for (std::string one; std::getline(stream, one, ',');) {
    const std::size_t x = one.find('x');
    sizes.push_back({std::stoi(one.substr(0, x)), std::stoi(one.substr(x + 1))});
  }
  return sizes;
}

void describe(const cgnet::Segmenter& segmenter) {
  std::cout << segmenter.info().backend << '|' << segmenter.info().provider << '|' << segmenter.device_bytes() << '\n';
}

int run(char** argv) {
  std::ifstream file(argv[2], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto* const pixels = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const auto n = static_cast<std::size_t>(std::stoi(argv[3]));
  const Size size{std::stoi(argv[4]), std::stoi(argv[5])};
  const auto threads = static_cast<std::size_t>(std::stoi(argv[6]));
  const auto batch = static_cast<std::size_t>(std::stoi(argv[8]));
  const std::vector<Size> crops = sizes_of(argv[9]);
  cgnet::Options options;
  options.contexts = std::stoi(argv[7]);
  options.threads = 1;
  const cgnet::Segmenter segmenter(argv[1], options);
  describe(segmenter);

  const std::size_t stride = 3 * static_cast<std::size_t>(size.width);
  const std::size_t frame_bytes = stride * static_cast<std::size_t>(size.height);
  const std::size_t calls = n / batch;
  std::vector<std::vector<std::vector<std::uint8_t>>> labels(threads);
  std::vector<std::exception_ptr> errors(threads);
  std::vector<std::thread> running;
  for (std::size_t t = 0; t < threads; ++t) {
    labels[t].resize(calls);
    running.emplace_back([&, t] {
      try {
        for (std::size_t step = 0; step < calls; ++step) {
          const std::size_t i = (step + t) % calls;
          const Size crop = crops[i % crops.size()];
          std::vector<cgnet::Frame> frames;
          for (std::size_t b = 0; b < batch; ++b)
            frames.push_back({pixels + (i * batch + b) * frame_bytes, crop.height, crop.width, stride});
          labels[t][i].resize(batch * static_cast<std::size_t>(crop.height) * static_cast<std::size_t>(crop.width));
          segmenter.segment(frames.data(), batch, labels[t][i].data());
        }
      } catch (...) {
        errors[t] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  describe(segmenter);
  std::ofstream out(argv[10], std::ios::binary);
  for (const auto& of_thread : labels)
    for (const auto& of_call : of_thread)
      out.write(reinterpret_cast<const char*>(of_call.data()), static_cast<std::streamsize>(of_call.size()));
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return guarded(run, 10, argc, argv); }
